//! The carrier's play-out buffer: what is queued is played at 8,000 bytes a second, marks come back
//! when playback reaches them, `clear` throws the rest away and returns its marks at once.

use std::collections::VecDeque;

use bytes::{Buf, Bytes};

use crate::simulator::ulaw::SILENCE;

/// Ten minutes; more is discarded, as the carrier does with a side that sends without end.
const QUEUED_BYTES_MAX: usize = 8_000 * 600;

#[derive(Debug)]
enum Item {
    Audio(Bytes),
    Mark(String),
}

#[derive(Debug, Default)]
pub struct Playout {
    queue: VecDeque<Item>,
    queued_bytes: usize,
}

impl Playout {
    /// µ-law to play after everything queued. `false` when the buffer is full.
    pub fn push_audio(&mut self, audio: Bytes) -> bool {
        if self.queued_bytes + audio.len() > QUEUED_BYTES_MAX {
            return false;
        }
        self.queued_bytes += audio.len();
        if !audio.is_empty() {
            self.queue.push_back(Item::Audio(audio));
        }
        true
    }

    pub fn push_mark(&mut self, name: String) {
        self.queue.push_back(Item::Mark(name));
    }

    /// Empties the buffer. Returns the pending marks, in order.
    pub fn clear(&mut self) -> Vec<String> {
        self.queued_bytes = 0;
        self.queue
            .drain(..)
            .filter_map(|item| match item {
                Item::Mark(name) => Some(name),
                Item::Audio(_) => None,
            })
            .collect()
    }

    /// Plays `out.len()` bytes, silence where nothing is queued. Returns how many were real and the
    /// marks that were reached.
    pub fn advance(&mut self, out: &mut [u8]) -> (usize, Vec<String>) {
        let (mut filled, mut marks) = (0, Vec::new());
        while let Some(item) = self.queue.front_mut() {
            match item {
                Item::Mark(name) => {
                    marks.push(std::mem::take(name));
                    self.queue.pop_front();
                }
                Item::Audio(audio) => {
                    let room = out.get_mut(filled..).unwrap_or_default();
                    if room.is_empty() {
                        break;
                    }
                    let take = room.len().min(audio.len());
                    if let (Some(to), Some(from)) = (room.get_mut(..take), audio.get(..take)) {
                        to.copy_from_slice(from);
                    }
                    audio.advance(take);
                    filled += take;
                    self.queued_bytes -= take;
                    if audio.is_empty() {
                        self.queue.pop_front();
                    }
                }
            }
        }
        if let Some(rest) = out.get_mut(filled..) {
            rest.fill(SILENCE);
        }
        (filled, marks)
    }

    pub fn queued_ms(&self) -> u64 {
        self.queued_bytes as u64 / 8
    }

    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_come_back_when_playback_reaches_them() {
        let mut playout = Playout::default();
        let mut frame = [0; 160];
        playout.push_mark("now".to_owned());
        playout.push_audio(vec![1; 200].into());
        playout.push_mark("a".to_owned());
        playout.push_audio(vec![2; 100].into());
        playout.push_mark("b".to_owned());
        assert_eq!(playout.queued_ms(), 37);
        let (real, marks) = playout.advance(&mut frame);
        assert_eq!((real, marks), (160, vec!["now".to_owned()]));
        let (real, marks) = playout.advance(&mut frame);
        assert_eq!((real, marks), (140, vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(&frame[38..42], &[1, 1, 2, 2]);
        assert_eq!(&frame[140..], &[SILENCE; 20]);
        assert!(playout.is_empty());
    }

    #[test]
    fn a_mark_at_a_frame_edge_is_reached_in_the_frame_that_ends_there() {
        let mut playout = Playout::default();
        playout.push_audio(vec![1; 160].into());
        playout.push_mark("edge".to_owned());
        assert_eq!(playout.advance(&mut [0; 160]).1, ["edge"]);
    }

    #[test]
    fn clear_returns_pending_marks_and_plays_silence() {
        let mut playout = Playout::default();
        playout.push_audio(vec![1; 8_000].into());
        playout.push_mark("x".to_owned());
        playout.push_audio(vec![1; 8_000].into());
        playout.push_mark("y".to_owned());
        playout.advance(&mut [0; 160]);
        assert_eq!(playout.clear(), ["x", "y"]);
        let mut frame = [0; 160];
        assert_eq!(playout.advance(&mut frame), (0, vec![]));
        assert_eq!(frame, [SILENCE; 160]);
    }

    #[test]
    fn a_side_that_never_stops_sending_is_bounded() {
        let mut playout = Playout::default();
        let second = Bytes::from(vec![0; 8_000]);
        let taken = (0..700)
            .filter(|_| playout.push_audio(second.clone()))
            .count();
        assert_eq!(taken, 600);
    }
}
