//! What the shells of carriers share: requests with the account's credentials, our own URLs as the
//! carrier shall call them, failures in the engine's words, and the way from orders that own what they
//! need to the engine's port.

use std::fmt::{self, Debug};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Future};
use reqwest::RequestBuilder;

use crate::call::Secret;
use crate::engine::{CarrierCall, CarrierControl, CarrierError, DialOrder, RecordingOrder};
use crate::providers::RestFailure;
use crate::providers::vendor::RETRIES;

use super::{BaseError, Http, HttpAnswer, HttpFailure, base_url};

/// Why nothing can be copied.
pub const NO_MONITOR: &str = "its carrier cannot reach this backend: server.public_url is not set";

/// Why there is no REST client.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    #[error(transparent)]
    Base(#[from] BaseError),
    #[error("cannot be used: the HTTP client could not be set up")]
    Http(#[from] reqwest::Error),
}

/// One account at one carrier. Cheap to clone.
#[derive(Clone)]
pub struct Account {
    http: Http,
    base: Arc<str>,
    user: Arc<str>,
    password: Secret,
    /// Where the carrier reaches us, without a slash at the end.
    public_url: Option<String>,
}

impl Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

impl Account {
    /// `public_url` is where the carrier reaches us; without it no call can be placed and no recording
    /// started, but calls can be ended and listed.
    ///
    /// # Errors
    /// [`AccountError`]
    pub fn new(
        api_base: &str,
        user: &str,
        password: &Secret,
        public_url: Option<&str>,
    ) -> Result<Self, AccountError> {
        let base = base_url(api_base)?;
        Ok(Self {
            http: Http::new(&base)?,
            base: base.into(),
            user: user.into(),
            password: password.clone(),
            public_url: public_url.map(|url| url.trim_end_matches('/').to_owned()),
        })
    }

    pub fn base(&self) -> &str {
        &self.base
    }

    /// A request to this path of the API, before it has its credentials.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub fn client(&self) -> &reqwest::Client {
        self.http.client()
    }

    /// With the account's credentials.
    pub fn signed(&self, request: RequestBuilder, accept: &str) -> RequestBuilder {
        request
            .basic_auth(&self.user, Some(self.password.expose()))
            .header("accept", accept)
    }

    /// A route of ours as the carrier shall call it, retry override included.
    ///
    /// # Errors
    /// It cannot reach us.
    pub fn callback(&self, path_and_query: &str) -> Result<String, CarrierError> {
        let base = self.public_url.as_deref().ok_or_else(|| {
            refuse("server.public_url is not set: the carrier could not reach us")
        })?;
        Ok(format!("{base}{path_and_query}{RETRIES}"))
    }

    /// A socket of ours as the carrier shall dial it; `None` without a public URL.
    pub fn socket(&self, path: &str) -> Option<String> {
        let base = self.public_url.as_deref()?;
        // `https` becomes `wss`, `http` becomes `ws`.
        Some(format!("ws{}{path}", base.strip_prefix("http")?))
    }

    /// Sends, again where that is harmless, and reads failures by `read`.
    ///
    /// # Errors
    /// [`CarrierError`]
    pub async fn send(
        &self,
        build: impl Fn() -> RequestBuilder + Send,
        is_idempotent: bool,
        bytes_max: usize,
        read: impl FnOnce(u16, &[u8]) -> RestFailure,
    ) -> Result<Bytes, CarrierError> {
        let answer = if is_idempotent {
            self.http.send_retrying(build, bytes_max).await
        } else {
            self.http.send(build(), bytes_max).await
        };
        judge(answer, read)
    }
}

fn judge(
    answer: Result<HttpAnswer, HttpFailure>,
    read: impl FnOnce(u16, &[u8]) -> RestFailure,
) -> Result<Bytes, CarrierError> {
    let answer = answer.map_err(|failure| CarrierError::Unreachable(failure.to_string()))?;
    if answer.is_success() {
        return Ok(answer.body);
    }
    Err(match read(answer.status, &answer.body) {
        RestFailure::AlreadyEnded => CarrierError::AlreadyEnded,
        RestFailure::Unauthorized => CarrierError::Unauthorized,
        RestFailure::RateLimited => CarrierError::RateLimited {
            retry_after_s: answer.retry_after_s,
        },
        RestFailure::Unavailable { status } => CarrierError::Unreachable(format!("HTTP {status}")),
        RestFailure::Refused { code, message } => CarrierError::Refused { code, message },
    })
}

/// A refusal of our own.
pub fn refuse(message: impl fmt::Display) -> CarrierError {
    CarrierError::Refused {
        code: None,
        message: message.to_string(),
    }
}

