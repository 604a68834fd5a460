//! The one task that follows the facts for all sockets of namespace `/`. Every payload is made and
//! written as JSON once, in two forms (numbers masked or whole), and shared.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::broadcast;
use tokio::time::MissedTickBehavior;

use crate::call::{
    Band, Board, Call, CallEvent, CallId, Envelope, Gauge, MediaLink, Numbers, Quality,
};
use crate::engine::{Batch, ENDED_SHOWN, Feed, PostError};

use super::super::shape;
use super::super::state::App;
use super::translate::{Event, Room, Scene, changes_list, reading, translate};

/// Frames a socket may be behind; then it gets the list anew.
const FRAMES_MAX: usize = 1_024;
/// The list of active calls goes out at most this often.
const LIST_EVERY: Duration = Duration::from_secs(1);
/// Readings of the quality of live calls go out this often.
const READINGS_EVERY: u32 = 5;

/// What all sockets receive.
#[derive(Clone, Debug)]
pub(super) enum Frame {
    /// The events of one fact.
    Fact(Arc<FactFrame>),
    /// The list changed: each form once, for sockets that see every lead.
    List {
        masked: Arc<RawValue>,
        whole: Arc<RawValue>,
    },
}

#[derive(Debug)]
pub(super) struct FactFrame {
    pub call: CallId,
    /// The id clients know the call by.
    pub sid: String,
    pub lead: Option<String>,
    pub events: Vec<Ready>,
}

/// An event as JSON.
#[derive(Debug)]
pub(super) struct Ready {
    pub name: &'static str,
    pub room: Room,
    pub masked: Arc<RawValue>,
    pub whole: Arc<RawValue>,
}

/// Starts the task.
pub(super) fn start(app: &Arc<App>) -> broadcast::Sender<Frame> {
    let (frames, _) = broadcast::channel(FRAMES_MAX);
    let translator = Translator {
        app: Arc::clone(app),
        frames: frames.clone(),
        board: Board::new(),
        list_changed: false,
    };
    app.tasks.spawn("translator", translator.run());
    frames
}

struct Translator {
    app: Arc<App>,
    frames: broadcast::Sender<Frame>,
    /// The board as of the fact at hand, which the switchboard's own has already left behind.
    board: Board,
    list_changed: bool,
}

impl Translator {
    async fn run(mut self) {
        let stopping = self.app.stopping().clone();
        tokio::select! {
            () = stopping.cancelled() => {}
            // Ends only with the switchboard.
            _ended = self.follow() => {}
        }
    }

    async fn follow(&mut self) -> Result<(), PostError> {
        let mut feed = Feed::open(&self.app.core.switchboard, None).await?;
        let mut ticks = tokio::time::interval(LIST_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut tick = 0_u32;
        loop {
            // Cancel-safe: `next` keeps what it has not handed out.
            tokio::select! {
                batch = feed.next() => self.take(batch?),
                _ = ticks.tick() => {
                    tick = tick.wrapping_add(1);
                    self.tell_list();
                    if tick.is_multiple_of(READINGS_EVERY) {
                        self.tell_readings();
                    }
                    let now = self.app.core.clock.now();
                    self.board.forget_ended(now - ENDED_SHOWN);
                }
            }
        }
    }

    fn take(&mut self, batch: Batch) {
        match batch {
            Batch::Snapshot { seq, calls, .. } => {
                self.board = Board::from_snapshot(seq, calls);
                self.list_changed = true;
            }
            Batch::Envelopes { items, .. } => {
                for envelope in items {
                    self.translate(&envelope);
                }
            }
        }
    }

    fn translate(&mut self, envelope: &Envelope) {
        let had_ended = envelope
            .call
            .and_then(|id| self.board.get(id))
            .is_some_and(|call| !call.is_live());
        self.board.apply(envelope);
        self.list_changed |= changes_list(envelope);
        let (Some(id), CallEvent::Known(fact)) = (envelope.call, &envelope.event) else {
            return;
        };
        if self.frames.receiver_count() == 0 {
            return;
        }
        let Some(call) = self.board.get(id) else {
            return;
        };
        let scene = |numbers| Scene {
            call,
            had_ended,
            seq: envelope.seq,
            at: envelope.at,
            numbers,
        };
        let masked = translate(fact, scene(Numbers::Masked));
        if masked.is_empty() {
            return;
        }
        let whole = translate(fact, scene(Numbers::Whole));
        self.send(call, pair(masked, whole));
    }

    /// Sends the list if it changed.
    fn tell_list(&mut self) {
        if !std::mem::take(&mut self.list_changed) || self.frames.receiver_count() == 0 {
            return;
        }
        let calls: Vec<&Call> = self.board.live().collect();
        let now = self.app.core.clock.now();
        let frame = Frame::List {
            masked: raw(&list(&calls, Numbers::Masked, now)),
            whole: raw(&list(&calls, Numbers::Whole, now)),
        };
        let _nobody = self.frames.send(frame);
    }

    /// Sends the present quality of every bridged call.
    fn tell_readings(&self) {
        if self.frames.receiver_count() == 0 {
            return;
        }
        let bridged: Vec<&Call> = self
            .board
            .live()
            .filter(|call| call.media_link == MediaLink::Up)
            .collect();
        let ids: Vec<CallId> = bridged.iter().map(|call| call.id).collect();
        let gauges = self.app.core.gauges.read(&ids);
        for call in bridged {
            let Some(gauge) = gauges.iter().find(|gauge| gauge.call == call.id) else {
                continue;
            };
            let scene = Scene {
                call,
                had_ended: false,
                seq: self.board.seq(),
                at: self.app.core.clock.now(),
                numbers: Numbers::Masked,
            };
            let event = reading(scene, &quality_of(call, gauge));
            self.send(call, pair(vec![event.clone()], vec![event]));
        }
    }

    fn send(&self, call: &Call, events: Vec<Ready>) {
        let frame = FactFrame {
            call: call.id,
            sid: call.call_sid(),
            lead: call.facts.lead_id.clone(),
            events,
        };
        // Nobody listening is a normal state.
        let _nobody = self.frames.send(Frame::Fact(Arc::new(frame)));
    }
}

/// The elements of `active_calls`, oldest first.
pub(super) fn list(
    calls: &[&Call],
    numbers: Numbers,
    now: chrono::DateTime<chrono::Utc>,
) -> Vec<Value> {
    calls
        .iter()
        .map(|call| shape::call(call, numbers, now).into())
        .collect()
}

fn quality_of(call: &Call, gauge: &Gauge) -> Quality {
    Quality {
        band: call
            .quality
            .as_ref()
            .map_or(Band::Unknown, |quality| quality.band),
        bridge_score: gauge.score,
        jitter_ms: gauge.jitter_ms,
        gap_pct: gauge.gap_pct,
        rtt_ms: gauge.rtt_ms,
        source: "bridge".to_owned(),
    }
}

fn pair(masked: Vec<Event>, whole: Vec<Event>) -> Vec<Ready> {
    masked
        .into_iter()
        .zip(whole)
        .map(|(masked, whole)| {
            let same = masked.body == whole.body;
            let text = raw(&masked.body);
            Ready {
                name: masked.name,
                room: masked.room,
                whole: if same {
                    Arc::clone(&text)
                } else {
                    raw(&whole.body)
                },
                masked: text,
            }
        })
        .collect()
}

fn raw(value: &impl serde::Serialize) -> Arc<RawValue> {
    // JSON values always have a JSON text.
    to_raw_value(value)
        .unwrap_or_else(|_| RawValue::NULL.to_owned())
        .into()
}
