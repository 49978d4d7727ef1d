//! Registers of the interpreter: one value a row of the batch, in vectors that are reused from
//! batch to batch. A constant is held once. A variable value is a span of the input batch or of
//! the arena of the register that made it, so that passing it on copies nothing.

use flow_ir::row::{BatchBuilder, Column, RowLayout, RowRef, push_value, unpack_var};
use flow_ir::types::{Slot, Type};
use flow_ir::value::Value;

use crate::host::{HostArg, HostOut, HostResult};

/// The home of spans in the input batch.
const BATCH: u32 = u32::MAX;

/// The values of one instruction.
#[derive(Debug)]
pub(super) struct Register {
    slot: Slot,
    container: bool,
    /// All rows have the value at index 0.
    constant: bool,
    /// Which rows are NULL.
    pub(super) nulls: Vec<bool>,
    /// One-word values, low words, or where spans start in bytes.
    pub(super) low: Vec<u64>,
    /// High words, or (length, home) of spans.
    high: Vec<u64>,
    bytes: Vec<u8>,
    words: Vec<u64>,
}

/// The rows that a step computes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rows<'a> {
    /// All of the batch.
    All(usize),
    /// These, ascending.
    Some(&'a [u32]),
}

impl Rows<'_> {
    /// Calls `visit` for each row.
    pub(super) fn each(self, mut visit: impl FnMut(usize)) {
        match self {
            Rows::All(count) => (0..count).for_each(visit),
            Rows::Some(rows) => rows.iter().for_each(|&row| visit(row as usize)),
        }
    }
}

impl Register {
    /// A register of values of this type.
    pub(super) fn new(ty: &Type) -> Self {
        Self {
            slot: ty.slot(),
            container: ty.data.is_container(),
            constant: false,
            nulls: Vec::new(),
            low: Vec::new(),
            high: Vec::new(),
            bytes: Vec::new(),
            words: Vec::new(),
        }
    }

    /// A register that holds one value for all rows, being register `home`.
    pub(super) fn constant(ty: &Type, value: &Value, home: usize) -> Self {
        let layout = std::sync::Arc::new(RowLayout::new(vec![ty.with_nullable(true)]));
        let mut builder = BatchBuilder::new(layout.clone());
        builder.begin();
        push_value(&mut builder, 0, value);
        builder.finish(1);
        let batch = builder.take();
        let arg = crate::text::field_of(batch.row(0), &layout, 0);
        let mut register = Self { constant: true, ..Self::new(ty) };
        register.resize(1);
        register.nulls[0] = true;
        register.put(0, home, |out| out.copy(arg));
        register
    }

    /// A register that will hold one word for all rows.
    pub(super) fn word_for_all(ty: &Type) -> Self {
        let mut register = Self { constant: true, ..Self::new(ty) };
        register.resize(1);
        register
    }

    /// Makes room for a batch of this many rows and forgets the last batch's values.
    pub(super) fn begin(&mut self, rows: usize) {
        if !self.constant {
            self.bytes.clear();
            self.words.clear();
            self.resize(rows);
        }
    }

    fn resize(&mut self, rows: usize) {
        self.nulls.resize(rows, false);
        self.low.resize(rows, 0);
        if self.slot != Slot::Word {
            self.high.resize(rows, 0);
        }
    }

    /// Where the value of a row is.
    pub(super) fn at(&self, row: usize) -> usize {
        if self.constant { 0 } else { row }
    }

    /// Whether a row's value is NULL.
    pub(super) fn is_null(&self, row: usize) -> bool {
        self.nulls[self.at(row)]
    }

    /// A one-word value.
    pub(super) fn word(&self, row: usize) -> u64 {
        self.low[self.at(row)]
    }

    /// A two-word value.
    pub(super) fn wide(&self, row: usize) -> [u64; 2] {
        let at = self.at(row);
        [self.low[at], self.high[at]]
    }

    /// Whether a BOOLEAN is TRUE.
    pub(super) fn is_true(&self, row: usize) -> bool {
        let at = self.at(row);
        !self.nulls[at] & (self.low[at] != 0)
    }

    /// Sets NULL.
    pub(super) fn set_null(&mut self, row: usize) {
        self.nulls[row] = true;
    }

    /// Sets a one-word value.
    pub(super) fn set_word(&mut self, row: usize, value: u64) {
        self.nulls[row] = false;
        self.low[row] = value;
    }

    /// Sets a two-word value.
    pub(super) fn set_wide(&mut self, row: usize, value: [u64; 2]) {
        self.nulls[row] = false;
        self.low[row] = value[0];
        self.high[row] = value[1];
    }

