//! Update programs as machine code: one loop over the picked rows that does all updates, without
//! branches. Which rows a FILTER takes is not to be guessed, so a value that does not count is one
//! that changes nothing. No update fails, so no row is given back.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::types::{F64, I8, I64};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value};
use flow_ir::kernel::{Blocks, Updater};
use flow_ir::row::{Column, RowBatch, RowLayout};
use flow_ir::types::Slot;
use flow_ir::update::{Gate, SlotOrder, Update, UpdateOp, UpdateProgram};

use super::emit::{Cell, Emit};
use super::io::at;
use super::module::Code;
use super::rows::load_column;

/// What the loop keeps in registers.
pub(super) const KEEP: [i32; 7] =
    [at::INPUT, at::STARTS, at::PICKS, at::PLACES, at::WEIGHTS, at::WEIGHT_MASK, at::BLOCKS];

/// Updates of a program that is compiled, at most: a longer one would take seconds.
const COMPILED_UPDATES_MAX: usize = 1_000;

/// The bits of the one NaN that is kept.
const NAN: i64 = 0x7ff8_0000_0000_0000;

/// Whether a program is compiled.
pub(super) fn is_compiled(program: &UpdateProgram) -> bool {
    program.updates.len() <= COMPILED_UPDATES_MAX
}

/// A compiled updater.
#[derive(Debug)]
pub(super) struct NativeUpdater {
    code: Code,
    input: RowLayout,
    state: RowLayout,
}

impl NativeUpdater {
    /// An updater of code that `body` wrote.
    pub(super) fn new(program: &UpdateProgram, code: Code) -> Self {
        let input = RowLayout::new(program.input.clone());
        Self { code, input, state: RowLayout::new(program.state.clone()) }
    }
}

impl Updater for NativeUpdater {
    fn update(&mut self, rows: &RowBatch, picks: &[u32], blocks: &mut Blocks<'_>) {
        let Self { code, input, state } = self;
        assert_eq!(rows.layout().columns(), input.columns(), "the rows are of the program's types");
        assert_eq!(blocks.layout.columns(), state.columns(), "and so are the blocks");
        code.rows_to_blocks(rows, picks, blocks);
    }
}

/// Writes the body of an updater's loop.
pub(super) fn body(e: &mut Emit<'_>, program: &UpdateProgram) {
    let mut pass = Pass::begin(e, program);
    for update in &program.updates {
        pass.update(e, update);
    }
    pass.end(e);
    e.b.ins().jump(e.next, &[]);
}

/// One row and its block.
struct Pass {
    input: RowLayout,
    state: RowLayout,
    row: Value,
    block: Value,
    weight: Value,
    /// Columns that were read.
    cells: Vec<Option<Cell>>,
    gates: Vec<(Gate, Value)>,
    /// The block's null bits as they are to be, those words that were read.
    nulls: Vec<Option<Value>>,
}

/// An accumulator, or what is added to it, word by word, lowest first.
type Words = [Value; 2];

