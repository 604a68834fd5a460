//! One line of `wallboard doctor`.

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Ok,
    /// Works, but something could be better or is not set up.
    Warn,
    Fail,
}

impl State {
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One line of the report.
#[derive(Debug)]
pub struct Check {
    pub name: String,
    pub state: State,
    pub message: String,
    /// What to do about it; empty when nothing is wrong.
    pub fix: String,
}

pub fn ok(name: impl Into<String>, message: impl Into<String>) -> Check {
    Check {
        name: name.into(),
        state: State::Ok,
        message: message.into(),
        fix: String::new(),
    }
}

pub fn warn(name: impl Into<String>, message: impl Into<String>, fix: impl Into<String>) -> Check {
    Check {
        name: name.into(),
        state: State::Warn,
        message: message.into(),
        fix: fix.into(),
    }
}

pub fn fail(name: impl Into<String>, message: impl Into<String>, fix: impl Into<String>) -> Check {
    Check {
        name: name.into(),
        state: State::Fail,
        message: message.into(),
        fix: fix.into(),
    }
}
