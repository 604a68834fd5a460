//! Samples that move or weigh: readings, a long transcript, many calls.

use chrono::{DateTime, TimeDelta, Utc};

use crate::call::{Call, CallId, CallStatus, Direction, Gauge, Line, LineBody, Track};

use super::{ELEVEN, Who, base, calls, id};

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

/// Readings that go with the sample calls, at step `n` of their levels.
pub fn gauges(n: u32) -> Vec<Gauge> {
    let wave = |phase: u32, loud: f32| {
        let x = f64::from(n * 7 + phase * 13) * 0.61;
        (-52.0 + (x.sin().abs() as f32) * loud).min(0.0)
    };
    (1..=7_u8)
        .map(|call| {
            let mut gauge = Gauge::blank(id(call));
            let (caller, agent) = match call {
                1 | 4 => (14.0, 38.0),
                2 => (0.0, 0.0),
                3 | 7 => (36.0, 0.0),
                _ => (0.0, 34.0),
            };
            gauge.level_in_dbfs = Some(wave(u32::from(call), caller));
            gauge.level_out_dbfs = Some(wave(u32::from(call) + 3, agent));
            gauge.caller_speaking = caller > 20.0;
            gauge.agent_speaking = agent > 20.0;
            gauge.silence_ms = if call == 2 { 9_000 } else { 0 };
            gauge.score = Some(match call {
                1 => 4.1,
                4 => 2.9,
                _ => 4.2 + f32::from(call % 3) / 10.0,
            });
            gauge.jitter_ms = Some(if call == 4 { 48.0 } else { 6.0 });
            gauge.gap_pct = Some(if call == 4 { 4.6 } else { 0.2 });
            gauge.buffer_ms = Some(80);
            gauge.rtt_ms = Some(62.0);
            gauge.agent_talk_share = Some(0.69);
            gauge.silence_share = Some(0.18);
            gauge
        })
        .collect()
}
