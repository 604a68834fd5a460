//! The agent's side of a conversation as a client gets it: frames joined into chunks with truthful
//! flags, and each answer's text once, after its audio.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::media::Transcoder;

use super::sound::{LEG, Wish};

/// Bytes of a millisecond of the leg.
const BYTES_PER_MS: usize = 32;
/// The first chunk goes out with so much in it, the others with more: early sound, few messages.
const FIRST_MS: usize = 60;
const CHUNK_MS: usize = 200;
/// Kept back, so that the last chunk of an answer can say that it is the last.
const KEPT_MS: usize = 20;
/// The bridge sends frames as they are heard: so long a pause after the final text is the end.
const QUIET: Duration = Duration::from_millis(160);
/// A text whose audio does not come is told by itself.
const TEXT_ALONE: Duration = Duration::from_millis(300);
/// A pause this long without any final text ends an answer too.
const LOST_TEXT: Duration = Duration::from_secs(4);
/// Texts waiting to be told.
const TEXTS_MAX: usize = 32;

/// One event for the client.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Emit {
    pub event: &'static str,
    pub body: Value,
}

/// What is being said.
#[derive(Debug)]
struct Open {
    /// Of [`LEG`].
    pcm: Vec<u8>,
    chunks: u64,
    heard_at: Duration,
}

/// A line of the agent that is final.
#[derive(Debug)]
struct Line {
    turn: u32,
    text: String,
    at: Duration,
    interrupted: bool,
}

/// See the module's doc.
#[derive(Debug)]
pub(super) struct Answers {
    wish: Wish,
    transcoder: Transcoder,
    /// Answers so far.
    sequence: u64,
    chunk_id: u64,
    is_welcome: bool,
    stream_sid: Option<String>,
    in_reply_to: Option<Value>,
    open: Option<Open>,
    lines: VecDeque<Line>,
    /// Highest turn whose text was told.
    told: u32,
    is_muted: bool,
}

impl Answers {
    pub(super) fn new(wish: Wish) -> Self {
        Self {
            transcoder: Transcoder::new(LEG, wish.format),
            wish,
            sequence: 0,
            chunk_id: 0,
            is_welcome: true,
            stream_sid: None,
            in_reply_to: None,
            open: None,
            lines: VecDeque::new(),
            told: 0,
            is_muted: false,
        }
    }

    /// How the client wants its audio.
    pub(super) fn wish(&self) -> Wish {
        self.wish
    }

    /// A new turn of the client: what is said from now on answers it.
    pub(super) fn asked(&mut self, stream_sid: Option<String>, sequence_id: Option<Value>) {
        self.is_welcome = false;
        self.is_muted = false;
        self.stream_sid = stream_sid.or(self.stream_sid.take());
        self.in_reply_to = sequence_id;
    }

    /// The client's stream, echoed from now on.
    pub(super) fn streams(&mut self, stream_sid: Option<String>) {
        self.stream_sid = stream_sid.or(self.stream_sid.take());
    }

    /// Nothing of the present answer is wanted; frames on their way are thrown away.
    pub(super) fn mute(&mut self) {
        self.is_muted = true;
        self.open = None;
    }

    pub(super) fn unmute(&mut self) {
        self.is_muted = false;
    }

    /// The bridge threw away what it had.
    pub(super) fn cleared(&mut self) {
        self.is_muted = false;
        self.open = None;
    }

