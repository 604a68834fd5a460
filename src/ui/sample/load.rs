//! Samples for load: a long transcript, many calls.

use chrono::{DateTime, TimeDelta, Utc};

use crate::call::{Call, CallId, CallStatus, Direction, Line, LineBody, Track};

use super::{ELEVEN, Who, base, calls};

/// A call with this many transcript lines.
pub fn long_call(at: DateTime<Utc>, lines: usize) -> Call {
    let who = Who {
        n: 200,
        number: "+14155550199",
        name: Some("Ruth Long"),
        agent: "ava",
        vendors: ELEVEN,
        direction: Direction::Inbound,
    };
    let mut call = base(&who, CallStatus::InProgress, 3_700, Some(3_600));
    let words = "so what I wanted to say is that the parcel came on Monday but the box was open";
    for index in 0..lines {
        let track = if index % 2 == 0 {
            Track::FromCaller
        } else {
            Track::FromAgent
        };
        let take = 10 + index * 7 % 70;
        let text = format!("{index}: {}", &words[..take]);
        let latency = (track == Track::FromAgent).then_some(700 + (index as u32 * 37) % 900);
        call.lines.push(Line {
            turn: index as u32 + 1,
            at: at - TimeDelta::seconds((lines - index) as i64),
            body: LineBody::Speech {
                track,
                text,
                interim: false,
                latency_ms: latency,
                cut: None,
            },
        });
    }
    call
}

/// `count` calls in progress with fresh ids, for load.
pub fn many(at: DateTime<Utc>, count: usize) -> Vec<Call> {
    let samples = calls(at);
    (0..count)
        .map(|index| {
            let mut call = samples[index % 7].clone();
            let mut random = [0; 10];
            random[..8].copy_from_slice(&(index as u64).to_be_bytes());
            call.id = CallId::from_parts(1_795_269_000_000, random);
            call.facts.carrier_call_id = Some(format!("CA{index:032x}"));
            call.answered_at = call
                .answered_at
                .map(|t| t - TimeDelta::seconds(index as i64));
            call
        })
        .collect()
}
