//! The joins of a FROM as they are best made. A condition that no NULL passes makes an outer join
//! an inner one. What equals a constant makes all that equals it equal the constant. Inner joins
//! take another order where the written one would pair every row with every row: always the first
//! relation, as written, that has an equality with those before it.

use std::collections::BTreeSet;
use std::ops::Range;

use flow_ir::expr::{Expr, ExprKind};
use flow_ir::span::Span;
use flow_stdlib::builtin::{NullRule, lookup};

use super::Checker;
use super::from::{Kind, Tree, TreeJoin, plain_column};
use super::join::Sides;
use super::literal::constant;
use super::typed::QueryId;

/// A relation among inner joins: what it is, its columns in FROM.
struct Part {
    tree: Tree,
    columns: Range<usize>,
}

impl Part {
    fn has(&self, column: usize) -> bool {
        self.columns.contains(&column)
    }
}

/// The join that gives the same rows where these conditions hold.
pub(super) fn narrowed(join: &TreeJoin, base: usize, pool: &[Expr]) -> Kind {
    let split = base + join.left.width();
    let end = split + join.right.width();
    let rejects = |side: Range<usize>| pool.iter().any(|e| rejects_nulls(e, &side));
    let (left, right) = (|| rejects(base..split), || rejects(split..end));
    match join.kind {
        Kind::Left if right() => Kind::Inner,
        Kind::Right if left() => Kind::Inner,
        Kind::Full => match (left(), right()) {
            (true, true) => Kind::Inner,
            (true, false) => Kind::Left,
            (false, true) => Kind::Right,
            (false, false) => Kind::Full,
        },
        kind @ (Kind::Inner | Kind::Left | Kind::Right | Kind::Semi | Kind::Anti) => kind,
    }
}

/// Whether a condition is not TRUE where all these columns are NULL.
fn rejects_nulls(condition: &Expr, of: &Range<usize>) -> bool {
    match &condition.kind {
        ExprKind::And(items) => items.iter().any(|e| rejects_nulls(e, of)),
        ExprKind::Or(items) => items.iter().all(|e| rejects_nulls(e, of)),
        ExprKind::Not(inner) => match &inner.kind {
            ExprKind::IsNull(arg) => is_null_with(arg, of),
            _ => is_null_with(inner, of),
        },
        ExprKind::Call { function, args, .. } if function == "IS TRUE" => {
            args.iter().any(|e| rejects_nulls(e, of))
        }
        _ => is_null_with(condition, of),
    }
}

/// Whether an expression is NULL where all these columns are.
fn is_null_with(expr: &Expr, of: &Range<usize>) -> bool {
    match &expr.kind {
        ExprKind::Column(at) => of.contains(at),
        ExprKind::Call { function, args, .. } => {
            let strict = lookup(function).is_some_and(|b| b.nulls == NullRule::Strict);
            strict && args.iter().any(|e| is_null_with(e, of))
        }
        ExprKind::Cast { arg, .. } | ExprKind::Field { arg, .. } => is_null_with(arg, of),
        ExprKind::Not(arg) => is_null_with(arg, of),
        ExprKind::Literal(_)
        | ExprKind::Case { .. }
        | ExprKind::And(_)
        | ExprKind::Or(_)
        | ExprKind::IsNull(_)
        | ExprKind::Row(_)
        | ExprKind::Array(_)
        | ExprKind::Param(_)
        | ExprKind::Each { .. }
        | ExprKind::Clock => false,
    }
}

/// The two sides of an equality.
fn equality(condition: &Expr) -> Option<[&Expr; 2]> {
    match &condition.kind {
        ExprKind::Call { function, args, .. } if function == "=" => match args.as_slice() {
            [a, b] => Some([a, b]),
            _ => None,
        },
        _ => None,
    }
}

/// Adds what follows from columns that equal each other and constants.
pub(super) fn add_implied(pool: &mut Vec<Expr>) {
    loop {
        let known = |column: usize| {
            pool.iter().filter_map(equality).any(|[a, b]| {
                let is =
                    |a: &Expr, b: &Expr| plain_column(a) == Some(column) && constant(b).is_some();
                is(a, b) || is(b, a)
            })
        };
        let implied = pool.iter().find_map(|condition| {
            let [a, b] = equality(condition)?;
            let (left, right) = (plain_column(a)?, plain_column(b)?);
            let (from, target) = match (known(left), known(right)) {
                (true, false) => (left, b),
                (false, true) => (right, a),
                (true, true) | (false, false) => return None,
            };
            let fixed = pool.iter().find(|e| {
                equality(e).is_some_and(|[a, b]| {
                    let is =
                        |a: &Expr, b: &Expr| plain_column(a) == Some(from) && constant(b).is_some();
                    (is(a, b) || is(b, a)) && a.ty.data == target.ty.data
                })
            })?;
            let mut fixed = fixed.clone();
            fixed.rewrite(&mut |e| {
                if plain_column(e) == Some(from) {
                    *e = target.clone();
                }
            });
            fixed.ty = condition.ty.clone();
            Some(fixed)
        });
        match implied {
            Some(condition) => pool.push(condition),
            None => return,
        }
    }
}

