//! Generated streams: what connectors `nexmark` and `datagen` make. A record follows from the
//! options, the time of the first one, its number, and nothing else, for ever: a restart makes
//! again what was made before. Records are bare Avro data; the runtime deals their numbers out and
//! paces them.
//!
//! The options are read here for the checker too, which refuses those that are of no use.

mod avro;
mod datagen;
mod nexmark;
mod random;
mod values;

use std::collections::BTreeMap;

use flow_ir::connector::parse_size;

pub use datagen::Datagen;
pub use nexmark::{Nexmark, nexmark_schema};

use crate::text::parse_timestamp;

/// Partitions at most: more are of no use to any number of workers.
pub const PARTITIONS_MAX: u32 = 1_024;

/// An option whose value is of no use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadOption {
    /// Its name.
    pub name: String,
    /// What it takes, or that there is no such option.
    pub takes: String,
}

/// When a stream's event time begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstTime {
    /// Microseconds since 1970.
    At(i64),
    /// When the job starts for the first time.
    Start,
}

/// How a stream's records are numbered and paced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// Partitions; one has every so manieth number, beginning with its own.
    pub partitions: u32,
    /// Numbers in all; none: without end.
    pub count: Option<u64>,
    /// Numbers a second by the clock; none: as fast as they are taken.
    pub per_second: Option<u64>,
}

/// Makes the records of a stream.
pub trait Generate: Send {
    /// Appends the record of a number. `false`, and nothing is appended, if the number has none.
    fn record(&mut self, number: u64, out: &mut Vec<u8>) -> bool;
}

/// Options by name, read as what they mean.
struct Options<'a>(&'a BTreeMap<String, String>);

impl Options<'_> {
    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A value that `read` understands.
    fn read<T>(
        &self,
        name: &str,
        takes: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, BadOption> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let bad = || BadOption { name: name.to_string(), takes: takes.to_string() };
        read(text.trim()).map(Some).ok_or_else(bad)
    }

    /// A number of this range.
    fn number(
        &self,
        name: &str,
        range: std::ops::RangeInclusive<u64>,
    ) -> Result<Option<u64>, BadOption> {
        let takes = format!("a whole number from {} to {}", range.start(), range.end());
        self.read(name, &takes, |text| text.parse().ok().filter(|n| range.contains(n)))
    }

    fn size(&self, name: &str, otherwise: u32) -> Result<u32, BadOption> {
        let takes = "a size of at most 1 MB, such as '200' or '1 kb'";
        let read = |text: &str| parse_size(text).filter(|n| *n <= 1 << 20);
        Ok(self.read(name, takes, read)?.map_or(otherwise, |n| n as u32))
    }

    fn flag(&self, name: &str) -> Option<bool> {
        self.text(name).map(|text| text == "true")
    }

    fn partitions(&self) -> Result<u32, BadOption> {
        let given = self.number("partitions", 1..=u64::from(PARTITIONS_MAX))?;
        Ok(given.map_or(1, |n| n as u32))
    }

    fn first_time(&self) -> Result<Option<FirstTime>, BadOption> {
        let takes = "a timestamp, milliseconds since 1970, or 'now'";
        self.read("first-event.time", takes, |text| {
            if text == "now" {
                return Some(FirstTime::Start);
            }
            let micros = match text.parse::<i64>() {
                Ok(millis) => millis.checked_mul(1_000),
                Err(_) => parse_timestamp(text),
            };
            micros.map(FirstTime::At)
        })
    }
}
