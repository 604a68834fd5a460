//! How a call ended, in the carrier's codes, names and sources.

use crate::simulator::speech::Outcome;

/// The last word about a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    pub code: u32,
    /// For instance `NORMAL_CLEARING`.
    pub cause: &'static str,
    pub name: &'static str,
    pub source: &'static str,
    /// `completed`, `busy`, `failed`, `timeout`, `no-answer` or `cancel`.
    pub status: &'static str,
}

/// Why a call is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finish {
    /// The person on the phone; `outbound`: we called them.
    Person {
        outbound: bool,
    },
    /// The line broke; the carrier gives no code for it.
    Line,
    Api {
        answered: bool,
    },
    /// The document ended.
    Document,
    Refused {
        busy: bool,
    },
    /// Nobody picked up.
    Unanswered(Outcome, u16),
    /// An answer could not be had, or not be read.
    NoAnswerUrl,
    BadXml,
    TimeLimit,
    Stopped,
}

impl Finish {
    pub(super) fn ended(self) -> Ended {
        let of = |code, cause, name, source, status| Ended {
            code,
            cause,
            name,
            source,
            status,
        };
        let normal = "NORMAL_CLEARING";
        match self {
            Self::Person { outbound } => {
                let source = if outbound { "Callee" } else { "Caller" };
                of(4_000, normal, "Normal Hangup", source, "completed")
            }
            Self::Line => of(0, "NETWORK_OUT_OF_ORDER", "Unknown", "Carrier", "failed"),
            Self::Api { answered: true } => {
                of(4_000, normal, "Normal Hangup", "API Request", "completed")
            }
            Self::Api { answered: false } => of(
                1_000,
                "ORIGINATOR_CANCEL",
                "Cancelled",
                "API Request",
                "cancel",
            ),
            Self::Document => of(
                4_010,
                normal,
                "End Of XML Instructions",
                "Answer XML",
                "completed",
            ),
            Self::Refused { busy: true } => {
                of(3_010, "USER_BUSY", "Busy Line", "Answer XML", "busy")
            }
            Self::Refused { busy: false } => {
                of(3_020, "CALL_REJECTED", "Rejected", "Answer XML", "failed")
            }
            Self::Unanswered(Outcome::Busy, _) => {
                of(3_010, "USER_BUSY", "Busy Line", "Callee", "busy")
            }
            Self::Unanswered(Outcome::NoAnswer | Outcome::Answered, _) => {
                of(3_000, "NO_ANSWER", "No Answer", "Callee", "timeout")
            }
            Self::Unanswered(Outcome::Failed, 404 | 484) => of(
                2_000,
                "UNALLOCATED_NUMBER",
                "Invalid Destination Address",
                "Carrier",
                "failed",
            ),
            Self::Unanswered(Outcome::Failed, _) => {
                of(3_020, "CALL_REJECTED", "Rejected", "Callee", "failed")
            }
            Self::NoAnswerUrl => of(
                7_011,
                normal,
                "Error Reaching Answer URL",
                "Error",
                "completed",
            ),
            Self::BadXml => of(8_011, normal, "Invalid Answer XML", "Error", "completed"),
            Self::TimeLimit => of(4_000, normal, "Normal Hangup", "Plivo", "completed"),
            Self::Stopped => of(0, normal, "Unknown", "Unknown", "completed"),
        }
    }
}
