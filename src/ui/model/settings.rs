//! What the screen is started with.

use crate::call::CallId;

/// Where the backend lives, which decides what leaving means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// In this process, carrying real calls.
    Run,
    /// In this process, with practice calls.
    Demo,
    /// Elsewhere.
    #[default]
    Attach,
}

/// One URL to paste at a vendor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub label: String,
    pub url: String,
    /// Requests seen so far.
    pub hits: u64,
}

/// What the screen is started with.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub mode: Mode,
    /// Shown in the header in place of the backend's own name.
    pub name: Option<String>,
    /// Of a backend elsewhere: verbs on other machines have to name it.
    pub url: Option<String>,
    pub endpoints: Vec<Endpoint>,
    /// Over SSH or a slow link: fewer frames, slower meters.
    pub is_remote_terminal: bool,
    pub themes: Vec<String>,
    pub theme: String,
    /// Regular expressions of words to light up in transcripts.
    pub watch_words: Vec<String>,
    /// The mouse is taken from the start.
    pub mouse: bool,
    /// What the file of kept views holds; empty when there is none.
    pub views: String,
    /// Whoever opens this screen may be new here.
    pub offers_tour: bool,
    /// Random, so that no two screens mint the same command id.
    pub seed: [u8; 16],
}

impl Settings {
    /// How a call is heard where there is sound.
    pub(crate) fn listen_command(&self, call: CallId) -> String {
        self.piped(&format!("listen {call}"))
    }

    /// How a recording is heard where there is sound.
    pub(crate) fn recording_command(&self, id: &str) -> String {
        self.piped(&format!("recording {id}"))
    }

    fn piped(&self, verb: &str) -> String {
        match &self.url {
            Some(url) => format!("wallboard {verb} --url {url} | mpv -"),
            None => format!("wallboard {verb} | mpv -"),
        }
    }
}
