//! Both sides of a call on one time line: what a listener hears and a recorder writes.
//!
//! Two rules. The caller's audio comes at its own pace, so it is joined up and only a real hole
//! becomes silence. The agent's comes in bursts, so it is placed at `max(now, end of what is
//! queued)` and leaves at 8,000 samples a second; a barge-in takes back what has not been played.

use std::collections::VecDeque;
use std::time::Duration;

use super::{
    BYTES_PER_MS, FRAME_SAMPLES, Frame, SILENT_FRAME, ULAW_SILENCE, take_front, ulaw_decode_sample,
    ulaw_encode_sample,
};

/// How far the taking of frames runs behind, so that a frame some ms late is not a hole.
const DELAY: usize = 60 * BYTES_PER_MS;
/// A live leg further ahead than this is a backlog after a stall …
const LIVE_AHEAD_MAX: usize = 120 * BYTES_PER_MS;
/// … and is cut down to this.
const LIVE_AHEAD: usize = 20 * BYTES_PER_MS;
/// A burst leg keeps no more than an agent may have queued.
const BURST_AHEAD_MAX: usize = 30_000 * BYTES_PER_MS;
/// A paced sender's frames are joined up across this much wobble.
const WOBBLE: usize = 40 * BYTES_PER_MS;
/// A machine that slept is not caught up frame by frame.
const CATCH_UP: u64 = 10_000 * BYTES_PER_MS as u64;

/// 20 ms of both legs, µ-law, sample-aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StereoFrame {
    pub caller: Frame,
    pub agent: Frame,
}

/// Queue of one leg, addressed by sample position on the common line.
#[derive(Clone, Debug)]
pub struct LegTimeline {
    kind: Kind,
    /// Position of the first sample in `queue`: everything before has been taken.
    taken: u64,
    queue: VecDeque<u8>,
    dropped: u64,
}

/// Two legs and the clock that takes frames from both.
#[derive(Clone, Debug)]
pub struct StereoTapper {
    started_at: Duration,
    caller: LegTimeline,
    agent: LegTimeline,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Live,
    Burst,
}

impl StereoFrame {
    pub const SILENCE: Self = Self {
        caller: SILENT_FRAME,
        agent: SILENT_FRAME,
    };

    /// Caller, agent, caller, agent …: the order of a stereo WAV and of the listener's socket.
    pub fn interleaved(&self) -> [u8; 2 * FRAME_SAMPLES] {
        let mut out = [ULAW_SILENCE; 2 * FRAME_SAMPLES];
        for ((pair, &caller), &agent) in out.chunks_exact_mut(2).zip(&self.caller).zip(&self.agent)
        {
            pair[0] = caller;
            pair[1] = agent;
        }
        out
    }

    /// The reverse. Shorter input leaves silence at the end, longer input is cut.
    pub fn from_interleaved(bytes: &[u8]) -> Self {
        let mut frame = Self::SILENCE;
        for ((pair, caller), agent) in bytes
            .chunks_exact(2)
            .zip(&mut frame.caller)
            .zip(&mut frame.agent)
        {
            *caller = pair[0];
            *agent = pair[1];
        }
        frame
    }
}

/// Both sides in one µ-law track, clipped. For listeners with one ear.
pub fn mix_ulaw(a: &Frame, b: &Frame) -> Frame {
    let mut out = SILENT_FRAME;
    for ((o, &x), &y) in out.iter_mut().zip(a).zip(b) {
        *o = match (x, y) {
            (x, ULAW_SILENCE) => x,
            (ULAW_SILENCE, y) => y,
            (x, y) => {
                ulaw_encode_sample(ulaw_decode_sample(x).saturating_add(ulaw_decode_sample(y)))
            }
        };
    }
    out
}

impl LegTimeline {
    /// A leg whose audio comes in real time: the caller.
    pub fn live() -> Self {
        Self {
            kind: Kind::Live,
            taken: 0,
            queue: VecDeque::new(),
            dropped: 0,
        }
    }

    /// A leg whose audio may come ahead of time: the agent.
    pub fn burst() -> Self {
        Self {
            kind: Kind::Burst,
            ..Self::live()
        }
    }

