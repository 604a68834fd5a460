//! The header: whose board, how many calls, how the turns are, the link, the clock.

use std::time::Duration;

use ratatui::layout::Rect;

use crate::engine::LinkState;
use crate::ui::model::{Mode, Model};
use crate::ui::pen::{Pen, Seg, width};
use crate::ui::theme::Role;
use crate::ui::update::{is_paused, shown_number, tape_words};
use crate::ui::words::{duration, figure, seconds, tenths};

use super::quality::{score_role, turn_role};

/// Data older than this while the link is up is worth a colour.
const OLD: Duration = Duration::from_secs(20);

pub(super) fn draw(pen: &mut Pen<'_>, model: &Model, area: Rect) {
    let wide = area.width >= 110;
    let right = right(pen, model, wide);
    let right_width: u16 = right.iter().map(|seg| width(&seg.text)).sum();
    let used = pen.segs_right(area.right().saturating_sub(1), area.y, right_width, &right);
    let room = area.width.saturating_sub(used + 3);
    let mut left = name(pen, model, wide);
    left.extend(totals(pen, model, wide));
    left.extend(ear(pen, model));
    left.extend(tape(pen, model));
    if let Some(frozen) = &model.frozen {
        let text = format!("  FROZEN +{} events ", frozen.events);
        left.push(pen.seg(text, Role::BannerWarn));
    }
    left.extend(figures(pen, model, wide));
    pen.segs(area.x + 1, area.y, room, &left);
}

fn name<'a>(pen: &Pen<'_>, model: &'a Model, wide: bool) -> Vec<Seg<'a>> {
    let name = match (&model.settings.name, &model.hello) {
        (Some(name), _) => name.as_str(),
        (None, Some(hello)) => hello.backend_id.as_str(),
        (None, None) => "",
    };
    let gap = if wide { "  " } else { " " };
    let mut segs = vec![pen.seg("wallboard", Role::Strong), pen.seg(gap, Role::Text)];
    if model.settings.mode == Mode::Demo {
        segs.push(pen.seg("DEMO", Role::Operator));
    } else {
        segs.push(pen.outside(name, Role::Dim));
    }
    segs.push(pen.seg(gap, Role::Text));
    segs
}

fn totals<'a>(pen: &Pen<'_>, model: &Model, wide: bool) -> Vec<Seg<'a>> {
    let totals = &model.totals;
    let gap = if wide { "  " } else { " " };
    let (ringing, attention) = if wide {
        ("ringing", " attention")
    } else {
        ("ring", " ▲")
    };
    let live = if totals.live > 0 {
        Role::Good
    } else {
        Role::Dim
    };
    let rings = if totals.ringing > 0 {
        Role::Info
    } else {
        Role::Dim
    };
    let asks = if totals.attention > 0 {
        Role::Bad
    } else {
        Role::Dim
    };
    let snoozed = match (totals.snoozed, wide) {
        (0, _) => String::new(),
        (count, true) => format!(" {count} snoozed"),
        (count, false) => format!(" {count} z"),
    };
    vec![
        pen.seg(format!("{} live{gap}", totals.live), live),
        pen.seg(format!("{} {ringing}{gap}", totals.ringing), rings),
        pen.seg(format!("{}{attention}", totals.attention), asks),
        pen.seg(snoozed, Role::Dim),
        pen.seg(gap, Role::Text),
    ]
}

