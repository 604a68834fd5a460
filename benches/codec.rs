//! Nanoseconds per media frame through each codec. Run: `cargo bench --bench codec`.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a bench measures time and prints it"
)]

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use wallboard::bridge::{AgentCodec, AgentOut, CarrierCodec, CarrierOut, Wire};
use wallboard::providers::elevenlabs::ElevenLabsCodec;
use wallboard::providers::twilio::TwilioCodec;

const ROUNDS: u32 = 200_000;

fn measure(name: &str, mut once: impl FnMut()) {
    for _ in 0..ROUNDS / 10 {
        once();
    }
    let started = Instant::now();
    for _ in 0..ROUNDS {
        once();
    }
    println!(
        "{name:32} {:>8.0} ns",
        started.elapsed().as_nanos() as f64 / f64::from(ROUNDS)
    );
}

fn main() {
    let frame = Bytes::from(vec![0x7f_u8; 160]);
    let mut twilio = TwilioCodec::new();
    let start = r#"{"event":"start","sequenceNumber":"1","start":{"accountSid":"ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","streamSid":"MZaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","callSid":"CA1234567890abcdef1234567890abcdef","tracks":["inbound"],"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1},"customParameters":{}},"streamSid":"MZaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}"#;
    twilio.decode(&Wire::Text(start.to_owned())).unwrap();
    let Some(Wire::Text(out)) = twilio.encode(&CarrierOut::Audio(frame.clone())) else {
        return;
    };
    let media = Wire::Text(out.replace(
        r#""media":{"#,
        r#""sequenceNumber":"1234","media":{"track":"inbound","chunk":"1233","timestamp":"24660","#,
    ));
    measure("twilio decode media", || {
        black_box(twilio.decode(black_box(&media)).unwrap());
    });
    measure("twilio encode media", || {
        black_box(twilio.encode(black_box(&CarrierOut::Audio(frame.clone()))));
    });
    let mut agent = ElevenLabsCodec::new();
    measure("elevenlabs encode audio", || {
        black_box(agent.encode(black_box(&AgentOut::Audio(frame.clone()))));
    });
    let payload = out.split('"').rev().nth(1).unwrap().to_owned();
    let audio = Wire::Text(format!(
        r#"{{"type":"audio","audio_event":{{"audio_base_64":"{payload}","event_id":3}}}}"#
    ));
    measure("elevenlabs decode audio", || {
        black_box(agent.decode(black_box(&audio)).unwrap());
    });
}
