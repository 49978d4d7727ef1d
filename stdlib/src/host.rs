//! Host functions: safe Rust functions that scalar programs call by name, the same ones from the
//! interpreter and from native code. A call site owns a `HostCx`, which keeps what is costly to
//! prepare (a compiled pattern, a time zone) from row to row.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;

use flow_ir::kernel::ErrorCode;
use flow_ir::row::{ArrayRef, ContainerBuilder, MapRef};
use flow_ir::types::{DataType, Slot, Type};

use crate::builtin::{self, Meaning, NullRule};
use crate::scalar;

/// Prepared values that one call site keeps.
const CACHE_ENTRIES_MAX: usize = 8;
/// Bytes of a text or container that a function may make.
pub const RESULT_BYTES_MAX: usize = 64 << 20;

/// The body of a host function. It leaves `out` as it is for NULL.
pub type HostCall = fn(&mut HostCx, &[HostArg<'_>], &mut HostOut<'_>) -> Result<(), HostError>;

/// A host function.
#[derive(Clone, Copy)]
pub struct HostFn {
    /// The name by which programs call it.
    pub name: &'static str,
    /// Whether it is called with NULLs; if not, one makes the result NULL.
    pub nulls: NullRule,
    /// Whether equal arguments give equal results, so that one call may serve for two.
    pub pure: bool,
    /// The body.
    pub call: HostCall,
}

impl HostFn {
    /// A function that is not called with NULLs.
    pub const fn strict(name: &'static str, call: HostCall) -> Self {
        Self { name, nulls: NullRule::Strict, pure: true, call }
    }

    /// A function that looks at NULLs itself.
    pub const fn sees_nulls(name: &'static str, call: HostCall) -> Self {
        Self { name, nulls: NullRule::SeesNulls, pure: true, call }
    }

    /// A function that gives another result at each call.
    pub const fn impure(name: &'static str, call: HostCall) -> Self {
        Self { name, nulls: NullRule::Strict, pure: false, call }
    }
}

impl fmt::Debug for HostFn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "host {}", self.name)
    }
}

/// The meaning of an overload that is one strict host function.
pub const fn host(name: &'static str, call: HostCall) -> Meaning {
    Meaning::Host(HostFn::strict(name, call))
}

/// The meaning of an overload that is one host function which looks at NULLs itself.
pub const fn host_sees_nulls(name: &'static str, call: HostCall) -> Meaning {
    Meaning::Host(HostFn::sees_nulls(name, call))
}

/// The host function of this name.
pub fn lookup(name: &str) -> Option<&'static HostFn> {
    static BY_NAME: OnceLock<HashMap<&'static str, HostFn>> = OnceLock::new();
    BY_NAME.get_or_init(|| functions().map(|f| (f.name, f)).collect()).get(name)
}

/// All host functions: those that are the meaning of an overload, and those that expansions call.
pub fn functions() -> impl Iterator<Item = HostFn> {
    let of_builtins = builtin::all().flat_map(|b| b.overloads).filter_map(|s| match s.meaning {
        Meaning::Host(host) => Some(host),
        Meaning::Ops(_) | Meaning::Lazy(_) | Meaning::Lambda(_) => None,
    });
    of_builtins.chain(scalar::HELPERS.iter().flat_map(|list| list.iter()).copied())
}

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostError {
    /// What happened.
    pub code: ErrorCode,
    /// More to say.
    pub detail: Option<Box<str>>,
}

impl HostError {
    /// An argument outside the function's domain.
    pub fn bad_argument(detail: impl Into<String>) -> Self {
        Self { code: ErrorCode::BadArgument, detail: Some(detail.into().into()) }
    }

    /// A value without meaning in the type it is converted to.
    pub fn bad_cast(detail: impl Into<String>) -> Self {
        Self { code: ErrorCode::BadCast, detail: Some(detail.into().into()) }
    }

