//! The key table holds what it promises.

use super::*;

#[test]
fn no_key_means_two_things_in_one_place() {
    Keymap::default().check().unwrap();
}

#[test]
fn every_key_in_the_table_can_be_read() {
    for binding in BINDINGS {
        for key in binding.keys {
            assert!(Stroke::parse(key).is_some(), "{key}");
        }
    }
}

#[test]
fn shift_comes_in_two_encodings_and_means_one_key() {
    let map = Keymap::default();
    for key in [
        KeyEvent::new(KeyCode::Char('E'), KeyModifiers::NONE),
        KeyEvent::new(KeyCode::Char('E'), KeyModifiers::SHIFT),
        KeyEvent::new(KeyCode::Char('e'), KeyModifiers::SHIFT),
    ] {
        assert_eq!(map.act(&key, Context::Calls), Some(Act::End));
    }
    let plain = KeyEvent::new(KeyCode::Char('e'), KeyModifiers::NONE);
    assert_eq!(map.act(&plain, Context::Calls), Some(Act::Note));
}

#[test]
fn remapping_checks_names_keys_and_conflicts() {
    let with = |name: &str, key: &str| {
        Keymap::with(&BTreeMap::from([(name.to_owned(), vec![key.to_owned()])]))
    };
    assert!(with("end", "ctrl-x").is_ok());
    assert!(matches!(with("kill", "k"), Err(KeyError::NoSuchAct(_))));
    assert!(matches!(with("end", "shiftx"), Err(KeyError::NoSuchKey(_))));
    assert!(matches!(with("end", "L"), Err(KeyError::Conflict { .. })));
}

#[test]
fn keys_that_touch_a_live_call_are_capitals() {
    for act in [
        Act::End,
        Act::Whisper,
        Act::Say,
        Act::PauseAgent,
        Act::Transfer,
        Act::Record,
        Act::Dial,
        Act::Listen,
        Act::Unmask,
    ] {
        for key in binding(act).keys {
            assert!(key.chars().all(|c| c.is_ascii_uppercase()), "{act:?} {key}");
        }
    }
}
