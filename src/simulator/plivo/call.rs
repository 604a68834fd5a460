//! One call from first ring to last callback: rings, answers, runs the documents it is given, and
//! tells everybody who asked.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::simulator::line::{FarEnd, Method};
use crate::simulator::speech::{Caller, Ending, LineQuality, Outcome, Script};

use super::document::{self, DialStep, Step, StreamStep};
use super::ending::Finish;
use super::news;
use super::state::{Entry, Order, PlivoStatus, Shared, Source};
use super::stream::{Leg, StreamEnd};
use crate::simulator::line::poster::Form;

/// Documents fetched in one call before it is taken for a redirect loop.
const DOCUMENTS_MAX: u32 = 50;

/// Longest call that is held elsewhere.
const ELSEWHERE_MAX: Duration = Duration::from_secs(14_400);

/// What was asked for when the call was made.
#[derive(Clone, Debug)]
pub(super) struct Wishes {
    pub(super) answer: Source,
    pub(super) fallback: Option<Source>,
    pub(super) ring: Option<Source>,
    pub(super) hangup: Option<Source>,
    /// Where to report a machine.
    pub(super) machine: Option<Source>,
    pub(super) ring_max: Duration,
}

/// The far end of the line and how it behaves before it speaks.
pub(super) struct Person {
    far: Box<dyn FarEnd>,
    outcome: Outcome,
    ring: Duration,
    sip: u16,
    is_machine: bool,
    /// Whoever seems to hang up has lost the line.
    loses_line: bool,
    quality: LineQuality,
}

impl Person {
    /// Somebody who picks up at once, on a good line.
    pub(super) fn with(far: Box<dyn FarEnd>) -> Self {
        Self {
            far,
            outcome: Outcome::Answered,
            ring: Duration::ZERO,
            sip: 200,
            is_machine: false,
            loses_line: false,
            quality: LineQuality::default(),
        }
    }

    pub(super) fn acting(script: &Arc<Script>) -> Self {
        let machine = script.answered_by.as_deref();
        Self {
            far: Box::new(Caller::new(script)),
            outcome: script.outcome,
            ring: script.ring,
            sip: script.sip,
            is_machine: machine.is_some_and(|word| word != "human"),
            loses_line: script.ending == Ending::Line,
            quality: script.quality,
        }
    }
}

/// What an element leads to.
enum Next {
    Step,
    Document(Source),
    Over(Finish),
}

pub(super) struct Run {
    pub(super) shared: Arc<Shared>,
    pub(super) entry: Arc<Entry>,
    pub(super) orders: mpsc::Receiver<Order>,
    pub(super) wishes: Wishes,
    pub(super) person: Person,
}

impl Run {
    pub(super) async fn outbound(mut self) {
        let finish = match self.ring().await {
            Ok(()) => {
                self.answered();
                if self.person.is_machine
                    && let Some(url) = self.wishes.machine.clone()
                {
                    news::machine_later(&self.shared, &self.entry, url);
                }
                self.talk(None).await
            }
            Err(finish) => finish,
        };
        self.finish(finish).await;
    }

    pub(super) async fn inbound(mut self) {
        self.entry.note(|view| view.status = PlivoStatus::Ringing);
        let finish = match self.fetch(self.wishes.answer.clone(), &[]).await {
            Ok(steps) => match steps.first() {
                Some(Step::Hangup { busy, rejected }) if *busy || *rejected => {
                    self.ran("Hangup");
                    Finish::Refused { busy: *busy }
                }
                _ => {
                    self.answered();
                    self.talk(Some(steps)).await
                }
            },
            Err(finish) => finish,
        };
        self.finish(finish).await;
    }

    /// Somebody else's document runs; ours are only those an order brings.
    pub(super) async fn elsewhere(mut self) {
        self.answered();
        let started = Instant::now();
        let finish = match self.pass(ELSEWHERE_MAX).await {
            Next::Step => Finish::TimeLimit,
            Next::Over(finish) => finish,
            Next::Document(source) => {
                self.wishes.answer = source;
                self.documents(None).await
            }
        };
        self.entry.times().talked = started.elapsed();
        self.finish(finish).await;
    }

    /// Queued → ringing → answered, or an early end.
    async fn ring(&mut self) -> Result<(), Finish> {
        self.wait(self.shared.cfg.timing.queue).await?;
        if self.person.outcome == Outcome::Failed {
            self.wait(self.person.ring).await?;
            return Err(Finish::Unanswered(Outcome::Failed, self.person.sip));
        }
        self.entry.note(|view| view.status = PlivoStatus::Ringing);
        if let Some(url) = self.wishes.ring.clone() {
            let form = self.shared.base_form(&self.entry, "ringing", "Ring");
            news::tell(&self.entry, "ring".to_owned(), &url, form).await;
        }
        let (mut ring, mut outcome) = (self.person.ring, self.person.outcome);
        let limit = self.wishes.ring_max;
        if ring > limit || outcome == Outcome::NoAnswer {
            (ring, outcome) = (ring.min(limit), Outcome::NoAnswer);
        }
        self.wait(ring).await?;
        match outcome {
            Outcome::Answered => Ok(()),
            other => Err(Finish::Unanswered(other, self.person.sip)),
        }
    }

