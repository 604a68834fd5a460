//! Dialogs: the question before ending a call, prompts, the copy menu, leaving, no sound here.

mod hear;

use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use crate::call::{Action, Call};
use crate::engine::AWAY_MAX;
use crate::providers::vendor::registry;
use crate::ui::keymap::Act;
use crate::ui::line_edit::LineEdit;
use crate::ui::model::{Ask, Confirm, GRACE, GroupAsk, Mode, Model, Prompt};
use crate::ui::pen::{Pen, Seg, fit, fit_end, width};
use crate::ui::theme::Role;
use crate::ui::update::{marked_here, places, shown_number, spoken_for};
use crate::ui::words::{action_words, agent_name, arrow, duration, masked, status_word};

use super::dialog;

pub(super) use hear::{hear, hear_recording};

/// Places shown in the transfer dialog; the others go by name.
const PLACES_MAX: usize = 8;

impl Prompt {
    /// Filter, search and spoken lines are typed in the footer, so that what comes of them is seen.
    pub(crate) fn is_in_footer(&self) -> bool {
        matches!(
            self.ask,
            Ask::Filter | Ask::Search | Ask::Past | Ask::Lead | Ask::Speak
        )
    }
}

/// A line of text being typed, with its cursor, scrolled so that the cursor is seen.
pub(super) fn input(pen: &mut Pen<'_>, edit: &LineEdit, area: Rect) {
    let style = pen.style(Role::Text);
    let (before, after) = edit.halves();
    let room = area.width.saturating_sub(2);
    let head = fit_end(before, room);
    let x = area.x + pen.text(area.x, area.y, room, &head, style);
    let mut rest = unicode_segmentation::UnicodeSegmentation::graphemes(after, true);
    let under = rest.next().unwrap_or(" ");
    let cursor = style.add_modifier(Modifier::REVERSED);
    pen.text(x, area.y, width(under).max(1), under, cursor);
    let x = x + width(under).max(1);
    pen.text(
        x,
        area.y,
        area.right().saturating_sub(x),
        rest.as_str(),
        style,
    );
}

/// Names a call in one line: number, arrow, agent, name.
fn naming<'a>(pen: &Pen<'_>, model: &Model, call: &'a Call) -> Vec<Seg<'a>> {
    let number = shown_number(model, call);
    let number = crate::call::text::clean_label(&number).into_owned();
    let agent = crate::call::text::clean_label(&agent_name(call)).into_owned();
    let arrow = arrow(call.facts.direction);
    let mut segs = vec![pen.seg(format!("{number} {arrow} {agent}"), Role::Strong)];
    if let Some(name) = call.facts.name.as_deref().filter(|name| !name.is_empty()) {
        segs.push(pen.seg(" · ", Role::Dim));
        segs.push(pen.outside(name, Role::Strong));
    }
    segs
}

/// Numbers are masked; the names of configured places are not numbers.
fn place_or_number(to: &str) -> String {
    if to.starts_with('+') || to.contains(':') {
        masked(to).into_owned()
    } else {
        crate::call::text::clean_label(to).into_owned()
    }
}

fn lines(pen: &mut Pen<'_>, inside: Rect, lines: &[Vec<Seg<'_>>]) {
    for (index, segs) in lines.iter().enumerate() {
        let y = inside.y + index as u16;
        if y < inside.bottom() {
            pen.segs(inside.x, y, inside.width, segs);
        }
    }
}

