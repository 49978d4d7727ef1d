//! Writing CLIF: values that may be NULL, memory, branches, calls of shims. One function is written
//! at a time, and has one loop over rows or records; `Emit` knows its exits.
//!
//! A value that may be NULL is a `Cell` in SSA form. A variable value is an address and a length;
//! where it is NULL, its address and length are not used.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I8, I32, I64};
use cranelift_codegen::ir::{
    AbiParam, Block, BlockArg, FuncRef, InstBuilder, MemFlagsData, StackSlot, StackSlotData,
    StackSlotKind, Value,
};
use cranelift_frontend::{FunctionBuilder, Variable};
use cranelift_jit::JITModule;
use cranelift_module::{Linkage, Module};
use flow_ir::kernel::KernelError;
use flow_ir::types::{DataType, Slot};

use super::io::{Exit, at};
use super::shims::{CellKind, Context, RawCell, Shim};

/// Whether a value is NULL, as far as is known when the code is made.
#[derive(Clone, Copy, Debug)]
pub(super) enum Null {
    /// Never.
    Never,
    /// Always.
    Always,
    /// Where this I8 is 1.
    When(Value),
}

/// A value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    /// Whether it is NULL.
    pub(super) null: Null,
    /// One word, the low word, or the address.
    pub(super) low: Value,
    /// The high word, or the length in bytes; `low` again for one-word values.
    pub(super) high: Value,
}

/// A value that is set in one branch and read behind it.
#[derive(Clone, Copy, Debug)]
pub(super) struct CellVar {
    null: Variable,
    low: Variable,
    high: Variable,
}

/// How values of a type lie in cells.
pub(super) fn kind_of(ty: &DataType) -> CellKind {
    match ty.slot() {
        Slot::Word => CellKind::Word,
        Slot::Wide => CellKind::Wide,
        Slot::Var if ty.is_container() => CellKind::Container,
        Slot::Var => CellKind::Bytes,
    }
}

/// A function that is being written.
pub(super) struct Emit<'f> {
    pub(super) b: FunctionBuilder<'f>,
    module: &'f mut JITModule,
    /// What the function's shims will find.
    pub(super) context: Context,
    /// The `Io` that it is called with.
    pub(super) io: Value,
    /// Number of the row or record, from the beginning of the batch.
    pub(super) row: Variable,
    /// Where the next output begins.
    pub(super) out: Variable,
    /// Output rows so far.
    pub(super) rows: Variable,
    /// What is kept in registers and goes back into the `Io` at each exit: these three and what
    /// `function` was asked for besides.
    pub(super) kept: Vec<(Variable, i32)>,
    /// Goes on with the next row.
    pub(super) next: Block,
    /// Leaves this row to the interpreter.
    bail: Block,
    /// Whether something in this row has failed, I8; checked before anything is written.
    failed: Option<Value>,
    shims: Vec<(Shim, FuncRef)>,
    cells: Option<(StackSlot, u32)>,
}

/// Flags of words of rows, cells and `Io`: whole, and there.
const WORDS: MemFlagsData = MemFlagsData::trusted();
/// Flags of payload bytes: there, at any address.
const BYTES: MemFlagsData = MemFlagsData::new().with_notrap();

impl<'f> Emit<'f> {
    /// Begins a function: its entry, its exits, and the head of its loop. `body` is called at the
    /// beginning of each row; what it writes must end in a jump to `next`. The words of the `Io` in
    /// `keep` are carried from row to row in the variables `kept[3..]`.
    pub(super) fn function(
        mut b: FunctionBuilder<'f>,
        module: &'f mut JITModule,
        keep: &[i32],
        body: impl FnOnce(&mut Self) -> Result<(), KernelError>,
    ) -> Result<Context, KernelError> {
        let entry = b.create_block();
        b.append_block_params_for_function_params(entry);
        b.switch_to_block(entry);
        let io = b.block_params(entry)[0];
        let fields = [at::NEXT, at::OUT, at::ROWS].into_iter().chain(keep.iter().copied());
        let kept: Vec<_> = fields.map(|field| (b.declare_var(I64), field)).collect();
        let (row, out, rows) = (kept[0].0, kept[1].0, kept[2].0);
        let [head, inner, next, bail, done] = std::array::from_fn(|_| b.create_block());
        let mut e = Self {
            b,
            module,
            context: Context::default(),
            io,
            row,
            out,
            rows,
            kept,
            next,
            bail,
            failed: None,
            shims: Vec::new(),
            cells: None,
        };
        let exit = e.b.append_block_param(done, I64);
        let count = e.load(io, at::COUNT);
        for (variable, field) in e.kept.clone() {
            let value = e.load(io, field);
            e.b.def_var(variable, value);
        }
        e.b.ins().jump(head, &[]);

        e.b.switch_to_block(head);
        let at_row = e.b.use_var(row);
        let more = e.b.ins().icmp(IntCC::UnsignedLessThan, at_row, count);
        let finished = e.word(Exit::Done.number());
        e.b.ins().brif(more, inner, &[], done, &[BlockArg::Value(finished)]);

        e.b.switch_to_block(inner);
        body(&mut e)?;

        e.b.switch_to_block(next);
        let at_row = e.b.use_var(row);
        let following = e.b.ins().iadd_imm_s(at_row, 1);
        e.b.def_var(row, following);
        e.b.ins().jump(head, &[]);

        e.b.switch_to_block(bail);
        e.b.set_cold_block(bail);
        let left = e.word(Exit::Row.number());
        e.b.ins().jump(done, &[BlockArg::Value(left)]);

        e.b.switch_to_block(done);
        e.give_back();
        let number = e.b.ins().ireduce(I32, exit);
        e.b.ins().return_(&[number]);
        e.b.seal_all_blocks();
        let Self { b, module, context, .. } = e;
        b.finalize(module.target_config());
        Ok(context)
    }

