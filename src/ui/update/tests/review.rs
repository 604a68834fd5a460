//! A shift's calls reviewed: found, ordered, opened one after the other, marked and flagged together.

use std::time::Duration;

use crate::call::{Action, CallStatus, Numbers, Refusal, Reply, Rows, Verb};
use crate::engine::{HistoryPage, Update};
use crate::ui::model::{Overlay, Page};
use crate::ui::picture::{Still, text};
use crate::ui::{Effect, Msg, sample};

use super::paging::asked;
use super::{sent, still};

/// Thirteen calls of the past on the history page; the first two had alerts.
fn history() -> Still {
    let mut still = still();
    still.keys("3");
    let mut items = sample::calls(sample::now());
    for (index, call) in items.iter_mut().enumerate() {
        call.id = sample::id(100 + index as u8);
        call.status = CallStatus::Completed;
        call.ended_at = Some(sample::now());
    }
    items.swap(0, 5);
    let serial = still.model.past.serial;
    let page = HistoryPage {
        items,
        ..HistoryPage::default()
    };
    still.message(Msg::Past {
        serial,
        result: Ok(page),
    });
    still.effects.clear();
    still
}

#[test]
fn past_calls_stand_by_time_or_by_what_was_wrong() {
    let mut still = history();
    let looper = sample::id(100);
    assert_ne!(still.model.selected().unwrap().id, looper);
    still.keys("s");
    assert_eq!(still.model.selected().unwrap().id, looper);
    let shown = text(&still.draw(120, 40));
    assert!(shown.contains("13 calls · by risk"), "{shown}");
    still.keys("s");
    assert!(!text(&still.draw(120, 40)).contains("by risk"));
}

#[test]
fn one_call_after_the_other_is_opened_without_going_back() {
    let mut still = history();
    let order: Vec<_> = still.model.past.items.iter().map(|call| call.id).collect();
    still.keys("enter n");
    assert_eq!(
        (still.model.page, still.model.selected().unwrap().id),
        (Page::Call, order[1])
    );
    assert!(text(&still.draw(120, 40)).contains("call 2 of 13"));
    still.keys("N N");
    assert_eq!(still.model.selected().unwrap().id, order[0]);
    assert!(text(&still.draw(120, 40)).contains("call 1 of 13: no further"));
    // While something is looked for in the transcript, the keys belong to that.
    still.keys("/");
    still.type_text("moment");
    still.keys("enter n");
    assert_eq!(still.model.selected().unwrap().id, order[0]);
}

#[test]
fn several_past_calls_get_one_flag_and_the_boards_marks_stay_out_of_it() {
    let mut still = history();
    still.keys("1 space 3");
    // A mark of the board is none of this list.
    let shown = text(&still.draw(120, 40));
    assert!(!shown.contains("marked"), "{shown}");
    still.keys("g space space");
    let shown = text(&still.draw(120, 40));
    assert!(shown.contains("2 marked"), "{shown}");
    still.keys("f");
    still.type_text("known: voicemail loop");
    still.after(Duration::from_secs(1));
    still.keys("enter");
    let Some(Overlay::Group(ask)) = still.model.overlays.last() else {
        panic!("their number is not asked for");
    };
    assert_eq!(ask.wishes.len(), 2);
    assert!(sent(&still).is_empty());
    still.after(Duration::from_secs(1));
    still.keys("2 enter");
    let commands = sent(&still);
    let items = &still.model.past.items;
    assert_eq!(commands.len(), 2);
    for (command, call) in commands.iter().zip(items) {
        assert_eq!(command.call, Some(call.id));
        assert_eq!(
            command.action,
            Action::Flag {
                label: "known: voicemail loop".into()
            }
        );
    }
    // Nothing else can be done to calls that are over.
    still.keys("space E");
    assert!(still.model.overlays.is_empty());
    still.keys("esc");
    assert_eq!(still.model.page, Page::History, "first the marks go");
    assert!(!text(&still.draw(120, 40)).contains("marked"));
}

/// The list is exported by name.
fn export(still: &mut Still, format: &str) {
    still.keys(":");
    still.type_text(&format!("export {format}"));
    still.after(Duration::from_secs(1));
    still.keys("enter");
}

fn toast(still: &Still) -> &str {
    still.model.toast.as_ref().map_or("", |toast| &toast.text)
}