    /// Lets time pass while the call is not yet answered; orders may end it.
    async fn wait(&mut self, time: Duration) -> Result<(), Finish> {
        let token = self.shared.tasks.token().clone();
        let until = Instant::now() + time;
        let outbound = self.entry.outbound;
        loop {
            tokio::select! {
                biased;
                () = token.cancelled() => return Err(Finish::Stopped),
                order = self.orders.recv() => match order {
                    Some(Order::End) => return Err(Finish::Api { answered: false }),
                    Some(Order::HangUp) => return Err(Finish::Person { outbound }),
                    Some(Order::Transfer(_) | Order::Press(_) | Order::Cut(_)) => {}
                    None => return Err(Finish::Stopped),
                },
                () = tokio::time::sleep_until(until) => return Ok(()),
            }
        }
    }

    fn answered(&mut self) {
        self.entry.times().answered = Some(self.shared.clock.now());
        self.entry
            .note(|view| view.status = PlivoStatus::InProgress);
    }

    /// Runs documents until the call is over.
    async fn talk(&mut self, first: Option<Vec<Step>>) -> Finish {
        let started = Instant::now();
        let run = self.documents(first);
        let finish = tokio::time::timeout(Duration::from_secs(14_400), run).await;
        self.entry.times().talked = started.elapsed();
        finish.unwrap_or(Finish::TimeLimit)
    }

    async fn documents(&mut self, first: Option<Vec<Step>>) -> Finish {
        let mut next = first.map(Ok);
        let mut source = self.wishes.answer.clone();
        for _ in 0..DOCUMENTS_MAX {
            let steps = match next.take() {
                Some(steps) => steps,
                None => self.fetch(source.clone(), &[]).await,
            };
            let steps = match steps {
                Ok(steps) => steps,
                Err(finish) => return finish,
            };
            match self.steps(steps).await {
                Next::Step => return Finish::Document,
                Next::Document(document) => source = document,
                Next::Over(finish) => return finish,
            }
        }
        self.entry.error("too many documents");
        Finish::Document
    }

    async fn steps(&mut self, steps: Vec<Step>) -> Next {
        for step in steps {
            let next = match step {
                Step::Stream(stream) => {
                    self.ran("Stream");
                    self.stream(&stream).await
                }
                Step::Record { callback } => {
                    news::start_recording(&self.shared, &self.entry, callback);
                    self.ran("Record")
                }
                Step::Speak { text } => {
                    self.ran("Speak");
                    let words = text.split_whitespace().count() as u32;
                    self.pass(self.shared.cfg.timing.say_per_word * words).await
                }
                Step::Play { .. } => {
                    self.ran("Play");
                    self.pass(Duration::from_secs(1)).await
                }
                Step::Wait { seconds } => {
                    self.ran("Wait");
                    self.pass(Duration::from_secs(seconds)).await
                }
                Step::Dial(dial) => {
                    self.ran("Dial");
                    self.dial(&dial).await
                }
                Step::Redirect { url, method } => {
                    self.ran("Redirect");
                    Next::Document(Source { url, method })
                }
                Step::Hangup { .. } => {
                    self.ran("Hangup");
                    Next::Over(Finish::Document)
                }
            };
            if !matches!(next, Next::Step) {
                return next;
            }
        }
        Next::Step
    }

    fn ran(&self, step: &'static str) -> Next {
        self.entry.note(|view| view.steps.push(step));
        Next::Step
    }

    /// Time passes on an answered call.
    async fn pass(&mut self, time: Duration) -> Next {
        let token = self.shared.tasks.token().clone();
        let until = Instant::now() + time;
        let outbound = self.entry.outbound;
        loop {
            tokio::select! {
                biased;
                () = token.cancelled() => return Next::Over(Finish::Stopped),
                order = self.orders.recv() => match obey(order, outbound) {
                    Next::Step => {}
                    next => return next,
                },
                () = tokio::time::sleep_until(until) => return Next::Step,
            }
        }
    }

