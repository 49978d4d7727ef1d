//! Scans as machine code: one loop that walks a record's payload, raises the watermark, filters and
//! projects, and writes the row that is left. Columns are values in registers all the way; of a row
//! that the filter drops nothing is ever written.

use std::sync::Arc;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I8;
use cranelift_codegen::ir::{InstBuilder, Value};
use cranelift_frontend::Variable;
use flow_ir::decode_plan::{DecodePlan, Metadata, Origin, PayloadPlan, Sign};
use flow_ir::ids::Reg;
use flow_ir::kernel::{
    Decoder, ErrorBuffer, KernelCx, KernelError, Marks, Payloads, ScanOut, ScanSpec, Scanner,
};
use flow_ir::row::{BatchBuilder, RowLayout};
use flow_ir::scalar::ScalarOp;
use flow_ir::types::DataType;
use flow_stdlib::interp::scan::layout_of;

use super::COMPILED_INSTRUCTIONS_MAX;
use super::avro::Walk;
use super::emit::{Cell, Emit, Null};
use super::io::{Exit, at};
use super::kernel::filter_and_project;
use super::module::Code;
use super::rows::{is_text, write_row};
use super::scalar::Registers;
use super::shims::Shim;

/// What of a scan's `Io` is carried from record to record.
pub(super) const KEEP: [i32; 2] = [at::WATERMARK, at::EVENT_TIME];

/// A compiled scan.
pub(super) struct NativeScan {
    code: Code,
    /// Does the records that the code leaves, one by one.
    interpreter: Box<dyn Scanner>,
    /// Whether rows come from a map, so that their records do not matter.
    mapped: bool,
    origin: Vec<u32>,
}

/// Whether a scan can be compiled: Avro values, Avro or text keys, and metadata that are words or
/// texts. A skew limit is for the interpreter.
pub(super) fn is_compiled(spec: &ScanSpec) -> bool {
    let plan = &spec.decode;
    let compiled = |payload: &PayloadPlan| match payload {
        PayloadPlan::Unread | PayloadPlan::Avro(_) => true,
        PayloadPlan::Json(_) | PayloadPlan::Csv(_) => false,
        PayloadPlan::Raw(columns) => columns.iter().all(|&c| {
            matches!(plan.columns[c as usize].ty.data, DataType::String | DataType::Bytes)
        }),
    };
    let headers = Origin::Metadata(Metadata::Headers);
    plan.sign == Sign::Plus
        && compiled(&plan.key)
        && compiled(&plan.value)
        && spec.max_future_skew.is_none()
        && spec
            .map
            .iter()
            .chain(&spec.watermark)
            .all(|kernel| kernel.program.insts.len() <= COMPILED_INSTRUCTIONS_MAX)
        && plan.columns.iter().all(|column| column.origin != headers)
}

/// The layout of the rows that come out.
pub(super) fn output_layout(spec: &ScanSpec) -> Arc<RowLayout> {
    spec.map.as_ref().map_or_else(|| layout_of(&spec.decode), |map| map.output_layout())
}

