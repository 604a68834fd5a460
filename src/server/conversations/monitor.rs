//! The vendor's own monitoring socket as a further source of the events its webhooks tell: one socket
//! for each live conversation that is only observed, text only. What the vendor repeats when a socket
//! opens, and what webhooks have told, is told once: see [`super::sources`].

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::time::{MissedTickBehavior, timeout};

use crate::bridge::Wire;
use crate::call::{Call, CallId, Fact};
use crate::engine::{AgentError, Backoff, BoxSocket, ConversationMonitor, Target, random};
use crate::providers::elevenlabs::{ConversationEvent, EventKind, read_event};

use super::super::state::App;
use super::sources::Source;

/// How often the board is looked over for conversations nobody monitors yet. What is said before is
/// repeated by the vendor.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Sockets at once; further conversations have their webhooks.
const SOCKETS_MAX: usize = 500;
/// A call that has ended is noticed within this.
const OVER_WITHIN: Duration = Duration::from_secs(5);
const RETRY: Backoff = Backoff {
    base: Duration::from_secs(1),
    cap: Duration::from_secs(30),
    tries: 8,
};

type Watched = Arc<Mutex<HashMap<CallId, String>>>;

/// Monitors every observed conversation of the vendor, until the server stops.
pub(in crate::server) fn watch_conversations(app: &Arc<App>) {
    let Some(monitor) = app.conversation_settings.monitor.clone() else {
        return;
    };
    let app = Arc::clone(app);
    let tasks = app.tasks.clone();
    tasks.spawn("conversation monitors", async move {
        let watched = Watched::default();
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Cancel-safe: a tick that loses is taken later.
            tokio::select! {
                biased;
                () = app.stopping().cancelled() => return,
                _ = ticks.tick() => {}
            }
            for (call, conversation) in unwatched(&app, monitor.as_ref(), &watched) {
                let watch = Watch {
                    app: Arc::clone(&app),
                    monitor: Arc::clone(&monitor),
                    call,
                    conversation,
                };
                app.tasks.spawn("conversation monitor", watch.run());
            }
        }
    });
}

/// Conversations to be monitored from now on. Each is tried as long as its call lives, and not again
/// once that has failed.
fn unwatched(
    app: &App,
    monitor: &dyn ConversationMonitor,
    watched: &Watched,
) -> Vec<(CallId, String)> {
    let live: HashMap<CallId, String> = app.core.switchboard.read(|board| {
        let ours = board.live().filter(|call| {
            call.facts.observed && call.facts.agent_kind.as_deref() == Some(monitor.vendor())
        });
        ours.filter_map(|call| Some((call.id, call.conversation_id.clone()?)))
            .collect()
    });
    let mut watched = watched.lock().unwrap_or_else(PoisonError::into_inner);
    watched.retain(|call, _| live.contains_key(call));
    app.conversations
        .sources()
        .retain(|call| live.contains_key(&call));
    let known: HashSet<CallId> = watched.keys().copied().collect();
    let room = SOCKETS_MAX.saturating_sub(known.len());
    let new: Vec<_> = live
        .into_iter()
        .filter(|(call, _)| !known.contains(call))
        .take(room)
        .collect();
    watched.extend(new.iter().cloned());
    new
}

/// One conversation being monitored.
struct Watch {
    app: Arc<App>,
    monitor: Arc<dyn ConversationMonitor>,
    call: CallId,
    conversation: String,
}

impl Watch {
    async fn run(self) {
        let app = &self.app;
        app.conversations.two_sources(&app.core, self.call).await;
        let mut failed = 0;
        while let Some(call) = self.live_call() {
            match self.monitor.watch(self.conversation.clone()).await {
                Ok(socket) => {
                    failed = 0;
                    tracing::debug!(call = %call.id, "a conversation is monitored");
                    self.read(socket).await;
                }
                Err(error) if error.is_transient() => {}
                Err(error) => return self.give_up(&error).await,
            }
            failed += 1;
            // Its end is its carrier's to tell, where it can be asked.
            self.app.core.ask_carrier(self.call);
            let Some(wait) = RETRY.after(failed, u64::from_ne_bytes(random())) else {
                return;
            };
            tokio::select! {
                biased;
                () = self.app.stopping().cancelled() => return,
                () = tokio::time::sleep(wait.max(RETRY.base / 2)) => {}
            }
        }
    }

    fn live_call(&self) -> Option<Call> {
        self.app.core.switchboard.read(|board| {
            let call = board.get(self.call).filter(|call| call.is_live())?;
            Some(call.trimmed(0))
        })
    }

    /// Takes what is said until the socket or the call ends.
    async fn read(&self, mut socket: BoxSocket) {
        loop {
            // Cancel-safe: `next` keeps partial messages in the socket.
            let wire = tokio::select! {
                biased;
                () = self.app.stopping().cancelled() => break,
                wire = timeout(OVER_WITHIN, socket.next()) => wire,
            };
            match wire {
                Ok(Some(Ok(Wire::Text(text)))) => self.take(&text).await,
                Ok(Some(Ok(Wire::Binary(_)))) => {}
                Ok(Some(Err(_)) | None) => return,
                Err(_) if self.live_call().is_some() => {}
                Err(_) => break,
            }
        }
        // A peer that does not answer is left behind.
        let _goodbye = timeout(Duration::from_secs(1), socket.close()).await;
    }

    async fn take(&self, text: &str) {
        let Some(event) = event_of(text, &self.conversation) else {
            return;
        };
        let core = &self.app.core;
        let taken = self.app.conversations.take(core, Source::Socket, &event);
        if let Err(error) = taken.await {
            tracing::warn!(%error, "a monitored conversation's event could not be kept");
        }
    }

    async fn give_up(&self, error: &AgentError) {
        let trouble = Fact::TroubleNoted {
            code: "not_monitored".into(),
            message: format!("the vendor's monitoring socket: {error}"),
        };
        let target = Target::Call(self.call);
        if let Err(error) = self.app.core.switchboard.post(target, vec![trouble]).await {
            tracing::debug!(%error, "a conversation that is not monitored has left the board");
        }
    }
}

/// A client event as a webhook would tell it: these name no conversation, their socket does.
fn event_of(text: &str, conversation: &str) -> Option<ConversationEvent> {
    let mut body: Value = serde_json::from_str(text).ok()?;
    body.as_object_mut()?
        .insert("conversation_id".into(), conversation.into());
    let event = read_event(body.to_string().as_bytes()).ok()?;
    // The socket has control messages of its own (`connected`, `history_complete`).
    (!matches!(event.kind, EventKind::Unknown | EventKind::Idle)).then_some(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_messages_are_none_and_words_belong_to_the_sockets_conversation() {
        for control in [
            r#"{"type":"connected"}"#,
            r#"{"type":"history_complete"}"#,
            r#"{"type":"ping","ping_event":{"event_id":1}}"#,
            "[]",
            "",
        ] {
            assert_eq!(event_of(control, "conv_1"), None, "{control}");
        }
        let said = r#"{"type":"user_transcript","conversation_id":"conv_of_others",
            "user_transcription_event":{"user_transcript":"hello","event_id":4}}"#;
        let event = event_of(said, "conv_1").expect("an event");
        assert_eq!(event.conversation_id.as_deref(), Some("conv_1"));
        assert_eq!(event.event_id, Some(4));
    }
}