fn figures<'a>(pen: &Pen<'_>, model: &Model, wide: bool) -> Vec<Seg<'a>> {
    let totals = &model.totals;
    let (p50, p95) = (totals.turn_p50_ms, totals.turn_p95_ms);
    let mut segs = Vec::new();
    if wide {
        segs.push(pen.seg("  turn p50 ", Role::Dim));
        segs.push(pen.seg(
            p50.map_or_else(|| "–".into(), seconds),
            plain(turn_role(p50)),
        ));
        segs.push(pen.seg(" p95 ", Role::Dim));
        segs.push(pen.seg(p95.map_or_else(|| "–".into(), seconds), slow(p95)));
        segs.push(pen.seg("   bridge ", Role::Dim));
    } else {
        segs.push(pen.seg(" p95 ", Role::Dim));
        segs.push(pen.seg(p95.map_or_else(|| "–".into(), tenths), slow(p95)));
        segs.push(pen.seg(" line ", Role::Dim));
    }
    segs.push(pen.seg(figure(totals.score), score_role(totals.score)));
    // Over a network a second clock that ticks is not worth its bytes.
    if let Some(since) = totals.longest_since.filter(|_| model.size.0 >= 150) {
        if !model.settings.is_remote_terminal {
            let age = (model.board_now() - since).num_seconds().max(0) as u32;
            segs.push(pen.seg("   longest ", Role::Dim));
            segs.push(pen.seg(duration(age), Role::Text));
        }
    }
    segs
}

/// The 95th percentile has its own target (2.5 s, 4 s).
fn slow(ms: Option<u32>) -> Role {
    match ms {
        None => Role::Dim,
        Some(0..=2_500) => Role::Text,
        Some(2_501..=4_000) => Role::Warn,
        Some(_) => Role::Bad,
    }
}

fn plain(role: Role) -> Role {
    if role == Role::Good { Role::Text } else { role }
}

/// What is being listened to, how loud, and who else hears it.
fn ear<'a>(pen: &Pen<'_>, model: &Model) -> Vec<Seg<'a>> {
    let Some(call) = model.ear.call.and_then(|id| model.board.get(id)) else {
        return Vec::new();
    };
    let tail = last_digits(&shown_number(model, call));
    let state = if !model.ear.is_open {
        "opening…".to_owned()
    } else if model.ear.muted {
        "muted".to_owned()
    } else {
        format!("{} % {}", model.ear.volume, model.ear.pan.short())
    };
    vec![pen.seg(format!(" ear {tail} {state} "), Role::Accent)]
}

/// Which recording is heard, and where it is.
fn tape<'a>(pen: &Pen<'_>, model: &Model) -> Vec<Seg<'a>> {
    let Some(tape) = &model.tape else {
        return Vec::new();
    };
    let glyph = if is_paused(model) {
        "○ paused"
    } else {
        "▸"
    };
    let call = model.find(tape.call);
    let tail = call.map_or_else(String::new, |call| last_digits(&shown_number(model, call)));
    let muted = if model.ear.muted { " muted" } else { "" };
    let words = tape_words(model, tape);
    vec![pen.seg(format!(" {glyph} rec {tail} {words}{muted} "), Role::Accent)]
}

/// Enough of a number to tell calls apart.
fn last_digits(number: &str) -> String {
    let tail: Vec<char> = number
        .chars()
        .rev()
        .take_while(char::is_ascii_digit)
        .take(4)
        .collect();
    tail.into_iter().rev().collect()
}

fn right<'a>(pen: &Pen<'_>, model: &Model, wide: bool) -> Vec<Seg<'a>> {
    let clock = model.now.wall.with_timezone(&model.zone());
    let ticks = model.is_ticking();
    let clock = clock
        .format(if ticks { "%H:%M:%S" } else { "%H:%M" })
        .to_string();
    let age = model.data_age();
    let (text, role) = match &model.link {
        LinkState::Embedded => (
            if wide { "embedded" } else { "local" }.to_owned(),
            Role::Dim,
        ),
        LinkState::Up if age > OLD => (format!("data {} s old", age.as_secs()), Role::Warn),
        LinkState::Up if !ticks => ("link ok".into(), Role::Good),
        LinkState::Up => (format!("link ok {} s", age.as_secs()), Role::Good),
        LinkState::Connecting { .. } => ("link …".into(), Role::Warn),
        LinkState::Down { .. } => (format!("link LOST {} s", age.as_secs()), Role::Bad),
        LinkState::Refused(_) => ("link REFUSED".into(), Role::Bad),
    };
    let role = if wide || role != Role::Good {
        role
    } else {
        Role::Dim
    };
    vec![
        pen.seg(text, role),
        pen.seg(if wide { "   " } else { " " }, Role::Text),
        pen.seg(clock, Role::Text),
    ]
}