    /// A result that does not fit.
    pub fn overflow() -> Self {
        Self { code: ErrorCode::Overflow, detail: None }
    }
}

impl From<ErrorCode> for HostError {
    fn from(code: ErrorCode) -> Self {
        Self { code, detail: None }
    }
}

/// An argument, borrowed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HostArg<'a> {
    /// NULL; strict functions never see it.
    Null,
    /// A one-word value.
    Word(u64),
    /// A two-word value, low word first.
    Wide([u64; 2]),
    /// The bytes of a STRING, BYTES or JSON.
    Bytes(&'a [u8]),
    /// The words of a ROW, ARRAY or MAP.
    Container(&'a [u64]),
}

impl<'a> HostArg<'a> {
    /// Whether it is NULL.
    pub fn is_null(self) -> bool {
        matches!(self, HostArg::Null)
    }

    /// A signed integer, date or time; 0 if it is none.
    pub fn i64(self) -> i64 {
        match self {
            HostArg::Word(word) => word as i64,
            HostArg::Wide([low, _]) => low as i64,
            HostArg::Null | HostArg::Bytes(_) | HostArg::Container(_) => 0,
        }
    }

    /// A float; 0 if it is none.
    pub fn f64(self) -> f64 {
        match self {
            HostArg::Word(word) => f64::from_bits(word),
            HostArg::Null | HostArg::Wide(_) | HostArg::Bytes(_) | HostArg::Container(_) => 0.0,
        }
    }

    /// A BOOLEAN; FALSE if it is none.
    pub fn bool(self) -> bool {
        self.i64() != 0
    }

    /// The integer of a DECIMAL or UUID.
    pub fn i128(self) -> i128 {
        match self {
            HostArg::Word(word) => i128::from(word as i64),
            HostArg::Wide([low, high]) => (u128::from(low) | (u128::from(high) << 64)) as i128,
            HostArg::Null | HostArg::Bytes(_) | HostArg::Container(_) => 0,
        }
    }

    /// (months, microseconds) of an INTERVAL.
    pub fn interval(self) -> (i64, i64) {
        match self {
            HostArg::Wide([months, micros]) => (months as i64, micros as i64),
            HostArg::Null | HostArg::Word(_) | HostArg::Bytes(_) | HostArg::Container(_) => (0, 0),
        }
    }

    /// The bytes of a variable value; empty if it is none.
    pub fn bytes(self) -> &'a [u8] {
        match self {
            HostArg::Bytes(bytes) => bytes,
            HostArg::Null | HostArg::Word(_) | HostArg::Wide(_) | HostArg::Container(_) => &[],
        }
    }

    /// A text; empty if it is none.
    pub fn str(self) -> &'a str {
        std::str::from_utf8(self.bytes()).unwrap_or("")
    }

    /// The words of a container; empty if it is none.
    pub fn container(self) -> &'a [u64] {
        match self {
            HostArg::Container(words) => words,
            HostArg::Null | HostArg::Word(_) | HostArg::Wide(_) | HostArg::Bytes(_) => &[],
        }
    }

    /// The elements of an ARRAY of this type.
    pub fn array(self, ty: &Type) -> ArrayRef<'a> {
        let slot = match &ty.data {
            DataType::Array(item) => item.slot(),
            _ => Slot::Word,
        };
        ArrayRef::new(self.container(), slot)
    }

    /// The entries of a MAP of this type.
    pub fn map(self, ty: &Type) -> MapRef<'a> {
        let (key, value) = match &ty.data {
            DataType::Map(key, value) => (key.slot(), value.slot()),
            _ => (Slot::Word, Slot::Word),
        };
        MapRef::new(self.container(), key, value)
    }

    /// Element `index` (from 0) of an array of items of this type.
    pub fn element(array: ArrayRef<'a>, index: usize, item: &Type) -> HostArg<'a> {
        if array.is_null(index) {
            return HostArg::Null;
        }
        match item.slot() {
            Slot::Word => HostArg::Word(array.word(index)),
            Slot::Wide => HostArg::Wide(array.wide(index)),
            Slot::Var if item.data.is_container() => HostArg::Container(array.container(index)),
            Slot::Var => HostArg::Bytes(array.var(index)),
        }
    }

    /// Appends the value to a container.
    pub fn push_to(self, out: &mut ContainerBuilder, slot: Slot) {
        match self {
            HostArg::Null => out.push_null(slot),
            HostArg::Word(word) => out.push_word(word),
            HostArg::Wide(wide) => out.push_wide(wide),
            HostArg::Bytes(bytes) => out.push_bytes(bytes),
            HostArg::Container(words) => out.push_container(words),
        }
    }
}

