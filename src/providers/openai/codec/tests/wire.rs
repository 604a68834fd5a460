//! Everything we say, and anything we may be told.

use proptest::prelude::*;

use super::*;

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
    let fixture = include_str!("../../../../../tests/fixtures/openai/sent.jsonl");
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
