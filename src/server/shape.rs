//! How calls and transcripts look to programs: our own report (contract A2) together with the keys
//! dashboards in the wild read (`protocols/seed-socketio-events` §4), so that either finds its own.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use crate::call::text::mask_number;
use crate::call::{
    AnsweredBy, Call, CallReport, Line, LineBody, Numbers, Recording, Track, utterances,
};

/// RFC 3339 with milliseconds and `Z`, as JavaScript writes it.
pub(super) fn stamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// One call for lists and events: no transcript.
pub(super) fn call(call: &Call, numbers: Numbers, now: DateTime<Utc>) -> Map<String, Value> {
    let report = CallReport::of(call, numbers, now);
    let duration = report.duration_s.unwrap_or(0);
    let mut fields = match serde_json::to_value(&report) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    let recordings: Vec<Value> = call.recordings.iter().map(recording).collect();
    let answered_by = call.answered_by.map_or("unknown", AnsweredBy::as_str);
    let more = json!({
        "v": 1,
        "seq": call.seq,
        "provider": call.facts.carrier,
        "sid": call.call_sid(),
        "callSid": call.call_sid(),
        "startTime": stamp(call.started_at),
        "endTime": call.ended_at.map(stamp),
        "duration": duration,
        "answeredBy": answered_by,
        "contactName": call.facts.name,
        "held_by": call.held_by,
        "cost_source": call.cost_source,
        "conversation_id": call.conversation_id,
        "conversationId": call.conversation_id,
        "streamSid": call.stream_id,
        "recordingCount": recordings.len(),
        "recordings": recordings,
        "terminatedBy": call.ended_by,
        "error": call.end_cause,
    });
    if let Value::Object(more) = more {
        fields.extend(more);
    }
    fields
}

/// One call with everything said on it.
pub(super) fn call_whole(whole: &Call, numbers: Numbers, now: DateTime<Utc>) -> Map<String, Value> {
    let mut fields = call(whole, numbers, now);
    let said = serde_json::to_value(utterances(whole)).unwrap_or_default();
    fields.insert("utterances".into(), said);
    fields.insert("utterances_dropped".into(), whole.lines_dropped.into());
    fields.insert("interruptions".into(), whole.interruptions.into());
    let parts = [
        ("quality", serde_json::to_value(&whole.quality)),
        (
            "carrier_quality",
            serde_json::to_value(&whole.carrier_quality),
        ),
        ("analysis", serde_json::to_value(&whole.analysis)),
        ("summary", serde_json::to_value(&whole.summary)),
        ("notes", serde_json::to_value(&whole.notes)),
        ("flags", serde_json::to_value(&whole.flags)),
        ("claimed_by", serde_json::to_value(&whole.claimed_by)),
        ("limits", serde_json::to_value(&whole.limits)),
        ("actions", serde_json::to_value(&whole.actions)),
        ("troubles", serde_json::to_value(&whole.troubles)),
        (
            "transfer",
            serde_json::to_value(masked_transfer(whole, numbers)),
        ),
    ];
    for (key, value) in parts {
        fields.insert(key.into(), value.unwrap_or_default());
    }
    fields
}

fn masked_transfer(call: &Call, numbers: Numbers) -> Option<crate::call::Transfer> {
    let mut transfer = call.transfer.clone()?;
    if numbers == Numbers::Masked {
        transfer.to = mask_number(&transfer.to);
    }
    Some(transfer)
}

/// One recording under both vocabularies.
pub(super) fn recording(recording: &Recording) -> Value {
    json!({
        "id": recording.id,
        "state": recording.state,
        "duration_s": recording.duration_s,
        "url": recording.url,
        "error": recording.error,
        "sid": recording.id,
        "recordingSid": recording.id,
        "status": recording.state,
        "duration": recording.duration_s,
        "wavUrl": recording.url,
        "errorMessage": recording.error,
    })
}

/// The name beside a bubble.
pub(super) fn speaker(track: Track) -> &'static str {
    match track {
        Track::FromCaller => "Customer",
        Track::FromAgent | Track::FromOperator => "Agent",
    }
}

/// The whole transcript as one document (form 3). What the vendor did not judge is null.
pub(super) fn transcript(call: &Call) -> Value {
    let messages: Vec<Value> = call.lines.iter().filter_map(message).collect();
    let analysis = call.analysis.as_ref();
    json!({
        "_id": call.id,
        "callSid": call.call_sid(),
        "conversationId": call.conversation_id,
        "summary": analysis.and_then(|analysis| analysis.summary.clone()),
        "messages": messages,
        "sentiment": analysis.and_then(|analysis| analysis.sentiment.clone()),
        "topics": analysis.map(|analysis| analysis.topics.clone()),
        "createdAt": stamp(call.started_at),
        "updatedAt": stamp(call.updated_at),
    })
}

fn message(line: &Line) -> Option<Value> {
    match &line.body {
        LineBody::Speech {
            track,
            text,
            interim: false,
            ..
        } if !line.is_unheard() => Some(json!({
            "role": track.role(),
            "message": text,
            "timestamp": stamp(line.at),
        })),
        _ => None,
    }
}
