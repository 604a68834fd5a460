//! `attach --compat`: a foreign backend that speaks only the older event family. Cards, status,
//! transcript and ending a call by its REST; everything else is refused with the reason. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::call::{
    Action, CallId, Command, CommandId, Envelope, Epoch, ErrorCode, Fact, Refusal, Reply, Role,
    Verb,
};
use crate::engine::{Hello, Update};

use super::link::{Ask, Now, Out, Protocol};
use super::translator::Translator;

/// The family has no heartbeat of its own; asking for the list is one, and heals what was missed.
const ASK_EVERY: Duration = Duration::from_secs(10);
const SILENT_MAX: Duration = Duration::from_secs(25);
/// From the REST's consent to the fact that the call has ended.
const CONFIRM_WITHIN: Duration = Duration::from_secs(10);
/// Ends under way; more are refused.
const ENDING_MAX: usize = 64;

/// What this kind of backend offers, and what it lacks (`missing:…`), for screens to grey out.
const FEATURES: [&str; 9] = [
    "compat",
    "terminate",
    "missing:listen",
    "missing:history",
    "missing:gauges",
    "missing:record",
    "missing:transfer",
    "missing:dial",
    "missing:whisper",
];

/// Protocol state; the translator's numbering outlives connections.
#[derive(Debug)]
pub(super) struct Compat {
    name: String,
    translator: Translator,
    begun: bool,
    open: Option<Open>,
    ending: BTreeMap<CommandId, Ending>,
}

#[derive(Debug)]
struct Open {
    heard_at: Duration,
    ask_at: Duration,
}

#[derive(Debug)]
struct Ending {
    call: CallId,
    /// Set by the REST's consent; the command is unconfirmed when it has passed.
    until: Option<Duration>,
}

impl Compat {
    pub fn new(seed: u64, epoch: Epoch, base: &str) -> Self {
        let host = base.split_once("://").map_or(base, |(_, rest)| rest);
        Self {
            name: host.to_owned(),
            translator: Translator::new(seed, epoch),
            begun: false,
            open: None,
            ending: BTreeMap::new(),
        }
    }

    fn hello(&self, now: Now) -> Hello {
        Hello {
            v: super::attach::PROTOCOL,
            backend_id: self.name.clone(),
            epoch: self.translator.epoch,
            seq: self.translator.seq,
            now: now.wall,
            user: "you".to_owned(),
            role: Role::Operator,
            verbs: vec![Verb::View, Verb::Transcript, Verb::Terminate],
            leads: None,
            features: FEATURES.map(str::to_owned).to_vec(),
            transfers: Vec::new(),
        }
    }

    fn tell(&self, items: Vec<Arc<Envelope>>) -> Out {
        if items.is_empty() {
            return Out::Tell(Update::Alive);
        }
        Out::Tell(Update::Envelopes {
            to: self.translator.seq,
            items,
        })
    }

    /// Calls that have ended settle the commands that wanted it.
    fn settle(&mut self, now: Now, items: &mut Vec<Arc<Envelope>>) {
        let over: Vec<CallId> = items
            .iter()
            .filter(|item| {
                matches!(
                    &item.event,
                    crate::call::CallEvent::Known(Fact::CallEnded { .. })
                )
            })
            .filter_map(|item| item.call)
            .collect();
        let done: Vec<CommandId> = self
            .ending
            .iter()
            .filter(|(_, ending)| over.contains(&ending.call) && ending.until.is_some())
            .map(|(id, _)| *id)
            .collect();
        for command in done {
            if let Some(ending) = self.ending.remove(&command) {
                let fact = Fact::CommandDone {
                    command,
                    verb: "terminate".into(),
                    by: "you".into(),
                };
                items.push(self.translator.tell(now, ending.call, fact));
            }
        }
    }

    fn command(&mut self, command: Command) -> Vec<Out> {
        let refused = |code, message: &str, hint: &str| {
            let refusal = Refusal::new(code, message, hint);
            vec![Out::Tell(Update::Reply(Reply::refused(
                command.id, refusal,
            )))]
        };
        if !matches!(command.action, Action::Terminate {}) {
            return refused(
                ErrorCode::Unsupported,
                "this backend cannot do that",
                "it speaks only the older event family; calls can be watched and ended",
            );
        }
        let sid = command
            .call
            .and_then(|call| Some((call, self.translator.sid_of(call)?.to_owned())));
        let Some((call, call_sid)) = sid else {
            return refused(ErrorCode::NotFound, "no such call", "it has left the board");
        };
        if self.ending.len() >= ENDING_MAX {
            return refused(
                ErrorCode::Overloaded,
                "too many calls are being ended",
                "wait for them",
            );
        }
        self.ending.insert(command.id, Ending { call, until: None });
        vec![Out::EndByRest {
            id: command.id,
            call_sid,
            reason: command.reason,
        }]
    }
}

