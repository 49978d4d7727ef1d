//! What generated code calls: copies, text checks, and every operation that is not spelled out in
//! machine code. Each takes plain words, says by its result whether the row is to be left to the
//! interpreter, and lets no panic out.
//!
//! Pointers come from generated code: to parts of the input that it found within bounds, to
//! constants and results that live as long as the call, and to room that it has.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::slice;

use bumpalo::Bump;
use flow_stdlib::host::{HostArg, HostOut, HostResult};
use flow_stdlib::interp::Single;
use flow_stdlib::interp::decode::{FieldReader, HeadersReader, Left};
use flow_stdlib::interp::encode::FieldWriter;

/// Declares the shims: their names in CLIF, and how many words they take and give.
macro_rules! shims {
    ($(
        $(#[$doc:meta])*
        $variant:ident = $function:ident($params:literal) -> $results:literal;
    )*) => {
        /// A function that generated code calls.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(super) enum Shim {
            $($(#[$doc])* $variant,)*
        }

        impl Shim {
            /// Its name in CLIF.
            pub(super) fn name(self) -> &'static str {
                match self { $(Shim::$variant => stringify!($function),)* }
            }

            /// How many words it takes.
            pub(super) fn params(self) -> usize {
                match self { $(Shim::$variant => $params,)* }
            }

            /// How many words it gives: none or one.
            pub(super) fn results(self) -> usize {
                match self { $(Shim::$variant => $results,)* }
            }
        }

        /// All of them with their addresses.
        pub(super) fn all() -> impl Iterator<Item = (&'static str, *const u8)> {
            [$((stringify!($function), $function as *const u8),)*].into_iter()
        }
    };
}

shims! {
    /// (to, from, bytes): copies bytes and pads them with zeros to a whole word.
    CopyPadded = copy_padded(3) -> 0;
    /// The same; gives whether they are UTF-8.
    CopyText = copy_text(3) -> 1;
    /// (to, from, bytes): copies bytes.
    CopyBytes = copy_bytes(3) -> 0;
    /// (from, bytes): whether they are UTF-8.
    IsText = is_text(2) -> 1;
    /// (a, bytes, b, bytes): negative, 0 or positive, as the bytes compare.
    CompareBytes = compare_bytes(4) -> 1;
    /// (from, bytes, value): reads a varint of any length into `value`; gives its bytes, or 0.
    Varint = varint(3) -> 1;
    /// (context, number, operands, result): computes an instruction; gives whether that worked.
    Instruction = instruction(4) -> 1;
    /// (context, number, input, result): reads a datum; gives whether that worked.
    Datum = datum(4) -> 1;
    /// (context, number, value and result): writes a value; gives whether that worked.
    Encode = encode(3) -> 1;
    /// (context, from, bytes, result): makes a MAP of headers; gives whether that worked.
    Headers = headers(4) -> 1;
    /// (to, from, bytes): writes a text as a JSON string; gives its bytes, at most six times as
    /// many and two.
    PutJsonString = put_json_string(3) -> 1;
    /// (to, number): writes a signed number in decimal; gives its bytes, at most 20.
    PutDecimal = put_decimal(2) -> 1;
    /// (to, number): writes a number as a varint; gives its bytes.
    PutVarint = put_varint(2) -> 1;
    /// (a, b): the remainder of floats, as bits.
    FloatRemainder = float_remainder(2) -> 1;
}

/// A value in memory, as shims take and give it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RawCell {
    /// Whether it is NULL.
    pub(super) null: u64,
    /// One-word values, low words, or the address of a variable value.
    pub(super) low: u64,
    /// High words, or the bytes of a variable value.
    pub(super) high: u64,
}

/// How a value lies in a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CellKind {
    /// One word.
    Word,
    /// Two words.
    Wide,
    /// Bytes.
    Bytes,
    /// Words.
    Container,
}

/// An instruction that is not spelled out in machine code.
#[derive(Debug)]
pub(super) struct Outlined {
    /// What computes it.
    pub(super) single: Single,
    /// How its operands lie.
    pub(super) operands: Vec<CellKind>,
}

/// A value that the interpreter writes.
#[derive(Debug)]
pub(super) struct Writer {
    /// What writes it.
    pub(super) writer: FieldWriter,
    /// How it lies.
    pub(super) kind: CellKind,
}

