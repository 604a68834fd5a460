//! Requests to Plivo's REST API as data. `shell` sends them; `answers` reads what comes back.
//! Every path ends in a slash, bodies are JSON. Spec: Plivo docs, "Calls", "Record", "Speak",
//! "Audio streams" (v1, read 2026-11), and the official Python library 4.63.

use serde_json::{Map, Value, json};

use crate::call::text::clean;

use super::is_id;
use super::xml::plain_number;

/// Calls asked for per page; the carrier's maximum.
pub const PAGE_SIZE: u32 = 20;
/// Longest recording started over REST, seconds; the carrier's own default is one minute.
const RECORDING_SECONDS_MAX: u32 = 14_400;
/// Longest copy of a call's audio, seconds; ours ends with its last listener.
const STREAM_SECONDS_MAX: u32 = 14_400;
/// Longest text spoken into a call, in characters.
const SPEAK_CHARS_MAX: usize = 3_000;

/// A request without credentials and host.
#[derive(Clone, Debug, PartialEq)]
pub struct RestRequest {
    pub method: Method,
    /// Absolute path and query, from `/v1/Account/…`.
    pub path: String,
    /// JSON body.
    pub body: Option<Value>,
    /// Whether sending it twice does no more than sending it once.
    pub idempotent: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
    Delete,
}

/// An id that may not stand in a path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not one of Plivo's ids")]
pub struct BadId(String);

/// The account's part of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rest {
    account: String,
}

/// A call to place. URLs are complete, retry override included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DialForm {
    pub to: String,
    pub from: String,
    /// Answered with XML when the other side picks up.
    pub answer_url: String,
    pub fallback_url: Option<String>,
    pub ring_url: Option<String>,
    pub hangup_url: String,
    /// Where to report a machine; `None` does not look for one.
    pub machine_url: Option<String>,
    /// Ring for this long, seconds.
    pub ring_timeout_s: Option<u32>,
}

/// Which leg of a call an order is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leg {
    /// The call we know.
    A,
    /// Whoever it was connected to.
    B,
    Both,
}

impl Leg {
    fn as_str(self) -> &'static str {
        match self {
            Self::A => "aleg",
            Self::B => "bleg",
            Self::Both => "both",
        }
    }
}

impl Rest {
    /// # Errors
    /// [`BadId`] when this is no account id.
    pub fn new(auth_id: &str) -> Result<Self, BadId> {
        Ok(Self {
            account: checked(auth_id)?,
        })
    }

    fn path(&self, tail: &str) -> String {
        format!("/v1/Account/{}/{tail}", self.account)
    }

    fn get(&self, tail: &str) -> RestRequest {
        RestRequest {
            method: Method::Get,
            path: self.path(tail),
            body: None,
            idempotent: true,
        }
    }

    fn delete(&self, tail: &str) -> RestRequest {
        RestRequest {
            method: Method::Delete,
            ..self.get(tail)
        }
    }

    fn post(&self, tail: &str, body: Value) -> RestRequest {
        RestRequest {
            method: Method::Post,
            path: self.path(tail),
            body: Some(body),
            idempotent: false,
        }
    }

    /// Places a call. Never sent twice.
    pub fn dial(&self, dial: &DialForm) -> RestRequest {
        let mut body = Map::new();
        let mut put = |name: &str, value: Value| {
            body.insert(name.to_owned(), value);
        };
        put("from", json!(plain_number(&dial.from)));
        put("to", json!(plain_number(&dial.to)));
        put("answer_url", json!(dial.answer_url));
        put("answer_method", json!("POST"));
        put("hangup_url", json!(dial.hangup_url));
        put("hangup_method", json!("POST"));
        if let Some(url) = &dial.ring_url {
            put("ring_url", json!(url));
            put("ring_method", json!("POST"));
        }
        if let Some(url) = &dial.fallback_url {
            put("fallback_url", json!(url));
            put("fallback_method", json!("POST"));
        }
        if let Some(url) = &dial.machine_url {
            // With a URL the detection runs beside the call: the stream begins at the answer.
            put("machine_detection", json!("true"));
            put("machine_detection_url", json!(url));
            put("machine_detection_method", json!("POST"));
        }
        if let Some(seconds) = dial.ring_timeout_s {
            put("ring_timeout", json!(seconds));
        }
        self.post("Call/", Value::Object(body))
    }

