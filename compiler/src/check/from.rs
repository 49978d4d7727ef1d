//! FROM: its relations side by side. First the tree of joins is built, with every condition over
//! the positions of all columns from left to right; then it becomes nodes, each join taking the
//! conditions that read both of its sides.

use flow_ir::expr::{Expr, ExprKind};
use flow_ir::span::Span;

use super::Checker;
use super::expr::{ExprCx, conjuncts};
use super::lateral::reads_left;
use super::scope::{Found, Scope};
use super::subquery::Outer;
use super::typed::{QueryId, QueryOp};
use super::{Meaning, join};
use crate::diagnostics::{joins, names, plans, syntax};
use crate::syntax::ast::{
    self, Ident, JoinConstraint, JoinKind, ObjectName, TableFactor, TableFactorKind, TableRef,
};

/// Tables in one FROM at most, parentheses apart: joins nest to the left.
const FROM_TABLES_MAX: usize = 200;

/// The joins of a FROM.
#[derive(Clone, Debug)]
pub(super) enum Tree {
    /// A relation, and how many columns it has.
    Leaf(QueryId, usize),
    /// Two sides.
    Join(Box<TreeJoin>),
}

/// A join of the tree.
#[derive(Clone, Debug)]
pub(super) struct TreeJoin {
    pub kind: Kind,
    pub left: Tree,
    pub right: Tree,
    /// Conjuncts of ON, over the positions of the whole FROM.
    pub on: Vec<Expr>,
    /// FOR SYSTEM_TIME AS OF, likewise.
    pub as_of: Option<AsOf>,
    pub span: Span,
}

/// FOR SYSTEM_TIME AS OF on a table.
#[derive(Clone, Debug)]
pub(super) struct AsOf {
    /// The time of the version.
    pub time: Expr,
    /// The name that the table has in the query: its alias, if it has one.
    pub alias: String,
}

/// Joins that can become nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Inner,
    Left,
    Right,
    Full,
    Semi,
    Anti,
}

impl Kind {
    /// Whether its columns are those of both sides, and not the left ones alone.
    fn has_pairs(self) -> bool {
        !matches!(self, Kind::Semi | Kind::Anti)
    }
}

impl Tree {
    /// The tree without its leftmost relation, if it joins it with others.
    pub(super) fn without_first(&self) -> Option<Tree> {
        let Tree::Join(join) = self else { return None };
        if matches!(join.left, Tree::Leaf(..)) {
            return (join.as_of.is_none()).then(|| join.right.clone());
        }
        let left = join.left.without_first()?;
        let on = join.on.clone();
        let (right, as_of) = (join.right.clone(), join.as_of.clone());
        let join = TreeJoin { kind: join.kind, left, right, on, as_of, span: join.span };
        Some(Tree::Join(Box::new(join)))
    }

    fn width(&self) -> usize {
        match self {
            Tree::Leaf(_, width) => *width,
            Tree::Join(join) if !join.kind.has_pairs() => join.left.width(),
            Tree::Join(join) => join.left.width() + join.right.width(),
        }
    }
}

/// A table in FROM and the time of its version, if one is asked for.
struct Factor<'a> {
    query: QueryId,
    scope: Scope,
    as_of: Option<&'a ast::Expr>,
}

