//! The HTTP side of the three endpoints.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use futures_util::stream;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;

use crate::media::pcm16_header;

use super::think::{Thought, think};
use super::{Endpoint, Shared, hear, voice};

/// The largest recording taken.
const BODY_MAX: usize = 32 * 1024 * 1024;
/// Speech in one piece: a tenth of a second at 24 kHz, sent five times faster than it is spoken.
const PIECE_BYTES: usize = 4_800;
const PIECE_EVERY: Duration = Duration::from_millis(20);

pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/v1/audio/transcriptions", post(transcriptions))
        .route("/v1/chat/completions", post(completions))
        .route("/v1/audio/speech", post(speech))
        .fallback(async || refuse(404, "unknown request URL"))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(shared)
}

fn refuse(status: u16, message: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let body = axum::Json(json!({"error": {
        "type": "invalid_request_error", "code": null, "message": message, "param": null,
    }}));
    (status, body).into_response()
}

/// Refuses whoever has no key, and everybody while the endpoint is to fail.
fn turned_away(shared: &Shared, endpoint: Endpoint, headers: &HeaderMap) -> Option<Response> {
    shared.requests.fetch_add(1, Ordering::Relaxed);
    if let Some(key) = &shared.cfg.api_key {
        let presented = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "))
            .unwrap_or_default();
        if !bool::from(presented.as_bytes().ct_eq(key.as_bytes())) {
            shared.note(|view| view.refused += 1);
            return Some(refuse(401, "Incorrect API key provided"));
        }
    }
    match shared.status_of(endpoint) {
        200 => None,
        status => Some(refuse(status, "simulated failure")),
    }
}

async fn transcriptions(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Some(refusal) = turned_away(&shared, Endpoint::Hear, &headers) {
        return refusal;
    }
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let Some(file) = file_of(content_type, &body) else {
        return refuse(400, "no file in the form");
    };
    let Some(text) = hear::transcribe(file) else {
        return refuse(400, "the file is no WAV this recogniser can read");
    };
    tokio::time::sleep(shared.cfg.hear_after).await;
    shared.note(|view| view.heard.push(text.clone()));
    axum::Json(json!({"text": text})).into_response()
}

/// The file in a multipart form.
fn file_of<'a>(content_type: &str, body: &'a [u8]) -> Option<&'a [u8]> {
    let boundary = content_type.split("boundary=").nth(1)?.trim_matches('"');
    let end = format!("\r\n--{boundary}");
    let head = find(body, b"name=\"file\"")?;
    let rest = body.get(head..)?;
    let start = find(rest, b"\r\n\r\n")? + 4;
    let content = rest.get(start..)?;
    content.get(..find(content, end.as_bytes())?)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

async fn completions(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Some(refusal) = turned_away(&shared, Endpoint::Think, &headers) {
        return refusal;
    }
    let Ok(request) = serde_json::from_slice::<Value>(&body) else {
        return refuse(400, "the body is no JSON");
    };
    let thought = think(&request);
    let read = body.len() as u64 / 4;
    shared.note(|view| view.asked.push(request));
    let events = events(&thought, read);
    let cfg = &shared.cfg;
    let pauses = (cfg.think_after, cfg.word_every);
    streamed(&shared, "text/event-stream", events, pauses)
}

/// The answer as the vendor streams it.
fn events(thought: &Thought, read: u64) -> Vec<Bytes> {
    let event = |choices: Value, usage: Value| {
        let chunk = json!({
            "id": "chatcmpl-sim", "object": "chat.completion.chunk", "model": "rehearsal",
            "choices": choices, "usage": usage,
        });
        Bytes::from(format!("data: {chunk}\n\n"))
    };
    let delta = |delta: Value, finish: Value| {
        event(
            json!([{"index": 0, "delta": delta, "finish_reason": finish}]),
            Value::Null,
        )
    };
    let mut events = vec![delta(
        json!({"role": "assistant", "content": ""}),
        Value::Null,
    )];
    for word in thought.words.split_inclusive(' ') {
        events.push(delta(json!({"content": word}), Value::Null));
    }
    let mut finish = "stop";
    if let Some((name, args)) = &thought.call {
        finish = "tool_calls";
        let (head, tail) = args.split_at(args.len() / 2);
        events.push(delta(
            json!({"tool_calls": [{"index": 0, "id": format!("call_sim_{read}"), "type": "function",
                "function": {"name": name, "arguments": head}}]}),
            Value::Null,
        ));
        events.push(delta(
            json!({"tool_calls": [{"index": 0, "function": {"arguments": tail}}]}),
            Value::Null,
        ));
    }
    events.push(delta(json!({}), json!(finish)));
    let written = thought.words.split(' ').count();
    events.push(event(
        json!([]),
        json!({"prompt_tokens": read, "completion_tokens": written,
            "total_tokens": read + written as u64}),
    ));
    events.push(Bytes::from_static(b"data: [DONE]\n\n"));
    events
}

async fn speech(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    if let Some(refusal) = turned_away(&shared, Endpoint::Speak, &headers) {
        return refusal;
    }
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    let Some(text) = request.get("input").and_then(Value::as_str) else {
        return refuse(400, "no input");
    };
    shared.note(|view| view.spoken.push(text.to_owned()));
    let pcm = Bytes::from(hear::pcm(&voice::speak(text), shared.cfg.rate_hz));
    // The length is not known yet when a server begins to send.
    let head = pcm16_header(shared.cfg.rate_hz, usize::MAX);
    let mut pieces = vec![Bytes::copy_from_slice(&head)];
    let mut from = 0;
    while from < pcm.len() {
        let to = (from + PIECE_BYTES).min(pcm.len());
        pieces.push(pcm.slice(from..to));
        from = to;
    }
    let pauses = (shared.cfg.speak_after, PIECE_EVERY);
    streamed(&shared, "audio/wav", pieces, pauses)
}

/// Notes a listener who leaves before the end.
struct Listener {
    shared: Arc<Shared>,
    is_done: bool,
}

impl Drop for Listener {
    fn drop(&mut self) {
        if !self.is_done {
            self.shared.note(|view| view.dropped += 1);
        }
    }
}

/// Sends the pieces one by one: the first pause before the first, the second between the others.
fn streamed(
    shared: &Arc<Shared>,
    content_type: &'static str,
    pieces: Vec<Bytes>,
    (first, between): (Duration, Duration),
) -> Response {
    let listener = Listener {
        shared: Arc::clone(shared),
        is_done: false,
    };
    let state = (pieces.into_iter(), first, listener);
    let body = stream::unfold(state, move |(mut pieces, pause, mut listener)| async move {
        tokio::time::sleep(pause).await;
        let piece = pieces.next();
        listener.is_done |= piece.is_none() || pieces.len() == 0;
        Some((
            Ok::<_, std::convert::Infallible>(piece?),
            (pieces, between, listener),
        ))
    });
    (
        [(header::CONTENT_TYPE, content_type)],
        Body::from_stream(body),
    )
        .into_response()
}
