//! One call of a decoder or a scan, and what it gives.

use flow_ir::kernel::{
    Decoder, ErrorBuffer, KernelCx, KernelError, KernelFactory, Marks, OnError, Payloads, Record,
    RowError, ScanOut, ScanSpec, Scanner,
};
use flow_ir::row::{BatchBuilder, RowBatch, RowLayout};
use flow_ir::types::Type;

use super::records::{OneRecord, Records};
use crate::batch::{difference, error_difference};

/// Before any record.
const FIRST: Marks = Marks { watermark: i64::MIN, event_time: i64::MIN, ahead: 0 };

/// What reads records.
pub(super) enum Reader {
    Decoder(Box<dyn Decoder>),
    Scanner(Box<dyn Scanner>),
}

impl Reader {
    /// A factory's scan; its decoder, if records are only decoded.
    pub(super) fn new(
        factory: &dyn KernelFactory,
        spec: &ScanSpec,
        scans: bool,
    ) -> Result<Self, KernelError> {
        Ok(match scans {
            true => Reader::Scanner(factory.scanner(spec)?),
            false => Reader::Decoder(factory.decoder(&spec.decode)?),
        })
    }
}

/// What a reader gave.
pub(super) struct Answer {
    pub(super) rows: BatchBuilder,
    pub(super) origin: Vec<u32>,
    /// Of records, and of rows in the map.
    pub(super) errors: Vec<RowError>,
    failed: Vec<RowError>,
    marks: Marks,
    /// Whether each row's record is known.
    has_origins: bool,
}

impl Answer {
    pub(super) fn new(spec: &ScanSpec) -> Self {
        let decoded = || spec.decode.columns.iter().map(|c| c.ty.clone()).collect();
        let types: Vec<Type> = spec.map.as_ref().map_or_else(decoded, |map| map.output_types());
        Self {
            rows: BatchBuilder::new(RowLayout::new(types).into()),
            origin: Vec::new(),
            errors: Vec::new(),
            failed: Vec::new(),
            marks: FIRST,
            has_origins: spec.map.is_none(),
        }
    }

    /// Forgets rows and failures; the marks go on.
    pub(super) fn clear(&mut self) {
        self.origin.clear();
        self.errors.clear();
        self.failed.clear();
    }
}

/// One call.
pub(super) struct Call<'a> {
    pub(super) records: &'a Records,
    pub(super) numbers: &'a [usize],
    pub(super) select: &'a [u32],
    pub(super) on_error: OnError,
}

impl Call<'_> {
    /// The record at a position of the batch.
    pub(super) fn record(&self, position: u32) -> &OneRecord {
        &self.records.all[self.numbers[position as usize]]
    }

    /// Reads the records, whose bytes stand alone or among others.
    pub(super) fn run(&self, reader: &mut Reader, alone: bool, answer: &mut Answer) {
        let record = |&number: &usize| self.records.all[number].borrowed(alone);
        let records: Vec<Record<'_>> = self.numbers.iter().map(record).collect();
        let from = Payloads {
            records: &records,
            select: self.select,
            key_skip: self.records.key_skip,
            value_skip: self.records.value_skip,
            topic: "orders",
            partition: 3,
        };
        let cx = KernelCx { clock: 0, on_error: self.on_error };
        let mut bad = ErrorBuffer { errors: std::mem::take(&mut answer.errors) };
        let mut failed = ErrorBuffer { errors: std::mem::take(&mut answer.failed) };
        let Answer { rows, origin, marks, .. } = answer;
        match reader {
            Reader::Decoder(decoder) => decoder.decode(&from, &cx, rows, origin, &mut bad),
            Reader::Scanner(scanner) => {
                let mut out = ScanOut { rows, origin, bad: &mut bad, failed: &mut failed };
                scanner.scan(&from, &cx, marks, &mut out);
            }
        }
        (answer.errors, answer.failed) = (bad.errors, failed.errors);
    }
}

/// What differs between two answers, whose rows were taken.
pub(super) fn differences(rows: &[RowBatch; 2], [ours, native]: [&Answer; 2]) -> Option<String> {
    if let Some(why) = error_difference(&ours.errors, &native.errors) {
        return Some(why);
    }
    if let Some(why) = error_difference(&ours.failed, &native.failed) {
        return Some(format!("in the map, {why}"));
    }
    if ours.has_origins && ours.origin != native.origin {
        return Some(format!("origins {:?} and {:?}", ours.origin, native.origin));
    }
    if ours.marks != native.marks {
        return Some(format!("{:?} and {:?}", ours.marks, native.marks));
    }
    difference(&rows[0], &rows[1])
}
