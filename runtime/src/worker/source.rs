//! One scan on one worker: records become rows, rows raise the watermark of their partition, and
//! go through the map above the scan where nothing else reads it; in one loop, if the factory makes
//! one.

use std::ops::Range;
use std::sync::Arc;

use flow_ir::decode_plan::{Metadata, Origin};
use flow_ir::ids::VertexId;
use flow_ir::kernel::{
    ErrorBuffer, ErrorCode, KernelCx, KernelFactory, Marks, Payloads, Record, ScanOut,
};
use flow_ir::physical::{JobGraph, Source};
use flow_ir::row::{BatchBuilder, RowBatch, RowLayout};
use flow_registry::Registry;
use flow_stdlib::interp::decode::Change;

use super::inputs::Input;
use crate::error::{Result, Retry, RuntimeError};
use crate::format::{Decoders, ScanSteps, WriterIds};

/// A scan.
pub(crate) struct Scan {
    pub(crate) vertex: VertexId,
    /// The vertex whose rows these are: the map that the scan does as well, or the scan's own.
    pub(crate) makes: VertexId,
    timed: bool,
    decoders: Decoders,
    rows: BatchBuilder,
    /// Position in the batch of the record of each row that was last handed out, unless it went
    /// through the map.
    pub(super) origin: Vec<u32>,
    select: Vec<u32>,
    /// Whether records without a value are rows: they take a key's row away.
    reads_tombstones: bool,
    /// Whether rows say the watermark before them.
    marks_rows: bool,
}

/// Rows that come, or that go: at the positions of their records.
#[derive(Default)]
struct Side<'r> {
    records: Vec<Record<'r>>,
    select: Vec<u32>,
}

impl<'r> Side<'r> {
    fn push(&mut self, records: &[Record<'r>], position: u32, payload: &'r [u8]) {
        if self.records.is_empty() {
            self.records.resize(records.len(), Record::default());
        }
        let at = position as usize;
        self.records[at] = Record { value: Some(payload), ..records[at] };
        self.select.push(position);
    }
}

/// What came of scanning a part of a batch.
pub(crate) struct Scanned {
    pub(crate) rows: RowBatch,
    /// The partition's watermark after the rows, the highest event time that was seen, and the rows
    /// dated too far ahead to move the watermark.
    pub(crate) marks: Marks,
}

impl Scan {
    /// A scan of a stream; of a view of another job with the number of its table there.
    pub(crate) fn new(
        graph: &JobGraph,
        vertex: VertexId,
        source: &Source,
        factory: &Arc<dyn KernelFactory>,
        registry: Option<Arc<dyn Registry>>,
        view_table: Option<u32>,
    ) -> Result<Self> {
        let stream = graph.stream(source.stream);
        let has = |what: Metadata| {
            source.columns.iter().any(|c| c.origin == Origin::Metadata(what.clone()))
        };
        let skew = stream.option("max.future.skew").and_then(flow_ir::connector::parse_duration);
        let map = graph.map_above(vertex);
        let makes = map.map_or(vertex, |(id, _)| id);
        let steps = ScanSteps {
            watermark: source.watermark.clone(),
            max_future_skew: skew,
            map: map.map(|(_, map)| map.kernel.clone()),
        };
        let (columns, factory) = (&source.columns, factory.clone());
        let decoders = match view_table {
            Some(table) => Decoders::of_view(stream, columns, table, steps, factory)?,
            None => Decoders::new(stream, columns, steps, factory, registry)?,
        };
        let types: Vec<_> =
            graph.vertices[makes.index()].columns.iter().map(|c| c.ty.clone()).collect();
        Ok(Self {
            vertex,
            makes,
            decoders,
            timed: source.watermark.is_some(),
            reads_tombstones: has(Metadata::Tombstone),
            marks_rows: has(Metadata::Watermark),
            rows: BatchBuilder::new(Arc::new(RowLayout::new(types))),
            origin: Vec::new(),
            select: Vec::new(),
        })
    }

