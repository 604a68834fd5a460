use serde_json::json;

use super::*;

fn read(body: serde_json::Value) -> ConversationEvent {
    read_event(body.to_string().as_bytes()).expect("an event")
}

fn user(text: &str) -> EventKind {
    EventKind::Said {
        who: Speaker::User,
        text: text.into(),
        partial: false,
    }
}

#[test]
fn only_an_object_with_a_type_is_an_event() {
    let rows: [(&[u8], EventError); 5] = [
        (b"", EventError::NotJson),
        (b"{", EventError::NotJson),
        (b"\xff\xfe", EventError::NotJson),
        (b"[1]", EventError::NotAnObject),
        (b"{\"data\":{}}", EventError::NoType),
    ];
    for (body, expected) in rows {
        assert_eq!(read_event(body), Err(expected));
    }
    assert_eq!(read(json!({"type": "brand_new"})).kind, EventKind::Unknown);
}

#[test]
fn text_is_found_in_every_family() {
    let rows = [
        json!({"type": "user_message", "data": {"message": " hello "}}),
        json!({"type": " USER_TRANSCRIPT ", "data": {"transcript": "hello"}}),
        json!({"event_type": "user_transcription", "text": "hello"}),
        json!({"event": "conversation_user", "data": {"user_transcript": "hello"}}),
        json!({"data": {"type": "voice_received", "message": "hello"}}),
        json!({"type": "user_transcript",
            "user_transcription_event": {"user_transcript": "hello", "event_id": 2}}),
        json!({"type": "user_transcript", "data":
            {"user_transcription_event": {"user_transcript": "hello", "event_id": 2}}}),
    ];
    for body in rows {
        assert_eq!(read(body.clone()).kind, user("hello"), "{body}");
    }
    let agent = [
        json!({"type": "agent_message", "data": {"message": "hi"}}),
        json!({"type": "agent_response", "data": {"response": "hi"}}),
        json!({"type": "agent_response", "agent_response_event": {"agent_response": "hi", "event_id": 3}}),
        json!({"type": "voice_sent", "message": "hi"}),
    ];
    for body in agent {
        let said = EventKind::Said {
            who: Speaker::Agent,
            text: "hi".into(),
            partial: false,
        };
        assert_eq!(read(body.clone()).kind, said, "{body}");
    }
    let partial =
        read(json!({"type": "user_message", "data": {"message": "he", "is_partial": true}}));
    assert!(matches!(
        partial.kind,
        EventKind::Said { partial: true, .. }
    ));
    let silent = read(json!({"type": "user_message", "data": {"transcript": ["a"]}}));
    assert_eq!(silent.kind, EventKind::Idle);
}

#[test]
fn ids_and_leads_are_found_wherever_they_are() {
    let leads = [
        json!({"conversation_initiation_client_data": {"dynamic_variables": {"lead_id": "L1"}, "lead_id": "no"}}),
        json!({"conversation_initiation_client_data": {"lead_id": "L1"}}),
        json!({"conversation_initiation_client_data": {"custom_llm_extra_body": {"leadId": "L1"}}}),
        json!({"conversation": {"conversation_initiation_client_data": {"dynamic_variables": {"leadId": "L1"}}}}),
        json!({"call": {"conversation_initiation_client_data": {"lead_id": "L1"}}}),
        json!({"dynamic_variables": {"lead_id": "L1"}, "metadata": {"lead_id": "no"}}),
        json!({"metadata": {"lead_id": "L1"}, "lead_id": "no"}),
        json!({"client_data": {"leadId": "L1"}}),
        json!({"leadId": "L1"}),
        json!({"conversation_initiation_client_data": {"user_id": "L1"}}),
        json!({"user_id": "L1"}),
    ];
    for data in leads {
        let event = read(json!({"type": "ping", "data": data}));
        assert_eq!(event.clues.lead_id.as_deref(), Some("L1"), "{data}");
    }
    let beside = read(json!({"type": "ping", "metadata": {"leadId": 7}, "data": {"x": 1}}));
    assert_eq!(beside.clues.lead_id.as_deref(), Some("7"));
    let conversations = [
        json!({"type": "ping", "data": {"conversation_id": "c1"}}),
        json!({"type": "ping", "conversation_id": "c1", "data": {}}),
        json!({"type": "ping", "data": {"conversationId": "c1"}}),
        json!({"type": "ping", "data": {"conversation": {"id": "c1"}}}),
        json!({"type": "ping", "data": {"call": {"conversation_id": "c1"}}}),
        json!({"type": "conversation_initiation_metadata",
            "conversation_initiation_metadata_event": {"conversation_id": "c1"}}),
    ];
    for body in conversations {
        assert_eq!(
            read(body.clone()).conversation_id.as_deref(),
            Some("c1"),
            "{body}"
        );
    }
    let calls = [
        json!({"call_sid": "CA1"}),
        json!({"callSid": "CA1"}),
        json!({"metadata": {"phone_call": {"call_sid": "CA1"}}}),
        json!({"metadata": {"body": {"CallSid": "CA1"}}}),
        json!({"conversation_initiation_client_data": {"dynamic_variables": {"system__call_sid": "CA1"}}}),
    ];
    for data in calls {
        let event = read(json!({"type": "ping", "data": data}));
        assert_eq!(event.call_sid.as_deref(), Some("CA1"), "{data}");
    }
    let placeholder = json!({"type": "ping", "data": {"conversation_id": PLACEHOLDER}});
    assert_eq!(read(placeholder).conversation_id, None);
}

