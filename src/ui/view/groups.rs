//! Quality by group: one sick call or one sick carrier. The worst group first, each with its turns,
//! the layer to blame, its line, and the change against the last quarter of an hour.

use ratatui::layout::Rect;

use crate::call::Band;
use crate::ui::groups::{Group, LOOK_BACK, Layers};
use crate::ui::keymap::Act;
use crate::ui::model::{Focus, Model};
use crate::ui::pen::{Pen, Seg};
use crate::ui::theme::Role;
use crate::ui::words::{figure, seconds, tenths};

use super::cards::mark;
use super::quality::{band_role, plain_if_good, score_role, turn_band};
use super::{Areas, first_row, rows};

/// Columns: group, calls, need you, turns, waterfall, gaps, line.
const KEY: u16 = 22;
const CALLS: u16 = 6;
const ILL: u16 = 10;
const TURN: u16 = 21;
/// Layers: the bar, then three figures.
const BAR: u16 = 12;
/// The bar where there is room for a finer one, and from what width there is.
const BAR_WIDE: (u16, u16) = (36, 180);
const LAYERS_FIGURES: u16 = 18;
const GAPS: u16 = 14;
const LINE: u16 = 9;

pub(super) fn draw(pen: &mut Pen<'_>, model: &Model, areas: &Areas) {
    let (Some(pane), Some(area)) = (areas.list, areas.list_rows) else {
        return;
    };
    let groups = &model.groups;
    let span = groups.past.span(model.now.mono).min(LOOK_BACK).as_secs() / 60;
    let mut title = vec![
        pen.seg("Quality ", Role::Title),
        pen.seg(format!("by {}", groups.by.as_str()), Role::Accent),
        pen.seg(format!(" · {} next", model.key(Act::GroupBy)), Role::Dim),
    ];
    let change = match span {
        0 => " · change: from a minute on".to_owned(),
        minutes => format!(" · ± against the last {minutes} min"),
    };
    title.push(pen.seg(change, Role::Dim));
    if !model.filter.is_empty() {
        title.push(pen.seg(format!(" · /{}", model.filter.text()), Role::Accent));
    }
    let foot = [pen.seg(
        format!("{} shows these calls only", model.key(Act::Open)),
        Role::Dim,
    )];
    pen.pane(pane, &title, &foot, model.focus == Focus::Calls);
    let columns = Columns::of(area.width);
    columns.head(
        pen,
        Rect::new(area.x, area.y - 1, area.width, 1),
        groups.by.as_str(),
    );
    let at = groups.position();
    let from = first_row(at, groups.rows.len(), area.height);
    let slowest = groups.rows.iter().filter_map(|group| group.turns.p50).max();
    let scale = slowest.unwrap_or(0).max(1_500);
    let shown = groups.rows.iter().enumerate().skip(from);
    for (index, group) in shown.take(usize::from(area.height)) {
        let row = Rect::new(area.x, area.y + (index - from) as u16, area.width, 1);
        line(pen, group, &columns, scale, row);
        if index == at {
            mark(pen, row);
        }
    }
    if groups.rows.is_empty() {
        let style = pen.style(Role::Dim);
        pen.text(area.x + 2, area.y, area.width, "no calls to group", style);
    }
    if let Some(below) = areas.below {
        calls(pen, model, below);
    }
}

/// The calls of the group under the cursor, worst first.
fn calls(pen: &mut Pen<'_>, model: &Model, pane: Rect) {
    let groups = &model.groups;
    let key = groups.at.as_deref().unwrap_or("–");
    let mut title = vec![
        pen.seg("Calls of ", Role::Title),
        pen.outside(key, Role::Title),
        pen.seg(format!(" {}", groups.calls.len()), Role::Title),
    ];
    if let Some(group) = groups.rows.get(groups.position()) {
        let scale = group.turns.p50.unwrap_or(0).max(1_500);
        title.push(pen.seg(" · ears ░ think ▒ voice █ ", Role::Dim));
        title.extend(layers(pen, &group.turns, scale, 12));
    }
    let rest = groups
        .calls
        .len()
        .saturating_sub(usize::from(pane.height) - 2);
    let foot: Vec<Seg<'_>> = match rest {
        0 => Vec::new(),
        rest => vec![pen.seg(format!("{rest} more"), Role::Dim)],
    };
    let inside = pen.pane(pane, &title, &foot, false);
    for (index, id) in groups
        .calls
        .iter()
        .take(usize::from(inside.height))
        .enumerate()
    {
        if let Some(call) = model.board.get(*id) {
            rows::listed(pen, model, call, inside, index as i32);
        }
    }
}

