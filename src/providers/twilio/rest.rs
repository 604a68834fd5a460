//! Requests to Twilio's REST API as data. `shell` sends them; `answers` reads what comes back.
//! Spec: Twilio docs, "Calls resource", "Recordings resource" (API 2010-04-01, read 2026-11).

use crate::call::text::clean;

use super::is_id;

/// Calls asked for per page of the live list.
const PAGE_SIZE: u32 = 1_000;

/// A request without credentials and host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestRequest {
    pub method: Method,
    /// Absolute path and query, from `/2010-04-01/…`.
    pub path: String,
    pub form: Vec<(&'static str, String)>,
    /// Whether sending it twice does no more than sending it once.
    pub idempotent: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
}

impl RestRequest {
    fn get(path: String) -> Self {
        Self {
            method: Method::Get,
            path,
            form: Vec::new(),
            idempotent: true,
        }
    }

    /// The form as it goes on the wire.
    pub fn body(&self) -> String {
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in &self.form {
            body.append_pair(name, value);
        }
        body.finish()
    }
}

/// An id that may not stand in a path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not one of Twilio's ids")]
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
    /// Answered with TwiML when the other side picks up.
    pub url: String,
    pub fallback_url: Option<String>,
    pub status_callback: String,
    pub amd: AmdMode,
    pub amd_callback: String,
    /// Where to report a recording from the start on; `None` records nothing.
    pub recording_callback: Option<String>,
    /// Ring for this long, seconds.
    pub timeout_s: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AmdMode {
    #[default]
    Off,
    Detect,
    MessageEnd,
}

impl AmdMode {
    /// Reads `off`, `detect`, `message_end`; anything else is off.
    pub fn parse(word: &str) -> Self {
        match word {
            "detect" => Self::Detect,
            "message_end" => Self::MessageEnd,
            _ => Self::Off,
        }
    }
}

impl Rest {
    /// # Errors
    /// [`BadId`] when this is no account id.
    pub fn new(account_sid: &str) -> Result<Self, BadId> {
        Ok(Self {
            account: checked(account_sid)?,
        })
    }

    fn path(&self, tail: &str) -> String {
        format!("/2010-04-01/Accounts/{}/{tail}", self.account)
    }

