//! The system path: macOS, Windows, and Linux with the feature `alsa`.
//!
//! The device lives on a thread of its own, because it may not move between threads everywhere.
//! Hosts are tried one by one: the "default" constructors panic where a library is absent, and an
//! ALSA "default" device exists even without a card, so only an opened stream counts.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use rodio::cpal::traits::{DeviceTrait, HostTrait};
use rodio::cpal::{self, ErrorKind};
use rodio::mixer::Mixer;
use rodio::{DeviceSinkBuilder, MixerDeviceSink};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::call::text::clean_label;

use super::device::{Opened, Reason};

struct Found {
    name: String,
    mixer: Mixer,
    rate_hz: u32,
}

/// Opens the default output or the one whose name contains `wanted`.
pub(super) async fn open(wanted: Option<&str>) -> Result<Opened, Reason> {
    let wanted = wanted.map(str::to_lowercase);
    let (answer, answered) = oneshot::channel();
    // One reason is enough; the callback may fire twice for one loss.
    let (lost, mut losses) = mpsc::channel(1);
    let (keep, kept) = sync_channel(1);
    let work = move || run(wanted.as_deref(), answer, lost, &kept);
    std::thread::Builder::new()
        .name("audio-device".to_owned())
        .spawn(work)
        .map_err(|e| format!("no thread for sound: {e}"))?;
    let found = answered
        .await
        .map_err(|_| "opening the sound device failed".to_owned())??;
    let close = CancellationToken::new();
    let closing = close.clone();
    let watch = Box::pin(async move {
        let keep: SyncSender<()> = keep;
        let reason = tokio::select! {
            reason = losses.recv() => reason.unwrap_or_else(|| "the sound thread ended".to_owned()),
            () = closing.cancelled() => "closed".to_owned(),
        };
        drop(keep);
        reason
    });
    Ok(Opened {
        name: found.name,
        mixer: found.mixer,
        rate_hz: found.rate_hz,
        watch,
        close,
    })
}

pub(super) async fn list() -> Result<Vec<(String, Option<String>)>, Reason> {
    let names =
        tokio::task::spawn_blocking(|| outputs().map(|device| (name(&device), None)).collect());
    let names: Vec<_> = names.await.unwrap_or_default();
    if names.is_empty() {
        Err("no sound device has a name here, only the default may work".to_owned())
    } else {
        Ok(names)
    }
}

/// Body of the thread: opens, answers, and holds the device until `kept` hangs up.
fn run(
    wanted: Option<&str>,
    answer: oneshot::Sender<Result<Found, Reason>>,
    lost: mpsc::Sender<Reason>,
    kept: &Receiver<()>,
) {
    let (mut sink, name) = match open_first(wanted, &lost) {
        Ok(opened) => opened,
        Err(reason) => {
            drop(answer.send(Err(reason)));
            return;
        }
    };
    sink.log_on_drop(false);
    let rate_hz = sink.config().sample_rate().get();
    let found = Found {
        name,
        mixer: sink.mixer().clone(),
        rate_hz,
    };
    if answer.send(Ok(found)).is_ok() {
        // Nothing is ever sent: this returns when the watcher lets go of its end.
        kept.recv().unwrap_or_default();
    }
}

fn open_first(
    wanted: Option<&str>,
    lost: &mpsc::Sender<Reason>,
) -> Result<(MixerDeviceSink, String), Reason> {
    let mut reason = "no sound device on this host".to_owned();
    let candidates: Vec<cpal::Device> = match wanted {
        Some(part) => outputs()
            .filter(|device| name(device).to_lowercase().contains(part))
            .collect(),
        None => hosts()
            .filter_map(|host| host.default_output_device())
            .collect(),
    };
    if let (Some(part), true) = (wanted, candidates.is_empty()) {
        return Err(format!("no output is called {part}"));
    }
    for device in candidates {
        let device_name = name(&device);
        let lost = lost.clone();
        let opened = DeviceSinkBuilder::from_device(device).and_then(|builder| {
            builder
                .with_error_callback(move |error| report(&error, &lost))
                .open_stream()
        });
        match opened {
            Ok(sink) => return Ok((sink, device_name)),
            Err(error) => reason = format!("{device_name}: {error}"),
        }
    }
    Err(reason)
}

fn report(error: &cpal::Error, lost: &mpsc::Sender<Reason>) {
    match error.kind() {
        ErrorKind::StreamInvalidated | ErrorKind::DeviceNotAvailable | ErrorKind::DeviceChanged => {
            drop(lost.try_send("the sound device went away".to_owned()));
        }
        kind => tracing::debug!(%kind, "sound device"),
    }
}

fn hosts() -> impl Iterator<Item = cpal::Host> {
    cpal::available_hosts()
        .into_iter()
        .filter_map(|id| cpal::host_from_id(id).ok())
}

fn outputs() -> impl Iterator<Item = cpal::Device> {
    hosts()
        .filter_map(|host| host.output_devices().ok())
        .flatten()
}

fn name(device: &cpal::Device) -> String {
    let text = device.description().map(|d| d.name().to_owned());
    clean_label(text.as_deref().unwrap_or("sound device")).into_owned()
}
