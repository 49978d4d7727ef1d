//! Decode plans: random schemas and columns over payloads of which some are damaged. Both engines
//! give the same rows, origins and failures; where apache-avro reads an Avro payload they read the
//! same values, and what was written whole they read. Many are scans, whose rows raise a watermark
//! and go through a filter and projection.

mod call;
mod csv;
mod records;
mod side;

use flow_ir::decode_plan::{DecodeColumn, DecodePlan, Metadata, Origin, Sign};
use flow_ir::ids::Reg;
use flow_ir::kernel::{KernelFactory, KernelSpec, OnError, ScanSpec};
use flow_ir::row::{RowBatch, read_value};
use flow_ir::scalar::{Inst, ScalarOp};
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;
use flow_schema::decode_plan;
use flow_stdlib::interp::Interpreter;

use crate::batch::show_row;
use crate::scalar::{program_text, random_over};
use crate::source::Source;
use call::{Answer, Call, Reader, differences};
use records::{OneRecord, Records};
use side::{Side, Wanted};

/// Records of the batches that each decoder is given, one after the other.
const BATCH_RECORDS: [usize; 4] = [7, 0, 300, 1];

const METADATA: [Metadata; 8] = [
    Metadata::Timestamp,
    Metadata::Topic,
    Metadata::Partition,
    Metadata::Offset,
    Metadata::Headers,
    Metadata::BatchPosition,
    Metadata::Tombstone,
    Metadata::Watermark,
];

/// What a column of the plan is.
#[derive(Clone, Copy, Debug)]
enum Of {
    Value(usize),
    Key(usize),
    Metadata,
}

/// A scan and what its columns are.
struct Case {
    key: Option<Side>,
    value: Side,
    columns: Vec<Of>,
    spec: ScanSpec,
    /// Whether it is more than a decoder.
    scans: bool,
}

/// One random plan over random records.
///
/// # Errors
/// What the engines disagree on, or what apache-avro reads otherwise.
pub fn hold(bytes: &[u8]) -> Result<(), String> {
    let mut s = Source::new(bytes);
    let case = Case::random(&mut s)?;
    let made = |factory: &dyn KernelFactory| Reader::new(factory, &case.spec, case.scans);
    let (mut ours, mut native) = match (made(&Interpreter), made(&crate::native())) {
        (Ok(ours), Ok(native)) => (ours, native),
        // A cast that does not exist.
        (Err(_), Err(_)) if case.scans => return Ok(()),
        (ours, native) => {
            let (ours, native) = (ours.err(), native.err());
            return Err(format!("interpreted: {ours:?}, native: {native:?}\n{}", case.text()));
        }
    };
    let mut records = Records::new(&mut s, case.key.as_ref(), &case.value);
    let on_error = if s.once_in(2) { OnError::KeepNull } else { OnError::DropRow };
    let appends = s.once_in(3);
    let mut answers = [Answer::new(&case.spec), Answer::new(&case.spec)];
    for count in BATCH_RECORDS {
        let numbers = records.some(count);
        let select = records.select(count);
        let before = answers[0].rows.len();
        let call = Call { records: &records, numbers: &numbers, select: &select, on_error };
        let [a, b] = &mut answers;
        call.run(&mut ours, true, a);
        call.run(&mut native, false, b);
        if appends && count > 1 {
            continue;
        }
        let rows = [a.rows.take(), b.rows.take()];
        let told = |why: String| {
            let why = format!("{on_error:?}, {count} records, {before} rows before; {why}");
            case.describe(&call, why)
        };
        if let Some(why) = differences(&rows, [&*a, &*b]) {
            return Err(told(why));
        }
        if before == 0 && case.spec.map.is_none() {
            case.against_known(&call, &rows[0], a).map_err(told)?;
        }
        answers.iter_mut().for_each(Answer::clear);
    }
    Ok(())
}

/// The plan that the bytes make.
///
/// # Errors
/// If the generator made what is not valid.
pub fn show(bytes: &[u8]) -> Result<String, String> {
    Ok(Case::random(&mut Source::new(bytes))?.text())
}

