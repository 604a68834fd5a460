//! Finished recordings, for whoever may hear them: kept here, or still with the carrier. The same
//! rules for programs and for screens.

use bytes::Bytes;

use crate::call::{Call, CallId, ErrorCode, Grant, RecordingState, Refusal, Verb};

use super::Core;
use super::backend::{HistoryQuery, RECORDING_MAX};
use super::ports::{KeptRecording, StoreError};

/// Longer ids than this are none of ours, and none of any carrier's.
const ID_MAX: usize = 64;

/// Where the sound of a recording is.
#[derive(Clone, Debug)]
pub enum Recorded {
    File(KeptRecording),
    /// A WAV the carrier has just handed over; nobody has kept it yet.
    Memory(Bytes),
}

impl Core {
    /// Finds the recording `id` for whoever holds `grant`.
    ///
    /// # Errors
    /// `forbidden` without the verb `recordings`; `not_found` for what does not exist, was purged, or
    /// belongs to a call this grant does not see.
    pub async fn recorded(&self, grant: &Grant, id: &str) -> Result<Recorded, Refusal> {
        if !grant.allows(Verb::Recordings) {
            return Err(Refusal::forbidden(Verb::Recordings));
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if id.is_empty() || id.len() > ID_MAX || !id.bytes().all(is_plain) {
            return Err(no_such());
        }
        if let Some(vault) = &self.vault {
            let found = vault.find(id.to_owned()).await.map_err(unreadable)?;
            if let Some(kept) = found {
                let call = self.call_ever(kept.call).await;
                let may = call.is_some_and(|call| sees(grant, &call));
                return if may {
                    Ok(Recorded::File(kept))
                } else {
                    Err(no_such())
                };
            }
        }
        self.at_the_carrier(grant, id).await
    }

    /// The whole sound of a recording, as its file is.
    ///
    /// # Errors
    /// As [`Core::recorded`]; `invalid` above [`RECORDING_MAX`].
    pub async fn recorded_whole(&self, grant: &Grant, id: &str) -> Result<Bytes, Refusal> {
        let kept = match self.recorded(grant, id).await? {
            Recorded::Memory(audio) => return Ok(audio),
            Recorded::File(kept) => kept,
        };
        if kept.bytes > RECORDING_MAX {
            return Err(too_long(id));
        }
        let vault = self.vault.as_ref().ok_or_else(no_such)?;
        let audio = vault.read(kept.id).await.map_err(unreadable)?;
        audio.ok_or_else(no_such)
    }

    /// A call without its lines, on the board or in the journal.
    pub async fn call_ever(&self, id: CallId) -> Option<Call> {
        let on_board = self
            .switchboard
            .read(|board| board.get(id).map(|call| call.trimmed(0)));
        if on_board.is_some() {
            return on_board;
        }
        let query = HistoryQuery {
            call: Some(id),
            limit: 1,
            ..HistoryQuery::default()
        };
        let page = self.journal.history(query).await.ok()?;
        page.items.into_iter().next()
    }

    /// A finished recording nobody has fetched yet.
    async fn at_the_carrier(&self, grant: &Grant, id: &str) -> Result<Recorded, Refusal> {
        let held = self.switchboard.read(|board| {
            board
                .calls()
                .find(|call| {
                    call.recordings.iter().any(|recording| {
                        recording.id == id && recording.state == RecordingState::Completed
                    })
                })
                .filter(|call| sees(grant, call))
                .map(|call| call.facts.carrier.clone())
        });
        let carrier = held
            .and_then(|carrier| self.carriers.get(carrier.as_str()).cloned())
            .ok_or_else(no_such)?;
        let audio = carrier
            .fetch_recording(id.to_owned())
            .await
            .map_err(|error| {
                Refusal::new(
                    ErrorCode::Unavailable,
                    error.to_string(),
                    "try again in a minute",
                )
            })?;
        Ok(Recorded::Memory(audio))
    }
}

fn sees(grant: &Grant, call: &Call) -> bool {
    grant.sees_lead(call.facts.lead_id.as_deref())
}

/// The same words whether it never was, was purged, or is another lead's.
fn no_such() -> Refusal {
    Refusal::new(
        ErrorCode::NotFound,
        "no such recording",
        "it may have been purged; `wallboard show CALL --json` lists a call's",
    )
}

/// For whoever takes recordings into memory.
pub fn too_long(id: &str) -> Refusal {
    Refusal::new(
        ErrorCode::Invalid,
        format!("the recording is larger than {} MB", RECORDING_MAX >> 20),
        format!("save it: wallboard recording {id} --out FILE"),
    )
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unreadable(error: StoreError) -> Refusal {
    Refusal::new(
        ErrorCode::Unavailable,
        error.to_string(),
        "look at data.dir",
    )
}
