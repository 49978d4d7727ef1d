//! Names of jobs: they become folders and topics, so what may stand in them is checked where they
//! enter, and a `JobName` needs no further look.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Bytes of a name at most: with the prefix and suffix of its topics it stays below Kafka's 249.
const NAME_BYTES_MAX: usize = 200;

/// Letters, digits, `.`, `_` and `-`, not beginning with a dot; 1 to 200 bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobName(String);

/// Why a text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoName;

impl fmt::Display for NoName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a job's name has letters, digits, '.', '_' and '-', does not begin with a dot, and is \
             at most {NAME_BYTES_MAX} bytes long"
        )
    }
}

impl std::error::Error for NoName {}

impl JobName {
    /// A name, if the text is one.
    ///
    /// # Errors
    /// If it is none.
    pub fn new(text: &str) -> Result<Self, NoName> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let length = (1..=NAME_BYTES_MAX).contains(&text.len());
        match length && !text.starts_with('.') && text.chars().all(fits) {
            true => Ok(Self(text.to_string())),
            false => Err(NoName),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for JobName {
    type Error = NoName;

    fn try_from(text: String) -> Result<Self, NoName> {
        Self::new(&text)
    }
}

impl From<JobName> for String {
    fn from(name: JobName) -> Self {
        name.0
    }
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_leaves_a_folder_is_a_name() {
        for good in ["a", "orders-2.v_1", &"x".repeat(200)] {
            assert_eq!(JobName::new(good).unwrap().as_str(), good);
        }
        for bad in ["", ".", "..", ".hidden", "a/b", "../a", "a\\b", "a\0", "ä", &"x".repeat(201)]
        {
            assert_eq!(JobName::new(bad), Err(NoName), "{bad:?}");
        }
        let read: Result<JobName, _> = serde_json::from_str("\"../../etc\"");
        assert!(read.is_err());
    }
}
