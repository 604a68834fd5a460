//! The simulated carrier against a small backend written for the test: real sockets, real signatures.

mod rig;

use serde_json::json;

use super::*;
use crate::simulator::speech::{Ending, Outcome, Script};
use rig::{Play, Rig};

fn code(view: &PlivoCallView) -> (u32, &'static str) {
    view.ended
        .as_ref()
        .map(|ended| (ended.code, ended.source))
        .unwrap()
}

#[tokio::test]
async fn an_incoming_call_streams_signed_and_in_order_and_ends_with_one_hangup() {
    let rig = Rig::new(Play::ToneAndMark, "", Script::tones("t", 2, 300)).await;
    let call = rig.inbound();
    let view = call.wait_over().await.unwrap();
    assert_eq!(code(&view), (4_000, "Caller"));
    assert_eq!((view.checkpoints_received, view.checkpoints_played), (1, 1));
    assert!(view.heard_ms >= 300 && view.errors.is_empty(), "{view:?}");
    let news = rig.backend.wait_news(3).await;
    assert_eq!(news, ["StartStream", "StopStream", "4000"]);
    assert_eq!(
        rig.backend.field("/answer", "From").as_deref(),
        Some("15555550142")
    );
    assert_eq!(
        rig.backend.field("/answer", "CallStatus").as_deref(),
        Some("ringing")
    );
    let seen = rig.backend.streamed.lock().unwrap();
    assert_eq!(seen[0]["event"], "start");
    assert_eq!(seen[0]["start"]["callId"], call.uuid());
    assert_eq!(seen[0]["extra_headers"], "wb=t1;lead=42");
    let mut last_ms = 0;
    for (n, frame) in seen.iter().filter(|v| v["event"] == "media").enumerate() {
        assert_eq!(frame["media"]["chunk"], n + 1);
        let ms: u64 = frame["media"]["timestamp"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!(n == 0 || ms == last_ms + 20);
        last_ms = ms;
    }
    assert!(
        !seen
            .iter()
            .any(|v| v["event"] == "stop" || v["event"] == "connected")
    );
}

#[tokio::test]
async fn clear_stops_playback_is_acknowledged_and_its_checkpoints_never_come() {
    let script = Script::tones("t", 2, 300).with_ending(Ending::Nobody);
    let rig = Rig::new(Play::ToneThenClear, "", script).await;
    let call = rig.inbound();
    let view = call
        .wait("clear", |v| v.clears == 1 && v.frames_sent > 40)
        .await
        .unwrap();
    assert!(
        view.cleared_ms > 9_000 && view.played_ms < 1_000,
        "{view:?}"
    );
    assert_eq!(view.checkpoints_played, 0);
    let seen = rig.backend.streamed.lock().unwrap();
    assert!(seen.iter().any(|v| v["event"] == "clearedAudio"));
    assert!(!seen.iter().any(|v| v["event"] == "playedStream"));
}

#[tokio::test]
async fn nonsense_from_the_backend_is_told_and_the_call_goes_on() {
    let script = Script::tones("t", 2, 100).with_ending(Ending::Nobody);
    let rig = Rig::new(Play::Nonsense, "", script).await;
    let call = rig.inbound();
    let view = call
        .wait("refusals", |v| v.errors.len() == 2 && v.frames_sent > 20)
        .await
        .unwrap();
    assert!(view.errors[0].contains("unknown event \"media\"") && view.stream_open);
}

#[tokio::test]
async fn after_the_backend_closes_the_stream_the_document_goes_on() {
    let tail = "<Speak>One moment please.</Speak><Hangup/>";
    let rig = Rig::new(Play::CloseAfter(3), tail, Script::tones("t", 2, 100)).await;
    let view = rig.inbound().wait_over().await.unwrap();
    assert_eq!(view.steps, ["Stream", "Speak", "Hangup"]);
    assert_eq!(code(&view), (4_010, "Answer XML"));
}

#[tokio::test]
async fn a_dialled_call_rings_is_answered_finds_a_machine_and_is_ended_by_rest() {
    let mut script = Script::tones("t", 2, 100).with_ending(Ending::Nobody);
    script.answered_by = Some("machine_end_beep".to_owned());
    let rig = Rig::new(Play::Listen, "", script).await;
    let call = rig
        .dial(json!({"machine_detection": "true", "machine_detection_url": rig.url("/news")}))
        .await;
    call.wait_stream().await.unwrap();
    let path = format!("/Call/{}/", call.uuid());
    let (status, one) = rig.get(&format!("{path}?status=live")).await;
    assert_eq!((status, &one["call_status"]), (200, &json!("in-progress")));
    let (_, all) = rig.get("/Call/?status=live").await;
    assert_eq!(all["calls"], json!([call.uuid()]));
    assert_eq!(rig.get(&path).await.0, 404, "no record before the end");
    rig.backend.wait_news(3).await;
    assert_eq!(rig.delete(&path).await, 204);
    let view = call.wait_over().await.unwrap();
    assert_eq!(code(&view), (4_000, "API Request"));
    let news = rig.backend.wait_news(5).await;
    assert_eq!(
        news,
        [
            "Ring",
            "StartStream",
            "MachineDetection",
            "StopStream",
            "4000"
        ]
    );
    assert_eq!(rig.delete(&path).await, 404, "ended already");
    let (_, record) = rig.get(&path).await;
    assert_eq!(record["hangup_cause_code"], 4_000);
    assert!(
        record["initiation_time"]
            .as_str()
            .unwrap()
            .ends_with("+05:30")
    );
    let (_, page) = rig.get("/Call/?limit=20&offset=0").await;
    assert_eq!(page["meta"]["total_count"], 1);
}

#[tokio::test]
async fn every_way_not_to_answer_has_its_cause() {
    for (outcome, sip, expected) in [
        (Outcome::Busy, 486, 3_010),
        (Outcome::NoAnswer, 480, 3_000),
        (Outcome::Failed, 603, 3_020),
        (Outcome::Failed, 404, 2_000),
    ] {
        let mut script = Script::tones("t", 1, 100);
        (script.outcome, script.sip) = (outcome, sip);
        let rig = Rig::new(Play::Listen, "", script).await;
        let call = rig.dial(json!({"ring_timeout": 1})).await;
        let view = call.wait_over().await.unwrap();
        assert_eq!(code(&view).0, expected, "{outcome:?} {sip}");
        let rings = usize::from(outcome != Outcome::Failed);
        let news = rig.backend.wait_news(rings + 1).await;
        assert_eq!(news.last(), Some(&expected.to_string()));
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_had_or_read_ends_the_call_with_its_code() {
    let rig = Rig::new(Play::Listen, "<Say>twiml</Say>", Script::tones("t", 1, 100)).await;
    let view = rig.inbound().wait_over().await.unwrap();
    assert_eq!(code(&view), (8_011, "Error"));
    let lost = rig.sim.place_inbound(PlivoInbound {
        from: rig::CUSTOMER.to_owned(),
        caller_name: None,
        answer_url: format!("{}/nowhere", rig.backend.base),
        fallback_url: Some(rig.url("/transfer")),
        hangup_url: None,
    });
    let view = lost.wait_over().await.unwrap();
    assert_eq!(view.steps, ["Dial", "Hangup"], "{view:?}");
    let lost = rig.sim.place_inbound(PlivoInbound {
        from: rig::CUSTOMER.to_owned(),
        caller_name: None,
        answer_url: format!("{}/nowhere", rig.backend.base),
        fallback_url: None,
        hangup_url: None,
    });
    assert_eq!(code(&lost.wait_over().await.unwrap()).0, 7_011);
}

#[tokio::test]
async fn a_transfer_waits_for_the_end_of_the_stream() {
    let script = Script::tones("t", 2, 100).with_ending(Ending::Nobody);
    let rig = Rig::new(Play::CloseAfter(40), "", script).await;
    let call = rig.inbound();
    call.wait_stream().await.unwrap();
    let body = json!({"legs": "aleg", "aleg_url": rig.url("/transfer?to=%2B15555550177"), "aleg_method": "POST"});
    let (status, answer) = rig.post(&format!("/Call/{}/", call.uuid()), body).await;
    assert_eq!(
        (status, &answer["message"]),
        (202, &json!("call transfered"))
    );
    assert!(call.view().stream_open);
    let view = call.wait_over().await.unwrap();
    assert_eq!(view.steps, ["Stream", "Dial", "Hangup"]);
    let news = rig.backend.wait_news(5).await;
    assert_eq!(
        news,
        ["StartStream", "StopStream", "answer", "hangup", "4010"]
    );
    assert_eq!(
        rig.backend.field("/action", "DialStatus").as_deref(),
        Some("completed")
    );
}

#[tokio::test]
async fn a_recording_runs_ends_and_plays() {
    let script = Script::tones("t", 2, 400).with_ending(Ending::Nobody);
    let rig = Rig::new(Play::ToneAndMark, "", script).await;
    let call = rig.inbound();
    call.wait_stream().await.unwrap();
    let path = format!("/Call/{}/Record/", call.uuid());
    let body = json!({"time_limit": 14400, "file_format": "wav", "record_channel_type": "stereo",
        "callback_url": rig.url("/news"), "callback_method": "POST"});
    let (status, started) = rig.post(&path, body).await;
    assert_eq!(status, 202);
    call.wait_heard(200).await.unwrap();
    assert_eq!(rig.delete(&path).await, 204);
    let news = rig.backend.wait_news(3).await;
    assert_eq!(news, ["StartStream", "running", "recorded"]);
    let id = started["recording_id"].as_str().unwrap();
    let (_, recording) = rig.get(&format!("/Recording/{id}/")).await;
    let url = recording["recording_url"].as_str().unwrap().to_owned();
    let wav = reqwest::Client::builder().no_proxy().build().unwrap();
    let wav = wav
        .get(url)
        .basic_auth(rig.sim.auth_id(), Some("simulated-auth-token"));
    let wav = wav.send().await.unwrap().bytes().await.unwrap();
    assert!(wav.starts_with(b"RIFF") && wav.len() > 44 + 640);
}

#[tokio::test]
async fn rest_is_as_strict_as_the_carriers() {
    let rig = Rig::new(Play::Listen, "", Script::tones("t", 1, 100)).await;
    for (body, why) in [
        (
            json!({"from": "1", "to": "15555550142", "answer_url": "http://h/"}),
            "from",
        ),
        (
            json!({"from": "15555550200", "answer_url": "http://h/"}),
            "to parameter",
        ),
        (
            json!({"from": "15555550200", "to": "15555550142"}),
            "answer_url",
        ),
        (
            json!({"from": "15555550200", "to": "15555550142", "answer_url": "http://h/", "Record": "true"}),
            "unknown parameter Record",
        ),
        (
            json!({"from": "15555550200", "to": "15555550142", "answer_url": "http://h/", "machine_detection": true}),
            "machine_detection",
        ),
    ] {
        let (status, answer) = rig.post("/Call/", body).await;
        assert_eq!(status, 400);
        assert!(answer["error"].as_str().unwrap().contains(why), "{answer}");
    }
    assert_eq!(
        rig.post("/Call", json!({})).await.0,
        404,
        "the slash at the end"
    );
    let url = format!(
        "{}/v1/Account/{}/Call/",
        rig.sim.api_base(),
        rig.sim.auth_id()
    );
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let wrong = client
        .get(&url)
        .basic_auth("MA", Some("no"))
        .send()
        .await
        .unwrap();
    assert_eq!(wrong.status(), 401);
    assert!(rig.sim.stats().rest_refused >= 6);
}

#[tokio::test]
async fn failed_callbacks_are_tried_again_where_the_url_asks_for_it() {
    let rig = Rig::new(Play::Listen, "", Script::tones("t", 1, 100)).await;
    *rig.backend.fail_first.lock().unwrap() = 1;
    let call = rig.dial(json!({})).await;
    call.wait_stream().await.unwrap();
    rig.backend.wait_news(2).await;
    assert!(rig.sim.stats().webhooks_retried >= 1);
    call.hang_up();
    let view = call.wait_over().await.unwrap();
    assert_eq!(code(&view), (4_000, "Callee"));
}
