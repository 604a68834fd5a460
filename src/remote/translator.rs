//! The older event family of dashboards in the wild, translated into envelopes of our own making:
//! `sid` or `callSid`, duplicates, three shapes of transcript, terminal tombstones. Pure.
//! Spec: the events as public servers of this family emit them (Socket.IO namespace `/`).

mod fields;
mod graves;
mod known;
mod parts;
mod speech;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::call::{
    CallFacts, CallId, CallStatus, ENVELOPE_VERSION, Envelope, Epoch, Fact, Source, StatusStep,
};

use super::link::{Now, SplitMix};
use fields::{Fields, quality};
use graves::Graves;
use known::{Ending, Known, facts_of};
use speech::Speech;

/// A call that left the list of active calls without a word is over after this: the family removes
/// a call from the list before it tells how it ended.
const MISSING_MAX: Duration = Duration::from_secs(5);
/// Calls known at a time; more are passed over.
const CALLS_MAX: usize = 10_000;

/// Events in, envelopes out. The numbering is ours and survives reconnects.
#[derive(Debug)]
pub(super) struct Translator {
    pub epoch: Epoch,
    pub seq: u64,
    calls: HashMap<String, Known>,
    ended: Graves,
    ids: SplitMix,
}

impl Translator {
    pub fn new(seed: u64, epoch: Epoch) -> Self {
        Self {
            epoch,
            seq: 0,
            calls: HashMap::new(),
            ended: Graves::default(),
            ids: SplitMix(seed),
        }
    }

    /// The foreign id of one of our calls.
    pub fn sid_of(&self, call: CallId) -> Option<&str> {
        self.calls
            .iter()
            .find(|(_, known)| known.id == call)
            .map(|(sid, _)| sid.as_str())
    }

    /// Whether a call has ended, as far as was told.
    pub fn is_over(&self, call: CallId) -> bool {
        self.calls
            .values()
            .any(|known| known.id == call && known.status.is_terminal())
    }

    /// When [`Translator::tick`] is due.
    pub fn wake(&self) -> Option<Duration> {
        self.calls
            .values()
            .filter_map(|known| known.missing_since)
            .min()
            .map(|at| at + MISSING_MAX)
    }

    /// Translates one event. Events and payloads that are not understood say nothing.
    pub fn take(&mut self, now: Now, event: &str, data: &Value) -> Vec<Arc<Envelope>> {
        let mut told = Vec::new();
        match event {
            "active_calls" => self.list(now, data, &mut told),
            "call_update" => {
                let kind = data.get("type").and_then(Value::as_str).unwrap_or_default();
                self.update(now, kind, data, &mut told);
            }
            "call_data" => self.update(now, "status_update", data, &mut told),
            "new_call"
            | "call_ended"
            | "machine_detection"
            | "quality_update"
            | "recording_update"
            | "stream_started"
            | "conversation_started"
            | "conversation_ended" => {
                self.update(now, event, data, &mut told);
            }
            "transcript_update" | "call_transcript" => self.transcript(now, data, &mut told),
            "transcript_message" | "call_transcript_message" => {
                self.speak(now, data, Speech::message, &mut told);
            }
            _ => {}
        }
        told
    }

    /// Ends calls that have been missing for long enough.
    pub fn tick(&mut self, now: Now) -> Vec<Arc<Envelope>> {
        let gone: Vec<String> = self
            .calls
            .iter()
            .filter(|(_, known)| {
                known
                    .missing_since
                    .is_some_and(|at| now.mono >= at + MISSING_MAX)
            })
            .map(|(sid, _)| sid.clone())
            .collect();
        let mut told = Vec::new();
        for sid in gone {
            let cause = Some("left the backend's list; it did not say how it ended".to_owned());
            self.end(
                now,
                &sid,
                CallStatus::Completed,
                &Ending {
                    cause,
                    ..Ending::default()
                },
                &mut told,
            );
        }
        told
    }

    /// An envelope about a call that did not come from the other side: our own command's progress.
    pub fn tell(&mut self, now: Now, call: CallId, fact: Fact) -> Arc<Envelope> {
        self.stamp(now, call, fact)
    }

