//! Stretches of flat fields, walked at once: numbers, texts, such that may be NULL, and what is
//! skipped between them. The row's slots are at hand throughout, and texts are copied together at
//! the end. A stretch that meets anything wrong leaves the row as it was and gives up; its steps
//! are then taken one by one, which finds the error again and says what it is about.
//!
//! Where a field begins depends on all fields before it, so that a processor that walks one record
//! mostly waits. Values that are one stretch are therefore walked `LANES` at a time, step by step.
//! More lanes gain nothing more from the cache, and lose where payloads come from memory: their
//! bytes are then no longer touched in order, as prefetching wants it.

use flow_ir::decode_plan::{AvroDatum, AvroOp, AvroSkip, AvroStep, DecodePlan, PayloadPlan};
use flow_ir::row::{BatchBuilder, Column, RowLayout, pack_var};

use super::input::Input;
use super::scalar::Scalar;

/// Records that are walked side by side.
pub(super) const LANES: usize = 2;

/// Some steps that follow each other.
#[derive(Debug)]
pub(super) struct Flat {
    ops: Vec<Op>,
    /// How many steps it stands for.
    pub(super) steps: usize,
    /// Null bits of columns that it fills for certain, as (word, bits).
    filled: Vec<(u32, u64)>,
    /// The columns that it may set, each once; and those of them that are texts.
    columns: Vec<Column>,
    texts: Vec<Column>,
}

/// Reads name the first word of their slot.
#[derive(Clone, Copy, Debug)]
enum Op {
    SkipVarints(u32),
    SkipStrings(u32),
    SkipBytes(u32),
    Long(u32),
    Int(u32),
    Double(u32),
    Millis(u32),
    Text(u32),
    /// A branch number. Of the null branch the next op is passed over, else a null bit is cleared.
    Nullable {
        null_branch: u8,
        bit: u8,
        null_word: u32,
    },
}

impl Flat {
    /// The longest stretch that these steps begin with; `None` if the first is no flat one.
    pub(super) fn new(steps: &[AvroStep], layout: &RowLayout) -> Option<Self> {
        let (filled, columns, texts) = (Vec::new(), Vec::new(), Vec::new());
        let mut made = Self { ops: Vec::new(), steps: 0, filled, columns, texts };
        while let Some(step) = steps.get(made.steps)
            && made.push(&step.op, layout).is_some()
        {
            made.steps += 1;
        }
        (made.steps > 0).then_some(made)
    }

    /// Adds a step; `None`, and nothing is added, if it is no flat one.
    fn push(&mut self, op: &AvroOp, layout: &RowLayout) -> Option<()> {
        let skip = match op {
            AvroOp::Read(column, datum) => return self.push_read(*column as usize, datum, layout),
            AvroOp::Skip(AvroSkip::Varints(count)) => Op::SkipVarints(*count),
            AvroOp::Skip(AvroSkip::Strings(count)) => Op::SkipStrings(*count),
            AvroOp::Skip(AvroSkip::Bytes(count)) => Op::SkipBytes(u32::try_from(*count).ok()?),
            AvroOp::Skip(AvroSkip::Blocks(_) | AvroSkip::Union(_) | AvroSkip::Recursive(_))
            | AvroOp::Default(..)
            | AvroOp::Union(_)
            | AvroOp::Peek(_) => return None,
        };
        self.ops.push(skip);
        Some(())
    }

    fn push_read(&mut self, column: usize, datum: &AvroDatum, layout: &RowLayout) -> Option<()> {
        let (null_branch, form) = match datum {
            AvroDatum::Scalar(form) => (None, form),
            AvroDatum::Union(branches) => match &branches[..] {
                [AvroDatum::Null, AvroDatum::Scalar(form)] => (Some(0), form),
                [AvroDatum::Scalar(form), AvroDatum::Null] => (Some(1), form),
                _ => return None,
            },
            AvroDatum::Null
            | AvroDatum::Array(_)
            | AvroDatum::Map(_)
            | AvroDatum::Row(_)
            | AvroDatum::Refuse(_) => return None,
        };
        let scalar = Scalar::new(form, &layout.types()[column].data);
        let column = layout.column(column);
        let read = Op::read(&scalar, column.word)?;
        if self.columns.contains(&column) {
            return None;
        }
        match null_branch {
            Some(null_branch) => {
                let bit = column.null_mask.trailing_zeros() as u8;
                self.ops.push(Op::Nullable { null_branch, bit, null_word: column.null_word });
            }
            None => match self.filled.iter_mut().find(|(word, _)| *word == column.null_word) {
                Some((_, mask)) => *mask |= column.null_mask,
                None => self.filled.push((column.null_word, column.null_mask)),
            },
        }
        self.ops.push(read);
        self.columns.push(column);
        if let Op::Text(_) = read {
            self.texts.push(column);
        }
        Some(())
    }

