//! Encode plans: random rows in every format. Both engines write the same bytes and refuse the same
//! rows; what is written is read back as the same values, and Avro by apache-avro, too.

use std::sync::Arc;

use flow_ir::csv::CsvDialect;
use flow_ir::decode_plan::{DecodeColumn, DecodePlan, Origin, json_reads_as, raw_reads_as};
use flow_ir::encode_plan::{AvroPut, AvroWrite, EncodePlan, JsonTimestamps, PayloadWriter};
use flow_ir::kernel::{
    Encoder, ErrorBuffer, KernelCx, KernelFactory, OnError, PayloadArena, Payloads, Record,
    RowError,
};
use flow_ir::row::{BatchBuilder, RowBatch, RowLayout, read_value};
use flow_ir::types::{DataType, Field, Type};
use flow_ir::value::Value;
use flow_schema::{
    CsvFormat, EncodeFormat, PayloadFormat, Schema, decode_plan, derive, encode_plan, parse,
};
use flow_stdlib::interp::Interpreter;
use serde::de::IgnoredAny;

use crate::avro::{Sample, reads_datum};
use crate::batch::{Pool, error_difference, row_of, show_row};
use crate::csv;
use crate::source::Source;
use crate::types::any_type;
use crate::values::{each_scalar, in_whole_millis, through_json, told_from_null, values};

/// Rows of the batches that each encoder is given, one after the other.
const BATCH_ROWS: [usize; 4] = [7, 0, 300, 1];

/// What is written, and how it is read back.
struct Case {
    plan: EncodePlan,
    pool: Pool,
    /// Numbers of the columns that are written.
    written: Vec<usize>,
    format: Format,
}

/// How payloads are read back.
enum Format {
    /// By this schema; whether each column is of its field's own type.
    Avro { schema: Box<Schema>, is_natural: bool },
    /// As JSON.
    Json(JsonTimestamps),
    /// As delimited text.
    Csv(CsvDialect),
    /// Not at all.
    Other,
}

/// Columns with values for them.
type Columns = Vec<(Field, Vec<Value>)>;

/// One random plan over random rows.
///
/// # Errors
/// What the engines disagree on, or what does not come back.
pub fn hold(bytes: &[u8]) -> Result<(), String> {
    let mut s = Source::new(bytes);
    let mut case = Case::random(&mut s)?;
    let made = |factory: &dyn KernelFactory| {
        factory.encoder(&case.plan).map_err(|e| format!("no encoder: {e:?}\n{}", case.plan))
    };
    let (mut ours, mut native) = (made(&Interpreter)?, made(&crate::native())?);
    let appends = s.once_in(2);
    let mut outs = [PayloadArena::default(), PayloadArena::default()];
    for rows in BATCH_ROWS {
        let batch = case.pool.batch(rows);
        let before = outs[0].len();
        let [a, b] = &mut outs;
        let answers = [run(&mut *ours, &batch, a), run(&mut *native, &batch, b)];
        let told = |why: String| {
            case.describe(&batch, format!("{rows} rows, {before} payloads before; {why}"))
        };
        if let Some(why) = differences(&outs, &answers) {
            return Err(told(why));
        }
        case.comes_back(&batch, &outs[0], before, &answers[0]).map_err(told)?;
        if !appends {
            outs.iter_mut().for_each(PayloadArena::clear);
        }
    }
    Ok(())
}

/// The plan that the bytes make.
///
/// # Errors
/// If the generator made what is not valid.
pub fn show(bytes: &[u8]) -> Result<String, String> {
    Ok(Case::random(&mut Source::new(bytes))?.plan.to_string())
}

fn run(encoder: &mut dyn Encoder, rows: &RowBatch, out: &mut PayloadArena) -> Vec<RowError> {
    let mut bad = ErrorBuffer::default();
    encoder.encode(rows, out, &mut bad);
    bad.errors
}

fn differences(outs: &[PayloadArena; 2], errors: &[Vec<RowError>; 2]) -> Option<String> {
    if let Some(why) = error_difference(&errors[0], &errors[1]) {
        return Some(why);
    }
    let [ours, native] = outs;
    if ours.len() != native.len() {
        return Some(format!("{} payloads and {}", ours.len(), native.len()));
    }
    let at = (0..ours.len()).find(|&i| ours.get(i) != native.get(i))?;
    let [ours, native] = [ours.get(at), native.get(at)].map(|p| (p, String::from_utf8_lossy(p)));
    Some(format!("payload {at}:\ninterpreter: {ours:02x?}\nnative: {native:02x?}"))
}

