//! The HTTP API: shapes, roles, refusals, commands.

use std::sync::Arc;

use futures_util::future::{BoxFuture, ready};
use serde_json::{Value, json};
use wallboard::call::{CallFacts, CallStatus, Fact, Grant, Recording, RecordingState, Role, Track};
use wallboard::engine::{
    CarrierCall, CarrierControl, CarrierError, Carriers, DialOrder, RecordingOrder, Target,
};

use crate::it::support::backend::{ADMIN, Backend, sid};

/// A carrier that accepts everything and has one recording.
#[derive(Debug)]
struct Willing;

impl CarrierControl for Willing {
    fn name(&self) -> &'static str {
        "twilio"
    }

    fn dial(&self, _: DialOrder) -> BoxFuture<'static, Result<String, CarrierError>> {
        Box::pin(ready(Ok(sid("CA", 77))))
    }

    fn hang_up(&self, _: String) -> BoxFuture<'static, Result<(), CarrierError>> {
        Box::pin(ready(Err(CarrierError::AlreadyEnded)))
    }

    fn transfer(&self, _: String, _: String) -> BoxFuture<'static, Result<(), CarrierError>> {
        Box::pin(ready(Ok(())))
    }

    fn record(
        &self,
        _: String,
        _: Option<String>,
        _: RecordingOrder,
    ) -> BoxFuture<'static, Result<String, CarrierError>> {
        Box::pin(ready(Ok(sid("RE", 1))))
    }

    fn live_calls(&self) -> BoxFuture<'static, Result<Vec<CarrierCall>, CarrierError>> {
        Box::pin(ready(Ok(Vec::new())))
    }

    fn find(&self, _: String) -> BoxFuture<'static, Result<Option<CarrierCall>, CarrierError>> {
        Box::pin(ready(Ok(None)))
    }

    fn fetch_recording(&self, _: String) -> BoxFuture<'static, Result<bytes::Bytes, CarrierError>> {
        let wav: Vec<u8> = (0..200).collect();
        Box::pin(ready(Ok(wav.into())))
    }
}

async fn with_carrier() -> Backend {
    Backend::start_with(
        |_| {},
        |parts| {
            let mut carriers = Carriers::new();
            carriers.insert("twilio", Arc::new(Willing));
            parts.carriers = carriers;
            parts.default_carrier = Some("twilio".into());
        },
    )
    .await
}

async fn see(backend: &Backend, number: u32, lead: Option<&str>) -> String {
    let call = sid("CA", number);
    let target = Target::Carrier {
        facts: CallFacts {
            carrier: "twilio".into(),
            carrier_call_id: Some(call.clone()),
            from: "+14155550134".into(),
            lead_id: lead.map(str::to_owned),
            ..CallFacts::default()
        },
        status: CallStatus::InProgress,
        started_at: None,
    };
    backend.core.switchboard.post(target, vec![]).await.unwrap();
    call
}

async fn token_of(backend: &Backend, grant: Grant) -> String {
    let token = backend.token(grant);
    while backend.get("/api/calls/active", &token).await.status() == 401 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    token
}

