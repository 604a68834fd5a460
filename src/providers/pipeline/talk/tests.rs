//! The conversation with parts made of words.

mod rig;

use serde_json::json;

use super::super::chat::{CallPiece, read_delta};
use super::*;
use crate::providers::tools::Tool;
use rig::Rig;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn the_welcome_is_spoken_word_for_word_and_nobody_is_asked() {
    let mut rig = Rig::new(PipelineSettings::default());
    let mut brief = AgentBrief {
        first_message: Some("Hello {{customer_name}}, how are you today?".into()),
        ..AgentBrief::default()
    };
    brief.variables.insert("customer_name".into(), "Ada".into());
    rig.begin(brief);
    assert!(matches!(rig.said[0], AgentIn::Ready { .. }));
    assert_eq!(rig.spoken[0].1, "Hello Ada, how are you today?");
    assert!(rig.asked.is_empty());
    rig.speak(rig.spoken[0].0, 900);
    assert_eq!(rig.finals(), ["Hello Ada, how are you today?"]);
    rig.typed("fine");
    let said = rig.messages();
    assert_eq!(said[1]["content"], "Hello Ada, how are you today?");
    assert_eq!(said[2], json!({"role": "user", "content": "fine"}));
}

#[test]
fn speech_begins_with_the_first_sentence_and_keeps_the_order() {
    let mut rig = Rig::open();
    rig.typed("when?");
    rig.write("It is on Thursday at noon. Shall I book ");
    assert_eq!(rig.spoken.len(), 1, "while the model still writes");
    let line = rig.line();
    rig.write("it for you? I can also call back. ");
    assert_eq!(rig.spoken.len(), 2, "one ahead, no more");
    let (first, second) = (rig.spoken[0].0, rig.spoken[1].0);
    rig.sound(first, 100);
    rig.speak(second, 700);
    assert_eq!(
        rig.audio_ms(line),
        100,
        "the second piece waits for the first"
    );
    rig.speak(first, 400);
    assert_eq!(rig.audio_ms(line), 1_200);
    rig.written();
    assert!(rig.finals().is_empty());
    rig.speak(rig.spoken[2].0, 300);
    assert_eq!(
        rig.finals(),
        ["It is on Thursday at noon. Shall I book it for you? I can also call back."]
    );
}

#[test]
fn an_interruption_drops_everything_and_leaves_what_was_heard() {
    let mut rig = Rig::open();
    rig.typed("tell me");
    rig.write("It is on Thursday at noon. Shall I book it for you? ");
    let line = rig.line();
    let jobs = [rig.asked[0].0, rig.spoken[0].0, rig.spoken[1].0];
    rig.sound(jobs[1], 1_000);
    rig.tell(Told::Cancel);
    let mut stopped = rig.stopped.clone();
    stopped.sort_unstable();
    let mut expected = jobs.to_vec();
    expected.sort_unstable();
    assert_eq!(stopped, expected);
    rig.tell(Told::Truncate {
        utterance: line,
        heard_ms: 500,
    });
    assert!(rig.said.contains(&AgentIn::AgentCorrection {
        utterance: line,
        original: "It is on Thursday at noon.".into(),
        corrected: "It is on".into(),
    }));
    // What still comes of it is void.
    rig.sound(jobs[1], 500);
    rig.sound(jobs[2], 500);
    rig.put(In::Delta(
        jobs[0],
        Delta {
            words: "more".into(),
            ..Delta::default()
        },
    ));
    assert_eq!(rig.audio_ms(line), 1_000);
    rig.typed("no, wait");
    assert_eq!(rig.messages()[2]["content"], "It is on —");
}

#[test]
fn words_nobody_heard_are_taken_back() {
    let mut rig = Rig::open();
    rig.typed("tell me");
    rig.write("It is on Thursday at noon. Shall I book it for you? ");
    let line = rig.line();
    rig.tell(Told::Cancel);
    let taken_back = AgentIn::AgentCorrection {
        utterance: line,
        original: "It is on Thursday at noon. Shall I book it for you?".into(),
        corrected: String::new(),
    };
    assert_eq!(rig.said.last(), Some(&taken_back));
    rig.typed("hello?");
    assert_eq!(rig.messages().len(), 3, "and not remembered");
}

#[test]
fn no_more_speech_is_made_than_the_ear_can_wait_for() {
    let mut rig = Rig::open();
    rig.typed("a story");
    for n in 0..20 {
        rig.write(&format!("This is sentence number {n} of it. "));
    }
    let mut at = 0;
    while at < rig.spoken.len() {
        rig.speak(rig.spoken[at].0, 5_000);
        at += 1;
    }
    assert!(at <= 5, "{at} pieces of 5 s each");
    rig.now = ms(10_000);
    rig.put(In::Tick);
    assert!(rig.spoken.len() > at);
}

