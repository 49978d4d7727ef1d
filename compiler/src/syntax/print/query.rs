//! Queries as text.

use super::Printer;
use crate::syntax::ast::{
    AfterMatch, Distinct, EmitMode, Expr, ExprKind, Frame, FrameBound, FrameExclude, FrameUnit,
    GroupBy, GroupItem, Join, JoinConstraint, JoinKind, MatchRecognize, MeasureRows, Pattern,
    Query, RowsPerMatch, Select, SelectItem, SelectItemKind, SetExpr, SetExprKind, SetOp,
    TableAlias, TableFactor, TableFactorKind, TableRef, WindowSpec, With,
};
use crate::syntax::pratt::Precedence;

impl Printer {
    pub(super) fn query(&mut self, query: &Query) {
        if let Some(with) = &query.with {
            self.with(with);
            self.line();
        }
        self.set_expr(&query.body);
        if !query.order_by.is_empty() {
            self.line();
            self.push("ORDER BY ");
            self.order_items(&query.order_by);
        }
        let (limit, offset) = (&query.limit, &query.offset);
        let counts = match query.with_ties {
            true => [("OFFSET ", offset, ""), ("FETCH FIRST ", limit, " ROWS WITH TIES")],
            false => [("LIMIT ", limit, ""), ("OFFSET ", offset, "")],
        };
        for (before, count, behind) in counts {
            if let Some(count) = count {
                self.line();
                self.push(before);
                self.expr(count, Precedence::Lowest);
                self.push(behind);
            }
        }
        if let Some(emit) = query.emit {
            self.line();
            self.push(match emit.mode {
                EmitMode::Changes => "EMIT CHANGES",
                EmitMode::Final => "EMIT FINAL",
            });
        }
    }

    fn with(&mut self, with: &With) {
        self.push(if with.recursive { "WITH RECURSIVE " } else { "WITH " });
        self.list(&with.tables, |p, table| {
            p.ident(&table.name);
            p.columns(&table.columns);
            p.push(" AS ");
            p.subquery(&table.query);
        });
    }

    fn set_expr(&mut self, body: &SetExpr) {
        match &body.kind {
            SetExprKind::Select(select) => self.select(select),
            SetExprKind::Values(rows) => {
                self.push("VALUES ");
                self.list(rows, |p, row| {
                    // One ROW in parentheses would be the row itself.
                    let plain = match row.as_slice() {
                        [] => false,
                        [only] => !matches!(only.kind, ExprKind::Row(_)),
                        _ => true,
                    };
                    p.push(if plain { "(" } else { "ROW(" });
                    p.exprs(row);
                    p.push(")");
                });
            }
            SetExprKind::Table(name) => {
                self.push("TABLE ");
                self.name(name);
            }
            SetExprKind::Query(query) => self.subquery(query),
            SetExprKind::SetOp { op, all, left, right } => {
                self.set_expr(left);
                self.line();
                self.push(match op {
                    SetOp::Union | SetOp::UnionByName => "UNION",
                    SetOp::Intersect => "INTERSECT",
                    SetOp::Except => "EXCEPT",
                });
                self.push(if *all { " ALL" } else { "" });
                self.push(if *op == SetOp::UnionByName { " BY NAME" } else { "" });
                self.line();
                self.set_expr(right);
            }
        }
    }

    fn select(&mut self, select: &Select) {
        self.push("SELECT ");
        match &select.distinct {
            Distinct::All => {}
            Distinct::Distinct(_) => self.push("DISTINCT "),
            Distinct::On(exprs) => {
                self.push("DISTINCT ON (");
                self.exprs(exprs);
                self.push(") ");
            }
        }
        self.list(&select.items, Self::select_item);
        if !select.from.is_empty() {
            self.line();
            self.push("FROM ");
            self.list(&select.from, Self::table_ref);
        }
        if let Some(window) = &select.time_window {
            self.line();
            self.time_window(window);
        }
        self.condition("WHERE ", select.filter.as_ref());
        if !select.key_by.is_empty() {
            self.line();
            self.push("PARTITION BY ");
            self.exprs(&select.key_by);
        }
        if let Some(group_by) = &select.group_by {
            self.line();
            match group_by {
                GroupBy::All(_) => self.push("GROUP BY ALL"),
                GroupBy::Items(items) => {
                    self.push("GROUP BY ");
                    self.list(items, |p, item| p.group_item(item, false));
                }
            }
        }
        self.condition("HAVING ", select.having.as_ref());
        if !select.windows.is_empty() {
            self.line();
            self.push("WINDOW ");
            self.list(&select.windows, |p, window| {
                p.ident(&window.name);
                p.push(" AS ");
                p.window_spec(&window.spec);
            });
        }
        self.condition("QUALIFY ", select.qualify.as_ref());
    }

