//! Who looks at which lead, and the newest frames of each: the log a viewer resumes from. Nothing
//! here waits; a viewer that takes nothing is cut and may come back to where it was.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::mpsc;

use crate::call::{Epoch, Numbers};

use super::frames::{Draft, Part};

/// Frames a viewer may be behind before it is cut.
pub(super) const BEHIND_MAX: usize = 256;
/// Frames of one lead a viewer can resume from.
const LOG_MAX: usize = 512;
/// Frames of all leads together; then the logs of leads nobody looks at go, longest silent first.
const FRAMES_MAX: usize = 65_536;
/// The log of a lead nobody looks at is kept this long.
const KEPT_FOR: Duration = Duration::from_secs(1800);

/// One frame, ready to be sent.
#[derive(Debug)]
pub(super) struct Frame {
    /// Rises by one with every frame of this epoch, whichever lead it is of.
    pub number: u64,
    /// `seq` of the fact it tells.
    pub seq: u64,
    pub part: Part,
    masked: Bytes,
    whole: Bytes,
}

impl Frame {
    pub(super) fn bytes(&self, numbers: Numbers) -> Bytes {
        match numbers {
            Numbers::Masked => self.masked.clone(),
            Numbers::Whole => self.whole.clone(),
        }
    }
}

#[derive(Debug)]
struct Viewer {
    id: u64,
    frames: mpsc::Sender<Arc<Frame>>,
}

#[derive(Debug, Default)]
struct Room {
    log: VecDeque<Arc<Frame>>,
    viewers: Vec<Viewer>,
    /// Frames up to this number are no longer in the log.
    floor: u64,
    touched: Duration,
}

/// Where a viewer was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub epoch: Epoch,
    pub number: u64,
}

impl Place {
    /// Reads `<epoch>-<n>`; the epoch has dashes of its own.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (epoch, number) = text.trim().rsplit_once('-')?;
        Some(Self {
            epoch: epoch.parse().ok()?,
            number: number.parse().ok()?,
        })
    }
}

/// A viewer's seat.
#[derive(Debug)]
pub(super) struct Seat {
    pub id: u64,
    pub frames: mpsc::Receiver<Arc<Frame>>,
    /// What was missed since `since`; `None` when the log does not reach back so far.
    pub missed: Option<Vec<Arc<Frame>>>,
    /// Number of the last frame before this seat's first.
    pub number: u64,
}

/// All rooms of one epoch.
#[derive(Debug)]
pub(super) struct Rooms {
    epoch: Epoch,
    by_lead: HashMap<String, Room>,
    last: u64,
    frames: usize,
    viewers: u64,
    /// Frames up to this number may have gone with a room that was cleared away.
    floor: u64,
}

