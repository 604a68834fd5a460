//! What a vendor's folder tells the rest of the program about itself: how it is called, which keys it
//! has, what it needs, serves and prints. [`registry`] lists the vendors; nothing else names one.
//!
//! How to add one: ARCHITECTURE.md, "Adding a vendor".

mod check;
mod desk;
mod fakes;
mod keys;
pub mod registry;

use std::sync::Arc;

use reqwest::{Client, RequestBuilder};
use serde::Deserialize;

use crate::call::Secret;
use crate::engine::{AgentDialer, CarrierControl, ConversationMonitor, Speaker, VendorCalls};

use super::tools::Tool;

pub use check::{Check, State, fail, ok, warn};
pub use desk::{
    Base, CarrierDesk, Hook, HookRoute, Judgement, NO_ANSWER, RETRIES, RING_S, Reading,
    StreamDocument, Wanted, WebhookVerdict, content_key, has_agent,
};
pub use fakes::{CALLED, CALLER, Fake, FakeAsk, FakeKind, Fakes, GREETING};
pub use keys::{Key, Keys, Kind, MILLIS, PERCENT, USD, env_name, key};

/// What stands in the way, in the setting's own words.
pub type SetupResult<T> = Result<T, String>;

/// A URL to paste into a vendor's console: label and path.
pub type Paste = (&'static str, &'static str);

/// A section of the configuration file and what it is for.
pub type Section = (&'static str, &'static str);

/// What is wrong, and how to mend it.
pub type Fault = (String, String);

/// The configuration as a vendor sees it.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'c> {
    pub keys: &'c dyn Keys,
    /// Where carriers reach this backend.
    pub public_url: Option<&'c str>,
    /// All `[[agent]]` blocks.
    pub agents: &'c [AgentConfig],
}

/// One `[[agent]]` block.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentConfig {
    pub id: String,
    pub kind: String,
    #[serde(default)]
    pub welcome: Option<String>,
    #[serde(default)]
    pub instructions: Option<String>,
    #[serde(default)]
    pub voice: Option<String>,
    #[serde(default)]
    pub agent_id: Option<String>,
    #[serde(default)]
    pub model: Option<String>,
    #[serde(default)]
    pub language: Option<String>,
    #[serde(default)]
    pub limits: AgentLimits,
    #[serde(default)]
    pub tools: Vec<String>,
}

