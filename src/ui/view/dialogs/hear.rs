//! No sound on this host: why, and how a call or a recording is heard where there is some.

use ratatui::layout::Rect;

use crate::call::CallId;
use crate::ui::model::Model;
use crate::ui::pen::{Pen, Seg};
use crate::ui::sound::Device;
use crate::ui::theme::Role;
use crate::ui::wrap::wrap;

use super::{dialog, lines};

pub(in crate::ui::view) fn hear(pen: &mut Pen<'_>, model: &Model, call: CallId, screen: Rect) {
    let command = model.settings.listen_command(call);
    let keys = vec![
        pen.seg("y", Role::Key),
        pen.seg(" copies: then ", Role::Dim),
        pen.seg("l", Role::Key),
        pen.seg(" a link for a browser, ", Role::Dim),
        pen.seg("w", Role::Key),
        pen.seg(" this command", Role::Dim),
    ];
    let last = "The transcript goes on as captions. Any key closes.";
    no_sound(pen, model, screen, command, keys, last);
}

pub(in crate::ui::view) fn hear_recording(
    pen: &mut Pen<'_>,
    model: &Model,
    id: &str,
    screen: Rect,
) {
    let keys = vec![
        pen.seg("y", Role::Key),
        pen.seg(" copies this command; ", Role::Dim),
        pen.seg("--out FILE", Role::Text),
        pen.seg(" saves it", Role::Dim),
    ];
    let id = crate::call::text::clean_label(id);
    let command = model.settings.recording_command(&id);
    no_sound(pen, model, screen, command, keys, "Any key closes.");
}

/// Why there is no sound here, and what to do instead.
fn no_sound(
    pen: &mut Pen<'_>,
    model: &Model,
    screen: Rect,
    command: String,
    keys: Vec<Seg<'_>>,
    last: &'static str,
) {
    let reason = match &model.sound.device {
        Device::Absent { reason } | Device::Lost { reason } => reason.as_str(),
        Device::Unopened | Device::Ready { .. } => "",
    };
    let width = screen.width.saturating_sub(6).min(78);
    let reason = crate::call::text::clean_label(reason);
    let mut rows: Vec<Vec<Seg<'_>>> = Vec::new();
    for range in wrap(&reason, width.saturating_sub(4)).into_iter().take(2) {
        rows.push(vec![pen.seg(reason[range].to_owned(), Role::Dim)]);
    }
    rows.push(Vec::new());
    rows.push(vec![pen.seg("On a machine with sound:", Role::Text)]);
    for range in wrap(&command, width.saturating_sub(4)) {
        rows.push(vec![pen.seg(command[range].to_owned(), Role::Accent)]);
    }
    rows.push(Vec::new());
    rows.push(keys);
    rows.push(vec![pen.seg(last, Role::Dim)]);
    let size = (width, rows.len() as u16 + 2);
    let inside = dialog(pen, screen, size, "No sound on this host", Role::Warn);
    lines(pen, inside, &rows);
}