impl Case {
    fn random(s: &mut Source<'_>) -> Result<Self, String> {
        match s.below(9) {
            0..=2 => Self::of_schema(s),
            3 => Self::derived(s, false),
            4 => Self::derived(s, true),
            5 | 6 => {
                let style = *s.pick(&[
                    JsonTimestamps::Iso,
                    JsonTimestamps::Sql,
                    JsonTimestamps::Millis,
                    JsonTimestamps::Numbers,
                ]);
                let columns = columns(s);
                Self::new(s, columns, EncodeFormat::Json(style), Format::Json(style))
            }
            7 => Self::csv(s),
            _ => Ok(Self::raw(s)),
        }
    }

    /// Values that a random schema's data have, and others of their types.
    fn of_schema(s: &mut Source<'_>) -> Result<Self, String> {
        let sample = Sample::random(s, false)?;
        let rows: Vec<Vec<Option<Value>>> =
            sample.good.iter().filter_map(|b| sample.read(b)).collect();
        let column = |(i, field): (usize, &Field)| {
            let mut field = field.clone();
            let mut values: Vec<Value> = rows.iter().filter_map(|row| row[i].clone()).collect();
            if s.once_in(8) {
                field.ty.nullable = true;
                values.push(Value::Null);
            }
            if s.once_in(4) {
                values.extend(writable(s, &field.ty));
            }
            (field, values)
        };
        let columns: Columns = sample.fields.iter().enumerate().map(column).collect();
        let schema = Box::new(sample.writer.clone());
        let format = Format::Avro { schema, is_natural: true };
        let made = Self::new(s, columns, EncodeFormat::Avro(&sample.writer), format);
        // A field without a type may have no default either.
        match (&made, &sample.writer) {
            (Err(_), Schema::Record(r)) if r.fields.len() > sample.fields.len() => {
                Self::derived(s, false)
            }
            _ => made,
        }
    }

    /// A schema that is derived from the columns, or from wider ones.
    fn derived(s: &mut Source<'_>, wider: bool) -> Result<Self, String> {
        let columns = columns(s);
        let fields: Vec<Field> = columns
            .iter()
            .map(|(field, _)| match wider {
                true => Field::new(field.name.clone(), widened(s, &field.ty)),
                false => field.clone(),
            })
            .collect();
        let text = derive("out", "flow", &fields).map_err(|e| format!("{e}: {fields:?}"))?;
        let schema =
            parse(&text).map_err(|e| format!("a derived schema is not valid: {e}\n{text}"))?;
        let format = Format::Avro { schema: Box::new(schema.clone()), is_natural: !wider };
        Self::new(s, columns, EncodeFormat::Avro(&schema), format)
    }

    fn csv(s: &mut Source<'_>) -> Result<Self, String> {
        let dialect = csv::dialect(s);
        let fields = csv::fields(s);
        let column = |field: Field| {
            let values = writable(s, &field.ty);
            (field, values)
        };
        let columns = fields.into_iter().map(column).collect();
        Self::new(s, columns, EncodeFormat::Csv(&dialect), Format::Csv(dialect.clone()))
    }

    fn raw(s: &mut Source<'_>) -> Self {
        let ty = any_type(s, 0);
        let ty = if raw_reads_as(&ty.data) { ty } else { Type::nullable(DataType::Bytes) };
        let values = vec![values(s, &ty)];
        let payload = if s.once_in(8) { PayloadWriter::Empty } else { PayloadWriter::Raw(0) };
        let columns = vec![Field::new("v", ty.clone())];
        Self {
            plan: EncodePlan { columns, prefix: s.bytes(6), payload },
            pool: Pool::of(s, vec![ty], values),
            written: Vec::new(),
            format: Format::Other,
        }
    }

