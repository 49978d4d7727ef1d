//! A scan in stages: a batch of records is decoded, its rows raise the watermark one after the
//! other, and a kernel filters and projects them. What a scan means; native code that does all at
//! once is held against it.

use std::sync::Arc;

use flow_ir::decode_plan::{DecodePlan, Metadata, Origin};
use flow_ir::kernel::{
    Decoder, ErrorBuffer, Kernel, KernelCx, KernelError, KernelFactory, Marks, OnError, Payloads,
    RowError, ScanOut, ScanSpec, Scanner,
};
use flow_ir::row::{BatchBuilder, Column, RowBatch, RowLayout};

/// A scan whose stages are a decoder and kernels of any make.
pub struct Staged {
    decoder: Box<dyn Decoder>,
    rows: BatchBuilder,
    origin: Vec<u32>,
    raise: Option<Raise>,
    map: Option<Box<dyn Kernel>>,
    failed: ErrorBuffer,
}

/// How rows raise the watermark.
struct Raise {
    kernel: Box<dyn Kernel>,
    raised: BatchBuilder,
    /// Where the watermark before a row is written to.
    hidden: Vec<Column>,
    max_future_skew: Option<i64>,
}

impl Staged {
    /// A scan with this decoder, which reads by `spec.decode`, and kernels of this factory.
    ///
    /// # Errors
    /// If a program is not well formed.
    pub fn new(
        spec: &ScanSpec,
        decoder: Box<dyn Decoder>,
        factory: &dyn KernelFactory,
    ) -> Result<Self, KernelError> {
        let layout = layout_of(&spec.decode);
        let hidden = Origin::Metadata(Metadata::Watermark);
        let columns = spec.decode.columns.iter().enumerate();
        let hidden = columns.filter(|(_, c)| c.origin == hidden);
        let hidden: Vec<Column> = hidden.map(|(at, _)| layout.column(at)).collect();
        let raise = |program: &flow_ir::kernel::KernelSpec| {
            Ok(Raise {
                kernel: factory.kernel(program)?,
                raised: BatchBuilder::new(program.output_layout()),
                hidden: hidden.clone(),
                max_future_skew: spec.max_future_skew,
            })
        };
        Ok(Self {
            decoder,
            raise: spec.watermark.as_ref().map(raise).transpose()?,
            map: spec.map.as_ref().map(|map| factory.kernel(map)).transpose()?,
            rows: BatchBuilder::new(layout),
            origin: Vec::new(),
            failed: ErrorBuffer::default(),
        })
    }
}

/// The rows that a plan makes.
pub fn layout_of(plan: &DecodePlan) -> Arc<RowLayout> {
    Arc::new(RowLayout::new(plan.columns.iter().map(|c| c.ty.clone()).collect::<Vec<_>>()))
}

impl Scanner for Staged {
    fn scan(
        &mut self,
        from: &Payloads<'_>,
        cx: &KernelCx,
        marks: &mut Marks,
        out: &mut ScanOut<'_>,
    ) {
        self.origin.clear();
        self.decoder.decode(from, cx, &mut self.rows, &mut self.origin, out.bad);
        let mut rows = self.rows.take();
        if let Some(raise) = &mut self.raise {
            raise.run(from, &self.origin, &mut rows, marks, cx, out.bad);
        }
        let spent = match &mut self.map {
            None => {
                out.origin.extend_from_slice(&self.origin);
                out.rows.append(rows)
            }
            Some(map) => {
                map.run(&rows, cx, out.rows, &mut self.failed);
                for error in self.failed.errors.drain(..) {
                    let row = self.origin[error.row as usize];
                    out.failed.errors.push(RowError { row, ..error });
                }
                rows
            }
        };
        self.rows.recycle(spent);
    }
}

impl Raise {
    /// Writes the watermark before it into each row, and raises it by the row.
    fn run(
        &mut self,
        from: &Payloads<'_>,
        origin: &[u32],
        rows: &mut RowBatch,
        marks: &mut Marks,
        cx: &KernelCx,
        bad: &mut ErrorBuffer,
    ) {
        let mut failed = ErrorBuffer::default();
        // A row whose expression fails raises nothing, and goes on.
        let keep = KernelCx { on_error: OnError::KeepNull, ..*cx };
        self.kernel.run(rows, &keep, &mut self.raised, &mut failed);
        for error in failed.errors {
            bad.errors.push(RowError { row: origin[error.row as usize], ..error });
        }
        let raised = self.raised.take();
        let column = raised.layout().column(0);
        for (index, &record) in origin.iter().enumerate() {
            for &hidden in &self.hidden {
                rows.set_word(index, hidden, marks.watermark as u64);
            }
            let row = raised.row(index);
            if row.is_null(column) {
                continue;
            }
            let candidate = row.i64(column);
            let record_time = from.records[record as usize].timestamp;
            let ahead = match (self.max_future_skew, record_time) {
                (Some(skew), Some(time)) => candidate > time.saturating_add(skew),
                (Some(_), None) | (None, _) => false,
            };
            if ahead {
                marks.ahead += 1;
            } else {
                marks.watermark = candidate.max(marks.watermark);
                marks.event_time = candidate.max(marks.event_time);
            }
        }
        self.raised.recycle(raised);
    }
}
