//! Screens at every size, and what may never be drawn.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier};

use crate::call::{ErrorCode, Refusal};
use crate::engine::{LinkState, Update};
use crate::ui::model::{Endpoint, Settings};
use crate::ui::picture::{Still, svg, text};
use crate::ui::theme::{Depth, Kind};
use crate::ui::{Msg, UiOptions, sample};

mod scripts;

const SIZES: [(u16, u16); 5] = [(80, 24), (120, 40), (200, 60), (300, 100), (20, 5)];

fn still() -> Still {
    Still::sample("dark", Depth::True).unwrap()
}

/// Renders through ratatui's own test terminal, as a real one would be filled.
fn screen(still: &mut Still, (width, height): (u16, u16)) -> Buffer {
    still.draw(width, height);
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal
        .draw(|frame| {
            let buffer = frame.buffer_mut();
            crate::ui::draw(&still.model, &still.theme, still.is_ascii, buffer);
        })
        .unwrap();
    terminal.backend().buffer().clone()
}

fn empty() -> Still {
    let settings = Settings {
        theme: "dark".into(),
        endpoints: [
            ("Twilio voice URL", "/incoming-call", 0),
            ("Plivo answer URL", "/answer", 3),
        ]
        .map(|(label, path, hits)| Endpoint {
            label: label.into(),
            url: format!("https://calls.example.com{path}"),
            hits,
        })
        .to_vec(),
        ..Settings::default()
    };
    let mut still = Still::new(settings, Depth::True, sample::now()).unwrap();
    still.update(Update::Link(LinkState::Up));
    still.update(Update::Hello(sample::hello()));
    still.update(Update::Snapshot {
        epoch: sample::hello().epoch,
        seq: 0,
        calls: Vec::new(),
    });
    still
}

fn lost() -> Still {
    let mut still = still();
    still.update(Update::Link(LinkState::Down {
        reason: "connection reset".into(),
        retry_in: Duration::from_secs(4),
        attempt: 3,
    }));
    still.after(Duration::from_secs(2));
    still
}

/// The sample with a minute behind it, so that there is a past to compare with.
fn pressed(keys: &str) -> Still {
    let mut still = still();
    still.draw(120, 40);
    still.keys(keys);
    still
}

/// The pages beside the board, with something on each.
fn history() -> Still {
    let mut still = pressed("3");
    let mut items = sample::calls(sample::now());
    items.retain(|call| !call.is_live() || call.lines.len() > 3);
    for (index, call) in items.iter_mut().enumerate() {
        call.id = sample::id(100 + index as u8);
        call.status = crate::call::CallStatus::Completed;
        call.started_at -= chrono::TimeDelta::hours(9 * index as i64);
        call.ended_at = call
            .answered_at
            .map(|at| at + chrono::TimeDelta::seconds(90));
        call.duration_s = Some(90);
    }
    let page = crate::engine::HistoryPage {
        items,
        ..crate::engine::HistoryPage::default()
    };
    let serial = still.model.past.serial;
    let result = Ok(page);
    still.message(Msg::Past { serial, result });
    still
}

fn audit() -> Still {
    let mut still = still();
    let mut hello = sample::hello();
    hello.features.push("audit".into());
    still.update(Update::Hello(hello));
    still.keys("5");
    let row = |ago: i64, by: &str, verb: &str, result: &str, reason: Option<&str>| {
        crate::engine::AuditEntry {
            at: sample::now() - chrono::TimeDelta::seconds(ago),
            by: by.into(),
            from: None,
            verb: verb.into(),
            call: Some(sample::id((ago % 5) as u8 + 1)),
            command: None,
            reason: reason.map(str::to_owned),
            result: result.into(),
        }
    };
    let audit = vec![
        row(5, "ana", "unmask", "done", Some("callback")),
        row(61, "ben", "terminate", "unconfirmed", None),
        row(300, "eve", "terminate", "refused: forbidden", None),
    ];
    let page = crate::engine::HistoryPage {
        audit,
        ..crate::engine::HistoryPage::default()
    };
    still.message(Msg::Audit(Ok(page)));
    still
}

