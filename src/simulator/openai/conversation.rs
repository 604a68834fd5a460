//! One conversation socket from its greeting to its close; what happens between is `live`'s.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use serde_json::Value;
use tokio::time::{Instant, timeout};

use crate::simulator::cast::Cast;
use crate::simulator::speech::{AgentActor, Progress, Vad};
use crate::simulator::stamped::{self, Stamped};

use super::live::Live;
use super::load::LoadWords;
use super::state::{Entry, Shared};
use super::told::{self, Refusal, Settings, Told};
use super::wire::{About, Place, Words};

/// The settings must come within this time.
const SETTINGS_WITHIN: Duration = Duration::from_secs(10);
/// A peer that does not read for this long is gone.
const SEND_WITHIN: Duration = Duration::from_secs(5);

/// Why the loop ended.
pub(super) enum End {
    /// The client closed, with this code (1006 = it vanished).
    Client(u16),
    /// The vendor closes with this code and reason.
    Vendor(u16, &'static str),
    /// The socket breaks without a word.
    Abrupt,
}

pub(super) struct Conversation {
    pub(super) shared: Arc<Shared>,
    pub(super) entry: Arc<Entry>,
    pub(super) socket: WebSocket,
    pub(super) words: Words,
}

impl Conversation {
    pub(super) async fn run(mut self) {
        let end = match self.begin().await {
            Ok(settings) => match self.shared.cfg.load {
                Some(how) => self.load(how).await,
                None => self.talk(settings).await,
            },
            Err(end) => end,
        };
        let code = match end {
            End::Client(code) => Some(code),
            End::Vendor(code, reason) => {
                let frame = CloseFrame {
                    code,
                    reason: reason.into(),
                };
                drop(timeout(SEND_WITHIN, self.socket.send(Message::Close(Some(frame)))).await);
                None
            }
            End::Abrupt => None,
        };
        self.entry.note(|view| {
            view.open = false;
            view.closed = code;
        });
    }

    /// Greets, and waits for the first settings that can be accepted.
    async fn begin(&mut self) -> Result<Settings, End> {
        self.send_session("session.created", &Value::Null).await?;
        let deadline = Instant::now() + SETTINGS_WITHIN;
        loop {
            let message = tokio::time::timeout_at(deadline, self.socket.recv()).await;
            let Ok(message) = message else {
                return Err(End::Vendor(1000, "no session.update"));
            };
            if let Some(Told::Session(settings)) = self.read(message).await? {
                tokio::time::sleep(self.shared.cfg.ready_after).await;
                self.settle(&settings).await?;
                return Ok(*settings);
            }
        }
    }

    pub(super) async fn settle(&mut self, settings: &Settings) -> Result<(), End> {
        self.entry
            .note(|view| view.session = Some(settings.session.clone()));
        self.send_session("session.updated", &settings.session)
            .await
    }

    async fn send_session(&mut self, kind: &str, settled: &Value) -> Result<(), End> {
        let about = About {
            id: &self.entry.id,
            model: &self.entry.model,
            expires_at: self.entry.expires_at,
        };
        let text = self.words.session(kind, &about, settled);
        self.send(text).await
    }

    /// A message read; refusals are told and counted here.
    pub(super) async fn read(
        &mut self,
        message: Option<Result<Message, axum::Error>>,
    ) -> Result<Option<Told>, End> {
        let text = match message {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Close(frame))) => {
                return Err(End::Client(frame.map_or(1005, |frame| frame.code)));
            }
            Some(Ok(Message::Binary(_))) => return Err(End::Vendor(1003, "text frames only")),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => return Ok(None),
            Some(Err(_)) | None => return Err(End::Client(1006)),
        };
        match told::read(text.as_str(), self.shared.cfg.beta) {
            Ok(told) => Ok(Some(told)),
            Err(refusal) => self.refuse(&refusal).await.map(|()| None),
        }
    }

    pub(super) async fn refuse(&mut self, refusal: &Refusal) -> Result<(), End> {
        let told = format!("{}: {}", refusal.code, refusal.message);
        self.entry.note(|view| view.refused.push(told));
        let text = self.words.error(refusal);
        self.send(text).await
    }

    pub(super) async fn send(&mut self, text: String) -> Result<(), End> {
        match timeout(SEND_WITHIN, self.socket.send(Message::text(text))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(End::Client(1006)),
        }
    }

    async fn load(&mut self, how: Stamped) -> End {
        let shared = Arc::clone(&self.shared);
        let mut words = LoadWords {
            words: &mut self.words,
            beta: shared.cfg.beta,
            place: Place::default(),
            spoken_ms: 0,
            heard_ms: 0,
        };
        let token = shared.tasks.token();
        let (tally, clock) = (&shared.tally, shared.clock);
        stamped::talk(how, tally, clock, token, &mut self.socket, &mut words).await;
        End::Client(1000)
    }

    async fn talk(&mut self, settings: Settings) -> End {
        let shared = Arc::clone(&self.shared);
        let numbers = numbers(&settings.instructions);
        let key = numbers.join(" ");
        let broken = shared.resume(&key);
        if broken.is_some_and(|broken| broken.for_good) {
            return End::Vendor(1011, "internal error");
        }
        if let Some(code) = shared.cfg.faults.close_at_start {
            return End::Vendor(code, "simulated refusal");
        }
        let (one, other) = (numbers.first(), numbers.get(1));
        let script = match one {
            Some(one) => shared
                .cfg
                .cast
                .find(one, other.unwrap_or(one))
                .unwrap_or_else(|| Cast::improvise(one)),
            None => Cast::talkative(),
        };
        let progress = broken.map_or_else(Progress::default, |broken| broken.progress);
        let rng = shared.draw(|rng| rng.fork(&key));
        let mut actor = AgentActor::new(script, progress, 0, rng);
        actor.slow_down(shared.cfg.faults.think_extra_ms);
        let faults = shared.cfg.faults;
        let began = Instant::now();
        let dies = shared.draw(|rng| rng.chance(faults.die_pct));
        let mut live = Live {
            talk: self,
            settings,
            actor,
            key,
            began,
            may_speak: false,
            asked_at: None,
            first_voice: Vad::default(),
            answer: None,
            items: VecDeque::new(),
            speech: None,
            last_item: None,
            transcripts: VecDeque::new(),
            heard_ms: 0,
            failed_once: !shared.cfg.fail_first_answer,
            dies_at: dies.then(|| began + Duration::from_millis(faults.die_after_ms)),
        };
        live.run().await
    }
}

/// The phone numbers in the instructions: how the actor knows which call this is.
pub(super) fn numbers(text: &str) -> Vec<String> {
    let mut numbers = Vec::new();
    for piece in text.split('+').skip(1) {
        let digits: String = piece.chars().take_while(char::is_ascii_digit).collect();
        if (8..=15).contains(&digits.len()) {
            numbers.push(format!("+{digits}"));
        }
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_call_is_known_by_the_numbers_in_the_instructions() {
        assert_eq!(
            numbers("Call +15555550142 to +15555550200, code +1, C+D."),
            ["+15555550142", "+15555550200"]
        );
        assert!(numbers("no number").is_empty());
    }
}