pub(super) fn confirm(pen: &mut Pen<'_>, model: &Model, confirm: &Confirm, screen: Rect) {
    let Some(call) = model.board.get(confirm.call) else {
        return;
    };
    let (title, effect, yes) = match &confirm.action {
        Action::Transfer { to } => (
            "Transfer this call?",
            format!(
                "The caller is handed to {}; the agent leaves.",
                place_or_number(to)
            ),
            "transfer",
        ),
        _ => (
            "End this call?",
            "The line is hung up; the caller hears nothing more.".to_owned(),
            "end it",
        ),
    };
    let mut rows: Vec<Vec<Seg<'_>>> = vec![Vec::new()];
    rows.push(naming(pen, model, call));
    let time = duration(call.elapsed_s(model.board_now()));
    let carrier = crate::ui::words::vendor(&call.facts.carrier);
    let carrier = crate::call::text::clean_label(carrier);
    rows.push(vec![pen.seg(
        format!("{} {time} · {carrier}", status_word(call)),
        Role::Dim,
    )]);
    let others: Vec<&str> = call
        .listeners
        .iter()
        .map(|listener| listener.by.as_str())
        .chain(call.claimed_by.as_deref())
        .filter(|by| *by != model.user())
        .collect();
    if !others.is_empty() {
        let mut names = others;
        names.dedup();
        let text = format!("with it now: {}", names.join(", "));
        let text = crate::call::text::clean_label(&text).into_owned();
        rows.push(vec![pen.seg(text, Role::Operator)]);
    }
    rows.push(Vec::new());
    rows.push(vec![pen.seg(effect, Role::Text)]);
    let undo = model.key(Act::Undo);
    let grace = GRACE.as_secs();
    rows.push(vec![pen.seg(
        format!("After yes you have {grace} s to take it back with {undo}."),
        Role::Dim,
    )]);
    rows.push(Vec::new());
    rows.push(vec![
        pen.seg("y", Role::Bad),
        pen.seg(format!(" {yes}      "), Role::Text),
        pen.seg("n", Role::Key),
        pen.seg(" no, keep it (enter, esc)", Role::Text),
    ]);
    let size = (62, rows.len() as u16 + 2);
    let inside = dialog(pen, screen, size, title, Role::Bad);
    lines(pen, inside, &rows);
}

/// The same for several calls: names them, and wants their number typed.
pub(super) fn group(pen: &mut Pen<'_>, model: &Model, ask: &GroupAsk, screen: Rect) {
    let count = ask.wishes.len();
    let Some((_, first)) = ask.wishes.first() else {
        return;
    };
    let (infinitive, _) = action_words(first);
    let is_end = matches!(first, Action::Terminate {});
    let plural = if count == 1 { "call" } else { "calls" };
    let mut title = format!("{infinitive}: {count} marked {plural}?");
    if is_end {
        title = format!("End {count} marked {plural}?");
    }
    let mut rows: Vec<Vec<Seg<'_>>> = vec![Vec::new()];
    let room = usize::from(screen.height.saturating_sub(10)).clamp(1, 8);
    for (id, _) in ask.wishes.iter().take(room) {
        if let Some(call) = model.find(*id) {
            let mut segs = vec![pen.seg("◆ ", Role::Accent)];
            segs.extend(naming(pen, model, call));
            rows.push(segs);
        }
    }
    if count > room {
        rows.push(vec![
            pen.seg(format!("  and {} more", count - room), Role::Dim),
        ]);
    }
    rows.push(Vec::new());
    if let Action::Whisper { text } | Action::Say { text } | Action::Note { text } = first {
        rows.push(vec![pen.outside(text, Role::Operator)]);
    }
    if let Action::Flag { label } = first {
        rows.push(vec![pen.outside(label, Role::Operator)]);
    }
    if is_end {
        let (undo, grace) = (model.key(Act::Undo), GRACE.as_secs());
        let text = format!("The lines are hung up; {grace} s to take all back with {undo}.");
        rows.push(vec![pen.seg(text, Role::Text)]);
    }
    let role = if is_end { Role::Bad } else { Role::Key };
    rows.push(match &ask.error {
        Some(error) => vec![pen.seg(error.clone(), Role::Warn)],
        None => vec![
            pen.seg("type ", Role::Text),
            pen.seg(count.to_string(), role),
            pen.seg(" and enter to do it, esc to leave", Role::Text),
        ],
    });
    let size = (66, rows.len() as u16 + 3);
    let role = if is_end { Role::Bad } else { Role::Title };
    let inside = dialog(pen, screen, size, &title, role);
    lines(pen, inside, &rows);
    let y = (inside.y + rows.len() as u16).min(inside.bottom().saturating_sub(1));
    let accent = pen.style(Role::Accent);
    pen.text(inside.x, y, 2, "› ", accent);
    input(pen, &ask.input, Rect::new(inside.x + 2, y, 12, 1));
}

/// Whom the words of a prompt are for or about: the call looked at, or all that are marked.
fn about<'a>(pen: &Pen<'_>, model: &'a Model, prompt: &Prompt) -> Vec<Seg<'a>> {
    let for_all = matches!(prompt.ask, Ask::Whisper | Ask::Say | Ask::Note | Ask::Flag);
    let marked = marked_here(model).len();
    if for_all && marked > 0 {
        let plural = if marked == 1 { "call" } else { "calls" };
        let text = format!("◆ {marked} marked {plural}; their number is asked for next");
        return vec![pen.seg(text, Role::Strong)];
    }
    let call = prompt.call.and_then(|id| model.find(id));
    call.filter(|_| prompt.ask != Ask::Dial)
        .map_or_else(Vec::new, |call| naming(pen, model, call))
}

