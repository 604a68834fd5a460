//! One stream bridged to one agent, as a machine: inputs in, effects out, no clock and no socket.
//!
//! A session lives as long as the carrier's stream. Conversations with the agent may come and go
//! within it. When it ends it says what happened to the stream; that the *call* is over is the
//! carrier's word and never ours.

mod agent;
mod end;
mod hands;
mod renewal;
mod typed;

use std::collections::VecDeque;
use std::time::Duration;

use crate::call::{AgentLink, Fact, MediaLink, text};
use crate::media::StereoTapper;

use super::caller::CallerPath;
use super::health::{Health, VoiceState};
use super::link::{Link, LinkPhase, Verdict};
use super::turns::{CallerSpeech, Turns};
use super::voice::Voice;
use super::{AgentOut, CarrierAudio, CarrierIn, Effect, Effects, Floor, Input, SessionPlan};
use hands::Asked;

/// No caller frame for this long: the stream stands (carriers send silence too).
const MEDIA_SILENT: Duration = Duration::from_secs(10);
/// A stream that stands for this long is closed, so that the carrier goes on with the fallback.
const MEDIA_GIVEN_UP: Duration = Duration::from_secs(30);
/// An agent that pings and then says nothing at all for this long is gone, whatever its socket says.
const AGENT_SILENT: Duration = Duration::from_secs(10);
/// Pings of a conversation after which one counts on more.
const PINGS_TO_TRUST: u32 = 2;
/// Housekeeping runs at most this often, whatever comes in.
const HOUSEKEEPING: Duration = Duration::from_millis(20);
/// After the last audio was heard: the way to the ear, and words that come late.
const DRAIN_GRACE: Duration = Duration::from_millis(300);
/// From asking the carrier to end the call until we close the stream ourselves.
const HANG_UP_WITHIN: Duration = Duration::from_secs(10);

/// See the module's doc.
#[derive(Debug)]
pub struct Session {
    plan: SessionPlan,
    started_at: Duration,
    housekept_at: Duration,
    phase: Phase,
    link: Link,
    can_say: bool,
    conversation: Option<String>,
    conversations: u32,
    /// When the agent's socket was last heard of.
    agent_at: Duration,
    /// Pings of this conversation; not every agent is set up to send them.
    pings: u32,
    caller: CallerPath,
    caller_at: Duration,
    media_lost: bool,
    voice: Voice,
    turns: Turns,
    health: Health,
    floor: Floor,
    /// The vendor's newest ids of words it was given to say.
    given: VecDeque<u64>,
    /// What the agent is told once it is back.
    note: Option<String>,
    /// A tool that runs once the agent has been heard out, and when at the latest.
    tool_waits: Option<(Asked, Duration)>,
    /// The tool call that is handing the caller over.
    transferring: Option<String>,
    tapper: Option<Box<StereoTapper>>,
    loss_told_at: Option<Duration>,
    /// The vendor's detector hears the caller speak.
    vendor_hears: bool,
    /// Typed before the agent was there.
    typed: Vec<String>,
    typed_count: u64,
    renewal: Option<renewal::Renewal>,
    /// The agent that comes next need not speak first.
    caller_is_next: bool,
    spent_usd: f64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    Talking,
    /// The agent ended the conversation; what it said last is still being heard.
    Draining {
        reason: String,
        until: Duration,
    },
    /// The carrier was asked to end the call.
    HangingUp {
        until: Duration,
    },
    /// The carrier hands the caller to somebody else and ends the stream.
    Leaving {
        until: Duration,
    },
    Over,
}

/// How a stream ended, as far as the board's links care.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// The carrier or we closed it in good order.
    Orderly,
    /// It broke.
    Lost,
    /// The carrier goes on with the fallback.
    Fallback,
}

impl Session {
    pub fn new(plan: SessionPlan, now: Duration) -> Self {
        Self {
            started_at: now,
            housekept_at: now,
            phase: Phase::Talking,
            link: Link::new(plan.seed),
            can_say: false,
            conversation: None,
            conversations: 0,
            agent_at: now,
            pings: 0,
            caller: CallerPath::new(plan.carrier_format),
            caller_at: now,
            media_lost: false,
            voice: Voice::new(plan.carrier_format),
            turns: Turns::new(now, plan.turns_before),
            health: Health::new(plan.call, plan.quality, now),
            floor: plan.floor,
            given: VecDeque::new(),
            note: plan.note.clone(),
            tool_waits: None,
            transferring: None,
            tapper: None,
            loss_told_at: None,
            vendor_hears: false,
            typed: Vec::new(),
            typed_count: 0,
            spent_usd: plan.spent_usd,
            renewal: None,
            caller_is_next: false,
            plan,
        }
    }

    /// The stream has ended; nothing more will come of any step.
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// How soon the next [`Input::Tick`] is needed, whatever else comes in.
    pub fn tick_within(&self) -> Duration {
        let soon = self.turns.has_stale()
            || self.tapper.is_some()
            || self.tool_waits.is_some()
            || matches!(self.phase, Phase::Draining { .. });
        if soon {
            HOUSEKEEPING * 2
        } else if self.voice.wants_pump() {
            // Only for when the caller's frames, which drive the pump, do not come.
            HOUSEKEEPING * 3
        } else {
            HOUSEKEEPING * 5
        }
    }