    /// Places audio that arrived at position `now`. Full policy: a live leg drops its oldest, a
    /// burst leg what does not fit any more.
    fn push(&mut self, now: u64, bytes: &[u8]) {
        let end = self.taken + self.queue.len() as u64;
        let joined = match self.kind {
            Kind::Live => end > self.taken,
            Kind::Burst => end + WOBBLE as u64 >= now && end > self.taken,
        };
        if !joined && now > end {
            // Small while somebody takes frames; if nobody does, bounded all the same.
            let gap = (now - end).min(CATCH_UP) as usize;
            self.queue.extend(std::iter::repeat_n(ULAW_SILENCE, gap));
        }
        let ahead_max = match self.kind {
            Kind::Live => usize::MAX,
            Kind::Burst => BURST_AHEAD_MAX.saturating_sub(self.queue.len()),
        };
        let fits = bytes.len().min(ahead_max);
        self.queue.extend(&bytes[..fits]);
        self.dropped += (bytes.len() - fits) as u64;
        if self.kind == Kind::Live {
            self.trim_backlog(now);
        }
    }

    fn trim_backlog(&mut self, now: u64) {
        let ahead = (self.taken + self.queue.len() as u64).saturating_sub(now) as usize;
        if ahead > LIVE_AHEAD_MAX {
            let excess = (ahead - LIVE_AHEAD).min(self.queue.len());
            self.queue.drain(..excess);
            self.dropped += excess as u64;
        }
    }

    /// Drops what lies after position `now`.
    fn clear_after(&mut self, now: u64) {
        self.queue.truncate(now.saturating_sub(self.taken) as usize);
    }

    fn take(&mut self) -> Frame {
        let (frame, _) = take_front(&mut self.queue);
        self.taken += FRAME_SAMPLES as u64;
        frame
    }

    fn skip_to(&mut self, position: u64) {
        let skipped = (position.saturating_sub(self.taken) as usize).min(self.queue.len());
        self.queue.drain(..skipped);
        self.taken = self.taken.max(position);
    }

    /// Samples thrown away because there were too many.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

impl StereoTapper {
    /// Starts the line at `now`. Frames come out 60 ms behind it.
    pub fn new(now: Duration) -> Self {
        Self {
            started_at: now,
            caller: LegTimeline::live(),
            agent: LegTimeline::burst(),
        }
    }

    pub fn push_caller(&mut self, bytes: &[u8], now: Duration) {
        let at = self.position(now);
        self.caller.push(at, bytes);
    }

    pub fn push_agent(&mut self, bytes: &[u8], now: Duration) {
        let at = self.position(now);
        self.agent.push(at, bytes);
    }

    /// Barge-in: the agent's audio that has not been played is never heard.
    pub fn clear_agent(&mut self, now: Duration) {
        let at = self.position(now);
        self.agent.clear_after(at);
    }

    /// The next frame that is complete by `now`; ask until `None`, whenever it suits, at best
    /// every 20 ms.
    pub fn next_frame(&mut self, now: Duration) -> Option<StereoFrame> {
        let ready = self.position(now).checked_sub(DELAY as u64)?;
        let behind = ready.checked_sub(self.caller.taken)?;
        if behind > CATCH_UP {
            self.caller.skip_to(ready - FRAME_SAMPLES as u64);
            self.agent.skip_to(ready - FRAME_SAMPLES as u64);
        } else if behind < FRAME_SAMPLES as u64 {
            return None;
        }
        Some(StereoFrame {
            caller: self.caller.take(),
            agent: self.agent.take(),
        })
    }

    /// Samples of the caller and of the agent thrown away because there were too many.
    pub fn dropped(&self) -> (u64, u64) {
        (self.caller.dropped(), self.agent.dropped())
    }

