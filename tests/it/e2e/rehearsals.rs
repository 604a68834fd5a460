//! Three hours of an operator's life, by keys alone, on the seeded demo with its clock running: an
//! agent that goes wrong and is taken over, a sick carrier, a shift's calls reviewed.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::it::support::pty::Screen;

/// Escape as newer terminals tell it, which no following key can change.
const ESCAPE: &str = "\x1b[27u";

/// A hand at the screen that counts what it presses.
struct Hand {
    screen: Screen,
    /// Where what the operator takes along is written.
    home: tempfile::TempDir,
    keys: usize,
    began: Instant,
}

impl Hand {
    fn at(columns: u16, rows: u16) -> Self {
        let args = ["demo", "--seed", "7", "--calls", "10"];
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().to_str().unwrap();
        let screen = Screen::start(&args, columns, rows, &[("HOME", folder)]);
        screen.wait("calls", 30, |text| text.contains("IN CALL"));
        Self {
            screen,
            home,
            keys: 0,
            began: Instant::now(),
        }
    }

    /// One key, and what must be seen of it.
    fn press(&mut self, key: &str, seen: &str) {
        self.keys += 1;
        self.screen.keys(key);
        self.screen.wait_for(seen, 10);
    }

    /// Letter by letter: many in one breath are taken for a paste.
    fn write(&mut self, text: &str) {
        for letter in text.chars() {
            self.keys += 1;
            self.screen.keys(&letter.to_string());
            self.screen.settle(2);
        }
        let last: String = text.chars().rev().take(12).collect();
        let last: String = last.chars().rev().collect();
        self.screen.wait_for(&last, 10);
    }

    /// An enter (or a yes) that follows too fast is taken for a slip, so it is given until it is heard.
    fn confirm(&mut self, key: &str, seen: &str) {
        self.keys += 1;
        for _ in 0..20 {
            self.screen.keys(key);
            if self.screen.appears(seen, 400) {
                return;
            }
        }
        panic!("{key:?} did not lead to {seen:?}:\n{}", self.screen.text());
    }

    /// Sends what was typed: enter until the question is gone.
    fn answer(&mut self, question: &str) {
        self.keys += 1;
        for _ in 0..20 {
            self.screen.keys("\r");
            self.screen.settle(100);
            if !self.screen.text().contains(question) {
                return;
            }
        }
        panic!("{question:?} is still asked:\n{}", self.screen.text());
    }

    fn done(mut self, what: &str) {
        let took = self.began.elapsed();
        eprintln!("{what}: {} keys, {took:?}", self.keys);
        self.screen.keys(ESCAPE);
        self.screen.keys(ESCAPE);
        self.screen.keys(ESCAPE);
        self.screen.settle(50);
        self.screen.keys("q");
        self.screen.wait_for("Leave the demo?", 10);
        self.screen.keys("y");
        assert_eq!(self.screen.wait_exit(20), 0);
        self.screen.assert_restored();
    }
}

/// A. From the alert to the first words of a human, and back to the agent.
fn an_agent_that_goes_wrong(columns: u16, rows: u16) {
    let mut hand = Hand::at(columns, rows);
    hand.screen
        .wait("an agent loops", 60, |text| text.contains("loop ×"));
    let alerted = Instant::now();
    hand.press("!", "of ");
    hand.press("\r", "─ IN CALL");
    hand.press("c", "claim");
    hand.press("T", "enter says it");
    hand.write("Thanks for waiting, I am Ana from the team.");
    hand.confirm("\r", "I am Ana from the");
    let first_words = alerted.elapsed();
    eprintln!("A: first words of a human after {first_words:?}");
    hand.press(ESCAPE, "you speak");
    hand.press("B", "Back to the agent");
    hand.answer("Back to the agent");
    hand.press("f", "Flag");
    hand.write("hallucination");
    hand.answer("A label");
    hand.press("e", "Note");
    hand.write("prompt v12 refund clause");
    hand.answer("Kept with the call");
    // Is it only this call?
    hand.press(ESCAPE, "by attention");
    hand.press("b", "Quality by carrier");
    hand.press("b", "Quality by agent");
    hand.done("A");
}

#[test]
fn a_looping_agent_is_taken_over_and_given_back() {
    an_agent_that_goes_wrong(120, 40);
}

#[test]
fn a_sick_carrier_is_named_and_its_calls_are_handled_together() {
    let mut hand = Hand::at(80, 24);
    hand.screen.wait("something needs somebody", 60, |text| {
        text.contains("▲ IN CALL")
    });
    let began = Instant::now();
    hand.press("4", "Quality by carrier");
    hand.press("\r", "carrier:=");
    let named = began.elapsed();
    eprintln!("B: the carrier's calls after {named:?}");
    hand.press(" ", "1 marked");
    hand.press(" ", "2 marked");
    hand.press("S", "The agent says");
    hand.screen.wait_for("◆ 2 marked calls", 5);
    hand.write("The line is bad, may we call you back?");
    hand.confirm("\r", "type ");
    hand.press("2", "› 2");
    hand.answer("marked calls?");
    // What came of it, counted; a call may have ended in the meantime.
    hand.screen.wait("the words are said", 20, |text| {
        text.contains("say: done for all 2") || text.contains("not for 1")
    });
    eprintln!("B: said to both after {:?}", began.elapsed());
    hand.press(ESCAPE, "by attention");
    dropped_calls_are_taken_along(&mut hand);
    eprintln!("B: the list after {:?}", began.elapsed());
    hand.done("B");
}

