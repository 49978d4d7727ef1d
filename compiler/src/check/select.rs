//! SELECT: FROM, WHERE, GROUP BY, HAVING, the items, DISTINCT and QUALIFY, in that order.

use flow_ir::expr::{Expr, ExprKind as Typed};
use flow_ir::span::Span;
use flow_ir::types::DataType;

use super::Checker;
use super::aggregate::{AggregateExpr, GroupWindow};
use super::expr::{ExprCx, all_of, conjuncts};
use super::from::{plain_column, same_name};
use super::grouping::{Above, Sets, null_keys, with_key};
use super::join_order::add_implied;
use super::ksql_names;
use super::scope::{Scope, visible};
use super::set_returning::{lifted, take_arrays};
use super::subquery::{Outer, asks};
use super::typed::QueryId;
use super::window::{Kind, window_function};
use super::window_rows::{flat, window_value, with_hidden, written_key};
use super::windowed::Windowed;
use crate::diagnostics::{aggregates as problems, windows};
use crate::syntax::ast::{
    self, BinaryOp, Call, Distinct, ExprKind, GroupBy, GroupItem, Ident, Literal, NamedWindow,
    NumberKind, Select, SelectItem, SelectItemKind, TimeWindow, TimeWindowKind,
};

/// An item of SELECT, wildcards expanded.
pub(super) struct Item<'s> {
    pub(super) name: String,
    pub(super) value: Value<'s>,
    /// Where it has its name from.
    pub(super) named: Option<Span>,
    /// Whether the query gives the name.
    pub(super) aliased: bool,
}

pub(super) enum Value<'s> {
    /// Typed already: a column of a wildcard; `None` is poisoned.
    Column(Option<Expr>),
    /// As written.
    Written(&'s ast::Expr),
}

