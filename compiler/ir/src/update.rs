//! Update programs: what a row does to the accumulators of its group. The closed set of updates
//! that aggregates of fixed width are made of; a new aggregate of that kind adds to it only where
//! it wants another operation on words.
//!
//! Accumulators lie in blocks, values in place (`row::ValueMut`), end to end in one arena. Rules
//! that hold for every update:
//! * it happens where all its gates hold, and its accumulators are not NULL then;
//! * an accumulator is 0 where it is NULL, and so is an operand;
//! * arithmetic wraps around, so that no update fails;
//! * the updates of an accumulator may change places with each other (`verify`), so an engine may
//!   take row by row or update by update.

use std::fmt;

use crate::types::{DataType, Slot, Type};

/// Updates that are done with each row, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UpdateProgram {
    /// Types of the rows' columns.
    pub input: Vec<Type>,
    /// Types of the columns of a block.
    pub state: Vec<Type>,
    /// The updates.
    pub updates: Vec<Update>,
}

/// One update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// When it happens: where all hold.
    pub when: Vec<Gate>,
    /// The accumulator, a column of the block.
    pub to: u32,
    /// What is done with it.
    pub op: UpdateOp,
}

/// A condition of an update; numbers are columns of the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// The column is not NULL.
    NotNull(u32),
    /// The BOOLEAN is TRUE.
    IsTrue(u32),
    /// The BOOLEAN is FALSE.
    IsFalse(u32),
    /// The row comes: its weight is positive.
    Comes,
    /// The row's weight is odd.
    Odd,
}

/// What is done with an accumulator; numbers are columns of the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateOp {
    /// It is not NULL.
    Touch,
    /// One word plus the row's weight.
    AddWeight,
    /// One word plus a column.
    Add(u32),
    /// Two words, a 128-bit number, plus a column of two words.
    AddWide(u32),
    /// Two words plus a signed column of one word times the weight.
    AddProduct(u32),
    /// A 192-bit number, two words of this accumulator and the next one's word above, plus columns
    /// that lie alike.
    AddLong([u32; 2]),
    /// The same number plus a signed column of two words times the weight.
    AddLongProduct(u32),
    /// The bits that both have; the column where the accumulator was NULL.
    And(u32),
    /// The bits that one of them has.
    Or(u32),
    /// The bits that one alone of them has.
    Xor(u32),
    /// A column, where the accumulator was NULL or the column is further in an order.
    Extreme {
        /// The column.
        column: u32,
        /// How values compare.
        order: SlotOrder,
        /// Whether further is greater, not less.
        greatest: bool,
    },
}

/// Updates that may change places with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateKind {
    /// `Touch`, which may change places with all that take NULL as 0.
    Touch,
    /// Additions to a number in one accumulator.
    Sum,
    /// Additions to a number in two of them.
    LongSum,
    /// `And`.
    And,
    /// `Or`.
    Or,
    /// `Xor`.
    Xor,
    /// `Extreme` in this order, of this end.
    Extreme(SlotOrder, bool),
}

/// How values that lie in a slot of fixed width compare: as their key bytes do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotOrder {
    /// One word, signed.
    Signed,
    /// One word, a double. −0.0 is taken as 0.0, and every NaN as one, which is above all.
    Float,
    /// Two words, signed.
    Wide,
    /// Two words, unsigned.
    Unsigned,
    /// Two words: first the low one, then the high one, both signed.
    Interval,
}

impl SlotOrder {
    /// The order of a type's values; `None` if they are not of fixed width.
    pub fn of(ty: &DataType) -> Option<Self> {
        match (ty.slot(), ty) {
            (Slot::Word, ty) if ty.is_float() => Some(SlotOrder::Float),
            (Slot::Word, _) => Some(SlotOrder::Signed),
            (Slot::Wide, DataType::Uuid) => Some(SlotOrder::Unsigned),
            (Slot::Wide, DataType::Interval) => Some(SlotOrder::Interval),
            (Slot::Wide, _) => Some(SlotOrder::Wide),
            (Slot::Var, _) => None,
        }
    }
}

impl UpdateKind {
    /// Whether a NULL accumulator is as one that is 0.
    fn takes_null_as_zero(self) -> bool {
        match self {
            UpdateKind::Touch
            | UpdateKind::Sum
            | UpdateKind::LongSum
            | UpdateKind::Or
            | UpdateKind::Xor => true,
            UpdateKind::And | UpdateKind::Extreme(..) => false,
        }
    }
}