pub(super) fn prompt(pen: &mut Pen<'_>, model: &Model, prompt: &Prompt, screen: Rect) {
    let via = registry::with_own_lines().next();
    let via = via.map_or("vendor", |(agent, _)| agent.kind);
    let own_line = format!("With + and country code; “+1… via {via}”: on its own line.");
    let (title, help) = match prompt.ask {
        Ask::Whisper => (
            "Whisper to the agent",
            "The agent reads it as a hint. The caller hears nothing.",
        ),
        Ask::Say => (
            "The agent says",
            "Spoken to the caller in the agent's voice, word for word.",
        ),
        Ask::Note => ("Note", "Kept with the call; every operator sees it."),
        Ask::Flag => (
            "Flag",
            "A label, for instance: hallucination, refund, callback.",
        ),
        Ask::Dial => ("Place a call", own_line.as_str()),
        Ask::Transfer => (
            "Transfer the caller to",
            "A place of the list, a number with + and country code, or sip:…",
        ),
        Ask::HandBack => (
            "Back to the agent",
            "It goes on knowing this, and does not greet again.",
        ),
        Ask::Unmask => (
            "Why do you need the number?",
            "Shown for 30 s. The reason is kept in the audit log.",
        ),
        Ask::Filter | Ask::Search | Ask::Past | Ask::Lead | Ask::Speak => return,
    };
    let width = screen.width.saturating_sub(8).min(76);
    let offered: &[String] = match prompt.ask {
        Ask::Transfer => places(model).get(..PLACES_MAX).unwrap_or(places(model)),
        _ => &[],
    };
    let height = 8 + offered.len() as u16;
    let inside = dialog(pen, screen, (width, height), title, Role::Title);
    for (index, name) in offered.iter().enumerate() {
        let y = inside.y + 6 + index as u16;
        if y >= inside.bottom() {
            break;
        }
        let chosen = name == prompt.input.text();
        let role = if chosen { Role::Accent } else { Role::Text };
        let mark = if chosen { "›" } else { " " };
        let segs = [
            pen.seg(format!("{mark} {} ", index + 1), Role::Key),
            pen.outside(name, role),
        ];
        pen.segs(inside.x, y, inside.width, &segs);
    }
    let segs = about(pen, model, prompt);
    pen.segs(inside.x, inside.y, inside.width, &segs);
    let dim = pen.style(Role::Dim);
    pen.text(inside.x, inside.y + 1, inside.width, help, dim);
    let accent = pen.style(Role::Accent);
    pen.text(inside.x, inside.y + 3, 2, "› ", accent);
    let field = Rect::new(
        inside.x + 2,
        inside.y + 3,
        inside.width.saturating_sub(2),
        1,
    );
    input(pen, &prompt.input, field);
    match &prompt.error {
        Some(error) => {
            let style = pen.style(Role::Warn);
            pen.text(inside.x, inside.y + 5, inside.width, error, style);
        }
        None => {
            let keys = [
                pen.seg("enter", Role::Key),
                pen.seg(" sends   ", Role::Dim),
                pen.seg("esc", Role::Key),
                pen.seg(" leaves", Role::Dim),
            ];
            pen.segs(inside.x, inside.y + 5, inside.width, &keys);
        }
    }
}

fn menu(pen: &mut Pen<'_>, inside: Rect, rows: &[(&str, String)]) {
    for (index, (key, text)) in rows.iter().enumerate() {
        let y = inside.y + index as u16;
        if y >= inside.bottom() {
            break;
        }
        let segs = [
            pen.seg(format!("{key:<4}"), Role::Key),
            pen.seg(text.clone(), Role::Text),
        ];
        pen.segs(inside.x, y, inside.width, &segs);
    }
}

