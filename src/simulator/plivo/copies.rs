//! The stream resource of a live call: a one-way copy of its audio, begun and ended over REST. One
//! stream a call, as this carrier has it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::simulator::copied::{self, Track, Words};
use crate::simulator::ulaw::FRAME_MS;

use super::fields::{ApiError, Fields};
use super::rest::live;
use super::state::{Entry, PlivoCallView, Shared};

const CONNECT_WITHIN: Duration = Duration::from_secs(10);
const KNOWN: [&str; 8] = [
    "service_url",
    "bidirectional",
    "audio_track",
    "stream_timeout",
    "status_callback_url",
    "status_callback_method",
    "content_type",
    "extra_headers",
];

/// The copies that run, by call.
pub(super) type Copies = HashMap<String, Copy>;

#[derive(Debug)]
pub(super) struct Copy {
    stream: String,
    end: CancellationToken,
}

pub(super) async fn start(
    State(shared): State<Arc<Shared>>,
    Path((_, uuid)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let fields = Fields::read(&headers, &body, &KNOWN)?;
    let url = fields.need("service_url")?.to_owned();
    let fine = Url::parse(&url).is_ok_and(|url| matches!(url.scheme(), "ws" | "wss"));
    if !fine {
        return Err(ApiError::bad(format!("service_url {url:?} is not valid")));
    }
    if fields.one_of("audio_track", &["inbound", "outbound", "both"])? != Some("both") {
        return Err(ApiError::bad("audio_track must be both here"));
    }
    fields.number("stream_timeout")?;
    let entry = live(&shared, &uuid)?;
    let stream = shared.uuid();
    let end = shared.tasks.token().child_token();
    {
        let mut copies = shared.copies();
        if copies.contains_key(&uuid) || entry.view.borrow().stream_open {
            return Err(ApiError::bad("a stream of this call is running already"));
        }
        let copy = Copy {
            stream: stream.clone(),
            end: end.clone(),
        };
        copies.insert(uuid.clone(), copy);
    }
    let body = json!({
        "message": "audio streaming started", "stream_id": stream, "api_id": shared.uuid(),
    });
    let task = Arc::clone(&shared);
    shared.tasks.spawn("simulated copy", async move {
        run(&task, &entry, &url, &stream, &end).await;
        let mut copies = task.copies();
        if copies.get(&uuid).is_some_and(|copy| copy.stream == stream) {
            copies.remove(&uuid);
        }
    });
    Ok((StatusCode::ACCEPTED, axum::Json(body)).into_response())
}

pub(super) async fn stop(
    State(shared): State<Arc<Shared>>,
    Path((_, uuid, stream)): Path<(String, String, String)>,
) -> Result<StatusCode, ApiError> {
    let mut copies = shared.copies();
    // Gone at once: the next one may begin while the old socket says goodbye.
    if copies.get(&uuid).is_none_or(|copy| copy.stream != stream) {
        return Err(ApiError::not_found());
    }
    if let Some(copy) = copies.remove(&uuid) {
        copy.end.cancel();
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Until it is stopped, the call is over, or the other side has closed.
async fn run(shared: &Shared, entry: &Entry, url: &str, id: &str, end: &CancellationToken) {
    let socket = match timeout(CONNECT_WITHIN, shared.poster.dial(url)).await {
        Ok(Ok(socket)) => socket,
        Ok(Err(error)) => return entry.error(format!("copy refused: {error}")),
        Err(_) => return entry.error("copy refused: connection timed out"),
    };
    entry.note(|view| view.copies_open += 1);
    let mut words = PlivoWords {
        account: &shared.cfg.auth_id,
        call: &entry.uuid,
        id,
        began_unix_ms: shared.clock.unix_ms(),
        sequence: 0,
    };
    let number = if entry.outbound {
        &entry.to
    } else {
        &entry.from
    };
    let mut view = entry.view.subscribe();
    let over = async { drop(view.wait_for(PlivoCallView::is_over).await) };
    let of = (&shared.cfg.cast, number.as_str());
    let received = copied::send(socket, &mut words, of, end, over).await;
    entry.note(|view| {
        view.copies_open -= 1;
        view.copy_messages += received;
    });
}

struct PlivoWords<'a> {
    account: &'a str,
    call: &'a str,
    id: &'a str,
    began_unix_ms: u64,
    sequence: u64,
}

impl PlivoWords<'_> {
    fn next(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }
}

impl Words for PlivoWords<'_> {
    fn hello(&mut self) -> Vec<String> {
        let start = json!({
            "event": "start", "sequenceNumber": self.next(),
            "start": {
                "callId": self.call, "streamId": self.id, "accountId": self.account,
                "tracks": ["inbound", "outbound"],
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000},
            },
            "extra_headers": "{}",
        });
        vec![start.to_string()]
    }

    fn media(&mut self, track: Track, n: u64, frame: &[u8]) -> String {
        json!({
            "event": "media", "sequenceNumber": self.next(), "streamId": self.id,
            "media": {"track": track.as_str(), "chunk": n + 1,
                "timestamp": (self.began_unix_ms + n * FRAME_MS).to_string(),
                "payload": STANDARD.encode(frame)},
            "extra_headers": "{}",
        })
        .to_string()
    }

    /// The end of the stream is the end of its socket.
    fn goodbye(&mut self) -> Option<String> {
        None
    }
}
