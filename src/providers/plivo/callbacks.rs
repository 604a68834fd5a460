//! Plivo's form webhooks read into facts. Tolerant: only the call's id is required, unknown words
//! and fields are passed over. Who hung up comes from `HangupSource` and is never guessed.
//! Callbacks come in any order, and more than once: every fact here may be told twice.
//! Spec: Plivo docs, "Answer URL", "Hangup URL", "Machine detection", "Record", "Stream", "Dial"
//! (2026-11).

mod media;
mod transfer;

use chrono::{DateTime, Utc};

use crate::call::{AnsweredBy, CallFacts, CallId, CallStatus, Direction, Fact, Source};
use crate::providers::{News, Subject};

use super::codes::{hangup_text, is_our_trouble, source_text, status_of, status_word};
use super::{CARRIER, Form, FormError};

pub use media::{RecordingCallback, StreamCallback, StreamEvent};
pub use transfer::{DialLegCallback, DialResult, TransferRequest};

/// What all webhooks about a call have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct CallForm {
    /// Plivo's id of the call.
    pub call_uuid: String,
    /// What placing the call returned; for calls to one number it equals `call_uuid`.
    pub request_uuid: Option<String>,
    pub direction: Direction,
    /// E.164 where it is a number.
    pub from: String,
    pub to: String,
    pub caller_name: Option<String>,
    /// `None` for a word this build does not know.
    pub status: Option<CallStatus>,
    /// `StartApp`, `Ring`, `Hangup`, `MachineDetection`.
    pub event: Option<String>,
    /// A machine was found before the answer was asked for.
    pub machine: bool,
    pub started_at: Option<DateTime<Utc>>,
}

impl CallForm {
    fn read(form: &Form) -> Result<Self, FormError> {
        Ok(Self {
            call_uuid: form.id("CallUUID").or_else(|error| {
                // Early callbacks of some accounts name only the request; for one number it is
                // the same id.
                form.id("RequestUUID").map_err(|_| error)
            })?,
            request_uuid: form
                .id("RequestUUID")
                .or_else(|_| form.id("ALegRequestUUID"))
                .ok(),
            direction: form.direction(),
            from: form.party("From").unwrap_or_default(),
            to: form.party("To").unwrap_or_default(),
            caller_name: form.label("CallerName"),
            status: form.get("CallStatus").and_then(status_word),
            event: form.label("Event"),
            machine: form
                .get("Machine")
                .is_some_and(|word| word.eq_ignore_ascii_case("true")),
            started_at: form.utc("SessionStart"),
        })
    }

    fn facts(&self) -> CallFacts {
        CallFacts {
            carrier: CARRIER.to_owned(),
            carrier_call_id: Some(self.call_uuid.clone()),
            direction: self.direction,
            from: self.from.clone(),
            to: self.to.clone(),
            name: self.caller_name.clone(),
            ..CallFacts::default()
        }
    }

    fn seen(&self, status: CallStatus, facts: Vec<Fact>) -> News {
        News {
            subject: Subject::Seen {
                facts: self.facts(),
                status,
                started_at: self.started_at,
            },
            facts,
        }
    }

    fn verdict(&self) -> Option<Fact> {
        self.machine.then_some(Fact::AnsweredBy {
            verdict: AnsweredBy::MachineStart,
            took_ms: None,
        })
    }

    /// News of a call under way.
    fn progress(&self, otherwise: CallStatus) -> News {
        let status = self.status.filter(|status| !status.is_terminal());
        let status = status.unwrap_or(otherwise);
        let mut facts = vec![Fact::StatusChanged {
            status,
            source: Source::Webhook,
        }];
        facts.extend(self.verdict());
        self.seen(status, facts)
    }
}

/// Our own words in the query of an answer URL we handed out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnswerQuery {
    /// The call we placed.
    pub call: Option<CallId>,
    /// The call is to be recorded from the start on.
    pub record: bool,
}

impl AnswerQuery {
    /// Reads the raw query of the request.
    pub fn read(query: &str) -> Self {
        let mut asked = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "call" => asked.call = value.parse().ok(),
                "record" => asked.record = value == "1",
                _ => {}
            }
        }
        asked
    }

    /// As it stands in a URL, question mark included; empty when there is nothing to say.
    pub fn write(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        if let Some(call) = self.call {
            query.append_pair("call", &call.to_string());
        }
        if self.record {
            query.append_pair("record", "1");
        }
        match query.finish() {
            text if text.is_empty() => text,
            text => format!("?{text}"),
        }
    }
}

/// A request for XML: an incoming call, the answer to a call of ours, or a fallback.
#[derive(Clone, Debug, PartialEq)]
pub struct AnswerRequest {
    pub call: CallForm,
    pub forwarded_from: Option<String>,
}

impl AnswerRequest {
    /// # Errors
    /// There is no call id.
    pub fn read(form: &Form) -> Result<Self, FormError> {
        Ok(Self {
            call: CallForm::read(form)?,
            forwarded_from: form.party("ForwardedFrom"),
        })
    }

    pub fn news(&self) -> News {
        self.call.progress(CallStatus::Ringing)
    }

    /// As [`AnswerRequest::news`] for a request to the fallback URL: our answer could not be had.
    pub fn fallback_news(&self) -> News {
        let mut news = self.news();
        news.facts.push(Fact::TroubleNoted {
            code: "plivo_fallback".to_owned(),
            message: "the carrier could not use our answer and asked for the fallback".to_owned(),
        });
        news
    }
}

