//! Registries as a check sees them that never waits: what is known is answered at once, what is not
//! is asked in the background, and who wants to know is woken when the answer has come. An answer
//! that has grown old is still given, and asked for again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use flow_compiler::check::catalog::{Catalog, CatalogError, CatalogSchema, RegistryRef};
use flow_schema::Level;

use crate::catalog::RegistryCatalog;
use crate::registries::Registries;

/// What the message of a registry says that has not answered yet; nobody is shown it.
pub(super) const WAITING: &str = "is being asked";
/// A registry that is silent for longer is reported.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// After this time a question is asked again when it comes up.
const FRESH: Duration = Duration::from_secs(20);
/// Answers kept at most; beyond, all are forgotten.
const ANSWERS_MAX: usize = 10_000;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Latest,
    Versions,
    Level,
}

type Question = (RegistryRef, String, What);

#[derive(Clone, PartialEq)]
enum Answer {
    Latest(Option<CatalogSchema>),
    Versions(Vec<CatalogSchema>),
    Level(Level),
}

type Told = Result<Answer, CatalogError>;

/// What is known of a question.
struct Entry {
    /// The newest answer.
    told: Option<Told>,
    /// When it was last asked.
    asked: Instant,
    /// Whether the answer to that is still to come.
    is_open: bool,
    /// Whether it is to be asked again, however new it is.
    is_stale: bool,
}

#[derive(Default)]
struct State {
    known: BTreeMap<Question, Entry>,
    /// Questions that wait for their registry's thread.
    queues: BTreeMap<RegistryRef, VecDeque<Question>>,
}

struct Shared {
    registries: Registries,
    state: Mutex<State>,
    asked: AtomicUsize,
    unanswered: AtomicUsize,
    wake: Box<dyn Fn() -> bool + Send + Sync>,
}

/// The catalog.
pub(super) struct Remembered {
    shared: Arc<Shared>,
}

impl Remembered {
    /// A catalog over registries; `wake` is called when something new is known.
    pub(super) fn new(
        registries: Registries,
        wake: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        let shared = Shared {
            registries,
            state: Mutex::default(),
            asked: AtomicUsize::new(0),
            unanswered: AtomicUsize::new(0),
            wake: Box::new(wake),
        };
        Self { shared: Arc::new(shared) }
    }

    /// How many questions there were, so far.
    pub(super) fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::Relaxed)
    }

    /// How many questions had no answer at once, so far.
    pub(super) fn unanswered(&self) -> usize {
        self.shared.unanswered.load(Ordering::Relaxed)
    }

    /// Everything is asked again when it comes up.
    pub(super) fn refresh(&self) {
        let mut state = self.shared.lock();
        for entry in state.known.values_mut() {
            entry.is_stale = true;
        }
    }

    fn ask(&self, registry: &RegistryRef, subject: &str, what: What) -> Told {
        let question = (registry.clone(), subject.to_string(), what);
        self.shared.asked.fetch_add(1, Ordering::Relaxed);
        let mut state = self.shared.lock();
        if state.known.len() > ANSWERS_MAX {
            state.known.retain(|_, entry| entry.is_open);
        }
        let now = Instant::now();
        let fresh = |e: &Entry| e.is_open || (!e.is_stale && now - e.asked < FRESH);
        let told = state.known.get(&question).and_then(|entry| entry.told.clone());
        if !state.known.get(&question).is_some_and(fresh) {
            let entry = Entry { told: told.clone(), asked: now, is_open: true, is_stale: false };
            state.known.insert(question.clone(), entry);
            self.enqueue(&mut state, question.clone());
        }
        let asked = state.known.get(&question).map_or(now, |entry| entry.asked);
        told.unwrap_or_else(|| Err(self.silent(registry, now - asked)))
    }

    fn silent(&self, registry: &RegistryRef, since: Duration) -> CatalogError {
        let name = match &registry.url {
            Some(url) => format!("the schema registry {url}"),
            None => "the schema registry".to_string(),
        };
        let message = if since < PATIENCE {
            self.shared.unanswered.fetch_add(1, Ordering::Relaxed);
            format!("{name} {WAITING}")
        } else {
            format!("{name} has not answered for {} s", PATIENCE.as_secs())
        };
        CatalogError { message, help: None }
    }

    /// Hands a question to its registry's thread, which lives as long as it has questions.
    fn enqueue(&self, state: &mut State, question: Question) {
        let registry = question.0.clone();
        if let Some(queue) = state.queues.get_mut(&registry) {
            queue.push_back(question);
            return;
        }
        state.queues.insert(registry.clone(), VecDeque::from([question]));
        let shared = self.shared.clone();
        let asking = thread::Builder::new().name("lsp-registry".into());
        if asking
            .spawn({
                let registry = registry.clone();
                move || shared.answer(&registry)
            })
            .is_err()
        {
            // No thread: what was asked is asked again the next time.
            for question in state.queues.remove(&registry).unwrap_or_default() {
                state.known.remove(&question);
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Answers the questions to one registry until there is none.
    fn answer(&self, registry: &RegistryRef) {
        loop {
            let question = {
                let mut state = self.lock();
                match state.queues.get_mut(registry).and_then(VecDeque::pop_front) {
                    Some(question) => question,
                    None => {
                        state.queues.remove(registry);
                        return;
                    }
                }
            };
            let catalog = RegistryCatalog::new(&self.registries);
            let (registry, subject, what) = &question;
            let told = match what {
                What::Latest => catalog.subject(registry, subject).map(Answer::Latest),
                What::Versions => catalog.versions(registry, subject).map(Answer::Versions),
                What::Level => catalog.compatibility(registry, subject).map(Answer::Level),
            };
            let mut state = self.lock();
            let before = state.known.get(&question).and_then(|entry| entry.told.clone());
            let is_new = before.as_ref() != Some(&told);
            let entry =
                Entry { told: Some(told), asked: Instant::now(), is_open: false, is_stale: false };
            state.known.insert(question, entry);
            drop(state);
            if is_new && !(self.wake)() {
                return;
            }
        }
    }
}

/// An answer of the kind that was asked for.
fn expect<T>(told: Told, take: impl Fn(Answer) -> Option<T>) -> Result<T, CatalogError> {
    told.map(|answer| take(answer).expect("a question is answered by its kind of answer"))
}

impl Catalog for Remembered {
    fn subject(
        &self,
        registry: &RegistryRef,
        subject: &str,
    ) -> Result<Option<CatalogSchema>, CatalogError> {
        expect(self.ask(registry, subject, What::Latest), |answer| match answer {
            Answer::Latest(latest) => Some(latest),
            Answer::Versions(_) | Answer::Level(_) => None,
        })
    }

    fn versions(
        &self,
        registry: &RegistryRef,
        subject: &str,
    ) -> Result<Vec<CatalogSchema>, CatalogError> {
        expect(self.ask(registry, subject, What::Versions), |answer| match answer {
            Answer::Versions(versions) => Some(versions),
            Answer::Latest(_) | Answer::Level(_) => None,
        })
    }

    fn compatibility(&self, registry: &RegistryRef, subject: &str) -> Result<Level, CatalogError> {
        expect(self.ask(registry, subject, What::Level), |answer| match answer {
            Answer::Level(level) => Some(level),
            Answer::Latest(_) | Answer::Versions(_) => None,
        })
    }
}
