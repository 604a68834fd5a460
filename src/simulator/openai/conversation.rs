//! One conversation socket: the vendor's order of messages around an actor who listens and speaks.
//!
//! The vendor never speaks unasked: the actor is let go by the client's `response.create`, or by the
//! caller's voice. One answer at a time; a second request is refused as the vendor refuses it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, timeout};

use crate::simulator::cast::Cast;
use crate::simulator::speech::{AgentActor, Cut, Did, Progress, ToolVia, Vad};
use crate::simulator::ulaw;

use super::answer::Answer;
use super::state::{Broken, Entry, Shared};
use super::told::{self, Refusal, Settings, Told};
use super::wire::{Place, Words};

/// The settings must come within this time.
const SETTINGS_WITHIN: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(20);
/// A request that leads to no words is answered with none after this long.
const NOTHING_TO_SAY_AFTER: Duration = Duration::from_millis(1_500);
/// A peer that does not read for this long is gone.
const SEND_WITHIN: Duration = Duration::from_secs(5);
/// Voice of this length lets the agent answer a caller nobody greeted.
const VOICE_MIN_MS: u64 = 160;
/// Spoken text remembered for cutting, newest last.
const ITEMS_MAX: usize = 32;

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
            Ok(settings) => self.talk(settings).await,
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
        let (id, model) = (self.entry.id.clone(), self.entry.model.clone());
        let created = self
            .words
            .session("session.created", &id, &model, &Value::Null);
        self.send(created).await?;
        let deadline = Instant::now() + SETTINGS_WITHIN;
        loop {
            let message = tokio::time::timeout_at(deadline, self.socket.recv()).await;
            let Ok(message) = message else {
                return Err(End::Vendor(1000, "no session.update"));
            };
            match self.read(message).await? {
                Some(Told::Session(settings)) => {
                    tokio::time::sleep(self.shared.cfg.ready_after).await;
                    self.settle(&settings).await?;
                    return Ok(*settings);
                }
                Some(_) | None => {}
            }
        }
    }

    async fn settle(&mut self, settings: &Settings) -> Result<(), End> {
        self.entry
            .note(|view| view.session = Some(settings.session.clone()));
        let (id, model) = (self.entry.id.clone(), self.entry.model.clone());
        let text = self
            .words
            .session("session.updated", &id, &model, &settings.session);
        self.send(text).await
    }

    /// A message read; refusals are told and counted here.
    async fn read(
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

    async fn send(&mut self, text: String) -> Result<(), End> {
        match timeout(SEND_WITHIN, self.socket.send(Message::text(text))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(End::Client(1006)),
        }
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

struct Live<'a> {
    talk: &'a mut Conversation,
    settings: Settings,
    actor: AgentActor,
    key: String,
    began: Instant,
    /// The client asked for an answer, or the caller spoke.
    may_speak: bool,
    /// An answer was asked for and none has begun.
    asked_at: Option<Instant>,
    first_voice: Vad,
    answer: Option<Answer>,
    /// What was spoken: item and milliseconds sent.
    items: VecDeque<(String, u64)>,
    /// The item of what the caller is saying.
    speech: Option<String>,
    last_item: Option<String>,
    /// The caller's words on their way to be told.
    transcripts: VecDeque<(Instant, String, String)>,
    heard_ms: u64,
    failed_once: bool,
    dies_at: Option<Instant>,
}

impl Live<'_> {
    async fn run(&mut self) -> End {
        let token = self.talk.shared.tasks.token().clone();
        let expires = self.talk.shared.cfg.expires_after;
        let expires_at = expires.map(|after| self.began + after);
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if expires_at.is_some_and(|at| Instant::now() >= at) {
                return self.expire().await;
            }
            // Cancel-safe: interval ticks and `recv` lose nothing.
            let step = tokio::select! {
                biased;
                () = token.cancelled() => Err(End::Vendor(1001, "going away")),
                _ = ticks.tick() => self.tick().await,
                message = self.talk.socket.recv() => self.receive(message).await,
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    async fn expire(&mut self) -> End {
        let refusal = Refusal {
            code: "session_expired",
            message: "Your session hit the maximum duration of 60 minutes.".to_owned(),
            param: None,
            event_id: None,
        };
        let text = self.talk.words.error(&refusal);
        match self.talk.send(text).await {
            Ok(()) => End::Vendor(1001, "session expired"),
            Err(end) => end,
        }
    }

    fn now_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    fn id(&mut self, prefix: &str) -> String {
        self.talk.shared.draw(|rng| rng.sid(prefix))
    }

    async fn send_all(&mut self, texts: impl IntoIterator<Item = String>) -> Result<(), End> {
        for text in texts {
            self.talk.send(text).await?;
        }
        Ok(())
    }

    async fn tick(&mut self) -> Result<(), End> {
        let faults = self.talk.shared.cfg.faults;
        if self.dies_at.is_some_and(|at| Instant::now() >= at) {
            return self.die(faults.die_how, false).await;
        }
        if !self.may_speak && self.first_voice.span_ms >= VOICE_MIN_MS {
            self.may_speak = true;
        }
        let mut did = Vec::new();
        if self.may_speak && !faults.silent {
            self.actor.tick(self.now_ms(), &mut did);
        }
        let mut spoken = None;
        for did in did {
            match did {
                // Sound and words of one line belong together.
                Did::Audio { audio, .. } => spoken = Some(audio),
                Did::Said { text, .. } => {
                    let audio = spoken.take().unwrap_or_default();
                    self.speak(text, &audio).await?;
                }
                did => self.tell(did).await?,
            }
        }
        self.go_on().await?;
        self.write_down().await?;
        if self
            .asked_at
            .is_some_and(|at| at.elapsed() >= NOTHING_TO_SAY_AFTER)
        {
            self.say_nothing("completed").await?;
        }
        if faults.garbage_pct > 0.0 && self.talk.shared.draw(|rng| rng.chance(faults.garbage_pct)) {
            let nonsense = self.talk.shared.draw(|rng| {
                let all = [
                    r#"{"type":"brand.new.event","event_id":"e","payload":{"a":[1]}}"#,
                    r#"{"type":"response.output_audio.delta","item_id":"i","delta":"%%%"}"#,
                    r#"{"type":"response.output_audio.delta"}"#,
                    "{\"type\":",
                    "null",
                ];
                rng.pick(&all).copied().unwrap_or("null")
            });
            self.talk.send(nonsense.to_owned()).await?;
        }
        Ok(())
    }

    /// Begins to say a line.
    async fn speak(&mut self, text: String, audio: &Bytes) -> Result<(), End> {
        self.finish().await?;
        if !std::mem::replace(&mut self.failed_once, true) {
            self.say_nothing("failed").await?;
        }
        let place = self.place();
        self.talk.entry.note(|view| {
            view.answers += 1;
            view.lines.push(format!("agent: {text}"));
        });
        let (answer, told) = Answer::begin(place, text, audio, &mut self.talk.words);
        self.answer = Some(answer);
        self.asked_at = None;
        self.send_all(told).await?;
        self.go_on().await
    }

    /// The next piece of the answer, or its end.
    async fn go_on(&mut self) -> Result<(), End> {
        let Some(answer) = &mut self.answer else {
            return Ok(());
        };
        match answer.next(&mut self.talk.words) {
            Some(told) => {
                let (item, sent_ms) = (answer.place.item_id.clone(), answer.sent_ms());
                self.remember(item, sent_ms);
                self.send_all(told).await
            }
            None => self.finish().await,
        }
    }

    /// Sends what is left of the answer at once.
    async fn finish(&mut self) -> Result<(), End> {
        let Some(mut answer) = self.answer.take() else {
            return Ok(());
        };
        let mut told = Vec::new();
        while let Some(more) = answer.next(&mut self.talk.words) {
            told.extend(more);
        }
        let (item, sent_ms) = (answer.place.item_id.clone(), answer.sent_ms());
        self.remember(item.clone(), sent_ms);
        self.last_item = Some(item);
        self.talk.entry.note(|view| view.audio_sent_ms += sent_ms);
        told.extend(answer.end(&mut self.talk.words));
        self.send_all(told).await
    }

    async fn cut(&mut self) -> Result<bool, End> {
        let Some(answer) = self.answer.take() else {
            return Ok(false);
        };
        self.last_item = Some(answer.place.item_id.clone());
        let told = answer.cut(&mut self.talk.words);
        self.send_all(told).await?;
        Ok(true)
    }

    fn remember(&mut self, item: String, sent_ms: u64) {
        match self.items.iter_mut().find(|(known, _)| *known == item) {
            Some((_, ms)) => *ms = sent_ms,
            None => {
                if self.items.len() == ITEMS_MAX {
                    self.items.pop_front();
                }
                self.items.push_back((item, sent_ms));
            }
        }
    }

    fn place(&mut self) -> Place {
        Place {
            response_id: self.id("resp_"),
            item_id: self.id("item_"),
        }
    }

    /// An answer without words.
    async fn say_nothing(&mut self, status: &str) -> Result<(), End> {
        self.asked_at = None;
        let id = self.id("resp_");
        let mut told = vec![self.talk.words.response_created(&id)];
        told.extend(self.talk.words.response_done(&id, status, 0));
        self.send_all(told).await
    }

    async fn tell(&mut self, did: Did) -> Result<(), End> {
        match did {
            Did::Interrupted { .. } => {
                self.caller_speaks().await?;
                if self.settings.interrupts {
                    self.cut().await?;
                }
                self.talk.entry.note(|view| view.interruptions += 1);
                Ok(())
            }
            Did::CallerTentative { .. } => self.caller_speaks().await,
            Did::CallerFinal { text, .. } => self.caller_spoke(text).await,
            Did::ToolCall { id, name, args, .. } => self.call(&id, &name, &args.to_string()).await,
            Did::EndCall { .. } => {
                if self.settings.tools.iter().any(|tool| tool == "end_call") {
                    let id = self.id("call_");
                    return self.call(&id, "end_call", "{}").await;
                }
                Ok(())
            }
            Did::Died { how, for_good } => self.die(how, for_good).await,
            // This vendor runs no tools of its own, and leaves the cut text to its client.
            Did::Audio { .. }
            | Did::Said { .. }
            | Did::Corrected { .. }
            | Did::ToolRequest { .. }
            | Did::ToolDone {
                via: ToolVia::Client | ToolVia::Webhook,
                ..
            } => Ok(()),
        }
    }

    async fn caller_speaks(&mut self) -> Result<(), End> {
        if self.speech.is_some() {
            return Ok(());
        }
        let item = self.id("item_");
        let text = self.talk.words.speech_started(&item, self.heard_ms);
        self.speech = Some(item);
        self.talk.send(text).await
    }

    async fn caller_spoke(&mut self, text: String) -> Result<(), End> {
        self.caller_speaks().await?;
        let Some(item) = self.speech.take() else {
            return Ok(());
        };
        let mut told = vec![self.talk.words.speech_stopped(&item, self.heard_ms)];
        told.extend(self.talk.words.committed(&item, self.last_item.as_deref()));
        self.last_item = Some(item.clone());
        self.talk
            .entry
            .note(|view| view.lines.push(format!("user: {text}")));
        if self.settings.transcribes {
            let at = Instant::now() + self.talk.shared.cfg.transcript_after;
            self.transcripts.push_back((at, item, text));
        }
        self.send_all(told).await
    }

    async fn write_down(&mut self) -> Result<(), End> {
        while self
            .transcripts
            .front()
            .is_some_and(|(at, ..)| *at <= Instant::now())
        {
            let Some((_, item, text)) = self.transcripts.pop_front() else {
                break;
            };
            let told = self.talk.words.transcribed(&item, &text);
            self.send_all(told).await?;
        }
        Ok(())
    }

    /// A function call is an answer of its own.
    async fn call(&mut self, call_id: &str, name: &str, args: &str) -> Result<(), End> {
        self.finish().await?;
        self.asked_at = None;
        let place = self.place();
        let mut told = vec![self.talk.words.response_created(&place.response_id)];
        told.extend(self.talk.words.function_call(&place, call_id, name, args));
        told.extend(
            self.talk
                .words
                .response_done(&place.response_id, "completed", 0),
        );
        self.send_all(told).await
    }

    async fn receive(&mut self, message: Option<Result<Message, axum::Error>>) -> Result<(), End> {
        let Some(told) = self.talk.read(message).await? else {
            return Ok(());
        };
        let now_ms = self.now_ms();
        match told {
            Told::Audio(audio) => {
                let ms = audio.len() as u64 / 8;
                self.heard_ms += ms;
                if !self.may_speak {
                    self.first_voice.hear(&audio, ms);
                }
                self.actor.hear(now_ms, &audio);
                self.talk.entry.note(|view| view.audio_received_ms += ms);
            }
            Told::Session(settings) => {
                self.talk.settle(&settings).await?;
                self.settings = *settings;
            }
            Told::Text { role, text } => {
                self.talk
                    .entry
                    .note(|view| view.hints.push(format!("{role}: {text}")));
                let item = json!({"id": self.id("item_"), "object": "realtime.item",
                    "type": "message", "role": role, "status": "completed",
                    "content": [{"type": "input_text", "text": text}]});
                let text = self.talk.words.item_added(&item);
                self.talk.send(text).await?;
            }
            Told::ToolOutput { call_id, output } => {
                let failed = output.contains("\"ok\":false");
                self.actor.tool_result(&call_id, failed, now_ms);
                self.talk
                    .entry
                    .note(|view| view.tool_outputs.push(format!("{call_id}: {output}")));
                // What was found is not spoken of before somebody asks.
                self.may_speak = false;
            }
            Told::Create { instructions } => self.create(instructions).await?,
            Told::Cancel { .. } => {
                self.talk.entry.note(|view| view.cancels += 1);
                if !self.cut().await? {
                    self.complain("response_cancel_not_active", "no active response")
                        .await?;
                }
            }
            Told::Truncate {
                item_id,
                audio_end_ms,
            } => self.truncate(&item_id, audio_end_ms).await?,
            Told::Other => {}
        }
        Ok(())
    }

    async fn create(&mut self, instructions: Option<String>) -> Result<(), End> {
        if self.answer.is_some() || self.asked_at.is_some() {
            return self
                .complain(
                    "conversation_already_has_active_response",
                    "Conversation already has an active response",
                )
                .await;
        }
        let was_free = std::mem::replace(&mut self.may_speak, true);
        let verbatim = instructions.as_deref().and_then(verbatim);
        match verbatim.filter(|_| was_free) {
            Some(text) => {
                let ms = (text.chars().count() as u64 * 60).clamp(400, 8_000);
                let audio = Bytes::from(ulaw::tone(330.0, ms, -14.0));
                self.speak(text, &audio).await
            }
            None => {
                self.asked_at = Some(Instant::now());
                Ok(())
            }
        }
    }

    async fn truncate(&mut self, item_id: &str, audio_end_ms: u64) -> Result<(), End> {
        let sent_ms = self
            .items
            .iter()
            .find(|(item, _)| item == item_id)
            .map(|(_, ms)| *ms);
        match sent_ms {
            None => {
                self.complain("item_not_found", "the item does not exist")
                    .await
            }
            Some(sent_ms) if audio_end_ms > sent_ms => {
                let why = format!(
                    "Audio content of {sent_ms}ms is already shorter than {audio_end_ms}ms"
                );
                self.complain("invalid_value", &why).await
            }
            Some(_) => {
                self.talk
                    .entry
                    .note(|view| view.truncations.push((item_id.to_owned(), audio_end_ms)));
                let text = self.talk.words.truncated(item_id, audio_end_ms);
                self.talk.send(text).await
            }
        }
    }

    async fn complain(&mut self, code: &'static str, message: &str) -> Result<(), End> {
        let refusal = Refusal {
            code,
            message: message.to_owned(),
            param: None,
            event_id: None,
        };
        self.talk.refuse(&refusal).await
    }

    async fn die(&mut self, how: Cut, for_good: bool) -> Result<(), End> {
        let progress = self.actor.progress();
        self.talk
            .shared
            .broke(self.key.clone(), Broken { progress, for_good });
        match how {
            Cut::Reset => Err(End::Abrupt),
            Cut::Close => Err(End::Vendor(1011, "internal error")),
            Cut::Silence => {
                // Nobody reads, nobody writes, the socket stays.
                let token = self.talk.shared.tasks.token().clone();
                drop(timeout(Duration::from_secs(120), token.cancelled()).await);
                Err(End::Abrupt)
            }
        }
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

/// The sentence that is to be said word for word: the JSON string at the end of the instructions.
fn verbatim(instructions: &str) -> Option<String> {
    let (_, quoted) = instructions.split_once(": \"")?;
    serde_json::from_str(&format!("\"{quoted}")).ok()
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

    #[test]
    fn words_to_be_said_are_found() {
        assert_eq!(
            verbatim(r#"Say exactly this: "One \"moment\" please""#).as_deref(),
            Some("One \"moment\" please")
        );
        assert_eq!(verbatim("Go on where you were."), None);
    }
}
