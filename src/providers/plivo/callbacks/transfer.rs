//! Handing the caller to a person: the document a transfer asks for, the dialled leg's news, and
//! how it ended.

use crate::call::Fact;
use crate::providers::News;

use super::super::{CARRIER, Form, FormError, e164};

/// The carrier asks what to do with a call we transfer (`aleg_url`). The number stands in the URL's
/// query, which the signature covers.
#[derive(Clone, Debug, PartialEq)]
pub struct TransferRequest {
    pub call_uuid: String,
    /// Whom to hand the caller to.
    pub to: String,
}

impl TransferRequest {
    /// Reads the form and the raw query of the request.
    ///
    /// # Errors
    /// There is no call id, or nobody to hand the caller to.
    pub fn read(form: &Form, query: &str) -> Result<Self, FormError> {
        let to = url::form_urlencoded::parse(query.as_bytes())
            .find(|(name, _)| name == "to")
            .map(|(_, value)| value.trim().to_owned())
            .filter(|to| is_reachable(to))
            .ok_or(FormError { field: "to" })?;
        Ok(Self {
            call_uuid: form.id("CallUUID")?,
            to,
        })
    }

    /// Query of the URL that asks for this transfer, without question mark.
    pub fn query(to: &str) -> String {
        url::form_urlencoded::Serializer::new(String::new())
            .append_pair("to", to)
            .finish()
    }

    pub fn news(&self) -> News {
        News::known(
            CARRIER,
            &self.call_uuid,
            vec![told(&self.to, "ringing", None)],
        )
    }

    /// Same for every delivery of the same news.
    pub fn content_key(&self) -> String {
        format!("{}/transfer/{}", self.call_uuid, self.to)
    }
}

/// A number or a `sip:` address, and nothing that could be markup or several of them.
fn is_reachable(to: &str) -> bool {
    let is_number = to.len() >= 3
        && to.len() <= 16
        && to
            .strip_prefix('+')
            .unwrap_or(to)
            .bytes()
            .all(|byte| byte.is_ascii_digit());
    let is_sip = to.len() <= 200
        && to.starts_with("sip:")
        && to
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b":@.-_+".contains(&byte));
    is_number || is_sip
}

/// Live news of the dialled leg (`callbackUrl` of `<Dial>`).
#[derive(Clone, Debug, PartialEq)]
pub struct DialLegCallback {
    pub call_uuid: String,
    /// `answer`, `connected`, `hangup` or `digits`.
    pub action: String,
    pub to: Option<String>,
}

impl DialLegCallback {
    /// # Errors
    /// There is no call id.
    pub fn read(form: &Form) -> Result<Self, FormError> {
        Ok(Self {
            call_uuid: form.id("CallUUID").or_else(|error| {
                // The legs' ids stand beside it; ours is the A leg.
                form.id("DialALegUUID").map_err(|_| error)
            })?,
            action: form.label("DialAction").unwrap_or_default(),
            to: form.party("DialBLegTo"),
        })
    }

    /// The end of the leg is told by [`DialResult`]. `to` is what the board knows.
    pub fn news(&self, to: &str) -> News {
        let connected = matches!(self.action.as_str(), "answer" | "connected");
        let to = self.to.as_deref().unwrap_or(to);
        let facts = connected.then(|| told(to, "connected", None));
        News::known(CARRIER, &self.call_uuid, facts.into_iter().collect())
    }

    /// Same for every delivery of the same news.
    pub fn content_key(&self) -> String {
        let to = self.to.as_deref().unwrap_or_default();
        format!("{}/leg/{}/{to}", self.call_uuid, self.action)
    }
}

/// How a `<Dial>` ended: the `action` request, answered with XML.
#[derive(Clone, Debug, PartialEq)]
pub struct DialResult {
    pub call_uuid: String,
    /// `completed`, `busy`, `failed`, `cancel`, `timeout` or `no-answer`.
    pub status: String,
    /// For instance `USER_BUSY`.
    pub cause: Option<String>,
    leg: Option<String>,
}

impl DialResult {
    /// # Errors
    /// There is no call id.
    pub fn read(form: &Form) -> Result<Self, FormError> {
        Ok(Self {
            call_uuid: form.id("CallUUID")?,
            status: form.label("DialStatus").unwrap_or_default(),
            cause: form.label("DialHangupCause"),
            leg: form.label("DialBLegUUID"),
        })
    }

    /// Whether the other side picked up. If not, the caller still waits for us.
    pub fn connected(&self) -> bool {
        matches!(self.status.as_str(), "completed" | "answered")
    }

    /// `to` is the number the caller was handed to; the form does not repeat it.
    pub fn news(&self, to: &str) -> News {
        let fact = if self.connected() {
            told(to, "connected", None)
        } else {
            let reason = match (self.status.as_str(), &self.cause) {
                ("timeout" | "no-answer", _) => "no answer".to_owned(),
                ("", Some(cause)) => cause.clone(),
                ("", None) => "not connected".to_owned(),
                (status, _) => status.to_owned(),
            };
            told(to, "failed", Some(reason))
        };
        News::known(CARRIER, &self.call_uuid, vec![fact])
    }

    /// Same for every delivery of the same news.
    pub fn content_key(&self) -> String {
        let leg = self.leg.as_deref().unwrap_or_default();
        format!("{}/dial/{leg}/{}", self.call_uuid, self.status)
    }
}

fn told(to: &str, state: &str, reason: Option<String>) -> Fact {
    Fact::Transferred {
        to: e164(to),
        state: state.to_owned(),
        reason,
    }
}
