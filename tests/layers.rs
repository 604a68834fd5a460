//! The house rules that a machine can check: imports only point down, and each device has one room.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms and their levels; a room may import rooms of lower levels and itself.
const ROOMS: [(&str, u8); 12] = [
    ("call", 0),
    ("media", 0),
    ("bridge", 1),
    ("providers", 2),
    ("engine", 2),
    ("store", 3),
    ("server", 3),
    ("remote", 3),
    ("audio", 3),
    ("simulator", 3),
    ("ui", 4),
    ("cli", 5),
];

/// Crates that only one room may name.
const DEVICES: [(&str, &[&str]); 9] = [
    ("rusqlite", &["store"]),
    ("rust_socketio", &["remote"]),
    ("socketioxide", &["server"]),
    ("rodio", &["audio"]),
    ("pulseaudio", &["audio"]),
    ("ratatui", &["ui", "cli"]),
    ("axum", &["server", "simulator"]),
    ("clap", &["cli"]),
    ("color_eyre", &["cli", "main.rs"]),
];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a readable source folder") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every source file as (path below `src`, text without line comments).
fn tree() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    files
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).expect("a readable source file");
            let code: Vec<&str> = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .collect();
            let name = path
                .strip_prefix(&root)
                .expect("below src")
                .to_string_lossy()
                .into_owned();
            (name, code.join("\n"))
        })
        .collect()
}

fn room_of(file: &str) -> &str {
    file.split('/').next().unwrap_or(file)
}

/// Vendor shells dial out, desks and vendor files know the engine's ports: they stand a level above the
/// pure codecs beside them.
fn level_of(file: &str, levels: &BTreeMap<&str, u8>) -> Option<u8> {
    let room = room_of(file);
    let above = ["shell", "/vendor", "/desk.rs"];
    let is_above = room == "providers" && above.iter().any(|part| file.contains(part));
    levels
        .get(room)
        .map(|level| if is_above { 3 } else { *level })
}

/// The rooms named after `crate::` in a file, nested `use crate::{a, b}` included.
fn imports(code: &str) -> Vec<String> {
    let mut named = Vec::new();
    for piece in code.split("crate::").skip(1) {
        if let Some(list) = piece.strip_prefix('{') {
            let mut depth = 1;
            let mut word = String::new();
            let mut at_start = true;
            for character in list.chars() {
                match character {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    _ => {}
                }
                if depth == 1 && (character.is_alphanumeric() || character == '_') && at_start {
                    word.push(character);
                } else if depth == 1 && character == ',' {
                    named.push(std::mem::take(&mut word));
                    at_start = true;
                } else if !character.is_whitespace() {
                    at_start = false;
                }
                if depth == 0 {
                    named.push(std::mem::take(&mut word));
                    break;
                }
            }
        } else {
            named.push(
                piece
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect::<String>(),
            );
        }
    }
    named.retain(|room| !room.is_empty());
    named
}

