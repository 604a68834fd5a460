//! Facts as JSON text, made once and shared by all clients; and the masking of numbers in them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::value::RawValue;

use crate::call::text::mask_number;
use crate::call::{Call, CallEvent, CallFacts, Envelope, Fact};

/// Encoded envelopes kept: more than any client that keeps up is behind.
const KEPT_MAX: usize = 2_048;

/// The text of the newest envelopes.
#[derive(Debug, Default)]
pub(in crate::server) struct Encoder {
    kept: Mutex<VecDeque<Entry>>,
}

#[derive(Debug)]
struct Entry {
    seq: u64,
    masked: Option<Arc<RawValue>>,
    full: Option<Arc<RawValue>>,
}

impl Encoder {
    /// The envelope's JSON, with numbers masked or whole.
    pub(in crate::server) fn text(&self, envelope: &Envelope, unmasked: bool) -> Arc<RawValue> {
        // A fact without a number reads the same either way.
        let unmasked = unmasked || !has_number(envelope);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let place = kept.partition_point(|entry| entry.seq < envelope.seq);
        let is_known = kept
            .get(place)
            .is_some_and(|entry| entry.seq == envelope.seq);
        if !is_known {
            if place < kept.len() || kept.back().is_some_and(|last| last.seq > envelope.seq) {
                // Older than what is kept: a resuming client. Not worth a place.
                return encode(envelope, unmasked);
            }
            kept.push_back(Entry {
                seq: envelope.seq,
                masked: None,
                full: None,
            });
            if kept.len() > KEPT_MAX {
                kept.pop_front();
            }
        }
        let place = kept.partition_point(|entry| entry.seq < envelope.seq);
        let Some(entry) = kept.get_mut(place) else {
            return encode(envelope, unmasked);
        };
        let slot = if unmasked {
            &mut entry.full
        } else {
            &mut entry.masked
        };
        Arc::clone(slot.get_or_insert_with(|| encode(envelope, unmasked)))
    }
}

fn encode(envelope: &Envelope, unmasked: bool) -> Arc<RawValue> {
    let raw = if unmasked {
        serde_json::value::to_raw_value(envelope)
    } else {
        serde_json::value::to_raw_value(&masked(envelope))
    };
    // Envelopes hold nothing JSON cannot; a `null` would be skipped by every reader.
    raw.unwrap_or_else(|_| RawValue::NULL.to_owned()).into()
}

fn has_number(envelope: &Envelope) -> bool {
    matches!(
        &envelope.event,
        CallEvent::Known(
            Fact::CallSeen { .. }
                | Fact::CallDescribed { .. }
                | Fact::Transferred { .. }
                | Fact::LeadMessaged { .. }
        )
    )
}

fn masked(envelope: &Envelope) -> Envelope {
    let mut copy = envelope.clone();
    match &mut copy.event {
        CallEvent::Known(Fact::CallSeen { facts, .. } | Fact::CallDescribed { facts }) => {
            mask_facts(facts);
        }
        CallEvent::Known(Fact::Transferred { to, .. }) => *to = mask_number(to),
        CallEvent::Known(Fact::LeadMessaged { message }) => {
            message.phone = message.phone.as_deref().map(mask_number);
        }
        _ => {}
    }
    copy
}

/// An empty number means "not known" in facts that only add; it stays empty.
fn mask_facts(facts: &mut CallFacts) {
    for number in [&mut facts.from, &mut facts.to] {
        if !number.is_empty() {
            *number = mask_number(number);
        }
    }
}

/// Hides the numbers of a call.
pub(in crate::server) fn masked_call(mut call: Call) -> Call {
    mask_facts(&mut call.facts);
    if let Some(transfer) = &mut call.transfer {
        transfer.to = mask_number(&transfer.to);
    }
    call
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::CallStatus;

    fn seen(seq: u64) -> Envelope {
        Envelope {
            v: 1,
            seq,
            at: "2026-11-21T04:00:00Z".parse().unwrap(),
            call: None,
            event: Fact::CallSeen {
                facts: CallFacts {
                    carrier: "twilio".into(),
                    from: "+14155550134".into(),
                    ..CallFacts::default()
                },
                status: CallStatus::Ringing,
                started_at: None,
            }
            .into(),
        }
    }

    #[test]
    fn numbers_are_whole_only_for_whom_it_is_allowed() {
        let encoder = Encoder::default();
        for _ in 0..2 {
            assert!(encoder.text(&seen(1), true).get().contains("+14155550134"));
            let masked = encoder.text(&seen(1), false);
            assert!(!masked.get().contains("14155550134"), "{}", masked.get());
            assert!(masked.get().contains("0134"));
        }
    }

    #[test]
    fn the_same_text_is_shared_and_old_ones_are_made_anew() {
        let encoder = Encoder::default();
        for seq in [5, 6, 7] {
            encoder.text(&seen(seq), true);
        }
        let (once, twice) = (encoder.text(&seen(6), true), encoder.text(&seen(6), true));
        assert!(Arc::ptr_eq(&once, &twice));
        assert!(encoder.text(&seen(2), true).get().contains("\"seq\":2"));
        for seq in 8..5_000 {
            encoder.text(&seen(seq), false);
        }
        assert!(encoder.kept.lock().unwrap().len() <= KEPT_MAX);
    }
}
