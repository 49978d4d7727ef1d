//! Running an Avro plan: steps, made once from the plan with all places resolved, walk the payload
//! and set columns. Each node owns the buffers that its containers are collected in, so that
//! nothing is allocated per record once they have grown.

use std::sync::Arc;

use flow_ir::decode_plan::{
    AVRO_DEPTH_MAX, AvroDatum, AvroOp, AvroPlan, AvroScalar, AvroSkip, AvroStep,
};
use flow_ir::row::{BatchBuilder, Column, ContainerBuilder, RowLayout, push_value};
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;

use super::input::Input;
use super::required::Required;
use super::scalar::Scalar;
use super::sink::{ColumnSink, Element, ElementSink, MapBuilder, Sink};
use super::{Bad, Run};

/// Reads one payload.
#[derive(Debug)]
pub(super) struct AvroReader {
    steps: Steps,
    recursive: Vec<Vec<AvroSkip>>,
}

impl AvroReader {
    /// A reader that sets columns of rows of this layout.
    pub(super) fn new(plan: &AvroPlan, layout: &RowLayout) -> Self {
        Self { steps: Steps::new(&plan.steps, layout), recursive: plan.recursive.clone() }
    }

    /// Reads a payload, which must end with the datum.
    pub(super) fn read(
        &mut self,
        payload: &[u8],
        row: &mut BatchBuilder,
        run: &mut Run<'_>,
    ) -> Result<(), Bad> {
        let mut input = Input::new(payload);
        self.steps.run(&mut input, row, &self.recursive, run)?;
        if input.is_empty() { Ok(()) } else { Err(Bad::Trailing) }
    }
}

/// The steps of one record.
#[derive(Debug)]
struct Steps {
    ops: Vec<Op>,
    /// What a failure of each step is about.
    subjects: Vec<Subject>,
    /// Null bits of the columns that `ops` fill for certain, as (word, bits): cleared at once.
    filled: Vec<(u32, u64)>,
}

#[derive(Debug)]
struct Subject {
    field: Box<str>,
    /// The column that is not NULL after the step, if that is certain.
    fills: Option<Column>,
    /// Whether an error about the value leaves the input behind it.
    resumes: bool,
}

/// A step. The commonest reads have their slot's place in the row; all others are apart, so that
/// these are small and lie close together.
#[derive(Debug)]
enum Op {
    SkipVarints(u32),
    SkipStrings(u32),
    Long(u32),
    TimestampMillis(u32),
    Text(u32),
    Other(Box<Other>),
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "an `Op` boxes it")]
enum Other {
    SkipBytes(u64),
    Skip(AvroSkip),
    Read(usize, Datum),
    Default(usize, Value),
    Union(Vec<Steps>),
    Peek(Steps),
}

impl Steps {
    fn new(steps: &[AvroStep], layout: &RowLayout) -> Self {
        let mut made = Self { ops: Vec::new(), subjects: Vec::new(), filled: Vec::new() };
        for step in steps {
            let op = Op::new(&step.op, layout);
            let fills = op.fills(&step.op).map(|column| layout.column(column));
            if let Some(column) = fills {
                match made.filled.iter_mut().find(|(word, _)| *word == column.null_word) {
                    Some((_, mask)) => *mask |= column.null_mask,
                    None => made.filled.push((column.null_word, column.null_mask)),
                }
            }
            let resumes = op.resumes();
            made.subjects.push(Subject { field: step.field.as_str().into(), fills, resumes });
            made.ops.push(op);
        }
        made
    }

