//! APPROX_COUNT_DISTINCT: HyperLogLog with 2^14 registers over 64-bit hashes of key bytes. Few
//! values are a list of (register among 2^25, rank), as in HyperLogLog++, and counted almost
//! exactly; many are estimated as Ertl does, without tables of corrections.
//!
//! ```text
//! nothing                      no value
//! 0, then u32 each, ascending  register of 25 bits, rank of 6 bits
//! 1, then 2^14 bytes           the ranks of the registers
//! ```

use flow_ir::kernel::ErrorCode;
use flow_ir::row::{BatchBuilder, Column, RowRef, ValueMut, append_column_key, key_hash};
use flow_ir::types::{DataType, Type};

use super::Meaning;
use super::catalog::{AggregateDef, Example};

pub(super) const DEF: AggregateDef = AggregateDef {
    name: "APPROX_COUNT_DISTINCT",
    aliases: &["APPROX_DISTINCT"],
    usage: "x, …",
    doc: "About the number of different values: within 1 % in two of three cases, 3 % nearly \
          always, and almost exact up to some thousand. Exact where rows may be taken back.",
    examples: &[Example {
        call: "APPROX_COUNT_DISTINCT(x)",
        rows: &[Some(1), Some(2), Some(1), None],
        result: "2",
    }],
    result: |args| match args {
        [] => Err("APPROX_COUNT_DISTINCT takes an argument".into()),
        _ => Ok(Type::not_null(DataType::BigInt)),
    },
    ..AggregateDef::PLAIN
};

const REGISTER_BITS: u32 = 14;
const REGISTERS: usize = 1 << REGISTER_BITS;
const LIST_BITS: u32 = 25;
const RANK_BITS: u32 = 6;
/// Entries of a list at most.
const LIST_MAX: usize = 2048;
const LIST: u8 = 0;
const FULL: u8 = 1;

/// APPROX_COUNT_DISTINCT over rows that stay.
#[derive(Clone, Debug)]
pub(super) struct Registers {
    args: Vec<Type>,
}

impl Registers {
    pub(super) fn new(args: &[Type]) -> Self {
        Self { args: args.to_vec() }
    }
}

/// Register of 25 bits and rank of a hash, as a list keeps them.
fn entry(hash: u64) -> u32 {
    let register = (hash >> (64 - LIST_BITS)) as u32;
    let rank = (hash << LIST_BITS).leading_zeros().min(64 - LIST_BITS) + 1;
    register << RANK_BITS | rank
}

/// Register of 14 bits and rank of an entry.
fn register(entry: u32) -> (usize, u8) {
    let (register, rank) = (entry >> RANK_BITS, entry & ((1 << RANK_BITS) - 1));
    let more = LIST_BITS - REGISTER_BITS;
    let rest = register & ((1 << more) - 1);
    let rank = if rest == 0 { more + rank } else { more - rest.ilog2() };
    ((register >> more) as usize, rank as u8)
}

fn entries(list: &[u8]) -> impl Iterator<Item = u32> + '_ {
    list.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes))
}

/// Adds an entry to stored registers.
fn insert(acc: &mut ValueMut<'_>, at: usize, new: u32) {
    match acc.var_mut(at).split_first_mut() {
        Some((&mut FULL, ranks)) => {
            let (register, rank) = register(new);
            if let Some(kept) = ranks.get_mut(register) {
                *kept = (*kept).max(rank);
            }
        }
        Some((_, list)) => {
            let list = list.as_chunks_mut::<4>().0;
            let key = |bytes: &[u8; 4]| u32::from_le_bytes(*bytes) >> RANK_BITS;
            match list.binary_search_by_key(&(new >> RANK_BITS), key) {
                Ok(found) => {
                    let kept = u32::from_le_bytes(list[found]);
                    list[found] = kept.max(new).to_le_bytes();
                }
                Err(place) if list.len() < LIST_MAX => {
                    let mut bytes = acc.var(at).to_vec();
                    let place = 1 + 4 * place;
                    bytes.splice(place..place, new.to_le_bytes());
                    acc.set_var(at, &bytes);
                }
                Err(_) => {
                    let mut bytes = vec![0; 1 + REGISTERS];
                    bytes[0] = FULL;
                    for entry in entries(&acc.var(at)[1..]).chain([new]) {
                        let (register, rank) = register(entry);
                        bytes[1 + register] = bytes[1 + register].max(rank);
                    }
                    acc.set_var(at, &bytes);
                }
            }
        }
        None => {
            let mut bytes = vec![LIST];
            bytes.extend_from_slice(&new.to_le_bytes());
            acc.set_var(at, &bytes);
        }
    }
}

