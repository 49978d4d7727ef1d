//! GROUPING SETS, ROLLUP and CUBE: one aggregate for each grouping set over the same input, a key
//! that the set lacks as NULL, and the union of them all. Sets that are written twice count twice.

use flow_ir::expr::Expr;
use flow_ir::span::Span;
use flow_ir::types::{DataType, Type};

use super::Checker;
use super::aggregate::{AggregateExpr, Grouping, alike};
use super::expr::ExprCx;
use super::subquery::asks;
use super::typed::QueryId;
use crate::diagnostics::{Diagnostic, aggregates as problems};
use crate::syntax::ast::{self, ArgValue, Call, ExprKind, GroupItem};

/// The name under which GROUPING stands among the calls.
const GROUPING: &str = "GROUPING";
/// Grouping sets of one SELECT at most.
const SETS_MAX: usize = 256;

/// Grouping sets, as positions among their keys.
pub(super) type Sets = Vec<Vec<usize>>;

/// What stands above the groups, typed over their input.
#[derive(Clone)]
pub(super) struct Above {
    pub calls: Vec<AggregateExpr>,
    pub having: Option<Expr>,
    pub items: Vec<(String, Option<Expr>)>,
    /// The columns of the queries around, behind the items.
    pub outer: Vec<(String, Option<Expr>)>,
    /// The rows of which those are the columns, and whether the one group of a set without keys
    /// may be missing where it has no rows: `Outer::defaults`.
    pub around: Option<(QueryId, bool)>,
}

/// Which of several equal grouping sets a row is of.
const GROUP_ID: &str = "GROUP_ID";

/// Whether a call is GROUPING, GROUPING_ID or GROUP_ID.
pub(super) fn is_grouping(call: &Call) -> bool {
    let name = &call.name.last().text;
    [GROUPING, "GROUPING_ID", GROUP_ID].iter().any(|known| name.eq_ignore_ascii_case(known))
}

