//! From network numbers to one opinion score, and from numbers to good, warn or bad.
//!
//! E-model: ITU-T G.107 with defaults for everything but delay and loss, as simplified by Cole and
//! Rosenbluth. It is an estimate of the leg we see and the screen must say so.

/// The part of G.107 that survives with every default in place.
const R_MAX: f64 = 93.2;
const PACKETISATION_MS: f64 = 20.0;
/// A band is raised when this many of the last [`HISTORY`] samples ask for it.
const RAISE: usize = 3;
const HISTORY: usize = 5;

/// How well the far end hides a lost frame: the `Bpl` of G.113 for G.711.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Plc {
    #[default]
    Concealed,
    Plain,
}

/// An E-model result with its parts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rating {
    pub delay_impairment: f64,
    pub loss_impairment: f64,
    /// 0 to 93.2.
    pub r: f64,
    /// 1 to 4.5.
    pub mos: f64,
}

/// Ordered: `Bad` is greatest, so the worst of several is their `max`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grade {
    #[default]
    Good,
    Warn,
    Bad,
}

/// Where one measure turns to warn and to bad. `warn > bad` means that small values are the bad
/// ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    pub warn: f64,
    pub bad: f64,
}

/// The lines for every measure. Units as in [`QualitySample`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    pub jitter_ms: Limits,
    pub loss_pct: Limits,
    pub late_pct: Limits,
    pub mos: Limits,
    pub rtt_ms: Limits,
    pub turn_p50_ms: Limits,
    pub turn_p95_ms: Limits,
    pub dead_air_s: Limits,
    pub buffer_ms: Limits,
}

/// One second's measures; `None` where there is no source, which never counts against the call.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct QualitySample {
    pub jitter_ms: Option<f64>,
    pub loss_pct: Option<f64>,
    pub late_pct: Option<f64>,
    pub mos: Option<f64>,
    pub rtt_ms: Option<f64>,
    pub turn_p50_ms: Option<f64>,
    pub turn_p95_ms: Option<f64>,
    pub dead_air_s: Option<f64>,
    pub buffer_ms: Option<f64>,
}

/// The measure that decided a grade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Culprit {
    Jitter,
    Loss,
    Late,
    Mos,
    Rtt,
    Turn,
    DeadAir,
    Buffer,
}

/// Keeps a band from flickering: up when 3 of the last 5 one-second samples ask for it, down after
/// 5 in a row that no longer do.
#[derive(Clone, Debug, Default)]
pub struct Hysteresis {
    current: Grade,
    recent: [Grade; HISTORY],
    next: usize,
}

/// Rating for `delay_ms` from mouth to ear, `loss_pct` and a burst ratio (1 = random).
pub fn e_model(delay_ms: f64, loss_pct: f64, burst_ratio: f64, plc: Plc) -> Rating {
    let bpl = match plc {
        Plc::Concealed => 25.1,
        Plc::Plain => 4.3,
    };
    let beyond = (delay_ms - 177.3).max(0.0);
    let delay_impairment = 0.024 * delay_ms + 0.11 * beyond;
    let loss_impairment = 95.0 * loss_pct / (loss_pct / burst_ratio.max(1.0) + bpl);
    let r = R_MAX - delay_impairment - loss_impairment;
    Rating {
        delay_impairment,
        loss_impairment,
        r,
        mos: mos_from_r(r),
    }
}

/// G.107 Annex B. The cubic dips below 1 near zero and is held at 1 there.
pub fn mos_from_r(r: f64) -> f64 {
    if r <= 0.0 {
        1.0
    } else if r >= 100.0 {
        4.5
    } else {
        (1.0 + 0.035 * r + 7e-6 * r * (r - 60.0) * (100.0 - r)).max(1.0)
    }
}

/// Delay estimate for [`e_model`]: half the round trip, a jitter buffer of twice the jitter
/// (20 to 200 ms) and one frame. The agent's thinking time is not network and stays out.
pub fn mouth_to_ear_ms(rtt_ms: Option<f64>, jitter_ms: f64) -> f64 {
    rtt_ms.unwrap_or(0.0) / 2.0 + (2.0 * jitter_ms).clamp(20.0, 200.0) + PACKETISATION_MS
}

