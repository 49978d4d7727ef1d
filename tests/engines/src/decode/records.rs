//! Records of a side's payloads, good and bad ones by turns, with framing, keys and metadata.

use std::fmt;

use flow_ir::kernel::{Headers, Record};

use super::side::Side;
use crate::source::{Source, Spread};

/// Records whose parts are chosen one by one; a batch's records are some of them, in any order.
#[derive(Debug)]
pub(super) struct Records {
    pub(super) all: Vec<OneRecord>,
    pub(super) key_skip: usize,
    pub(super) value_skip: usize,
    spread: Spread,
}

/// A record that owns its bytes.
#[derive(Debug, Default)]
pub(super) struct OneRecord {
    /// Number of the key's payload, if it is whole and there is one.
    pub(super) key_of: Option<usize>,
    /// The same of the value's.
    pub(super) value_of: Option<usize>,
    key: Option<Bytes>,
    value: Option<Bytes>,
    offset: i64,
    pub(super) timestamp: Option<i64>,
    headers: Vec<u8>,
}

/// Bytes alone, or with others around them, which no decoder may look at.
#[derive(Default)]
struct Bytes {
    alone: Vec<u8>,
    among: Vec<u8>,
}

/// Bytes that stand before and after those of a record.
const AROUND: [u8; 16] = [2, b'a', 0, 2, 0xff, 4, b'"', 0x80, 0, 1, b'}', 2, 2, 0, 0x7f, 6];

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.alone.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        write!(f, " ({})", self.alone.escape_ascii())
    }
}

impl Bytes {
    fn new(alone: Vec<u8>) -> Self {
        let among = [&AROUND, &alone[..], &AROUND].concat();
        Self { alone, among }
    }

    fn get(&self, alone: bool) -> &[u8] {
        if alone { &self.alone } else { &self.among[AROUND.len()..][..self.alone.len()] }
    }
}

impl OneRecord {
    /// As decoders take it, in memory alone or among other bytes.
    pub(super) fn borrowed(&self, alone: bool) -> Record<'_> {
        Record {
            key: self.key.as_ref().map(|key| key.get(alone)),
            value: self.value.as_ref().map(|value| value.get(alone)),
            offset: self.offset,
            timestamp: self.timestamp,
            headers: Headers(&self.headers),
        }
    }
}

impl Records {
    /// Records for a value and perhaps a key.
    pub(super) fn new(s: &mut Source<'_>, key: Option<&Side>, value: &Side) -> Self {
        let skip = |s: &mut Source<'_>| *s.pick(&[0, 5, 1, 8]);
        let (key_skip, value_skip) = (skip(s), skip(s));
        let count = value.payloads.len().max(1) + s.below(4);
        let mut all = Vec::new();
        for i in 0..count {
            let mut record = OneRecord {
                offset: s.short_word(),
                timestamp: (!s.once_in(6)).then(|| s.short_word()),
                headers: headers(s),
                ..OneRecord::default()
            };
            let (bytes, of) = framed(s, Some(value), i, value_skip);
            (record.value, record.value_of) = (bytes.map(Bytes::new), of);
            let at = s.below(count);
            let (bytes, of) = framed(s, key, at, key_skip);
            (record.key, record.key_of) = (bytes.map(Bytes::new), of);
            all.push(record);
        }
        Self { all, key_skip, value_skip, spread: s.spread() }
    }

    /// Numbers of so many records.
    pub(super) fn some(&mut self, count: usize) -> Vec<usize> {
        (0..count).map(|_| self.spread.below(self.all.len())).collect()
    }

    /// Ascending positions in a batch of so many: all, or some.
    pub(super) fn select(&mut self, count: usize) -> Vec<u32> {
        let all = self.spread.below(3) > 0;
        (0..count as u32).filter(|_| all || self.spread.below(3) > 0).collect()
    }
}

/// A payload behind its framing; at times none, or bytes that are too short for the framing.
fn framed(
    s: &mut Source<'_>,
    side: Option<&Side>,
    at: usize,
    skip: usize,
) -> (Option<Vec<u8>>, Option<usize>) {
    let Some(side) = side.filter(|side| !side.payloads.is_empty()) else {
        return (s.once_in(2).then(|| s.bytes(8)), None);
    };
    let at = at % side.payloads.len();
    let mut bytes = vec![7; skip];
    match s.below(12) {
        10 => return (None, None),
        11 if skip > 0 => return (Some(vec![7; s.below(skip)]), None),
        _ => bytes.extend_from_slice(&side.payloads[at].bytes),
    }
    (Some(bytes), Some(at))
}

/// Headers, also with names that are not UTF-8 and bytes that end too early.
fn headers(s: &mut Source<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..s.below(3) {
        let value = s.bytes(12);
        let name = *s.pick(&["a", "trace", "\u{fc}", ""]);
        Headers::push(name, s.once_in(2).then_some(&value), &mut out);
    }
    if s.once_in(12) {
        out.extend(s.bytes(9));
    }
    out
}
