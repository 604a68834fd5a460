//! Opening the data folder: private, by one backend at a time, and never silently empty. A damaged
//! file is set aside under a name that says when; a file of a newer version is refused.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::engine::{Clock, Tasks};

use super::journal::SqliteJournal;
use super::{recordings, schema};

/// The database inside the data folder.
pub(super) const FILE: &str = "wallboard.db";
/// Held while a backend runs.
const LOCK: &str = "wallboard.lock";
const LOCK_TRIES: u32 = 20;
const LOCK_EVERY: Duration = Duration::from_millis(50);
/// First bytes of every SQLite 3 file (SQLite file format, §1.3).
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// Up to this size the whole file is checked at every start.
const CHECKED_WHOLE: u64 = 32 * 1024 * 1024;

/// Why the data folder cannot be used, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum StoreOpenError {
    #[error("cannot use the data folder {}: {source}; make it writable for this user, or set data.dir", path.display())]
    Folder {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("another wallboard uses {}; stop it, attach to it, or set another data.dir", path.display())]
    InUse { path: PathBuf },
    #[error("{} was written by a newer wallboard (format {found}, this one knows {known}); update wallboard, or set another data.dir", path.display())]
    Newer {
        path: PathBuf,
        found: i64,
        known: i64,
    },
    #[error("{} is a database of another program; set another data.dir", path.display())]
    NotOurs { path: PathBuf },
    #[error("cannot open {}: {source}; check the disk and the rights of this user", path.display())]
    Database {
        path: PathBuf,
        #[source]
        source: rusqlite::Error,
    },
}

/// What happened while opening that somebody should know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// A damaged file was moved here, and the journal starts empty.
    pub set_aside: Option<PathBuf>,
    /// The file was of this older version and has been brought up to date.
    pub migrated_from: Option<i64>,
}

/// Opens (or creates) the journal in `dir` and starts its writing thread. Blocks for as long as it
/// takes, a second at most when another backend holds the folder.
///
/// # Errors
/// [`StoreOpenError`] says what is wrong and how to mend it.
pub fn open(dir: &Path, tasks: &Tasks, clock: Clock) -> Result<SqliteJournal, StoreOpenError> {
    private_folder(dir)?;
    let lock = lock(dir)?;
    let unfinished = recordings::clear_unfinished(dir);
    if unfinished > 0 {
        tracing::info!(
            unfinished,
            "recordings that were cut short are cleared away"
        );
    }
    let path = dir.join(FILE);
    let mut opened = Opened::default();
    let connection = match connect(&path, &mut opened) {
        Err(Refused::Damaged(why)) => {
            let aside = set_aside(&path, clock)?;
            tracing::error!(%why, aside = %aside.display(),
                "the journal is damaged and was set aside; starting with an empty one");
            opened.set_aside = Some(aside);
            connect(&path, &mut opened).map_err(|refused| refused.into_error(&path))?
        }
        other => other.map_err(|refused| refused.into_error(&path))?,
    };
    SqliteJournal::start(dir, connection, lock, opened, tasks, clock)
        .map_err(|source| StoreOpenError::Database { path, source })
}

enum Refused {
    Damaged(String),
    Error(StoreOpenError),
    Sqlite(rusqlite::Error),
}

impl Refused {
    fn into_error(self, path: &Path) -> StoreOpenError {
        match self {
            Self::Error(error) => error,
            Self::Sqlite(source) => StoreOpenError::Database {
                path: path.to_owned(),
                source,
            },
            Self::Damaged(why) => StoreOpenError::Folder {
                path: path.to_owned(),
                source: io::Error::new(io::ErrorKind::InvalidData, why),
            },
        }
    }
}

impl From<rusqlite::Error> for Refused {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Damaged(error.to_string())
            }
            _ => Self::Sqlite(error),
        }
    }
}

fn folder_error(path: &Path) -> impl FnOnce(io::Error) -> StoreOpenError + '_ {
    move |source| StoreOpenError::Folder {
        path: path.to_owned(),
        source,
    }
}

fn private_folder(dir: &Path) -> Result<(), StoreOpenError> {
    fs::create_dir_all(dir).map_err(folder_error(dir))?;
    only_owner(dir, 0o700).map_err(folder_error(dir))
}

/// Takes all rights from everybody but the owner.
#[cfg(unix)]
pub(super) fn only_owner(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if fs::metadata(path)?.permissions().mode() & 0o777 == mode {
        return Ok(());
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

/// Other systems keep a user's data folder private by themselves.
#[cfg(not(unix))]
pub(super) fn only_owner(_path: &Path, _mode: u32) -> io::Result<()> {
    Ok(())
}

/// Options for a file nobody else may read.
pub(super) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options
}

fn lock(dir: &Path) -> Result<File, StoreOpenError> {
    let path = dir.join(LOCK);
    let file = private_file()
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(folder_error(&path))?;
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            // A backend that was just told to end may still be writing its last rows.
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_EVERY),
            Err(TryLockError::Error(source)) => {
                return Err(StoreOpenError::Folder { path, source });
            }
        }
    }
    Err(StoreOpenError::InUse {
        path: dir.to_owned(),
    })
}