impl Checker<'_> {
    /// The grouping sets of GROUP BY's items, each once for every choice of one set of each item.
    /// `add` takes a key and gives its position.
    pub(super) fn grouping_sets<'s>(
        &mut self,
        items: &'s [GroupItem],
        add: &mut dyn FnMut(&mut Self, &'s ast::Expr) -> Option<usize>,
    ) -> Option<Sets> {
        let mut sets: Sets = vec![Vec::new()];
        for item in items {
            let choices = self.sets_of(item, add)?;
            let with = |set: &Vec<usize>| {
                let set = set.clone();
                let join = move |more: &Vec<usize>| [set.as_slice(), more.as_slice()].concat();
                choices.iter().map(join).collect::<Vec<_>>()
            };
            if sets.len() * choices.len() > SETS_MAX {
                return self.report(problems::too_many_sets(SETS_MAX, item_span(item)));
            }
            sets = sets.iter().flat_map(with).collect();
        }
        Some(sets)
    }

    /// The sets that one item stands for. Parentheses hold a list.
    fn sets_of<'s>(
        &mut self,
        item: &'s GroupItem,
        add: &mut dyn FnMut(&mut Self, &'s ast::Expr) -> Option<usize>,
    ) -> Option<Sets> {
        let mut list = |checker: &mut Self, exprs: &'s [ast::Expr]| {
            exprs.iter().map(|e| add(checker, e)).collect::<Option<Vec<usize>>>()
        };
        match item {
            GroupItem::Expr(ast::Expr { kind: ExprKind::Row(exprs), .. }) => {
                Some(vec![list(self, exprs)?])
            }
            GroupItem::Expr(e) => Some(vec![list(self, std::slice::from_ref(e))?]),
            GroupItem::Empty(_) => Some(vec![Vec::new()]),
            GroupItem::Rollup(lists, _) => {
                let lists: Option<Sets> = lists.iter().map(|l| list(self, l)).collect();
                let lists = lists?;
                Some((0..=lists.len()).rev().map(|n| lists[..n].concat()).collect())
            }
            GroupItem::Cube(lists, span) => {
                let lists: Option<Sets> = lists.iter().map(|l| list(self, l)).collect();
                let lists = lists?;
                if lists.len() > SETS_MAX.ilog2() as usize {
                    return self.report(problems::too_many_sets(SETS_MAX, *span));
                }
                let chosen = |choice: usize| {
                    let is =
                        |(at, _): &(usize, &Vec<usize>)| choice >> (lists.len() - 1 - at) & 1 == 1;
                    let parts = lists.iter().enumerate().filter(is);
                    parts.flat_map(|(_, list)| list.iter().copied()).collect()
                };
                Some((0..1usize << lists.len()).rev().map(chosen).collect())
            }
            GroupItem::Sets(items, span) => {
                let mut sets = Vec::new();
                for item in items {
                    sets.extend(self.sets_of(item, add)?);
                }
                if sets.len() > SETS_MAX {
                    return self.report(problems::too_many_sets(SETS_MAX, *span));
                }
                Some(sets)
            }
        }
    }

    /// GROUPING, GROUPING_ID or GROUP_ID as written.
    pub(super) fn grouping_expr(
        &mut self,
        call: &Call,
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<AggregateExpr> {
        let name = call.name.last().text.to_uppercase();
        let mut args = Vec::with_capacity(call.args.len());
        for arg in &call.args {
            match &arg.value {
                ArgValue::Expr(e) => args.push(self.expr(e, cx)?),
                ArgValue::Wildcard
                | ArgValue::Unit(_)
                | ArgValue::Lambda { .. }
                | ArgValue::Table(_)
                | ArgValue::Descriptor(_) => {
                    let what = "this argument";
                    return self.report(problems::modifier_not_taken(&name, what, arg.span));
                }
            }
        }
        if (name == GROUP_ID) != args.is_empty() {
            return self.report(problems::modifier_not_taken(&name, "these arguments", span));
        }
        let modified = call.distinct || call.filter.is_some() || !call.order_by.is_empty();
        if modified || !call.within_group.is_empty() || call.nulls.is_some() {
            return self.report(problems::modifier_not_taken(&name, "a modifier", span));
        }
        Some(AggregateExpr {
            function: (if name == GROUP_ID { GROUP_ID } else { GROUPING }).to_string(),
            args,
            params: Vec::new(),
            order: Vec::new(),
            distinct: false,
            ignore_nulls: false,
            filter: None,
            by_offset: false,
            ty: Type::not_null(DataType::BigInt),
        })
    }

    /// What GROUPING gives in a set with these keys and without those: a bit for each argument,
    /// the last the lowest, set where the argument is not grouped by. What GROUP_ID gives is how
    /// many sets of these keys stand before.
    pub(super) fn grouping_number(
        &mut self,
        call: &AggregateExpr,
        (keys, missing): (&[Expr], &[Expr]),
        again: i64,
        span: Span,
    ) -> Option<i64> {
        if call.function == GROUP_ID {
            return Some(again);
        }
        let mut number = 0;
        for arg in &call.args {
            let is = |key: &Expr| alike(key, arg);
            let bit = match (keys.iter().any(is), missing.iter().any(is)) {
                (true, _) => 0,
                (false, true) => 1,
                (false, false) => {
                    let span = if arg.span == Span::default() { span } else { arg.span };
                    return self.report(problems::not_a_key(span));
                }
            };
            number = number << 1 | bit;
        }
        Some(number)
    }

    /// One grouping set: the groups, the filter over them, the items. `one_group`: without keys,
    /// those of the queries around apart, so that there is always a group.
    fn grouping_set(
        &mut self,
        mut grouping: Grouping,
        mut above: Above,
        one_group: bool,
    ) -> Option<QueryId> {
        let span = grouping.span;
        let items = above.items.iter_mut().filter_map(|(_, expr)| expr.as_mut());
        self.settle_grouping(&mut grouping, items.chain(&mut above.having))?;
        let mut grouped = self.group(grouping)?;
        let around = above.around.filter(|_| one_group);
        let asks = above.items.iter().filter_map(|(_, e)| e.as_ref()).any(asks);
        if let Some((outer, defaults)) = around {
            match defaults && !asks {
                true => self.body.empty = self.over_nothing(&grouped, &above.items),
                false => grouped.node = self.complete(grouped.node, outer, span)?,
            }
        }
        let mut node = grouped.node;
        let having = above.having.and_then(|having| self.regroup(having, &grouped));
        if let Some(condition) = having {
            node = self.having(node, condition, &grouped)?;
        }
        let mut columns = Vec::with_capacity(above.items.len() + above.outer.len());
        for (name, expr) in above.items.into_iter().chain(above.outer) {
            columns.push((name, expr.and_then(|expr| self.regroup(expr, &grouped))));
        }
        self.project_settled(node, columns, span, &|checker, e| checker.regroup(e, &grouped))
    }

    /// The union of all grouping sets. `keys` are those of all sets, each as its expressions (a
    /// window is two); without sets there is one of all keys.
    pub(super) fn grouping_union(
        &mut self,
        input: QueryId,
        keys: &[Vec<Expr>],
        sets: &Sets,
        above: &Above,
        span: Span,
        clause: Option<Span>,
    ) -> Option<QueryId> {
        let mut branches = Vec::with_capacity(sets.len());
        let mut before: Vec<Vec<Expr>> = Vec::with_capacity(sets.len());
        for set in sets {
            let found = self.found.len();
            let mut of_set: Vec<Expr> = Vec::new();
            for key in set.iter().flat_map(|at| &keys[*at]) {
                if sets.len() == 1 || !of_set.iter().any(|known| alike(known, key)) {
                    of_set.push(key.clone());
                }
            }
            let mut missing: Vec<Expr> = keys.iter().flatten().cloned().collect();
            missing.retain(|key| !of_set.iter().any(|known| alike(known, key)));
            let again = before.iter().filter(|keys| alike_sets(keys, &of_set)).count() as i64;
            before.push(of_set.clone());
            let (keys, calls) = (of_set, above.calls.clone());
            let grouping = Grouping { input, keys, missing, again, calls, span, clause };
            // The columns of the queries around are the last key.
            let one_group = self.body.outer > 0 && set.len() == 1;
            branches.push(self.grouping_set(grouping, above.clone(), one_group)?);
            // What there is to say is much the same in every set: once is enough.
            let told = self.found.split_off(found);
            let failed = told.iter().any(Diagnostic::is_error);
            let new = told.into_iter().filter(|more| !self.found.contains(more));
            let new: Vec<Diagnostic> = new.collect();
            self.found.extend(new);
            if failed && sets.len() > 1 {
                return None;
            }
        }
        match branches.as_slice() {
            [one] => Some(*one),
            _ => Some(self.union_all(branches, span)),
        }
    }
}

