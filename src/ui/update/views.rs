//! Ways of looking under a name, and the columns of the table. What an operator chooses is kept.

use crossterm::event::{KeyCode, KeyEvent};

use crate::call::Severity;
use crate::ui::columns::Column;
use crate::ui::keymap::Act;
use crate::ui::model::{Model, Overlay, Page, View};
use crate::ui::msg::Effect;
use crate::ui::views::{FILE, Last, SavedView};

use super::acts::set_filter;
use super::pages;

/// Writes what is kept, unless the file could not be read: nothing of an operator's is overwritten.
fn keep(model: &mut Model, said: String) -> Vec<Effect> {
    if let Some(why) = &model.views_broken {
        let text = format!("{FILE} was not read ({why}), so it is not written either");
        model.say(Severity::Warn, text);
        return Vec::new();
    }
    model.say(Severity::Info, said);
    vec![Effect::KeepViews(model.views.to_text())]
}

fn present(model: &Model) -> SavedView {
    SavedView {
        filter: model.filter.text().to_owned(),
        sort: model.sort,
        reversed: model.reversed,
        layout: model.view,
        is_wide: model.is_wide,
        keep_ended: model.keep_ended,
        group: (model.page == Page::Quality).then_some(model.groups.by),
        columns: model.views.columns.clone(),
    }
}

pub(super) fn save(model: &mut Model, argument: Option<&str>) -> Vec<Effect> {
    let Some(name) = argument.map(str::trim) else {
        model.say(Severity::Info, "give it a name: save-view night");
        return Vec::new();
    };
    let view = present(model);
    match model.views.keep(name, view) {
        Ok(()) => keep(model, format!("kept; view {name} brings it back")),
        Err(why) => {
            model.say(Severity::Warn, why);
            Vec::new()
        }
    }
}

pub(super) fn forget(model: &mut Model, argument: Option<&str>) -> Vec<Effect> {
    let name = argument.map(str::trim).unwrap_or_default();
    if model.views.forget(name) {
        return keep(model, format!("view {name} is forgotten"));
    }
    let text = format!("no view {name}; there are: {}", known(model));
    model.say(Severity::Warn, text);
    Vec::new()
}

fn known(model: &Model) -> String {
    let all: Vec<&str> = model.views.names().collect();
    if all.is_empty() {
        return "none; save-view NAME keeps one".to_owned();
    }
    all.join(", ")
}

/// The next layout, or the one named, or a view that was kept.
pub(super) fn turn(model: &mut Model, argument: Option<&str>) -> Vec<Effect> {
    model.list.reveal = true;
    let Some(word) = argument.map(str::trim) else {
        model.view = next(model);
        model.is_wide = false;
        return Vec::new();
    };
    if let Some(layout) = View::parse(word) {
        model.view = layout;
        model.is_wide = false;
        return Vec::new();
    }
    let Some(view) = model.views.get(word).cloned() else {
        let text = format!("views are: cards, table, mosaic; kept: {}", known(model));
        model.say(Severity::Warn, text);
        return Vec::new();
    };
    let effects = show(model, view);
    model.say(Severity::Info, format!("view {word}"));
    effects
}

fn show(model: &mut Model, view: SavedView) -> Vec<Effect> {
    model.view = view.layout;
    model.sort = view.sort;
    model.reversed = view.reversed;
    model.is_wide = view.is_wide;
    model.keep_ended = view.keep_ended;
    model.views.columns = view.columns;
    set_filter(model, &view.filter);
    let page = match view.group {
        Some(by) => {
            model.groups.by = by;
            Page::Quality
        }
        None => Page::Board,
    };
    pages::go(model, page)
}

/// How the screen is left: what the next start begins with.
pub(crate) fn last(model: &Model) -> Last {
    Last {
        theme: model
            .theme_is_chosen
            .then(|| model.theme_name.clone())
            .filter(|name| model.settings.themes.contains(name)),
        view: present(model),
    }
}