/// Opens the file for writing, checks it and brings it up to date.
/// Keeps the plan of a statement whatever is bound to it. Else each new value makes SQLite parse and
/// plan the statement anew (with `ENABLE_STAT4`, which the bundled library is built with).
pub(super) fn plan_once(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

fn connect(path: &Path, opened: &mut Opened) -> Result<Connection, Refused> {
    let io_error = |source| Refused::Error(folder_error(path)(source));
    private_file()
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(io_error)?;
    only_owner(path, 0o600).map_err(io_error)?;
    plausible(path)
        .map_err(io_error)?
        .map_err(Refused::Damaged)?;
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(Duration::from_secs(5))?;
    plan_once(&connection)?;
    let application: i64 =
        connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let found = schema::version(&connection)?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))?;
    let blank = tables == 0 && found == 0 && application == 0;
    if !blank && application != schema::APPLICATION_ID {
        return Err(Refused::Error(StoreOpenError::NotOurs {
            path: path.to_owned(),
        }));
    }
    if found > schema::VERSION {
        return Err(Refused::Error(StoreOpenError::Newer {
            path: path.to_owned(),
            found,
            known: schema::VERSION,
        }));
    }
    check(&connection, path)?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = ON;
         PRAGMA secure_delete = ON;
         PRAGMA journal_size_limit = 67108864;",
    )?;
    connection.set_prepared_statement_cache_capacity(64);
    if found < schema::VERSION {
        if !blank {
            keep_copy(&connection, path, found)?;
            opened.migrated_from = Some(found);
        }
        schema::migrate(&connection)?;
    }
    Ok(connection)
}

/// Whether the file can be one of ours at all: empty, or with SQLite's first bytes and as long as
/// its header says.
fn plausible(path: &Path) -> io::Result<Result<(), String>> {
    let mut header = [0; 100];
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    if length == 0 {
        return Ok(Ok(()));
    }
    if file.read_exact(&mut header).is_err() || header.get(..16) != Some(MAGIC.as_slice()) {
        return Ok(Err("the file does not begin like a database".into()));
    }
    let field = |range: std::ops::Range<usize>| {
        header
            .get(range)
            .unwrap_or_default()
            .iter()
            .fold(0_u64, |value, byte| (value << 8) | u64::from(*byte))
    };
    // File format §1.3: page size at 16 (1 means 65536), size in pages at 28.
    let page = match field(16..18) {
        1 => 65_536,
        size => size,
    };
    let pages = field(28..32);
    let log = path.with_extension("db-wal");
    let has_log = fs::metadata(&log).is_ok_and(|log| log.len() > 0);
    if !has_log && length < page * pages {
        return Ok(Err(format!(
            "the file is cut off: {length} of {} bytes",
            page * pages
        )));
    }
    Ok(Ok(()))
}

fn check(connection: &Connection, path: &Path) -> Result<(), Refused> {
    if fs::metadata(path).is_ok_and(|file| file.len() > CHECKED_WHOLE) {
        // A large file is checked page by page as it is used; a start must not take minutes.
        return Ok(());
    }
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" {
        return Ok(());
    }
    Err(Refused::Damaged(verdict))
}

/// A copy of the file as the older version left it, before it is changed.
fn keep_copy(connection: &Connection, path: &Path, version: i64) -> Result<(), Refused> {
    let copy = path.with_extension(format!("db.v{version}"));
    // Left over from a migration that did not finish: the file is still the older one.
    if copy.exists() {
        return Ok(());
    }
    connection.execute("VACUUM INTO ?1", [copy.to_string_lossy()])?;
    only_owner(&copy, 0o600).map_err(|source| Refused::Error(folder_error(&copy)(source)))
}

/// Moves the file and its log away; what is in them may still be saved by hand.
fn set_aside(path: &Path, clock: Clock) -> Result<PathBuf, StoreOpenError> {
    let stamp = clock.now().format("%Y%m%dT%H%M%S%.3f");
    let aside = path.with_extension(format!("db.corrupt-{stamp}"));
    fs::rename(path, &aside).map_err(folder_error(path))?;
    for tail in ["-wal", "-shm"] {
        let mut from = path.as_os_str().to_owned();
        from.push(tail);
        let mut to = aside.as_os_str().to_owned();
        to.push(tail);
        match fs::rename(Path::new(&from), Path::new(&to)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(folder_error(Path::new(&from))(error));
            }
            _ => {}
        }
    }
    Ok(aside)
}