    fn stamp(&mut self, now: Now, call: CallId, fact: Fact) -> Arc<Envelope> {
        self.seq += 1;
        Arc::new(Envelope {
            v: ENVELOPE_VERSION,
            seq: self.seq,
            at: now.wall,
            call: Some(call),
            event: fact.into(),
        })
    }

    /// The list replaces what was known to be active.
    fn list(&mut self, now: Now, data: &Value, told: &mut Vec<Arc<Envelope>>) {
        // Some servers wrap the array.
        let calls = data
            .as_array()
            .or_else(|| data.get("calls").and_then(Value::as_array));
        let Some(calls) = calls else { return };
        let mut present = HashSet::new();
        for call in calls.iter().take(CALLS_MAX) {
            let fields = Fields::of(call);
            let Some(sid) = fields.sid() else { continue };
            present.insert(sid.clone());
            self.describe(now, &sid, &fields, told);
        }
        for (sid, known) in &mut self.calls {
            if present.contains(sid) {
                known.listed = true;
                known.missing_since = None;
            } else if known.listed && known.missing_since.is_none() {
                known.missing_since = Some(now.mono);
            }
        }
    }

    fn update(&mut self, now: Now, kind: &str, data: &Value, told: &mut Vec<Arc<Envelope>>) {
        let fields = Fields::of(data);
        let Some(sid) = fields.sid() else { return };
        if self.ended.contains(&sid)
            && !matches!(kind, "recording_update" | "quality_update" | "call_ended")
        {
            return;
        }
        match kind {
            "call_ended" => {
                let status = fields.status().filter(|status| status.is_terminal());
                self.describe(now, &sid, &fields.without_status(), told);
                self.end(
                    now,
                    &sid,
                    status.unwrap_or(CallStatus::Completed),
                    &Ending::of(&fields),
                    told,
                );
            }
            "elevenlabs_connected" => self.agent_connected(now, &sid, &fields, told),
            "conversation_started" => self.agent_connected(now, &sid, &fields, told),
            "conversation_completed" | "conversation_ended" => {
                self.conversation_ended(now, &sid, &fields, told);
            }
            "stream_started" => self.stream(now, &sid, &fields, told),
            "recording_update" => self.recording(now, &sid, &fields, told),
            "quality_update" => {
                if let (Some(call), Some(quality)) = (self.id_of(&sid), quality(&fields)) {
                    told.push(self.stamp(now, call, Fact::QualityChanged { quality }));
                }
            }
            "transcript_update" | "transcript_message" => self.transcript(now, data, told),
            _ => {
                if matches!(
                    fields.text("status").as_deref(),
                    Some("connected_to_ai" | "elevenlabs_connected")
                ) {
                    self.agent_connected(now, &sid, &fields, told);
                } else {
                    self.describe(now, &sid, &fields, told);
                }
            }
        }
    }

    fn id_of(&self, sid: &str) -> Option<CallId> {
        self.calls.get(sid).map(|known| known.id)
    }

    /// Makes the call known if it is not, and tells what is new about it.
    fn describe(
        &mut self,
        now: Now,
        sid: &str,
        fields: &Fields<'_>,
        told: &mut Vec<Arc<Envelope>>,
    ) -> Option<CallId> {
        if self.ended.contains(sid) {
            return self.id_of(sid);
        }
        let facts = facts_of(sid, fields);
        let status = fields.status();
        if !self.calls.contains_key(sid) {
            self.see(now, sid, facts, status, fields, told)?;
        } else if let Some(known) = self.calls.get_mut(sid) {
            known.missing_since = None;
            let is_news = !known.named && facts.name.is_some();
            known.named |= facts.name.is_some();
            let id = known.id;
            if is_news {
                told.push(self.stamp(now, id, Fact::CallDescribed { facts }));
            }
        }
        let known = self.calls.get_mut(sid)?;
        let id = known.id;
        let mut news = Vec::new();
        if let Some(verdict) = fields
            .answered_by()
            .filter(|verdict| known.answered_by != Some(*verdict))
        {
            known.answered_by = Some(verdict);
            news.push(Fact::AnsweredBy {
                verdict,
                took_ms: None,
            });
        }
        if let Some(conversation_id) = fields.text_of(&["conversation_id", "conversationId"]) {
            if known.conversation.as_ref() != Some(&conversation_id) {
                known.conversation = Some(conversation_id.clone());
                news.push(Fact::ConversationStarted { conversation_id });
            }
        }
        match status {
            Some(status) if status.is_terminal() => {
                told.extend(
                    news.into_iter()
                        .map(|fact| self.stamp(now, id, fact))
                        .collect::<Vec<_>>(),
                );
                self.end(now, sid, status, &Ending::of(fields), told);
                return Some(id);
            }
            Some(status) if known.status.step(status) == StatusStep::Forward => {
                known.status = status;
                news.push(Fact::StatusChanged {
                    status,
                    source: Source::Webhook,
                });
            }
            _ => {}
        }
        told.extend(
            news.into_iter()
                .map(|fact| self.stamp(now, id, fact))
                .collect::<Vec<_>>(),
        );
        Some(id)
    }

