//! The demo on virtual time, for pictures: the demo's schedule and conversations meet the production
//! bridge, detectors and reducer without a socket and without waiting. The same seed gives the same
//! calls, turns and alerts to the millisecond, on every machine.
//!
//! Vendors' wire formats do not appear here; `wallboard demo` plays the same calls over them.

mod line;
mod talk;

use std::collections::{BTreeMap, HashMap};
use std::iter::Peekable;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::call::{Board, CallId, ENVELOPE_VERSION, Envelope, Epoch, Fact, Gauge};
use crate::engine::{Detector, Hello, LinkState, Thresholds, Update};
use crate::media::FRAME;
use crate::simulator::{Demo, Rng, Schedule};
use crate::ui::{Msg, Still, sample};

use line::Line;

/// As often as a backend looks for what needs a human, and as a screen's clock ticks.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// As often as a backend tells its screens the gauges.
const GAUGES_EVERY: Duration = Duration::from_millis(250);

/// What calls tell while a frame passes.
#[derive(Debug, Default)]
struct News {
    facts: Vec<(CallId, Fact)>,
    gauges: BTreeMap<CallId, Gauge>,
}

impl News {
    fn fact(&mut self, call: CallId, fact: Fact) {
        self.facts.push((call, fact));
    }
}

/// A demo that is played by hand.
#[derive(Debug)]
pub struct Rehearsal {
    schedule: Peekable<Schedule>,
    lines: Vec<Line>,
    detectors: HashMap<CallId, Detector>,
    limits: Thresholds,
    board: Board,
    epoch: Epoch,
    seq: u64,
    news: News,
    /// The newest reading of each call, for the detectors.
    read: BTreeMap<CallId, Gauge>,
    rng: Rng,
    began: DateTime<Utc>,
    now: Duration,
}

impl Rehearsal {
    /// Nothing has happened yet at `began`.
    pub fn new(demo: Demo, began: DateTime<Utc>) -> Self {
        let mut rng = Rng::new(demo.seed).fork("rehearsal");
        Self {
            schedule: Schedule::new(demo).peekable(),
            lines: Vec::new(),
            detectors: HashMap::new(),
            limits: Thresholds::phone(),
            board: Board::new(),
            epoch: Epoch::from_parts(unix_ms(began), bytes(&mut rng)),
            seq: 0,
            news: News::default(),
            read: BTreeMap::new(),
            rng,
            began,
            now: Duration::ZERO,
        }
    }

    fn wall(&self) -> DateTime<Utc> {
        self.began + TimeDelta::from_std(self.now).unwrap_or_default()
    }

    /// What a screen receives when it opens.
    pub fn opening(&self) -> Vec<Update> {
        let hello = Hello {
            backend_id: "demo".to_owned(),
            epoch: self.epoch,
            seq: self.seq,
            now: self.wall(),
            ..sample::hello()
        };
        vec![
            Update::Link(LinkState::Embedded),
            Update::Hello(hello),
            Update::Snapshot {
                epoch: self.epoch,
                seq: self.seq,
                calls: self.board.calls().cloned().collect(),
            },
        ]
    }

    /// Lets one frame (20 ms) pass; what a screen is told of it.
    pub fn step(&mut self) -> Vec<Update> {
        while let Some(planned) = self.schedule.next_if(|planned| planned.at <= self.now) {
            let id = CallId::from_parts(unix_ms(self.wall()), bytes(&mut self.rng));
            let rng = self.rng.fork(&planned.number);
            self.lines
                .push(Line::begin(id, planned, self.now, rng, &mut self.news));
        }
        for line in &mut self.lines {
            line.tick(self.now, &mut self.news);
        }
        self.lines.retain(|line| !line.is_over());
        let mut items = self.stamp();
        if is_due(self.now, LOOK_EVERY) {
            self.look();
            items.extend(self.stamp());
        }
        let mut updates = Vec::new();
        if !items.is_empty() {
            updates.push(Update::Envelopes {
                to: self.seq,
                items,
            });
        }
        if is_due(self.now, GAUGES_EVERY) && !self.news.gauges.is_empty() {
            let fresh = std::mem::take(&mut self.news.gauges);
            updates.push(Update::Gauges(fresh.values().cloned().collect()));
            self.read.extend(fresh);
        }
        self.now += FRAME;
        updates
    }

    /// As the switchboard does: one number after the other, folded by the one reducer.
    fn stamp(&mut self) -> Vec<Arc<Envelope>> {
        let at = self.wall();
        let mut items = Vec::with_capacity(self.news.facts.len());
        for (call, mut fact) in std::mem::take(&mut self.news.facts) {
            fact.sanitise();
            self.seq += 1;
            let envelope = Envelope {
                v: ENVELOPE_VERSION,
                seq: self.seq,
                at,
                call: Some(call),
                event: fact.into(),
            };
            self.board.apply(&envelope);
            items.push(Arc::new(envelope));
        }
        items
    }

    fn look(&mut self) {
        let at = self.wall();
        for call in self.board.live() {
            let detector = self.detectors.entry(call.id).or_default();
            let gauge = self.read.get(&call.id);
            for fact in detector.observe(self.now, at, call, gauge, &self.limits) {
                self.news.facts.push((call.id, fact));
            }
        }
    }

    /// Plays on a screen until `after` has passed. The screen keeps the time of the rehearsal.
    pub fn play(&mut self, still: &mut Still, after: Duration) {
        while self.now < after {
            let is_tick = is_due(self.now, LOOK_EVERY);
            for update in self.step() {
                still.update(update);
            }
            still.after(FRAME);
            if is_tick {
                still.message(Msg::Tick);
            }
        }
    }
}

fn is_due(now: Duration, every: Duration) -> bool {
    now.as_millis().is_multiple_of(every.as_millis())
}

fn unix_ms(at: DateTime<Utc>) -> u64 {
    u64::try_from(at.timestamp_millis()).unwrap_or_default()
}

fn bytes(rng: &mut Rng) -> [u8; 10] {
    let mut bytes = [0; 10];
    let words = [rng.next_u64().to_le_bytes(), rng.next_u64().to_le_bytes()];
    for (byte, from) in bytes.iter_mut().zip(words.iter().flatten()) {
        *byte = *from;
    }
    bytes
}

#[cfg(test)]
mod tests;
