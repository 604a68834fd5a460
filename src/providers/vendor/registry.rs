//! The vendors this program knows: one line each. The look-ups below are all the rest of the program
//! has of them.

use super::{Agent, Carrier, FakeKind, Fakes, Fault, Setup};
use crate::providers::{elevenlabs, openai, pipeline, plivo, twilio};

/// Carriers, in the order they are shown. The first that is set up places calls nobody named a
/// carrier for.
pub const CARRIERS: &[Carrier] = &[twilio::vendor::CARRIER, plivo::vendor::CARRIER];

/// Kinds of agents, in the order they are shown.
pub const AGENTS: &[Agent] = &[
    elevenlabs::vendor::AGENT,
    openai::vendor::AGENT,
    pipeline::vendor::AGENT,
];

/// Names of all carriers.
pub const CARRIER_NAMES: [&str; CARRIERS.len()] = {
    let mut names = [""; CARRIERS.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = CARRIERS[at].name;
        at += 1;
    }
    names
};

/// The carrier of that name.
pub fn carrier(name: &str) -> Option<&'static Carrier> {
    CARRIERS.iter().find(|carrier| carrier.name == name)
}

/// The kind of that name.
pub fn agent(kind: &str) -> Option<&'static Agent> {
    AGENTS.iter().find(|agent| agent.kind == kind)
}

/// The carrier whose call this must be, by the looks of its id.
pub fn owner_of(carrier_call_id: &str) -> Option<&'static str> {
    let owner = CARRIERS
        .iter()
        .find(|carrier| (carrier.owns_id)(carrier_call_id))?;
    Some(owner.name)
}

/// A vendor's name as it is written for people; others as they came.
pub fn written(word: &str) -> &str {
    let carrier = carrier(word).map(|carrier| carrier.title);
    let known = carrier.or_else(|| Some(agent(word)?.short));
    known.unwrap_or(word)
}

/// Names of all kinds, for messages.
pub fn agent_kinds() -> Vec<&'static str> {
    AGENTS.iter().map(|agent| agent.kind).collect()
}

/// Agent vendors that run calls by themselves.
pub fn with_own_lines() -> impl Iterator<Item = (&'static Agent, &'static super::OwnLines)> {
    AGENTS
        .iter()
        .filter_map(|agent| Some((agent, agent.own_lines.as_ref()?)))
}

/// Names of everything a call can come by: the carriers, and agent vendors with lines of their own.
pub fn line_names() -> Vec<&'static str> {
    let mut names = CARRIER_NAMES.to_vec();
    names.extend(with_own_lines().map(|(agent, _)| agent.kind));
    names
}

/// The carriers whose URLs are worth showing: those that are set up at all, or all of them while
/// none is.
pub fn shown_carriers(setup: &Setup<'_>) -> Vec<&'static Carrier> {
    let wanted: Vec<_> = CARRIERS
        .iter()
        .filter(|carrier| (carrier.is_wanted)(setup))
        .collect();
    if wanted.is_empty() {
        CARRIERS.iter().collect()
    } else {
        wanted
    }
}

/// The kinds worth showing: those in use, and those that the shown carriers use by themselves.
pub fn shown_agents(setup: &Setup<'_>) -> Vec<&'static Agent> {
    let carriers = shown_carriers(setup);
    let is_usual = |kind: &str| carriers.iter().any(|carrier| carrier.usual_agent == kind);
    let is_named = |kind: &str| setup.agents.iter().any(|agent| agent.kind == kind);
    AGENTS
        .iter()
        .filter(|agent| {
            (agent.built_in)(setup).is_some() || is_usual(agent.kind) || is_named(agent.kind)
        })
        .collect()
}

/// Whether anything is configured that a backend could take calls with.
pub fn is_anything_wanted(setup: &Setup<'_>) -> bool {
    let lines = || with_own_lines().any(|(_, lines)| (lines.has_agent)(setup));
    CARRIERS.iter().any(|carrier| (carrier.is_wanted)(setup)) || lines()
}

/// Every fake with the vendor that makes it, in the order they are listed.
pub fn fakes() -> impl Iterator<Item = (&'static FakeKind, &'static Fakes)> {
    let carriers = CARRIERS.iter().map(|carrier| &carrier.fakes);
    let agents = AGENTS.iter().map(|agent| &agent.fakes);
    carriers
        .chain(agents)
        .flat_map(|fakes| fakes.kinds.iter().map(move |kind| (kind, fakes)))
}

/// Keys of carriers, then of agents, that do not fit together.
pub fn carrier_warnings(setup: &Setup<'_>) -> Vec<Fault> {
    let told = CARRIERS
        .iter()
        .flat_map(|carrier| (carrier.warnings)(setup));
    told.collect()
}

/// As [`carrier_warnings`].
pub fn agent_warnings(setup: &Setup<'_>) -> Vec<Fault> {
    let told = AGENTS.iter().flat_map(|agent| (agent.warnings)(setup));
    told.collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_usual_agents_exist() {
        let carriers: BTreeSet<_> = CARRIER_NAMES.into_iter().collect();
        let kinds: BTreeSet<_> = agent_kinds().into_iter().collect();
        assert_eq!(carriers.len(), CARRIERS.len());
        assert_eq!(kinds.len(), AGENTS.len());
        assert!(carriers.is_disjoint(&kinds), "a call comes by one of them");
        for carrier in CARRIERS {
            assert!(kinds.contains(carrier.usual_agent), "{}", carrier.name);
        }
    }

    #[test]
    fn no_two_carriers_serve_one_path() {
        let setup = Setup {
            keys: &Nothing,
            public_url: None,
            agents: &[],
        };
        let mut taken = BTreeSet::new();
        for carrier in CARRIERS {
            let desk = (carrier.desk)(&setup);
            let hooks = desk.hooks().iter().map(|hook| hook.path);
            let sockets = desk.streams().iter().chain(desk.monitors()).copied();
            for path in hooks.chain(sockets) {
                assert!(taken.insert(path), "{path} is served twice");
            }
        }
    }

    #[test]
    fn every_fake_names_its_vendor() {
        for (kind, _) in fakes() {
            let vendor = kind.name.split('.').next().expect("a name");
            assert!(line_names().contains(&vendor), "{}", kind.name);
        }
    }

    #[test]
    fn names_are_written_as_their_vendors_do_and_strangers_left_alone() {
        assert_eq!(written("twilio"), "Twilio");
        assert_eq!(written("openai"), "OpenAI");
        assert_eq!(written("signalwire"), "signalwire");
    }

    /// A configuration without a value.
    #[derive(Debug)]
    struct Nothing;

    impl super::super::Keys for Nothing {
        fn text(&self, _: &str) -> Option<String> {
            None
        }
        fn secret(&self, _: &str) -> Option<crate::call::Secret> {
            None
        }
        fn flag(&self, _: &str) -> bool {
            false
        }
        fn whole(&self, _: &str) -> Option<i64> {
            None
        }
        fn figure(&self, _: &str) -> Option<f64> {
            None
        }
        fn span(&self, _: &str) -> Option<std::time::Duration> {
            None
        }
    }
}
