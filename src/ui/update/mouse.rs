//! The mouse, where the operator asked for it: a click selects, the wheel scrolls. Nothing that
//! touches a call can be clicked.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::{Position, Rect};

use crate::call::{CallId, Severity};
use crate::ui::model::{Focus, Model};
use crate::ui::msg::Effect;
use crate::ui::view;

use super::{list, pages};

/// Lines a step of the wheel moves.
const WHEEL: i32 = 3;

/// Takes the mouse or leaves it to the terminal.
pub(super) fn toggle(model: &mut Model) -> Vec<Effect> {
    model.has_mouse = !model.has_mouse;
    let text = if model.has_mouse {
        "mouse on: click selects, the wheel scrolls; shift-drag selects text"
    } else {
        "mouse off: the terminal's own selection works again"
    };
    model.say(Severity::Info, text);
    vec![Effect::Mouse(model.has_mouse)]
}

/// Takes one mouse event. Under a dialog the mouse does nothing: its keys are on the screen.
pub(super) fn take(model: &mut Model, event: MouseEvent) {
    if !model.overlays.is_empty() {
        return;
    }
    let at = Position::new(event.column, event.row);
    match event.kind {
        MouseEventKind::Down(MouseButton::Left) => click(model, at),
        MouseEventKind::ScrollDown => scroll(model, at, WHEEL),
        MouseEventKind::ScrollUp => scroll(model, at, -WHEEL),
        _ => {}
    }
}

fn click(model: &mut Model, at: Position) {
    let areas = view::areas(model);
    if let Some(rows) = areas.calls_rows.filter(|rows| rows.contains(at)) {
        model.focus = Focus::Calls;
        if let Some(call) = call_at(model, rows, at) {
            list::select(model, Some(call));
            model.list.is_stale = true;
        }
    } else if let Some(rows) = areas.list_rows.filter(|rows| rows.contains(at)) {
        model.focus = Focus::Calls;
        pages::point(model, at.y - rows.y, rows.height);
    } else if hits(areas.talk, at) {
        model.focus = Focus::Transcript;
    } else if hits(areas.detail, at) {
        model.focus = Focus::Detail;
    }
}

fn scroll(model: &mut Model, at: Position, by: i32) {
    let areas = view::areas(model);
    if hits(areas.calls, at) {
        list::step(model, by.signum());
    } else if hits(areas.list, at) {
        pages::shift(model, by.signum());
    } else if hits(areas.talk, at) {
        model.transcript.scroll(by);
    } else if hits(areas.detail, at) {
        let moved = i64::from(model.detail_scroll) + i64::from(by);
        let most = i64::from(view::detail_scroll_max(model));
        model.detail_scroll = u16::try_from(moved.clamp(0, most)).unwrap_or(0);
    }
}

fn hits(area: Option<Rect>, at: Position) -> bool {
    area.is_some_and(|area| area.contains(at))
}

/// The call drawn on this row of the list.
fn call_at(model: &Model, rows: Rect, at: Position) -> Option<CallId> {
    let line = i32::from(at.y - rows.y) + model.list.offset;
    let line = u32::try_from(line).ok()?;
    let index = model
        .list
        .tops
        .windows(2)
        .position(|pair| matches!(pair, [top, next] if (*top..*next).contains(&line)))?;
    model.list.order.get(index).copied()
}

#[cfg(test)]
mod tests {
    use crossterm::event::KeyModifiers;

    use super::*;
    use crate::ui::picture::{Still, text};
    use crate::ui::theme::Depth;
    use crate::ui::{Msg, update};

    fn event(kind: MouseEventKind, column: u16, row: u16) -> Msg {
        Msg::Mouse(MouseEvent {
            kind,
            column,
            row,
            modifiers: KeyModifiers::NONE,
        })
    }

    #[test]
    fn a_click_selects_the_call_under_it_and_the_wheel_moves_on() {
        let mut still = Still::sample("dark", Depth::True).unwrap();
        let lines: Vec<String> = text(&still.draw(120, 40))
            .lines()
            .map(str::to_owned)
            .collect();
        let row = lines
            .iter()
            .position(|line| line.contains("Oliver Hart"))
            .unwrap();
        let press = MouseEventKind::Down(MouseButton::Left);
        update(
            &mut still.model,
            event(press, 10, u16::try_from(row).unwrap()),
        );
        let title = text(&still.draw(120, 40))
            .lines()
            .nth(1)
            .unwrap()
            .to_owned();
        assert!(title.contains("Oliver Hart"), "{title}");
        let before = still.model.list.selected;
        update(&mut still.model, event(MouseEventKind::ScrollDown, 10, 10));
        still.draw(120, 40);
        assert_ne!(still.model.list.selected, before);
        update(&mut still.model, event(press, 100, 10));
        assert_eq!(still.model.focus, Focus::Transcript);
    }

    #[test]
    fn under_a_dialog_and_outside_of_everything_a_click_does_nothing() {
        let mut still = Still::sample("dark", Depth::True).unwrap();
        still.draw(120, 40);
        let before = still.model.list.selected;
        let press = MouseEventKind::Down(MouseButton::Left);
        for (column, row) in [(0, 0), (10, 39), (500, 500), (u16::MAX, u16::MAX)] {
            update(&mut still.model, event(press, column, row));
        }
        still.keys("E");
        update(&mut still.model, event(press, 10, 20));
        assert_eq!(still.model.list.selected, before);
    }
}
