//! The REST API: calls and recordings, Basic auth, errors in the carrier's shape.
//! What the official SDK could not send is refused.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;
use url::form_urlencoded;

use crate::call::CallStatus;

use super::call::Run;
use super::params::{self, CreateCall};
use super::recording::State as RecordingState;
use super::state::{NewCall, Order, Shared, Source};
use super::wishes::RecordWish;
use super::{copies, far_end_for, news};
use crate::simulator::line::Method;

type App = State<Arc<Shared>>;
/// `{account}` and a SID of each route.
type Sids = Path<(String, String)>;

/// An error body: the carrier's code, HTTP status, and words.
#[derive(Debug)]
pub(super) struct ApiError {
    pub(super) status: u16,
    pub(super) code: Option<u32>,
    pub(super) message: String,
}

impl ApiError {
    pub(super) fn new(status: u16, code: u32, message: impl Into<String>) -> Self {
        Self {
            status,
            code: Some(code),
            message: message.into(),
        }
    }

    pub(super) fn not_found(what: &str) -> Self {
        Self::new(
            404,
            20_404,
            format!("The requested resource {what} was not found"),
        )
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let more = self
            .code
            .map(|code| format!("https://www.twilio.com/docs/errors/{code}"));
        let body = json!({
            "code": self.code, "message": self.message, "more_info": more, "status": self.status,
        });
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        (status, axum::Json(body)).into_response()
    }
}

pub(super) fn router(shared: Arc<Shared>) -> Router {
    let account = "/2010-04-01/Accounts/{account}";
    let at = |path: &str| format!("{account}{path}");
    Router::new()
        .route("/2010-04-01/Accounts/{account_json}", get(account_resource))
        .route(&at("/Calls.json"), get(list_calls).post(create_call))
        .route(&at("/Calls/{sid}"), get(fetch_call).post(update_call))
        .route(
            &at("/Calls/{sid}/Recordings.json"),
            get(call_recordings).post(start_recording),
        )
        .route(
            &at("/Calls/{sid}/Recordings/{recording}"),
            post(update_recording).get(call_recording),
        )
        .route(&at("/Calls/{sid}/Streams.json"), post(copies::start))
        .route(&at("/Calls/{sid}/Streams/{stream}"), post(copies::stop))
        .route(&at("/Recordings.json"), get(list_recordings))
        .route(
            &at("/Recordings/{file}"),
            get(fetch_recording).delete(delete_recording),
        )
        .route(&at("/IncomingPhoneNumbers.json"), get(numbers))
        .fallback(|request: Request| async move { ApiError::not_found(request.uri().path()) })
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), gate))
        .with_state(shared)
}

/// Auth, slowness and failures come before anything else.
async fn gate(State(shared): App, request: Request, next: Next) -> Response {
    Shared::count(&shared.rest.requests);
    let faults = shared.cfg.faults;
    if faults.rest_delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(faults.rest_delay_ms)).await;
    }
    if shared.poster.draw(|rng| rng.chance(faults.rest_5xx_pct)) {
        // Failures of the edge are no JSON.
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            "<html><body>Service Unavailable</body></html>",
        )
            .into_response();
    }
    let expected = STANDARD.encode(format!(
        "{}:{}",
        shared.cfg.account_sid, shared.cfg.auth_token
    ));
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|v| v.to_str().ok());
    let given = given.and_then(|v| v.strip_prefix("Basic ")).unwrap_or("");
    if !bool::from(expected.as_bytes().ct_eq(given.as_bytes())) {
        Shared::count(&shared.rest.refused);
        return ApiError::new(401, 20_003, "Authenticate").into_response();
    }
    let path = request.uri().path().to_owned();
    let mine = format!("/2010-04-01/Accounts/{}", shared.cfg.account_sid);
    if !path.starts_with(&mine) {
        Shared::count(&shared.rest.refused);
        return ApiError::not_found(&path).into_response();
    }
    let response = next.run(request).await;
    if response.status().is_client_error() {
        shared.rest.refused.fetch_add(1, Ordering::Relaxed);
    }
    response
}

async fn account_resource(State(shared): App) -> Response {
    let sid = &shared.cfg.account_sid;
    axum::Json(json!({
        "sid": sid, "friendly_name": "Simulated", "status": "active", "type": "Full",
        "uri": format!("/2010-04-01/Accounts/{sid}.json"),
    }))
    .into_response()
}

async fn numbers(State(shared): App) -> Response {
    let number = &shared.cfg.number;
    axum::Json(json!({
        "incoming_phone_numbers": [{
            "sid": "PN00000000000000000000000000000001", "phone_number": number,
            "friendly_name": number, "capabilities": {"voice": true},
        }],
        "page": 0, "page_size": 50, "start": 0, "end": 0, "next_page_uri": null,
    }))
    .into_response()
}

