//! Rows that a join keeps: each under the join key and a number made of the row, as a whole in the
//! value behind some BIGINTs. So keys stay short, and a partner is read where it lies.
//!
//! The number is the hash of the row's key bytes and, of several rows with one hash, its place
//! among them, from 0 without gap: where the next place is free, no other row with the hash is
//! there.

use std::ops::Bound::{Excluded, Included, Unbounded};
use std::sync::Arc;

use flow_ir::physical::kept_row;
use flow_ir::row::{BatchBuilder, Column, KeyEncoder, RowLayout, RowRef, key_hash};
use flow_ir::types::Type;

use super::OpError;
use crate::state::{OrderedTable, prefix_end};

/// Bytes of a row's place at the end of a key.
const PLACE_BYTES: usize = 4;
/// Bytes of a key behind the join key.
pub(super) const NUMBER_BYTES: usize = size_of::<u64>() + PLACE_BYTES;

/// How the rows of one side are kept.
pub(super) struct KeptRows {
    /// All columns.
    whole: KeyEncoder,
    numbers: Vec<Column>,
    row: Column,
    value: BatchBuilder,
    /// Key bytes of the row looked for, and of one that is compared with it.
    bytes: [Vec<u8>; 2],
    hash: fn(&[u8]) -> u64,
}

impl KeptRows {
    /// Rows of these columns behind so many numbers.
    pub(super) fn new(types: &[Type], numbers: usize) -> Self {
        let (of_row, of_value) = (RowLayout::new(types.to_vec()), kept_row(types, numbers));
        let layout = Arc::new(RowLayout::new(of_value));
        Self {
            whole: KeyEncoder::new(&of_row, &(0..types.len()).collect::<Vec<_>>()),
            numbers: (0..numbers).map(|number| layout.column(number)).collect(),
            row: layout.column(numbers),
            value: BatchBuilder::new(layout),
            bytes: [Vec::new(), Vec::new()],
            hash: key_hash,
        }
    }

    /// A number of a value.
    pub(super) fn number(&self, value: RowRef<'_>, number: usize) -> i64 {
        value.i64(self.numbers[number])
    }