impl Limits {
    pub const fn new(warn: f64, bad: f64) -> Self {
        Self { warn, bad }
    }

    /// Grade of one value. A value on a line still belongs to the better side of `bad`.
    pub fn grade(self, value: f64) -> Grade {
        let (value, warn, bad) = if self.warn <= self.bad {
            (value, self.warn, self.bad)
        } else {
            (-value, -self.warn, -self.bad)
        };
        if value > bad {
            Grade::Bad
        } else if value > warn || (value == warn && self.warn <= self.bad) {
            Grade::Warn
        } else {
            Grade::Good
        }
    }
}

/// Defaults of the configuration; turn times are the preset `phone`.
impl Default for Thresholds {
    fn default() -> Self {
        Self {
            jitter_ms: Limits::new(15.0, 30.0),
            loss_pct: Limits::new(1.0, 5.0),
            late_pct: Limits::new(1.0, 5.0),
            mos: Limits::new(4.0, 3.5),
            rtt_ms: Limits::new(200.0, 400.0),
            turn_p50_ms: Limits::new(1_200.0, 2_000.0),
            turn_p95_ms: Limits::new(2_500.0, 4_000.0),
            dead_air_s: Limits::new(4.0, 8.0),
            buffer_ms: Limits::new(3_000.0, 10_000.0),
        }
    }
}

impl Thresholds {
    /// The worst grade of a sample and the first measure that has it; `None` when all is good.
    pub fn grade(&self, sample: &QualitySample) -> (Grade, Option<Culprit>) {
        let rows = [
            (sample.loss_pct, self.loss_pct, Culprit::Loss),
            (sample.jitter_ms, self.jitter_ms, Culprit::Jitter),
            (sample.late_pct, self.late_pct, Culprit::Late),
            (sample.rtt_ms, self.rtt_ms, Culprit::Rtt),
            (sample.mos, self.mos, Culprit::Mos),
            (sample.turn_p50_ms, self.turn_p50_ms, Culprit::Turn),
            (sample.turn_p95_ms, self.turn_p95_ms, Culprit::Turn),
            (sample.dead_air_s, self.dead_air_s, Culprit::DeadAir),
            (sample.buffer_ms, self.buffer_ms, Culprit::Buffer),
        ];
        let mut worst = (Grade::Good, None);
        for (value, limits, culprit) in rows {
            let grade = value.map_or(Grade::Good, |v| limits.grade(v));
            if grade > worst.0 {
                worst = (grade, Some(culprit));
            }
        }
        worst
    }
}

impl Hysteresis {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn current(&self) -> Grade {
        self.current
    }

