//! Wrapping, scrolling, searching.

use super::*;
use crate::ui::pen::width;
use crate::ui::sample;

fn rows(text: &str, max: u16) -> Vec<&str> {
    wrap(text, max).into_iter().map(|r| &text[r]).collect()
}

#[test]
fn wrapping_breaks_at_words_and_over_long_ones_at_graphemes() {
    assert_eq!(rows("one two three", 7), ["one two", "three"]);
    assert_eq!(rows("abcdefgh ij", 3), ["abc", "def", "gh", "ij"]);
    assert_eq!(rows("日本語です", 4), ["日本", "語で", "す"]);
    assert_eq!(rows("a\n\nb", 5), ["a", "", "b"]);
    assert_eq!(rows("", 5), [""]);
    assert_eq!(
        rows("well-known fact, no?", 11),
        ["well-known", "fact, no?"]
    );
    for max in 1..12 {
        for row in rows("The quick brown 狐 jumps über 👩‍👩‍👧 fences", max) {
            assert!(width(row) <= max.max(2), "{row:?} in {max}");
        }
    }
}

#[test]
fn drawing_asks_only_for_rows_in_view_and_scrolling_keeps_its_place() {
    let now = sample::now();
    let mut call = sample::long_call(now, 500);
    let mut transcript = Transcript::default();
    transcript.sync(&call, &[], (70, 20));
    assert_eq!(transcript.visible().count(), 20);
    assert!(transcript.is_following());

    transcript.scroll(-100);
    let top = |t: &Transcript| t.visible().next().unwrap().entry.line.clone();
    let before = top(&transcript);
    // New lines at the end, then a block dropped at the start: the operator's place holds.
    let extra = call.lines[..30].to_vec();
    call.lines.extend(extra);
    call.seq += 1;
    transcript.sync(&call, &[], (70, 20));
    assert_eq!(top(&transcript), before);
    assert_eq!(transcript.unseen(), 30);
    call.lines.drain(..200);
    call.lines_dropped += 200;
    call.seq += 1;
    transcript.sync(&call, &[], (70, 20));
    assert_eq!(top(&transcript), before);
    transcript.go_end();
    assert!(transcript.is_following() && transcript.unseen() == 0);
}

#[test]
fn older_lines_go_in_front_without_moving_the_view() {
    let now = sample::now();
    let whole = sample::long_call(now, 100);
    let mut call = whole.trimmed(20);
    call.seq = 1;
    let mut transcript = Transcript::default();
    transcript.sync(&call, &[], (70, 10));
    transcript.go_top();
    let before = transcript.visible().next().unwrap().entry.line.clone();
    transcript.sync(&call, &whole.lines[..80], (70, 10));
    assert_eq!(transcript.visible().next().unwrap().entry.line, before);
    assert!(!transcript.is_at_top());
}

#[test]
fn search_finds_and_goes_round() {
    let now = sample::now();
    let call = sample::calls(now).remove(0);
    let mut transcript = Transcript::default();
    transcript.sync(&call, &[], (60, 5));
    transcript.look_for("let me check");
    let count = transcript.search().unwrap().hits.len();
    assert!(count >= 2);
    for _ in 0..count {
        transcript.step_match(true);
    }
    assert_eq!(transcript.search().unwrap().at, count - 1);
    transcript.look_for("");
    assert!(transcript.search().is_none());
}
