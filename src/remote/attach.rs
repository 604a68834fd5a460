//! Our own attach protocol, client side: hello, resume, snapshot, envelopes, commands, heartbeat.
//! Pure. Contract: DESIGN A4, namespace `/wallboard` v1.

mod read;
mod say;
mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::call::{CallId, CommandId, Envelope, Epoch, ErrorCode, Refusal, Reply};
use crate::engine::{Hello, HistoryQuery, Update};

use super::link::{Ask, Now, Out, Protocol, SplitMix};
use read::{Batch, RawReply, SnapshotPart, gauges_of, known_verbs, page_of, refusal_of};
use say::{fail, not_now, send_command, unanswered};
use state::{Asked, Open, Parts, Sync, What};

/// Version of the protocol.
pub(super) const PROTOCOL: u8 = 1;
pub(super) const NAMESPACE: &str = "/wallboard";

const HELLO_WITHIN: Duration = Duration::from_secs(5);
const PING_EVERY: Duration = Duration::from_secs(5);
/// Nothing heard for this long: the connection is dead, whatever the socket says.
const SILENT_MAX: Duration = Duration::from_secs(10);
/// Between `resume` and its snapshot or envelopes, and between parts.
const SYNC_WITHIN: Duration = Duration::from_secs(10);
/// A command or question without an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Requests under way; more are refused.
const ASKED_MAX: usize = 64;
/// Parts of one snapshot: 2 GB, far beyond any board.
const PARTS_MAX: usize = 10_000;

/// Protocol state that outlives connections, and that of the present one.
#[derive(Debug)]
pub(super) struct Attach {
    ids: SplitMix,
    /// Up to where the board is known.
    place: Option<(Epoch, u64)>,
    asked: BTreeMap<CommandId, Asked>,
    watched: Vec<CallId>,
    open: Option<Open>,
}

impl Attach {
    pub fn new(seed: u64) -> Self {
        Self {
            ids: SplitMix(seed),
            place: None,
            asked: BTreeMap::new(),
            watched: Vec::new(),
            open: None,
        }
    }

    fn hello(&mut self, now: Now, data: Value) -> Vec<Out> {
        let version = data.get("v").and_then(Value::as_u64);
        if version != Some(u64::from(PROTOCOL)) {
            return vec![Out::Refuse(Refusal::new(
                ErrorCode::Unsupported,
                "the backend speaks another version of the protocol",
                "install the same version on both sides",
            ))];
        }
        let hello: Hello = match serde_json::from_value(known_verbs(data)) {
            Ok(hello) => hello,
            Err(error) => return fail(format!("unreadable hello: {error}")),
        };
        let epoch = hello.epoch;
        if let Some(open) = &mut self.open {
            open.epoch = Some(epoch);
        }
        if self.place.is_some_and(|(known, _)| known != epoch) {
            self.place = None;
        }
        let mut outs = vec![Out::Live, Out::Tell(Update::Hello(hello))];
        outs.extend(self.resume(now));
        if !self.watched.is_empty() {
            outs.push(self.watch(now));
        }
        outs.extend(self.repeat(epoch));
        outs
    }

    /// Sends unanswered commands again to the same run of the backend, which knows their ids;
    /// another run does not, and a command must not be carried out twice.
    fn repeat(&mut self, epoch: Epoch) -> Vec<Out> {
        let mut outs = Vec::new();
        let lost: Vec<CommandId> = self
            .asked
            .iter()
            .filter(|(_, asked)| asked.epoch != Some(epoch))
            .map(|(id, _)| *id)
            .collect();
        for id in lost {
            outs.extend(self.give_up(id, &unanswered("the backend was started anew meanwhile")));
        }
        for asked in self.asked.values() {
            if let What::Command(command) = &asked.what {
                outs.extend(send_command(command));
            }
        }
        outs
    }

    fn resume(&mut self, now: Now) -> Vec<Out> {
        let id = self.ids.id(now.wall);
        let Some(open) = &mut self.open else {
            return Vec::new();
        };
        open.sync = Some(Sync {
            id,
            at: now.mono,
            parts: None,
        });
        let data = match self.place {
            Some((epoch, seq)) => json!({ "id": id, "epoch": epoch, "since": seq }),
            None => json!({ "id": id, "epoch": open.epoch, "since": null }),
        };
        vec![Out::Send {
            event: "resume",
            data,
        }]
    }

    /// Asks again from where we are, unless that is under way.
    fn resync(&mut self, now: Now) -> Vec<Out> {
        let under_way = self.open.as_ref().is_some_and(|open| open.sync.is_some());
        if under_way {
            Vec::new()
        } else {
            self.resume(now)
        }
    }

    fn watch(&mut self, now: Now) -> Out {
        let data = json!({ "id": self.ids.id(now.wall), "calls": self.watched });
        Out::Send {
            event: "watch",
            data,
        }
    }