    fn set_span(&mut self, row: usize, start: usize, len: usize, home: u32) {
        self.set_wide(row, [start as u64, (len as u64) << 32 | u64::from(home)]);
    }

    /// Takes a value as it is from another register.
    pub(super) fn forward(&mut self, row: usize, from: &Register) {
        let at = from.at(row);
        self.nulls[row] = from.nulls[at];
        self.low[row] = from.low[at];
        if self.slot != Slot::Word {
            self.high[row] = from.high[at];
        }
    }

    /// Takes a value from a column of the input batch, whose row starts at word `start`.
    pub(super) fn load(&mut self, row: usize, from: RowRef<'_>, column: Column, start: usize) {
        if from.is_null(column) {
            return self.set_null(row);
        }
        match column.slot {
            Slot::Word => self.set_word(row, from.word(column)),
            Slot::Wide => self.set_wide(row, from.wide(column)),
            Slot::Var => {
                let (offset, len) = unpack_var(from.word(column));
                self.set_span(row, start * 8 + offset, len, BATCH);
            }
        }
    }

    /// Takes a value out of the container that register `from` holds in this row: `slot` are the
    /// words of its slot there.
    pub(super) fn load_part(&mut self, row: usize, from: &Register, slot: [u64; 2]) {
        match self.slot {
            Slot::Word => self.set_word(row, slot[0]),
            Slot::Wide => self.set_wide(row, slot),
            Slot::Var => {
                let at = from.at(row);
                let (offset, len) = unpack_var(slot[0]);
                let home = from.high[at] as u32;
                self.set_span(row, from.low[at] as usize + offset, len, home);
            }
        }
    }

    /// Sets what `write` puts, this being register `home`.
    pub(super) fn put<T>(
        &mut self,
        row: usize,
        home: usize,
        write: impl FnOnce(&mut HostOut<'_>) -> T,
    ) -> T {
        let mut out = HostOut::new(&mut self.bytes, &mut self.words);
        let given = write(&mut out);
        let home = home as u32;
        match out.result() {
            HostResult::Null => self.set_null(row),
            HostResult::Word(word) => self.set_word(row, word),
            HostResult::Wide(wide) => self.set_wide(row, wide),
            HostResult::Bytes(start) => {
                self.set_span(row, start, self.bytes.len() - start, home);
            }
            HostResult::Container(start) => {
                self.set_span(row, start * 8, (self.words.len() - start) * 8, home);
            }
        }
        given
    }

    fn arena(&self) -> &[u8] {
        if self.container { bytemuck::cast_slice(&self.words) } else { &self.bytes }
    }
}

/// What a step may read: the registers before its own and the words of the input batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    /// The registers.
    pub(super) registers: &'a [Register],
    /// All words of the batch.
    pub(super) batch: &'a [u64],
}

impl<'a> Frame<'a> {
    /// The bytes of a variable value.
    pub(super) fn bytes(self, of: &Register, row: usize) -> &'a [u8] {
        let (start, len, home) = span(of, row);
        let all = match home {
            BATCH => bytemuck::cast_slice(self.batch),
            home => self.registers[home as usize].arena(),
        };
        all.get(start..start + len).unwrap_or(&[])
    }

    /// The words of a container.
    pub(super) fn words(self, of: &Register, row: usize) -> &'a [u64] {
        let (start, len, home) = span(of, row);
        let all = match home {
            BATCH => self.batch,
            home => &self.registers[home as usize].words,
        };
        all.get(start / 8..(start + len) / 8).unwrap_or(&[])
    }

    /// A value as a host function takes it.
    pub(super) fn arg(self, of: &Register, row: usize) -> HostArg<'a> {
        if of.is_null(row) {
            return HostArg::Null;
        }
        match of.slot {
            Slot::Word => HostArg::Word(of.word(row)),
            Slot::Wide => HostArg::Wide(of.wide(row)),
            Slot::Var if of.container => HostArg::Container(self.words(of, row)),
            Slot::Var => HostArg::Bytes(self.bytes(of, row)),
        }
    }

    /// Sets a column of the open output row.
    pub(super) fn write(self, of: &Register, row: usize, out: &mut BatchBuilder, column: usize) {
        match self.arg(of, row) {
            HostArg::Null => {}
            HostArg::Word(word) => out.set_word(column, word),
            HostArg::Wide(wide) => out.set_wide(column, wide),
            HostArg::Bytes(bytes) => out.set_bytes(column, bytes),
            HostArg::Container(words) => out.set_container(column, words),
        }
    }
}

/// (start, length, home) of a variable value.
fn span(of: &Register, row: usize) -> (usize, usize, u32) {
    let [start, packed] = of.wide(row);
    (start as usize, (packed >> 32) as usize, packed as u32)
}