    /// Reads the stretch. `false`, with input and row as they were, if anything is wrong with it.
    pub(super) fn read(&self, input: &mut Input<'_>, row: &mut BatchBuilder) -> bool {
        let (mut inputs, bytes) = ([*input], input.rest());
        let (slots, _) = row.open_row().as_chunks_mut::<1>();
        self.clear_nulls(slots);
        if self.walk(&mut inputs, slots).is_some() && row.put_texts(&self.texts, bytes) {
            [*input] = inputs;
            return true;
        }
        self.undo(row);
        false
    }

    fn clear_nulls<const N: usize>(&self, slots: &mut [[u64; N]]) {
        for &(word, mask) in &self.filled {
            slots[word as usize].iter_mut().for_each(|bits| *bits &= !mask);
        }
    }

    /// Walks the inputs side by side and fills their slots; those of texts with where they lie, as
    /// `BatchBuilder::put_texts` wants it. `None` if anything is wrong with any of them.
    #[inline(never)]
    #[expect(clippy::redundant_closure, reason = "a function given by its name is not inlined")]
    fn walk<const N: usize>(
        &self,
        inputs: &mut [Input<'_>; N],
        slots: &mut [[u64; N]],
    ) -> Option<()> {
        if inputs.iter().any(|input| u32::try_from(input.rest().len()).is_err()) {
            return None;
        }
        let mut ops = self.ops.iter();
        while let Some(op) = ops.next() {
            match *op {
                Op::Long(word) => {
                    read_all(inputs, slots.get_mut(word as usize)?, |input| long(input))?
                }
                Op::Text(word) => {
                    read_all(inputs, slots.get_mut(word as usize)?, |input| text(input))?
                }
                Op::Millis(word) => {
                    read_all(inputs, slots.get_mut(word as usize)?, |input| millis(input))?
                }
                Op::Int(word) => {
                    read_all(inputs, slots.get_mut(word as usize)?, |input| int(input))?
                }
                Op::Double(word) => {
                    read_all(inputs, slots.get_mut(word as usize)?, |input| double(input))?
                }
                Op::SkipVarints(count) => {
                    for input in inputs.iter_mut() {
                        input.skip_longs(count).ok()?;
                    }
                }
                Op::SkipStrings(count) => {
                    for input in inputs.iter_mut() {
                        input.skip_strings(count).ok()?;
                    }
                }
                Op::SkipBytes(count) => {
                    for input in inputs.iter_mut() {
                        input.take(count as usize).ok()?;
                    }
                }
                Op::Nullable { null_branch, bit, null_word } => {
                    let (read, word) = ops.next()?.as_read()?;
                    for (lane, input) in inputs.iter_mut().enumerate() {
                        match input.branch().ok()? {
                            branch if branch == usize::from(null_branch) => {}
                            0 | 1 => {
                                slots.get_mut(word as usize)?[lane] = read(input)?;
                                slots.get_mut(null_word as usize)?[lane] &= !(1 << bit);
                            }
                            _ => return None,
                        }
                    }
                }
            }
        }
        Some(())
    }

    #[cold]
    fn undo(&self, row: &mut BatchBuilder) {
        for column in &self.columns {
            row.set_null(*column);
        }
    }
}

/// Reads the next value of an input.
type ReadOne = fn(&mut Input<'_>) -> Option<u64>;

/// Reads the next value of each input.
#[inline(always)]
fn read_all<const N: usize>(
    inputs: &mut [Input<'_>; N],
    slots: &mut [u64; N],
    read: impl Fn(&mut Input<'_>) -> Option<u64>,
) -> Option<()> {
    for (input, slot) in inputs.iter_mut().zip(slots) {
        *slot = read(input)?;
    }
    Some(())
}

#[inline(always)]
fn long(input: &mut Input<'_>) -> Option<u64> {
    Some(input.long().ok()? as u64)
}

#[inline(always)]
fn int(input: &mut Input<'_>) -> Option<u64> {
    Some(i64::from(input.int().ok()?) as u64)
}

#[inline(always)]
fn double(input: &mut Input<'_>) -> Option<u64> {
    Some(u64::from_le_bytes(input.array().ok()?))
}

#[inline(always)]
fn millis(input: &mut Input<'_>) -> Option<u64> {
    Some(input.long().ok()?.checked_mul(1_000)? as u64)
}

#[inline(always)]
fn text(input: &mut Input<'_>) -> Option<u64> {
    let text = input.lengthed().ok()?;
    Some(pack_var(text.len() + input.rest().len(), text.len()))
}

impl Op {
    /// The function and the slot of a read.
    fn as_read(self) -> Option<(ReadOne, u32)> {
        match self {
            Op::Long(word) => Some((long, word)),
            Op::Int(word) => Some((int, word)),
            Op::Double(word) => Some((double, word)),
            Op::Millis(word) => Some((millis, word)),
            Op::Text(word) => Some((text, word)),
            Op::SkipVarints(_) | Op::SkipStrings(_) | Op::SkipBytes(_) | Op::Nullable { .. } => {
                None
            }
        }
    }

    /// The read of a scalar, if it is one of these.
    fn read(scalar: &Scalar, word: u32) -> Option<Self> {
        match scalar {
            Scalar::Long => Some(Op::Long(word)),
            Scalar::Int(32..) => Some(Op::Int(word)),
            Scalar::Double => Some(Op::Double(word)),
            Scalar::TimestampMillis => Some(Op::Millis(word)),
            Scalar::Text => Some(Op::Text(word)),
            Scalar::Int(_)
            | Scalar::Boolean
            | Scalar::IntAsFloat { .. }
            | Scalar::IntAsDecimal { .. }
            | Scalar::Float
            | Scalar::Bytes
            | Scalar::JsonText
            | Scalar::Fixed(_)
            | Scalar::Enum(_)
            | Scalar::Decimal { .. }
            | Scalar::UuidText
            | Scalar::UuidFixed
            | Scalar::UuidBytes
            | Scalar::TimeMillis
            | Scalar::TimeMicros
            | Scalar::TimestampNanos
            | Scalar::Duration => None,
        }
    }
}

/// Values of a plan that are one stretch and need no key, walked ahead of their rows.
#[derive(Debug)]
pub(super) struct Lanes {
    flat: Flat,
    /// The fixed words of rows before the walk, and after it.
    blank: Vec<[u64; LANES]>,
    slots: Vec<[u64; LANES]>,
}

impl Lanes {
    /// Lanes for a plan, if its values are such.
    pub(super) fn new(plan: &DecodePlan, layout: &RowLayout) -> Option<Self> {
        let (PayloadPlan::Unread, PayloadPlan::Avro(value)) = (&plan.key, &plan.value) else {
            return None;
        };
        let flat = Flat::new(&value.steps, layout)?;
        if flat.steps != value.steps.len() {
            return None;
        }
        let mut blank = vec![[0; LANES]; layout.fixed_words()];
        for column in layout.columns() {
            let bits = &mut blank[column.null_word as usize];
            bits.iter_mut().for_each(|bits| *bits |= column.null_mask);
        }
        flat.clear_nulls(&mut blank);
        Some(Self { flat, slots: blank.clone(), blank })
    }

    /// Walks payloads. `false` if anything is wrong with one.
    pub(super) fn walk(&mut self, payloads: [&[u8]; LANES]) -> bool {
        self.slots.copy_from_slice(&self.blank);
        let mut inputs = payloads.map(Input::new);
        self.flat.walk(&mut inputs, &mut self.slots).is_some() && inputs.iter().all(Input::is_empty)
    }

    /// Begins the row of a payload that was walked. The texts are still to be put into it.
    #[inline]
    pub(super) fn begin(&self, lane: usize, row: &mut BatchBuilder) {
        row.begin_with(self.slots.iter().map(|slots| slots[lane]));
    }

    /// Columns whose texts are to be put into the row.
    #[inline]
    pub(super) fn texts(&self) -> &[Column] {
        &self.flat.texts
    }
}