impl Pass {
    /// Finds the row and its block.
    fn begin(e: &mut Emit<'_>, program: &UpdateProgram) -> Self {
        let input = RowLayout::new(program.input.clone());
        let state = RowLayout::new(program.state.clone());
        let kept: Vec<Value> = (3..3 + KEEP.len()).map(|i| e.b.use_var(e.kept[i].0)).collect();
        let &[words, starts, picks, places, weights, weight_mask, blocks] = &kept[..] else {
            unreachable!("as many as are kept")
        };
        let number = e.b.use_var(e.row);
        let item = |e: &mut Emit<'_>, list: Value, number: Value| {
            let offset = e.b.ins().ishl_imm_u(number, 2);
            let place = e.b.ins().iadd(list, offset);
            e.load_u32(place, 0)
        };
        let pick = item(e, picks, number);
        let start = item(e, starts, pick);
        let offset = e.b.ins().ishl_imm_u(start, 3);
        let row = e.b.ins().iadd(words, offset);
        let place = item(e, places, number);
        let offset = e.b.ins().imul_imm_u(place, state.fixed_words() as i64 * 8);
        let block = e.b.ins().iadd(blocks, offset);
        let weight = match program.updates.iter().any(Update::is_weighed) {
            true => {
                let offset = e.b.ins().ishl_imm_u(pick, 3);
                let offset = e.b.ins().band(offset, weight_mask);
                let place = e.b.ins().iadd(weights, offset);
                e.load(place, 0)
            }
            false => e.word(1),
        };
        let (cells, nulls) = (vec![None; input.len()], vec![None; state.fixed_words()]);
        Self { input, state, row, block, weight, cells, gates: Vec::new(), nulls }
    }

    /// Writes the null bits back.
    fn end(&self, e: &mut Emit<'_>) {
        for (word, bits) in self.nulls.iter().enumerate() {
            if let Some(bits) = bits {
                e.store(*bits, self.block, word as i32 * 8);
            }
        }
    }

    /// Does an update.
    fn update(&mut self, e: &mut Emit<'_>, update: &Update) {
        let pass = self.pass(e, &update.when);
        let to = self.state.column(update.to as usize);
        let was_null = self.was_null(e, to);
        self.clear_null(e, to, pass);
        match update.op {
            UpdateOp::Touch => {}
            UpdateOp::AddWeight => {
                let more = counted(e, pass, self.weight);
                self.add(e, to, more);
            }
            UpdateOp::Add(column) => {
                let more = self.word(e, column, pass);
                self.add(e, to, more);
            }
            UpdateOp::AddWide(column) => {
                let more = self.wide(e, column, pass);
                self.add_wide(e, to, more);
            }
            UpdateOp::AddProduct(column) => {
                let value = self.word(e, column, pass);
                let product = product(e, value, self.weight);
                self.add_wide(e, to, product);
            }
            UpdateOp::AddLong([low, high]) => {
                let more = self.wide(e, low, pass);
                let top = self.word(e, high, pass);
                self.add_long(e, update.to, pass, (more, top));
            }
            UpdateOp::AddLongProduct(column) => {
                let value = self.wide(e, column, pass);
                let product = long_product(e, value, self.weight);
                self.add_long(e, update.to, pass, product);
            }
            UpdateOp::And(column) => {
                let value = self.column(e, column).low;
                let kept = self.kept(e, to, 0);
                let both = e.b.ins().band(kept, value);
                let new = e.b.ins().select(was_null, value, both);
                let new = pass.map_or(new, |pass| e.b.ins().select(pass, new, kept));
                self.keep(e, to, 0, new);
            }
            UpdateOp::Or(column) => {
                let (kept, value) = (self.kept(e, to, 0), self.word(e, column, pass));
                let new = e.b.ins().bor(kept, value);
                self.keep(e, to, 0, new);
            }
            UpdateOp::Xor(column) => {
                let (kept, value) = (self.kept(e, to, 0), self.word(e, column, pass));
                let new = e.b.ins().bxor(kept, value);
                self.keep(e, to, 0, new);
            }
            UpdateOp::Extreme { column, order, greatest } => {
                let cell = self.column(e, column);
                self.extreme(e, (to, was_null), pass, cell, (order, greatest));
            }
        }
    }

    // --- gates ---

    /// Whether all hold, I8; `None` where there is none.
    fn pass(&mut self, e: &mut Emit<'_>, when: &[Gate]) -> Option<Value> {
        let mut all = None;
        for gate in when {
            let holds = self.holds(e, *gate);
            all = Some(all.map_or(holds, |all| e.b.ins().band(all, holds)));
        }
        all
    }

    fn holds(&mut self, e: &mut Emit<'_>, gate: Gate) -> Value {
        if let Some((_, holds)) = self.gates.iter().find(|(known, _)| *known == gate) {
            return *holds;
        }
        let holds = match gate {
            Gate::NotNull(column) => {
                let cell = self.column(e, column);
                let null = e.null_bit(cell.null);
                e.not(null)
            }
            Gate::IsTrue(column) => {
                let cell = self.column(e, column);
                e.is_true(cell)
            }
            Gate::IsFalse(column) => {
                let cell = self.column(e, column);
                let bit = e.b.ins().icmp_imm_s(IntCC::Equal, cell.low, 0);
                e.unless_null(bit, cell.null)
            }
            Gate::Comes => e.b.ins().icmp_imm_s(IntCC::SignedGreaterThan, self.weight, 0),
            Gate::Odd => {
                let bit = e.b.ins().band_imm_s(self.weight, 1);
                e.b.ins().ireduce(I8, bit)
            }
        };
        self.gates.push((gate, holds));
        holds
    }

    // --- columns and accumulators ---

    fn column(&mut self, e: &mut Emit<'_>, number: u32) -> Cell {
        let (row, column) = (self.row, self.input.column(number as usize));
        *self.cells[number as usize].get_or_insert_with(|| load_column(e, row, column))
    }

    /// A column of one word, 0 where it does not count.
    fn word(&mut self, e: &mut Emit<'_>, number: u32, pass: Option<Value>) -> Value {
        let value = self.column(e, number).low;
        counted(e, pass, value)
    }

    /// A column of two words, 0 where it does not count.
    fn wide(&mut self, e: &mut Emit<'_>, number: u32, pass: Option<Value>) -> Words {
        let Cell { low, high, .. } = self.column(e, number);
        [counted(e, pass, low), counted(e, pass, high)]
    }

    fn kept(&self, e: &mut Emit<'_>, of: Column, word: u32) -> Value {
        e.load(self.block, (of.word + word) as i32 * 8)
    }

    fn keep(&self, e: &mut Emit<'_>, of: Column, word: u32, value: Value) {
        e.store(value, self.block, (of.word + word) as i32 * 8);
    }

    fn null_word(&mut self, e: &mut Emit<'_>, of: Column) -> Value {
        let (block, word) = (self.block, of.null_word as i32 * 8);
        *self.nulls[of.null_word as usize].get_or_insert_with(|| e.load(block, word))
    }

    /// Whether an accumulator is NULL, I8.
    fn was_null(&mut self, e: &mut Emit<'_>, of: Column) -> Value {
        let bits = self.null_word(e, of);
        let bit = e.b.ins().ushr_imm_u(bits, i64::from(of.null_mask.trailing_zeros()));
        let bit = e.b.ins().band_imm_s(bit, 1);
        e.b.ins().ireduce(I8, bit)
    }

    /// Has an accumulator not be NULL where `pass` holds.
    fn clear_null(&mut self, e: &mut Emit<'_>, of: Column, pass: Option<Value>) {
        let bits = self.null_word(e, of);
        let left = match pass {
            None => e.b.ins().band_imm_s(bits, !of.null_mask as i64),
            Some(pass) => {
                let bit = e.b.ins().uextend(I64, pass);
                let bit = e.b.ins().ishl_imm_u(bit, i64::from(of.null_mask.trailing_zeros()));
                e.b.ins().band_not(bits, bit)
            }
        };
        self.nulls[of.null_word as usize] = Some(left);
    }

    fn add(&self, e: &mut Emit<'_>, to: Column, more: Value) {
        let kept = self.kept(e, to, 0);
        let sum = e.b.ins().iadd(kept, more);
        self.keep(e, to, 0, sum);
    }

    /// Adds a number of two words; gives whether that carries over.
    fn add_wide(&self, e: &mut Emit<'_>, to: Column, [low, high]: Words) -> Value {
        let (kept_low, kept_high) = (self.kept(e, to, 0), self.kept(e, to, 1));
        let kept = e.b.ins().iconcat(kept_low, kept_high);
        let more = e.b.ins().iconcat(low, high);
        let sum = e.b.ins().iadd(kept, more);
        let (low, high) = e.b.ins().isplit(sum);
        self.keep(e, to, 0, low);
        self.keep(e, to, 1, high);
        e.b.ins().icmp(IntCC::UnsignedLessThan, sum, more)
    }

    /// Adds a number of three words to this accumulator and the next.
    fn add_long(
        &mut self,
        e: &mut Emit<'_>,
        to: u32,
        pass: Option<Value>,
        (low, top): (Words, Value),
    ) {
        let above = self.state.column(to as usize + 1);
        self.clear_null(e, above, pass);
        let carry = self.add_wide(e, self.state.column(to as usize), low);
        let carry = e.b.ins().uextend(I64, carry);
        let top = e.b.ins().iadd(top, carry);
        self.add(e, above, top);
    }

    /// Keeps a value that is further in an order, or the first.
    fn extreme(
        &self,
        e: &mut Emit<'_>,
        (to, was_null): (Column, Value),
        pass: Option<Value>,
        value: Cell,
        (order, greatest): (SlotOrder, bool),
    ) {
        let wide = to.slot == Slot::Wide;
        let low = if order == SlotOrder::Float { canonical(e, value.low) } else { value.low };
        let kept_low = self.kept(e, to, 0);
        let kept_high = if wide { self.kept(e, to, 1) } else { kept_low };
        let (value, kept) = ([low, value.high], [kept_low, kept_high]);
        let further = further(e, order, greatest, value, kept);
        let take = e.b.ins().bor(was_null, further);
        let take = pass.map_or(take, |pass| e.b.ins().band(take, pass));
        for word in 0..to.slot.words() {
            let new = e.b.ins().select(take, value[word], kept[word]);
            self.keep(e, to, word as u32, new);
        }
    }
}

