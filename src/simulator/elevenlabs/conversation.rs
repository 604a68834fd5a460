//! One conversation socket: the vendor's order of messages around an actor who listens and speaks.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use bytes::Bytes;
use tokio::time::{Instant, MissedTickBehavior, timeout};

use crate::media::{MediaFormat, Transcoder};
use crate::simulator::cast::Cast;
use crate::simulator::speech::{AgentActor, Cut, Did, Progress};
use crate::simulator::stamped;

use super::state::{Broken, Entry, Shared};
use super::wire::{self, Begin, Told};

/// The first message must come within this time.
const BEGIN_WITHIN: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(20);
/// Audio in one message: a quarter of a second. One goes out per tick, 12 times real time.
const PIECE_BYTES: usize = 2_000;
/// After its own goodbye the agent waits this long for the bridge to close.
const LINGER: Duration = Duration::from_secs(20);
/// A peer that does not read for this long is gone.
const SEND_WITHIN: Duration = Duration::from_secs(5);

/// Why the loop ended.
enum End {
    /// The bridge closed, with this code (1006 = it vanished).
    Bridge(u16),
    /// The vendor closes with this code and reason.
    Vendor(u16, &'static str),
    /// The socket breaks without a word.
    Abrupt,
}

pub(super) struct Conversation {
    pub(super) shared: Arc<Shared>,
    pub(super) entry: Arc<Entry>,
    pub(super) socket: WebSocket,
}

impl Conversation {
    pub(super) async fn run(mut self) {
        let end = match self.begin().await {
            Ok(begin) => match self.shared.cfg.load {
                Some(how) => {
                    self.entry.note(|view| view.begin = Some(begin));
                    let shared = &self.shared;
                    let token = shared.tasks.token();
                    let (tally, clock) = (&shared.tally, shared.clock);
                    let words = &mut super::load::Words;
                    stamped::talk(how, tally, clock, token, &mut self.socket, words).await;
                    End::Bridge(1000)
                }
                None => self.talk(begin).await,
            },
            Err(end) => end,
        };
        let code = match end {
            End::Bridge(code) => Some(code),
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

    async fn begin(&mut self) -> Result<Begin, End> {
        let first = timeout(BEGIN_WITHIN, self.socket.recv()).await;
        let text = match first {
            Ok(Some(Ok(Message::Text(text)))) => text,
            Ok(Some(Ok(Message::Close(frame)))) => {
                return Err(End::Bridge(frame.map_or(1005, |f| f.code)));
            }
            Ok(Some(Ok(_))) => return Err(End::Vendor(1008, "text frames only")),
            Ok(Some(Err(_)) | None) => return Err(End::Bridge(1006)),
            Err(_) => return Err(End::Vendor(1008, "no conversation_initiation_client_data")),
        };
        let begin = match wire::read(text.as_str()) {
            Ok(Told::Begin(begin)) => *begin,
            Ok(_) => {
                return Err(self
                    .refuse("the first message must be conversation_initiation_client_data")
                    .await);
            }
            Err(why) => return Err(self.refuse(&why).await),
        };
        tokio::time::sleep(self.shared.cfg.ready_after).await;
        let cfg = &self.shared.cfg;
        let metadata = wire::metadata(&self.entry.id, &cfg.output_format, &cfg.input_format);
        self.send(metadata).await?;
        Ok(begin)
    }

    async fn talk(&mut self, begin: Begin) -> End {
        let key = call_key(&begin);
        let shared = Arc::clone(&self.shared);
        let broken = shared.resume(&key);
        let script = shared.cfg.cast.find(
            &begin.variable("caller_number"),
            &begin.variable("called_number"),
        );
        let script = script
            .or_else(|| {
                let (caller, called) = (
                    begin.variable("system__caller_id"),
                    begin.variable("system__called_number"),
                );
                shared.cfg.cast.find(&caller, &called)
            })
            .or_else(|| Some(Cast::improvise(&customer(&begin)?)))
            .unwrap_or_else(Cast::talkative);
        self.entry.note(|view| view.begin = Some(begin));
        if broken.is_some_and(|b| b.for_good) {
            return End::Vendor(1011, "internal error");
        }
        if let Some(code) = shared.cfg.faults.close_at_start {
            return End::Vendor(code, "simulated refusal");
        }
        let progress = broken.map_or_else(Progress::default, |b| b.progress);
        let rng = shared.draw(|rng| rng.fork(&key));
        let began = Instant::now();
        let (input, output) = (
            format(&shared.cfg.input_format),
            format(&shared.cfg.output_format),
        );
        let mut live = Live {
            talk: self,
            actor: AgentActor::new(script, progress, 0, rng),
            key,
            began,
            ears: Transcoder::new(input, MediaFormat::ULAW_8K),
            mouth: Transcoder::new(MediaFormat::ULAW_8K, output),
            output,
            queue: VecDeque::new(),
            ping: (0, None, None),
            dies_at: None,
            over_at: None,
        };
        live.choose_death();
        live.actor
            .slow_down(live.talk.shared.cfg.faults.think_extra_ms);
        live.run().await
    }

    async fn send(&mut self, text: String) -> Result<(), End> {
        match timeout(SEND_WITHIN, self.socket.send(Message::text(text))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(End::Bridge(1006)),
        }
    }

    /// Tells the bridge what it did wrong, as the vendor does, and closes.
    async fn refuse(&mut self, why: &str) -> End {
        self.entry.note(|view| view.refused = Some(why.to_owned()));
        drop(self.send(wire::error(1008, "invalid_message", why)).await);
        End::Vendor(1008, "invalid message")
    }
}

struct Live<'a> {
    talk: &'a mut Conversation,
    actor: AgentActor,
    key: String,
    began: Instant,
    ears: Transcoder,
    mouth: Transcoder,
    output: MediaFormat,
    /// Audio not yet sent: event id and a piece in the output format.
    queue: VecDeque<(u64, Bytes)>,
    /// Last ping id, when it was sent, and the round trip measured before.
    ping: (u64, Option<Instant>, Option<u64>),
    dies_at: Option<Instant>,
    over_at: Option<Instant>,
}

impl Live<'_> {
    fn choose_death(&mut self) {
        let faults = self.talk.shared.cfg.faults;
        if self.talk.shared.draw(|rng| rng.chance(faults.die_pct)) {
            self.dies_at = Some(self.began + Duration::from_millis(faults.die_after_ms));
        }
    }