impl Checker<'_> {
    /// Inner joins in another order than the written one; `None` where that is as good as any.
    /// Takes the conditions that it uses from `pool`.
    pub(super) fn reordered(
        &mut self,
        join: &TreeJoin,
        base: usize,
        pool: &mut Vec<Expr>,
    ) -> Option<Option<QueryId>> {
        let mut parts = Vec::new();
        let mut conditions = pool.clone();
        flatten(&Tree::Join(Box::new(join.clone())), base, &mut conditions, &mut parts);
        if parts.len() < 3 {
            return None;
        }
        let order = best_order(&parts, &conditions)?;
        *pool = conditions;
        Some(self.join_parts(&parts, &order, base, pool, join.span))
    }

    fn join_parts(
        &mut self,
        parts: &[Part],
        order: &[usize],
        base: usize,
        pool: &mut Vec<Expr>,
        span: Span,
    ) -> Option<QueryId> {
        let nodes: Vec<Option<QueryId>> =
            parts.iter().map(|part| self.assemble(&part.tree, part.columns.start, pool)).collect();
        let nodes = nodes.into_iter().collect::<Option<Vec<QueryId>>>()?;
        // Positions in FROM of the columns of what is joined so far.
        let mut places: Vec<usize> = parts[order[0]].columns.clone().collect();
        let mut joined = nodes[order[0]];
        for &next in &order[1..] {
            let part = &parts[next];
            let uses = |e: &mut Expr| {
                let columns = e.columns();
                columns.iter().all(|at| part.has(*at) || places.contains(at))
                    && columns.iter().any(|at| part.has(*at))
                    && columns.iter().any(|at| !part.has(*at))
            };
            let mut conditions: Vec<Expr> = pool.extract_if(.., uses).collect();
            places.extend(part.columns.clone());
            let place = |at: usize| places.iter().position(|known| *known == at).unwrap_or(at);
            conditions.iter_mut().for_each(|e| e.map_columns(&place));
            let (kind, left, right) = (Kind::Inner, joined, nodes[next]);
            let sides = Sides { kind, left, right, conditions, as_of: None, span };
            joined = self.join_sides(sides)?;
        }
        let as_written = (base..base + places.len()).map(|at| places.iter().position(|p| *p == at));
        let as_written = as_written.collect::<Option<Vec<usize>>>()?;
        Some(self.select_columns(joined, as_written, span))
    }
}

/// The relations that inner joins put together, and their conditions.
fn flatten(tree: &Tree, base: usize, pool: &mut Vec<Expr>, parts: &mut Vec<Part>) {
    if let Tree::Join(join) = tree
        && join.as_of.is_none()
        && narrowed(join, base, pool) == Kind::Inner
    {
        pool.extend(join.on.iter().cloned());
        flatten(&join.left, base, pool, parts);
        flatten(&join.right, base + join.left.width(), pool, parts);
        return;
    }
    let columns = base..base + tree.width();
    parts.push(Part { tree: tree.clone(), columns });
}

/// An order with fewer joins of every row with every row than the written one.
fn best_order(parts: &[Part], pool: &[Expr]) -> Option<Vec<usize>> {
    let owner = |column: usize| parts.iter().position(|part| part.has(column));
    let owners = |e: &Expr| e.columns().into_iter().map(owner).collect::<Option<BTreeSet<usize>>>();
    let mut links: Vec<(BTreeSet<usize>, BTreeSet<usize>)> = Vec::new();
    for [a, b] in pool.iter().filter_map(equality) {
        if let (Some(a), Some(b)) = (owners(a), owners(b))
            && !a.is_empty()
            && !b.is_empty()
        {
            links.push((a.clone(), b.clone()));
            links.push((b, a));
        }
    }
    let linked = |before: &BTreeSet<usize>, next: usize| {
        links.iter().any(|(a, b)| a.is_subset(before) && b.len() == 1 && b.contains(&next))
    };
    let crosses = |order: &[usize]| {
        let before = |at: usize| order[..at].iter().copied().collect::<BTreeSet<usize>>();
        (1..order.len()).filter(|at| !linked(&before(*at), order[*at])).count()
    };
    let written: Vec<usize> = (0..parts.len()).collect();
    let mut order = vec![0];
    while order.len() < parts.len() {
        let before: BTreeSet<usize> = order.iter().copied().collect();
        let mut rest = written.iter().copied().filter(|part| !before.contains(part));
        let first = rest.clone().next()?;
        order.push(rest.find(|part| linked(&before, *part)).unwrap_or(first));
    }
    (crosses(&order) < crosses(&written)).then_some(order)
}
