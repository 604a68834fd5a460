use super::*;

#[test]
fn documented_messages_are_read() {
    for line in include_str!("../../../../tests/fixtures/openai/client.jsonl").lines() {
        // Only calls over WebRTC have such a buffer.
        let wanted = !line.contains("output_audio_buffer.clear");
        assert_eq!(
            read(line, false).is_ok(),
            wanted,
            "{line}: {:?}",
            read(line, false)
        );
    }
}

#[test]
fn what_the_vendor_would_refuse_is_refused_with_its_words() {
    let session = |more: &str| {
        format!(
            r#"{{"type":"session.update","event_id":"e1","session":{{"type":"realtime",{more}"audio":{{"input":{{"format":{{"type":"audio/pcmu"}},"turn_detection":{{"type":"server_vad"}}}},"output":{{"format":{{"type":"audio/pcmu"}},"voice":"shimmer"}}}}}}}}"#
        )
    };
    assert!(read(&session(""), false).is_ok());
    for (text, code, param) in [
        (session(r#""voice":"shimmer","#), "unknown_parameter", Some("session.voice")),
        (session(r#""temperature":0.8,"#), "unknown_parameter", Some("session.temperature")),
        (
            session("").replace("shimmer", "nova"),
            "invalid_value",
            Some("session.audio.output.voice"),
        ),
        (
            session("").replace(r#""type":"realtime","#, ""),
            "missing_required_parameter",
            Some("session.type"),
        ),
        ("nonsense".to_owned(), "invalid_json", None),
        (r#"{"type":"clear"}"#.to_owned(), "invalid_value", Some("type")),
        (
            r#"{"type":"input_audio_buffer.append","audio":"%"}"#.to_owned(),
            "invalid_value",
            Some("audio"),
        ),
        (
            r#"{"type":"conversation.item.truncate","item_id":"i","content_index":0,"audio_end_ms":1.5}"#.to_owned(),
            "invalid_type",
            Some("audio_end_ms"),
        ),
        (
            r#"{"type":"conversation.item.create","item":{"type":"function_call_output","call_id":"c","output":{"a":1}}}"#.to_owned(),
            "invalid_type",
            Some("item.output"),
        ),
    ] {
        let refusal = read(&text, false).unwrap_err();
        assert_eq!((refusal.code, refusal.param.as_deref()), (code, param), "{text}");
    }
    let refusal = read(&session(r#""x":1,"#), false).unwrap_err();
    assert_eq!(refusal.event_id.as_deref(), Some("e1"));
    let old = r#"{"type":"session.update","session":{"modalities":["text","audio"],"voice":"shimmer","input_audio_format":"g711_ulaw","output_audio_format":"g711_ulaw","turn_detection":{"type":"server_vad"}}}"#;
    assert!(read(old, true).is_ok() && read(old, false).is_err());
}