/// Writes the body of a scan's loop.
pub(super) fn body(e: &mut Emit<'_>, spec: &ScanSpec) -> Result<(), KernelError> {
    let record = record_address(e);
    let checked_late = texts_go_out(spec);
    let columns = read_columns(e, spec, record, !checked_late)?;
    // The marks move when the record is done: one that is given back must find them as they were.
    let done = e.b.create_block();
    let raised = match &spec.watermark {
        None => Vec::new(),
        Some(program) => {
            let mut registers = Registers::new(&program.program);
            let output = program.outputs[0];
            registers.compute(e, [output].into_iter(), |_, number| columns[number])?;
            e.check();
            raise(e, registers.cell(output))
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

/// The address of the record that the loop is at.
fn record_address(e: &mut Emit<'_>) -> Value {
    let records = e.load(e.io, at::INPUT);
    let row = e.b.use_var(e.row);
    let size = e.word(at::RECORD_BYTES);
    let offset = e.b.ins().imul(row, size);
    e.b.ins().iadd(records, offset)
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
    record: Value,
    check_texts: bool,
) -> Result<Vec<Cell>, KernelError> {
    let plan = &spec.decode;
    // A tombstone is left to the interpreter, also where no one reads values.
    let mut cells = payload(e, plan, &plan.value, record, [at::VALUE, at::VALUE_LEN], check_texts)?;
    if plan.key != PayloadPlan::Unread {
        let keys = payload(e, plan, &plan.key, record, [at::KEY, at::KEY_LEN], check_texts)?;
        for ((cell, key), column) in cells.iter_mut().zip(keys).zip(&plan.columns) {
            if let Origin::Key(_) = column.origin {
                *cell = key;
            }
        }
    }
    for (cell, column) in cells.iter_mut().zip(&plan.columns) {
        if let Origin::Metadata(what) = column.origin {
            *cell = match what {
                // Without event time there is none.
                Metadata::Watermark if spec.watermark.is_none() => word(e.word(0)),
                what => metadata(e, what, record),
            };
        }
        if !column.ty.nullable {
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

/// The columns that a key or value gives; the others are NULL.
fn payload(
    e: &mut Emit<'_>,
    plan: &DecodePlan,
    payload: &PayloadPlan,
    record: Value,
    [address, bytes]: [i32; 2],
    check_texts: bool,
) -> Result<Vec<Cell>, KernelError> {
    let (start, len) = (e.load(record, address), e.load(record, bytes));
    let there = e.b.ins().icmp_imm_s(IntCC::NotEqual, start, 0);
    e.demand(there);
    let whole = Cell { null: Null::Never, low: start, high: len };
    match payload {
        PayloadPlan::Avro(avro) => Walk::run(e, plan, avro, [start, len], check_texts),
        PayloadPlan::Raw(columns) => {
            let text = |&c: &u32| is_text(&plan.columns[c as usize].ty.data);
            if check_texts && columns.iter().any(text) {
                let text = e.call(Shim::IsText, &[start, len]);
                e.demand(text);
            }
            let null = e.null();
            let cell = |c: usize| if columns.contains(&(c as u32)) { whole } else { null };
            Ok((0..plan.columns.len()).map(cell).collect())
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
fn metadata(e: &mut Emit<'_>, what: Metadata, record: Value) -> Cell {
    match what {
        Metadata::Timestamp => {
            let timed = e.load(record, at::TIMED);
            let timed = e.b.ins().ireduce(I8, timed);
            let null = Null::When(e.not(timed));
            Cell { null, ..word(e.load(record, at::TIMESTAMP)) }
        }
        Metadata::Topic => {
            let (low, high) = (e.load(e.io, at::TOPIC), e.load(e.io, at::TOPIC_LEN));
            Cell { null: Null::Never, low, high }
        }
        Metadata::Partition => word(e.load(e.io, at::PARTITION)),
        Metadata::Offset => word(e.load(record, at::OFFSET)),
        Metadata::BatchPosition => word(e.load(record, at::POSITION)),
        // Records without a value are left to the interpreter.
        Metadata::Tombstone => word(e.word(0)),
        Metadata::Watermark => {
            let (watermark, _) = e.kept[3];
            word(e.b.use_var(watermark))
        }
        Metadata::Headers => e.null(),
    }
}

/// What watermark and event time are raised to, where the value is not NULL.
fn raise(e: &mut Emit<'_>, raised: Cell) -> Vec<(Variable, Value)> {
    let mut marks = Vec::new();
    for (variable, _) in [e.kept[3], e.kept[4]] {
        let before = e.b.use_var(variable);
        let higher = e.b.ins().smax(before, raised.low);
        let after = match raised.null {
            Null::Always => before,
            Null::When(null) => e.b.ins().select(null, before, higher),
            Null::Never => higher,
        };
        marks.push((variable, after));
    }
    marks
}

impl NativeScan {
    /// A scan of code that `body` wrote.
    pub(super) fn new(spec: &ScanSpec, code: Code, interpreter: Box<dyn Scanner>) -> Self {
        Self { code, interpreter, mapped: spec.map.is_some(), origin: Vec::new() }
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
        let mut done = 0;
        while done < from.select.len() {
            let origin = if self.mapped { &mut self.origin } else { &mut *out.origin };
            let (exit, at) =
                self.code.records_to_rows(from, done, cx.clock, marks, out.rows, origin);
            self.origin.clear();
            if exit == Exit::Done {
                break;
            }
            let one = Payloads { select: &from.select[at..=at], ..*from };
            self.interpreter.scan(&one, cx, marks, out);
            done = at + 1;
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
