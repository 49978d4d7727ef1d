//! Queries, SELECT and FROM.

use flow_ir::span::Span;
use pest::iterators::Pairs;

use super::call::into_expr;
use super::{Builder, Node, child, children, has, must};
use crate::diagnostics::{plans, syntax};
use crate::syntax::ast::{
    ArgValue, Call, Cte, Distinct, Emit, EmitMode, Expr, ExprKind, Frame, FrameBound, FrameExclude,
    FrameUnit, GroupBy, GroupItem, Join, JoinConstraint, JoinKind, Literal, NamedWindow,
    NumberKind, ObjectName, Query, Select, SelectItem, SelectItemKind, SetExpr, SetExprKind, SetOp,
    TableAlias, TableFactor, TableFactorKind, TableRef, WindowSpec, With,
};
use crate::syntax::grammar::Rule;

/// The order that messages about misplaced clauses show.
pub(crate) const CLAUSE_ORDER: &str = "WITH, SELECT, FROM, WHERE, GROUP BY, HAVING, WINDOW, \
     QUALIFY, UNION and its kin, ORDER BY, LIMIT, OFFSET, EMIT";

impl SelectItem {
    /// `*`.
    pub(crate) fn every(span: Span) -> SelectItem {
        let kind = SelectItemKind::Wildcard {
            qualifier: None,
            row: None,
            exclude: Vec::new(),
            replace: Vec::new(),
            rename: Vec::new(),
        };
        SelectItem { kind, span }
    }
}

