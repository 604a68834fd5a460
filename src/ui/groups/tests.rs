//! A sick carrier comes first, with what is wrong and since when.

use super::*;
use crate::call::{Pending, TurnTiming};
use crate::ui::order::need;
use crate::ui::sample;

fn members(calls: &[Call], gap: impl Fn(&Call) -> Option<f32>) -> Vec<Member<'_>> {
    let pending = Pending::default();
    calls
        .iter()
        .map(|call| Member {
            call,
            rank: need(call, &pending, sample::now()).rank,
            gap_pct: gap(call),
            live_score: None,
        })
        .collect()
}

#[test]
fn a_degraded_carrier_ranks_first_with_its_change() {
    let calls = sample::calls(sample::now());
    let well = members(&calls, |_| Some(0.1));
    let mut past = Past::default();
    for minute in 0..15 {
        let now = Duration::from_secs(60 * minute);
        assert!(past.is_due(now));
        past.read(now, &well);
        assert!(!past.is_due(now + Duration::from_secs(59)));
    }
    let gap = |call: &Call| {
        Some(if call.facts.carrier == "plivo" {
            3.1
        } else {
            0.1
        })
    };
    let ill = members(&calls, gap);
    let groups = group(Dimension::Carrier, &ill, &past);
    assert_eq!(groups[0].key, "Plivo");
    assert_eq!(
        groups[0].gap_pct.map(|pct| (pct * 10.0).round()),
        Some(31.0)
    );
    let change = groups[0].change.gap_pct.expect("a past to compare with");
    assert!((change - 3.0).abs() < 0.01, "{change}");
    assert!(groups[0].verdict().contains("the line, not the agent"));
    // Old readings leave: after a quarter of an hour the new state is the normal one.
    for minute in 15..32 {
        past.read(Duration::from_secs(60 * minute), &ill);
    }
    let groups = group(Dimension::Carrier, &ill, &past);
    assert!(groups[0].change.gap_pct.expect("a past").abs() < 0.01);
    assert!(past.span(Duration::from_secs(60 * 31)) <= LOOK_BACK);
}

#[test]
fn the_slow_layer_is_named() {
    let turn = |ears, think, voice| TurnTiming {
        turn: 1,
        latency_ms: ears + think + voice,
        ears_ms: Some(ears),
        think_ms: Some(think),
        voice_ms: Some(voice),
    };
    let slow = [turn(200, 600, 20), turn(300, 3_900, 20), turn(250, 700, 30)];
    let layers = Layers::of(slow.iter());
    assert_eq!((layers.p50, layers.p95), (Some(980), Some(4_220)));
    assert_eq!(layers.blame(), Some((Layer::Think, 3_900)));
    assert_eq!(Layers::of([].iter()).blame(), None);
}

#[test]
fn every_grouping_holds_every_call_once_and_hides_digits() {
    let calls = sample::calls(sample::now());
    let all = members(&calls, |_| None);
    for by in Dimension::ALL {
        let groups = group(by, &all, &Past::default());
        let live: usize = groups.iter().map(|group| group.live).sum();
        assert_eq!(live, calls.iter().filter(|call| call.is_live()).count());
        let listed: usize = groups
            .iter()
            .map(|group| calls_of(&all, by, &group.key).len())
            .sum();
        assert_eq!(listed, calls.len());
        for group in &groups {
            let digits = group.key.chars().filter(char::is_ascii_digit).count();
            assert!(digits <= 9, "{by:?} {}", group.key);
            assert!(group.change.gap_pct.is_none() && group.change.ill.is_none());
        }
        assert_eq!(Dimension::parse(by.as_str()), Some(by));
    }
    assert_eq!(prefix_of(&calls[0]), "+1 415");
    assert_eq!(route_of(&calls[0]), "in +1 800 ••• 0100");
}
