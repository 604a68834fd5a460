//! One socket in a conversation. What does not fit into its queue waits here, in order and bounded; a
//! socket that takes nothing is let go.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use socketioxide::extract::SocketRef;
use tokio::time::Instant;

use super::super::super::auth::Session as Proof;
use super::super::super::state::App;
use super::super::door::{Gone, Inbox, Newcomer};
use super::super::trouble::Trouble;

/// Events that may wait beyond the socket's own queue. Full: audio goes first.
const UNSENT_MAX: usize = 128;
/// A socket that has taken nothing for this long is stuck.
const STUCK: Duration = Duration::from_secs(20);

/// See the module's doc.
pub(in crate::server::chat) struct Member {
    socket: SocketRef,
    pub inbox: Inbox,
    pub gone: Arc<Gone>,
    proof: Option<Proof>,
    /// The last answer it has from an earlier socket.
    pub since: Option<u64>,
    pub partials: bool,
    pub transcripts: bool,
    pub with_audio: bool,
    unsent: VecDeque<(&'static str, Value)>,
    stuck_since: Option<Instant>,
}

impl Member {
    pub(in crate::server::chat) fn new(
        socket: SocketRef,
        inbox: Inbox,
        gone: Arc<Gone>,
        proof: Option<Proof>,
        newcomer: &Newcomer,
    ) -> Self {
        Self {
            socket,
            inbox,
            gone,
            proof,
            since: newcomer.since,
            partials: newcomer.partials,
            transcripts: newcomer.transcripts,
            with_audio: newcomer.with_audio,
            unsent: VecDeque::new(),
            stuck_since: None,
        }
    }

    /// Joins the rooms of its agent and its conversation.
    pub(super) fn enter(&self, agent: &str, conversation: &str) {
        self.socket.join([
            format!("agent:{agent}"),
            format!("conversation:{conversation}"),
        ]);
    }

    pub(super) fn emit(&mut self, event: &'static str, body: Value) {
        if self.unsent.len() >= UNSENT_MAX {
            let audio = self.unsent.iter().position(|(event, _)| *event == "audio");
            self.unsent.remove(audio.unwrap_or(0));
            metrics::counter!("wallboard_chat_dropped_total").increment(1);
        }
        self.unsent.push_back((event, body));
        self.flush();
    }

    pub(super) fn trouble(&mut self, trouble: &Trouble) {
        metrics::counter!("wallboard_chat_errors_total", "code" => trouble.code).increment(1);
        self.emit("error", serde_json::to_value(trouble).unwrap_or_default());
    }

    /// Sends what there is room for.
    pub(super) fn flush(&mut self) {
        while let Some((event, body)) = self.unsent.front() {
            if self.socket.emit(*event, body).is_err() {
                self.stuck_since.get_or_insert_with(Instant::now);
                return;
            }
            self.unsent.pop_front();
        }
        self.stuck_since = None;
    }

    pub(super) fn is_stuck(&self) -> bool {
        self.stuck_since
            .is_some_and(|since| since.elapsed() >= STUCK)
    }

    /// Strangers need no token where the door is open to all.
    pub(super) fn is_still_allowed(&self, app: &App) -> bool {
        match &self.proof {
            Some(proof) => app.auth.renew(proof, app.core.clock.now()).is_some(),
            None => app.settings.chat_public,
        }
    }

    pub(super) fn put_out(&mut self, trouble: &Trouble) {
        self.trouble(trouble);
        self.leave();
    }

    pub(super) fn leave(&mut self) {
        // It may have been faster.
        let _gone = self.socket.clone().disconnect();
    }
}