/// What a function gave, apart from variable bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostResult {
    /// NULL.
    Null,
    /// A one-word value.
    Word(u64),
    /// A two-word value.
    Wide([u64; 2]),
    /// Bytes that were appended, from this position.
    Bytes(usize),
    /// Words that were appended, from this position.
    Container(usize),
}

/// Where a function puts its result: NULL until something is put.
#[derive(Debug)]
pub struct HostOut<'a> {
    result: HostResult,
    bytes: &'a mut Vec<u8>,
    words: &'a mut Vec<u64>,
    start: usize,
    word_start: usize,
}

impl<'a> HostOut<'a> {
    /// A place for one result; variable values are appended to these buffers.
    pub fn new(bytes: &'a mut Vec<u8>, words: &'a mut Vec<u64>) -> Self {
        let (start, word_start) = (bytes.len(), words.len());
        Self { result: HostResult::Null, bytes, words, start, word_start }
    }

    /// What was put.
    pub fn result(&self) -> HostResult {
        self.result
    }

    /// NULL after all: what was appended goes.
    pub fn null(&mut self) {
        self.bytes.truncate(self.start);
        self.words.truncate(self.word_start);
        self.result = HostResult::Null;
    }

    /// A one-word value.
    pub fn word(&mut self, value: u64) {
        self.result = HostResult::Word(value);
    }

    /// A signed integer, date or time.
    pub fn i64(&mut self, value: i64) {
        self.word(value as u64);
    }

    /// A BOOLEAN.
    pub fn bool(&mut self, value: bool) {
        self.word(u64::from(value));
    }

    /// A DOUBLE.
    pub fn f64(&mut self, value: f64) {
        self.word(value.to_bits());
    }

    /// A two-word value.
    pub fn wide(&mut self, value: [u64; 2]) {
        self.result = HostResult::Wide(value);
    }

    /// An INTERVAL.
    pub fn interval(&mut self, months: i64, micros: i64) {
        self.wide([months as u64, micros as u64]);
    }

    /// A DECIMAL or UUID that lies in this slot.
    pub fn i128(&mut self, value: i128, slot: Slot) {
        match slot {
            Slot::Word => self.i64(value as i64),
            Slot::Wide | Slot::Var => self.wide([value as u64, (value >> 64) as u64]),
        }
    }

    /// A STRING, BYTES or JSON.
    pub fn bytes(&mut self, value: &[u8]) {
        self.open().extend_from_slice(value);
    }

    /// A text.
    pub fn str(&mut self, value: &str) {
        self.bytes(value.as_bytes());
    }

    /// A variable value that is yet to be appended to this buffer, after what stands there.
    pub fn open(&mut self) -> &mut Vec<u8> {
        self.result = HostResult::Bytes(self.start);
        self.bytes
    }

    /// A text that is yet to be written, with `write!`.
    pub fn text(&mut self) -> TextOut<'_> {
        TextOut(self.open())
    }

    /// A container that is yet to be appended to this buffer.
    pub fn container(&mut self) -> &mut Vec<u64> {
        self.result = HostResult::Container(self.word_start);
        self.words
    }

    /// An argument, as it is.
    pub fn copy(&mut self, arg: HostArg<'_>) {
        match arg {
            HostArg::Null => self.null(),
            HostArg::Word(word) => self.word(word),
            HostArg::Wide(wide) => self.wide(wide),
            HostArg::Bytes(bytes) => self.bytes(bytes),
            HostArg::Container(words) => self.container().extend_from_slice(words),
        }
    }
}

