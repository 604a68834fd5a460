//! What is said with one lead, by voice and by text, from outside.

use serde_json::{Value, json};

use crate::it::support::backend::{ADMIN, Backend};

use super::conversations::{ended, said, send, started};

async fn data(answer: reqwest::Response) -> Value {
    assert_eq!(answer.status(), 200);
    answer.json::<Value>().await.unwrap()["data"].clone()
}

#[tokio::test]
async fn text_and_voice_of_a_lead_are_one_line_of_time() {
    let dir = tempfile::tempdir().unwrap();
    let backend = Backend::start_on_disk(dir.path()).await;
    let add = async |key: &str, text: &str| {
        let request = backend
            .http
            .post(format!("{}/api/leads/L1/messages", backend.url));
        let request = request.bearer_auth(ADMIN).header("idempotency-key", key);
        data(
            request
                .json(&json!({"text": text, "channel": "chat"}))
                .send()
                .await
                .unwrap(),
        )
        .await
    };
    assert_eq!(add("k1", "I will call you").await["duplicate"], false);
    assert_eq!(add("k1", "I will call you").await["duplicate"], true);
    send(
        &backend,
        &[
            started("conv_1", Some("L1")),
            said("user_message", "conv_1", "About the refund"),
        ],
    )
    .await;
    // From the phone of that lead, and from nobody's.
    for (sid, from, text) in [
        ("SM1aaaaaaaa", "+14155550134", "Thanks <3"),
        ("SM2aaaaaaaa", "+442071838750", "Who are you?"),
        ("SM1aaaaaaaa", "+14155550134", "Thanks <3"),
    ] {
        let form = [
            ("MessageSid", sid),
            ("From", from),
            ("To", "+15557650000"),
            ("Body", text),
        ];
        let answer = backend.webhook("/sms", &form).await;
        assert_eq!(answer.status(), 200);
        assert!(
            answer
                .text()
                .await
                .unwrap()
                .contains("<Response></Response>")
        );
    }
    let timeline = data(backend.get("/api/leads/L1/timeline", ADMIN).await).await;
    let rows = timeline["messages"].as_array().unwrap();
    let told: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                row["type"].as_str().unwrap(),
                row["content"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("chat", "I will call you"),
            ("voice", "About the refund"),
            ("sms", "Thanks <3")
        ]
    );
    assert_eq!(timeline["calls"].as_array().unwrap().len(), 1);
    let stranger = data(
        backend
            .get("/api/leads/+442071838750/messages", ADMIN)
            .await,
    )
    .await;
    assert_eq!(stranger["count"], 1);
    let context = backend.core.lead_context("L1").await.unwrap();
    assert!(context.contains("user: About the refund"), "{context}");
    // What was said is found, by whoever may see it.
    let found = data(backend.get("/api/search?q=refu", ADMIN).await).await;
    assert_eq!(found["found"][0]["text"], "About the refund");
    assert_eq!(found["found"][0]["lead_id"], "L1");
    let mut grant = wallboard::call::Grant::of("ana", wallboard::call::Role::Viewer);
    grant.leads = Some(["L2".to_owned()].into());
    let scoped = backend.token(grant);
    assert_eq!(
        data(backend.get("/api/search?q=refund", &scoped).await).await["count"],
        0
    );
    assert_eq!(
        backend
            .get("/api/leads/L1/messages", &scoped)
            .await
            .status(),
        403
    );
    assert_eq!(backend.get("/api/export", &scoped).await.status(), 403);
    let csv = backend
        .get("/api/export?format=csv", ADMIN)
        .await
        .text()
        .await
        .unwrap();
    assert!(
        csv.contains("user: About the refund") && csv.lines().count() == 2,
        "{csv}"
    );
    // Not while they talk; afterwards everything goes, and stays gone.
    let purge = async || {
        let request = backend.http.delete(format!("{}/api/leads/L1", backend.url));
        request.bearer_auth(ADMIN).send().await.unwrap()
    };
    assert_eq!(purge().await.status(), 409);
    send(&backend, &[ended("conv_1")]).await;
    let gone = data(purge().await).await;
    assert_eq!((&gone["calls"], &gone["messages"]), (&json!(1), &json!(2)));
    let nothing = data(backend.get("/api/search?q=refund", ADMIN).await).await;
    assert_eq!(nothing["count"], 0);
    let lines = backend
        .get("/api/export", ADMIN)
        .await
        .text()
        .await
        .unwrap();
    assert_eq!(lines, "");
    let left = data(backend.get("/api/leads/L1/timeline", ADMIN).await).await;
    assert_eq!(left["totalMessages"], 0);
    send(&backend, &[said("user_message", "conv_1", "too late")]).await;
    assert!(
        backend.call("conv_1").is_none(),
        "nothing late brings it back"
    );
}
