//! What Plivo says of a call's media beside the media itself: recordings and streams.

use crate::call::{Band, CallStatus, Fact, Quality, Recording, RecordingState, Source};
use crate::providers::News;

use super::super::{CARRIER, Form, FormError};

/// A recording's state. The first word about a session recording has no length yet.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordingCallback {
    pub call_uuid: String,
    pub recording_id: String,
    /// Seconds; `None` while it runs.
    pub duration_s: Option<u32>,
}

impl RecordingCallback {
    /// # Errors
    /// There is no call or recording id.
    pub fn read(form: &Form) -> Result<Self, FormError> {
        let exact = form
            .number("RecordingDurationMs")
            .map(|ms| ms.div_ceil(1_000));
        Ok(Self {
            call_uuid: form.id("CallUUID")?,
            recording_id: form.id("RecordingID")?,
            // -1 is no number here: not finished.
            duration_s: form.number("RecordingDuration").or(exact),
        })
    }

    /// `RecordUrl` is not read at all: the audio is fetched by id from the configured host.
    pub fn news(&self) -> News {
        let state = match self.duration_s {
            Some(_) => RecordingState::Completed,
            None => RecordingState::InProgress,
        };
        let recording = Recording {
            id: self.recording_id.clone(),
            state,
            duration_s: self.duration_s,
            // Said by whoever has fetched it.
            url: None,
            error: None,
        };
        News::known(
            CARRIER,
            &self.call_uuid,
            vec![Fact::RecordingChanged { recording }],
        )
    }

    /// Same for every delivery of the same news.
    pub fn content_key(&self) -> String {
        let done = if self.duration_s.is_some() {
            "done"
        } else {
            "running"
        };
        format!("{}/{done}", self.recording_id)
    }
}

/// What happened to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamEvent {
    Started,
    Stopped,
    /// The carrier could not connect or lost us, and has given up.
    Dropped,
    /// Audio waits too long at the carrier.
    Degraded,
    /// A checkpoint was played, or the buffer was cleared: the socket says it too.
    Playing,
    Unknown,
}

impl StreamEvent {
    fn parse(word: &str) -> Self {
        match word {
            "StartStream" | "started" => Self::Started,
            "StopStream" | "stopped" => Self::Stopped,
            "DroppedStream" | "failed" => Self::Dropped,
            "DegradedStream" => Self::Degraded,
            "PlayedStream" | "ClearedAudio" => Self::Playing,
            _ => Self::Unknown,
        }
    }
}

/// The stream's status callback.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamCallback {
    pub call_uuid: String,
    pub stream_id: String,
    pub event: StreamEvent,
    /// Name of a checkpoint.
    pub name: Option<String>,
    pub error: Option<String>,
    timestamp: Option<String>,
}

impl StreamCallback {
    /// # Errors
    /// There is no call or stream id.
    pub fn read(form: &Form) -> Result<Self, FormError> {
        Ok(Self {
            call_uuid: form.id("CallUUID")?,
            stream_id: form.id("StreamID")?,
            event: form
                .get("Event")
                .map_or(StreamEvent::Unknown, StreamEvent::parse),
            name: form.label("Name"),
            error: form.label("Error"),
            timestamp: form.label("Timestamp"),
        })
    }

    /// Same for every delivery of the same news. A degraded stream may degrade again.
    pub fn content_key(&self) -> String {
        let when = match self.event {
            StreamEvent::Degraded | StreamEvent::Playing | StreamEvent::Unknown => {
                self.timestamp.as_deref().unwrap_or_default()
            }
            StreamEvent::Started | StreamEvent::Stopped | StreamEvent::Dropped => "",
        };
        let name = self.name.as_deref().unwrap_or_default();
        format!("{}/{:?}/{name}/{when}", self.stream_id, self.event)
    }

    /// `known_stream` is the stream the board shows for this call: of one that runs through us the
    /// socket has told already, so that the webhook is news only for others and for errors.
    pub fn news(&self, known_stream: Option<&str>) -> News {
        let known = known_stream == Some(self.stream_id.as_str());
        let mut facts = Vec::new();
        match self.event {
            StreamEvent::Started => {
                // Nothing else tells that an incoming call was answered.
                facts.push(Fact::StatusChanged {
                    status: CallStatus::InProgress,
                    source: Source::Webhook,
                });
                if !known {
                    facts.push(Fact::StreamStarted {
                        stream_id: self.stream_id.clone(),
                    });
                }
            }
            StreamEvent::Stopped if known => facts.push(self.stopped("the carrier closed it")),
            StreamEvent::Dropped => {
                let error = self.error.as_deref();
                let reason = error.unwrap_or("the carrier could not keep the stream");
                facts.push(Fact::TroubleNoted {
                    code: "plivo_stream_dropped".to_owned(),
                    message: format!("audio stream: {reason}"),
                });
                if known {
                    facts.push(self.stopped(reason));
                }
            }
            StreamEvent::Degraded => facts.push(Fact::QualityChanged {
                quality: Quality {
                    band: Band::Warn,
                    source: CARRIER.to_owned(),
                    ..Quality::default()
                },
            }),
            StreamEvent::Stopped | StreamEvent::Playing | StreamEvent::Unknown => {}
        }
        News::known(CARRIER, &self.call_uuid, facts)
    }

    fn stopped(&self, reason: &str) -> Fact {
        Fact::StreamStopped {
            stream_id: self.stream_id.clone(),
            reason: reason.to_owned(),
        }
    }
}
