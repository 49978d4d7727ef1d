//! A cache in front of any registry. An id means the same schema for ever, so `by_id` asks once;
//! the latest version of a subject is remembered for [`LATEST_TTL`]. That something is not there is
//! never remembered: it may be registered the next moment. No lock is held while the registry is
//! asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::{CompatibilityLevel, RegisteredSchema, Registry, Result, Schema, Verdict};

/// How long the latest version of a subject is believed to be the latest.
pub const LATEST_TTL: Duration = Duration::from_secs(5);

/// Gives the time; tests give their own.
type Clock = Box<dyn Fn() -> Instant + Send + Sync>;

/// A registry with a memory.
pub struct Cached {
    inner: Arc<dyn Registry>,
    clock: Clock,
    /// Grows to the number of schemas that the registry has, since unknown ids are not kept.
    by_id: Mutex<HashMap<u32, Schema>>,
    /// With the time of the answer.
    latest: Mutex<HashMap<String, (Instant, RegisteredSchema)>>,
}

impl Cached {
    /// A cache in front of `inner`.
    pub fn new(inner: Arc<dyn Registry>) -> Cached {
        Cached::with_clock(inner, Box::new(Instant::now))
    }

    fn with_clock(inner: Arc<dyn Registry>, clock: Clock) -> Cached {
        Cached { inner, clock, by_id: Mutex::default(), latest: Mutex::default() }
    }
}

/// The maps are sound after a panic of another thread: each change is one insert or remove.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Registry for Cached {
    fn address(&self) -> &str {
        self.inner.address()
    }

    fn subjects(&self) -> Result<Vec<String>> {
        self.inner.subjects()
    }

    fn versions(&self, subject: &str) -> Result<Vec<u32>> {
        self.inner.versions(subject)
    }

    fn version(&self, subject: &str, version: u32) -> Result<Option<RegisteredSchema>> {
        self.inner.version(subject, version)
    }

    fn latest(&self, subject: &str) -> Result<Option<RegisteredSchema>> {
        let now = (self.clock)();
        if let Some((since, found)) = locked(&self.latest).get(subject)
            && now.saturating_duration_since(*since) < LATEST_TTL
        {
            return Ok(Some(found.clone()));
        }
        let found = self.inner.latest(subject)?;
        let mut latest = locked(&self.latest);
        match &found {
            Some(schema) => latest.insert(subject.to_owned(), (now, schema.clone())),
            None => latest.remove(subject),
        };
        Ok(found)
    }

    fn by_id(&self, id: u32) -> Result<Option<Schema>> {
        if let Some(schema) = locked(&self.by_id).get(&id) {
            return Ok(Some(schema.clone()));
        }
        let found = self.inner.by_id(id)?;
        if let Some(schema) = &found {
            locked(&self.by_id).insert(id, schema.clone());
        }
        Ok(found)
    }

    fn register(&self, subject: &str, schema: &Schema) -> Result<u32> {
        let id = self.inner.register(subject, schema);
        locked(&self.latest).remove(subject);
        id
    }

    fn compatibility(&self, subject: &str) -> Result<CompatibilityLevel> {
        self.inner.compatibility(subject)
    }

    fn check_compatible(&self, subject: &str, schema: &Schema) -> Result<Verdict> {
        self.inner.check_compatible(subject, schema)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::FolderRegistry;

    /// A cache over a folder that a second client writes to, with a clock that is set by hand.
    struct Bench {
        _dir: tempfile::TempDir,
        other: FolderRegistry,
        cached: Cached,
        seconds: Arc<AtomicU64>,
    }

    fn bench() -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let other = FolderRegistry::open(dir.path()).unwrap();
        let inner = Arc::new(FolderRegistry::open(dir.path()).unwrap());
        let seconds = Arc::new(AtomicU64::new(0));
        let (start, read) = (Instant::now(), Arc::clone(&seconds));
        let clock = move || start + Duration::from_secs(read.load(Ordering::SeqCst));
        let cached = Cached::with_clock(inner, Box::new(clock));
        Bench { _dir: dir, other, cached, seconds }
    }

    #[test]
    fn the_latest_version_is_remembered_for_a_while() {
        let bench = bench();
        let version = || bench.cached.latest("s").unwrap().map(|found| found.version);
        assert_eq!(version(), None);
        bench.other.register("s", &Schema::avro("\"int\"")).unwrap();
        assert_eq!(version(), Some(1), "that there is none is not remembered");
        bench.other.register("s", &Schema::avro("\"long\"")).unwrap();
        bench.seconds.store(LATEST_TTL.as_secs() - 1, Ordering::SeqCst);
        assert_eq!(version(), Some(1));
        bench.seconds.store(LATEST_TTL.as_secs(), Ordering::SeqCst);
        assert_eq!(version(), Some(2));
    }

    #[test]
    fn ones_own_registration_is_seen_at_once() {
        let bench = bench();
        bench.cached.register("s", &Schema::avro("\"int\"")).unwrap();
        assert_eq!(bench.cached.latest("s").unwrap().unwrap().version, 1);
        bench.cached.register("s", &Schema::avro("\"long\"")).unwrap();
        assert_eq!(bench.cached.latest("s").unwrap().unwrap().version, 2);
    }

    #[test]
    fn an_id_is_asked_for_once() {
        let bench = bench();
        assert_eq!(bench.cached.by_id(1).unwrap(), None);
        bench.other.register("s", &Schema::avro("\"int\"")).unwrap();
        assert_eq!(bench.cached.by_id(1).unwrap(), Some(Schema::avro("\"int\"")));
        std::fs::remove_dir_all(bench._dir.path().join("s")).unwrap();
        assert_eq!(bench.cached.by_id(1).unwrap(), Some(Schema::avro("\"int\"")));
    }
}