impl Gate {
    /// The same of another column.
    fn map_column(self, map: impl Fn(u32) -> u32) -> Self {
        match self {
            Gate::NotNull(column) => Gate::NotNull(map(column)),
            Gate::IsTrue(column) => Gate::IsTrue(map(column)),
            Gate::IsFalse(column) => Gate::IsFalse(map(column)),
            Gate::Comes => Gate::Comes,
            Gate::Odd => Gate::Odd,
        }
    }
}

impl UpdateOp {
    /// The columns that it reads.
    fn columns_mut(&mut self) -> &mut [u32] {
        match self {
            UpdateOp::Touch | UpdateOp::AddWeight => &mut [],
            UpdateOp::AddLong(columns) => columns,
            UpdateOp::Add(column)
            | UpdateOp::AddWide(column)
            | UpdateOp::AddProduct(column)
            | UpdateOp::AddLongProduct(column)
            | UpdateOp::And(column)
            | UpdateOp::Or(column)
            | UpdateOp::Xor(column)
            | UpdateOp::Extreme { column, .. } => std::slice::from_mut(column),
        }
    }

    /// What it may change places with.
    pub fn kind(&self) -> UpdateKind {
        match *self {
            UpdateOp::Touch => UpdateKind::Touch,
            UpdateOp::AddWeight
            | UpdateOp::Add(_)
            | UpdateOp::AddWide(_)
            | UpdateOp::AddProduct(_) => UpdateKind::Sum,
            UpdateOp::AddLong(_) | UpdateOp::AddLongProduct(_) => UpdateKind::LongSum,
            UpdateOp::And(_) => UpdateKind::And,
            UpdateOp::Or(_) => UpdateKind::Or,
            UpdateOp::Xor(_) => UpdateKind::Xor,
            UpdateOp::Extreme { order, greatest, .. } => UpdateKind::Extreme(order, greatest),
        }
    }

    /// Whether it looks at the row's weight.
    pub fn is_weighed(&self) -> bool {
        match self {
            UpdateOp::AddWeight | UpdateOp::AddProduct(_) | UpdateOp::AddLongProduct(_) => true,
            UpdateOp::Touch
            | UpdateOp::Add(_)
            | UpdateOp::AddWide(_)
            | UpdateOp::AddLong(_)
            | UpdateOp::And(_)
            | UpdateOp::Or(_)
            | UpdateOp::Xor(_)
            | UpdateOp::Extreme { .. } => false,
        }
    }
}

impl Update {
    /// An update of accumulator `to` that happens where these gates hold.
    pub fn new(when: impl Into<Vec<Gate>>, to: u32, op: UpdateOp) -> Self {
        Self { when: when.into(), to, op }
    }

    /// The same over the columns that `map` gives, for accumulators from `first` on, where a FILTER
    /// holds besides.
    #[must_use]
    pub fn placed(&self, map: impl Fn(u32) -> u32, first: u32, filter: Option<u32>) -> Self {
        let mut op = self.op;
        op.columns_mut().iter_mut().for_each(|column| *column = map(*column));
        let own = self.when.iter().map(|gate| gate.map_column(&map));
        let when = filter.map(Gate::IsTrue).into_iter().chain(own).collect();
        Self { when, to: self.to + first, op }
    }

    /// Notes of what kind the updates of its accumulators are; an error if the others are of one
    /// that it may not change places with.
    fn join(&self, kinds: &mut [Option<UpdateKind>]) -> Result<(), &'static str> {
        let kind = self.op.kind();
        let width = if kind == UpdateKind::LongSum { 2 } else { 1 };
        for known in &mut kinds[self.to as usize..][..width] {
            let (first, fits) = match (*known, kind) {
                (None, kind) => (kind, true),
                (Some(UpdateKind::Touch), kind) | (Some(kind), UpdateKind::Touch) => {
                    (kind, kind.takes_null_as_zero())
                }
                (Some(known), kind) => (known, known == kind),
            };
            expect(fits, "it may not change places with others of its accumulator")?;
            *known = Some(first);
        }
        Ok(())
    }

    /// Whether it looks at the row's weight.
    pub fn is_weighed(&self) -> bool {
        self.op.is_weighed() || self.when.iter().any(|gate| matches!(gate, Gate::Comes | Gate::Odd))
    }
}

/// Why an update program is not well formed: a bug in the compiler, or an altered artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidUpdate {
    /// The update.
    pub update: usize,
    /// What is wrong with it.
    pub why: &'static str,
}

impl fmt::Display for InvalidUpdate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "update {}: {}", self.update, self.why)
    }
}