    async fn stream(&mut self, step: &StreamStep) -> Next {
        let shared = Arc::clone(&self.shared);
        let entry = Arc::clone(&self.entry);
        let faults = shared.cfg.faults;
        let quality = LineQuality {
            jitter_ms: self.person.quality.jitter_ms + faults.media_jitter_ms,
            gap_pct: self.person.quality.gap_pct + faults.media_gap_pct,
            ..self.person.quality
        };
        let mut cut = shared
            .poster
            .draw(|rng| rng.chance(faults.stream_cut_pct))
            .then_some(faults.stream_cut);
        loop {
            let id = shared.uuid();
            let leg = Leg {
                shared: &shared,
                entry: &entry,
                step,
                stream_id: &id,
                quality,
                cut,
            };
            let end = leg.run(&mut *self.person.far, &mut self.orders).await;
            match end {
                StreamEnd::Failed(why) => {
                    news::stream(&shared, &entry, step, &id, "DroppedStream", Some(&why)).await;
                    entry.error(why);
                    return Next::Step;
                }
                StreamEnd::Reopen(after) => {
                    let why = "connection lost".to_owned();
                    news::stream(&shared, &entry, step, &id, "DroppedStream", Some(&why)).await;
                    cut = None;
                    match self.pass(after).await {
                        Next::Step => {}
                        next => return next,
                    }
                }
                end => {
                    news::stream(&shared, &entry, step, &id, "StopStream", None).await;
                    return match end {
                        StreamEnd::HungUp if self.person.loses_line => Next::Over(Finish::Line),
                        StreamEnd::HungUp => Next::Over(Finish::Person {
                            outbound: entry.outbound,
                        }),
                        StreamEnd::Ended => Next::Over(Finish::Api { answered: true }),
                        StreamEnd::Transferred(source) => Next::Document(source),
                        StreamEnd::Stopped => Next::Over(Finish::Stopped),
                        _ => Next::Step,
                    };
                }
            }
        }
    }

    /// Somebody else's phone rings; they answer and talk for a while, or do not.
    async fn dial(&mut self, dial: &DialStep) -> Next {
        let timing = self.shared.cfg.timing;
        let cast = &self.shared.cfg.cast;
        let outcome = cast
            .find(
                &format!("+{}", super::state::plain(&dial.number)),
                &dial.number,
            )
            .map_or(Outcome::Answered, |script| script.outcome);
        let rings = dial.timeout_s.map_or(timing.dial_ring, |s| {
            timing.dial_ring.min(Duration::from_secs(s))
        });
        let leg = self.shared.uuid();
        match self.pass(rings).await {
            Next::Step => {}
            next => return next,
        }
        if outcome == Outcome::Answered {
            news::dial_leg(&self.shared, &self.entry, dial, &leg, "answer").await;
            let talk = self.pass(timing.dial_talk).await;
            news::dial_leg(&self.shared, &self.entry, dial, &leg, "hangup").await;
            if !matches!(talk, Next::Step) {
                return talk;
            }
        }
        let Some((action, method)) = &dial.action else {
            return Next::Step;
        };
        let more = news::dial_result(&self.entry, outcome, &leg);
        let source = Source {
            url: action.clone(),
            method: *method,
        };
        match self.fetch(source, &more).await {
            Ok(steps) if dial.redirect => Box::pin(self.steps(steps)).await,
            Ok(_) => Next::Step,
            Err(finish) => Next::Over(finish),
        }
    }

    /// A document's steps; on failure the fallback's.
    async fn fetch(
        &mut self,
        source: Source,
        extra: &[(String, String)],
    ) -> Result<Vec<Step>, Finish> {
        let finish = match self.ask(&source, extra).await {
            Ok(steps) => return Ok(steps),
            Err(finish) => finish,
        };
        match self.wishes.fallback.clone() {
            Some(fallback) if fallback.url != source.url && finish == Finish::NoAnswerUrl => {
                self.entry.error("fallback");
                self.ask(&fallback, &[]).await
            }
            _ => Err(finish),
        }
    }

    async fn ask(
        &mut self,
        source: &Source,
        extra: &[(String, String)],
    ) -> Result<Vec<Step>, Finish> {
        let status = match self.entry.status() {
            PlivoStatus::InProgress => "in-progress",
            _ => "ringing",
        };
        let mut form: Form = self.shared.base_form(&self.entry, status, "StartApp");
        form.extend_from_slice(extra);
        let answer = self
            .shared
            .poster
            .fetch(&source.url, source.method, &form)
            .await
            .map_err(|error| {
                tracing::debug!(%error, "simulated carrier: no document");
                self.entry.error("answer URL unreachable");
                Finish::NoAnswerUrl
            })?;
        document::parse(&answer.content_type, &answer.body).map_err(|error| {
            self.entry.error(error);
            Finish::BadXml
        })
    }

    async fn finish(self, finish: Finish) {
        let ended = finish.ended();
        self.entry.times().ended = Some(self.shared.clock.now());
        self.entry.note(|view| {
            view.status = PlivoStatus::Over;
            view.ended = Some(ended.clone());
        });
        news::end_recordings(&self.shared, &self.entry);
        if let Some(url) = self.wishes.hangup.clone()
            && finish != Finish::Stopped
        {
            let form = news::hangup_form(&self.shared, &self.entry, &ended);
            news::tell(&self.entry, format!("hangup:{}", ended.code), &url, form).await;
        }
    }
}

fn obey(order: Option<Order>, outbound: bool) -> Next {
    match order {
        Some(Order::Press(_) | Order::Cut(_)) => Next::Step,
        Some(Order::End) => Next::Over(Finish::Api { answered: true }),
        Some(Order::Transfer(source)) => Next::Document(source),
        Some(Order::HangUp) => Next::Over(Finish::Person { outbound }),
        None => Next::Over(Finish::Stopped),
    }
}

/// A URL and a method, as a document's source.
pub(super) fn source(url: String, method: Method) -> Source {
    Source { url, method }
}