/// Begins with the view the screen was left with, told in the text of its file. One that cannot be
/// read is left out and said so; a theme that no longer exists likewise.
pub(crate) fn restore(model: &mut Model, text: &str, takes_theme: bool) -> Vec<Effect> {
    let mut last = match Last::parse(text) {
        Ok(last) => last,
        Err(why) => {
            let text = format!("the view of last time was not read: {why}");
            model.say(Severity::Warn, text);
            return Vec::new();
        }
    };
    let themes = &model.settings.themes;
    last.theme = last
        .theme
        .filter(|name| takes_theme && themes.contains(name));
    if last.view == present(model) && last.theme.is_none() {
        return Vec::new();
    }
    let mut effects = show(model, last.view);
    let filter = crate::call::text::clean_label(model.filter.text()).into_owned();
    let mut said = "your view of last time".to_owned();
    if !filter.is_empty() {
        let back = model.key(Act::Back);
        said = format!("{said}, filter {filter}; {back} shows all");
    }
    model.say(Severity::Info, said);
    if let Some(theme) = last.theme {
        model.theme_name.clone_from(&theme);
        model.theme_is_chosen = true;
        effects.push(Effect::Theme(theme));
    }
    effects
}

/// The next layout that looks different on this screen: a list too narrow for the table has one line
/// a call either way.
fn next(model: &mut Model) -> View {
    const TABLE_FROM: u16 = 100;
    const MOSAIC_FROM: (u16, u16) = (60, 16);
    let (width, height) = model.size;
    let mut view = model.view;
    for _ in View::ALL {
        view = view.next();
        let is_seen = match view {
            View::Cards => true,
            View::Dense => width >= TABLE_FROM,
            View::Mosaic => width >= MOSAIC_FROM.0 && height >= MOSAIC_FROM.1,
        };
        if is_seen {
            break;
        }
    }
    if view == model.view && !model.is_wide {
        model.say(Severity::Info, "this screen has room for one layout only");
    }
    view
}

/// Opens the choice of columns; the table is shown, so that one sees what one does.
pub(super) fn columns(model: &mut Model, argument: Option<&str>) -> Vec<Effect> {
    if let Some(word) = argument.map(str::trim) {
        let Some(column) = Column::parse(word) else {
            let all: Vec<&str> = Column::ALL.iter().map(|column| column.as_str()).collect();
            model.say(Severity::Warn, format!("columns are: {}", all.join(", ")));
            return Vec::new();
        };
        model.views.columns.turn(column);
        return keep(model, format!("column {word}"));
    }
    model.view = View::Dense;
    model.list.reveal = true;
    model.overlays.push(Overlay::Columns(0));
    Vec::new()
}

pub(super) fn key(model: &mut Model, key: &KeyEvent) -> Vec<Effect> {
    let own = model.keymap.first(Act::Columns).map(str::to_owned);
    let Some(Overlay::Columns(at)) = model.overlays.last_mut() else {
        return Vec::new();
    };
    let last = Column::ALL.len() - 1;
    match key.code {
        KeyCode::Down | KeyCode::Char('j') | KeyCode::Tab => *at = (*at + 1).min(last),
        KeyCode::Up | KeyCode::Char('k') | KeyCode::BackTab => *at = at.saturating_sub(1),
        KeyCode::Home | KeyCode::Char('g') => *at = 0,
        KeyCode::End | KeyCode::Char('G') => *at = last,
        KeyCode::Char(' ' | 'x') => {
            if let Some(column) = Column::ALL.get(*at) {
                model.views.columns.turn(*column);
            }
        }
        KeyCode::Enter | KeyCode::Esc | KeyCode::Char('q') => {
            model.overlays.pop();
            return keep(model, "columns kept".to_owned());
        }
        KeyCode::Char(c) if own.is_some_and(|own| own == c.to_string()) => {
            model.overlays.pop();
            return keep(model, "columns kept".to_owned());
        }
        _ => {}
    }
    Vec::new()
}
