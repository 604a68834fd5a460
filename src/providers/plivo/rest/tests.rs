use proptest::prelude::*;

use crate::call::{CallStatus, Direction};
use crate::providers::RestFailure;
use crate::providers::plivo::{
    read_call, read_dialled, read_ended, read_failure, read_ids, read_recording, read_recording_url,
};

use super::*;

const MA: &str = "MAXXXXXXXXXXXXXXXXXX";
const CALL: &str = "11111111-2222-3333-4444-555555555555";

fn rest() -> Rest {
    Rest::new(MA).unwrap()
}

fn line(request: &RestRequest) -> String {
    let body = request
        .body
        .as_ref()
        .map_or_else(String::new, |body| format!(" {body}"));
    let tail = request
        .path
        .strip_prefix("/v1/Account/MAXXXXXXXXXXXXXXXXXX/")
        .unwrap();
    format!("{:?} {tail}{body}", request.method)
}

#[test]
fn a_call_is_placed_with_every_callback_and_never_twice() {
    let request = rest().dial(&DialForm {
        to: "+15551230000".into(),
        from: "+15557650000".into(),
        answer_url: "https://h/answer?call=1#rc=3&rp=all".into(),
        fallback_url: Some("https://h/fallback".into()),
        ring_url: Some("https://h/ring".into()),
        hangup_url: "https://h/hangup".into(),
        machine_url: Some("https://h/machine-detection".into()),
        ring_timeout_s: Some(30),
    });
    assert_eq!(request.path, format!("/v1/Account/{MA}/Call/"));
    assert!(!request.idempotent);
    assert_eq!(
        request.body.unwrap(),
        json!({
            "from": "15557650000", "to": "15551230000",
            "answer_url": "https://h/answer?call=1#rc=3&rp=all", "answer_method": "POST",
            "hangup_url": "https://h/hangup", "hangup_method": "POST",
            "ring_url": "https://h/ring", "ring_method": "POST",
            "fallback_url": "https://h/fallback", "fallback_method": "POST",
            "machine_detection": "true", "machine_detection_url": "https://h/machine-detection",
            "machine_detection_method": "POST", "ring_timeout": 30,
        })
    );
    let plain = rest().dial(&DialForm::default()).body.unwrap();
    assert!(plain.get("machine_detection").is_none() && plain.get("ring_url").is_none());
}

