//! Places calls through the vendor's REST. The key goes to the configured host only.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::call::Secret;
use crate::call::text::clean;
use crate::engine::{CarrierError, VendorCalls, VendorOrder, VendorPlaced};
use crate::providers::shell::{Http, HttpAnswer, base_url};
use crate::providers::twilio;

use super::shell::ElevenLabsSetupError;
use super::{ElevenLabsSettings, OUTBOUND_CALL, VENDOR, outbound_call, read_placed};

const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// Places calls with one agent on one of the vendor's numbers. Cheap to clone.
#[derive(Clone)]
pub struct ElevenLabsCalls {
    http: Http,
    url: Arc<str>,
    api_key: Secret,
    agent_id: Arc<str>,
    phone_number_id: Arc<str>,
    /// The vendor's ids of agents that have a name here.
    agents: Arc<BTreeMap<String, String>>,
}

impl fmt::Debug for ElevenLabsCalls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ElevenLabsCalls")
            .field("agent_id", &self.agent_id)
            .finish_non_exhaustive()
    }
}

impl ElevenLabsCalls {
    /// `None` while key, agent or number are not all configured. `agents` are the vendor's ids of
    /// agents that can be named when a call is placed.
    ///
    /// # Errors
    /// [`ElevenLabsSetupError`] names the setting that is wrong.
    pub fn new(
        settings: &ElevenLabsSettings,
        agents: BTreeMap<String, String>,
    ) -> Result<Option<Self>, ElevenLabsSetupError> {
        let (Some(api_key), Some(agent_id), Some(phone_number_id)) = (
            &settings.api_key,
            &settings.agent_id,
            &settings.phone_number_id,
        ) else {
            return Ok(None);
        };
        let base = base_url(&settings.api_base).map_err(|error| ElevenLabsSetupError::Base {
            key: "api_base",
            error,
        })?;
        Ok(Some(Self {
            http: Http::new(&base)?,
            url: format!("{base}{OUTBOUND_CALL}").into(),
            api_key: api_key.clone(),
            agent_id: agent_id.as_str().into(),
            phone_number_id: phone_number_id.as_str().into(),
            agents: Arc::new(agents),
        }))
    }

    async fn place_now(self, order: VendorOrder) -> Result<VendorPlaced, CarrierError> {
        let agent_id = match order.request.agent.as_deref() {
            None => self.agent_id.as_ref(),
            Some(name) => match self.agents.get(name) {
                Some(id) => id,
                None => return Err(refused(format!("there is no agent {name} at the vendor"))),
            },
        };
        let body = outbound_call(
            &order.request,
            &order.variables,
            agent_id,
            &self.phone_number_id,
        );
        let request = self.http.client().post(self.url.as_ref());
        let request = request
            .header("xi-api-key", self.api_key.expose())
            .json(&body);
        let answer = self.http.send(request, ANSWER_BYTES_MAX).await;
        let answer = answer.map_err(|failure| CarrierError::Unreachable(failure.to_string()))?;
        if !answer.is_success() {
            return Err(by_status(&answer));
        }
        let placed = read_placed(&answer.body).map_err(refused)?;
        let call_sid = placed.call_sid.filter(|sid| twilio::is_id(sid));
        Ok(VendorPlaced {
            conversation_id: placed.conversation_id,
            carrier: call_sid.is_some().then_some(twilio::CARRIER),
            carrier_call_id: call_sid,
        })
    }
}

impl VendorCalls for ElevenLabsCalls {
    fn name(&self) -> &'static str {
        VENDOR
    }

    fn place(&self, order: VendorOrder) -> BoxFuture<'static, Result<VendorPlaced, CarrierError>> {
        self.clone().place_now(order).boxed()
    }
}

fn refused(message: String) -> CarrierError {
    let message = clean(&message).chars().take(200).collect();
    CarrierError::Refused {
        code: None,
        message,
    }
}

fn by_status(answer: &HttpAnswer) -> CarrierError {
    match answer.status {
        401 | 403 => CarrierError::Unauthorized,
        429 => CarrierError::RateLimited {
            retry_after_s: answer.retry_after_s,
        },
        500.. => CarrierError::Unreachable(format!("HTTP {}", answer.status)),
        status => refused(format!("HTTP {status}: {}", super::shell::said(answer))),
    }
}
