//! Subqueries in ON, and USING of a FULL JOIN: joins that become a node while FROM is read, since
//! values have to be computed below or above them.
//!
//! What reads one side alone is computed for the rows of that side. What reads both is asked for
//! the pairs of rows; the combinations of values for which it holds go with the rows of the other
//! side, so that a row that has no partner stays.

use std::collections::BTreeSet;

use flow_ir::expr::Expr;
use flow_ir::logical::JoinClass;
use flow_ir::physical::JoinKind;
use flow_ir::span::Span;
use flow_ir::value::Value;

use super::Checker;
use super::expr::conjuncts;
use super::from::{Kind, Tree, TreeJoin};
use super::join::{Equality, Sides};
use super::subquery::{Asked, FIRST_COLUMN, Place, asks, subqueries_in};
use super::typed::QueryId;

/// Two sides and the conditions on them: positions as written, and where they are now.
#[derive(Clone, Copy)]
struct Asking {
    kind: Kind,
    /// The side whose rows stay, then the other.
    sides: [QueryId; 2],
    /// Columns of the left side, as written.
    split: usize,
    /// Columns of the right side.
    right: usize,
    turned: bool,
    span: Span,
}

impl Asking {
    /// Where a column is among those of both sides. `first`: how many the first side has.
    fn place(&self, at: usize, first: usize) -> usize {
        match (at < self.split, self.turned) {
            (true, false) => at,
            (true, true) => at + first,
            (false, false) => at - self.split + first,
            (false, true) => at - self.split,
        }
    }

    fn placed(&self, mut expr: Expr, first: usize) -> Expr {
        expr.map_columns(&|at| if at < FIRST_COLUMN { self.place(at, first) } else { at });
        expr
    }
}

