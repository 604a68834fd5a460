//! One conversation as a socket without a network. See the parent's doc.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, Sink, Stream};
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use crate::bridge::Wire;
use crate::engine::{WireClosed, random};

use super::super::PipelineSettings;
use super::super::codec::{hear, say};
use super::super::talk::{Do, In, Job, Talk};
use super::http::{Parts, Told};

/// Results of requests waiting to be looked at. Full: the requests wait.
const RESULTS_MAX: usize = 64;
/// Words waiting for the bridge, which reads them at once; more means it does not read at all.
const WORDS_MAX: usize = 4_096;
const TICK: Duration = Duration::from_millis(100);

/// A request under way.
struct Running {
    job: Job,
    work: BoxFuture<'static, ()>,
}

/// See the module's doc.
pub(super) struct PipelineSocket {
    talk: Talk,
    parts: Arc<Parts>,
    began: Instant,
    tick: Interval,
    running: Vec<Running>,
    results: mpsc::Sender<In>,
    came: mpsc::Receiver<In>,
    words: VecDeque<Wire>,
    /// Makes the line for when a part is down, before it is needed.
    preparing: Option<BoxFuture<'static, ()>>,
    closed: bool,
}

impl PipelineSocket {
    pub(super) fn new(settings: Arc<PipelineSettings>, parts: Arc<Parts>) -> Self {
        let number = u64::from_le_bytes(random());
        let (results, came) = mpsc::channel(RESULTS_MAX);
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            talk: Talk::new(settings, format!("pipe_{number:016x}")),
            began: Instant::now(),
            tick,
            running: Vec::new(),
            results,
            came,
            words: VecDeque::new(),
            preparing: Some(Arc::clone(&parts).prepare_fallback().boxed()),
            parts,
            closed: false,
        }
    }

    fn step(&mut self, input: In) {
        for deed in self.talk.step(self.began.elapsed(), input) {
            match deed {
                Do::Say(word) => self.words.extend(say(word)),
                Do::Stop(job) => self.running.retain(|running| running.job != job),
                Do::Transcribe(job, pcm) => {
                    let language = self.talk.language().map(str::to_owned);
                    self.run(job, |parts, told| {
                        parts.transcribe(told, pcm, language).boxed()
                    });
                }
                Do::Complete(job, body) => {
                    self.run(job, |parts, told| parts.complete(told, body).boxed());
                }
                Do::Speak(job, text) => {
                    let voice = self.talk.voice().map(str::to_owned);
                    self.run(job, |parts, told| parts.speak(told, text, voice).boxed());
                }
                Do::SpeakFallback(job) => {
                    self.run(job, |parts, told| parts.speak_fallback(told).boxed());
                }
            }
        }
    }

    fn run(&mut self, job: Job, work: impl FnOnce(Arc<Parts>, Told) -> BoxFuture<'static, ()>) {
        let told = Told::new(job, self.results.clone());
        let work = work(Arc::clone(&self.parts), told);
        self.running.push(Running { job, work });
    }

    /// Drives the requests and takes their results in until there is something to say.
    fn drive(&mut self, cx: &mut Context<'_>) {
        if let Some(preparing) = &mut self.preparing {
            if preparing.poll_unpin(cx).is_ready() {
                self.preparing = None;
            }
        }
        while self.tick.poll_tick(cx).is_ready() {
            self.step(In::Tick);
        }
        while self.words.is_empty() {
            self.running
                .retain_mut(|running| running.work.poll_unpin(cx).is_pending());
            match self.came.poll_recv(cx) {
                // New requests may have come of it: they are polled before this returns.
                Poll::Ready(Some(result)) => self.step(result),
                Poll::Ready(None) | Poll::Pending => return,
            }
        }
    }
}

impl Stream for PipelineSocket {
    type Item = Result<Wire, WireClosed>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.closed {
            return Poll::Ready(None);
        }
        if this.words.is_empty() {
            this.drive(cx);
        }
        match this.words.pop_front() {
            Some(word) => Poll::Ready(Some(Ok(word))),
            None => Poll::Pending,
        }
    }
}

impl Sink<Wire> for PipelineSocket {
    type Error = WireClosed;

    fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), WireClosed>> {
        if self.words.len() > WORDS_MAX {
            return Poll::Ready(Err(WireClosed {
                code: None,
                reason: "nobody reads what the agent says".into(),
            }));
        }
        Poll::Ready(Ok(()))
    }

    fn start_send(self: Pin<&mut Self>, wire: Wire) -> Result<(), WireClosed> {
        let this = self.get_mut();
        match hear(wire) {
            Ok(order) => this.step(In::Order(order)),
            Err(error) => tracing::debug!(error, "an unreadable order to the pipeline"),
        }
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), WireClosed>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), WireClosed>> {
        let this = self.get_mut();
        this.closed = true;
        this.running.clear();
        Poll::Ready(Ok(()))
    }
}
