//! When to dial, when to give up, when to try again: one machine for both protocols. Pure; the
//! driver in `backend` carries its effects out.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::call::{CallId, Command, CommandId, ErrorCode, Refusal};
use crate::engine::{HistoryPage, HistoryQuery, LinkState, Update};

/// From dialling to the server's CONNECT; the dial itself gives up a little earlier.
const CONNECT_WITHIN: Duration = Duration::from_secs(6);
const BACKOFF_MIN: Duration = Duration::from_millis(250);
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// A connection that lasted this long was a good one: the backoff starts over.
const GOOD_AFTER: Duration = Duration::from_secs(10);

/// The time, handed in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    /// Monotonic, since any fixed moment.
    pub mono: Duration,
    pub wall: DateTime<Utc>,
}

/// What the line heard.
#[derive(Debug)]
pub(super) enum Heard {
    /// The server let us into the namespace.
    Up,
    /// The server turned us away, in its word.
    Refused(String),
    Down(String),
    Message {
        event: String,
        data: Value,
    },
}

/// What a screen asks for.
#[derive(Debug)]
pub(super) enum Ask {
    Command(Command),
    Watch(Vec<CallId>),
    History { id: CommandId, query: HistoryQuery },
}

#[derive(Debug)]
pub(super) enum In {
    Start,
    Heard(Heard),
    /// Messages were lost because we were too slow.
    Overflow,
    Tick,
    Ask(Ask),
    /// The answer of the REST call a protocol asked for with [`Out::EndByRest`].
    Ended {
        id: CommandId,
        result: Result<(), Refusal>,
    },
}

/// What is to be done.
#[derive(Debug)]
pub(super) enum Out {
    /// Open a new connection.
    Dial,
    /// Throw the connection away.
    HangUp,
    Send {
        event: &'static str,
        data: Value,
    },
    Tell(Update),
    History {
        id: CommandId,
        result: Result<HistoryPage, Refusal>,
    },
    /// End a call through the REST of a backend that takes no commands on its socket.
    EndByRest {
        id: CommandId,
        call_sid: String,
        reason: Option<String>,
    },
    /// The protocol is running: shown as "up". Taken by the link, never by the driver.
    Live,
    /// The protocol gives this connection up. Taken by the link, never by the driver.
    Fail {
        reason: String,
        retry_in: Option<Duration>,
    },
    /// The protocol cannot work with this backend. Taken by the link, never by the driver.
    Refuse(Refusal),
}

/// What is said over an open connection.
pub(super) trait Protocol {
    /// The server has let us in.
    fn opened(&mut self, now: Now) -> Vec<Out>;
    /// The connection is gone.
    fn closed(&mut self, now: Now) -> Vec<Out>;
    fn message(&mut self, now: Now, event: &str, data: Value) -> Vec<Out>;
    fn overflowed(&mut self, now: Now) -> Vec<Out>;
    /// Called when [`Protocol::wake`] has come, or earlier; also while there is no connection.
    fn tick(&mut self, now: Now) -> Vec<Out>;
    fn ask(&mut self, now: Now, ask: Ask) -> Vec<Out>;
    fn ended(&mut self, now: Now, id: CommandId, result: Result<(), Refusal>) -> Vec<Out>;
    /// When it wants to be called next.
    fn wake(&self) -> Option<Duration>;
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Idle,
    Dialing { until: Duration },
    Open { since: Duration },
    Waiting { until: Duration },
    Refused,
}

/// The link and the protocol spoken over it.
#[derive(Debug)]
pub(super) struct Link<P> {
    protocol: P,
    state: State,
    /// Attempts that failed since the last good connection.
    failed: u32,
    random: SplitMix,
}

impl<P: Protocol> Link<P> {
    pub fn new(protocol: P, seed: u64) -> Self {
        Self {
            protocol,
            state: State::Idle,
            failed: 0,
            random: SplitMix(seed),
        }
    }

    pub fn is_refused(&self) -> bool {
        self.state == State::Refused
    }

    /// When [`In::Tick`] is due; `None` while only the outside can change anything.
    pub fn wake(&self) -> Option<Duration> {
        let own = match self.state {
            State::Dialing { until } | State::Waiting { until } => Some(until),
            State::Idle | State::Open { .. } | State::Refused => None,
        };
        [own, self.protocol.wake()].into_iter().flatten().min()
    }