impl Case {
    fn random(s: &mut Source<'_>) -> Result<Self, String> {
        let value = Side::random(s)?;
        let key = if s.once_in(3) { Some(Side::random(s)?) } else { None };
        let mut columns: Vec<(Of, DecodeColumn)> = Vec::new();
        for (i, wanted) in value.columns.iter().enumerate() {
            columns.push((Of::Value(i), wanted.in_value()));
        }
        for (i, wanted) in key.iter().flat_map(|key| key.columns.iter().enumerate()) {
            columns.push((Of::Key(i), wanted.in_key()));
        }
        for _ in 0..s.below(5) {
            let column = metadata(s);
            // There is one of a kind of which the source fills in one.
            if !is_watermark(&column) || !columns.iter().any(|(_, c)| is_watermark(c)) {
                columns.push((Of::Metadata, column));
            }
        }
        if !columns.is_empty() {
            let at = s.below(columns.len());
            columns.rotate_left(at);
        }
        // Last, where the program that raises the watermark does not see it.
        columns.sort_by_key(|(_, column)| is_watermark(column));
        let (columns, planned): (Vec<Of>, Vec<DecodeColumn>) = columns.into_iter().unzip();
        let plan = decode_plan(key.as_ref().map(Side::format), value.format(), &planned);
        let plan = plan.map_err(|e| {
            format!(
                "no plan: {e}\n{}{}",
                value.describe(),
                key.as_ref().map_or(String::new(), Side::describe)
            )
        })?;
        let decode = DecodePlan { sign: sign(s, &columns), ..plan };
        let mut spec = ScanSpec { decode, ..ScanSpec::default() };
        let scans = s.once_in(2);
        if scans {
            let types: Vec<Type> = planned.iter().map(|c| c.ty.clone()).collect();
            let seen = planned.iter().filter(|column| !is_watermark(column)).count();
            spec.watermark = s.once_in(2).then(|| watermark(s, &types, seen));
            spec.max_future_skew = s.once_in(6).then(|| s.short_word().saturating_abs());
            spec.map = s.once_in(2).then(|| random_over(s, types));
        }
        Ok(Self { key, value, columns, spec, scans })
    }

    fn text(&self) -> String {
        let key = self.key.as_ref().map_or(String::new(), |k| format!("key {}", k.describe()));
        let program = |what, program: &Option<KernelSpec>| {
            program.as_ref().map_or(String::new(), |p| format!("{what}\n{}", program_text(p)))
        };
        let watermark = program("watermark", &self.spec.watermark);
        let map = program("map", &self.spec.map);
        format!("{}{key}{}{watermark}{map}", self.value.describe(), self.spec.decode)
    }

    /// The rows against what is known about their payloads.
    fn against_known(
        &self,
        call: &Call<'_>,
        rows: &RowBatch,
        answer: &Answer,
    ) -> Result<(), String> {
        let failed = |position: u32| answer.errors.iter().any(|e| e.row == position);
        for (row, &position) in answer.origin.iter().enumerate() {
            if !failed(position) {
                self.row_against_known(call.record(position), rows, row)
                    .map_err(|why| format!("record {position}: {why}"))?;
            }
        }
        for &position in call.select {
            let refused = !answer.origin.contains(&position);
            if refused && self.must_read(call.record(position)) {
                let why = answer.errors.iter().find(|e| e.row == position);
                return Err(format!("record {position} is good and refused: {why:?}"));
            }
        }
        Ok(())
    }

    fn row_against_known(
        &self,
        record: &OneRecord,
        rows: &RowBatch,
        row: usize,
    ) -> Result<(), String> {
        let layout = rows.layout();
        for (column, of) in self.columns.iter().enumerate() {
            let (side, payload, i) = match of {
                Of::Value(i) => (Some(&self.value), record.value_of, *i),
                Of::Key(i) => (self.key.as_ref(), record.key_of, *i),
                Of::Metadata => continue,
            };
            let (Some(side), Some(payload)) = (side, payload) else { continue };
            let Some(values) = &side.payloads[payload].values else {
                match side.is_whole {
                    true => return Err("it is read, and should be refused".into()),
                    false => continue,
                }
            };
            let ty = &layout.types()[column];
            let read = read_value(rows.row(row), layout.column(column), ty);
            match &values[i] {
                Some(known) if format!("{known:?}") != format!("{read:?}") => {
                    return Err(format!("column {column} is {known:?} and is read as {read:?}"));
                }
                Some(_) | None => {}
            }
        }
        Ok(())
    }

