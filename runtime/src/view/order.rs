//! Where the rows of a key range lie in an order: in which key groups, between which keys.

use std::ops::Bound;

use flow_ir::physical::KeyRange;
use flow_ir::row::{KeyEncoder, key_group, key_hash};
use flow_ir::types::Type;

use super::spec::ViewSpec;
use crate::state::prefix_end;

/// Keys of a table, in some groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// The only group; `None`: all of them.
    pub(super) group: Option<u8>,
    /// The first key.
    pub(super) from: Vec<u8>,
    /// The key after the last; `None`: to the end.
    pub(super) to: Option<Vec<u8>>,
}

impl Span {
    /// The whole table.
    pub(super) const WHOLE: Span = Span { group: None, from: Vec::new(), to: None };
}

/// Where a range lies; `None` if its order is not the view's, or has fewer columns.
pub(super) fn span(view: &ViewSpec, range: &KeyRange) -> Option<(usize, Span)> {
    let place = view.orders.iter().position(|order| order.index == range.index)?;
    let order = &view.orders[place];
    let open = (&range.from, &range.to) == (&Bound::Unbounded, &Bound::Unbounded);
    let columns = range.equal.len() + usize::from(!open);
    if columns > order.keys.len() {
        return None;
    }
    let ty = |column: usize| &view.columns[order.keys[column]].ty;
    let mut prefix = Vec::new();
    let mut group = (order.hashed == 0).then(|| key_group(key_hash(&[])));
    for (at, value) in range.equal.iter().enumerate() {
        prefix.extend(KeyEncoder::value_bytes(value, ty(at)));
        if at + 1 == order.hashed {
            group = Some(key_group(key_hash(&prefix)));
        }
    }
    if open {
        return Some((place, Span { group, to: prefix_end(&prefix), from: prefix }));
    }
    let ty = ty(range.equal.len());
    let key = |value| [&prefix[..], &KeyEncoder::value_bytes(value, ty)].concat();
    let from = match &range.from {
        Bound::Unbounded => prefix.clone(),
        Bound::Included(value) => key(value),
        Bound::Excluded(value) => prefix_end(&key(value)).unwrap_or_else(|| key(value)),
    };
    let to = match &range.to {
        // Key bytes of NULL come after all others': a range has none.
        Bound::Unbounded => null_key(&prefix, ty),
        Bound::Included(value) => prefix_end(&key(value)),
        Bound::Excluded(value) => Some(key(value)),
    };
    Some((place, Span { group, from, to }))
}

/// The key bytes of NULL behind a prefix.
fn null_key(prefix: &[u8], ty: &Type) -> Option<Vec<u8>> {
    let null = KeyEncoder::value_bytes(&flow_ir::value::Value::Null, &ty.with_nullable(true));
    Some([prefix, &null].concat())
}