/// What shims keep for one compiled function.
#[derive(Debug, Default)]
pub(super) struct Context {
    /// Instructions by number.
    pub(super) instructions: Vec<Outlined>,
    /// Data that are read by the interpreter, by number.
    pub(super) fields: Vec<FieldReader>,
    /// Values that are written by the interpreter, by number.
    pub(super) writers: Vec<Writer>,
    headers: HeadersReader,
    /// Bytes that code refers to by their addresses.
    pub(super) constants: Vec<Box<[u64]>>,
    /// Variable results of this call.
    arena: Bump,
    bytes: Vec<u8>,
    words: Vec<u64>,
}

impl Context {
    /// Forgets the results of the last call.
    pub(super) fn reset(&mut self) {
        self.arena.reset();
    }

    /// Keeps bytes for as long as the code lives; gives their address.
    pub(super) fn constant(&mut self, bytes: &[u8]) -> i64 {
        let mut words = vec![0; bytes.len().div_ceil(8)].into_boxed_slice();
        bytemuck::cast_slice_mut::<u64, u8>(&mut words)[..bytes.len()].copy_from_slice(bytes);
        let address = words.as_ptr() as i64;
        self.constants.push(words);
        address
    }

    /// Puts what was computed into a cell.
    fn give(&mut self, result: HostResult) -> RawCell {
        let variable = |arena: &Bump, bytes: &[u8]| {
            let words = arena.alloc_slice_fill_copy(bytes.len().div_ceil(8), 0u64);
            bytemuck::cast_slice_mut::<u64, u8>(words)[..bytes.len()].copy_from_slice(bytes);
            RawCell { null: 0, low: words.as_ptr() as u64, high: bytes.len() as u64 }
        };
        match result {
            HostResult::Null => RawCell { null: 1, ..RawCell::default() },
            HostResult::Word(low) => RawCell { low, ..RawCell::default() },
            HostResult::Wide([low, high]) => RawCell { null: 0, low, high },
            HostResult::Bytes(start) => variable(&self.arena, &self.bytes[start..]),
            HostResult::Container(start) => {
                variable(&self.arena, bytemuck::cast_slice(&self.words[start..]))
            }
        }
    }
}

#[expect(unsafe_code, reason = "bytes that generated code names")]
unsafe fn bytes<'a>(from: *const u8, len: u64) -> &'a [u8] {
    match len {
        0 => &[],
        // SAFETY: the caller says that so many bytes can be read there.
        len => unsafe { slice::from_raw_parts(from, len as usize) },
    }
}

/// Copies bytes, and pads them with zeros to a whole word.
#[inline(always)]
#[expect(unsafe_code, reason = "writes where generated code has room")]
unsafe fn copy_words(to: *mut u64, from: *const u8, len: u64) {
    // SAFETY: code calls this with bytes of the input, and has room for them in whole words.
    let (bytes, out) =
        unsafe { (bytes(from, len), slice::from_raw_parts_mut(to, (len as usize).div_ceil(8))) };
    let Some(last) = out.last_mut() else { return };
    *last = 0;
    bytemuck::cast_slice_mut(out)[..bytes.len()].copy_from_slice(bytes);
}

#[expect(unsafe_code, reason = "called by generated code")]
unsafe extern "C" fn copy_padded(to: *mut u64, from: *const u8, len: u64) {
    // SAFETY: see `copy_words`.
    unsafe { copy_words(to, from, len) };
}

#[expect(unsafe_code, reason = "called by generated code")]
unsafe extern "C" fn copy_bytes(to: *mut u8, from: *const u8, len: u64) {
    if len > 0 {
        // SAFETY: code calls this with a variable value, and has room for it; results never overlap
        // what they are made of.
        unsafe { std::ptr::copy_nonoverlapping(from, to, len as usize) };
    }
}

#[expect(unsafe_code, reason = "called by generated code")]
unsafe extern "C" fn put_varint(to: *mut u8, number: u64) -> u64 {
    let (mut rest, mut len) = (number, 0);
    loop {
        let more = rest >= 0x80;
        // SAFETY: code has room for the ten bytes that a varint takes at most.
        unsafe { *to.add(len) = if more { rest as u8 | 0x80 } else { rest as u8 } };
        (rest, len) = (rest >> 7, len + 1);
        if !more {
            return len as u64;
        }
    }
}

