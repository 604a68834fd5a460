//! One call of the rehearsal from the first ring to the carrier's last word.

use std::time::Duration;

use crate::call::{
    AnsweredBy, CallFacts, CallId, CallStatus, Direction, Fact, Recording, RecordingState, Source,
};
use crate::providers::{openai, plivo, twilio};
use crate::simulator::speech::{Ending, Outcome, Script};
use crate::simulator::{Planned, Rng};

use super::News;
use super::talk::{Talk, TalkEnd};

/// From the carrier's taking of an outbound call to the first ring.
const RING_AFTER: Duration = Duration::from_millis(300);
/// The carrier says its fallback sentence this long, then hangs up.
const FALLBACK: Duration = Duration::from_secs(4);
/// Until an answering machine is told from a person.
const VERDICT_HUMAN: Duration = Duration::from_millis(1_200);
const VERDICT_MACHINE: Duration = Duration::from_millis(2_800);
const OUR_TWILIO: &str = "+15555550100";
const OUR_PLIVO: &str = "+15555550200";

#[derive(Debug)]
enum Stage {
    Dialling { until: Duration },
    Ringing { until: Duration },
    Talking(Box<Talk>),
    Fallback { until: Duration },
    Over,
}

#[derive(Debug)]
pub(super) struct Line {
    id: CallId,
    planned: Planned,
    rng: Rng,
    stage: Stage,
    answered_at: Duration,
    verdict_at: Option<Duration>,
    recording: Option<Recording>,
}

