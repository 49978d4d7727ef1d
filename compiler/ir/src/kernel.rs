//! The interface of per-batch work: scalar kernels, decoders, encoders and updaters, made by a
//! `KernelFactory`. The interpreter is one factory, native code another; the runtime cannot tell.
//! Kernels never stop a batch: what fails is noted in the `ErrorBuffer` and the loop goes on.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::decode_plan::DecodePlan;
use crate::encode_plan::EncodePlan;
use crate::ids::{Reg, SiteId};
use crate::row::{BatchBuilder, RowBatch, RowLayout};
use crate::scalar::{InvalidProgram, ScalarOp, ScalarProgram};
use crate::types::{DataType, Type};
use crate::update::UpdateProgram;

/// A filter and a projection over one row type.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KernelSpec {
    /// Computes all registers.
    pub program: ScalarProgram,
    /// A BOOLEAN register; rows where it is not TRUE are dropped.
    pub filter: Option<Reg>,
    /// The registers that make the output row, in order.
    pub outputs: Vec<Reg>,
}

impl KernelSpec {
    /// Types of the output columns.
    pub fn output_types(&self) -> Vec<Type> {
        self.outputs.iter().map(|&r| self.program.ty(r).clone()).collect()
    }

    /// Layout of the output rows.
    pub fn output_layout(&self) -> Arc<RowLayout> {
        Arc::new(RowLayout::new(self.output_types()))
    }

    /// Whether the outputs are exactly the input's columns.
    pub fn is_identity(&self) -> bool {
        let column = |(i, reg): (usize, &Reg)| {
            self.program.insts[reg.index()].op == ScalarOp::Column(i as u32)
        };
        self.outputs.len() == self.program.input.len()
            && self.outputs.iter().enumerate().all(column)
    }

    /// Checks the program and that filter and outputs name its registers.
    ///
    /// # Errors
    /// What breaks a rule.
    pub fn verify(&self) -> Result<(), InvalidProgram> {
        self.program.verify()?;
        let count = self.program.insts.len();
        let invalid = |why: &str| InvalidProgram { inst: count, why: why.into() };
        if self.outputs.iter().chain(&self.filter).any(|r| r.index() >= count) {
            return Err(invalid("filter or output is no register"));
        }
        match self.filter {
            Some(reg) if self.program.ty(reg).data != DataType::Boolean => {
                Err(invalid("the filter is not BOOLEAN"))
            }
            _ => Ok(()),
        }
    }
}

/// What to do with a row for which an expression failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// Leave the row out of the output (policies `fail`, `skip` and `dead_letter`).
    DropRow,
    /// Keep it, the failed expression being NULL (policy `null`).
    KeepNull,
}

/// What every call of an epoch sees.
#[derive(Clone, Copy, Debug)]
pub struct KernelCx {
    /// The epoch's clock in microseconds since 1970.
    pub clock: i64,
    /// What happens to a row with an error.
    pub on_error: OnError,
}

/// Why a value could not be computed, decoded or encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ErrorCode {
    /// The result does not fit its type.
    Overflow,
    /// Division by zero.
    DivisionByZero,
    /// The value has no meaning in the type it is cast to.
    BadCast,
    /// An argument outside the function's domain.
    BadArgument,
    /// NULL where the type does not allow it.
    UnexpectedNull,
    /// The payload ends too early, or holds bytes that its schema does not allow.
    Corrupt,
    /// No schema is known for the payload.
    UnknownSchema,
    /// Where a single value is asked for there are several.
    SeveralRows,
}

impl ErrorCode {
    /// What happened, for a message.
    pub fn message(self) -> &'static str {
        match self {
            ErrorCode::Overflow => "the result is out of range",
            ErrorCode::DivisionByZero => "division by zero",
            ErrorCode::BadCast => "the value cannot be converted",
            ErrorCode::BadArgument => "an argument is out of the function's domain",
            ErrorCode::UnexpectedNull => "NULL where the schema does not allow it",
            ErrorCode::Corrupt => "the payload cannot be decoded",
            ErrorCode::UnknownSchema => "no schema is known for the payload",
            ErrorCode::SeveralRows => "more than one row where a single value is asked for",
        }
    }
}