impl AgentConfig {
    /// An agent that says nothing of itself: everything comes from the vendor's plain keys.
    pub fn plain(kind: &str) -> Self {
        Self {
            id: kind.to_owned(),
            kind: kind.to_owned(),
            welcome: None,
            instructions: None,
            voice: None,
            agent_id: None,
            model: None,
            language: None,
            limits: AgentLimits::default(),
            tools: Vec::new(),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentLimits {
    #[serde(default)]
    pub concurrent: Option<u32>,
    #[serde(default)]
    pub minutes: Option<u32>,
    #[serde(default)]
    pub usd: Option<f64>,
}

/// One carrier.
#[derive(Clone, Copy, Debug)]
pub struct Carrier {
    /// As in facts, routes and `carrier =`.
    pub name: &'static str,
    /// As the vendor writes it.
    pub title: &'static str,
    /// The agent that takes its calls when no route says otherwise, by id.
    pub usual_agent: &'static str,
    /// Its section of the configuration file.
    pub section: Section,
    /// The keys in it.
    pub keys: &'static [Key],
    /// What a minute costs.
    pub minute_price: Key,
    /// Where in the console the URLs go.
    pub console: &'static str,
    pub urls: &'static [Paste],
    /// The key that names the account.
    pub account_key: &'static str,
    /// The key without which its routes answer 503.
    pub secret_key: &'static str,
    /// It measures quality itself and tells of it after the call.
    pub tells_quality: bool,
    /// Whether an id can only be one of its own calls.
    pub owns_id: fn(&str) -> bool,
    /// Whether anything of it is configured at all.
    pub is_wanted: fn(&Setup<'_>) -> bool,
    /// Whether webhooks can be proven.
    pub is_open: fn(&Setup<'_>) -> bool,
    /// Keys that do not fit together; they stop nothing.
    pub warnings: fn(&Setup<'_>) -> Vec<Fault>,
    /// Its routes. They are always served: without a secret they say what is missing.
    pub desk: fn(&Setup<'_>) -> Arc<dyn CarrierDesk>,
    /// Its REST orders; `None` when it is not configured well enough to be given any.
    pub control: fn(&Setup<'_>) -> SetupResult<Option<Arc<dyn CarrierControl>>>,
    pub check: fn(&Setup<'_>) -> Check,
    /// A question that only the right key answers and that changes nothing.
    pub probe: fn(&Setup<'_>, &Client) -> Option<RequestBuilder>,
    pub fakes: Fakes,
}

impl Carrier {
    /// What to paste into its console: label and whole URL.
    pub fn pastes(&self, base: &str) -> Vec<(&'static str, String)> {
        let whole = |(label, path): &Paste| (*label, format!("{base}{path}{RETRIES}"));
        self.urls.iter().map(whole).collect()
    }
}

/// One kind of agent. The rare parts are those of [`Agent::PLAIN`] where nothing else is said.
#[derive(Clone, Copy, Debug)]
pub struct Agent {
    /// As in `kind =`, and the id of the agent made of the plain keys.
    pub kind: &'static str,
    /// As the vendor writes it, in messages.
    pub title: &'static str,
    /// The same on the screen, where there is little room.
    pub short: &'static str,
    /// Its sections of the configuration file.
    pub sections: &'static [Section],
    /// The keys in them.
    pub keys: &'static [Key],
    /// What its tokens cost.
    pub token_prices: &'static [Key],
    /// What a minute costs, where it is sold by the minute.
    pub minute_price: Option<Key>,
    /// The key that makes the plain agent, where it is one key.
    pub main_key: Option<&'static str>,
    /// The agent made of the plain keys; `None` when they name none.
    pub built_in: fn(&Setup<'_>) -> Option<AgentConfig>,
    /// What an agent of this kind lacks.
    pub lacks: fn(&Setup<'_>, &AgentConfig) -> Option<Fault>,
    /// As [`Carrier::warnings`].
    pub warnings: fn(&Setup<'_>) -> Vec<Fault>,
    /// The tools are those its model is told of.
    pub dialer: fn(&Setup<'_>, &AgentConfig, Vec<Tool>) -> SetupResult<Arc<dyn AgentDialer>>,
    /// Makes speech of given words in the agent's own voice.
    pub speaker: fn(&Setup<'_>, &AgentConfig) -> SetupResult<Option<Arc<dyn Speaker>>>,
    /// What the speaker needs, in words for a message.
    pub speaker_needs: Option<&'static str>,
    /// The vendor's own lines, where it has them.
    pub own_lines: Option<OwnLines>,
    pub check: fn(&Setup<'_>) -> Check,
    /// As [`Carrier::probe`].
    pub probe: fn(&Setup<'_>, &Client) -> Option<RequestBuilder>,
    pub fakes: Fakes,
}

/// What a vendor does that runs calls by itself, which are then only observed.
#[derive(Clone, Copy, Debug)]
pub struct OwnLines {
    /// What placing calls needs, in words for a message.
    pub needs: &'static str,
    /// Where in the console the URLs go.
    pub console: &'static str,
    pub urls: &'static [Paste],
    /// The key without which its webhooks answer 503.
    pub secret_key: &'static str,
    pub secret: fn(&Setup<'_>) -> Option<Secret>,
    /// Whether an agent of the vendor's is named.
    pub has_agent: fn(&Setup<'_>) -> bool,
    /// Whether its webhooks can be proven.
    pub check: fn(&Setup<'_>) -> Check,
    /// Placing calls on the vendor's own numbers, where that is configured.
    pub calls: fn(&Setup<'_>) -> SetupResult<Option<Arc<dyn VendorCalls>>>,
    /// Following its conversations, where that is asked for.
    pub monitor: fn(&Setup<'_>) -> SetupResult<Option<Arc<dyn ConversationMonitor>>>,
}

impl OwnLines {
    /// What to paste into its console: label and whole URL.
    pub fn pastes(&self, base: &str) -> Vec<(&'static str, String)> {
        let whole = |(label, path): &Paste| (*label, format!("{base}{path}"));
        self.urls.iter().map(whole).collect()
    }
}

impl Agent {
    /// An agent with nothing but a name: what the others are written over.
    pub const PLAIN: Self = Self {
        kind: "",
        title: "",
        short: "",
        sections: &[],
        keys: &[],
        token_prices: &[],
        minute_price: None,
        main_key: None,
        built_in: |_| None,
        lacks: |_, _| None,
        warnings: |_| Vec::new(),
        dialer: |_, _, _| Err("it cannot be dialled".to_owned()),
        speaker: |_, _| Ok(None),
        speaker_needs: None,
        own_lines: None,
        check: |_| ok("", ""),
        probe: |_, _| None,
        fakes: Fakes::NONE,
    };
}