#[test]
fn a_part_that_is_down_is_excused_and_in_the_end_the_call_is_handed_over() {
    let mut rig = Rig::open();
    let down = || PartFailure::Unreachable;
    for turn in 1..=3 {
        rig.typed("hello?");
        let job = rig.asked.last().unwrap().0;
        rig.put(In::Answered(job, Err(down())));
        let refused = rig
            .said
            .iter()
            .any(|w| matches!(w, AgentIn::Refused { .. }));
        assert_eq!(refused, turn == 3);
        if turn < 3 {
            assert_eq!(rig.fallbacks.len(), turn);
            rig.speak(*rig.fallbacks.last().unwrap(), 2_000);
        }
    }
    assert!(rig.said.contains(&AgentIn::Trouble {
        code: "llm_failed".into(),
        message: "the language model cannot be reached".into(),
    }));
    assert!(rig.finals().contains(&super::super::FALLBACK_LINE));
}

#[test]
fn without_any_voice_the_call_is_handed_over_at_once() {
    let mut rig = Rig::open();
    rig.typed("hello?");
    rig.write("Hello there, my friend. ");
    rig.put(In::Voiced(rig.spoken[0].0, Err(PartFailure::Timeout)));
    assert_eq!(rig.finals(), ["Hello there, my friend."]);
    rig.put(In::Voiced(rig.fallbacks[0], Err(PartFailure::Timeout)));
    assert!(
        rig.said
            .iter()
            .any(|w| matches!(w, AgentIn::Refused { .. }))
    );
}

#[test]
fn while_an_operator_speaks_only_given_words_are_said() {
    let mut rig = Rig::open();
    rig.tell(Told::Hush);
    rig.typed("is anybody there?");
    assert!(rig.asked.is_empty(), "a hushed agent asked for an answer");
    rig.tell(Told::Say {
        text: "This is Ana from the team.".into(),
    });
    let line = rig.line();
    let given = rig
        .said
        .iter()
        .position(|word| matches!(word, AgentIn::Given { utterance } if *utterance == line));
    let shown = rig.said.iter().position(
        |word| matches!(word, AgentIn::AgentText { utterance, .. } if *utterance == line),
    );
    assert!(given.is_some() && given < shown);
    rig.speak(rig.spoken[0].0, 500);
    assert_eq!(rig.audio_ms(line), 500);
    rig.tell(Told::Unhush { answer: true });
    assert_eq!(rig.asked.len(), 1);
    let said = rig.messages();
    assert_eq!(said[1]["content"], "is anybody there?");
    assert_eq!(said[2]["content"], "This is Ana from the team.");
}

#[test]
fn tools_are_called_and_their_results_read() {
    let mut rig = Rig::new(PipelineSettings {
        tools: vec![Tool::end_call()],
        ..PipelineSettings::default()
    });
    rig.begin(AgentBrief {
        first_message: Some(String::new()),
        ..AgentBrief::default()
    });
    rig.typed("where is my order?");
    rig.write("Let me look that up. ");
    let job = rig.asked[0].0;
    let piece: CallPiece = read_delta(
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c1","function":{"name":"lookup","arguments":"{}"}}]}}]}"#,
    )
    .unwrap()
    .unwrap()
    .calls
    .remove(0);
    rig.put(In::Delta(
        job,
        Delta {
            calls: vec![piece],
            ..Delta::default()
        },
    ));
    rig.written();
    assert!(rig.said.contains(&AgentIn::ToolCall {
        tool_call_id: "c1".into(),
        name: "lookup".into(),
        args: "{}".into(),
    }));
    rig.tell(Told::ToolResult {
        id: "c1".into(),
        ok: true,
        result: "it left on Monday".into(),
    });
    assert_eq!(
        rig.asked.len(),
        1,
        "what it says is not cut off by the result"
    );
    rig.speak(rig.spoken[0].0, 800);
    assert_eq!(rig.asked.len(), 2);
    let roles: Vec<_> = rig.messages().iter().map(|m| m["role"].clone()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "tool"]);
    // A result that comes after the caller went on is not answered.
    rig.tell(Told::ToolResult {
        id: "c1".into(),
        ok: true,
        result: "again".into(),
    });
    assert_eq!(rig.asked.len(), 2);
}