/// What came to the answer URL. An application without a hangup URL sends its hangups here.
#[derive(Clone, Debug, PartialEq)]
pub enum AnswerNews {
    /// Wants a document.
    Answer(AnswerRequest),
    /// Wants only that we have it.
    Hangup(HangupCallback),
}

impl AnswerNews {
    /// # Errors
    /// There is no call id.
    pub fn read(form: &Form) -> Result<Self, FormError> {
        if form.get("Event") == Some("Hangup") {
            HangupCallback::read(form).map(Self::Hangup)
        } else {
            AnswerRequest::read(form).map(Self::Answer)
        }
    }
}

/// The other side's phone rings. May come more than once.
#[derive(Clone, Debug, PartialEq)]
pub struct RingCallback {
    pub call: CallForm,
}

impl RingCallback {
    /// # Errors
    /// There is no call id.
    pub fn read(form: &Form) -> Result<Self, FormError> {
        CallForm::read(form).map(|call| Self { call })
    }

    pub fn news(&self) -> News {
        self.call.progress(CallStatus::Ringing)
    }

    /// Same for every delivery of the same news.
    pub fn content_key(&self) -> String {
        format!("{}/ring", self.call.call_uuid)
    }
}

/// The end of a call: how, why, by whom, how long and for how much.
#[derive(Clone, Debug, PartialEq)]
pub struct HangupCallback {
    pub call: CallForm,
    pub code: Option<u32>,
    /// For instance `NORMAL_CLEARING`.
    pub cause: Option<String>,
    /// For instance `Normal Hangup`.
    pub name: Option<String>,
    pub source: Option<String>,
    pub status: CallStatus,
    /// Seconds since the answer.
    pub duration_s: Option<u32>,
    /// US dollars.
    pub cost_usd: Option<f64>,
}

impl HangupCallback {
    /// # Errors
    /// There is no call id.
    pub fn read(form: &Form) -> Result<Self, FormError> {
        let code = form.number("HangupCauseCode");
        let cause = form.label("HangupCause");
        Ok(Self {
            call: CallForm::read(form)?,
            status: status_of(code, cause.as_deref(), form.get("CallStatus")),
            code,
            cause,
            name: form.label("HangupCauseName"),
            source: form.label("HangupSource"),
            duration_s: form.number("Duration"),
            cost_usd: form.amount("TotalCost"),
        })
    }

    /// Same for every delivery of the same news: a call ends once.
    pub fn content_key(&self) -> String {
        format!("{}/hangup", self.call.call_uuid)
    }

    pub fn news(&self) -> News {
        let mut facts = Vec::new();
        facts.extend(self.call.verdict());
        facts.extend(self.trouble());
        facts.push(Fact::CallEnded {
            status: self.status,
            ended_by: self.ended_by(),
            cause: self.cause_words(),
            duration_s: self.duration_s,
            source: Source::Webhook,
        });
        if let Some(usd) = self.cost_usd {
            facts.push(Fact::Costed {
                usd,
                source: CARRIER.to_owned(),
            });
        }
        // A card made from an ending begins with the state before it, so that the end is a fact too.
        let before = match self.status {
            CallStatus::Completed => CallStatus::InProgress,
            _ => CallStatus::Initiated,
        };
        self.call.seen(before, facts)
    }

    /// Who hung up, in the carrier's word.
    pub fn ended_by(&self) -> Option<String> {
        self.source.as_deref().and_then(source_text)
    }

    /// The cause in words, then its code and name: `Normal Hangup (4000 NORMAL_CLEARING)`.
    pub fn cause_words(&self) -> Option<String> {
        let known = self.code.and_then(hangup_text);
        let words = self.name.clone().or_else(|| known.map(str::to_owned));
        let code = self.code.map(|code| code.to_string());
        let exact: Vec<String> = code.into_iter().chain(self.cause.clone()).collect();
        match (words, exact.is_empty()) {
            (Some(words), true) => Some(words),
            (Some(words), false) => Some(format!("{words} ({})", exact.join(" "))),
            (None, false) => Some(exact.join(" ")),
            (None, true) => None,
        }
    }

    fn trouble(&self) -> Option<Fact> {
        let code = self.code.filter(|code| is_our_trouble(*code))?;
        Some(Fact::TroubleNoted {
            code: format!("plivo_{code}"),
            message: hangup_text(code)
                .map(str::to_owned)
                .or_else(|| self.name.clone())
                .unwrap_or_default(),
        })
    }
}

/// A machine answered. Nothing comes when it was a person: no news is no verdict.
#[derive(Clone, Debug, PartialEq)]
pub struct MachineCallback {
    pub call: CallForm,
    /// The carrier ends the call by itself.
    pub hangs_up: bool,
}

impl MachineCallback {
    /// # Errors
    /// There is no call id, or no machine.
    pub fn read(form: &Form) -> Result<Self, FormError> {
        let call = CallForm::read(form)?;
        if !call.machine {
            return Err(FormError { field: "Machine" });
        }
        Ok(Self {
            call,
            hangs_up: form.get("IfMachine") == Some("hangup"),
        })
    }

    pub fn news(&self) -> News {
        News::known(
            CARRIER,
            &self.call.call_uuid,
            self.call.verdict().into_iter().collect(),
        )
    }

    /// Same for every delivery of the same news.
    pub fn content_key(&self) -> String {
        format!("{}/machine", self.call.call_uuid)
    }
}

#[cfg(test)]
mod tests;
