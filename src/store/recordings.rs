//! Recording files: WAVs and MP3s under names of our own making, below one folder, readable by the owner
//! only. No name from outside ever becomes part of a path.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use rusqlite::{OptionalExtension, params};
use uuid::Uuid;

use crate::call::{Call, CallId, Recording, RecordingState};
use crate::engine::{KeptRecording, MissingRecording, RecordingVault, StoreError, random};

use super::journal::SqliteJournal;
use super::open::{only_owner, private_file};
use super::project::Row;
use super::writer::Message;

/// The folder below the data folder.
const FOLDER: &str = "recordings";
const MP3: &str = "mp3";
/// The end of a file's name until it is complete.
const PART: &str = "part";
/// Missing recordings looked for at once.
const MISSING_MAX: u32 = 200;
/// After this a recording that could not be fetched is left with the carrier.
const MISSING_FOR_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// The vault beside a journal. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Recordings {
    journal: SqliteJournal,
}

impl Recordings {
    pub fn new(journal: SqliteJournal) -> Self {
        Self { journal }
    }

    async fn kept_as(&self, call: CallId, recording: String) -> Result<Option<String>, StoreError> {
        self.journal
            .read(move |connection| {
                connection
                    .prepare_cached(
                        "SELECT file_id FROM recordings
                         WHERE call_id = ?1 AND recording = ?2 AND file_id IS NOT NULL",
                    )?
                    .query_row(params![call.to_string(), recording], |row| row.get(0))
                    .optional()
            })
            .await
    }

    async fn keep_new(
        &self,
        call: CallId,
        recording: String,
        audio: Bytes,
    ) -> Result<String, StoreError> {
        if let Some(id) = self.kept_as(call, recording.clone()).await? {
            return Ok(id);
        }
        let clock = self.journal.clock();
        let id = uuid::Builder::from_unix_timestamp_millis(clock.unix_ms(), &random()).into_uuid();
        let (dir, bytes) = (self.journal.dir().to_owned(), audio.len() as u64);
        let written = self
            .journal
            .tasks()
            .spawn_blocking(move || write_file(&dir, id, &audio))
            .await;
        match written {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(StoreError::Write(error.to_string())),
            Err(_) => return Err(StoreError::Write("the journal has stopped".into())),
        }
        let file_id = id.to_string();
        self.note(call, recording, file_id.clone(), bytes).await?;
        Ok(file_id)
    }

    async fn begin_new(&self) -> Result<(String, PathBuf), StoreError> {
        let clock = self.journal.clock();
        let id = uuid::Builder::from_unix_timestamp_millis(clock.unix_ms(), &random()).into_uuid();
        let folder = self.journal.dir().join(FOLDER);
        let part = folder.join(format!("{id}.{PART}"));
        let made = self.journal.tasks().spawn_blocking(move || {
            fs::create_dir_all(&folder)?;
            only_owner(&folder, 0o700)
        });
        match made.await {
            Ok(Ok(())) => Ok((id.to_string(), part)),
            Ok(Err(error)) => Err(StoreError::Write(error.to_string())),
            Err(_) => Err(StoreError::Write("the journal has stopped".into())),
        }
    }

    async fn keep_part(
        &self,
        call: CallId,
        recording: String,
        id: String,
        bytes: u64,
    ) -> Result<String, StoreError> {
        if let Some(known) = self.kept_as(call, recording.clone()).await? {
            return Ok(known);
        }
        let uuid = Uuid::try_parse(&id).map_err(|error| StoreError::Write(error.to_string()))?;
        let folder = self.journal.dir().join(FOLDER);
        let renamed = self.journal.tasks().spawn_blocking(move || {
            let kept = folder.join(format!("{uuid}.{MP3}"));
            only_owner(&folder.join(format!("{uuid}.{PART}")), 0o600)?;
            fs::rename(folder.join(format!("{uuid}.{PART}")), kept)
        });
        match renamed.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(StoreError::Write(error.to_string())),
            Err(_) => return Err(StoreError::Write("the journal has stopped".into())),
        }
        self.note(call, recording, id.clone(), bytes).await?;
        Ok(id)
    }

    /// Writes down that a file is a recording's, and returns once that is on disk.
    async fn note(
        &self,
        call: CallId,
        recording: String,
        file_id: String,
        bytes: u64,
    ) -> Result<(), StoreError> {
        self.journal.send(Message::Row(Box::new(Row::Kept {
            call,
            recording,
            file_id,
            bytes,
            at: self.journal.clock().now().timestamp_millis(),
        })))?;
        self.journal.asked(Message::Flush).await
    }

    async fn look(&self, id: String) -> Result<Option<KeptRecording>, StoreError> {
        // Anything that is not an id of ours is not looked for at all.
        let Ok(uuid) = Uuid::try_parse(&id) else {
            return Ok(None);
        };
        let id = uuid.to_string();
        let asked = id.clone();
        let row: Option<(String, i64)> = self
            .journal
            .read(move |connection| {
                connection
                    .prepare_cached("SELECT call_id, bytes FROM recordings WHERE file_id = ?1")?
                    .query_row([asked], |row| Ok((row.get(0)?, row.get(1)?)))
                    .optional()
            })
            .await?;
        Ok(row.and_then(|(call, bytes)| {
            Some(KeptRecording {
                call: call.parse().ok()?,
                path: file_of(self.journal.dir(), uuid),
                bytes: u64::try_from(bytes).unwrap_or(0),
                id,
            })
        }))
    }

    async fn whole(&self, id: String) -> Result<Option<Bytes>, StoreError> {
        let Some(kept) = self.look(id).await? else {
            return Ok(None);
        };
        let read = self
            .journal
            .tasks()
            .spawn_blocking(move || fs::read(kept.path));
        match read.await {
            Ok(Ok(bytes)) => Ok(Some(bytes.into())),
            Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Ok(Err(error)) => Err(StoreError::Read(error.to_string())),
            Err(_) => Err(StoreError::Read("the journal has stopped".into())),
        }
    }

    async fn unfetched(&self) -> Result<Vec<MissingRecording>, StoreError> {
        let since = self.journal.clock().now().timestamp_millis() - MISSING_FOR_MS;
        self.journal
            .read(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT r.recording, r.duration_s, c.state FROM recordings r
                     JOIN calls c ON c.id = r.call_id
                     WHERE r.file_id IS NULL AND r.state = 'completed' AND r.updated_at > ?1
                     ORDER BY r.updated_at DESC LIMIT ?2",
                )?;
                let rows = statement.query_map(params![since, MISSING_MAX], |row| {
                    let state: String = row.get(2)?;
                    Ok((row.get(0)?, row.get(1)?, state))
                })?;
                let rows: Vec<(String, Option<u32>, String)> = rows.collect::<Result<_, _>>()?;
                Ok(rows.into_iter().filter_map(missing).collect())
            })
            .await
    }
}

