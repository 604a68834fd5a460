//! The board for a newcomer, cut into parts no message limit minds.

use serde_json::value::RawValue;

use crate::call::{Call, Grant, Verb};

use super::encode::masked_call;

/// A part is closed when the next call would make it larger than this, bytes of JSON.
const PART_AIM: usize = 32 * 1024;
/// Largest part, bytes of JSON: one call with a long transcript.
const PART_MAX: usize = 192 * 1024;
/// Room for the frame around the calls.
const FRAME: usize = 256;

/// The calls this token may see, as JSON, in groups that fit a part. At least one group.
pub(super) fn groups(calls: Vec<Call>, grant: &Grant) -> Vec<Vec<Box<RawValue>>> {
    let unmasked = grant.allows(Verb::Unmask);
    let mut groups = vec![Vec::new()];
    let mut size = FRAME;
    for call in calls {
        if !grant.sees_lead(call.facts.lead_id.as_deref()) {
            continue;
        }
        let call = if unmasked { call } else { masked_call(call) };
        let Some(text) = fitting(call) else { continue };
        let length = text.get().len() + 1;
        if size + length > PART_AIM && groups.last().is_some_and(|group| !group.is_empty()) {
            groups.push(Vec::new());
            size = FRAME;
        }
        size += length;
        if let Some(group) = groups.last_mut() {
            group.push(text);
        }
    }
    groups
}

/// A call's JSON; a transcript too long for one part loses its older half until it fits.
fn fitting(mut call: Call) -> Option<Box<RawValue>> {
    loop {
        let text = serde_json::value::to_raw_value(&call).ok()?;
        if text.get().len() + FRAME <= PART_MAX || call.lines.is_empty() {
            return Some(text);
        }
        call = call.trimmed(call.lines.len() / 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{CallFacts, CallId, CallStatus, Line, LineBody, Role, Track};

    fn call(n: u8, lead: Option<&str>, text: &str) -> Call {
        let at = "2026-11-21T04:00:00Z".parse().unwrap();
        let facts = CallFacts {
            from: "+14155550134".into(),
            lead_id: lead.map(str::to_owned),
            ..CallFacts::default()
        };
        let id = CallId::from_parts(u64::from(n), [n; 10]);
        let mut call = Call::new(id, facts, CallStatus::InProgress, at);
        call.lines = (0..20)
            .map(|turn| Line {
                turn,
                at,
                body: LineBody::Speech {
                    track: Track::FromCaller,
                    text: text.to_owned(),
                    interim: false,
                    latency_ms: None,
                    cut: None,
                },
            })
            .collect();
        call
    }

    #[test]
    fn no_part_is_larger_than_its_aim_and_no_call_is_lost() {
        let calls: Vec<Call> = (0..100).map(|n| call(n, None, &"é".repeat(300))).collect();
        let groups = groups(calls, &Grant::admin("a"));
        assert!(groups.len() > 1);
        for group in &groups {
            let size: usize = group.iter().map(|text| text.get().len() + 1).sum();
            assert!(size + FRAME <= PART_AIM, "{size}");
        }
        assert_eq!(groups.iter().map(Vec::len).sum::<usize>(), 100);
    }

    #[test]
    fn one_endless_transcript_is_cut_to_fit() {
        let groups = groups(vec![call(1, None, &"é".repeat(8_000))], &Grant::admin("a"));
        let text = groups[0][0].get();
        assert!(text.len() <= PART_MAX);
        let back: Call = serde_json::from_str(text).unwrap();
        assert!(back.lines_dropped > 0 && !back.lines.is_empty());
    }

    #[test]
    fn a_scoped_token_sees_its_leads_and_no_numbers() {
        let mut grant = Grant::of("v", Role::Viewer);
        grant.leads = Some(["L1".to_owned()].into());
        let calls = vec![
            call(1, Some("L1"), "hi"),
            call(2, Some("L2"), "hi"),
            call(3, None, "hi"),
        ];
        let groups = groups(calls, &grant);
        assert_eq!(groups[0].len(), 1);
        assert!(!groups[0][0].get().contains("14155550134"));
    }
}
