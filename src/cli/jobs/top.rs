//! `flow jobs top`: what jobs, or the operators of one, do now: totals, and what has changed since
//! the look before.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use super::{details, error_line, optional};
use crate::cli::{say, table, write};
use crate::client::Client;
use crate::exit::Result;
use crate::figures::{bytes, duration, time};
use crate::server::api::jobs::JobList;
use crate::server::jobs::counts::{JobDetails, OperatorCounts};
use crate::server::jobs::info::JobInfo;
use crate::server::name::JobName;

/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// Columns for jobs.
const OF_JOBS: [&str; 11] = [
    "name",
    "state",
    "in",
    "in/s",
    "out",
    "out/s",
    "lag",
    "busy",
    "watermark",
    "state bytes",
    "error",
];

/// Columns for operators.
const OF_OPERATORS: [&str; 11] = [
    "",
    "operator",
    "in",
    "in/s",
    "out",
    "out/s",
    "time",
    "busy",
    "state rows",
    "state",
    "watermark",
];

/// What only grows of a job or an operator.
#[derive(Clone, Copy)]
struct Totals {
    rows_in: u64,
    rows_out: u64,
    busy_seconds: f64,
}

/// What they were at the look before, and when that was.
struct Before<'a> {
    totals: &'a HashMap<String, Totals>,
    since: Duration,
}

/// Shows jobs until there were so many looks.
pub(super) fn top(client: &Client, job: Option<&JobName>, looks: u64) -> Result {
    let redraws = std::io::stdout().is_terminal();
    let (mut totals, mut at) = (HashMap::new(), Instant::now());
    for look in 0..looks {
        if look > 0 {
            std::thread::sleep(INTERVAL);
        }
        let before = Before { totals: &totals, since: at.elapsed() };
        let (now, text) = match job {
            Some(job) => operators_now(&details(client, job)?, &before),
            None => jobs_now(&client.get::<JobList>("/v1/jobs")?.jobs, &before),
        };
        (totals, at) = (now, Instant::now());
        // From the top left corner, with what was there below taken away.
        write(if redraws { "\u{1b}[H\u{1b}[J" } else { "" })?;
        say(&text)?;
    }
    Ok(())
}

/// The operators of a job, without rates: there was no look before.
pub(super) fn operators(details: &JobDetails) -> String {
    operators_now(details, &Before { totals: &HashMap::new(), since: Duration::ZERO }).1
}

impl Before<'_> {
    /// Rows in and out a second, and the share of the time that was spent: 100 % is one worker.
    /// Empty where there was nothing before; counters that began anew count from zero.
    fn rates(&self, name: &str, now: Totals) -> [String; 3] {
        let Some(before) = self.totals.get(name) else { return Default::default() };
        let seconds = self.since.as_secs_f64();
        let rows = |now: u64, before: u64| {
            format!("{:.0}", now.checked_sub(before).unwrap_or(now) as f64 / seconds)
        };
        let busy = match now.busy_seconds - before.busy_seconds {
            spent if spent < 0.0 => now.busy_seconds,
            spent => spent,
        };
        [
            rows(now.rows_in, before.rows_in),
            rows(now.rows_out, before.rows_out),
            format!("{:.0} %", busy / seconds * 100.0),
        ]
    }
}

fn jobs_now(jobs: &[JobInfo], before: &Before<'_>) -> (HashMap<String, Totals>, String) {
    let mut totals = HashMap::new();
    let rows: Vec<_> = jobs
        .iter()
        .map(|job| {
            let metrics = job.metrics.clone().unwrap_or_default();
            let now = Totals {
                rows_in: metrics.records_in,
                rows_out: metrics.records_out,
                busy_seconds: metrics.busy_seconds,
            };
            let [rate_in, rate_out, busy] = before.rates(&job.name, now);
            totals.insert(job.name.clone(), now);
            [
                job.name.clone(),
                job.state.word().to_string(),
                metrics.records_in.to_string(),
                rate_in,
                metrics.records_out.to_string(),
                rate_out,
                metrics.lag.to_string(),
                busy,
                optional(metrics.watermark_micros, time),
                metrics.state_memory_bytes.to_string(),
                error_line(job),
            ]
        })
        .collect();
    (totals, table::aligned(OF_JOBS, &rows))
}

fn operators_now(details: &JobDetails, before: &Before<'_>) -> (HashMap<String, Totals>, String) {
    let mut totals = HashMap::new();
    let row = |operator: &OperatorCounts| {
        let number = operator.vertex.to_string();
        let now = Totals {
            rows_in: operator.rows_in,
            rows_out: operator.rows_out,
            busy_seconds: operator.busy_seconds,
        };
        let [rate_in, rate_out, busy] = before.rates(&number, now);
        totals.insert(number.clone(), now);
        if let Some(by) = operator.done_by {
            let mut row: [String; 11] = Default::default();
            (row[0], row[1]) = (number, operator.operator.clone());
            row[6] = format!("in {by}");
            return row;
        }
        [
            number,
            operator.operator.clone(),
            operator.rows_in.to_string(),
            rate_in,
            operator.rows_out.to_string(),
            rate_out,
            duration(Duration::try_from_secs_f64(operator.busy_seconds).unwrap_or_default()),
            busy,
            optional(operator.state_rows, |rows| rows.to_string()),
            optional(operator.state_bytes, bytes),
            optional(operator.watermark_micros, time),
        ]
    };
    let rows: Vec<_> = details.operators.iter().map(row).collect();
    (totals, table::aligned(OF_OPERATORS, &rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_since_the_look_before() {
        let was = Totals { rows_in: 10, rows_out: 8, busy_seconds: 1.0 };
        let totals = HashMap::from([("job".to_string(), was)]);
        let before = Before { totals: &totals, since: Duration::from_secs(2) };
        let now = Totals { rows_in: 30, rows_out: 8, busy_seconds: 1.5 };
        assert_eq!(before.rates("job", now), ["10", "0", "25 %"]);
        // It has started anew.
        let anew = Totals { rows_in: 6, rows_out: 2, busy_seconds: 0.2 };
        assert_eq!(before.rates("job", anew), ["3", "1", "10 %"]);
        assert_eq!(before.rates("other", now), ["", "", ""]);
    }
}
