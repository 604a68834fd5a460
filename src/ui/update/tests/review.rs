//! A shift's calls reviewed: found, ordered, opened one after the other, marked and flagged together.

use std::time::Duration;

use crate::call::{Action, CallStatus};
use crate::engine::HistoryPage;
use crate::ui::model::{Overlay, Page};
use crate::ui::picture::{Still, text};
use crate::ui::{Msg, sample};

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