    pub fn step(&mut self, now: Now, input: In) -> Vec<Out> {
        let open = matches!(self.state, State::Open { .. });
        let outs = match input {
            In::Start => return self.dial(now),
            In::Heard(Heard::Up) if matches!(self.state, State::Dialing { .. }) => {
                self.state = State::Open { since: now.mono };
                self.protocol.opened(now)
            }
            In::Heard(Heard::Refused(word)) if self.state != State::Refused => {
                vec![Out::Refuse(refusal(&word))]
            }
            In::Heard(Heard::Down(reason))
                if matches!(self.state, State::Dialing { .. } | State::Open { .. }) =>
            {
                vec![Out::Fail {
                    reason,
                    retry_in: None,
                }]
            }
            In::Heard(Heard::Message { event, data }) if open => {
                self.protocol.message(now, &event, data)
            }
            In::Heard(_) => Vec::new(),
            In::Overflow if open => self.protocol.overflowed(now),
            In::Overflow => Vec::new(),
            In::Ask(ask) => self.protocol.ask(now, ask),
            In::Ended { id, result } => self.protocol.ended(now, id, result),
            In::Tick => match self.state {
                State::Waiting { until } if now.mono >= until => {
                    let mut outs = self.protocol.tick(now);
                    outs.extend(self.dial(now));
                    return outs;
                }
                State::Dialing { until } if now.mono >= until => {
                    vec![Out::Fail {
                        reason: "the backend does not answer".to_owned(),
                        retry_in: None,
                    }]
                }
                _ => self.protocol.tick(now),
            },
        };
        self.judge(now, outs)
    }

    fn dial(&mut self, now: Now) -> Vec<Out> {
        self.state = State::Dialing {
            until: now.mono + CONNECT_WITHIN,
        };
        let attempt = self.failed + 1;
        vec![
            Out::HangUp,
            Out::Tell(Update::Link(LinkState::Connecting { attempt })),
            Out::Dial,
        ]
    }

    /// Takes what is meant for the link out of what the protocol said.
    fn judge(&mut self, now: Now, outs: Vec<Out>) -> Vec<Out> {
        let mut kept = Vec::with_capacity(outs.len());
        for out in outs {
            match out {
                Out::Live => kept.push(Out::Tell(Update::Link(LinkState::Up))),
                Out::Fail { reason, retry_in } => {
                    self.lose(now, reason, retry_in, &mut kept);
                    return kept;
                }
                Out::Refuse(refusal) => {
                    self.state = State::Refused;
                    kept.push(Out::HangUp);
                    kept.extend(self.protocol.closed(now));
                    kept.push(Out::Tell(Update::Link(LinkState::Refused(refusal))));
                    return kept;
                }
                out => kept.push(out),
            }
        }
        kept
    }

    fn lose(&mut self, now: Now, reason: String, retry_in: Option<Duration>, kept: &mut Vec<Out>) {
        if matches!(self.state, State::Open { since } if now.mono.saturating_sub(since) >= GOOD_AFTER)
        {
            self.failed = 0;
        }
        self.failed = self.failed.saturating_add(1);
        let wait = match retry_in {
            // The backend named a time; everybody must not come back in the same instant.
            Some(named) => named.min(BACKOFF_MAX) + BACKOFF_MIN.mul_f64(self.random.unit()),
            None => backoff(self.failed).mul_f64(self.random.unit()),
        };
        self.state = State::Waiting {
            until: now.mono + wait,
        };
        kept.push(Out::HangUp);
        kept.extend(self.protocol.closed(now));
        kept.push(Out::Tell(Update::Link(LinkState::Down {
            reason,
            retry_in: wait,
            attempt: self.failed,
        })));
    }
}

/// Upper limit of the wait before attempt `failed + 1`; the wait itself is anything below (full
/// jitter).
fn backoff(failed: u32) -> Duration {
    BACKOFF_MIN
        .saturating_mul(2_u32.saturating_pow(failed.saturating_sub(1).min(10)))
        .min(BACKOFF_MAX)
}

/// The server's refusal in words an operator can act on.
fn refusal(word: &str) -> Refusal {
    match word {
        "unauthorized" => Refusal::new(
            ErrorCode::Unauthorized,
            "the backend does not accept this token",
            "give another with --token-file or WALLBOARD_TOKEN; `wallboard token add` makes one",
        ),
        "forbidden" => Refusal::new(
            ErrorCode::Forbidden,
            "this token may not look at this backend",
            "ask for a token with the role viewer",
        ),
        "version" => Refusal::new(
            ErrorCode::Unsupported,
            "the backend speaks another version of the protocol",
            "install the same version on both sides",
        ),
        other => Refusal::new(
            ErrorCode::Unsupported,
            format!(
                "the backend turned us away: {}",
                crate::call::text::clean_label(other)
            ),
            "if it is not a wallboard backend, try --compat",
        ),
    }
}

/// A small generator for jitter and request ids; not for secrets. Steele et al., "SplitMix" (2014).
#[derive(Clone, Debug)]
pub(super) struct SplitMix(pub u64);

impl SplitMix {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to 1.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A new id for a request of ours.
    pub fn id(&mut self, wall: DateTime<Utc>) -> CommandId {
        let unix_ms = u64::try_from(wall.timestamp_millis()).unwrap_or(0);
        let mut random = [0; 10];
        for (place, byte) in random.iter_mut().zip(
            self.next()
                .to_le_bytes()
                .into_iter()
                .chain(self.next().to_le_bytes()),
        ) {
            *place = byte;
        }
        CommandId::from_parts(unix_ms, random)
    }
}

#[cfg(test)]
mod tests;
