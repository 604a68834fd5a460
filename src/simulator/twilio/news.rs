//! The callbacks of a call: status, answering machine, recording, stream, dialled leg.

use std::sync::Arc;
use std::time::Duration;

use crate::call::CallStatus;

use super::recording::{NewRecording, State};
use super::state::{Entry, NewCall, Shared};
use super::twiml::{DialVerb, StreamVerb};
use super::wishes::RecordWish;
use crate::simulator::line::Method;
use crate::simulator::line::poster::{Callback, Form};

fn pair(key: &str, value: impl Into<String>) -> (String, String) {
    (key.to_owned(), value.into())
}

/// Queues a callback; waits when the call has 32 unsent ones.
async fn queue(entry: &Entry, label: String, callback: Callback) {
    entry.note(|view| view.callbacks.push(label));
    if entry.callbacks.send(callback).await.is_err() {
        tracing::debug!("simulated carrier: callback after the end of the simulation");
    }
}

pub(super) async fn status(
    shared: &Shared,
    entry: &Entry,
    (url, method): (&str, Method),
    status: CallStatus,
    sequence: u32,
    more: Form,
) {
    let mut form = shared.base_form(entry, status);
    form.push(pair("Timestamp", shared.clock.now().to_rfc2822()));
    form.push(pair("CallbackSource", "call-progress-events"));
    form.push(pair("SequenceNumber", sequence.to_string()));
    form.extend(more);
    if let Some(verdict) = &entry.view.borrow().answered_by {
        form.push(pair("AnsweredBy", verdict));
    }
    let callback = Callback {
        url: url.to_owned(),
        method,
        form,
    };
    queue(entry, format!("status:{}", status.as_str()), callback).await;
}

/// The verdict of answering-machine detection in the given mode.
pub(super) fn verdict(answered_by: Option<&str>, message_end: bool) -> &'static str {
    match (answered_by, message_end) {
        (None | Some("human"), _) => "human",
        (Some("fax"), _) => "fax",
        (Some("unknown"), _) => "unknown",
        (Some(_), false) => "machine_start",
        (Some("machine_end_silence"), true) => "machine_end_silence",
        (Some("machine_end_other"), true) => "machine_end_other",
        (Some(_), true) => "machine_end_beep",
    }
}

pub(super) fn amd_time(shared: &Shared, verdict: &str) -> Duration {
    match verdict {
        "human" => shared.cfg.timing.amd_human,
        _ => shared.cfg.timing.amd_machine,
    }
}

/// The verdict comes while the document already runs.
pub(super) fn amd_later(
    shared: &Arc<Shared>,
    entry: &Arc<Entry>,
    callback: Option<String>,
    verdict: &'static str,
    takes: Duration,
) {
    let (shared, entry) = (Arc::clone(shared), Arc::clone(entry));
    let tasks = shared.tasks.clone();
    tasks.spawn("simulated machine detection", async move {
        tokio::select! {
            () = shared.tasks.token().cancelled() => return,
            () = tokio::time::sleep(takes) => {}
        }
        if entry.status() != CallStatus::InProgress {
            return;
        }
        entry.note(|view| view.answered_by = Some(verdict.to_owned()));
        let Some(url) = callback else {
            entry.error(21_262);
            return;
        };
        let form = vec![
            pair("AccountSid", &shared.cfg.account_sid),
            pair("CallSid", &entry.sid),
            pair("AnsweredBy", verdict),
            pair("MachineDetectionDuration", takes.as_millis().to_string()),
        ];
        queue(&entry, format!("amd:{verdict}"), Callback::post(&url, form)).await;
    });
}

pub(super) async fn stream(
    shared: &Shared,
    entry: &Entry,
    verb: &StreamVerb,
    sid: &str,
    event: &'static str,
    error: Option<u32>,
) {
    let Some((url, method)) = &verb.status_callback else {
        return;
    };
    let mut form = vec![
        pair("AccountSid", &shared.cfg.account_sid),
        pair("CallSid", &entry.sid),
        pair("StreamSid", sid),
        pair("StreamName", verb.name.as_deref().unwrap_or(sid)),
        pair("StreamEvent", event),
        pair(
            "Timestamp",
            shared
                .clock
                .now()
                .to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        ),
    ];
    if let Some(code) = error {
        form.push(pair("StreamError", format!("{code}: stream error")));
    }
    let callback = Callback {
        url: url.clone(),
        method: *method,
        form,
    };
    queue(entry, format!("stream:{event}"), callback).await;
}

/// Begins recording a call and says so. Returns the recording's id.
pub(super) fn start_recording(
    shared: &Arc<Shared>,
    entry: &Arc<Entry>,
    wish: RecordWish,
    source: &'static str,
) -> String {
    let sid = shared.poster.draw(|rng| rng.sid("RE"));
    shared.recordings().begin(NewRecording {
        sid: sid.clone(),
        call_sid: entry.sid.clone(),
        channels: wish.channels,
        track: wish.track,
        source,
        started: shared.clock.now(),
        callback: wish.callback,
    });
    recording_news(shared, entry, &sid, "in-progress");
    sid
}

