//! How the call sounds and flows: levels, arrival, speech, shares, one opinion score. Gauges four
//! times a second, a fact only when the band changes, one summary at the end.

use std::collections::VecDeque;
use std::time::Duration;

use crate::call::{Band, CallId, CallSummary, Fact, Gauge, Quality};
use crate::media::{
    Arrival, ArrivalStats, Arrivals, FRAME, FRAME_SAMPLES, Grade, Hysteresis, Meter, Plc,
    QualitySample, Speaking, Talk, Thresholds, Vad, VadEvent, e_model, level_ulaw, mouth_to_ear_ms,
};

use super::{CarrierAudio, Effect, Effects};

const GAUGE_EVERY: Duration = Duration::from_millis(250);
const JUDGE_EVERY: Duration = Duration::from_secs(1);
/// Judgements before the first band is published.
const SETTLED_AFTER: u32 = 5;
/// Frames over which the agent's zero crossings are counted: a second.
const CROSSING_FRAMES: usize = 50;
/// Missed ticks made up for at most; a machine that slept did not hold a conversation.
const TICKS_MAX: u32 = 500;

#[derive(Debug)]
pub(super) struct Health {
    call: CallId,
    arrivals: Arrivals,
    meter_in: Meter,
    meter_out: Meter,
    /// Zero crossings of the last frames to the caller, newest last.
    crossings: VecDeque<u16>,
    vad: Vad,
    talk: Talk,
    thresholds: Thresholds,
    hysteresis: Hysteresis,
    judged: u32,
    published: Band,
    judge_at: Duration,
    gauge_at: Duration,
    ticked_at: Duration,
    has_out: bool,
    pub(super) rtt_ms: Option<f32>,
    pub(super) frames_in: u64,
    pub(super) frames_dropped: u64,
    pub(super) decode_errors: u64,
}

/// What the pace of the agent's side adds to a reading.
#[derive(Clone, Copy, Debug)]
pub(super) struct VoiceState {
    pub(super) playing: bool,
    pub(super) buffered_ms: u64,
}

impl Health {
    pub(super) fn new(call: CallId, thresholds: Thresholds, now: Duration) -> Self {
        Self {
            call,
            arrivals: Arrivals::new(),
            meter_in: Meter::new(),
            meter_out: Meter::new(),
            crossings: VecDeque::with_capacity(CROSSING_FRAMES),
            vad: Vad::default(),
            talk: Talk::new(),
            thresholds,
            hysteresis: Hysteresis::new(),
            judged: 0,
            published: Band::Unknown,
            judge_at: now + JUDGE_EVERY,
            gauge_at: now + GAUGE_EVERY,
            ticked_at: now,
            has_out: false,
            rtt_ms: None,
            frames_in: 0,
            frames_dropped: 0,
            decode_errors: 0,
        }
    }

    pub(super) fn is_caller_speaking(&self) -> bool {
        self.vad.is_speaking()
    }

    pub(super) fn caller_spoke_until(&self) -> Duration {
        self.vad.last_speech_at()
    }

    /// A caller frame arrived; `ulaw` is its audio.
    pub(super) fn caller_frame(
        &mut self,
        audio: &CarrierAudio,
        ulaw: &[u8],
        now: Duration,
    ) -> Option<VadEvent> {
        self.frames_in += 1;
        self.arrivals.on_frame(Arrival {
            at: now,
            media_ms: audio.timestamp_ms,
            chunk: audio.chunk,
            audio_ms: u32::try_from(ulaw.len() / 8).unwrap_or(0),
        });
        let pieces = ulaw.len().div_ceil(FRAME_SAMPLES);
        let mut event = None;
        for (index, piece) in ulaw.chunks(FRAME_SAMPLES).enumerate() {
            let level = level_ulaw(piece);
            let later = u32::try_from(pieces - 1 - index).unwrap_or(0);
            let at = now.saturating_sub(FRAME * later);
            self.meter_in.push(level, at);
            event = self.vad.push(level.rms_dbfs, at).or(event);
        }
        event
    }

