//! Bearer tokens: who may do what. A token is shown once, when it is made; the server keeps its
//! SHA-256, and compares in constant time. The file of hashes is read again when it changes, so a
//! token can be made or revoked while the server runs.
//!
//! A token is 32 random bytes, so one round of a fast hash is enough: there is nothing to guess.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::store::write_durably;
use crate::exit::{Failure, Result};
use crate::lock::StateLock;

/// How a token begins, so that scanners for leaked secrets know it.
const PREFIX: &str = "flow_";

/// Random bytes of a token.
const SECRET_BYTES: usize = 32;

/// What a caller may do; each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Look at everything.
    Read,
    /// Submit, pause, resume and stop jobs, and write to streams.
    Write,
    /// Drop jobs and their state.
    Admin,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scope::Read => "read",
            Scope::Write => "write",
            Scope::Admin => "admin",
        })
    }
}

/// A token as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TokenRecord {
    /// Names it in lists and in the audit log.
    pub id: String,
    /// For people: whose it is, or what for.
    pub note: String,
    /// What it allows.
    pub scope: Scope,
    /// SHA-256 of the token, hexadecimal.
    pub hash: String,
    /// When it was made, milliseconds since 1970.
    pub created_ms: i64,
}

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The token's id, or `local` on a server without tokens.
    pub id: String,
    /// What it may do.
    pub scope: Scope,
}

/// The tokens of a data folder.
pub struct Tokens {
    path: PathBuf,
    known: RwLock<Known>,
    /// One that ends with the process.
    passing: Option<TokenRecord>,
}

#[derive(Default)]
struct Known {
    /// Modification time and length of the file that was read.
    stamp: Option<(SystemTime, u64)>,
    records: Arc<Vec<TokenRecord>>,
}

impl Tokens {
    /// The tokens kept in a server's own folder.
    ///
    /// # Errors
    /// If the file is there and cannot be read.
    pub fn open(root: &Path) -> Result<Self> {
        let path = root.join("tokens.json");
        let known = Known { stamp: stamp(&path), records: Arc::new(read(&path)?) };
        Ok(Self { path, known: RwLock::new(known), passing: None })
    }

    /// Knows one token more, which is in no file and ends with the process; it is the answer.
    ///
    /// # Errors
    /// If the system has no random bytes.
    pub fn with_passing(mut self, scope: Scope) -> Result<(Self, String)> {
        let token = format!("{PREFIX}{}", random_text(SECRET_BYTES)?);
        let (id, note) = ("passing".to_string(), String::new());
        let record = TokenRecord { id, note, scope, hash: hash(&token), created_ms: 0 };
        self.passing = Some(record.clone());
        let known = self.known.get_mut().unwrap_or_else(|e| e.into_inner());
        Arc::make_mut(&mut known.records).push(record);
        Ok((self, token))
    }

    /// All tokens. When the file cannot be read any more, those known before hold.
    pub fn all(&self) -> Arc<Vec<TokenRecord>> {
        let now = stamp(&self.path);
        {
            let known = self.known.read().unwrap_or_else(|e| e.into_inner());
            if known.stamp == now {
                return known.records.clone();
            }
        }
        let mut known = self.known.write().unwrap_or_else(|e| e.into_inner());
        match read(&self.path) {
            Ok(mut records) => {
                records.extend(self.passing.clone());
                *known = Known { stamp: now, records: Arc::new(records) };
            }
            Err(error) => tracing::warn!("{}", error.message),
        }
        known.records.clone()
    }

    /// Whose token this is. The time it takes does not depend on how much of a token is right.
    pub fn caller(&self, token: &str) -> Option<Caller> {
        let hash = hash(token);
        let mut caller = None;
        for record in self.all().iter() {
            if bool::from(record.hash.as_bytes().ct_eq(hash.as_bytes())) {
                caller = Some(Caller { id: record.id.clone(), scope: record.scope });
            }
        }
        caller
    }
}

