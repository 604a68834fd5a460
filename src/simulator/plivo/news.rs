//! The callbacks of a call: hangup, machine, recording, stream, dialled leg.

use std::sync::Arc;

use chrono::FixedOffset;

use crate::simulator::line::Method;
use crate::simulator::speech::Outcome;

use super::document::{DialStep, StreamStep};
use super::ending::Ended;
use super::state::{Entry, PlivoStatus, Shared, Source, plain};
use crate::simulator::line::poster::{Callback, Form};

fn pair(key: &str, value: impl Into<String>) -> (String, String) {
    (key.to_owned(), value.into())
}

/// Queues a callback.
pub(super) async fn tell(entry: &Entry, label: String, to: &Source, form: Form) {
    let callback = Callback {
        url: to.url.clone(),
        method: to.method,
        form,
    };
    entry.tell(label, callback).await;
}

/// Times of the account's console: not UTC, and without saying so.
fn console_time(at: Option<chrono::DateTime<chrono::Utc>>) -> String {
    let zone = FixedOffset::east_opt(5 * 3_600 + 1_800);
    match (at, zone) {
        (Some(at), Some(zone)) => at
            .with_timezone(&zone)
            .format("%Y-%m-%d %H:%M:%S")
            .to_string(),
        _ => String::new(),
    }
}

pub(super) fn hangup_form(shared: &Shared, entry: &Entry, ended: &Ended) -> Form {
    let times = *entry.times();
    let seconds = times.talked.as_secs();
    let mut form = shared.base_form(entry, ended.status, "Hangup");
    form.extend([
        pair("HangupCause", ended.cause),
        pair("HangupCauseName", ended.name),
        pair("HangupCauseCode", ended.code.to_string()),
        pair("HangupSource", ended.source),
        pair("Duration", seconds.to_string()),
        pair("BillDuration", (seconds.div_ceil(60) * 60).to_string()),
        pair("BillRate", "0.0085"),
        pair(
            "TotalCost",
            format!("{:.5}", seconds.div_ceil(60) as f64 * 0.0085),
        ),
        pair("StartTime", console_time(Some(entry.created))),
        pair("AnswerTime", console_time(times.answered)),
        pair("EndTime", console_time(times.ended)),
    ]);
    form
}

/// Found beside the running document; nothing is sent for people.
pub(super) fn machine_later(shared: &Arc<Shared>, entry: &Arc<Entry>, url: Source) {
    let (shared, entry) = (Arc::clone(shared), Arc::clone(entry));
    let tasks = shared.tasks.clone();
    tasks.spawn("simulated machine detection", async move {
        tokio::select! {
            () = shared.tasks.token().cancelled() => return,
            () = tokio::time::sleep(shared.cfg.timing.amd_machine) => {}
        }
        if entry.status() != PlivoStatus::InProgress {
            return;
        }
        let mut form = shared.base_form(&entry, "in-progress", "MachineDetection");
        form.push(pair("Machine", "true"));
        form.push(pair("IfMachine", "continue"));
        tell(&entry, "machine".to_owned(), &url, form).await;
    });
}

pub(super) async fn stream(
    shared: &Shared,
    entry: &Entry,
    step: &StreamStep,
    stream_id: &str,
    event: &'static str,
    error: Option<&String>,
) {
    let Some((url, method)) = &step.status_callback else {
        return;
    };
    let mut form = vec![
        pair("Event", event),
        pair("CallUUID", &entry.uuid),
        pair("StreamID", stream_id),
        pair("Timestamp", shared.clock.unix_ms().to_string()),
        pair("From", plain(&entry.from)),
        pair("To", plain(&entry.to)),
        pair("Direction", entry.direction()),
        pair("ServiceURL", &step.url),
        pair("ParentAuthID", &shared.cfg.auth_id),
    ];
    if let Some(error) = error {
        form.push(pair("Error", error));
    }
    let to = Source {
        url: url.clone(),
        method: *method,
    };
    tell(entry, format!("stream:{event}"), &to, form).await;
}

