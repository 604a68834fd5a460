//! Twilio's Messaging webhook: a text came in. Spec: "TwiML for Programmable Messaging", 2026-11.

use crate::call::{Fact, LeadMessage};
use crate::providers::{News, Subject};

use super::{Form, FormError};

/// A text message that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextMessage {
    pub message_sid: String,
    pub from: String,
    /// Which of our numbers it was sent to.
    pub to: String,
    pub body: String,
}

impl TextMessage {
    /// # Errors
    /// It has no id or no sender.
    pub fn read(form: &Form) -> Result<Self, FormError> {
        let message_sid = form.id("MessageSid").or_else(|_| form.id("SmsSid"))?;
        let from = form.label("From").ok_or(FormError { field: "From" })?;
        let media = form.number("NumMedia").unwrap_or(0);
        let body = match form.get("Body") {
            Some(body) => body.to_owned(),
            None => format!("[{media} attachments]"),
        };
        Ok(Self {
            message_sid,
            from,
            to: form.label("To").unwrap_or_default(),
            body,
        })
    }

    /// Whose it is, is found out by the number.
    pub fn news(&self) -> News {
        let message = LeadMessage {
            id: self.message_sid.clone(),
            lead_id: String::new(),
            sent_by: "user".to_owned(),
            channel: "sms".to_owned(),
            phone: Some(self.from.clone()),
            text: self.body.clone(),
            ..LeadMessage::default()
        };
        News {
            subject: Subject::Texted {
                carrier: super::CARRIER,
                phone: self.from.clone(),
                to: self.to.clone(),
            },
            facts: vec![Fact::LeadMessaged { message }],
        }
    }
}

/// The answer that sends nothing back.
pub fn no_reply() -> String {
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response></Response>".to_owned()
}