/// Makes a token and keeps its hash in a server's own folder; the token itself is the answer.
///
/// # Errors
/// If the file cannot be read or written.
pub fn create(root: &Path, scope: Scope, note: &str, now_ms: i64) -> Result<(TokenRecord, String)> {
    let id = random_text(6)?;
    let token = format!("{PREFIX}{}", random_text(SECRET_BYTES)?);
    let record =
        TokenRecord { id, note: note.into(), scope, hash: hash(&token), created_ms: now_ms };
    change(root, |records| {
        records.push(record.clone());
        Ok(())
    })?;
    Ok((record, token))
}

/// Takes a token's rights away.
///
/// # Errors
/// If there is none of this id, or the file cannot be written.
pub fn revoke(root: &Path, id: &str) -> Result {
    change(root, |records| {
        let before = records.len();
        records.retain(|record| record.id != id);
        match records.len() < before {
            true => Ok(()),
            false => Err(Failure::failed(format!("there is no token {id}"))),
        }
    })
}

/// Changes the file; commands that do so at once come one after the other.
fn change(root: &Path, act: impl FnOnce(&mut Vec<TokenRecord>) -> Result) -> Result {
    let _lock = StateLock::take_or(&root.join("tokens.lock"), |pid| {
        format!("process {pid} changes the tokens; try again")
    })?;
    let path = root.join("tokens.json");
    let mut records = read(&path)?;
    act(&mut records)?;
    let text = serde_json::to_vec_pretty(&records).map_err(Failure::failed)?;
    write_durably(&path, &text)
}

fn read(path: &Path) -> Result<Vec<TokenRecord>> {
    let told = |e: String| {
        Failure::failed(format!("the tokens in {} cannot be read: {e}", path.display()))
    };
    match std::fs::read(path) {
        Ok(text) => serde_json::from_slice(&text).map_err(|e| told(e.to_string())),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(told(e.to_string())),
    }
}

fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.modified().ok()?, meta.len()))
}

fn hash(token: &str) -> String {
    Sha256::digest(token.as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
}

/// Random bytes from the system as text.
///
/// # Errors
/// If the system has none.
pub fn random_text(bytes: usize) -> Result<String> {
    let mut random = vec![0; bytes];
    getrandom::fill(&mut random).map_err(Failure::failed)?;
    Ok(URL_SAFE_NO_PAD.encode(random))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_hash_and_until_it_is_revoked() {
        let root = tempfile::tempdir().unwrap();
        let tokens = Tokens::open(root.path()).unwrap();
        assert!(tokens.caller("flow_x").is_none());
        let (record, token) = create(root.path(), Scope::Write, "ci", 7).unwrap();
        let file = std::fs::read_to_string(root.path().join("tokens.json")).unwrap();
        assert!(!file.contains(&token), "only its hash is kept");
        let caller = tokens.caller(&token).unwrap();
        assert_eq!(caller, Caller { id: record.id.clone(), scope: Scope::Write });
        assert!(tokens.caller(&token[..token.len() - 1]).is_none());
        revoke(root.path(), &record.id).unwrap();
        assert!(tokens.caller(&token).is_none());
        assert!(revoke(root.path(), &record.id).is_err());
    }

    #[test]
    fn a_passing_token_is_in_no_file_and_stays_when_the_file_changes() {
        let root = tempfile::tempdir().unwrap();
        let (tokens, token) = Tokens::open(root.path()).unwrap().with_passing(Scope::Read).unwrap();
        assert!(!root.path().join("tokens.json").exists());
        let (_, kept) = create(root.path(), Scope::Write, "ci", 7).unwrap();
        assert_eq!(tokens.caller(&kept).map(|c| c.scope), Some(Scope::Write));
        assert_eq!(tokens.caller(&token).map(|c| c.scope), Some(Scope::Read));
    }

    #[test]
    fn scopes_include_the_lesser_ones() {
        assert!(Scope::Admin > Scope::Write && Scope::Write > Scope::Read);
    }
}
