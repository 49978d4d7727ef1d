//! Scans as machine code: one loop that walks a record's payload, raises the watermark, filters and
//! projects, and writes the row that is left. Columns are values in registers all the way; of a row
//! that the filter drops nothing is ever written.

use std::sync::Arc;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I8, I64};
use cranelift_codegen::ir::{InstBuilder, Value};
use cranelift_frontend::Variable;
use flow_ir::decode_plan::{DecodePlan, Metadata, Origin, PayloadPlan, Sign};
use flow_ir::ids::Reg;
use flow_ir::kernel::{
    Decoder, ErrorBuffer, KernelCx, KernelError, Marks, Payloads, ScanOut, ScanSpec, Scanner,
};
use flow_ir::row::{BatchBuilder, RowLayout};
use flow_ir::scalar::ScalarOp;
use flow_stdlib::interp::scan::layout_of;

use super::COMPILED_INSTRUCTIONS_MAX;
use super::avro::Walk;
use super::emit::{Cell, Emit, Null};
use super::io::{Exit, Reads, at};
use super::kernel::filter_and_project;
use super::module::Code;
use super::raw;
use super::rows::{is_text, write_row};
use super::scalar::{Registers, result_cell};
use super::shims::Shim;

/// What of a scan's `Io` is carried from record to record.
pub(super) const KEEP: [i32; 3] = [at::WATERMARK, at::EVENT_TIME, at::AHEAD];

/// Records that are handed to code at once: few enough for what code reads of them to stay cached.
const RECORDS_AT_ONCE: usize = 256;

/// A compiled scan.
pub(super) struct NativeScan {
    code: Code,
    /// Does the records that the code leaves, one by one.
    interpreter: Box<dyn Scanner>,
    /// Whether rows come from a map, so that their records do not matter.
    mapped: bool,
    /// Whether the rows go.
    minus: bool,
    origin: Vec<u32>,
    reads: Reads,
}

/// Whether a scan can be compiled: its payloads are Avro, or raw.
pub(super) fn is_compiled(spec: &ScanSpec) -> bool {
    let plan = &spec.decode;
    let compiled = |payload: &PayloadPlan| match payload {
        PayloadPlan::Unread | PayloadPlan::Avro(_) => true,
        PayloadPlan::Json(_) | PayloadPlan::Csv(_) => false,
        PayloadPlan::Raw(columns) => {
            columns.iter().all(|&c| raw::is_compiled(&plan.columns[c as usize].ty.data))
        }
    };
    compiled(&plan.key)
        && compiled(&plan.value)
        && spec.max_future_skew.is_none_or(|skew| skew >= 0)
        && spec
            .map
            .iter()
            .chain(&spec.watermark)
            .all(|kernel| kernel.program.insts.len() <= COMPILED_INSTRUCTIONS_MAX)
}

/// The layout of the rows that come out.
pub(super) fn output_layout(spec: &ScanSpec) -> Arc<RowLayout> {
    spec.map.as_ref().map_or_else(|| layout_of(&spec.decode), |map| map.output_layout())
}

/// Writes the body of a scan's loop.
pub(super) fn body(e: &mut Emit<'_>, spec: &ScanSpec) -> Result<(), KernelError> {
    let checked_late = texts_go_out(spec);
    let columns = read_columns(e, spec, !checked_late)?;
    // The marks move when the record is done: one that is given back must find them as they were.
    let done = e.b.create_block();
    let raised = match &spec.watermark {
        None => Vec::new(),
        Some(program) => {
            let mut registers = Registers::new(&program.program);
            let output = program.outputs[0];
            registers.compute(e, [output].into_iter(), |_, number| columns[number])?;
            e.check();
            raise(e, registers.cell(output), spec.max_future_skew)
        }
    };
    let cells = match &spec.map {
        None => columns,
        Some(map) => filter_and_project(e, map, done, |_, number| columns[number])?,
    };
    write_row(e, &output_layout(spec), &cells, checked_late);
    e.b.ins().jump(done, &[]);
    e.b.switch_to_block(done);
    for (variable, value) in raised {
        e.b.def_var(variable, value);
    }
    e.b.ins().jump(e.next, &[]);
    Ok(())
}

/// Start and length of the value or key of the record that the loop is at.
fn bytes(e: &mut Emit<'_>, array: i32) -> [Value; 2] {
    let bytes = element(e, array, at::BYTES_BYTES);
    [e.load(bytes, at::START), e.load(bytes, at::LEN)]
}

/// A word of what else there is to know of the record.
fn about(e: &mut Emit<'_>, field: i32) -> Value {
    let record = element(e, at::ABOUT, at::ABOUT_BYTES);
    e.load(record, field)
}

/// Where an array, of elements of so many bytes, has what is of the record.
fn element(e: &mut Emit<'_>, array: i32, bytes: i64) -> Value {
    let array = e.load(e.io, array);
    let row = e.b.use_var(e.row);
    let size = e.word(bytes);
    let offset = e.b.ins().imul(row, size);
    e.b.ins().iadd(array, offset)
}

