//! Quality gauges of the selected call, each with its band, and whose figure it is.

use ratatui::layout::Rect;

use crate::call::{Band, Call};
use crate::providers::vendor::registry;
use crate::ui::model::Model;
use crate::ui::order::score_of;
use crate::ui::pen::{Pen, Seg, width};
use crate::ui::theme::Role;
use crate::ui::words::{band_word, bar, figure, seconds, spark, tenths, vendor};

use super::call_words::turn_spark;

/// Turn latency an operator should expect, milliseconds: good up to, fair up to (preset `phone`).
const TURN: (u32, u32) = (1_200, 2_000);

pub(super) fn band_role(band: Band) -> Role {
    match band {
        Band::Unknown => Role::Dim,
        Band::Good => Role::Good,
        Band::Warn => Role::Warn,
        Band::Bad => Role::Bad,
    }
}

fn up_to(value: Option<f32>, good: f32, fair: f32) -> Band {
    match value {
        None => Band::Unknown,
        Some(value) if value <= good => Band::Good,
        Some(value) if value <= fair => Band::Warn,
        Some(_) => Band::Bad,
    }
}

pub(super) fn score_band(score: Option<f32>) -> Band {
    match score {
        None => Band::Unknown,
        Some(score) if score >= 4.0 => Band::Good,
        Some(score) if score >= 3.5 => Band::Warn,
        Some(_) => Band::Bad,
    }
}

/// Good figures are plain; colour is for what is not.
pub(super) fn score_role(score: Option<f32>) -> Role {
    match score_band(score) {
        Band::Good => Role::Text,
        band => band_role(band),
    }
}

pub(super) fn turn_band(ms: Option<u32>) -> Band {
    up_to(ms.map(|ms| ms as f32), TURN.0 as f32, TURN.1 as f32)
}

pub(super) fn turn_role(ms: Option<u32>) -> Role {
    match turn_band(ms) {
        Band::Good => Role::Good,
        band => band_role(band),
    }
}

/// Whether a history goes up or down over its length.
fn trend(values: &std::collections::VecDeque<f32>) -> &'static str {
    let half = values.len() / 2;
    if half < 2 {
        return " ";
    }
    let mean = |part: &mut dyn Iterator<Item = &f32>, count: usize| {
        part.sum::<f32>() / count.max(1) as f32
    };
    let older = mean(&mut values.iter().take(half), half);
    let newer = mean(&mut values.iter().skip(half), values.len() - half);
    match newer - older {
        step if step > 0.08 => "↗",
        step if step < -0.08 => "↘",
        _ => "→",
    }
}

pub(super) fn draw(pen: &mut Pen<'_>, model: &Model, area: Rect) {
    let Some(call) = model.selected() else {
        return;
    };
    let lines = match area.height {
        0 => return,
        1 => vec![one_line(pen, model, call)],
        2 => vec![
            turn(pen, call, area.width),
            bridge(pen, model, call, area.width),
        ],
        3 => vec![
            turn(pen, call, area.width),
            bridge(pen, model, call, area.width),
            carrier(pen, call),
        ],
        _ => vec![
            turn(pen, call, area.width),
            split(pen, call),
            bridge(pen, model, call, area.width),
            talk(pen, model, call, area.width),
            carrier(pen, call),
        ],
    };
    let room = area.width.saturating_sub(1);
    for (index, mut segs) in lines.into_iter().take(usize::from(area.height)).enumerate() {
        // A figure is shown whole or not at all, and never a label without its figure.
        let total = |segs: &[Seg<'_>]| segs.iter().map(|seg| width(&seg.text)).sum::<u16>();
        while total(&segs) > room && segs.len() > 2 {
            segs.pop();
            while segs.last().is_some_and(|seg| seg.text.ends_with(' ')) {
                segs.pop();
            }
        }
        pen.segs(area.x + 1, area.y + index as u16, room, &segs);
    }
}

fn turn<'a>(pen: &Pen<'_>, call: &Call, width: u16) -> Vec<Seg<'a>> {
    let last = call.turns.last().map(|turn| turn.latency_ms);
    let band = turn_band(last);
    let words = last.map_or_else(|| "–".into(), seconds);
    let mut segs = vec![pen.seg("Turn    ", Role::Dim)];
    segs.extend(pen.padded(words, 6, turn_role(last)));
    segs.extend(pen.padded(band_word(band).into(), 5, band_role(band)));
    let columns = if width >= 70 { 12 } else { 6 };
    segs.push(pen.seg(format!("{}  ", turn_spark(call, columns)), Role::Dim));
    let p = |percent| call.turn_percentile(percent);
    for (label, ms) in [("p50 ", p(50)), ("p95 ", p(95))] {
        segs.push(pen.seg(label, Role::Dim));
        segs.push(pen.seg(
            ms.map_or_else(|| "–".into(), tenths),
            plain_if_good(turn_band(ms)),
        ));
        segs.push(pen.seg("  ", Role::Dim));
    }
    segs.push(pen.seg("target ", Role::Dim));
    segs.push(pen.seg(tenths(TURN.0), Role::Dim));
    segs
}

