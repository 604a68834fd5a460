//! One call from first ring to last callback: rings, answers, runs the documents it is given, and
//! tells everybody who asked.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::call::CallStatus;
use crate::simulator::speech::{LineQuality, Outcome};

use super::news;
use super::state::{Entry, Order, Shared, Source};
use super::stream::{Leg, StreamEnd};
use super::twiml::{DialVerb, StreamVerb, Verb};
use super::wishes::{Person, RecordWish, Wishes};
use crate::simulator::line::StreamCut;
use crate::simulator::line::poster::Form;

/// Documents fetched in one call before it is taken for a redirect loop.
const DOCUMENTS_MAX: u32 = 50;

/// Longest call that is held elsewhere.
const ELSEWHERE_MAX: Duration = Duration::from_secs(4 * 3_600);

/// Why a call is over.
enum Finish {
    Status(CallStatus, &'static str),
    Stopped,
}

/// What a verb leads to.
enum Next {
    Verb,
    Document(Source),
    Over(Finish),
}

pub(super) struct Run {
    pub(super) shared: Arc<Shared>,
    pub(super) entry: Arc<Entry>,
    pub(super) orders: mpsc::Receiver<Order>,
    pub(super) wishes: Wishes,
    pub(super) person: Person,
    pub(super) sequence: u32,
}

impl Run {
    pub(super) async fn outbound(mut self) {
        let finish = match self.ring().await {
            Ok(()) => self.talk(None).await,
            Err(finish) => finish,
        };
        self.finish(finish).await;
    }

    pub(super) async fn inbound(mut self) {
        let source = self.wishes.document.clone();
        let first = match source {
            Some(source) => self.fetch(source, &[]).await,
            None => Err(11_200),
        };
        let finish = match first {
            Ok(verbs) => {
                if let Some(Verb::Reject { busy }) = verbs.first() {
                    self.entry.note(|view| view.verbs.push("Reject"));
                    let status = if *busy {
                        CallStatus::Busy
                    } else {
                        CallStatus::NoAnswer
                    };
                    Finish::Status(status, "document")
                } else {
                    self.answered();
                    self.talk(Some(verbs)).await
                }
            }
            Err(code) => {
                self.entry.error(code);
                Finish::Status(CallStatus::Failed, "document")
            }
        };
        self.finish(finish).await;
    }

    /// Somebody else's document runs; ours are only those an order brings.
    pub(super) async fn elsewhere(mut self) {
        self.answered();
        let started = Instant::now();
        let finish = match self.pass(ELSEWHERE_MAX).await {
            Next::Verb => Finish::Status(CallStatus::Completed, "time limit"),
            Next::Over(finish) => finish,
            Next::Document(source) => {
                self.wishes.document = Some(source);
                self.documents(None, Vec::new()).await
            }
        };
        self.entry.times().talked = started.elapsed();
        self.finish(finish).await;
    }

    /// Queued → ringing → answered, or an early end.
    async fn ring(&mut self) -> Result<(), Finish> {
        let timing = self.shared.cfg.timing;
        self.wait(timing.queue).await?;
        self.progress("initiated", CallStatus::Initiated).await;
        if self.person.outcome == Outcome::Failed {
            self.wait(self.person.ring).await?;
            return Err(Finish::Status(CallStatus::Failed, "carrier"));
        }
        self.wait(timing.queue).await?;
        self.progress("ringing", CallStatus::Ringing).await;
        let (mut ring, mut outcome) = (self.person.ring, self.person.outcome);
        if let Some(limit) = self.wishes.ring_max
            && (ring > limit || outcome == Outcome::NoAnswer)
        {
            (ring, outcome) = (ring.min(limit), Outcome::NoAnswer);
        }
        self.wait(ring).await?;
        match outcome {
            Outcome::Answered => {
                self.answered();
                self.progress("answered", CallStatus::InProgress).await;
                Ok(())
            }
            Outcome::NoAnswer => Err(Finish::Status(CallStatus::NoAnswer, "carrier")),
            Outcome::Busy => Err(Finish::Status(CallStatus::Busy, "carrier")),
            Outcome::Failed => Err(Finish::Status(CallStatus::Failed, "carrier")),
        }
    }