#[expect(unsafe_code, reason = "called by generated code")]
unsafe extern "C" fn put_json_string(to: *mut u8, from: *const u8, len: u64) -> u64 {
    // SAFETY: code calls this with a variable value.
    let text = unsafe { bytes(from, len) };
    let special = |b: &u8| matches!(b, b'"' | b'\\' | 0..=0x1f);
    if !text.iter().fold(false, |any, b| any | special(b)) {
        // SAFETY: code has room for six bytes a byte of the text, and two more.
        unsafe {
            *to = b'"';
            copy_bytes(to.add(1), from, len);
            *to.add(text.len() + 1) = b'"';
        }
        return len + 2;
    }
    let mut out = Vec::with_capacity(text.len() + 16);
    flow_stdlib::interp::encode::write_string(text, &mut out);
    // SAFETY: an escape has at most six bytes, so that what was written is within the room.
    unsafe { copy_bytes(to, out.as_ptr(), out.len() as u64) };
    out.len() as u64
}

#[expect(unsafe_code, reason = "called by generated code")]
unsafe extern "C" fn put_decimal(to: *mut u8, number: i64) -> u64 {
    let mut buffer = itoa::Buffer::new();
    let text = buffer.format(number);
    // SAFETY: code has room for the 20 bytes that a number takes at most.
    unsafe { copy_bytes(to, text.as_ptr(), text.len() as u64) };
    text.len() as u64
}

#[expect(unsafe_code, reason = "called by generated code")]
unsafe extern "C" fn encode(context: *mut c_void, number: u64, cell: *mut RawCell) -> u64 {
    // SAFETY: as for `instruction`.
    let (context, cell) = unsafe { (&mut *context.cast::<Context>(), &mut *cell) };
    let done = catch_unwind(AssertUnwindSafe(|| {
        let Context { writers, bytes, .. } = &mut *context;
        let Writer { writer, kind } = &writers[number as usize];
        bytes.clear();
        // SAFETY: the cell holds a value of this kind.
        writer.write(unsafe { argument(cell, *kind) }, bytes)
    }));
    match done {
        Ok(true) => {
            *cell = context.give(HostResult::Bytes(0));
            1
        }
        Ok(false) | Err(_) => 0,
    }
}

#[expect(unsafe_code, reason = "called by generated code")]
unsafe extern "C" fn copy_text(to: *mut u64, from: *const u8, len: u64) -> u64 {
    // SAFETY: see `copy_words`; the same bytes are read again.
    unsafe {
        copy_words(to, from, len);
        is_text(from, len)
    }
}

#[expect(unsafe_code, reason = "called by generated code")]
unsafe extern "C" fn is_text(from: *const u8, len: u64) -> u64 {
    // SAFETY: code calls this with bytes of the input.
    let bytes = unsafe { bytes(from, len) };
    u64::from(bytes.is_ascii() || std::str::from_utf8(bytes).is_ok())
}

#[expect(unsafe_code, reason = "called by generated code")]
unsafe extern "C" fn compare_bytes(a: *const u8, a_len: u64, b: *const u8, b_len: u64) -> i64 {
    // SAFETY: both are variable values: of the input, constants, or results of this call.
    let (a, b) = unsafe { (bytes(a, a_len), bytes(b, b_len)) };
    a.cmp(b) as i64
}

#[expect(unsafe_code, reason = "called by generated code")]
unsafe extern "C" fn varint(from: *const u8, len: u64, value: *mut i64) -> u64 {
    // SAFETY: code calls this with the rest of the payload, and a slot of its own stack.
    let (bytes, value) = unsafe { (bytes(from, len), &mut *value) };
    match flow_stdlib::interp::decode::varint(bytes) {
        Some((read, len)) => {
            *value = read;
            len as u64
        }
        None => 0,
    }
}

extern "C" fn float_remainder(a: u64, b: u64) -> u64 {
    (f64::from_bits(a) % f64::from_bits(b)).to_bits()
}

