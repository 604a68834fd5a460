//! A conversation of the rehearsal: the person and the AI of the simulators at both ends of a
//! production [`Session`], in the bridge's own words.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::bridge::{
    AgentBrief, AgentIn, AgentOut, CarrierAudio, CarrierIn, CarrierOut, Effect, Effects, Floor,
    Input, Session, SessionPlan,
};
use crate::call::CallId;
use crate::media::{FRAME_MS, FRAME_SAMPLES, MediaFormat, Thresholds};
use crate::simulator::Rng;
use crate::simulator::line::{Pace, Playout};
use crate::simulator::speech::{AgentActor, Caller, Cut, Did, Progress, Script, ToolVia};
use crate::simulator::ulaw;

use super::News;

/// Until the agent's socket is open, and then until it has told its formats.
const CONNECT: Duration = Duration::from_millis(120);
const READY: Duration = Duration::from_millis(80);
const PING_EVERY: Duration = Duration::from_secs(2);
/// Audio in one message of the agent: a quarter of a second.
const PIECE_BYTES: usize = 2_000;

/// Why a conversation is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TalkEnd {
    Person,
    Agent,
    /// The bridge gave up: the carrier goes on by itself.
    Fallback,
}

/// The agent vendor's side.
#[derive(Debug)]
struct Agent {
    script: Arc<Script>,
    rng: Rng,
    dial_at: Option<Duration>,
    ready_at: Option<Duration>,
    actor: Option<AgentActor>,
    progress: Progress,
    /// It broke and never comes back.
    is_gone: bool,
    is_paused: bool,
    /// Audio not yet sent.
    queue: VecDeque<(u64, Bytes)>,
    conversations: u32,
    pings: u64,
    ping_at: Duration,
}

#[derive(Debug)]
pub(super) struct Talk {
    call: CallId,
    session: Session,
    effects: Effects,
    inputs: VecDeque<Input>,
    caller: Caller,
    playout: Playout,
    pace: Pace,
    began: Duration,
    on_the_way: VecDeque<(Duration, u64, Bytes)>,
    agent: Agent,
    end: Option<TalkEnd>,
}

impl Talk {
    pub(super) fn begin(
        call: CallId,
        script: &Arc<Script>,
        now: Duration,
        mut rng: Rng,
        news: &mut News,
    ) -> Self {
        let quality = script.quality;
        let plan = SessionPlan {
            call,
            stream_id: rng.sid("MZ"),
            carrier_format: MediaFormat::ULAW_8K,
            brief: AgentBrief::default(),
            talk_max: None,
            turns_before: 0,
            lines_before: Vec::new(),
            seed: rng.next_u64(),
            quality: Thresholds::default(),
            floor: Floor::Agent,
            tools: BTreeSet::new(),
            cost_max: None,
            spent_usd: 0.0,
            note: None,
        };
        let mut talk = Self {
            call,
            session: Session::new(plan, now),
            effects: Effects::new(),
            inputs: VecDeque::new(),
            caller: Caller::new(script),
            playout: Playout::default(),
            pace: Pace::new(quality.jitter_ms, quality.gap_pct, rng.fork("pace")),
            began: now,
            on_the_way: VecDeque::new(),
            agent: Agent::new(Arc::clone(script), rng.fork("agent"), now),
            end: None,
        };
        talk.session.start(now, &mut talk.effects);
        talk.carry_out(now, news);
        talk
    }

    /// Lets a frame pass.
    pub(super) fn tick(&mut self, now: Duration, news: &mut News) -> Option<TalkEnd> {
        self.arrive(now, news);
        self.agent.tick(now, &mut self.inputs);
        self.take_in(now, news);
        let hung_up = self.speak();
        self.take_in(now, news);
        self.put(now, Input::Tick, news);
        if hung_up {
            self.end = Some(TalkEnd::Person);
        }
        if self.end.is_some() {
            self.put(now, Input::Carrier(CarrierIn::Stop), news);
        } else if self.session.is_over() {
            self.end = Some(TalkEnd::Fallback);
        }
        self.end
    }