/// A number, 0 where it does not count.
fn counted(e: &mut Emit<'_>, pass: Option<Value>, value: Value) -> Value {
    let Some(pass) = pass else { return value };
    let zero = e.word(0);
    e.b.ins().select(pass, value, zero)
}

/// The product of two signed words.
fn product(e: &mut Emit<'_>, a: Value, b: Value) -> Words {
    [e.b.ins().imul(a, b), e.b.ins().smulhi(a, b)]
}

/// The product of a signed number of two words and a signed word: two words and the one above.
fn long_product(e: &mut Emit<'_>, [low, high]: Words, weight: Value) -> (Words, Value) {
    // The low word is unsigned: what a negative weight takes for it too much goes off its product.
    let first = e.b.ins().imul(low, weight);
    let sign = e.b.ins().sshr_imm_u(weight, 63);
    let too_much = e.b.ins().band(low, sign);
    let carried = e.b.ins().umulhi(low, weight);
    let carried = e.b.ins().isub(carried, too_much);
    let sign = e.b.ins().sshr_imm_u(carried, 63);
    let carried = e.b.ins().iconcat(carried, sign);
    let [above, top] = product(e, high, weight);
    let above = e.b.ins().iconcat(above, top);
    let above = e.b.ins().iadd(above, carried);
    let (second, top) = e.b.ins().isplit(above);
    ([first, second], top)
}