impl UpdateProgram {
    /// Checks that columns and accumulators are there, and that they lie as the updates want them.
    /// Everything that runs a program may rely on it.
    ///
    /// # Errors
    /// The first update that breaks a rule.
    pub fn verify(&self) -> Result<(), InvalidUpdate> {
        let mut kinds = vec![None; self.state.len()];
        for (number, update) in self.updates.iter().enumerate() {
            self.verify_update(update)
                .and_then(|()| update.join(&mut kinds))
                .map_err(|why| InvalidUpdate { update: number, why })?;
        }
        Ok(())
    }

    fn verify_update(&self, update: &Update) -> Result<(), &'static str> {
        let column = |number: u32| self.input.get(number as usize).ok_or("no such column");
        for gate in &update.when {
            match gate {
                Gate::NotNull(number) => column(*number).map(|_| ())?,
                Gate::IsTrue(number) | Gate::IsFalse(number) => {
                    let boolean = column(*number)?.data == DataType::Boolean;
                    expect(boolean, "a condition is not BOOLEAN")?;
                }
                Gate::Comes | Gate::Odd => {}
            }
        }
        let block = |number: u32| self.state.get(number as usize).ok_or("no such accumulator");
        let lies = |ty: &Type, slot: Slot| expect(ty.slot() == slot, "a slot is of another width");
        let to = block(update.to)?;
        let (word, wide) = (Slot::Word, Slot::Wide);
        match update.op {
            UpdateOp::Touch => expect(to.slot() != Slot::Var, "it is not of fixed width"),
            UpdateOp::AddWeight => lies(to, word),
            UpdateOp::Add(number)
            | UpdateOp::And(number)
            | UpdateOp::Or(number)
            | UpdateOp::Xor(number) => lies(to, word).and(lies(column(number)?, word)),
            UpdateOp::AddWide(number) => lies(to, wide).and(lies(column(number)?, wide)),
            UpdateOp::AddProduct(number) => lies(to, wide).and(lies(column(number)?, word)),
            UpdateOp::AddLong([low, high]) => {
                lies(to, wide).and(lies(block(update.to + 1)?, word))?;
                lies(column(low)?, wide).and(lies(column(high)?, word))
            }
            UpdateOp::AddLongProduct(number) => {
                lies(to, wide).and(lies(block(update.to + 1)?, word))?;
                lies(column(number)?, wide)
            }
            UpdateOp::Extreme { column: number, order, .. } => {
                let of = column(number)?;
                lies(to, of.slot())?;
                expect(SlotOrder::of(&of.data) == Some(order), "the order is of another type")
            }
        }
    }
}

fn expect(holds: bool, otherwise: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(otherwise) }
}

impl fmt::Display for UpdateProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for update in &self.updates {
            writeln!(f, "{update}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Update {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (to, above) = (self.to, self.to.wrapping_add(1));
        match self.op {
            UpdateOp::Touch => write!(f, "a{to} is there"),
            UpdateOp::AddWeight => write!(f, "a{to} += weight"),
            UpdateOp::Add(column) => write!(f, "a{to} += c{column}"),
            UpdateOp::AddWide(column) => write!(f, "a{to} += wide c{column}"),
            UpdateOp::AddProduct(column) => write!(f, "a{to} += c{column} * weight"),
            UpdateOp::AddLong([low, high]) => {
                write!(f, "a{above}:a{to} += long c{high}:c{low}")
            }
            UpdateOp::AddLongProduct(column) => {
                write!(f, "a{above}:a{to} += long c{column} * weight")
            }
            UpdateOp::And(column) => write!(f, "a{to} &= c{column}"),
            UpdateOp::Or(column) => write!(f, "a{to} |= c{column}"),
            UpdateOp::Xor(column) => write!(f, "a{to} ^= c{column}"),
            UpdateOp::Extreme { column, order, greatest } => {
                let which = if greatest { "greatest" } else { "least" };
                write!(f, "a{to} = {which} of a{to} c{column}, {order:?}")
            }
        }?;
        for (i, gate) in self.when.iter().enumerate() {
            write!(f, "{}{gate}", if i == 0 { " if " } else { " and " })?;
        }
        Ok(())
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Gate::NotNull(column) => write!(f, "c{column} is not null"),
            Gate::IsTrue(column) => write!(f, "c{column}"),
            Gate::IsFalse(column) => write!(f, "not c{column}"),
            Gate::Comes => f.write_str("weight > 0"),
            Gate::Odd => f.write_str("weight is odd"),
        }
    }
}