#[tokio::test]
async fn calls_carry_both_vocabularies_and_no_key_is_absent() {
    let backend = Backend::start().await;
    let call = see(&backend, 1, None).await;
    let words = Fact::UtteranceFinal {
        turn: 1,
        track: Track::FromAgent,
        text: "hello".into(),
        latency_ms: Some(812),
    };
    let target = Target::Known {
        carrier: "twilio".into(),
        carrier_call_id: call.clone(),
    };
    backend
        .core
        .switchboard
        .post(target, vec![words])
        .await
        .unwrap();
    let body = backend.get_json("/api/calls/active", ADMIN).await;
    assert_eq!(
        (&body["success"], &body["data"]["count"]),
        (&json!(true), &json!(1))
    );
    let first = &body["data"]["calls"][0];
    for key in [
        "id",
        "carrier_call_id",
        "duration_s",
        "ended_by",
        "cost_usd",
        "alerts",
        "score",
    ] {
        assert!(first.get(key).is_some(), "{key}");
    }
    assert_eq!(first["sid"], call.as_str());
    assert_eq!(first["answeredBy"], "unknown");
    assert_eq!(first["from"], "+14155550134");

    for key in [call.as_str(), first["id"].as_str().unwrap()] {
        let body = backend.get_json(&format!("/api/calls/{key}"), ADMIN).await;
        let said = &body["data"]["call"]["utterances"][0];
        assert_eq!(
            (&said["text"], &said["latency_ms"]),
            (&json!("hello"), &json!(812))
        );
        assert_eq!(said["cut_at_ms"], Value::Null);
    }
    let body = backend
        .get_json(&format!("/api/calls/{call}/transcript"), ADMIN)
        .await;
    assert_eq!(body["data"]["transcript"]["messages"][0]["role"], "agent");
    let body = backend.get_json("/api/calls?limit=10", ADMIN).await;
    assert_eq!(body["data"]["calls"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn errors_have_one_shape_and_the_right_status() {
    let backend = Backend::start().await;
    let call = see(&backend, 1, None).await;
    let viewer = token_of(&backend, Grant::of("vic", Role::Viewer)).await;
    let rows = [
        (
            backend.get("/api/calls/active", "wb_wrong").await,
            401,
            "unauthorized",
        ),
        (
            backend.get("/api/calls/nope", ADMIN).await,
            404,
            "not_found",
        ),
        (backend.get("/api/nope", ADMIN).await, 404, "not_found"),
        (
            backend.get("/api/webhooks", &viewer).await,
            403,
            "forbidden",
        ),
        (
            backend
                .get(&format!("/api/calls/{call}/recordings"), &viewer)
                .await,
            403,
            "forbidden",
        ),
        (
            backend.get("/api/calls/active?token=x", ADMIN).await,
            400,
            "invalid",
        ),
        (
            backend
                .post(&format!("/api/calls/{call}/terminate"), &viewer, json!({}))
                .await,
            403,
            "forbidden",
        ),
        (
            backend
                .post(&format!("/api/calls/{call}/fly"), ADMIN, json!({}))
                .await,
            404,
            "not_found",
        ),
        (
            backend
                .post(&format!("/api/calls/{call}/say"), ADMIN, json!({}))
                .await,
            400,
            "invalid",
        ),
    ];
    for (answer, status, code) in rows {
        let url = answer.url().to_string();
        assert_eq!(answer.status(), status, "{url}");
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["success"], false, "{url}");
        assert_eq!(body["error"]["code"], code, "{url}");
        assert!(!body["error"]["hint"].as_str().unwrap().is_empty(), "{url}");
    }
}

#[tokio::test]
async fn a_scoped_viewer_sees_its_leads_and_masked_numbers() {
    let backend = Backend::start().await;
    let (own, foreign) = (
        see(&backend, 1, Some("L1")).await,
        see(&backend, 2, Some("L2")).await,
    );
    let mut grant = Grant::of("lea", Role::Viewer);
    grant.leads = Some(["L1".to_owned()].into());
    let token = token_of(&backend, grant).await;
    let body = backend.get_json("/api/calls/active", &token).await;
    assert_eq!(body["data"]["count"], 1);
    assert_eq!(body["data"]["calls"][0]["from"], "+1 415 ••• 0134");
    assert_eq!(
        backend
            .get(&format!("/api/calls/{foreign}"), &token)
            .await
            .status(),
        404
    );
    assert_eq!(
        backend
            .get(&format!("/api/calls/{own}"), &token)
            .await
            .status(),
        200
    );
}

#[tokio::test]
async fn the_same_idempotency_key_does_a_thing_once() {
    let backend = Backend::start().await;
    let call = see(&backend, 1, None).await;
    for _ in 0..2 {
        let request = backend
            .http
            .post(format!("{}/api/calls/{call}/note", backend.url));
        let request = request
            .bearer_auth(ADMIN)
            .header("Idempotency-Key", "note-1");
        let answer = request
            .json(&json!({ "text": "angry" }))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        let body: Value = answer.json().await.unwrap();
        assert_eq!(
            (&body["ok"], &body["callSid"]),
            (&json!(true), &json!(call))
        );
    }
    assert_eq!(backend.call(&call).unwrap().notes.len(), 1);
}

#[tokio::test]
async fn waiting_for_the_end_answers_with_how_it_went() {
    let backend = with_carrier().await;
    let call = see(&backend, 1, None).await;
    let path = format!("/api/calls/{call}/terminate");
    let ended = async {
        loop {
            let accepted = backend.call(&call).unwrap().actions;
            if !accepted.is_empty() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        backend.status(&call, "completed", "3").await
    };
    let (answer, _) = tokio::join!(
        backend.post(&path, ADMIN, json!({ "wait": true, "reason": "rude" })),
        ended
    );
    assert_eq!(answer.status(), 200);
    let body: Value = answer.json().await.unwrap();
    assert_eq!(
        (&body["state"], &body["ok"]),
        (&json!("done"), &json!(true)),
        "{body}"
    );
    assert_eq!(body["data"]["status"], "completed");
}

#[tokio::test]
async fn dialling_answers_with_the_carriers_id() {
    let backend = with_carrier().await;
    for path in ["/api/outbound-call", "/outbound-call"] {
        let order = json!({ "number": "+14155550199", "lead_id": "L1", "prompt": "be kind" });
        let answer = backend.post(path, ADMIN, order).await;
        assert_eq!(answer.status(), 200);
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["success"], true, "{body}");
        assert_eq!(body["callSid"], sid("CA", 77), "{body}");
    }
    let answer = backend
        .post("/api/outbound-call", ADMIN, json!({ "number": "call me" }))
        .await;
    assert_eq!(answer.status(), 400);
}

#[tokio::test]
async fn a_recording_is_served_in_parts_to_those_who_may_hear_it() {
    let backend = with_carrier().await;
    let call = see(&backend, 1, None).await;
    let id = sid("RE", 1);
    let recording = Recording {
        id: id.clone(),
        state: RecordingState::Completed,
        duration_s: Some(3),
        url: Some(format!("/api/recordings/{id}")),
        error: None,
    };
    let target = Target::Known {
        carrier: "twilio".into(),
        carrier_call_id: call,
    };
    let fact = Fact::RecordingChanged { recording };
    backend
        .core
        .switchboard
        .post(target, vec![fact])
        .await
        .unwrap();
    let request = backend
        .http
        .get(format!("{}/api/recordings/{id}", backend.url));
    let part = request
        .bearer_auth(ADMIN)
        .header("Range", "bytes=10-19")
        .send()
        .await
        .unwrap();
    assert_eq!(part.status(), 206);
    assert_eq!(part.headers()["content-range"], "bytes 10-19/200");
    assert_eq!(
        part.bytes().await.unwrap()[..],
        (10..20).collect::<Vec<u8>>()[..]
    );
    for path in [
        "/api/recordings/..%2f..%2fetc",
        "/api/recordings/nope",
        "/api/recordings/a%00b",
    ] {
        assert_eq!(backend.get(path, ADMIN).await.status(), 404, "{path}");
    }
    let viewer = token_of(&backend, Grant::of("vic", Role::Viewer)).await;
    assert_eq!(
        backend
            .get(&format!("/api/recordings/{id}"), &viewer)
            .await
            .status(),
        403
    );
}