/// The bits of a double as they are kept: −0.0 as 0.0, every NaN as one.
fn canonical(e: &mut Emit<'_>, bits: Value) -> Value {
    let number = e.b.ins().bitcast(F64, MemFlagsData::new(), bits);
    let is_nan = e.b.ins().fcmp(FloatCC::Unordered, number, number);
    let zero = e.b.ins().f64const(0.0);
    let is_zero = e.b.ins().fcmp(FloatCC::Equal, number, zero);
    let (nan, zero) = (e.word(NAN), e.word(0));
    let bits = e.b.ins().select(is_nan, nan, bits);
    e.b.ins().select(is_zero, zero, bits)
}

/// Whether a value is further than the kept one, I8.
fn further(e: &mut Emit<'_>, order: SlotOrder, greatest: bool, value: Words, kept: Words) -> Value {
    let (signed, unsigned) = match greatest {
        true => (IntCC::SignedGreaterThan, IntCC::UnsignedGreaterThan),
        false => (IntCC::SignedLessThan, IntCC::UnsignedLessThan),
    };
    // First by this word, signed or not, then by that one.
    let by =
        |e: &mut Emit<'_>, (first, condition): (usize, IntCC), (then, second): (usize, IntCC)| {
            let further = e.b.ins().icmp(condition, value[first], kept[first]);
            let same = e.b.ins().icmp(IntCC::Equal, value[first], kept[first]);
            let next = e.b.ins().icmp(second, value[then], kept[then]);
            let next = e.b.ins().band(same, next);
            e.b.ins().bor(further, next)
        };
    match order {
        SlotOrder::Signed => e.b.ins().icmp(signed, value[0], kept[0]),
        // As bits of doubles that are no NaN but this one, and not −0.0, order.
        SlotOrder::Float => {
            let [value, kept] = [value[0], kept[0]].map(|bits| {
                let sign = e.b.ins().sshr_imm_u(bits, 63);
                let flipped = e.b.ins().ushr_imm_u(sign, 1);
                e.b.ins().bxor(bits, flipped)
            });
            e.b.ins().icmp(signed, value, kept)
        }
        SlotOrder::Wide => by(e, (1, signed), (0, unsigned)),
        SlotOrder::Unsigned => by(e, (1, unsigned), (0, unsigned)),
        SlotOrder::Interval => by(e, (0, signed), (1, signed)),
    }
}
