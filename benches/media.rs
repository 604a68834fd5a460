//! Cost of the audio arithmetic per 20 ms frame. Run: `cargo bench --bench media`.
//!
//! A plain timer, so that no benchmark framework has to be built. Each row repeats until a tenth of
//! a second has passed and shows the best of five such rounds.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wallboard::audio::{Controls, Prime, ring};
use wallboard::media::{
    AgentQueue, Arrival, Arrivals, FRAME_SAMPLES, MediaFormat, Playout, Resampler, StereoTapper,
    Transcoder, Vad, level_ulaw, sine, ulaw_decode, ulaw_encode,
};

const ROUND: Duration = Duration::from_millis(100);

#[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
fn bench(name: &str, mut work: impl FnMut()) {
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let started = Instant::now();
        let mut count = 0u32;
        while started.elapsed() < ROUND {
            (0..100).for_each(|_| work());
            count += 100;
        }
        best = best.min(started.elapsed().as_secs_f64() / f64::from(count));
    }
    println!("{name:<44} {:>9.0} ns", best * 1e9);
}

fn main() {
    let pcm = sine(700.0, 9_000.0, 8_000, FRAME_SAMPLES);
    let mut ulaw = [0u8; FRAME_SAMPLES];
    ulaw_encode(&pcm, &mut ulaw);
    let mut samples = [0i16; FRAME_SAMPLES];
    let now = Duration::from_secs;

    bench("mu-law decode, 1 frame", || {
        ulaw_decode(black_box(&ulaw), black_box(&mut samples));
    });
    let mut code = [0u8; FRAME_SAMPLES];
    bench("mu-law encode, 1 frame", || {
        ulaw_encode(black_box(&pcm), black_box(&mut code));
    });
    bench("level of a mu-law frame", || {
        black_box(level_ulaw(black_box(&ulaw)));
    });
    let mut vad = Vad::default();
    bench("speech detector, 1 frame", || {
        black_box(vad.push(black_box(-30.0), now(1)));
    });
    let mut arrivals = Arrivals::new();
    let mut chunk = 0;
    bench("arrival of a frame (jitter, loss)", || {
        chunk += 1;
        let at = Duration::from_millis(chunk * 20);
        let media_ms = Some(chunk * 20);
        arrivals.on_frame(Arrival {
            at,
            media_ms,
            chunk: Some(chunk),
            audio_ms: 20,
        });
    });
    let mut queue = AgentQueue::new();
    let mut playout = Playout::new();
    bench("agent queue and playout, 1 frame", || {
        let _ = queue.push(1, black_box(&ulaw));
        if let Some(frame) = queue.take_frame() {
            playout.sent(&frame, now(1));
        }
    });
    let mut tapper = StereoTapper::new(Duration::ZERO);
    let mut at = Duration::ZERO;
    bench("stereo tap, both legs, 1 frame", || {
        at += Duration::from_millis(20);
        tapper.push_caller(&ulaw, at);
        tapper.push_agent(&ulaw, at);
        black_box(tapper.next_frame(at));
    });

    let mut out = Vec::with_capacity(4_096);
    for (from, to) in [
        (8_000, 48_000),
        (8_000, 16_000),
        (24_000, 8_000),
        (16_000, 8_000),
    ] {
        let input = sine(700.0, 9_000.0, from, from as usize / 50);
        let mut resampler = Resampler::new(from, to);
        bench(&format!("resample {from} to {to}, 1 frame"), || {
            out.clear();
            resampler.push(black_box(&input), &mut out);
        });
    }
    let mut bytes = Vec::with_capacity(4_096);
    for (from, to) in [
        (MediaFormat::ULAW_8K, MediaFormat::ULAW_8K),
        (MediaFormat::ULAW_8K, MediaFormat::PCM_16K),
        (MediaFormat::PCM_24K, MediaFormat::ULAW_8K),
    ] {
        let input = vec![0x55; from.bytes_per_second() / 50];
        let mut transcoder = Transcoder::new(from, to);
        bench(&format!("transcode {from} to {to}, 1 frame"), || {
            bytes.clear();
            transcoder.convert(black_box(&input), &mut bytes);
        });
    }
    let (mut feeder, mut source) = ring(Prime::Local, 48_000, Arc::new(Controls::default()));
    bench("listener, both legs to 48 kHz, 1 frame", || {
        feeder.push_frame(&ulaw, &ulaw);
        source.by_ref().take(1_920).for_each(|sample| {
            black_box(sample);
        });
    });
}
