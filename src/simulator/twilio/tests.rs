//! The simulated carrier against a small backend written for the test: real sockets, real signatures.

mod rig;

use serde_json::{Value, json};

use super::*;
use crate::simulator::line::{CutHow, Faults, StreamCut};
use crate::simulator::speech::{Ending, Outcome, Script};
use rig::{Play, Rig};

#[tokio::test]
async fn an_incoming_call_streams_signed_and_in_order_and_ends_with_one_callback() {
    let rig = Rig::new(Play::ToneAndMark, "", Script::tones("t", 2, 300)).await;
    let call = rig.inbound();
    let view = call.wait_over().await.unwrap();
    assert_eq!(
        (view.status, view.ended_by),
        (Some(CallStatus::Completed), Some("caller"))
    );
    assert_eq!((view.marks_received, view.marks_echoed), (1, 1));
    assert!(view.heard_ms >= 300 && view.errors.is_empty(), "{view:?}");
    let news = rig.backend.wait_news(3).await;
    assert_eq!(news, ["stream-started", "stream-stopped", "completed"]);
    let seen = rig.backend.streamed.lock().unwrap();
    assert_eq!(
        seen[0],
        json!({"event": "connected", "protocol": "Call", "version": "1.0.0"})
    );
    assert_eq!(seen[1]["start"]["customParameters"], json!({"wb": "t1"}));
    assert_eq!(seen[1]["start"]["callSid"], call.sid());
    let media: Vec<&Value> = seen.iter().filter(|v| v["event"] == "media").collect();
    for (n, frame) in media.iter().enumerate() {
        assert_eq!(frame["media"]["chunk"], (n + 1).to_string());
        assert_eq!(frame["media"]["timestamp"], (n * 20).to_string());
        assert_eq!(frame["media"]["payload"].as_str().unwrap().len(), 216);
    }
    for (n, message) in seen.iter().skip(1).enumerate() {
        assert_eq!(message["sequenceNumber"], (n + 1).to_string());
    }
    assert_eq!(seen.last().unwrap()["event"], "stop");
}

#[tokio::test]
async fn clear_stops_playback_and_returns_pending_marks() {
    let script = Script::tones("t", 2, 300).with_ending(Ending::Nobody);
    let rig = Rig::new(Play::ToneThenClear, "", script).await;
    let call = rig.inbound();
    let view = call
        .wait("mark", |v| v.clears == 1 && v.marks_echoed == 1)
        .await
        .unwrap();
    assert!(
        view.cleared_ms > 9_000 && view.played_ms < 1_000,
        "{view:?}"
    );
    call.hang_up();
    call.wait_over().await.unwrap();
}

#[tokio::test]
async fn nonsense_from_the_backend_is_a_warning_once_and_the_call_goes_on() {
    let script = Script::tones("t", 2, 100).with_ending(Ending::Nobody);
    let rig = Rig::new(Play::Nonsense, "", script).await;
    let call = rig.inbound();
    let view = call
        .wait("warning", |v| !v.errors.is_empty() && v.frames_sent > 20)
        .await
        .unwrap();
    assert_eq!(view.errors, [31_951]);
    assert!(view.stream_open);
}

#[tokio::test]
async fn after_the_backend_closes_the_stream_the_document_goes_on() {
    let rig = Rig::new(
        Play::CloseAtOnce,
        "<Say>One moment please.</Say><Hangup/>",
        Script::tones("t", 2, 100),
    )
    .await;
    let view = rig.inbound().wait_over().await.unwrap();
    assert_eq!(view.verbs, ["Connect", "Say", "Hangup"]);
    assert_eq!(view.ended_by, Some("document"));
}