struct Columns {
    turn: Option<u16>,
    layers: Option<u16>,
    /// Columns of the layers' bar.
    bar: u16,
    gaps: Option<u16>,
    line: Option<u16>,
    verdict: u16,
}

impl Columns {
    fn of(width: u16) -> Self {
        let mut x = 2 + KEY + CALLS + ILL;
        let mut take = |columns: u16, from: u16| {
            (width >= from).then(|| {
                let at = x;
                x += columns;
                at
            })
        };
        let turn = take(TURN, 70);
        let bar = if width >= BAR_WIDE.1 { BAR_WIDE.0 } else { BAR };
        let layers = take(bar + LAYERS_FIGURES, 130);
        let gaps = take(GAPS, 90);
        let line = take(LINE, 110);
        Self {
            turn,
            layers,
            bar,
            gaps,
            line,
            verdict: x,
        }
    }

    fn head(&self, pen: &mut Pen<'_>, row: Rect, by: &str) {
        let style = pen.style(Role::Dim);
        let by = by.to_uppercase();
        for (x, word) in [
            (Some(2), by.as_str()),
            (Some(2 + KEY), " LIVE"),
            (Some(2 + KEY + CALLS), "NEED YOU"),
            (self.turn, "TURN p50    p95"),
            (self.layers, "EARS ░ THINK ▒ VOICE █ seconds"),
            (self.gaps, "  GAPS"),
            (self.line, "BRIDGE"),
            (Some(self.verdict), "WHAT IT IS"),
        ] {
            if let Some(x) = x.filter(|x| *x < row.width) {
                pen.text(row.x + x, row.y, row.width - x, word, style);
            }
        }
    }
}

fn line(pen: &mut Pen<'_>, group: &Group, columns: &Columns, scale: u32, row: Rect) {
    let band = group.band();
    let role = match band {
        Band::Bad => Role::Bad,
        Band::Warn => Role::Warn,
        Band::Good | Band::Unknown => Role::Text,
    };
    let glyph = if band > Band::Good { "▲" } else { "●" };
    let glyph_role = if band > Band::Good {
        role
    } else {
        band_role(band)
    };
    let style = pen.style(glyph_role);
    pen.put(row.x + 1, row.y, glyph, style);
    let key = [pen.outside(&group.key, role)];
    pen.segs(row.x + 3, row.y, KEY - 2, &key);
    let live = pen.style(Role::Text);
    let text = format!("{:>5}", group.live);
    pen.text(row.x + 2 + KEY, row.y, CALLS, &text, live);
    let ill_role = match (group.critical, group.ill) {
        (0, 0) => Role::Dim,
        (0, _) => Role::Warn,
        _ => Role::Bad,
    };
    let mut ill = pen.padded_left(group.ill.to_string(), 3, ill_role).to_vec();
    ill.push(change(pen, group.change.ill, 1.0, 0));
    pen.segs(row.x + 2 + KEY + CALLS, row.y, ILL, &ill);
    if let Some(x) = columns.turn {
        let segs = turn(pen, group);
        pen.segs(row.x + x, row.y, TURN - 1, &segs);
    }
    if let Some(x) = columns.layers {
        let segs = layers(pen, &group.turns, scale, u32::from(columns.bar));
        let room = columns.bar + LAYERS_FIGURES - 1;
        pen.segs(row.x + x, row.y, room, &segs);
    }
    if let Some(x) = columns.gaps {
        let words = group
            .gap_pct
            .map_or_else(|| "–".into(), |pct| format!("{pct:.1} %"));
        let band = match group.gap_pct {
            None => Band::Unknown,
            Some(pct) if pct <= 1.0 => Band::Good,
            Some(pct) if pct <= 5.0 => Band::Warn,
            Some(_) => Band::Bad,
        };
        let mut segs = pen.padded_left(words, 6, plain_if_good(band)).to_vec();
        segs.push(change(pen, group.change.gap_pct, 0.3, 1));
        pen.segs(row.x + x, row.y, GAPS - 1, &segs);
    }
    if let Some(x) = columns.line {
        let segs = pen.padded_left(figure(group.score), 6, score_role(group.score));
        pen.segs(row.x + x, row.y, LINE - 1, &segs);
    }
    let verdict = group.verdict();
    let role = if band > Band::Good { role } else { Role::Dim };
    let verdict = [pen.outside(&verdict, role)];
    let room = row.width.saturating_sub(columns.verdict);
    pen.segs(row.x + columns.verdict, row.y, room, &verdict);
}