impl Builder<'_> {
    pub(super) fn query(&mut self, pair: Node<'_>) -> Query {
        let span = self.span(&pair);
        let levels = 1 + children(&pair, Rule::set_op).count();
        if !self.enter(levels, &pair) {
            return empty_query(span);
        }
        let with = child(&pair, Rule::with).map(|c| self.with(&c));
        let mut parts = pair.into_inner();
        let first = must(parts.find(|c| is_term(c)));
        let first = self.set_term(first);
        let query = self.query_rest(with, first, parts, span);
        self.leave(levels);
        query
    }

    /// A query whose first term was in parentheses and is built already.
    pub(super) fn query_from(&mut self, first: SetExpr, tail: Node<'_>) -> Query {
        let span = first.span.to(self.span(&tail));
        let levels = 1 + children(&tail, Rule::set_op).count();
        if !self.enter(levels, &tail) {
            return empty_query(span);
        }
        let query = self.query_rest(None, first, tail.into_inner(), span);
        self.leave(levels);
        query
    }

    fn query_rest(
        &mut self,
        with: Option<With>,
        first: SetExpr,
        rest: Pairs<'_, Rule>,
        span: Span,
    ) -> Query {
        let mut chain = SetChain::new(first);
        let mut query = empty_query(span);
        query.with = with;
        let mut op = None;
        for part in rest {
            let at = self.span(&part);
            let misplaced = match part.as_rule() {
                Rule::set_op => {
                    op = Some(set_op(&part));
                    None
                }
                Rule::order_by => {
                    let items = self.order_by(&part);
                    let old = std::mem::replace(&mut query.order_by, items);
                    let late = query.limit.is_some() || query.offset.is_some();
                    (late || !old.is_empty() || query.emit.is_some()).then_some("ORDER BY")
                }
                Rule::limit | Rule::fetch => {
                    let limit = self.limit(&part);
                    query.with_ties = has(&part, Rule::k_ties);
                    let old = std::mem::replace(&mut query.limit, limit);
                    old.map(|_| "LIMIT")
                }
                Rule::offset => {
                    let offset = self.first_expr(&part);
                    query.offset.replace(offset).map(|_| "OFFSET")
                }
                Rule::emit => {
                    let mode = match has(&part, Rule::k_changes) {
                        true => EmitMode::Changes,
                        false => EmitMode::Final,
                    };
                    query.emit.replace(Emit { mode, span: at }).map(|_| "EMIT")
                }
                _ => {
                    let right = self.set_term(part);
                    chain.push(must(op.take()), right);
                    None
                }
            };
            if let Some(clause) = misplaced {
                self.report(syntax::misplaced_clause(at, clause, CLAUSE_ORDER));
            }
        }
        query.body = chain.finish();
        query
    }

    /// LIMIT or FETCH; `LIMIT ALL` is none, `FETCH FIRST ROW ONLY` is one.
    fn limit(&mut self, pair: &Node<'_>) -> Option<Expr> {
        if pair.as_rule() == Rule::limit {
            return child(pair, Rule::expr).map(|c| self.expr(c));
        }
        match child(pair, Rule::fetch_count) {
            Some(count) => Some(self.first_expr(&count)),
            None => {
                let one = Literal::Number { text: "1".to_owned(), kind: NumberKind::Integer };
                Some(Expr { kind: ExprKind::Literal(one), span: self.span(pair) })
            }
        }
    }

    fn with(&mut self, pair: &Node<'_>) -> With {
        let tables = children(pair, Rule::cte)
            .map(|cte| Cte {
                name: self.first_ident(&cte),
                columns: match child(&cte, Rule::typed_list) {
                    Some(typed) => self.idents(&typed),
                    None => self.ident_list(&cte),
                },
                query: match child(&cte, Rule::query) {
                    Some(query) => self.query(query),
                    None => self.changelog(&must(child(&cte, Rule::changelog_of))),
                },
            })
            .collect();
        With { recursive: has(pair, Rule::k_recursive), tables, span: self.span(pair) }
    }

    /// `AS CHANGELOG FROM table` of RisingWave.
    fn changelog(&mut self, pair: &Node<'_>) -> Query {
        let span = self.span(pair);
        let help = "A sink of the format debezium-json has every change.";
        self.report(plans::not_available("AS CHANGELOG FROM", span, Some(help)));
        Query::of(SetExpr { kind: SetExprKind::Table(self.first_name(pair)), span })
    }

    fn set_term(&mut self, pair: Node<'_>) -> SetExpr {
        let span = self.span(&pair);
        let kind = match pair.as_rule() {
            Rule::select => SetExprKind::Select(Box::new(self.select(&pair))),
            Rule::values => SetExprKind::Values(
                children(&pair, Rule::values_row)
                    .map(|row| match self.first_expr(&row) {
                        Expr { kind: ExprKind::Row(fields), .. } => fields,
                        single => vec![single],
                    })
                    .collect(),
            ),
            Rule::table_query => SetExprKind::Table(self.first_name(&pair)),
            _ => {
                let query = self.query(must(child(&pair, Rule::query)));
                SetExprKind::Query(Box::new(query))
            }
        };
        SetExpr { kind, span }
    }

    fn select(&mut self, pair: &Node<'_>) -> Select {
        let distinct = child(pair, Rule::distinct).map_or(Distinct::All, |distinct| {
            match child(&distinct, Rule::distinct_on) {
                Some(on) => Distinct::On(self.exprs(&on)),
                None => Distinct::Distinct(self.span(&distinct)),
            }
        });
        let mut items: Vec<SelectItem> =
            children(pair, Rule::select_item).map(|c| self.select_item(&c)).collect();
        if items.is_empty() {
            items.push(SelectItem::every(self.span(pair)));
        }
        let from = child(pair, Rule::from).map_or_else(Vec::new, |from| {
            children(&from, Rule::table_ref).map(|c| self.table_ref(&c)).collect()
        });
        let mut select = Select {
            distinct,
            items,
            from,
            time_window: child(pair, Rule::time_window).and_then(|c| self.time_window(&c)),
            filter: child(pair, Rule::filter_rows).map(|c| self.first_expr(&c)),
            key_by: child(pair, Rule::key_by).map_or_else(Vec::new, |c| self.exprs(&c)),
            group_by: child(pair, Rule::group_by).map(|c| self.group_by(&c)),
            having: child(pair, Rule::having).map(|c| self.first_expr(&c)),
            windows: Vec::new(),
            qualify: None,
            span: self.span(pair),
        };
        for part in pair.clone().into_inner() {
            match part.as_rule() {
                Rule::window => {
                    let windows: Vec<_> = children(&part, Rule::named_window).collect();
                    select.windows.extend(windows.iter().map(|window| NamedWindow {
                        name: self.first_ident(window),
                        spec: self.window_spec(&must(child(window, Rule::window_spec))),
                    }));
                }
                Rule::qualify => {
                    let condition = self.first_expr(&part);
                    if select.qualify.replace(condition).is_some() {
                        let at = self.span(&part);
                        self.report(syntax::misplaced_clause(at, "QUALIFY", CLAUSE_ORDER));
                    }
                }
                _ => {}
            }
        }
        select
    }

    fn select_item(&mut self, pair: &Node<'_>) -> SelectItem {
        let span = self.span(pair);
        let all_fields = child(pair, Rule::all_fields);
        let kind = match child(pair, Rule::wildcard).or(all_fields.clone()) {
            Some(wildcard) => {
                let parts = self.idents(&wildcard);
                let row = all_fields.map(|_| Box::new(self.first_expr(pair)));
                let exclude = child(&wildcard, Rule::exclude).map_or_else(Vec::new, |c| {
                    let listed = self.ident_list(&c);
                    if listed.is_empty() { self.idents(&c) } else { listed }
                });
                let replace = child(&wildcard, Rule::replace).map_or_else(Vec::new, |c| {
                    children(&c, Rule::replacement)
                        .map(|r| (self.first_expr(&r), self.first_ident(&r)))
                        .collect()
                });
                let rename = child(&wildcard, Rule::rename).map_or_else(Vec::new, |c| {
                    let pair = |r: Node<'_>| {
                        let mut names = self.idents(&r).into_iter();
                        Some((names.next()?, names.next()?))
                    };
                    children(&c, Rule::renaming).filter_map(pair).collect()
                });
                let qualifier = (!parts.is_empty()).then_some(ObjectName { parts });
                SelectItemKind::Wildcard { qualifier, row, exclude, replace, rename }
            }
            None => SelectItemKind::Expr {
                expr: self.first_expr(pair),
                alias: child(pair, Rule::column_alias).map(|c| self.first_ident(&c)),
            },
        };
        SelectItem { kind, span }
    }

    fn group_by(&mut self, pair: &Node<'_>) -> GroupBy {
        if has(pair, Rule::k_all) {
            return GroupBy::All(self.span(pair));
        }
        GroupBy::Items(children(pair, Rule::group_item).map(|c| self.group_item(&c)).collect())
    }

    fn group_item(&mut self, pair: &Node<'_>) -> GroupItem {
        let span = self.span(pair);
        if has(pair, Rule::empty_group) {
            return GroupItem::Empty(span);
        }
        if let Some(sets) = child(pair, Rule::grouping_sets) {
            if !self.enter(1, pair) {
                return GroupItem::Empty(span);
            }
            let items = children(&sets, Rule::group_item).map(|c| self.group_item(&c)).collect();
            self.leave(1);
            return GroupItem::Sets(items, span);
        }
        let expr = self.first_expr(pair);
        let ExprKind::Call(call) = &expr.kind else { return GroupItem::Expr(expr) };
        let is_function = |word| call.name.as_single().is_some_and(|name| name.is_word(word));
        let plain = call.args.iter().all(|arg| matches!(arg.value, ArgValue::Expr(_)));
        if !plain || !(is_function("rollup") || is_function("cube")) {
            return GroupItem::Expr(expr);
        }
        let is_rollup = is_function("rollup");
        let ExprKind::Call(call) = expr.kind else { return GroupItem::Empty(span) };
        let lists = call
            .args
            .into_iter()
            .filter_map(|arg| match arg.value {
                ArgValue::Expr(Expr { kind: ExprKind::Row(fields), .. }) => Some(fields),
                value => into_expr(value).map(|single| vec![single]),
            })
            .collect();
        match is_rollup {
            true => GroupItem::Rollup(lists, span),
            false => GroupItem::Cube(lists, span),
        }
    }

    pub(super) fn table_ref(&mut self, pair: &Node<'_>) -> TableRef {
        let first = self.table_factor(&must(child(pair, Rule::table_factor)));
        let joins = children(pair, Rule::join).map(|c| self.join(&c)).collect();
        TableRef { first, joins, span: self.span(pair) }
    }

    fn join(&mut self, pair: &Node<'_>) -> Join {
        let words = must(child(pair, Rule::join_kind));
        let kind = match words.clone().into_inner().find_map(|c| join_kind(c.as_rule())) {
            Some(JoinKind::Left) if has(&words, Rule::k_semi) => JoinKind::Semi,
            Some(JoinKind::Left) if has(&words, Rule::k_anti) => JoinKind::Anti,
            Some(kind) => kind,
            None => JoinKind::Inner,
        };
        let right = self.table_factor(&must(child(pair, Rule::table_factor)));
        let conditions = [Rule::match_condition, Rule::join_on].map(|rule| child(pair, rule));
        let conditions: Vec<Expr> =
            conditions.into_iter().flatten().map(|c| self.first_expr(&c)).collect();
        let on = match conditions.len() {
            0 | 1 => conditions.into_iter().next(),
            _ => {
                let all = conditions.into_iter().flat_map(conjuncts).collect();
                Some(Expr { kind: ExprKind::And(all), span: self.span(pair) })
            }
        };
        let constraint = match (on, child(pair, Rule::join_using)) {
            (Some(on), None) => JoinConstraint::On(on),
            (Some(on), Some(using)) => {
                let what = "MATCH_CONDITION with USING";
                self.report(plans::not_available(what, self.span(&using), Some("Write ON.")));
                JoinConstraint::On(on)
            }
            (None, Some(using)) => JoinConstraint::Using(self.ident_list(&using)),
            (None, None) => JoinConstraint::None,
        };
        let natural = has(&words, Rule::k_natural);
        let within = child(pair, Rule::join_within).map(|c| self.join_within(&c));
        let asof = has(&words, Rule::k_asof);
        Join { kind, natural, asof, right, within, constraint, span: self.span(pair) }
    }

    fn table_factor(&mut self, pair: &Node<'_>) -> TableFactor {
        let span = self.span(pair);
        let mut factor = TableFactor {
            kind: TableFactorKind::Query(Box::new(empty_query(span))),
            alias: None,
            lateral: has(pair, Rule::k_lateral),
            span,
        };
        if !self.enter(1, pair) {
            return factor;
        }
        for part in pair.clone().into_inner() {
            match part.as_rule() {
                Rule::k_lateral => {}
                Rule::table_alias => factor.alias = Some(self.table_alias(&part)),
                Rule::system_time => {
                    let time = self.expr(must(child(&part, Rule::arith)));
                    if let TableFactorKind::Named { system_time, .. } = &mut factor.kind {
                        *system_time = Some(time);
                    } else {
                        let at = self.span(&part);
                        let form = "FROM a JOIN table FOR SYSTEM_TIME AS OF a.time ON …";
                        self.report(syntax::malformed_call(at, "FOR SYSTEM_TIME", form));
                    }
                }
                Rule::match_recognize => {
                    let pattern = Box::new(self.match_recognize(&part));
                    let lateral = std::mem::take(&mut factor.lateral);
                    let alias = factor.alias.take();
                    let inner = TableFactor { kind: factor.kind, alias, lateral, span };
                    let input = Box::new(inner);
                    factor.kind = TableFactorKind::MatchRecognize { input, pattern };
                }
                Rule::pivot | Rule::unpivot => {
                    let (lateral, alias) =
                        (std::mem::take(&mut factor.lateral), factor.alias.take());
                    let source = TableFactor { kind: factor.kind, alias, lateral, span };
                    let query = match part.as_rule() {
                        Rule::pivot => self.pivot(source, &part),
                        _ => self.unpivot(source, &part),
                    };
                    factor.kind = TableFactorKind::Query(Box::new(query));
                }
                _ => {
                    let (kind, alias) = self.table_primary(&part);
                    factor.kind = kind;
                    factor.alias = alias;
                }
            }
        }
        self.leave(1);
        factor
    }

    /// The table itself; parentheses around one table are dropped, its alias stays.
    fn table_primary(&mut self, pair: &Node<'_>) -> (TableFactorKind, Option<TableAlias>) {
        match pair.as_rule() {
            Rule::object_name => {
                let name = self.object_name(pair);
                (TableFactorKind::Named { name, system_time: None }, None)
            }
            Rule::table_paren => self.table_paren(pair),
            Rule::table_wrapped => (self.table_call(&must(child(pair, Rule::table_call))), None),
            _ => (self.table_call(pair), None),
        }
    }

    fn table_paren(&mut self, pair: &Node<'_>) -> (TableFactorKind, Option<TableAlias>) {
        if let Some(query) = child(pair, Rule::query) {
            return (TableFactorKind::Query(Box::new(self.query(query))), None);
        }
        let inner = self.table_ref(&must(child(pair, Rule::table_ref)));
        let alone = inner.joins.is_empty() && !inner.first.lateral;
        match (child(pair, Rule::set_tail), inner.first.kind) {
            (None, kind) if alone => (kind, inner.first.alias),
            (None, kind) => {
                let first = TableFactor { kind, ..inner.first };
                (TableFactorKind::Nested(Box::new(TableRef { first, ..inner })), None)
            }
            (Some(tail), TableFactorKind::Query(query)) if alone && inner.first.alias.is_none() => {
                let body = SetExpr { kind: SetExprKind::Query(query), span: inner.span };
                (TableFactorKind::Query(Box::new(self.query_from(body, tail))), None)
            }
            (Some(tail), kind) => {
                self.unexpected_tail(&tail);
                (kind, inner.first.alias)
            }
        }
    }

    fn table_call(&mut self, pair: &Node<'_>) -> TableFactorKind {
        let name = self.object_name(&must(child(pair, Rule::call_name)));
        let ordinality = has(pair, Rule::ordinality);
        let args = self.table_args(&name, pair);
        let is_unnest = name.as_single().is_some_and(|name| name.is_word("unnest"));
        if is_unnest
            && args.iter().all(|a| a.name.is_none() && matches!(a.value, ArgValue::Expr(_)))
        {
            let args = args.into_iter().filter_map(|arg| into_expr(arg.value));
            return TableFactorKind::Unnest { args: args.collect(), ordinality };
        }
        if is_unnest {
            let at = self.span(pair);
            let form = "UNNEST(array) WITH ORDINALITY";
            self.report(syntax::malformed_call(at, "UNNEST", form));
        } else if ordinality {
            let span = self.span(pair);
            let kind = ExprKind::Call(Box::new(Call::plain(name, args)));
            return TableFactorKind::Unnest { args: vec![Expr { kind, span }], ordinality };
        }
        TableFactorKind::Function { name, args }
    }

    fn table_alias(&mut self, pair: &Node<'_>) -> TableAlias {
        TableAlias { name: self.first_ident(pair), columns: self.ident_list(pair) }
    }

    pub(super) fn window_spec(&mut self, pair: &Node<'_>) -> WindowSpec {
        WindowSpec {
            base: child(pair, Rule::window_base).map(|c| self.first_ident(&c)),
            partition_by: self.first_partition_by(pair),
            order_by: self.first_order_by(pair),
            frame: child(pair, Rule::frame).map(|c| self.frame(&c)),
            span: self.span(pair),
        }
    }

    /// The PARTITION BY directly below; empty without one.
    pub(super) fn first_partition_by(&mut self, pair: &Node<'_>) -> Vec<Expr> {
        child(pair, Rule::partition_by).map_or_else(Vec::new, |c| self.exprs(&c))
    }

    fn frame(&mut self, pair: &Node<'_>) -> Frame {
        let unit = must(child(pair, Rule::frame_unit));
        let unit = match must(unit.into_inner().next()).as_rule() {
            Rule::k_rows => FrameUnit::Rows,
            Rule::k_range => FrameUnit::Range,
            _ => FrameUnit::Groups,
        };
        let mut bounds = children(pair, Rule::frame_bound);
        let start = self.frame_bound(&must(bounds.next()));
        let end = bounds.next().map(|c| self.frame_bound(&c));
        let exclude = child(pair, Rule::frame_exclude).map(|c| {
            if has(&c, Rule::k_current) {
                FrameExclude::CurrentRow
            } else if has(&c, Rule::k_group) {
                FrameExclude::Group
            } else if has(&c, Rule::k_ties) {
                FrameExclude::Ties
            } else {
                FrameExclude::NoOthers
            }
        });
        Frame { unit, start, end, exclude, span: self.span(pair) }
    }

    fn frame_bound(&mut self, pair: &Node<'_>) -> FrameBound {
        let preceding = has(pair, Rule::k_preceding);
        match child(pair, Rule::arith) {
            Some(offset) if preceding => FrameBound::Preceding(self.expr(offset)),
            Some(offset) => FrameBound::Following(self.expr(offset)),
            None if has(pair, Rule::k_current) => FrameBound::CurrentRow,
            None if preceding => FrameBound::UnboundedPreceding,
            None => FrameBound::UnboundedFollowing,
        }
    }
}