impl Protocol for Compat {
    fn opened(&mut self, now: Now) -> Vec<Out> {
        self.open = Some(Open {
            heard_at: now.mono,
            ask_at: now.mono + ASK_EVERY,
        });
        let mut outs = vec![Out::Live, Out::Tell(Update::Hello(self.hello(now)))];
        if !std::mem::replace(&mut self.begun, true) {
            let (epoch, seq) = (self.translator.epoch, self.translator.seq);
            outs.push(Out::Tell(Update::Snapshot {
                epoch,
                seq,
                calls: Vec::new(),
            }));
        }
        // Transcripts first: the list of calls must not find us deaf to what is said on them.
        for event in ["subscribe_to_transcripts", "subscribe_to_calls"] {
            outs.push(Out::Send {
                event,
                data: json!({}),
            });
        }
        outs
    }

    fn closed(&mut self, _now: Now) -> Vec<Out> {
        self.open = None;
        Vec::new()
    }

    fn message(&mut self, now: Now, event: &str, data: Value) -> Vec<Out> {
        if let Some(open) = &mut self.open {
            open.heard_at = now.mono;
        }
        let mut items = self.translator.take(now, event, &data);
        self.settle(now, &mut items);
        vec![self.tell(items)]
    }

    fn overflowed(&mut self, _now: Now) -> Vec<Out> {
        // The list heals the cards; lines of transcript that were lost stay lost.
        vec![Out::Send {
            event: "subscribe_to_calls",
            data: json!({}),
        }]
    }

    fn tick(&mut self, now: Now) -> Vec<Out> {
        let mut items = Vec::new();
        if self.open.is_some() {
            items = self.translator.tick(now);
            self.settle(now, &mut items);
        }
        let late: Vec<CommandId> = self
            .ending
            .iter()
            .filter(|(_, ending)| ending.until.is_some_and(|until| now.mono >= until))
            .map(|(id, _)| *id)
            .collect();
        for command in late {
            if let Some(ending) = self.ending.remove(&command) {
                let fact = Fact::CommandUnconfirmed {
                    command,
                    verb: "terminate".into(),
                    by: "you".into(),
                };
                items.push(self.translator.tell(now, ending.call, fact));
            }
        }
        let mut outs = Vec::new();
        if !items.is_empty() {
            outs.push(self.tell(items));
        }
        let Some(open) = &mut self.open else {
            return outs;
        };
        if now.mono >= open.heard_at + SILENT_MAX {
            outs.push(Out::Fail {
                reason: "nothing was heard for 25 s".to_owned(),
                retry_in: None,
            });
        } else if now.mono >= open.ask_at {
            open.ask_at = now.mono + ASK_EVERY;
            outs.push(Out::Send {
                event: "subscribe_to_calls",
                data: json!({}),
            });
        }
        outs
    }

    fn ask(&mut self, _now: Now, ask: Ask) -> Vec<Out> {
        match ask {
            Ask::Command(command) => self.command(command),
            Ask::Watch(_) => Vec::new(),
            Ask::History { id, .. } => {
                let refusal =
                    Refusal::new(ErrorCode::Unsupported, "this backend offers no history", "");
                vec![Out::History {
                    id,
                    result: Err(refusal),
                }]
            }
        }
    }

    fn ended(&mut self, now: Now, id: CommandId, result: Result<(), Refusal>) -> Vec<Out> {
        let Some(ending) = self.ending.get_mut(&id) else {
            return Vec::new();
        };
        let call = ending.call;
        match result {
            Ok(()) => {
                ending.until = Some(now.mono + CONFIRM_WITHIN);
                let (verb, by) = ("terminate".to_owned(), "you".to_owned());
                let accepted = Fact::CommandAccepted {
                    command: id,
                    verb: verb.clone(),
                    by: by.clone(),
                    reason: None,
                };
                let mut items = vec![self.translator.tell(now, call, accepted)];
                // The end may have been told before the REST's consent came back.
                if self.translator.is_over(call) {
                    self.ending.remove(&id);
                    items.push(self.translator.tell(
                        now,
                        call,
                        Fact::CommandDone {
                            command: id,
                            verb,
                            by,
                        },
                    ));
                }
                vec![
                    Out::Tell(Update::Reply(Reply::accepted(id, None))),
                    self.tell(items),
                ]
            }
            Err(refusal) => {
                self.ending.remove(&id);
                vec![Out::Tell(Update::Reply(Reply::refused(id, refusal)))]
            }
        }
    }

    fn wake(&self) -> Option<Duration> {
        let open = self
            .open
            .as_ref()
            .map(|open| open.ask_at.min(open.heard_at + SILENT_MAX));
        let missing = self.open.as_ref().and_then(|_| self.translator.wake());
        let ending = self.ending.values().filter_map(|ending| ending.until).min();
        [open, missing, ending].into_iter().flatten().min()
    }
}
