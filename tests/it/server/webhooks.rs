//! Twilio's webhooks: proof, order, repetition, documents.

use wallboard::call::{CallStatus, Fact, Secret};
use wallboard::engine::Plans;
use wallboard::providers::twilio::{sign, with_body_hash};
use wallboard::providers::vendor::WebhookVerdict;

use crate::it::support::backend::{Backend, PUBLIC, TWILIO_TOKEN, sid};

fn incoming(call: &str) -> [(&str, &str); 5] {
    [
        ("CallSid", call),
        ("CallStatus", "ringing"),
        ("Direction", "inbound"),
        ("From", "+14155550134"),
        ("To", "+15557650000"),
    ]
}

#[tokio::test]
async fn incoming_call_gets_its_stream_a_ticket_and_a_fallback_verb() {
    let backend = Backend::start().await;
    let call = sid("CA", 1);
    let answer = backend.webhook("/incoming-call", &incoming(&call)).await;
    assert_eq!(answer.status(), 200);
    assert!(
        answer.headers()["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/xml")
    );
    let text = answer.text().await.unwrap();
    assert!(
        text.contains("url=\"wss://wb.example.com/outbound-media-stream\""),
        "{text}"
    );
    assert!(text.contains("<Parameter name=\"wb\" value=\""), "{text}");
    assert!(
        text.contains("/stream-status-callback#rc=3&amp;rp=all\""),
        "{text}"
    );
    assert!(
        text.contains("</Connect><Say>Please call again later &amp; thank you.</Say>"),
        "{text}"
    );
    let seen = backend.call(&call).unwrap();
    assert_eq!(seen.status, CallStatus::Ringing);
    assert_eq!(seen.facts.agent.as_deref(), Some("support"));
    assert_eq!(seen.facts.agent_kind.as_deref(), Some("elevenlabs"));
}

#[tokio::test]
async fn an_answer_route_takes_get_too() {
    let backend = Backend::start().await;
    let call = sid("CA", 2);
    let path = format!("/incoming-call?CallSid={call}&CallStatus=ringing&Direction=inbound");
    let signature = sign(&format!("{PUBLIC}{path}"), &[], &Secret::new(TWILIO_TOKEN));
    let request = backend.http.get(format!("{}{path}", backend.url));
    let answer = request
        .header("X-Twilio-Signature", signature)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    assert!(backend.call(&call).is_some());
    let refused = backend
        .http
        .get(format!("{}/call-status-callback", backend.url))
        .send();
    assert_eq!(refused.await.unwrap().status(), 405);
}

#[tokio::test]
async fn forged_webhooks_create_nothing_and_say_why_in_the_log() {
    let backend = Backend::start().await;
    let call = sid("CA", 3);
    let path = "/incoming-call";
    let form = incoming(&call);
    let right = format!("{PUBLIC}{path}");
    let cases = [
        ("other", right.as_str(), WebhookVerdict::WrongSecret),
        (
            TWILIO_TOKEN,
            "http://wb.example.com/incoming-call",
            WebhookVerdict::UrlMismatch,
        ),
        (
            TWILIO_TOKEN,
            "https://wb.example.com/incoming-call/",
            WebhookVerdict::UrlMismatch,
        ),
    ];
    for (token, over, verdict) in cases {
        let answer = backend.webhook_signed(path, &form, token, over).await;
        assert_eq!(answer.status(), 403);
        let log = backend.server.webhooks().entries();
        assert_eq!(log.last().unwrap().verdict, verdict);
    }
    let unsigned = backend
        .http
        .post(format!("{}{path}", backend.url))
        .form(&form)
        .send()
        .await;
    assert_eq!(unsigned.unwrap().status(), 403);
    assert_eq!(backend.calls(), 0);
    assert!(backend.journal.envelopes().is_empty());
}

#[tokio::test]
async fn duplicates_and_late_statuses_change_nothing() {
    let backend = Backend::start().await;
    let call = sid("CA", 4);
    let history = [
        ("initiated", "0"),
        ("in-progress", "2"),
        ("completed", "3"),
        ("completed", "3"),
        ("ringing", "1"),
        ("in-progress", "2"),
    ];
    for (word, sequence) in history {
        assert_eq!(backend.status(&call, word, sequence).await.status(), 204);
    }
    let seen = backend.call(&call).unwrap();
    assert_eq!(seen.status, CallStatus::Completed);
    assert_eq!(seen.duration_s, Some(47));
    let ends = backend.journal.envelopes();
    let ends = ends.iter().filter(|envelope| {
        matches!(
            &envelope.event,
            wallboard::call::CallEvent::Known(Fact::CallEnded { .. })
        )
    });
    assert_eq!(ends.count(), 1);
    let verdicts = backend.server.webhooks().entries();
    let told_before = verdicts
        .iter()
        .filter(|entry| entry.verdict == WebhookVerdict::Duplicate);
    assert_eq!(told_before.count(), 2);
}

