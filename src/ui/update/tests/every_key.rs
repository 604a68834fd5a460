//! Every key of the key table, pressed on every page where it works: something is seen of it, or said,
//! or asked of the world. Nothing is ever swallowed in silence.

use crate::call::CallStatus;
use crate::engine::{AuditEntry, HistoryPage, Update};
use crate::ui::keymap::{BINDINGS, Context};
use crate::ui::model::{Focus, Page};
use crate::ui::picture::Still;
use crate::ui::theme::Depth;
use crate::ui::{Msg, sample};

/// Where a key is pressed, and how one gets there from the board.
const PLACES: [(&str, &str, Context); 8] = [
    ("board", "g j j j", Context::Calls),
    ("transcript", "g tab { {", Context::Call),
    ("call", "g enter { {", Context::Call),
    ("detail", "g enter tab", Context::Call),
    ("alerts", "2 j", Context::Calls),
    ("history", "3 j j", Context::Past),
    ("quality", "4", Context::Calls),
    ("audit", "5 j", Context::Past),
];

fn begin(size: (u16, u16), theme: &str, depth: Depth, keys: &str) -> Still {
    let mut still = Still::sample(theme, depth).unwrap();
    let mut hello = sample::hello();
    for feature in ["audit", "timeline"] {
        hello.features.push(feature.into());
    }
    still.update(Update::Hello(hello));
    still.draw(size.0, size.1);
    for word in keys.split(' ') {
        still.keys(word);
        answer(&mut still, word);
        still.draw(size.0, size.1);
    }
    still
}

/// What the backend says to what was asked for.
fn answer(still: &mut Still, word: &str) {
    match word {
        "3" => {
            let mut items = sample::calls(sample::now());
            for call in &mut items {
                call.status = CallStatus::Completed;
            }
            let serial = still.model.past.serial;
            let page = HistoryPage {
                items,
                ..HistoryPage::default()
            };
            still.message(Msg::Past {
                serial,
                result: Ok(page),
            });
        }
        "5" => {
            let row = AuditEntry {
                at: sample::now(),
                by: "ben".into(),
                from: None,
                verb: "unmask".into(),
                call: Some(sample::id(1)),
                command: None,
                reason: Some("callback".into()),
                result: "done".into(),
            };
            let page = HistoryPage {
                audit: vec![row; 60],
                ..HistoryPage::default()
            };
            still.message(Msg::Audit(Ok(page)));
        }
        _ => {}
    }
}

fn press_all(size: (u16, u16), theme: &str, depth: Depth, is_ascii: bool) -> Vec<String> {
    let mut silent = Vec::new();
    for (place, way, context) in PLACES {
        // What the lists beside the board answer does not depend on how much is seen of them.
        if size.0 > 80 && !matches!(place, "board" | "call") {
            continue;
        }
        for binding in BINDINGS {
            if binding.context != Context::Anywhere && binding.context != context {
                continue;
            }
            for key in binding.keys {
                let mut still = begin(size, theme, depth, way);
                still.is_ascii = is_ascii;
                still.model.toast = None;
                let before = still.draw(size.0, size.1);
                let was = (still.model.page, still.model.focus);
                still.effects.clear();
                still.keys(key);
                let after = still.draw(size.0, size.1);
                let is_told = after != before || !still.effects.is_empty();
                if !is_told {
                    silent.push(format!(
                        "{}x{} {place} {was:?}: {key} ({})",
                        size.0, size.1, binding.name
                    ));
                }
            }
        }
    }
    silent
}

#[test]
fn every_key_is_answered_at_every_size_and_in_every_look() {
    let looks = [
        ((80, 24), "dark", Depth::True, false),
        ((120, 40), "light", Depth::Indexed, false),
        ((200, 60), "mono", Depth::None, false),
        ((300, 100), "dark", Depth::Sixteen, true),
    ];
    let silent: Vec<String> = std::thread::scope(|scope| {
        let all = looks.map(|(size, theme, depth, is_ascii)| {
            scope.spawn(move || press_all(size, theme, depth, is_ascii))
        });
        all.into_iter()
            .flat_map(|one| one.join().unwrap())
            .collect()
    });
    assert!(silent.is_empty(), "{}", silent.join("\n"));
    let still = begin((120, 40), "dark", Depth::True, "g enter");
    assert_eq!(
        (still.model.page, still.model.focus),
        (Page::Call, Focus::Transcript)
    );
}