    /// A frame went out to the caller.
    pub(super) fn agent_frame(&mut self, ulaw: &[u8], now: Duration) {
        self.has_out = true;
        self.meter_out.push(level_ulaw(ulaw), now);
        if self.crossings.len() == CROSSING_FRAMES {
            self.crossings.pop_front();
        }
        self.crossings.push_back(zero_crossings(ulaw));
    }

    /// Crossings per sample over the last second; `None` before there was a second of sound.
    fn crossings_out(&self) -> Option<f32> {
        let samples = (CROSSING_FRAMES * FRAME_SAMPLES) as f32;
        let count: u32 = self.crossings.iter().map(|count| u32::from(*count)).sum();
        (self.crossings.len() == CROSSING_FRAMES).then_some(count as f32 / samples)
    }

    /// Counts the time since the last tick and publishes what is due.
    pub(super) fn tick(
        &mut self,
        now: Duration,
        voice: VoiceState,
        effects: &mut Effects,
    ) -> Option<VadEvent> {
        let event = self.vad.idle(now);
        let mut left = TICKS_MAX;
        while self.ticked_at + FRAME <= now && left > 0 {
            self.ticked_at += FRAME;
            left -= 1;
            self.talk.tick(Speaking {
                caller: self.vad.is_speaking(),
                agent: voice.playing,
            });
        }
        if left == 0 {
            self.ticked_at = now;
        }
        if now >= self.judge_at {
            self.judge_at = next(self.judge_at, JUDGE_EVERY, now);
            self.judge(now, effects);
        }
        if now >= self.gauge_at {
            self.gauge_at = next(self.gauge_at, GAUGE_EVERY, now);
            let gauge = self.gauge(now, voice);
            effects.push(Effect::Gauge(gauge));
        }
        event
    }

    pub(super) fn summary(&mut self, now: Duration) -> CallSummary {
        let stats = self.arrivals.stats(now);
        let shares = self.talk.shares();
        let heard = stats.received > 0;
        CallSummary {
            agent_talk_share: shares.talk_ratio,
            silence_share: (!self.talk.elapsed().is_zero()).then_some(shares.silence),
            jitter_ms: heard.then_some(stats.jitter_ms as f32),
            gap_pct: heard.then_some(stats.loss_pct_total as f32),
            bridge_score: heard.then(|| score(&stats) as f32),
            frames_in: self.frames_in,
            frames_dropped: self.frames_dropped,
            decode_errors: self.decode_errors,
            ..CallSummary::default()
        }
    }

    fn gauge(&mut self, now: Duration, voice: VoiceState) -> Gauge {
        let stats = self.arrivals.stats(now);
        let heard = stats.received > 0;
        let shares = self.talk.shares();
        Gauge {
            level_in_dbfs: heard.then(|| self.meter_in.reading(now).rms_dbfs),
            level_out_dbfs: self.has_out.then(|| self.meter_out.reading(now).rms_dbfs),
            jitter_ms: heard.then_some(stats.jitter_ms as f32),
            gap_pct: heard.then_some(stats.loss_pct as f32),
            score: heard.then(|| score(&stats) as f32),
            buffer_ms: Some(u32::try_from(voice.buffered_ms).unwrap_or(u32::MAX)),
            rtt_ms: self.rtt_ms,
            caller_speaking: self.vad.is_speaking(),
            agent_speaking: voice.playing,
            silence_ms: self.talk.dead_air().map_or(0, |(silence, _)| {
                u32::try_from(silence.as_millis()).unwrap_or(u32::MAX)
            }),
            agent_talk_share: shares.talk_ratio,
            silence_share: Some(shares.silence),
            crossings_out: self.crossings_out(),
            ..Gauge::blank(self.call)
        }
    }