    /// Something is being said, or its text waits.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some() || !self.lines.is_empty()
    }

    /// A frame of the agent.
    pub(super) fn audio(&mut self, now: Duration, pcm: &[u8]) -> Vec<Emit> {
        if self.is_muted {
            return Vec::new();
        }
        let open = self.open.get_or_insert_with(|| Open {
            pcm: Vec::new(),
            chunks: 0,
            heard_at: now,
        });
        if open.chunks == 0 && open.pcm.is_empty() {
            self.sequence += 1;
            self.transcoder.reset();
        }
        open.pcm.extend_from_slice(pcm);
        open.heard_at = now;
        let wanted = if open.chunks == 0 { FIRST_MS } else { CHUNK_MS };
        if open.pcm.len() < (wanted + KEPT_MS) * BYTES_PER_MS {
            return Vec::new();
        }
        let rest = open.pcm.split_off(open.pcm.len() - KEPT_MS * BYTES_PER_MS);
        let chunk = std::mem::replace(&mut open.pcm, rest);
        vec![self.chunk(&chunk, false)]
    }

    /// A line of the agent is final.
    pub(super) fn said(&mut self, now: Duration, turn: u32, text: &str) {
        self.line(now, turn, text, false);
    }

    /// The caller heard only this of a line.
    pub(super) fn cut(&mut self, now: Duration, turn: u32, heard: &str) {
        self.line(now, turn, heard, true);
    }

    fn line(&mut self, now: Duration, turn: u32, text: &str, interrupted: bool) {
        if turn <= self.told {
            return;
        }
        if let Some(line) = self.lines.iter_mut().find(|line| line.turn == turn) {
            // What was heard stands, whatever is said of it afterwards.
            if interrupted || !line.interrupted {
                text.clone_into(&mut line.text);
                line.interrupted |= interrupted;
            }
            return;
        }
        if self.lines.len() == TEXTS_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back(Line {
            turn,
            text: text.to_owned(),
            at: now,
            interrupted,
        });
    }

    /// What is due by now; the flag says that an answer ended with it.
    pub(super) fn poll(&mut self, now: Duration) -> (Vec<Emit>, bool) {
        let is_over = match &self.open {
            Some(open) => {
                let quiet = now.saturating_sub(open.heard_at);
                quiet >= LOST_TEXT || (quiet >= QUIET && !self.lines.is_empty())
            }
            None => self
                .lines
                .front()
                .is_some_and(|line| now.saturating_sub(line.at) >= TEXT_ALONE),
        };
        if !is_over {
            return (Vec::new(), false);
        }
        let mut out = Vec::new();
        if let Some(open) = self.open.take() {
            // The transcoder keeps the filter's tail; a little silence brings it out.
            let tail = [&open.pcm[..], &[0; 4 * BYTES_PER_MS]].concat();
            out.push(self.chunk_of(&tail, open.chunks == 0, true));
        } else {
            self.sequence += 1;
        }
        out.extend(self.text());
        self.in_reply_to = None;
        (out, true)
    }

    fn text(&mut self) -> Option<Emit> {
        let mut words = Vec::new();
        let mut interrupted = false;
        for line in self.lines.drain(..) {
            self.told = self.told.max(line.turn);
            interrupted |= line.interrupted;
            if !line.text.is_empty() {
                words.push(line.text);
            }
        }
        if words.is_empty() {
            return None;
        }
        let mut meta = self.meta();
        if interrupted {
            meta.insert("interrupted".into(), json!(true));
        }
        Some(Emit {
            event: "text",
            body: json!({"data": words.join(" "), "meta_info": meta}),
        })
    }

    fn chunk(&mut self, pcm: &[u8], is_last: bool) -> Emit {
        let is_first = match &mut self.open {
            Some(open) => {
                open.chunks += 1;
                open.chunks == 1
            }
            None => true,
        };
        self.chunk_of(pcm, is_first, is_last)
    }

    fn chunk_of(&mut self, pcm: &[u8], is_first: bool, is_last: bool) -> Emit {
        self.chunk_id += 1;
        let data = self.wish.encode(&mut self.transcoder, pcm);
        let mut meta = self.meta();
        meta.insert("format".into(), json!(self.wish.name()));
        meta.insert("sample_rate".into(), json!(self.wish.format.rate_hz));
        meta.insert("chunk_id".into(), json!(self.chunk_id));
        meta.insert("is_first_chunk".into(), json!(is_first));
        meta.insert("end_of_llm_stream".into(), json!(is_last));
        meta.insert("end_of_synthesizer_stream".into(), json!(is_last));
        meta.insert("cached".into(), json!(false));
        Emit {
            event: "audio",
            body: json!({"data": data, "meta_info": meta}),
        }
    }

    fn meta(&self) -> Map<String, Value> {
        let category = if self.is_welcome {
            "agent_welcome_message"
        } else {
            "agent_response"
        };
        let mut meta = Map::new();
        meta.insert("sequence_id".into(), json!(self.sequence));
        meta.insert("message_category".into(), json!(category));
        if let Some(id) = &self.in_reply_to {
            meta.insert("in_reply_to".into(), id.clone());
        }
        if let Some(sid) = &self.stream_sid {
            meta.insert("stream_sid".into(), json!(sid));
        }
        meta
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers() -> Answers {
        Answers::new(Wish::read(None, None).unwrap())
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn frames(answers: &mut Answers, from: u64, count: u64) -> Vec<Emit> {
        (0..count)
            .flat_map(|n| answers.audio(ms(from + n * 20), &[0; 640]))
            .collect()
    }

    fn flag(emit: &Emit, name: &str) -> bool {
        emit.body["meta_info"][name] == true
    }

    #[test]
    fn the_first_and_the_last_chunk_say_so_and_the_text_comes_after() {
        let mut answers = answers();
        let mut out = frames(&mut answers, 0, 40);
        answers.said(ms(300), 1, "Hello there.");
        assert!(answers.poll(ms(900)).0.is_empty(), "audio may follow");
        let (rest, is_over) = answers.poll(ms(1_000));
        assert!(is_over);
        out.extend(rest);
        let audio: Vec<&Emit> = out.iter().filter(|e| e.event == "audio").collect();
        let firsts: Vec<bool> = audio.iter().map(|e| flag(e, "is_first_chunk")).collect();
        let lasts: Vec<bool> = audio
            .iter()
            .map(|e| flag(e, "end_of_synthesizer_stream"))
            .collect();
        assert!(audio.len() >= 4 && audio.len() <= 6);
        assert_eq!(firsts.iter().position(|f| *f), Some(0));
        assert_eq!(firsts.iter().filter(|f| **f).count(), 1);
        assert_eq!(lasts.iter().position(|l| *l), Some(audio.len() - 1));
        let ids: Vec<u64> = audio
            .iter()
            .map(|e| e.body["meta_info"]["chunk_id"].as_u64().unwrap())
            .collect();
        assert!(ids.windows(2).all(|pair| pair[1] == pair[0] + 1));
        let text = out.last().unwrap();
        assert_eq!(
            (text.event, &text.body["data"]),
            ("text", &json!("Hello there."))
        );
        assert_eq!(
            text.body["meta_info"]["message_category"],
            "agent_welcome_message"
        );
        assert!(!answers.is_open());
    }

    #[test]
    fn a_turn_is_echoed_and_numbered() {
        let mut answers = answers();
        answers.said(ms(0), 1, "Welcome.");
        assert!(answers.poll(ms(400)).1);
        answers.asked(Some("MZ1".into()), Some(json!(42)));
        frames(&mut answers, 500, 5);
        answers.said(ms(600), 3, "Yes.");
        let (out, _) = answers.poll(ms(900));
        let meta = &out[0].body["meta_info"];
        assert_eq!(meta["sequence_id"], 2);
        assert_eq!(meta["stream_sid"], "MZ1");
        assert_eq!(meta["in_reply_to"], 42);
        assert_eq!(meta["message_category"], "agent_response");
        assert_eq!(meta["format"], "wav");
    }

    #[test]
    fn after_a_clear_nothing_of_the_answer_comes_but_what_was_heard() {
        let mut answers = answers();
        answers.asked(None, None);
        frames(&mut answers, 0, 20);
        answers.mute();
        assert!(frames(&mut answers, 400, 20).is_empty());
        answers.cleared();
        answers.cut(ms(800), 2, "Once upon");
        answers.said(ms(810), 2, "Once upon a time.");
        let (out, is_over) = answers.poll(ms(1_200));
        assert!(is_over && out.len() == 1);
        assert_eq!(out[0].body["data"], "Once upon");
        assert!(flag(&out[0], "interrupted"));
        answers.said(ms(1_300), 2, "Once upon a time.");
        assert!(!answers.is_open(), "told once");
    }
}
