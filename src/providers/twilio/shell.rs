//! Twilio's REST API, called: `CarrierControl` over the requests of `rest`.

use std::sync::Arc;

use bytes::Bytes;

use crate::engine::{CarrierCall, CarrierError, DialOrder, RecordingOrder};
use crate::providers::shell::{
    Account, AccountError, CarrierShell, NO_MONITOR, refuse, unreadable,
};

use super::{
    AmdMode, BadId, CARRIER, CallResource, Dial, DialForm, Method, RecordingChange, Rest,
    RestRequest, TwilioSettings, read_call, read_calls, read_failure, read_recording, read_stream,
    routes, transfer_inline,
};

/// JSON answers larger than this are not Twilio's.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Twenty minutes of stereo 16-bit audio at 8 kHz and some to spare.
const RECORDING_BYTES_MAX: usize = 64 * 1024 * 1024;
/// A long recording takes its time.
const RECORDING_WITHIN: std::time::Duration = std::time::Duration::from_secs(120);
/// Pages of the live list followed at most.
const PAGES_MAX: usize = 20;
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
    Base(#[from] AccountError),
}

/// Orders to Twilio. Cheap to clone.
#[derive(Clone, Debug)]
pub struct TwilioControl {
    account: Account,
    rest: Arc<Rest>,
    phone_number: Option<String>,
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
        Ok(Self {
            rest: Arc::new(Rest::new(account)?),
            account: Account::new(&settings.api_base, user, password, public_url)?,
            phone_number: settings.phone_number.clone(),
        })
    }

    fn request(&self, request: &RestRequest) -> reqwest::RequestBuilder {
        let url = self.account.url(&request.path);
        let client = self.account.client();
        match request.method {
            Method::Get => client.get(url),
            Method::Post => client
                .post(url)
                .header("content-type", "application/x-www-form-urlencoded")
                .body(request.body()),
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
}

impl CarrierShell for TwilioControl {
    const NAME: &'static str = CARRIER;

    async fn place(self, order: DialOrder) -> Result<String, CarrierError> {
        let ask = &order.request;
        let from = ask.caller_id.clone().or_else(|| self.phone_number.clone());
        let from = from.ok_or_else(|| {
            refuse("twilio.phone_number is not set: there is no number to call from")
        })?;
        let call = order.call;
        let form = DialForm {
            to: ask.number.clone(),
            from,
            url: self
                .account
                .callback(&format!("{}?call={call}", routes::OUTBOUND))?,
            fallback_url: Some(self.account.callback(routes::FALLBACK)?),
            status_callback: self
                .account
                .callback(&format!("{}?call={call}", routes::STATUS))?,
            amd: AmdMode::parse(&order.amd),
            amd_callback: self.account.callback(routes::AMD)?,
            recording_callback: if order.record {
                Some(self.account.callback(routes::RECORDING)?)
            } else {
                None
            },
            timeout_s: None,
        };
        let body = self.call(self.rest.dial(&form), false).await?;
        Ok(read_call(&body).map_err(unreadable)?.sid)
    }

    async fn end(self, call: String) -> Result<(), CarrierError> {
        let request = self.rest.hang_up(&call).map_err(refuse)?;
        self.call(request, true).await.map(|_| ())
    }

    async fn hand_over(self, call: String, to: String) -> Result<(), CarrierError> {
        let dial = Dial {
            to,
            caller_id: self.phone_number.clone(),
            action: Some(self.account.callback(routes::DIAL_RESULT)?),
            status_callback: Some(self.account.callback(routes::STATUS)?),
            timeout_s: Some(TRANSFER_RINGS_S),
        };
        let request = self
            .rest
            .redirect_inline(&call, &transfer_inline(&dial))
            .map_err(refuse)?;
        self.call(request, true).await.map(|_| ())
    }

    async fn tape(
        self,
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
            None => self
                .rest
                .record(&call, &self.account.callback(routes::RECORDING)?),
            Some(change) => self
                .rest
                .change_recording(&call, recording.as_deref(), change),
        };
        // A wrong state here may also mean that a recording runs already: said, not judged.
        let body = self.call(request.map_err(refuse)?, false).await?;
        read_recording(&body).map_err(unreadable)
    }

    fn monitor(&self) -> Option<String> {
        self.account.socket(routes::MONITOR)
    }

    async fn copy(self, call: String, ticket: String) -> Result<String, CarrierError> {
        let url = self.monitor().ok_or_else(|| refuse(NO_MONITOR))?;
        let request = self.rest.fork(&call, &url, &ticket).map_err(refuse)?;
        let body = self.call(request, true).await?;
        read_stream(&body).map_err(unreadable)
    }

    async fn end_copy(self, call: String, stream: String) -> Result<(), CarrierError> {
        let request = self.rest.unfork(&call, &stream).map_err(refuse)?;
        self.call(request, true).await.map(|_| ())
    }

    async fn live(self) -> Result<Vec<CarrierCall>, CarrierError> {
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

    async fn look_up(self, call: String) -> Result<Option<CarrierCall>, CarrierError> {
        let request = self.rest.find(&call).map_err(refuse)?;
        match self.call(request, true).await {
            Ok(body) => Ok(known(read_call(&body).map_err(unreadable)?)),
            Err(CarrierError::AlreadyEnded) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn fetch(self, recording: String) -> Result<Bytes, CarrierError> {
        let request = self.rest.recording_media(&recording).map_err(refuse)?;
        let build = || {
            let request = self.account.signed(self.request(&request), "audio/*");
            request.timeout(RECORDING_WITHIN)
        };
        let read = |status, body: &[u8]| read_failure(status, body, false);
        self.account
            .send(build, true, RECORDING_BYTES_MAX, read)
            .await
    }
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