    /// Writes these columns of rows that have others, too.
    fn new(
        s: &mut Source<'_>,
        mut columns: Columns,
        how: EncodeFormat<'_>,
        format: Format,
    ) -> Result<Self, String> {
        let mut written: Vec<usize> = (0..columns.len()).collect();
        for i in 0..s.below(3) {
            let ty = any_type(s, 1);
            let (at, values) = (s.below(columns.len() + 1), values(s, &ty));
            columns.insert(at, (Field::new(format!("beside{i}"), ty), values));
            written.iter_mut().filter(|w| **w >= at).for_each(|w| *w += 1);
        }
        if !written.is_empty() {
            let first = s.below(written.len());
            written.rotate_left(first);
        }
        let (fields, values): (Vec<Field>, Vec<Vec<Value>>) = columns.into_iter().unzip();
        let mut plan =
            encode_plan(how, &fields, &written).map_err(|e| format!("no plan: {e}\n{fields:?}"))?;
        plan.prefix = s.bytes(6);
        let pool = Pool::of(s, fields.into_iter().map(|f| f.ty).collect(), values);
        Ok(Self { plan, pool, written, format })
    }

    /// The plan that reads the written columns.
    fn read_plan(&self) -> Result<Option<DecodePlan>, String> {
        let is_array = |&i: &usize| matches!(self.plan.columns[i].ty.data, DataType::Array(_));
        let text;
        let format = match &self.format {
            Format::Avro { schema, is_natural: true } => {
                PayloadFormat::Avro { writer: schema, reader: None }
            }
            Format::Json(_) => PayloadFormat::Json,
            // An element may have the delimiter in it.
            Format::Csv(_) if self.written.iter().any(is_array) => return Ok(None),
            Format::Csv(dialect) => {
                let name = |&i: &usize| self.plan.columns[i].name.clone();
                let names = self.written.iter().map(name).collect();
                text = CsvFormat { dialect: dialect.clone(), names };
                PayloadFormat::Csv(&text)
            }
            Format::Avro { .. } | Format::Other => return Ok(None),
        };
        let column = |&i: &usize| {
            let Field { name, mut ty } = self.plan.columns[i].clone();
            // An empty text is no value but of a STRING.
            ty.nullable |= matches!(format, PayloadFormat::Csv(_));
            DecodeColumn { origin: Origin::Value(vec![name.clone()]), name, ty }
        };
        let columns: Vec<DecodeColumn> = self.written.iter().map(column).collect();
        decode_plan(None, format, &columns).map(Some).map_err(|e| format!("no plan to read: {e}"))
    }

    /// Reads what was written of a batch.
    fn comes_back(
        &self,
        batch: &RowBatch,
        payloads: &PayloadArena,
        before: usize,
        errors: &[RowError],
    ) -> Result<(), String> {
        let mut refusals = (0..batch.len()).filter(|row| refused(errors, *row));
        if let Some(row) = refusals.find(|row| !payloads.get(before + row).is_empty()) {
            return Err(format!("row {row} is refused and has a payload"));
        }
        if let Format::Avro { schema, .. } = &self.format {
            for row in (0..batch.len()).filter(|row| !refused(errors, *row)) {
                let payload = &payloads.get(before + row)[self.plan.prefix.len()..];
                if !reads_datum(schema, payload) {
                    return Err(format!("apache-avro refuses row {row}: {payload:02x?}"));
                }
            }
        }
        if let Format::Json(_) = self.format {
            for row in (0..batch.len()).filter(|row| !refused(errors, *row)) {
                let json = &payloads.get(before + row)[self.plan.prefix.len()..];
                if json.contains(&b'\n') || serde_json::from_slice::<IgnoredAny>(json).is_err() {
                    return Err(format!("not a line of JSON: {}", json.escape_ascii()));
                }
            }
        }
        let Some(plan) = self.read_plan()? else { return Ok(()) };
        let (read, origin, bad) = read(&plan, payloads, before, self.plan.prefix.len())?;
        for (at, &row) in origin.iter().enumerate() {
            let row = row as usize;
            if refused(errors, row) {
                continue;
            }
            for (i, &column) in self.written.iter().enumerate() {
                let ty = &self.plan.columns[column].ty;
                let was = read_value(batch.row(row), batch.layout().column(column), ty);
                let is = read_value(read.row(at), read.layout().column(i), ty);
                let datum = self.datum_of(column);
                let was = match &self.format {
                    Format::Csv(dialect) => csv::comes_back(&was, &ty.data, dialect).unwrap_or(was),
                    Format::Avro { .. } | Format::Json(_) | Format::Other => was,
                };
                let (was, is) = (self.kept(&was, &ty.data, datum), self.kept(&is, &ty.data, datum));
                if format!("{was:?}") != format!("{is:?}") {
                    let name = &self.plan.columns[column].name;
                    return Err(format!("row {row}, {name}: {was:?} comes back as {is:?}"));
                }
            }
        }
        // Without quotes a single text that is empty is an empty line, which is no record.
        let is_none = |row: usize| match self.format {
            Format::Csv(_) => payloads.get(before + row).len() == self.plan.prefix.len(),
            Format::Avro { .. } | Format::Json(_) | Format::Other => false,
        };
        let told = |row: usize| !refused(errors, row) && !is_none(row);
        match bad.iter().find(|e| told(e.row as usize)) {
            Some(error) => Err(format!("what was written is not read: {error:?}")),
            None => Ok(()),
        }
    }

