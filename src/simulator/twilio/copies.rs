//! The `Streams` resource of a live call: one-way copies of its audio, begun and ended over REST.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::call::CallStatus;
use crate::simulator::copied::{self, Track, Words};
use crate::simulator::ulaw::FRAME_MS;

use super::params::{self, StreamWish};
use super::rest::{ApiError, form_of};
use super::state::{CallView, Entry, Shared};

const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Streams one call may have beside a bidirectional one.
const STREAMS_MAX: usize = 4;

/// The copies that run, by stream.
pub(super) type Copies = HashMap<String, Copy>;

#[derive(Debug)]
pub(super) struct Copy {
    call: String,
    end: CancellationToken,
}

pub(super) async fn start(
    State(shared): State<Arc<Shared>>,
    Path((_, sid)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let wish = params::start_stream(&form_of(&headers, &body)?)?;
    let entry = shared.calls().get(&sid);
    let entry = entry.ok_or_else(|| ApiError::not_found(&format!("/Calls/{sid}/Streams")))?;
    if entry.status() != CallStatus::InProgress {
        return Err(ApiError::new(400, 21_220, "Call is not in-progress"));
    }
    let stream = shared.poster.draw(|rng| rng.sid("MZ"));
    let end = shared.tasks.token().child_token();
    {
        let mut copies = shared.copies();
        if copies.values().filter(|copy| copy.call == sid).count() >= STREAMS_MAX {
            return Err(ApiError::new(400, 31_000, "Too many streams on this call"));
        }
        let copy = Copy {
            call: sid.clone(),
            end: end.clone(),
        };
        copies.insert(stream.clone(), copy);
    }
    let resource = resource(&shared, &sid, &stream, "in-progress");
    let task = Arc::clone(&shared);
    shared.tasks.spawn("simulated copy", async move {
        run(&task, &entry, &wish, &stream, &end).await;
        task.copies().remove(&stream);
    });
    Ok((StatusCode::CREATED, axum::Json(resource)).into_response())
}

pub(super) async fn stop(
    State(shared): State<Arc<Shared>>,
    Path((_, call, file)): Path<(String, String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    params::stop_stream(&form_of(&headers, &body)?)?;
    let stream = file.strip_suffix(".json").unwrap_or(&file);
    let missing = || ApiError::not_found(&format!("/Calls/{call}/Streams/{file}"));
    {
        let copies = shared.copies();
        let copy = copies.get(stream).filter(|copy| copy.call == call);
        copy.ok_or_else(missing)?.end.cancel();
    }
    Ok(axum::Json(resource(&shared, &call, stream, "stopped")).into_response())
}

fn resource(shared: &Shared, call: &str, stream: &str, status: &str) -> Value {
    let account = &shared.cfg.account_sid;
    json!({
        "sid": stream, "account_sid": account, "call_sid": call, "name": null, "status": status,
        "date_updated": shared.clock.now().to_rfc2822(),
        "uri": format!("/2010-04-01/Accounts/{account}/Calls/{call}/Streams/{stream}.json"),
    })
}

/// Until it is stopped, the call is over, or the other side has closed.
async fn run(
    shared: &Shared,
    entry: &Entry,
    wish: &StreamWish,
    sid: &str,
    end: &CancellationToken,
) {
    let socket = match timeout(CONNECT_WITHIN, shared.poster.dial(&wish.url)).await {
        Ok(Ok(socket)) => socket,
        Ok(Err(error)) => {
            tracing::debug!(%error, "simulated carrier: copy refused");
            return entry.error(31_920);
        }
        Err(_) => return entry.error(31_901),
    };
    entry.note(|view| view.copies_open += 1);
    let mut words = TwilioWords {
        account: &shared.cfg.account_sid,
        call: &entry.sid,
        sid,
        wish,
        sequence: 0,
    };
    let number = if entry.direction == "inbound" {
        &entry.from
    } else {
        &entry.to
    };
    let mut view = entry.view.subscribe();
    let over = async { drop(view.wait_for(CallView::is_over).await) };
    let of = (&shared.cfg.cast, number.as_str());
    let received = copied::send(socket, &mut words, of, end, over).await;
    entry.note(|view| {
        view.copies_open -= 1;
        view.copy_messages += received;
    });
}

struct TwilioWords<'a> {
    account: &'a str,
    call: &'a str,
    sid: &'a str,
    wish: &'a StreamWish,
    sequence: u64,
}

impl TwilioWords<'_> {
    fn next(&mut self) -> String {
        self.sequence += 1;
        self.sequence.to_string()
    }
}

impl Words for TwilioWords<'_> {
    fn hello(&mut self) -> Vec<String> {
        let custom: serde_json::Map<_, _> = (self.wish.parameters.iter())
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect();
        let start = json!({
            "event": "start", "sequenceNumber": self.next(),
            "start": {
                "accountSid": self.account, "streamSid": self.sid, "callSid": self.call,
                "tracks": ["inbound", "outbound"],
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
                "customParameters": custom,
            },
            "streamSid": self.sid,
        });
        let connected = json!({"event": "connected", "protocol": "Call", "version": "1.0.0"});
        vec![connected.to_string(), start.to_string()]
    }

    fn media(&mut self, track: Track, n: u64, frame: &[u8]) -> String {
        json!({
            "event": "media", "sequenceNumber": self.next(),
            "media": {"track": track.as_str(), "chunk": (n + 1).to_string(),
                "timestamp": (n * FRAME_MS).to_string(), "payload": STANDARD.encode(frame)},
            "streamSid": self.sid,
        })
        .to_string()
    }

    fn goodbye(&mut self) -> Option<String> {
        let stop = json!({
            "event": "stop", "sequenceNumber": self.next(), "streamSid": self.sid,
            "stop": {"accountSid": self.account, "callSid": self.call},
        });
        Some(stop.to_string())
    }
}
