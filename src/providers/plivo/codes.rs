//! How calls end at Plivo: codes and names to our outcome, and in words an operator knows.
//! Spec: Plivo docs, "Hangup causes and sources" (2026-11).

use crate::call::CallStatus;
use crate::call::text::clean_label;

/// The outcome: by the four-digit code, else by the cause's name, else by the status word.
pub fn status_of(code: Option<u32>, cause: Option<&str>, status: Option<&str>) -> CallStatus {
    code.and_then(by_code)
        .or_else(|| cause.and_then(by_cause))
        .or_else(|| status.and_then(by_word))
        .unwrap_or(CallStatus::Completed)
}

fn by_code(code: u32) -> Option<CallStatus> {
    Some(match code {
        0 => return None,
        4000 | 4010 | 4020 | 4030 => CallStatus::Completed,
        3000 | 6010 => CallStatus::NoAnswer,
        3010 => CallStatus::Busy,
        1000 => CallStatus::Canceled,
        _ => CallStatus::Failed,
    })
}

fn by_cause(name: &str) -> Option<CallStatus> {
    Some(match name.trim().to_ascii_uppercase().as_str() {
        "NORMAL_CLEARING" => CallStatus::Completed,
        "USER_BUSY" => CallStatus::Busy,
        "NO_ANSWER" | "NO_USER_RESPONSE" => CallStatus::NoAnswer,
        "ORIGINATOR_CANCEL" => CallStatus::Canceled,
        "CALL_REJECTED" | "UNALLOCATED_NUMBER" | "NETWORK_OUT_OF_ORDER" => CallStatus::Failed,
        _ => return None,
    })
}

/// Plivo's status words, where they end a call. `timeout` is a phone that rang for too long.
fn by_word(word: &str) -> Option<CallStatus> {
    let word = word.trim().to_ascii_lowercase();
    match word.as_str() {
        "timeout" => Some(CallStatus::NoAnswer),
        "cancel" => Some(CallStatus::Canceled),
        word => CallStatus::parse(word).filter(|status| status.is_terminal()),
    }
}

/// A status word of a call under way or over.
pub(super) fn status_word(word: &str) -> Option<CallStatus> {
    CallStatus::parse(word).or_else(|| by_word(word))
}

/// Who ended the call, in the carrier's word; `None` when it does not say. A single word reads as
/// a party ("callee hung up"), several words as a cause.
pub fn source_text(source: &str) -> Option<String> {
    let source = source.trim();
    Some(match source.to_ascii_lowercase().as_str() {
        "" | "unknown" => return None,
        "caller" => "caller".to_owned(),
        "callee" | "call recipient" => "callee".to_owned(),
        "plivo" => "Plivo".to_owned(),
        "carrier" => "carrier".to_owned(),
        "api request" => "API request".to_owned(),
        "answer xml" => "answer XML".to_owned(),
        "error" => "by an error".to_owned(),
        _ => clean_label(source).into_owned(),
    })
}

/// The codes of hangups that say more than their name, in a few words.
pub fn hangup_text(code: u32) -> Option<&'static str> {
    Some(match code {
        1000 => "cancelled before the answer",
        1010 => "the carrier account is out of credit",
        1020 => "too many numbers dialled at once",
        2000 => "the number to call is not valid",
        2010 => "the number is out of service",
        2020 => "the endpoint is not registered",
        2030 => "calls to this country are not permitted",
        2040 => "calls to this number are not permitted",
        2060 => "the call came back to itself",
        2070 => "the route does not allow this audio path",
        3000 => "no answer",
        3010 => "busy",
        3020 => "rejected",
        3030 => "the number to call from is not permitted",
        4000 => "normal end",
        4010 => "end of the instructions",
        4020 => "the conference ended",
        4030 => "removed from the conference",
        4240 => "the endpoint could not log in",
        4250 => "the endpoint did not log in in time",
        5030 => "too many calls at once for this account",
        6010 => "no answer from the network",
        6020 => "no audio for 60 s",
        7011 => "the carrier could not fetch our answer",
        7012 => "the carrier could not fetch our action document",
        7013 => "the carrier could not fetch our transfer document",
        7014 => "the carrier could not fetch our redirect",
        7022..=7024 => "our URL is not valid",
        7032..=7034 => "our method is not valid",
        8011 => "the carrier could not read our answer",
        8012 => "the carrier could not read our action document",
        8013 => "the carrier could not read our transfer document",
        8014 => "the carrier could not read our redirect",
        9100 => "a machine answered",
        _ => return None,
    })
}

/// Whether the end points at something an operator has to mend: credit, limits, our documents.
pub(super) fn is_our_trouble(code: u32) -> bool {
    matches!(code, 1010 | 1020 | 3030 | 5030 | 7000..=8999)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_decides_then_the_cause_then_the_word() {
        use CallStatus::{Busy, Canceled, Completed, Failed, NoAnswer};
        for (code, cause, word, expected) in [
            (Some(4000), Some("USER_BUSY"), Some("failed"), Completed),
            (Some(4010), None, None, Completed),
            (Some(3000), None, Some("timeout"), NoAnswer),
            (Some(6010), None, None, NoAnswer),
            (Some(3010), None, None, Busy),
            (Some(1000), None, None, Canceled),
            (Some(3020), None, Some("busy"), Failed),
            (Some(7011), None, Some("completed"), Failed),
            (Some(9100), None, None, Failed),
            (Some(0), Some("NO_ANSWER"), Some("completed"), NoAnswer),
            (None, Some("ORIGINATOR_CANCEL"), None, Canceled),
            (None, Some("SOMETHING_NEW"), Some("busy"), Busy),
            (None, None, Some("timeout"), NoAnswer),
            (None, None, Some("cancel"), Canceled),
            (None, None, Some("ringing"), Completed),
            (None, None, None, Completed),
        ] {
            assert_eq!(
                status_of(code, cause, word),
                expected,
                "{code:?} {cause:?} {word:?}"
            );
        }
    }

    #[test]
    fn who_hung_up_is_the_carriers_word_or_nothing() {
        for (given, expected) in [
            ("Callee", Some("callee")),
            ("Call recipient", Some("callee")),
            ("Caller", Some("caller")),
            ("API Request", Some("API request")),
            ("Answer XML", Some("answer XML")),
            ("Unknown", None),
            ("", None),
            ("Moon", Some("Moon")),
        ] {
            assert_eq!(source_text(given).as_deref(), expected, "{given}");
        }
    }
}