/// The calls the line has cut, as a file for those who call back.
fn dropped_calls_are_taken_along(hand: &mut Hand) {
    hand.press("3", "History");
    hand.press("/", "past /");
    hand.write("carrier:plivo state:dropped since:30m");
    hand.press("\r", "state:dropped");
    // A line is cut as the demo goes on: asked again until one was.
    let until = Instant::now() + Duration::from_secs(120);
    let is_filtered = |text: &str| text.contains(" calls · carrier:plivo") && text.contains(" of ");
    while !is_filtered(&hand.screen.text()) || found(&hand.screen.text()) == 0 {
        assert!(Instant::now() < until, "{}", hand.screen.text());
        hand.screen.keys("3");
        hand.screen.settle(200);
    }
    hand.press(":", "Commands");
    hand.write("export csv");
    hand.press("\r", ".csv");
    let screen = hand.screen.wait_for("exported ", 10);
    let text = exported(hand.home.path()).expect("the file whose name is shown");
    let mut lines = text.split("\r\n");
    assert_eq!(
        lines.next(),
        Some(
            "id,lead_id,name,carrier,direction,from,to,agent,status,started_at,ended_at,duration_s,\
             summary,sentiment,transcript"
        )
    );
    let row = lines.next().expect("a call");
    let cells: Vec<&str> = row.split(',').collect();
    assert_eq!((cells[3], cells[8]), ("plivo", "failed"), "{row}");
    // Whoever may unmask takes numbers along whole; the screen shows none.
    let number = cells[5];
    assert!(number.starts_with("+1") && number.len() == 12, "{row}");
    assert!(!screen.contains(number), "{screen}");
    assert!(row.contains("user: It's Tom, van nineteen."), "{row}");
    hand.press("5", "Audit last");
    // The demo dials meanwhile: the row is looked for.
    for _ in 0..20 {
        if hand.screen.appears(" as csv, numbers whole", 300) {
            break;
        }
        hand.press("j", "Audit last");
    }
    hand.screen.wait_for(" as csv, numbers whole", 1);
    hand.press(ESCAPE, "by attention");
}

/// What the one list below this folder holds.
fn exported(folder: &Path) -> Option<String> {
    let is_list = |path: &Path| path.extension().is_some_and(|ending| ending == "csv");
    let entries = std::fs::read_dir(folder).ok()?.filter_map(Result::ok);
    entries.map(|entry| entry.path()).find_map(|path| {
        if path.is_dir() {
            return exported(&path);
        }
        is_list(&path).then(|| std::fs::read_to_string(&path).unwrap())
    })
}

/// How many calls the history page shows.
fn found(screen: &str) -> u32 {
    let title = screen.split("History ").nth(1).unwrap_or_default();
    let count = title.split(' ').next().unwrap_or_default();
    count.parse().unwrap_or(0)
}

#[test]
fn a_shift_is_reviewed_call_by_call() {
    let mut hand = Hand::at(120, 40);
    hand.press("3", "History");
    hand.press("/", "past /");
    hand.write("alert:* since:today -reviewed");
    hand.press("\r", "-reviewed");
    // Calls with something wrong come as the demo goes on: asked again until there are three.
    let until = Instant::now() + Duration::from_secs(90);
    while found(&hand.screen.text()) < 3 {
        assert!(Instant::now() < until, "{}", hand.screen.text());
        hand.screen.keys("3");
        hand.screen.settle(200);
    }
    hand.press("s", "by risk");
    hand.press("\r", "╭─ Detail");
    hand.press(")", "flagged turn");
    hand.press("M", "Why do you need the number?");
    hand.write("callback");
    hand.answer("Why do you need");
    hand.press("e", "Note");
    hand.write("say no earlier");
    hand.answer("Kept with the call");
    hand.press("f", "Flag");
    hand.write("reviewed");
    hand.answer("A label");
    hand.screen.wait_for("reviewed", 10);
    hand.press("n", "call 2 of");
    hand.press(ESCAPE, "History");
    hand.press(" ", "1 marked");
    hand.press(" ", "2 marked");
    hand.press("f", "Flag");
    hand.write("known: voicemail loop");
    hand.confirm("\r", "type 2");
    hand.press("2", "› 2");
    hand.answer("marked calls?");
    hand.screen.wait_for("#known: voicemail", 10);
    hand.press(":", "Commands");
    hand.write("handover");
    hand.press("\r", "handover-");
    hand.done("C");
}
