//! The vendors this program knows: what each of them is called, needs, serves and prints.
//!
//! Whoever adds one writes its folder in `providers/`, its file here, and one line in [`CARRIERS`] or
//! [`AGENTS`]. Wiring, `serve`, `doctor`, the configuration's checks and the start screen read these
//! tables and name no vendor themselves.

mod elevenlabs;
mod openai;
mod pipeline;
mod plivo;
mod twilio;

use std::sync::Arc;

use reqwest::{Client, RequestBuilder};

use crate::engine::{AgentDialer, CarrierControl, ConversationMonitor, Vendors};
use crate::server::{CarrierDesk, RETRIES};

use super::config::{AgentConfig, AgentLimits, Config};
use super::doctor::Check;

/// Carriers, in the order they are shown. The first that is set up places calls nobody named a
/// carrier for.
pub const CARRIERS: &[Carrier] = &[twilio::CARRIER, plivo::CARRIER];

/// Kinds of agents, in the order they are shown.
pub const AGENTS: &[Agent] = &[elevenlabs::AGENT, openai::AGENT, pipeline::AGENT];

/// Kinds of agents whose vendors run calls by themselves, which are then only observed.
const OWN_LINES: &[&str] = &[elevenlabs::AGENT.kind];

pub(super) use elevenlabs::settings as elevenlabs_settings;

/// What stands in the way, in the setting's own words.
pub type SetupResult<T> = Result<T, String>;

/// A URL to paste into a vendor's console: label and path.
pub type Paste = (&'static str, &'static str);

/// One carrier.
#[derive(Debug)]
pub struct Carrier {
    /// As in facts, routes and `carrier =`.
    pub name: &'static str,
    /// As the vendor writes it.
    pub title: &'static str,
    /// The agent that takes its calls when no route says otherwise, by id.
    pub usual_agent: &'static str,
    /// Where in the console the URLs go.
    pub console: &'static str,
    pub urls: &'static [Paste],
    /// The key without which its routes answer 503.
    pub secret_key: &'static str,
    /// Whether anything of it is configured at all.
    pub is_wanted: fn(&Config) -> bool,
    /// Whether webhooks can be proven.
    pub is_open: fn(&Config) -> bool,
    /// Its routes. They are always served: without a secret they say what is missing.
    pub desk: fn(&Config) -> Arc<dyn CarrierDesk>,
    /// Its REST orders; `None` when it is not configured well enough to be given any.
    pub control: fn(&Config) -> SetupResult<Option<Arc<dyn CarrierControl>>>,
    pub check: fn(&Config) -> Check,
    /// A question that only the right key answers and that changes nothing.
    pub probe: fn(&Config, &Client) -> Option<RequestBuilder>,
}

/// One kind of agent.
#[derive(Debug)]
pub struct Agent {
    /// As in `kind =`, and the id of the agent made of the plain keys.
    pub kind: &'static str,
    pub title: &'static str,
    /// The agent made of the plain keys; `None` when they name none.
    pub built_in: fn(&Config) -> Option<AgentConfig>,
    /// What an agent of this kind lacks: the message and its mending.
    pub lacks: fn(&Config, &AgentConfig) -> Option<(String, String)>,
    pub dialer: fn(&Config, &AgentConfig) -> SetupResult<Arc<dyn AgentDialer>>,
    pub check: fn(&Config) -> Check,
    /// As [`Carrier::probe`].
    pub probe: fn(&Config, &Client) -> Option<RequestBuilder>,
}

impl Carrier {
    /// What to paste into its console: label and whole URL.
    pub fn pastes(&self, base: &str) -> Vec<(&'static str, String)> {
        let whole = |(label, path): &Paste| (*label, format!("{base}{path}{RETRIES}"));
        self.urls.iter().map(whole).collect()
    }
}

/// The agent vendors that can place calls by themselves, as far as they are set up.
///
/// # Errors
/// Which vendor's setting does not fit, and why.
pub fn callers(config: &Config) -> Result<Vendors, (&'static str, String)> {
    let calls = elevenlabs::calls(config).map_err(|error| (elevenlabs::AGENT.title, error))?;
    Ok(calls
        .into_iter()
        .map(|calls| (calls.name(), calls))
        .collect())
}

