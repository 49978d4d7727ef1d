//! Rows as bytes that sort in an order and can be read back: what the tables of partitions' rows
//! are keyed by, behind the partition's key.
//!
//! The order's columns come first, then the key bytes of the whole row, which decide ties and give
//! the row back, then the length of these (u32, big-endian), which says where they begin.

use flow_ir::physical::Direction;
use flow_ir::row::{BatchBuilder, KeyDecoder, RowLayout, RowRef};
use flow_ir::types::Type;

use super::{OpError, Order};

/// Bytes of the length at the end.
const LENGTH_BYTES: usize = size_of::<u32>();

/// Writes and reads such bytes.
pub(super) struct SortedRows {
    order: Order,
    decoder: KeyDecoder,
}

impl SortedRows {
    /// Rows of these types, by these columns, most significant first.
    pub(super) fn new(types: &[Type], order: &[(usize, Direction)]) -> Self {
        let layout = RowLayout::new(types.to_vec());
        Self { order: Order::new(&layout, types, order), decoder: KeyDecoder::new(types.to_vec()) }
    }

    /// Appends a row.
    pub(super) fn append(&self, row: RowRef<'_>, out: &mut Vec<u8>) {
        self.append_order(row, out);
        self.append_rest(row, out);
    }

    /// Appends what the order's columns give: how a row begins.
    pub(super) fn append_order(&self, row: RowRef<'_>, out: &mut Vec<u8>) {
        self.order.append_columns(row, out);
    }

    /// Appends what follows it.
    pub(super) fn append_rest(&self, row: RowRef<'_>, out: &mut Vec<u8>) {
        let start = out.len();
        self.order.append_whole(row, out);
        let length = u32::try_from(out.len() - start).expect("a row stays under 4 GiB");
        out.extend_from_slice(&length.to_be_bytes());
    }

    /// Reads a row into the open row of `out`, from its first column on.
    pub(super) fn read(&self, bytes: &[u8], out: &mut BatchBuilder) -> Result<(), OpError> {
        let (_, row) = split(bytes)?;
        match self.decoder.decode(row, out, 0) {
            true => Ok(()),
            false => Err(OpError::Internal("a sorted row cannot be read back")),
        }
    }
}

/// What the order's columns gave: equal bytes for rows that are equal in the order.
pub(super) fn peers(bytes: &[u8]) -> Result<&[u8], OpError> {
    split(bytes).map(|(order, _)| order)
}

fn split(bytes: &[u8]) -> Result<(&[u8], &[u8]), OpError> {
    let parts = bytes.split_last_chunk::<LENGTH_BYTES>().and_then(|(rest, length)| {
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        rest.split_at_checked(rest.len().checked_sub(length)?)
    });
    parts.ok_or(OpError::Internal("a sorted row has no end"))
}
