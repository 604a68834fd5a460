//! What the agent says: one answer at a time, and what of it was cut.

use bytes::Bytes;

use super::super::answer::Answer;
use super::super::conversation::End;
use super::super::wire::Place;
use super::Live;

/// Spoken text remembered for cutting, newest last.
const ITEMS_MAX: usize = 32;

impl Live<'_> {
    /// Begins to say a line.
    pub(super) async fn speak(&mut self, text: String, audio: &Bytes) -> Result<(), End> {
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
    pub(super) async fn go_on(&mut self) -> Result<(), End> {
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
    pub(super) async fn finish(&mut self) -> Result<(), End> {
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

    pub(super) async fn cut(&mut self) -> Result<bool, End> {
        let Some(answer) = self.answer.take() else {
            return Ok(false);
        };
        self.last_item = Some(answer.place.item_id.clone());
        let told = answer.cut(&mut self.talk.words);
        self.send_all(told).await?;
        Ok(true)
    }

    pub(super) fn remember(&mut self, item: String, sent_ms: u64) {
        let known = self.items.iter_mut().find(|(known, _)| *known == item);
        if let Some((_, ms)) = known {
            *ms = sent_ms;
            return;
        }
        if self.items.len() == ITEMS_MAX {
            self.items.pop_front();
        }
        self.items.push_back((item, sent_ms));
    }

    pub(super) fn place(&mut self) -> Place {
        Place {
            response_id: self.id("resp_"),
            item_id: self.id("item_"),
        }
    }

    /// An answer without words.
    pub(super) async fn say_nothing(&mut self, status: &str) -> Result<(), End> {
        self.asked_at = None;
        let id = self.id("resp_");
        let mut told = vec![self.talk.words.response_created(&id)];
        told.extend(self.talk.words.response_done(&id, status, 0));
        self.send_all(told).await
    }

    /// A function call is an answer of its own.
    pub(super) async fn call(&mut self, call_id: &str, name: &str, args: &str) -> Result<(), End> {
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

    pub(super) async fn truncate(&mut self, item_id: &str, audio_end_ms: u64) -> Result<(), End> {
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
}