/// What follows conversations a vendor runs by itself, where that is wanted.
///
/// # Errors
/// Which vendor's setting does not fit, and why.
pub fn monitor(
    config: &Config,
) -> Result<Option<Arc<dyn ConversationMonitor>>, (&'static str, String)> {
    elevenlabs::monitor(config).map_err(|error| (elevenlabs::AGENT.title, error))
}

/// The carriers whose URLs are worth showing: those that are set up at all, or all of them while
/// none is.
pub fn shown_carriers(config: &Config) -> Vec<&'static Carrier> {
    let wanted: Vec<_> = CARRIERS
        .iter()
        .filter(|carrier| (carrier.is_wanted)(config))
        .collect();
    if wanted.is_empty() {
        CARRIERS.iter().collect()
    } else {
        wanted
    }
}

/// The kinds worth showing: those in use, and those that the shown carriers use by themselves.
pub fn shown_agents(config: &Config) -> Vec<&'static Agent> {
    let carriers = shown_carriers(config);
    let is_usual = |kind: &str| carriers.iter().any(|carrier| carrier.usual_agent == kind);
    let is_named = |kind: &str| config.agents.iter().any(|agent| agent.kind == kind);
    AGENTS
        .iter()
        .filter(|agent| {
            (agent.built_in)(config).is_some() || is_usual(agent.kind) || is_named(agent.kind)
        })
        .collect()
}

/// The kind of that name.
pub fn agent(kind: &str) -> Option<&'static Agent> {
    AGENTS.iter().find(|agent| agent.kind == kind)
}

/// Names of all kinds, for messages.
pub fn agent_kinds() -> Vec<&'static str> {
    AGENTS.iter().map(|agent| agent.kind).collect()
}

/// Names of all carriers, for messages.
pub fn carrier_names() -> Vec<&'static str> {
    CARRIERS.iter().map(|carrier| carrier.name).collect()
}

/// Names of everything a call can come by: the carriers, and agent vendors with lines of their own.
pub fn line_names() -> Vec<&'static str> {
    let mut names = carrier_names();
    names.extend(
        agent_kinds()
            .into_iter()
            .filter(|kind| OWN_LINES.contains(kind)),
    );
    names
}

/// An agent that says nothing of itself: everything comes from the plain keys.
fn plain_agent(kind: &str) -> AgentConfig {
    AgentConfig {
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::cli::config::{Inputs, load};

    fn defaults() -> Config {
        let inputs = Inputs {
            no_files: true,
            ..Inputs::default()
        };
        Config::judge(&load(&inputs)).0
    }

    #[test]
    fn names_are_unique_and_usual_agents_exist() {
        let carriers: BTreeSet<_> = carrier_names().into_iter().collect();
        let kinds: BTreeSet<_> = agent_kinds().into_iter().collect();
        assert_eq!(carriers.len(), CARRIERS.len());
        assert_eq!(kinds.len(), AGENTS.len());
        for carrier in CARRIERS {
            assert!(kinds.contains(carrier.usual_agent), "{}", carrier.name);
        }
    }

    #[test]
    fn every_url_to_paste_is_served_and_asks_for_retries() {
        let config = defaults();
        for carrier in CARRIERS {
            let desk = (carrier.desk)(&config);
            assert_eq!(desk.carrier(), carrier.name);
            for (label, path) in carrier.urls {
                let served = desk.hooks().iter().any(|hook| hook.path == *path);
                assert!(served, "{} {label}: {path}", carrier.name);
            }
            assert!(
                carrier
                    .pastes("https://x")
                    .iter()
                    .all(|(_, url)| url.ends_with("#rc=3&rp=all"))
            );
        }
    }

    #[test]
    fn without_a_secret_every_carrier_says_which_key_opens_its_routes() {
        let config = defaults();
        for carrier in CARRIERS {
            let reason = (carrier.desk)(&config).unready().unwrap();
            assert!(reason.contains(carrier.secret_key), "{reason}");
            assert!(!(carrier.is_open)(&config) && !(carrier.is_wanted)(&config));
            assert!((carrier.control)(&config).unwrap().is_none());
        }
    }
}
