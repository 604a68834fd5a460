//! Twilio's REST API, called: `CarrierControl` over the requests of `rest`.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::call::Secret;
use crate::engine::{CarrierCall, CarrierControl, CarrierError, DialOrder, RecordingOrder};
use crate::providers::shell::{BaseError, Http, HttpAnswer, HttpFailure, base_url};

use super::{
    AmdMode, BadId, CARRIER, CallResource, Dial, DialForm, Method, RETRIES, RecordingChange, Rest,
    RestFailure, RestRequest, TwilioSettings, read_call, read_calls, read_failure, read_recording,
    read_stream, routes, transfer_inline,
};

/// JSON answers larger than this are not Twilio's.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Twenty minutes of stereo 16-bit audio at 8 kHz and some to spare.
const RECORDING_BYTES_MAX: usize = 64 * 1024 * 1024;
/// A long recording takes its time.
const RECORDING_WITHIN: std::time::Duration = std::time::Duration::from_secs(120);
/// Pages of the live list followed at most.
const PAGES_MAX: usize = 20;
/// Why nothing can be copied.
const NO_MONITOR: &str = "its carrier cannot reach this backend: server.public_url is not set";
/// Ring a transfer's target for this long, seconds.
const TRANSFER_RINGS_S: u32 = 30;