impl Checker<'_> {
    /// A SELECT as one node.
    pub(super) fn select(&mut self, select: &Select) -> Option<QueryId> {
        if let Distinct::On(_) = select.distinct {
            return self.distinct_on(select);
        }
        if let Some(lifted) = lifted(select) {
            return self.select(&lifted);
        }
        let outer = self.outer.take();
        self.note_scope(select.span, &Scope::default(), &[]);
        let enclosing = std::mem::replace(&mut self.enclosing, outer.clone());
        let read = self.from(&select.from, outer.as_ref());
        self.enclosing = enclosing;
        let (mut tree, scope) = read?;
        self.note_scope(select.span, &scope, &[]);
        let mut pool = Vec::new();
        if let Some(filter) = &select.filter {
            let aliases: Vec<(&Ident, &ast::Expr)> =
                select.items.iter().filter_map(aliased).collect();
            let mut cx = ExprCx { aliases: &aliases, ..ExprCx::with_subqueries(&scope, "WHERE") };
            let condition = self.condition(filter, &mut cx);
            pool.extend(condition.map(conjuncts).unwrap_or_default());
        }
        let asked: Vec<Expr> = pool.extract_if(.., |e| asks(e)).collect();
        let mut items = self.items(select, &scope)?;
        let arrays = take_arrays(&mut items, &scope);
        if outer.is_some() {
            tree.hoist(&mut pool);
        }
        let plain = asked.is_empty() && arrays.is_empty();
        if let Some(outer) = outer.as_ref().filter(|outer| outer.pull && plain)
            && let Some(pulled) = self.pull_up(select, &items, &scope, (&tree, outer), &pool)
        {
            return Some(pulled);
        }
        add_implied(&mut pool);
        let Some(mut input) = self.assemble_over(&tree, outer.as_ref(), &mut pool) else {
            self.type_only(&items, &scope);
            return None;
        };
        if let Some(condition) = all_of(pool) {
            let changelog = self.query_node(input).changelog;
            self.deny_clock(&condition, changelog)?;
            let span = condition.span;
            input = self.filter(input, condition, span);
        }
        input = self.settle_conditions(input, asked, &|_, e| Some(e))?;
        self.exprs(&select.key_by, &mut ExprCx::rows(&scope, "PARTITION BY"))?;
        self.body.outer = outer.as_ref().map_or(0, |outer| outer.scope.columns.len());
        let named: Vec<Option<Span>> = items.iter().map(|item| item.named).collect();
        let query = self.projected(select, items, (&scope, outer.as_ref()), input)?;
        let query = self.rows_of_items(query, arrays, select.span)?;
        self.note_defined(query, &named);
        match select.distinct {
            Distinct::Distinct(span) => Some(self.distinct(query, span)),
            Distinct::All | Distinct::On(_) => Some(query),
        }
    }

    /// Looks at items whose input failed, for their own mistakes.
    fn type_only(&mut self, items: &[Item<'_>], scope: &Scope) {
        for item in items {
            if let Value::Written(e) = item.value {
                let (mut calls, mut overs) = (Vec::new(), Vec::new());
                let mut cx = ExprCx::with_subqueries(scope, "SELECT");
                (cx.aggregates, cx.overs) = (Some(&mut calls), Some(&mut overs));
                self.expr(e, &mut cx);
            }
        }
    }

    /// The items over the input, grouped or not.
    fn projected(
        &mut self,
        select: &Select,
        items: Vec<Item<'_>>,
        (scope, around): (&Scope, Option<&Outer>),
        input: QueryId,
    ) -> Option<QueryId> {
        let aliases: Vec<(&Ident, &ast::Expr)> = select.items.iter().filter_map(aliased).collect();
        let mut found = self.keys_in_window(select, &items, scope);
        let keys = found.as_ref().map_or(&[][..], |(keys, _)| keys);
        let (input, window) = self.group_windows(keys, scope, &aliases, input)?;
        let sets = found.as_ref().is_some_and(|(_, sets)| sets.len() > 1);
        // Where there are grouping sets a key may be NULL above them, whatever it is below.
        let early = match found.take_if(|_| sets) {
            Some(found) => Some(self.typed_sets(found, scope, window.as_ref(), &aliases)?),
            None => None,
        };
        let null_keys = early.as_ref().map_or_else(Vec::new, |(keys, sets)| null_keys(keys, sets));
        let over =
            Over { scope, window: window.as_ref(), aliases: &aliases, null_keys: &null_keys };
        let (mut calls, mut overs) = (Vec::new(), Vec::new());
        let mut cx = ExprCx {
            aggregates: Some(&mut calls),
            overs: Some(&mut overs),
            windows: &select.windows,
            ..over.cx("SELECT")
        };
        let typed = self.type_items(&items, &aliases, &mut cx);
        let qualify = select.qualify.as_ref().map(|qualify| {
            (cx.place, cx.aliases) = ("QUALIFY", &aliases);
            self.condition(qualify, &mut cx)
        });
        let items = named_as_declared(items, &typed, scope);
        let having = select.having.as_ref().map(|having| {
            let mut cx = ExprCx { aggregates: Some(&mut calls), ..over.cx("HAVING") };
            self.condition(having, &mut cx)
        });
        // Rows of different outer rows are of different partitions.
        for call in &mut overs {
            call.partition.extend(self.outer_columns(scope));
        }
        let grouped = select.group_by.is_some() || select.having.is_some() || !calls.is_empty();
        let qualify = qualify.map_or(Some(Vec::new()), |q| q.map(conjuncts))?;
        if !grouped {
            let columns = items.into_iter().zip(typed).map(|(item, expr)| (item.name, expr));
            let over = around.is_none().then_some((scope, None, None));
            let columns = with_hidden(columns, over, select.span).into_iter();
            let items = columns.chain(self.outer_items(scope)).collect();
            let rows = Windowed { input, calls: overs, items, qualify, span: select.span };
            return self.with_overs(rows, &|_, e| Some(e));
        }
        let (mut keys, sets) = match early {
            Some(early) => early,
            None => self.typed_sets(found?, scope, window.as_ref(), &aliases)?,
        };
        // The columns of the queries around are keys of every set.
        let outer = self.outer_columns(scope);
        let sets = with_key(sets, keys.len(), !outer.is_empty());
        keys.push(outer);
        let columns = items.into_iter().zip(typed).map(|(item, expr)| (item.name, expr));
        let alone = around.is_none() && overs.is_empty() && sets.len() == 1;
        let over = alone.then_some((scope, window.as_ref(), Some(keys.as_slice())));
        let items = with_hidden(columns, over, select.span);
        let input = self.with_keys_there(input, &keys, scope, select.span);
        let rows = Windowed { input, calls: overs, items, qualify, span: select.span };
        let width = window.as_ref().map_or(scope.columns.len(), |window| window.width);
        let having = having.flatten();
        let groups = Groups { keys, sets, calls, having, width };
        self.of_groups(select, (scope, around), rows, groups)
    }

    /// The rows in the window that GROUP BY's keys name.
    fn group_windows(
        &mut self,
        keys: &[Key<'_>],
        scope: &Scope,
        aliases: &[(&Ident, &ast::Expr)],
        mut input: QueryId,
    ) -> Option<(QueryId, Option<GroupWindow>)> {
        let mut window = None;
        for key in keys {
            let (node, of_key) = match key {
                Key::Window(call, span) => {
                    let kind = window_function(&call.name.last().text);
                    let parts = self.session_parts(kind, keys, scope, aliases)?;
                    self.group_window(call, *span, scope, input, parts)?
                }
                Key::Clause(clause) => {
                    let is_session = clause.kind == TimeWindowKind::Session;
                    let kind = is_session.then_some(Kind::Session);
                    let parts = self.session_parts(kind, keys, scope, aliases)?;
                    self.time_window(clause, scope, input, parts)?
                }
                Key::Written(_) | Key::Typed(_) => continue,
            };
            (input, window) = (node, Some(of_key));
        }
        Some((input, window))
    }

    /// What is computed of groups, and by calls of OVER over them.
    fn of_groups(
        &mut self,
        select: &Select,
        (scope, around): (&Scope, Option<&Outer>),
        rows: Windowed,
        groups: Groups,
    ) -> Option<QueryId> {
        let Groups { keys, sets, calls, having, width } = groups;
        let flat = rows.reads(&keys, &calls, width);
        let (items, outer) = match &flat {
            Some(flat) => {
                (flat.iter().map(|e| (String::from("$flat"), Some(e.clone()))).collect(), vec![])
            }
            None => (rows.items.clone(), self.outer_items(scope)),
        };
        let defaults = flat.is_none() && having.is_none() && sets.len() == 1;
        let around = around.map(|outer| (outer.node, defaults && outer.defaults));
        let above = Above { calls, having, items, outer, around };
        let clause = group_span(select);
        let groups = self.grouping_union(rows.input, &keys, &sets, &above, select.span, clause)?;
        let Some(flat) = flat else { return Some(groups) };
        let mut rows = Windowed { input: groups, ..rows };
        rows.items.extend(self.outer_items(scope));
        self.over_groups(rows, &flat, clause)
    }

    pub(super) fn project_items(
        &mut self,
        input: QueryId,
        items: Vec<(String, Option<Expr>)>,
        span: Span,
    ) -> Option<QueryId> {
        let changelog = self.query_node(input).changelog;
        for expr in items.iter().filter_map(|(_, expr)| expr.as_ref()) {
            self.deny_clock(expr, changelog)?;
        }
        Some(self.project(input, items, span))
    }

    pub(super) fn type_items<'s>(
        &mut self,
        items: &[Item<'_>],
        aliases: &'s [(&'s Ident, &'s ast::Expr)],
        cx: &mut ExprCx<'s>,
    ) -> Vec<Option<Expr>> {
        let mut before = 0;
        let typed = items.iter().map(|item| match &item.value {
            Value::Column(expr) => expr.clone(),
            Value::Written(e) => {
                // An item may name those before it; what only orders the rows, all of them.
                cx.aliases = if visible(&item.name) { &aliases[..before] } else { aliases };
                let own = aliases.get(before).is_some_and(|(_, own)| std::ptr::eq(*own, *e));
                before += usize::from(own);
                self.expr(e, cx)
            }
        });
        typed.collect()
    }

    /// The items with wildcards expanded.
    fn items<'s>(&mut self, select: &'s Select, scope: &Scope) -> Option<Vec<Item<'s>>> {
        let mut items: Vec<Item<'s>> = Vec::new();
        for item in &select.items {
            match &item.kind {
                SelectItemKind::Expr { expr, alias } => {
                    let name = match alias {
                        Some(alias) => alias.text.clone(),
                        None => ksql_names::of_item(expr, scope, &items)
                            .or_else(|| default_name(expr))
                            .unwrap_or_else(|| format!("expr{}", items.len() + 1)),
                    };
                    let value = Value::Written(expr);
                    let named = Some(alias.as_ref().map_or(expr.span, |alias| alias.span));
                    let aliased = alias.is_some();
                    items.push(Item { name, value, named, aliased });
                }
                SelectItemKind::Wildcard { .. } => items.extend(self.starred(item, scope)?),
            }
        }
        Some(items)
    }

    /// The keys, and the window that stands behind FROM, which is one of every set.
    fn keys_in_window<'s>(
        &mut self,
        select: &'s Select,
        items: &[Item<'s>],
        scope: &Scope,
    ) -> Option<(Vec<Key<'s>>, Sets)> {
        let (mut keys, sets) = self.group_keys(select, items, scope)?;
        let Some(window) = &select.time_window else { return Some((keys, sets)) };
        if select.group_by.is_none() {
            let message = "WINDOW is of a GROUP BY";
            let problem = windows::bad_window(message, "nothing is grouped", window.span);
            return self.report(
                problem.with_help("Add GROUP BY, or read FROM TUMBLE(stream, time, size)."),
            );
        }
        let sets = with_key(sets, keys.len(), true);
        keys.push(Key::Clause(window));
        Some((keys, sets))
    }

    /// What GROUP BY lists; empty without one.
    fn group_keys<'s>(
        &mut self,
        select: &'s Select,
        items: &[Item<'s>],
        scope: &Scope,
    ) -> Option<(Vec<Key<'s>>, Sets)> {
        let group_items = match &select.group_by {
            None => return Some((Vec::new(), vec![Vec::new()])),
            Some(GroupBy::All(_)) => {
                let keys = self.group_all(items, scope, &select.windows);
                let all = (0..keys.len()).collect();
                return Some((keys, vec![all]));
            }
            Some(GroupBy::Items(items)) => items,
        };
        let mut keys = Vec::with_capacity(group_items.len());
        let sets = self.grouping_sets(group_items, &mut |checker, e| {
            keys.push(checker.group_key(e, items, scope)?);
            Some(keys.len() - 1)
        })?;
        Some((keys, sets))
    }

    /// GROUP BY ALL: the items without aggregates.
    fn group_all<'s>(
        &mut self,
        items: &[Item<'s>],
        scope: &Scope,
        windows: &[NamedWindow],
    ) -> Vec<Key<'s>> {
        let mut keys = Vec::new();
        for item in items.iter().filter(|item| visible(&item.name)) {
            match &item.value {
                Value::Column(Some(expr)) => keys.push(Key::Typed(expr.clone())),
                Value::Written(e) if window_value(e).is_some() => {
                    keys.extend(window_value(e).map(|call| Key::Window(call, e.span)));
                }
                Value::Written(e) => {
                    let (mut calls, mut overs) = (Vec::new(), Vec::new());
                    let mut cx = ExprCx::rows(scope, "GROUP BY");
                    (cx.aggregates, cx.overs) = (Some(&mut calls), Some(&mut overs));
                    cx.windows = windows;
                    let before = self.found.len();
                    self.expr(e, &mut cx);
                    self.found.truncate(before);
                    if calls.is_empty() && overs.is_empty() {
                        keys.push(Key::Written(e));
                    }
                }
                Value::Column(None) => {}
            }
        }
        keys
    }

    fn group_key<'s>(
        &mut self,
        e: &'s ast::Expr,
        items: &[Item<'s>],
        scope: &Scope,
    ) -> Option<Key<'s>> {
        if let ExprKind::Literal(Literal::Number { text, kind: NumberKind::Integer }) = &e.kind {
            return self.group_position(text, e.span, items);
        }
        if let ExprKind::Call(call) = &e.kind
            && window_function(&call.name.last().text).is_some()
        {
            return Some(Key::Window(call, e.span));
        }
        Some(written_key(e, items, scope))
    }

    /// The item at a position, from 1.
    fn group_position<'s>(
        &mut self,
        text: &str,
        span: Span,
        items: &[Item<'s>],
    ) -> Option<Key<'s>> {
        let at = text.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
        let items: Vec<&Item<'s>> = items.iter().filter(|item| visible(&item.name)).collect();
        match at.and_then(|at| items.get(at)).map(|item| &item.value) {
            Some(Value::Written(e)) => {
                Some(window_value(e).map_or(Key::Written(e), |call| Key::Window(call, e.span)))
            }
            Some(Value::Column(Some(expr))) => Some(Key::Typed(expr.clone())),
            Some(Value::Column(None)) => None,
            None => self.report(problems::bad_position(text, items.len(), span)),
        }
    }

    /// What parts the rows of a session in GROUP BY: the other keys.
    fn session_parts(
        &mut self,
        kind: Option<Kind>,
        keys: &[Key<'_>],
        scope: &Scope,
        aliases: &[(&Ident, &ast::Expr)],
    ) -> Option<Vec<Expr>> {
        if kind != Some(Kind::Session) {
            return Some(Vec::new());
        }
        let mut cx = ExprCx { aliases, ..ExprCx::rows(scope, "GROUP BY") };
        let told = self.found.len();
        let parts = keys.iter().filter_map(|key| match key {
            Key::Typed(expr) => Some(Some(expr.clone())),
            Key::Written(e) => Some(self.expr(e, &mut cx)),
            Key::Window(..) | Key::Clause(_) => None,
        });
        let parts = parts.collect::<Option<Vec<Expr>>>()?;
        // What there is to say of the keys is said where they are typed as such.
        self.found.truncate(told);
        Some(parts)
    }

    fn typed_sets(
        &mut self,
        (keys, sets): (Vec<Key<'_>>, Sets),
        scope: &Scope,
        window: Option<&GroupWindow>,
        aliases: &[(&Ident, &ast::Expr)],
    ) -> Option<(Vec<Vec<Expr>>, Sets)> {
        Some((self.typed_keys(keys, scope, window, aliases)?, sets))
    }

    fn typed_keys(
        &mut self,
        keys: Vec<Key<'_>>,
        scope: &Scope,
        window: Option<&GroupWindow>,
        aliases: &[(&Ident, &ast::Expr)],
    ) -> Option<Vec<Vec<Expr>>> {
        let mut typed = Vec::with_capacity(keys.len());
        for key in keys {
            typed.push(match key {
                Key::Typed(expr) => Some(flat(vec![expr])),
                Key::Written(e) => {
                    let mut cx =
                        ExprCx { group_window: window, aliases, ..ExprCx::rows(scope, "GROUP BY") };
                    self.expr(e, &mut cx).map(|expr| flat(vec![expr]))
                }
                Key::Window(_, span) => window.map(|window| window_keys(window, scope, span)),
                Key::Clause(clause) => window.map(|window| window_keys(window, scope, clause.span)),
            });
        }
        typed.into_iter().collect()
    }
}

/// What groups a SELECT's rows, typed over them.
struct Groups {
    keys: Vec<Vec<Expr>>,
    sets: Sets,
    calls: Vec<AggregateExpr>,
    having: Option<Expr>,
    /// Where the calls stand as columns.
    width: usize,
}

/// What the items and HAVING are typed over.
struct Over<'s> {
    scope: &'s Scope,
    window: Option<&'s GroupWindow>,
    aliases: &'s [(&'s Ident, &'s ast::Expr)],
    /// Keys that some grouping set lacks.
    null_keys: &'s [Expr],
}