#[test]
fn the_list_is_written_once_all_of_it_has_come_and_leave_was_given() {
    let mut still = history();
    let mut rest = sample::calls(sample::now()).split_off(11);
    for (index, call) in rest.iter_mut().enumerate() {
        call.id = sample::id(150 + index as u8);
    }
    still.model.past.next = Some("more".into());
    export(&mut still, "csv");
    let Some(Effect::Past(serial, query)) = asked(&still).cloned() else {
        panic!("{:?}", still.effects);
    };
    assert_eq!(query.cursor.as_deref(), Some("more"));
    assert!(sent(&still).is_empty(), "what is taken is not known yet");
    let page = HistoryPage {
        items: rest,
        ..HistoryPage::default()
    };
    still.message(Msg::Past {
        serial,
        result: Ok(page),
    });
    let command = sent(&still).pop().unwrap();
    let format = "csv".to_owned();
    assert_eq!(
        (command.call, command.action),
        (None, Action::Export { format })
    );
    let reason = "15 past calls as csv, numbers whole: all that are kept";
    assert_eq!(command.reason.as_deref(), Some(reason));
    let writes = |still: &Still| {
        let mut all = still.effects.iter();
        all.any(|effect| matches!(effect, Effect::WriteCalls(_)))
    };
    assert!(!writes(&still), "not before the backend has kept who did");
    still.update(Update::Reply(Reply::accepted(command.id, None)));
    match asked(&still) {
        Some(Effect::WriteCalls(listing)) => {
            assert_eq!((listing.calls.len(), listing.rows), (15, Rows::Csv));
            let (name, ending) = listing.name.split_once('.').unwrap();
            assert!(name.starts_with("calls-2026") && ending == "csv");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn marked_calls_of_the_list_are_taken_alone_and_numbers_stay_hidden_from_who_may_not_see_them() {
    let mut still = history();
    let mut hello = sample::hello();
    hello.verbs.retain(|verb| *verb != Verb::Unmask);
    still.update(Update::Hello(hello));
    still.keys("space space");
    still.effects.clear();
    export(&mut still, "jsonl");
    let command = sent(&still).pop().unwrap();
    let reason = "2 past calls as jsonl, numbers masked: marked";
    assert_eq!(command.reason.as_deref(), Some(reason));
    still.update(Update::Reply(Reply::accepted(command.id, None)));
    match asked(&still) {
        Some(Effect::WriteCalls(listing)) => {
            assert_eq!((listing.calls.len(), listing.rows), (2, Rows::Jsonl));
            assert_eq!(listing.numbers, Numbers::Masked);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_list_is_not_written_without_the_role_nor_after_a_no_nor_when_it_has_become_another() {
    let mut still = history();
    export(&mut still, "csv");
    let command = sent(&still).pop().unwrap();
    still.effects.clear();
    let no = Refusal::forbidden(Verb::Export);
    still.update(Update::Reply(Reply::refused(command.id, no)));
    assert!(
        toast(&still).contains("export refused"),
        "{}",
        toast(&still)
    );
    still.update(Update::Reply(Reply::accepted(command.id, None)));
    assert!(still.effects.is_empty(), "{:?}", still.effects);
    // The rest of the list is on its way, and something else is asked for.
    still.model.past.next = Some("more".into());
    export(&mut still, "csv");
    still.keys("3");
    assert!(toast(&still).contains("not exported"), "{}", toast(&still));
    let mut still = history();
    let mut hello = sample::hello();
    hello.verbs.retain(|verb| *verb != Verb::Export);
    still.update(Update::Hello(hello));
    still.effects.clear();
    export(&mut still, "csv");
    assert!(sent(&still).is_empty());
    assert!(
        toast(&still).contains("needs the role admin"),
        "{}",
        toast(&still)
    );
}

#[test]
fn elsewhere_a_list_is_no_format() {
    let mut still = history();
    still.keys("1");
    export(&mut still, "csv");
    let text = toast(&still);
    assert!(text.contains("formats are: markdown, jsonl"), "{text}");
    assert!(text.contains("page 3"), "{text}");
    still.keys("3");
    export(&mut still, "xml");
    assert!(toast(&still).contains("csv and jsonl"), "{}", toast(&still));
    assert!(sent(&still).is_empty());
}