pub(super) fn form_of(
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Vec<(String, String)>, ApiError> {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .unwrap_or("");
    if !body.is_empty() && !kind.starts_with("application/x-www-form-urlencoded") {
        return Err(ApiError::new(
            400,
            20_001,
            format!("Content-Type {kind:?} not supported"),
        ));
    }
    Ok(form_urlencoded::parse(body).into_owned().collect())
}

async fn create_call(
    State(shared): App,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let form = form_of(&headers, &body)?;
    let CreateCall { to, from, wishes } = params::create_call(&form)?;
    let person = far_end_for(&shared, &to, &from);
    let (entry, orders) = shared.open(NewCall {
        parent: None,
        direction: "outbound-api",
        from,
        to,
        caller_name: None,
        status: CallStatus::Queued,
    });
    let resource = entry.resource(&shared.cfg.account_sid);
    let run = Run {
        shared: Arc::clone(&shared),
        entry,
        orders,
        wishes,
        person,
        sequence: 0,
    };
    shared
        .tasks
        .spawn("simulated outbound call", run.outbound());
    Ok((StatusCode::CREATED, axum::Json(resource)).into_response())
}

async fn fetch_call(State(shared): App, Path((_, file)): Sids) -> Result<Response, ApiError> {
    let entry = sid_of(&file).and_then(|sid| shared.calls().get(sid));
    let entry = entry.ok_or_else(|| ApiError::not_found(&format!("/Calls/{file}")))?;
    Ok(axum::Json(entry.resource(&shared.cfg.account_sid)).into_response())
}

async fn update_call(
    State(shared): App,
    Path((_, file)): Sids,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let form = form_of(&headers, &body)?;
    let entry = sid_of(&file).and_then(|sid| shared.calls().get(sid));
    let entry = entry.ok_or_else(|| ApiError::not_found(&format!("/Calls/{file}")))?;
    let status = entry.status();
    if status.is_terminal() {
        return Err(ApiError::new(
            400,
            21_220,
            "Call is not in-progress. Cannot redirect.",
        ));
    }
    let order = match params::update_call(&form)? {
        Order::End(CallStatus::Canceled) if status == CallStatus::InProgress => {
            return Err(ApiError::new(
                400,
                21_220,
                "Call is in-progress. Cannot cancel.",
            ));
        }
        Order::Redirect(_) if status != CallStatus::InProgress => {
            return Err(ApiError::new(
                400,
                21_220,
                "Call is not in-progress. Cannot redirect.",
            ));
        }
        order => order,
    };
    if entry.orders.try_send(order).is_err() {
        return Err(ApiError::new(429, 20_429, "Too many requests"));
    }
    Ok(axum::Json(entry.resource(&shared.cfg.account_sid)).into_response())
}

async fn list_calls(
    State(shared): App,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let wanted = |key: &str| {
        query
            .iter()
            .find(|(k, _)| k == key)
            .map(|(_, v)| v.as_str())
    };
    if let Some((key, _)) = query.iter().find(|(key, _)| {
        ![
            "Status",
            "To",
            "From",
            "ParentCallSid",
            "PageSize",
            "Page",
            "PageToken",
        ]
        .contains(&key.as_str())
            && !key.starts_with("StartTime")
            && !key.starts_with("EndTime")
    }) {
        return Err(ApiError::new(400, 20_001, format!("unknown filter {key}")));
    }
    let number = |key: &str, default: usize| {
        wanted(key).map_or(Ok(default), |text| {
            text.parse()
                .map_err(|_| ApiError::new(400, 20_001, format!("{key} is no number")))
        })
    };
    let (page, size) = (number("Page", 0)?, number("PageSize", 50)?.clamp(1, 1_000));
    let is = |key: &str, actual: &str| wanted(key).is_none_or(|value| value == actual);
    let account = &shared.cfg.account_sid;
    let all: Vec<Value> = shared
        .calls()
        .newest()
        .map(|entry| entry.resource(account))
        .filter(|call| {
            ["Status", "To", "From"].iter().all(|key| {
                is(
                    key,
                    call.get(key.to_lowercase())
                        .and_then(Value::as_str)
                        .unwrap_or(""),
                )
            })
        })
        .collect();
    let start = page * size;
    let calls: Vec<&Value> = all.iter().skip(start).take(size).collect();
    let uri = |page: usize| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for key in ["Status", "To", "From"] {
            if let Some(value) = wanted(key) {
                query.append_pair(key, value);
            }
        }
        query
            .append_pair("PageSize", &size.to_string())
            .append_pair("Page", &page.to_string());
        format!(
            "/2010-04-01/Accounts/{account}/Calls.json?{}",
            query.finish()
        )
    };
    let next = (start + size < all.len()).then(|| uri(page + 1));
    let previous = page.checked_sub(1).map(uri);
    let end = (start + calls.len()).saturating_sub(1);
    Ok(axum::Json(json!({
        "calls": calls, "page": page, "page_size": size, "start": start, "end": end,
        "first_page_uri": uri(0), "next_page_uri": next, "previous_page_uri": previous,
        "uri": uri(page),
    }))
    .into_response())
}

