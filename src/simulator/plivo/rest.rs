//! The REST API: calls and recordings, Basic auth, errors in the carrier's shape. Paths end in a
//! slash, bodies are JSON, and what the official SDK could not send is refused.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;

use super::call::{Run, Wishes};
use super::fields::{ApiError, Fields, party};
use super::state::{Entry, NewCall, Order, PlivoStatus, Shared};
use super::{copies, news, person_for};

type App = State<Arc<Shared>>;
/// `{account}` and an id of each route.
type Ids = Path<(String, String)>;
type Asked = Query<Vec<(String, String)>>;

pub(super) fn router(shared: Arc<Shared>) -> Router {
    let at = |path: &str| format!("/v1/Account/{{account}}{path}");
    Router::new()
        .route(&at("/"), get(account))
        .route(&at("/Call/"), get(list_calls).post(create_call))
        .route(
            &at("/Call/{uuid}/"),
            get(fetch_call).post(transfer_call).delete(end_call),
        )
        .route(&at("/Request/{uuid}/"), delete(cancel_call))
        .route(
            &at("/Call/{uuid}/Record/"),
            post(start_recording).delete(stop_recording),
        )
        .route(
            &at("/Call/{uuid}/Speak/"),
            post(speak).delete(stop_speaking),
        )
        .route(&at("/Recording/"), get(list_recordings))
        .route(&at("/Recording/{id}/"), get(fetch_recording))
        .route(&at("/Call/{uuid}/Stream/"), post(copies::start))
        .route(&at("/Call/{uuid}/Stream/{id}/"), delete(copies::stop))
        .route("/media/{account}/{file}", get(media))
        .fallback(async || ApiError::not_found())
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), gate))
        .with_state(shared)
}

async fn account(State(shared): App) -> Response {
    let cfg = &shared.cfg;
    let body = json!({
        "api_id": "00000000-0000-0000-0000-000000000000", "auth_id": cfg.auth_id,
        "account_type": "standard", "name": "Simulated", "cash_credits": "100.00",
        "resource_uri": format!("/v1/Account/{}/", cfg.auth_id),
    });
    axum::Json(body).into_response()
}

/// Auth, slowness and failures come before anything else.
async fn gate(State(shared): App, request: Request, next: Next) -> Response {
    shared.rest_requests.fetch_add(1, Ordering::Relaxed);
    let faults = shared.cfg.faults;
    if faults.rest_delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(faults.rest_delay_ms)).await;
    }
    if shared.poster.draw(|rng| rng.chance(faults.rest_5xx_pct)) {
        return (StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable").into_response();
    }
    let expected = STANDARD.encode(format!("{}:{}", shared.cfg.auth_id, shared.cfg.auth_token));
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|v| v.to_str().ok());
    let given = given.and_then(|v| v.strip_prefix("Basic ")).unwrap_or("");
    let path = request.uri().path().to_owned();
    let mine = [
        format!("/v1/Account/{}/", shared.cfg.auth_id),
        format!("/media/{}/", shared.cfg.auth_id),
    ];
    let response = if !bool::from(expected.as_bytes().ct_eq(given.as_bytes())) {
        // This one is plain text at the carrier too.
        (
            StatusCode::UNAUTHORIZED,
            "Could not verify your access level for that URL.",
        )
            .into_response()
    } else if mine.iter().any(|mine| path.starts_with(mine)) {
        next.run(request).await
    } else {
        ApiError::not_found().into_response()
    };
    if response.status().is_client_error() {
        shared.rest_refused.fetch_add(1, Ordering::Relaxed);
    }
    response
}

const CREATE: [&str; 25] = [
    "from",
    "to",
    "answer_url",
    "answer_method",
    "ring_url",
    "ring_method",
    "hangup_url",
    "hangup_method",
    "fallback_url",
    "fallback_method",
    "caller_name",
    "send_digits",
    "send_on_preanswer",
    "time_limit",
    "hangup_on_ring",
    "ring_timeout",
    "machine_detection",
    "machine_detection_time",
    "machine_detection_url",
    "machine_detection_method",
    "sip_headers",
    "parent_call_uuid",
    "error_if_parent_not_found",
    "callback_url",
    "callback_method",
];

async fn create_call(
    State(shared): App,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let fields = Fields::read(&headers, &body, &CREATE)?;
    let (from, to) = (party(&fields, "from")?, party(&fields, "to")?);
    fields.need("answer_url")?;
    let detection = fields.one_of("machine_detection", &["true", "hangup"])?;
    let machine = fields.source("machine_detection")?;
    let ring_max = fields.number("ring_timeout")?.unwrap_or(120);
    let wishes = Wishes {
        answer: fields
            .source("answer")?
            .ok_or_else(|| ApiError::bad("answer_url parameter not present"))?,
        fallback: fields.source("fallback")?,
        ring: fields.source("ring")?,
        hangup: fields.source("hangup")?,
        machine: machine.filter(|_| detection == Some("true")),
        ring_max: Duration::from_secs(ring_max),
    };
    let person = person_for(&shared, &to, &from);
    let (entry, orders) = shared.open(NewCall {
        outbound: true,
        from,
        caller_name: None,
        to,
    });
    let request_uuid = entry.uuid.clone();
    let run = Run {
        shared: Arc::clone(&shared),
        entry,
        orders,
        wishes,
        person,
    };
    shared
        .tasks
        .spawn("simulated outbound call", run.outbound());
    let body = json!({
        "message": "call fired", "request_uuid": request_uuid, "api_id": shared.uuid(),
    });
    Ok((StatusCode::CREATED, axum::Json(body)).into_response())
}

