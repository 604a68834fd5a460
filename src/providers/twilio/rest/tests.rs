use crate::call::{CallStatus, Direction};
use crate::providers::RestFailure;
use crate::providers::twilio::{read_call, read_calls, read_failure};

use super::*;

const AC: &str = "ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const CA: &str = "CA1234567890abcdef1234567890abcdef";

fn rest() -> Rest {
    Rest::new(AC).unwrap()
}

#[test]
fn dial_asks_for_every_event_and_async_detection() {
    let request = rest().dial(&DialForm {
        to: "+15551230000".into(),
        from: "+15557650000".into(),
        url: "https://h/outbound-call-twiml#rc=3&rp=all".into(),
        status_callback: "https://h/call-status-callback".into(),
        amd: AmdMode::MessageEnd,
        amd_callback: "https://h/amd-status-callback".into(),
        recording_callback: Some("https://h/recording-status-callback".into()),
        ..DialForm::default()
    });
    assert_eq!(
        request.path,
        format!("/2010-04-01/Accounts/{AC}/Calls.json")
    );
    assert!(!request.idempotent);
    let body = request.body();
    for piece in [
        "To=%2B15551230000",
        "Url=https%3A%2F%2Fh%2Foutbound-call-twiml%23rc%3D3%26rp%3Dall",
        "StatusCallbackEvent=initiated&StatusCallbackEvent=ringing&StatusCallbackEvent=answered&StatusCallbackEvent=completed",
        "MachineDetection=DetectMessageEnd&AsyncAmd=true",
        "Record=true&RecordingChannels=dual",
    ] {
        assert!(body.contains(piece), "{piece} in {body}");
    }
}

#[test]
fn live_control_has_the_documented_wire() {
    let end = rest().hang_up(CA).unwrap();
    assert_eq!(
        (end.path.as_str(), end.body().as_str()),
        (
            format!("/2010-04-01/Accounts/{AC}/Calls/{CA}.json").as_str(),
            "Status=completed"
        )
    );
    assert!(end.idempotent);
    let pause = rest()
        .change_recording(CA, None, RecordingChange::Pause)
        .unwrap();
    assert!(pause.path.ends_with("/Recordings/Twilio.CURRENT.json"));
    assert_eq!(pause.body(), "Status=paused&PauseBehavior=silence");
    let media = rest().recording_media("RE1").unwrap();
    assert_eq!(
        media.path,
        format!("/2010-04-01/Accounts/{AC}/Recordings/RE1.wav?RequestedChannels=2")
    );
}

#[test]
fn ids_cannot_leave_their_place_in_the_path() {
    for id in ["../../x", "CA1/Recordings", "CA1?x", "", "CA1%2f"] {
        assert!(
            rest().hang_up(id).is_err() && rest().recording_media(id).is_err(),
            "{id}"
        );
    }
    assert!(
        rest()
            .next_page("https://evil.example/2010-04-01/")
            .is_none()
    );
    assert!(
        rest()
            .next_page("/2010-04-01/Accounts/ACother/Calls.json")
            .is_none()
    );
    assert!(
        rest()
            .next_page(&format!("/2010-04-01/Accounts/{AC}/Calls.json?Page=1"))
            .is_some()
    );
}

#[test]
fn call_resource_is_read_with_its_strings() {
    let body = format!(
        r#"{{"sid":"{CA}","status":"in-progress","direction":"outbound-api","from":"+1","to":"+2","start_time":"Sat, 21 Nov 2026 04:00:00 +0000","duration":"47","answered_by":null,"price":"-0.0085"}}"#
    );
    let call = read_call(body.as_bytes()).unwrap();
    assert_eq!(call.status, Some(CallStatus::InProgress));
    assert_eq!(
        (call.direction, call.duration_s),
        (Direction::Outbound, Some(47))
    );
    let page = format!(r#"{{"calls":[{body}],"next_page_uri":null}}"#);
    assert_eq!(read_calls(page.as_bytes()).unwrap(), (vec![call], None));
    assert!(read_call(b"<html>").is_err());
}

#[test]
fn failures_of_both_classes_are_understood() {
    let classic = |code: i64| format!(r#"{{"code":{code},"message":"m","status":400}}"#);
    assert_eq!(
        read_failure(404, classic(20404).as_bytes(), true),
        RestFailure::AlreadyEnded
    );
    assert_eq!(
        read_failure(400, classic(21220).as_bytes(), true),
        RestFailure::AlreadyEnded
    );
    assert_eq!(
        read_failure(404, classic(20404).as_bytes(), false),
        RestFailure::Refused {
            code: Some(20404),
            message: "m".into()
        }
    );
    assert_eq!(
        read_failure(401, classic(20003).as_bytes(), true),
        RestFailure::Unauthorized
    );
    assert_eq!(read_failure(429, b"", false), RestFailure::RateLimited);
    assert_eq!(
        read_failure(502, b"<html>", false),
        RestFailure::Unavailable { status: 502 }
    );
    let problem =
        br#"{"type":"about:blank","title":"Bad","status":400,"code":"20001","detail":"why"}"#;
    assert_eq!(
        read_failure(400, problem, false),
        RestFailure::Refused {
            code: Some(20001),
            message: "why".into()
        }
    );
    assert_eq!(
        read_failure(400, classic(21211).as_bytes(), false),
        RestFailure::Refused {
            code: Some(21211),
            message: "the number to call is not valid".into()
        }
    );
}