#[tokio::test]
async fn a_dialled_call_tells_every_step_and_the_machine_verdict() {
    let mut script = Script::tones("t", 2, 100).with_ending(Ending::Nobody);
    script.answered_by = Some("machine_end_beep".to_owned());
    let rig = Rig::new(Play::Listen, "", script).await;
    let news = format!("{}/news", rig.backend.base);
    let call = rig
        .dial(&[
            ("MachineDetection", "DetectMessageEnd"),
            ("AsyncAmd", "true"),
            ("AsyncAmdStatusCallback", &news),
        ])
        .await;
    call.wait("verdict", |v| v.answered_by.is_some())
        .await
        .unwrap();
    let (status, _) = rig
        .post(
            &format!("/Calls/{}.json", call.sid()),
            &[("Status", "completed")],
        )
        .await;
    assert_eq!(status, 200);
    let view = call.wait_over().await.unwrap();
    assert_eq!(view.ended_by, Some("api"));
    let news = rig.backend.wait_news(7).await;
    assert_eq!(
        news,
        [
            "initiated",
            "ringing",
            "in-progress",
            "stream-started",
            "machine_end_beep",
            "stream-stopped",
            "completed"
        ]
    );
    let again = rig
        .post(
            &format!("/Calls/{}.json", call.sid()),
            &[("Status", "completed")],
        )
        .await;
    assert_eq!((again.0, again.1["code"].as_u64()), (400, Some(21_220)));
    let resource = rig
        .get(&format!(
            "/2010-04-01/Accounts/{}/Calls/{}.json",
            rig.sim.account_sid(),
            call.sid()
        ))
        .await;
    let resource: Value = resource.json().await.unwrap();
    assert_eq!(
        (&resource["status"], &resource["answered_by"]),
        (&json!("completed"), &json!("machine_end_beep"))
    );
    assert!(resource["duration"].is_string());
}

#[tokio::test]
async fn calls_nobody_answers_end_with_the_carriers_word_and_sip_code() {
    for (outcome, sip, word) in [
        (Outcome::Busy, 486, "busy"),
        (Outcome::NoAnswer, 487, "no-answer"),
        (Outcome::Failed, 603, "failed"),
    ] {
        let script = Script {
            outcome,
            sip,
            ..Script::tones("t", 0, 0)
        };
        let rig = Rig::new(Play::Listen, "", script).await;
        let call = rig.dial(&[]).await;
        let view = call.wait_over().await.unwrap();
        assert_eq!(view.status.map(CallStatus::as_str), Some(word));
        let news = rig
            .backend
            .wait_news(if word == "failed" { 2 } else { 3 })
            .await;
        assert_eq!(news.last().map(String::as_str), Some(word));
        let seen = rig.backend.seen.lock().unwrap();
        let last = &seen.last().unwrap().1;
        assert!(
            last.contains(&("SipResponseCode".to_owned(), sip.to_string())),
            "{last:?}"
        );
    }
}

#[tokio::test]
async fn a_recording_is_started_paused_stopped_and_fetched_as_sound() {
    let script = Script::tones("t", 1, 100).with_ending(Ending::Nobody);
    let rig = Rig::new(Play::ToneAndMark, "", script).await;
    let call = rig.inbound();
    call.wait_stream().await.unwrap();
    let path = format!("/Calls/{}/Recordings.json", call.sid());
    let news = format!("{}/news", rig.backend.base);
    let wish = [
        ("RecordingStatusCallback", news.as_str()),
        ("RecordingStatusCallbackEvent", "in-progress"),
        ("RecordingStatusCallbackEvent", "completed"),
        ("RecordingChannels", "dual"),
    ];
    let (status, recording) = rig.post(&path, &wish).await;
    assert_eq!(
        (status, recording["status"].as_str()),
        (201, Some("in-progress"))
    );
    let (twice, error) = rig.post(&path, &wish).await;
    assert_eq!((twice, error["code"].as_u64()), (400, Some(21_220)));
    call.wait_heard(300).await.unwrap();
    let current = format!("/Calls/{}/Recordings/Twilio.CURRENT.json", call.sid());
    let (_, paused) = rig
        .post(&current, &[("Status", "paused"), ("PauseBehavior", "skip")])
        .await;
    assert_eq!(paused["status"], "paused");
    rig.post(&current, &[("Status", "in-progress")]).await;
    rig.post(&current, &[("Status", "stopped")]).await;
    let all = rig.backend.wait_news(3).await;
    assert_eq!(all, ["stream-started", "in-progress", "completed"]);
    let url = rig
        .backend
        .seen
        .lock()
        .unwrap()
        .last()
        .unwrap()
        .1
        .iter()
        .find(|(k, _)| k == "RecordingUrl")
        .unwrap()
        .1
        .clone();
    let path = url.strip_prefix(rig.sim.api_base()).unwrap();
    let wav = rig.get(&format!("{path}.wav")).await.bytes().await.unwrap();
    assert!(wav.starts_with(b"RIFF") && wav.len() > 4_000);
    assert!(
        wav[44..]
            .chunks(2)
            .any(|s| i16::from_le_bytes([s[0], s[1]]).abs() > 5_000)
    );
}

