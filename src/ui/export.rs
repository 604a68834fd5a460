//! One call as a file: Markdown for people, JSON Lines for programs. Everything is cleaned; numbers
//! are hidden unless they are shown on the screen.

use std::fmt::Write as _;

use chrono::{DateTime, FixedOffset, Utc};
use serde_json::{Value, json};

use crate::call::text::{clean, clean_json};
use crate::call::{
    Alert, Call, CallReport, Cut, Line, LineBody, Numbers, PastAlert, Recording, TurnTiming,
    utterances,
};

use super::transcript::speaker;
use super::words::{agent_name, arrow, band_word, duration, ending, seconds, status_word, vendor};

/// How a call is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Markdown,
    JsonLines,
}

impl Format {
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "markdown" | "md" => Some(Self::Markdown),
            "jsonl" | "json" => Some(Self::JsonLines),
            _ => None,
        }
    }

    pub fn extension(self) -> &'static str {
        match self {
            Self::Markdown => "md",
            Self::JsonLines => "jsonl",
        }
    }
}

/// What an export is made with.
#[derive(Clone, Copy, Debug)]
pub struct Export<'a> {
    pub call: &'a Call,
    /// Lines before those the call holds.
    pub older: &'a [Line],
    pub numbers: Numbers,
    pub now: DateTime<Utc>,
    pub zone: FixedOffset,
}

impl Export<'_> {
    pub fn write(&self, format: Format) -> String {
        match format {
            Format::Markdown => self.markdown(),
            Format::JsonLines => self.json_lines(),
        }
    }

    /// A name for the file, without anything a file system could stumble over.
    pub fn file_name(&self, format: Format) -> String {
        let at = self.call.started_at.with_timezone(&self.zone);
        format!(
            "call-{}-{}.{}",
            at.format("%Y%m%d-%H%M%S"),
            self.call.id,
            format.extension()
        )
    }

    fn lines(&self) -> impl Iterator<Item = &Line> {
        self.older.iter().chain(&self.call.lines)
    }

    fn alerts(&self) -> impl Iterator<Item = (&Alert, Option<DateTime<Utc>>)> {
        let past = |past: &'_ PastAlert| -> Option<DateTime<Utc>> { Some(past.cleared_at) };
        let over = self.call.past_alerts.iter();
        let over = over.map(move |entry| (&entry.alert, past(entry)));
        over.chain(self.call.alerts.iter().map(|alert| (alert, None)))
    }

    fn clock(&self, at: DateTime<Utc>) -> String {
        at.with_timezone(&self.zone).format("%H:%M:%S").to_string()
    }

    fn markdown(&self) -> String {
        let call = self.call;
        let facts = &call.facts;
        let number = self.numbers.show(call.caller_number());
        let name = facts.name.as_deref().unwrap_or("unknown caller");
        let mut out = String::new();
        let began = call.started_at.with_timezone(&self.zone);
        let mut row = |label: &str, value: &str| {
            let value = plain(value);
            if !value.is_empty() {
                let _ = writeln!(out, "- {label}: {value}");
            }
        };
        row("caller", &number);
        row("agent", &agent_name(call));
        row("carrier", vendor(&facts.carrier));
        row("began", &began.format("%Y-%m-%d %H:%M:%S %:z").to_string());
        row("length", &duration(call.elapsed_s(self.now)));
        row("status", call.status.as_str());
        row("ended by", &ending(call));
        row("lead", facts.lead_id.as_deref().unwrap_or_default());
        row("flags", &call.flags.join(", "));
        row("claimed by", call.claimed_by.as_deref().unwrap_or_default());
        row("id", &call.id.to_string());
        row(
            "carrier id",
            facts.carrier_call_id.as_deref().unwrap_or_default(),
        );
        let ms = |ms: Option<u32>| ms.map_or_else(|| "–".to_owned(), seconds);
        let turns = format!(
            "{} turns, p50 {}, p95 {}",
            call.turns.len(),
            ms(call.turn_percentile(50)),
            ms(call.turn_percentile(95))
        );
        row("turns", &turns);
        if let Some(quality) = &call.quality {
            row("line", band_word(quality.band));
        }
        let head = format!(
            "# {} {} {} · {}\n\n",
            plain(name),
            arrow(facts.direction),
            plain(&agent_name(call)),
            status_word(call)
        );
        out.insert_str(0, &head);
        self.markdown_rest(&mut out);
        out
    }

    fn markdown_rest(&self, out: &mut String) {
        let missing = self.missing();
        if self.alerts().next().is_some() {
            out.push_str("\n## Alerts\n\n");
            for (alert, over_at) in self.alerts() {
                let state = match (over_at, &alert.acknowledged_by) {
                    (Some(at), _) => format!("over {}", self.clock(at)),
                    (None, Some(by)) => format!("seen by {by}"),
                    (None, None) => "open".into(),
                };
                let text = format!(
                    "{} {} ({}), {state}",
                    self.clock(alert.since),
                    alert.reason,
                    alert.rule
                );
                let _ = writeln!(out, "- {}", plain(&text));
            }
        }
        if !self.call.notes.is_empty() {
            out.push_str("\n## Notes\n\n");
            for note in &self.call.notes {
                let text = format!("{} {}: {}", self.clock(note.at), note.by, note.text);
                let _ = writeln!(out, "- {}", plain(&text));
            }
        }
        out.push_str("\n## Transcript\n\n");
        if missing > 0 {
            let _ = writeln!(out, "({missing} earlier lines are not held here)\n");
        }
        for line in self.lines() {
            let _ = writeln!(out, "{}\n", self.spoken(line));
        }
    }

    fn spoken(&self, line: &Line) -> String {
        let at = self.clock(line.at);
        match &line.body {
            LineBody::Speech {
                text,
                latency_ms,
                cut,
                ..
            } => {
                let mut words = format!("{at} **{}** {}", speaker(line), plain(text));
                if cut.as_ref().is_some_and(Cut::is_unheard) {
                    words.push_str(" *(not heard)*");
                } else if let Some(cut) = cut {
                    let after = seconds(cut.cut_at_ms);
                    let heard = plain(&cut.heard);
                    let _ = write!(words, " *(cut off after {after}, heard: “{heard}”)*");
                }
                if let Some(ms) = latency_ms {
                    let _ = write!(words, " *({})*", seconds(*ms));
                }
                words
            }
            LineBody::Tool {
                name,
                args,
                ok,
                result,
                ..
            } => {
                let how = match ok {
                    None => "runs",
                    Some(true) => "ok",
                    Some(false) => "failed",
                };
                let code = |text: &str| plain(text).replace('`', "'");
                format!(
                    "{at} **tool** {} `{}` {how} `{}`",
                    plain(name),
                    code(args),
                    code(result)
                )
            }
            LineBody::Mark { text, .. } => format!("{at} *{}*", plain(text)),
        }
    }

    /// Lines that neither the call nor `older` holds.
    fn missing(&self) -> usize {
        (self.call.lines_dropped as usize).saturating_sub(self.older.len())
    }

    fn json_lines(&self) -> String {
        let mut whole = self.call.clone();
        let mut lines = self.older.to_vec();
        lines.append(&mut whole.lines);
        whole.lines = lines;
        let mut out = String::new();
        let mut row = |kind: &str, value: Value| {
            let mut object = json!({ "type": kind });
            if let (Some(into), Value::Object(fields)) = (object.as_object_mut(), value) {
                into.extend(fields);
            }
            let _ = writeln!(out, "{}", clean_json(object));
        };
        let of = |value: Result<Value, serde_json::Error>| value.unwrap_or(Value::Null);
        let report = CallReport::of(&whole, self.numbers, self.now);
        row("call", of(serde_json::to_value(&report)));
        for utterance in utterances(&whole) {
            row("utterance", of(serde_json::to_value(&utterance)));
        }
        for line in whole.lines.iter().filter(|line| is_tool(line)) {
            row("tool", of(serde_json::to_value(line)));
        }
        for turn in &whole.turns {
            row("turn", of(serde_json::to_value::<&TurnTiming>(turn)));
        }
        for (alert, over_at) in self.alerts() {
            let mut value = of(serde_json::to_value(alert));
            if let Some(object) = value.as_object_mut() {
                object.insert("cleared_at".into(), json!(over_at));
            }
            row("alert", value);
        }
        for note in &whole.notes {
            row("note", of(serde_json::to_value(note)));
        }
        for recording in &whole.recordings {
            row(
                "recording",
                of(serde_json::to_value::<&Recording>(recording)),
            );
        }
        if self.missing() > 0 {
            row("missing", json!({ "lines": self.missing() }));
        }
        out
    }
}