    /// How a column is written in Avro.
    fn datum_of(&self, column: usize) -> Option<&AvroWrite> {
        let PayloadWriter::Avro(puts) = &self.plan.payload else { return None };
        datum_in(puts, column)
    }

    /// What a format keeps of a value: milliseconds where a precision says so, one branch of a
    /// union, JSON on one line.
    fn kept(&self, value: &Value, ty: &DataType, datum: Option<&AvroWrite>) -> Value {
        let millis = |micros: &i64| micros.div_euclid(1_000) * 1_000;
        match (value, ty, datum) {
            (_, _, Some(AvroWrite::Union { datum, .. })) => self.kept(value, ty, Some(datum)),
            (
                Value::Row(values),
                DataType::Row(fields),
                Some(AvroWrite::Variant { branches, .. }),
            ) => {
                let mut row = vec![Value::Null; fields.len()];
                let Some(at) = values.iter().position(|v| !v.is_null()) else { return Value::Null };
                row[at] = self.kept(&values[at], &fields[at].ty.data, Some(&branches[at].1));
                Value::Row(row)
            }
            (Value::Time(v), ..) if self.is_short(ty) => Value::Time(millis(v)),
            (Value::Timestamp(v), ..) if self.is_short(ty) => Value::Timestamp(millis(v)),
            (Value::TimestampLtz(v), ..) if self.is_short(ty) => Value::TimestampLtz(millis(v)),
            (Value::Interval { months, micros }, _, Some(_)) => {
                Value::Interval { months: *months, micros: millis(micros) }
            }
            (Value::Json(_), _, None) => through_json(value.clone()),
            (Value::Array(items), DataType::Array(item), _) => {
                let inner = match datum {
                    Some(AvroWrite::Array(inner)) => Some(&**inner),
                    _ => None,
                };
                Value::Array(items.iter().map(|v| self.kept(v, &item.data, inner)).collect())
            }
            (Value::Map(entries), DataType::Map(_, item), _) => {
                let inner = match datum {
                    Some(AvroWrite::Map(inner)) => Some(&**inner),
                    _ => None,
                };
                let entry = |(k, v): &(Value, Value)| (k.clone(), self.kept(v, &item.data, inner));
                Value::Map(entries.iter().map(entry).collect())
            }
            (Value::Row(values), DataType::Row(fields), _) => {
                let field = |(i, (v, f)): (usize, (&Value, &Field))| {
                    let inner = match datum {
                        Some(AvroWrite::Row(puts)) => datum_in(puts, i),
                        _ => None,
                    };
                    self.kept(v, &f.ty.data, inner)
                };
                Value::Row(values.iter().zip(fields.iter()).enumerate().map(field).collect())
            }
            (other, ..) => other.clone(),
        }
    }

    /// Whether values of a type are written to the millisecond.
    fn is_short(&self, ty: &DataType) -> bool {
        match (&self.format, ty) {
            (Format::Json(JsonTimestamps::Millis), ty) => ty.is_timestamp(),
            (Format::Json(JsonTimestamps::Numbers), ty) => {
                ty.is_timestamp() || matches!(ty, DataType::Time { .. })
            }
            (Format::Json(JsonTimestamps::Iso | JsonTimestamps::Sql) | Format::Csv(_), _) => false,
            (
                _,
                DataType::Time { precision }
                | DataType::Timestamp { precision }
                | DataType::TimestampLtz { precision },
            ) => *precision <= 3,
            _ => false,
        }
    }