    fn snapshot(&mut self, now: Now, data: Value) -> Vec<Out> {
        let part: SnapshotPart = match serde_json::from_value(data) {
            Ok(part) => part,
            Err(error) => return fail(format!("unreadable snapshot: {error}")),
        };
        if !(1..=PARTS_MAX).contains(&part.parts) {
            return fail("a snapshot of no or too many parts".to_owned());
        }
        let id = self.ids.id(now.wall);
        let Some(open) = &mut self.open else {
            return Vec::new();
        };
        // The backend may also send one unasked, when it cannot give us what we missed.
        let sync = open.sync.get_or_insert(Sync {
            id,
            at: now.mono,
            parts: None,
        });
        sync.at = now.mono;
        let fits = sync.parts.as_ref().is_some_and(|parts| {
            (parts.epoch, parts.seq, parts.wanted) == (part.epoch, part.seq, part.parts)
                && !parts.have.contains(&part.part)
        });
        if !fits {
            sync.parts = None;
        }
        let parts = sync.parts.get_or_insert_with(|| Parts {
            epoch: part.epoch,
            seq: part.seq,
            wanted: part.parts,
            have: BTreeSet::new(),
            calls: Vec::new(),
        });
        parts.have.insert(part.part);
        // A call this build cannot read is not shown; the rest is.
        parts.calls.extend(
            part.calls
                .into_iter()
                .filter_map(|call| serde_json::from_value(call).ok()),
        );
        if parts.have.len() < parts.wanted {
            return vec![Out::Tell(Update::Alive)];
        }
        let calls = std::mem::take(&mut parts.calls);
        open.sync = None;
        self.place = Some((part.epoch, part.seq));
        vec![Out::Tell(Update::Snapshot {
            epoch: part.epoch,
            seq: part.seq,
            calls,
        })]
    }

    fn envelopes(&mut self, now: Now, data: Value) -> Vec<Out> {
        let batch: Batch = match serde_json::from_value(data) {
            Ok(batch) => batch,
            Err(error) => return fail(format!("unreadable envelopes: {error}")),
        };
        let Some((epoch, seq)) = self.place else {
            // A snapshot is on its way.
            return vec![Out::Tell(Update::Alive)];
        };
        if batch.from > seq || batch.to < batch.from {
            return self.resync(now);
        }
        if let Some(open) = &mut self.open {
            // Whatever fits on ends a resume, be it empty.
            if batch.from == seq || batch.to > seq {
                open.sync = None;
            }
        }
        if batch.to <= seq {
            return vec![Out::Tell(Update::Alive)];
        }
        let mut last = seq;
        let mut items = Vec::with_capacity(batch.items.len());
        for item in batch.items {
            // What this build cannot read at all counts as a fact it may not see.
            let Ok(envelope) = serde_json::from_value::<Envelope>(item) else {
                continue;
            };
            if envelope.seq <= seq {
                continue;
            }
            if envelope.seq <= last || envelope.seq > batch.to {
                return self.resync(now);
            }
            last = envelope.seq;
            items.push(Arc::new(envelope));
        }
        self.place = Some((epoch, batch.to));
        vec![Out::Tell(Update::Envelopes {
            to: batch.to,
            items,
        })]
    }

    fn reply(&mut self, now: Now, data: Value) -> Vec<Out> {
        let alive = vec![Out::Tell(Update::Alive)];
        let Ok(raw) = serde_json::from_value::<RawReply>(data) else {
            return alive;
        };
        if let Some(open) = &mut self.open {
            if let Some(sync) = open.sync.as_mut().filter(|sync| sync.id == raw.id) {
                sync.at = now.mono;
                if raw.ok {
                    return alive;
                }
                return fail(refusal_of(raw.error).message);
            }
        }
        let Some(asked) = self.asked.remove(&raw.id) else {
            return alive;
        };
        match asked.what {
            What::History => {
                let result = if raw.ok {
                    Ok(page_of(raw.result))
                } else {
                    Err(refusal_of(raw.error))
                };
                vec![Out::History { id: raw.id, result }]
            }
            What::Command(_) => {
                let error = (!raw.ok).then(|| refusal_of(raw.error));
                let reply = Reply {
                    id: raw.id,
                    ok: raw.ok,
                    state: raw.state,
                    result: raw.result,
                    error,
                };
                vec![Out::Tell(Update::Reply(reply))]
            }
        }
    }

    fn give_up(&mut self, id: CommandId, refusal: &Refusal) -> Option<Out> {
        let asked = self.asked.remove(&id)?;
        Some(match asked.what {
            What::Command(_) => Out::Tell(Update::Reply(Reply::refused(id, refusal.clone()))),
            What::History => Out::History {
                id,
                result: Err(refusal.clone()),
            },
        })
    }

    fn ask_history(&mut self, now: Now, id: CommandId, query: &HistoryQuery) -> Vec<Out> {
        if !self.is_live() || self.asked.len() >= ASKED_MAX {
            return vec![Out::History {
                id,
                result: Err(not_now(self.is_live())),
            }];
        }
        self.note(now, id, What::History);
        let data =
            json!({ "id": id, "query": query, "cursor": query.cursor, "limit": query.limit });
        vec![Out::Send {
            event: "history",
            data,
        }]
    }