    /// Takes one sample a second; answers the new band when it changes.
    pub fn push(&mut self, grade: Grade) -> Option<Grade> {
        self.recent[self.next] = grade;
        self.next = (self.next + 1) % HISTORY;
        let asking = |level: Grade| self.recent.iter().filter(|&&g| g >= level).count();
        let raised = [Grade::Bad, Grade::Warn]
            .into_iter()
            .find(|&level| asking(level) >= RAISE);
        let before = self.current;
        if let Some(level) = raised.filter(|&level| level > self.current) {
            self.current = level;
        } else if asking(self.current) == 0 {
            self.current = self.recent.iter().copied().max().unwrap_or_default();
        }
        (self.current != before).then_some(self.current)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e_model_matches_the_worked_table() {
        let rows = [
            (0.0, 0.0, Plc::Concealed, 0.0, 0.0, 93.200, 4.409),
            (20.0, 0.0, Plc::Concealed, 0.480, 0.0, 92.720, 4.400),
            (100.0, 0.0, Plc::Concealed, 2.400, 0.0, 90.800, 4.358),
            (150.0, 0.0, Plc::Concealed, 3.600, 0.0, 89.600, 4.329),
            (150.0, 1.0, Plc::Concealed, 3.600, 3.640, 85.960, 4.228),
            (150.0, 3.0, Plc::Concealed, 3.600, 10.142, 79.458, 4.003),
            (200.0, 0.0, Plc::Concealed, 7.297, 0.0, 85.903, 4.226),
            (250.0, 5.0, Plc::Concealed, 13.997, 15.781, 63.422, 3.275),
            (400.0, 0.0, Plc::Concealed, 34.097, 0.0, 59.103, 3.053),
            (400.0, 10.0, Plc::Concealed, 34.097, 27.066, 32.037, 1.695),
            (150.0, 1.0, Plc::Plain, 3.600, 17.925, 71.675, 3.675),
            (150.0, 3.0, Plc::Plain, 3.600, 39.041, 50.559, 2.604),
        ];
        for (delay, loss, plc, id, ie, r, mos) in rows {
            let got = e_model(delay, loss, 1.0, plc);
            let close = |a: f64, b: f64| (a - b).abs() < 0.001;
            assert!(close(got.delay_impairment, id), "{delay} {loss}: {got:?}");
            assert!(close(got.loss_impairment, ie), "{delay} {loss}: {got:?}");
            assert!(
                close(got.r, r) && close(got.mos, mos),
                "{delay} {loss}: {got:?}"
            );
        }
    }

    #[test]
    fn score_anchors_and_ends_hold() {
        let anchors = [
            (50.0, 2.575),
            (60.0, 3.1),
            (70.0, 3.597),
            (80.0, 4.024),
            (90.0, 4.339),
        ];
        for (r, mos) in anchors {
            assert!((mos_from_r(r) - mos).abs() < 0.001, "{r}");
        }
        assert_eq!(
            (mos_from_r(-5.0), mos_from_r(3.0), mos_from_r(120.0)),
            (1.0, 1.0, 4.5)
        );
    }

    #[test]
    fn bursts_hurt_more_than_scattered_losses() {
        let scattered = e_model(100.0, 3.0, 1.0, Plc::Concealed).mos;
        assert!(e_model(100.0, 3.0, 3.0, Plc::Concealed).mos < scattered);
    }

    #[test]
    fn delay_estimate_bounds_the_jitter_buffer() {
        assert_eq!(mouth_to_ear_ms(None, 0.0), 40.0);
        assert_eq!(mouth_to_ear_ms(Some(80.0), 30.0), 120.0);
        assert_eq!(mouth_to_ear_ms(None, 5_000.0), 220.0);
    }

    #[test]
    fn lines_grade_in_both_directions() {
        let up = Thresholds::default().jitter_ms;
        let grades = [14.9, 15.0, 30.0, 30.1].map(|v| up.grade(v));
        assert_eq!(grades, [Grade::Good, Grade::Warn, Grade::Warn, Grade::Bad]);
        let down = Thresholds::default().mos;
        let grades = [4.1, 4.0, 3.9, 3.5, 3.4].map(|v| down.grade(v));
        assert_eq!(
            grades,
            [
                Grade::Good,
                Grade::Good,
                Grade::Warn,
                Grade::Warn,
                Grade::Bad
            ]
        );
    }

    #[test]
    fn the_worst_measure_is_named_and_missing_ones_are_silent() {
        let lines = Thresholds::default();
        assert_eq!(lines.grade(&QualitySample::default()), (Grade::Good, None));
        let sample = QualitySample {
            jitter_ms: Some(20.0),
            loss_pct: Some(7.0),
            mos: Some(3.0),
            ..QualitySample::default()
        };
        assert_eq!(lines.grade(&sample), (Grade::Bad, Some(Culprit::Loss)));
    }

    #[test]
    fn a_band_rises_on_three_of_five_and_clears_after_five_good() {
        use Grade::{Bad, Good, Warn};
        let mut band = Hysteresis::new();
        let changes: Vec<_> = [Warn, Good, Warn, Good, Warn, Good]
            .into_iter()
            .map(|g| band.push(g))
            .collect();
        assert_eq!(changes, [None, None, None, None, Some(Warn), None]);
        for _ in 0..3 {
            assert_eq!(band.push(Good), None);
        }
        assert_eq!(band.push(Good), Some(Good));
        let changes: Vec<_> = [Bad, Bad, Bad].into_iter().map(|g| band.push(g)).collect();
        assert_eq!(changes, [None, None, Some(Bad)]);
        let changes: Vec<_> = [Warn; 5].into_iter().map(|g| band.push(g)).collect();
        assert_eq!(changes, [None, None, None, None, Some(Warn)]);
    }
}
