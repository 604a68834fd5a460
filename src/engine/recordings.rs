//! Fetching finished recordings from the carrier, once each, so that `/api/recordings/{id}` serves
//! them without the carrier's credentials ever leaving this process.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::call::{Call, CallId, Fact, Recording, RecordingState};

use super::Core;
use super::backoff::Backoff;
use super::clock::random;
use super::ports::{CarrierError, MissingRecording, RecordingVault};
use super::switchboard::Target;

/// Downloads at once: they are large and nobody waits for them.
const DOWNLOADS: usize = 2;
/// How long one download may take.
const DOWNLOAD_WITHIN: Duration = Duration::from_secs(300);
/// A carrier says `completed` a little before the file can be had.
const RETRY: Backoff = Backoff {
    base: Duration::from_secs(4),
    cap: Duration::from_secs(120),
    tries: 6,
};

/// A recording with the place where we serve it under `id`.
pub(super) fn served(recording: &Recording, id: &str) -> Recording {
    Recording {
        url: Some(format!("/api/recordings/{id}")),
        ..recording.clone()
    }
}

#[derive(Clone, Debug)]
pub(super) struct Fetcher {
    vault: Arc<dyn RecordingVault>,
    busy: Arc<Mutex<HashSet<(CallId, String)>>>,
    gate: Arc<Semaphore>,
}

impl Fetcher {
    /// `None` where recordings stay with the carrier.
    pub(super) fn new(core: &Core) -> Option<Self> {
        Some(Self {
            vault: Arc::clone(core.vault.as_ref()?),
            busy: Arc::default(),
            gate: Arc::new(Semaphore::new(DOWNLOADS)),
        })
    }

    /// Looks for what earlier runs did not get to.
    pub(super) fn catch_up(&self, core: &Core, only: Option<CallId>) {
        let (fetcher, task) = (self.clone(), core.clone());
        core.tasks.spawn("missing recordings", async move {
            // What was just said about a call that left the board is found on disk only.
            if task.journal.flush().await.is_err() {
                return;
            }
            match fetcher.vault.missing().await {
                Ok(missing) => {
                    for missing in missing {
                        if only.is_none_or(|call| call == missing.call) {
                            fetcher.fetch(&task, missing);
                        }
                    }
                }
                Err(error) => tracing::warn!(%error, "cannot tell which recordings are missing"),
            }
        });
    }

    /// Takes note of a call's recordings; fetches those that are complete and not here.
    pub(super) fn look_at(&self, core: &Core, call: &Call) {
        if !call.facts.store.keeps_audio() {
            return;
        }
        for recording in &call.recordings {
            if recording.state == RecordingState::Completed && recording.url.is_none() {
                if let Some(carrier_call_id) = call.facts.carrier_call_id.clone() {
                    let missing = MissingRecording {
                        call: call.id,
                        carrier: call.facts.carrier.clone(),
                        carrier_call_id,
                        recording: recording.clone(),
                    };
                    self.fetch(core, missing);
                }
            }
        }
    }

    fn fetch(&self, core: &Core, missing: MissingRecording) {
        let key = (missing.call, missing.recording.id.clone());
        let first = self
            .busy
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key.clone());
        if !first {
            return;
        }
        let (fetcher, task) = (self.clone(), core.clone());
        core.tasks.spawn("recording", async move {
            let token = task.tasks.token().clone();
            // A download that is cut short is found missing at the next start.
            tokio::select! {
                biased;
                () = token.cancelled() => {}
                () = fetcher.bring(&task, missing) => {}
            }
            let mut busy = fetcher.busy.lock().unwrap_or_else(PoisonError::into_inner);
            busy.remove(&key);
        });
    }

    async fn bring(&self, core: &Core, missing: MissingRecording) {
        let fact = match self.download(core, &missing).await {
            Ok(id) => Fact::RecordingChanged {
                recording: served(&missing.recording, &id),
            },
            Err(why) => {
                metrics::counter!("wallboard_recordings_lost_total").increment(1);
                Fact::TroubleNoted {
                    code: "recording_not_fetched".into(),
                    message: format!("the recording stays with the carrier: {why}"),
                }
            }
        };
        let target = Target::Known {
            carrier: missing.carrier,
            carrier_call_id: missing.carrier_call_id,
        };
        if let Err(error) = core.switchboard.post(target, vec![fact]).await {
            tracing::debug!(%error, "a recording found no call");
        }
    }

    async fn download(&self, core: &Core, missing: &MissingRecording) -> Result<String, String> {
        let carrier = core
            .carriers
            .get(missing.carrier.as_str())
            .ok_or("no access to its carrier")?;
        let mut failed = 0;
        let audio = loop {
            // Held for one try only: a file that is not there must not keep others waiting.
            let turn = self.gate.acquire().await.map_err(|_| "going down")?;
            let asked = carrier.fetch_recording(missing.recording.id.clone());
            let error = match tokio::time::timeout(DOWNLOAD_WITHIN, asked).await {
                Ok(Ok(audio)) => break audio,
                Ok(Err(error)) => error,
                Err(_) => CarrierError::Unreachable("the download took too long".into()),
            };
            drop(turn);
            failed += 1;
            let hopeless = matches!(
                error,
                CarrierError::Unauthorized | CarrierError::Unsupported(_)
            );
            match RETRY.after(failed, u64::from_ne_bytes(random())) {
                Some(wait) if !hopeless => tokio::time::sleep(wait.max(RETRY.base / 4)).await,
                _ => return Err(error.to_string()),
            }
        };
        self.vault
            .keep(missing.call, missing.recording.id.clone(), audio)
            .await
            .map_err(|error| error.to_string())
    }
}