    fn position(&self, now: Duration) -> u64 {
        let micros = now.saturating_sub(self.started_at).as_micros() as u64;
        micros.saturating_mul(BYTES_PER_MS as u64) / 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Everything up to `now`, one byte per side and sample.
    fn drain(tapper: &mut StereoTapper, now: u64) -> (Vec<u8>, Vec<u8>) {
        let (mut caller, mut agent) = (Vec::new(), Vec::new());
        while let Some(frame) = tapper.next_frame(ms(now)) {
            caller.extend(frame.caller);
            agent.extend(frame.agent);
        }
        (caller, agent)
    }

    fn count(bytes: &[u8], code: u8) -> usize {
        bytes.iter().map(|&b| usize::from(b == code)).sum()
    }

    #[test]
    fn a_burst_is_played_in_real_time_from_where_it_came() {
        let mut tapper = StereoTapper::new(ms(0));
        tapper.push_agent(&[1; 1_600], ms(500));
        tapper.push_agent(&[2; 800], ms(501));
        let (caller, agent) = drain(&mut tapper, 1_060);
        assert_eq!((caller.len(), agent.len()), (8_000, 8_000));
        assert_eq!(agent.iter().position(|&b| b == 1), Some(4_000));
        assert_eq!(agent.iter().position(|&b| b == 2), Some(5_600));
        assert_eq!((count(&agent, 1), count(&agent, 2)), (1_600, 800));
        assert_eq!(count(&caller, ULAW_SILENCE), 8_000);
    }

    #[test]
    fn a_barge_in_takes_back_what_was_not_played() {
        let mut tapper = StereoTapper::new(ms(0));
        tapper.push_agent(&[1; 8_000], ms(100));
        tapper.clear_agent(ms(350));
        tapper.push_agent(&[2; 160], ms(600));
        let (_, agent) = drain(&mut tapper, 1_060);
        assert_eq!(count(&agent, 1), 250 * BYTES_PER_MS);
        assert_eq!(agent.iter().position(|&b| b == 2), Some(600 * BYTES_PER_MS));
    }

    #[test]
    fn late_caller_frames_are_joined_without_holes() {
        let mut tapper = StereoTapper::new(ms(0));
        let mut heard = Vec::new();
        for i in 0..100u64 {
            let wobble = [0, 7, 19, 30, 3][(i % 5) as usize];
            let now = 20 + i * 20 + wobble;
            heard.extend(drain(&mut tapper, now).0);
            tapper.push_caller(&[9; 160], ms(now));
        }
        heard.extend(drain(&mut tapper, 2_300).0);
        let first = heard.iter().position(|&b| b == 9).unwrap();
        let last = heard.iter().rposition(|&b| b == 9).unwrap();
        assert_eq!(last - first + 1, 16_000, "no hole, nothing lost");
    }

    #[test]
    fn a_backlog_after_a_stall_is_dropped_so_that_both_sides_stay_aligned() {
        let mut tapper = StereoTapper::new(ms(0));
        drain(&mut tapper, 1_000);
        for _ in 0..50 {
            tapper.push_caller(&[9; 160], ms(1_000));
        }
        assert!(tapper.dropped().0 >= 6_000, "{:?}", tapper.dropped());
        let (caller, _) = drain(&mut tapper, 1_400);
        assert!(caller.iter().rposition(|&b| b == 9).unwrap() < 200 * BYTES_PER_MS + 480);
    }

    #[test]
    fn a_machine_that_slept_goes_on_at_the_present() {
        let mut tapper = StereoTapper::new(ms(0));
        tapper.push_agent(&[1; 800], ms(100));
        let (caller, _) = drain(&mut tapper, 3_600_000);
        assert!(caller.len() <= 320);
        tapper.push_agent(&[2; 160], ms(3_600_000));
        let (_, agent) = drain(&mut tapper, 3_600_100);
        assert_eq!(count(&agent, 2), 160);
    }

    #[test]
    fn interleaving_is_reversible_and_mixing_adds() {
        let frame = StereoFrame {
            caller: [1; 160],
            agent: [2; 160],
        };
        assert_eq!(frame.interleaved()[..4], [1, 2, 1, 2]);
        assert_eq!(StereoFrame::from_interleaved(&frame.interleaved()), frame);
        assert_eq!(mix_ulaw(&SILENT_FRAME, &frame.agent), frame.agent);
        assert_eq!(mix_ulaw(&[0x80; 160], &[0x00; 160]), SILENT_FRAME);
        assert_eq!(mix_ulaw(&[0x80; 160], &[0x80; 160]), [0x80; 160]);
    }
}