    fn is_live(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.epoch.is_some())
    }

    fn note(&mut self, now: Now, id: CommandId, what: What) {
        let epoch = self.open.as_ref().and_then(|open| open.epoch);
        self.asked.insert(
            id,
            Asked {
                at: now.mono,
                epoch,
                what,
            },
        );
    }
}

impl Protocol for Attach {
    fn opened(&mut self, now: Now) -> Vec<Out> {
        self.open = Some(Open {
            since: now.mono,
            heard_at: now.mono,
            ping_at: now.mono + PING_EVERY,
            epoch: None,
            sync: None,
        });
        Vec::new()
    }

    fn closed(&mut self, _now: Now) -> Vec<Out> {
        self.open = None;
        let questions: Vec<CommandId> = self
            .asked
            .iter()
            .filter(|(_, asked)| matches!(asked.what, What::History))
            .map(|(id, _)| *id)
            .collect();
        questions
            .into_iter()
            .filter_map(|id| self.give_up(id, &not_now(false)))
            .collect()
    }

    fn message(&mut self, now: Now, event: &str, data: Value) -> Vec<Out> {
        if let Some(open) = &mut self.open {
            open.heard_at = now.mono;
        }
        match event {
            "hello" => self.hello(now, data),
            _ if !self.is_live() => Vec::new(),
            "envelopes" => self.envelopes(now, data),
            "snapshot" => self.snapshot(now, data),
            "gauges" => vec![Out::Tell(Update::Gauges(gauges_of(data)))],
            "reply" => self.reply(now, data),
            // Told in the middle of a snapshot, its rest will not come: begin anew in any case.
            "lagged" => self.resume(now),
            "bye" => {
                let reason = data
                    .get("reason")
                    .and_then(Value::as_str)
                    .unwrap_or("the backend said goodbye");
                let retry_ms = data.get("retry_ms").and_then(Value::as_u64);
                vec![Out::Fail {
                    reason: crate::call::text::clean_label(reason).into_owned(),
                    retry_in: retry_ms.map(Duration::from_millis),
                }]
            }
            _ => vec![Out::Tell(Update::Alive)],
        }
    }

    fn overflowed(&mut self, now: Now) -> Vec<Out> {
        if !self.is_live() {
            return fail("the backend's first words were lost".to_owned());
        }
        // Parts of a snapshot may be among what was lost.
        self.resume(now)
    }

    fn tick(&mut self, now: Now) -> Vec<Out> {
        let late: Vec<CommandId> = self
            .asked
            .iter()
            .filter(|(_, asked)| now.mono >= asked.at + ANSWER_WITHIN)
            .map(|(id, _)| *id)
            .collect();
        let mut outs: Vec<Out> = late
            .into_iter()
            .filter_map(|id| self.give_up(id, &unanswered("the backend did not answer in time")))
            .collect();
        let Some(open) = &mut self.open else {
            return outs;
        };
        let failure = if open.epoch.is_none() && now.mono >= open.since + HELLO_WITHIN {
            Some("the backend did not say hello")
        } else if now.mono >= open.heard_at + SILENT_MAX {
            Some("nothing was heard for 10 s")
        } else if open
            .sync
            .as_ref()
            .is_some_and(|sync| now.mono >= sync.at + SYNC_WITHIN)
        {
            Some("the backend did not send its calls")
        } else {
            None
        };
        if let Some(reason) = failure {
            outs.extend(fail(reason.to_owned()));
        } else if now.mono >= open.ping_at {
            open.ping_at = now.mono + PING_EVERY;
            if open.epoch.is_some() {
                outs.push(Out::Send {
                    event: "ping",
                    data: json!({ "id": self.ids.id(now.wall) }),
                });
            }
        }
        outs
    }

    fn ask(&mut self, now: Now, ask: Ask) -> Vec<Out> {
        match ask {
            Ask::Watch(calls) => {
                self.watched = calls;
                if self.is_live() {
                    vec![self.watch(now)]
                } else {
                    Vec::new()
                }
            }
            Ask::History { id, query } => self.ask_history(now, id, &query),
            Ask::Command(command) => {
                if !self.is_live() || self.asked.len() >= ASKED_MAX {
                    let refusal = not_now(self.is_live());
                    return vec![Out::Tell(Update::Reply(Reply::refused(
                        command.id, refusal,
                    )))];
                }
                let outs = send_command(&command).into_iter().collect();
                self.note(now, command.id, What::Command(command));
                outs
            }
        }
    }

    fn ended(&mut self, _now: Now, _id: CommandId, _result: Result<(), Refusal>) -> Vec<Out> {
        Vec::new()
    }

    fn wake(&self) -> Option<Duration> {
        let asked = self
            .asked
            .values()
            .map(|asked| asked.at + ANSWER_WITHIN)
            .min();
        let open = self.open.as_ref().map(|open| {
            let hello = open.epoch.is_none().then_some(open.since + HELLO_WITHIN);
            let sync = open.sync.as_ref().map(|sync| sync.at + SYNC_WITHIN);
            let beat = open.ping_at.min(open.heard_at + SILENT_MAX);
            [hello, sync]
                .into_iter()
                .flatten()
                .fold(beat, Duration::min)
        });
        [asked, open].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests;
