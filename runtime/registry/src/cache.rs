//! A cache in front of any registry. An id means the same schema for ever, so `by_id` asks once;
//! the latest version of a subject is remembered for [`LATEST_TTL`], and that an id is unknown for
//! [`UNKNOWN_ID_TTL`]. That anything else is not there is never remembered: it may be registered
//! the next moment. No lock is held while the registry is asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::{CompatibilityLevel, RegisteredSchema, Registry, Result, Schema, Verdict};

/// How long the latest version of a subject is believed to be the latest.
pub const LATEST_TTL: Duration = Duration::from_secs(5);

/// How long an unknown id is believed to be unknown: a topic full of records of a foreign registry
/// costs one request in this time, not one a record; and records that came before their schema was
/// seen here are read that much later at most.
pub const UNKNOWN_ID_TTL: Duration = Duration::from_secs(1);

/// Unknown ids that are remembered at most: damaged records may name any.
const UNKNOWN_IDS_MAX: usize = 1_024;

/// Gives the time; tests give their own.
type Clock = Box<dyn Fn() -> Instant + Send + Sync>;

/// A registry with a memory.
pub struct Cached {
    inner: Arc<dyn Registry>,
    clock: Clock,
    /// Grows to the number of schemas that the registry has, since unknown ids are kept apart.
    by_id: Mutex<HashMap<u32, Schema>>,
    /// With the time of the answer.
    unknown: Mutex<HashMap<u32, Instant>>,
    /// With the time of the answer.
    latest: Mutex<HashMap<String, (Instant, RegisteredSchema)>>,
}

impl Cached {
    /// A cache in front of `inner`.
    pub fn new(inner: Arc<dyn Registry>) -> Cached {
        Cached::with_clock(inner, Box::new(Instant::now))
    }

    fn with_clock(inner: Arc<dyn Registry>, clock: Clock) -> Cached {
        let (by_id, unknown) = (Mutex::default(), Mutex::default());
        Cached { inner, clock, by_id, unknown, latest: Mutex::default() }
    }

    fn note_unknown(&self, id: u32, now: Instant) {
        let mut unknown = locked(&self.unknown);
        if unknown.len() >= UNKNOWN_IDS_MAX {
            // To ask again for each is cheaper than to know which are the oldest.
            unknown.clear();
        }
        unknown.insert(id, now);
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
        let now = (self.clock)();
        if let Some(since) = locked(&self.unknown).get(&id)
            && now.saturating_duration_since(*since) < UNKNOWN_ID_TTL
        {
            return Ok(None);
        }
        let found = self.inner.by_id(id)?;
        match &found {
            Some(schema) => {
                locked(&self.by_id).insert(id, schema.clone());
            }
            None => self.note_unknown(id, now),
        }
        Ok(found)
    }

    fn register(&self, subject: &str, schema: &Schema) -> Result<u32> {
        let id = self.inner.register(subject, schema);
        locked(&self.latest).remove(subject);
        if let Ok(id) = &id {
            locked(&self.unknown).remove(id);
        }
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
    fn an_unknown_id_is_asked_for_once_in_a_while() {
        let bench = bench();
        assert_eq!(bench.cached.by_id(1).unwrap(), None);
        bench.other.register("s", &Schema::avro("\"int\"")).unwrap();
        assert_eq!(bench.cached.by_id(1).unwrap(), None, "it was asked for just before");
        bench.seconds.store(UNKNOWN_ID_TTL.as_secs(), Ordering::SeqCst);
        assert_eq!(bench.cached.by_id(1).unwrap(), Some(Schema::avro("\"int\"")));

        assert_eq!(bench.cached.by_id(2).unwrap(), None);
        bench.cached.register("s", &Schema::avro("\"long\"")).unwrap();
        assert_eq!(bench.cached.by_id(2).unwrap(), Some(Schema::avro("\"long\"")));
    }

    #[test]
    fn any_number_of_unknown_ids_takes_bounded_memory() {
        let bench = bench();
        for id in 0..=2 * UNKNOWN_IDS_MAX as u32 {
            assert_eq!(bench.cached.by_id(id).unwrap(), None);
            assert!(locked(&bench.cached.unknown).len() <= UNKNOWN_IDS_MAX);
        }
    }

    #[test]
    fn an_id_is_asked_for_once() {
        let bench = bench();
        bench.other.register("s", &Schema::avro("\"int\"")).unwrap();
        assert_eq!(bench.cached.by_id(1).unwrap(), Some(Schema::avro("\"int\"")));
        std::fs::remove_dir_all(bench._dir.path().join("s")).unwrap();
        assert_eq!(bench.cached.by_id(1).unwrap(), Some(Schema::avro("\"int\"")));
    }
}