/// One failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowError {
    /// Row or record of the input batch.
    pub row: u32,
    /// The expression, if it was one.
    pub site: Option<SiteId>,
    /// What happened.
    pub code: ErrorCode,
    /// More to say, such as the value or the field's name.
    pub detail: Option<Box<str>>,
}

/// Failures of one call, in no particular order.
#[derive(Clone, Debug, Default)]
pub struct ErrorBuffer {
    /// The failures.
    pub errors: Vec<RowError>,
}

impl ErrorBuffer {
    /// Notes a failure.
    pub fn note(
        &mut self,
        row: usize,
        site: Option<SiteId>,
        code: ErrorCode,
        detail: Option<&str>,
    ) {
        self.errors.push(RowError { row: row as u32, site, code, detail: detail.map(Into::into) });
    }

    /// Whether nothing failed.
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// Forgets all failures.
    pub fn clear(&mut self) {
        self.errors.clear();
    }
}

/// A record of a topic or file as a source hands it out: borrowed bytes and where they stood.
#[derive(Clone, Copy, Debug, Default)]
pub struct Record<'a> {
    /// Key bytes.
    pub key: Option<&'a [u8]>,
    /// Value bytes; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Position in the partition.
    pub offset: i64,
    /// Microseconds since 1970; `None` where the source has no timestamps.
    pub timestamp: Option<i64>,
    /// Headers in order.
    pub headers: Headers<'a>,
}

/// The headers of a record, end to end: name and value each as a little-endian u32, the length
/// plus 1 (0 for NULL), and the bytes. Bytes that end too early end the headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Headers<'a>(pub &'a [u8]);

impl<'a> Headers<'a> {
    /// Appends a header in this form.
    pub fn push(name: &str, value: Option<&[u8]>, out: &mut Vec<u8>) {
        for part in [Some(name.as_bytes()), value] {
            let len = part.map_or(0, |bytes| bytes.len() as u32 + 1);
            out.extend_from_slice(&len.to_le_bytes());
            out.extend_from_slice(part.unwrap_or(&[]));
        }
    }

    /// Takes a length-prefixed part off the front.
    fn part(&mut self) -> Option<Option<&'a [u8]>> {
        let (len, rest) = self.0.split_first_chunk::<4>()?;
        let Some(len) = u32::from_le_bytes(*len).checked_sub(1) else {
            self.0 = rest;
            return Some(None);
        };
        let (bytes, rest) = rest.split_at_checked(len as usize)?;
        self.0 = rest;
        Some(Some(bytes))
    }
}

/// The headers in order. A name that is not UTF-8 is empty.
impl<'a> Iterator for Headers<'a> {
    type Item = (&'a str, Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        let name = self.part()?.unwrap_or(&[]);
        Some((std::str::from_utf8(name).unwrap_or(""), self.part()?))
    }
}

/// Which records a decoder is to read, all of one partition and one writer schema.
#[derive(Clone, Copy, Debug)]
pub struct Payloads<'a> {
    /// The batch; failures and row origins are positions in it.
    pub records: &'a [Record<'a>],
    /// The positions to decode, ascending.
    pub select: &'a [u32],
    /// Bytes of framing before the key proper.
    pub key_skip: usize,
    /// Bytes of framing before the value proper.
    pub value_skip: usize,
    /// Topic or file.
    pub topic: &'a str,
    /// The partition.
    pub partition: i32,
}

/// What is done with each record of a scan.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScanSpec {
    /// How it is read.
    pub decode: DecodePlan,
    /// Gives what a row raises the watermark of its partition to, as microseconds; NULL raises
    /// nothing. The row's own `Metadata::Watermark` columns have the watermark before it.
    pub watermark: Option<KernelSpec>,
    /// A row dated further than this after its record's timestamp raises nothing; microseconds.
    pub max_future_skew: Option<i64>,
    /// The filter and projection that the row then goes through.
    pub map: Option<KernelSpec>,
}

/// What a scan carries from record to record of one partition; microseconds since 1970, `i64::MIN`
/// before any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    /// The partition's watermark.
    pub watermark: i64,
    /// The highest that a row was for raising it to.
    pub event_time: i64,
    /// Rows dated too far ahead.
    pub ahead: u64,
}

