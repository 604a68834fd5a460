//! Scenarios on the pure session: scripted inputs, virtual time, effects compared.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::call::{AgentLink, CallId, Fact, Gauge, MediaLink, Track, TurnTiming};
use crate::media::{MediaFormat, sine, ulaw_encode_sample};

/// A session, its time in ms and everything it has done.
struct Rig {
    session: Session,
    now: u64,
    log: Vec<(u64, Effect)>,
    taps: usize,
    chunk: u64,
    talking: bool,
}

fn plan() -> SessionPlan {
    SessionPlan {
        call: CallId::from_parts(1, [1; 10]),
        stream_id: "MZ1".into(),
        carrier_format: MediaFormat::ULAW_8K,
        brief: AgentBrief {
            first_message: Some("Hello!".into()),
            ..AgentBrief::default()
        },
        talk_max: None,
        turns_before: 0,
        lines_before: Vec::new(),
        seed: 42,
    }
}

fn speech() -> Vec<u8> {
    sine(400.0, 10_000.0, 8_000, 160)
        .into_iter()
        .map(ulaw_encode_sample)
        .collect()
}

impl Rig {
    fn started() -> Self {
        Self::with(plan())
    }

    fn with(plan: SessionPlan) -> Self {
        let mut rig = Self {
            session: Session::new(plan, Duration::from_secs(1)),
            now: 1_000,
            log: Vec::new(),
            taps: 0,
            chunk: 0,
            talking: false,
        };
        let mut effects = Effects::new();
        rig.session
            .start(Duration::from_millis(rig.now), &mut effects);
        rig.keep(effects);
        rig
    }

    /// Started, connected and ready.
    fn talking() -> Self {
        let mut rig = Self::started();
        rig.connect();
        rig
    }

    fn connect(&mut self) {
        self.give(Input::AgentConnected { can_say: false });
        self.agent(AgentIn::Ready {
            conversation_id: "conv_1".into(),
            takes: MediaFormat::ULAW_8K,
            gives: MediaFormat::ULAW_8K,
        });
    }

    fn keep(&mut self, effects: Effects) {
        self.taps += effects.taps.len();
        self.log
            .extend(effects.list.into_iter().map(|effect| (self.now, effect)));
    }

    fn give(&mut self, input: Input) {
        let mut effects = Effects::new();
        self.session
            .step(Duration::from_millis(self.now), input, &mut effects);
        self.keep(effects);
    }

    fn agent(&mut self, word: AgentIn) {
        self.give(Input::Agent(word));
    }

    fn order(&mut self, order: BridgeOrder) -> Result<(), crate::call::Refusal> {
        let mut effects = Effects::new();
        let outcome = self
            .session
            .order(Duration::from_millis(self.now), order, &mut effects);
        self.keep(effects);
        outcome
    }

    fn caller(&mut self, payload: Vec<u8>) {
        self.chunk += 1;
        self.give(Input::Carrier(CarrierIn::Audio(CarrierAudio {
            payload: Bytes::from(payload),
            chunk: Some(self.chunk),
            timestamp_ms: Some(self.chunk * 20),
        })));
    }

    /// Lets time pass in frames of the caller: speech or silence.
    fn run(&mut self, ms: u64) {
        for _ in 0..ms / 20 {
            self.now += 20;
            let frame = if self.talking {
                speech()
            } else {
                vec![0xFF; 160]
            };
            self.caller(frame);
        }
    }

    /// Lets time pass without a word from the carrier.
    fn tick(&mut self, ms: u64) {
        for _ in 0..ms / 20 {
            self.now += 20;
            self.give(Input::Tick);
        }
    }

    fn says(&mut self, utterance: u64, ms: usize, text: &str) {
        self.agent(AgentIn::Audio {
            utterance,
            payload: Bytes::from(vec![utterance as u8; ms * 8]),
        });
        self.agent(AgentIn::AgentText {
            utterance,
            text: text.into(),
            interim: false,
        });
    }

