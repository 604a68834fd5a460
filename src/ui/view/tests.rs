//! Screens at every size, and what may never be drawn.

use ratatui::Terminal;
use ratatui::backend::TestBackend;

use crate::ui::picture::{Still, text};
use crate::ui::theme::Depth;

pub(crate) const SIZES: [(u16, u16); 5] = [(80, 24), (120, 40), (200, 60), (300, 100), (20, 5)];

fn sample() -> Still {
    Still::sample("dark", Depth::True).unwrap()
}

/// Renders through ratatui's own test terminal, as the real one would be filled.
fn screen(still: &mut Still, (width, height): (u16, u16)) -> String {
    still.draw(width, height);
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal
        .draw(|frame| {
            crate::ui::draw(&still.model, &still.theme, still.is_ascii, frame.buffer_mut());
        })
        .unwrap();
    text(terminal.backend().buffer())
}

#[test]
fn look() {
    for size in SIZES {
        println!("{}", screen(&mut sample(), size));
    }
}