    /// Lets time pass while the call is not yet answered; orders may end it.
    async fn wait(&mut self, time: Duration) -> Result<(), Finish> {
        let token = self.shared.tasks.token().clone();
        let until = Instant::now() + time;
        loop {
            tokio::select! {
                biased;
                () = token.cancelled() => return Err(Finish::Stopped),
                order = self.orders.recv() => match order {
                    Some(Order::End(CallStatus::Canceled)) if !self.is_answered() => {
                        return Err(Finish::Status(CallStatus::Canceled, "api"));
                    }
                    Some(Order::End(_)) if !self.is_answered() => {
                        // A call that was never answered cannot have been completed.
                        return Err(Finish::Status(CallStatus::Canceled, "api"));
                    }
                    Some(Order::End(status)) => return Err(Finish::Status(status, "api")),
                    Some(Order::HangUp) => return Err(Finish::Status(CallStatus::Completed, "caller")),
                    Some(Order::Redirect(_) | Order::Press(_) | Order::Cut(_)) => {}
                    None => return Err(Finish::Stopped),
                },
                () = tokio::time::sleep_until(until) => return Ok(()),
            }
        }
    }

    fn is_answered(&self) -> bool {
        self.entry.times().answered.is_some()
    }

    fn answered(&mut self) {
        self.entry.times().answered = Some(self.shared.clock.now());
        self.entry
            .note(|view| view.status = Some(CallStatus::InProgress));
        if let Some(wish) = self.wishes.record.take() {
            news::start_recording(&self.shared, &self.entry, wish, "OutboundAPI");
        }
    }

    /// Moves the status and tells the status callback, if it asked for this event.
    async fn progress(&mut self, event: &'static str, status: CallStatus) {
        self.entry.note(|view| view.status = Some(status));
        self.tell(event, status, Vec::new()).await;
    }

    async fn tell(&mut self, event: &'static str, status: CallStatus, more: Form) {
        if !self.wishes.events.iter().any(|wanted| wanted == event) {
            return;
        }
        let Some((url, method)) = self.wishes.status_callback.clone() else {
            return;
        };
        let sequence = self.sequence;
        self.sequence += 1;
        news::status(
            &self.shared,
            &self.entry,
            (&url, method),
            status,
            sequence,
            more,
        )
        .await;
    }

    /// Runs documents until the call is over.
    async fn talk(&mut self, first: Option<Vec<Verb>>) -> Finish {
        let started = Instant::now();
        let limit = self
            .wishes
            .time_limit
            .unwrap_or(Duration::from_secs(4 * 3_600));
        let mut extra = Vec::new();
        if first.is_none()
            && let Some(amd) = self.wishes.amd.clone()
        {
            let verdict = news::verdict(self.person.answered_by.as_deref(), amd.message_end);
            let takes = news::amd_time(&self.shared, verdict);
            if amd.asynchronous {
                news::amd_later(&self.shared, &self.entry, amd.callback, verdict, takes);
            } else {
                if let Err(finish) = self.wait(takes).await {
                    return finish;
                }
                self.entry
                    .note(|view| view.answered_by = Some(verdict.to_owned()));
                extra.push(("AnsweredBy".to_owned(), verdict.to_owned()));
                extra.push((
                    "MachineDetectionDuration".to_owned(),
                    takes.as_millis().to_string(),
                ));
            }
        }
        let run = self.documents(first, extra);
        let finish = tokio::time::timeout(limit, run).await;
        self.entry.times().talked = started.elapsed();
        finish.unwrap_or(Finish::Status(CallStatus::Completed, "time limit"))
    }

