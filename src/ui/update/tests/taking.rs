//! Copies and exports.

use crate::call::{Reply, Severity};
use crate::ui::picture::text;
use crate::ui::{Effect, Msg, sample};

use super::paging::asked;
use super::{sent, still};

#[test]
fn copies_name_what_and_exports_ask_for_leave_first() {
    let mut still = still();
    for (key, part) in [
        ("i", sample::id(1).to_string()),
        ("n", "+1 415 ••• 0134".to_owned()),
        ("t", "caller: are you still th".to_owned()),
        (
            "a",
            "agent: Of course. Can I have your order number, please?".to_owned(),
        ),
        ("s", "loop ×3, 41 s".to_owned()),
    ] {
        still.keys("y");
        still.keys(key);
        match asked(&still) {
            Some(Effect::Copy { text, .. }) => assert!(text.contains(&part), "{key}: {text}"),
            other => panic!("{key}: {other:?}"),
        }
    }
    let what = "copied the id".to_owned();
    let result = Ok("/home/ana/copied.txt".to_owned());
    still.message(Msg::Written { what, result });
    assert!(text(&still.draw(120, 40)).contains("copied the id: /home/ana/copied.txt"));
    still.keys("y m");
    let command = sent(&still).pop().unwrap();
    assert_eq!(command.action.name(), "export");
    assert!(
        !still
            .effects
            .iter()
            .any(|effect| matches!(effect, Effect::Write { .. }))
    );
    still.update(crate::engine::Update::Reply(Reply::accepted(
        command.id, None,
    )));
    match asked(&still) {
        Some(Effect::Write { name, text }) => {
            assert!(name.contains(".md"));
            assert!(text.contains("# Maria Lopez") && !text.contains("4155550134"));
        }
        other => panic!("{other:?}"),
    }
    let mut hello = sample::hello();
    hello
        .verbs
        .retain(|verb| *verb != crate::call::Verb::Export);
    still.update(crate::engine::Update::Hello(hello));
    still.effects.clear();
    still.keys("y j");
    assert!(sent(&still).is_empty());
    let toast = still.model.toast.take().unwrap();
    assert_eq!(toast.severity, Severity::Warn);
}

#[test]
fn the_name_of_a_written_file_is_seen_on_a_small_screen_too() {
    let mut still = still();
    still.draw(80, 24);
    let name = "call-20261127-012953-01a21a9a-028e-71bf-9f47-9e827ccc39f0.md";
    let written = |still: &mut crate::ui::picture::Still| {
        still.message(Msg::Written {
            what: "exported".into(),
            result: Ok(format!(
                "/home/operators/ana/.local/share/wallboard/files/{name}"
            )),
        });
    };
    written(&mut still);
    let shown = text(&still.draw(80, 24));
    assert!(shown.contains(&format!("exported: {name}")), "{shown}");
    still.draw(100, 30);
    written(&mut still);
    let shown = text(&still.draw(100, 30));
    assert!(shown.contains(&format!("…/files/{name}")), "{shown}");
    still.draw(160, 40);
    written(&mut still);
    let shown = text(&still.draw(160, 40));
    assert!(shown.contains(&format!(
        "/home/operators/ana/.local/share/wallboard/files/{name}"
    )));
}