    /// Frames of the caller that have come through the line by now.
    fn arrive(&mut self, now: Duration, news: &mut News) {
        while self.on_the_way.front().is_some_and(|(at, ..)| *at <= now) {
            let Some((at, n, payload)) = self.on_the_way.pop_front() else {
                return;
            };
            let audio = CarrierAudio {
                payload,
                chunk: Some(n + 1),
                timestamp_ms: Some(n * FRAME_MS),
            };
            self.put(at, Input::Carrier(CarrierIn::Audio(audio)), news);
        }
    }

    /// The caller hears 20 ms and speaks 20 ms; whether they hang up.
    fn speak(&mut self) -> bool {
        let mut heard = [ulaw::SILENCE; FRAME_SAMPLES];
        let (_, marks) = self.playout.advance(&mut heard);
        self.reach(marks);
        let tick = self.caller.tick(&heard);
        if let Some(key) = tick.key {
            let digit = key.to_string();
            self.inputs
                .push_back(Input::Carrier(CarrierIn::Dtmf { digit }));
        }
        let slot = self.pace.next_slot();
        if let Some(send) = slot.send {
            self.on_the_way
                .push_back((self.began + send, slot.n, tick.frame));
        }
        tick.hangup
    }

    fn reach(&mut self, marks: Vec<String>) {
        let reached = |name| Input::Carrier(CarrierIn::MarkReached { name });
        self.inputs.extend(marks.into_iter().map(reached));
    }

    fn put(&mut self, now: Duration, input: Input, news: &mut News) {
        self.session.step(now, input, &mut self.effects);
        self.carry_out(now, news);
    }

    fn take_in(&mut self, now: Duration, news: &mut News) {
        while let Some(input) = self.inputs.pop_front() {
            self.put(now, input, news);
        }
    }

    fn carry_out(&mut self, now: Duration, news: &mut News) {
        self.effects.taps.clear();
        for effect in std::mem::take(&mut self.effects.list) {
            match effect {
                Effect::ToCarrier(CarrierOut::Audio(audio)) => {
                    // The session itself keeps to what the carrier takes.
                    let _is_full = !self.playout.push_audio(audio);
                }
                Effect::ToCarrier(CarrierOut::Mark { name }) => self.playout.push_mark(name),
                Effect::ToCarrier(CarrierOut::Clear) => {
                    let marks = self.playout.clear();
                    self.reach(marks);
                }
                Effect::ToAgent(out) => self.agent.told(now, out),
                Effect::Fact(fact) => news.fact(self.call, fact),
                Effect::Gauge(gauge) => {
                    news.gauges.insert(gauge.call, gauge);
                }
                Effect::ConnectAgent { after } => self.agent.dial_at = Some(now + after + CONNECT),
                Effect::CloseAgent => self.agent.close(),
                Effect::PauseAgentRead => self.agent.is_paused = true,
                Effect::ResumeAgentRead => self.agent.is_paused = false,
                Effect::RunTool {
                    tool_call_id, name, ..
                } => self.inputs.push_back(Input::ToolDone {
                    tool_call_id,
                    result: format!("unknown tool: {name}"),
                    name,
                    ok: false,
                }),
                Effect::EndCall { .. } => self.end = Some(TalkEnd::Agent),
                Effect::CloseCarrier { .. } => {}
            }
        }
    }
}

impl Agent {
    fn new(script: Arc<Script>, rng: Rng, now: Duration) -> Self {
        Self {
            script,
            rng,
            dial_at: None,
            ready_at: None,
            actor: None,
            progress: Progress::default(),
            is_gone: false,
            is_paused: false,
            queue: VecDeque::new(),
            conversations: 0,
            pings: 0,
            ping_at: now,
        }
    }

    fn close(&mut self) {
        if let Some(actor) = self.actor.take() {
            self.progress = actor.progress();
        }
        self.dial_at = None;
        self.ready_at = None;
        self.queue.clear();
    }

    fn told(&mut self, now: Duration, out: AgentOut) {
        let Some(actor) = &mut self.actor else {
            return;
        };
        match out {
            AgentOut::Audio(audio) => actor.hear(ms(now), &audio),
            AgentOut::ToolResult {
                tool_call_id, ok, ..
            } => actor.tool_result(&tool_call_id, !ok, ms(now)),
            _ => {}
        }
    }