/// What the code of a scan reads of records besides their values.
fn reads(spec: &ScanSpec) -> Reads {
    let about = spec.decode.columns.iter().any(|column| match column.origin {
        Origin::Metadata(what) => match what {
            Metadata::Timestamp
            | Metadata::Offset
            | Metadata::BatchPosition
            | Metadata::Headers => true,
            Metadata::Topic | Metadata::Partition | Metadata::Tombstone | Metadata::Watermark => {
                false
            }
        },
        Origin::Key(_) | Origin::Value(_) => false,
    });
    Reads {
        keys: spec.decode.key != PayloadPlan::Unread,
        about: about || spec.max_future_skew.is_some(),
    }
}

/// Whether every text that is read is written out as it is, where it is checked while it is copied,
/// before anything else can be told of the row.
fn texts_go_out(spec: &ScanSpec) -> bool {
    let goes_out = |column: usize| {
        spec.map.as_ref().is_none_or(|map| {
            let is_it =
                |reg: &Reg| map.program.insts[reg.index()].op == ScalarOp::Column(column as u32);
            map.filter.is_none() && map.outputs.iter().any(is_it)
        })
    };
    let mut texts = spec.decode.columns.iter().enumerate().filter(|(_, c)| is_text(&c.ty.data));
    spec.watermark.is_none() && texts.all(|(column, _)| goes_out(column))
}

/// All columns of a record.
fn read_columns(
    e: &mut Emit<'_>,
    spec: &ScanSpec,
    check_texts: bool,
) -> Result<Vec<Cell>, KernelError> {
    let plan = &spec.decode;
    // A tombstone is left to the interpreter, also where no one reads values.
    let mut cells = payload(e, plan, &plan.value, at::INPUT, check_texts)?;
    if plan.key != PayloadPlan::Unread {
        let keys = payload(e, plan, &plan.key, at::KEYS, check_texts)?;
        for ((cell, key), column) in cells.iter_mut().zip(keys).zip(&plan.columns) {
            if let Origin::Key(_) = column.origin {
                *cell = key;
            }
        }
    }
    for (i, (cell, column)) in cells.iter_mut().zip(&plan.columns).enumerate() {
        if let Origin::Metadata(what) = column.origin {
            *cell = match what {
                // Without event time there is none.
                Metadata::Watermark if spec.watermark.is_none() => word(e.word(0)),
                what => metadata(e, what, &plan.sign),
            };
        }
        if !column.ty.nullable && is_required(plan, i) {
            let null = e.null_bit(cell.null);
            if !matches!(cell.null, Null::Never) {
                e.fail_if(null);
            }
            cell.null = Null::Never;
        }
    }
    e.check();
    Ok(cells)
}

/// Whether rows go by their keys.
fn deletes(sign: &Sign) -> bool {
    match sign {
        Sign::Plus | Sign::Minus => false,
        Sign::Delete(_) => true,
    }
}

/// Whether a NOT NULL column must be there: of a row that goes by its key, only what is not in the
/// value, and the key.
fn is_required(plan: &DecodePlan, column: usize) -> bool {
    match &plan.sign {
        Sign::Plus | Sign::Minus => true,
        Sign::Delete(key) => {
            !matches!(plan.columns[column].origin, Origin::Value(_))
                || key.contains(&(column as u32))
        }
    }
}

/// The columns that a key or value gives; the others are NULL.
fn payload(
    e: &mut Emit<'_>,
    plan: &DecodePlan,
    payload: &PayloadPlan,
    array: i32,
    check_texts: bool,
) -> Result<Vec<Cell>, KernelError> {
    let [start, len] = bytes(e, array);
    let there = e.b.ins().icmp_imm_s(IntCC::NotEqual, start, 0);
    e.demand(there);
    match payload {
        PayloadPlan::Avro(avro) => Walk::run(e, plan, avro, [start, len], check_texts),
        PayloadPlan::Raw(columns) => {
            let mut cells = vec![e.null(); plan.columns.len()];
            for &c in columns {
                let ty = &plan.columns[c as usize].ty.data;
                cells[c as usize] = raw::read(e, ty, [start, len], check_texts);
            }
            Ok(cells)
        }
        PayloadPlan::Unread => {
            let null = e.null();
            Ok(vec![null; plan.columns.len()])
        }
        PayloadPlan::Json(_) | PayloadPlan::Csv(_) => {
            Err(KernelError("JSON and CSV are not compiled".into()))
        }
    }
}

/// A word that is not NULL.
fn word(low: Value) -> Cell {
    Cell { null: Null::Never, low, high: low }
}