#[test]
fn times_come_in_seconds_milliseconds_and_words_and_never_fail() {
    let rows = [
        (json!(1_795_219_200), true),
        (json!(1_795_219_200.5), true),
        (json!(1_795_219_200_000_u64), true),
        (json!("2026-11-21T00:00:00Z"), true),
        (json!("yesterday"), false),
        (json!(-5), false),
        (json!(null), false),
        (json!(1e300), false),
    ];
    for (stamp, known) in rows {
        let event = read(json!({"type": "ping", "event_timestamp": stamp}));
        assert_eq!(event.at.is_some(), known, "{stamp}");
        if let Some(at) = event.at {
            assert_eq!(at.timestamp(), 1_795_219_200);
        }
    }
}

#[test]
fn numbers_are_made_comparable() {
    let rows = [
        ("+14155550134", Some("+14155550134")),
        ("(415) 555-0134", Some("+14155550134")),
        ("14155550134", Some("+14155550134")),
        ("442071838750", Some("+442071838750")),
        ("anonymous", None),
    ];
    for (text, expected) in rows {
        assert_eq!(normal_number(text).as_deref(), expected, "{text}");
    }
}

#[test]
fn what_comes_after_the_call_is_read_with_everything_missing_and_everything_there() {
    let bare = read(json!({"type": "post_call_transcription", "data": {"conversation_id": "c"}}));
    let EventKind::PostCall(bare) = bare.kind else {
        panic!("a post-call event");
    };
    assert!(bare.over && !bare.analysed && bare.lines.is_empty());
    let body = json!({"type": "post_call_transcription", "event_timestamp": 1_795_219_195, "data": {
        "agent_id": "agent_1", "agent_name": "Sales", "conversation_id": "conv_1", "status": "done",
        "transcript": [
            {"role": "agent", "message": "Hey", "conversation_turn_metrics":
                {"metrics": {"convai_ttf_audio_since_silence": {"elapsed_time": 0.82}}}},
            {"role": "user", "message": "Hello", "interrupted": false},
            {"role": "agent", "message": null, "tool_calls": []},
            {"role": "agent", "message": "Bye", "interrupted": true, "conversation_turn_metrics":
                {"convai_ttf_audio_since_silence": {"elapsed_time": 1.5}}},
        ],
        "metadata": {"call_duration_secs": 22, "cost_fiat": 0.02, "termination_reason": "end_call tool was called",
            "phone_call": {"type": "twilio", "direction": "outbound", "agent_number": "+15557650000",
                "external_number": "+14155550134", "call_sid": "CA1", "call_result": "answered"}},
        "analysis": {"call_successful": "success", "transcript_summary": "They talked.",
            "data_collection_results": {"sentiment": {"value": "positive"}, "topics": {"value": "price, date"}}},
    }});
    let event = read(body);
    assert_eq!(event.call_sid.as_deref(), Some("CA1"));
    assert_eq!(event.clues.phone.as_deref(), Some("+14155550134"));
    assert_eq!(event.clues.outbound, Some(true));
    let EventKind::PostCall(told) = event.kind else {
        panic!("a post-call event");
    };
    let latencies: Vec<_> = told.lines.iter().map(|line| line.latency_ms).collect();
    assert_eq!(latencies, [Some(820), None, Some(1500)]);
    assert!(told.lines[2].interrupted);
    assert_eq!(told.duration_s, Some(22));
    assert_eq!(told.summary.as_deref(), Some("They talked."));
    assert_eq!(told.sentiment.as_deref(), Some("positive"));
    assert_eq!(told.topics, ["price", "date"]);
}

#[test]
fn a_call_that_never_was_says_why() {
    let rows = [
        (json!({"failure_reason": "busy"}), CallResult::Busy),
        (json!({"failure_reason": "no-answer"}), CallResult::NoAnswer),
        (
            json!({"failure_reason": "unknown", "metadata": {"type": "sip", "body": {"sip_status_code": 486}}}),
            CallResult::Busy,
        ),
        (json!({}), CallResult::Failed),
    ];
    for (data, expected) in rows {
        let event = read(json!({"type": "call_initiation_failure", "data": data}));
        assert!(
            matches!(event.kind, EventKind::NotInitiated { result, .. } if result == expected),
            "{data}"
        );
    }
}

proptest::proptest! {
    #[test]
    fn nothing_makes_it_panic(body in proptest::collection::vec(0u8.., 0..400)) {
        let _whatever = read_event(&body);
    }

    #[test]
    fn no_shape_makes_it_panic(word in "(user_message|post_call_transcription|interruption|client_tool_call|call_ended|x)",
        field in "(message|transcript|metadata|analysis|conversation_initiation_client_data|event_timestamp)",
        value in "(null|\\[\\]|\\{\\}|\"\"|-1|1e400|\\[null,\\{\"message\":3\\}\\]|\\{\"phone_call\":7\\})") {
        let body = format!("{{\"type\":\"{word}\",\"data\":{{\"{field}\":{value}}}}}");
        let _whatever = read_event(body.as_bytes());
    }
}
