//! How a program says that it is to be run: what SET gives and the checker has looked at. A flag of
//! the command, or what a submission says, wins over it.

use std::path::PathBuf;

use flow_ir::connector::parse_size;
use flow_ir::physical::Settings;
use flow_runtime::LocalStore;

/// What of it a program says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deployment {
    /// `'parallelism'`: workers, 1 to 256.
    pub parallelism: Option<u16>,
    /// `'memory'`: bytes for state.
    pub memory: Option<usize>,
    /// `'state.dir'`: the folder of the job's state.
    pub state_dir: Option<PathBuf>,
    /// `'state.store'`: what the local store is for.
    pub store: LocalStore,
}

impl Deployment {
    /// What these settings of a job say.
    pub fn of(settings: &Settings) -> Self {
        let said = |name: &str| settings.other.get(name).map(String::as_str);
        Self {
            parallelism: said("parallelism").and_then(|n| n.parse().ok()),
            memory: said("memory").and_then(parse_size).and_then(|n| n.try_into().ok()),
            state_dir: said("state.dir").map(PathBuf::from),
            store: match said("state.store") {
                Some("memory") => LocalStore::AtStarts,
                Some(_) | None => LocalStore::Follows,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_taken_and_nothing_else() {
        let mut settings = Settings::default();
        assert_eq!(Deployment::of(&settings), Deployment::default());
        let all = [("parallelism", "3"), ("memory", "64 MB"), ("state.dir", "here")];
        let all = all.into_iter().chain([("state.store", "memory")]);
        settings.other.extend(all.map(|(k, v)| (k.to_string(), v.to_string())));
        let said = Deployment {
            parallelism: Some(3),
            memory: Some(64 << 20),
            state_dir: Some(PathBuf::from("here")),
            store: LocalStore::AtStarts,
        };
        assert_eq!(Deployment::of(&settings), said);
    }
}