/// Why REST control of Twilio cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TwilioSetupError {
    #[error("twilio.account_sid is not set")]
    NoAccount,
    #[error("twilio.auth_token is not set")]
    NoToken,
    #[error("twilio.account_sid: {0}")]
    Account(#[from] BadId),
    #[error("twilio.api_base {0}")]
    Base(#[from] BaseError),
    #[error("the HTTP client could not be set up")]
    Http(#[from] reqwest::Error),
}

/// Orders to Twilio. Cheap to clone.
#[derive(Clone)]
pub struct TwilioControl {
    http: Http,
    rest: Arc<Rest>,
    base: Arc<str>,
    user: Arc<str>,
    password: Secret,
    phone_number: Option<String>,
    public_url: Option<String>,
}

impl fmt::Debug for TwilioControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TwilioControl")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

impl TwilioControl {
    /// `public_url` is where Twilio reaches us; without it no call can be placed and no recording
    /// started, but calls can be ended and listed.
    ///
    /// # Errors
    /// [`TwilioSetupError`] names the setting that is missing or wrong.
    pub fn new(
        settings: &TwilioSettings,
        public_url: Option<&str>,
    ) -> Result<Self, TwilioSetupError> {
        let account = settings
            .account_sid
            .as_deref()
            .ok_or(TwilioSetupError::NoAccount)?;
        let (user, password) = match (&settings.api_key, &settings.auth_token) {
            (Some((id, secret)), _) => (id.as_str(), secret),
            (None, Some(token)) => (account, token),
            (None, None) => return Err(TwilioSetupError::NoToken),
        };
        let base = base_url(&settings.api_base)?;
        Ok(Self {
            http: Http::new(&base)?,
            rest: Arc::new(Rest::new(account)?),
            base: base.into(),
            user: user.into(),
            password: password.clone(),
            phone_number: settings.phone_number.clone(),
            public_url: public_url.map(|url| url.trim_end_matches('/').to_owned()),
        })
    }

    /// A route of ours as Twilio shall call it, retry override included.
    fn callback(&self, path_and_query: &str) -> Result<String, CarrierError> {
        let base = self
            .public_url
            .as_deref()
            .ok_or_else(|| CarrierError::Refused {
                code: None,
                message: "server.public_url is not set: the carrier could not reach us".to_owned(),
            })?;
        Ok(format!("{base}{path_and_query}{RETRIES}"))
    }

    fn request(&self, request: &RestRequest) -> reqwest::RequestBuilder {
        let url = format!("{}{}", self.base, request.path);
        let client = self.http.client();
        let builder = match request.method {
            Method::Get => client.get(url),
            Method::Post => client
                .post(url)
                .header("content-type", "application/x-www-form-urlencoded")
                .body(request.body()),
        };
        builder
            .basic_auth(&self.user, Some(self.password.expose()))
            .header("accept", "application/json")
    }

    /// Sends, and reads failures; `about_call` as in [`read_failure`].
    async fn call(&self, request: RestRequest, about_call: bool) -> Result<Bytes, CarrierError> {
        let answer = if request.idempotent {
            self.http
                .send_retrying(|| self.request(&request), ANSWER_BYTES_MAX)
                .await
        } else {
            self.http
                .send(self.request(&request), ANSWER_BYTES_MAX)
                .await
        };
        judge(answer, about_call)
    }

    async fn dial_now(&self, order: DialOrder) -> Result<String, CarrierError> {
        let ask = &order.request;
        let from = ask.caller_id.clone().or_else(|| self.phone_number.clone());
        let from = from.ok_or_else(|| CarrierError::Refused {
            code: None,
            message: "twilio.phone_number is not set: there is no number to call from".to_owned(),
        })?;
        let call = order.call;
        let form = DialForm {
            to: ask.number.clone(),
            from,
            url: self.callback(&format!("{}?call={call}", routes::OUTBOUND))?,
            fallback_url: Some(self.callback(routes::FALLBACK)?),
            status_callback: self.callback(&format!("{}?call={call}", routes::STATUS))?,
            amd: AmdMode::parse(&order.amd),
            amd_callback: self.callback(routes::AMD)?,
            recording_callback: if order.record {
                Some(self.callback(routes::RECORDING)?)
            } else {
                None
            },
            timeout_s: None,
        };
        let body = self.call(self.rest.dial(&form), false).await?;
        Ok(read_call(&body).map_err(unreadable)?.sid)
    }

    async fn transfer_now(&self, call: String, to: String) -> Result<(), CarrierError> {
        let dial = Dial {
            to,
            caller_id: self.phone_number.clone(),
            action: Some(self.callback(routes::DIAL_RESULT)?),
            status_callback: Some(self.callback(routes::STATUS)?),
            timeout_s: Some(TRANSFER_RINGS_S),
        };
        let request = self
            .rest
            .redirect_inline(&call, &transfer_inline(&dial))
            .map_err(refused)?;
        self.call(request, true).await.map(|_| ())
    }

    async fn record_now(
        &self,
        call: String,
        recording: Option<String>,
        order: RecordingOrder,
    ) -> Result<String, CarrierError> {
        let change = match order {
            RecordingOrder::Start => None,
            RecordingOrder::Pause => Some(RecordingChange::Pause),
            RecordingOrder::Resume => Some(RecordingChange::Resume),
            RecordingOrder::Stop => Some(RecordingChange::Stop),
        };
        let request = match change {
            None => self.rest.record(&call, &self.callback(routes::RECORDING)?),
            Some(change) => self
                .rest
                .change_recording(&call, recording.as_deref(), change),
        };
        // A wrong state here may also mean that a recording runs already: said, not judged.
        let body = self.call(request.map_err(refused)?, false).await?;
        read_recording(&body).map_err(unreadable)
    }

    /// Our monitor socket as the carrier shall dial it; `None` without a public URL.
    fn monitor(&self) -> Option<String> {
        let base = self.public_url.as_deref()?;
        // `https` becomes `wss`, `http` becomes `ws`.
        Some(format!(
            "ws{}{}",
            base.strip_prefix("http")?,
            routes::MONITOR
        ))
    }

    async fn fork_now(&self, call: String, ticket: String) -> Result<String, CarrierError> {
        let url = self.monitor().ok_or_else(|| CarrierError::Refused {
            code: None,
            message: NO_MONITOR.to_owned(),
        })?;
        let request = self.rest.fork(&call, &url, &ticket).map_err(refused)?;
        let body = self.call(request, true).await?;
        read_stream(&body).map_err(unreadable)
    }

    async fn live_now(&self) -> Result<Vec<CarrierCall>, CarrierError> {
        let mut live = Vec::new();
        for first in self.rest.live_calls() {
            let mut next = Some(first);
            let mut pages = 0;
            while let Some(request) = next.take().filter(|_| pages < PAGES_MAX) {
                pages += 1;
                let body = self.call(request, false).await?;
                let (calls, next_page) = read_calls(&body).map_err(unreadable)?;
                // The leg a `<Dial>` made is part of its parent, not a call of its own.
                let whole = calls
                    .into_iter()
                    .filter(|call| call.parent_call_sid.is_none());
                live.extend(whole.filter_map(known));
                next = next_page.and_then(|uri| self.rest.next_page(&uri));
            }
        }
        Ok(live)
    }

    async fn find_now(&self, call: String) -> Result<Option<CarrierCall>, CarrierError> {
        let request = self.rest.find(&call).map_err(refused)?;
        match self.call(request, true).await {
            Ok(body) => Ok(known(read_call(&body).map_err(unreadable)?)),
            Err(CarrierError::AlreadyEnded) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn fetch_now(&self, recording: String) -> Result<Bytes, CarrierError> {
        let request = self.rest.recording_media(&recording).map_err(refused)?;
        let build = || {
            self.request(&request)
                .header("accept", "audio/*")
                .timeout(RECORDING_WITHIN)
        };
        let answer = self.http.send_retrying(build, RECORDING_BYTES_MAX).await;
        judge(answer, false)
    }
}

impl CarrierControl for TwilioControl {
    fn name(&self) -> &'static str {
        CARRIER
    }

    fn dial(&self, order: DialOrder) -> BoxFuture<'static, Result<String, CarrierError>> {
        let this = self.clone();
        async move { this.dial_now(order).await }.boxed()
    }

    fn hang_up(&self, carrier_call_id: String) -> BoxFuture<'static, Result<(), CarrierError>> {
        let this = self.clone();
        async move {
            let request = this.rest.hang_up(&carrier_call_id).map_err(refused)?;
            this.call(request, true).await.map(|_| ())
        }
        .boxed()
    }

    fn transfer(
        &self,
        carrier_call_id: String,
        to: String,
    ) -> BoxFuture<'static, Result<(), CarrierError>> {
        let this = self.clone();
        async move { this.transfer_now(carrier_call_id, to).await }.boxed()
    }

    fn record(
        &self,
        carrier_call_id: String,
        recording: Option<String>,
        order: RecordingOrder,
    ) -> BoxFuture<'static, Result<String, CarrierError>> {
        let this = self.clone();
        async move { this.record_now(carrier_call_id, recording, order).await }.boxed()
    }

    fn cannot_fork(&self) -> Option<&'static str> {
        self.monitor().is_none().then_some(NO_MONITOR)
    }

    fn fork(
        &self,
        carrier_call_id: String,
        ticket: String,
    ) -> BoxFuture<'static, Result<String, CarrierError>> {
        let this = self.clone();
        async move { this.fork_now(carrier_call_id, ticket).await }.boxed()
    }

    fn unfork(
        &self,
        carrier_call_id: String,
        stream: String,
    ) -> BoxFuture<'static, Result<(), CarrierError>> {
        let this = self.clone();
        async move {
            let request = this.rest.unfork(&carrier_call_id, &stream);
            this.call(request.map_err(refused)?, true).await.map(|_| ())
        }
        .boxed()
    }

    fn live_calls(&self) -> BoxFuture<'static, Result<Vec<CarrierCall>, CarrierError>> {
        let this = self.clone();
        async move { this.live_now().await }.boxed()
    }

    fn find(
        &self,
        carrier_call_id: String,
    ) -> BoxFuture<'static, Result<Option<CarrierCall>, CarrierError>> {
        let this = self.clone();
        async move { this.find_now(carrier_call_id).await }.boxed()
    }

    fn fetch_recording(
        &self,
        recording: String,
    ) -> BoxFuture<'static, Result<Bytes, CarrierError>> {
        let this = self.clone();
        async move { this.fetch_now(recording).await }.boxed()
    }
}

