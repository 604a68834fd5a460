//! The data directory as this machine's verbs see it: lock, `backend.json`, the admin token.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::call::Secret;
use crate::engine::random;

use super::{Failure, Outcome};

const LOCK: &str = "lock";
const BACKEND: &str = "backend.json";
const TOKEN: &str = "token";

/// Where the running backend of a data directory can be found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BackendFile {
    pub url: String,
    pub pid: u32,
}

/// The exclusive use of a data directory, for as long as this lives.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    #[expect(dead_code, reason = "holds the lock until dropped")]
    lock: File,
}

impl DataDir {
    /// Makes the directory (0700) if needed and takes it for this process.
    ///
    /// # Errors
    /// It cannot be made or written, or another wallboard is using it.
    pub fn take(path: &Path) -> Outcome<Self> {
        make_private(path).map_err(|error| {
            Failure::failed(
                format!(
                    "the data directory {} cannot be used: {error}",
                    path.display()
                ),
                "give another with --data-dir, or mend its owner and permissions",
            )
        })?;
        let lock = open_private(&path.join(LOCK)).map_err(|error| {
            Failure::failed(
                format!(
                    "the data directory {} cannot be written: {error}",
                    path.display()
                ),
                "give another with --data-dir, or mend its owner and permissions",
            )
        })?;
        if lock.try_lock().is_err() {
            let owner = read_backend(path)
                .map(|backend| format!(" (process {}, {})", backend.pid, backend.url))
                .unwrap_or_default();
            return Err(Failure::failed(
                format!("another wallboard uses {}{owner}", path.display()),
                "attach to it with `wallboard attach`, stop it, or give another --data-dir",
            ));
        }
        Ok(Self {
            path: path.to_owned(),
            lock,
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Says where the backend listens; read by the verbs of this machine.
    pub fn announce(&self, url: &str) -> std::io::Result<()> {
        let file = BackendFile {
            url: url.to_owned(),
            pid: std::process::id(),
        };
        let text = serde_json::to_string(&file).unwrap_or_default();
        write_private(&self.path.join(BACKEND), &text)
    }

    /// The admin token: the one given, else the one on file, else a new one that is then on file.
    pub fn admin_token(&self, given: Option<&Secret>) -> std::io::Result<Secret> {
        if let Some(given) = given {
            return Ok(given.clone());
        }
        let path = self.path.join(TOKEN);
        match std::fs::read_to_string(&path) {
            Ok(text) if !text.trim().is_empty() => Ok(Secret::new(text.trim())),
            _ => {
                use base64::Engine;
                let bytes = random::<24>();
                let token = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
                let token = format!("wb_{token}");
                write_private(&path, &token)?;
                Ok(Secret::new(token))
            }
        }
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        // Gone already is as good.
        let _gone = std::fs::remove_file(self.path.join(BACKEND));
    }
}

/// The backend that runs on this data directory, as it announced itself.
pub fn read_backend(data_dir: &Path) -> Option<BackendFile> {
    let text = std::fs::read_to_string(data_dir.join(BACKEND)).ok()?;
    serde_json::from_str(&text).ok()
}

/// Whether no process has this number here. One in another container may have it there.
#[cfg(unix)]
pub fn is_gone(pid: i32) -> bool {
    let probe = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None);
    probe == Err(nix::errno::Errno::ESRCH)
}

#[cfg(not(unix))]
pub fn is_gone(_pid: i32) -> bool {
    false
}

/// The admin token on file, for this machine's own verbs.
pub fn read_token(data_dir: &Path) -> Option<Secret> {
    let text = std::fs::read_to_string(data_dir.join(TOKEN)).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| Secret::new(text))
}

/// Makes a directory that only its owner may enter; an existing one is left as it is.
pub fn make_private(path: &Path) -> std::io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(path)
}

/// Whether this is a directory of this user's own that nobody else may enter.
#[cfg(unix)]
pub fn is_private(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    path.symlink_metadata().is_ok_and(|data| {
        // The six bits of the others are the lowest.
        let ours = data.uid() == nix::unistd::geteuid().as_raw();
        data.is_dir() && ours && data.mode().trailing_zeros() >= 6
    })
}

#[cfg(not(unix))]
pub fn is_private(path: &Path) -> bool {
    path.is_dir()
}

fn open_private(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)
}

/// Writes a file that only its owner may read, whole or not at all.
pub fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let aside = path.with_extension("new");
    let mut file = open_private(&aside)?;
    file.set_len(0)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&aside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_data_directory_serves_one_process() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("data");
        let first = DataDir::take(&path).expect("free");
        first.announce("http://127.0.0.1:1").expect("written");
        let second = DataDir::take(&path).expect_err("taken");
        assert!(second.message.contains("127.0.0.1:1"), "{second}");
        drop(first);
        assert!(read_backend(&path).is_none());
        DataDir::take(&path).expect("free again");
    }

    #[test]
    fn the_admin_token_stays_the_same_and_private() {
        let dir = tempfile::tempdir().expect("a directory");
        let data = DataDir::take(&dir.path().join("data")).expect("free");
        let first = data.admin_token(None).expect("made");
        assert_eq!(data.admin_token(None).expect("read"), first);
        assert_eq!(read_token(data.path()), Some(first));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode();
            assert_eq!(mode(&data.path().join(TOKEN)) & 0o777, 0o600);
            assert_eq!(mode(data.path()) & 0o777, 0o700);
        }
    }
}
