//! Owning machine code and calling it: what generated code and its caller share, and the few places
//! where memory is handed over. What holds for every call:
//!
//! * the pointers in `Io` are to slices that outlive the call, and the code reads inputs only
//!   within the lengths given and writes outputs only within the room given;
//! * a row or record that is not done whole leaves no trace: the code stops before it and says why;
//! * nothing unwinds through generated frames: what is called from them catches panics (`shims`).

use std::sync::{Arc, Mutex};

use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_codegen::settings::{self, Configurable};
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{FuncId, default_libcall_names};
use flow_ir::kernel::{Blocks, KernelError, Marks, PayloadArena, Payloads};
use flow_ir::row::{BatchBuilder, RowBatch};

use super::io::{Exit, Io, RawRecords, Reads};
use super::shims::{self, Context};
use super::work::Making;

/// Where code is made: this processor, with all that it can.
pub(super) fn host_isa(verify: bool) -> Result<OwnedTargetIsa, KernelError> {
    let mut flags = settings::builder();
    let set = [
        ("opt_level", "speed"),
        ("is_pic", "false"),
        ("use_colocated_libcalls", "false"),
        ("enable_verifier", if verify { "true" } else { "false" }),
    ];
    for (name, value) in set {
        flags.set(name, value).map_err(|e| KernelError(e.to_string()))?;
    }
    let builder = cranelift_native::builder().map_err(|e| KernelError(e.to_string()))?;
    builder.finish(settings::Flags::new(flags)).map_err(|e| KernelError(e.to_string()))
}

/// An empty module that knows the shims.
pub(super) fn module(isa: OwnedTargetIsa) -> JITModule {
    let mut builder = JITBuilder::with_isa(isa, default_libcall_names());
    builder.symbols(shims::all().map(|(name, address)| (name.to_string(), address)));
    JITModule::new(builder)
}

/// A function of machine code.
pub(super) type Entry = extern "C" fn(*mut Io) -> u32;

/// One compiled function and the memory that it is in. Code changes nothing but what it is called
/// with, so that threads may run it at the same time.
pub(super) struct Machine {
    /// Holds the memory that `entry` is in; `None` only while it is dropped.
    module: Mutex<Option<JITModule>>,
    entry: Entry,
    /// What the code refers to by addresses.
    _constants: Vec<Box<[u64]>>,
}

impl Machine {
    /// Finishes a module of which `entry` is the function to call.
    #[expect(unsafe_code, reason = "an address becomes a function")]
    pub(super) fn new(
        mut module: JITModule,
        entry: FuncId,
        constants: Vec<Box<[u64]>>,
    ) -> Result<Self, KernelError> {
        module.finalize_definitions().map_err(|e| KernelError(e.to_string()))?;
        let address = module.get_finalized_function(entry);
        // SAFETY: `entry` was declared with the signature (pointer) -> i32 in the system's calling
        // convention by `Compiler::write`, and its memory lives as long as `module`.
        let entry = unsafe { std::mem::transmute::<*const u8, Entry>(address) };
        Ok(Self { module: Mutex::new(Some(module)), entry, _constants: constants })
    }

    /// The function, for `Code::new` with what holds this.
    pub(super) fn entry(&self) -> Entry {
        self.entry
    }
}

impl Drop for Machine {
    #[expect(unsafe_code, reason = "the memory of code is freed by hand")]
    fn drop(&mut self) {
        let module = self.module.get_mut().map_or(None, Option::take);
        if let Some(module) = module {
            // SAFETY: whoever calls `entry` holds the machine (`Code`), so it runs nowhere now.
            unsafe { module.free_memory() };
        }
    }
}

/// One worker's use of a function.
pub(super) struct Code {
    /// Holds the machine that `entry` is of.
    _making: Arc<Making>,
    entry: Entry,
    context: Context,
    origin: Vec<u32>,
    /// The records that were taken last.
    records: RawRecords,
    ends: Vec<u32>,
    out: Vec<u8>,
}

impl Code {
    /// Calls `entry`, which is of the machine made there, with what its shims keep.
    pub(super) fn new(making: Arc<Making>, entry: Entry, context: Context) -> Self {
        let (origin, records) = (Vec::new(), RawRecords::default());
        let (ends, out) = (Vec::new(), Vec::new());
        Self { _making: making, entry, context, origin, records, ends, out }
    }

    fn call(&mut self, io: &mut Io) -> Exit {
        self.context.reset();
        io.context = (&raw mut self.context).cast();
        match (self.entry)(io) {
            0 => Exit::Done,
            2 => Exit::Room,
            _ => Exit::Row,
        }
    }
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Code").finish_non_exhaustive()
    }
}

/// The weight of the rows of a batch without weights.
static ONCE: i64 = 1;

/// Bytes of room for payloads, at least.
const OUT_BYTES_MIN: usize = 64 << 10;

impl Code {
    /// Turns the rows from number `from` on into rows. Gives why it stopped, and at which row. The
    /// batch is of the layout that the code was made for, and so is the builder.
    pub(super) fn rows_to_rows(
        &mut self,
        rows: &RowBatch,
        from: usize,
        clock: i64,
        out: &mut BatchBuilder,
    ) -> (Exit, usize) {
        let mut io = Io { clock, next: from as u64, ..Io::over_rows(rows) };
        let mut need = 0;
        loop {
            let left = rows.len() - io.next as usize;
            let words = rows.words().len() - rows.starts()[io.next as usize] as usize;
            let words = words + left * out.layout().fixed_words() + need;
            let before = out.len();
            let exit = self.write_rows(&mut io, words, left, out);
            if rows.weights().is_some() {
                let made = &self.origin[..out.len() - before];
                out.weigh_last(made.iter().map(|&row| rows.weight(row as usize)));
            }
            match exit {
                Exit::Room => need = (io.need as usize).div_ceil(8),
                exit => return (exit, io.next as usize),
            }
        }
    }