/// Whether two sets of keys are the same, in whatever order.
fn alike_sets(a: &[Expr], b: &[Expr]) -> bool {
    let within = |keys: &[Expr], of: &[Expr]| {
        keys.iter().all(|key| of.iter().any(|known| alike(known, key)))
    };
    within(a, b) && within(b, a)
}

/// Whether a name in a call stands for a number of the grouping set, and not for an aggregate.
pub(super) fn is_of_set(function: &str) -> bool {
    function == GROUPING || function == GROUP_ID
}

/// The sets, each with this key too if `there`.
pub(super) fn with_key(mut sets: Sets, key: usize, there: bool) -> Sets {
    sets.iter_mut().for_each(|set| set.extend(there.then_some(key)));
    sets
}

/// The keys that some of the sets lack.
pub(super) fn null_keys(keys: &[Vec<Expr>], sets: &Sets) -> Vec<Expr> {
    let lacks = |set: &Vec<usize>, key: &Expr| {
        !set.iter().flat_map(|at| &keys[*at]).any(|known| alike(known, key))
    };
    let mut all: Vec<Expr> = keys.iter().flatten().cloned().collect();
    all.retain(|key| sets.iter().any(|set| lacks(set, key)));
    all
}

fn item_span(item: &GroupItem) -> Span {
    match item {
        GroupItem::Expr(e) => e.span,
        GroupItem::Empty(span)
        | GroupItem::Rollup(_, span)
        | GroupItem::Cube(_, span)
        | GroupItem::Sets(_, span) => *span,
    }
}
