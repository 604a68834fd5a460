use proptest::prelude::*;

use super::*;
use crate::bridge::{AgentBrief, Usage};
use crate::providers::openai::{Dialect, Prices, Tool};

const SERVER: &str = include_str!("../../../../tests/fixtures/openai/server.jsonl");

fn settings() -> OpenAiSettings {
    OpenAiSettings::default()
}

fn hear(codec: &mut OpenAiCodec, message: Value) -> Vec<AgentIn> {
    codec.decode(&Wire::Text(message.to_string())).unwrap()
}

fn told(codec: &mut OpenAiCodec, out: &AgentOut) -> Vec<Value> {
    codec
        .encode(out)
        .into_iter()
        .map(|wire| match wire {
            Wire::Text(text) => serde_json::from_str(&text).unwrap(),
            Wire::Binary(_) => panic!("text only"),
        })
        .collect()
}

/// A conversation that is open and has greeted nobody.
fn open_with(settings: OpenAiSettings) -> OpenAiCodec {
    let mut codec = OpenAiCodec::new(settings);
    told(
        &mut codec,
        &AgentOut::Begin(AgentBrief {
            first_message: Some(String::new()),
            ..AgentBrief::default()
        }),
    );
    hear(
        &mut codec,
        json!({"type": "session.created", "session": {"id": "sess_1"}}),
    );
    let ready = hear(
        &mut codec,
        json!({"type": "session.updated", "session": {}}),
    );
    assert!(
        matches!(&ready[..], [AgentIn::Ready { conversation_id, .. }] if conversation_id == "sess_1")
    );
    codec
}

fn open() -> OpenAiCodec {
    open_with(settings())
}

fn began(codec: &mut OpenAiCodec, id: &str) {
    hear(
        codec,
        json!({"type": "response.created", "response": {"id": id}}),
    );
}

fn ended(codec: &mut OpenAiCodec, id: &str, status: &str) -> Vec<AgentIn> {
    hear(
        codec,
        json!({"type": "response.done", "response": {"id": id, "status": status}}),
    )
}

fn audio(codec: &mut OpenAiCodec, response: &str, item: &str, ms: usize) -> Vec<AgentIn> {
    let delta = STANDARD.encode(vec![7; ms * 8]);
    hear(
        codec,
        json!({"type": "response.output_audio.delta", "response_id": response, "item_id": item,
            "output_index": 0, "content_index": 0, "delta": delta}),
    )
}

#[test]
fn every_message_of_the_vendors_types_is_read() {
    let mut codec = OpenAiCodec::new(settings());
    told(&mut codec, &AgentOut::Begin(AgentBrief::default()));
    let mut said = Vec::new();
    for line in SERVER.lines() {
        let words = codec.decode(&Wire::Text(line.to_owned())).unwrap();
        assert!(
            !words
                .iter()
                .any(|word| matches!(word, AgentIn::Unknown { .. })),
            "{line}"
        );
        said.extend(words);
    }
    let has = |wanted: &dyn Fn(&AgentIn) -> bool| said.iter().any(wanted);
    assert!(has(
        &|word| matches!(word, AgentIn::Ready { conversation_id, .. } if conversation_id == "sess_1")
    ));
    assert!(has(&|word| *word == AgentIn::CallerSpeechStarted));
    assert!(has(&|word| *word == AgentIn::CallerSpeechStopped));
    let caller = |text: &str, interim| AgentIn::CallerText {
        utterance: 1,
        text: text.into(),
        interim,
    };
    assert!(has(&|word| *word == caller("hel", true)));
    assert!(has(&|word| *word == caller("hello", false)));
    let agent = |text: &str, interim| AgentIn::AgentText {
        utterance: 2,
        text: text.into(),
        interim,
    };
    assert!(has(&|word| *word == agent("Hel", true)));
    assert!(has(&|word| *word == agent("Hello", false)));
    assert!(has(
        &|word| matches!(word, AgentIn::Audio { utterance: 2, payload } if payload.len() == 5)
    ));
    let calls: Vec<_> = said
        .iter()
        .filter(|word| matches!(word, AgentIn::ToolCall { .. }))
        .collect();
    assert_eq!(
        calls,
        [&AgentIn::ToolCall {
            tool_call_id: "call_1".into(),
            name: "transfer_call".into(),
            args: r#"{"reason":"asked"}"#.into()
        }]
    );
    assert!(has(
        &|word| matches!(word, AgentIn::Trouble { code, .. } if code == "invalid_value")
    ));
    assert!(has(&|word| matches!(
        word,
        AgentIn::Usage {
            usage: Usage {
                text_in: 55,
                audio_out: 91,
                ..
            },
            usd: None
        }
    )));
}