    /// The plan and the first row that differs by itself.
    fn describe(&self, batch: &RowBatch, why: String) -> String {
        let schema = match &self.format {
            Format::Avro { schema, .. } => serde_json::to_string(schema).unwrap_or_default(),
            Format::Json(_) | Format::Csv(_) | Format::Other => String::new(),
        };
        let mut out = format!("{why}\n");
        let alone = (0..batch.len()).find_map(|i| {
            let row = row_of(batch, i);
            let answer = |factory: &dyn KernelFactory| {
                let mut out = PayloadArena::default();
                let errors = run(&mut *factory.encoder(&self.plan).ok()?, &row, &mut out);
                Some((out, errors))
            };
            let ((a, e), (b, f)) = (answer(&Interpreter)?, answer(&crate::native())?);
            let lost = self.comes_back(&row, &a, 0, &e).err();
            differences(&[a, b], &[e, f]).or(lost).map(|why| (row, why))
        });
        match alone {
            Some((row, why)) => {
                out.push_str(&format!(
                    "by itself this row differs, {}\n{why}\n",
                    show_row(&row, 0)
                ));
            }
            None => out.push_str("no row differs by itself\n"),
        }
        format!("{out}{schema}\n{}", self.plan)
    }
}

fn datum_in(puts: &[AvroPut], wanted: usize) -> Option<&AvroWrite> {
    puts.iter().find_map(|put| match put {
        AvroPut::Column { column, datum, .. } if *column as usize == wanted => Some(datum),
        AvroPut::Column { .. } | AvroPut::Constant(_) => None,
    })
}

fn refused(errors: &[RowError], row: usize) -> bool {
    errors.iter().any(|e| e.row as usize == row)
}

/// The rows, origins and failures of payloads from one on.
fn read(
    plan: &DecodePlan,
    payloads: &PayloadArena,
    first: usize,
    value_skip: usize,
) -> Result<(RowBatch, Vec<u32>, Vec<RowError>), String> {
    let record = |i| Record { value: Some(payloads.get(i)), ..Record::default() };
    let records: Vec<Record<'_>> = (first..payloads.len()).map(record).collect();
    let select: Vec<u32> = (0..records.len() as u32).collect();
    let (records, select) = (&records[..], &select[..]);
    let from = Payloads { records, select, key_skip: 0, value_skip, topic: "", partition: 0 };
    let types: Vec<Type> = plan.columns.iter().map(|c| c.ty.clone()).collect();
    let mut rows = BatchBuilder::new(Arc::new(RowLayout::new(types)));
    let (mut origin, mut bad) = (Vec::new(), ErrorBuffer::default());
    let cx = KernelCx { clock: 0, on_error: OnError::DropRow };
    let mut decoder = Interpreter.decoder(plan).map_err(|e| e.0)?;
    decoder.decode(&from, &cx, &mut rows, &mut origin, &mut bad);
    Ok((rows.take(), origin, bad.errors))
}

/// Random columns of types that JSON and Avro have forms for, with names that Avro does not allow.
fn columns(s: &mut Source<'_>) -> Columns {
    let mut columns = Vec::new();
    for i in 0..1 + s.below(7) {
        let ty = any_type(s, 2);
        if json_reads_as(&ty.data) {
            let name = *s.pick(&["a", "b c", "\u{fc}", "d\"", "", "A", "1st"]);
            let values = writable(s, &ty);
            columns.push((Field::new(format!("{name}{i}"), ty), values));
        }
    }
    columns
}

/// Values of a type that come back where milliseconds or JSON are written.
fn writable(s: &mut Source<'_>, ty: &Type) -> Vec<Value> {
    let whole = |value| each_scalar(value, &|v| told_from_null(in_whole_millis(v)));
    values(s, ty).into_iter().map(whole).collect()
}

/// A type whose Avro form takes the values of this one.
fn widened(s: &mut Source<'_>, ty: &Type) -> Type {
    let mut part = |ty: &Type| widened(s, ty);
    let data = match &ty.data {
        DataType::TinyInt | DataType::SmallInt | DataType::Int => DataType::BigInt,
        DataType::Real => DataType::Double,
        DataType::String => DataType::Bytes,
        DataType::Uuid | DataType::Json => DataType::String,
        DataType::Decimal { precision, scale } if *precision < 30 => {
            DataType::Decimal { precision: precision + 6, scale: scale + 2 }
        }
        DataType::Array(item) => DataType::Array(Box::new(part(item))),
        DataType::Map(key, value) => DataType::Map(key.clone(), Box::new(part(value))),
        DataType::Row(fields) => {
            DataType::Row(fields.iter().map(|f| Field::new(f.name.clone(), part(&f.ty))).collect())
        }
        other => other.clone(),
    };
    Type { data, nullable: ty.nullable || s.once_in(3) }
}
