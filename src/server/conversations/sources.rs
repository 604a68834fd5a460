//! One conversation told by two live sources: webhooks, and the vendor's monitoring socket. What one
//! has told, the other is not heard with: line by line, one for one, whichever is first. What only
//! one of them tells is taken from that one, so that nothing is lost when either falls silent.

use std::collections::{HashMap, HashSet};

use crate::call::{Call, CallId, Line, LineBody, Track};
use crate::providers::elevenlabs::{ConversationEvent, EventKind, Speaker};

/// Things remembered of one call and one source; a conversation of hours has fewer.
const TOLD_MAX: usize = 20_000;

/// Who tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Webhook,
    Socket,
}

/// What both sources have told of the calls that have two. Calls with webhooks alone are not here.
#[derive(Debug, Default)]
pub(super) struct Sources {
    calls: HashMap<CallId, Told>,
}

/// Of one call: what one source has told and the other has not yet.
#[derive(Debug, Default)]
struct Told {
    by_webhook: HashMap<String, usize>,
    by_socket: HashMap<String, usize>,
    /// Whose unfinished words are shown: those of the first who told any.
    unfinished: Option<Source>,
    /// What the socket has told, with the vendor's number: it repeats itself whenever it opens.
    heard: HashSet<String>,
}

impl Sources {
    /// A socket opens on this call. What is on it already came from elsewhere, or from a socket
    /// before: the vendor will repeat it.
    pub(super) fn open(&mut self, call: &Call) {
        let told = self.calls.entry(call.id).or_default();
        for line in &call.lines {
            if let Some(print) = print_of_line(line) {
                *told.by_webhook.entry(print).or_default() += 1;
            }
        }
    }

    /// Forgets calls that are over.
    pub(super) fn retain(&mut self, is_live: impl Fn(CallId) -> bool) {
        self.calls.retain(|call, _| is_live(*call));
    }

    /// Whether the other source has told this already, or this one has.
    pub(super) fn has_told(
        &mut self,
        call: CallId,
        source: Source,
        event: &ConversationEvent,
    ) -> bool {
        let Some(told) = self.calls.get_mut(&call) else {
            return false;
        };
        if matches!(event.kind, EventKind::Said { partial: true, .. }) {
            return *told.unfinished.get_or_insert(source) != source;
        }
        let Some(print) = print_of(event) else {
            return false;
        };
        if let (Source::Socket, Some(number)) = (source, event.event_id) {
            if told.heard.len() < TOLD_MAX && !told.heard.insert(format!("{number} {print}")) {
                return true;
            }
        }
        let (own, other) = match source {
            Source::Webhook => (&mut told.by_webhook, &mut told.by_socket),
            Source::Socket => (&mut told.by_socket, &mut told.by_webhook),
        };
        if let Some(waiting) = other.get_mut(&print) {
            *waiting -= 1;
            if *waiting == 0 {
                other.remove(&print);
            }
            return true;
        }
        if own.len() < TOLD_MAX {
            *own.entry(print).or_default() += 1;
        }
        false
    }
}

fn words(track: Track, text: &str) -> String {
    let text = crate::call::text::clean(text);
    format!("{track:?} {}", text.trim())
}

fn call_of(tool: &str) -> String {
    format!("tool {tool}")
}

fn answer_of(tool: &str) -> String {
    format!("answer {tool}")
}

/// What two tellings of the same thing have in common; `None` of what may be told twice unharmed.
fn print_of(event: &ConversationEvent) -> Option<String> {
    match &event.kind {
        EventKind::Said { who, text, .. } => {
            let track = match who {
                Speaker::User => Track::FromCaller,
                Speaker::Agent => Track::FromAgent,
            };
            Some(words(track, text))
        }
        EventKind::ToolCalled { id, .. } => Some(call_of(id)),
        EventKind::ToolReturned { id, .. } => Some(answer_of(id)),
        EventKind::Interrupted { .. } => Some("interrupted".into()),
        EventKind::Corrected { corrected, .. } => Some(format!("corrected {corrected}")),
        _ => None,
    }
}

/// The same of what is on the call already.
fn print_of_line(line: &Line) -> Option<String> {
    match &line.body {
        LineBody::Speech {
            track,
            text,
            interim: false,
            ..
        } => Some(words(*track, text)),
        LineBody::Tool { tool_call_id, .. } => Some(call_of(tool_call_id)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::providers::elevenlabs::read_event;

    fn said(text: &str, number: Option<u32>) -> ConversationEvent {
        let body = json!({"type": "user_transcript", "data":
            {"conversation_id": "conv_1", "message": text, "event_id": number}});
        read_event(body.to_string().as_bytes()).expect("an event")
    }

    fn open() -> (Sources, CallId) {
        let mut sources = Sources::default();
        let call = super::super::tests::observed();
        sources.open(&call);
        (sources, call.id)
    }

    #[test]
    fn each_line_is_taken_from_whoever_tells_it_first() {
        let (mut sources, call) = open();
        let mut tell =
            |source, text: &str, number| !sources.has_told(call, source, &said(text, number));
        assert!(tell(Source::Socket, "hello", Some(1)));
        assert!(!tell(Source::Webhook, "hello ", None));
        assert!(tell(Source::Webhook, "yes", None));
        assert!(
            tell(Source::Webhook, "yes", None),
            "said twice is two lines"
        );
        assert!(!tell(Source::Socket, "yes", Some(3)));
        assert!(
            !tell(Source::Socket, "yes", Some(3)),
            "the socket repeats itself"
        );
        assert!(!tell(Source::Socket, "yes", Some(5)));
        assert!(tell(Source::Socket, "yes", Some(7)), "a third one");
        assert!(!tell(Source::Webhook, "yes", None));
        assert!(tell(Source::Webhook, "only by webhook", None));
        assert!(tell(Source::Socket, "only by socket", Some(9)));
    }

    #[test]
    fn unfinished_words_come_from_one_source_only() {
        let (mut sources, call) = open();
        let partial = |text: &str| {
            let body = json!({"type": "user_transcript", "data":
                {"conversation_id": "conv_1", "message": text, "is_partial": true}});
            read_event(body.to_string().as_bytes()).expect("an event")
        };
        assert!(!sources.has_told(call, Source::Webhook, &partial("he")));
        assert!(sources.has_told(call, Source::Socket, &partial("hel")));
        assert!(!sources.has_told(call, Source::Webhook, &partial("hell")));
    }

    #[test]
    fn what_is_on_the_call_when_a_socket_opens_is_not_told_again() {
        let mut call = super::super::tests::observed();
        for text in ["hello", "hello"] {
            let body = json!({"type": "user_message", "data": {"conversation_id": "conv_1", "message": text}});
            super::super::tests::tell(&mut call, body, false);
        }
        let mut sources = Sources::default();
        sources.open(&call);
        assert!(sources.has_told(call.id, Source::Socket, &said("hello", Some(1))));
        assert!(sources.has_told(call.id, Source::Socket, &said("hello", Some(2))));
        assert!(!sources.has_told(call.id, Source::Socket, &said("hello", Some(3))));
        sources.retain(|_| false);
        assert!(!sources.has_told(call.id, Source::Socket, &said("hello", Some(3))));
    }

    #[test]
    fn a_call_with_webhooks_alone_is_not_compared() {
        let mut sources = Sources::default();
        let call = super::super::tests::observed().id;
        for _ in 0..2 {
            assert!(!sources.has_told(call, Source::Webhook, &said("yes", None)));
        }
    }
}
