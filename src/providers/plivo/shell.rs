//! Orders to Plivo over REST: the only file of this vendor that dials out. The token goes to the
//! configured host, and with a recording to the vendor's own media host; to nobody else.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};

use crate::call::CallStatus;
use crate::engine::{CarrierCall, CarrierError, DialOrder, RecordingOrder};
use crate::providers::shell::{
    Account, AccountError, CarrierShell, NO_MONITOR, refuse, unreadable,
};

use super::{
    AnswerQuery, BadId, CARRIER, CallResource, DialForm, Leg, Method, PAGE_SIZE, PlivoSettings,
    Rest, RestRequest, TransferRequest, read_call, read_dialled, read_failure, read_ids,
    read_recording, read_recording_url, read_stream, routes,
};

const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// An hour of stereo WAV at 8 kHz, 16 bit, and some.
const RECORDING_BYTES_MAX: usize = 128 * 1024 * 1024;
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
    Base(#[from] AccountError),
}

/// Orders to Plivo. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PlivoControl {
    account: Account,
    rest: Arc<Rest>,
    phone_number: Option<String>,
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
            .as_ref()
            .ok_or(PlivoSetupError::NoToken)?;
        Ok(Self {
            rest: Arc::new(Rest::new(account)?),
            account: Account::new(&settings.api_base, account, token, public_url)?,
            phone_number: settings.phone_number.clone(),
        })
    }

    fn request(&self, request: &RestRequest) -> reqwest::RequestBuilder {
        let url = self.account.url(&request.path);
        let client = self.account.client();
        let builder = match request.method {
            Method::Get => client.get(url),
            Method::Post => client.post(url),
            Method::Delete => client.delete(url),
        };
        match &request.body {
            Some(body) => builder.json(body),
            None => builder,
        }
    }

    /// Sends, and reads failures; `about_call` as in [`read_failure`].
    async fn call(&self, request: RestRequest, about_call: bool) -> Result<Bytes, CarrierError> {
        let build = || {
            self.account
                .signed(self.request(&request), "application/json")
        };
        let read = |status, body: &[u8]| read_failure(status, body, about_call);
        self.account
            .send(build, request.idempotent, ANSWER_BYTES_MAX, read)
            .await
    }

    /// As [`Self::call`] about one call; `None` when the carrier does not have it there.
    async fn look(
        &self,
        request: Result<RestRequest, BadId>,
    ) -> Result<Option<Bytes>, CarrierError> {
        match self.call(request.map_err(refuse)?, true).await {
            Ok(body) => Ok(Some(body)),
            Err(CarrierError::AlreadyEnded) => Ok(None),
            Err(error) => Err(error),
        }
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
}

impl CarrierShell for PlivoControl {
    const NAME: &'static str = CARRIER;
    const CAN_SPEAK: bool = true;
    /// The document waits for the stream's end.
    const STREAM_OUTLIVES_TRANSFER: bool = true;
    /// It starts and stops them, and knows nothing in between.
    const PAUSES_RECORDINGS: bool = false;

    async fn place(self, order: DialOrder) -> Result<String, CarrierError> {
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
        let named = |path: &str| self.account.callback(&format!("{path}{}", ours.write()));
        let machine_url = match order.amd.as_str() {
            // This carrier only reports that there is a machine, not when its message ends.
            "detect" | "message_end" => Some(self.account.callback(routes::MACHINE)?),
            _ => None,
        };
        let form = DialForm {
            to: ask.number.clone(),
            from,
            answer_url: self
                .account
                .callback(&format!("{}{}", routes::ANSWER, answer.write()))?,
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
    async fn end(self, call: String) -> Result<(), CarrierError> {
        if self.look(self.rest.hang_up(&call)).await?.is_some() {
            return Ok(());
        }
        match self.look(self.rest.cancel(&call)).await? {
            Some(_) => Ok(()),
            None => Err(CarrierError::AlreadyEnded),
        }
    }

    async fn hand_over(self, call: String, to: String) -> Result<(), CarrierError> {
        let query = TransferRequest::query(&to);
        let url = self
            .account
            .callback(&format!("{}?{query}", routes::TRANSFER))?;
        let request = self.rest.transfer(&call, &url).map_err(refuse)?;
        self.call(request, true).await.map(|_| ())
    }

    async fn tape(
        self,
        call: String,
        recording: Option<String>,
        order: RecordingOrder,
    ) -> Result<String, CarrierError> {
        match order {
            RecordingOrder::Start => {
                let callback = self.account.callback(routes::RECORDING)?;
                let request = self.rest.record(&call, &callback).map_err(refuse)?;
                let body = self.call(request, true).await?;
                read_recording(&body).map_err(unreadable)
            }
            RecordingOrder::Stop => {
                let request = self.rest.stop_recording(&call).map_err(refuse)?;
                self.call(request, true).await?;
                Ok(recording.unwrap_or_default())
            }
            RecordingOrder::Pause => Err(CarrierError::Unsupported("pausing a recording")),
            RecordingOrder::Resume => Err(CarrierError::Unsupported("resuming a recording")),
        }
    }

    fn monitor(&self) -> Option<String> {
        self.account.socket(routes::MONITOR)
    }

    async fn copy(self, call: String, ticket: String) -> Result<String, CarrierError> {
        let url = self.monitor().ok_or_else(|| refuse(NO_MONITOR))?;
        let url = format!("{url}?{}={ticket}", routes::TICKET);
        let request = self.rest.fork(&call, &url).map_err(refuse)?;
        let body = self.call(request, true).await?;
        read_stream(&body).map_err(unreadable)
    }

    async fn end_copy(self, call: String, stream: String) -> Result<(), CarrierError> {
        let request = self.rest.unfork(&call, &stream).map_err(refuse)?;
        self.call(request, true).await.map(|_| ())
    }

    /// Two lists of ids, then one request for each call.
    async fn live(self) -> Result<Vec<CarrierCall>, CarrierError> {
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
    async fn look_up(self, call: String) -> Result<Option<CarrierCall>, CarrierError> {
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
    async fn fetch(self, recording: String) -> Result<Bytes, CarrierError> {
        let request = self.rest.recording(&recording).map_err(refuse)?;
        let body = self.call(request, false).await?;
        let url = read_recording_url(&body, self.account.base()).map_err(unreadable)?;
        let build = || {
            let request = self.account.client().get(url.clone());
            let request = self.account.signed(request, "audio/*");
            request.timeout(RECORDING_WITHIN)
        };
        let read = |status, body: &[u8]| read_failure(status, body, false);
        let audio = self
            .account
            .send(build, true, RECORDING_BYTES_MAX, read)
            .await?;
        if audio.starts_with(b"RIFF") {
            Ok(audio)
        } else {
            Err(refuse("the recording is not a WAV file"))
        }
    }

    async fn say(self, call: String, text: String) -> Result<(), CarrierError> {
        let request = self.rest.speak(&call, &text, Leg::A).map_err(refuse)?;
        self.call(request, true).await.map(|_| ())
    }
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
