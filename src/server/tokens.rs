//! The token file `data.dir/tokens.json`: who may do what. Only SHA-256 sums of tokens are kept.
//! The command line edits it; a running server notices within a second.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::call::{Grant, Role, Verb};
use crate::engine::random;
use crate::providers::hex;

/// What every token of ours begins with, so that a leaked one is recognised.
pub const TOKEN_PREFIX: &str = "wb_";

/// SHA-256 of a token.
pub type TokenSum = [u8; 32];

/// One named token, without the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    pub name: String,
    /// Lower-case hex SHA-256 of the token.
    pub sha256: String,
    pub role: Role,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub plus: BTreeSet<Verb>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub minus: BTreeSet<Verb>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leads: Option<BTreeSet<String>>,
    pub created_at: DateTime<Utc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<DateTime<Utc>>,
}

impl TokenRecord {
    pub fn grant(&self) -> Grant {
        Grant {
            user: self.name.clone(),
            role: self.role,
            plus: self.plus.clone(),
            minus: self.minus.clone(),
            leads: self.leads.clone(),
            expires_at: self.expires_at,
        }
    }

    /// Neither revoked nor past its end.
    pub fn is_good_at(&self, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }

    pub(super) fn sum(&self) -> Option<TokenSum> {
        let digits = self.sha256.as_bytes();
        if digits.len() != 64 {
            return None;
        }
        let mut sum = [0; 32];
        for (byte, pair) in sum.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(sum)
    }
}

/// Why the token file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("{} cannot be read or written: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is not a token file: {source}", path.display())]
    Malformed {
        path: PathBuf,
        source: serde_json::Error,
    },
    #[error("a token named {0} exists already; revoke it first")]
    Exists(String),
    #[error("there is no token named {0}")]
    Unknown(String),
}

#[derive(Default, Serialize, Deserialize)]
struct TokenFile {
    v: u8,
    #[serde(default)]
    tokens: Vec<TokenRecord>,
}

/// The file of named tokens. Cheap to make; every operation reads the file anew.
#[derive(Clone, Debug)]
pub struct TokenStore {
    path: PathBuf,
}

impl TokenStore {
    /// The store in this data directory; nothing is created until a token is added.
    pub fn in_dir(data_dir: &Path) -> Self {
        Self {
            path: data_dir.join("tokens.json"),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All tokens, revoked ones included. No file is no tokens.
    pub fn load(&self) -> Result<Vec<TokenRecord>, TokenError> {
        match fs::read(&self.path) {
            Ok(bytes) => serde_json::from_slice::<TokenFile>(&bytes)
                .map(|file| file.tokens)
                .map_err(|source| TokenError::Malformed {
                    path: self.path.clone(),
                    source,
                }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(self.io(error)),
        }
    }

    /// The tokens that are good at `now`, by name.
    pub fn list(&self, now: DateTime<Utc>) -> Result<Vec<TokenRecord>, TokenError> {
        let mut tokens = self.load()?;
        tokens.retain(|token| token.is_good_at(now));
        tokens.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(tokens)
    }

    /// Adds a token for `grant.user` and returns it; this is the only time it is seen.
    pub fn add(&self, grant: Grant, now: DateTime<Utc>) -> Result<String, TokenError> {
        let _lock = self.lock()?;
        let mut tokens = self.load()?;
        if tokens
            .iter()
            .any(|token| token.name == grant.user && token.is_good_at(now))
        {
            return Err(TokenError::Exists(grant.user));
        }
        let secret = new_token();
        tokens.push(TokenRecord {
            name: grant.user,
            sha256: hex(&sum_of(&secret)),
            role: grant.role,
            plus: grant.plus,
            minus: grant.minus,
            leads: grant.leads,
            created_at: now,
            expires_at: grant.expires_at,
            revoked_at: None,
        });
        self.write(tokens)?;
        Ok(secret)
    }

    /// Revokes the token of this name. Open sockets are cut within two seconds.
    pub fn revoke(&self, name: &str, now: DateTime<Utc>) -> Result<(), TokenError> {
        let _lock = self.lock()?;
        let mut tokens = self.load()?;
        let mut found = false;
        for token in &mut tokens {
            if token.name == name && token.revoked_at.is_none() {
                token.revoked_at = Some(now);
                found = true;
            }
        }
        if !found {
            return Err(TokenError::Unknown(name.to_owned()));
        }
        self.write(tokens)
    }

    fn io(&self, source: io::Error) -> TokenError {
        TokenError::Io {
            path: self.path.clone(),
            source,
        }
    }

    /// One writer at a time, across processes; released when the file is dropped.
    fn lock(&self) -> Result<File, TokenError> {
        let path = self.path.with_extension("lock");
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir).map_err(|error| self.io(error))?;
        }
        let file = private(OpenOptions::new().create(true).write(true).truncate(false))
            .open(&path)
            .map_err(|error| self.io(error))?;
        file.lock().map_err(|error| self.io(error))?;
        Ok(file)
    }

    /// Replaces the file whole, so that a reader never sees half of it.
    fn write(&self, tokens: Vec<TokenRecord>) -> Result<(), TokenError> {
        let draft = self.path.with_extension("new");
        let write = || -> io::Result<()> {
            let text = serde_json::to_vec_pretty(&TokenFile { v: 1, tokens })?;
            let mut file =
                private(OpenOptions::new().create(true).write(true).truncate(true)).open(&draft)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&draft, &self.path)
        };
        write().map_err(|error| self.io(error))
    }
}

/// SHA-256 of a presented token.
pub fn sum_of(token: &str) -> TokenSum {
    Sha256::digest(token.as_bytes()).into()
}

/// A fresh token: 192 bits.
pub fn new_token() -> String {
    format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(random::<24>()))
}

#[cfg(unix)]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;
    options.mode(0o600)
}

#[cfg(not(unix))]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-21T04:00:00Z".parse().unwrap()
    }

    #[test]
    fn only_the_sum_of_a_token_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let store = TokenStore::in_dir(dir.path());
        let token = store.add(Grant::of("ana", Role::Operator), now()).unwrap();
        assert!(token.starts_with(TOKEN_PREFIX) && token.len() == 35);
        let text = fs::read_to_string(store.path()).unwrap();
        assert!(!text.contains(&token));
        assert_eq!(store.load().unwrap()[0].sum(), Some(sum_of(&token)));
    }

    #[test]
    fn a_name_is_free_again_after_its_token_was_revoked() {
        let dir = tempfile::tempdir().unwrap();
        let store = TokenStore::in_dir(dir.path());
        store.add(Grant::of("ana", Role::Viewer), now()).unwrap();
        assert!(matches!(
            store.add(Grant::of("ana", Role::Admin), now()),
            Err(TokenError::Exists(_))
        ));
        store.revoke("ana", now()).unwrap();
        assert!(store.list(now()).unwrap().is_empty());
        assert!(matches!(
            store.revoke("ana", now()),
            Err(TokenError::Unknown(_))
        ));
        store.add(Grant::of("ana", Role::Admin), now()).unwrap();
        assert_eq!(store.list(now()).unwrap().len(), 1);
    }
}