impl<'a> Checker<'a> {
    /// The relations of FROM.
    pub(super) fn from(
        &mut self,
        from: &[TableRef],
        outer: Option<&Outer>,
    ) -> Option<(Tree, Scope)> {
        let tables: usize = from.iter().map(|item| 1 + item.joins.len()).sum();
        if tables > FROM_TABLES_MAX {
            let span = from.iter().map(|item| item.span).reduce(Span::to).unwrap_or_default();
            return self.report(syntax::nested_too_deeply(span, FROM_TABLES_MAX));
        }
        let mut all: Option<(Tree, Scope)> = outer
            .map(|outer| (Tree::Leaf(outer.node, outer.scope.columns.len()), outer.scope.clone()));
        let made = from.first().is_none_or(|item| reads_left(&item.first));
        if all.is_none() && made {
            let span = from.first().map_or_else(Span::default, |item| item.span);
            let query = self.one_row(span)?;
            all = Some((Tree::Leaf(query, 1), self.scope_of(query, None)));
        }
        let mut failed = false;
        for item in from {
            all = match (all, item.joins.as_slice()) {
                (Some(left), joins) if reads_left(&item.first) => {
                    let cross = (JoinKind::Cross, &JoinConstraint::None);
                    let first = self.join_lateral(left, cross, &item.first, 0);
                    first.and_then(|first| self.joins(first, joins, 0))
                }
                (Some((left, scope)), []) => self.comma(left, scope, &item.first),
                (left, _) => {
                    let base = left.as_ref().map_or(0, |(tree, _)| tree.width());
                    let right = self.table_ref(item, base);
                    let at = item.span;
                    match (left, right) {
                        (left, None) => {
                            failed = true;
                            left
                        }
                        (None, right) => right,
                        (Some(left), Some(right)) => self
                            .unique_tables(&left.1, &right.1)
                            .map(|()| side_by_side(left, right, at)),
                    }
                }
            };
            failed |= all.is_none();
        }
        if failed {
            return None;
        }
        all
    }

    /// `…, factor`.
    fn comma(
        &mut self,
        left: Tree,
        mut scope: Scope,
        factor: &TableFactor,
    ) -> Option<(Tree, Scope)> {
        let right = self.factor(factor)?;
        let as_of = match right.as_of {
            Some(time) => Some(self.as_of(time, &right.scope, &scope, 0)?),
            None => None,
        };
        let width = right.scope.columns.len();
        self.unique_tables(&scope, &right.scope)?;
        scope.append(right.scope);
        let right = Tree::Leaf(right.query, width);
        let (kind, on, span) = (Kind::Inner, Vec::new(), factor.span);
        Some((Tree::Join(Box::new(TreeJoin { kind, left, right, on, as_of, span })), scope))
    }

    /// A table and what is joined to it. Its first column has position `base`.
    fn table_ref(&mut self, from: &TableRef, base: usize) -> Option<(Tree, Scope)> {
        let first = self.first(&from.first, base)?;
        self.joins(first, &from.joins, base)
    }

    /// What is joined to the left side, whose first column has position `base`.
    fn joins(
        &mut self,
        (mut tree, mut scope): (Tree, Scope),
        joins: &[ast::Join],
        base: usize,
    ) -> Option<(Tree, Scope)> {
        let mut failed = false;
        for join in joins {
            if reads_left(&join.right) {
                let how = (join.kind, &join.constraint);
                (tree, scope) = self.join_lateral((tree, scope), how, &join.right, base)?;
                continue;
            }
            let Some(right) = self.right_side(join, base + tree.width()) else {
                failed = true;
                continue;
            };
            match self.join_onto(tree, scope, join, right, base) {
                Some(joined) => (tree, scope) = joined,
                None => return None,
            }
        }
        (!failed).then_some((tree, scope))
    }

    fn first(&mut self, factor: &TableFactor, base: usize) -> Option<(Tree, Scope)> {
        if let TableFactorKind::Nested(inner) = &factor.kind {
            return self.table_ref(inner, base);
        }
        let found = self.factor(factor)?;
        if let Some(time) = found.as_of {
            return self.report(joins::temporal_time(time.span, false));
        }
        let width = found.scope.columns.len();
        Some((Tree::Leaf(found.query, width), found.scope))
    }

