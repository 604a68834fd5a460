//! A conversation under way: an actor who listens and speaks, and the vendor's order of messages
//! around it.
//!
//! The vendor never speaks unasked: the actor is let go by the client's `response.create`, or by the
//! caller's voice. One answer at a time; a second request is refused as the vendor refuses it.

mod speaking;

use std::collections::VecDeque;
use std::time::Duration;

use axum::extract::ws::Message;
use bytes::Bytes;
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, timeout};

use crate::simulator::speech::{AgentActor, Cut, Did, ToolVia, Vad};
use crate::simulator::ulaw;

use super::answer::Answer;
use super::conversation::{Conversation, End};
use super::state::Broken;
use super::told::{Refusal, Settings, Told};

const TICK: Duration = Duration::from_millis(20);
/// A request that leads to no words is answered with none after this long.
const NOTHING_TO_SAY_AFTER: Duration = Duration::from_millis(1_500);
/// Voice of this length lets the agent answer a caller nobody greeted.
const VOICE_MIN_MS: u64 = 160;

pub(super) struct Live<'a> {
    pub(super) talk: &'a mut Conversation,
    pub(super) settings: Settings,
    pub(super) actor: AgentActor,
    pub(super) key: String,
    pub(super) began: Instant,
    /// The client asked for an answer, or the caller spoke.
    pub(super) may_speak: bool,
    /// An answer was asked for and none has begun.
    pub(super) asked_at: Option<Instant>,
    pub(super) first_voice: Vad,
    pub(super) answer: Option<Answer>,
    /// What was spoken: item and milliseconds sent.
    pub(super) items: VecDeque<(String, u64)>,
    /// The item of what the caller is saying.
    pub(super) speech: Option<String>,
    pub(super) last_item: Option<String>,
    /// The caller's words on their way to be told.
    pub(super) transcripts: VecDeque<(Instant, String, String)>,
    pub(super) heard_ms: u64,
    pub(super) failed_once: bool,
    pub(super) dies_at: Option<Instant>,
}

impl Live<'_> {
    pub(super) async fn run(&mut self) -> End {
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
                    // Nobody asked: a hushed agent keeps its line to itself.
                    if !self.settings.hushed || self.asked_at.is_some() {
                        self.speak(text, &audio).await?;
                    }
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
            Told::Turns {
                answers,
                interrupts,
            } => {
                self.settings.hushed = !answers;
                self.settings.interrupts = interrupts;
                let hint = if answers { "turns: on" } else { "turns: off" };
                self.talk
                    .entry
                    .note(|view| view.hints.push(hint.to_owned()));
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
        if let Some(text) = verbatim.filter(|_| was_free) {
            let ms = (text.chars().count() as u64 * 60).clamp(400, 8_000);
            let audio = Bytes::from(ulaw::tone(330.0, ms, -14.0));
            return self.speak(text, &audio).await;
        }
        self.asked_at = Some(Instant::now());
        Ok(())
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

/// The sentence that is to be said word for word: the JSON string at the end of the instructions.
fn verbatim(instructions: &str) -> Option<String> {
    let (_, quoted) = instructions.split_once(": \"")?;
    serde_json::from_str(&format!("\"{quoted}")).ok()
}

#[cfg(test)]
mod tests {
    use super::verbatim;

    #[test]
    fn words_to_be_said_are_found() {
        assert_eq!(
            verbatim(r#"Say exactly this: "One \"moment\" please""#).as_deref(),
            Some("One \"moment\" please")
        );
        assert_eq!(verbatim("Go on where you were."), None);
    }
}