    /// The row in a value.
    pub(super) fn row<'a>(&self, value: RowRef<'a>) -> RowRef<'a> {
        RowRef::new(value.container(self.row))
    }

    /// Completes `key`, which holds the join key, so that it is the key of the row: the one under
    /// which it stands, or is to stand. Gives its numbers, at most two, if it is there.
    pub(super) fn find(
        &mut self,
        table: &mut OrderedTable,
        group: u8,
        key: &mut Vec<u8>,
        row: RowRef<'_>,
    ) -> Result<Option<[i64; 2]>, OpError> {
        let [wanted, other] = &mut self.bytes;
        wanted.clear();
        self.whole.append(row, wanted);
        key.extend_from_slice(&(self.hash)(wanted).to_be_bytes());
        let end = key.len();
        for place in 0u32.. {
            key.truncate(end);
            key.extend_from_slice(&place.to_be_bytes());
            let Some(value) = table.get(group, key)? else { return Ok(None) };
            let known = RowRef::new(value.container(self.row));
            let same = known.words() == row.words() || {
                other.clear();
                self.whole.append(known, other);
                wanted == other
            };
            if same {
                let number = |i: usize| self.numbers.get(i).map_or(0, |c| value.i64(*c));
                return Ok(Some([number(0), number(1)]));
            }
        }
        Err(OpError::Internal("too many rows have one hash"))
    }

    /// Sets the numbers of a row, and the row, under its key.
    pub(super) fn put(
        &mut self,
        table: &mut OrderedTable,
        (group, key): (u8, &[u8]),
        numbers: &[i64],
        row: RowRef<'_>,
    ) -> Result<(), OpError> {
        self.value.begin();
        for (column, number) in numbers.iter().enumerate() {
            self.value.set_i64(column, *number);
        }
        self.value.set_container(numbers.len(), row.words());
        self.value.finish(1);
        let value = self.value.take();
        let put = table.put(group, key, value.row(0));
        self.value.recycle(value);
        Ok(put?)
    }

    /// Sets a number of the row under a key to what `change` makes of it; that before and after.
    pub(super) fn change(
        &mut self,
        table: &mut OrderedTable,
        (group, key): (u8, &[u8]),
        number: usize,
        change: impl FnOnce(i64) -> i64,
    ) -> Result<(i64, i64), OpError> {
        let Some(value) = table.get(group, key)? else {
            return Err(OpError::Internal("a kept row is no longer there"));
        };
        let column = self.numbers[number];
        let (before, mut words) = (value.i64(column), value.words().to_vec());
        let after = change(before);
        if after != before {
            words[column.word as usize] = after as u64;
            table.put(group, key, RowRef::new(&words))?;
        }
        Ok((before, after))
    }

    /// Removes the row under a key. The last of the rows with its hash takes its place.
    pub(super) fn remove(
        &mut self,
        table: &mut OrderedTable,
        group: u8,
        key: &[u8],
    ) -> Result<(), OpError> {
        let of_hash = &key[..key.len() - PLACE_BYTES];
        let end = prefix_end(of_hash);
        let to = end.as_deref().map_or(Unbounded, Excluded);
        let last = table.last(group, Included(of_hash), to)?;
        let last = last.map(|last| (last.key.to_vec(), last.row.words().to_vec()));
        match last {
            Some((last, value)) if last.as_slice() > key => {
                table.put(group, key, RowRef::new(&value))?;
                table.delete(group, &last)?;
            }
            Some(_) | None => table.delete(group, key)?,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use flow_ir::ids::{TableId, VertexId};
    use flow_ir::physical::{TableKind, TableSpec};
    use flow_ir::types::DataType;
    use proptest::prelude::*;

    use super::*;
    use crate::state::{StateStore, StoreConfig};

    fn types() -> Vec<Type> {
        vec![Type::nullable(DataType::Double), Type::not_null(DataType::BigInt)]
    }

    fn store() -> StateStore {
        let spec = TableSpec {
            owner: VertexId(0),
            role: "rows".into(),
            kind: TableKind::Ordered,
            key: Vec::new(),
            value: kept_row(&types(), 1),
        };
        StateStore::new(&StoreConfig {
            specs: &[spec],
            numbers: &[1],
            groups: &[0],
            disk: None,
            budget_bytes: usize::MAX,
        })
    }

    proptest! {
        /// Rows are told apart whatever they hash to, and a zero is a zero.
        #[test]
        fn weights_of_rows_add_up(
            steps in prop::collection::vec((0u8..2, 0i64..6, any::<bool>(), -1i64..2), 0..80),
            all_collide: bool,
        ) {
            let mut store = store();
            let mut kept = KeptRows::new(&types(), 1);
            if all_collide {
                kept.hash = |_| u64::MAX;
            }
            let mut rows = BatchBuilder::new(Arc::new(RowLayout::new(types())));
            let mut model: BTreeMap<(u8, i64), i64> = BTreeMap::new();
            for (join_key, number, minus, weight) in steps {
                rows.begin();
                rows.set_f64(0, if minus { -0.0 } else { 0.0 });
                rows.set_i64(1, number);
                rows.finish(1);
                let batch = rows.take();
                let table = store.ordered(TableId(0));
                let mut key = vec![join_key];
                let known = kept.find(table, 0, &mut key, batch.row(0)).expect("no disk");
                let known = known.map(|numbers| numbers[0]);
                let then = model.get(&(join_key, number)).copied();
                prop_assert_eq!(known, then);
                let sum = then.unwrap_or(0) + weight;
                if sum != 0 {
                    kept.put(table, (0, &key), &[sum], batch.row(0)).expect("no disk");
                    model.insert((join_key, number), sum);
                } else if known.is_some() {
                    kept.remove(table, 0, &key).expect("no disk");
                    model.remove(&(join_key, number));
                }
                let entries = table.scan(None, &[]).expect("no disk");
                let mut found: Vec<_> = entries
                    .map(|entry| {
                        let number = kept.row(entry.row).i64(RowLayout::new(types()).column(1));
                        ((entry.key[0], number), kept.number(entry.row, 0))
                    })
                    .collect();
                found.sort_unstable();
                prop_assert_eq!(found, model.clone().into_iter().collect::<Vec<_>>());
            }
        }
    }
}