/// Something about a record.
fn metadata(e: &mut Emit<'_>, what: Metadata, sign: &Sign) -> Cell {
    match what {
        Metadata::Timestamp => {
            let timed = about(e, at::TIMED);
            let timed = e.b.ins().ireduce(I8, timed);
            let null = Null::When(e.not(timed));
            Cell { null, ..word(about(e, at::TIMESTAMP)) }
        }
        Metadata::Topic => {
            let (low, high) = (e.load(e.io, at::TOPIC), e.load(e.io, at::TOPIC_LEN));
            Cell { null: Null::Never, low, high }
        }
        Metadata::Partition => word(e.load(e.io, at::PARTITION)),
        Metadata::Offset => word(about(e, at::OFFSET)),
        Metadata::BatchPosition => word(about(e, at::POSITION)),
        // Records without a value are left to the interpreter.
        Metadata::Tombstone => word(e.word(i64::from(deletes(sign)))),
        Metadata::Watermark => {
            let (watermark, _) = e.kept[3];
            word(e.b.use_var(watermark))
        }
        Metadata::Headers => {
            let (from, len) = (about(e, at::HEADERS), about(e, at::HEADERS_LEN));
            let result = e.cells(1);
            let (context, result) = (e.context(), e.slot_address(result));
            let done = e.call(Shim::Headers, &[context, from, len, result]);
            e.demand(done);
            result_cell(e, result)
        }
    }
}

/// What watermark and event time are raised to, where the value is not NULL, and no further after
/// the record's timestamp than the skew allows; then the row is counted instead.
fn raise(e: &mut Emit<'_>, raised: Cell, skew: Option<i64>) -> Vec<(Variable, Value)> {
    let mut marks = Vec::new();
    let mut stays = raised.null;
    if let Some(skew) = skew {
        let time = about(e, at::TIMESTAMP);
        let skew = e.word(skew);
        // What is after the end of time is after no limit.
        let (limit, over) = e.b.ins().sadd_overflow(time, skew);
        let ahead = e.b.ins().icmp(IntCC::SignedGreaterThan, raised.low, limit);
        let ahead = e.b.ins().band_not(ahead, over);
        let timed = about(e, at::TIMED);
        let timed = e.b.ins().ireduce(I8, timed);
        let ahead = e.b.ins().band(ahead, timed);
        let ahead = e.unless_null(ahead, raised.null);
        let (count, _) = e.kept[5];
        let before = e.b.use_var(count);
        let more = e.b.ins().uextend(I64, ahead);
        marks.push((count, e.b.ins().iadd(before, more)));
        stays = e.either_null(raised.null, Null::When(ahead));
    }
    for (variable, _) in [e.kept[3], e.kept[4]] {
        let before = e.b.use_var(variable);
        let higher = e.b.ins().smax(before, raised.low);
        let after = match stays {
            Null::Always => before,
            Null::When(stays) => e.b.ins().select(stays, before, higher),
            Null::Never => higher,
        };
        marks.push((variable, after));
    }
    marks
}

impl NativeScan {
    /// A scan of code that `body` wrote.
    pub(super) fn new(spec: &ScanSpec, code: Code, interpreter: Box<dyn Scanner>) -> Self {
        let (mapped, minus) = (spec.map.is_some(), spec.decode.sign == Sign::Minus);
        Self { code, interpreter, mapped, minus, origin: Vec::new(), reads: reads(spec) }
    }
}

impl Scanner for NativeScan {
    fn scan(
        &mut self,
        from: &Payloads<'_>,
        cx: &KernelCx,
        marks: &mut Marks,
        out: &mut ScanOut<'_>,
    ) {
        for select in from.select.chunks(RECORDS_AT_ONCE) {
            self.code.take_records(from, select, self.reads);
            let mut done = 0;
            loop {
                let origin = if self.mapped { &mut self.origin } else { &mut *out.origin };
                let before = out.rows.len();
                let (exit, at) = self
                    .code
                    .records_to_rows(from, select, done, cx.clock, marks, out.rows, origin);
                self.origin.clear();
                let made = out.rows.len() - before;
                if self.minus && made > 0 {
                    out.rows.weigh_last(std::iter::repeat_n(-1, made));
                }
                if exit == Exit::Done {
                    break;
                }
                let one = Payloads { select: &select[at..=at], ..*from };
                self.interpreter.scan(&one, cx, marks, out);
                done = at + 1;
            }
        }
    }
}

/// A compiled scan that only decodes.
pub(super) struct NativeDecoder(pub(super) NativeScan);

impl Decoder for NativeDecoder {
    fn decode(
        &mut self,
        from: &Payloads<'_>,
        cx: &KernelCx,
        out: &mut BatchBuilder,
        origin: &mut Vec<u32>,
        bad: &mut ErrorBuffer,
    ) {
        let mut marks = Marks { watermark: i64::MIN, event_time: i64::MIN, ahead: 0 };
        let mut failed = ErrorBuffer::default();
        let mut out = ScanOut { rows: out, origin, bad, failed: &mut failed };
        self.0.scan(from, cx, &mut marks, &mut out);
    }
}