    /// Takes all steps. The input is a local copy, which stays in registers across the steps that
    /// are inlined here; other steps get the address of a copy of their own.
    fn run(
        &mut self,
        from: &mut Input<'_>,
        row: &mut BatchBuilder,
        recursive: &[Vec<AvroSkip>],
        run: &mut Run<'_>,
    ) -> Result<(), Bad> {
        for &(word, mask) in &self.filled {
            row.clear_nulls(word, mask);
        }
        let mut input = *from;
        for (i, op) in self.ops.iter_mut().enumerate() {
            let done = match op {
                Op::Long(word) => input.long().map(|value| row.put_word(*word, value as u64)),
                Op::SkipVarints(count) => input.skip_longs(*count),
                Op::SkipStrings(count) => skip_strings(&mut input, *count),
                Op::Text(word) => input
                    .lengthed()
                    .and_then(|bytes| row.put_text(*word, bytes).then_some(()).ok_or(Bad::Utf8)),
                Op::TimestampMillis(word) => input.long().and_then(|millis| {
                    let micros = millis.checked_mul(1_000).ok_or(Bad::Range)?;
                    row.put_word(*word, micros as u64);
                    Ok(())
                }),
                Op::Other(other) => {
                    let mut rest = input;
                    let done = other.run(&mut rest, row, recursive, run);
                    input = rest;
                    done
                }
            };
            if let Err(bad) = done {
                self.subjects[i].failed(bad, row, run)?;
            }
        }
        *from = input;
        Ok(())
    }
}

impl Subject {
    /// Names the field of a failure. Goes on, with NULL, if the failure allows it.
    #[cold]
    fn failed(&self, bad: Bad, row: &mut BatchBuilder, run: &mut Run<'_>) -> Result<(), Bad> {
        run.failed(bad, &self.field, self.resumes)?;
        if let Some(column) = self.fills {
            row.set_null(column);
        }
        Ok(())
    }
}

impl Op {
    fn new(op: &AvroOp, layout: &RowLayout) -> Self {
        let other = match op {
            AvroOp::Skip(AvroSkip::Varints(count)) => return Op::SkipVarints(*count),
            AvroOp::Skip(AvroSkip::Strings(count)) => return Op::SkipStrings(*count),
            AvroOp::Skip(AvroSkip::Bytes(count)) => Other::SkipBytes(*count),
            AvroOp::Skip(skip) => Other::Skip(skip.clone()),
            AvroOp::Read(column, datum) => {
                let column = *column as usize;
                let ty = &layout.types()[column].data;
                let word = layout.column(column).word;
                match datum {
                    AvroDatum::Scalar(AvroScalar::Long) if *ty == DataType::BigInt => {
                        return Op::Long(word);
                    }
                    AvroDatum::Scalar(AvroScalar::TimestampMillis) => {
                        return Op::TimestampMillis(word);
                    }
                    AvroDatum::Scalar(AvroScalar::String) if *ty == DataType::String => {
                        return Op::Text(word);
                    }
                    datum => Other::Read(column, Datum::new(datum, ty)),
                }
            }
            AvroOp::Default(column, value) => Other::Default(*column as usize, value.clone()),
            AvroOp::Union(branches) => {
                Other::Union(branches.iter().map(|steps| Steps::new(steps, layout)).collect())
            }
            AvroOp::Peek(steps) => Other::Peek(Steps::new(steps, layout)),
        };
        Op::Other(Box::new(other))
    }

    /// The column that is not NULL after this step, made from that one, if that is certain.
    fn fills(&self, from: &AvroOp) -> Option<usize> {
        match (self, from) {
            (Op::Other(_) | Op::SkipVarints(_) | Op::SkipStrings(_), _) => None,
            (Op::Long(_) | Op::TimestampMillis(_) | Op::Text(_), AvroOp::Read(column, _)) => {
                Some(*column as usize)
            }
            (
                Op::Long(_) | Op::TimestampMillis(_) | Op::Text(_),
                AvroOp::Skip(_) | AvroOp::Default(..) | AvroOp::Union(_) | AvroOp::Peek(_),
            ) => None,
        }
    }

    /// Whether an error about a value leaves the input behind it.
    fn resumes(&self) -> bool {
        match self {
            Op::Text(_) | Op::TimestampMillis(_) => true,
            Op::Other(other) => match &**other {
                Other::Read(_, datum) => datum.resumes(),
                Other::SkipBytes(_)
                | Other::Skip(_)
                | Other::Default(..)
                | Other::Union(_)
                | Other::Peek(_) => false,
            },
            Op::SkipVarints(_) | Op::SkipStrings(_) | Op::Long(_) => false,
        }
    }
}

