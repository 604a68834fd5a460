//! The choice of columns, beside the table it changes.

use ratatui::layout::Rect;

use crate::ui::columns::Column;
use crate::ui::model::Model;
use crate::ui::pen::Pen;
use crate::ui::theme::Role;

use super::dialog;
use super::dialogs::chosen;

const WIDTH: u16 = 58;

pub(super) fn picker(pen: &mut Pen<'_>, model: &Model, at: usize, screen: Rect) {
    let size = (
        WIDTH.min(screen.width.saturating_sub(2)),
        (Column::ALL.len() as u16 + 5).min(screen.height.saturating_sub(2)),
    );
    // In the lower part, so that the table's head is seen.
    let top = (screen.height / 3).min(screen.height.saturating_sub(size.1));
    let below = Rect::new(0, top, screen.width, screen.height - top);
    let title = "Columns · space turns, enter keeps";
    let inside = dialog(pen, below, size, title, Role::Title);
    let rows = usize::from(inside.height.saturating_sub(2));
    let from = (at + 1).saturating_sub(rows);
    let shown = super::rows::shown(model);
    for (index, column) in Column::ALL.into_iter().enumerate().skip(from).take(rows) {
        let row = Rect::new(inside.x, inside.y + (index - from) as u16, inside.width, 1);
        let is_on = model.views.columns.has(column);
        let (mark, role) = if is_on {
            ("[x]", Role::Text)
        } else {
            ("[ ]", Role::Dim)
        };
        let style = pen.style(if is_on { Role::Accent } else { Role::Dim });
        pen.text(row.x + 1, row.y, 3, mark, style);
        let style = pen.style(role);
        pen.text(row.x + 5, row.y, 9, column.as_str(), style);
        let help = if is_on && !shown.contains(&column) {
            format!("no room here: {}", column.help())
        } else {
            column.help().to_owned()
        };
        let style = pen.style(Role::Dim);
        pen.text(
            row.x + 15,
            row.y,
            row.width.saturating_sub(15),
            &help,
            style,
        );
        if index == at {
            let style = chosen(pen);
            pen.tint(row, style);
            let accent = pen.style(Role::Accent);
            pen.put(row.x, row.y, "▌", accent);
        }
    }
    let dim = pen.style(Role::Dim);
    pen.text(
        inside.x + 1,
        inside.bottom().saturating_sub(1),
        inside.width,
        ":save-view NAME keeps filter, order and columns",
        dim,
    );
}
