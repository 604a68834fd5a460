//! The waterfall: where the time of each turn went, and of the whole call.

use crate::call::{Call, TurnTiming};
use crate::ui::groups::Layers;
use crate::ui::pen::{Pen, Seg};
use crate::ui::theme::Role;
use crate::ui::view::quality::turn_role;
use crate::ui::words::seconds;

use super::{Lines, head};

/// Turns drawn in the waterfall.
const TURNS: usize = 10;

pub(super) fn turns<'a>(pen: &Pen<'_>, call: &'a Call, width: u16, lines: &mut Lines<'a>) {
    if call.turns.is_empty() {
        return;
    }
    head(pen, lines, "Turns", "░ ears  ▒ think  █ voice".into());
    let from = call.turns.len().saturating_sub(TURNS);
    let longest = call.turns[from..].iter().map(|turn| turn.latency_ms).max();
    let scale = longest.unwrap_or(1).max(2_000);
    let columns = width.saturating_sub(13);
    let layers = Layers::of(call.turns.iter());
    let scale = scale.max(layers.p95.unwrap_or(0));
    whole_call(pen, &layers, scale, columns, lines);
    for turn in &call.turns[from..] {
        let mut segs = vec![pen.seg(format!("{:>4} ", turn.turn), Role::Faint)];
        let role = turn_role(Some(turn.latency_ms));
        segs.extend(pen.padded_left(seconds(turn.latency_ms), 6, role));
        segs.push(pen.seg(" ", Role::Text));
        segs.extend(waterfall(pen, turn, scale, columns));
        lines.push(segs);
    }
}

/// Medians and the layer to blame, over the turns that are held.
fn whole_call(pen: &Pen<'_>, turns: &Layers, scale: u32, columns: u16, lines: &mut Lines<'_>) {
    let words = |ms: Option<u32>| ms.map_or_else(|| "–".into(), seconds);
    for (label, ms, parts) in [
        ("p50", turns.p50, [turns.ears, turns.think, turns.voice]),
        ("p95", turns.p95, turns.slow),
    ] {
        let timing = TurnTiming {
            turn: 0,
            latency_ms: ms.unwrap_or(0),
            ears_ms: parts[0],
            token_ms: None,
            think_ms: parts[1],
            voice_ms: parts[2],
        };
        let mut segs = vec![pen.seg(format!(" {label} "), Role::Dim)];
        segs.extend(pen.padded_left(words(ms), 6, turn_role(ms)));
        segs.push(pen.seg(" ", Role::Text));
        segs.extend(waterfall(pen, &timing, scale, columns));
        lines.push(segs);
    }
    if let (Some((layer, ms)), Some(2_001..)) = (turns.blame(), turns.p95) {
        lines.push(vec![
            pen.seg(format!("     slowest: {} ", layer.as_str()), Role::Warn),
            pen.seg(format!("{} · {}", seconds(ms), layer.whose()), Role::Dim),
        ]);
    }
}

/// One turn as a bar in three shades; what is not attributed is drawn as thinking.
fn waterfall<'a>(pen: &Pen<'_>, turn: &TurnTiming, scale: u32, columns: u16) -> [Seg<'a>; 3] {
    let cells = |ms: u32| {
        (u64::from(ms) * u64::from(columns) / u64::from(scale.max(1))).min(u64::from(columns))
            as usize
    };
    let total = cells(turn.latency_ms).max(1);
    let ears = cells(turn.ears_ms.unwrap_or(0)).min(total);
    let voice = cells(turn.voice_ms.unwrap_or(0)).min(total - ears);
    let think = total - ears - voice;
    [
        pen.seg("░".repeat(ears), Role::Caller),
        pen.seg("▒".repeat(think), turn_role(Some(turn.latency_ms))),
        pen.seg("█".repeat(voice), Role::Agent),
    ]
}