    fn see(
        &mut self,
        now: Now,
        sid: &str,
        facts: CallFacts,
        status: Option<CallStatus>,
        fields: &Fields<'_>,
        told: &mut Vec<Arc<Envelope>>,
    ) -> Option<()> {
        if self.calls.len() >= CALLS_MAX {
            return None;
        }
        let id = CallId::from(self.ids.id(now.wall).uuid());
        // An ending is told as one: the card begins with the state before it.
        let status = status
            .filter(|status| !status.is_terminal())
            .unwrap_or(CallStatus::Initiated);
        self.calls
            .insert(sid.to_owned(), Known::new(id, status, facts.name.is_some()));
        let started_at = fields.time("startTime");
        told.push(self.stamp(
            now,
            id,
            Fact::CallSeen {
                facts,
                status,
                started_at,
            },
        ));
        Some(())
    }

    fn end(
        &mut self,
        now: Now,
        sid: &str,
        status: CallStatus,
        ending: &Ending,
        told: &mut Vec<Arc<Envelope>>,
    ) {
        let Some(known) = self.calls.get_mut(sid) else {
            return;
        };
        known.missing_since = None;
        known.listed = false;
        if known.status.is_terminal() {
            return;
        }
        known.status = status;
        let id = known.id;
        let finished = known.speech.finish();
        for fact in finished {
            told.push(self.stamp(now, id, fact));
        }
        told.push(self.stamp(
            now,
            id,
            Fact::CallEnded {
                status,
                ended_by: ending.by.clone(),
                cause: ending.cause.clone(),
                duration_s: ending.duration_s,
                source: Source::Webhook,
            },
        ));
        self.bury(sid);
    }

    fn bury(&mut self, sid: &str) {
        if let Some(forgotten) = self.ended.bury(sid) {
            self.calls.remove(&forgotten);
        }
        // Room for new calls is worth more than late recordings of old ones.
        while self.calls.len() >= CALLS_MAX {
            let calls = &self.calls;
            let Some(oldest) = self.ended.oldest(|sid| calls.contains_key(sid)) else {
                return;
            };
            self.calls.remove(&oldest);
        }
    }

    fn transcript(&mut self, now: Now, data: &Value, told: &mut Vec<Arc<Envelope>>) {
        if data.get("transcript").is_some_and(Value::is_object) {
            self.speak(now, data, Speech::document, told);
        } else if data.get("message").is_some_and(Value::is_object) {
            self.speak(now, data, Speech::message, told);
        } else {
            self.speak(now, data, Speech::bubble, told);
        }
    }

    fn speak(
        &mut self,
        now: Now,
        data: &Value,
        read: impl FnOnce(&mut Speech, &Value) -> Vec<Fact>,
        told: &mut Vec<Arc<Envelope>>,
    ) {
        let fields = Fields::of(data);
        let Some(sid) = fields.sid() else { return };
        let is_document = data.get("transcript").is_some();
        if !self.calls.contains_key(&sid) && !self.ended.contains(&sid) && !is_document {
            // Words of a call we have not been told of: it is live, nothing else is known.
            self.describe(now, &sid, &fields.without_status(), told);
        }
        let Some(known) = self.calls.get_mut(&sid) else {
            return;
        };
        let id = known.id;
        for fact in read(&mut known.speech, data) {
            told.push(self.stamp(now, id, fact));
        }
    }
}

#[cfg(test)]
mod tests;