    /// Dead air and slow turns have alerts of their own; the band is about the line.
    fn judge(&mut self, now: Duration, effects: &mut Effects) {
        let stats = self.arrivals.stats(now);
        if stats.received == 0 {
            return;
        }
        let sample = QualitySample {
            jitter_ms: Some(stats.jitter_ms),
            loss_pct: Some(stats.loss_pct),
            late_pct: Some(stats.late_pct),
            mos: Some(score(&stats)),
            rtt_ms: self.rtt_ms.map(f64::from),
            // A long sentence waiting to be heard is no fault of the line.
            buffer_ms: None,
            ..QualitySample::default()
        };
        self.hysteresis.push(self.thresholds.grade(&sample).0);
        self.judged += 1;
        let band = match self.hysteresis.current() {
            Grade::Good => Band::Good,
            Grade::Warn => Band::Warn,
            Grade::Bad => Band::Bad,
        };
        if self.judged >= SETTLED_AFTER && band != self.published {
            self.published = band;
            effects.fact(Fact::QualityChanged {
                quality: Quality {
                    band,
                    bridge_score: Some(score(&stats) as f32),
                    jitter_ms: Some(stats.jitter_ms as f32),
                    gap_pct: Some(stats.loss_pct as f32),
                    rtt_ms: self.rtt_ms,
                    source: "bridge".into(),
                },
            });
        }
    }
}

/// How often the sign changes from one sample to the next. µ-law's top bit is the sign, so nothing
/// has to be decoded (ITU-T G.711, table 2a).
fn zero_crossings(ulaw: &[u8]) -> u16 {
    let pairs = ulaw.iter().zip(ulaw.iter().skip(1));
    let changes = pairs.filter(|(one, next)| (*one ^ *next) & 0x80 != 0);
    u16::try_from(changes.count()).unwrap_or(u16::MAX)
}

/// The carrier's round trip is unknown to us and the agent's is not on the caller's line.
fn score(stats: &ArrivalStats) -> f64 {
    let delay = mouth_to_ear_ms(None, stats.jitter_ms);
    e_model(delay, stats.loss_pct, stats.burst_ratio, Plc::Concealed).mos
}

/// The next due time on the grid that lies after `now`.
fn next(due: Duration, every: Duration, now: Duration) -> Duration {
    let due = due + every;
    if due > now { due } else { now + every }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames of a generator through the meter of the agent's side.
    fn crossings(mut sample: impl FnMut(u32) -> u8) -> f32 {
        let call = CallId::from_parts(1, [1; 10]);
        let mut health = Health::new(call, Thresholds::default(), Duration::ZERO);
        assert_eq!(health.crossings_out(), None);
        for frame in 0..60 {
            let bytes: Vec<u8> = (0..160).map(|n| sample(frame * 160 + n)).collect();
            health.agent_frame(&bytes, FRAME * frame);
        }
        health.crossings_out().unwrap()
    }

    #[test]
    fn noise_crosses_zero_far_more_often_than_a_tone_does() {
        let tone = crossings(|n| {
            let at = f64::from(n) * 300.0 * std::f64::consts::TAU / 8000.0;
            crate::media::ulaw_encode_sample((at.sin() * 9000.0) as i16)
        });
        assert!((0.05..0.1).contains(&tone), "{tone}");
        let mut state = 1_u32;
        let noise = crossings(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        });
        assert!((0.45..0.55).contains(&noise), "{noise}");
    }

    #[test]
    fn linear_samples_taken_for_ulaw_are_noise_and_the_same_voice_as_agreed_is_not() {
        // A voice of 140 Hz with its harmonics, swelling four times a second.
        let voice = |n: u32| {
            let at = f64::from(n) * std::f64::consts::TAU / 8000.0;
            let tone: f64 = (1..8)
                .map(|nth| (at * 140.0 * f64::from(nth)).sin() / f64::from(nth))
                .sum();
            (tone * (at * 4.0).sin().abs() * 6_000.0) as i16
        };
        let agreed = crossings(|n| crate::media::ulaw_encode_sample(voice(n)));
        assert!(agreed < 0.2, "{agreed}");
        for (label, order) in [("low byte first", [0, 1]), ("high byte first", [1, 0])] {
            let linear = crossings(|n| voice(n / 2).to_le_bytes()[order[n as usize % 2]]);
            assert!(linear > 0.4, "{label}: {linear}");
        }
    }
}
