//! Exit codes, and the errors that commands end with. The table stands in the README too.

use std::fmt;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything as asked.
    Success = 0,
    /// The program has mistakes, or a test failed.
    Mistakes = 1,
    /// The command line is wrong.
    Usage = 2,
    /// Another process has taken over the job.
    Fenced = 3,
    /// The job stopped, or something it needs cannot be had: data, settings, broker, disk.
    Failed = 4,
    /// A bug in Flow.
    Internal = 5,
}

/// Why a command did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What is shown; empty if everything is already shown.
    pub message: String,
}

impl Failure {
    /// Something that the command needs cannot be had.
    pub fn failed(message: impl fmt::Display) -> Self {
        Self { exit: Exit::Failed, message: message.to_string() }
    }

    /// The command line asks for something that makes no sense.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self { exit: Exit::Usage, message: message.to_string() }
    }

    /// The problems are already shown.
    pub fn shown(exit: Exit) -> Self {
        Self { exit, message: String::new() }
    }
}

/// The result of a command.
pub type Result<T = ()> = std::result::Result<T, Failure>;

#[cfg(feature = "run")]
impl From<flow_runtime::RuntimeError> for Failure {
    fn from(error: flow_runtime::RuntimeError) -> Self {
        use flow_runtime::error::Who;
        let exit = match error.who {
            Who::User | Who::External => Exit::Failed,
            Who::Internal => Exit::Internal,
            Who::Successor => Exit::Fenced,
        };
        Self { exit, message: error.to_string() }
    }
}