fn wanted<'a>(query: &'a [(String, String)], key: &str) -> Option<&'a str> {
    query
        .iter()
        .find(|(k, _)| k == key)
        .map(|(_, v)| v.as_str())
}

/// Live and queued calls by id only; ended ones as records, twenty at a time.
async fn list_calls(State(shared): App, Query(query): Asked) -> Result<Response, ApiError> {
    let api_id = shared.uuid();
    let ids = |status: &[PlivoStatus]| -> Vec<String> {
        let calls = shared.calls();
        calls
            .newest()
            .filter(|entry| status.contains(&entry.status()))
            .map(|entry| entry.uuid.clone())
            .collect()
    };
    let calls = match wanted(&query, "status") {
        Some("live") => ids(&[PlivoStatus::Ringing, PlivoStatus::InProgress]),
        Some("queued") => ids(&[PlivoStatus::Queued]),
        Some(other) => return Err(ApiError::bad(format!("status {other:?}"))),
        None => return ended_page(&shared, &query, &api_id),
    };
    let (limit, offset) = page(&query)?;
    let calls: Vec<&String> = calls.iter().skip(offset).take(limit).collect();
    Ok(axum::Json(json!({"api_id": api_id, "calls": calls})).into_response())
}

fn page(query: &[(String, String)]) -> Result<(usize, usize), ApiError> {
    let number = |key: &str, default: usize| {
        wanted(query, key).map_or(Ok(default), |text| {
            text.parse()
                .map_err(|_| ApiError::bad(format!("{key} is no number")))
        })
    };
    match (number("limit", 20)?, number("offset", 0)?) {
        (limit, _) if limit > 20 => Err(ApiError::bad("limit must be at most 20")),
        page => Ok(page),
    }
}

fn ended_page(
    shared: &Shared,
    query: &[(String, String)],
    api_id: &str,
) -> Result<Response, ApiError> {
    let (limit, offset) = page(query)?;
    let account = &shared.cfg.auth_id;
    let all: Vec<Value> = shared
        .calls()
        .newest()
        .filter(|entry| entry.status() == PlivoStatus::Over)
        .map(|entry| entry.ended_resource(api_id, account))
        .collect();
    let next = (offset + limit < all.len()).then(|| {
        format!(
            "/v1/Account/{account}/Call/?limit={limit}&offset={}",
            offset + limit
        )
    });
    let objects: Vec<&Value> = all.iter().skip(offset).take(limit).collect();
    Ok(axum::Json(json!({
        "api_id": api_id, "objects": objects,
        "meta": {"limit": limit, "offset": offset, "next": next, "previous": null,
            "total_count": all.len()},
    }))
    .into_response())
}

async fn fetch_call(
    State(shared): App,
    Path((_, uuid)): Ids,
    Query(query): Asked,
) -> Result<Response, ApiError> {
    let entry = shared.calls().get(&uuid).ok_or_else(ApiError::not_found)?;
    let status = entry.status();
    let api_id = shared.uuid();
    let body = match (wanted(&query, "status"), status) {
        (Some("live"), PlivoStatus::Ringing | PlivoStatus::InProgress)
        | (Some("queued"), PlivoStatus::Queued) => entry.live_resource(&api_id),
        (None, PlivoStatus::Over) => entry.ended_resource(&api_id, &shared.cfg.auth_id),
        _ => return Err(ApiError::not_found()),
    };
    Ok(axum::Json(body).into_response())
}

/// A call that rings or talks; anything else is not found.
pub(super) fn live(shared: &Shared, uuid: &str) -> Result<Arc<Entry>, ApiError> {
    let entry = shared.calls().get(uuid).ok_or_else(ApiError::not_found)?;
    match entry.status() {
        PlivoStatus::Ringing | PlivoStatus::InProgress => Ok(entry),
        PlivoStatus::Queued | PlivoStatus::Over => Err(ApiError::not_found()),
    }
}

fn order(entry: &Entry, order: Order) -> Result<(), ApiError> {
    entry.orders.try_send(order).map_err(|_| ApiError {
        status: 429,
        error: "too many requests".to_owned(),
    })
}