    /// Switches the building of stereo frames; without listeners none are built.
    pub fn set_listening(&mut self, now: Duration, listening: bool) {
        if !listening {
            self.tapper = None;
        } else if self.tapper.is_none() {
            self.tapper = Some(Box::new(StereoTapper::new(now)));
        }
    }

    /// Opens the session: the first effects.
    pub fn start(&mut self, now: Duration, effects: &mut Effects) {
        effects.fact(Fact::StreamStarted {
            stream_id: self.plan.stream_id.clone(),
        });
        self.dial(now, effects);
    }

    /// Takes one input in and appends what is to be done about it.
    pub fn step(&mut self, now: Duration, input: Input, effects: &mut Effects) {
        if self.is_over() {
            return;
        }
        match input {
            Input::Tick => {}
            Input::Carrier(word) => self.carrier(now, word, effects),
            Input::Agent(word) => self.agent(now, word, effects),
            Input::CarrierGarbage | Input::AgentGarbage => self.health.decode_errors += 1,
            Input::CarrierClosed { code, reason } => {
                // A close frame is good order; a vanished peer is not.
                let leaving = matches!(self.phase, Phase::HangingUp { .. } | Phase::Leaving { .. });
                let end = if code == Some(1000) || leaving {
                    End::Orderly
                } else {
                    End::Lost
                };
                self.finish(now, end, &reason, effects);
            }
            Input::AgentConnected { can_say } => self.agent_connected(can_say, effects),
            Input::AgentFailed { failure, reason } => {
                if self.link.phase() != LinkPhase::Idle {
                    // A dial that failed after all leaves no conversation open behind it.
                    self.conversation_ended(&reason, effects);
                    let verdict = self.link.failed(now, failure);
                    self.follow(now, verdict, &reason, effects);
                }
            }
            Input::AgentClosed { reason, on_purpose } => {
                self.agent_closed(now, &reason, on_purpose, effects);
            }
            Input::ToolDone {
                tool_call_id,
                name,
                ok,
                result,
            } => {
                // A transfer that succeeded was answered when the carrier took it.
                if !matches!(self.phase, Phase::Leaving { .. }) {
                    self.transferring = None;
                    self.tool_done(now, &tool_call_id, &name, ok, result, effects);
                }
            }
            Input::EndCallFailed { reason } => {
                effects.fact(trouble("hang_up_failed", &reason));
                self.close_carrier(now, End::Orderly, "the carrier would not hang up", effects);
            }
            Input::ToAgentDropped(count) => {
                self.lost_audio(now, count, "caller_audio_dropped", effects);
            }
            Input::ToCarrierDropped(count) => {
                self.lost_audio(now, count, "agent_audio_dropped", effects);
            }
        }
        if !self.is_over() && now.saturating_sub(self.housekept_at) >= HOUSEKEEPING {
            self.housekeep(now, effects);
        }
    }

    fn carrier(&mut self, now: Duration, word: CarrierIn, effects: &mut Effects) {
        match word {
            CarrierIn::Audio(audio) => self.caller_audio(now, audio, effects),
            CarrierIn::MarkReached { name } => {
                self.voice.mark_reached(&name, now);
            }
            CarrierIn::Dtmf { digit } => effects.fact(Fact::Dtmf {
                digit: text::clean_label(&digit).chars().take(8).collect(),
            }),
            CarrierIn::Typed { text } => self.typed(now, text, effects),
            CarrierIn::Hush => self.hush(now, effects),
            CarrierIn::Trouble { code, message } => effects.fact(trouble(&code, &message)),
            CarrierIn::Stop => self.finish(now, End::Orderly, "the carrier ended it", effects),
            CarrierIn::Connected
            | CarrierIn::Echo(_)
            | CarrierIn::Start(_)
            | CarrierIn::Cleared
            | CarrierIn::Unknown { .. } => {}
        }
    }

    fn caller_audio(&mut self, now: Duration, audio: CarrierAudio, effects: &mut Effects) {
        self.caller_at = now;
        if self.media_lost && self.phase == Phase::Talking {
            self.media_lost = false;
            effects.fact(Fact::MediaLinkChanged {
                link: MediaLink::Up,
                reason: None,
            });
            self.dial(now, effects);
        }
        let ulaw = self.caller.as_ulaw(&audio.payload);
        let speech = self.health.caller_frame(&audio, ulaw, now);
        if let Some(tapper) = &mut self.tapper {
            tapper.push_caller(ulaw, now);
        }
        if let Some(event) = speech {
            self.turns.caller_spoke(event, self.voice.is_playing(now));
        }
        if matches!(
            self.phase,
            Phase::HangingUp { .. } | Phase::Leaving { .. } | Phase::Over
        ) {
            return;
        }
        let payload = if self.floor == Floor::Paused {
            self.caller.silence_for(&audio.payload)
        } else {
            audio.payload
        };
        if self.link.is_ready() {
            effects.tell_agent(AgentOut::Audio(self.caller.convert(payload)));
        } else {
            self.caller.hold(payload);
        }
    }

