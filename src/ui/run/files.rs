//! Files the operator takes along: copies and exports. Private to the user, written whole or not at
//! all, never through somebody else's link.

use std::fs::{DirBuilder, OpenOptions, Permissions, rename, set_permissions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Writes a file into a folder of its own. Returns its path, or why it could not be written.
pub(super) fn write(dir: &Path, name: &str, text: &str) -> Result<String, String> {
    let path = dir.join(name);
    let fresh = dir.join(format!(".{name}.{}", std::process::id()));
    let attempt = || -> std::io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        set_permissions(dir, Permissions::from_mode(0o700))?;
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&fresh)?;
        file.write_all(text.as_bytes())?;
        rename(&fresh, &path)
    };
    match attempt() {
        Ok(()) => Ok(path.display().to_string()),
        Err(error) => Err(format!("{} cannot be written: {error}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_private_and_replaced_whole() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("wallboard").join("files");
        for text in ["a longer text", "short"] {
            let path = write(&dir, "copied.txt", text).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);
        let blocked = home.path().join("file");
        std::fs::write(&blocked, "x").unwrap();
        assert!(
            write(&blocked, "a", "b")
                .unwrap_err()
                .contains("cannot be written")
        );
    }
}