async fn end_call(State(shared): App, Path((_, uuid)): Ids) -> Result<StatusCode, ApiError> {
    order(&*live(&shared, &uuid)?, Order::End)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn cancel_call(State(shared): App, Path((_, uuid)): Ids) -> Result<StatusCode, ApiError> {
    let entry = shared.calls().get(&uuid).ok_or_else(ApiError::not_found)?;
    if entry.status() != PlivoStatus::Queued {
        return Err(ApiError::not_found());
    }
    order(&entry, Order::End)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn transfer_call(
    State(shared): App,
    Path((_, uuid)): Ids,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    const KNOWN: [&str; 5] = ["legs", "aleg_url", "aleg_method", "bleg_url", "bleg_method"];
    let fields = Fields::read(&headers, &body, &KNOWN)?;
    fields.one_of("legs", &["aleg"])?;
    let source = fields
        .source("aleg")?
        .ok_or_else(|| ApiError::bad("aleg_url parameter not present"))?;
    let entry = live(&shared, &uuid)?;
    if entry.status() != PlivoStatus::InProgress {
        return Err(ApiError::not_found());
    }
    order(&entry, Order::Transfer(source))?;
    let body = json!({"message": "call transfered", "api_id": shared.uuid()});
    Ok((StatusCode::ACCEPTED, axum::Json(body)).into_response())
}

async fn start_recording(
    State(shared): App,
    Path((_, uuid)): Ids,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    const KNOWN: [&str; 9] = [
        "time_limit",
        "file_format",
        "transcription_type",
        "transcription_url",
        "transcription_method",
        "callback_url",
        "callback_method",
        "record_channel_type",
        "recording_channel_type",
    ];
    let fields = Fields::read(&headers, &body, &KNOWN)?;
    fields.number("time_limit")?;
    fields.one_of("file_format", &["mp3", "wav"])?;
    fields.one_of("record_channel_type", &["mono", "stereo"])?;
    let callback = fields.source("callback")?.map(|to| (to.url, to.method));
    let entry = live(&shared, &uuid)?;
    let id = news::start_recording(&shared, &entry, callback);
    let body = json!({
        "url": news::media_url(&shared, &id), "message": "call recording started",
        "recording_id": id, "api_id": shared.uuid(),
    });
    Ok((StatusCode::ACCEPTED, axum::Json(body)).into_response())
}

async fn stop_recording(State(shared): App, Path((_, uuid)): Ids) -> Result<StatusCode, ApiError> {
    let entry = live(&shared, &uuid)?;
    news::end_recordings(&shared, &entry);
    Ok(StatusCode::NO_CONTENT)
}

async fn speak(
    State(shared): App,
    Path((_, uuid)): Ids,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    const KNOWN: [&str; 6] = ["text", "voice", "language", "legs", "loop", "mix"];
    let fields = Fields::read(&headers, &body, &KNOWN)?;
    let text = fields.need("text")?.to_owned();
    fields.one_of("legs", &["aleg", "bleg", "both"])?;
    let entry = live(&shared, &uuid)?;
    entry.note(|view| {
        view.steps.push("Speak (REST)");
        view.spoken.push(text);
    });
    let body = json!({"message": "speak started", "api_id": shared.uuid()});
    Ok((StatusCode::ACCEPTED, axum::Json(body)).into_response())
}

async fn stop_speaking(State(shared): App, Path((_, uuid)): Ids) -> Result<StatusCode, ApiError> {
    live(&shared, &uuid)?;
    Ok(StatusCode::NO_CONTENT)
}

fn recording_resource(shared: &Shared, recording: &super::recording::Recording) -> Value {
    json!({
        "recording_id": recording.id, "call_uuid": recording.call_uuid,
        "recording_url": news::media_url(shared, &recording.id), "recording_format": "wav",
        "recording_type": "normal", "recording_duration_ms": recording.duration_ms().to_string(),
        "add_time": recording.started.format("%Y-%m-%d %H:%M:%S%.6f%:z").to_string(),
        "resource_uri": format!("/v1/Account/{}/Recording/{}/", shared.cfg.auth_id, recording.id),
    })
}

async fn list_recordings(State(shared): App, Query(query): Asked) -> Response {
    let call = wanted(&query, "call_uuid").unwrap_or("");
    let objects: Vec<Value> = shared
        .recordings()
        .of_call(call)
        .map(|recording| recording_resource(&shared, recording))
        .collect();
    let meta = json!({"limit": 20, "offset": 0, "next": null, "previous": null,
        "total_count": objects.len()});
    axum::Json(json!({"api_id": shared.uuid(), "meta": meta, "objects": objects})).into_response()
}

async fn fetch_recording(State(shared): App, Path((_, id)): Ids) -> Result<Response, ApiError> {
    let recordings = shared.recordings();
    let recording = recordings.get(&id).ok_or_else(ApiError::not_found)?;
    Ok(axum::Json(recording_resource(&shared, recording)).into_response())
}

async fn media(State(shared): App, Path((_, file)): Ids) -> Result<Response, ApiError> {
    let id = file.strip_suffix(".wav").unwrap_or(&file);
    let recordings = shared.recordings();
    let recording = recordings
        .get(id)
        .filter(|recording| !recording.running)
        .ok_or_else(ApiError::not_found)?;
    Ok(([(header::CONTENT_TYPE, "audio/wav")], recording.wav()).into_response())
}
