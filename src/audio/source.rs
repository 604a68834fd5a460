//! The rodio source: frames of a call as samples at the device's rate, with volume, mute and pan.
//!
//! Runs on the device's thread: it never locks, waits or logs, and works in blocks of 20 ms. It
//! resamples by itself because rodio's own conversion is linear, audibly so on telephone audio.

use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::time::Duration;

use rodio::Source;

use crate::media::{
    FRAME_SAMPLES, Frame, Resampler, SILENT_FRAME, StereoFrame, TELEPHONE_RATE_HZ,
    ulaw_decode_sample,
};

use super::Volume;
use super::ring::Backlog;

/// Changes of volume, mute and pan take this long, so that they do not click.
const RAMP: Duration = Duration::from_millis(10);

/// Which leg goes to which ear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pan {
    /// Caller left, agent right.
    #[default]
    Both,
    CallerOnly,
    AgentOnly,
    /// Both legs in both ears.
    Centre,
}

/// Settings shared with the device's thread.
#[derive(Debug)]
pub struct Controls {
    /// Amplitude as the bits of an `f32`.
    amplitude: AtomicU32,
    muted: AtomicU8,
    pan: AtomicU8,
}

/// Endless stereo source of one listening. Ends 20 ms after its feeder is dropped.
#[derive(Debug)]
pub struct ListenSource {
    backlog: Backlog,
    controls: Arc<Controls>,
    rate_hz: NonZero<u32>,
    caller: Leg,
    agent: Leg,
    gains: Gains,
    ramp_samples: f32,
    /// Interleaved output of the current block.
    block: Vec<f32>,
    at: usize,
    ended: bool,
}

/// Amplitudes caller→left, agent→left, caller→right, agent→right.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Gains([f32; 4]);

#[derive(Debug)]
struct Leg {
    resampler: Resampler,
    input: [f32; FRAME_SAMPLES],
    output: Vec<f32>,
}

impl Default for Controls {
    fn default() -> Self {
        let this = Self {
            amplitude: AtomicU32::new(0),
            muted: AtomicU8::new(0),
            pan: AtomicU8::new(0),
        };
        this.set_volume(Volume::default());
        this
    }
}

impl Controls {
    pub fn set_volume(&self, volume: Volume) {
        let share = f32::from(volume.0.min(100)) / 100.0;
        self.amplitude
            .store((share * share).to_bits(), Ordering::Relaxed);
    }

    pub fn set_muted(&self, muted: bool) {
        self.muted.store(u8::from(muted), Ordering::Relaxed);
    }

    pub fn is_muted(&self) -> bool {
        self.muted.load(Ordering::Relaxed) != 0
    }

    pub fn set_pan(&self, pan: Pan) {
        self.pan.store(pan as u8, Ordering::Relaxed);
    }

    fn gains(&self) -> Gains {
        if self.is_muted() {
            return Gains::default();
        }
        let a = f32::from_bits(self.amplitude.load(Ordering::Relaxed));
        // Both legs in one ear: less of each, or two loud voices would clip.
        let h = a * std::f32::consts::FRAC_1_SQRT_2;
        Gains(match self.pan.load(Ordering::Relaxed) {
            p if p == Pan::CallerOnly as u8 => [a, 0.0, a, 0.0],
            p if p == Pan::AgentOnly as u8 => [0.0, a, 0.0, a],
            p if p == Pan::Centre as u8 => [h, h, h, h],
            _ => [a, 0.0, 0.0, a],
        })
    }
}

impl ListenSource {
    pub(super) fn new(backlog: Backlog, rate_hz: u32, controls: Arc<Controls>) -> Self {
        let rate_hz = NonZero::new(rate_hz).unwrap_or(NonZero::<u32>::MIN);
        let mut this = Self {
            backlog,
            controls,
            rate_hz,
            caller: Leg::new(rate_hz.get()),
            agent: Leg::new(rate_hz.get()),
            gains: Gains::default(),
            ramp_samples: (RAMP.as_secs_f32() * rate_hz.get() as f32).max(1.0),
            block: Vec::new(),
            at: 0,
            ended: false,
        };
        // One silent block now, so that no buffer has to grow on the device's thread.
        this.render(&StereoFrame::SILENCE, Gains::default());
        this.at = this.block.len();
        this
    }

    /// Fills the next block. `false`: the feeder is gone and the fade-out has been played.
    fn next_block(&mut self) -> bool {
        if self.ended {
            return false;
        }
        let frame = self.backlog.pull().unwrap_or(StereoFrame::SILENCE);
        let target = if self.backlog.is_closed() {
            self.ended = true;
            Gains::default()
        } else {
            self.controls.gains()
        };
        self.render(&frame, target);
        true
    }

    fn render(&mut self, frame: &StereoFrame, target: Gains) {
        self.caller.decode(&frame.caller);
        self.agent.decode(&frame.agent);
        self.block.clear();
        self.at = 0;
        let mut gains = self.gains.0;
        let steps: [f32; 4] = std::array::from_fn(|i| (target.0[i] - gains[i]) / self.ramp_samples);
        let mut left_to_ramp = if self.gains == target {
            0
        } else {
            self.ramp_samples as usize
        };
        for (&caller, &agent) in self.caller.output.iter().zip(&self.agent.output) {
            if left_to_ramp > 0 {
                left_to_ramp -= 1;
                for (gain, step) in gains.iter_mut().zip(steps) {
                    *gain += step;
                }
            } else {
                gains = target.0;
            }
            let [caller_left, agent_left, caller_right, agent_right] = gains;
            self.block.push(caller * caller_left + agent * agent_left);
            self.block.push(caller * caller_right + agent * agent_right);
        }
        self.gains = target;
    }
}

impl Iterator for ListenSource {
    type Item = f32;

    fn next(&mut self) -> Option<f32> {
        while self.at >= self.block.len() {
            if !self.next_block() {
                return None;
            }
        }
        let sample = self.block.get(self.at).copied();
        self.at += 1;
        sample
    }
}

impl Source for ListenSource {
    fn current_span_len(&self) -> Option<usize> {
        None
    }

    fn channels(&self) -> NonZero<u16> {
        NonZero::<u16>::MIN.saturating_add(1)
    }

    fn sample_rate(&self) -> NonZero<u32> {
        self.rate_hz
    }

    fn total_duration(&self) -> Option<Duration> {
        None
    }
}

impl Leg {
    fn new(rate_hz: u32) -> Self {
        Self {
            resampler: Resampler::new(TELEPHONE_RATE_HZ, rate_hz),
            input: [0.0; FRAME_SAMPLES],
            output: Vec::new(),
        }
    }

    fn decode(&mut self, frame: &Frame) {
        if *frame == SILENT_FRAME {
            self.input = [0.0; FRAME_SAMPLES];
        } else {
            for (sample, &code) in self.input.iter_mut().zip(frame) {
                *sample = f32::from(ulaw_decode_sample(code)) / 32_768.0;
            }
        }
        self.output.clear();
        self.resampler.push_f32(&self.input, &mut self.output);
    }
}