pub(super) fn copy(pen: &mut Pen<'_>, model: &Model, screen: Rect) {
    let Some(call) = model.selected() else {
        return;
    };
    let number = crate::call::text::clean_label(&shown_number(model, call)).into_owned();
    let refused = crate::ui::update::why_not(model, Act::Export)
        .map_or_else(String::new, |why| format!(" ({why})"));
    let rows = [
        ("i", format!("id             {}", call.id)),
        ("c", "carrier's id".into()),
        ("n", format!("number         {number}")),
        ("s", "summary line".into()),
        ("t", "turn           the one looked at".into()),
        ("a", "all of the transcript, as plain text".into()),
        (
            "l",
            "listen link    for a browser or player, one use".into(),
        ),
        ("w", "command        wallboard listen …".into()),
        (
            "m",
            format!("export         as Markdown, into a file{refused}"),
        ),
        (
            "j",
            format!("export         as JSON Lines, into a file{refused}"),
        ),
    ];
    let title = "Copy to your own clipboard, or export";
    let inside = dialog(pen, screen, (62, rows.len() as u16 + 2), title, Role::Title);
    menu(pen, inside, &rows);
}

pub(super) fn demo(pen: &mut Pen<'_>, model: &Model, screen: Rect) {
    let inside = dialog(pen, screen, (62, 6), "Practice calls?", Role::Title);
    let text = match model.settings.mode {
        Mode::Attach => "This screen leaves the backend, which goes on without it.",
        Mode::Run | Mode::Demo => "This backend takes no calls while they are shown.",
    };
    let dim = pen.style(Role::Dim);
    pen.text(inside.x, inside.y, inside.width, text, dim);
    let inside = Rect::new(inside.x, inside.y + 2, inside.width, 2);
    let rows = [
        ("y", "show them; q leaves".into()),
        ("n", "stay (any other key)".into()),
    ];
    menu(pen, inside, &rows);
}

pub(super) fn quit(pen: &mut Pen<'_>, model: &Model, screen: Rect) {
    let live = model.board.live().count();
    let held = held(model);
    let dim = pen.style(Role::Dim);
    let warn = pen.style(Role::Warn);
    if model.settings.mode != Mode::Run {
        let (title, text) = match model.settings.mode {
            Mode::Demo => (
                "Leave the demo?",
                Some(format!("The {live} practice calls end with it.")),
            ),
            Mode::Run | Mode::Attach => ("Leave while you speak?", None),
        };
        let told = text.map(|text| (text, dim));
        // In the demo the call is gone before anybody could take it back.
        let held = held.filter(|_| told.is_none()).map(|text| (text, warn));
        let inside = dialog(pen, screen, (70, 6), title, Role::Title);
        for (text, style) in told.iter().chain(&held) {
            pen.text(inside.x, inside.y, inside.width, text, *style);
        }
        let inside = Rect::new(inside.x, inside.y + 2, inside.width, 2);
        menu(
            pen,
            inside,
            &[("y", "leave".into()), ("n", "stay (enter, esc)".into())],
        );
        return;
    }
    let title = format!("Leave with {live} live calls?");
    let inside = dialog(pen, screen, (70, 9), &title, Role::Title);
    let text = "This process carries them. Nothing here hangs up on anybody.";
    pen.text(inside.x, inside.y + 1, inside.width, text, dim);
    if let Some(text) = held {
        pen.text(inside.x, inside.y, inside.width, &text, warn);
    }
    let rows = [
        (
            "k",
            "keep serving without a screen (enter); attach later".into(),
        ),
        (
            "d",
            "drain: take no new calls, leave when these are over".into(),
        ),
        ("c", "cancel (esc)".into()),
    ];
    menu(
        pen,
        Rect::new(inside.x, inside.y + 3, inside.width, 3),
        &rows,
    );
}

/// What becomes of the callers the operator speaks to.
fn held(model: &Model) -> Option<String> {
    let away_s = AWAY_MAX.as_secs();
    let whom = match spoken_for(model) {
        0 => return None,
        1 => "A caller hears you".to_owned(),
        calls => format!("{calls} callers hear you"),
    };
    Some(format!(
        "{whom}: the agent takes over {away_s} s after you leave."
    ))
}

/// Cuts a text to a width, for lists.
pub(super) fn cut(text: &str, max: u16) -> String {
    let (shown, is_cut, _) = fit(text, max);
    let mark = if is_cut { "…" } else { "" };
    format!("{shown}{mark}")
}

/// The style of a chosen list row.
pub(super) fn chosen(pen: &Pen<'_>) -> Style {
    pen.style(Role::Selection).add_modifier(Modifier::BOLD)
}