    async fn run(&mut self) -> End {
        let token = self.talk.shared.tasks.token().clone();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut pings = tokio::time::interval(self.talk.shared.cfg.ping_every);
        loop {
            // Cancel-safe: interval ticks and `recv` lose nothing.
            let step = tokio::select! {
                biased;
                () = token.cancelled() => Err(End::Vendor(1001, "going away")),
                _ = ticks.tick() => self.tick().await,
                _ = pings.tick() => self.send_ping().await,
                message = self.talk.socket.recv() => self.receive(message).await,
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    fn now_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    async fn tick(&mut self) -> Result<(), End> {
        let faults = self.talk.shared.cfg.faults;
        if self.dies_at.is_some_and(|at| Instant::now() >= at) {
            return self.die(faults.die_how, false).await;
        }
        if self.over_at.is_some_and(|at| Instant::now() >= at) {
            return Err(End::Vendor(1000, "agent ended the conversation"));
        }
        let mut did = Vec::new();
        let now_ms = self.now_ms();
        if !faults.silent {
            self.actor.tick(now_ms, &mut did);
        }
        for did in did {
            self.tell(did).await?;
        }
        if let Some((event_id, piece)) = self.queue.pop_front() {
            self.speak(event_id, &piece).await?;
        }
        if faults.garbage_pct > 0.0 && self.talk.shared.draw(|rng| rng.chance(faults.garbage_pct)) {
            let nonsense = self.talk.shared.draw(|rng| {
                let all = [
                    r#"{"type":"brand_new_event","payload":{"a":[1,2,3]}}"#,
                    r#"{"type":"audio","audio_event":{"audio_base_64":"%%%","event_id":1}}"#,
                    r#"{"type":"audio"}"#,
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
        match &did {
            Did::Audio { event_id, audio } => {
                let mut coded = Vec::with_capacity(audio.len());
                self.mouth.convert(audio, &mut coded);
                let coded = Bytes::from(coded);
                let step = PIECE_BYTES * self.output.bytes_per_second() / 8_000;
                let mut from = 0;
                while from < coded.len() {
                    let to = (from + step).min(coded.len());
                    self.queue.push_back((*event_id, coded.slice(from..to)));
                    from = to;
                }
                // The first sound goes out before the words.
                if let Some((event_id, piece)) = self.queue.pop_front() {
                    self.speak(event_id, &piece).await?;
                }
            }
            Did::Interrupted { .. } => {
                let stale = self.queue.pop_front();
                self.queue.clear();
                self.talk.entry.note(|view| view.interruptions += 1);
                self.say(&did).await?;
                // Audio of the cut turn that was already on its way.
                if let Some((event_id, piece)) = stale {
                    self.speak(event_id, &piece).await?;
                }
                return Ok(());
            }
            Did::Died { how, for_good } => return self.die(*how, *for_good).await,
            Did::Said { text, .. } => {
                self.talk
                    .entry
                    .note(|view| view.lines.push(format!("agent: {text}")));
            }
            Did::CallerFinal { text, .. } => {
                self.talk
                    .entry
                    .note(|view| view.lines.push(format!("user: {text}")));
            }
            Did::EndCall { .. } => self.over_at = Some(Instant::now() + LINGER),
            _ => {}
        }
        self.say(&did).await
    }

    async fn say(&mut self, did: &Did) -> Result<(), End> {
        match wire::said(did) {
            Some(text) => self.talk.send(text).await,
            None => Ok(()),
        }
    }

    async fn speak(&mut self, event_id: u64, piece: &[u8]) -> Result<(), End> {
        let ms = self.output.ms(piece.len());
        self.talk.entry.note(|view| view.audio_sent_ms += ms);
        self.talk.send(wire::audio_event(event_id, piece)).await
    }

    async fn send_ping(&mut self) -> Result<(), End> {
        let (id, _, rtt) = self.ping;
        self.ping = (id + 1, Some(Instant::now()), rtt);
        self.talk.send(wire::ping(id + 1, rtt)).await
    }

    async fn receive(&mut self, message: Option<Result<Message, axum::Error>>) -> Result<(), End> {
        let text = match message {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Close(frame))) => {
                return Err(End::Bridge(frame.map_or(1005, |frame| frame.code)));
            }
            Some(Ok(Message::Binary(_))) => return Err(self.talk.refuse("binary frame").await),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => return Ok(()),
            Some(Err(_)) | None => return Err(End::Bridge(1006)),
        };
        let now_ms = self.now_ms();
        let entry = Arc::clone(&self.talk.entry);
        match wire::read(text.as_str()) {
            Ok(Told::Audio(audio)) => {
                let mut heard = Vec::with_capacity(audio.len());
                self.ears.convert(&audio, &mut heard);
                self.actor.hear(now_ms, &heard);
                entry.note(|view| {
                    view.chunks_received += 1;
                    view.audio_received_ms += heard.len() as u64 / 8;
                });
            }
            Ok(Told::Pong(id)) => {
                if id == self.ping.0
                    && let Some(sent) = self.ping.1.take()
                {
                    self.ping.2 = Some(sent.elapsed().as_millis() as u64);
                }
                entry.note(|view| view.pongs += 1);
            }
            Ok(Told::ToolResult {
                id,
                is_error,
                result,
            }) => {
                self.actor.tool_result(&id, is_error, now_ms);
                entry.note(|view| view.tool_results.push(format!("{id}: {result}")));
            }
            Ok(Told::Context(text)) => entry.note(|view| view.contexts.push(text)),
            Ok(Told::UserText(text)) => entry.note(|view| view.user_messages.push(text)),
            Ok(Told::Activity | Told::Other) => {}
            Ok(Told::Begin(_)) => return Err(self.talk.refuse("a second initiation").await),
            Err(why) => return Err(self.talk.refuse(&why).await),
        }
        Ok(())
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

/// What identifies the call over several sockets.
fn call_key(begin: &Begin) -> String {
    let id = begin.variable("call_id");
    if id.is_empty() {
        customer(begin).unwrap_or_default()
    } else {
        id
    }
}

fn customer(begin: &Begin) -> Option<String> {
    let number = begin.variable("caller_number");
    (!number.is_empty()).then_some(number)
}

fn format(word: &str) -> MediaFormat {
    MediaFormat::parse(word).unwrap_or(MediaFormat::ULAW_8K)
}