#[test]
fn a_call_the_caller_talked_over_still_has_a_result() {
    let mut rig = Rig::open();
    rig.typed("where?");
    let job = rig.asked[0].0;
    let data = r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c1","function":{"name":"lookup","arguments":"{}"}}]}}]}"#;
    rig.put(In::Delta(job, read_delta(data).unwrap().unwrap()));
    rig.written();
    rig.typed("never mind");
    let messages = rig.messages();
    assert_eq!(messages[3]["role"], "tool");
    assert!(
        messages[3]["content"]
            .as_str()
            .unwrap()
            .contains("no result")
    );
    assert_eq!(messages[4]["content"], "never mind");
}

#[test]
fn the_model_can_hang_up_and_the_goodbye_is_spoken_first() {
    let mut rig = Rig::open();
    rig.typed("bye");
    rig.write("Goodbye and thank you. ");
    let job = rig.asked[0].0;
    let data = r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"end_call","arguments":""}}]}}]}"#;
    rig.put(In::Delta(job, read_delta(data).unwrap().unwrap()));
    rig.written();
    let hung_up = |rig: &Rig| rig.said.iter().any(|w| matches!(w, AgentIn::HangUp { .. }));
    assert!(!hung_up(&rig));
    rig.speak(rig.spoken[0].0, 700);
    assert!(hung_up(&rig));
}

#[test]
fn a_caller_who_only_reads_gets_words_and_costs_no_speech() {
    let mut rig = Rig::new(PipelineSettings::default());
    let mut brief = AgentBrief {
        first_message: Some("Hello there, friend.".into()),
        ..AgentBrief::default()
    };
    brief.variables.insert(MODALITY.into(), "text".into());
    rig.begin(brief);
    rig.typed("when?");
    rig.write("On Thursday. Or on Friday.");
    rig.written();
    assert!(rig.spoken.is_empty());
    assert_eq!(
        rig.finals(),
        ["Hello there, friend.", "On Thursday. Or on Friday."]
    );
    rig.typed("ok");
    assert_eq!(rig.messages()[3]["content"], "On Thursday. Or on Friday.");
}

#[test]
fn cost_is_counted_and_its_limit_ends_the_call() {
    let mut rig = Rig::new(PipelineSettings {
        prices: super::super::PipelinePrices {
            llm_million_in: Some(10.0),
            llm_million_out: Some(20.0),
            tts_million: Some(30.0),
            asr_minute: None,
        },
        usd_max: Some(0.001),
        ..PipelineSettings::default()
    });
    rig.begin(AgentBrief {
        first_message: Some(String::new()),
        ..AgentBrief::default()
    });
    rig.typed("hi");
    rig.write("Hello there.");
    let job = rig.asked[0].0;
    rig.put(In::Delta(
        job,
        Delta {
            tokens: Some((100, 10)),
            ..Delta::default()
        },
    ));
    rig.written();
    rig.speak(rig.spoken[0].0, 500);
    let usd: f64 = rig
        .said
        .iter()
        .filter_map(|word| match word {
            AgentIn::Usage { usd, .. } => *usd,
            _ => None,
        })
        .sum();
    assert!((usd - (0.001 + 0.0002 + 0.000_36)).abs() < 1e-9, "{usd}");
    assert!(rig.said.iter().any(|w| matches!(w, AgentIn::HangUp { .. })));
}

#[test]
fn no_order_of_events_brings_it_down() {
    let mut random = 0x9E37_79B9_u64;
    let mut roll = move |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let mut rig = Rig::open();
    for step in 0..20_000 {
        rig.now = ms(step * 7);
        let job = roll(rig.talk.jobs + 2);
        match roll(10) {
            0 => rig.typed("words"),
            1 => rig.tell(Told::Cancel),
            2 => rig.tell(Told::Truncate {
                utterance: roll(rig.talk.lines + 2),
                heard_ms: roll(5_000) as u32,
            }),
            3 => rig.tell(Told::ToolResult {
                id: "c".into(),
                ok: false,
                result: String::new(),
            }),
            4 => rig.put(In::Answered(
                job,
                if roll(5) == 0 {
                    Err(PartFailure::Timeout)
                } else {
                    Ok(())
                },
            )),
            5 => rig.put(In::Voiced(
                job,
                if roll(9) == 0 {
                    Err(PartFailure::Timeout)
                } else {
                    Ok(())
                },
            )),
            6 => rig.put(In::Voice(job, Bytes::from(vec![0; 160]))),
            7 => rig.put(In::Transcribed(job, Ok("hm".into()))),
            8 => rig.tell(Told::Say {
                text: "Say this now please.".into(),
            }),
            _ => rig.put(In::Delta(
                job,
                Delta {
                    words: "some words. ".into(),
                    ..Delta::default()
                },
            )),
        }
        let open = rig
            .talk
            .answer
            .as_ref()
            .map_or(0, |answer| answer.jobs().count());
        assert!(open <= 3, "{open} requests at once");
        rig.said.clear();
    }
}