    async fn documents(&mut self, first: Option<Vec<Verb>>, mut extra: Form) -> Finish {
        let mut next = first.map(Ok);
        let mut source = self.wishes.document.clone();
        for _ in 0..DOCUMENTS_MAX {
            let verbs = match next.take() {
                Some(verbs) => verbs,
                None => match source.clone() {
                    Some(source) => self.fetch(source, &extra).await,
                    None => Err(11_200),
                },
            };
            extra.clear();
            let verbs = match verbs {
                Ok(verbs) => verbs,
                Err(code) => {
                    self.entry.error(code);
                    return Finish::Status(CallStatus::Failed, "document");
                }
            };
            match self.verbs(verbs).await {
                Next::Verb => return Finish::Status(CallStatus::Completed, "document"),
                Next::Document(document) => source = Some(document),
                Next::Over(finish) => return finish,
            }
        }
        self.entry.error(11_205);
        Finish::Status(CallStatus::Failed, "document")
    }

    async fn verbs(&mut self, verbs: Vec<Verb>) -> Next {
        for verb in verbs {
            let next = match verb {
                Verb::ConnectStream(stream) => {
                    self.ran("Connect");
                    self.stream(&stream).await
                }
                Verb::StartStream(_) => self.ran("Start"),
                Verb::StopStream => self.ran("Stop"),
                Verb::Record(record) => {
                    let wish = RecordWish {
                        channels: 2,
                        track: "both".to_owned(),
                        callback: record.callback.map(|url| (url, record.events)),
                    };
                    news::start_recording(&self.shared, &self.entry, wish, "StartTwiML");
                    self.ran("Start")
                }
                Verb::Say { text } => {
                    self.ran("Say");
                    let words = text.split_whitespace().count() as u32;
                    self.pass(self.shared.cfg.timing.say_per_word * words).await
                }
                Verb::Play { .. } => {
                    self.ran("Play");
                    self.pass(Duration::from_secs(1)).await
                }
                Verb::Pause { seconds } => {
                    self.ran("Pause");
                    self.pass(Duration::from_secs(seconds)).await
                }
                Verb::Dial(dial) => {
                    self.ran("Dial");
                    self.dial(&dial).await
                }
                Verb::Redirect { url, method } => {
                    self.ran("Redirect");
                    let url = self.absolute(&url);
                    Next::Document(Source::Url { url, method })
                }
                Verb::Reject { .. } | Verb::Hangup => {
                    self.ran("Hangup");
                    Next::Over(Finish::Status(CallStatus::Completed, "document"))
                }
            };
            if !matches!(next, Next::Verb) {
                return next;
            }
        }
        Next::Verb
    }

    fn ran(&self, verb: &'static str) -> Next {
        self.entry.note(|view| view.verbs.push(verb));
        Next::Verb
    }

    /// Time passes on an answered call.
    async fn pass(&mut self, time: Duration) -> Next {
        let token = self.shared.tasks.token().clone();
        let until = Instant::now() + time;
        loop {
            tokio::select! {
                biased;
                () = token.cancelled() => return Next::Over(Finish::Stopped),
                order = self.orders.recv() => match obey(order) {
                    Next::Verb => {}
                    next => return next,
                },
                () = tokio::time::sleep_until(until) => return Next::Verb,
            }
        }
    }

    async fn stream(&mut self, verb: &StreamVerb) -> Next {
        let shared = Arc::clone(&self.shared);
        let entry = Arc::clone(&self.entry);
        let faults = shared.cfg.faults;
        let quality = LineQuality {
            jitter_ms: self.person.quality.jitter_ms + faults.media_jitter_ms,
            gap_pct: self.person.quality.gap_pct + faults.media_gap_pct,
            ..self.person.quality
        };
        let mut cut: Option<StreamCut> = shared
            .poster
            .draw(|rng| rng.chance(faults.stream_cut_pct))
            .then_some(faults.stream_cut);
        loop {
            let sid = shared.poster.draw(|rng| rng.sid("MZ"));
            let leg = Leg {
                shared: &shared,
                entry: &entry,
                verb,
                stream_sid: &sid,
                quality,
                cut,
            };
            news::stream(&shared, &entry, verb, &sid, "stream-started", None).await;
            let end = leg.run(&mut *self.person.far, &mut self.orders).await;
            let (event, error) = match &end {
                StreamEnd::Failed(code) => {
                    entry.error(*code);
                    ("stream-error", Some(*code))
                }
                StreamEnd::Reopen(_) => ("stream-error", Some(31_903)),
                _ => ("stream-stopped", None),
            };
            news::stream(&shared, &entry, verb, &sid, event, error).await;
            match end {
                StreamEnd::Closed | StreamEnd::Failed(_) => return Next::Verb,
                StreamEnd::HungUp => {
                    return Next::Over(Finish::Status(CallStatus::Completed, "caller"));
                }
                StreamEnd::Ordered(order) => return obey(Some(order)),
                StreamEnd::Stopped => return Next::Over(Finish::Stopped),
                StreamEnd::Reopen(after) => {
                    cut = None;
                    match self.pass(after).await {
                        Next::Verb => {}
                        next => return next,
                    }
                }
            }
        }
    }