    /// Whether nothing is wrong with a record for any column.
    fn must_read(&self, record: &OneRecord) -> bool {
        let good = |side: &Side, payload: Option<usize>| {
            side.columns.is_empty()
                || (side.columns.iter().all(Wanted::is_natural)
                    && payload.is_some_and(|p| {
                        side.payloads[p].is_good && side.payloads[p].values.is_some()
                    }))
        };
        let needs = |column: &DecodeColumn| {
            column.origin == Origin::Metadata(Metadata::Timestamp) && !column.ty.nullable
        };
        good(&self.value, record.value_of)
            && self.key.as_ref().is_none_or(|key| good(key, record.key_of))
            && (record.timestamp.is_some() || !self.spec.decode.columns.iter().any(needs))
    }

    /// The plan and the first record that differs by itself.
    fn describe(&self, call: &Call<'_>, why: String) -> String {
        let mut out = format!("{why}\n");
        let alone = call.select.iter().find_map(|&position| {
            let numbers = [call.numbers[position as usize]];
            let one = Call { numbers: &numbers, select: &[0], ..*call };
            self.answers_differ(&one).map(|why| (numbers[0], why))
        });
        match alone {
            Some((number, why)) => {
                let record = &call.records.all[number];
                out.push_str(&format!("by itself this record differs: {record:?}\n{why}\n"));
            }
            None => out.push_str("no record differs by itself\n"),
        }
        out + &self.text()
    }

    fn answers_differ(&self, call: &Call<'_>) -> Option<String> {
        let answer = |factory: &dyn KernelFactory, alone: bool| {
            let mut answer = Answer::new(&self.spec);
            let mut reader = Reader::new(factory, &self.spec, self.scans).ok()?;
            call.run(&mut reader, alone, &mut answer);
            let rows = answer.rows.take();
            Some((rows, answer))
        };
        let ((ours, a), (native, b)) =
            (answer(&Interpreter, true)?, answer(&crate::native(), false)?);
        let shown = if ours.is_empty() { "no row".into() } else { show_row(&ours, 0) };
        let rows = [ours, native];
        let known = || match self.spec.map {
            None => self.against_known(call, &rows[0], &a).err(),
            Some(_) => None,
        };
        differences(&rows, [&a, &b])
            .or_else(known)
            .map(|why| format!("{why}\nthe interpreter's answer: {shown}, {:?}", a.errors))
    }
}

fn is_watermark(column: &DecodeColumn) -> bool {
    column.origin == Origin::Metadata(Metadata::Watermark)
}

/// A program that gives an instant or an integer from the first columns.
fn watermark(s: &mut Source<'_>, types: &[Type], columns: usize) -> KernelSpec {
    let mut program = random_over(s, types[..columns].to_vec()).program;
    program.input = types.to_vec();
    let fits = |ty: &Type| ty.data.is_timestamp() || ty.data == DataType::BigInt;
    let found: Vec<usize> =
        (0..program.insts.len()).filter(|i| fits(&program.insts[*i].ty)).collect();
    let output = match found.is_empty() {
        false => Reg::from(*s.pick(&found)),
        true => program.push(Inst {
            op: ScalarOp::Const(Value::Int(s.short_word())),
            ty: Type::not_null(DataType::BigInt),
            guard: None,
            site: None,
        }),
    };
    KernelSpec { program, filter: None, outputs: vec![output] }
}

/// What becomes of the rows; where they go by their keys, the keys may be in the value.
fn sign(s: &mut Source<'_>, columns: &[Of]) -> Sign {
    match s.below(6) {
        4 => Sign::Minus,
        5 => {
            let is_key = |of: &Of| match of {
                Of::Key(_) => true,
                Of::Value(_) => s.once_in(2),
                Of::Metadata => false,
            };
            let keys: Vec<bool> = columns.iter().map(is_key).collect();
            Sign::Delete((0..keys.len()).filter(|&i| keys[i]).map(|i| i as u32).collect())
        }
        _ => Sign::Plus,
    }
}

fn metadata(s: &mut Source<'_>) -> DecodeColumn {
    let what = *s.pick(&METADATA);
    let nullable = s.once_in(2);
    DecodeColumn {
        name: what.to_string(),
        ty: Type { data: what.data_type(), nullable },
        origin: Origin::Metadata(what),
    }
}