/// An answer that is none.
pub fn unreadable(error: impl fmt::Display) -> CarrierError {
    CarrierError::Unreachable(error.to_string())
}

/// Orders to a carrier, as its shell carries them out. Each takes a clone of its own and runs to its
/// end by itself; [`CarrierControl`] is made of it.
pub trait CarrierShell: Clone + Debug + Send + Sync + 'static {
    const NAME: &'static str;
    /// As [`CarrierControl::can_speak`].
    const CAN_SPEAK: bool = false;
    /// As [`CarrierControl::stream_outlives_transfer`].
    const STREAM_OUTLIVES_TRANSFER: bool = false;
    /// As [`CarrierControl::pauses_recordings`].
    const PAUSES_RECORDINGS: bool = true;

    fn place(self, order: DialOrder) -> impl Future<Output = Result<String, CarrierError>> + Send;

    fn end(self, call: String) -> impl Future<Output = Result<(), CarrierError>> + Send;

    fn hand_over(
        self,
        call: String,
        to: String,
    ) -> impl Future<Output = Result<(), CarrierError>> + Send;

    /// Says a text to the caller by the carrier's own voice.
    fn say(
        self,
        _call: String,
        _text: String,
    ) -> impl Future<Output = Result<(), CarrierError>> + Send {
        std::future::ready(Err(CarrierError::Unsupported("speaking a text")))
    }

    fn tape(
        self,
        call: String,
        recording: Option<String>,
        order: RecordingOrder,
    ) -> impl Future<Output = Result<String, CarrierError>> + Send;

    /// Where the copy of a call goes; `None`: the carrier cannot reach us.
    fn monitor(&self) -> Option<String>;

    fn copy(
        self,
        call: String,
        ticket: String,
    ) -> impl Future<Output = Result<String, CarrierError>> + Send;

    fn end_copy(
        self,
        call: String,
        stream: String,
    ) -> impl Future<Output = Result<(), CarrierError>> + Send;

    fn live(self) -> impl Future<Output = Result<Vec<CarrierCall>, CarrierError>> + Send;

    fn look_up(
        self,
        call: String,
    ) -> impl Future<Output = Result<Option<CarrierCall>, CarrierError>> + Send;

    fn fetch(self, recording: String) -> impl Future<Output = Result<Bytes, CarrierError>> + Send;
}

type Answer<T> = BoxFuture<'static, Result<T, CarrierError>>;

impl<S: CarrierShell> CarrierControl for S {
    fn name(&self) -> &'static str {
        S::NAME
    }

    fn dial(&self, order: DialOrder) -> Answer<String> {
        self.clone().place(order).boxed()
    }

    fn hang_up(&self, carrier_call_id: String) -> Answer<()> {
        self.clone().end(carrier_call_id).boxed()
    }

    fn transfer(&self, carrier_call_id: String, to: String) -> Answer<()> {
        self.clone().hand_over(carrier_call_id, to).boxed()
    }

    fn speak(&self, carrier_call_id: String, text: String) -> Answer<()> {
        self.clone().say(carrier_call_id, text).boxed()
    }

    fn can_speak(&self) -> bool {
        S::CAN_SPEAK
    }

    fn stream_outlives_transfer(&self) -> bool {
        S::STREAM_OUTLIVES_TRANSFER
    }

    fn record(
        &self,
        carrier_call_id: String,
        recording: Option<String>,
        order: RecordingOrder,
    ) -> Answer<String> {
        self.clone().tape(carrier_call_id, recording, order).boxed()
    }

    fn pauses_recordings(&self) -> bool {
        S::PAUSES_RECORDINGS
    }

    fn cannot_fork(&self) -> Option<&'static str> {
        self.monitor().is_none().then_some(NO_MONITOR)
    }

    fn fork(&self, carrier_call_id: String, ticket: String) -> Answer<String> {
        self.clone().copy(carrier_call_id, ticket).boxed()
    }

    fn unfork(&self, carrier_call_id: String, stream: String) -> Answer<()> {
        self.clone().end_copy(carrier_call_id, stream).boxed()
    }

    fn live_calls(&self) -> Answer<Vec<CarrierCall>> {
        self.clone().live().boxed()
    }

    fn find(&self, carrier_call_id: String) -> Answer<Option<CarrierCall>> {
        self.clone().look_up(carrier_call_id).boxed()
    }

    fn fetch_recording(&self, recording: String) -> Answer<Bytes> {
        self.clone().fetch(recording).boxed()
    }
}