    /// Ends a call. The carrier answers 404 when it has ended already.
    ///
    /// # Errors
    /// [`BadId`]
    pub fn hang_up(&self, call_uuid: &str) -> Result<RestRequest, BadId> {
        Ok(self.delete(&format!("Call/{}/", checked(call_uuid)?)))
    }

    /// Takes a call back that was accepted and does not ring yet.
    ///
    /// # Errors
    /// [`BadId`]
    pub fn cancel(&self, request_uuid: &str) -> Result<RestRequest, BadId> {
        Ok(self.delete(&format!("Request/{}/", checked(request_uuid)?)))
    }

    /// Gives a live call another document (POST). A stream that keeps the call alive goes on until
    /// its socket closes, and the document runs then: transfer first, close afterwards. Sent once.
    ///
    /// # Errors
    /// [`BadId`]
    pub fn transfer(&self, call_uuid: &str, url: &str) -> Result<RestRequest, BadId> {
        let body = json!({"legs": Leg::A.as_str(), "aleg_url": url, "aleg_method": "POST"});
        Ok(self.post(&format!("Call/{}/", checked(call_uuid)?), body))
    }

    /// Starts a recording of both sides, stereo WAV. Sent once.
    ///
    /// # Errors
    /// [`BadId`]
    pub fn record(&self, call_uuid: &str, callback: &str) -> Result<RestRequest, BadId> {
        let body = json!({
            "time_limit": RECORDING_SECONDS_MAX,
            "file_format": "wav",
            "record_channel_type": "stereo",
            "callback_url": callback,
            "callback_method": "POST",
        });
        Ok(self.post(&format!("Call/{}/Record/", checked(call_uuid)?), body))
    }

    /// Stops every recording of a call. There is no pause.
    ///
    /// # Errors
    /// [`BadId`]
    pub fn stop_recording(&self, call_uuid: &str) -> Result<RestRequest, BadId> {
        Ok(self.delete(&format!("Call/{}/Record/", checked(call_uuid)?)))
    }

    /// Says a sentence into a call, beside whatever else is heard. Sent once.
    ///
    /// # Errors
    /// [`BadId`]
    pub fn speak(&self, call_uuid: &str, text: &str, leg: Leg) -> Result<RestRequest, BadId> {
        let text: String = clean(text).chars().take(SPEAK_CHARS_MAX).collect();
        let body = json!({"text": text, "legs": leg.as_str()});
        Ok(self.post(&format!("Call/{}/Speak/", checked(call_uuid)?), body))
    }

    /// # Errors
    /// [`BadId`]
    pub fn stop_speaking(&self, call_uuid: &str) -> Result<RestRequest, BadId> {
        Ok(self.delete(&format!("Call/{}/Speak/", checked(call_uuid)?)))
    }

    /// Plays a file into a call. Sent once.
    ///
    /// # Errors
    /// [`BadId`]
    pub fn play(&self, call_uuid: &str, url: &str, leg: Leg) -> Result<RestRequest, BadId> {
        let body = json!({"urls": url, "legs": leg.as_str()});
        Ok(self.post(&format!("Call/{}/Play/", checked(call_uuid)?), body))
    }

    /// # Errors
    /// [`BadId`]
    pub fn stop_playing(&self, call_uuid: &str) -> Result<RestRequest, BadId> {
        Ok(self.delete(&format!("Call/{}/Play/", checked(call_uuid)?)))
    }