    /// Somebody else's phone rings, is answered, and hangs up after a while.
    async fn dial(&mut self, dial: &DialVerb) -> Next {
        let timing = self.shared.cfg.timing;
        let child = news::dial_begin(&self.shared, &self.entry, dial).await;
        let rings = dial.timeout_s.map_or(timing.dial_ring, |s| {
            timing.dial_ring.min(Duration::from_secs(s))
        });
        let began = Instant::now();
        let mut next = self.pass(rings).await;
        let answered = matches!(next, Next::Verb);
        if answered {
            news::dial_answered(&self.shared, &child, dial).await;
            next = self.pass(timing.dial_talk).await;
        }
        news::dial_end(&self.shared, &child, dial, answered, began.elapsed()).await;
        let Some((action, method)) = &dial.action else {
            return next;
        };
        if !matches!(next, Next::Verb) {
            return next;
        }
        // With an action the carrier never goes on to the next verb by itself.
        let url = self.absolute(action);
        let more = vec![
            ("DialCallSid".to_owned(), child.sid.clone()),
            ("DialCallStatus".to_owned(), "completed".to_owned()),
            (
                "DialCallDuration".to_owned(),
                timing.dial_talk.as_secs().to_string(),
            ),
            ("DialBridged".to_owned(), "true".to_owned()),
        ];
        match self.ask(&url, *method, &more).await {
            Ok(verbs) => Box::pin(self.verbs(verbs)).await,
            Err(code) => {
                self.entry.error(code);
                Next::Over(Finish::Status(CallStatus::Completed, "document"))
            }
        }
    }

    async fn finish(mut self, finish: Finish) {
        let (status, by) = match finish {
            Finish::Status(status, by) => (status, by),
            Finish::Stopped => (CallStatus::Completed, "stopped"),
        };
        let talked = self.entry.times().talked;
        self.entry.times().ended = Some(self.shared.clock.now());
        self.entry.note(|view| {
            view.status = Some(status);
            view.ended_by = Some(by);
        });
        news::end_recording(&self.shared, &self.entry);
        let sip = match (status, self.person.outcome) {
            (CallStatus::Completed, _) => 200,
            (CallStatus::Canceled, _) => 487,
            (_, Outcome::Answered) => 500,
            (CallStatus::NoAnswer, _) => 487,
            _ => self.person.sip,
        };
        let seconds = talked.as_secs();
        let more = vec![
            ("CallDuration".to_owned(), seconds.to_string()),
            ("Duration".to_owned(), seconds.div_ceil(60).to_string()),
            ("SipResponseCode".to_owned(), sip.to_string()),
        ];
        self.tell("completed", status, more).await;
    }
}

fn obey(order: Option<Order>) -> Next {
    match order {
        Some(Order::End(CallStatus::Canceled) | Order::Press(_) | Order::Cut(_)) => Next::Verb,
        Some(Order::End(status)) => Next::Over(Finish::Status(status, "api")),
        Some(Order::Redirect(source)) => Next::Document(source),
        Some(Order::HangUp) => Next::Over(Finish::Status(CallStatus::Completed, "caller")),
        None => Next::Over(Finish::Stopped),
    }
}
