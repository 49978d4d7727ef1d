//! Rows that a join keeps of an input that takes none back, where it does not ask how many
//! partners a row has: such a row is never looked for again and never changes. So rows of one join
//! key stand in lists, some in each, and a row costs little more than its bytes. A list is closed
//! when it is long enough; with a row comes the list that it goes into, and no more. Where a row
//! stands there already it counts once more: rows that differ in few ways, as those of which a join
//! needs little more than the key, stay few.
//!
//! The key of a list is the join key and the list's number, from 0 in the order in which they were
//! begun. The value is an ARRAY of the rows and one of their weights.

use std::sync::Arc;

use flow_ir::physical::kept_list;
use flow_ir::row::{ArrayRef, BatchBuilder, Column, ContainerBuilder, RowLayout, RowRef};
use flow_ir::types::{Slot, Type};

use super::OpError;
use crate::state::OrderedTable;

/// A list takes on rows until they are of this many bytes.
const LIST_BYTES: usize = 512;
/// Bytes of a list's number at the end of a key.
pub(super) const NUMBER_BYTES: usize = 4;

/// How the rows of one side are kept.
pub(super) struct KeptLists {
    columns: [Column; 2],
    value: BatchBuilder,
    list: List,
    /// The arrays of a value.
    words: [Vec<u64>; 2],
}

/// The list at hand.
#[derive(Default)]
struct List {
    rows: ContainerBuilder,
    weights: ContainerBuilder,
    /// Of its rows.
    bytes: usize,
}

impl List {
    fn clear(&mut self) {
        self.rows.clear();
        self.weights.clear();
        self.bytes = 0;
    }

    fn push(&mut self, row: RowRef<'_>, weight: i64) {
        self.rows.push_container(row.words());
        self.weights.push_word(weight as u64);
        self.bytes += row.bytes().len();
    }
}

impl KeptLists {
    /// Rows of these columns.
    pub(super) fn new(types: &[Type]) -> Self {
        let layout = Arc::new(RowLayout::new(kept_list(types)));
        Self {
            columns: [layout.column(0), layout.column(1)],
            value: BatchBuilder::new(layout),
            list: List::default(),
            words: [Vec::new(), Vec::new()],
        }
    }

    /// The rows in a value with their weights, in the order in which they came.
    pub(super) fn rows<'a>(
        &self,
        value: RowRef<'a>,
    ) -> impl Iterator<Item = (RowRef<'a>, i64)> + use<'a> {
        let rows = ArrayRef::new(value.container(self.columns[0]), Slot::Var);
        let weights = ArrayRef::new(value.container(self.columns[1]), Slot::Word);
        let both = rows.len().min(weights.len());
        (0..both).map(move |i| (RowRef::new(rows.container(i)), weights.word(i) as i64))
    }

    /// Keeps a row of this weight, above 0, under the join key in `key`, behind which it writes.
    pub(super) fn add(
        &mut self,
        table: &mut OrderedTable,
        group: u8,
        key: &mut Vec<u8>,
        row: RowRef<'_>,
        weight: i64,
    ) -> Result<(), OpError> {
        let number = self.open(table, group, key, row, weight)?;
        let arrays = [&self.list.rows, &self.list.weights];
        self.value.begin();
        for (column, (array, words)) in arrays.iter().zip(&mut self.words).enumerate() {
            words.clear();
            array.finish_array(words);
            self.value.set_container(column, words);
        }
        self.value.finish(1);
        let value = self.value.take();
        key.extend_from_slice(&number.to_be_bytes());
        let put = table.put(group, key, value.row(0));
        self.value.recycle(value);
        Ok(put?)
    }

    /// Takes up the last list under a join key with this row, or begins one with it where that
    /// takes on no other rows; its number.
    fn open(
        &mut self,
        table: &mut OrderedTable,
        group: u8,
        join_key: &[u8],
        row: RowRef<'_>,
        weight: i64,
    ) -> Result<u32, OpError> {
        self.list.clear();
        let Some(last) = table.last_of_run(group, join_key)? else {
            self.list.push(row, weight);
            return Ok(0);
        };
        let number = last.key.last_chunk::<NUMBER_BYTES>().map(|bytes| u32::from_be_bytes(*bytes));
        let number = number.ok_or(OpError::Internal("a list of kept rows has no number"))?;
        let mut is_there = false;
        for (known, times) in self.rows(last.row) {
            let is_same = !is_there && known.words() == row.words();
            is_there |= is_same;
            self.list.push(known, if is_same { times.wrapping_add(weight) } else { times });
        }
        if is_there {
            return Ok(number);
        }
        if self.list.bytes < LIST_BYTES {
            self.list.push(row, weight);
            return Ok(number);
        }
        self.list.clear();
        self.list.push(row, weight);
        number.checked_add(1).ok_or(OpError::Internal("too many rows have one join key"))
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

    proptest! {
        /// Rows come back as often as they came, no list is much longer than it is to be, and few
        /// different rows stand in one.
        #[test]
        fn rows_stand_in_lists(
            rows in prop::collection::vec(
                (0u8..3, "[ab]{0,2}|[a-z]{0,40}|[a-z]{600,700}", 1i64..4),
                0..80,
            ),
            few in any::<bool>(),
            restarts in prop::collection::vec(any::<bool>(), 80),
        ) {
            let types = [Type::nullable(DataType::String)];
            let spec = TableSpec {
                owner: VertexId(0),
                role: "rows".into(),
                kind: TableKind::Ordered,
                key: Vec::new(),
                value: kept_list(&types),
            };
            let mut store = StateStore::new(&StoreConfig {
                specs: &[spec],
                numbers: &[1],
                groups: &[0],
                disk: None,
                budget_bytes: usize::MAX,
            });
            let layout = Arc::new(RowLayout::new(types.to_vec()));
            let mut lists = KeptLists::new(&types);
            let mut builder = BatchBuilder::new(layout.clone());
            let mut model: BTreeMap<(u8, String), i64> = BTreeMap::new();
            for ((key, text, weight), restart) in rows.into_iter().zip(restarts) {
                let text = if few { (text.len() % 4).to_string() } else { text };
                if restart {
                    lists = KeptLists::new(&types);
                    store.seal(false);
                }
                builder.begin();
                builder.set_bytes(0, text.as_bytes());
                builder.finish(1);
                let (batch, table) = (builder.take(), store.ordered(TableId(0)));
                lists.add(table, 0, &mut vec![key], batch.row(0), weight).expect("no disk");
                *model.entry((key, text)).or_default() += weight;
            }
            let mut found: BTreeMap<(u8, String), i64> = BTreeMap::new();
            for entry in store.ordered(TableId(0)).scan(None, &[]).expect("no disk") {
                let rows = lists.rows(entry.row).collect::<Vec<_>>();
                let all_but_one = rows[..rows.len() - 1].iter();
                let bytes: usize = all_but_one.map(|(row, _)| row.bytes().len()).sum();
                prop_assert!(bytes < LIST_BYTES, "a list that is long enough takes no more");
                prop_assert!(!few || entry.key.last() == Some(&0), "so few rows stand in one");
                for (row, weight) in rows {
                    let text = row.str(layout.column(0)).to_string();
                    *found.entry((entry.key[0], text)).or_default() += weight;
                }
            }
            prop_assert_eq!(found, model);
        }
    }
}
