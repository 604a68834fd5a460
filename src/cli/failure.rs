//! Failures as a user meets them: one sentence, one mending line, one stable exit code.

use std::fmt;
use std::io::{self, Write};

use serde_json::json;

use crate::call::{ErrorCode, Refusal};

/// The stable exit codes of DESIGN A1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Ok,
    Failed,
    Usage,
    Refused,
    NotFound,
    Unreachable,
}

impl Exit {
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::NotFound => 4,
            Self::Unreachable => 5,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::Refused => "refused",
            Self::NotFound => "not_found",
            Self::Unreachable => "unreachable",
        }
    }
}

/// Why a command ended without doing its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub exit: Exit,
    /// A word a program can switch on; defaults to the exit code's.
    pub code: String,
    pub message: String,
    pub fix: String,
}

/// What every command returns.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    pub fn new(exit: Exit, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            exit,
            code: exit.word().into(),
            message: message.into(),
            fix: fix.into(),
        }
    }

    pub fn failed(message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message, fix)
    }

    pub fn usage(message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message, fix)
    }

    pub fn refused(message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(Exit::Refused, message, fix)
    }

    pub fn not_found(message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(Exit::NotFound, message, fix)
    }

    pub fn unreachable(message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(Exit::Unreachable, message, fix)
    }

    /// Whoever reads our output has gone: the end, and no failure.
    pub fn closed_pipe() -> Self {
        Self::new(Exit::Ok, "", "")
    }

    /// It has been said already, on stdout.
    pub fn said(exit: Exit) -> Self {
        Self::new(exit, "", "")
    }

    /// Says it on stderr, as text or as one JSON line. A closed stderr is nobody's problem.
    pub fn print(&self, as_json: bool) {
        if self.message.is_empty() {
            return;
        }
        let mut out = io::stderr().lock();
        let _closed = if as_json {
            let line = json!({
                "ok": false,
                "error": {"code": self.code, "message": self.message, "hint": self.fix},
            });
            writeln!(out, "{line}")
        } else if self.fix.is_empty() {
            writeln!(out, "wallboard: {}", self.message)
        } else {
            writeln!(out, "wallboard: {}\n  → {}", self.message, self.fix)
        };
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let exit = match refusal.code {
            ErrorCode::Unauthorized | ErrorCode::Forbidden => Exit::Refused,
            ErrorCode::NotFound => Exit::NotFound,
            ErrorCode::Timeout => Exit::Unreachable,
            ErrorCode::Invalid => Exit::Usage,
            ErrorCode::Conflict
            | ErrorCode::Unsupported
            | ErrorCode::Overloaded
            | ErrorCode::Unavailable => Exit::Failed,
        };
        Self {
            exit,
            code: refusal.code.as_str().into(),
            message: refusal.message,
            fix: refusal.hint,
        }
    }
}