fn is_tool(line: &Line) -> bool {
    matches!(line.body, LineBody::Tool { .. })
}

/// One line of Markdown text: cleaned, and nothing in it is read as markup that starts a line.
fn plain(text: &str) -> String {
    clean(text)
        .replace(['\n', '*', '<', '>'], " ")
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use chrono::Offset;

    use super::*;
    use crate::ui::sample;

    fn export(call: &Call, numbers: Numbers) -> Export<'_> {
        Export {
            call,
            older: &[],
            numbers,
            now: sample::now(),
            zone: Utc.fix(),
        }
    }

    #[test]
    fn markdown_holds_the_whole_story_and_no_number() {
        let mut call = sample::calls(sample::now()).remove(0);
        call.notes[0].text = "\u{1b}[2Jlook *here* <b>".into();
        call.past_alerts.push(PastAlert {
            alert: call.alerts.remove(1),
            cleared_at: sample::now(),
        });
        let text = export(&call, Numbers::Masked).write(Format::Markdown);
        for part in [
            "# Maria Lopez → Ava",
            "+1 415 ••• 0134",
            "loop ×3, 41 s (agent_loop), open",
            "slow turns (slow_turn), over",
            "**tool** lookup_order",
            "cut off after 0.6 s",
            "ben: look  here   b",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(!text.contains("4155550134") && !text.contains('\u{1b}'));
        let whole = export(&call, Numbers::Whole).write(Format::Markdown);
        assert!(whole.contains("+14155550134"));
    }

    #[test]
    fn json_lines_are_one_object_a_line_and_complete() {
        let mut call = sample::calls(sample::now()).remove(0);
        call.lines_dropped = 3;
        let older = call.lines[..2].to_vec();
        let mut export = export(&call, Numbers::Masked);
        export.older = &older;
        let text = export.write(Format::JsonLines);
        let rows: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let count = |kind: &str| rows.iter().filter(|row| row["type"] == kind).count();
        assert_eq!(count("call"), 1);
        assert_eq!(count("utterance"), 9 + 2);
        assert_eq!((count("tool"), count("alert"), count("note")), (1, 2, 1));
        assert_eq!(rows.last().unwrap()["lines"], 1);
        assert_eq!(rows[0]["from"], "+1 415 ••• 0134");
        assert!(!text.contains("4155550134"));
        let name = export.file_name(Format::JsonLines);
        assert!(name.starts_with("call-2026") && name.contains(".jsonl"));
        assert!(
            name.chars()
                .all(|c| c.is_ascii_alphanumeric() || "-.".contains(c))
        );
    }
}