impl Rooms {
    pub(super) fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
            by_lead: HashMap::new(),
            last: 0,
            frames: 0,
            viewers: 0,
            floor: 0,
        }
    }

    pub(super) fn place(&self, number: u64) -> String {
        format!("{}-{number}", self.epoch)
    }

    /// Logs a frame and hands it to everybody who looks at this lead.
    pub(super) fn publish(&mut self, lead: &str, draft: &Draft, seq: u64, now: Duration) {
        self.last += 1;
        let number = self.last;
        let line =
            |json: String| Bytes::from(format!("id: {}\ndata: {json}\n\n", self.place(number)));
        let masked = line(draft.json(lead, Numbers::Masked));
        let whole = match &draft.phone {
            Some(_) => line(draft.json(lead, Numbers::Whole)),
            None => masked.clone(),
        };
        let frame = Arc::new(Frame {
            number,
            seq,
            part: draft.part.clone(),
            masked,
            whole,
        });
        let floor = self.floor;
        let room = self.by_lead.entry(lead.to_owned()).or_insert_with(|| Room {
            floor,
            ..Room::default()
        });
        room.touched = now;
        room.viewers.retain(|viewer| {
            let taken = viewer.frames.try_send(Arc::clone(&frame));
            if let Err(mpsc::error::TrySendError::Full(_)) = &taken {
                metrics::counter!("wallboard_sse_cut_total").increment(1);
            }
            taken.is_ok()
        });
        room.log.push_back(frame);
        self.frames += 1;
        if room.log.len() > LOG_MAX {
            if let Some(gone) = room.log.pop_front() {
                room.floor = gone.number;
                self.frames -= 1;
            }
        }
        if self.frames > FRAMES_MAX {
            self.make_room();
        }
    }

    /// Takes a seat: everything after `since` and everything from now on, with no gap between.
    pub(super) fn join(&mut self, lead: &str, since: Option<Place>, now: Duration) -> Seat {
        self.viewers += 1;
        let id = self.viewers;
        let (sender, frames) = mpsc::channel(BEHIND_MAX);
        let (epoch, last, floor) = (self.epoch, self.last, self.floor);
        let room = self.by_lead.entry(lead.to_owned()).or_insert_with(|| Room {
            floor,
            ..Room::default()
        });
        room.touched = now;
        let missed = match since {
            None => Some(Vec::new()),
            Some(place)
                if place.epoch == epoch && place.number >= room.floor && place.number <= last =>
            {
                let after = room.log.iter().filter(|frame| frame.number > place.number);
                Some(after.cloned().collect())
            }
            Some(_) => None,
        };
        room.viewers.push(Viewer { id, frames: sender });
        Seat {
            id,
            frames,
            missed,
            number: last,
        }
    }

    pub(super) fn leave(&mut self, lead: &str, id: u64) {
        if let Some(room) = self.by_lead.get_mut(lead) {
            room.viewers.retain(|viewer| viewer.id != id);
        }
    }

    /// Everybody has to come again: facts were missed that the log cannot give.
    pub(super) fn cut_all(&mut self) {
        self.last += 1;
        self.floor = self.last;
        self.by_lead.clear();
        self.frames = 0;
    }

    /// Clears away the logs nobody has asked for in a long time.
    pub(super) fn sweep(&mut self, now: Duration) {
        let old = now.saturating_sub(KEPT_FOR);
        self.forget(|room| room.touched < old);
    }

    fn make_room(&mut self) {
        let mut idle: Vec<Duration> = self
            .by_lead
            .values()
            .filter(|room| room.viewers.is_empty())
            .map(|room| room.touched)
            .collect();
        idle.sort_unstable();
        let Some(oldest_half) = idle.get(idle.len() / 2).copied() else {
            return;
        };
        self.forget(|room| room.touched <= oldest_half);
    }

    fn forget(&mut self, goes: impl Fn(&Room) -> bool) {
        let (mut floor, mut frames) = (self.floor, self.frames);
        self.by_lead.retain(|_, room| {
            let stays = !room.viewers.is_empty() || !goes(room);
            if !stays {
                frames -= room.log.len();
                let newest = room.log.back().map_or(room.floor, |frame| frame.number);
                floor = floor.max(newest);
            }
            stays
        });
        (self.floor, self.frames) = (floor, frames);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;

    fn epoch(n: u128) -> Epoch {
        uuid::Uuid::from_u128(n).into()
    }

    fn say(rooms: &mut Rooms, lead: &str, count: usize) {
        let draft = Draft {
            body: Map::new(),
            phone: Some("+14155550134".into()),
            part: Part::Nothing,
        };
        for _ in 0..count {
            rooms.publish(lead, &draft, 1, Duration::ZERO);
        }
    }

    fn numbers(frames: &[Arc<Frame>]) -> Vec<u64> {
        frames.iter().map(|frame| frame.number).collect()
    }

    #[test]
    fn a_viewer_resumes_after_the_frame_it_has_and_sees_its_lead_only() {
        let mut rooms = Rooms::new(epoch(1));
        say(&mut rooms, "L1", 2);
        say(&mut rooms, "L2", 3);
        say(&mut rooms, "L1", 1);
        let place = Place::parse(&rooms.place(1)).expect("a place");
        let mut seat = rooms.join("L1", Some(place), Duration::ZERO);
        assert_eq!(numbers(seat.missed.as_deref().expect("in the log")), [2, 6]);
        say(&mut rooms, "L2", 1);
        say(&mut rooms, "L1", 1);
        assert_eq!(seat.frames.try_recv().expect("live").number, 8);
        assert!(seat.frames.try_recv().is_err());
        let text = String::from_utf8(rooms.by_lead["L1"].log[0].bytes(Numbers::Masked).to_vec());
        assert!(!text.expect("text").contains("4155550134"));
    }

    #[test]
    fn a_place_the_log_has_lost_or_never_had_is_told_from_a_good_one() {
        let mut rooms = Rooms::new(epoch(1));
        say(&mut rooms, "L1", LOG_MAX + 10);
        let rows = [
            (epoch(1), 10, true),
            (epoch(1), 9, false),
            (epoch(1), LOG_MAX as u64 + 11, false),
            (epoch(2), 10, false),
        ];
        for (epoch, number, good) in rows {
            let seat = rooms.join("L1", Some(Place { epoch, number }), Duration::ZERO);
            assert_eq!(seat.missed.is_some(), good, "{number}");
        }
        assert!(Place::parse("nonsense").is_none() && Place::parse("1-2-3").is_none());
    }

    #[test]
    fn a_viewer_that_takes_nothing_is_cut_and_the_others_are_not() {
        let mut rooms = Rooms::new(epoch(1));
        let mut slow = rooms.join("L1", None, Duration::ZERO);
        let mut quick = rooms.join("L1", None, Duration::ZERO);
        for _ in 0..=BEHIND_MAX {
            say(&mut rooms, "L1", 1);
            assert!(quick.frames.try_recv().is_ok());
        }
        let mut taken = 0;
        while slow.frames.try_recv().is_ok() {
            taken += 1;
        }
        assert_eq!(taken, BEHIND_MAX);
        assert!(slow.frames.is_closed() && !quick.frames.is_closed());
    }

    #[test]
    fn logs_nobody_reads_are_bounded_and_their_places_are_then_too_old() {
        let mut rooms = Rooms::new(epoch(1));
        for lead in 0..400 {
            say(&mut rooms, &format!("L{lead}"), 400);
        }
        assert!(rooms.frames <= FRAMES_MAX);
        let first = rooms.join("L0", Place::parse(&rooms.place(1)), Duration::ZERO);
        assert!(first.missed.is_none());
        let looked_at = rooms.by_lead.len();
        rooms.sweep(KEPT_FOR * 2);
        assert!(rooms.by_lead.len() < looked_at && rooms.by_lead.contains_key("L0"));
    }
}