/// Set operations and their inputs, folded by precedence.
struct SetChain {
    terms: Vec<SetExpr>,
    ops: Vec<(SetOp, bool)>,
}

impl SetChain {
    fn new(first: SetExpr) -> Self {
        Self { terms: vec![first], ops: Vec::new() }
    }

    fn push(&mut self, op: (SetOp, bool), right: SetExpr) {
        let tight = op.0 == SetOp::Intersect;
        self.reduce(|waiting| !tight || waiting == SetOp::Intersect);
        self.ops.push(op);
        self.terms.push(right);
    }

    fn finish(mut self) -> SetExpr {
        self.reduce(|_| true);
        must(self.terms.pop())
    }

    fn reduce(&mut self, applies: impl Fn(SetOp) -> bool) {
        while let Some((op, all)) = self.ops.pop_if(|(op, _)| applies(*op)) {
            let right = Box::new(must(self.terms.pop()));
            let left = Box::new(must(self.terms.pop()));
            let span = left.span.to(right.span);
            self.terms.push(SetExpr { kind: SetExprKind::SetOp { op, all, left, right }, span });
        }
    }
}

fn is_term(pair: &Node<'_>) -> bool {
    matches!(pair.as_rule(), Rule::select | Rule::values | Rule::table_query | Rule::paren_query)
}

