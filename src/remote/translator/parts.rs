//! What belongs to a call beside its status: agent, stream, recordings.

use std::sync::Arc;

use crate::call::{AgentLink, Envelope, Fact, Recording};

use super::fields::{Fields, recording_state};
use super::{Now, Translator};

impl Translator {
    pub(super) fn agent_connected(
        &mut self,
        now: Now,
        sid: &str,
        fields: &Fields<'_>,
        told: &mut Vec<Arc<Envelope>>,
    ) {
        let Some(id) = self.describe(now, sid, &fields.without_status(), told) else {
            return;
        };
        let Some(known) = self.calls.get_mut(sid) else {
            return;
        };
        if known.agent != AgentLink::Connected {
            known.agent = AgentLink::Connected;
            let fact = Fact::AgentLinkChanged {
                link: AgentLink::Connected,
                reason: None,
                attempt: None,
            };
            told.push(self.stamp(now, id, fact));
        }
    }

    pub(super) fn conversation_ended(
        &mut self,
        now: Now,
        sid: &str,
        fields: &Fields<'_>,
        told: &mut Vec<Arc<Envelope>>,
    ) {
        let Some(known) = self.calls.get_mut(sid) else {
            return;
        };
        if known.agent == AgentLink::None && known.conversation.is_none() {
            return;
        }
        known.agent = AgentLink::None;
        let named = fields.text_of(&["conversationId", "conversation_id"]);
        let conversation_id = named
            .or_else(|| known.conversation.take())
            .unwrap_or_default();
        known.conversation = None;
        let id = known.id;
        let reason = fields
            .text("reason")
            .unwrap_or_else(|| "completed".to_owned());
        told.push(self.stamp(
            now,
            id,
            Fact::ConversationEnded {
                conversation_id,
                reason,
                duration_ms: None,
            },
        ));
        let link = Fact::AgentLinkChanged {
            link: AgentLink::None,
            reason: None,
            attempt: None,
        };
        told.push(self.stamp(now, id, link));
    }

    pub(super) fn stream(
        &mut self,
        now: Now,
        sid: &str,
        fields: &Fields<'_>,
        told: &mut Vec<Arc<Envelope>>,
    ) {
        let Some(id) = self.describe(now, sid, &fields.without_status(), told) else {
            return;
        };
        let stream_id = fields.text("streamSid").unwrap_or_default();
        let Some(known) = self.calls.get_mut(sid) else {
            return;
        };
        if known.stream.as_ref() != Some(&stream_id) {
            known.stream = Some(stream_id.clone());
            told.push(self.stamp(now, id, Fact::StreamStarted { stream_id }));
        }
    }

    pub(super) fn recording(
        &mut self,
        now: Now,
        sid: &str,
        fields: &Fields<'_>,
        told: &mut Vec<Arc<Envelope>>,
    ) {
        let Some(known) = self.calls.get_mut(sid) else {
            return;
        };
        let word = fields
            .text("recordingStatus")
            .or_else(|| fields.text("status"));
        let (Some(recording), Some(state)) = (
            fields.text_of(&["recordingSid", "recording_sid"]),
            word.as_deref().and_then(recording_state),
        ) else {
            return;
        };
        let duration_s = fields.whole(&["duration", "recordingDuration"]);
        if known
            .recordings
            .insert(recording.clone(), (state, duration_s))
            == Some((state, duration_s))
        {
            return;
        }
        let id = known.id;
        // Its URL needs the other side's credentials: it is not shown as ours.
        let error = fields.text("errorMessage");
        let recording = Recording {
            id: recording,
            state,
            duration_s,
            url: None,
            error,
        };
        told.push(self.stamp(now, id, Fact::RecordingChanged { recording }));
    }
}
