//! What can go wrong while a job runs, by who must act and whether trying again may help.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Who can do something about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Who {
    /// The author or operator of the job: wrong data, wrong setting, missing topic.
    User,
    /// A system beside Flow: broker, registry, disk.
    External,
    /// Flow itself: a bug.
    Internal,
    /// Nobody: another process runs the job now.
    Successor,
}

/// Whether trying again may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Retry {
    /// The same would happen again.
    Never,
    /// After a pause.
    Backoff,
}

/// An error of a running job, or of a connector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeError {
    /// Who must act.
    pub who: Who,
    /// Whether to try again.
    pub retry: Retry,
    /// What happened, with the names of things: topic, address, file.
    pub message: String,
    /// What to do about it, a whole sentence.
    pub help: Option<String>,
    /// The place in the program, if it is about one.
    pub site: Option<flow_ir::ids::SiteId>,
}

impl RuntimeError {
    /// Wrong data or settings: the job stops and says so.
    pub fn user(message: impl Into<String>) -> Self {
        Self::new(Who::User, Retry::Never, message)
    }

    /// A system beside Flow failed and may recover.
    pub fn external(message: impl Into<String>) -> Self {
        Self::new(Who::External, Retry::Backoff, message)
    }

    /// A bug.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Who::Internal, Retry::Never, message)
    }

    /// Another process has taken over the job.
    pub fn fenced() -> Self {
        let message = "another process has taken over this job";
        Self::new(Who::Successor, Retry::Never, message)
    }

    fn new(who: Who, retry: Retry, message: impl Into<String>) -> Self {
        Self { who, retry, message: message.into(), help: None, site: None }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds the place in the program.
    #[must_use]
    pub fn at(mut self, site: Option<flow_ir::ids::SiteId>) -> Self {
        self.site = site;
        self
    }

    /// The same error, not to be tried again.
    #[must_use]
    pub fn fatal(mut self) -> Self {
        self.retry = Retry::Never;
        self
    }
}

impl fmt::Display for RuntimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for RuntimeError {}

/// The result of everything that a running job does.
pub type Result<T, E = RuntimeError> = std::result::Result<T, E>;
