//! A backend that plays the sample board, and a sound device that is silent.

use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use wallboard::call::{
    ActionState, Alert, Analysis, Call, CallId, CallStatus, Command, CommandId, Cut, Envelope,
    ErrorCode, Fact, Line, LineBody, Note, OperatorAction, PastAlert, Recording, RecordingState,
    Refusal, Reply, Severity, Source, Track, Transfer, Trouble,
};
use wallboard::engine::{
    AuditEntry, Backend, Clock, HistoryPage, HistoryQuery, LinkState, ListenStream, Said, Update,
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
        fill(call);
        let mut value = serde_json::to_value(&*call).unwrap();
        poison(&mut value, "");
        *call = serde_json::from_value(value).unwrap();
    }
}

/// Gives a call something in every field that holds a text.
fn fill(call: &mut Call) {
    let (at, text) = (call.started_at, || "said".to_owned());
    call.agent_link_reason = Some(text());
    call.end_cause = Some(text());
    call.ended_by = call.ended_at.map(|_| text());
    call.cost_usd = Some(0.2);
    call.cost_source = Some(text());
    call.stream_id = Some(text());
    call.conversation_id = Some(text());
    call.flags.push(text());
    call.notes.push(Note {
        at,
        by: text(),
        text: text(),
    });
    call.troubles.push(Trouble {
        at,
        code: text(),
        message: text(),
    });
    call.actions.push(OperatorAction {
        command: CommandId::from_parts(1, [1; 10]),
        verb: text(),
        by: text(),
        at,
        state: ActionState::Failed,
        message: Some(text()),
    });
    call.analysis = Some(Analysis {
        summary: Some(text()),
        sentiment: Some(text()),
        topics: vec![text()],
    });
    call.transfer = Some(Transfer {
        to: text(),
        state: "failed".into(),
        reason: Some(text()),
    });
    call.recordings.push(Recording {
        id: "RE9".into(),
        state: RecordingState::Failed,
        duration_s: Some(3),
        url: Some(text()),
        error: Some(text()),
    });
    let alert = Alert {
        rule: text(),
        severity: Severity::Critical,
        reason: text(),
        value: 1.0,
        threshold: 1.0,
        since: at,
        evidence: vec![1],
        acknowledged_by: Some(text()),
        snoozed_until: None,
    };
    call.past_alerts.push(PastAlert {
        alert: alert.clone(),
        cleared_at: at,
    });
    call.alerts.push(alert);
    for body in [
        LineBody::Tool {
            tool_call_id: text(),
            name: text(),
            args: text(),
            ok: Some(false),
            result: text(),
            took_ms: None,
        },
        LineBody::Mark {
            text: text(),
            command: None,
            state: None,
        },
        LineBody::Speech {
            track: Track::FromAgent,
            text: text(),
            interim: false,
            latency_ms: None,
            cut: Some(Cut {
                heard: text(),
                cut_at_ms: 100,
                by: None,
            }),
        },
    ] {
        let turn = call.lines.last().map_or(1, |line| line.turn + 1);
        call.lines.push(Line { turn, at, body });
    }
}

/// Past calls, the audit trail and a lead's timeline, every text of them hostile.
fn hostile_page(now: chrono::DateTime<chrono::Utc>) -> HistoryPage {
    let text = || format!("said{HOSTILE}");
    let mut items = sample::calls(now);
    hostile(&mut items);
    let row = AuditEntry {
        at: now,
        by: text(),
        from: Some(text()),
        verb: text(),
        call: Some(sample::id(1)),
        command: None,
        reason: Some(text()),
        result: text(),
    };
    let said = Said {
        id: text(),
        at: now,
        sent_by: text(),
        channel: text(),
        text: text(),
        call: Some(sample::id(1)),
    };
    HistoryPage {
        items,
        audit: vec![row],
        said: vec![said],
        next: None,
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
            hello.transfers = vec![HOSTILE.into()];
            hello
                .features
                .extend(["audit", "timeline", "listen"].map(str::to_owned));
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
        if self.hostile {
            let notice = Fact::Notice {
                severity: Severity::Warn,
                code: HOSTILE.into(),
                text: HOSTILE.into(),
            };
            self.fact(sample::id(1), notice);
        }
        updates
    }

    fn send(&self, command: Command) -> Result<(), Refusal> {
        let refuses = self.hostile && !matches!(command.action, wallboard::call::Action::Unmask {});
        let reply = if refuses {
            let mut refusal = Refusal::new(ErrorCode::Conflict, HOSTILE, HOSTILE);
            refusal.by = Some(HOSTILE.into());
            Reply::refused(command.id, refusal)
        } else {
            let numbers = serde_json::json!({"from": HOSTILE, "to": HOSTILE});
            Reply::accepted(command.id, self.hostile.then_some(numbers))
        };
        self.say(Update::Reply(reply));
        if refuses {
            return Ok(());
        }
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
        async { Err(Refusal::new(ErrorCode::Unsupported, HOSTILE, HOSTILE)) }.boxed()
    }

    fn history(&self, _: HistoryQuery) -> BoxFuture<'static, Result<HistoryPage, Refusal>> {
        let page = if self.hostile {
            hostile_page(self.clock.now())
        } else {
            HistoryPage::default()
        };
        async { Ok(page) }.boxed()
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
