//! The monitoring socket of a conversation that runs: what was said is repeated, then what is said
//! follows, as client events and without audio.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::json;
use tokio::time::timeout;

use super::rest::refuse;
use super::state::{ConversationView, Entry, Shared};

const SEND_WITHIN: Duration = Duration::from_secs(5);
/// As many as the vendor repeats.
const REPEATED: usize = 100;

pub(super) async fn open(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    upgrade: WebSocketUpgrade,
) -> Response {
    if !shared.cfg.monitoring {
        return refuse(403, "forbidden", "Monitoring is not part of this plan");
    }
    let entry = shared.conversations().into_iter().find(|e| e.id == id);
    let Some(entry) = entry.filter(|entry| entry.view.borrow().open) else {
        return refuse(404, "document_not_found", "Conversation not running");
    };
    upgrade.on_upgrade(move |socket| run(shared, entry, socket))
}

/// A line of the conversation as the client event of its kind. The number tells lines apart.
fn event(number: usize, line: &str) -> Option<String> {
    let (role, text) = line.split_once(": ")?;
    let event = match role {
        "agent" => json!({"type": "agent_response",
            "agent_response_event": {"agent_response": text, "event_id": number}}),
        _ => json!({"type": "user_transcript",
            "user_transcription_event": {"user_transcript": text, "event_id": number}}),
    };
    Some(event.to_string())
}

async fn run(shared: Arc<Shared>, entry: Arc<Entry>, mut socket: WebSocket) {
    entry.note(|view| view.monitors += 1);
    let token = shared.tasks.token().clone();
    tokio::select! {
        biased;
        () = token.cancelled() => {}
        () = tell(&entry, &mut socket) => {}
    }
    entry.note(|view| view.monitors -= 1);
    let goodbye = Message::Close(Some(CloseFrame {
        code: 1000,
        reason: "".into(),
    }));
    drop(timeout(SEND_WITHIN, socket.send(goodbye)).await);
}

/// Until the conversation is over or nobody reads.
async fn tell(entry: &Entry, socket: &mut WebSocket) {
    let mut view = entry.view.subscribe();
    let mut told = view.borrow().lines.len().saturating_sub(REPEATED);
    let history = view.borrow_and_update().lines.len();
    let mut control = Some(json!({"type": "connected"}).to_string());
    loop {
        let (lines, open) = {
            let now: &ConversationView = &view.borrow_and_update();
            let new: Vec<String> = now.lines.iter().skip(told).cloned().collect();
            (new, now.open)
        };
        let mut messages: Vec<String> = control.take().into_iter().collect();
        for line in lines {
            told += 1;
            messages.extend(event(told, &line));
            if told == history {
                messages.push(json!({"type": "history_complete"}).to_string());
            }
        }
        for message in messages {
            let sent = timeout(SEND_WITHIN, socket.send(Message::Text(message.into()))).await;
            if !matches!(sent, Ok(Ok(()))) {
                return;
            }
        }
        if !open {
            return;
        }
        // Cancel-safe: a change that is not seen now is seen at the next turn.
        tokio::select! {
            changed = view.changed() => if changed.is_err() { return },
            heard = socket.recv() => if !matches!(heard, Some(Ok(Message::Ping(_) | Message::Pong(_)))) {
                return;
            },
        }
    }
}
