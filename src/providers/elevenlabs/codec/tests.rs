use std::collections::BTreeMap;

use super::*;

const MESSAGES: &str = include_str!("../../../../tests/fixtures/elevenlabs/server.jsonl");
const ULAW: MediaFormat = MediaFormat {
    encoding: Encoding::Ulaw,
    rate_hz: 8_000,
};

fn read(codec: &mut ElevenLabsCodec, text: &str) -> Vec<AgentIn> {
    codec.decode(&Wire::Text(text.to_owned())).unwrap()
}

fn read_kind(kind: &str) -> Vec<AgentIn> {
    let wanted = format!(r#"{{"type":"{kind}""#);
    let line = MESSAGES
        .lines()
        .find(|line| line.starts_with(&wanted))
        .unwrap();
    // The sheet abbreviates base64 and words with an ellipsis.
    read(
        &mut ElevenLabsCodec::new(),
        &line.replace("\"audio_base_64\":\"…\"", "\"audio_base_64\":\"/38A\""),
    )
}

fn sent(out: AgentOut) -> Value {
    let [Wire::Text(text)] = &ElevenLabsCodec::new().encode(&out)[..] else {
        panic!()
    };
    serde_json::from_str(text).unwrap()
}

#[expect(clippy::too_many_lines, reason = "one flat table")]
#[test]
fn every_documented_message_is_read() {
    let cases = [
        (
            "conversation_initiation_metadata",
            AgentIn::Ready {
                conversation_id: "conv_123".into(),
                takes: ULAW,
                gives: ULAW,
            },
        ),
        (
            "audio",
            AgentIn::Audio {
                utterance: 3,
                payload: Bytes::from_static(&[0xff, 0x7f, 0x00]),
            },
        ),
        (
            "user_transcript",
            AgentIn::CallerText {
                utterance: 2,
                text: "hello".into(),
                interim: false,
            },
        ),
        (
            "tentative_user_transcript",
            AgentIn::CallerText {
                utterance: 2,
                text: "hel".into(),
                interim: true,
            },
        ),
        (
            "agent_response",
            AgentIn::AgentText {
                utterance: 3,
                text: "Hi Ann".into(),
                interim: false,
            },
        ),
        (
            "agent_response_correction",
            AgentIn::AgentCorrection {
                utterance: 3,
                original: "Hi Ann, how".into(),
                corrected: "Hi Ann,".into(),
            },
        ),
        (
            "agent_chat_response_part",
            AgentIn::AgentText {
                utterance: 3,
                text: "Hi".into(),
                interim: true,
            },
        ),
        ("interruption", AgentIn::Interruption { utterance: 3 }),
        (
            "ping",
            AgentIn::Ping {
                id: 7,
                rtt_ms: Some(48.0),
            },
        ),
        (
            "client_tool_call",
            AgentIn::ToolCall {
                tool_call_id: "tc_1".into(),
                name: "transfer_call".into(),
                args: r#"{"reason":"asked"}"#.into(),
            },
        ),
        (
            "agent_tool_request",
            AgentIn::ToolNews {
                tool_call_id: "tc_2".into(),
                name: "lookup".into(),
                ok: None,
                result: None,
            },
        ),
        (
            "agent_tool_response_full_payload",
            AgentIn::ToolNews {
                tool_call_id: "tc_2".into(),
                name: "lookup".into(),
                ok: Some(true),
                result: Some("{…}".into()),
            },
        ),
        (
            "mcp_tool_call",
            AgentIn::ToolNews {
                tool_call_id: "tc_4".into(),
                name: "t".into(),
                ok: None,
                result: None,
            },
        ),
        (
            "error",
            AgentIn::Trouble {
                code: "max_duration_exceeded".into(),
                message: "…".into(),
            },
        ),
        (
            "vad_score",
            AgentIn::Unknown {
                kind: "vad_score".into(),
            },
        ),
        (
            "external_agent_connected",
            AgentIn::Unknown {
                kind: "external_agent_connected".into(),
            },
        ),
    ];
    for (kind, wanted) in cases {
        assert_eq!(read_kind(kind), [wanted], "{kind}");
    }
    for line in MESSAGES.lines() {
        let wire = Wire::Text(line.replace("\"…\"", "\"\""));
        assert!(ElevenLabsCodec::new().decode(&wire).is_ok(), "{line}");
    }
}

#[test]
fn end_call_tool_hangs_up_only_when_it_was_carried_out() {
    let said = read_kind("agent_tool_response");
    assert!(matches!(said[1], AgentIn::HangUp { .. }));
    for fields in [
        r#""is_error":true,"is_called":true"#,
        r#""is_error":false,"is_called":false"#,
    ] {
        let text = format!(
            r#"{{"type":"agent_tool_response","agent_tool_response":{{"tool_name":"end_call","tool_call_id":"t",{fields}}}}}"#
        );
        assert_eq!(read(&mut ElevenLabsCodec::new(), &text).len(), 1);
    }
}

#[test]
fn streamed_answer_grows_and_the_final_one_replaces_it() {
    let mut codec = ElevenLabsCodec::new();
    let part = |kind: &str, text: &str| {
        format!(
            r#"{{"type":"agent_chat_response_part","text_response_part":{{"text":"{text}","type":"{kind}","event_id":4}}}}"#
        )
    };
    assert!(read(&mut codec, &part("start", "")).is_empty());
    read(&mut codec, &part("delta", "One "));
    let grown = read(&mut codec, &part("delta", "moment"));
    assert_eq!(
        grown,
        [AgentIn::AgentText {
            utterance: 4,
            text: "One moment".into(),
            interim: true
        }]
    );
    let last = read(
        &mut codec,
        r#"{"type":"agent_response","agent_response_event":{"agent_response":" One moment. ","event_id":4}}"#,
    );
    assert_eq!(
        last,
        [AgentIn::AgentText {
            utterance: 4,
            text: "One moment.".into(),
            interim: false
        }]
    );
}

#[test]
fn formats_that_cannot_be_bridged_are_named() {
    let metadata = |format: &str| {
        format!(
            r#"{{"type":"conversation_initiation_metadata","conversation_initiation_metadata_event":{{"conversation_id":"c","agent_output_audio_format":"{format}","user_input_audio_format":"pcm_16000"}}}}"#
        )
    };
    let mut codec = ElevenLabsCodec::new();
    let AgentIn::Ready { gives, takes, .. } = &read(&mut codec, &metadata("pcm_44100"))[0] else {
        panic!()
    };
    assert_eq!(
        (gives.rate_hz, takes.rate_hz, takes.encoding),
        (44_100, 16_000, Encoding::Pcm16Le)
    );
    assert!(
        matches!(&read(&mut codec, &metadata("ulaw_8000"))[0], AgentIn::Trouble { code, .. } if code == "protocol")
    );
    let odd = read(&mut ElevenLabsCodec::new(), &metadata("opus_48000"));
    assert!(matches!(&odd[0], AgentIn::Trouble { message, .. } if message.contains("opus_48000")));
}

#[test]
fn client_messages_have_the_documented_shape() {
    assert_eq!(
        sent(AgentOut::Audio(Bytes::from_static(&[0xff, 0x7f, 0x00]))),
        json!({"user_audio_chunk": "/38A"})
    );
    assert_eq!(
        sent(AgentOut::Pong { id: 7 }),
        json!({"type": "pong", "event_id": 7})
    );
    assert_eq!(
        sent(AgentOut::ToolResult {
            tool_call_id: "tc_1".into(),
            ok: false,
            result: "no".into()
        }),
        json!({"type": "client_tool_result", "tool_call_id": "tc_1", "result": "no", "is_error": true})
    );
    assert_eq!(
        sent(AgentOut::Context { text: "x".into() }),
        json!({"type": "contextual_update", "text": "x"})
    );
    assert_eq!(
        sent(AgentOut::UserText { text: "x".into() }),
        json!({"type": "user_message", "text": "x"})
    );
    assert!(ElevenLabsCodec::new().encode(&AgentOut::Cancel).is_empty());
}

#[test]
fn begin_overrides_only_what_is_set() {
    let bare = sent(AgentOut::Begin(AgentBrief::default()));
    assert_eq!(bare["type"], "conversation_initiation_client_data");
    assert!(
        bare.get("conversation_config_override").is_none()
            && bare.get("dynamic_variables").is_none()
    );
    let brief = AgentBrief {
        prompt: Some("Be kind".into()),
        voice: Some("v1".into()),
        variables: BTreeMap::from([
            ("lead_id".into(), "lead_001".into()),
            ("system__x".into(), "y".into()),
        ]),
        ..AgentBrief::default()
    };
    let full = sent(AgentOut::Begin(brief));
    assert_eq!(
        full["conversation_config_override"],
        json!({"agent": {"prompt": {"prompt": "Be kind"}}, "tts": {"voice_id": "v1"}})
    );
    assert_eq!(full["dynamic_variables"], json!({"lead_id": "lead_001"}));
}

#[test]
fn only_a_normal_close_is_on_purpose() {
    let codec = ElevenLabsCodec::new();
    assert_eq!(
        codec.ended_on_purpose(Some(1000), "bye").as_deref(),
        Some("bye")
    );
    assert!(codec.ended_on_purpose(Some(1000), "").is_some());
    assert_eq!(codec.ended_on_purpose(Some(1011), "x"), None);
    assert_eq!(codec.ended_on_purpose(None, ""), None);
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused(any in ".{0,200}", line in 0usize..24, cut in 0usize..200) {
        let mut codec = ElevenLabsCodec::new();
        let _either = codec.decode(&Wire::Text(any));
        let message = MESSAGES.lines().nth(line).unwrap_or_default();
        let cut: String = message.chars().take(cut).collect();
        let _either = codec.decode(&Wire::Text(cut));
        let _either = codec.decode(&Wire::Text(message.replace(['1', '3'], "\"x\"")));
    }
}
