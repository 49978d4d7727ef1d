//! Rows that a join keeps of an input that takes none back, where it does not ask how many
//! partners a row has: such a row is never looked for again and never changes. So rows of one join
//! key stand in lists, some in each, and a row costs little more than its bytes. A list is closed
//! when it is long enough; with a row comes the list that it goes into, and no more. Where a row
//! stands there already it counts once more: rows that differ in few ways, as those of which a join
//! needs little more than the key, stay few.
//!
//! The key of a list is the join key and the list's number, from 0 in the order in which they were
//! begun. The value is an ARRAY of the rows and one of their weights, unless each counts once.

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
    /// An array of a value.
    words: Vec<u64>,
}

/// The list at hand.
#[derive(Default)]
struct List {
    rows: ContainerBuilder,
    weights: ContainerBuilder,
    /// Of its rows.
    bytes: usize,
    /// Whether a row counts more than once.
    is_weighted: bool,
}

impl List {
    fn clear(&mut self) {
        self.rows.clear();
        self.weights.clear();
        self.bytes = 0;
        self.is_weighted = false;
    }

    fn push(&mut self, row: RowRef<'_>, weight: i64) {
        self.rows.push_container(row.words());
        self.weights.push_word(weight as u64);
        self.bytes += row.bytes().len();
        self.is_weighted |= weight != 1;
    }

    /// Counts a row once more that stands there; whether one does.
    fn count(&mut self, row: RowRef<'_>, weight: i64) -> bool {
        let place = (0..self.rows.len()).find(|&i| self.rows.container(i) == row.words());
        if let Some(place) = place {
            let times = self.weights.word_mut(place);
            *times = times.wrapping_add(weight as u64);
            self.is_weighted = true;
        }
        place.is_some()
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
            words: Vec::new(),
        }
    }

    /// How many rows there are in a value.
    pub(super) fn len(&self, value: RowRef<'_>) -> usize {
        ArrayRef::new(value.container(self.columns[0]), Slot::Var).len()
    }

    /// The rows in a value with their weights, in the order in which they came.
    pub(super) fn rows<'a>(
        &self,
        value: RowRef<'a>,
    ) -> impl Iterator<Item = (RowRef<'a>, i64)> + Clone + use<'a> {
        let rows = ArrayRef::new(value.container(self.columns[0]), Slot::Var);
        let weights = (!value.is_null(self.columns[1]))
            .then(|| ArrayRef::new(value.container(self.columns[1]), Slot::Word));
        let weight = move |i: usize| weights.map_or(1, |weights| weights.word(i) as i64);
        (0..rows.len()).map(move |i| (RowRef::new(rows.container(i)), weight(i)))
    }

    /// Keeps rows of these weights, above 0, under the join key in `key`, behind which it writes.
    pub(super) fn add<'r>(
        &mut self,
        table: &mut OrderedTable,
        group: u8,
        key: &mut Vec<u8>,
        rows: impl Iterator<Item = (RowRef<'r>, i64)> + Clone,
    ) -> Result<(), OpError> {
        let mut number = self.open(table, group, key, rows.clone())?;
        let join_key = key.len();
        for (row, weight) in rows {
            if self.list.count(row, weight) {
                continue;
            }
            if self.list.bytes >= LIST_BYTES {
                key.extend_from_slice(&number.to_be_bytes());
                self.put(table, group, key)?;
                key.truncate(join_key);
                self.list.clear();
                number = next(number)?;
            }
            self.list.push(row, weight);
        }
        key.extend_from_slice(&number.to_be_bytes());
        self.put(table, group, key)
    }

    /// Takes up the last list under a join key, or begins one where there is none or where that
    /// one is closed and has none of the rows; its number.
    fn open<'r>(
        &mut self,
        table: &mut OrderedTable,
        group: u8,
        join_key: &[u8],
        mut rows: impl Iterator<Item = (RowRef<'r>, i64)> + Clone,
    ) -> Result<u32, OpError> {
        self.list.clear();
        let Some(last) = table.last_of_run(group, join_key)? else { return Ok(0) };
        let number = last.key.last_chunk::<NUMBER_BYTES>().map(|bytes| u32::from_be_bytes(*bytes));
        let number = number.ok_or(OpError::Internal("a list of kept rows has no number"))?;
        let known = self.rows(last.row);
        let bytes: usize = known.clone().map(|(row, _)| row.bytes().len()).sum();
        let is_known = |row: RowRef<'_>| known.clone().any(|(of, _)| of.words() == row.words());
        if bytes >= LIST_BYTES && !rows.any(|(row, _)| is_known(row)) {
            return next(number);
        }
        known.for_each(|(row, times)| self.list.push(row, times));
        Ok(number)
    }

    /// Writes the list at hand under its key.
    fn put(&mut self, table: &mut OrderedTable, group: u8, key: &[u8]) -> Result<(), OpError> {
        let List { rows, weights, is_weighted, .. } = &self.list;
        self.value.begin();
        let arrays = [Some(rows), is_weighted.then_some(weights)];
        for (column, array) in arrays.into_iter().enumerate() {
            let Some(array) = array else { continue };
            self.words.clear();
            array.finish_array(&mut self.words);
            self.value.set_container(column, &self.words);
        }
        self.value.finish(1);
        let value = self.value.take();
        let put = table.put(group, key, value.row(0));
        self.value.recycle(value);
        Ok(put?)
    }
}

/// The number of the list behind one.
fn next(number: u32) -> Result<u32, OpError> {
    number.checked_add(1).ok_or(OpError::Internal("too many rows have one join key"))
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
            steps in prop::collection::vec(
                (0u8..3, prop::collection::vec(
                    ("[ab]{0,2}|[a-z]{0,40}|[a-z]{600,700}", 1i64..4),
                    1..8,
                ), any::<bool>()),
                0..30,
            ),
            few in any::<bool>(),
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
            for (key, rows, restart) in steps {
                if restart {
                    lists = KeptLists::new(&types);
                    store.seal(false);
                }
                for (text, weight) in rows {
                    let text = if few { (text.len() % 4).to_string() } else { text };
                    builder.begin();
                    builder.set_bytes(0, text.as_bytes());
                    builder.finish(weight);
                    *model.entry((key, text)).or_default() += weight;
                }
                let (batch, table) = (builder.take(), store.ordered(TableId(0)));
                let rows = (0..batch.len()).map(|i| (batch.row(i), batch.weight(i)));
                lists.add(table, 0, &mut vec![key], rows).expect("no disk");
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