    fn condition(&mut self, word: &str, condition: Option<&Expr>) {
        if let Some(condition) = condition {
            self.line();
            self.push(word);
            self.expr(condition, Precedence::Lowest);
        }
    }

    fn select_item(&mut self, item: &SelectItem) {
        match &item.kind {
            SelectItemKind::Expr { expr, alias } => {
                self.expr(expr, Precedence::Lowest);
                if let Some(alias) = alias {
                    self.push(" AS ");
                    self.ident(alias);
                }
            }
            SelectItemKind::Wildcard { qualifier, row, exclude, replace, rename } => {
                if let Some(row) = row {
                    self.push("(");
                    self.expr(row, Precedence::Lowest);
                    self.push(").");
                }
                if let Some(qualifier) = qualifier {
                    self.name(qualifier);
                    self.push(".");
                }
                self.push("*");
                if !exclude.is_empty() {
                    self.push(" EXCLUDE");
                    self.columns(exclude);
                }
                if !replace.is_empty() {
                    self.push(" REPLACE (");
                    self.list(replace, |p, (expr, name)| {
                        p.expr(expr, Precedence::Lowest);
                        p.push(" AS ");
                        p.ident(name);
                    });
                    self.push(")");
                }
                if !rename.is_empty() {
                    self.push(" RENAME (");
                    self.list(rename, |p, (name, to)| {
                        p.ident(name);
                        p.push(" AS ");
                        p.ident(to);
                    });
                    self.push(")");
                }
            }
        }
    }

    fn group_item(&mut self, item: &GroupItem, in_sets: bool) {
        match item {
            GroupItem::Expr(Expr { kind: ExprKind::Row(fields), .. })
                if in_sets && fields.len() > 1 =>
            {
                self.push("(");
                self.exprs(fields);
                self.push(")");
            }
            GroupItem::Expr(expr) => self.expr(expr, Precedence::Lowest),
            GroupItem::Empty(_) => self.push("()"),
            GroupItem::Rollup(lists, _) => self.group_lists("ROLLUP", lists),
            GroupItem::Cube(lists, _) => self.group_lists("CUBE", lists),
            GroupItem::Sets(items, _) => {
                self.push("GROUPING SETS (");
                self.list(items, |p, item| p.group_item(item, true));
                self.push(")");
            }
        }
    }

    fn group_lists(&mut self, word: &str, lists: &[Vec<Expr>]) {
        self.push(word);
        self.push("(");
        self.list(lists, |p, list| match list.as_slice() {
            [single] if !matches!(single.kind, ExprKind::Row(_)) => {
                p.expr(single, Precedence::Lowest);
            }
            several => {
                p.push("ROW(");
                p.exprs(several);
                p.push(")");
            }
        });
        self.push(")");
    }

    pub(super) fn window_spec(&mut self, spec: &WindowSpec) {
        self.push("(");
        let mut between = "";
        if let Some(base) = &spec.base {
            self.ident(base);
            between = " ";
        }
        if !spec.partition_by.is_empty() {
            self.push(between);
            self.push("PARTITION BY ");
            self.exprs(&spec.partition_by);
            between = " ";
        }
        if !spec.order_by.is_empty() {
            self.push(between);
            self.push("ORDER BY ");
            self.order_items(&spec.order_by);
            between = " ";
        }
        if let Some(frame) = &spec.frame {
            self.push(between);
            self.frame(frame);
        }
        self.push(")");
    }

