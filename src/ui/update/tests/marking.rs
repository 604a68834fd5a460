//! Marked calls: one question, one typed number, then all of them or none.

use std::time::Duration;

use crate::call::{Action, CallStatus, ErrorCode, Fact, PendingState, Refusal, Reply};
use crate::engine::Update;
use crate::ui::model::Overlay;
use crate::ui::picture::{Still, text};
use crate::ui::sample;

use super::{ended, fact, pending, sent, still, wait};

/// Marks the first calls of the board.
fn marked(count: usize) -> Still {
    let mut still = still();
    for _ in 0..count {
        still.keys("space");
    }
    assert_eq!(still.model.marked.len(), count);
    still
}

#[test]
fn ending_marked_calls_wants_their_number_and_leaves_three_seconds() {
    let mut still = marked(3);
    let calls: Vec<_> = still.model.marked.iter().copied().collect();
    still.keys("E");
    let shown = text(&still.draw(120, 40));
    assert!(shown.contains("End 3 marked calls?"), "{shown}");
    assert!(shown.contains("3 marked") && shown.contains("◆"), "{shown}");
    still.after(Duration::from_secs(1));
    for wrong in ["", "y", "2", "33"] {
        still.type_text(wrong);
        still.keys("enter");
        assert!(still.model.pending.entries().is_empty(), "{wrong}");
        assert!(text(&still.draw(80, 24)).contains("type 3"), "{wrong}");
        still.keys("ctrl-u");
    }
    still.type_text("3");
    still.keys("enter");
    assert!(still.model.marked.is_empty() && still.model.overlays.is_empty());
    wait(&mut still, 2);
    assert!(sent(&still).is_empty(), "nothing leaves inside the grace");
    wait(&mut still, 2);
    let commands = sent(&still);
    assert_eq!(commands.len(), 3);
    for command in commands {
        assert_eq!(command.action, Action::Terminate {});
        assert!(command.call.is_some_and(|id| calls.contains(&id)));
    }
}

#[test]
fn undo_takes_the_whole_group_back_and_esc_does_nothing() {
    let mut still = marked(3);
    still.keys("E");
    still.after(Duration::from_secs(1));
    still.type_text("3");
    still.keys("enter u");
    wait(&mut still, 6);
    assert!(sent(&still).is_empty());
    assert!(still.model.pending.entries().is_empty());
    let mut still = marked(2);
    still.keys("E esc");
    wait(&mut still, 6);
    assert!(sent(&still).is_empty());
    assert_eq!(still.model.marked.len(), 2);
    still.keys("esc");
    assert!(still.model.marked.is_empty());
}

#[test]
fn a_call_that_ends_while_the_question_stands_is_left_out() {
    let mut still = marked(3);
    let gone = *still.model.marked.first().unwrap();
    still.keys("S");
    still.type_text("may we call you back?");
    still.after(Duration::from_secs(1));
    still.keys("enter");
    assert!(matches!(
        still.model.overlays.last(),
        Some(Overlay::Group(_))
    ));
    fact(&mut still, gone, ended(CallStatus::Completed));
    still.after(Duration::from_secs(1));
    still.type_text("3");
    still.keys("enter");
    let commands = sent(&still);
    assert_eq!(commands.len(), 2);
    for command in &commands {
        let text = "may we call you back?".to_owned();
        assert_eq!(command.action, Action::Say { text });
        assert_ne!(command.call, Some(gone));
        assert_eq!(
            pending(&still, command.call.unwrap()),
            Some(PendingState::Sent)
        );
    }
}

#[test]
fn what_works_on_one_call_only_says_so_while_several_are_marked() {
    let mut still = marked(2);
    for key in ["X", "R", "M"] {
        still.keys(key);
        assert!(still.model.overlays.is_empty(), "{key}");
        let toast = still.model.toast.take().unwrap();
        assert!(toast.text.contains("works on one call"), "{}", toast.text);
        still.after(Duration::from_secs(2));
    }

    assert!(sent(&still).is_empty());
    // Claims go to all of them, each with its own command.
    still.keys("c");
    still.after(Duration::from_secs(1));
    still.type_text("2");
    still.keys("enter");
    assert_eq!(sent(&still).len(), 2);
    assert!(sent(&still).iter().all(|c| c.action == Action::Claim {}));
}

#[test]
fn marks_are_bounded_and_forget_calls_that_leave_the_board() {
    let mut still = still();
    still.update(crate::engine::Update::Snapshot {
        epoch: sample::hello().epoch,
        seq: 1,
        calls: sample::many(sample::now(), 300),
    });
    still.keys(":");
    still.type_text("mark all");
    still.keys("enter");
    assert_eq!(still.model.marked.len(), super::super::marks::MARKED_MAX);
    still.update(crate::engine::Update::Snapshot {
        epoch: sample::hello().epoch,
        seq: 2,
        calls: Vec::new(),
    });
    assert!(still.model.marked.is_empty());
}

#[test]
fn what_came_of_an_order_to_several_is_counted_in_one_line() {
    let mut still = marked(3);
    still.keys("c");
    still.after(Duration::from_secs(1));
    still.type_text("3");
    still.keys("enter");
    let commands = sent(&still);
    let toast = |still: &Still| still.model.toast.as_ref().unwrap().text.clone();
    let yes = |still: &mut Still, index: usize| {
        let reply = Reply::accepted(commands[index].id, None);
        still.update(Update::Reply(reply));
    };
    yes(&mut still, 0);
    assert_eq!(toast(&still), "claim: done for 1 of 3");
    // The fact that follows the answer counts for nothing more.
    let done = Fact::CommandDone {
        command: commands[0].id,
        verb: "claim".into(),
        by: "ana".into(),
    };
    fact(&mut still, commands[0].call.unwrap(), done);
    assert_eq!(toast(&still), "claim: done for 1 of 3");
    let held = Refusal::new(ErrorCode::Conflict, "ben has this call", "ask them");
    still.update(Update::Reply(Reply::refused(commands[1].id, held)));
    yes(&mut still, 2);
    assert_eq!(
        toast(&still),
        "claim: done for 2 of 3, not for 1: ben has this call"
    );
    let mut still = marked(2);
    still.keys("c");
    still.after(Duration::from_secs(1));
    still.type_text("2");
    still.keys("enter");
    for command in sent(&still) {
        still.update(Update::Reply(Reply::accepted(command.id, None)));
    }
    assert_eq!(toast(&still), "claim: done for all 2");
}
