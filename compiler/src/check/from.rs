//! FROM: its relations side by side. First the tree of joins is built, with every condition over
//! the positions of all columns from left to right; then it becomes nodes, each join taking the
//! conditions that read both of its sides.

use flow_ir::expr::{Expr, ExprKind};
use flow_ir::span::Span;

use super::Checker;
use super::derived::{keeps_left, outer_name};
use super::expr::{ExprCx, conjuncts};
use super::join_order::narrowed;
use super::lateral::reads_left;
use super::scope::{Scope, visible};
use super::subquery::{Outer, asks};
use super::typed::{Column, QueryId, QueryOp};
use super::{Meaning, join};
use crate::diagnostics::{Diagnostic, joins, names, plans, syntax};
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
    pub(super) fn of(written: JoinKind) -> Self {
        match written {
            JoinKind::Inner | JoinKind::Cross => Kind::Inner,
            JoinKind::Left => Kind::Left,
            JoinKind::Right => Kind::Right,
            JoinKind::Full => Kind::Full,
            JoinKind::Semi => Kind::Semi,
            JoinKind::Anti => Kind::Anti,
        }
    }

    /// Whether its columns are those of both sides, and not the left ones alone.
    pub(super) fn has_pairs(self) -> bool {
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

    /// Whether a condition of a join reads columns before this position.
    pub(super) fn reads_before(&self, first: usize) -> bool {
        let Tree::Join(join) = self else { return false };
        let on = join.on.iter().chain(join.as_of.as_ref().map(|as_of| &as_of.time));
        on.flat_map(Expr::columns).any(|at| at < first)
            || join.left.reads_before(first)
            || join.right.reads_before(first)
    }

    /// Moves the conditions of inner joins to those of WHERE.
    pub(super) fn hoist(&mut self, pool: &mut Vec<Expr>) {
        if let Tree::Join(join) = self
            && join.kind == Kind::Inner
            && join.as_of.is_none()
        {
            pool.append(&mut join.on);
            join.left.hoist(pool);
            join.right.hoist(pool);
        }
    }

    pub(super) fn width(&self) -> usize {
        match self {
            Tree::Leaf(_, width) => *width,
            Tree::Join(join) if !join.kind.has_pairs() => join.left.width(),
            Tree::Join(join) => join.left.width() + join.right.width(),
        }
    }
}