impl Line {
    pub(super) fn begin(
        id: CallId,
        planned: Planned,
        now: Duration,
        mut rng: Rng,
        news: &mut News,
    ) -> Self {
        let carrier_call_id = match planned.parties.carrier {
            plivo::CARRIER => id.to_string(),
            _ => rng.sid("CA"),
        };
        let outbound = planned.direction == Direction::Outbound;
        let facts = CallFacts {
            lead_id: outbound.then(|| planned.lead_id.clone()),
            // Whoever dials knows for whom.
            agent: outbound.then(|| agent(&planned).to_owned()),
            carrier_call_id: Some(carrier_call_id),
            ..facts(&planned)
        };
        let (status, stage) = if outbound {
            let until = now + RING_AFTER;
            (CallStatus::Initiated, Stage::Dialling { until })
        } else {
            let until = now + planned.script.ring;
            (CallStatus::Ringing, Stage::Ringing { until })
        };
        let seen = Fact::CallSeen {
            facts,
            status,
            started_at: None,
        };
        news.fact(id, seen);
        Self {
            id,
            planned,
            rng,
            stage,
            answered_at: now,
            verdict_at: None,
            recording: None,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    /// Lets a frame pass.
    pub(super) fn tick(&mut self, now: Duration, news: &mut News) {
        match &mut self.stage {
            Stage::Dialling { until } if now >= *until => {
                let until = now + self.planned.script.ring;
                self.stage = Stage::Ringing { until };
                news.fact(self.id, status(CallStatus::Ringing));
            }
            Stage::Ringing { until } if now >= *until => match self.planned.script.outcome {
                Outcome::Answered => self.answer(now, news),
                Outcome::NoAnswer => self.end(now, CallStatus::NoAnswer, None, news),
                Outcome::Busy => self.end(now, CallStatus::Busy, None, news),
                Outcome::Failed => self.end(now, CallStatus::Failed, None, news),
            },
            Stage::Talking(talk) => match talk.tick(now, news) {
                None => self.judge(now, news),
                Some(TalkEnd::Person) if self.planned.script.ending == Ending::Line => {
                    self.end(now, CallStatus::Failed, Some("carrier"), news);
                }
                Some(TalkEnd::Person) => {
                    self.end(now, CallStatus::Completed, Some("caller"), news);
                }
                Some(TalkEnd::Agent) => self.end(now, CallStatus::Completed, Some("API"), news),
                Some(TalkEnd::Fallback) => {
                    let until = now + FALLBACK;
                    self.stage = Stage::Fallback { until };
                }
            },
            Stage::Fallback { until } if now >= *until => {
                self.end(now, CallStatus::Completed, Some("carrier"), news);
            }
            Stage::Dialling { .. }
            | Stage::Ringing { .. }
            | Stage::Fallback { .. }
            | Stage::Over => {}
        }
    }

    fn answer(&mut self, now: Duration, news: &mut News) {
        self.answered_at = now;
        news.fact(self.id, status(CallStatus::InProgress));
        if self.planned.direction == Direction::Outbound {
            let is_machine = verdict(&self.planned.script).is_machine();
            let takes = if is_machine {
                VERDICT_MACHINE
            } else {
                VERDICT_HUMAN
            };
            self.verdict_at = Some(now + takes);
            let recording = Recording {
                id: self.rng.sid("RE"),
                state: RecordingState::InProgress,
                duration_s: None,
                url: None,
                error: None,
            };
            self.recording = Some(recording.clone());
            news.fact(self.id, Fact::RecordingChanged { recording });
        }
        let about = CallFacts {
            agent: Some(agent(&self.planned).to_owned()),
            agent_kind: Some(self.planned.parties.agent.to_owned()),
            ..CallFacts::default()
        };
        news.fact(self.id, Fact::CallDescribed { facts: about });
        let talk = Talk::begin(
            self.id,
            &self.planned.script,
            now,
            self.rng.fork("talk"),
            news,
        );
        self.stage = Stage::Talking(Box::new(talk));
    }

    fn judge(&mut self, now: Duration, news: &mut News) {
        if let Some(at) = self.verdict_at.take_if(|at| now >= *at) {
            let took = at.saturating_sub(self.answered_at);
            let judged = Fact::AnsweredBy {
                verdict: verdict(&self.planned.script),
                took_ms: u32::try_from(took.as_millis()).ok(),
            };
            news.fact(self.id, judged);
        }
    }

    fn end(&mut self, now: Duration, status: CallStatus, by: Option<&str>, news: &mut News) {
        let talked = now.saturating_sub(self.answered_at).as_secs();
        let duration_s = u32::try_from(talked).ok();
        if let Some(mut recording) = self.recording.take() {
            recording.state = RecordingState::Completed;
            recording.duration_s = duration_s;
            recording.url = Some(format!("/api/recordings/{}", recording.id));
            news.fact(self.id, Fact::RecordingChanged { recording });
        }
        let is_plivo = self.planned.parties.carrier == plivo::CARRIER;
        // One carrier says who hung up, the other why a call failed.
        let cause = match status {
            CallStatus::Busy | CallStatus::Failed if !is_plivo => {
                Some(twilio::sip_text(u32::from(self.planned.script.sip)))
            }
            _ => None,
        };
        let ended = Fact::CallEnded {
            status,
            ended_by: by.filter(|_| is_plivo).map(str::to_owned),
            cause,
            duration_s: (status == CallStatus::Completed)
                .then_some(duration_s)
                .flatten(),
            source: Source::Webhook,
        };
        news.fact(self.id, ended);
        self.stage = Stage::Over;
    }
}

fn status(status: CallStatus) -> Fact {
    Fact::StatusChanged {
        status,
        source: Source::Webhook,
    }
}

fn verdict(script: &Script) -> AnsweredBy {
    match script.answered_by.as_deref() {
        None | Some("human") => AnsweredBy::Human,
        Some("machine_end_beep") => AnsweredBy::MachineStart,
        Some(other) => AnsweredBy::parse(other),
    }
}

/// As the demo's routes choose.
fn agent(planned: &Planned) -> &'static str {
    match (planned.direction, planned.parties.agent) {
        (Direction::Inbound, openai::VENDOR) => "Mia",
        (Direction::Inbound, _) => "Ava",
        (Direction::Outbound, openai::VENDOR) => "Leo",
        (Direction::Outbound, _) => "Noah",
    }
}

fn facts(planned: &Planned) -> CallFacts {
    let ours = match planned.parties.carrier {
        plivo::CARRIER => OUR_PLIVO,
        _ => OUR_TWILIO,
    };
    let (from, to) = match planned.direction {
        Direction::Inbound => (planned.number.as_str(), ours),
        Direction::Outbound => (ours, planned.number.as_str()),
    };
    CallFacts {
        carrier: planned.parties.carrier.to_owned(),
        direction: planned.direction,
        from: from.to_owned(),
        to: to.to_owned(),
        name: Some(planned.name.clone()),
        ..CallFacts::default()
    }
}