    /// Writes what is kept in registers back into the `Io`.
    fn give_back(&mut self) {
        for (variable, field) in self.kept.clone() {
            let value = self.b.use_var(variable);
            self.store(value, self.io, field);
        }
    }

    // --- constants and memory ---

    /// A constant word.
    pub(super) fn word(&mut self, value: i64) -> Value {
        self.b.ins().iconst(I64, value)
    }

    /// A constant I8.
    pub(super) fn bit(&mut self, value: bool) -> Value {
        self.b.ins().iconst(I8, i64::from(value))
    }

    /// A word in a row, a cell or the `Io`.
    pub(super) fn load(&mut self, from: Value, offset: i32) -> Value {
        self.b.ins().load(I64, WORDS, from, offset)
    }

    /// Writes a word there.
    pub(super) fn store(&mut self, value: Value, to: Value, offset: i32) {
        self.b.ins().store(WORDS, value, to, offset);
    }

    /// An unsigned 32-bit number of an array.
    pub(super) fn load_u32(&mut self, from: Value, offset: i32) -> Value {
        self.b.ins().uload32(WORDS, from, offset)
    }

    /// Writes the low 32 bits.
    pub(super) fn store_u32(&mut self, value: Value, to: Value, offset: i32) {
        self.b.ins().istore32(WORDS, value, to, offset);
    }

    /// Eight bytes of a payload.
    pub(super) fn load_bytes(&mut self, from: Value, offset: i32) -> Value {
        self.b.ins().load(I64, BYTES, from, offset)
    }

    /// Four bytes of a payload, as an unsigned number.
    pub(super) fn load_4_bytes(&mut self, from: Value) -> Value {
        self.b.ins().uload32(BYTES, from, 0)
    }

    /// One byte of a payload.
    pub(super) fn load_byte(&mut self, from: Value, offset: i32) -> Value {
        self.b.ins().uload8(I64, BYTES, from, offset)
    }

    /// Writes eight bytes of a payload.
    pub(super) fn store_bytes(&mut self, value: Value, to: Value) {
        self.b.ins().store(BYTES, value, to, 0);
    }

    // --- branches ---

    /// A new block, and this one goes on in it where the condition holds; else at `otherwise`.
    pub(super) fn go_on_if(&mut self, condition: Value, otherwise: Block) {
        let on = self.b.create_block();
        self.b.ins().brif(condition, on, &[], otherwise, &[]);
        self.b.switch_to_block(on);
    }

    /// Leaves the row to the interpreter unless the condition holds.
    pub(super) fn demand(&mut self, condition: Value) {
        self.go_on_if(condition, self.bail);
    }

    /// Leaves the row to the interpreter.
    pub(super) fn give_up(&mut self) {
        self.b.ins().jump(self.bail, &[]);
        let unreachable = self.b.create_block();
        self.b.switch_to_block(unreachable);
    }

    /// Leaves the row to the interpreter where this I8 is not 0, at the next `check`.
    pub(super) fn fail_if(&mut self, condition: Value) {
        self.failed = Some(match self.failed {
            None => condition,
            Some(before) => self.b.ins().bor(before, condition),
        });
    }

    /// Leaves the row to the interpreter if anything has failed so far.
    pub(super) fn check(&mut self) {
        if let Some(failed) = self.failed.take() {
            let on = self.b.create_block();
            self.b.ins().brif(failed, self.bail, &[], on, &[]);
            self.b.switch_to_block(on);
        }
    }

