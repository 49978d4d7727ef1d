//! What does not go the straight way: records that cannot be read, rows for which an expression
//! failed, rows that came too late. The error policy says what becomes of them.

use std::collections::BTreeSet;

use flow_ir::ids::{SiteId, StreamId, VertexId};
use flow_ir::kernel::{ErrorBuffer, Headers, OnError, Record, RowError};
use flow_ir::physical::{ErrorPolicy, JobGraph, PhysicalOp, Stream};
use flow_ir::row::RowBatch;
use flow_ir::span::Span;
use flow_ir::types::Field;

use super::{Aside, Worker};
use crate::error::{Result, RuntimeError};
use crate::format::row_json;

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

    /// Whether failures need their rows: to tell the one that stops the job, or to put them aside.
    pub(crate) fn keeps_rows(&self) -> bool {
        let mut all = self.streams.iter().map(|s| &s.errors).chain([&self.job]);
        all.any(|policy| match policy {
            ErrorPolicy::Fail | ErrorPolicy::DeadLetter(_) => true,
            ErrorPolicy::Skip | ErrorPolicy::Null => false,
        })
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
    /// Applies the stream's policy to records that could not be read. One may fail in several
    /// columns and scans; it is dealt with once: `known` has those that were.
    pub(super) fn bad_records(
        &mut self,
        index: usize,
        records: &[Record<'_>],
        bad: &mut ErrorBuffer,
        known: &mut BTreeSet<u32>,
    ) -> Result<()> {
        bad.errors.retain(|error| known.insert(error.row));
        bad.errors.sort_by_key(|error| error.row);
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

    /// Counts the records of a batch that some operator left out as late, and puts them aside. A
    /// record is late once for its stream, however many queries leave it out, and also where
    /// another query takes it. What is no record any more has no position, and counts each time.
    pub(super) fn late_records(&mut self, index: usize, records: &[Record<'_>]) {
        let mut all = std::mem::take(&mut self.wiring.reports.late);
        all.sort_unstable_by_key(|late| (late.stream, late.position));
        all.dedup_by(|a, b| a == b && a.position >= 0);
        for late in all {
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
    }

    /// Applies the stream's policy to rows that failed while records of an input were pushed.
    /// `origin` tells the record of each row that the source handed out.
    pub(super) fn reports(
        &mut self,
        index: usize,
        records: &[Record<'_>],
        origin: &[u32],
    ) -> Result<()> {
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
            ErrorPolicy::Fail => return Err(self.failed(failed, record, &why)),
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
                let site = self.place(failed);
                let aside = match record {
                    Some((index, record)) => {
                        let input = &self.inputs.live[index].input;
                        let (partition, offset) = (input.partition, record.offset);
                        let place = Place { topic: &input.topic, partition, offset };
                        aside(topic, &record, &place, &why, site.as_deref())
                    }
                    None => self.derived_aside(topic, failed, &why, site.as_deref()),
                };
                self.asides.push(aside);
            }
        }
        Ok(())
    }

    /// Why the job stops: the record, or what is left of it past an exchange, and where it failed.
    fn failed(
        &self,
        failed: &Failed,
        record: Option<(usize, Record<'_>)>,
        why: &str,
    ) -> RuntimeError {
        let at = self.place(failed).map_or_else(String::new, |place| format!(" ({place})"));
        let message = format!("a row failed in {}{at}: {why}", self.operator(failed));
        let message = match record {
            Some((index, record)) => {
                let input = &self.inputs.live[index].input;
                let (topic, partition) = (&input.topic, input.partition);
                format!("record {topic}-{partition}@{}: {message}", record.offset)
            }
            None => match self.row(failed) {
                Some((row, weight)) => format!("{message}; the row is {row}, its weight {weight}"),
                None => message,
            },
        };
        RuntimeError::user(message).with_help(WAYS_ON).at(failed.error.site)
    }

    /// A row past an exchange: where it failed and why, its weight, and itself.
    fn derived_aside(&self, topic: &str, failed: &Failed, why: &str, site: Option<&str>) -> Aside {
        let (row, weight) = self.row(failed).unwrap_or_else(|| ("null".into(), 1));
        let text = |text: &str| serde_json::Value::from(text).to_string();
        // The row goes in as it is: a number of its own may have more digits than a double.
        let body = format!(
            r#"{{"operator":{},"place":{},"error":{},"weight":{weight},"row":{row}}}"#,
            text(self.operator(failed)),
            site.map_or_else(|| "null".into(), text),
            text(why)
        );
        let mut headers = Vec::new();
        Headers::push("flow.error", Some(why.as_bytes()), &mut headers);
        if let Some(site) = site {
            Headers::push("flow.place", Some(site.as_bytes()), &mut headers);
        }
        Aside {
            topic: topic.to_string(),
            key: None,
            value: Some(body.into_bytes()),
            timestamp: None,
            headers,
            partition: 0,
        }
    }

    fn operator(&self, failed: &Failed) -> &str {
        &self.graph.vertices[failed.vertex.index()].name
    }

    /// A failed row as JSON, with its weight.
    fn row(&self, failed: &Failed) -> Option<(String, i64)> {
        let rows = failed.row.as_ref()?;
        let columns = row_columns(&self.graph, failed.vertex);
        Some((row_json(&*self.factory, columns, rows)?, rows.weight(0)))
    }

    /// Where in the program a row failed: at the expression, else at its operator.
    fn place(&self, failed: &Failed) -> Option<String> {
        match failed.error.site {
            Some(site) => Some(self.site(site)),
            None => place_of(&self.graph, self.graph.vertices[failed.vertex.index()].span),
        }
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
pub(crate) struct Failed {
    pub(crate) vertex: VertexId,
    pub(crate) error: RowError,
    pub(super) row: Option<RowBatch>,
    /// The source record's position in its batch, where the row still tells.
    pub(super) position: Option<usize>,
    /// The row's number in what the source handed out, where it is that row.
    pub(super) source_row: Option<usize>,
}

/// What happened to a row.
pub(crate) fn describe(error: &RowError) -> String {
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

/// Where a part of the program begins; `None` for what no text stands for.
fn place_of(graph: &JobGraph, span: Span) -> Option<String> {
    let file = graph.sources.get(span.file.0 as usize)?;
    let before = file.text.get(..span.start as usize).filter(|_| span.start < span.end)?;
    let line = before.bytes().filter(|&byte| byte == b'\n').count() + 1;
    let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
    Some(format!("{}:{line}:{column}", file.name))
}

/// The columns of the rows that an operator tells of when they fail: those that it reads where it
/// takes rows one by one, else those that it makes.
fn row_columns(graph: &JobGraph, vertex: VertexId) -> &[Field] {
    let reads = matches!(
        graph.vertices[vertex.index()].op,
        PhysicalOp::Map(_) | PhysicalOp::Late(_) | PhysicalOp::Sink(_)
    );
    let input = graph.inputs(vertex).first().map(|edge| edge.from);
    let of = if reads { input.unwrap_or(vertex) } else { vertex };
    &graph.vertices[of.index()].columns
}