/// Adds stored registers to others.
fn union(acc: &mut ValueMut<'_>, at: usize, more: &[u8]) {
    match more.split_first() {
        None => {}
        Some((&FULL, more)) => {
            if acc.var(at).first() != Some(&FULL) {
                let list = acc.var(at).to_vec();
                let mut bytes = vec![FULL];
                bytes.extend_from_slice(more);
                acc.set_var(at, &bytes);
                entries(list.get(1..).unwrap_or_default()).for_each(|entry| insert(acc, at, entry));
                return;
            }
            for (kept, rank) in acc.var_mut(at)[1..].iter_mut().zip(more) {
                *kept = (*kept).max(*rank);
            }
        }
        Some((_, list)) => entries(list).for_each(|entry| insert(acc, at, entry)),
    }
}

fn estimate(stored: &[u8]) -> f64 {
    match stored.split_first() {
        None => 0.0,
        Some((&FULL, ranks)) => estimate_ranks(ranks),
        Some((_, list)) => {
            let all = f64::from(1u32 << LIST_BITS);
            let used = (list.len() / 4) as f64;
            all * (all / (all - used)).ln()
        }
    }
}

/// Ertl's improved raw estimate ("New cardinality estimation algorithms for HyperLogLog
/// sketches", 2017).
fn estimate_ranks(ranks: &[u8]) -> f64 {
    const RANKS: usize = 64 - REGISTER_BITS as usize;
    let mut counts = [0u32; RANKS + 2];
    for &rank in ranks {
        counts[usize::from(rank).min(RANKS + 1)] += 1;
    }
    let m = REGISTERS as f64;
    let mut z = m * tau(1.0 - f64::from(counts[RANKS + 1]) / m);
    for count in counts[1..=RANKS].iter().rev() {
        z = 0.5 * (z + f64::from(*count));
    }
    z += m * sigma(f64::from(counts[0]) / m);
    m / (2.0 * std::f64::consts::LN_2) * m / z
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

impl Meaning for Registers {
    fn types(&self) -> Vec<Type> {
        vec![Type::nullable(DataType::Bytes)]
    }

    fn add(
        &self,
        acc: &mut ValueMut<'_>,
        first: usize,
        row: RowRef<'_>,
        args: &[Column],
        weight: i64,
    ) {
        if weight <= 0 || args.iter().any(|arg| row.is_null(*arg)) {
            return;
        }
        let mut key = Vec::with_capacity(32);
        for (arg, ty) in args.iter().zip(&self.args) {
            append_column_key(row, *arg, ty, &mut key);
        }
        insert(acc, first, entry(key_hash(&key)));
    }

    fn merge(&self, acc: &mut ValueMut<'_>, first: usize, from: RowRef<'_>, columns: &[Column]) {
        if !from.is_null(columns[0]) {
            union(acc, first, from.var(columns[0]));
        }
    }

    fn finish(
        &self,
        acc: RowRef<'_>,
        columns: &[Column],
        out: &mut BatchBuilder,
        column: usize,
    ) -> Result<(), ErrorCode> {
        let stored = if acc.is_null(columns[0]) { &[] } else { acc.var(columns[0]) };
        out.set_i64(column, estimate(stored).round() as i64);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flow_ir::row::{RowLayout, VarHeap};

    #[test]
    fn estimates_are_near_and_do_not_depend_on_the_order_or_the_cut() {
        let layout = RowLayout::new(vec![Type::nullable(DataType::Bytes)]);
        for count in [0u64, 1, 100, 2_000, 5_000, 100_000, 1_000_000] {
            let (mut words, mut heap) = (vec![0; layout.fixed_words()], VarHeap::default());
            let (mut other, mut others) = (words.clone(), VarHeap::default());
            let mut whole = ValueMut::new(&layout, &mut words, &mut heap);
            let mut part = ValueMut::new(&layout, &mut other, &mut others);
            whole.clear();
            part.clear();
            let hash = |i: u64| entry(key_hash(&i.to_be_bytes()));
            (0..count).for_each(|i| insert(&mut whole, 0, hash(i)));
            (0..count / 2).rev().for_each(|i| insert(&mut part, 0, hash(i)));
            let estimated = estimate(whole.var(0));
            let allowed = if count <= LIST_MAX as u64 { 1.0 } else { count as f64 * 0.03 };
            assert!((estimated - count as f64).abs() <= allowed, "{estimated} of {count}");
            (count / 2..count).for_each(|i| insert(&mut part, 0, hash(i)));
            let stored = part.var(0).to_vec();
            union(&mut whole, 0, &stored);
            assert_eq!(whole.var(0), stored);
        }
    }
}