    fn housekeep(&mut self, now: Duration, effects: &mut Effects) {
        self.housekept_at = now;
        self.pump(now, effects);
        self.turns.tell_stale(now, effects);
        self.top_up(now, effects);
        let voice = VoiceState {
            playing: self.voice.is_playing(now),
            buffered_ms: self.voice.buffered_ms(now),
        };
        if let Some(event) = self.health.tick(now, voice, effects) {
            self.turns.caller_spoke(event, voice.playing);
        }
        if let Some(tapper) = &mut self.tapper {
            while let Some(frame) = tapper.next_frame(now) {
                effects.taps.push(frame);
            }
        }
        self.run_waiting_tool(now, effects);
        self.watch_deadlines(now, effects);
    }

    fn watch_deadlines(&mut self, now: Duration, effects: &mut Effects) {
        match &self.phase {
            Phase::Talking => {
                if self.link.is_overdue(now) {
                    effects.push(Effect::CloseAgent);
                    self.link.close();
                    self.follow(
                        now,
                        Verdict::GiveUp,
                        "the agent did not answer in time",
                        effects,
                    );
                    return;
                }
                let quiet = now.saturating_sub(self.agent_at) >= AGENT_SILENT;
                if self.link.is_ready() && self.pings >= PINGS_TO_TRUST && quiet {
                    effects.push(Effect::CloseAgent);
                    self.agent_closed(now, "the agent's socket is silent", None, effects);
                    return;
                }
                // The agent's limits do not hang up on an operator who speaks in its place.
                if self.floor != Floor::Operator {
                    self.watch_limits(now, effects);
                }
                self.watch_renewal(now, effects);
                self.watch_media(now, effects);
            }
            Phase::Draining { reason, until } => {
                if self.voice.is_drained(now, DRAIN_GRACE) || now >= *until {
                    let reason = text::clean_label(reason).into_owned();
                    self.conversation_ended(&reason, effects);
                    self.link.close();
                    effects.push(Effect::CloseAgent);
                    effects.push(Effect::EndCall { reason });
                    self.phase = Phase::HangingUp {
                        until: now + HANG_UP_WITHIN,
                    };
                }
            }
            Phase::HangingUp { until } => {
                if now >= *until {
                    self.close_carrier(now, End::Orderly, "the call did not end", effects);
                }
            }
            Phase::Leaving { until } => {
                if now >= *until {
                    self.close_carrier(now, End::Orderly, "transferred", effects);
                }
            }
            Phase::Over => {}
        }
    }

    fn watch_media(&mut self, now: Duration, effects: &mut Effects) {
        let silent = now.saturating_sub(self.caller_at);
        if silent >= MEDIA_GIVEN_UP {
            self.close_carrier(now, End::Lost, "no audio from the carrier", effects);
        } else if silent >= MEDIA_SILENT && !self.media_lost {
            self.media_lost = true;
            effects.fact(Fact::MediaLinkChanged {
                link: MediaLink::Lost,
                reason: Some("no audio from the carrier for 10 s".into()),
            });
            // Nobody to talk to, and the agent costs money by the second.
            self.conversation_ended("media lost", effects);
            self.link.close();
            effects.push(Effect::CloseAgent);
            effects.fact(Fact::AgentLinkChanged {
                link: AgentLink::None,
                reason: Some("media lost".into()),
                attempt: None,
            });
        }
    }

    fn pump(&mut self, now: Duration, effects: &mut Effects) {
        let Self {
            voice,
            health,
            tapper,
            turns,
            ..
        } = self;
        let caller = if health.is_caller_speaking() {
            CallerSpeech::Until(health.caller_spoke_until())
        } else {
            CallerSpeech::None
        };
        let mut sent = SentTurns::default();
        voice.pump(now, effects, |frame| {
            health.agent_frame(&frame.bytes, now);
            if let Some(tapper) = tapper {
                tapper.push_agent(&frame.bytes, now);
            }
            for span in frame.spans() {
                sent.note(span.tag);
            }
        });
        for tag in sent.tags.into_iter().flatten() {
            if let Ok(turn) = u32::try_from(tag) {
                turns.frame_sent(turn, now, caller, effects);
            }
        }
    }
}

/// Turns of which frames went out in one pump: hardly ever more than two.
#[derive(Default)]
struct SentTurns {
    tags: [Option<u64>; 4],
}

impl SentTurns {
    fn note(&mut self, tag: u64) {
        for slot in &mut self.tags {
            match slot {
                Some(known) if *known == tag => return,
                Some(_) => {}
                None => {
                    *slot = Some(tag);
                    return;
                }
            }
        }
    }
}

fn trouble(code: &str, message: &str) -> Fact {
    Fact::TroubleNoted {
        code: text::clean_label(code).into_owned(),
        message: text::clean(message).into_owned(),
    }
}
