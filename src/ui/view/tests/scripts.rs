//! Names and words in every script: wide, combining, right to left. Nothing may push a border or a
//! figure out of its place.

use ratatui::buffer::Buffer;

use crate::call::LineBody;
use crate::engine::Update;
use crate::ui::pen::width;
use crate::ui::picture::{Still, text};
use crate::ui::sample;
use crate::ui::theme::Depth;

const WORDS: [&str; 8] = [
    "مرحبا بكم في المتجر، كيف يمكنني مساعدتك اليوم؟",
    "שלום עולם, 42 ש״ח להזמנה FO-77319",
    "नमस्ते दुनिया, क्षत्रिय ज्ञान",
    "e\u{301}\u{327}\u{323}te\u{301} a\u{30a}ngstro\u{308}m Z\u{338}\u{317}\u{360}a\u{337}lg\u{335}o\u{336}",
    "👩‍👩‍👧‍👦 👍🏽 🇩🇪 ✔️ done",
    "佐藤 花子さんの予約を変更したいのですが、ﾃｽﾄ",
    "น้ำที่นี่ร้อน ครับผม",
    "Tiếng Việt có dấu ﷺ end",
];

/// The sample board with these words as names, lines and reasons; `None`: plain ones.
fn board(words: Option<&[&str]>) -> Still {
    let mut still = Still::sample("dark", Depth::True).unwrap();
    let mut calls = sample::calls(sample::now());
    for (index, call) in calls.iter_mut().enumerate() {
        let word = words.map_or("Plain Name", |words| words[index % words.len()]);
        call.facts.name = Some(word.to_owned());
        for alert in &mut call.alerts {
            word.clone_into(&mut alert.reason);
        }
        for line in &mut call.lines {
            if let LineBody::Speech { text, .. } = &mut line.body {
                // Long enough to be wrapped and to be cut.
                *text = [word; 4].join(" ");
            }
        }
    }
    still.update(Update::Snapshot {
        epoch: sample::hello().epoch,
        seq: 2,
        calls,
    });
    still
}

/// Columns of upright borders, row by row.
fn uprights(buffer: &Buffer) -> Vec<(u16, u16)> {
    let area = buffer.area;
    let places = (0..area.height).flat_map(|y| (0..area.width).map(move |x| (x, y)));
    places
        .filter(|at| buffer.cell(*at).is_some_and(|cell| cell.symbol() == "│"))
        .collect()
}

/// Every row takes exactly the screen's width when a terminal writes it.
fn is_whole(buffer: &Buffer) {
    for y in 0..buffer.area.height {
        let mut x = 0;
        while x < buffer.area.width {
            let symbol = buffer.cell((x, y)).unwrap().symbol();
            x += width(symbol).max(1);
        }
        assert_eq!(x, buffer.area.width, "row {y}:\n{}", text(buffer));
    }
}

#[test]
fn no_script_moves_a_border() {
    for size in [(80, 24), (120, 40), (200, 60), (300, 100)] {
        for keys in ["", "v", "v w", "v v", "enter", "b", "2", "E", "e", "?"] {
            let [plain, other] = [None, Some(&WORDS[..])].map(|words| {
                let mut still = board(words);
                still.draw(size.0, size.1);
                still.keys(keys);
                still.draw(size.0, size.1)
            });
            is_whole(&other);
            // Longer words make taller dialogs; panes stand where they stood.
            if !matches!(keys, "E" | "e") {
                assert_eq!(
                    uprights(&plain),
                    uprights(&other),
                    "{size:?} {keys}\n{}",
                    text(&other)
                );
            }
        }
    }
}

#[test]
fn figures_of_the_table_stay_in_their_columns() {
    let [plain, other] = [None, Some(&WORDS[..])].map(|words| {
        let mut still = board(words);
        still.draw(200, 60);
        still.keys("v w");
        still.draw(200, 60)
    });
    let right = |buffer: &Buffer, y| -> String {
        (166..200)
            .map(|x| buffer.cell((x, y)).unwrap().symbol())
            .collect()
    };
    let rows: Vec<u16> = (2..20).collect();
    assert!(rows.iter().any(|y| right(&plain, *y).contains(" s ")));
    for y in rows {
        assert_eq!(right(&plain, y), right(&other, y), "{}", text(&other));
    }
}

#[test]
fn a_wide_character_is_not_cut_in_half() {
    let mut still = board(Some(&["予約を変更したいのですが予約を変更したいのですが"]));
    for columns in 60..140 {
        let buffer = still.draw(columns, 30);
        is_whole(&buffer);
    }
}