impl Checker<'_> {
    /// The node of a join with subqueries in its ON, over positions that begin with its own left
    /// side, which has position `base` in FROM.
    pub(super) fn join_asking(&mut self, join: TreeJoin, base: usize) -> Option<QueryId> {
        let TreeJoin { kind, left, right, on, span, .. } = join;
        let (split, width) = (left.width(), right.width());
        let left = self.assemble_apart(&left, base)?;
        let right = self.assemble_apart(&right, base + split)?;
        let on = on.into_iter().flat_map(conjuncts);
        let (asked, conditions): (Vec<Expr>, Vec<Expr>) = on.partition(asks);
        if kind == Kind::Inner {
            let sides = Sides { kind, left, right, conditions, as_of: None, span };
            let pairs = self.join_sides(sides)?;
            return self.settle_conditions(pairs, asked, &|_, e| Some(e));
        }
        let reads_both = |condition: &Expr| {
            let reads = self.read_by(condition);
            reads.iter().any(|at| *at < split) && reads.iter().any(|at| *at >= split)
        };
        if kind == Kind::Full && asked.iter().any(reads_both) {
            let sides = ([left, right], [split, width]);
            return self.full_join_asking(sides, asked, conditions, span);
        }
        let turned = kind == Kind::Right;
        let sides = if turned { [right, left] } else { [left, right] };
        let kind = if turned { Kind::Left } else { kind };
        let asking = Asking { kind, sides, split, right: width, turned, span };
        self.outer_join_asking(asking, asked, conditions)
    }

    /// A FULL JOIN as what a LEFT JOIN gives, and the right rows that have no partner.
    fn full_join_asking(
        &mut self,
        ([left, right], [split, width]): ([QueryId; 2], [usize; 2]),
        asked: Vec<Expr>,
        conditions: Vec<Expr>,
        span: Span,
    ) -> Option<QueryId> {
        let of_left = Asking {
            kind: Kind::Left,
            sides: [left, right],
            split,
            right: width,
            turned: false,
            span,
        };
        let of_right = Asking { kind: Kind::Anti, sides: [right, left], turned: true, ..of_left };
        let matched = self.outer_join_asking(of_left, asked.clone(), conditions.clone())?;
        let alone = self.outer_join_asking(of_right, asked, conditions)?;
        let columns = self.query_node(matched).columns[..split].to_vec();
        let missing = columns.into_iter().map(|column| {
            let null = Expr::literal(Value::Null, column.ty.with_nullable(true), span);
            (column.name, Some(null))
        });
        let own = (0..width).map(|at| self.pass_column(alone, at, span));
        let items = missing.chain(own).collect();
        let alone = self.project(alone, items, span);
        Some(self.union_all(vec![matched, alone], span))
    }

    fn outer_join_asking(
        &mut self,
        mut join: Asking,
        asked: Vec<Expr>,
        conditions: Vec<Expr>,
    ) -> Option<QueryId> {
        let span = join.span;
        let mut marks = Vec::new();
        let mut both = Vec::new();
        for condition in asked {
            let reads = self.read_by(&condition);
            let of_left = reads.iter().all(|at| *at < join.split);
            if !of_left && !reads.iter().all(|at| *at >= join.split) {
                both.push(condition);
                continue;
            }
            let side = usize::from(of_left == join.turned);
            let (at, ty) = self.mark_side(&mut join, side, of_left, condition)?;
            marks.push((side, at, ty));
        }
        let first = self.query_node(join.sides[0]).columns.len();
        let conditions = conditions.into_iter().map(|e| join.placed(e, first));
        let mark = |(side, at, ty): (usize, usize, _)| Expr::column(at + side * first, ty, span);
        let mut conditions: Vec<Expr> = conditions.chain(marks.into_iter().map(mark)).collect();
        if !both.is_empty() {
            self.with_partners(&mut join, both, &mut conditions)?;
        }
        let (kind, [left, right]) = (join.kind, join.sides);
        let joined = self.join_sides(Sides { kind, left, right, conditions, as_of: None, span })?;
        let columns = match (kind.has_pairs(), join.turned) {
            (true, _) => 0..join.split + join.right,
            (false, false) => 0..join.split,
            (false, true) => join.split..join.split + join.right,
        };
        Some(self.select_columns(joined, columns.map(|at| join.place(at, first)), span))
    }

    /// A side with a condition that reads it alone as a further column.
    fn mark_side(
        &mut self,
        join: &mut Asking,
        side: usize,
        of_left: bool,
        condition: Expr,
    ) -> Option<(usize, flow_ir::types::Type)> {
        let shift = if of_left { 0 } else { join.split };
        let over_side = move |mut e: Expr| {
            e.map_columns(&|at| if at < FIRST_COLUMN { at - shift } else { at });
            e
        };
        let rows = join.sides[side];
        let width = self.query_node(rows).columns.len();
        let mut settled = [over_side(condition)];
        let wider = self.settle(rows, &mut settled, &|_, e| Some(over_side(e)))?;
        let [condition] = settled;
        let changelog = self.query_node(wider).changelog;
        self.deny_clock(&condition, changelog)?;
        let ty = condition.ty.clone();
        let mut items: Vec<_> =
            (0..width).map(|at| self.pass_column(wider, at, join.span)).collect();
        items.push((format!("$on{width}"), Some(condition)));
        join.sides[side] = self.project(wider, items, join.span);
        Some((width, ty))
    }

    /// The second side with the values that the first one's partners have in what these conditions
    /// read, once for each combination for which they hold.
    fn with_partners(
        &mut self,
        join: &mut Asking,
        asked: Vec<Expr>,
        conditions: &mut Vec<Expr>,
    ) -> Option<()> {
        let span = join.span;
        let [left, right] = join.sides;
        let first = self.query_node(left).columns.len();
        let width = self.query_node(right).columns.len();
        let reads: BTreeSet<usize> = asked.iter().flat_map(|e| self.read_by(e)).collect();
        let reads = reads.into_iter().map(|at| join.place(at, first));
        let (of_first, of_second): (Vec<usize>, Vec<usize>) = reads.partition(|at| *at < first);
        let (kind, plain) = (Kind::Inner, conditions.clone());
        let sides = Sides { kind, left, right, conditions: plain, as_of: None, span };
        let pairs = self.join_sides(sides)?;
        let asked = asked.into_iter().map(|e| join.placed(e, first)).collect();
        let place: Place<'_> = &|_, e| Some(join.placed(e, first));
        let pairs = self.settle_conditions(pairs, asked, place)?;
        let columns = of_second.iter().chain(&of_first).copied();
        let values = self.select_columns(pairs, columns, span);
        let values = self.distinct_values(values, span);
        let equality = |(nth, at): (usize, &usize)| {
            let ty = |node: QueryId, at: usize| self.query_node(node).columns[at].ty.clone();
            let left = Expr::column(at - first, ty(right, at - first), span);
            let right = Expr::column(nth, ty(values, nth), span);
            Equality { left, condition: right.clone(), right, nulls_equal: true }
        };
        let equal = of_second.iter().enumerate().map(equality).collect();
        let (class, inner) = (JoinClass::Regular, JoinKind::Inner);
        let wider = self.keyed_join(right, values, inner, equal, Vec::new(), class, span)?;
        let keys = width + of_second.len();
        let columns = (0..width).chain(keys..keys + of_first.len());
        let wider = self.select_columns(wider, columns, span);
        for (nth, at) in of_first.into_iter().enumerate() {
            let column = |checker: &Self, node: QueryId, at: usize, shift: usize| {
                let ty = checker.query_node(node).columns[at].ty.clone();
                Expr::column(at + shift, ty, span)
            };
            let sides = vec![column(self, left, at, 0), column(self, wider, width + nth, first)];
            conditions.push(self.operator("IS NOT DISTINCT FROM", sides, span)?);
        }
        join.sides[1] = wider;
        Some(())
    }

    /// The columns that an expression and the subqueries in it read.
    fn read_by(&self, expr: &Expr) -> BTreeSet<usize> {
        let mut reads: BTreeSet<usize> = expr.columns().into_iter().collect();
        reads.retain(|at| *at < FIRST_COLUMN);
        for number in subqueries_in(std::slice::from_ref(expr)) {
            let subquery = &self.subqueries[number];
            reads.extend(&subquery.used);
            if let Asked::Any(_, arg) = &subquery.asked {
                reads.extend(self.read_by(arg));
            }
        }
        reads
    }

    /// The node of a FULL JOIN by USING: behind the columns of both sides the common ones.
    pub(super) fn full_using(
        &mut self,
        (left, right): (&Tree, &Tree),
        on: Vec<Expr>,
        base: usize,
        span: Span,
    ) -> Option<QueryId> {
        let split = left.width();
        let left = self.assemble_apart(left, base)?;
        let right = self.assemble_apart(right, base + split)?;
        let pairs: Vec<(usize, usize)> = on.iter().filter_map(|e| sides_of(e, split)).collect();
        let (kind, conditions) = (Kind::Full, on);
        let sides = Sides { kind, left, right, conditions, as_of: None, span };
        let joined = self.join_sides(sides)?;
        let mut common = Vec::with_capacity(pairs.len());
        for (l, r) in pairs {
            let columns = &self.query_node(joined).columns;
            let name = columns[l].name.clone();
            let sides = [l, r].map(|at| Expr::column(at, columns[at].ty.clone(), span));
            common.push((name, Some(self.operator("COALESCE", sides.to_vec(), span)?)));
        }
        Some(self.extend(joined, common, span))
    }
}

/// The columns that a condition of USING equates, the left one first.
fn sides_of(condition: &Expr, split: usize) -> Option<(usize, usize)> {
    let columns = condition.columns();
    let left = columns.iter().copied().find(|at| *at < split)?;
    let right = columns.iter().copied().find(|at| *at >= split)?;
    Some((left, right))
}
