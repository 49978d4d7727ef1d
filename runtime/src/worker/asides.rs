//! What does not go the straight way: records that cannot be read, rows for which an expression
//! failed, rows that came too late. The error policy says what becomes of them.

use flow_ir::ids::{SiteId, StreamId};
use flow_ir::kernel::{ErrorBuffer, Headers, OnError, Record, RowError};
use flow_ir::physical::{ErrorPolicy, JobGraph, Stream};
use flow_ir::row::{RowBatch, read_value};

use super::{Aside, Worker};
use crate::error::{Result, RuntimeError};

/// The three ways on, for whoever meets the default policy.
const WAYS_ON: &str = "Correct the data or the program; or leave such rows out with \
    SET 'error.policy' = 'skip' (or 'null': the expression becomes NULL); or keep them in a topic \
    with SET 'dead_letter' = 'TOPIC'.";

/// Policies of the job and its streams.
pub(crate) struct Policies {
    job: ErrorPolicy,
    streams: Vec<StreamPolicy>,
}

struct StreamPolicy {
    errors: ErrorPolicy,
    late_topic: Option<String>,
}

impl Policies {
    pub(crate) fn new(graph: &JobGraph) -> Self {
        let job = graph.settings.error_policy.clone();
        let stream = |stream: &Stream| StreamPolicy {
            errors: stream_policy(stream, &job),
            late_topic: stream.option("late.topic").map(str::to_string),
        };
        Self { streams: graph.streams.iter().map(stream).collect(), job }
    }

    /// Whether failures need their rows.
    pub(crate) fn keeps_rows(&self) -> bool {
        let mut all = self.streams.iter().map(|s| &s.errors).chain([&self.job]);
        all.any(|policy| dead_letter(policy).is_some())
    }

    /// What kernels do with a row that fails: one that a record of this stream became, or, without
    /// a stream, one that is no longer a record.
    pub(super) fn on_error(&self, stream: Option<StreamId>) -> OnError {
        match self.errors(stream) {
            ErrorPolicy::Null => OnError::KeepNull,
            ErrorPolicy::Fail | ErrorPolicy::Skip | ErrorPolicy::DeadLetter(_) => OnError::DropRow,
        }
    }

    fn errors(&self, stream: Option<StreamId>) -> &ErrorPolicy {
        stream.map_or(&self.job, |stream| &self.streams[stream.index()].errors)
    }

    /// Topics that records may be put aside to.
    pub(crate) fn topics(&self) -> Vec<&str> {
        let mut topics: Vec<&str> = self
            .streams
            .iter()
            .flat_map(|s| [dead_letter(&s.errors), s.late_topic.as_deref()])
            .chain([dead_letter(&self.job)])
            .flatten()
            .collect();
        topics.sort_unstable();
        topics.dedup();
        topics
    }
}

fn dead_letter(policy: &ErrorPolicy) -> Option<&str> {
    match policy {
        ErrorPolicy::DeadLetter(topic) => Some(topic),
        ErrorPolicy::Fail | ErrorPolicy::Skip | ErrorPolicy::Null => None,
    }
}

fn stream_policy(stream: &Stream, job: &ErrorPolicy) -> ErrorPolicy {
    match (stream.option("dead_letter"), stream.option("error.policy")) {
        (Some(topic), _) => ErrorPolicy::DeadLetter(topic.to_string()),
        (None, Some("fail")) => ErrorPolicy::Fail,
        (None, Some("skip")) => ErrorPolicy::Skip,
        (None, Some("null")) => ErrorPolicy::Null,
        (None, Some(_) | None) => job.clone(),
    }
}

/// Where a record stood.
struct Place<'a> {
    topic: &'a str,
    partition: u32,
    offset: i64,
}