fn missing((id, duration_s, state): (String, Option<u32>, String)) -> Option<MissingRecording> {
    let call: Call = serde_json::from_str(&state).ok()?;
    if !call.facts.store.keeps_audio() {
        return None;
    }
    Some(MissingRecording {
        call: call.id,
        carrier: call.facts.carrier,
        carrier_call_id: call.facts.carrier_call_id?,
        recording: Recording {
            id,
            state: RecordingState::Completed,
            duration_s,
            url: None,
            error: None,
        },
    })
}

/// Where a new WAV goes.
fn wav_of(dir: &Path, id: Uuid) -> PathBuf {
    dir.join(FOLDER).join(format!("{id}.wav"))
}

/// Where a kept file is: what agent vendors send is MP3, all else is WAV.
fn file_of(dir: &Path, id: Uuid) -> PathBuf {
    let mp3 = dir.join(FOLDER).join(format!("{id}.{MP3}"));
    if mp3.is_file() { mp3 } else { wav_of(dir, id) }
}

/// Writes a new file under its final name only once it is complete and on disk.
fn write_file(dir: &Path, id: Uuid, audio: &[u8]) -> io::Result<()> {
    let folder = dir.join(FOLDER);
    fs::create_dir_all(&folder)?;
    only_owner(&folder, 0o700)?;
    let part = folder.join(format!("{id}.{PART}"));
    // `create_new` follows no link and overwrites nothing.
    let mut file = private_file().create_new(true).open(&part)?;
    let written = file.write_all(audio).and_then(|()| file.sync_all());
    if let Err(error) = written {
        fs::remove_file(&part).ok();
        return Err(error);
    }
    fs::rename(&part, wav_of(dir, id))
}

/// Removes what was being received when an earlier run was killed: files under names of ours that
/// nothing refers to. Only the backend that holds the folder may ask for it. Returns how many went.
pub(super) fn clear_unfinished(dir: &Path) -> usize {
    // No folder: nothing has ever been recorded.
    let Ok(entries) = fs::read_dir(dir.join(FOLDER)) else {
        return 0;
    };
    let stale = entries.filter_map(|entry| {
        let path = entry.ok()?.path();
        let stem = path.file_stem()?.to_str()?;
        let is_part = path.extension().is_some_and(|end| end == PART);
        (is_part && Uuid::try_parse(stem).is_ok()).then_some(path)
    });
    stale
        .filter(|path| match fs::remove_file(path) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, file = %path.display(), "an unfinished recording stays");
                false
            }
        })
        .count()
}

/// Removes a file of ours; a file that is gone already counts as removed.
pub(super) fn remove_file(dir: &Path, id: &str) -> bool {
    let Ok(id) = Uuid::try_parse(id) else {
        return false;
    };
    match fs::remove_file(file_of(dir, id)) {
        Ok(()) => true,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

impl RecordingVault for Recordings {
    fn keep(
        &self,
        call: CallId,
        recording: String,
        audio: Bytes,
    ) -> BoxFuture<'static, Result<String, StoreError>> {
        let vault = self.clone();
        Box::pin(async move { vault.keep_new(call, recording, audio).await })
    }

    fn begin(&self) -> BoxFuture<'static, Result<(String, PathBuf), StoreError>> {
        let vault = self.clone();
        Box::pin(async move { vault.begin_new().await })
    }

    fn keep_received(
        &self,
        call: CallId,
        recording: String,
        id: String,
        bytes: u64,
    ) -> BoxFuture<'static, Result<String, StoreError>> {
        let vault = self.clone();
        Box::pin(async move { vault.keep_part(call, recording, id, bytes).await })
    }

    fn find(&self, id: String) -> BoxFuture<'static, Result<Option<KeptRecording>, StoreError>> {
        let vault = self.clone();
        Box::pin(async move { vault.look(id).await })
    }

    fn read(&self, id: String) -> BoxFuture<'static, Result<Option<Bytes>, StoreError>> {
        let vault = self.clone();
        Box::pin(async move { vault.whole(id).await })
    }

    fn missing(&self) -> BoxFuture<'static, Result<Vec<MissingRecording>, StoreError>> {
        let vault = self.clone();
        Box::pin(async move { vault.unfetched().await })
    }
}
