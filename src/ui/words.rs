//! Words and figures as they are shown: status words and glyphs, durations, seconds, masked numbers,
//! sparklines. Pure text; no style and no layout.

use std::borrow::Cow;

use crate::call::text::mask_number;
use crate::call::{Action, AgentLink, AnsweredBy, Band, Call, CallStatus, Direction};

/// `04:31`, and `1:04:31` from an hour on.
pub fn duration(seconds: u32) -> String {
    let (minutes, rest) = (seconds / 60, seconds % 60);
    if minutes >= 60 {
        format!("{}:{:02}:{rest:02}", minutes / 60, minutes % 60)
    } else {
        format!("{minutes:02}:{rest:02}")
    }
}

/// Milliseconds as seconds with one digit: `2.4 s`.
pub fn seconds(ms: u32) -> String {
    let tenths = ms.saturating_add(50) / 100;
    format!("{}.{} s", tenths / 10, tenths % 10)
}

/// As [`seconds`] without the unit, for tables with the unit in the head.
pub fn tenths(ms: u32) -> String {
    let tenths = ms.saturating_add(50) / 100;
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// A figure with one digit, or a dash when it is not known; a dash is not a zero.
pub fn figure(value: Option<f32>) -> String {
    value.map_or_else(|| "–".into(), |value| format!("{value:.1}"))
}

/// A number as it may be shown to everybody. What the backend has masked already stays as it is.
pub fn masked(number: &str) -> Cow<'_, str> {
    if number.contains('•') || number.contains('*') || number == "withheld" {
        Cow::Borrowed(number)
    } else {
        Cow::Owned(mask_number(number))
    }
}

/// The word for where a call stands.
pub fn status_word(call: &Call) -> &'static str {
    match call.status {
        CallStatus::Queued => "QUEUED",
        CallStatus::Initiated => "DIALING",
        CallStatus::Ringing => "RINGING",
        CallStatus::InProgress => match call.agent_link {
            AgentLink::Connecting => "AI WAIT",
            AgentLink::Reconnecting => "AI AGAIN",
            AgentLink::Fallback => "FALLBACK",
            AgentLink::Lost => "AI LOST",
            AgentLink::None | AgentLink::Connected => "IN CALL",
        },
        CallStatus::Completed => "ENDED",
        CallStatus::Busy => "BUSY",
        CallStatus::Failed => "FAILED",
        CallStatus::NoAnswer => "NO REPLY",
        CallStatus::Canceled => "CANCELED",
    }
}

/// The glyph for where a call stands.
pub fn status_glyph(call: &Call) -> &'static str {
    match call.status {
        CallStatus::Queued | CallStatus::Initiated => "◌",
        CallStatus::Ringing => "◐",
        CallStatus::InProgress => match call.agent_link {
            AgentLink::Connecting | AgentLink::Reconnecting => "◌",
            AgentLink::Lost | AgentLink::Fallback => "▲",
            AgentLink::None | AgentLink::Connected => "●",
        },
        CallStatus::Completed => "✓",
        CallStatus::Busy | CallStatus::Failed | CallStatus::NoAnswer | CallStatus::Canceled => "✗",
    }
}

/// Who ended a call and why, in the carrier's words: `caller hung up`. Empty when it did not say.
pub fn ending(call: &Call) -> String {
    let mut words = String::new();
    if let Some(by) = call.ended_by.as_deref().filter(|by| !by.is_empty()) {
        words.push_str(by);
        if !by.contains(' ') {
            words.push_str(" hung up");
        }
    }
    if let Some(cause) = call.end_cause.as_deref().filter(|cause| !cause.is_empty()) {
        if !words.is_empty() {
            words.push_str(" · ");
        }
        words.push_str(cause);
    }
    words
}

/// Caller to agent, or agent to caller, seen from the caller's name on the left.
pub fn arrow(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "→",
        Direction::Outbound => "←",
    }
}

pub fn direction_word(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "in",
        Direction::Outbound => "out",
    }
}

/// Vendor names as the vendors write them; others as they came.
pub fn vendor(word: &str) -> &str {
    crate::providers::vendor::registry::written(word)
}

/// An agent's id with a capital, as a name.
pub fn agent_name(call: &Call) -> Cow<'_, str> {
    let Some(agent) = call
        .facts
        .agent
        .as_deref()
        .filter(|agent| !agent.is_empty())
    else {
        return Cow::Borrowed(call.facts.agent_kind.as_deref().map_or("agent", vendor));
    };
    let mut chars = agent.chars();
    match chars.next() {
        Some(first) if first.is_ascii_lowercase() => {
            Cow::Owned(format!("{}{}", first.to_ascii_uppercase(), chars.as_str()))
        }
        _ => Cow::Borrowed(agent),
    }
}