#[test]
fn imports_only_point_down() {
    let levels: BTreeMap<&str, u8> = ROOMS.into_iter().collect();
    let mut wrong = Vec::new();
    for (file, code) in tree() {
        let Some(level) = level_of(&file, &levels) else {
            continue;
        };
        for target in imports(&code) {
            let Some(&below) = levels.get(target.as_str()) else {
                continue;
            };
            if target != room_of(&file) && below >= level {
                wrong.push(format!(
                    "{file} (level {level}) imports {target} (level {below})"
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "imports must point down:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn each_device_has_one_room() {
    let mut wrong = Vec::new();
    for (file, code) in tree() {
        for (device, rooms) in DEVICES {
            let named =
                code.contains(&format!("{device}::")) || code.contains(&format!("use {device};"));
            if named && !rooms.contains(&room_of(&file)) {
                wrong.push(format!("{file} names {device}, which belongs to {rooms:?}"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "a device left its room:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn pure_rooms_touch_nothing() {
    const PURE: [&str; 3] = ["call", "media", "bridge"];
    const BANNED: [&str; 8] = [
        "tokio::",
        "std::fs",
        "std::net",
        "std::thread",
        "Utc::now",
        "Instant::now",
        "Mutex<",
        "RwLock<",
    ];
    let mut wrong = Vec::new();
    for (file, code) in tree() {
        let pure_codec = room_of(&file) == "providers" && !file.contains("shell");
        if !PURE.contains(&room_of(&file)) && !pure_codec {
            continue;
        }
        let code = code.split("#[cfg(test)]").next().unwrap_or_default();
        for banned in BANNED {
            if code.contains(banned) && !file.ends_with("tests.rs") {
                wrong.push(format!("{file} uses {banned}"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "a pure room touches the world:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn audio_never_becomes_a_fact() {
    let (_, events) = tree()
        .into_iter()
        .find(|(file, _)| file == "call/event.rs")
        .expect("the facts are in call/event.rs");
    for word in ["StereoFrame", "Bytes", "payload", "Vec<u8>"] {
        assert!(
            !events.contains(word),
            "a media frame must not enter the facts: {word}"
        );
    }
}

#[test]
fn only_the_terminal_file_touches_the_terminal() {
    let mut wrong = Vec::new();
    for (file, code) in tree() {
        if file == "ui/term.rs" || file.starts_with("ui/term/") {
            continue;
        }
        for call in [
            "enable_raw_mode",
            "EnterAlternateScreen",
            "execute!(",
            "stdout().write",
        ] {
            if code.contains(call) && room_of(&file) == "ui" {
                wrong.push(format!("{file} uses {call}"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "only ui/term.rs touches the terminal:\n{}",
        wrong.join("\n")
    );
}

/// Files outside the vendors' folders that may name one, each with its reason. Whoever adds a vendor
/// touches none of them but the first two, which hold one line each.
const MAY_NAME_VENDORS: &[(&str, &str)] = &[
    ("providers/mod.rs", "`mod` line of each folder"),
    (
        "providers/vendor/registry.rs",
        "the registry: one line each",
    ),
    // The conversations a vendor tells of by webhook: the contract's own routes
    // (`/api/webhooks/elevenlabs/…`) and the words of that one family of events.
    ("server/conversations/audio.rs", "published ingest"),
    ("server/conversations/desk.rs", "published ingest"),
    ("server/conversations/door.rs", "published ingest"),
    ("server/conversations/facts.rs", "published ingest"),
    ("server/conversations/initiation.rs", "published ingest"),
    (
        "server/conversations/mod.rs",
        "published ingest: its routes",
    ),
    ("server/conversations/monitor.rs", "published ingest"),
    ("server/conversations/sources.rs", "published ingest"),
    ("remote/translator.rs", "a status word of foreign backends"),
    // Rehearsals play the vendors there are; the product does without them.
    ("cli/demo.rs", "stages the simulated vendors"),
    ("cli/simulate.rs", "starts the simulated vendors"),
    ("cli/args/modes.rs", "`simulate --vendor`"),
    ("cli/args/verbs.rs", "examples in help texts"),
    (
        "cli/rehearsal/line.rs",
        "plays the simulated vendors without sockets",
    ),
    ("ui/sample.rs", "invented calls for pictures"),
    // Stand-ins of tests.
    ("engine/testing.rs", "a stand-in"),
    ("engine/attention/scenarios.rs", "a stand-in"),
];

#[test]
fn outside_its_folder_nothing_names_a_vendor() {
    const VENDORS: [&str; 5] = ["twilio", "plivo", "elevenlabs", "openai", "pipeline"];
    let own_folder = |file: &str| {
        VENDORS
            .iter()
            .any(|vendor| file.starts_with(&format!("providers/{vendor}/")))
    };
    let mut wrong = Vec::new();
    let mut idle: Vec<&str> = MAY_NAME_VENDORS.iter().map(|(file, _)| *file).collect();
    for (file, code) in tree() {
        let is_test = file.ends_with("tests.rs") || file.contains("/tests/");
        if own_folder(&file) || file.starts_with("simulator/") || is_test {
            continue;
        }
        // A test module in the file itself; one declared at the top hides nothing.
        let code = code.split("#[cfg(test)]\nmod tests {").next();
        let code = code.unwrap_or_default();
        let named: Vec<&str> = code
            .lines()
            .filter(|line| {
                let line = line.to_lowercase();
                VENDORS.iter().any(|vendor| line.contains(vendor))
            })
            .collect();
        if named.is_empty() {
            continue;
        }
        if MAY_NAME_VENDORS.iter().any(|(known, _)| *known == file) {
            idle.retain(|known| *known != file);
        } else {
            wrong.extend(named.iter().map(|line| format!("{file}: {}", line.trim())));
        }
    }
    assert!(
        wrong.is_empty(),
        "what a vendor is belongs into its folder (ARCHITECTURE.md, \"Adding a vendor\"):\n{}",
        wrong.join("\n")
    );
    assert!(idle.is_empty(), "these need no leave any more: {idle:?}");
}