/// Where the last turn's time went.
fn split<'a>(pen: &Pen<'_>, call: &Call) -> Vec<Seg<'a>> {
    let mut segs = vec![pen.seg("        ", Role::Dim)];
    let Some(last) = call.turns.last() else {
        return segs;
    };
    let parts = [
        ("ears ", last.ears_ms),
        ("think ", last.think_ms),
        ("voice ", last.voice_ms),
    ];
    let longest = parts.iter().filter_map(|(_, ms)| *ms).max();
    // Of the thinking, where the vendor tells it: how long until the first word was written.
    let token = last.token_ms.map(|ms| format!(" (word {})", tenths(ms)));
    for (index, (label, ms)) in parts.into_iter().enumerate() {
        if index > 0 {
            segs.push(pen.seg(" · ", Role::Dim));
        }
        let blame = turn_band(Some(last.latency_ms)) > Band::Good && ms.is_some() && ms == longest;
        let role = if blame { Role::Warn } else { Role::Text };
        segs.push(pen.seg(label, Role::Dim));
        segs.push(pen.seg(ms.map_or_else(|| "–".into(), tenths), role));
        if let Some(token) = token.as_ref().filter(|_| label == "think ") {
            segs.push(pen.seg(token.clone(), Role::Dim));
        }
    }
    if call.interruptions > 0 {
        let text = format!("   cut off {}×", call.interruptions);
        segs.push(pen.seg(text, Role::Dim));
    }
    segs
}

fn bridge<'a>(pen: &Pen<'_>, model: &Model, call: &Call, width: u16) -> Vec<Seg<'a>> {
    let readings = model.readings.get(&call.id);
    let gauge = readings.map(|readings| &readings.gauge);
    let quality = call.quality.as_ref();
    let score = score_of(call, gauge.and_then(|gauge| gauge.score));
    let band = score_band(score);
    let mut segs = vec![pen.seg("Bridge  ", Role::Dim)];
    segs.extend(pen.padded(figure(score), 6, score_role(score)));
    segs.extend(pen.padded(band_word(band).into(), 5, band_role(band)));
    if let Some(readings) = readings {
        let history = readings.scores.iter().copied();
        let columns = if width >= 70 { 12 } else { 6 };
        let text = spark(history, columns, 1.0, 4.6);
        segs.push(pen.seg(format!("{text}{} ", trend(&readings.scores)), Role::Dim));
    }
    let jitter = gauge
        .and_then(|gauge| gauge.jitter_ms)
        .or_else(|| quality.and_then(|quality| quality.jitter_ms));
    let gaps = gauge
        .and_then(|gauge| gauge.gap_pct)
        .or_else(|| quality.and_then(|quality| quality.gap_pct));
    segs.push(pen.seg("jitter ", Role::Dim));
    let text = jitter.map_or_else(|| "–".into(), |ms| format!("{ms:.0} ms"));
    segs.push(pen.seg(text, plain_if_good(up_to(jitter, 15.0, 30.0))));
    segs.push(pen.seg("  gaps ", Role::Dim));
    let text = gaps.map_or_else(|| "–".into(), |pct| format!("{pct:.1} %"));
    segs.push(pen.seg(text, plain_if_good(up_to(gaps, 1.0, 5.0))));
    if let Some(ms) = gauge.and_then(|gauge| gauge.buffer_ms) {
        segs.push(pen.seg("  buffer ", Role::Dim));
        let band = up_to(Some(ms as f32), 3_000.0, 10_000.0);
        segs.push(pen.seg(format!("{ms} ms"), plain_if_good(band)));
    }
    if let Some(ms) = gauge.and_then(|gauge| gauge.rtt_ms) {
        segs.push(pen.seg("  AI ", Role::Dim));
        let band = up_to(Some(ms), 200.0, 400.0);
        segs.push(pen.seg(format!("{ms:.0} ms"), plain_if_good(band)));
    }
    segs
}

pub(super) fn plain_if_good(band: Band) -> Role {
    match band {
        Band::Good => Role::Text,
        band => band_role(band),
    }
}

