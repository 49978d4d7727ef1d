//! Update programs: any updates of accumulators of fixed width, under any gates, over any rows, in
//! batches of several sizes that come one after the other to the same blocks.

use flow_ir::kernel::{Blocks, KernelFactory};
use flow_ir::row::RowLayout;
use flow_ir::types::{DataType, Slot, Type};
use flow_ir::update::{Gate, SlotOrder, Update, UpdateKind, UpdateOp, UpdateProgram};
use flow_stdlib::interp::Interpreter;

use crate::batch::{Pool, show_row};
use crate::source::{Source, Spread};
use crate::types::scalar_type;

/// Rows of the batches.
const BATCH_ROWS: [usize; 4] = [7, 0, 500, 1];
/// Columns of the input at most; more than 64 have a second word of null bits.
const COLUMNS_MAX: usize = 70;
const UPDATES_MAX: usize = 24;
const BLOCKS_MAX: usize = 6;
/// Of two words.
const DECIMAL: DataType = DataType::Decimal { precision: 38, scale: 0 };

/// One random program over random batches.
///
/// # Errors
/// What the engines disagree on.
pub fn hold(bytes: &[u8]) -> Result<(), String> {
    let mut s = Source::new(bytes);
    let program = random(&mut s);
    let text = text_of(&program);
    program.verify().map_err(|e| format!("the generator made a bad program: {e}\n{text}"))?;
    let mut engines = Vec::new();
    for made in [Interpreter.updater(&program), crate::native().updater(&program)] {
        engines.push(made.map_err(|e| format!("{}\n{text}", e.0))?);
    }
    let mut pool = Pool::new(&mut s, program.input.clone());
    let (mut spread, count) = (s.spread(), 1 + s.below(BLOCKS_MAX));
    let layout = RowLayout::new(program.state.clone());
    let mut arena = blank(&layout).repeat(count);
    for rows in BATCH_ROWS {
        let batch = pool.batch(rows);
        let (picks, places) = picked(&mut spread, rows, count);
        let mut one = |engine: usize, arena: &[u64], range: std::ops::Range<usize>| {
            let mut words = arena.to_vec();
            let mut blocks =
                Blocks { layout: &layout, words: &mut words, places: &places[range.clone()] };
            engines[engine].update(&batch, &picks[range], &mut blocks);
            words
        };
        let (ours, native) = (one(0, &arena, 0..picks.len()), one(1, &arena, 0..picks.len()));
        if ours != native {
            let mut before = arena;
            for at in 0..picks.len() {
                let [a, b] = [0, 1].map(|engine| one(engine, &before, at..at + 1));
                if a != b {
                    let block = places[at] as usize * layout.fixed_words();
                    let of = |words: &[u64]| {
                        format!("{:x?}", &words[block..block + layout.fixed_words()])
                    };
                    return Err(format!(
                        "row {}\nbefore: {}\ninterpreter: {}\nnative: {}\n{text}",
                        show_row(&batch, picks[at] as usize),
                        of(&before),
                        of(&a),
                        of(&b)
                    ));
                }
                before = a;
            }
            return Err(format!("a batch of {rows} differs, and no row of it alone\n{text}"));
        }
        arena = ours;
    }
    Ok(())
}

/// Numbers of rows and of their blocks, some more than once, others not at all.
fn picked(spread: &mut Spread, rows: usize, blocks: usize) -> (Vec<u32>, Vec<u32>) {
    let count = if rows == 0 { 0 } else { rows + spread.below(3) };
    let numbers =
        |spread: &mut Spread, limit| (0..count).map(|_| spread.below(limit) as u32).collect();
    (numbers(spread, rows), numbers(spread, blocks))
}

/// The words of a block whose columns are all NULL.
fn blank(layout: &RowLayout) -> Vec<u64> {
    let mut words = vec![0; layout.fixed_words()];
    for column in layout.columns() {
        words[column.null_word as usize] |= column.null_mask;
    }
    words
}

/// The program that the bytes make.
///
/// # Errors
/// None.
pub fn show(bytes: &[u8]) -> Result<String, String> {
    Ok(text_of(&random(&mut Source::new(bytes))))
}

fn text_of(program: &UpdateProgram) -> String {
    let columns = program.input.iter().enumerate();
    let columns: String = columns.map(|(i, ty)| format!("column {i}: {ty}\n")).collect();
    format!("{columns}{program}")
}

