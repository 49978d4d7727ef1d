//! One step of a plan, taken by itself: what native code calls for data that it does not walk in
//! machine code.

use flow_ir::decode_plan::{AvroDatum, AvroSkip};
use flow_ir::kernel::{ErrorBuffer, Headers, OnError};
use flow_ir::types::{DataType, Slot};

use super::avro::{Datum, skip};
use super::input::Input;
use super::sink::MapBuilder;
use super::{CONTAINER_BYTES_MAX, Run};
use crate::host::HostOut;

/// Reads one datum, or passes over one.
#[derive(Debug)]
pub struct FieldReader {
    step: Step,
    recursive: Vec<Vec<AvroSkip>>,
    errors: ErrorBuffer,
}

#[derive(Debug)]
enum Step {
    Read(Box<Datum>),
    Skip(AvroSkip),
}

/// What a payload may still ask for.
#[derive(Clone, Copy, Debug)]
pub struct Left {
    /// Array and map items.
    pub items: usize,
    /// Words of containers.
    pub words: usize,
}

impl Left {
    /// At the beginning of a payload of so many bytes.
    pub fn new(payload_bytes: usize) -> Self {
        let items = Input::new(&[]).items_left() + payload_bytes;
        Self { items, words: CONTAINER_BYTES_MAX / 8 }
    }
}

impl FieldReader {
    /// Reads a datum of a verified plan, with the plan's recursive skips, as a value of this type.
    pub fn datum(datum: &AvroDatum, ty: &DataType, recursive: &[Vec<AvroSkip>]) -> Self {
        Self::new(Step::Read(Box::new(Datum::new(datum, ty))), recursive)
    }

    /// Passes over data.
    pub fn skip(what: &AvroSkip, recursive: &[Vec<AvroSkip>]) -> Self {
        Self::new(Step::Skip(what.clone()), recursive)
    }

    fn new(step: Step, recursive: &[Vec<AvroSkip>]) -> Self {
        Self { step, recursive: recursive.to_vec(), errors: ErrorBuffer::default() }
    }

    /// Takes the step at the beginning of `bytes`, the rest of the payload. Gives how many bytes it
    /// took; `None` if anything is wrong with them.
    pub fn read(&mut self, bytes: &[u8], left: &mut Left, out: &mut HostOut<'_>) -> Option<usize> {
        let mut input = Input::with_items(bytes, left.items);
        let taken = match &mut self.step {
            Step::Skip(what) => skip(std::slice::from_ref(what), &mut input, &self.recursive, 0),
            Step::Read(datum) => {
                let mut run = Run {
                    record: 0,
                    on_error: OnError::DropRow,
                    errors: &mut self.errors,
                    field: None,
                    words_left: left.words,
                };
                let done = datum.read(&mut input, out, &self.recursive, &mut run);
                left.words = run.words_left;
                done
            }
        };
        taken.ok()?;
        left.items = input.items_left();
        Some(bytes.len() - input.rest().len())
    }
}

/// Makes MAPs of headers.
#[derive(Debug, Default)]
pub struct HeadersReader(MapBuilder);

impl HeadersReader {
    /// The words of the MAP; of equal names the last one counts.
    pub fn read(&mut self, headers: Headers<'_>) -> &[u64] {
        let map = &mut self.0;
        map.clear();
        for (name, value) in headers {
            map.keys.push_bytes(name.as_bytes());
            match value {
                Some(bytes) => map.values.push_bytes(bytes),
                None => map.values.push_null(Slot::Var),
            }
        }
        map.finish(Slot::Var, false)
    }
}

/// Avro's variable-length integer of any length, and how many bytes it has.
pub fn varint(bytes: &[u8]) -> Option<(i64, usize)> {
    let mut input = Input::new(bytes);
    let value = input.long().ok()?;
    Some((value, bytes.len() - input.rest().len()))
}
