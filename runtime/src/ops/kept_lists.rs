//! Rows that a join keeps of an input that takes none back, where it does not ask how many
//! partners a row has: such a row is never looked for again and never changes. So rows of one join
//! key stand in lists, some in each, and a row costs little more than its bytes. A list is closed
//! when it is long enough; with a row comes the list that it goes into, and no more.
//!
//! The key of a list is the join key and the list's number, from 0 in the order in which they were
//! begun. The value is an ARRAY of the rows.

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
    column: Column,
    value: BatchBuilder,
    /// The list at hand, and the bytes of its rows.
    rows: ContainerBuilder,
    bytes: usize,
    words: Vec<u64>,
}

impl KeptLists {
    /// Rows of these columns.
    pub(super) fn new(types: &[Type]) -> Self {
        let layout = Arc::new(RowLayout::new(kept_list(types)));
        Self {
            column: layout.column(0),
            value: BatchBuilder::new(layout),
            rows: ContainerBuilder::default(),
            bytes: 0,
            words: Vec::new(),
        }
    }

    /// The rows in a value, in the order in which they came.
    pub(super) fn rows<'a>(&self, value: RowRef<'a>) -> impl Iterator<Item = RowRef<'a>> + use<'a> {
        let list = ArrayRef::new(value.container(self.column), Slot::Var);
        (0..list.len()).map(move |i| RowRef::new(list.container(i)))
    }

    /// Keeps a row under the join key in `key`, behind which it writes.
    pub(super) fn add(
        &mut self,
        table: &mut OrderedTable,
        group: u8,
        key: &mut Vec<u8>,
        row: RowRef<'_>,
    ) -> Result<(), OpError> {
        let number = self.open(table, group, key)?;
        self.push(row);
        self.words.clear();
        self.rows.finish_array(&mut self.words);
        self.value.begin();
        self.value.set_container(0, &self.words);
        self.value.finish(1);
        let value = self.value.take();
        key.extend_from_slice(&number.to_be_bytes());
        let put = table.put(group, key, value.row(0));
        self.value.recycle(value);
        Ok(put?)
    }

    fn push(&mut self, row: RowRef<'_>) {
        self.rows.push_container(row.words());
        self.bytes += row.bytes().len();
    }

    /// Takes up the last list under a join key if it takes on rows, else begins one; its number.
    fn open(
        &mut self,
        table: &mut OrderedTable,
        group: u8,
        join_key: &[u8],
    ) -> Result<u32, OpError> {
        self.rows.clear();
        self.bytes = 0;
        let Some(last) = table.last_of_run(group, join_key)? else { return Ok(0) };
        let number = last.key.last_chunk::<NUMBER_BYTES>().map(|bytes| u32::from_be_bytes(*bytes));
        let number = number.ok_or(OpError::Internal("a list of kept rows has no number"))?;
        for row in self.rows(last.row) {
            self.push(row);
        }
        if self.bytes < LIST_BYTES {
            return Ok(number);
        }
        self.rows.clear();
        self.bytes = 0;
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
        /// Rows come back in the order in which they came, and no list is much longer than it is
        /// to be.
        #[test]
        fn rows_stand_in_lists(
            rows in prop::collection::vec((0u8..3, "[a-z]{0,40}|[a-z]{600,700}"), 0..80),
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
            let mut model: BTreeMap<u8, Vec<String>> = BTreeMap::new();
            for ((key, text), restart) in rows.into_iter().zip(restarts) {
                if restart {
                    lists = KeptLists::new(&types);
                    store.seal(false);
                }
                builder.begin();
                builder.set_bytes(0, text.as_bytes());
                builder.finish(1);
                let (batch, table) = (builder.take(), store.ordered(TableId(0)));
                lists.add(table, 0, &mut vec![key], batch.row(0)).expect("no disk");
                model.entry(key).or_default().push(text);
            }
            let mut found: BTreeMap<u8, Vec<String>> = BTreeMap::new();
            for entry in store.ordered(TableId(0)).scan(None, &[]).expect("no disk") {
                let of_key = found.entry(entry.key[0]).or_default();
                let rows = lists.rows(entry.row).collect::<Vec<_>>();
                let bytes: usize = rows[..rows.len() - 1].iter().map(|row| row.bytes().len()).sum();
                prop_assert!(bytes < LIST_BYTES, "a list that is long enough takes no more");
                of_key.extend(rows.iter().map(|row| row.str(layout.column(0)).to_string()));
            }
            prop_assert_eq!(found, model);
        }
    }
}