#[tokio::test]
async fn wrong_credentials_and_unknown_things_are_refused_in_the_carriers_shape() {
    let rig = Rig::new(Play::Listen, "", Script::tones("t", 0, 0)).await;
    let base = format!(
        "{}/2010-04-01/Accounts/{}",
        rig.sim.api_base(),
        rig.sim.account_sid()
    );
    let refused = rig
        .http
        .get(format!("{base}/Calls.json"))
        .basic_auth("AC1", Some("x"));
    let refused = refused.send().await.unwrap();
    assert_eq!(refused.status(), 401);
    assert_eq!(refused.json::<Value>().await.unwrap()["code"], 20_003);
    let missing = rig
        .get(&format!(
            "/2010-04-01/Accounts/{}/Calls/CAnone.json",
            rig.sim.account_sid()
        ))
        .await;
    assert_eq!(missing.status(), 404);
    assert_eq!(missing.json::<Value>().await.unwrap()["code"], 20_404);
}

#[tokio::test]
async fn live_calls_are_listed_by_status_in_pages() {
    let script = Script::tones("t", 1, 100).with_ending(Ending::Nobody);
    let rig = Rig::new(Play::Listen, "", script).await;
    for _ in 0..3 {
        rig.inbound().wait_stream().await.unwrap();
    }
    let first = format!(
        "/2010-04-01/Accounts/{}/Calls.json?Status=in-progress&PageSize=2",
        rig.sim.account_sid()
    );
    let page: Value = rig.get(&first).await.json().await.unwrap();
    assert_eq!(page["calls"].as_array().unwrap().len(), 2);
    let next: Value = rig
        .get(page["next_page_uri"].as_str().unwrap())
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(next["calls"].as_array().unwrap().len(), 1);
    assert!(next["next_page_uri"].is_null());
}

#[tokio::test]
async fn callbacks_are_retried_as_the_url_asks_and_doubled_as_the_fault_asks() {
    let faults = Faults {
        webhook_duplicate_pct: 100.0,
        ..Faults::default()
    };
    let rig = Rig::with(Play::CloseAtOnce, "", Script::tones("t", 0, 0), faults).await;
    *rig.backend.fail_first.lock().unwrap() = 2;
    rig.inbound().wait_over().await.unwrap();
    // Three callbacks, each twice, and some of the first tries failed.
    rig.backend.wait_news(7).await;
    assert!(rig.sim.stats().webhooks_duplicated >= 3);
}

#[tokio::test]
async fn a_cut_stream_is_opened_again_for_the_same_call() {
    let script = Script::tones("t", 1, 100).with_ending(Ending::Nobody);
    let rig = Rig::new(Play::Listen, "", script).await;
    let call = rig.inbound();
    call.wait_stream().await.unwrap();
    call.cut(StreamCut {
        how: CutHow::Reset,
        after_s: 0,
        reopen_after_ms: Some(50),
    });
    let view = call
        .wait("second stream", |v| v.streams == 2 && v.stream_open)
        .await
        .unwrap();
    assert_eq!(view.status, Some(CallStatus::InProgress));
    call.cut(StreamCut {
        how: CutHow::Fin,
        ..StreamCut::default()
    });
    let view = call.wait_over().await.unwrap();
    assert_eq!(view.errors, [31_903]);
}

#[tokio::test]
async fn keys_arrive_as_dtmf_and_redirects_replace_the_document() {
    let script = Script::tones("t", 1, 100).with_ending(Ending::Nobody);
    let rig = Rig::new(Play::Listen, "", script).await;
    let call = rig.inbound();
    call.wait_stream().await.unwrap();
    call.press('5');
    call.wait("key", |v| v.keys == "5").await.unwrap();
    let (status, _) = rig
        .post(
            &format!("/Calls/{}.json", call.sid()),
            &[("Twiml", "<Response><Say>Connecting.</Say><Dial><Number>+15555550177</Number></Dial></Response>")],
        )
        .await;
    assert_eq!(status, 200);
    let view = call.wait_over().await.unwrap();
    assert_eq!(view.verbs, ["Connect", "Say", "Dial"]);
    let streamed = rig.backend.streamed.lock().unwrap();
    assert!(streamed.iter().any(|v| v["dtmf"]["digit"] == "5"));
}