#[test]
fn live_control_has_the_documented_wire() {
    let rest = rest();
    for (request, expected) in [
        (rest.hang_up(CALL), format!("Delete Call/{CALL}/")),
        (rest.cancel(CALL), format!("Delete Request/{CALL}/")),
        (
            rest.transfer(CALL, "https://h/transfer?to=1"),
            format!(
                r#"Post Call/{CALL}/ {{"aleg_method":"POST","aleg_url":"https://h/transfer?to=1","legs":"aleg"}}"#
            ),
        ),
        (
            rest.record(CALL, "https://h/recording"),
            format!(
                r#"Post Call/{CALL}/Record/ {{"callback_method":"POST","callback_url":"https://h/recording","file_format":"wav","record_channel_type":"stereo","time_limit":14400}}"#
            ),
        ),
        (
            rest.stop_recording(CALL),
            format!("Delete Call/{CALL}/Record/"),
        ),
        (
            rest.speak(CALL, "Hello\u{1b}[2J", Leg::A),
            format!(r#"Post Call/{CALL}/Speak/ {{"legs":"aleg","text":"Hello"}}"#),
        ),
        (
            rest.stop_speaking(CALL),
            format!("Delete Call/{CALL}/Speak/"),
        ),
        (
            rest.play(CALL, "https://h/a.mp3", Leg::Both),
            format!(r#"Post Call/{CALL}/Play/ {{"legs":"both","urls":"https://h/a.mp3"}}"#),
        ),
        (rest.stop_playing(CALL), format!("Delete Call/{CALL}/Play/")),
        (
            rest.press(CALL, "12#", Leg::B),
            format!(r#"Post Call/{CALL}/DTMF/ {{"digits":"12#","leg":"bleg"}}"#),
        ),
        (rest.live(CALL), format!("Get Call/{CALL}/?status=live")),
        (rest.queued(CALL), format!("Get Call/{CALL}/?status=queued")),
        (rest.ended(CALL), format!("Get Call/{CALL}/")),
        (
            rest.recordings(CALL),
            format!("Get Recording/?call_uuid={CALL}"),
        ),
        (rest.recording(CALL), format!("Get Recording/{CALL}/")),
    ] {
        assert_eq!(line(&request.unwrap()), expected);
    }
    assert_eq!(
        line(&rest.live_ids(0)),
        "Get Call/?status=live&limit=20&offset=0"
    );
    assert_eq!(
        line(&rest.queued_ids(20)),
        "Get Call/?status=queued&limit=20&offset=20"
    );
    assert_eq!(line(&rest.ended_page(20)), "Get Call/?limit=20&offset=20");
}

/// Every request, as the official client sends it. Checked against that client by
/// `tests/interop/vendor_types.py`.
#[test]
fn every_request_stands_in_the_fixture() {
    let rest = rest();
    let requests = [
        (
            "dial",
            Ok(rest.dial(&DialForm {
                to: "+15551230000".into(),
                from: "+15557650000".into(),
                answer_url: "https://h/answer".into(),
                fallback_url: Some("https://h/fallback".into()),
                ring_url: Some("https://h/ring".into()),
                hangup_url: "https://h/hangup".into(),
                machine_url: Some("https://h/machine-detection".into()),
                ring_timeout_s: Some(30),
            })),
        ),
        ("hang_up", rest.hang_up(CALL)),
        ("cancel", rest.cancel(CALL)),
        ("transfer", rest.transfer(CALL, "https://h/transfer?to=1")),
        ("record", rest.record(CALL, "https://h/recording")),
        ("stop_recording", rest.stop_recording(CALL)),
        ("speak", rest.speak(CALL, "Hello", Leg::A)),
        ("stop_speaking", rest.stop_speaking(CALL)),
        ("play", rest.play(CALL, "https://h/a.mp3", Leg::A)),
        ("stop_playing", rest.stop_playing(CALL)),
        ("press", rest.press(CALL, "12#", Leg::A)),
        ("live_ids", Ok(rest.live_ids(0))),
        ("queued_ids", Ok(rest.queued_ids(0))),
        ("live", rest.live(CALL)),
        ("queued", rest.queued(CALL)),
        ("ended", rest.ended(CALL)),
        ("ended_page", Ok(rest.ended_page(20))),
        ("recordings", rest.recordings(CALL)),
        ("recording", rest.recording(CALL)),
    ];
    let lines: Vec<String> = requests
        .into_iter()
        .map(|(name, request)| {
            let request = request.unwrap();
            json!({"name": name, "method": format!("{:?}", request.method).to_uppercase(),
                "path": request.path, "body": request.body})
            .to_string()
        })
        .collect();
    let fixture = include_str!("../../../../tests/fixtures/plivo/requests.jsonl");
    let known: Vec<&str> = fixture.lines().collect();
    assert_eq!(
        known,
        lines,
        "write them to the fixture:\n{}",
        lines.join("\n")
    );
}

#[test]
fn only_ids_reach_a_path() {
    for bad in [
        "",
        "a",
        "../Account",
        "a/b",
        "a?b",
        "a b",
        "a%2e",
        "\u{e9}\u{e9}\u{e9}",
    ] {
        assert!(rest().hang_up(bad).is_err(), "{bad:?}");
        assert!(Rest::new(bad).is_err());
    }
}

#[test]
fn official_answers_are_read() {
    let fired = br#"{"message":"call fired","request_uuid":"9834029e-58b6-11e1-b8b7-a5bd0e4e126f","api_id":"97ceeb52"}"#;
    assert_eq!(
        read_dialled(fired).unwrap(),
        "9834029e-58b6-11e1-b8b7-a5bd0e4e126f"
    );
    let several = br#"{"message":"calls fired","request_uuid":["abc","def"],"api_id":"97ceeb52"}"#;
    assert_eq!(read_dialled(several).unwrap(), "abc");
    assert!(read_dialled(br#"{"request_uuid":"../x"}"#).is_err());
    assert!(read_dialled(br#"{"message":"async api spawned"}"#).is_err());
    let live = br#"{"api_id":"45e78eeb","call_status":"in-progress","call_uuid":"eac94337","caller_name":"+15557650000","direction":"outbound","from":"15557650000","to":"15551230000","request_uuid":"eac94337","session_start":"2017-05-22 13:17:49.050872"}"#;
    let call = read_call(live).unwrap();
    assert_eq!(call.status, Some(CallStatus::InProgress));
    assert_eq!(
        (call.direction, call.to.as_str()),
        (Direction::Outbound, "+15551230000")
    );
    assert_eq!(
        call.started_at.unwrap().to_rfc3339(),
        "2017-05-22T13:17:49.050872+00:00"
    );
    let ended = br#"{"answer_time":"2026-11-21 09:30:08+05:30","api_id":"x","bill_duration":60,"billed_duration":60,"call_direction":"inbound","call_duration":47,"call_uuid":"abc","end_time":"2026-11-21 09:30:55+05:30","from_number":"15551230000","hangup_cause_code":3010,"hangup_cause_name":"Busy Line","hangup_source":"Callee","initiation_time":"2026-11-21 09:30:00+05:30","parent_call_uuid":null,"resource_uri":"/v1/Account/MA/Call/abc/","to_number":"15557650000","total_amount":"0.00850","total_rate":"0.00850"}"#;
    let call = read_call(ended).unwrap();
    assert_eq!(call.status, Some(CallStatus::Busy));
    assert_eq!(
        call.started_at.unwrap().to_rfc3339(),
        "2026-11-21T04:00:00+00:00"
    );
    assert_eq!((call.duration_s, call.cost_usd), (Some(47), Some(0.0085)));
    assert_eq!(call.hangup_source.as_deref(), Some("Callee"));
    let page = format!(
        r#"{{"api_id":"x","meta":{{"limit":20,"next":"/v1/Account/MA/Call/?limit=20&offset=20","offset":0,"previous":null,"total_count":21}},"objects":[{}]}}"#,
        String::from_utf8_lossy(ended)
    );
    let (calls, more) = read_ended(page.as_bytes()).unwrap();
    assert_eq!((calls.len(), more), (1, true));
    assert_eq!(
        read_ids(br#"{"api_id":"x","calls":["a1","b2"]}"#).unwrap(),
        ["a1", "b2"]
    );
    let recording = br#"{"url":"https://media.plivo.com/r.wav","message":"call recording started","recording_id":"r1","api_id":"x"}"#;
    assert_eq!(read_recording(recording).unwrap(), "r1");
}

#[test]
fn recordings_come_from_the_carriers_own_hosts_only() {
    let of = |url: &str, base: &str| {
        let body = serde_json::json!({"recording_url": url}).to_string();
        read_recording_url(body.as_bytes(), base).is_ok()
    };
    let base = "https://api.plivo.com";
    for good in [
        "https://media.plivo.com/v1/Account/MA/Recording/r.wav",
        "https://api.plivo.com/r.wav",
        "https://s3.media.plivo.com/r.wav",
    ] {
        assert!(of(good, base), "{good}");
    }
    for bad in [
        "http://media.plivo.com/r.wav",
        "https://plivo.com.evil.example/r.wav",
        "https://evilplivo.com/r.wav",
        "https://media.plivo.com:8443/r.wav",
        "https://user@media.plivo.com/r.wav",
        "https://169.254.169.254/latest",
        "file:///etc/passwd",
        "r.wav",
    ] {
        assert!(!of(bad, base), "{bad}");
    }
    assert!(of("http://127.0.0.1:9/r.wav", "http://127.0.0.1:9"));
    assert!(!of("http://127.0.0.1:8/r.wav", "http://127.0.0.1:9"));
    assert!(!of("https://evil.test/r.wav", "https://carrier.test"));
}

#[test]
fn failures_say_what_to_do() {
    assert_eq!(read_failure(404, b"", true), RestFailure::AlreadyEnded);
    assert_eq!(
        read_failure(404, br#"{"error":"not found"}"#, false),
        RestFailure::Refused {
            code: None,
            message: "not found".into()
        }
    );
    assert_eq!(
        read_failure(401, b"Could not verify your access level", false),
        RestFailure::Unauthorized
    );
    assert_eq!(read_failure(429, b"", true), RestFailure::RateLimited);
    assert_eq!(
        read_failure(503, b"<html>", false),
        RestFailure::Unavailable { status: 503 }
    );
    let fields = br#"{"api_id":"x","error":{"to":["invalid"],"from":"missing"}}"#;
    assert_eq!(
        read_failure(400, fields, false),
        RestFailure::Refused {
            code: None,
            message: "from: missing; to: [\"invalid\"]".into()
        }
    );
    assert_eq!(
        read_failure(403, b"no", false),
        RestFailure::Refused {
            code: None,
            message: "HTTP 403".into()
        }
    );
}

proptest! {
    #[test]
    fn arbitrary_answers_never_panic(body in proptest::collection::vec(any::<u8>(), 0..200), status in 100u16..600, text in "\\PC{0,40}") {
        drop(read_call(&body));
        drop(read_ids(&body));
        drop(read_ended(&body));
        drop(read_dialled(&body));
        drop(read_recording_url(&body, &text));
        read_failure(status, &body, true);
        let call = serde_json::json!({"call_uuid": text, "session_start": text, "hangup_cause_code": text, "call_duration": text});
        drop(read_call(call.to_string().as_bytes()));
        drop(rest().hang_up(&text));
    }
}
