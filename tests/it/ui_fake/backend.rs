//! A backend that plays the sample board, and a sound device that is silent.

use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use wallboard::call::{
    CallId, CallStatus, Command, Envelope, ErrorCode, Fact, Refusal, Reply, Source,
};
use wallboard::engine::{
    Backend, Clock, HistoryPage, HistoryQuery, LinkState, ListenStream, Update,
};
use wallboard::ui::{Pan, Sound, SoundState, sample};

/// Plays the sample board; ends a call when it is told to.
#[derive(Debug)]
pub(super) struct Fake {
    pub(super) clock: Clock,
    pub(super) out: Mutex<Option<tokio::sync::mpsc::Sender<Update>>>,
    pub(super) seq: Mutex<u64>,
    /// A broken backend, called from inside the screen.
    pub(super) panics: bool,
    /// Every text of every call tries to steer the terminal.
    pub(super) hostile: bool,
}

/// Sequences, control characters, C1, bidi, zero width, in one.
pub(super) const HOSTILE: &str = "x\u{1b}]0;t\u{7}\u{1b}[2J\u{1b}[?1049l\u{9b}31m\u{9d}8;;u\u{9c}\u{1b}P+q\u{1b}\\\u{1b}c\u{1b}]52;c;eA==\u{7}\u{202e}y\u{200b}\u{8}\u{0}\r\n\tz";

/// Puts it into every text of every call, whatever the field is called.
pub(super) fn hostile(calls: &mut [wallboard::call::Call]) {
    fn poison(value: &mut serde_json::Value, key: &str) {
        const WORDS: [&str; 17] = [
            "id",
            "status",
            "state",
            "direction",
            "agent_link",
            "media_link",
            "track",
            "kind",
            "severity",
            "band",
            "answered_by",
            "source_kind",
            "command",
            "since",
            "at",
            "role",
            "updated_at",
        ];
        match value {
            serde_json::Value::String(text) if !WORDS.contains(&key) && !key.ends_with("_at") => {
                *text = format!("{text}{HOSTILE}");
            }
            serde_json::Value::Array(items) => items.iter_mut().for_each(|item| poison(item, key)),
            serde_json::Value::Object(fields) => {
                for (name, field) in fields {
                    poison(field, name);
                }
            }
            _ => {}
        }
    }
    for call in calls {
        let mut value = serde_json::to_value(&*call).unwrap();
        poison(&mut value, "");
        *call = serde_json::from_value(value).unwrap();
    }
}

impl Fake {
    pub(super) fn say(&self, update: Update) {
        if let Some(out) = &*self.out.lock().unwrap() {
            let _ = out.try_send(update);
        }
    }

    pub(super) fn fact(&self, call: CallId, fact: Fact) {
        let mut seq = self.seq.lock().unwrap();
        *seq += 1;
        let envelope = Envelope {
            v: 1,
            seq: *seq,
            at: self.clock.now(),
            call: Some(call),
            event: fact.into(),
        };
        self.say(Update::Envelopes {
            to: *seq,
            items: vec![Arc::new(envelope)],
        });
    }

    /// Something becomes critical, again and again, on a call that was well.
    pub(super) fn alert(&self, n: u32) {
        let alert = wallboard::call::Alert {
            rule: format!("rule_{n}"),
            severity: wallboard::call::Severity::Critical,
            reason: "rings\u{1b}]0;x\u{7} a bell".into(),
            value: 1.0,
            threshold: 1.0,
            since: self.clock.now(),
            evidence: Vec::new(),
            acknowledged_by: None,
            snoozed_until: None,
        };
        let calls = sample::calls(self.clock.now());
        let well = calls
            .iter()
            .find(|call| call.facts.name.as_deref() == Some("Grace Kim"));
        self.fact(well.unwrap().id, Fact::AlertRaised { alert });
    }

    pub(super) fn refusal() -> Refusal {
        Refusal::new(ErrorCode::Unsupported, "not in this test", "")
    }
}

impl Backend for Fake {
    fn subscribe(&self) -> tokio::sync::mpsc::Receiver<Update> {
        let (out, updates) = tokio::sync::mpsc::channel(1024);
        *self.out.lock().unwrap() = Some(out);
        let now = self.clock.now();
        let mut hello = sample::hello();
        hello.now = now;
        if self.hostile {
            hello.user = HOSTILE.into();
            hello.backend_id = HOSTILE.into();
        }
        self.say(Update::Link(LinkState::Up));
        self.say(Update::Hello(hello.clone()));
        let mut calls = sample::calls(now);
        if self.hostile {
            hostile(&mut calls);
        }
        self.say(Update::Snapshot {
            epoch: hello.epoch,
            seq: *self.seq.lock().unwrap(),
            calls,
        });
        updates
    }

    fn send(&self, command: Command) -> Result<(), Refusal> {
        self.say(Update::Reply(Reply::accepted(command.id, None)));
        if let (wallboard::call::Action::Terminate {}, Some(call)) = (command.action, command.call)
        {
            self.fact(
                call,
                Fact::CallEnded {
                    status: CallStatus::Completed,
                    ended_by: Some("operator".into()),
                    cause: None,
                    duration_s: None,
                    source: Source::Webhook,
                },
            );
        }
        Ok(())
    }

    fn watch(&self, _: Vec<CallId>) {
        assert!(!self.panics, "a test's own panic");
    }

    fn listen(&self, _: CallId) -> BoxFuture<'static, Result<ListenStream, Refusal>> {
        async { Err(Self::refusal()) }.boxed()
    }

    fn history(&self, _: HistoryQuery) -> BoxFuture<'static, Result<HistoryPage, Refusal>> {
        async { Ok(HistoryPage::default()) }.boxed()
    }

    fn listen_url(&self, _: CallId) -> BoxFuture<'static, Result<String, Refusal>> {
        async { Ok("https://calls.example.com/listen/x?ticket=t".into()) }.boxed()
    }
}

#[derive(Debug)]
pub(super) struct Silent(pub(super) watch::Sender<SoundState>);

impl Sound for Silent {
    fn play(&self, _: ListenStream) {}
    fn stop(&self) {}
    fn volume(&self, _: u8) {}
    fn mute(&self, _: bool) {}
    fn pan(&self, _: Pan) {}
    fn state(&self) -> watch::Receiver<SoundState> {
        self.0.subscribe()
    }
}
