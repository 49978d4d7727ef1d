//! Where a question over a stream begins to read: at the first record that is not too old for what
//! its filters say of the records' timestamps. The filters stay.
//!
//! What always holds: no record dated before that is one that some reader's filter finds TRUE. How
//! far records are read does not follow from their timestamps, since those may be out of order.

use flow_ir::decode_plan::{Metadata, Origin};
use flow_ir::expr::{Expr, ExprKind};
use flow_ir::ids::NodeId;
use flow_ir::logical::{LogicalOp, Scan, ScanKind};
use flow_ir::physical::ClockSetting;
use flow_ir::types::DataType;
use flow_ir::value::Value;

use super::Lowering;
use super::ranges::{is_same, mirrored};
use crate::scalar::value_at;

impl Lowering<'_> {
    /// The timestamp before which no record of a scan is wanted, microseconds since 1970. Where the
    /// watermark counts, all records do.
    pub(super) fn since(&self, id: NodeId) -> Option<i64> {
        let LogicalOp::Scan(scan) = &self.plan.node(id).op else { return None };
        if scan.kind != ScanKind::Stream || scan.watermark.is_some() {
            return None;
        }
        let clock = match self.module.settings.clock {
            ClockSetting::System => self.asked_at?,
            ClockSetting::Fixed(at) => at,
            // It is what the records say.
            ClockSetting::Event => return None,
        };
        self.asked_at?;
        let readers = self.plan.order().into_iter().map(|reader| self.plan.node(reader));
        let readers = readers.filter(|reader| reader.inputs.contains(&id));
        let since = readers.map(|reader| match &reader.op {
            LogicalOp::Filter(filter) => bound(&filter.predicate, scan, clock),
            _ => None,
        });
        since.collect::<Option<Vec<i64>>>()?.into_iter().min()
    }
}

/// The timestamp that a condition wants at least.
fn bound(condition: &Expr, scan: &Scan, clock: i64) -> Option<i64> {
    if let ExprKind::And(args) = &condition.kind {
        return args.iter().filter_map(|arg| bound(arg, scan, clock)).max();
    }
    let ExprKind::Call { function, args, .. } = &condition.kind else { return None };
    let [a, b] = args.as_slice() else { return None };
    match (function.as_str(), is_timestamp(a, b, scan), is_timestamp(b, a, scan)) {
        (">" | ">=" | "=", true, _) => constant(b, clock),
        (function, _, true) if matches!(mirrored(function), ">" | ">=" | "=") => constant(a, clock),
        _ => None,
    }
}

/// Whether a side of a comparison is the record's timestamp, in the precision of the other side at
/// the most.
fn is_timestamp(side: &Expr, other: &Expr, scan: &Scan) -> bool {
    let inner = if let ExprKind::Cast { arg, lenient: false } = &side.kind { arg } else { side };
    let ExprKind::Column(column) = inner.kind else { return false };
    let column = &scan.columns[column];
    let widened = match &side.ty.data {
        ty if *ty == column.ty.data => true,
        ty @ DataType::Timestamp { .. } => is_same(&Value::Timestamp(0), &column.ty.data, ty),
        ty => is_same(&Value::TimestampLtz(0), &column.ty.data, ty),
    };
    column.origin == Origin::Metadata(Metadata::Timestamp)
        && widened
        && side.ty.data == other.ty.data
}

/// A timestamp that does not fall while the clock goes on, at this time.
fn constant(expr: &Expr, clock: i64) -> Option<i64> {
    if !rises(expr) {
        return None;
    }
    match value_at(expr, clock)? {
        Value::Timestamp(micros) | Value::TimestampLtz(micros) => Some(micros),
        _ => None,
    }
}

/// Whether it is a literal, or the clock, moved by an interval.
fn rises(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Literal(_) | ExprKind::Clock => true,
        ExprKind::Cast { arg, .. } => arg.ty.data.is_timestamp() && rises(arg),
        ExprKind::Call { function, args, .. } => match args.as_slice() {
            [time, interval] if matches!(function.as_str(), "+" | "-") => {
                let is_interval = interval.ty.data == DataType::Interval;
                let fixed = matches!(interval.kind, ExprKind::Literal(_));
                time.ty.data.is_timestamp() && is_interval && fixed && rises(time)
            }
            _ => false,
        },
        ExprKind::Column(_)
        | ExprKind::Case { .. }
        | ExprKind::And(_)
        | ExprKind::Or(_)
        | ExprKind::Not(_)
        | ExprKind::IsNull(_)
        | ExprKind::Field { .. }
        | ExprKind::Row(_)
        | ExprKind::Array(_)
        | ExprKind::Param(_)
        | ExprKind::Each { .. } => false,
    }
}