/// Every kind of screen there is.
fn kinds() -> [(&'static str, fn() -> Still); 13] {
    [
        ("call", || pressed("enter")),
        ("table", || pressed("v")),
        ("mosaic", || pressed("v v")),
        ("alerts", || pressed("2")),
        ("history", history),
        ("quality", || pressed("4")),
        ("audit", audit),
        ("marked", || pressed("space space space E")),
        ("busy", still),
        ("empty", empty),
        ("lost", lost),
        ("confirm", || {
            let mut still = still();
            still.keys("E");
            still
        }),
        ("help", || {
            let mut still = still();
            still.keys("?");
            still
        }),
    ]
}

/// Every kind of screen at every size, as text.
#[test]
fn screens_look_as_they_did() {
    for (name, make) in kinds() {
        for size in SIZES {
            let shown = text(&screen(&mut make(), size));
            insta::assert_snapshot!(format!("{name}_{}x{}", size.0, size.1), shown);
        }
    }
}

/// Which style stands where: a letter for each style, in the order they first appear.
fn styles(buffer: &Buffer) -> String {
    let mut known: Vec<ratatui::style::Style> = Vec::new();
    let mut out = String::new();
    for y in 0..buffer.area.height {
        let mut row = String::new();
        for x in 0..buffer.area.width {
            let style = buffer[(x, y)].style();
            let at = known.iter().position(|other| *other == style);
            let at = at.unwrap_or_else(|| {
                known.push(style);
                known.len() - 1
            });
            row.push(char::from(b'A' + (at as u8).min(57)));
        }
        out.push_str(&row);
        out.push('\n');
    }
    out
}

/// The colours of every kind of screen, and its weights where there is no colour.
#[test]
fn styles_stand_where_they_did() {
    for (name, make) in kinds() {
        for (kind, theme, depth) in [
            ("colour", "dark", Depth::True),
            ("mono", "mono", Depth::None),
        ] {
            let mut still = make();
            still.theme = crate::ui::Theme::load(theme, None, depth).unwrap();
            let shown = styles(&screen(&mut still, (120, 40)));
            insta::assert_snapshot!(format!("{name}_{kind}"), shown);
        }
    }
}

#[test]
fn ascii_screens_hold_nothing_but_ascii_and_keep_their_columns() {
    for size in SIZES {
        let mut plain = still();
        plain.is_ascii = true;
        let ascii = screen(&mut plain, size);
        assert!(ascii.content.iter().all(|cell| cell.symbol().is_ascii()));
    }
    let mut plain = still();
    plain.is_ascii = true;
    insta::assert_snapshot!("ascii_80x24", text(&screen(&mut plain, (80, 24))));
}

/// The style of the first cell of some words.
fn style_of(buffer: &Buffer, words: &str) -> (Color, Modifier) {
    for y in 0..buffer.area.height {
        let row: String = (0..buffer.area.width)
            .map(|x| buffer[(x, y)].symbol())
            .collect();
        if let Some(at) = row.find(words) {
            let x = row[..at].chars().count() as u16;
            let cell = &buffer[(x, y)];
            return (cell.fg, cell.modifier);
        }
    }
    panic!("{words} is not on the screen");
}

#[test]
fn severity_and_speakers_keep_their_roles() {
    let buffer = screen(&mut still(), (120, 40));
    let red = Color::Rgb(0xf0, 0x64, 0x6e);
    let amber = Color::Rgb(0xe3, 0xab, 0x4a);
    assert_eq!(style_of(&buffer, "loop ×3").0, red);
    assert_eq!(style_of(&buffer, "dead air").0, amber);
    assert_eq!(style_of(&buffer, "4 attention").0, red);
    assert_eq!(
        style_of(&buffer, "are you still").0,
        style_of(&buffer, "p50").0,
        "interim is dim"
    );
    let caller = style_of(&buffer, "caller  Hi").0;
    assert_eq!(caller, Color::Rgb(0x56, 0xc4, 0xdc));
}

#[test]
fn without_colour_rank_is_weight_and_reverse() {
    let mut mono = Still::sample("mono", Depth::None).unwrap();
    let buffer = screen(&mut mono, (120, 40));
    for cell in &buffer.content {
        assert_eq!((cell.fg, cell.bg), (Color::Reset, Color::Reset));
    }
    let (_, worst) = style_of(&buffer, "loop ×3");
    assert!(worst.contains(Modifier::BOLD | Modifier::REVERSED));
    let (_, bad) = style_of(&buffer, "dead air");
    assert!(bad.contains(Modifier::BOLD) && !bad.contains(Modifier::REVERSED));
    // Any theme on a terminal without colours: the same.
    let mut dark = Still::sample("dark", Depth::None).unwrap();
    let buffer = screen(&mut dark, (120, 40));
    assert!(buffer.content.iter().all(|cell| cell.fg == Color::Reset));
}

/// A corpus of what people and models have put into names.
const HOSTILE: [&str; 9] = [
    "\u{1b}[31mred\u{1b}[0m",
    "\u{1b}]0;title\u{7}\u{1b}]52;c;ZXZpbA==\u{7}",
    "\u{9b}2J\u{90}q\u{9c}",
    "a\u{202e}drowssap\u{2066}x\u{2069}",
    "zero\u{200b}width\u{feff}\u{2060}",
    "tab\tline\r\nfeed\u{8}\u{8}",
    "e\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}",
    "👩‍👩‍👧‍👦 family 日本語 العربية",
    "\u{e0041}\u{e0042}\u{3164}",
];

#[test]
fn hostile_text_in_any_field_is_drawn_harmlessly() {
    for evil in HOSTILE {
        let evil = || evil.to_owned();
        let mut calls = sample::calls(sample::now());
        for call in &mut calls {
            call.facts.name = Some(evil());
            call.facts.agent = Some(evil());
            call.facts.agent_kind = Some(evil());
            call.facts.carrier = evil();
            call.facts.from = evil();
            call.facts.to = evil();
            call.facts.lead_id = Some(evil());
            call.claimed_by = Some(evil());
            call.flags = vec![evil()];
            call.ended_by = Some(evil());
            call.end_cause = Some(evil());
            call.agent_link_reason = Some(evil());
            for alert in &mut call.alerts {
                alert.reason = evil();
                alert.rule = evil();
            }
            for listener in &mut call.listeners {
                listener.by = evil();
            }
            for note in &mut call.notes {
                note.text = evil();
            }
            for line in &mut call.lines {
                if let crate::call::LineBody::Speech { text, .. } = &mut line.body {
                    *text = evil();
                }
                if let crate::call::LineBody::Tool {
                    name, args, result, ..
                } = &mut line.body
                {
                    (*name, *args, *result) = (evil(), evil(), evil());
                }
            }
        }
        let mut still = still();
        still.update(Update::Snapshot {
            epoch: sample::hello().epoch,
            seq: 1,
            calls,
        });
        let refusal = Refusal::new(ErrorCode::Invalid, evil(), evil());
        for keys in [
            "",
            "v",
            "v",
            "enter",
            "esc E",
            "esc W",
            "esc y",
            "esc 2",
            "4",
            "b",
            "b",
            "1 space E",
            "esc esc",
        ] {
            still.after(Duration::from_secs(1));
            still.keys(keys);
            let result = Err(refusal.clone());
            still.message(Msg::ListenUrl {
                call: sample::id(1),
                result,
            });
            for size in SIZES {
                let buffer = screen(&mut still, size);
                for cell in &buffer.content {
                    let clean = crate::call::text::clean(cell.symbol());
                    assert_eq!(clean, cell.symbol(), "{evil:?}", evil = evil());
                }
                let bytes = crate::ui::Painter::new().paint(&mut buffer.clone());
                assert!(!bytes.contains("\u{1b}]"), "an operating system command");
            }
        }
    }
}

#[test]
fn no_size_panics_and_every_key_works_at_every_size() {
    for width in (1..130).step_by(13) {
        for height in (1..45).step_by(6) {
            let mut still = still();
            still.draw(width, height);
            for key in [
                "enter", "tab", "G", "v", "?", "esc", ":", "esc", "E", "esc", "j", "esc",
            ] {
                still.keys(key);
                still.draw(width, height);
            }
        }
    }
    let mut still = still();
    for binding in crate::ui::keymap::BINDINGS {
        for key in binding.keys {
            still.keys(key);
            still.draw(80, 24);
            still.keys("esc");
            still.model.overlays.clear();
        }
    }
}

#[test]
fn a_lost_link_dims_the_board_and_counts_down() {
    let mut still = lost();
    let buffer = screen(&mut still, (120, 40));
    let shown = text(&buffer);
    assert!(
        shown.contains("LINK LOST · next try in 2 s (try 3)"),
        "{shown}"
    );
    let stale = still.theme.style(crate::ui::theme::Role::Stale).fg;
    assert_eq!(Some(style_of(&buffer, "loop ×3").0), stale);
}

#[test]
fn an_svg_is_well_formed_and_holds_the_words() {
    let buffer = screen(&mut still(), (120, 40));
    for kind in [Kind::Dark, Kind::Light] {
        let picture = svg(&buffer, kind);
        assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
        assert!(picture.contains("loop ×3, 41 s"));
        assert_eq!(
            picture.matches("<text").count(),
            picture.matches("</text>").count()
        );
    }
}

#[test]
fn options_have_a_default_that_a_caller_can_start_from() {
    let options = UiOptions {
        endpoints: vec![("a".into(), "b".into(), Arc::new(AtomicU64::new(0)))],
        ..UiOptions::default()
    };
    assert!(options.theme.is_none() && options.endpoints.len() == 1);
}
