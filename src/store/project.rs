//! What facts mean for the tables: calls folded, rows to add. Nothing here writes.

use std::collections::{BTreeSet, HashMap, VecDeque};

use rusqlite::Connection;

use crate::call::{
    Alert, Call, CallEvent, CallId, CommandId, Envelope, Fact, Lead, LeadMessage, Quality,
    StoreLevel, TurnTiming,
};
use crate::engine::{AuditEntry, WebhookMark};

use super::lines::{self, Wanted};

/// Ended calls kept folded, for the facts that follow an end closely; others are read back.
const ENDED_MAX: usize = 256;

/// The calls being written, folded like the board's.
#[derive(Debug, Default)]
pub(super) struct Projection {
    calls: HashMap<CallId, Tracked>,
    ended: VecDeque<CallId>,
}

#[derive(Debug)]
pub(super) struct Tracked {
    pub(super) call: Call,
    /// Whether the row is behind the fold.
    pub(super) dirty: bool,
    /// Numbers of the lines that are behind.
    pub(super) lines: BTreeSet<u32>,
}

/// One row to add, as it came about.
#[derive(Clone, Debug)]
pub(super) enum Row {
    Event {
        seq: u64,
        at: i64,
        call: Option<CallId>,
        kind: String,
        body: String,
    },
    Turn {
        call: CallId,
        at: i64,
        timing: TurnTiming,
    },
    Quality {
        call: CallId,
        at: i64,
        quality: Quality,
    },
    AlertRaised {
        call: CallId,
        alert: Alert,
    },
    AlertCleared {
        call: CallId,
        /// `None`: all of them, because the call ended.
        rule: Option<String>,
        at: i64,
    },
    AlertAcknowledged {
        call: CallId,
        rule: String,
        by: String,
    },
    Kept {
        call: CallId,
        recording: String,
        file_id: String,
        bytes: u64,
        at: i64,
    },
    Message {
        at: i64,
        message: LeadMessage,
    },
    /// Its route keeps no words, as has become known: those written before go.
    Unsaid {
        call: CallId,
    },
    /// A webhook has been taken.
    Mark {
        mark: WebhookMark,
        at: i64,
    },
    Audit(AuditEntry),
    /// A row of an imported list.
    Lead(Box<Lead>),
}

impl Row {
    /// Whether this row may be thrown away when the disk is away for long.
    pub(super) fn is_expendable(&self) -> bool {
        matches!(
            self,
            Self::Event { .. } | Self::Turn { .. } | Self::Quality { .. }
        )
    }
}

impl Projection {
    /// Takes one fact in and adds the rows it means.
    ///
    /// # Errors
    /// The call could not be read back; the fact was not taken and may be offered again.
    pub(super) fn take(
        &mut self,
        connection: &Connection,
        envelope: &Envelope,
        rows: &mut Vec<Row>,
    ) -> rusqlite::Result<()> {
        let fact = match &envelope.event {
            CallEvent::Known(fact) => Some(fact),
            CallEvent::Unknown(_) => None,
        };
        // Asked first: what cannot be read now leaves nothing half taken.
        let mut level = self.level_of_lead(connection, fact)?;
        if let Some(id) = envelope.call {
            self.fetch(connection, envelope, id)?;
            if let Some(tracked) = self.calls.get_mut(&id) {
                let before = tracked.call.facts.store;
                tracked.take(envelope, fact);
                level = tracked.call.facts.store;
                if before.keeps_words() && !level.keeps_words() {
                    rows.push(Row::Unsaid { call: id });
                }
                if !tracked.call.is_live() && !self.ended.contains(&id) {
                    self.ended.push_back(id);
                }
            }
        }
        let Some(fact) = fact else {
            // Nobody here can tell whether there are words in it.
            rows.extend(
                level
                    .keeps_words()
                    .then(|| event_row(envelope, &envelope.event))
                    .flatten(),
            );
            return Ok(());
        };
        rows.extend(audit_row(envelope, fact).map(Row::Audit));
        if level.keeps_words() {
            rows.extend(event_row(envelope, &envelope.event));
            rows.extend(detail_row(envelope, fact));
        } else if let Some(fact) = fact.without_words() {
            rows.extend(detail_row(envelope, &fact));
            rows.extend(event_row(envelope, &fact.into()));
        }
        Ok(())
    }

    /// How much of a lead's text message is kept: as little as its own route or the lead's newest
    /// call says.
    fn level_of_lead(
        &self,
        connection: &Connection,
        fact: Option<&Fact>,
    ) -> rusqlite::Result<StoreLevel> {
        let Some(Fact::LeadMessaged { message }) = fact else {
            return Ok(StoreLevel::All);
        };
        let tracked = self.calls.values().map(|tracked| &tracked.call);
        let newest = tracked
            .filter(|call| call.facts.lead_id.as_deref() == Some(&message.lead_id))
            .max_by_key(|call| call.id);
        let of_call = match newest {
            Some(call) => call.facts.store,
            None => lines::level_of_lead(connection, &message.lead_id)?,
        };
        Ok(message.store.max(of_call))
    }

