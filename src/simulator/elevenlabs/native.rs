//! Calls the simulated vendor places itself: nothing but its webhooks tells anybody of them. The live
//! events stand for whatever a user has wired up; the vendor's own come after the call.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use hmac::{Hmac, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::call::Secret;
use crate::simulator::cast::Cast;
use crate::simulator::speech::{Line, Script};
use crate::simulator::twilio::{CallView, TestCall};

use super::rest::refuse;
use super::state::{Entry, Shared};

/// A webhook must be answered within this; it is sent once, as the vendor does.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Where webhooks go and what proves them.
#[derive(Clone, Debug)]
pub struct Webhooks {
    /// The backend, without a slash at the end.
    pub base: String,
    pub secret: Secret,
    /// Between two things said.
    pub pace: Duration,
    /// Somebody has wired up the live events; else only the vendor's own come, after the call.
    pub live: bool,
}

pub(super) async fn outbound_call(
    State(shared): State<Arc<Shared>>,
    axum::Json(asked): axum::Json<Value>,
) -> Response {
    let text = |name: &str| asked[name].as_str().unwrap_or_default().to_owned();
    let (agent, number, line) = (
        text("agent_id"),
        text("to_number"),
        text("agent_phone_number_id"),
    );
    if agent.is_empty() || number.is_empty() || line.is_empty() {
        return refuse(
            422,
            "missing_fields",
            "agent_id, agent_phone_number_id, to_number",
        );
    }
    let entry = shared.open(&agent);
    let begin = asked["conversation_initiation_client_data"].clone();
    entry.note(|view| view.begin = serde_json::from_value(begin).ok());
    let line = shared.ring(&number);
    let answer = json!({
        "success": true, "message": "Success", "conversation_id": entry.id,
        "callSid": line.as_ref().map(TestCall::sid),
    });
    if let Some(webhooks) = shared.webhooks() {
        let script = shared.cfg.cast.find(&number, "");
        let call = Call {
            entry: Arc::clone(&entry),
            webhooks,
            begun_with: asked["conversation_initiation_client_data"].clone(),
            number: number.clone(),
            line,
            script: script.unwrap_or_else(|| Cast::improvise(&number)),
        };
        let task = Arc::clone(&shared);
        shared.tasks.spawn("native call", async move {
            let token = task.tasks.token().clone();
            tokio::select! {
                biased;
                () = token.cancelled() => {}
                () = call.run(&task) => {}
            }
        });
    } else {
        entry.note(|view| view.open = false);
    }
    axum::Json(answer).into_response()
}

struct Call {
    entry: Arc<Entry>,
    webhooks: Webhooks,
    begun_with: Value,
    number: String,
    /// The same call at the carrier.
    line: Option<TestCall>,
    script: Arc<Script>,
}

impl Call {
    async fn run(self, shared: &Shared) {
        let Ok(http) = reqwest::Client::builder().timeout(ANSWER_WITHIN).build() else {
            return;
        };
        let begun = shared.clock.elapsed();
        self.event(&http, shared, "conversation_started", json!({}))
            .await;
        for line in &self.script.lines {
            let (kind, role, text) = match line {
                Line::Agent(line) => ("agent_message", "agent", &line.text),
                Line::Caller(line) => ("user_message", "user", &line.text),
                _ => continue,
            };
            if self.is_over_within(self.webhooks.pace).await {
                break;
            }
            self.entry
                .note(|view| view.lines.push(format!("{role}: {text}")));
            self.event(&http, shared, kind, json!({ "message": text }))
                .await;
        }
        self.is_over_within(self.webhooks.pace).await;
        if let Some(line) = &self.line {
            line.hang_up();
        }
        let took = shared.clock.elapsed().saturating_sub(begun);
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let over = json!({ "duration_ms": millis, "end_reason": "the caller hung up" });
        self.event(&http, shared, "conversation_ended", over).await;
        self.entry.note(|view| view.open = false);
        self.record(&http, shared, took).await;
    }

    /// Lets time pass; whether the carrier's call has ended meanwhile.
    async fn is_over_within(&self, time: Duration) -> bool {
        if let Some(line) = &self.line {
            let over = line.wait_within(time, "end", CallView::is_over);
            return over.await.is_ok();
        }
        tokio::time::sleep(time).await;
        false
    }

    /// The vendor's own record of it.
    async fn record(&self, http: &reqwest::Client, shared: &Shared, took: Duration) {
        let now = shared.clock.now().timestamp();
        let mut data = self.entry.resource(now);
        data["metadata"]["call_duration_secs"] = took.as_secs().into();
        data["metadata"]["phone_call"] = json!({
            "direction": "outbound", "external_number": self.number, "call_result": "answered",
            "call_sid": self.line.as_ref().map(TestCall::sid),
        });
        data["conversation_initiation_client_data"] = self.begun_with.clone();
        data["analysis"] = json!({
            "call_successful": "success",
            "transcript_summary": format!("{}.", self.script.title),
        });
        let body = json!({
            "type": "post_call_transcription", "event_timestamp": now, "data": data,
        });
        self.send(http, shared, "post-call", &body).await;
    }

    async fn event(&self, http: &reqwest::Client, shared: &Shared, kind: &str, more: Value) {
        if !self.webhooks.live {
            return;
        }
        let now = shared.clock.now();
        let mut body = json!({
            "type": kind,
            "event_timestamp": now.timestamp_millis() as f64 / 1000.0,
            "data": {
                "agent_id": self.entry.agent_id,
                "conversation_id": self.entry.id,
                "conversation_initiation_client_data": self.begun_with,
                "metadata": { "phone_number": self.number },
            },
        });
        if let (Some(data), Some(more)) = (body["data"].as_object_mut(), more.as_object()) {
            data.extend(more.clone());
        }
        self.send(http, shared, "conversation-events", &body).await;
    }

    async fn send(&self, http: &reqwest::Client, shared: &Shared, path: &str, body: &Value) {
        let body = body.to_string();
        let now = u64::try_from(shared.clock.now().timestamp()).unwrap_or(0);
        let signature = sign(&body, &self.webhooks.secret, now);
        let url = format!("{}/api/webhooks/elevenlabs/{path}", self.webhooks.base);
        let request = http
            .post(url)
            .header("content-type", "application/json")
            .header("elevenlabs-signature", signature);
        match request.body(body).send().await {
            Ok(answer) if answer.status().is_success() => {}
            Ok(answer) => tracing::warn!(status = %answer.status(), path, "a webhook was refused"),
            Err(error) => tracing::debug!(%error, path, "a webhook was not delivered"),
        }
    }
}

/// `ElevenLabs-Signature`: `t=<unix s>,v0=<hex HMAC-SHA256 of "t.body">`. Written out here: a peer that
/// shared the backend's code would share its mistakes.
fn sign(body: &str, secret: &Secret, at: u64) -> String {
    let key = secret.expose().as_bytes();
    // HMAC takes keys of any length.
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return String::new();
    };
    let sum = mac
        .chain_update(format!("{at}.{body}"))
        .finalize()
        .into_bytes();
    let mut text = format!("t={at},v0=");
    for byte in sum {
        // Writing to a String cannot fail.
        let _infallible = write!(text, "{byte:02x}");
    }
    text
}