fn turn<'a>(pen: &Pen<'_>, group: &Group) -> Vec<Seg<'a>> {
    let words = |ms: Option<u32>| ms.map_or_else(|| "–".into(), seconds);
    let p50 = group.turns.p50;
    let p95 = group.turns.p95;
    let slow = match p95 {
        None => Band::Unknown,
        Some(0..=2_500) => Band::Good,
        Some(2_501..=4_000) => Band::Warn,
        Some(_) => Band::Bad,
    };
    let mut segs = pen
        .padded_left(words(p50), 8, plain_if_good(turn_band(p50)))
        .to_vec();
    segs.extend(pen.padded_left(words(p95), 7, plain_if_good(slow)));
    let slower = group.change.p95_ms.map(|ms| ms / 1_000.0);
    segs.push(change(pen, slower, 0.2, 1));
    segs
}

/// `+2.6`, in the colour of worse; nothing while it hardly changed.
fn change<'a>(pen: &Pen<'_>, by: Option<f32>, least: f32, digits: usize) -> Seg<'a> {
    match by.filter(|by| by.abs() >= least) {
        Some(by) if by > 0.0 => pen.seg(format!(" +{by:.digits$}"), Role::Warn),
        Some(by) => pen.seg(format!(" −{:.digits$}", by.abs()), Role::Dim),
        None => pen.seg("", Role::Dim),
    }
}

/// The medians of the layers as a bar and in seconds; the slowest is lit when turns are slow.
pub(super) fn layers<'a>(pen: &Pen<'_>, turns: &Layers, scale: u32, columns: u32) -> Vec<Seg<'a>> {
    if turns.ears.is_none() && turns.think.is_none() {
        return vec![pen.seg("–", Role::Dim)];
    }
    let parts = [
        (turns.ears, "░", Role::Caller),
        (turns.think, "▒", Role::Text),
        (turns.voice, "█", Role::Agent),
    ];
    let mut segs = Vec::new();
    let mut used = 0;
    for (ms, shade, role) in parts {
        let cells = (ms.unwrap_or(0) * columns / scale.max(1)).min(columns - used);
        used += cells;
        segs.push(pen.seg(shade.repeat(cells as usize), role));
    }
    segs.push(pen.seg(" ".repeat((columns - used) as usize + 1), Role::Text));
    let is_slow = turns.p95.is_some_and(|ms| ms > 2_500);
    let blame = turns
        .blame()
        .filter(|_| is_slow)
        .map(|(layer, _)| layer.as_str());
    for (name, ms) in [
        ("ears", turns.ears),
        ("think", turns.think),
        ("voice", turns.voice),
    ] {
        let role = if blame == Some(name) {
            Role::Warn
        } else {
            Role::Dim
        };
        let words = ms.map_or_else(|| "–".into(), tenths);
        segs.push(pen.seg(format!("{words} "), role));
    }
    segs
}