/// Begins recording a call. A session recording says so at once, without a length. Returns its id.
pub(super) fn start_recording(
    shared: &Arc<Shared>,
    entry: &Arc<Entry>,
    callback: Option<(String, Method)>,
) -> String {
    let id = shared.uuid();
    shared
        .recordings()
        .begin(id.clone(), entry.uuid.clone(), shared.clock.now(), callback);
    recording_news(shared, entry, &id, false);
    id
}

/// Ends whatever records this call; the files are ready a little later.
pub(super) fn end_recordings(shared: &Arc<Shared>, entry: &Arc<Entry>) {
    for id in shared.recordings().end(&entry.uuid) {
        let (shared, entry) = (Arc::clone(shared), Arc::clone(entry));
        let tasks = shared.tasks.clone();
        tasks.spawn("simulated recording", async move {
            tokio::select! {
                () = shared.tasks.token().cancelled() => return,
                () = tokio::time::sleep(shared.cfg.timing.recording_ready) => {}
            }
            recording_news(&shared, &entry, &id, true);
        });
    }
}

fn recording_news(shared: &Arc<Shared>, entry: &Arc<Entry>, id: &str, done: bool) {
    let (form, to) = {
        let recordings = shared.recordings();
        let Some(recording) = recordings.get(id) else {
            return;
        };
        let Some((url, method)) = &recording.callback else {
            return;
        };
        let ms = recording.duration_ms();
        let started = recording.started.timestamp_millis();
        let unknown = "-1".to_owned();
        let of = |known: String| if done { known } else { unknown.clone() };
        let form = vec![
            pair("CallUUID", &recording.call_uuid),
            pair("RecordUrl", media_url(shared, id)),
            pair("RecordingID", id),
            pair("RecordingDuration", of(ms.div_ceil(1_000).to_string())),
            pair("RecordingDurationMs", of(ms.to_string())),
            pair("RecordingStartMs", of(started.to_string())),
            pair("RecordingEndMs", of((started + ms as i64).to_string())),
        ];
        let to = Source {
            url: url.clone(),
            method: *method,
        };
        (form, to)
    };
    let entry = Arc::clone(entry);
    let label = if done {
        "recording:done"
    } else {
        "recording:running"
    };
    shared.tasks.spawn("simulated recording news", async move {
        tell(&entry, label.to_owned(), &to, form).await;
    });
}

/// Where the sound of a recording is.
pub(super) fn media_url(shared: &Shared, id: &str) -> String {
    let account = &shared.cfg.auth_id;
    format!("{}/media/{account}/{id}.wav", shared.api_base)
}

pub(super) async fn dial_leg(
    shared: &Shared,
    entry: &Entry,
    dial: &DialStep,
    leg: &str,
    action: &'static str,
) {
    let Some((url, method)) = &dial.callback else {
        return;
    };
    let mut form = shared.base_form(entry, "in-progress", "DialCallback");
    form.extend([
        pair("DialAction", action),
        pair("DialBLegStatus", action),
        pair("DialALegUUID", &entry.uuid),
        pair("DialBLegUUID", leg),
        pair(
            "DialBLegFrom",
            dial.caller_id.as_deref().unwrap_or_default(),
        ),
        pair("DialBLegTo", &dial.number),
    ]);
    let to = Source {
        url: url.clone(),
        method: *method,
    };
    tell(entry, format!("leg:{action}"), &to, form).await;
}

/// What a dial's `action` is told.
pub(super) fn dial_result(entry: &Entry, outcome: Outcome, leg: &str) -> Form {
    let (status, cause) = match outcome {
        Outcome::Answered => ("completed", "NORMAL_CLEARING"),
        Outcome::Busy => ("busy", "USER_BUSY"),
        Outcome::NoAnswer => ("no-answer", "NO_ANSWER"),
        Outcome::Failed => ("failed", "CALL_REJECTED"),
    };
    let leg = if outcome == Outcome::Answered {
        leg
    } else {
        ""
    };
    vec![
        pair("DialStatus", status),
        pair("DialRingStatus", "true"),
        pair("DialHangupCause", cause),
        pair("DialALegUUID", &entry.uuid),
        pair("DialBLegUUID", leg),
    ]
}
