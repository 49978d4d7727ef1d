//! Join: two changelogs for ever. Each side's rows are kept with their weights; a change on one
//! side meets all rows that the other side has by then, so that every pair is met once. Where rows
//! are taken back, an epoch's output is added up first: what came and went within it is not seen.

use flow_ir::ids::TableId;
use flow_ir::physical::{Changelog, Join, JoinKind, TableKind};
use flow_ir::row::{RowBatch, key_group};
use flow_ir::types::DataType;

use super::changes::NetRows;
use super::pairs::{Pairs, Side, check_keys};
use super::{OpCx, OpError, Operator, Plan};

/// Pairs that are held before they are looked at, at most about this many.
pub(super) const PAIRS_MAX: usize = 16_384;

pub(super) struct JoinOp {
    sides: [Side; 2],
    tables: [TableId; 2],
    pairs: Pairs,
    /// Weights of the pairs.
    weights: Vec<i64>,
    /// Output of the epoch, where rows may be taken back.
    net: Option<NetRows>,
    key: Vec<u8>,
}

impl JoinOp {
    pub(super) fn new(op: &Join, plan: &Plan<'_>) -> Result<Self, String> {
        match op.kind {
            JoinKind::Inner => {}
            JoinKind::Left => return Err("left joins of changelogs are not supported".into()),
        }
        let (left, right) = (plan.input(0)?, plan.input(1)?);
        check_keys(&left, &op.left_keys, &right, &op.right_keys)?;
        let weight = [DataType::BigInt];
        let table = |id| plan.table(id, TableKind::Ordered, &weight);
        let retracts = plan.vertex.changelog == Changelog::Retract;
        Ok(Self {
            sides: [Side::new(left, &op.left_keys)?, Side::new(right, &op.right_keys)?],
            tables: [table(op.left)?, table(op.right)?],
            pairs: Pairs::new(plan, op.condition.as_ref())?,
            weights: Vec::new(),
            net: retracts.then(|| NetRows::new(&plan.output())),
            key: Vec::new(),
        })
    }

    /// Looks at the pairs collected, and emits those that pass.
    fn look(&mut self, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        let (pairs, passed) = self.pairs.take(cx);
        match &mut self.net {
            None => {
                for place in passed {
                    self.pairs.emit(pairs.row(place), self.weights[place], cx.emit);
                }
            }
            Some(net) => {
                let rows = passed.iter().map(|&place| (pairs.row(place), self.weights[place]));
                net.add(rows)?;
            }
        }
        self.weights.clear();
        self.pairs.recycle(pairs);
        cx.refuse_too_much(self.net.as_ref().map_or(0, NetRows::bytes))
    }
}

impl Operator for JoinOp {
    fn on_batch(&mut self, port: usize, rows: &RowBatch, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        let [own, other] = if port == 0 { [0, 1] } else { [1, 0] };
        let mut keys = std::mem::take(&mut self.sides[own].keys);
        self.sides[own].key.encode(rows, &mut keys);
        for (i, row) in rows.rows().enumerate() {
            if self.sides[own].key.has_null(row) {
                continue;
            }
            let (key, group, weight) = (keys.key(i), key_group(keys.hash(i)), rows.weight(i));
            self.key.clear();
            self.key.extend_from_slice(key);
            self.sides[own].append_row(row, &mut self.key);
            cx.state.ordered(self.tables[own]).add_weight(group, &self.key, weight)?;
            let (limit, table) = (cx.limit_bytes, cx.state.ordered(self.tables[other]));
            let count = table.layout().column(0);
            let mut weights = Vec::new();
            let partners = table.scan(Some(group), key)?.map(|entry| {
                weights.push(weight.wrapping_mul(entry.row.i64(count)));
                &entry.key[key.len()..]
            });
            let partners = self.sides[other].rows(partners, limit)?;
            for (partner, weight) in partners.rows().zip(weights) {
                let [left, right] = if port == 0 { [row, partner] } else { [partner, row] };
                self.pairs.push(left, right);
                self.weights.push(weight);
                if self.weights.len() >= PAIRS_MAX {
                    self.look(cx)?;
                }
            }
        }
        self.sides[own].keys = keys;
        self.look(cx)
    }

    fn on_epoch_end(&mut self, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        match &mut self.net {
            Some(net) => net.emit(cx.emit),
            None => Ok(()),
        }
    }
}
