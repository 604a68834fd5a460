//! The empty board: what to do so that it does not stay empty, or why there is no board.

use ratatui::layout::Rect;

use crate::engine::LinkState;
use crate::ui::keymap::Act;
use crate::ui::model::{Mode, Model};
use crate::ui::pen::{Pen, Seg, width};
use crate::ui::theme::Role;

use super::is_up;

pub(super) fn draw(pen: &mut Pen<'_>, model: &Model, area: Rect) {
    let lines = if is_up(&model.link) && model.hello.is_some() {
        waiting(pen, model)
    } else {
        connecting(pen, model)
    };
    let widest = lines
        .iter()
        .map(|segs| segs.iter().map(|seg| width(&seg.text)).sum::<u16>())
        .max()
        .unwrap_or(0);
    let x = area.x
        + area
            .width
            .saturating_sub(widest)
            .min(area.width.saturating_sub(4))
            / 2;
    let top = area.y + area.height.saturating_sub(lines.len() as u16) / 3;
    for (index, segs) in lines.iter().enumerate() {
        let y = top + index as u16;
        if y < area.bottom() {
            pen.segs(x.max(area.x + 2), y, area.width.saturating_sub(4), segs);
        }
    }
}

fn waiting<'a>(pen: &Pen<'_>, model: &'a Model) -> Vec<Vec<Seg<'a>>> {
    let mut lines = vec![vec![pen.seg("No calls.", Role::Strong)], Vec::new()];
    if model.settings.endpoints.is_empty() {
        lines.push(vec![
            pen.seg("The next call appears here by itself.", Role::Dim),
        ]);
    } else {
        let text = "Paste these at your vendors; the next call appears here by itself.";
        lines.push(vec![pen.seg(text, Role::Dim)]);
        lines.push(Vec::new());
        let label_width = model
            .settings
            .endpoints
            .iter()
            .map(|endpoint| width(&endpoint.label))
            .max()
            .unwrap_or(0);
        for endpoint in &model.settings.endpoints {
            let pad = usize::from(label_width - width(&endpoint.label)) + 2;
            let (text, role) = match endpoint.hits {
                0 => ("   not called yet".to_owned(), Role::Faint),
                hits => (format!("   ✓ called {hits}×"), Role::Good),
            };
            lines.push(vec![
                pen.outside(&endpoint.label, Role::Dim),
                pen.seg(" ".repeat(pad), Role::Text),
                pen.outside(&endpoint.url, Role::Accent),
                pen.seg(text, role),
            ]);
        }
    }
    lines.push(Vec::new());
    let dial = model.key(Act::Dial).to_owned();
    let mut keys = Vec::new();
    if crate::ui::update::why_not(model, Act::Dial).is_none() {
        keys.push(pen.seg(dial, Role::Key));
        keys.push(pen.seg(" places a call   ", Role::Dim));
    }
    keys.push(pen.seg(model.key(Act::KeepEnded).to_owned(), Role::Key));
    keys.push(pen.seg(" shows ended calls   ", Role::Dim));
    keys.push(pen.seg(model.key(Act::Help).to_owned(), Role::Key));
    keys.push(pen.seg(" help", Role::Dim));
    lines.push(keys);
    if model.settings.mode != Mode::Demo {
        lines.push(vec![
            pen.seg(model.key(Act::Demo).to_owned(), Role::Key),
            pen.seg(" shows practice calls; ", Role::Dim),
            pen.seg("wallboard demo", Role::Key),
            pen.seg(" does so in another terminal", Role::Dim),
        ]);
    }
    lines
}

fn connecting<'a>(pen: &Pen<'_>, model: &'a Model) -> Vec<Vec<Seg<'a>>> {
    match &model.link {
        LinkState::Refused(refusal) => vec![
            vec![pen.seg("The backend refused this connection.", Role::Bad)],
            Vec::new(),
            vec![pen.outside(&refusal.message, Role::Text)],
            vec![pen.outside(&refusal.hint, Role::Dim)],
            Vec::new(),
            vec![pen.seg("q", Role::Key), pen.seg(" leaves", Role::Dim)],
        ],
        LinkState::Down {
            reason,
            retry_in,
            attempt,
        } => {
            let due = model.link_since + *retry_in;
            let left = due
                .saturating_sub(model.now.mono)
                .as_millis()
                .div_ceil(1000);
            vec![
                vec![pen.seg("No connection yet.", Role::Strong)],
                Vec::new(),
                vec![pen.outside(reason, Role::Warn)],
                vec![pen.seg(format!("next try in {left} s (try {attempt})"), Role::Dim)],
            ]
        }
        _ => vec![vec![pen.seg("Connecting…", Role::Strong)]],
    }
}