#[test]
fn the_first_words_are_asked_for_once_the_settings_are_in_force() {
    let mut codec = OpenAiCodec::new(settings());
    let brief = AgentBrief {
        first_message: Some("Hi {{name}}, \"Bob\" here.".into()),
        variables: std::collections::BTreeMap::from([("name".into(), "Ana".into())]),
        ..AgentBrief::default()
    };
    let begin = told(&mut codec, &AgentOut::Begin(brief));
    assert_eq!(begin[0]["type"], "session.update");
    assert_eq!(begin.len(), 1);
    assert!(
        hear(
            &mut codec,
            json!({"type": "session.created", "session": {"id": "s"}})
        )
        .is_empty()
    );
    let ready = hear(
        &mut codec,
        json!({"type": "session.updated", "session": {"id": "s"}}),
    );
    assert!(matches!(ready[..], [AgentIn::Ready { .. }, AgentIn::Owing]));
    let asked = told(&mut codec, &AgentOut::Owed);
    assert_eq!(asked[0]["type"], "response.create");
    let words = asked[0]["response"]["instructions"].as_str().unwrap();
    assert!(words.ends_with(r#": "Hi Ana, \"Bob\" here.""#), "{words}");
    assert!(told(&mut codec, &AgentOut::Owed).is_empty());
    // Told again: the conversation is open already.
    let again = hear(
        &mut codec,
        json!({"type": "session.updated", "session": {"id": "s"}}),
    );
    assert!(again.is_empty());
}

#[test]
fn an_agent_without_first_words_begins_by_itself() {
    let mut codec = OpenAiCodec::new(settings());
    told(&mut codec, &AgentOut::Begin(AgentBrief::default()));
    hear(
        &mut codec,
        json!({"type": "session.updated", "session": {"id": "s"}}),
    );
    let asked = told(&mut codec, &AgentOut::Owed);
    assert_eq!(
        asked[0],
        json!({"type": "response.create", "event_id": "wb-answer-1"})
    );
}

#[test]
fn the_callers_line_stands_before_the_answer_however_late_its_words_come() {
    let mut codec = open();
    hear(
        &mut codec,
        json!({"type": "input_audio_buffer.speech_started", "item_id": "item_c"}),
    );
    hear(
        &mut codec,
        json!({"type": "input_audio_buffer.speech_stopped", "item_id": "item_c"}),
    );
    let taken = hear(
        &mut codec,
        json!({"type": "input_audio_buffer.committed", "item_id": "item_c"}),
    );
    assert_eq!(
        taken,
        [AgentIn::CallerText {
            utterance: 1,
            text: "…".into(),
            interim: true
        }]
    );
    began(&mut codec, "resp_1");
    let answer = audio(&mut codec, "resp_1", "item_a", 20);
    assert!(matches!(answer[..], [AgentIn::Audio { utterance: 2, .. }]));
    let written = hear(
        &mut codec,
        json!({"type": "conversation.item.input_audio_transcription.completed",
            "item_id": "item_c", "transcript": " hello \n",
            "usage": {"type": "duration", "seconds": 1.7}}),
    );
    assert_eq!(
        written[0],
        AgentIn::CallerText {
            utterance: 1,
            text: "hello".into(),
            interim: false
        }
    );
    assert!(matches!(written[1], AgentIn::Usage { .. }));
}

#[test]
fn what_nobody_could_write_down_is_marked_and_not_invented() {
    let mut codec = open();
    let failed = hear(
        &mut codec,
        json!({"type": "conversation.item.input_audio_transcription.failed", "item_id": "item_c",
            "error": {"type": "server_error", "code": null, "message": "try later"}}),
    );
    assert_eq!(
        failed,
        [
            AgentIn::Trouble {
                code: "server_error".into(),
                message: "try later".into()
            },
            AgentIn::CallerText {
                utterance: 1,
                text: "…".into(),
                interim: false
            },
        ]
    );
    let mut deaf = open_with(OpenAiSettings {
        transcription_model: None,
        ..settings()
    });
    let taken = hear(
        &mut deaf,
        json!({"type": "input_audio_buffer.committed", "item_id": "x"}),
    );
    assert!(taken.is_empty());
}

#[test]
fn speech_voids_the_answer_the_vendor_cancelled_and_nothing_is_cancelled_twice() {
    let mut codec = open();
    began(&mut codec, "resp_1");
    audio(&mut codec, "resp_1", "item_a", 1_000);
    hear(
        &mut codec,
        json!({"type": "response.output_audio_transcript.delta", "response_id": "resp_1",
            "item_id": "item_a", "delta": "Our office is open"}),
    );
    let heard = hear(
        &mut codec,
        json!({"type": "input_audio_buffer.speech_started", "item_id": "item_c"}),
    );
    assert_eq!(heard, [AgentIn::CallerSpeechStarted]);
    assert!(told(&mut codec, &AgentOut::Cancel).is_empty());
    let cut = told(
        &mut codec,
        &AgentOut::Truncate {
            utterance: 1,
            heard_ms: 460,
        },
    );
    assert_eq!(
        cut,
        [
            json!({"type": "conversation.item.truncate", "event_id": "wb-late-1", "item_id": "item_a",
            "content_index": 0, "audio_end_ms": 460})
        ]
    );
    assert!(audio(&mut codec, "resp_1", "item_a", 200).is_empty());
    let stale = hear(
        &mut codec,
        json!({"type": "response.output_audio_transcript.delta", "response_id": "resp_1",
            "item_id": "item_a", "delta": " from nine"}),
    );
    assert!(stale.is_empty());
    let done = ended(&mut codec, "resp_1", "cancelled");
    assert_eq!(
        done,
        [AgentIn::AgentText {
            utterance: 1,
            text: "Our office is open from nine".into(),
            interim: false
        }]
    );
    began(&mut codec, "resp_2");
    assert_eq!(audio(&mut codec, "resp_2", "item_b", 20).len(), 1);
}

#[test]
fn where_the_vendor_does_not_stop_by_itself_it_is_told_to() {
    let mut codec = open_with(OpenAiSettings {
        interrupts: false,
        ..settings()
    });
    began(&mut codec, "resp_1");
    audio(&mut codec, "resp_1", "item_a", 100);
    hear(
        &mut codec,
        json!({"type": "input_audio_buffer.speech_started", "item_id": "item_c"}),
    );
    assert_eq!(
        told(&mut codec, &AgentOut::Cancel),
        [json!({"type": "response.cancel", "event_id": "wb-late-cancel", "response_id": "resp_1"})]
    );
    assert!(told(&mut codec, &AgentOut::Cancel).is_empty());
    assert!(audio(&mut codec, "resp_1", "item_a", 100).is_empty());
}

#[test]
fn an_item_is_never_cut_beyond_the_audio_that_came() {
    let mut codec = open();
    began(&mut codec, "resp_1");
    audio(&mut codec, "resp_1", "item_a", 300);
    let cut = |codec: &mut OpenAiCodec, utterance, heard_ms| {
        let cut = told(
            codec,
            &AgentOut::Truncate {
                utterance,
                heard_ms,
            },
        );
        cut.first().map(|cut| cut["audio_end_ms"].clone())
    };
    assert_eq!(cut(&mut codec, 1, 9_000), Some(json!(300)));
    assert_eq!(cut(&mut codec, 1, 0), Some(json!(0)));
    assert_eq!(cut(&mut codec, 2, 100), None);
    // And a cut that comes too late is nobody's trouble.
    let late = json!({"type": "error", "error": {"type": "invalid_request_error", "code": "invalid_value",
        "message": "Audio content is already shorter", "event_id": "wb-late-1"}});
    assert!(hear(&mut codec, late).is_empty());
}

#[test]
fn a_tools_result_waits_for_the_end_of_the_answer_that_asked_for_it() {
    let mut codec = open_with(OpenAiSettings {
        tools: vec![Tool::transfer_call(&[])],
        ..settings()
    });
    began(&mut codec, "resp_1");
    let item = json!({"id": "item_f", "type": "function_call", "status": "completed",
        "name": "transfer_call", "call_id": "call_9", "arguments": "{\"reason\":\"asked\"}"});
    let asked = hear(
        &mut codec,
        json!({"type": "response.output_item.done", "response_id": "resp_1", "item": item}),
    );
    assert!(
        matches!(&asked[..], [AgentIn::ToolCall { tool_call_id, .. }] if tool_call_id == "call_9")
    );
    let again = hear(
        &mut codec,
        json!({"type": "response.function_call_arguments.done", "response_id": "resp_1",
            "call_id": "call_9", "name": "transfer_call", "arguments": "{}"}),
    );
    assert!(again.is_empty());
    let result = AgentOut::ToolResult {
        tool_call_id: "call_9".into(),
        ok: false,
        result: "nobody \"there\"".into(),
    };
    assert_eq!(
        told(&mut codec, &result),
        [
            json!({"type": "conversation.item.create", "item": {"type": "function_call_output",
            "call_id": "call_9", "output": r#"{"error":"nobody \"there\"","ok":false}"#}})
        ]
    );
    assert_eq!(ended(&mut codec, "resp_1", "completed"), [AgentIn::Owing]);
    assert_eq!(
        told(&mut codec, &AgentOut::Owed)[0]["type"],
        "response.create"
    );
}

#[test]
fn results_are_strings_that_hold_json() {
    for (ok, result, expected) in [
        (true, r#"{"price":7}"#, r#"{"price":7}"#),
        (true, "done", r#"{"ok":true,"result":"done"}"#),
        (false, r#"{"x":1}"#, r#"{"error":"{\"x\":1}","ok":false}"#),
    ] {
        let out = AgentOut::ToolResult {
            tool_call_id: "c".into(),
            ok,
            result: result.into(),
        };
        let said = told(&mut open(), &out);
        assert_eq!(said[0]["item"]["output"], expected);
        assert_eq!(said[1]["type"], "response.create");
    }
}

#[test]
fn the_agent_hangs_up_by_a_tool_of_its_own() {
    let mut codec = open();
    let said = hear(
        &mut codec,
        json!({"type": "response.function_call_arguments.done", "call_id": "c", "name": "end_call",
            "arguments": ""}),
    );
    assert!(matches!(
        &said[..],
        [
            AgentIn::ToolNews { ok: Some(true), .. },
            AgentIn::HangUp { .. }
        ]
    ));
}

#[test]
fn a_request_that_met_another_answer_is_made_again() {
    let mut codec = open();
    let say = AgentOut::UserText {
        text: "One moment".into(),
    };
    assert_eq!(told(&mut codec, &say).len(), 1);
    began(&mut codec, "resp_of_the_vendor");
    let early = json!({"type": "error", "error": {"type": "invalid_request_error",
        "code": "conversation_already_has_active_response", "message": "…", "event_id": "wb-answer-1"}});
    assert!(hear(&mut codec, early).is_empty());
    assert_eq!(
        ended(&mut codec, "resp_of_the_vendor", "completed"),
        [AgentIn::Owing]
    );
    let again = told(&mut codec, &AgentOut::Owed);
    assert!(
        again[0]["response"]["instructions"]
            .as_str()
            .unwrap()
            .contains("One moment")
    );
}

#[test]
fn a_failed_answer_is_asked_for_once_more() {
    let mut codec = open();
    let failed = |codec: &mut OpenAiCodec, id: &str| {
        began(codec, id);
        hear(
            codec,
            json!({"type": "response.done", "response": {"id": id, "status": "failed",
                "status_details": {"type": "failed", "error": {"type": "server_error",
                    "code": "rate_limit_exceeded", "message": "slow down"}}}}),
        )
    };
    let first = failed(&mut codec, "resp_1");
    assert!(
        matches!(&first[..], [AgentIn::Trouble { code, .. }, AgentIn::Owing] if code == "rate_limit_exceeded")
    );
    assert_eq!(told(&mut codec, &AgentOut::Owed).len(), 1);
    let second = failed(&mut codec, "resp_2");
    assert!(matches!(&second[..], [AgentIn::Trouble { .. }]));
    began(&mut codec, "resp_3");
    assert!(ended(&mut codec, "resp_3", "completed").is_empty());
    assert_eq!(failed(&mut codec, "resp_4").len(), 2);
    let cut = json!({"type": "response.done", "response": {"id": "r", "status": "incomplete",
        "status_details": {"type": "incomplete", "reason": "content_filter"}}});
    assert!(
        matches!(&hear(&mut open(), cut)[..], [AgentIn::Trouble { message, .. }] if message.contains("filter"))
    );
}

#[test]
fn a_conversation_the_vendor_will_not_hold_is_refused_at_once() {
    let begin = || {
        let mut codec = OpenAiCodec::new(settings());
        told(&mut codec, &AgentOut::Begin(AgentBrief::default()));
        codec
    };
    let voice = json!({"type": "error", "error": {"type": "invalid_request_error", "code": "invalid_value",
        "message": "Invalid voice", "param": "session.audio.output.voice", "event_id": "wb-begin"}});
    assert_eq!(
        hear(&mut begin(), voice.clone()),
        [AgentIn::Refused {
            reason: "Invalid voice".into()
        }]
    );
    let old =
        json!({"type": "error", "error": {"code": "beta_api_shape_disabled", "message": "x"}});
    assert!(
        matches!(&hear(&mut begin(), old)[..], [AgentIn::Refused { reason }] if reason.contains("openai.dialect"))
    );
    let format = json!({"type": "session.updated", "session": {"output_audio_format": "opus"}});
    assert!(
        matches!(&hear(&mut begin(), format)[..], [AgentIn::Refused { reason }] if reason.contains("opus"))
    );
    let mut opened = open();
    assert!(matches!(
        &hear(&mut opened, voice)[..],
        [AgentIn::Trouble { .. }]
    ));
}

#[test]
fn limits_and_expiry_are_told_in_words_and_once() {
    let mut codec = open();
    let limits = |left: f64| {
        json!({"type": "rate_limits.updated", "rate_limits": [
            {"name": "requests", "limit": 1000, "remaining": 999, "reset_seconds": 60.0},
            {"name": "tokens", "limit": 50000, "remaining": left, "reset_seconds": 60.0}]})
    };
    assert!(hear(&mut codec, limits(40_000.0)).is_empty());
    assert!(
        matches!(&hear(&mut codec, limits(500.0))[..], [AgentIn::Trouble { message, .. }] if message.contains("tokens"))
    );
    assert!(hear(&mut codec, limits(100.0)).is_empty());
    assert!(hear(&mut codec, limits(50_000.0)).is_empty());
    assert_eq!(hear(&mut codec, limits(1.0)).len(), 1);
    let expired = json!({"type": "error", "error": {"type": "invalid_request_error",
        "code": "session_expired", "message": "60 minutes"}});
    assert!(
        matches!(&hear(&mut codec, expired)[..], [AgentIn::Trouble { code, .. }] if code == "session_expired")
    );
    assert_eq!(codec.ended_on_purpose(Some(1001), "session expired"), None);
    let late =
        json!({"type": "error", "error": {"code": "response_cancel_not_active", "message": "x"}});
    assert!(hear(&mut codec, late).is_empty());
}

#[test]
fn the_price_is_told_where_it_is_known() {
    let mut codec = open_with(OpenAiSettings {
        prices: Some(Prices {
            audio_out: 64.0,
            ..Prices::default()
        }),
        ..settings()
    });
    let done = json!({"type": "response.done", "response": {"id": "r", "status": "completed",
        "usage": {"output_token_details": {"text_tokens": 30, "audio_tokens": 1_000_000}}}});
    assert!(
        matches!(&hear(&mut codec, done)[..], [AgentIn::Usage { usd: Some(usd), .. }] if (*usd - 64.0).abs() < 1e-9)
    );
}

#[test]
fn hints_speech_and_audio_have_the_documented_wire() {
    let mut codec = open();
    assert_eq!(
        told(&mut codec, &AgentOut::Audio(Bytes::from_static(&[0xff; 5]))),
        [json!({"type": "input_audio_buffer.append", "audio": "//////8="})]
    );
    assert_eq!(
        told(
            &mut codec,
            &AgentOut::Context {
                text: "Offer 10 %".into()
            }
        ),
        [
            json!({"type": "conversation.item.create", "item": {"type": "message", "role": "system",
            "content": [{"type": "input_text", "text": "Offer 10 %"}]}})
        ]
    );
    assert!(codec.can_say());
    assert!(told(&mut codec, &AgentOut::Pong { id: 1 }).is_empty());
}

#[test]
fn the_older_dialects_names_mean_the_same() {
    let mut codec = open_with(OpenAiSettings {
        dialect: Dialect::Beta,
        ..settings()
    });
    began(&mut codec, "resp_1");
    let delta = json!({"type": "response.audio.delta", "response_id": "resp_1", "item_id": "item_a",
        "content_index": 1, "delta": "//8="});
    assert!(matches!(
        &hear(&mut codec, delta)[..],
        [AgentIn::Audio { utterance: 1, .. }]
    ));
    let words = json!({"type": "response.audio_transcript.done", "response_id": "resp_1",
        "item_id": "item_a", "transcript": "Hello"});
    assert_eq!(
        hear(&mut codec, words),
        [AgentIn::AgentText {
            utterance: 1,
            text: "Hello".into(),
            interim: false
        }]
    );
    let created = json!({"type": "conversation.item.created", "item": {}});
    assert!(hear(&mut codec, created).is_empty());
    let cut = told(
        &mut codec,
        &AgentOut::Truncate {
            utterance: 1,
            heard_ms: 0,
        },
    );
    assert_eq!(cut[0]["content_index"], 1);
}

#[test]
fn nonsense_is_refused_and_the_next_message_is_read() {
    let mut codec = open();
    for nonsense in [
        "",
        "{",
        "null",
        "[]",
        r#"{"type":7}"#,
        r#"{"type":"response.output_audio.delta"}"#,
        r#"{"type":"response.output_audio.delta","item_id":"x","delta":"%%%"}"#,
    ] {
        assert!(
            codec.decode(&Wire::Text(nonsense.into())).is_err(),
            "{nonsense}"
        );
    }
    assert!(
        codec
            .decode(&Wire::Binary(Bytes::from_static(b"x")))
            .is_err()
    );
    assert_eq!(
        hear(&mut codec, json!({"type": "brand.new", "x": [1]})),
        [AgentIn::Unknown {
            kind: "brand.new".into()
        }]
    );
    began(&mut codec, "resp_1");
    assert_eq!(audio(&mut codec, "resp_1", "item_a", 20).len(), 1);
}

/// Everything the codec can say in the present dialect, as it goes on the wire. Checked against the
/// vendor's own types by `tests/interop/vendor_types.py`.
fn everything_said(settings: OpenAiSettings) -> Vec<String> {
    let text = |wire: Wire| match wire {
        Wire::Text(text) => text,
        Wire::Binary(_) => panic!("text only"),
    };
    let mut codec = OpenAiCodec::new(settings);
    let brief = AgentBrief {
        first_message: Some("Hello!".into()),
        language: Some("en".into()),
        ..AgentBrief::default()
    };
    let mut said: Vec<Wire> = codec.encode(&AgentOut::Begin(brief));
    hear(
        &mut codec,
        json!({"type": "session.updated", "session": {"id": "sess_1"}}),
    );
    said.extend(codec.encode(&AgentOut::Owed));
    began(&mut codec, "resp_1");
    let delta = STANDARD.encode(vec![7; 8_000]);
    let audio = json!({"type": "response.output_audio.delta", "response_id": "resp_1",
        "item_id": "item_a", "content_index": 0, "delta": delta});
    hear(&mut codec, audio);
    for out in [
        AgentOut::Audio(Bytes::from_static(&[0xff; 160])),
        AgentOut::Context {
            text: "Offer 10 %".into(),
        },
        AgentOut::Cancel,
        AgentOut::Truncate {
            utterance: 1,
            heard_ms: 460,
        },
    ] {
        said.extend(codec.encode(&out));
    }
    ended(&mut codec, "resp_1", "cancelled");
    for (ok, result) in [(true, "found"), (false, "unknown tool")] {
        let out = AgentOut::ToolResult {
            tool_call_id: "call_1".into(),
            ok,
            result: result.into(),
        };
        said.extend(codec.encode(&out));
    }
    began(&mut codec, "resp_2");
    ended(&mut codec, "resp_2", "completed");
    said.extend(codec.encode(&AgentOut::Owed));
    began(&mut codec, "resp_3");
    ended(&mut codec, "resp_3", "completed");
    said.extend(codec.encode(&AgentOut::UserText {
        text: "One moment".into(),
    }));
    said.into_iter().map(text).collect()
}

#[test]
fn everything_we_say_stands_in_the_fixture() {
    let full = OpenAiSettings {
        tools: vec![
            Tool::transfer_call(&["Front desk".into()]),
            Tool::end_call(),
        ],
        ..settings()
    };
    let semantic = OpenAiSettings {
        turns: crate::providers::openai::TurnDetection::Semantic {
            eagerness: crate::providers::openai::Eagerness::Low,
        },
        speed: Some(1.1),
        answer_tokens_max: Some(800),
        interrupts: false,
        ..settings()
    };
    let mut said = everything_said(full);
    said.extend(everything_said(semantic));
    let fixture = include_str!("../../../../tests/fixtures/openai/sent.jsonl");
    let known: Vec<&str> = fixture.lines().collect();
    assert_eq!(
        known,
        said,
        "write them to the fixture:\n{}",
        said.join("\n")
    );
}

fn any_message() -> impl Strategy<Value = String> {
    let kinds: Vec<&'static str> = vec![
        "session.created",
        "session.updated",
        "error",
        "response.created",
        "response.done",
        "response.output_audio.delta",
        "response.output_audio_transcript.delta",
        "response.output_audio_transcript.done",
        "response.output_item.added",
        "response.output_item.done",
        "response.function_call_arguments.done",
        "input_audio_buffer.speech_started",
        "input_audio_buffer.committed",
        "conversation.item.input_audio_transcription.delta",
        "conversation.item.input_audio_transcription.completed",
        "rate_limits.updated",
    ];
    let value = prop_oneof![
        Just(json!(null)),
        Just(json!([])),
        Just(json!({"id": "r", "type": "message", "status": "failed", "usage": {}})),
        Just(
            json!({"id": "i", "type": "function_call", "call_id": "c", "name": "n", "status": "cancelled"})
        ),
        Just(json!([{"name": "tokens", "limit": 1, "remaining": 0}])),
        "[a-z%]{0,6}".prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
    ];
    (
        proptest::sample::select(kinds),
        proptest::collection::vec(
            (
                proptest::sample::select(vec![
                    "session",
                    "response",
                    "item",
                    "item_id",
                    "response_id",
                    "delta",
                    "error",
                    "transcript",
                    "usage",
                    "rate_limits",
                    "call_id",
                    "name",
                    "arguments",
                ]),
                value,
            ),
            0..6,
        ),
    )
        .prop_map(|(kind, fields)| {
            let mut message = json!({"type": kind});
            for (name, value) in fields {
                message[name] = value;
            }
            message.to_string()
        })
}

proptest! {
    #[test]
    fn any_conversation_is_survived(messages in proptest::collection::vec(prop_oneof![3 => any_message(), 1 => "\\PC{0,40}"], 1..40)) {
        let mut codec = OpenAiCodec::new(settings());
        told(&mut codec, &AgentOut::Begin(AgentBrief::default()));
        for message in messages {
            let said = codec.decode(&Wire::Text(message)).unwrap_or_default();
            for out in [AgentOut::Owed, AgentOut::Cancel, AgentOut::Truncate { utterance: 1, heard_ms: 7 }, AgentOut::UserText { text: "x".into() }] {
                if said.contains(&AgentIn::Owing) || !matches!(out, AgentOut::Owed) {
                    told(&mut codec, &out);
                }
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
        let mut codec = open();
        drop(codec.decode(&Wire::Text(String::from_utf8_lossy(&bytes).into_owned())));
        drop(codec.decode(&Wire::Binary(bytes.into())));
    }
}