impl<'s> Over<'s> {
    fn cx(&self, place: &'static str) -> ExprCx<'s> {
        ExprCx {
            group_window: self.window,
            aliases: self.aliases,
            null_keys: self.null_keys,
            ..ExprCx::with_subqueries(self.scope, place)
        }
    }
}

/// One key of GROUP BY.
pub(super) enum Key<'s> {
    Written(&'s ast::Expr),
    Typed(Expr),
    /// TUMBLE, HOP, CUMULATE or SESSION.
    Window(&'s Call, Span),
    /// `WINDOW TUMBLING (…)` and its kin behind FROM.
    Clause(&'s TimeWindow),
}

/// The bounds of a window as keys of its groups.
fn window_keys(window: &GroupWindow, scope: &Scope, span: Span) -> Vec<Expr> {
    let ty = scope.columns[window.time].ty.with_nullable(false);
    let bound = |shift| Expr::column(window.first + shift, ty.clone(), span);
    vec![bound(0), bound(1)]
}

fn aliased(item: &SelectItem) -> Option<(&Ident, &ast::Expr)> {
    match &item.kind {
        SelectItemKind::Expr { expr, alias: Some(alias) } => Some((alias, expr)),
        SelectItemKind::Expr { alias: None, .. } | SelectItemKind::Wildcard { .. } => None,
    }
}

fn group_span(select: &Select) -> Option<Span> {
    let of = |item: &GroupItem| match item {
        GroupItem::Expr(e) => e.span,
        GroupItem::Empty(span)
        | GroupItem::Rollup(_, span)
        | GroupItem::Cube(_, span)
        | GroupItem::Sets(_, span) => *span,
    };
    match select.group_by.as_ref()? {
        GroupBy::All(span) => Some(*span),
        GroupBy::Items(items) => items.iter().map(of).reduce(Span::to),
    }
}

/// Items that are a column or field have its own name, in whatever case the item was written.
fn named_as_declared<'s>(
    items: Vec<Item<'s>>,
    typed: &[Option<Expr>],
    scope: &Scope,
) -> Vec<Item<'s>> {
    let named = items.into_iter().zip(typed).map(|(item, typed)| {
        let declared = typed.as_ref().and_then(|typed| declared_name(typed, scope));
        match declared.filter(|name| !item.aliased && same_name(name, &item.name)) {
            Some(name) => Item { name: name.to_string(), ..item },
            None => item,
        }
    });
    named.collect()
}

/// The name of the column or field that an expression is, or casts.
fn declared_name<'n>(expr: &'n Expr, scope: &'n Scope) -> Option<&'n str> {
    if let Some(at) = plain_column(expr) {
        return scope.columns.get(at).map(|column| column.name.as_str());
    }
    if let Typed::Cast { arg, .. } = &expr.kind {
        return declared_name(arg, scope);
    }
    let Typed::Field { arg, index } = &expr.kind else { return None };
    let DataType::Row(fields) = &arg.ty.data else { return None };
    fields.get(*index).map(|field| field.name.as_str())
}

/// The name of an item without an alias: its column's, field's or function's.
pub(super) fn default_name(e: &ast::Expr) -> Option<String> {
    if let ExprKind::Name(name) = &e.kind {
        return Some(name.last().text.clone());
    }
    if let ExprKind::Field { name, .. } = &e.kind {
        return Some(name.text.clone());
    }
    if let ExprKind::Binary { op: BinaryOp::Arrow, right, .. } = &e.kind {
        return default_name(right);
    }
    if let ExprKind::Call(call) = &e.kind {
        return Some(call.name.last().text.to_lowercase());
    }
    if let ExprKind::Cast { arg, .. } = &e.kind {
        return default_name(arg);
    }
    matches!(e.kind, ExprKind::Trim { .. }).then(|| String::from("trim"))
}

impl Checker<'_> {
    /// A query as it stands at the top: it must not wait for a filter on its row number.
    pub(super) fn whole_query(&mut self, query: &ast::Query) -> Option<QueryId> {
        self.is_top = true;
        let found = self.query(query);
        self.is_top = false;
        found.map(|query| self.without_hidden_windows(query))
    }
}