    fn post(&self, tail: &str, form: Vec<(&'static str, String)>) -> RestRequest {
        RestRequest {
            method: Method::Post,
            path: self.path(tail),
            form,
            idempotent: false,
        }
    }

    /// Places a call. Never sent twice.
    pub fn dial(&self, dial: &DialForm) -> RestRequest {
        let mut form = vec![
            ("To", dial.to.clone()),
            ("From", dial.from.clone()),
            ("Url", dial.url.clone()),
            ("Method", "POST".to_owned()),
            ("StatusCallback", dial.status_callback.clone()),
            ("StatusCallbackMethod", "POST".to_owned()),
        ];
        for event in ["initiated", "ringing", "answered", "completed"] {
            form.push(("StatusCallbackEvent", event.to_owned()));
        }
        if let Some(url) = &dial.fallback_url {
            form.push(("FallbackUrl", url.clone()));
            form.push(("FallbackMethod", "POST".to_owned()));
        }
        let detection = match dial.amd {
            AmdMode::Off => None,
            AmdMode::Detect => Some("Enable"),
            AmdMode::MessageEnd => Some("DetectMessageEnd"),
        };
        if let Some(mode) = detection {
            form.push(("MachineDetection", mode.to_owned()));
            // Asynchronous, so that the stream begins at the answer and not after the verdict.
            form.push(("AsyncAmd", "true".to_owned()));
            form.push(("AsyncAmdStatusCallback", dial.amd_callback.clone()));
            form.push(("AsyncAmdStatusCallbackMethod", "POST".to_owned()));
        }
        if let Some(callback) = &dial.recording_callback {
            form.push(("Record", "true".to_owned()));
            form.push(("RecordingChannels", "dual".to_owned()));
            form.push(("RecordingTrack", "both".to_owned()));
            push_recording_callback(&mut form, callback);
        }
        if let Some(seconds) = dial.timeout_s {
            form.push(("Timeout", seconds.to_string()));
        }
        self.post("Calls.json", form)
    }

    /// Ends a call in any state. Twilio's `completed` also ends one that still rings.
    ///
    /// # Errors
    /// [`BadId`]
    pub fn hang_up(&self, call_sid: &str) -> Result<RestRequest, BadId> {
        self.update(call_sid, vec![("Status", "completed".to_owned())])
    }

    /// Ends a call only if nobody has answered it yet.
    ///
    /// # Errors
    /// [`BadId`]
    pub fn cancel(&self, call_sid: &str) -> Result<RestRequest, BadId> {
        self.update(call_sid, vec![("Status", "canceled".to_owned())])
    }

    /// Gives a live call another document; its media stream ends.
    ///
    /// # Errors
    /// [`BadId`]
    pub fn redirect(&self, call_sid: &str, url: &str) -> Result<RestRequest, BadId> {
        self.update(
            call_sid,
            vec![("Url", url.to_owned()), ("Method", "POST".to_owned())],
        )
    }

    /// As [`Rest::redirect`] with the document itself, at most 4,000 characters. Sent once: twice
    /// would ring the other side twice.
    ///
    /// # Errors
    /// [`BadId`]
    pub fn redirect_inline(&self, call_sid: &str, twiml: &str) -> Result<RestRequest, BadId> {
        let mut request = self.update(call_sid, vec![("Twiml", twiml.to_owned())])?;
        request.idempotent = false;
        Ok(request)
    }

    fn update(
        &self,
        call_sid: &str,
        form: Vec<(&'static str, String)>,
    ) -> Result<RestRequest, BadId> {
        let mut request = self.post(&format!("Calls/{}.json", checked(call_sid)?), form);
        request.idempotent = true;
        Ok(request)
    }

    /// One call, live or ended.
    ///
    /// # Errors
    /// [`BadId`]
    pub fn find(&self, call_sid: &str) -> Result<RestRequest, BadId> {
        Ok(RestRequest::get(
            self.path(&format!("Calls/{}.json", checked(call_sid)?)),
        ))
    }

    /// First pages of everything not ended: Twilio takes one status per request.
    pub fn live_calls(&self) -> Vec<RestRequest> {
        ["in-progress", "ringing", "queued"]
            .into_iter()
            .map(|status| {
                RestRequest::get(
                    self.path(&format!("Calls.json?Status={status}&PageSize={PAGE_SIZE}")),
                )
            })
            .collect()
    }

    /// The page a list names as its next; `None` if it leads away from the account.
    pub fn next_page(&self, next_page_uri: &str) -> Option<RestRequest> {
        let inside = next_page_uri.starts_with(&self.path("")) && !next_page_uri.contains("..");
        inside.then(|| RestRequest::get(next_page_uri.to_owned()))
    }

    /// Starts a recording. Sent once: a second start is refused while one runs.
    ///
    /// # Errors
    /// [`BadId`]
    pub fn record(&self, call_sid: &str, callback: &str) -> Result<RestRequest, BadId> {
        let mut form = vec![
            ("RecordingChannels", "dual".to_owned()),
            ("RecordingTrack", "both".to_owned()),
        ];
        push_recording_callback(&mut form, callback);
        Ok(self.post(
            &format!("Calls/{}/Recordings.json", checked(call_sid)?),
            form,
        ))
    }

    /// Pauses (leaving silence, so that times stay true), resumes or stops a recording; without its
    /// id the one that runs.
    ///
    /// # Errors
    /// [`BadId`]
    pub fn change_recording(
        &self,
        call_sid: &str,
        recording_sid: Option<&str>,
        change: RecordingChange,
    ) -> Result<RestRequest, BadId> {
        let recording = recording_sid.map_or(Ok("Twilio.CURRENT".to_owned()), checked)?;
        let form = match change {
            RecordingChange::Pause => {
                vec![
                    ("Status", "paused".to_owned()),
                    ("PauseBehavior", "silence".to_owned()),
                ]
            }
            RecordingChange::Resume => vec![("Status", "in-progress".to_owned())],
            RecordingChange::Stop => vec![("Status", "stopped".to_owned())],
        };
        let call = checked(call_sid)?;
        let mut request = self.post(&format!("Calls/{call}/Recordings/{recording}.json"), form);
        request.idempotent = true;
        Ok(request)
    }

    /// Starts a one-way stream of both tracks of a live call to `url`; `ticket` arrives in its first
    /// words. Sent once: twice would be heard twice.
    ///
    /// # Errors
    /// [`BadId`]
    pub fn fork(&self, call_sid: &str, url: &str, ticket: &str) -> Result<RestRequest, BadId> {
        let form = vec![
            ("Url", url.to_owned()),
            ("Track", "both_tracks".to_owned()),
            ("Parameter1.Name", super::routes::TICKET.to_owned()),
            ("Parameter1.Value", ticket.to_owned()),
        ];
        let call = checked(call_sid)?;
        Ok(self.post(&format!("Calls/{call}/Streams.json"), form))
    }

    /// Ends a stream that [`Rest::fork`] started.
    ///
    /// # Errors
    /// [`BadId`]
    pub fn unfork(&self, call_sid: &str, stream_sid: &str) -> Result<RestRequest, BadId> {
        let (call, stream) = (checked(call_sid)?, checked(stream_sid)?);
        let form = vec![("Status", "stopped".to_owned())];
        let mut request = self.post(&format!("Calls/{call}/Streams/{stream}.json"), form);
        request.idempotent = true;
        Ok(request)
    }

    /// The recordings of a call.
    ///
    /// # Errors
    /// [`BadId`]
    pub fn recordings(&self, call_sid: &str) -> Result<RestRequest, BadId> {
        Ok(RestRequest::get(self.path(&format!(
            "Calls/{}/Recordings.json",
            checked(call_sid)?
        ))))
    }

    /// The audio of a recording: WAV, both channels. 404 until it is ready.
    ///
    /// # Errors
    /// [`BadId`]
    pub fn recording_media(&self, recording_sid: &str) -> Result<RestRequest, BadId> {
        let recording = checked(recording_sid)?;
        Ok(RestRequest::get(self.path(&format!(
            "Recordings/{recording}.wav?RequestedChannels=2"
        ))))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordingChange {
    Pause,
    Resume,
    Stop,
}

fn push_recording_callback(form: &mut Vec<(&'static str, String)>, callback: &str) {
    form.push(("RecordingStatusCallback", callback.to_owned()));
    form.push(("RecordingStatusCallbackMethod", "POST".to_owned()));
    for event in ["in-progress", "completed", "absent"] {
        form.push(("RecordingStatusCallbackEvent", event.to_owned()));
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
