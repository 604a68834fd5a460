//! Twilio's form webhooks read into facts. Tolerant: only the call's id is required, unknown words
//! and fields are passed over. Who hung up is never guessed: these forms do not say.
//! Spec: Twilio docs, "Call resource", "Answering machine detection", "Recording status callbacks",
//! "Stream", "Dial", "Conference" (2026-11).

use chrono::{DateTime, Duration, Utc};

use crate::call::{
    AnsweredBy, CallFacts, CallStatus, Direction, Fact, Recording, RecordingState, Source,
};
use crate::providers::{News, Subject};

use super::{CARRIER, Form, FormError, direction, error_text, sip_text};

/// What a voice request and a status callback have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct CallForm {
    pub call_sid: String,
    pub account_sid: Option<String>,
    /// Set on a leg that a `<Dial>` made; the call we know is the parent.
    pub parent_call_sid: Option<String>,
    pub direction: Direction,
    pub from: String,
    pub to: String,
    pub caller_name: Option<String>,
    /// `None` for a word this build does not know.
    pub status: Option<CallStatus>,
    pub answered_by: Option<AnsweredBy>,
    /// Answering-machine detection took this long, milliseconds.
    pub detection_ms: Option<u32>,
    pub error_code: Option<String>,
    pub error_message: Option<String>,
    pub at: Option<DateTime<Utc>>,
}

impl CallForm {
    fn read(form: &Form) -> Result<Self, FormError> {
        Ok(Self {
            call_sid: form.id("CallSid")?,
            account_sid: form.id("AccountSid").ok(),
            parent_call_sid: form.id("ParentCallSid").ok(),
            direction: direction(form.get("Direction").unwrap_or_default()),
            from: form
                .label("From")
                .or_else(|| form.label("Caller"))
                .unwrap_or_default(),
            to: form
                .label("To")
                .or_else(|| form.label("Called"))
                .unwrap_or_default(),
            caller_name: form.label("CallerName"),
            status: form.get("CallStatus").and_then(CallStatus::parse),
            answered_by: form.get("AnsweredBy").map(AnsweredBy::parse),
            detection_ms: form.number("MachineDetectionDuration"),
            error_code: form.label("ErrorCode"),
            error_message: form.label("ErrorMessage"),
            at: form.time("Timestamp"),
        })
    }

    fn facts(&self) -> CallFacts {
        CallFacts {
            carrier: CARRIER.to_owned(),
            carrier_call_id: Some(self.call_sid.clone()),
            direction: self.direction,
            from: self.from.clone(),
            to: self.to.clone(),
            name: self.caller_name.clone(),
            ..CallFacts::default()
        }
    }

    fn trouble(&self) -> Option<Fact> {
        let code = self.error_code.as_ref()?;
        let said = self.error_message.clone();
        let message = said
            .or_else(|| error_text(code).map(str::to_owned))
            .unwrap_or_default();
        Some(Fact::TroubleNoted {
            code: format!("twilio_{code}"),
            message,
        })
    }

    fn verdict(&self) -> Option<Fact> {
        let verdict = self.answered_by?;
        Some(Fact::AnsweredBy {
            verdict,
            took_ms: self.detection_ms,
        })
    }
}

/// A request for TwiML: an incoming call, the answer to a call of ours, or a fallback.
#[derive(Clone, Debug, PartialEq)]
pub struct VoiceRequest {
    pub call: CallForm,
    pub forwarded_from: Option<String>,
    /// The document Twilio could not fetch or read, in a fallback request.
    pub error_url: Option<String>,
}

impl VoiceRequest {
    /// # Errors
    /// There is no call id.
    pub fn read(form: &Form) -> Result<Self, FormError> {
        Ok(Self {
            call: CallForm::read(form)?,
            forwarded_from: form.label("ForwardedFrom"),
            error_url: form.label("ErrorUrl"),
        })
    }

    pub fn news(&self) -> News {
        let call = &self.call;
        let status = call.status.filter(|status| !status.is_terminal());
        let status = status.unwrap_or(CallStatus::Ringing);
        let mut facts = vec![Fact::StatusChanged {
            status,
            source: Source::Webhook,
        }];
        facts.extend(call.verdict());
        facts.extend(call.trouble());
        News {
            subject: Subject::Seen {
                facts: call.facts(),
                status,
                started_at: None,
            },
            facts,
        }
    }
}

/// A status callback.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusCallback {
    pub call: CallForm,
    pub sequence: Option<u32>,
    /// Seconds; only with a terminal status. (`Duration` is billed minutes and not read.)
    pub duration_s: Option<u32>,
    pub sip_code: Option<u32>,
}

impl StatusCallback {
    /// # Errors
    /// There is no call id.
    pub fn read(form: &Form) -> Result<Self, FormError> {
        Ok(Self {
            call: CallForm::read(form)?,
            sequence: form.number("SequenceNumber"),
            duration_s: form.number("CallDuration"),
            sip_code: form.number("SipResponseCode"),
        })
    }

