//! What is said and heard: buffering, barge-in, turns, pauses, taps.

use std::time::Duration;

use bytes::Bytes;

use super::rig::{Rig, is_audio_out};
use crate::bridge::*;
use crate::call::{AgentLink, Fact, Gauge, Track, TurnTiming};
use crate::media::MediaFormat;

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
            dropped_ms: 3_000,
            kind: None
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
