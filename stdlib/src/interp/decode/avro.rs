//! Running an Avro plan: steps, made once from the plan with all places resolved, walk the payload
//! and set columns, stretches of flat ones at once. Each node owns the buffers that its containers
//! are collected in, so that nothing is allocated per record once they have grown.

use std::sync::Arc;

use flow_ir::decode_plan::{AVRO_DEPTH_MAX, AvroDatum, AvroOp, AvroPlan, AvroSkip, AvroStep};
use flow_ir::row::{BatchBuilder, ContainerBuilder, RowLayout, push_value};
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;

use super::flat::Flat;
use super::input::Input;
use super::required::Required;
use super::scalar::Scalar;
use super::sink::{ColumnSink, Element, ElementSink, MapBuilder, Sink};
use super::tail::Tail;
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

    /// Leaves stretches out.
    #[cfg(test)]
    pub(super) fn unfuse(&mut self) {
        self.steps.0.iter_mut().for_each(|step| step.flat = None);
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
struct Steps(Vec<Step>);

#[derive(Debug)]
struct Step {
    /// Reads this step and some that follow at once, if nothing is wrong with them.
    flat: Option<Flat>,
    op: Op,
    /// What a failure is about.
    field: Box<str>,
    /// Whether an error about the value leaves the input behind it, and the column NULL.
    resumes: bool,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "most are of the large variant")]
enum Op {
    Skip(AvroSkip),
    Read(usize, Datum),
    Default(usize, Value),
    Union(Vec<Steps>),
    Peek(Steps),
}

impl Steps {
    fn new(steps: &[AvroStep], layout: &RowLayout) -> Self {
        let mut made: Vec<Step> = Vec::with_capacity(steps.len());
        // Steps that are in the last stretch.
        let mut covered = 0;
        for (i, step) in steps.iter().enumerate() {
            let flat = if i < covered { None } else { Flat::new(&steps[i..], layout) };
            covered = covered.max(i + flat.as_ref().map_or(0, |flat| flat.steps));
            let op = Op::new(&step.op, layout);
            let resumes = matches!(&op, Op::Read(_, datum) if datum.resumes());
            made.push(Step { flat, op, field: step.field.as_str().into(), resumes });
        }
        Self(made)
    }

    /// Takes all steps. Inlined where records begin; `nested` is for records in records.
    #[inline(always)]
    fn run(
        &mut self,
        input: &mut Input<'_>,
        row: &mut BatchBuilder,
        recursive: &[Vec<AvroSkip>],
        run: &mut Run<'_>,
    ) -> Result<(), Bad> {
        let mut next = 0;
        while let Some(step) = self.0.get_mut(next) {
            match &step.flat {
                Some(flat) if flat.read(input, row) => next += flat.steps,
                Some(_) | None => {
                    step.take(input, row, recursive, run)?;
                    next += 1;
                }
            }
        }
        Ok(())
    }

    #[inline(never)]
    fn nested(
        &mut self,
        input: &mut Input<'_>,
        row: &mut BatchBuilder,
        recursive: &[Vec<AvroSkip>],
        run: &mut Run<'_>,
    ) -> Result<(), Bad> {
        self.run(input, row, recursive, run)
    }
}

impl Step {
    /// Takes this step. Names the field of a failure, and goes on, with NULL, if it allows that.
    #[inline(never)]
    fn take(
        &mut self,
        input: &mut Input<'_>,
        row: &mut BatchBuilder,
        recursive: &[Vec<AvroSkip>],
        run: &mut Run<'_>,
    ) -> Result<(), Bad> {
        let done = self.op.run(input, row, recursive, run);
        done.or_else(|bad| run.failed(bad, &self.field, self.resumes))
    }
}

impl Op {
    fn new(op: &AvroOp, layout: &RowLayout) -> Self {
        match op {
            AvroOp::Skip(skip) => Op::Skip(skip.clone()),
            AvroOp::Read(column, datum) => {
                let column = *column as usize;
                Op::Read(column, Datum::new(datum, &layout.types()[column].data))
            }
            AvroOp::Default(column, value) => Op::Default(*column as usize, value.clone()),
            AvroOp::Union(branches) => {
                Op::Union(branches.iter().map(|steps| Steps::new(steps, layout)).collect())
            }
            AvroOp::Peek(steps) => Op::Peek(Steps::new(steps, layout)),
        }
    }

    fn run(
        &mut self,
        input: &mut Input<'_>,
        row: &mut BatchBuilder,
        recursive: &[Vec<AvroSkip>],
        run: &mut Run<'_>,
    ) -> Result<(), Bad> {
        match self {
            Op::Read(column, datum) => {
                datum.read(input, &mut ColumnSink { row, column: *column }, recursive, run)
            }
            Op::Skip(what) => skip(std::slice::from_ref(what), input, recursive, 0),
            Op::Default(column, value) => {
                push_value(row, *column, value);
                Ok(())
            }
            Op::Union(branches) => {
                let steps = branches.get_mut(input.branch()?).ok_or(Bad::Branch)?;
                steps.nested(input, row, recursive, run)
            }
            Op::Peek(steps) => {
                let before = *input;
                steps.nested(input, row, recursive, run)?;
                *input = before;
                Ok(())
            }
        }
    }
}

/// A datum and the conversion to its type.
#[derive(Debug)]
pub(super) enum Datum {
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
pub(super) struct RowDatum {
    steps: Steps,
    row: BatchBuilder,
    required: Required,
    tail: Option<Tail>,
}

impl Datum {
    pub(super) fn new(datum: &AvroDatum, ty: &DataType) -> Self {
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
                    tail: Tail::of_record(steps, &layout),
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

    pub(super) fn read<S: Sink>(
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
                let words = datum.read(input, recursive, run)?;
                sink.container(words);
                Ok(())
            }
            Datum::Refuse(what) => run.failed(Bad::Refused, what, false),
        }
    }
}

impl RowDatum {
    /// The words of a record as ROW.
    fn read(
        &mut self,
        input: &mut Input<'_>,
        recursive: &[Vec<AvroSkip>],
        run: &mut Run<'_>,
    ) -> Result<&[u64], Bad> {
        let Self { steps, row, required, tail } = self;
        row.abandon();
        row.begin();
        run.nested(|run| steps.nested(input, row, recursive, run))?;
        if let Some(field) = required.missing(row) {
            run.failed(Bad::Null, field, false)?;
        }
        if let Some(tail) = tail {
            tail.order(row);
        }
        let words = row.seal();
        run.grow(words.len())?;
        Ok(words)
    }
}

/// Passes over data. `depth` counts the blocks, unions and recursive records that it is inside of.
pub(super) fn skip(
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
            AvroSkip::Strings(count) => input.skip_strings(*count)?,
            AvroSkip::Bytes(count) => {
                input.take(usize::try_from(*count).map_err(|_| Bad::Truncated)?)?;
            }
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