pub fn answered_word(verdict: AnsweredBy) -> &'static str {
    match verdict {
        AnsweredBy::Human => "human",
        AnsweredBy::MachineStart => "machine",
        AnsweredBy::MachineEndBeep
        | AnsweredBy::MachineEndSilence
        | AnsweredBy::MachineEndOther => "voicemail",
        AnsweredBy::Fax => "fax",
        AnsweredBy::Unknown => "unsure who",
    }
}

pub fn band_word(band: Band) -> &'static str {
    match band {
        Band::Unknown => "–",
        Band::Good => "good",
        Band::Warn => "fair",
        Band::Bad => "bad",
    }
}

/// Verb of an action, in the infinitive and as something under way.
pub fn action_words(action: &Action) -> (&'static str, &'static str) {
    match action {
        Action::Terminate {} => ("end", "ending"),
        Action::Transfer { .. } => ("transfer", "transferring"),
        Action::Whisper { .. } => ("whisper", "whispering"),
        Action::Say { .. } => ("say", "saying"),
        Action::PauseAgent {} => ("pause agent", "pausing agent"),
        Action::ResumeAgent {} => ("resume agent", "resuming agent"),
        Action::TakeOver {} => ("take over", "taking over"),
        Action::HandBack { .. } => ("hand back", "handing back"),
        Action::RecordStart {} => ("record", "starting recording"),
        Action::RecordPause {} => ("pause recording", "pausing recording"),
        Action::RecordResume {} => ("resume recording", "resuming recording"),
        Action::RecordStop {} => ("stop recording", "stopping recording"),
        Action::Claim {} => ("claim", "claiming"),
        Action::Release {} => ("release", "releasing"),
        Action::Flag { .. } => ("flag", "flagging"),
        Action::Note { .. } => ("note", "noting"),
        Action::Acknowledge { .. } => ("acknowledge", "acknowledging"),
        Action::Snooze { .. } => ("snooze", "snoozing"),
        Action::Dial { .. } => ("dial", "dialing"),
        Action::StopDialing {} => ("stop dialing", "stopping dialing"),
        Action::ResumeDialing {} => ("resume dialing", "resuming dialing"),
        Action::Unmask {} => ("unmask", "unmasking"),
        Action::Export { .. } => ("export", "exporting"),
    }
}

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A sparkline of the last `columns` values, lowest bar at `low`, full at `high`. Short histories
/// are filled with blanks on the left so that the newest value stays in place.
pub fn spark(
    values: impl DoubleEndedIterator<Item = f32>,
    columns: usize,
    low: f32,
    high: f32,
) -> String {
    let span = (high - low).max(f32::EPSILON);
    let mut bars: Vec<char> = values
        .rev()
        .take(columns)
        .map(|value| {
            let step = ((value - low) / span * 8.0).floor().clamp(0.0, 7.0);
            BARS[step as usize]
        })
        .collect();
    bars.resize(columns, ' ');
    bars.iter().rev().collect()
}

/// A horizontal bar of `columns` cells, `share` 0 to 1.
pub fn bar(share: f32, columns: usize) -> String {
    let full = (share.clamp(0.0, 1.0) * columns as f32).round() as usize;
    let mut text = "█".repeat(full);
    text.push_str(&"░".repeat(columns.saturating_sub(full)));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_keep_their_width() {
        let rows = [
            (0, "00:00"),
            (271, "04:31"),
            (3599, "59:59"),
            (3600, "1:00:00"),
        ];
        for (input, expected) in rows {
            assert_eq!(duration(input), expected);
        }
        assert_eq!(seconds(2_449), "2.4 s");
        assert_eq!(seconds(2_450), "2.5 s");
        assert_eq!(figure(None), "–");
        assert_eq!(figure(Some(4.06)), "4.1");
    }

    #[test]
    fn a_masked_number_is_not_masked_again() {
        assert_eq!(masked("+14155550134"), "+1 415 ••• 0134");
        assert_eq!(masked("+1 415 ••• 0134"), "+1 415 ••• 0134");
        assert_eq!(masked("withheld"), "withheld");
    }

    #[test]
    fn sparklines_end_with_the_newest_value() {
        let values = [0.0, 1.0, 2.0, 4.0];
        assert_eq!(spark(values.into_iter(), 6, 0.0, 4.0), "  ▁▃▅█");
        assert_eq!(spark(values.into_iter(), 2, 0.0, 4.0), "▅█");
        assert_eq!(spark([].into_iter(), 3, 0.0, 1.0), "   ");
    }
}
