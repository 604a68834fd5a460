//! Asks a tool: the name is looked up first, every address judged, and the one that was judged is the
//! one that is asked. No redirects, one time limit over all of it, a bounded answer.

mod address;

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use reqwest::redirect::Policy;
use serde_json::{Value, json};

use crate::call::text::clean;
use crate::engine::{AgentTool, Clock, ToolAsk};
use crate::providers::shell::prepare_tls;

use super::{ANSWER_BYTES_MAX, HookSettings, sign};

use address::may_ask;
pub use address::{Forbidden, check_url};

/// One configured tool. Cheap to clone.
#[derive(Clone, Debug)]
pub struct HookTool {
    settings: Arc<HookSettings>,
    clock: Clock,
}

impl HookTool {
    /// # Errors
    /// What is wrong with its URL.
    pub fn new(settings: HookSettings, clock: Clock) -> Result<Self, Forbidden> {
        check_url(&settings.url, settings.allow_loopback)?;
        prepare_tls();
        Ok(Self {
            settings: Arc::new(settings),
            clock,
        })
    }

    async fn ask(&self, ask: ToolAsk) -> Result<String, String> {
        let settings = &self.settings;
        let url = check_url(&settings.url, settings.allow_loopback)
            .map_err(|forbidden| forbidden.to_string())?;
        let host = url
            .host_str()
            .unwrap_or_default()
            .trim_matches(['[', ']'])
            .to_owned();
        let port = url.port_or_known_default().unwrap_or(443);
        let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), port))
            .await
            .map_err(|_| "the tool's host is not known".to_owned())?
            .collect();
        // One address of this kind is enough: what resolves to both is an attack.
        if found.is_empty()
            || found
                .iter()
                .any(|address| !may_ask(address.ip(), settings.allow_loopback))
        {
            return Err(Forbidden::Private.to_string());
        }
        let client = reqwest::Client::builder()
            .use_rustls_tls()
            .redirect(Policy::none())
            .no_proxy()
            .resolve_to_addrs(&host, &found)
            .user_agent(concat!("wallboard/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|_| "no HTTP client".to_owned())?;
        let now = self.clock.now();
        let text = body(&settings.name, &ask, &now.to_rfc3339()).to_string();
        let mut request = client
            .post(url)
            .header("content-type", "application/json")
            .header("webhook-id", &ask.tool_call_id)
            .header("webhook-timestamp", now.timestamp());
        if let Some(secret) = &settings.secret {
            let signature = sign(secret, &ask.tool_call_id, now.timestamp(), text.as_bytes());
            request = request.header("webhook-signature", signature);
        }
        let sent = request.body(text).send().await;
        // The error's own text holds the URL.
        let mut response = sent.map_err(|_| "the tool could not be reached".to_owned())?;
        let status = response.status();
        let mut answer = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|_| "the tool's answer broke off".to_owned())?
        {
            if answer.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(format!(
                    "the tool's answer is larger than {ANSWER_BYTES_MAX} bytes"
                ));
            }
            answer.extend_from_slice(&chunk);
        }
        let answer = clean(&String::from_utf8_lossy(&answer)).trim().to_owned();
        match status.as_u16() {
            200..300 => Ok(answer),
            300..400 => Err("the tool answered with a redirect, which is not followed".to_owned()),
            status if answer.is_empty() => Err(format!("the tool answered {status}")),
            status => {
                let said: String = answer.chars().take(300).collect();
                Err(format!("the tool answered {status}: {said}"))
            }
        }
    }
}

impl AgentTool for HookTool {
    fn run(&self, ask: ToolAsk) -> BoxFuture<'static, Result<String, String>> {
        let this = self.clone();
        async move {
            tokio::time::timeout(this.settings.timeout, this.ask(ask))
                .await
                .unwrap_or_else(|_| {
                    let ms = this.settings.timeout.as_millis();
                    Err(format!("the tool did not answer within {ms} ms"))
                })
        }
        .boxed()
    }
}

/// What the tool is sent.
fn body(name: &str, ask: &ToolAsk, at: &str) -> Value {
    json!({
        "type": "tool.called",
        "timestamp": at,
        "data": {
            "tool": name,
            "tool_call_id": ask.tool_call_id,
            "call_id": ask.call,
            "lead_id": ask.lead_id,
            "arguments": ask.args,
        },
    })
}
