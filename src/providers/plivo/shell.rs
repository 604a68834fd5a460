//! Orders to Plivo over REST: the only file of this vendor that dials out. The token goes to the
//! configured host, and with a recording to the vendor's own media host; to nobody else.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use url::Url;

use crate::call::{CallStatus, Secret};
use crate::engine::{CarrierCall, CarrierControl, CarrierError, DialOrder, RecordingOrder};
use crate::providers::shell::{BaseError, Http, HttpAnswer, HttpFailure, base_url};

use super::{
    AnswerQuery, BadId, CARRIER, CallResource, DialForm, Leg, Method, PAGE_SIZE, PlivoSettings,
    RETRIES, Rest, RestFailure, RestRequest, TransferRequest, read_call, read_dialled,
    read_failure, read_ids, read_recording, read_recording_url, read_stream, routes,
};

const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// An hour of stereo WAV at 8 kHz, 16 bit, and some.
const RECORDING_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Why nothing can be copied.
const NO_MONITOR: &str = "its carrier cannot reach this backend: server.public_url is not set";
/// A long recording takes its time.
const RECORDING_WITHIN: Duration = Duration::from_secs(120);
/// Live calls are asked about one by one, so many at a time. The API takes 300 requests in 5 s.
const ASKED_AT_ONCE: usize = 8;
/// Live calls asked about at most; the rest is left to the webhooks.
const LIVE_MAX: usize = 2_000;