    fn frame(&mut self, frame: &Frame) {
        self.push(match frame.unit {
            FrameUnit::Rows => "ROWS ",
            FrameUnit::Range => "RANGE ",
            FrameUnit::Groups => "GROUPS ",
        });
        match &frame.end {
            Some(end) => {
                self.push("BETWEEN ");
                self.frame_bound(&frame.start);
                self.push(" AND ");
                self.frame_bound(end);
            }
            None => self.frame_bound(&frame.start),
        }
        match frame.exclude {
            Some(FrameExclude::CurrentRow) => self.push(" EXCLUDE CURRENT ROW"),
            Some(FrameExclude::Group) => self.push(" EXCLUDE GROUP"),
            Some(FrameExclude::Ties) => self.push(" EXCLUDE TIES"),
            Some(FrameExclude::NoOthers) => self.push(" EXCLUDE NO OTHERS"),
            None => {}
        }
    }

    fn frame_bound(&mut self, bound: &FrameBound) {
        match bound {
            FrameBound::UnboundedPreceding => self.push("UNBOUNDED PRECEDING"),
            FrameBound::Preceding(offset) => {
                self.expr(offset, Precedence::Concat);
                self.push(" PRECEDING");
            }
            FrameBound::CurrentRow => self.push("CURRENT ROW"),
            FrameBound::Following(offset) => {
                self.expr(offset, Precedence::Concat);
                self.push(" FOLLOWING");
            }
            FrameBound::UnboundedFollowing => self.push("UNBOUNDED FOLLOWING"),
        }
    }

    fn table_ref(&mut self, table: &TableRef) {
        self.table_factor(&table.first);
        for join in &table.joins {
            self.line();
            self.join(join);
        }
    }

    fn join(&mut self, join: &Join) {
        self.push(if join.natural { "NATURAL " } else { "" });
        self.push(if join.asof { "ASOF " } else { "" });
        self.push(match join.kind {
            JoinKind::Inner => "JOIN ",
            JoinKind::Left => "LEFT JOIN ",
            JoinKind::Right => "RIGHT JOIN ",
            JoinKind::Full => "FULL JOIN ",
            JoinKind::Cross => "CROSS JOIN ",
            JoinKind::Semi => "SEMI JOIN ",
            JoinKind::Anti => "ANTI JOIN ",
        });
        self.table_factor(&join.right);
        if let Some(within) = &join.within {
            self.join_within(within);
        }
        match &join.constraint {
            JoinConstraint::None => {}
            JoinConstraint::On(condition) => {
                self.push(" ON ");
                self.expr(condition, Precedence::Lowest);
            }
            JoinConstraint::Using(columns) => {
                self.push(" USING");
                self.columns(columns);
            }
        }
    }

    fn table_factor(&mut self, factor: &TableFactor) {
        self.push(if factor.lateral { "LATERAL " } else { "" });
        match &factor.kind {
            TableFactorKind::Named { name, system_time } => {
                self.name(name);
                if let Some(time) = system_time {
                    self.push(" FOR SYSTEM_TIME AS OF ");
                    self.expr(time, Precedence::Concat);
                }
            }
            TableFactorKind::Query(query) => self.subquery(query),
            TableFactorKind::Function { name, args } => {
                self.push("TABLE(");
                self.name(name);
                self.push("(");
                self.list(args, Self::arg);
                self.push("))");
            }
            TableFactorKind::Unnest { args, ordinality } => {
                self.push("UNNEST(");
                self.exprs(args);
                self.push(if *ordinality { ") WITH ORDINALITY" } else { ")" });
            }
            TableFactorKind::Nested(inner) => {
                self.push("(");
                self.table_ref(inner);
                self.push(")");
            }
            TableFactorKind::MatchRecognize { input, pattern } => {
                self.table_factor(input);
                self.push(" ");
                self.match_recognize(pattern);
            }
        }
        if let Some(alias) = &factor.alias {
            self.table_alias(alias);
        }
    }

    fn table_alias(&mut self, alias: &TableAlias) {
        self.push(" AS ");
        self.ident(&alias.name);
        self.columns(&alias.columns);
    }