    /// Same for every delivery of the same news, when the idempotency header is missing.
    pub fn content_key(&self) -> String {
        let status = self.call.status.map_or("?", CallStatus::as_str);
        format!(
            "{}/{status}/{}",
            self.call.call_sid,
            self.sequence.unwrap_or_default()
        )
    }

    pub fn news(&self) -> News {
        if let Some(parent) = &self.call.parent_call_sid {
            return News::known(CARRIER, parent, self.transfer_facts());
        }
        let mut facts = Vec::new();
        facts.extend(self.call.verdict());
        facts.extend(self.call.trouble());
        match self.call.status {
            Some(status) if status.is_terminal() => facts.push(Fact::CallEnded {
                status,
                ended_by: None,
                cause: self.cause(),
                duration_s: self.duration_s,
                source: Source::Webhook,
            }),
            Some(status) => facts.insert(
                0,
                Fact::StatusChanged {
                    status,
                    source: Source::Webhook,
                },
            ),
            None => {}
        }
        News {
            subject: Subject::Seen {
                facts: self.call.facts(),
                status: self.status_before(),
                started_at: self.started_at(),
            },
            facts,
        }
    }

    /// A card made from an ending begins with the state before it, so that the end is a fact too.
    fn status_before(&self) -> CallStatus {
        match self.call.status {
            Some(CallStatus::Completed) => CallStatus::InProgress,
            Some(status) if status.is_terminal() => CallStatus::Initiated,
            Some(status) => status,
            None => CallStatus::Initiated,
        }
    }

    fn started_at(&self) -> Option<DateTime<Utc>> {
        let length = Duration::seconds(i64::from(self.duration_s.unwrap_or_default()));
        self.call.at?.checked_sub_signed(length)
    }

    fn cause(&self) -> Option<String> {
        let said = self.call.error_message.clone();
        said.or_else(|| {
            self.call
                .error_code
                .as_ref()
                .map(|code| match error_text(code) {
                    Some(text) => format!("{code} {text}"),
                    None => code.clone(),
                })
        })
        .or_else(|| self.sip_code.map(sip_text))
    }

    /// The leg of a `<Dial>`: how far handing the caller over has come.
    fn transfer_facts(&self) -> Vec<Fact> {
        let state = match self.call.status {
            Some(CallStatus::Queued | CallStatus::Initiated | CallStatus::Ringing) => "ringing",
            Some(CallStatus::InProgress | CallStatus::Completed) => "connected",
            Some(_) => "failed",
            None => return Vec::new(),
        };
        let failed = state == "failed";
        vec![Fact::Transferred {
            to: self.call.to.clone(),
            state: state.to_owned(),
            reason: failed
                .then(|| {
                    self.cause()
                        .or(self.call.status.map(|status| status.as_str().to_owned()))
                })
                .flatten(),
        }]
    }
}

/// The asynchronous verdict of answering-machine detection.
#[derive(Clone, Debug, PartialEq)]
pub struct AmdCallback {
    pub call_sid: String,
    pub verdict: AnsweredBy,
    pub took_ms: Option<u32>,
}

impl AmdCallback {
    /// # Errors
    /// There is no call id or no verdict.
    pub fn read(form: &Form) -> Result<Self, FormError> {
        Ok(Self {
            call_sid: form.id("CallSid")?,
            verdict: form
                .get("AnsweredBy")
                .map(AnsweredBy::parse)
                .ok_or(FormError {
                    field: "AnsweredBy",
                })?,
            took_ms: form.number("MachineDetectionDuration"),
        })
    }

    pub fn news(&self) -> News {
        let verdict = Fact::AnsweredBy {
            verdict: self.verdict,
            took_ms: self.took_ms,
        };
        News::known(CARRIER, &self.call_sid, vec![verdict])
    }
}

/// A recording's state.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordingCallback {
    /// The parent leg.
    pub call_sid: String,
    pub recording_sid: String,
    /// `None` for a word this build does not know.
    pub state: Option<RecordingState>,
    pub duration_s: Option<u32>,
    pub error_code: Option<String>,
}

impl RecordingCallback {
    /// # Errors
    /// There is no call or recording id.
    pub fn read(form: &Form) -> Result<Self, FormError> {
        Ok(Self {
            call_sid: form.id("CallSid")?,
            recording_sid: form.id("RecordingSid")?,
            state: form.get("RecordingStatus").and_then(recording_state),
            duration_s: form.number("RecordingDuration"),
            error_code: form.label("ErrorCode"),
        })
    }