fn set_op(pair: &Node<'_>) -> (SetOp, bool) {
    let op = match must(pair.clone().into_inner().next()).as_rule() {
        Rule::k_union if has(pair, Rule::by_name) => SetOp::UnionByName,
        Rule::k_union => SetOp::Union,
        Rule::k_intersect => SetOp::Intersect,
        _ => SetOp::Except,
    };
    (op, has(pair, Rule::k_all))
}

fn conjuncts(condition: Expr) -> Vec<Expr> {
    match condition.kind {
        ExprKind::And(all) => all,
        kind => vec![Expr { kind, ..condition }],
    }
}

fn join_kind(rule: Rule) -> Option<JoinKind> {
    match rule {
        Rule::k_inner => Some(JoinKind::Inner),
        Rule::k_left => Some(JoinKind::Left),
        Rule::k_right => Some(JoinKind::Right),
        Rule::k_full => Some(JoinKind::Full),
        Rule::k_cross => Some(JoinKind::Cross),
        Rule::k_semi => Some(JoinKind::Semi),
        Rule::k_anti => Some(JoinKind::Anti),
        _ => None,
    }
}

/// A query without content, to be filled, or in place of one that was refused.
fn empty_query(span: Span) -> Query {
    Query::of(SetExpr { kind: SetExprKind::Values(Vec::new()), span })
}