    /// Presses keys for a leg. Sent once.
    ///
    /// # Errors
    /// [`BadId`]
    pub fn press(&self, call_uuid: &str, digits: &str, leg: Leg) -> Result<RestRequest, BadId> {
        let body = json!({"digits": digits, "leg": leg.as_str()});
        Ok(self.post(&format!("Call/{}/DTMF/", checked(call_uuid)?), body))
    }

    /// Starts a one-way stream of both tracks of a live call to `url`. The carrier runs one stream a
    /// call. Sent once.
    ///
    /// # Errors
    /// [`BadId`]
    pub fn fork(&self, call_uuid: &str, url: &str) -> Result<RestRequest, BadId> {
        let body = json!({
            "service_url": url,
            "bidirectional": false,
            "audio_track": "both",
            "content_type": "audio/x-mulaw;rate=8000",
            "stream_timeout": STREAM_SECONDS_MAX,
        });
        Ok(self.post(&format!("Call/{}/Stream/", checked(call_uuid)?), body))
    }

    /// Ends a stream that [`Rest::fork`] started.
    ///
    /// # Errors
    /// [`BadId`]
    pub fn unfork(&self, call_uuid: &str, stream_id: &str) -> Result<RestRequest, BadId> {
        let (call, stream) = (checked(call_uuid)?, checked(stream_id)?);
        Ok(self.delete(&format!("Call/{call}/Stream/{stream}/")))
    }

    /// Ids of the calls that are live, at most [`PAGE_SIZE`] from `offset` on; one more request each
    /// tells the rest.
    pub fn live_ids(&self, offset: u32) -> RestRequest {
        self.get(&format!(
            "Call/?status=live&limit={PAGE_SIZE}&offset={offset}"
        ))
    }

    /// Ids of the calls that do not ring yet.
    pub fn queued_ids(&self, offset: u32) -> RestRequest {
        self.get(&format!(
            "Call/?status=queued&limit={PAGE_SIZE}&offset={offset}"
        ))
    }

    /// One call, while it is live. 404 otherwise.
    ///
    /// # Errors
    /// [`BadId`]
    pub fn live(&self, call_uuid: &str) -> Result<RestRequest, BadId> {
        Ok(self.get(&format!("Call/{}/?status=live", checked(call_uuid)?)))
    }

    /// One call, while it does not ring yet. 404 otherwise.
    ///
    /// # Errors
    /// [`BadId`]
    pub fn queued(&self, call_uuid: &str) -> Result<RestRequest, BadId> {
        Ok(self.get(&format!("Call/{}/?status=queued", checked(call_uuid)?)))
    }

    /// The record of a call that has ended. 404 before that.
    ///
    /// # Errors
    /// [`BadId`]
    pub fn ended(&self, call_uuid: &str) -> Result<RestRequest, BadId> {
        Ok(self.get(&format!("Call/{}/", checked(call_uuid)?)))
    }

    /// A page of ended calls, newest first.
    pub fn ended_page(&self, offset: u32) -> RestRequest {
        self.get(&format!("Call/?limit={PAGE_SIZE}&offset={offset}"))
    }

    /// The recordings of a call.
    ///
    /// # Errors
    /// [`BadId`]
    pub fn recordings(&self, call_uuid: &str) -> Result<RestRequest, BadId> {
        Ok(self.get(&format!("Recording/?call_uuid={}", checked(call_uuid)?)))
    }

    /// Where a recording's audio is, and in which format.
    ///
    /// # Errors
    /// [`BadId`]
    pub fn recording(&self, recording_id: &str) -> Result<RestRequest, BadId> {
        Ok(self.get(&format!("Recording/{}/", checked(recording_id)?)))
    }
}

fn checked(id: &str) -> Result<String, BadId> {
    if is_id(id) {
        Ok(id.to_owned())
    } else {
        Err(BadId(clean(id).chars().take(40).collect()))
    }
}

#[cfg(test)]
mod tests;