    fn facts(&self) -> Vec<&Fact> {
        self.log
            .iter()
            .filter_map(|(_, effect)| match effect {
                Effect::Fact(fact) => Some(fact),
                _ => None,
            })
            .collect()
    }

    fn links(&self) -> Vec<AgentLink> {
        self.facts()
            .iter()
            .filter_map(|fact| match fact {
                Fact::AgentLinkChanged { link, .. } => Some(*link),
                _ => None,
            })
            .collect()
    }

    fn to_agent(&self) -> Vec<&AgentOut> {
        self.log
            .iter()
            .filter_map(|(_, effect)| match effect {
                Effect::ToAgent(out) => Some(out),
                _ => None,
            })
            .collect()
    }

    fn caller_bytes_forwarded(&self) -> Vec<u8> {
        self.to_agent()
            .into_iter()
            .filter_map(|out| match out {
                AgentOut::Audio(bytes) => Some(bytes.to_vec()),
                _ => None,
            })
            .flatten()
            .collect()
    }

    fn count(&self, wanted: impl Fn(&Effect) -> bool) -> usize {
        self.log.iter().filter(|(_, effect)| wanted(effect)).count()
    }

    fn find(&self, wanted: impl Fn(&Effect) -> bool) -> Option<u64> {
        self.log
            .iter()
            .find(|(_, effect)| wanted(effect))
            .map(|(at, _)| *at)
    }
}

fn is_audio_out(effect: &Effect) -> bool {
    matches!(effect, Effect::ToCarrier(CarrierOut::Audio(_)))
}

#[test]
fn what_the_caller_says_while_the_agent_connects_arrives_whole_and_in_order() {
    let mut rig = Rig::started();
    for n in 0..150u32 {
        rig.now += 20;
        rig.caller(vec![n as u8; 160]);
    }
    rig.connect();
    for n in 150..160u32 {
        rig.now += 20;
        rig.caller(vec![n as u8; 160]);
    }
    let expected: Vec<u8> = (0..160u32).flat_map(|n| vec![n as u8; 160]).collect();
    assert_eq!(rig.caller_bytes_forwarded(), expected);
    assert!(matches!(rig.to_agent().first(), Some(AgentOut::Begin(_))));
    assert_eq!(rig.links(), [AgentLink::Connecting, AgentLink::Connected]);
}

#[test]
fn a_barge_in_clears_then_cancels_then_truncates() {
    let mut rig = Rig::talking();
    rig.says(
        1,
        4_000,
        "Our office is open from nine to five on all days of the week",
    );
    rig.run(1_000);
    rig.log.clear();
    rig.agent(AgentIn::Interruption { utterance: 1 });
    let words: Vec<&Effect> = rig.log.iter().map(|(_, effect)| effect).collect();
    assert_eq!(words[0], &Effect::ToCarrier(CarrierOut::Clear));
    assert_eq!(words[1], &Effect::ToAgent(AgentOut::Cancel));
    let Effect::ToAgent(AgentOut::Truncate {
        utterance: 1,
        heard_ms,
    }) = words[2]
    else {
        panic!("{:?}", words[2]);
    };
    assert_eq!(*heard_ms, 1_000);
    let Effect::Fact(Fact::UtteranceTruncated {
        turn: 1,
        heard,
        cut_at_ms: 1_000,
        ..
    }) = words[3]
    else {
        panic!("{:?}", words[3]);
    };
    assert_eq!(heard, "Our office is");
    assert_eq!(
        words[4],
        &Effect::Fact(Fact::BargedIn {
            turn: 1,
            reaction_ms: None,
            dropped_ms: 3_000
        })
    );
}