    /// Whether the scan gives its stream event time.
    pub(crate) fn is_timed(&self) -> bool {
        self.timed
    }

    /// The records of `range`, from its first on, that can be decoded now: up to one whose schema
    /// the registry could not be asked for, and why.
    pub(crate) fn ready(
        &mut self,
        records: &[Record<'_>],
        range: Range<usize>,
    ) -> Result<(Range<usize>, Option<RuntimeError>)> {
        let mut known = None;
        let tombstones = self.reads_tombstones && !self.decoders.opens();
        let framed = if self.decoders.are_framed() { range.clone() } else { 0..0 };
        for at in framed {
            let record = &records[at];
            let is_read = record.value.is_some() || tombstones;
            let ids = self.decoders.ids(record).ok().filter(|_| is_read);
            let Some(new) = ids.filter(|_| ids != known) else { continue };
            match self.decoders.learn(new) {
                Ok(()) => known = ids,
                Err(error) if error.retry == Retry::Backoff => {
                    return Ok((range.start..at, Some(error)));
                }
                Err(error) => return Err(error),
            }
        }
        Ok((range, None))
    }

    /// Reads the records `range` of a batch. Those that cannot be read are noted in `bad` by their
    /// position in the batch, those whose rows fail in the map in `failed`.
    pub(crate) fn scan(
        &mut self,
        input: &Input,
        records: &[Record<'_>],
        range: Range<usize>,
        cx: &KernelCx,
        bad: &mut ErrorBuffer,
        failed: &mut ErrorBuffer,
    ) -> Result<Scanned> {
        self.origin.clear();
        let mut marks = Marks { watermark: input.watermark, event_time: i64::MIN, ahead: 0 };
        let mut at = range.start;
        while at < range.end {
            let range = at..range.end;
            at = match self.decoders.opens() {
                true => self.run_changes(input, records, range, cx, &mut marks, bad, failed)?,
                false => self.run(input, records, range, cx, &mut marks, bad, failed)?,
            };
        }
        Ok(Scanned { rows: self.rows.take(), marks })
    }

    /// Decodes the first records of `range` that were written with the same schemas. Returns the
    /// position after them.
    fn run(
        &mut self,
        input: &Input,
        records: &[Record<'_>],
        range: Range<usize>,
        cx: &KernelCx,
        marks: &mut Marks,
        bad: &mut ErrorBuffer,
        failed: &mut ErrorBuffer,
    ) -> Result<usize> {
        let (common, at) = self.select(records, range, self.reads_tombstones, bad);
        let Some(ids) = common else { return Ok(at) };
        let (key_skip, value_skip) = self.decoders.skips();
        let payloads = Payloads {
            records,
            select: &self.select,
            key_skip,
            value_skip,
            topic: &input.topic,
            partition: input.partition as i32,
        };
        match self.decoders.get(ids, true)? {
            Ok(scanner) => {
                let (rows, origin) = (&mut self.rows, &mut self.origin);
                scanner.scan(&payloads, cx, marks, &mut ScanOut { rows, origin, bad, failed });
            }
            Err(why) => {
                for &position in &self.select {
                    bad.note(position as usize, None, ErrorCode::UnknownSchema, Some(why));
                }
            }
        }
        Ok(at)
    }

    /// Selects the first records of `range` that were written with the same schemas. Returns these
    /// and the position after the records.
    fn select(
        &mut self,
        records: &[Record<'_>],
        range: Range<usize>,
        tombstones: bool,
        bad: &mut ErrorBuffer,
    ) -> (Option<WriterIds>, usize) {
        self.select.clear();
        let mut common: Option<WriterIds> = None;
        let mut at = range.start;
        while at < range.end {
            let record = &records[at];
            if record.value.is_none() && !tombstones {
                at += 1;
                continue;
            }
            match self.decoders.ids(record) {
                Ok(ids) if common.is_none_or(|c| c == ids) => {
                    common = Some(ids);
                    self.select.push(at as u32);
                }
                Ok(_) => break,
                Err(why) => bad.note(at, None, ErrorCode::Corrupt, Some(why)),
            }
            at += 1;
        }
        (common, at)
    }

    /// The same as `run` for records that say what happened to rows: each is taken apart, and the
    /// rows in it are read. What goes by key goes in its turn, and so do rows that say the
    /// watermark; else, where rows go by themselves, those that go come first.
    fn run_changes(
        &mut self,
        input: &Input,
        records: &[Record<'_>],
        range: Range<usize>,
        cx: &KernelCx,
        marks: &mut Marks,
        bad: &mut ErrorBuffer,
        failed: &mut ErrorBuffer,
    ) -> Result<usize> {
        let (common, at) = self.select(records, range, false, bad);
        let Some(ids) = common else { return Ok(at) };
        let (key_skip, value_skip) = self.decoders.skips();
        let by_key = self.decoders.by_key();
        let in_turn = by_key || self.marks_rows;
        let changes = self.open(records, ids, value_skip, bad)?;
        let mut sides = [Side::default(), Side::default()];
        let mut flush = |side: &mut Side<'_>, comes: bool| -> Result<()> {
            if side.select.is_empty() {
                return Ok(());
            }
            let payloads = Payloads {
                records: &side.records,
                select: &side.select,
                key_skip,
                value_skip: 0,
                topic: &input.topic,
                partition: input.partition as i32,
            };
            match self.decoders.get(ids, comes)? {
                Ok(scanner) => {
                    let (rows, origin) = (&mut self.rows, &mut self.origin);
                    scanner.scan(&payloads, cx, marks, &mut ScanOut { rows, origin, bad, failed });
                }
                Err(why) => {
                    for &position in &side.select {
                        bad.note(position as usize, None, ErrorCode::UnknownSchema, Some(why));
                    }
                }
            }
            side.select.clear();
            Ok(())
        };
        for (position, change) in &changes {
            let before = change.before.as_deref().filter(|_| !by_key || change.after.is_none());
            for (comes, payload) in [(false, before), (true, change.after.as_deref())] {
                let Some(payload) = payload else { continue };
                if in_turn {
                    flush(&mut sides[usize::from(!comes)], !comes)?;
                }
                let side = &mut sides[usize::from(comes)];
                // A record may tell of several rows.
                if side.select.last() == Some(position) {
                    flush(side, comes)?;
                }
                side.push(records, *position, payload);
            }
        }
        flush(&mut sides[0], false)?;
        flush(&mut sides[1], true)?;
        Ok(at)
    }

    /// Takes the selected records apart.
    fn open<'r>(
        &mut self,
        records: &[Record<'r>],
        ids: WriterIds,
        value_skip: usize,
        bad: &mut ErrorBuffer,
    ) -> Result<Vec<(u32, Change<'r>)>> {
        let mut changes = Vec::with_capacity(self.select.len());
        match self.decoders.opener(ids)? {
            Ok(opener) => {
                for &position in &self.select {
                    let value = records[position as usize].value.unwrap_or_default();
                    let mut told = Vec::new();
                    match opener.open(value.get(value_skip..).unwrap_or_default(), &mut told) {
                        Ok(()) => changes.extend(told.into_iter().map(|change| (position, change))),
                        Err(why) => {
                            bad.note(position as usize, None, ErrorCode::Corrupt, Some(why));
                        }
                    }
                }
            }
            Err(why) => {
                for &position in &self.select {
                    bad.note(position as usize, None, ErrorCode::UnknownSchema, Some(why));
                }
            }
        }
        Ok(changes)
    }

    /// Gives a spent batch back.
    pub(crate) fn recycle(&mut self, rows: RowBatch) {
        self.rows.recycle(rows);
    }
}