impl Worker {
    /// Applies the stream's policy to records that could not be read.
    pub(super) fn bad_records(
        &mut self,
        index: usize,
        records: &[Record<'_>],
        bad: &mut ErrorBuffer,
    ) -> Result<()> {
        bad.errors.sort_by_key(|e| e.row);
        // One record may fail in several columns; it is put aside once.
        bad.errors.dedup_by_key(|e| e.row);
        for error in bad.errors.drain(..) {
            let input = &self.inputs.live[index].input;
            let record = records[error.row as usize];
            let place =
                Place { topic: &input.topic, partition: input.partition, offset: record.offset };
            let metrics = &self.metrics.streams[input.stream.index()];
            match self.policies.errors(Some(input.stream)) {
                ErrorPolicy::Fail => return Err(self.unreadable(&place, &error)),
                ErrorPolicy::Skip | ErrorPolicy::Null => metrics.skipped.add(1),
                ErrorPolicy::DeadLetter(topic) => {
                    metrics.dead_lettered.add(1);
                    let site = error.site.map(|s| self.site(s));
                    let why = describe(&error);
                    let aside = aside(topic, &record, &place, &why, site.as_deref());
                    self.asides.push(aside);
                }
            }
        }
        Ok(())
    }

    fn unreadable(&self, place: &Place<'_>, error: &RowError) -> RuntimeError {
        let Place { topic, partition, offset } = place;
        let at = error.site.map_or_else(String::new, |s| format!(" ({})", self.site(s)));
        let why = describe(error);
        let message = format!("record {topic}-{partition}@{offset} cannot be read{at}: {why}");
        RuntimeError::user(message).with_help(WAYS_ON).at(error.site)
    }

    /// Applies the policies to what operators noted while records of an input were pushed.
    /// `origin` tells the record of each row that the source handed out.
    pub(super) fn reports(
        &mut self,
        index: usize,
        records: &[Record<'_>],
        origin: &[u32],
    ) -> Result<()> {
        for late in std::mem::take(&mut self.wiring.reports.late) {
            let input = &self.inputs.live[index].input;
            let metrics = &self.metrics.streams[late.stream.index()];
            match input.own_watermark < input.watermark {
                true => metrics.late_after_idle.add(1),
                false => metrics.late.add(1),
            }
            let topic = self.policies.streams[late.stream.index()].late_topic.as_deref();
            let record = usize::try_from(late.position).ok().and_then(|p| records.get(p));
            if let (Some(topic), Some(record)) = (topic, record) {
                let (partition, offset) = (input.partition, record.offset);
                let place = Place { topic: &input.topic, partition, offset };
                let aside = aside(topic, record, &place, "late", None);
                self.asides.push(aside);
            }
        }
        let stream = self.inputs.live[index].input.stream;
        for failed in std::mem::take(&mut self.wiring.failed) {
            let of_row = failed.source_row.and_then(|row| origin.get(row));
            let position = failed.position.or(of_row.map(|&p| p as usize));
            let record = position.and_then(|p| records.get(p)).copied();
            self.failure(&failed, Some(stream), record.map(|r| (index, r)))?;
        }
        Ok(())
    }

    /// The same for rows that are no longer records.
    pub(super) fn derived_reports(&mut self) -> Result<()> {
        for late in std::mem::take(&mut self.wiring.reports.late) {
            self.metrics.streams[late.stream.index()].late.add(1);
        }
        for failed in std::mem::take(&mut self.wiring.failed) {
            self.failure(&failed, None, None)?;
        }
        Ok(())
    }

    fn failure(
        &mut self,
        failed: &Failed,
        stream: Option<StreamId>,
        record: Option<(usize, Record<'_>)>,
    ) -> Result<()> {
        let why = describe(&failed.error);
        match self.policies.errors(stream) {
            ErrorPolicy::Fail => {
                let of = record.map_or_else(String::new, |(index, record)| {
                    let input = &self.inputs.live[index].input;
                    format!("record {}-{}@{}: ", input.topic, input.partition, record.offset)
                });
                let at =
                    failed.error.site.map_or_else(String::new, |s| format!(" ({})", self.site(s)));
                let message = format!("{of}a row failed in {}{at}: {why}", failed.operator);
                let error = RuntimeError::user(message).with_help(WAYS_ON);
                return Err(error.at(failed.error.site));
            }
            ErrorPolicy::Skip => {
                if let Some(stream) = stream {
                    self.metrics.streams[stream.index()].skipped.add(1);
                }
            }
            ErrorPolicy::Null => {}
            ErrorPolicy::DeadLetter(topic) => {
                if let Some(stream) = stream {
                    self.metrics.streams[stream.index()].dead_lettered.add(1);
                }
                let site = failed.error.site.map(|s| self.site(s));
                let aside = match record {
                    Some((index, record)) => {
                        let input = &self.inputs.live[index].input;
                        let (partition, offset) = (input.partition, record.offset);
                        let place = Place { topic: &input.topic, partition, offset };
                        aside(topic, &record, &place, &why, site.as_deref())
                    }
                    None => derived_aside(topic, failed, &why, site.as_deref()),
                };
                self.asides.push(aside);
            }
        }
        Ok(())
    }

    /// Where an expression stands: `FILE:LINE:COLUMN`.
    fn site(&self, site: SiteId) -> String {
        let Some(site) = self.graph.sites.get(site.index()) else { return String::new() };
        let file = self.graph.sources.get(site.span.file.0 as usize);
        let name = file.map_or("", |f| f.name.as_str());
        format!("{name}:{}:{}", site.line, site.column)
    }
}

/// A row that failed in an operator.
pub(super) struct Failed {
    /// The operator's name.
    pub(super) operator: String,
    pub(super) error: RowError,
    pub(super) row: Option<RowBatch>,
    /// The source record's position in its batch, where the row still tells.
    pub(super) position: Option<usize>,
    /// The row's number in what the source handed out, where it is that row.
    pub(super) source_row: Option<usize>,
}

fn describe(error: &RowError) -> String {
    match &error.detail {
        Some(detail) => format!("{} ({detail})", error.code.message()),
        None => error.code.message().to_string(),
    }
}

/// A source record, unchanged, with headers for where it stood and why it is here.
fn aside(
    topic: &str,
    record: &Record<'_>,
    place: &Place<'_>,
    why: &str,
    site: Option<&str>,
) -> Aside {
    let mut headers = record.headers.0.to_vec();
    Headers::push("flow.topic", Some(place.topic.as_bytes()), &mut headers);
    Headers::push("flow.partition", Some(place.partition.to_string().as_bytes()), &mut headers);
    Headers::push("flow.offset", Some(place.offset.to_string().as_bytes()), &mut headers);
    Headers::push("flow.error", Some(why.as_bytes()), &mut headers);
    if let Some(site) = site {
        Headers::push("flow.place", Some(site.as_bytes()), &mut headers);
    }
    Aside {
        topic: topic.to_string(),
        key: record.key.map(<[u8]>::to_vec),
        value: record.value.map(<[u8]>::to_vec),
        timestamp: record.timestamp.map(|t| t / 1_000),
        headers,
        partition: place.partition,
    }
}

/// A row past an exchange, as JSON: its values, weight and operator.
fn derived_aside(topic: &str, failed: &Failed, why: &str, site: Option<&str>) -> Aside {
    let values = failed.row.as_ref().map(|rows| {
        let (layout, row) = (rows.layout(), rows.row(0));
        let value = |i: usize| {
            let value = read_value(row, layout.column(i), &layout.types()[i]);
            format!("{value:?}")
        };
        (0..layout.len()).map(value).collect::<Vec<_>>()
    });
    let weight = failed.row.as_ref().map_or(1, |rows| rows.weight(0));
    let body = serde_json::json!({
        "operator": failed.operator, "row": values, "weight": weight, "error": why, "place": site,
    });
    let mut headers = Vec::new();
    Headers::push("flow.error", Some(why.as_bytes()), &mut headers);
    Aside {
        topic: topic.to_string(),
        key: None,
        value: Some(body.to_string().into_bytes()),
        timestamp: None,
        headers,
        partition: 0,
    }
}
