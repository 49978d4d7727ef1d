//! Rows of any columns: random values, or sequences.

use std::collections::BTreeMap;

use flow_ir::types::{DataType, Field};

use super::random::Random;
use super::values::{Maker, Moment, of_field};
use super::{BadOption, FirstTime, Generate, Numbers, Options};

/// Rows a second where the options do not say.
const RATE: u64 = 10_000;

/// What a row's values are made by.
#[derive(Clone, Debug, PartialEq)]
pub struct Datagen {
    /// How rows are numbered and paced.
    pub numbers: Numbers,
    /// When the first row happens; later ones by the pace.
    pub first: FirstTime,
    seed: u64,
    columns: Vec<Maker>,
}

impl Datagen {
    /// The rows that options name, of a stream with these columns in its records.
    ///
    /// # Errors
    /// The first option that is of no use, or names no column.
    pub fn new(columns: &[Field], given: &BTreeMap<String, String>) -> Result<Self, BadOption> {
        let options = Options(given);
        let mut makers = Vec::with_capacity(columns.len());
        let mut known = Vec::new();
        let mut sequence: Option<u64> = None;
        for Field { name, ty } in columns {
            let (maker, count) = of_field(&format!("fields.{name}"), ty, &options, &mut known)?;
            sequence = sequence.into_iter().chain(count).min();
            makers.push(maker);
        }
        let is_unknown = |name: &&String| name.starts_with("fields.") && !known.contains(name);
        if let Some(name) = given.keys().find(is_unknown) {
            return Err(BadOption { name: name.clone(), takes: no_such(name, columns) });
        }
        let rows = options.number("number-of-rows", 0..=i64::MAX as u64 / 1_000_000)?;
        let rate = options.number("rows-per-second", 0..=1_000_000_000)?;
        Ok(Self {
            numbers: Numbers {
                partitions: options.partitions()?,
                count: rows.into_iter().chain(sequence).min(),
                per_second: Some(rate.unwrap_or(RATE)).filter(|rate| *rate > 0),
            },
            first: options.first_time()?.unwrap_or(FirstTime::Start),
            seed: options.number("seed", 0..=u64::MAX)?.unwrap_or(0),
            columns: makers,
        })
    }

    /// What makes the rows, if the first one happens at this time, in microseconds since 1970.
    pub fn rows(self, first_micros: i64) -> impl Generate {
        Rows { first_micros, rules: self }
    }
}

/// Why an option of a field is not taken.
fn no_such(name: &str, columns: &[Field]) -> String {
    let of = |column: &&Field| name.starts_with(&format!("fields.{}.", column.name));
    match columns.iter().find(of) {
        Some(column) => {
            format!("no value: {} does not have it", kind_of(&column.ty.data, &column.name))
        }
        None => "no value: there is no such column".to_string(),
    }
}

fn kind_of(ty: &DataType, name: &str) -> String {
    format!("the {ty} {name}")
}

struct Rows {
    rules: Datagen,
    first_micros: i64,
}

impl Generate for Rows {
    fn record(&mut self, number: u64, out: &mut Vec<u8>) -> bool {
        let mut random = Random::new(self.rules.seed, number);
        let rate = self.rules.numbers.per_second.unwrap_or(RATE);
        let after = u128::from(number) * 1_000_000 / u128::from(rate);
        let micros = self.first_micros.saturating_add(after as i64);
        let moment = Moment { number, micros };
        for column in &self.rules.columns {
            column.put(moment, &mut random, out);
        }
        true
    }
}