impl Other {
    fn run(
        &mut self,
        input: &mut Input<'_>,
        row: &mut BatchBuilder,
        recursive: &[Vec<AvroSkip>],
        run: &mut Run<'_>,
    ) -> Result<(), Bad> {
        match self {
            Other::Read(column, datum) => {
                datum.read(input, &mut ColumnSink { row, column: *column }, recursive, run)
            }
            Other::SkipBytes(count) => skip_bytes(input, *count),
            Other::Skip(what) => skip(std::slice::from_ref(what), input, recursive, 0),
            Other::Default(column, value) => {
                push_value(row, *column, value);
                Ok(())
            }
            Other::Union(branches) => {
                let steps = branches.get_mut(input.branch()?).ok_or(Bad::Branch)?;
                steps.run(input, row, recursive, run)
            }
            Other::Peek(steps) => {
                let before = *input;
                steps.run(input, row, recursive, run)?;
                *input = before;
                Ok(())
            }
        }
    }
}

/// A datum and the conversion to its type.
#[derive(Debug)]
enum Datum {
    Null,
    Scalar(Scalar),
    Array { item: Box<Datum>, element: Element, items: ContainerBuilder, words: Vec<u64> },
    Map { value: Box<Datum>, element: Element, is_container: bool, entries: MapBuilder },
    Row(Box<RowDatum>),
    Union(Vec<Datum>),
    Refuse(Box<str>),
}

/// A record that is read as a ROW, in a builder of its own.
#[derive(Debug)]
struct RowDatum {
    steps: Steps,
    row: BatchBuilder,
    required: Required,
}

impl Datum {
    fn new(datum: &AvroDatum, ty: &DataType) -> Self {
        let element = |ty: &Type| Element { slot: ty.slot(), nullable: ty.nullable };
        match (datum, ty) {
            (AvroDatum::Scalar(form), _) => Datum::Scalar(Scalar::new(form, ty)),
            (AvroDatum::Union(branches), _) => {
                Datum::Union(branches.iter().map(|branch| Datum::new(branch, ty)).collect())
            }
            (AvroDatum::Array(item), DataType::Array(ty)) => Datum::Array {
                item: Box::new(Datum::new(item, &ty.data)),
                element: element(ty),
                items: ContainerBuilder::default(),
                words: Vec::new(),
            },
            (AvroDatum::Map(value), DataType::Map(_, ty)) => Datum::Map {
                value: Box::new(Datum::new(value, &ty.data)),
                element: element(ty),
                is_container: ty.data.is_container(),
                entries: MapBuilder::default(),
            },
            (AvroDatum::Row(steps), DataType::Row(fields)) => {
                let types: Vec<Type> = fields.iter().map(|f| f.ty.clone()).collect();
                let names = fields.iter().map(|f| f.name.as_str());
                let layout = Arc::new(RowLayout::new(types));
                Datum::Row(Box::new(RowDatum {
                    steps: Steps::new(steps, &layout),
                    required: Required::new(&layout, names, |_| true),
                    row: BatchBuilder::new(layout),
                }))
            }
            (AvroDatum::Refuse(what), _) => Datum::Refuse(what.as_str().into()),
            // A verified plan has containers only where their types are.
            (AvroDatum::Null | AvroDatum::Array(_) | AvroDatum::Map(_) | AvroDatum::Row(_), _) => {
                Datum::Null
            }
        }
    }

    /// Whether an error about a value leaves the input behind it.
    fn resumes(&self) -> bool {
        match self {
            Datum::Null | Datum::Scalar(_) => true,
            Datum::Union(branches) => {
                branches.iter().all(|branch| matches!(branch, Datum::Null | Datum::Scalar(_)))
            }
            Datum::Array { .. } | Datum::Map { .. } | Datum::Row(_) | Datum::Refuse(_) => false,
        }
    }