    /// `RecordingUrl` is not read at all: the audio is fetched by id from the configured host.
    pub fn news(&self) -> News {
        let facts = self.state.map(|state| Fact::RecordingChanged {
            recording: Recording {
                id: self.recording_sid.clone(),
                state,
                duration_s: self.duration_s,
                // Ours to say, once we have it.
                url: None,
                error: self.error_code.as_ref().map(|code| match error_text(code) {
                    Some(text) => format!("{code} {text}"),
                    None => code.clone(),
                }),
            },
        });
        News::known(CARRIER, &self.call_sid, facts.into_iter().collect())
    }
}

/// Twilio's word for a recording's state; `stopped` and `processing` are on the way to `completed`
/// and change nothing.
pub fn recording_state(word: &str) -> Option<RecordingState> {
    match word {
        "in-progress" => Some(RecordingState::InProgress),
        "paused" => Some(RecordingState::Paused),
        "completed" => Some(RecordingState::Completed),
        "absent" => Some(RecordingState::Absent),
        "failed" => Some(RecordingState::Failed),
        _ => None,
    }
}

/// What Twilio says of a media stream beside the stream itself.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamCallback {
    pub call_sid: String,
    pub stream_sid: String,
    /// `stream-started`, `stream-stopped` or `stream-error`.
    pub event: String,
    /// For instance `31920: …`.
    pub error: Option<String>,
}

impl StreamCallback {
    /// # Errors
    /// There is no call or stream id.
    pub fn read(form: &Form) -> Result<Self, FormError> {
        Ok(Self {
            call_sid: form.id("CallSid")?,
            stream_sid: form.id("StreamSid")?,
            event: form.label("StreamEvent").unwrap_or_default(),
            error: form.label("StreamError"),
        })
    }

    /// `known_stream` is the stream the board shows for this call: of one that runs through us the
    /// socket has told already, so that the webhook is news only for others and for errors.
    pub fn news(&self, known_stream: Option<&str>) -> News {
        let known = known_stream == Some(self.stream_sid.as_str());
        let facts = match self.event.as_str() {
            "stream-started" if !known => {
                vec![Fact::StreamStarted {
                    stream_id: self.stream_sid.clone(),
                }]
            }
            "stream-stopped" if known => vec![Fact::StreamStopped {
                stream_id: self.stream_sid.clone(),
                reason: "the carrier closed it".to_owned(),
            }],
            "stream-error" => {
                let error = self.error.clone().unwrap_or_default();
                let code = error
                    .split(':')
                    .next()
                    .unwrap_or_default()
                    .trim()
                    .to_owned();
                let message = match error_text(&code) {
                    Some(text) => format!("media stream: {text} ({error})"),
                    None => format!("media stream: {error}"),
                };
                vec![Fact::TroubleNoted {
                    code: format!("twilio_{code}"),
                    message,
                }]
            }
            _ => Vec::new(),
        };
        News::known(CARRIER, &self.call_sid, facts)
    }
}

/// How a `<Dial>` ended: the `action` request, answered with TwiML.
#[derive(Clone, Debug, PartialEq)]
pub struct DialResult {
    pub call_sid: String,
    /// `completed`, `answered`, `busy`, `no-answer`, `failed` or `canceled`.
    pub status: String,
    pub duration_s: Option<u32>,
}

impl DialResult {
    /// # Errors
    /// There is no call id.
    pub fn read(form: &Form) -> Result<Self, FormError> {
        Ok(Self {
            call_sid: form.id("CallSid")?,
            status: form.label("DialCallStatus").unwrap_or_default(),
            duration_s: form.number("DialCallDuration"),
        })
    }

    /// Whether the other side picked up. If not, the caller still waits for us.
    pub fn connected(&self) -> bool {
        matches!(self.status.as_str(), "completed" | "answered")
    }

    /// `to` is the number the caller was handed to; the form does not repeat it.
    pub fn news(&self, to: &str) -> News {
        let fact = Fact::Transferred {
            to: to.to_owned(),
            state: if self.connected() {
                "connected"
            } else {
                "failed"
            }
            .to_owned(),
            reason: (!self.connected()).then(|| self.status.clone()),
        };
        News::known(CARRIER, &self.call_sid, vec![fact])
    }
}

/// A conference event. Only read: rooms are not used yet, so it is no news.
#[derive(Clone, Debug, PartialEq)]
pub struct ConferenceCallback {
    pub conference_sid: String,
    pub name: Option<String>,
    pub event: String,
    pub call_sid: Option<String>,
    pub participant: Option<String>,
    pub reason: Option<String>,
}

impl ConferenceCallback {
    /// # Errors
    /// There is no conference id.
    pub fn read(form: &Form) -> Result<Self, FormError> {
        Ok(Self {
            conference_sid: form.id("ConferenceSid")?,
            name: form.label("FriendlyName"),
            event: form.label("StatusCallbackEvent").unwrap_or_default(),
            call_sid: form.id("CallSid").ok(),
            participant: form.label("ParticipantLabel"),
            reason: form.label("ReasonConferenceEnded"),
        })
    }
}

#[cfg(test)]
mod tests;