/// Ends whatever recording of this call runs; the file is ready a little later.
pub(super) fn end_recording(shared: &Arc<Shared>, entry: &Arc<Entry>) {
    let mut recordings = shared.recordings();
    let Some(recording) = recordings.running(&entry.sid) else {
        return;
    };
    recording.state = State::Stopped;
    let sid = recording.sid.clone();
    drop(recordings);
    let (shared, entry) = (Arc::clone(shared), Arc::clone(entry));
    let tasks = shared.tasks.clone();
    tasks.spawn("simulated recording", async move {
        tokio::select! {
            () = shared.tasks.token().cancelled() => return,
            () = tokio::time::sleep(shared.cfg.timing.recording_ready) => {}
        }
        let word = {
            let mut recordings = shared.recordings();
            let Some(recording) = recordings.get_mut(&sid) else {
                return;
            };
            let empty = recording.is_empty();
            recording.state = if empty {
                State::Absent
            } else {
                State::Completed
            };
            recording.state.as_str()
        };
        recording_news(&shared, &entry, &sid, word);
    });
}

fn recording_news(shared: &Arc<Shared>, entry: &Arc<Entry>, sid: &str, word: &'static str) {
    let callback = {
        let recordings = shared.recordings();
        let Some(recording) = recordings.get(sid) else {
            return;
        };
        let Some((url, events)) = &recording.callback else {
            return;
        };
        if !events.iter().any(|event| event == word) {
            return;
        }
        let account = &shared.cfg.account_sid;
        let mut form = vec![
            pair("AccountSid", account),
            pair("CallSid", &recording.call_sid),
            pair("RecordingSid", sid),
            pair("RecordingStatus", word),
            pair("RecordingUrl", recording.url(&shared.api_base, account)),
            pair("RecordingChannels", recording.channels.to_string()),
            pair("RecordingTrack", &recording.track),
            pair("RecordingSource", recording.source),
            pair("RecordingStartTime", recording.started.to_rfc2822()),
        ];
        match recording.state {
            State::Completed => {
                form.push(pair(
                    "RecordingDuration",
                    recording.duration_s().to_string(),
                ));
            }
            State::Absent => form.push(pair("ErrorCode", "16101")),
            _ => {}
        }
        Callback::post(url, form)
    };
    let entry = Arc::clone(entry);
    shared.tasks.spawn("simulated recording news", async move {
        queue(&entry, format!("recording:{word}"), callback).await;
    });
}

pub(super) async fn dial_begin(
    shared: &Arc<Shared>,
    parent: &Entry,
    dial: &DialVerb,
) -> Arc<Entry> {
    let to = dial
        .number
        .clone()
        .or_else(|| dial.conference.clone())
        .unwrap_or_default();
    let (child, _) = shared.open(NewCall {
        parent: Some(parent.sid.clone()),
        direction: "outbound-dial",
        from: dial
            .caller_id
            .clone()
            .unwrap_or_else(|| parent.from.clone()),
        to,
        caller_name: None,
        status: CallStatus::Ringing,
    });
    leg_news(shared, &child, dial, "initiated", CallStatus::Initiated, 0).await;
    leg_news(shared, &child, dial, "ringing", CallStatus::Ringing, 1).await;
    child
}

pub(super) async fn dial_answered(shared: &Shared, child: &Entry, dial: &DialVerb) {
    child.times().answered = Some(shared.clock.now());
    child.note(|view| view.status = Some(CallStatus::InProgress));
    leg_news(shared, child, dial, "answered", CallStatus::InProgress, 2).await;
}

pub(super) async fn dial_end(
    shared: &Shared,
    child: &Entry,
    dial: &DialVerb,
    answered: bool,
    lasted: Duration,
) {
    let status = if answered {
        CallStatus::Completed
    } else {
        CallStatus::Canceled
    };
    {
        let mut times = child.times();
        times.ended = Some(shared.clock.now());
        times.talked = if answered { lasted } else { Duration::ZERO };
    }
    child.note(|view| view.status = Some(status));
    leg_news(shared, child, dial, "completed", status, 3).await;
}

async fn leg_news(
    shared: &Shared,
    child: &Entry,
    dial: &DialVerb,
    event: &str,
    word: CallStatus,
    sequence: u32,
) {
    let Some((url, events)) = &dial.status_callback else {
        return;
    };
    if events.iter().any(|wanted| wanted == event) {
        let more = match word {
            CallStatus::Completed => {
                let seconds = child.times().talked.as_secs();
                vec![
                    pair("CallDuration", seconds.to_string()),
                    pair("Duration", seconds.div_ceil(60).to_string()),
                ]
            }
            _ => Form::new(),
        };
        status(shared, child, (url, Method::Post), word, sequence, more).await;
    }
}
