//! One scan on one worker: records become rows, rows raise the watermark of their partition.

use std::sync::Arc;

use flow_ir::decode_plan::{Metadata, Origin};
use flow_ir::ids::VertexId;
use flow_ir::kernel::{
    ErrorBuffer, ErrorCode, Kernel, KernelCx, KernelFactory, OnError, Payloads, Record,
};
use flow_ir::physical::{JobGraph, Source};
use flow_ir::row::{BatchBuilder, Column, RowBatch, RowLayout};
use flow_registry::Registry;

use super::inputs::Input;
use crate::error::{Result, RuntimeError};
use crate::format::{Decoders, WriterIds};

/// A scan.
pub(crate) struct Scan {
    pub(crate) vertex: VertexId,
    decoders: Decoders,
    rows: BatchBuilder,
    /// Position in the batch of the record of each row that was last handed out.
    pub(super) origin: Vec<u32>,
    select: Vec<u32>,
    /// The kernel that gives what a row raises the watermark to, and its output.
    watermark: Option<(Box<dyn Kernel>, BatchBuilder)>,
    /// Where the partition's watermark before the row is written to.
    watermark_column: Option<Column>,
    /// Whether records without a value are rows: they take a key's row away.
    reads_tombstones: bool,
    max_future_skew: Option<i64>,
}

/// What came of decoding a part of a batch.
pub(crate) struct Scanned {
    pub(crate) rows: RowBatch,
    /// The partition's watermark after the rows.
    pub(crate) watermark: i64,
    /// Highest event time or watermark candidate that was seen.
    pub(crate) event_time: i64,
    /// Rows dated too far ahead to move the watermark.
    pub(crate) ahead: u64,
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
        let types: Vec<_> = source.columns.iter().map(|c| c.ty.clone()).collect();
        let layout = Arc::new(RowLayout::new(types));
        let hidden = |wanted: Metadata| {
            source.columns.iter().position(|c| c.origin == Origin::Metadata(wanted))
        };
        let watermark = source.watermark.as_ref().map(|spec| {
            let kernel = factory.kernel(spec).map_err(|e| RuntimeError::internal(e.0))?;
            Ok((kernel, BatchBuilder::new(spec.output_layout())))
        });
        let skew = stream.option("max.future.skew").and_then(flow_ir::connector::parse_duration);
        let (columns, factory) = (&source.columns, factory.clone());
        let decoders = match view_table {
            Some(table) => Decoders::of_view(stream, columns, table, factory)?,
            None => Decoders::new(stream, columns, factory, registry)?,
        };
        Ok(Self {
            vertex,
            decoders,
            watermark: watermark.transpose()?,
            watermark_column: hidden(Metadata::Watermark).map(|i| layout.column(i)),
            reads_tombstones: hidden(Metadata::Tombstone).is_some(),
            rows: BatchBuilder::new(layout),
            origin: Vec::new(),
            select: Vec::new(),
            max_future_skew: skew,
        })
    }

    /// Whether the scan gives its stream event time.
    pub(crate) fn is_timed(&self) -> bool {
        self.watermark.is_some()
    }

    /// Decodes the records `range` of a batch. Those that cannot be read are noted in `bad` by
    /// their position in the batch.
    pub(crate) fn scan(
        &mut self,
        input: &Input,
        records: &[Record<'_>],
        range: std::ops::Range<usize>,
        cx: &KernelCx,
        bad: &mut ErrorBuffer,
    ) -> Result<Scanned> {
        self.origin.clear();
        let mut at = range.start;
        while at < range.end {
            at = self.run(input, records, at..range.end, cx, bad)?;
        }
        let rows = self.rows.take();
        let watermark = input.watermark;
        let mut scanned = Scanned { rows, watermark, event_time: i64::MIN, ahead: 0 };
        self.raise(records, &mut scanned, cx, bad);
        Ok(scanned)
    }

    /// Decodes the first records of `range` that were written with the same schemas. Returns the
    /// position after them.
    fn run(
        &mut self,
        input: &Input,
        records: &[Record<'_>],
        range: std::ops::Range<usize>,
        cx: &KernelCx,
        bad: &mut ErrorBuffer,
    ) -> Result<usize> {
        self.select.clear();
        let mut common: Option<WriterIds> = None;
        let mut at = range.start;
        while at < range.end {
            let record = &records[at];
            if record.value.is_none() && !self.reads_tombstones {
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
        match self.decoders.get(ids)? {
            Ok(decoder) => decoder.decode(&payloads, cx, &mut self.rows, &mut self.origin, bad),
            Err(why) => {
                for &position in &self.select {
                    bad.note(position as usize, None, ErrorCode::UnknownSchema, Some(why));
                }
            }
        }
        Ok(at)
    }

    /// Writes the watermark before it into each row, and raises it by the row.
    fn raise(
        &mut self,
        records: &[Record<'_>],
        scanned: &mut Scanned,
        cx: &KernelCx,
        bad: &mut ErrorBuffer,
    ) {
        let Some((kernel, out)) = &mut self.watermark else { return };
        let mut failed = ErrorBuffer::default();
        // A row whose expression fails raises nothing, and goes on.
        let keep = KernelCx { on_error: OnError::KeepNull, ..*cx };
        kernel.run(&scanned.rows, &keep, out, &mut failed);
        for mut error in failed.errors {
            error.row = self.origin[error.row as usize];
            bad.errors.push(error);
        }
        let raised = out.take();
        let column = raised.layout().column(0);
        for index in 0..scanned.rows.len() {
            if let Some(hidden) = self.watermark_column {
                scanned.rows.set_word(index, hidden, scanned.watermark as u64);
            }
            let row = raised.row(index);
            if row.is_null(column) {
                continue;
            }
            let candidate = row.i64(column);
            let record_time = records[self.origin[index] as usize].timestamp;
            let ahead = match (self.max_future_skew, record_time) {
                (Some(skew), Some(time)) => candidate > time.saturating_add(skew),
                (Some(_), None) | (None, _) => false,
            };
            if ahead {
                scanned.ahead += 1;
            } else {
                scanned.watermark = candidate.max(scanned.watermark);
                scanned.event_time = candidate.max(scanned.event_time);
            }
        }
        out.recycle(raised);
    }

    /// Gives a spent batch back.
    pub(crate) fn recycle(&mut self, rows: RowBatch) {
        self.rows.recycle(rows);
    }
}
