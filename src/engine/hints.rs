//! What would mend things, in words for whoever is told that something is missing. The engine knows
//! no vendor, so whoever sets it up says which settings these are.

/// Mendings, each a sentence's worth without a full stop.
#[derive(Clone, Debug)]
pub struct Hints {
    /// There is no carrier to call with.
    pub carrier: String,
    /// There is no agent for a call.
    pub agent: String,
    /// No agent vendor can place calls by itself.
    pub own_line: String,
    /// What makes speech of given words: names of settings, without a verb.
    pub speech: String,
}

impl Default for Hints {
    fn default() -> Self {
        Self {
            carrier: "set up a carrier in config.toml".into(),
            agent: "add an [[agent]] and a [[route]]".into(),
            own_line: "set up the agent vendor in config.toml".into(),
            speech: "chat.tts".into(),
        }
    }
}