fn judge(answer: Result<HttpAnswer, HttpFailure>, about_call: bool) -> Result<Bytes, CarrierError> {
    let answer = answer.map_err(|failure| CarrierError::Unreachable(failure.to_string()))?;
    if answer.is_success() {
        return Ok(answer.body);
    }
    Err(
        match read_failure(answer.status, &answer.body, about_call) {
            RestFailure::AlreadyEnded => CarrierError::AlreadyEnded,
            RestFailure::Unauthorized => CarrierError::Unauthorized,
            RestFailure::RateLimited => CarrierError::RateLimited {
                retry_after_s: answer.retry_after_s,
            },
            RestFailure::Unavailable { status } => {
                CarrierError::Unreachable(format!("HTTP {status}"))
            }
            RestFailure::Refused { code, message } => CarrierError::Refused { code, message },
        },
    )
}

/// A status word this build does not know says nothing we could act on.
fn known(call: CallResource) -> Option<CarrierCall> {
    Some(CarrierCall {
        status: call.status?,
        carrier_call_id: call.sid,
        direction: call.direction,
        from: call.from,
        to: call.to,
        started_at: call.started_at,
        duration_s: call.duration_s,
    })
}

fn refused(error: BadId) -> CarrierError {
    CarrierError::Refused {
        code: None,
        message: error.to_string(),
    }
}

fn unreadable(error: super::BadAnswer) -> CarrierError {
    CarrierError::Unreachable(error.to_string())
}