    fn match_recognize(&mut self, m: &MatchRecognize) {
        self.push("MATCH_RECOGNIZE ");
        self.block(|p| {
            if !m.partition_by.is_empty() {
                p.push("PARTITION BY ");
                p.exprs(&m.partition_by);
                p.line();
            }
            if !m.order_by.is_empty() {
                p.push("ORDER BY ");
                p.order_items(&m.order_by);
                p.line();
            }
            p.measures(m);
            match m.rows {
                Some(RowsPerMatch::One) => p.push("ONE ROW PER MATCH "),
                Some(RowsPerMatch::All) => p.push("ALL ROWS PER MATCH "),
                None => {}
            }
            if let Some(skip) = &m.skip {
                p.after_match(skip);
                p.line();
            }
            p.push("PATTERN (");
            p.pattern(&m.pattern);
            p.push(")");
            p.condition("WITHIN ", m.within.as_ref());
            p.line();
            if !m.subsets.is_empty() {
                p.push("SUBSET ");
                p.list(&m.subsets, |p, (name, members)| {
                    p.ident(name);
                    p.push(" =");
                    p.columns(members);
                });
                p.line();
            }
            p.push("DEFINE ");
            p.list(&m.defines, |p, (name, condition)| {
                p.ident(name);
                p.push(" AS ");
                p.expr(condition, Precedence::Lowest);
            });
        });
    }

    fn measures(&mut self, m: &MatchRecognize) {
        if m.measures.is_empty() {
            return;
        }
        self.push("MEASURES ");
        self.list(&m.measures, |p, measure| {
            match measure.rows {
                Some(MeasureRows::Final) => p.push("FINAL "),
                Some(MeasureRows::Running) => p.push("RUNNING "),
                None => {}
            }
            p.expr(&measure.expr, Precedence::Lowest);
            p.push(" AS ");
            p.ident(&measure.name);
        });
        self.line();
    }

    fn after_match(&mut self, skip: &AfterMatch) {
        self.push("AFTER MATCH SKIP ");
        match skip {
            AfterMatch::PastLastRow => self.push("PAST LAST ROW"),
            AfterMatch::ToNextRow => self.push("TO NEXT ROW"),
            AfterMatch::ToFirst(name) => {
                self.push("TO FIRST ");
                self.ident(name);
            }
            AfterMatch::ToLast(name) => {
                self.push("TO LAST ");
                self.ident(name);
            }
        }
    }

    fn pattern(&mut self, pattern: &Pattern) {
        match pattern {
            Pattern::Variable(name) => self.ident(name),
            Pattern::Sequence(items) => self.patterns(items, " ", |p, item| {
                let loose = matches!(item, Pattern::Sequence(_) | Pattern::Alternatives(_));
                p.pattern_in(item, loose);
            }),
            Pattern::Alternatives(items) => self.patterns(items, " | ", |p, item| {
                p.pattern_in(item, matches!(item, Pattern::Alternatives(_)));
            }),
            Pattern::Permute(items) => {
                self.push("PERMUTE(");
                self.patterns(items, ", ", |p, item| p.pattern(item));
                self.push(")");
            }
            Pattern::Exclude(inner) => {
                self.push("{- ");
                self.pattern(inner);
                self.push(" -}");
            }
            Pattern::Repeat { pattern: inner, min, max, reluctant } => {
                let loose = matches!(
                    **inner,
                    Pattern::Sequence(_) | Pattern::Alternatives(_) | Pattern::Repeat { .. }
                );
                self.pattern_in(inner, loose);
                match (min, max) {
                    (0, None) => self.push("*"),
                    (1, None) => self.push("+"),
                    (0, Some(1)) => self.push("?"),
                    (min, None) => self.push(&format!("{{{min},}}")),
                    (min, Some(max)) => self.push(&format!("{{{min},{max}}}")),
                }
                self.push(if *reluctant { "?" } else { "" });
            }
            Pattern::Start(_) => self.push("^"),
            Pattern::End(_) => self.push("$"),
            Pattern::Empty(_) => self.push("()"),
        }
    }

    fn patterns(
        &mut self,
        items: &[Pattern],
        between: &str,
        mut each: impl FnMut(&mut Self, &Pattern),
    ) {
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                self.push(between);
            }
            each(self, item);
        }
    }

    fn pattern_in(&mut self, pattern: &Pattern, parens: bool) {
        self.push(if parens { "(" } else { "" });
        self.pattern(pattern);
        self.push(if parens { ")" } else { "" });
    }
}