/// A table in FROM and the time of its version, if one is asked for.
pub(super) struct Factor<'a> {
    query: QueryId,
    pub scope: Scope,
    as_of: Option<&'a ast::Expr>,
    /// Outer columns that it reads: they are its last columns.
    pub outer: Vec<usize>,
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
            let around = outer.is_some();
            all = match (all, item.joins.as_slice()) {
                (Some(left), joins) if reads_left(&item.first) => {
                    let cross = (JoinKind::Cross, &JoinConstraint::None);
                    let first = self.join_lateral(left, cross, &item.first, 0);
                    first.and_then(|first| self.joins(first, joins, 0))
                }
                (Some((left, scope)), []) => self.comma(left, scope, &item.first),
                (left, _) => {
                    let base = left.as_ref().map_or(0, |(tree, _)| tree.width());
                    let told = self.found.len();
                    let right = self.apart(|checker| checker.table_ref(item, base));
                    let at = item.span;
                    let mistaken = self.found[told..].iter().any(Diagnostic::is_error);
                    match (left, right) {
                        // Only beside the outer columns can these be read.
                        (Some(left), _) if mistaken && around && keeps_left(item) => {
                            self.found.truncate(told);
                            let first = self.comma(left.0, left.1, &item.first);
                            first.and_then(|first| self.joins(first, &item.joins, 0))
                        }
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
        let on = self.same_outer(&right, scope.columns.len(), factor.span)?;
        scope.append(right.scope);
        let right = Tree::Leaf(right.query, width);
        let (kind, span) = (Kind::Inner, factor.span);
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
            let nearest;
            let join = if join.asof {
                nearest = self.nearest(join)?;
                &nearest
            } else {
                join
            };
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
    fn right_side<'f>(&mut self, join: &'f ast::Join, base: usize) -> Option<(Tree, Factor<'f>)> {
        if let TableFactorKind::Nested(inner) = &join.right.kind {
            let (tree, scope) = self.apart(|checker| checker.table_ref(inner, base))?;
            let query = QueryId(u32::MAX);
            return Some((tree, Factor { query, scope, as_of: None, outer: Vec::new() }));
        }
        let factor = self.factor(&join.right)?;
        Some((Tree::Leaf(factor.query, factor.scope.columns.len()), factor))
    }

    fn join_onto(
        &mut self,
        left: Tree,
        mut scope: Scope,
        join: &ast::Join,
        (right, factor): (Tree, Factor<'_>),
        base: usize,
    ) -> Option<(Tree, Scope)> {
        let kind = Kind::of(join.kind);
        let as_of = match factor.as_of {
            Some(time) => Some(self.as_of(time, &factor.scope, &scope, base)?),
            None => None,
        };
        let split = scope.columns.len();
        let beside = self.same_outer(&factor, split, join.span)?;
        let scopes = (&scope, factor.scope);
        let (right, right_scope) =
            self.with_versions(join, as_of.as_ref(), (&left, right), scopes, base);
        let natural = join.natural.then(|| scope.common_names(&right_scope, join.span));
        let using = match &join.constraint {
            JoinConstraint::Using(names) => Some(names.as_slice()),
            JoinConstraint::None | JoinConstraint::On(_) => natural.as_deref(),
        };
        let mut on = match using {
            Some(names) => self.using(names, &scope, &right_scope, join.span)?,
            None => Vec::new(),
        };
        self.unique_tables(&scope, &right_scope)?;
        let as_of = as_of.or_else(|| match join.within {
            None => self.stream_table_time(kind, (&left, &right), &scope, base, join.span),
            Some(_) => None,
        });
        scope.append(right_scope);
        scope.may_lack(kind, split);
        if let Some(names) = using {
            scope.share(names, kind, split);
        }
        if let JoinConstraint::On(condition) = &join.constraint {
            let mut cx = ExprCx { subqueries: as_of.is_none(), ..ExprCx::rows(&scope, "ON") };
            on = conjuncts(self.condition(condition, &mut cx)?);
            scope.row_key = self.row_key(kind, &on, split).filter(|_| base == 0);
        }
        on.extend(beside);
        if let Some(within) = &join.within {
            on.extend(self.within_conditions(within, &scope, split)?);
        }
        let span = join.span;
        if using.is_some_and(|names| kind == Kind::Full && !names.is_empty()) {
            let query = self.full_using((&left, &right), on, base, span)?;
            let common = self.scope_of(query, None).columns.split_off(scope.columns.len());
            scope.append(scope.common_columns(common));
            return Some((Tree::Leaf(query, scope.columns.len()), scope));
        }
        if on.iter().any(asks) {
            if !kind.has_pairs() {
                scope.truncate(split);
            }
            let join = TreeJoin { kind, left, right, on, as_of, span };
            let query = self.join_asking(join, base)?;
            return Some((Tree::Leaf(query, scope.columns.len()), scope));
        }
        for condition in &mut on {
            condition.map_columns(&|at| at + base);
        }
        if !kind.has_pairs() {
            scope.truncate(split);
        }
        let join = TreeJoin { kind, left, right, on, as_of, span };
        Some((Tree::Join(Box::new(join)), scope))
    }

    pub(super) fn later<T>(&mut self, feature: &str, span: Span) -> Option<T> {
        self.report(plans::not_available(feature, span, None))
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
        let mut outer = Vec::new();
        let (query, name, as_of) = match &factor.kind {
            TableFactorKind::Named { name, system_time } => {
                let query = match self.cte_in_place(name, factor.span) {
                    Some(found) => {
                        let found = found?;
                        outer = found.1;
                        found.0
                    }
                    None => self.named_query(name)?,
                };
                (query, Some(name.last().clone()), system_time.as_ref())
            }
            TableFactorKind::Query(query) => {
                let query = self.from_query(query)?;
                outer = query.1;
                (query.0, None, None)
            }
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
            let mut names = alias.columns.clone();
            // Columns that are not named keep their names.
            let own = self.query_node(query).columns.len() - outer.len();
            let rest = self.query_node(query).columns[..own].iter().skip(names.len());
            let as_they_are =
                |c: &Column| Ident { text: c.name.clone(), quoted: true, span: alias.name.span };
            names.extend(rest.filter(|c| visible(&c.name)).map(as_they_are));
            names.extend((0..outer.len()).map(|at| outer_name(at, factor.span)));
            named = self.rename(query, &names, &place, factor.span)?;
        }
        let name = factor.alias.as_ref().map(|a| a.name.clone()).or(name);
        let scope = self.scope_of(named, name);
        if let Some(alias) = &factor.alias {
            self.note_alias(&alias.name, &scope);
        }
        Some(Factor { query: named, scope, as_of, outer })
    }

    /// A CTE, view, stream or table by name.
    pub(super) fn named_query(&mut self, name: &ObjectName) -> Option<QueryId> {
        if let Some(found) = self.cte(name) {
            return found;
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
                if let Some(made) = self.made.get(&id) {
                    return Some(*made);
                }
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
        let kind = narrowed(join, base, pool);
        if kind == Kind::Inner
            && let Some(reordered) = self.reordered(join, base, pool)
        {
            return reordered;
        }
        let (left, right, mut conditions) = match kind {
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
        let span = join.span;
        self.join_sides(join::Sides { kind, left, right, conditions, as_of, span })
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
        let query = self.without_hidden_windows(query);
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

/// Whether an expression is one column.
pub(super) fn plain_column(expr: &Expr) -> Option<usize> {
    if let ExprKind::Column(at) = expr.kind { Some(at) } else { None }
}
