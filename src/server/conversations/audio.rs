//! The recording in a post-call webhook, on its way to the disk: a file nothing refers to until the
//! proof over the whole body has held.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::OwnedSemaphorePermit;

use crate::call::{CallId, Fact, Recording, RecordingState};
use crate::engine::{PostError, RecordingVault, StoreError, Target};
use crate::providers::elevenlabs::ConversationEvent;

use super::super::state::App;

/// A recording being received.
#[derive(Debug)]
pub(super) struct Sink {
    /// `None` where recordings are not kept: the audio is let go.
    file: Option<Part>,
    bytes: u64,
    _turn: OwnedSemaphorePermit,
}

/// Goes away with whatever was written, unless it is kept.
#[derive(Debug)]
struct Part {
    id: String,
    path: PathBuf,
    file: File,
    vault: Arc<dyn RecordingVault>,
    kept: bool,
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.kept {
            // Where this fails, or the process is killed first, the next opening of the data folder
            // clears the file away.
            let _left = std::fs::remove_file(&self.path);
        }
    }
}

impl Sink {
    /// # Errors
    /// Too many are being received, or the disk takes no file.
    pub(super) async fn open(app: &App) -> Result<Self, PostError> {
        let turn = Arc::clone(&app.recordings_in).try_acquire_owned();
        let turn = turn.map_err(|_| PostError::Full)?;
        let file = match &app.core.vault {
            None => None,
            Some(vault) => {
                let (id, path) = vault.begin().await?;
                let created = tokio::fs::OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .open(&path)
                    .await;
                Some(Part {
                    id,
                    path,
                    file: created.map_err(unwritable)?,
                    vault: Arc::clone(vault),
                    kept: false,
                })
            }
        };
        Ok(Self {
            file,
            bytes: 0,
            _turn: turn,
        })
    }

    pub(super) async fn write(&mut self, audio: &[u8]) -> Result<(), PostError> {
        self.bytes += audio.len() as u64;
        match &mut self.file {
            Some(part) => part.file.write_all(audio).await.map_err(unwritable),
            None => Ok(()),
        }
    }

    /// Makes it a recording of the call. The same conversation's audio is kept once.
    pub(super) async fn keep(
        self,
        app: &App,
        call: CallId,
        event: &ConversationEvent,
    ) -> Result<(), PostError> {
        let Some(mut part) = self.file else {
            return Ok(());
        };
        if !keeps_audio(app, call).await {
            return Ok(());
        }
        part.file.flush().await.map_err(unwritable)?;
        part.file.sync_all().await.map_err(unwritable)?;
        let name = event
            .conversation_id
            .clone()
            .unwrap_or_else(|| part.id.clone());
        let kept = part
            .vault
            .keep_received(call, name.clone(), part.id.clone(), self.bytes)
            .await?;
        // Where the same recording is kept already, this copy goes.
        part.kept = kept == part.id;
        let recording = Recording {
            id: name,
            state: RecordingState::Completed,
            duration_s: None,
            url: Some(format!("/api/recordings/{kept}")),
            error: None,
        };
        let fact = Fact::RecordingChanged { recording };
        app.core
            .switchboard
            .post(Target::Past(call), vec![fact])
            .await?;
        Ok(())
    }
}

/// Whether the route of a call keeps audio. Asked only now, because a body may name its conversation
/// after the sound; what has been received then goes with its [`Part`]. In doubt nothing is kept.
async fn keeps_audio(app: &App, call: CallId) -> bool {
    let call = app.core.call_ever(call).await;
    call.is_some_and(|call| call.facts.store.keeps_audio())
}

fn unwritable(error: std::io::Error) -> PostError {
    PostError::Store(StoreError::Write(error.to_string()))
}