    fn read<S: Sink>(
        &mut self,
        input: &mut Input<'_>,
        sink: &mut S,
        recursive: &[Vec<AvroSkip>],
        run: &mut Run<'_>,
    ) -> Result<(), Bad> {
        match self {
            Datum::Scalar(scalar) => scalar.read(input, sink),
            Datum::Union(branches) => {
                let branch = input.branch()?;
                let datum = branches.get_mut(branch).ok_or(Bad::Branch)?;
                datum.read(input, sink, recursive, run)
            }
            Datum::Null => sink.null(),
            Datum::Array { item, element, items, words } => {
                items.clear();
                loop {
                    let (count, _) = input.block()?;
                    if count == 0 {
                        break;
                    }
                    for _ in 0..count {
                        let mut sink = ElementSink { elements: items, element: *element };
                        item.read(input, &mut sink, recursive, run)?;
                    }
                }
                words.clear();
                items.finish_array(words);
                run.grow(words.len())?;
                sink.container(words);
                Ok(())
            }
            Datum::Map { value, element, is_container, entries } => {
                entries.clear();
                loop {
                    let (count, _) = input.block()?;
                    if count == 0 {
                        break;
                    }
                    for _ in 0..count {
                        let key = input.lengthed()?;
                        std::str::from_utf8(key).map_err(|_| Bad::Utf8)?;
                        entries.keys.push_bytes(key);
                        let mut sink =
                            ElementSink { elements: &mut entries.values, element: *element };
                        value.read(input, &mut sink, recursive, run)?;
                    }
                }
                let words = entries.finish(element.slot, *is_container);
                run.grow(words.len())?;
                sink.container(words);
                Ok(())
            }
            Datum::Row(datum) => {
                let RowDatum { steps, row, required } = &mut **datum;
                row.abandon();
                row.begin();
                run.nested(|run| steps.run(input, row, recursive, run))?;
                if let Some(field) = required.missing(row) {
                    return run.failed(Bad::Null, field, false);
                }
                let words = row.seal();
                run.grow(words.len())?;
                sink.container(words);
                Ok(())
            }
            Datum::Refuse(what) => run.failed(Bad::Refused, what, false),
        }
    }
}

#[inline(always)]
fn skip_strings(input: &mut Input<'_>, count: u32) -> Result<(), Bad> {
    for _ in 0..count {
        input.lengthed()?;
    }
    Ok(())
}

fn skip_bytes(input: &mut Input<'_>, count: u64) -> Result<(), Bad> {
    input.take(usize::try_from(count).map_err(|_| Bad::Truncated)?).map(|_| ())
}

/// Passes over data. `depth` counts the blocks, unions and recursive records that it is inside of.
fn skip(
    what: &[AvroSkip],
    input: &mut Input<'_>,
    recursive: &[Vec<AvroSkip>],
    depth: usize,
) -> Result<(), Bad> {
    if depth > AVRO_DEPTH_MAX {
        return Err(Bad::Depth);
    }
    for skipped in what {
        match skipped {
            AvroSkip::Varints(count) => input.skip_longs(*count)?,
            AvroSkip::Strings(count) => skip_strings(input, *count)?,
            AvroSkip::Bytes(count) => skip_bytes(input, *count)?,
            AvroSkip::Blocks(items) => loop {
                let (count, size) = input.block()?;
                match size {
                    _ if count == 0 => break,
                    Some(size) => {
                        input.take(size)?;
                    }
                    None => {
                        for _ in 0..count {
                            skip(items, input, recursive, depth + 1)?;
                        }
                    }
                }
            },
            AvroSkip::Union(branches) => {
                let branch = branches.get(input.branch()?).ok_or(Bad::Branch)?;
                skip(branch, input, recursive, depth + 1)?;
            }
            AvroSkip::Recursive(number) => {
                let body = recursive.get(*number as usize).ok_or(Bad::Branch)?;
                skip(body, input, recursive, depth + 1)?;
            }
        }
    }
    Ok(())
}
