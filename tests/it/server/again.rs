//! Carriers that say everything again, while the backend runs and after a restart.

use serde_json::Value;
use wallboard::call::Secret;
use wallboard::providers::plivo::{PlivoDesk, PlivoSettings};
use wallboard::providers::twilio::{TwilioDesk, TwilioSettings};
use wallboard::providers::vendor::WebhookVerdict;
use wallboard::server::CarrierRoutes;
use wallboard::store::{self, SqliteJournal};

use crate::it::support::backend::{ADMIN, Backend, PUBLIC, TWILIO_TOKEN, sid};

const PLIVO_TOKEN: &str = "plivo_test_token_0123456789abcdef0123456";

/// Both carriers' secrets are set, and a Twilio agent answers.
async fn both_carriers(dir: &std::path::Path) -> (Backend, SqliteJournal) {
    let mut kept = None;
    let backend = Backend::build(
        |_| {},
        |parts| {
            let journal = store::open(dir, &parts.tasks, parts.clock).unwrap();
            parts.journal = std::sync::Arc::new(journal.clone());
            kept = Some(journal);
        },
        |server| {
            let twilio = TwilioSettings {
                auth_token: Some(Secret::new(TWILIO_TOKEN)),
                ..TwilioSettings::default()
            };
            let plivo = PlivoSettings {
                auth_id: Some("MAXXXXXXXXXXXXXXXXXX".into()),
                auth_token: Some(Secret::new(PLIVO_TOKEN)),
                ..PlivoSettings::default()
            };
            server.carriers = CarrierRoutes::new()
                .with(TwilioDesk::new(&twilio))
                .with(PlivoDesk::new(&plivo));
        },
    )
    .await;
    backend.core.recover().await.unwrap();
    (backend, kept.unwrap())
}

async fn plivo(backend: &Backend, path: &str, form: &[(&str, &str)]) -> reqwest::Response {
    let form: Vec<(String, String)> = form
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let url = format!("{PUBLIC}{path}");
    let signature = wallboard::simulator::plivo::sign_post(PLIVO_TOKEN, &url, &form, "7");
    let request = backend.http.post(format!("{}{path}", backend.url));
    let request = request
        .header("x-plivo-signature-v3", signature)
        .header("x-plivo-signature-v3-nonce", "7");
    request.form(&form).send().await.unwrap()
}

/// Everything both carriers say of a call each, and a text message.
async fn everything(backend: &Backend) {
    let (recording, sid) = (sid("RE", 1), sid("CA", 1));
    for (number, word) in ["ringing", "in-progress", "completed"].iter().enumerate() {
        let answer = backend.status(&sid, word, &number.to_string()).await;
        assert!(answer.status().is_success(), "{word}");
    }
    let twilio: [(&str, &[(&str, &str)]); 3] = [
        (
            "/recording-status-callback",
            &[
                ("CallSid", &sid),
                ("RecordingSid", &recording),
                ("RecordingStatus", "completed"),
                ("RecordingDuration", "9"),
            ],
        ),
        (
            "/amd-status-callback",
            &[("CallSid", &sid), ("AnsweredBy", "human")],
        ),
        (
            "/sms",
            &[
                ("MessageSid", "SM1aaaaaaaa"),
                ("From", "+14155550134"),
                ("To", "+15557650000"),
                ("Body", "Is my order on its way?"),
            ],
        ),
    ];
    for (path, form) in twilio {
        let answer = backend.webhook(path, form).await;
        assert!(answer.status().is_success(), "{path}");
    }
    let call = [
        ("CallUUID", "11111111-2222-3333-4444-555555555555"),
        ("Direction", "inbound"),
        ("From", "14155550135"),
        ("To", "15557650001"),
    ];
    let with = |more: &[(&'static str, &'static str)]| [&call[..], more].concat();
    let said = [
        (
            "/ring",
            with(&[("CallStatus", "ringing"), ("Event", "Ring")]),
        ),
        (
            "/recording",
            with(&[
                ("RecordingID", "99999999-2222-3333-4444-555555555555"),
                ("RecordingDuration", "9"),
            ]),
        ),
        (
            "/hangup",
            with(&[
                ("CallStatus", "completed"),
                ("Event", "Hangup"),
                ("Duration", "12"),
                ("HangupCauseCode", "4000"),
                ("HangupSource", "Caller"),
            ]),
        ),
    ];
    for (path, form) in said {
        let answer = plivo(backend, path, &form).await;
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
    }
}

#[tokio::test]
async fn carriers_that_say_everything_again_after_a_restart_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (backend, journal) = both_carriers(dir.path()).await;
    everything(&backend).await;
    let texts = async |backend: &Backend| {
        let list = backend
            .get_json("/api/leads/+14155550134/messages", ADMIN)
            .await;
        list["data"]["messages"].as_array().unwrap().len()
    };
    assert_eq!(texts(&backend).await, 1);
    let calls =
        async |backend: &Backend| backend.get_json("/api/calls", ADMIN).await["data"].clone();
    let before = calls(&backend).await;
    assert_eq!(before["calls"].as_array().unwrap().len(), 2, "{before}");
    // Again, while it runs.
    let told = backend.core.switchboard.seq();
    everything(&backend).await;
    assert_eq!(backend.core.switchboard.seq(), told, "not one fact more");
    journal.close().await.unwrap();
    backend.core.tasks.cancel();

    let (backend, _journal) = both_carriers(dir.path()).await;
    let told = backend.core.switchboard.seq();
    everything(&backend).await;
    assert_eq!(backend.core.switchboard.seq(), told, "not one fact more");
    let log = backend.server.webhooks().entries();
    let verdicts: Vec<_> = log
        .iter()
        .map(|entry| (entry.path.as_str(), entry.verdict))
        .collect();
    assert!(
        verdicts
            .iter()
            .all(|(_, verdict)| *verdict == WebhookVerdict::Duplicate),
        "{verdicts:?}"
    );
    assert_eq!(texts(&backend).await, 1);
    let after = calls(&backend).await;
    let what = |calls: &Value, field: &str| -> Vec<Value> {
        let calls = calls["calls"].as_array().unwrap();
        calls.iter().map(|call| call[field].clone()).collect()
    };
    for field in [
        "id",
        "status",
        "duration_s",
        "answered_by",
        "recordings",
        "ended_at",
    ] {
        assert_eq!(what(&before, field), what(&after, field), "{field}");
    }
}