    fn tick(&mut self, now: Duration, inputs: &mut VecDeque<Input>) {
        if self.dial_at.take_if(|at| now >= *at).is_some() {
            self.ready_at = Some(now + READY);
            inputs.push_back(Input::AgentConnected { can_say: true });
        }
        if self.ready_at.take_if(|at| now >= *at).is_some() {
            self.open(now, inputs);
        }
        let Some(actor) = &mut self.actor else {
            return;
        };
        let mut did = Vec::new();
        actor.tick(ms(now), &mut did);
        for did in did {
            self.tell(did, inputs);
        }
        if self.actor.is_some() && now >= self.ping_at {
            self.ping_at = now + PING_EVERY;
            self.pings += 1;
            inputs.push_back(Input::Agent(AgentIn::Ping {
                id: self.pings,
                rtt_ms: Some(self.rng.between(34, 58) as f32),
            }));
        }
        if !self.is_paused
            && let Some((utterance, payload)) = self.queue.pop_front()
        {
            inputs.push_back(Input::Agent(AgentIn::Audio { utterance, payload }));
        }
    }

    fn open(&mut self, now: Duration, inputs: &mut VecDeque<Input>) {
        self.conversations += 1;
        let format = MediaFormat::ULAW_8K;
        inputs.push_back(Input::Agent(AgentIn::Ready {
            conversation_id: self.rng.sid("conv_"),
            takes: format,
            gives: format,
        }));
        if self.is_gone {
            inputs.push_back(closed("1011 internal error"));
            return;
        }
        let script = Arc::clone(&self.script);
        let rng = self.rng.fork("actor");
        self.actor = Some(AgentActor::new(script, self.progress, ms(now), rng));
    }

    fn tell(&mut self, did: Did, inputs: &mut VecDeque<Input>) {
        let word = match did {
            Did::Audio { event_id, audio } => {
                let pieces = (0..audio.len()).step_by(PIECE_BYTES);
                let piece = |at: usize| audio.slice(at..(at + PIECE_BYTES).min(audio.len()));
                self.queue.extend(pieces.map(|at| (event_id, piece(at))));
                return;
            }
            Did::Said { event_id, text } => AgentIn::AgentText {
                utterance: event_id,
                text,
                interim: false,
            },
            Did::Interrupted { event_id } => {
                self.queue.clear();
                AgentIn::Interruption {
                    utterance: event_id,
                }
            }
            Did::Corrected {
                event_id,
                original,
                heard,
            } => AgentIn::AgentCorrection {
                utterance: event_id,
                original,
                corrected: heard,
            },
            Did::CallerTentative { event_id, text } => AgentIn::CallerText {
                utterance: event_id,
                text,
                interim: true,
            },
            Did::CallerFinal { event_id, text } => AgentIn::CallerText {
                utterance: event_id,
                text,
                interim: false,
            },
            Did::ToolCall { id, name, args, .. } => AgentIn::ToolCall {
                tool_call_id: id,
                name,
                args: args.to_string(),
            },
            Did::ToolRequest { id, name, .. } => AgentIn::ToolNews {
                tool_call_id: id,
                name,
                ok: None,
                result: None,
            },
            Did::ToolDone {
                via: ToolVia::Client,
                ..
            } => return,
            Did::ToolDone {
                id,
                name,
                is_error,
                result,
                ..
            } => AgentIn::ToolNews {
                tool_call_id: id,
                name,
                ok: Some(!is_error),
                result: Some(result),
            },
            Did::EndCall { .. } => AgentIn::HangUp {
                reason: "the agent ended the call".to_owned(),
            },
            Did::Died { how, for_good } => {
                self.is_gone = for_good;
                self.close();
                match how {
                    Cut::Reset => inputs.push_back(closed("connection reset")),
                    Cut::Close => inputs.push_back(closed("1011 internal error")),
                    Cut::Silence => {}
                }
                return;
            }
        };
        inputs.push_back(Input::Agent(word));
    }
}

fn closed(reason: &str) -> Input {
    Input::AgentClosed {
        reason: reason.to_owned(),
        on_purpose: None,
    }
}

fn ms(now: Duration) -> u64 {
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