#[test]
fn no_stale_frame_leaves_after_a_clear_and_its_marks_are_void() {
    let mut rig = Rig::talking();
    rig.says(7, 4_000, "A long answer");
    rig.run(400);
    rig.agent(AgentIn::Interruption { utterance: 7 });
    rig.log.clear();
    rig.says(7, 2_000, "A long answer");
    rig.says(6, 2_000, "An older one");
    rig.give(Input::Carrier(CarrierIn::MarkReached {
        name: "wb-0".into(),
    }));
    rig.run(1_000);
    assert_eq!(rig.count(is_audio_out), 0);
    rig.says(8, 200, "New words");
    rig.run(400);
    assert_eq!(rig.count(is_audio_out), 10);
}

#[test]
fn the_vendors_correction_replaces_the_estimate() {
    let mut rig = Rig::talking();
    rig.says(3, 4_000, "One two three four five six");
    rig.run(600);
    rig.agent(AgentIn::Interruption { utterance: 3 });
    rig.agent(AgentIn::AgentCorrection {
        utterance: 3,
        original: "One two three four five six".into(),
        corrected: "One two…".into(),
    });
    let heard: Vec<&str> = rig
        .facts()
        .iter()
        .filter_map(|fact| match fact {
            Fact::UtteranceTruncated { heard, .. } => Some(heard.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(heard, ["One", "One two…"]);
}

#[test]
fn a_turn_is_timed_from_the_end_of_speech_to_the_first_frame_sent() {
    let mut rig = Rig::talking();
    rig.run(1_000);
    rig.talking = true;
    rig.run(1_000);
    rig.talking = false;
    let spoke_until = rig.now;
    rig.run(300);
    rig.agent(AgentIn::CallerText {
        utterance: 1,
        text: "hello there".into(),
        interim: false,
    });
    rig.run(500);
    rig.says(2, 1_000, "Hi!");
    let first_frame = rig.find(is_audio_out);
    assert_eq!(first_frame, Some(spoke_until + 800));
    let timings: Vec<&TurnTiming> = rig
        .facts()
        .into_iter()
        .filter_map(|fact| match fact {
            Fact::TurnTimed { timing } => Some(timing),
            _ => None,
        })
        .collect();
    assert_eq!(
        timings,
        [&TurnTiming {
            turn: 2,
            latency_ms: 800,
            ears_ms: Some(300),
            think_ms: Some(500),
            voice_ms: Some(0)
        }]
    );
    assert!(rig.facts().contains(&&Fact::UtteranceFinal {
        turn: 2,
        track: Track::FromAgent,
        text: "Hi!".into(),
        latency_ms: Some(800)
    }));
}

#[test]
fn an_answer_quicker_than_our_detector_is_timed_once() {
    let mut rig = Rig::talking();
    rig.run(1_000);
    rig.talking = true;
    rig.run(1_000);
    rig.talking = false;
    rig.run(200);
    rig.says(1, 2_000, "Yes.");
    rig.run(3_000);
    rig.says(2, 500, "Anything else?");
    rig.run(1_000);
    let latencies: Vec<u32> = rig
        .facts()
        .into_iter()
        .filter_map(|fact| match fact {
            Fact::TurnTimed { timing } => Some(timing.latency_ms),
            _ => None,
        })
        .collect();
    assert_eq!(latencies, [200]);
}

#[test]
fn the_greeting_carries_its_wait_but_is_no_turn_time() {
    let mut rig = Rig::started();
    rig.run(700);
    rig.connect();
    rig.says(1, 500, "Welcome");
    assert!(
        !rig.facts()
            .iter()
            .any(|fact| matches!(fact, Fact::TurnTimed { .. }))
    );
    assert!(rig.facts().contains(&&Fact::UtteranceFinal {
        turn: 1,
        track: Track::FromAgent,
        text: "Welcome".into(),
        latency_ms: Some(700)
    }));
}

#[test]
fn a_dead_agent_is_redialled_and_then_the_caller_gets_the_fallback() {
    let mut rig = Rig::talking();
    rig.run(15_000);
    rig.log.clear();
    rig.give(Input::AgentClosed {
        reason: "reset".into(),
        on_purpose: None,
    });
    let died = rig.now;
    for _ in 0..3 {
        rig.tick(200);
        rig.give(Input::AgentFailed {
            failure: AgentFailure::Unreachable,
            reason: "connection refused".into(),
        });
    }
    let delays: Vec<Duration> = rig
        .log
        .iter()
        .filter_map(|(_, effect)| match effect {
            Effect::ConnectAgent { after } => Some(*after),
            _ => None,
        })
        .collect();
    assert_eq!(delays.len(), 3);
    assert!(delays.windows(2).all(|pair| pair[0] < pair[1]));
    assert!(rig.session.is_over() && rig.now - died <= 4_000);
    assert!(
        rig.find(|effect| matches!(effect, Effect::CloseCarrier { .. }))
            .is_some()
    );
    let expected = [
        AgentLink::Reconnecting,
        AgentLink::Reconnecting,
        AgentLink::Reconnecting,
        AgentLink::Lost,
        AgentLink::Fallback,
    ];
    assert_eq!(rig.links(), expected);
    assert!(
        rig.facts()
            .iter()
            .any(|fact| matches!(fact, Fact::ConversationEnded { .. }))
    );
}

#[test]
fn an_agent_that_stays_silent_after_dialling_ends_in_the_fallback_within_four_seconds() {
    let mut rig = Rig::talking();
    rig.run(15_000);
    rig.give(Input::AgentClosed {
        reason: "gone".into(),
        on_purpose: None,
    });
    let died = rig.now;
    rig.run(3_900);
    assert!(!rig.session.is_over());
    rig.run(200);
    assert!(rig.session.is_over() && rig.now - died < 4_200);
}

#[test]
fn after_a_reconnect_the_agent_is_told_what_was_said_and_hears_what_it_missed() {
    let mut rig = Rig::talking();
    rig.says(1, 200, "Hello, how can I help?");
    rig.run(11_000);
    rig.give(Input::AgentClosed {
        reason: "reset".into(),
        on_purpose: None,
    });
    rig.log.clear();
    for n in 0..50u8 {
        rig.now += 20;
        rig.caller(vec![n; 160]);
    }
    rig.connect();
    let words = rig.to_agent();
    let AgentOut::Begin(brief) = words[0] else {
        panic!("{:?}", words[0]);
    };
    assert_eq!(brief.first_message.as_deref(), Some(""), "greeted already");
    assert!(
        matches!(&words[1], AgentOut::Context { text } if text.contains("You: Hello, how can I help?"))
    );
    let missed: Vec<u8> = (0..50u8).flat_map(|n| vec![n; 160]).collect();
    assert_eq!(rig.caller_bytes_forwarded(), missed);
    rig.says(1, 200, "As I said");
    assert!(
        rig.facts()
            .iter()
            .any(|fact| matches!(fact, Fact::UtteranceFinal { turn: 2, .. }))
    );
}

#[test]
fn a_wrong_key_means_the_fallback_at_once() {
    let mut rig = Rig::started();
    rig.give(Input::AgentFailed {
        failure: AgentFailure::Refused,
        reason: "the agent vendor did not accept our key".into(),
    });
    assert!(rig.session.is_over());
    assert_eq!(
        rig.count(|effect| matches!(effect, Effect::ConnectAgent { .. })),
        1
    );
    assert_eq!(
        rig.links(),
        [AgentLink::Connecting, AgentLink::Lost, AgentLink::Fallback]
    );
}

#[test]
fn an_agent_that_hangs_up_is_heard_out_before_the_carrier_is_asked() {
    let mut rig = Rig::talking();
    rig.says(1, 1_000, "Goodbye");
    rig.agent(AgentIn::HangUp {
        reason: "end_call".into(),
    });
    rig.run(900);
    let is_end = |effect: &Effect| matches!(effect, Effect::EndCall { .. });
    assert_eq!(rig.count(is_end), 0, "still talking");
    rig.run(1_000);
    assert_eq!(rig.count(is_end), 1);
    assert!(!rig.session.is_over(), "the carrier has the last word");
    rig.give(Input::Carrier(CarrierIn::Stop));
    assert!(rig.session.is_over());
    assert!(
        !rig.facts()
            .iter()
            .any(|fact| matches!(fact, Fact::CallEnded { .. } | Fact::StatusChanged { .. }))
    );
    assert_eq!(rig.links().last(), Some(&AgentLink::None));
}

#[test]
fn a_carrier_that_does_not_hang_up_is_left_after_ten_seconds() {
    let mut rig = Rig::talking();
    rig.give(Input::AgentClosed {
        reason: String::new(),
        on_purpose: Some("the agent ended the conversation".into()),
    });
    rig.run(9_000);
    assert!(!rig.session.is_over());
    rig.run(2_000);
    assert!(rig.session.is_over());
}

#[test]
fn a_silent_stream_is_told_after_ten_seconds_and_picked_up_when_it_returns() {
    let mut rig = Rig::talking();
    rig.run(1_000);
    rig.tick(9_900);
    let lost = |rig: &Rig| {
        rig.facts().iter().any(|fact| {
            matches!(
                fact,
                Fact::MediaLinkChanged {
                    link: MediaLink::Lost,
                    ..
                }
            )
        })
    };
    assert!(!lost(&rig));
    rig.tick(200);
    assert!(lost(&rig) && !rig.session.is_over());
    assert_eq!(rig.count(|effect| matches!(effect, Effect::CloseAgent)), 1);
    rig.log.clear();
    rig.run(20);
    assert_eq!(
        rig.count(|effect| matches!(effect, Effect::ConnectAgent { .. })),
        1
    );
}

#[test]
fn a_torn_carrier_socket_is_a_lost_stream_and_a_stop_is_not() {
    let ends = |input: Input| {
        let mut rig = Rig::talking();
        rig.run(100);
        rig.log.clear();
        rig.give(input);
        assert!(rig.session.is_over());
        assert_eq!(rig.count(|effect| matches!(effect, Effect::CloseAgent)), 1);
        rig.facts().into_iter().cloned().collect::<Vec<_>>()
    };
    let torn = ends(Input::CarrierClosed {
        code: None,
        reason: "connection reset".into(),
    });
    assert!(matches!(
        torn.last(),
        Some(Fact::MediaLinkChanged {
            link: MediaLink::Lost,
            ..
        })
    ));
    let stopped = ends(Input::Carrier(CarrierIn::Stop));
    assert!(matches!(stopped.last(), Some(Fact::StreamStopped { .. })));
    assert!(
        stopped
            .iter()
            .any(|fact| matches!(fact, Fact::CallSummarised { summary } if summary.frames_in == 5))
    );
}

#[test]
fn garbage_is_counted_and_the_call_goes_on() {
    let mut rig = Rig::talking();
    for _ in 0..100 {
        rig.give(Input::CarrierGarbage);
        rig.give(Input::AgentGarbage);
    }
    rig.run(200);
    assert!(!rig.session.is_over());
    rig.give(Input::Carrier(CarrierIn::Stop));
    assert!(rig.facts().iter().any(
        |fact| matches!(fact, Fact::CallSummarised { summary } if summary.decode_errors == 200)
    ));
}

#[test]
fn pings_are_answered_and_unknown_tools_never_stall_the_agent() {
    let mut rig = Rig::talking();
    rig.agent(AgentIn::Ping {
        id: 9,
        rtt_ms: Some(48.0),
    });
    rig.agent(AgentIn::ToolCall {
        tool_call_id: "tc_1".into(),
        name: "teleport".into(),
        args: "{}".into(),
    });
    let words = rig.to_agent();
    assert!(words.contains(&&AgentOut::Pong { id: 9 }));
    assert!(words.iter().any(|out| matches!(
        out,
        AgentOut::ToolResult { tool_call_id, ok: false, .. } if tool_call_id == "tc_1"
    )));
    rig.run(300);
    let gauges: Vec<&Gauge> = rig
        .log
        .iter()
        .filter_map(|(_, effect)| match effect {
            Effect::Gauge(gauge) => Some(gauge),
            _ => None,
        })
        .collect();
    assert_eq!(gauges.last().and_then(|gauge| gauge.rtt_ms), Some(48.0));
}

#[test]
fn a_paused_agent_hears_silence_and_is_not_heard() {
    let mut rig = Rig::talking();
    rig.says(1, 2_000, "Well, as I was saying");
    rig.run(200);
    rig.order(BridgeOrder::PauseAgent).expect("possible");
    rig.log.clear();
    rig.talking = true;
    rig.run(200);
    rig.says(2, 1_000, "Hello?");
    rig.run(200);
    assert_eq!(rig.count(is_audio_out), 0);
    assert!(
        rig.caller_bytes_forwarded()
            .iter()
            .all(|byte| *byte == 0xFF)
    );
    rig.order(BridgeOrder::ResumeAgent).expect("possible");
    rig.run(200);
    assert!(
        rig.caller_bytes_forwarded()
            .iter()
            .any(|byte| *byte != 0xFF)
    );
}

#[test]
fn orders_are_refused_with_the_reason() {
    let mut rig = Rig::started();
    let whisper = || BridgeOrder::Whisper {
        text: "offer ten percent".into(),
    };
    assert!(rig.order(whisper()).is_err(), "nobody there yet");
    rig.connect();
    assert!(rig.order(whisper()).is_ok());
    let say = rig.order(BridgeOrder::Say { text: "hi".into() });
    assert_eq!(
        say.map_err(|refusal| refusal.code),
        Err(crate::call::ErrorCode::Unsupported)
    );
}

#[test]
fn stereo_frames_are_built_only_while_somebody_listens() {
    let mut rig = Rig::talking();
    rig.run(1_000);
    assert_eq!(rig.taps, 0);
    rig.session
        .set_listening(Duration::from_millis(rig.now), true);
    rig.run(1_000);
    assert!((45..=50).contains(&rig.taps), "{}", rig.taps);
}

#[test]
fn the_time_limit_ends_the_conversation_and_nothing_else_does() {
    let mut rig = Rig::with(SessionPlan {
        talk_max: Some(Duration::from_secs(60)),
        ..plan()
    });
    rig.connect();
    rig.run(58_000);
    let is_end = |effect: &Effect| matches!(effect, Effect::EndCall { .. });
    assert_eq!(rig.count(is_end), 0);
    rig.run(3_000);
    assert_eq!(rig.count(is_end), 1);
    let mut endless = Rig::talking();
    endless.run(11 * 60_000);
    assert_eq!(endless.count(is_end), 0);
}

#[test]
fn other_formats_are_converted_both_ways() {
    let mut rig = Rig::started();
    rig.give(Input::AgentConnected { can_say: false });
    rig.agent(AgentIn::Ready {
        conversation_id: "conv_1".into(),
        takes: MediaFormat::PCM_16K,
        gives: MediaFormat::PCM_16K,
    });
    rig.talking = true;
    rig.run(1_000);
    let bytes = rig.caller_bytes_forwarded().len();
    assert!((31_000..=32_000).contains(&bytes), "{bytes}");
    rig.agent(AgentIn::Audio {
        utterance: 1,
        payload: Bytes::from(vec![1; 32_000]),
    });
    rig.run(1_500);
    assert!((49..=51).contains(&rig.count(is_audio_out)));
}

#[test]
fn the_band_is_told_once_while_nothing_changes() {
    let mut rig = Rig::talking();
    rig.run(30_000);
    let bands = rig
        .facts()
        .iter()
        .filter(|fact| matches!(fact, Fact::QualityChanged { .. }))
        .count();
    assert_eq!(bands, 1);
}

fn any_input() -> impl Strategy<Value = Input> {
    let id = 0u64..6;
    let audio = (0usize..400).prop_map(|len| Bytes::from(vec![0x21; len]));
    let words = "[a-z \u{1b}]{0,20}";
    prop_oneof![
        Just(Input::Tick),
        (audio.clone(), any::<Option<u64>>(), any::<Option<u64>>()).prop_map(
            |(payload, chunk, timestamp_ms)| Input::Carrier(CarrierIn::Audio(CarrierAudio {
                payload,
                chunk,
                timestamp_ms
            }))
        ),
        (0u64..9).prop_map(|n| Input::Carrier(CarrierIn::MarkReached {
            name: format!("wb-{n}")
        })),
        Just(Input::Carrier(CarrierIn::Cleared)),
        Just(Input::AgentConnected { can_say: true }),
        (0usize..3, 0usize..3).prop_map(|(takes, gives)| {
            let formats = [
                MediaFormat::ULAW_8K,
                MediaFormat::PCM_16K,
                MediaFormat::PCM_24K,
            ];
            Input::Agent(AgentIn::Ready {
                conversation_id: "c".into(),
                takes: formats[takes],
                gives: formats[gives],
            })
        }),
        (id.clone(), audio)
            .prop_map(|(utterance, payload)| Input::Agent(AgentIn::Audio { utterance, payload })),
        (id.clone(), words, any::<bool>()).prop_map(|(utterance, text, interim)| Input::Agent(
            AgentIn::AgentText {
                utterance,
                text,
                interim
            }
        )),
        (id.clone(), words, any::<bool>()).prop_map(|(utterance, text, interim)| Input::Agent(
            AgentIn::CallerText {
                utterance,
                text,
                interim
            }
        )),
        (id.clone(), words).prop_map(|(utterance, corrected)| Input::Agent(
            AgentIn::AgentCorrection {
                utterance,
                original: "a".into(),
                corrected
            }
        )),
        id.prop_map(|utterance| Input::Agent(AgentIn::Interruption { utterance })),
        words.prop_map(|name| Input::Agent(AgentIn::ToolNews {
            tool_call_id: "t".into(),
            name,
            ok: Some(true),
            result: None
        })),
        Just(Input::AgentClosed {
            reason: "x".into(),
            on_purpose: None
        }),
        Just(Input::AgentFailed {
            failure: AgentFailure::Unreachable,
            reason: "x".into()
        }),
        Just(Input::Agent(AgentIn::HangUp { reason: "x".into() })),
        Just(Input::EndCallFailed { reason: "x".into() }),
        Just(Input::ToAgentDropped(3)),
        Just(Input::CarrierClosed {
            code: None,
            reason: "x".into()
        }),
    ]
}

proptest! {
    #[test]
    fn any_order_of_inputs_ends_without_panic(
        steps in proptest::collection::vec((any_input(), prop_oneof![0u64..60, 0u64..9_000]), 1..120)
    ) {
        let mut rig = Rig::started();
        for (input, wait) in steps {
            rig.now += wait;
            let listening = rig.now % 3 == 0;
            rig.session.set_listening(Duration::from_millis(rig.now), listening);
            let was_over = rig.session.is_over();
            let before = rig.log.len();
            rig.give(input);
            prop_assert!(!was_over || rig.log.len() == before, "nothing after the end");
        }
        let ends = rig.facts().iter().filter(|fact| matches!(fact, Fact::StreamStopped { .. })).count();
        prop_assert_eq!(ends, usize::from(rig.session.is_over()));
        let open = rig.facts().iter().filter(|fact| matches!(fact, Fact::ConversationStarted { .. })).count();
        let closed = rig.facts().iter().filter(|fact| matches!(fact, Fact::ConversationEnded { .. })).count();
        prop_assert!(open - closed <= usize::from(!rig.session.is_over()));
    }
}
