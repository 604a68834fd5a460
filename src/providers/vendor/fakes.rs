//! Fake webhooks of a vendor, signed as it signs: what `wallboard trigger` sends.

use chrono::{DateTime, Utc};

use super::Setup;

/// What is said when nobody says what.
pub const GREETING: &str = "Hello, this is a test.";
/// Who calls.
pub const CALLER: &str = "+15551230000";
/// Who is called, where no number of ours is configured.
pub const CALLED: &str = "+15557650000";

/// One kind of fake.
#[derive(Debug)]
pub struct FakeKind {
    /// `<vendor>.<event>`.
    pub name: &'static str,
    pub path: &'static str,
    pub about: &'static str,
    /// The vendor's own word for it, where the path does not say it.
    pub event: &'static str,
    /// Fields beyond those every request of the vendor has.
    pub fields: &'static [(&'static str, &'static str)],
}

/// All fakes of one vendor and how they are made.
#[derive(Clone, Copy, Debug)]
pub struct Fakes {
    pub kinds: &'static [FakeKind],
    /// A call's id as this vendor makes them.
    pub random_id: fn([u8; 16]) -> String,
    /// # Errors
    /// What is missing to sign with, and how to mend that.
    pub make: fn(&FakeKind, &FakeAsk<'_>) -> Result<Fake, (String, String)>,
}

impl Fakes {
    /// Of a vendor that sends none.
    pub const NONE: Self = Self {
        kinds: &[],
        random_id: |_| String::new(),
        make: |kind, _| Err((format!("{} cannot be made", kind.name), String::new())),
    };
}

/// What is wanted of a fake.
#[derive(Clone, Copy, Debug)]
pub struct FakeAsk<'a> {
    pub setup: &'a Setup<'a>,
    /// The base URL the backend believes it has.
    pub signed_for: &'a str,
    /// The carrier's id of the call.
    pub sid: &'a str,
    /// Somebody has named that id.
    pub sid_is_named: bool,
    pub conversation: Option<&'a str>,
    pub lead: Option<&'a str>,
    pub text: Option<&'a str>,
    pub status: Option<&'a str>,
    /// Further fields; they win over all others.
    pub fields: &'a [(String, String)],
    pub now: DateTime<Utc>,
    /// Fresh for every fake.
    pub nonce: u64,
}

impl FakeAsk<'_> {
    /// The fields with what is wanted of them.
    pub fn with_wanted(&self, mut params: Vec<(String, String)>) -> Vec<(String, String)> {
        let status = self
            .status
            .map(|word| ("CallStatus".to_owned(), word.into()));
        for (name, value) in self.fields.iter().cloned().chain(status) {
            params.retain(|(known, _)| *known != name);
            params.push((name, value));
        }
        params
    }
}

/// A request ready to go.
#[derive(Debug)]
pub struct Fake {
    pub headers: Vec<(String, String)>,
    pub query: Option<String>,
    pub body: String,
}

impl Fake {
    /// A form of these fields.
    pub fn form(params: Vec<(String, String)>, headers: Vec<(String, String)>) -> Self {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(params)
            .finish();
        Self::of("application/x-www-form-urlencoded", body, headers)
    }

    /// A body of this media type.
    pub fn of(media_type: &str, body: String, signed: Vec<(String, String)>) -> Self {
        let mut headers = vec![("content-type".to_owned(), media_type.to_owned())];
        headers.extend(signed);
        Self {
            headers,
            query: None,
            body,
        }
    }
}