/// Where a scan puts what it makes.
#[derive(Debug)]
pub struct ScanOut<'a> {
    /// The rows, those of the map if there is one.
    pub rows: &'a mut BatchBuilder,
    /// Position of each row's record in its batch. Of no use where there is a map.
    pub origin: &'a mut Vec<u32>,
    /// Records that cannot be read, and rows without a watermark, by their records' positions.
    pub bad: &'a mut ErrorBuffer,
    /// Rows that failed in the map, likewise.
    pub failed: &'a mut ErrorBuffer,
}

/// Filters and projects batches.
pub trait Kernel: Send {
    /// Appends to `out` a row for each input row that passes, with its weight.
    fn run(
        &mut self,
        rows: &RowBatch,
        cx: &KernelCx,
        out: &mut BatchBuilder,
        bad: &mut ErrorBuffer,
    );
}

/// Reads records into rows.
pub trait Decoder: Send {
    /// Appends at most one row a record to `out` and its record's position to `origin`.
    fn decode(
        &mut self,
        from: &Payloads<'_>,
        cx: &KernelCx,
        out: &mut BatchBuilder,
        origin: &mut Vec<u32>,
        bad: &mut ErrorBuffer,
    );
}

/// Reads records, raises the watermark by them, and filters and projects their rows.
pub trait Scanner: Send {
    /// Takes each record once, in order.
    fn scan(
        &mut self,
        from: &Payloads<'_>,
        cx: &KernelCx,
        marks: &mut Marks,
        out: &mut ScanOut<'_>,
    );
}

/// Writes rows as payloads.
pub trait Encoder: Send {
    /// Appends one payload a row; a row that fails gives an empty payload and is noted.
    fn encode(&mut self, rows: &RowBatch, out: &mut PayloadArena, bad: &mut ErrorBuffer);
}

/// Values in place (`row::ValueMut`), end to end in one arena: what updates change.
#[derive(Debug)]
pub struct Blocks<'a> {
    /// How each block lies.
    pub layout: &'a RowLayout,
    /// The blocks, `layout.fixed_words()` words each.
    pub words: &'a mut [u64],
    /// The number of each picked row's block.
    pub places: &'a [u32],
}

/// Updates accumulators by rows.
pub trait Updater: Send {
    /// Does the updates with row `picks[i]` of the batch and block `places[i]`, for each i.
    ///
    /// # Panics
    /// If the rows or the blocks are not of the program's types, or a row or block is not there.
    fn update(&mut self, rows: &RowBatch, picks: &[u32], blocks: &mut Blocks<'_>);
}

/// Payloads end to end.
#[derive(Clone, Debug, Default)]
pub struct PayloadArena {
    /// The bytes of all payloads.
    pub bytes: Vec<u8>,
    /// Where each payload ends.
    pub ends: Vec<u32>,
}

impl PayloadArena {
    /// Payloads.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no payload.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Payload `index`.
    pub fn get(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        &self.bytes[start..self.ends[index] as usize]
    }

    /// Ends the payload whose bytes were appended last.
    pub fn close(&mut self) {
        self.ends.push(u32::try_from(self.bytes.len()).expect("an arena stays under 4 GiB"));
    }

    /// Forgets all payloads, keeps the buffers.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

/// A plan that no engine can run: a bug in the compiler, or an altered artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelError(pub String);

/// Makes kernels from programs and plans. One kernel serves one thread.
pub trait KernelFactory: Send + Sync {
    /// A kernel for a filter and projection.
    ///
    /// # Errors
    /// If the program is not well formed or names an unknown host function.
    fn kernel(&self, spec: &KernelSpec) -> Result<Box<dyn Kernel>, KernelError>;

    /// A decoder.
    ///
    /// # Errors
    /// If the plan is not well formed.
    fn decoder(&self, plan: &DecodePlan) -> Result<Box<dyn Decoder>, KernelError>;

    /// A scan.
    ///
    /// # Errors
    /// If its plan or one of its programs is not well formed.
    fn scanner(&self, spec: &ScanSpec) -> Result<Box<dyn Scanner>, KernelError>;

    /// An encoder.
    ///
    /// # Errors
    /// If the plan is not well formed.
    fn encoder(&self, plan: &EncodePlan) -> Result<Box<dyn Encoder>, KernelError>;

    /// An updater.
    ///
    /// # Errors
    /// If the program is not well formed.
    fn updater(&self, program: &UpdateProgram) -> Result<Box<dyn Updater>, KernelError>;
}
