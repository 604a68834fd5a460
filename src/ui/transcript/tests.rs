//! Wrapping, scrolling, searching.

use super::*;
use crate::ui::pen::width;
use crate::ui::sample;
use crate::ui::wrap::wrap;

fn watch() -> Watch {
    Watch::of(&["order".to_owned()])
}

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
    // A row never begins with the mark that ends a sentence, nor ends with one that opens it.
    assert_eq!(
        rows("It is faulty. Can I", 12),
        ["It is", "faulty. Can", "I"]
    );
    assert_eq!(rows("say (yes) now", 7), ["say", "(yes)", "now"]);
    assert_eq!(rows("はい。です", 4), ["は", "い。", "です"]);
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
    transcript.sync(&call, &[], (70, 20), &watch());
    assert_eq!(transcript.visible().count(), 20);
    assert!(transcript.is_following());

    transcript.scroll(-100);
    let top = |t: &Transcript| t.visible().next().unwrap().entry.line.clone();
    let before = top(&transcript);
    // New lines at the end, then a block dropped at the start: the operator's place holds.
    let extra = call.lines[..30].to_vec();
    call.lines.extend(extra);
    call.seq += 1;
    transcript.sync(&call, &[], (70, 20), &watch());
    assert_eq!(top(&transcript), before);
    assert_eq!(transcript.unseen(), 30);
    call.lines.drain(..200);
    call.lines_dropped += 200;
    call.seq += 1;
    transcript.sync(&call, &[], (70, 20), &watch());
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
    transcript.sync(&call, &[], (70, 10), &watch());
    transcript.go_top();
    let before = transcript.visible().next().unwrap().entry.line.clone();
    transcript.sync(&call, &whole.lines[..80], (70, 10), &watch());
    assert_eq!(transcript.visible().next().unwrap().entry.line, before);
    assert!(!transcript.is_at_top());
}

#[test]
fn search_finds_and_goes_round() {
    let now = sample::now();
    let call = sample::calls(now).remove(0);
    let mut transcript = Transcript::default();
    transcript.sync(&call, &[], (60, 5), &watch());
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

#[test]
fn flagged_turns_are_evidence_watch_words_and_failed_tools() {
    let mut call = sample::calls(sample::now()).remove(0);
    let mut transcript = Transcript::default();
    let size = (70, 4);
    transcript.sync(&call, &[], size, &Watch::default());
    let top = |t: &Transcript| t.visible().nth(1).unwrap().entry.line.turn;
    // Following stands behind the last: back goes to the newest, on goes round to the first.
    assert_eq!(transcript.step_flag(false), Some((2, 2)));
    assert_eq!(transcript.step_flag(false), Some((1, 2)));
    assert_eq!(top(&transcript), 8);
    let marked = transcript.visible().filter(|row| row.is_evidence).count();
    assert!(marked > 0);
    if let LineBody::Tool { ok, .. } = &mut call.lines[6].body {
        *ok = Some(false);
    }
    call.seq += 1;
    let mut watched = Transcript::default();
    watched.sync(&call, &[], size, &watch());
    watched.go_top();
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(watched.step_flag(true).unwrap().0);
    }
    assert!(seen.windows(2).all(|pair| pair[1] > pair[0]), "{seen:?}");
    assert_eq!(watched.step_flag(true).map(|(_, count)| count), Some(4));
    call.alerts.clear();
    call.seq += 1;
    transcript.sync(&call, &[], size, &Watch::default());
    assert_eq!(transcript.step_flag(true).map(|(_, count)| count), Some(1));
}

#[test]
fn folded_tools_keep_their_name_and_unfold_again() {
    let call = sample::calls(sample::now()).remove(0);
    let mut transcript = Transcript::default();
    transcript.sync(&call, &[], (70, 40), &watch());
    let shown = |t: &Transcript| -> String {
        t.visible()
            .filter_map(|row| row.text)
            .collect::<Vec<_>>()
            .join("|")
    };
    let rows = transcript.rows_total();
    assert!(shown(&transcript).contains("417992"));
    assert_eq!(transcript.fold_tools(), Tools::Folded);
    transcript.sync(&call, &[], (70, 40), &watch());
    assert!(shown(&transcript).contains("lookup_order") && !shown(&transcript).contains("417992"));
    assert!(transcript.rows_total() < rows);
    transcript.fold_tools();
    transcript.sync(&call, &[], (70, 40), &watch());
    assert_eq!(transcript.rows_total(), rows);
}
