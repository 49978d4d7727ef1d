//! Comparison of two values of one type: by the order of their key bytes, except that −0.0 = 0.0
//! and NaN is one value above all others.

use std::cmp::Ordering;

use flow_ir::row::append_container_key;
use flow_ir::scalar::CompareOp;
use flow_ir::types::{DataType, Slot};

use super::arith::wide;
use crate::host::HostArg;

/// How the values of a type are ordered.
#[derive(Clone, Debug)]
pub(super) enum Order {
    /// One signed word.
    Signed,
    /// The bits of a float.
    Float,
    /// A signed 128-bit integer.
    SignedWide,
    /// An unsigned 128-bit integer.
    UnsignedWide,
    /// Months, then microseconds.
    Interval,
    /// Bytes.
    Bytes,
    /// The key bytes of a container.
    Container(DataType),
}

impl Order {
    /// The order of a type.
    pub(super) fn of(ty: &DataType) -> Self {
        match ty.slot() {
            Slot::Word if ty.is_float() => Order::Float,
            Slot::Word => Order::Signed,
            Slot::Wide => match ty {
                DataType::Uuid => Order::UnsignedWide,
                DataType::Interval => Order::Interval,
                _ => Order::SignedWide,
            },
            Slot::Var if ty.is_container() => Order::Container(ty.clone()),
            Slot::Var => Order::Bytes,
        }
    }

    /// How two values that are not NULL compare.
    pub(super) fn compare(&self, a: HostArg<'_>, b: HostArg<'_>) -> Ordering {
        match self {
            Order::Signed => a.i64().cmp(&b.i64()),
            Order::Float => floats(a.f64(), b.f64()),
            Order::SignedWide => a.i128().cmp(&b.i128()),
            Order::UnsignedWide => (a.i128() as u128).cmp(&(b.i128() as u128)),
            Order::Interval => a.interval().cmp(&b.interval()),
            Order::Bytes => a.bytes().cmp(b.bytes()),
            Order::Container(ty) => containers(ty, a.container(), b.container()),
        }
    }
}

/// Floats with −0.0 = 0.0 and NaN equal to itself and above all others.
pub(super) fn floats(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

/// Two wide values of an order that is not of bytes.
pub(super) fn wides(order: &Order, a: [u64; 2], b: [u64; 2]) -> Ordering {
    match order {
        Order::UnsignedWide => (wide(a) as u128).cmp(&(wide(b) as u128)),
        Order::Interval => (a[0] as i64, a[1] as i64).cmp(&(b[0] as i64, b[1] as i64)),
        Order::Signed | Order::Float | Order::SignedWide | Order::Bytes | Order::Container(_) => {
            wide(a).cmp(&wide(b))
        }
    }
}

/// Two containers by their key bytes.
pub(super) fn containers(ty: &DataType, a: &[u64], b: &[u64]) -> Ordering {
    let (mut left, mut right) = (Vec::new(), Vec::new());
    append_container_key(a, ty, &mut left);
    append_container_key(b, ty, &mut right);
    left.cmp(&right)
}

/// Whether a comparison holds for values that compare so.
pub(super) fn holds(op: CompareOp, order: Ordering) -> bool {
    match op {
        CompareOp::Eq => order.is_eq(),
        CompareOp::Ne => order.is_ne(),
        CompareOp::Lt => order.is_lt(),
        CompareOp::Le => order.is_le(),
        CompareOp::Gt => order.is_gt(),
        CompareOp::Ge => order.is_ge(),
    }
}

/// How two values of a type compare; for callers that have single values.
pub fn compare_values(ty: &DataType, a: HostArg<'_>, b: HostArg<'_>) -> Ordering {
    Order::of(ty).compare(a, b)
}