#[expect(unsafe_code, reason = "called by generated code")]
unsafe extern "C" fn instruction(
    context: *mut c_void,
    number: u64,
    operands: *const RawCell,
    result: *mut RawCell,
) -> u64 {
    // SAFETY: `context` is the one that `Code::call` lends for the call, and nothing else uses it
    // meanwhile; the other two are slots of the code's own stack, with a cell an operand.
    let (context, operands, result) = unsafe {
        let context = &mut *context.cast::<Context>();
        let count = context.instructions[number as usize].operands.len();
        (context, slice::from_raw_parts(operands, count), &mut *result)
    };
    let done = catch_unwind(AssertUnwindSafe(|| {
        let Context { instructions, bytes: out_bytes, words: out_words, .. } = &mut *context;
        let Outlined { single, operands: kinds } = &mut instructions[number as usize];
        let args = operands.iter().zip(&*kinds).map(|(cell, kind)| {
            // SAFETY: the cell holds a value of this kind, see above.
            unsafe { argument(cell, *kind) }
        });
        let args: smallvec::SmallVec<[HostArg<'_>; 8]> = args.collect();
        out_bytes.clear();
        out_words.clear();
        let mut out = HostOut::new(out_bytes, out_words);
        single.call(&args, &mut out).ok().map(|()| out.result())
    }));
    match done {
        Ok(Some(given)) => {
            *result = context.give(given);
            1
        }
        Ok(None) | Err(_) => 0,
    }
}

/// A value in a cell.
#[expect(unsafe_code, reason = "an address becomes a slice")]
unsafe fn argument<'a>(cell: &RawCell, kind: CellKind) -> HostArg<'a> {
    if cell.null != 0 {
        return HostArg::Null;
    }
    match kind {
        CellKind::Word => HostArg::Word(cell.low),
        CellKind::Wide => HostArg::Wide([cell.low, cell.high]),
        // SAFETY: variable values are of the input, constants, or results of this call.
        CellKind::Bytes => HostArg::Bytes(unsafe { bytes(cell.low as *const u8, cell.high) }),
        CellKind::Container if cell.high < 8 => HostArg::Container(&[]),
        CellKind::Container => HostArg::Container(
            // SAFETY: as above; containers begin at whole words wherever they lie.
            unsafe { slice::from_raw_parts(cell.low as *const u64, cell.high as usize / 8) },
        ),
    }
}

/// What is left of a payload, as code and shim share it.
#[repr(C)]
#[derive(Debug)]
pub(super) struct RawInput {
    /// Where the rest begins, and where the payload ends.
    pub(super) cursor: *const u8,
    pub(super) end: *const u8,
    /// Items and words that the payload may still have, see `Left`.
    pub(super) items: u64,
    pub(super) words: u64,
}

#[expect(unsafe_code, reason = "called by generated code")]
unsafe extern "C" fn datum(
    context: *mut c_void,
    number: u64,
    input: *mut RawInput,
    result: *mut RawCell,
) -> u64 {
    // SAFETY: as for `instruction`; `input` says where the rest of the payload is.
    let (context, input, result, rest) = unsafe {
        let input = &mut *input;
        let rest = bytes(input.cursor, input.end as u64 - input.cursor as u64);
        (&mut *context.cast::<Context>(), input, &mut *result, rest)
    };
    let done = catch_unwind(AssertUnwindSafe(|| {
        let Context { fields, bytes: out_bytes, words: out_words, .. } = &mut *context;
        let mut left = Left { items: input.items as usize, words: input.words as usize };
        out_bytes.clear();
        out_words.clear();
        let mut out = HostOut::new(out_bytes, out_words);
        let taken = fields[number as usize].read(rest, &mut left, &mut out)?;
        Some((taken, left, out.result()))
    }));
    match done {
        Ok(Some((taken, left, given))) => {
            input.cursor = input.cursor.wrapping_add(taken);
            (input.items, input.words) = (left.items as u64, left.words as u64);
            *result = context.give(given);
            1
        }
        Ok(None) | Err(_) => 0,
    }
}

#[expect(unsafe_code, reason = "called by generated code")]
unsafe extern "C" fn headers(
    context: *mut c_void,
    from: *const u8,
    len: u64,
    result: *mut RawCell,
) -> u64 {
    // SAFETY: as for `instruction`; the bytes are a record's headers.
    let (context, result, headers) = unsafe {
        (&mut *context.cast::<Context>(), &mut *result, flow_ir::kernel::Headers(bytes(from, len)))
    };
    let done = catch_unwind(AssertUnwindSafe(|| {
        let Context { headers: reader, words, .. } = &mut *context;
        words.clear();
        words.extend_from_slice(reader.read(headers));
    }));
    match done {
        Ok(()) => {
            *result = context.give(HostResult::Container(0));
            1
        }
        Err(_) => 0,
    }
}