#[tokio::test]
async fn an_ending_of_an_unknown_call_is_kept_as_an_ended_call() {
    let backend = Backend::start().await;
    let call = sid("CA", 5);
    assert_eq!(backend.status(&call, "busy", "1").await.status(), 204);
    let seen = backend.call(&call).unwrap();
    assert_eq!(seen.status, CallStatus::Busy);
    assert!(seen.ended_at.is_some());
}

#[tokio::test]
async fn without_an_agent_the_caller_is_refused_politely_and_it_shows() {
    let backend = Backend::start_with(|_| {}, |parts| parts.plans = Plans::default()).await;
    let call = sid("CA", 6);
    let answer = backend.webhook("/incoming-call", &incoming(&call)).await;
    assert_eq!(answer.status(), 200);
    let text = answer.text().await.unwrap();
    assert!(text.contains("<Say>") && text.contains("<Hangup"), "{text}");
    assert!(!text.contains("<Connect>"));
    let seen = backend.call(&call).unwrap();
    assert_eq!(seen.alerts[0].rule, "no_agent");
    backend
        .core
        .switchboard
        .read(|board| assert_eq!(board.notices().len(), 1));
}

#[tokio::test]
async fn a_draining_backend_takes_no_new_caller() {
    let backend = Backend::start().await;
    backend.core.dialling.start_draining();
    let answer = backend
        .webhook("/incoming-call", &incoming(&sid("CA", 7)))
        .await;
    assert!(answer.text().await.unwrap().contains("<Hangup"));
    let ready = backend
        .http
        .get(format!("{}/readyz", backend.url))
        .send()
        .await
        .unwrap();
    assert_eq!(ready.status(), 503);
    let alive = backend
        .http
        .get(format!("{}/healthz", backend.url))
        .send()
        .await
        .unwrap();
    assert_eq!(alive.status(), 200);
}

#[tokio::test]
async fn json_bodies_are_checked_by_their_hash() {
    let backend = Backend::start().await;
    let call = sid("CA", 8);
    backend.status(&call, "in-progress", "1").await;
    let body = format!(
        r#"[{{"specversion":"1.0","type":"com.twilio.voice.insights.call-summary.complete","data":{{"call_sid":"{call}","properties":{{"disconnected_by":"caller"}}}}}}]"#
    );
    let path = with_body_hash("/quality-insights-callback", body.as_bytes());
    let signature = sign(&format!("{PUBLIC}{path}"), &[], &Secret::new(TWILIO_TOKEN));
    for (body, status) in [(body.clone(), 204), (format!("{body} "), 403)] {
        let request = backend.http.post(format!("{}{path}", backend.url));
        let request = request.header("X-Twilio-Signature", &signature);
        let request = request
            .header("Content-Type", "application/json")
            .body(body);
        assert_eq!(request.send().await.unwrap().status(), status);
    }
}

#[tokio::test]
async fn oversized_and_unreadable_bodies_are_refused() {
    let backend = Backend::start().await;
    let big = "x".repeat(300 * 1024);
    let answer = backend
        .webhook("/call-status-callback", &[("CallSid", &big)])
        .await;
    assert_eq!(answer.status(), 413);
    let answer = backend
        .webhook("/call-status-callback", &[("CallSid", "../../etc")])
        .await;
    assert_eq!(answer.status(), 400);
    assert_eq!(backend.calls(), 0);
}

#[tokio::test]
async fn other_hosts_and_foreign_pages_are_not_served() {
    let backend = Backend::start().await;
    let get = || {
        backend
            .http
            .get(format!("{}/api/calls/active", backend.url))
    };
    let rebound = get()
        .header("Host", "evil.example.net")
        .send()
        .await
        .unwrap();
    assert_eq!(rebound.status(), 421);
    let page = get()
        .header("Origin", "https://evil.example.net")
        .send()
        .await
        .unwrap();
    assert_eq!(page.status(), 403);
}

#[tokio::test]
async fn routes_of_a_carrier_without_its_secret_say_so_and_create_nothing() {
    let backend = Backend::start().await;
    let form = [("CallUUID", "u-1"), ("CallStatus", "ringing")];
    let paths = [
        "/answer",
        "/fallback",
        "/transfer",
        "/dial-action",
        "/hangup",
        "/ring",
        "/machine-detection",
        "/stream-status",
        "/recording",
    ];
    for path in paths {
        let url = format!("{}{path}", backend.url);
        let answer = backend.http.post(&url).form(&form).send().await.unwrap();
        assert_eq!(answer.status(), 503, "{path}");
        let text = answer.text().await.unwrap();
        assert!(text.contains("plivo.auth_token"), "{path}: {text}");
        let got = backend.http.get(&url).send().await.unwrap().status();
        assert_eq!(got, 503, "{path}");
    }
    let entries = backend.server.webhooks().entries();
    let closed = |entry: &&wallboard::server::WebhookEntry| {
        entry.carrier == "plivo" && entry.verdict == WebhookVerdict::NotConfigured
    };
    assert_eq!(entries.iter().filter(closed).count(), 18);
    let stream = format!("{}/media-stream", backend.url.replacen("http", "ws", 1));
    assert!(tokio_tungstenite::connect_async(stream).await.is_err());
    assert_eq!(backend.calls(), 0);
}
