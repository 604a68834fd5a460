//! What the terminal and the locale can do, and what the screen makes of it.

use ratatui::buffer::Buffer;
use ratatui::style::Color;

use crate::ui::theme::{Depth, Theme};

use super::Screen;

impl Screen {
    /// The terminal has told its background: the theme follows, unless somebody chose one meanwhile.
    pub(super) fn background(&mut self, rgb: [u8; 3]) {
        let name = Theme::for_background(rgb);
        if !self.follows_background || self.model.settings.theme == name {
            return;
        }
        name.clone_into(&mut self.model.settings.theme);
        if self.model.theme_is_chosen {
            return;
        }
        if let Ok(theme) = Theme::load(name, self.theme_dir.as_deref(), self.depth) {
            self.theme = theme;
            name.clone_into(&mut self.model.theme_name);
            self.is_dirty = true;
        }
    }
}

/// Whether asking this terminal for its background makes sense: it has colours to follow with, and
/// is none of those that print the question.
pub(super) fn has_background(depth: Depth, term: Option<String>) -> bool {
    let term = term.unwrap_or_default();
    matches!(depth, Depth::Indexed | Depth::True)
        && !term.is_empty()
        && !["dumb", "linux", "screen"]
            .iter()
            .any(|known| term.starts_with(known) && !term.contains("tmux"))
}

/// The theme's own colours where the terminal's would show.
pub(super) fn paint_canvas(theme: &Theme, buffer: &mut Buffer) {
    let Some((foreground, background)) = theme.canvas else {
        return;
    };
    for cell in &mut buffer.content {
        if cell.bg == Color::Reset {
            cell.bg = background;
        }
        if cell.fg == Color::Reset {
            cell.fg = foreground;
        }
    }
}

/// Whether the locale says that only ASCII can be shown.
pub(super) fn is_ascii_locale() -> bool {
    let term = std::env::var("TERM").unwrap_or_default();
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        .unwrap_or_default()
        .to_lowercase();
    let utf8 = locale.contains("utf-8") || locale.contains("utf8");
    term == "linux" || !utf8
}
