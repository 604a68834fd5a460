use super::*;
use crate::engine::Hello;

/// A protocol that lives at once and says nothing.
#[derive(Debug, Default)]
struct Silent {
    closed: u32,
}

impl Protocol for Silent {
    fn opened(&mut self, _now: Now) -> Vec<Out> {
        vec![Out::Live]
    }
    fn closed(&mut self, _now: Now) -> Vec<Out> {
        self.closed += 1;
        Vec::new()
    }
    fn message(&mut self, _now: Now, event: &str, _data: Value) -> Vec<Out> {
        let retry_in = (event == "bye").then_some(Duration::from_secs(2));
        vec![Out::Fail {
            reason: event.to_owned(),
            retry_in,
        }]
    }
    fn overflowed(&mut self, _now: Now) -> Vec<Out> {
        Vec::new()
    }
    fn tick(&mut self, _now: Now) -> Vec<Out> {
        Vec::new()
    }
    fn ask(&mut self, _now: Now, _ask: Ask) -> Vec<Out> {
        Vec::new()
    }
    fn ended(&mut self, _now: Now, _id: CommandId, _result: Result<(), Refusal>) -> Vec<Out> {
        Vec::new()
    }
    fn wake(&self) -> Option<Duration> {
        None
    }
}

fn at(ms: u64) -> Now {
    let wall = "2026-11-21T04:00:00Z".parse::<DateTime<Utc>>().unwrap();
    let mono = Duration::from_millis(ms);
    Now {
        mono,
        wall: wall + mono,
    }
}

fn down(reason: &str) -> In {
    In::Heard(Heard::Down(reason.to_owned()))
}

/// The wait a step announced.
fn wait_of(outs: &[Out]) -> Option<(Duration, u32)> {
    outs.iter().find_map(|out| match out {
        Out::Tell(Update::Link(LinkState::Down {
            retry_in, attempt, ..
        })) => Some((*retry_in, *attempt)),
        _ => None,
    })
}

fn dials(outs: &[Out]) -> usize {
    outs.iter().filter(|out| matches!(out, Out::Dial)).count()
}

#[test]
fn first_attempt_is_immediate_and_up_is_told() {
    let mut link = Link::new(Silent::default(), 1);
    let outs = link.step(at(0), In::Start);
    assert_eq!(dials(&outs), 1);
    let outs = link.step(at(5), In::Heard(Heard::Up));
    assert!(matches!(outs[..], [Out::Tell(Update::Link(LinkState::Up))]));
}

#[test]
fn waits_grow_to_thirty_seconds_with_full_jitter() {
    for seed in 0..200 {
        let mut link = Link::new(Silent::default(), seed);
        let mut now = 0;
        link.step(at(now), In::Start);
        let mut largest = Duration::ZERO;
        for failed in 1..=20_u32 {
            let (wait, attempt) = wait_of(&link.step(at(now), down("x"))).unwrap();
            assert_eq!(attempt, failed);
            let limit =
                Duration::from_millis(250 * 2_u64.pow((failed - 1).min(8))).min(BACKOFF_MAX);
            assert!(wait <= limit, "{wait:?} at {failed}");
            largest = largest.max(wait);
            assert_eq!(link.wake(), Some(at(now).mono + wait));
            now += wait.as_millis() as u64 + 1;
            assert_eq!(dials(&link.step(at(now), In::Tick)), 1);
        }
        assert!(largest > Duration::from_secs(5));
    }
}

#[test]
fn ten_good_seconds_start_the_backoff_over() {
    let mut link = Link::new(Silent::default(), 7);
    link.step(at(0), In::Start);
    for _ in 0..5 {
        link.step(at(0), down("x"));
        link.step(at(60_000), In::Tick);
    }
    link.step(at(60_000), In::Heard(Heard::Up));
    let (_, attempt) = wait_of(&link.step(at(69_999), down("short"))).unwrap();
    assert!(attempt > 1);
    link.step(at(200_000), In::Tick);
    link.step(at(200_000), In::Heard(Heard::Up));
    let (wait, attempt) = wait_of(&link.step(at(210_000), down("long"))).unwrap();
    assert_eq!(attempt, 1);
    assert!(wait <= BACKOFF_MIN);
}

#[test]
fn a_silent_server_is_given_up() {
    let mut link = Link::new(Silent::default(), 1);
    link.step(at(0), In::Start);
    assert!(link.step(at(5_999), In::Tick).is_empty());
    assert!(wait_of(&link.step(at(6_000), In::Tick)).is_some());
}

#[test]
fn a_refused_token_is_not_tried_again_by_itself() {
    let mut link = Link::new(Silent::default(), 1);
    link.step(at(0), In::Start);
    let outs = link.step(at(1), In::Heard(Heard::Refused("unauthorized".into())));
    assert!(
        matches!(&outs[..], [Out::HangUp, Out::Tell(Update::Link(LinkState::Refused(refusal)))] if refusal.code == ErrorCode::Unauthorized)
    );
    assert_eq!(link.wake(), None);
    for input in [
        In::Tick,
        down("late"),
        In::Heard(Heard::Up),
        In::Heard(Heard::Refused("forbidden".into())),
    ] {
        assert_eq!(dials(&link.step(at(1_000_000), input)), 0);
        assert!(link.is_refused());
    }
    assert_eq!(dials(&link.step(at(1_000_001), In::Start)), 1);
}

#[test]
fn a_goodbye_with_a_time_is_honoured() {
    let mut link = Link::new(Silent::default(), 1);
    link.step(at(0), In::Start);
    link.step(at(0), In::Heard(Heard::Up));
    let bye = In::Heard(Heard::Message {
        event: "bye".into(),
        data: Value::Null,
    });
    let (wait, _) = wait_of(&link.step(at(1), bye)).unwrap();
    assert!((Duration::from_secs(2)..=Duration::from_millis(2_250)).contains(&wait));
}

proptest::proptest! {
    #[test]
    fn there_is_never_more_than_one_connection(seed in 0u64.., steps in proptest::collection::vec((0u8..8, 0u64..40_000), 1..200)) {
        let mut link = Link::new(Silent::default(), seed);
        let mut now = 0;
        let mut open = 0_i32;
        let mut inputs = vec![In::Start];
        for (kind, passed) in steps {
            now += passed;
            inputs.push(match kind {
                0 => In::Start,
                1 => In::Heard(Heard::Up),
                2 => In::Heard(Heard::Refused("version".into())),
                3 => down("x"),
                4 => In::Heard(Heard::Message { event: "bye".into(), data: Value::Null }),
                5 => In::Overflow,
                _ => In::Tick,
            });
            for input in inputs.drain(..) {
                for out in link.step(at(now), input) {
                    match out {
                        Out::Dial => open += 1,
                        Out::HangUp => open = 0,
                        Out::Tell(Update::Link(LinkState::Down { retry_in, .. })) => proptest::prop_assert!(retry_in <= BACKOFF_MAX + BACKOFF_MIN),
                        Out::Live | Out::Fail { .. } | Out::Refuse(_) => proptest::prop_assert!(false, "meant for the link"),
                        _ => {}
                    }
                    proptest::prop_assert!(open <= 1);
                }
            }
        }
    }
}

#[test]
fn hello_needs_no_more_than_the_contract_says() {
    let hello = serde_json::json!({
        "v": 1, "backend_id": "b", "epoch": "0190a000-0000-7000-8000-000000000001", "seq": 0,
        "now": "2026-11-21T04:00:00Z", "user": "u", "role": "viewer", "verbs": ["view"], "leads": null, "features": [],
    });
    assert!(serde_json::from_value::<Hello>(hello).is_ok());
}