    /// Stops before this row: it needs so many bytes of room.
    pub(super) fn demand_room(&mut self, bytes: Value) {
        let out = self.b.use_var(self.out);
        let end = self.load(self.io, at::OUT_END);
        let room = self.b.ins().isub(end, out);
        let fits = self.b.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, room, bytes);
        let short = self.b.create_block();
        self.b.set_cold_block(short);
        self.go_on_if(fits, short);
        let on = self.b.current_block().expect("a block is open");
        self.b.switch_to_block(short);
        self.store(bytes, self.io, at::NEED);
        self.give_back();
        let exit = self.b.ins().iconst(I32, Exit::Room.number());
        self.b.ins().return_(&[exit]);
        self.b.switch_to_block(on);
    }

    // --- NULL ---

    /// Whether a value is NULL, as I8.
    pub(super) fn null_bit(&mut self, null: Null) -> Value {
        match null {
            Null::Never => self.bit(false),
            Null::Always => self.bit(true),
            Null::When(bit) => bit,
        }
    }

    /// NULL where either is.
    pub(super) fn either_null(&mut self, a: Null, b: Null) -> Null {
        match (a, b) {
            (Null::Always, _) | (_, Null::Always) => Null::Always,
            (Null::Never, other) | (other, Null::Never) => other,
            (Null::When(a), Null::When(b)) => Null::When(self.b.ins().bor(a, b)),
        }
    }

    /// This I8, 0 where `null` holds.
    pub(super) fn unless_null(&mut self, bit: Value, null: Null) -> Value {
        match null {
            Null::Never => bit,
            Null::Always => self.bit(false),
            Null::When(null) => self.b.ins().band_not(bit, null),
        }
    }

    /// The same bit, inverted.
    pub(super) fn not(&mut self, bit: Value) -> Value {
        self.b.ins().bxor_imm_s(bit, 1)
    }

    /// NULL.
    pub(super) fn null(&mut self) -> Cell {
        let zero = self.word(0);
        Cell { null: Null::Always, low: zero, high: zero }
    }

    /// A BOOLEAN of an I8.
    pub(super) fn boolean(&mut self, bit: Value, null: Null) -> Cell {
        let low = self.b.ins().uextend(I64, bit);
        Cell { null, low, high: low }
    }

    /// Whether a BOOLEAN is TRUE, as I8.
    pub(super) fn is_true(&mut self, cell: Cell) -> Value {
        let bit = self.b.ins().icmp_imm_s(IntCC::NotEqual, cell.low, 0);
        self.unless_null(bit, cell.null)
    }

    // --- variables ---

    /// A variable that begins as NULL.
    pub(super) fn declare_null(&mut self) -> CellVar {
        let var = CellVar {
            null: self.b.declare_var(I8),
            low: self.b.declare_var(I64),
            high: self.b.declare_var(I64),
        };
        let null = self.null();
        self.set(var, null);
        var
    }

    /// Sets it.
    pub(super) fn set(&mut self, var: CellVar, cell: Cell) {
        let null = self.null_bit(cell.null);
        self.b.def_var(var.null, null);
        self.b.def_var(var.low, cell.low);
        self.b.def_var(var.high, cell.high);
    }

    /// Its value here.
    pub(super) fn get(&mut self, var: CellVar) -> Cell {
        let null = Null::When(self.b.use_var(var.null));
        Cell { null, low: self.b.use_var(var.low), high: self.b.use_var(var.high) }
    }

    // --- calls ---

    /// Calls a shim; gives its result, if it has one.
    pub(super) fn call(&mut self, shim: Shim, args: &[Value]) -> Value {
        let function = self.import(shim);
        let call = self.b.ins().call(function, args);
        let results = self.b.inst_results(call);
        results.first().copied().unwrap_or(args[0])
    }

    fn import(&mut self, shim: Shim) -> FuncRef {
        if let Some((_, function)) = self.shims.iter().find(|(known, _)| *known == shim) {
            return *function;
        }
        let mut signature = self.module.make_signature();
        signature.params.extend((0..shim.params()).map(|_| AbiParam::new(I64)));
        signature.returns.extend((0..shim.results()).map(|_| AbiParam::new(I64)));
        let id = self
            .module
            .declare_function(shim.name(), Linkage::Import, &signature)
            .expect("a shim is declared alike each time");
        let function = self.module.declare_func_in_func(id, self.b.func);
        self.shims.push((shim, function));
        function
    }

    /// The function's context, for shims that want it.
    pub(super) fn context(&mut self) -> Value {
        self.load(self.io, at::CONTEXT)
    }

    /// Memory on the stack for so many cells, shared by all calls of the function.
    pub(super) fn cells(&mut self, count: usize) -> StackSlot {
        let bytes = (count * size_of::<RawCell>()) as u32;
        match self.cells {
            Some((slot, size)) if size >= bytes => slot,
            Some(_) | None => {
                let slot = self.slot(bytes);
                self.cells = Some((slot, bytes));
                slot
            }
        }
    }

    /// Memory on the stack.
    pub(super) fn slot(&mut self, bytes: u32) -> StackSlot {
        let data = StackSlotData::new(StackSlotKind::ExplicitSlot, bytes, 3);
        self.b.create_sized_stack_slot(data)
    }

    /// The address of memory on the stack.
    pub(super) fn slot_address(&mut self, slot: StackSlot) -> Value {
        self.b.ins().stack_addr(I64, slot, 0)
    }
}