struct Maker<'s, 'b> {
    s: &'s mut Source<'b>,
    program: UpdateProgram,
    /// Accumulators, with the kind of their updates and how they lie.
    made: Vec<(UpdateKind, Slot, u32)>,
}

fn random(s: &mut Source<'_>) -> UpdateProgram {
    let mut input = vec![DataType::Boolean, DataType::BigInt];
    input.push(DataType::Decimal { precision: 38, scale: 2 });
    let more = if s.once_in(24) { COLUMNS_MAX - s.below(10) } else { s.below(6) };
    input.extend((0..more).map(|_| scalar_type(s)));
    let input = input.into_iter().map(|data| Type { data, nullable: !s.once_in(3) }).collect();
    let program = UpdateProgram { input, state: Vec::new(), updates: Vec::new() };
    let mut maker = Maker { s, program, made: Vec::new() };
    let count = match maker.s.once_in(24) {
        true => COLUMNS_MAX,
        false => 1 + maker.s.below(UPDATES_MAX),
    };
    (0..count).for_each(|_| maker.step());
    maker.program
}

impl Maker<'_, '_> {
    fn step(&mut self) {
        let (word, wide) = (self.column(Slot::Word), self.column(Slot::Wide));
        let (op, ty) = match self.s.below(11) {
            0 => (UpdateOp::AddWeight, DataType::BigInt),
            1 => (UpdateOp::Add(word), DataType::BigInt),
            2 => (UpdateOp::And(word), DataType::BigInt),
            3 => (UpdateOp::Or(word), DataType::BigInt),
            4 => (UpdateOp::Xor(word), DataType::BigInt),
            5 => (UpdateOp::Touch, DataType::BigInt),
            6 => (UpdateOp::AddWide(wide), DECIMAL),
            7 => (UpdateOp::AddProduct(word), DECIMAL),
            8 => (UpdateOp::AddLong([wide, word]), DECIMAL),
            9 => (UpdateOp::AddLongProduct(wide), DECIMAL),
            _ => {
                let column = if self.s.once_in(2) { word } else { wide };
                let ty = self.program.input[column as usize].data.clone();
                let order = SlotOrder::of(&ty).expect("a column of fixed width");
                let greatest = self.s.once_in(2);
                (UpdateOp::Extreme { column, order, greatest }, ty)
            }
        };
        let when = (0..self.s.below(4)).map(|_| self.gate()).collect();
        let to = self.accumulator(op.kind(), ty);
        self.program.updates.push(Update { when, to, op });
    }

    fn gate(&mut self) -> Gate {
        let any = self.s.below(self.program.input.len()) as u32;
        let boolean = |ty: &Type| ty.data == DataType::Boolean;
        let condition = self.among(boolean);
        match self.s.below(5) {
            0 => Gate::NotNull(any),
            1 => Gate::IsTrue(condition),
            2 => Gate::IsFalse(condition),
            3 => Gate::Comes,
            _ => Gate::Odd,
        }
    }

    fn column(&mut self, slot: Slot) -> u32 {
        self.among(|ty| ty.slot() == slot)
    }

    fn among(&mut self, fits: impl Fn(&Type) -> bool) -> u32 {
        let input = self.program.input.iter().enumerate();
        let all: Vec<usize> = input.filter(|(_, ty)| fits(ty)).map(|(i, _)| i).collect();
        *self.s.pick(&all) as u32
    }

    /// One of this type that updates of this kind have, or `Touch` and others that go with it.
    fn accumulator(&mut self, kind: UpdateKind, ty: DataType) -> u32 {
        let slot = ty.slot();
        let touched = kind == UpdateKind::Touch;
        let fits = |made: &&(UpdateKind, Slot, u32)| {
            made.1 == slot && (made.0 == kind || (touched && made.0 == UpdateKind::Xor))
        };
        let same: Vec<u32> = self.made.iter().filter(fits).map(|made| made.2).collect();
        if !same.is_empty() && self.s.once_in(if touched { 2 } else { 4 }) {
            return *self.s.pick(&same);
        }
        let state = &mut self.program.state;
        if self.s.once_in(6) {
            state.push(Type::nullable(DataType::Bytes));
        }
        let to = state.len() as u32;
        state.push(Type::nullable(ty));
        if kind == UpdateKind::LongSum {
            state.push(Type::nullable(DataType::BigInt));
        }
        self.made.push((kind, slot, to));
        to
    }
}
