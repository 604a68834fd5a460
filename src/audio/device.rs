//! One opened sound device, whichever way it was opened, and the order in which ways are tried.

use futures_util::future::BoxFuture;
use rodio::mixer::Mixer;
use tokio_util::sync::CancellationToken;

use super::{AudioConfig, AudioEnv, DeviceChoice};

/// Why there is no local sound, in words for the operator.
pub(super) type Reason = String;

/// A device that is pulling from `mixer`.
pub(super) struct Opened {
    /// What the system calls it.
    pub(super) name: String,
    pub(super) mixer: Mixer,
    pub(super) rate_hz: u32,
    /// Ends when the device is lost, or in order after `close` is cancelled. Owns the device:
    /// dropping it closes at once.
    pub(super) watch: BoxFuture<'static, Reason>,
    pub(super) close: CancellationToken,
}

/// Opens the wanted device.
pub(super) async fn open(config: &AudioConfig) -> Result<Opened, Reason> {
    let wanted = wanted(config)?;
    #[cfg(target_os = "linux")]
    let first = super::pulse::open(&config.env, wanted).await;
    #[cfg(not(target_os = "linux"))]
    let first: Result<Opened, Reason> = Err(String::new());
    #[cfg(any(feature = "alsa", not(target_os = "linux")))]
    let first = match first {
        Ok(opened) => Ok(opened),
        Err(reason) => super::cpal_dev::open(wanted)
            .await
            .map_err(|second| both(&reason, second)),
    };
    first
}

/// Whether [`open`] would have a chance, without making a sound.
pub(super) async fn probe(config: &AudioConfig) -> Result<(), Reason> {
    let wanted = wanted(config)?;
    #[cfg(target_os = "linux")]
    let first = super::pulse::find(&config.env, wanted).await;
    #[cfg(not(target_os = "linux"))]
    let first: Result<(), Reason> = Err(String::new());
    #[cfg(any(feature = "alsa", not(target_os = "linux")))]
    let first = match first {
        Ok(()) => Ok(()),
        Err(reason) => match super::cpal_dev::open(wanted).await {
            Ok(opened) => {
                opened.close.cancel();
                opened.watch.await;
                Ok(())
            }
            Err(second) => Err(both(&reason, second)),
        },
    };
    first
}

/// Names for `--audio-device`, with a description where there is one.
///
/// # Errors
/// In words for the operator, when this host has no sound at all.
pub async fn list_devices(env: &AudioEnv) -> Result<Vec<(String, Option<String>)>, String> {
    #[cfg(target_os = "linux")]
    let first = super::pulse::list(env).await;
    #[cfg(not(target_os = "linux"))]
    let first: Result<Vec<(String, Option<String>)>, Reason> = {
        let _ = env;
        Err(String::new())
    };
    #[cfg(any(feature = "alsa", not(target_os = "linux")))]
    let first = match first {
        Ok(devices) => Ok(devices),
        Err(reason) => super::cpal_dev::list()
            .await
            .map_err(|second| both(&reason, second)),
    };
    first
}

fn wanted(config: &AudioConfig) -> Result<Option<&str>, Reason> {
    match &config.device {
        DeviceChoice::Default => Ok(None),
        DeviceChoice::Named(name) => Ok(Some(name)),
        DeviceChoice::Off => Err("switched off".to_owned()),
    }
}

#[cfg(any(feature = "alsa", not(target_os = "linux")))]
fn both(first: &str, second: Reason) -> Reason {
    if first.is_empty() {
        second
    } else {
        format!("{first}; {second}")
    }
}