/// Formats text into bytes.
#[derive(Debug)]
pub struct TextOut<'a>(pub &'a mut Vec<u8>);

impl fmt::Write for TextOut<'_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        self.0.extend_from_slice(s.as_bytes());
        Ok(())
    }
}

/// A text, and what a host function made of it.
type Prepared = (Box<[u8]>, Box<dyn Any + Send>);

/// What one call site keeps.
#[derive(Debug)]
pub struct HostCx {
    /// Types of the arguments.
    pub args: Vec<Type>,
    /// Type of the result.
    pub result: Type,
    /// Containers under construction, reused from row to row.
    pub items: ContainerBuilder,
    cache: Vec<Prepared>,
    next: usize,
}

impl HostCx {
    /// The context of a call with these types.
    pub fn new(args: Vec<Type>, result: Type) -> Self {
        Self { args, result, items: ContainerBuilder::default(), cache: Vec::new(), next: 0 }
    }

    /// What `prepare` makes of a text, remembered for the next rows.
    ///
    /// # Errors
    /// Those of `prepare`.
    pub fn cached<T: Any + Send>(
        &mut self,
        text: &[u8],
        prepare: impl FnOnce(&str) -> Result<T, HostError>,
    ) -> Result<&T, HostError> {
        let found = self.cache.iter().position(|(key, v)| **key == *text && v.is::<T>());
        let at = match found {
            Some(at) => at,
            None => {
                let value = prepare(std::str::from_utf8(text).unwrap_or(""))?;
                self.keep((text.into(), Box::new(value)))
            }
        };
        Ok(self.cache[at].1.downcast_ref::<T>().expect("the entry was made with this type"))
    }

    fn keep(&mut self, entry: Prepared) -> usize {
        if self.cache.len() < CACHE_ENTRIES_MAX {
            self.cache.push(entry);
            return self.cache.len() - 1;
        }
        self.next = (self.next + 1) % CACHE_ENTRIES_MAX;
        self.cache[self.next] = entry;
        self.next
    }
}

/// Refuses results that are too large.
///
/// # Errors
/// `BadArgument` over `RESULT_BYTES_MAX`.
pub fn check_size(bytes: usize) -> Result<(), HostError> {
    if bytes > RESULT_BYTES_MAX {
        return Err(HostError::bad_argument(format!(
            "the result would have {bytes} bytes, {RESULT_BYTES_MAX} at most"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = functions().map(|f| (f.name, f.call as usize)).collect();
        names.sort_unstable();
        names.dedup();
        let count = names.len();
        names.dedup_by_key(|(name, _)| *name);
        assert_eq!(names.len(), count, "one function a name");
        assert!(names.iter().all(|(name, _)| lookup(name).is_some()));
    }

    #[test]
    fn the_cache_prepares_once_and_stays_small() {
        let mut cx = HostCx::new(Vec::new(), Type::not_null(DataType::BigInt));
        let mut made = 0;
        for i in 0..100 {
            let text = (i % 2).to_string();
            let value = cx.cached(text.as_bytes(), |t| {
                made += 1;
                Ok(t.to_string())
            });
            assert_eq!(value.expect("prepared"), &text);
        }
        assert_eq!(made, 2);
        for i in 0..100 {
            let text = i.to_string();
            assert!(cx.cached(text.as_bytes(), |t| Ok(t.len())).is_ok());
        }
        assert!(cx.cache.len() <= CACHE_ENTRIES_MAX);
        assert!(cx.cached(b"x", |_| Err::<u8, _>(HostError::overflow())).is_err());
    }
}
