//! How a line is worded: alerts, what is worth a line, and signs that are read aloud or cannot be shown.

use crate::call::{Alert, Fact, Severity};

pub(super) fn alert_line(alert: &Alert) -> String {
    let severity = match alert.severity {
        Severity::Info => "info",
        Severity::Warn => "warning",
        Severity::Critical => "critical",
    };
    let mut line = format!("alert, {severity}: {} ({})", alert.reason, alert.rule);
    if let Some(by) = &alert.acknowledged_by {
        line.push_str(", acknowledged by ");
        line.push_str(by);
    }
    line
}

/// Whether a fact is worth a line when nobody follows its call.
pub(super) fn is_news(fact: &Fact) -> bool {
    matches!(
        fact,
        Fact::CallSeen { .. }
            | Fact::StatusChanged { .. }
            | Fact::AnsweredBy { .. }
            | Fact::AlertRaised { .. }
            | Fact::AlertCleared { .. }
            | Fact::CommandAccepted { .. }
            | Fact::CommandDone { .. }
            | Fact::CommandFailed { .. }
            | Fact::CommandUnconfirmed { .. }
            | Fact::Claimed { .. }
            | Fact::Released { .. }
            | Fact::Flagged { .. }
            | Fact::Transferred { .. }
            | Fact::TroubleNoted { .. }
            | Fact::CallEnded { .. }
            | Fact::Notice { .. }
    )
}

/// Signs that are read aloud one by one, as few as possible.
pub(super) fn calm(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut last = ' ';
    for character in line.chars() {
        let character = if character == '•' { '…' } else { character };
        if !(character == '…' && last == '…') {
            out.push(character);
        }
        last = character;
    }
    out
}

/// For locales without UTF-8.
pub(super) fn ascii(line: &str) -> String {
    line.chars()
        .map(|character| match character {
            '×' => "x".to_owned(),
            '…' => "...".to_owned(),
            '–' | '·' => "-".to_owned(),
            '“' | '”' => "\"".to_owned(),
            '’' => "'".to_owned(),
            '→' => "->".to_owned(),
            '←' => "<-".to_owned(),
            other if other.is_ascii() => other.to_string(),
            _ => "?".to_owned(),
        })
        .collect()
}
