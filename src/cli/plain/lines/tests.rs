use std::time::Duration;

use super::*;
use crate::ui::sample;

struct Board {
    lines: Lines,
    now: Now,
}

impl Board {
    fn new(mode: Mode) -> Self {
        let mut now = Now::at(sample::now());
        now.mono = Duration::from_secs(1);
        let mut board = Self {
            lines: Lines::new(mode, None, false, now),
            now,
        };
        for update in sample::updates() {
            board.lines.update(board.now, update);
        }
        board
    }

    fn type_line(&mut self, line: &str) -> (Vec<Effect>, String) {
        let effects = self.lines.typed(self.now, line);
        (effects, self.lines.take_output().join("\n"))
    }

    fn number_of(&self, name: &str) -> u32 {
        let call = self
            .lines
            .model
            .board
            .calls()
            .find(|call| call.facts.name.as_deref() == Some(name));
        self.lines.known[&call.unwrap().id]
    }
}

#[test]
fn the_board_is_read_out_and_numbers_are_masked() {
    let mut board = Board::new(Mode::Attach);
    let greeting = board.lines.take_output().join("\n");
    assert!(greeting.contains("8 live, 2 ringing"), "{greeting}");
    assert!(greeting.contains("loop ×3, 41 s") && greeting.contains("+1 415 … 0134 to Ava"));
    let (_, alerts) = board.type_line("alerts");
    assert!(
        alerts.contains("critical: loop ×3, 41 s (agent_loop)"),
        "{alerts}"
    );
    let (_, help) = board.type_line("help");
    assert!(
        help.contains("whisper 3: ") && help.contains("stop dialing: "),
        "{help}"
    );
}

#[test]
fn a_call_is_ended_by_words_after_a_yes_and_its_grace() {
    let mut board = Board::new(Mode::Attach);
    board.lines.take_output();
    let number = board.number_of("Maria Lopez");
    let (effects, question) = board.type_line(&format!("end {number}"));
    assert!(
        effects.is_empty() && question.contains("Maria Lopez"),
        "{question}"
    );
    let (_, said) = board.type_line("no");
    assert!(said.contains("nothing was done"));
    board.type_line(&format!("end {number}"));
    let (effects, said) = board.type_line("yes");
    assert!(effects.is_empty() && said.contains("undo"), "{said}");
    board.now.mono += Duration::from_secs(4);
    let effects = board.lines.tick(board.now);
    let sent = effects
        .iter()
        .filter(|effect| matches!(effect, Effect::Send(_)));
    assert_eq!(sent.count(), 1, "{effects:?}");
}

#[test]
fn words_go_to_the_followed_call_and_mistakes_are_named() {
    let mut board = Board::new(Mode::Attach);
    board.lines.take_output();
    let (_, said) = board.type_line("whisper be kind");
    assert!(said.contains("which call?"), "{said}");
    let number = board.number_of("Maria Lopez");
    let (_, shown) = board.type_line(&format!("follow {number}"));
    assert!(
        shown.contains("caller") && shown.contains("agent"),
        "{shown}"
    );
    let (effects, _) = board.type_line("whisper be kind");
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::Send(_)))
    );
    let (_, said) = board.type_line("whisper");
    assert!(said.contains("give it after the number"), "{said}");
    let (_, said) = board.type_line("end 999");
    assert!(said.contains("there is no call 999"), "{said}");
    let (_, said) = board.type_line("dance");
    assert!(said.contains("no command dance"), "{said}");
}

#[test]
fn leaving_a_backend_with_calls_asks_what_becomes_of_them() {
    let mut board = Board::new(Mode::Run);
    board.lines.take_output();
    let (effects, said) = board.type_line("quit");
    assert!(effects.is_empty() && said.contains("keep"), "{said}");
    let (effects, _) = board.type_line("keep");
    assert_eq!(effects, [Effect::Leave(Exit::KeepServing)]);
    let mut attached = Board::new(Mode::Attach);
    assert_eq!(attached.type_line("quit").0, [Effect::Leave(Exit::Quit)]);
}

#[test]
fn nothing_that_steers_a_terminal_is_said() {
    let mut board = Board::new(Mode::Attach);
    board
        .lines
        .say("a\u{1b}]0;owned\u{7}b\u{9b}31mc\u{202e}d\ne");
    let said = board.lines.take_output().pop().unwrap();
    assert!(!said.chars().any(char::is_control), "{said:?}");
    assert_eq!(ascii("“×3…” → 佐"), "\"x3...\" -> ?");
}