async fn start_recording(
    State(shared): App,
    Path((_, sid)): Sids,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let form = form_of(&headers, &body)?;
    let wish: RecordWish = params::start_recording(&form)?;
    let entry = shared.calls().get(&sid);
    let entry = entry.ok_or_else(|| ApiError::not_found(&format!("/Calls/{sid}/Recordings")))?;
    if entry.status() != CallStatus::InProgress {
        return Err(ApiError::new(
            400,
            21_220,
            "Requested resource is not eligible for recording",
        ));
    }
    if shared.recordings().running(&sid).is_some() {
        return Err(ApiError::new(
            400,
            21_220,
            "A recording of this call is already in progress",
        ));
    }
    let recording = news::start_recording(&shared, &entry, wish, "StartCallRecordingAPI");
    let resource = shared
        .recordings()
        .get(&recording)
        .map(|r| r.resource(&shared.cfg.account_sid));
    Ok((StatusCode::CREATED, axum::Json(resource)).into_response())
}

async fn update_recording(
    State(shared): App,
    Path((_, call, file)): Path<(String, String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let change = params::update_recording(&form_of(&headers, &body)?)?;
    let missing = || ApiError::not_found(&format!("/Calls/{call}/Recordings/{file}"));
    let wanted = sid_of(&file).ok_or_else(missing)?;
    let sid = {
        let mut recordings = shared.recordings();
        let running = recordings.running(&call).ok_or_else(missing)?;
        if wanted != "Twilio.CURRENT" && running.sid != wanted {
            return Err(missing());
        }
        if change != RecordingState::Stopped {
            running.state = change;
        }
        running.sid.clone()
    };
    if change == RecordingState::Stopped
        && let Some(entry) = shared.calls().get(&call)
    {
        news::end_recording(&shared, &entry);
    }
    let resource = shared
        .recordings()
        .get(&sid)
        .map(|r| r.resource(&shared.cfg.account_sid));
    Ok(axum::Json(resource).into_response())
}

fn recording_list(shared: &Shared, call_sid: &str) -> Response {
    let account = &shared.cfg.account_sid;
    let recordings: Vec<Value> = shared
        .recordings()
        .of_call(call_sid)
        .map(|r| r.resource(account))
        .collect();
    axum::Json(json!({
        "recordings": recordings, "page": 0, "page_size": 1_000, "start": 0,
        "next_page_uri": null, "previous_page_uri": null,
    }))
    .into_response()
}

async fn call_recordings(State(shared): App, Path((_, sid)): Sids) -> Response {
    recording_list(&shared, &sid)
}

async fn list_recordings(
    State(shared): App,
    Query(query): Query<Vec<(String, String)>>,
) -> Response {
    let call = query
        .iter()
        .find(|(key, _)| key == "CallSid")
        .map_or("", |(_, sid)| sid.as_str());
    recording_list(&shared, call)
}

async fn call_recording(
    State(shared): App,
    Path((account, _, file)): Path<(String, String, String)>,
) -> Result<Response, ApiError> {
    fetch_recording(State(shared), Path((account, file))).await
}

/// `{sid}.json` is the resource, `{sid}.wav` (or no ending) the sound.
async fn fetch_recording(State(shared): App, Path((_, file)): Sids) -> Result<Response, ApiError> {
    let missing = || ApiError::not_found(&format!("/Recordings/{file}"));
    let (sid, kind) = file.rsplit_once('.').unwrap_or((&file, "wav"));
    let recordings = shared.recordings();
    let recording = recordings.get(sid).ok_or_else(missing)?;
    match kind {
        "json" => Ok(axum::Json(recording.resource(&shared.cfg.account_sid)).into_response()),
        "wav" if recording.state == RecordingState::Completed => {
            Ok(([(header::CONTENT_TYPE, "audio/x-wav")], recording.wav()).into_response())
        }
        _ => Err(missing()),
    }
}

async fn delete_recording(State(shared): App, Path((_, file)): Sids) -> Result<Response, ApiError> {
    let sid = sid_of(&file).unwrap_or("");
    if shared.recordings().delete(sid) {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(ApiError::not_found(&format!("/Recordings/{file}")))
    }
}

fn sid_of(file: &str) -> Option<&str> {
    file.strip_suffix(".json")
}

/// A document given by URL and method, or inline.
pub(super) fn source(url: Option<&str>, method: Method, inline: Option<&str>) -> Option<Source> {
    match (url, inline) {
        (Some(url), _) => Some(Source::Url {
            url: url.to_owned(),
            method,
        }),
        (None, Some(text)) => Some(Source::Inline(text.to_owned())),
        (None, None) => None,
    }
}