    /// Reads the records that were taken last, from number `from` on, into rows, whose records'
    /// positions in the batch, as `select` has them, are appended to `origin`. Gives why it
    /// stopped, and at which record.
    pub(super) fn records_to_rows(
        &mut self,
        payloads: &Payloads<'_>,
        select: &[u32],
        from: usize,
        clock: i64,
        marks: &mut Marks,
        out: &mut BatchBuilder,
        origin: &mut Vec<u32>,
    ) -> (Exit, usize) {
        let mut need = 0;
        let mut io = Io { next: from as u64, ..Io::over_records(&self.records, payloads) };
        (io.clock, io.watermark, io.event_time) = (clock, marks.watermark, marks.event_time);
        io.ahead = marks.ahead;
        loop {
            let left = self.records.len() - io.next as usize;
            // Texts are padded to whole words.
            let slots = out.layout().fixed_words() + out.layout().len();
            let words = self.records.bytes.div_ceil(8) + left * slots + need;
            let before = out.len();
            let exit = self.write_rows(&mut io, words, left, out);
            let made = &self.origin[..out.len() - before];
            origin.extend(made.iter().map(|&record| select[record as usize]));
            (marks.watermark, marks.event_time) = (io.watermark, io.event_time);
            marks.ahead = io.ahead;
            match exit {
                Exit::Room => need = (io.need as usize).div_ceil(8),
                exit => return (exit, io.next as usize),
            }
        }
    }

    /// Writes the rows from number `from` on as payloads. Gives why it stopped, and at which row.
    pub(super) fn rows_to_bytes(
        &mut self,
        rows: &RowBatch,
        from: usize,
        out: &mut PayloadArena,
    ) -> (Exit, usize) {
        let mut io = Io { next: from as u64, ..Io::over_rows(rows) };
        self.ends.resize(self.ends.len().max(rows.len()), 0);
        loop {
            io.out = self.out.as_mut_ptr();
            io.out_end = io.out.wrapping_add(self.out.len());
            io.out_zero = io.out as u64;
            io.ends = self.ends.as_mut_ptr();
            io.rows = 0;
            let exit = self.call(&mut io);
            let written = io.out as usize - io.out_zero as usize;
            let base = out.bytes.len();
            out.bytes.extend_from_slice(&self.out[..written]);
            for end in &self.ends[..io.rows as usize] {
                out.ends.push(u32::try_from(base + *end as usize).expect("under 4 GiB"));
            }
            match exit {
                Exit::Room => {
                    let more = (io.need as usize).max(self.out.len() * 2).max(OUT_BYTES_MIN);
                    self.out.resize(more, 0);
                }
                exit => return (exit, io.next as usize),
            }
        }
    }

    /// Updates the blocks by the rows that are picked. Rows and blocks are of the layouts that the
    /// code was made for.
    pub(super) fn rows_to_blocks(
        &mut self,
        rows: &RowBatch,
        picks: &[u32],
        blocks: &mut Blocks<'_>,
    ) {
        let count = blocks.words.len() / blocks.layout.fixed_words();
        let within = |numbers: &[u32], count: usize| {
            numbers.iter().copied().max().is_none_or(|last| (last as usize) < count)
        };
        assert_eq!(picks.len(), blocks.places.len(), "a block a row");
        assert!(
            within(picks, rows.len()) && within(blocks.places, count),
            "rows and blocks are there"
        );
        let mut io = Io { count: picks.len() as u64, ..Io::over_rows(rows) };
        (io.picks, io.places) = (picks.as_ptr(), blocks.places.as_ptr());
        io.blocks = blocks.words.as_mut_ptr();
        (io.weights, io.weight_mask) = match rows.weights() {
            Some(weights) => (weights.as_ptr(), u64::MAX),
            None => (&raw const ONCE, 0),
        };
        let exit = self.call(&mut io);
        debug_assert_eq!(exit, Exit::Done, "no update fails");
    }

    /// Makes the records at these positions of a batch readable for code.
    pub(super) fn take_records(&mut self, from: &Payloads<'_>, select: &[u32], reads: Reads) {
        self.records.take(from, select, reads);
    }

    /// Calls the code with room for so many words and rows, and takes over what it wrote.
    #[expect(unsafe_code, reason = "takes over what generated code says it wrote")]
    fn write_rows(
        &mut self,
        io: &mut Io,
        words: usize,
        rows: usize,
        out: &mut BatchBuilder,
    ) -> Exit {
        let room = out.room(words, rows);
        self.origin.clear();
        self.origin.reserve(rows);
        io.out = room.words.cast();
        io.out_end = room.words.wrapping_add(room.words_len).cast();
        io.out_zero = (room.words as u64).wrapping_sub(room.first_word as u64 * 8);
        io.ends = room.ends;
        io.origin = self.origin.as_mut_ptr();
        io.rows = 0;
        let exit = self.call(io);
        let written = (io.out as usize - room.words as usize) / 8;
        let made = io.rows as usize;
        assert!(written <= words && made <= rows, "code stays within its room");
        // SAFETY: the code writes each row whole before it counts it, each with its end and its
        // origin, from the beginning of the room on; what it counted is within it (asserted).
        unsafe {
            out.take_over(written, made);
            self.origin.set_len(made);
        }
        exit
    }
}