    /// Makes sure that a known call is in memory.
    fn fetch(
        &mut self,
        connection: &Connection,
        envelope: &Envelope,
        id: CallId,
    ) -> rusqlite::Result<()> {
        if self.calls.contains_key(&id) {
            return Ok(());
        }
        let found = match Call::seen(envelope) {
            Some(call) => Some(call),
            None => lines::load(connection, &id.to_string(), Wanted::AsHeld)?,
        };
        if let Some(call) = found {
            let tracked = Tracked {
                call,
                dirty: false,
                lines: BTreeSet::new(),
            };
            self.calls.insert(id, tracked);
        }
        Ok(())
    }

    pub(super) fn behind(&self) -> impl Iterator<Item = &Tracked> {
        self.calls.values().filter(|tracked| tracked.dirty)
    }

    /// Everything is on disk now.
    pub(super) fn written(&mut self) {
        for tracked in self.calls.values_mut().filter(|tracked| tracked.dirty) {
            tracked.dirty = false;
            tracked.lines.clear();
        }
        while self.ended.len() > ENDED_MAX {
            if let Some(oldest) = self.ended.pop_front() {
                self.calls.remove(&oldest);
            }
        }
    }

    /// Forgets calls that were removed from the tables.
    pub(super) fn forget(&mut self, gone: impl Fn(&CallId) -> bool) {
        self.calls.retain(|id, _| !gone(id));
        self.ended.retain(|id| !gone(id));
    }
}

impl Tracked {
    fn take(&mut self, envelope: &Envelope, fact: Option<&Fact>) {
        let ends = self.call.is_live()
            && matches!(
                fact,
                Some(Fact::StatusChanged { .. } | Fact::CallEnded { .. })
            );
        let open = if ends {
            lines::open_lines(&self.call)
        } else {
            Vec::new()
        };
        self.call.take(envelope);
        self.dirty = true;
        if let Some(fact) = fact {
            let mut changed = Vec::new();
            lines::changed_by(&self.call, fact, &open, &mut changed);
            self.lines.extend(changed);
        }
    }
}

/// The timeline row of an event, which is the envelope's or what is kept of it; text that is
/// rewritten is not part of it.
fn event_row(envelope: &Envelope, event: &CallEvent) -> Option<Row> {
    // A message has a table of its own, where it can be removed with its lead.
    if matches!(
        event,
        CallEvent::Known(Fact::UtteranceInterim { .. } | Fact::LeadMessaged { .. })
    ) {
        return None;
    }
    let body = serde_json::to_string(event).ok()?;
    // The tag comes first in what we write; a fact of a newer peer may have it elsewhere.
    let kind = body
        .strip_prefix("{\"type\":\"")
        .and_then(|rest| rest.split('"').next())
        .unwrap_or("unknown")
        .to_owned();
    Some(Row::Event {
        seq: envelope.seq,
        at: envelope.at.timestamp_millis(),
        call: envelope.call,
        kind,
        body,
    })
}

/// The row of a fact that has a table of its own.
fn detail_row(envelope: &Envelope, fact: &Fact) -> Option<Row> {
    let at = envelope.at.timestamp_millis();
    if let Fact::LeadMessaged { message } = fact {
        let message = message.clone();
        return Some(Row::Message { at, message });
    }
    let call = envelope.call?;
    match fact {
        Fact::TurnTimed { timing } => Some(Row::Turn {
            call,
            at,
            timing: *timing,
        }),
        Fact::QualityChanged { quality } => Some(Row::Quality {
            call,
            at,
            quality: quality.clone(),
        }),
        Fact::AlertRaised { alert } => Some(Row::AlertRaised {
            call,
            alert: alert.clone(),
        }),
        Fact::AlertCleared { rule } => Some(Row::AlertCleared {
            call,
            rule: Some(rule.clone()),
            at,
        }),
        Fact::AlertAcknowledged { rule, by } => Some(Row::AlertAcknowledged {
            call,
            rule: rule.clone(),
            by: by.clone(),
        }),
        Fact::CallEnded { .. } => Some(Row::AlertCleared {
            call,
            rule: None,
            at,
        }),
        _ => None,
    }
}

/// The audit row of facts that tell what an operator did.
fn audit_row(envelope: &Envelope, fact: &Fact) -> Option<AuditEntry> {
    let row =
        |by: &str, verb: &str, command: Option<CommandId>, reason: Option<&String>, result| {
            Some(AuditEntry {
                at: envelope.at,
                by: by.to_owned(),
                from: None,
                verb: verb.to_owned(),
                call: envelope.call,
                command,
                reason: reason.cloned(),
                result,
            })
        };
    match fact {
        Fact::CommandAccepted {
            command,
            verb,
            by,
            reason,
        } => row(by, verb, Some(*command), reason.as_ref(), "accepted".into()),
        Fact::CommandDone { command, verb, by } => {
            row(by, verb, Some(*command), None, "done".into())
        }
        Fact::CommandFailed {
            command,
            verb,
            by,
            code,
            ..
        } => row(by, verb, Some(*command), None, format!("failed: {code}")),
        Fact::CommandUnconfirmed { command, verb, by } => {
            row(by, verb, Some(*command), None, "unconfirmed".into())
        }
        Fact::ListenerJoined { by, .. } => row(by, "listen", None, None, "joined".into()),
        Fact::ListenerLeft { by, .. } => row(by, "listen", None, None, "left".into()),
        _ => None,
    }
}