fn talk<'a>(pen: &Pen<'_>, model: &Model, call: &Call, width: u16) -> Vec<Seg<'a>> {
    let mut segs = vec![pen.seg("Talk    ", Role::Dim)];
    let gauge = model.readings.get(&call.id).map(|readings| &readings.gauge);
    let summary = call.summary.as_ref();
    let share = gauge
        .and_then(|gauge| gauge.agent_talk_share)
        .or_else(|| summary.and_then(|summary| summary.agent_talk_share));
    let silence = gauge
        .and_then(|gauge| gauge.silence_share)
        .or_else(|| summary.and_then(|summary| summary.silence_share));
    match share {
        Some(share) => {
            let columns = if width > 58 { 12 } else { 8 };
            let agent = (share.clamp(0.0, 1.0) * 100.0).round();
            segs.push(pen.seg(format!("agent {agent:.0} % "), Role::Agent));
            segs.push(pen.seg(bar(share, columns), Role::Agent));
            segs.push(pen.seg(format!(" {:.0} % caller", 100.0 - agent), Role::Caller));
        }
        None => segs.push(pen.seg("–", Role::Dim)),
    }
    if let Some(silence) = silence {
        let text = format!("   silence {:.0} %", silence.clamp(0.0, 1.0) * 100.0);
        segs.push(pen.seg(text, Role::Dim));
    }
    segs
}

/// The carrier's own figures come after the call, and say so until then.
fn carrier<'a>(pen: &Pen<'_>, call: &Call) -> Vec<Seg<'a>> {
    let mut segs = vec![pen.seg("Carrier ", Role::Dim)];
    match &call.carrier_quality {
        Some(quality) => {
            let source = crate::call::text::clean_label(vendor(&quality.source)).into_owned();
            segs.push(pen.seg(format!("{source}: "), Role::Dim));
            segs.push(pen.seg(band_word(quality.band), band_role(quality.band)));
            for (label, value, unit) in [
                ("  jitter ", quality.jitter_ms, " ms"),
                ("  lost ", quality.gap_pct, " %"),
                ("  rtt ", quality.rtt_ms, " ms"),
            ] {
                if let Some(value) = value {
                    segs.push(pen.seg(label, Role::Dim));
                    segs.push(pen.seg(format!("{value:.1}{unit}"), Role::Text));
                }
            }
        }
        None if registry::carrier(&call.facts.carrier)
            .is_some_and(|carrier| carrier.tells_quality) =>
        {
            let text = "Insights pending (arrives after the call)";
            segs.push(pen.seg(text, Role::Faint));
        }
        None => segs.push(pen.seg("no figures of its own", Role::Faint)),
    }
    segs
}

/// Everything that fits on one line, for 80 columns.
fn one_line<'a>(pen: &Pen<'_>, model: &Model, call: &Call) -> Vec<Seg<'a>> {
    let last = call.turns.last();
    let ms = last.map(|turn| turn.latency_ms);
    let gauge = model.readings.get(&call.id).map(|readings| &readings.gauge);
    let score = score_of(call, gauge.and_then(|gauge| gauge.score));
    let mut segs = vec![
        pen.seg("turn ", Role::Dim),
        pen.seg(ms.map_or_else(|| "–".into(), seconds), turn_role(ms)),
        pen.seg(format!(" {}", turn_spark(call, 5)), Role::Dim),
    ];
    if let Some(think) = last.and_then(|turn| turn.think_ms) {
        segs.push(pen.seg(format!(" think {}", tenths(think)), Role::Dim));
    }
    segs.push(pen.seg("  bridge ", Role::Dim));
    let band = score_band(score);
    let text = format!("{} {}", figure(score), band_word(band));
    segs.push(pen.seg(text, band_role(band)));
    if let Some(jitter) = gauge.and_then(|gauge| gauge.jitter_ms) {
        let role = plain_if_good(up_to(Some(jitter), 15.0, 30.0));
        segs.push(pen.seg("  jitter ", Role::Dim));
        segs.push(pen.seg(format!("{jitter:.0} ms"), role));
    }
    if let Some(gaps) = gauge.and_then(|gauge| gauge.gap_pct) {
        let role = plain_if_good(up_to(Some(gaps), 1.0, 5.0));
        segs.push(pen.seg("  gaps ", Role::Dim));
        segs.push(pen.seg(format!("{gaps:.1} %"), role));
    }
    if let Some(share) = gauge.and_then(|gauge| gauge.agent_talk_share) {
        let agent = (share.clamp(0.0, 1.0) * 100.0).round();
        let text = format!("  talk {:.0}/{agent:.0}", 100.0 - agent);
        segs.push(pen.seg(text, Role::Dim));
    }
    segs
}