    /// The right side of a join: a leaf with its time, or joins in parentheses.
    fn right_side<'f>(
        &mut self,
        join: &'f ast::Join,
        base: usize,
    ) -> Option<(Tree, Scope, Option<&'f ast::Expr>)> {
        if let TableFactorKind::Nested(inner) = &join.right.kind {
            let (tree, scope) = self.table_ref(inner, base)?;
            return Some((tree, scope, None));
        }
        let Factor { query, scope, as_of } = self.factor(&join.right)?;
        Some((Tree::Leaf(query, scope.columns.len()), scope, as_of))
    }

    fn join_onto(
        &mut self,
        left: Tree,
        mut scope: Scope,
        join: &ast::Join,
        (right, right_scope, as_of): (Tree, Scope, Option<&ast::Expr>),
        base: usize,
    ) -> Option<(Tree, Scope)> {
        let kind = match join.kind {
            JoinKind::Inner | JoinKind::Cross => Kind::Inner,
            JoinKind::Left => Kind::Left,
            JoinKind::Right => Kind::Right,
            JoinKind::Full => Kind::Full,
            JoinKind::Semi => Kind::Semi,
            JoinKind::Anti => Kind::Anti,
        };
        let as_of = match as_of {
            Some(time) => Some(self.as_of(time, &right_scope, &scope, base)?),
            None => None,
        };
        let split = scope.columns.len();
        let natural = join.natural.then(|| common_names(&scope, &right_scope, join.span));
        let using = match &join.constraint {
            JoinConstraint::Using(names) => Some(names.as_slice()),
            JoinConstraint::None | JoinConstraint::On(_) => natural.as_deref(),
        };
        if kind == Kind::Full && using.is_some() {
            let instead = "Write ON, and COALESCE(l.k, r.k) where the common column is read.";
            let what = "USING or NATURAL of a FULL JOIN";
            return self.report(plans::not_available(what, join.span, Some(instead)));
        }
        let mut on = match using {
            Some(names) => self.using(names, &scope, &right_scope, join.span)?,
            None => Vec::new(),
        };
        self.unique_tables(&scope, &right_scope)?;
        scope.append(right_scope);
        for (column, at) in scope.columns.iter_mut().zip(0..) {
            column.ty.nullable |= match kind {
                Kind::Inner | Kind::Semi | Kind::Anti => false,
                Kind::Left => at >= split,
                Kind::Right => at < split,
                Kind::Full => true,
            };
            let hidden = (kind == Kind::Right) == (at < split);
            let shared = |names: &[Ident]| names.iter().any(|n| same_name(&n.text, &column.name));
            if hidden && using.is_some_and(shared) {
                column.bare = false;
            }
        }
        if let JoinConstraint::On(condition) = &join.constraint {
            let condition = self.condition(condition, &mut ExprCx::rows(&scope, "ON"))?;
            on = conjuncts(condition);
        }
        for condition in &mut on {
            condition.map_columns(&|at| at + base);
        }
        if !kind.has_pairs() {
            scope.truncate(split);
        }
        let join = TreeJoin { kind, left, right, on, as_of, span: join.span };
        Some((Tree::Join(Box::new(join)), scope))
    }

    pub(super) fn later<T>(&mut self, feature: &str, span: Span) -> Option<T> {
        self.report(plans::not_available(feature, span, None))
    }

    /// The equalities of USING, over the left columns and the right ones behind them.
    fn using(
        &mut self,
        names: &[Ident],
        left: &Scope,
        right: &Scope,
        span: Span,
    ) -> Option<Vec<Expr>> {
        let mut equal = Vec::with_capacity(names.len());
        for name in names {
            let written = ObjectName::single(name.clone());
            let l = self.resolve(&written, left).map(|(at, _)| at);
            let r = self.resolve(&written, right).map(|(at, _)| at);
            let (l, r) = (l?, r?);
            let at = |scope: &Scope, column: usize, shift: usize| {
                Expr::column(column + shift, scope.columns[column].ty.clone(), name.span)
            };
            let sides = vec![at(left, l, 0), at(right, r, left.columns.len())];
            equal.push(self.operator("=", sides, span)?);
        }
        Some(equal)
    }

    /// The version of `table` at a time of `scope`, the relations before it.
    fn as_of(
        &mut self,
        time: &ast::Expr,
        table: &Scope,
        scope: &Scope,
        base: usize,
    ) -> Option<AsOf> {
        let place = "FOR SYSTEM_TIME AS OF";
        let mut time = self.expr(time, &mut ExprCx::rows(scope, place))?;
        time.map_columns(&|at| at + base);
        let name = table.tables.first().and_then(|table| table.name.as_ref());
        Some(AsOf { time, alias: name.map_or_else(String::new, ToString::to_string) })
    }

    /// One table of FROM.
    fn factor<'f>(&mut self, factor: &'f TableFactor) -> Option<Factor<'f>> {
        let (query, name, as_of) = match &factor.kind {
            TableFactorKind::Named { name, system_time } => {
                let query = self.named_query(name)?;
                (query, Some(name.last().clone()), system_time.as_ref())
            }
            TableFactorKind::Query(query) => (self.query(query)?, None, None),
            TableFactorKind::Function { name, args } => {
                let (query, name) = self.table_function(name, args, factor.span)?;
                (query, name, None)
            }
            TableFactorKind::Unnest { .. } => {
                return self.later("UNNEST in parentheses", factor.span);
            }
            TableFactorKind::MatchRecognize { .. } => {
                return self.later("MATCH_RECOGNIZE", factor.span);
            }
            TableFactorKind::Nested(inner) => {
                return self.later("a join in parentheses here", inner.span);
            }
        };
        let mut named = query;
        if let Some(alias) = &factor.alias
            && !alias.columns.is_empty()
        {
            let place = format!("alias {}", alias.name);
            named = self.rename(query, &alias.columns, &place, factor.span)?;
        }
        let name = factor.alias.as_ref().map(|a| a.name.clone()).or(name);
        let scope = self.scope_of(named, name);
        if let Some(alias) = &factor.alias {
            self.note_alias(&alias.name, &scope);
        }
        Some(Factor { query: named, scope, as_of })
    }

    /// A CTE, view, stream or table by name.
    pub(super) fn named_query(&mut self, name: &ObjectName) -> Option<QueryId> {
        if let Some(single) = name.as_single() {
            let innermost = self.ctes.iter().rev().map(|(cte, _)| cte.text.as_str());
            let found = match super::scope::find(&single.text, innermost) {
                Found::One(at) => Some(at),
                Found::Many(all) => all.first().copied(),
                Found::None => None,
            };
            if let Some(at) = found {
                let (cte, query) = self.ctes[self.ctes.len() - 1 - at].clone();
                self.note_cte(single.span, &cte, query);
                return query;
            }
        }
        let named = self.lookup(name)?;
        match named.meaning {
            Meaning::View(query) => Some(query),
            Meaning::Index => {
                self.report(names::index_as_relation(&named.name, name.span(), named.span))
            }
            Meaning::Served(at) => Some(self.read_served(at, name.span())),
            Meaning::Poisoned => None,
            Meaning::Relation(id) => {
                self.read(id, name.span())?;
                Some(self.scan(id))
            }
        }
    }

    /// Makes nodes of a tree whose first column has position `base`. Takes from `pool` the
    /// conjuncts that its joins can use.
    pub(super) fn assemble(
        &mut self,
        tree: &Tree,
        base: usize,
        pool: &mut Vec<Expr>,
    ) -> Option<QueryId> {
        let join = match tree {
            Tree::Leaf(query, _) => return self.settle_rank(*query, base, pool),
            Tree::Join(join) => join,
        };
        let split = base + join.left.width();
        let (left, right, mut conditions) = match join.kind {
            Kind::Inner => {
                pool.extend(join.on.iter().cloned());
                let left = self.assemble(&join.left, base, pool);
                let right = self.assemble(&join.right, split, pool);
                let within = base..base + tree.width();
                let both = |e: &mut Expr| {
                    let columns = e.columns();
                    columns.iter().all(|c| within.contains(c))
                        && columns.iter().any(|c| *c < split)
                        && columns.iter().any(|c| *c >= split)
                };
                (left, right, pool.extract_if(.., both).collect::<Vec<Expr>>())
            }
            Kind::Left | Kind::Semi | Kind::Anti => {
                let left = self.assemble(&join.left, base, pool);
                (left, self.assemble_apart(&join.right, split), join.on.clone())
            }
            Kind::Full => {
                let left = self.assemble_apart(&join.left, base);
                (left, self.assemble_apart(&join.right, split), join.on.clone())
            }
            Kind::Right => {
                let left = self.assemble_apart(&join.left, base);
                (left, self.assemble(&join.right, split, pool), join.on.clone())
            }
        };
        for condition in &mut conditions {
            condition.map_columns(&|at| at - base);
        }
        let as_of = join.as_of.clone().map(|mut as_of| {
            as_of.time.map_columns(&|at| at.saturating_sub(base));
            as_of
        });
        let (left, right) = left.zip(right)?;
        self.join_sides(join::Sides {
            kind: join.kind,
            left,
            right,
            conditions,
            as_of,
            span: join.span,
        })
    }

    /// The declared name of a relation that a tree's leaf scans, for messages.
    pub(super) fn leaf_name(&self, query: QueryId) -> String {
        if let QueryOp::Scan(id) = &self.query_node(query).op {
            return self.module.relation(*id).stream.name.clone();
        }
        String::from("the right side")
    }

    /// A query with other column names; it still waits for the filter on its row number.
    pub(super) fn rename(
        &mut self,
        query: QueryId,
        columns: &[Ident],
        place: &str,
        span: Span,
    ) -> Option<QueryId> {
        let width = self.query_node(query).columns.len();
        if width != columns.len() {
            return self.report(plans::wrong_count(place, columns.len(), width, span));
        }
        for (at, column) in columns.iter().enumerate() {
            if let Some(first) = columns[..at].iter().find(|c| c.text == column.text) {
                let problem =
                    names::duplicate_column(&column.text, place, column.span, Some(first.span));
                return self.report(problem);
            }
        }
        let items = (0..width).map(|at| {
            let (_, expr) = self.pass_column(query, at, columns[at].span);
            (columns[at].text.clone(), expr)
        });
        let items = items.collect();
        let renamed = self.project(query, items, span);
        let named: Vec<Option<Span>> = columns.iter().map(|c| Some(c.span)).collect();
        self.note_defined(renamed, &named);
        if let Some(rank) = self.ranks.get(&query) {
            let rank = rank.renamed(&self.query_node(renamed).columns);
            self.ranks.insert(renamed, rank);
        }
        Some(renamed)
    }
}

fn side_by_side(left: (Tree, Scope), right: (Tree, Scope), span: Span) -> (Tree, Scope) {
    let (left, mut scope) = left;
    let (right, right_scope) = right;
    scope.append(right_scope);
    let join = TreeJoin { kind: Kind::Inner, left, right, on: Vec::new(), as_of: None, span };
    (Tree::Join(Box::new(join)), scope)
}

/// Whether two names differ at most in case.
pub(super) fn same_name(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
}

/// The columns of NATURAL.
fn common_names(left: &Scope, right: &Scope, span: Span) -> Vec<Ident> {
    let right = right.bare_names();
    let common = left.bare_names().into_iter().filter(|l| right.iter().any(|r| r == l));
    common.map(|text| Ident { text, quoted: false, span }).collect()
}

/// Whether an expression is one column.
pub(super) fn plain_column(expr: &Expr) -> Option<usize> {
    if let ExprKind::Column(at) = expr.kind { Some(at) } else { None }
}