/// Why REST control of Plivo cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum PlivoSetupError {
    #[error("plivo.auth_id is not set")]
    NoAccount,
    #[error("plivo.auth_token is not set")]
    NoToken,
    #[error("plivo.auth_id: {0}")]
    Account(#[from] BadId),
    #[error("plivo.api_base {0}")]
    Base(#[from] BaseError),
    #[error("the HTTP client could not be set up")]
    Http(#[from] reqwest::Error),
}

/// Orders to Plivo. Cheap to clone.
#[derive(Clone)]
pub struct PlivoControl {
    http: Http,
    rest: Arc<Rest>,
    base: Arc<str>,
    user: Arc<str>,
    password: Secret,
    phone_number: Option<String>,
    public_url: Option<String>,
}

impl fmt::Debug for PlivoControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlivoControl")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

impl PlivoControl {
    /// `public_url` is where Plivo reaches us; without it no call can be placed, transferred or
    /// recorded, but calls can be ended and listed.
    ///
    /// # Errors
    /// [`PlivoSetupError`] names the setting that is missing or wrong.
    pub fn new(
        settings: &PlivoSettings,
        public_url: Option<&str>,
    ) -> Result<Self, PlivoSetupError> {
        let account = settings
            .auth_id
            .as_deref()
            .ok_or(PlivoSetupError::NoAccount)?;
        let token = settings
            .auth_token
            .clone()
            .ok_or(PlivoSetupError::NoToken)?;
        let base = base_url(&settings.api_base)?;
        Ok(Self {
            http: Http::new(&base)?,
            rest: Arc::new(Rest::new(account)?),
            base: base.into(),
            user: account.into(),
            password: token,
            phone_number: settings.phone_number.clone(),
            public_url: public_url.map(|url| url.trim_end_matches('/').to_owned()),
        })
    }

    /// A route of ours as Plivo shall call it, retry override included.
    fn callback(&self, path_and_query: &str) -> Result<String, CarrierError> {
        let base = self.public_url.as_deref().ok_or_else(|| {
            refuse("server.public_url is not set: the carrier could not reach us")
        })?;
        Ok(format!("{base}{path_and_query}{RETRIES}"))
    }

    fn request(&self, request: &RestRequest) -> reqwest::RequestBuilder {
        let url = format!("{}{}", self.base, request.path);
        let client = self.http.client();
        let builder = match request.method {
            Method::Get => client.get(url),
            Method::Post => client.post(url),
            Method::Delete => client.delete(url),
        };
        let builder = match &request.body {
            Some(body) => builder.json(body),
            None => builder,
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

    /// As [`Self::call`] about one call; `None` when the carrier does not have it there.
    async fn look(
        &self,
        request: Result<RestRequest, BadId>,
    ) -> Result<Option<Bytes>, CarrierError> {
        match self.call(request.map_err(bad_id)?, true).await {
            Ok(body) => Ok(Some(body)),
            Err(CarrierError::AlreadyEnded) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn dial_now(&self, order: DialOrder) -> Result<String, CarrierError> {
        let ask = &order.request;
        let from = ask.caller_id.clone().or_else(|| self.phone_number.clone());
        let from = from.ok_or_else(|| {
            refuse("plivo.phone_number is not set: there is no number to call from")
        })?;
        let answer = AnswerQuery {
            call: Some(order.call),
            record: order.record,
        };
        // Every callback names our call: the carrier's own id is not known before it answers.
        let ours = AnswerQuery {
            record: false,
            ..answer
        };
        let named = |path: &str| self.callback(&format!("{path}{}", ours.write()));
        let machine_url = match order.amd.as_str() {
            // This carrier only reports that there is a machine, not when its message ends.
            "detect" | "message_end" => Some(self.callback(routes::MACHINE)?),
            _ => None,
        };
        let form = DialForm {
            to: ask.number.clone(),
            from,
            answer_url: self.callback(&format!("{}{}", routes::ANSWER, answer.write()))?,
            fallback_url: Some(named(routes::FALLBACK)?),
            ring_url: Some(named(routes::RING)?),
            hangup_url: named(routes::HANGUP)?,
            machine_url,
            ring_timeout_s: None,
        };
        let body = self.call(self.rest.dial(&form), false).await?;
        read_dialled(&body).map_err(unreadable)
    }

    /// A call that does not ring yet is not a live one: it is taken back instead.
    async fn hang_up_now(&self, call: String) -> Result<(), CarrierError> {
        if self.look(self.rest.hang_up(&call)).await?.is_some() {
            return Ok(());
        }
        match self.look(self.rest.cancel(&call)).await? {
            Some(_) => Ok(()),
            None => Err(CarrierError::AlreadyEnded),
        }
    }

    async fn transfer_now(&self, call: String, to: String) -> Result<(), CarrierError> {
        let query = TransferRequest::query(&to);
        let url = self.callback(&format!("{}?{query}", routes::TRANSFER))?;
        let request = self.rest.transfer(&call, &url).map_err(bad_id)?;
        self.call(request, true).await.map(|_| ())
    }

    async fn record_now(
        &self,
        call: String,
        recording: Option<String>,
        order: RecordingOrder,
    ) -> Result<String, CarrierError> {
        match order {
            RecordingOrder::Start => {
                let callback = self.callback(routes::RECORDING)?;
                let request = self.rest.record(&call, &callback).map_err(bad_id)?;
                let body = self.call(request, true).await?;
                read_recording(&body).map_err(unreadable)
            }
            RecordingOrder::Stop => {
                let request = self.rest.stop_recording(&call).map_err(bad_id)?;
                self.call(request, true).await?;
                Ok(recording.unwrap_or_default())
            }
            RecordingOrder::Pause => Err(CarrierError::Unsupported("pausing a recording")),
            RecordingOrder::Resume => Err(CarrierError::Unsupported("resuming a recording")),
        }
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
        let url = self.monitor().ok_or_else(|| refuse(NO_MONITOR))?;
        let url = format!("{url}?{}={ticket}", routes::TICKET);
        let request = self.rest.fork(&call, &url).map_err(bad_id)?;
        let body = self.call(request, true).await?;
        read_stream(&body).map_err(unreadable)
    }

    /// All ids of a list, page by page. A carrier that knows no pages gives the same ids again,
    /// which ends the search too.
    async fn ids(&self, page: impl Fn(u32) -> RestRequest) -> Result<Vec<String>, CarrierError> {
        let mut all: Vec<String> = Vec::new();
        let mut seen = HashSet::new();
        loop {
            let offset = u32::try_from(all.len()).unwrap_or(u32::MAX);
            let body = self.call(page(offset), false).await?;
            let ids = read_ids(&body).map_err(unreadable)?;
            let full = ids.len() >= PAGE_SIZE as usize;
            let before = all.len();
            all.extend(ids.into_iter().filter(|id| seen.insert(id.clone())));
            if !full || all.len() == before {
                return Ok(all);
            }
            if all.len() >= LIVE_MAX {
                tracing::warn!(
                    carrier = CARRIER,
                    "too many live calls to ask about them all"
                );
                return Ok(all);
            }
        }
    }

    /// Two lists of ids, then one request for each call.
    async fn live_now(&self) -> Result<Vec<CarrierCall>, CarrierError> {
        let live = self.ids(|offset| self.rest.live_ids(offset)).await?;
        let queued = self.ids(|offset| self.rest.queued_ids(offset)).await?;
        let requests = live
            .iter()
            .map(|id| self.rest.live(id))
            .chain(queued.iter().map(|id| self.rest.queued(id)))
            .take(LIVE_MAX)
            .collect::<Vec<_>>();
        let mut asked = stream::iter(requests.into_iter().map(|request| self.look(request)))
            .buffer_unordered(ASKED_AT_ONCE);
        let mut calls = Vec::new();
        while let Some(answer) = asked.next().await {
            // A call that ended meanwhile is not live.
            if let Some(body) = answer? {
                calls.extend(known(read_call(&body).map_err(unreadable)?));
            }
        }
        Ok(calls)
    }

    /// Live, waiting to be dialled, or ended: three places to look.
    async fn find_now(&self, call: String) -> Result<Option<CarrierCall>, CarrierError> {
        for request in [
            self.rest.live(&call),
            self.rest.queued(&call),
            self.rest.ended(&call),
        ] {
            if let Some(body) = self.look(request).await? {
                return Ok(known(read_call(&body).map_err(unreadable)?));
            }
        }
        Ok(None)
    }

    /// The recording's address is asked for each time: what a webhook said is never trusted.
    async fn fetch_now(&self, recording: String) -> Result<Bytes, CarrierError> {
        let request = self.rest.recording(&recording).map_err(bad_id)?;
        let body = self.call(request, false).await?;
        let url = read_recording_url(&body, &self.base).map_err(unreadable)?;
        let build = || self.media_request(&url);
        let answer = self.http.send_retrying(build, RECORDING_BYTES_MAX).await;
        let audio = judge(answer, false)?;
        if audio.starts_with(b"RIFF") {
            Ok(audio)
        } else {
            Err(refuse("the recording is not a WAV file"))
        }
    }

    fn media_request(&self, url: &Url) -> reqwest::RequestBuilder {
        self.http
            .client()
            .get(url.clone())
            .basic_auth(&self.user, Some(self.password.expose()))
            .header("accept", "audio/*")
            .timeout(RECORDING_WITHIN)
    }

    /// Says a sentence to the caller over REST, without a bridge.
    ///
    /// # Errors
    /// The carrier's refusal.
    pub async fn say_now(&self, carrier_call_id: &str, text: &str) -> Result<(), CarrierError> {
        let request = self.rest.speak(carrier_call_id, text, Leg::A);
        self.call(request.map_err(bad_id)?, true).await.map(|_| ())
    }
}

impl CarrierControl for PlivoControl {
    fn name(&self) -> &'static str {
        CARRIER
    }

    fn dial(&self, order: DialOrder) -> BoxFuture<'static, Result<String, CarrierError>> {
        let this = self.clone();
        async move { this.dial_now(order).await }.boxed()
    }

    fn speak(
        &self,
        carrier_call_id: String,
        text: String,
    ) -> BoxFuture<'static, Result<(), CarrierError>> {
        let this = self.clone();
        async move { this.say_now(&carrier_call_id, &text).await }.boxed()
    }

    fn can_speak(&self) -> bool {
        true
    }

    /// The document waits for the stream's end.
    fn stream_outlives_transfer(&self) -> bool {
        true
    }

    fn hang_up(&self, carrier_call_id: String) -> BoxFuture<'static, Result<(), CarrierError>> {
        let this = self.clone();
        async move { this.hang_up_now(carrier_call_id).await }.boxed()
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

    /// It starts and stops them, and knows nothing in between.
    fn pauses_recordings(&self) -> bool {
        false
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
            this.call(request.map_err(bad_id)?, true).await.map(|_| ())
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
            RestFailure::Refused { message } => CarrierError::Refused {
                code: None,
                message,
            },
        },
    )
}

/// A status word this build does not know says nothing we could act on.
fn known(call: CallResource) -> Option<CarrierCall> {
    let status: CallStatus = call.status?;
    Some(CarrierCall {
        status,
        carrier_call_id: call.call_uuid,
        direction: call.direction,
        from: call.from,
        to: call.to,
        started_at: call.started_at,
        duration_s: call.duration_s,
    })
}

fn refuse(message: &str) -> CarrierError {
    CarrierError::Refused {
        code: None,
        message: message.to_owned(),
    }
}

fn bad_id(error: BadId) -> CarrierError {
    refuse(&error.to_string())
}

fn unreadable(error: super::BadAnswer) -> CarrierError {
    CarrierError::Unreachable(error.to_string())
}
