//! What goes wrong at the vendor, and what it costs.

use super::*;

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
