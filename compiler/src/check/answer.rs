//! Queries that are asked once, and subscriptions: declarations, then one query, whose rows go to
//! a stream of the connector `answer`. The outermost ORDER BY, LIMIT and OFFSET are not the plan's:
//! who collects the rows sorts and cuts them, by columns that may stand behind the visible ones.

use flow_ir::connector::{self, ConnectorSpec, Delivery, Directions};
use flow_ir::expr::Expr;
use flow_ir::physical::{Direction, SinkMode};
use flow_ir::span::{FileId, Span};
use flow_ir::value::Value;

use super::catalog::Catalog;
use super::expr::{ExprCx, same};
use super::from::plain_column;
use super::literal::constant;
use super::scope::{Found, Scope, find, visible};
use super::select::default_name;
use super::typed::{Output, QueryId, QueryOp, TypedModule};
use super::{CheckOptions, Checker, nodes, on_own_stack};
use crate::diagnostics::{self, Diagnostic, aggregates, plans};
use crate::source::SourceMap;
use crate::syntax::ast::{
    self, Ast, Distinct, ExprKind, Ident, Literal, NumberKind, OrderItem, Select, SelectItem,
    SelectItemKind, SetExprKind, Statement, StatementKind, Subscribe,
};

/// The stream that takes the rows.
static ANSWER_STREAM: ConnectorSpec = ConnectorSpec {
    name: connector::ANSWER,
    directions: Directions { source: false, sink: true },
    options: &[],
    formatted: false,
    delivery: Delivery::AtLeastOnce,
};

/// What becomes of a query's rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// So many columns, the first, are shown; those behind only order the rows.
    pub visible: usize,
    /// ORDER BY: columns, most significant first.
    pub order: Vec<(usize, Direction)>,
    /// LIMIT.
    pub limit: Option<u64>,
    /// OFFSET; 0 where there is none.
    pub offset: u64,
    /// Whether its changes are wanted, too.
    pub subscribe: bool,
    /// Whether it is of one moment: it reads the clock for rows that views may take back, so that
    /// its changes from one moment to the next would not add up.
    pub of_a_moment: bool,
}

/// Checks declarations and the one query behind them. Module and answer are whole only if no
/// diagnostic is an error.
pub fn check_query(
    ast: &Ast,
    sources: &SourceMap,
    catalog: &dyn Catalog,
    options: &CheckOptions,
) -> (TypedModule, Option<Answer>, Vec<Diagnostic>) {
    on_own_stack(|| {
        let mut checker = Checker::new(sources, catalog, options);
        checker.asked = true;
        checker.settings(ast);
        let answer = checker.asked_statements(ast);
        nodes::drop_unread(&mut checker.module);
        let mut found = checker.found;
        diagnostics::sort(&mut found);
        (checker.module, answer, found)
    })
}

/// What an item of ORDER BY is.
enum SortKey<'q> {
    /// The column at a position, from 1.
    Position(&'q str),
    /// The column of a name.
    Named(&'q Ident),
    /// A column that is not shown, of this name.
    Hidden(String),
}

impl<'a> Checker<'a> {
    fn asked_statements(&mut self, ast: &'a Ast) -> Option<Answer> {
        let Some((last, before)) = ast.statements.split_last() else {
            let nowhere = Span::new(FileId(0), 0, 0);
            return self.report(plans::not_one_query("there is no query", "nothing", nowhere));
        };
        for statement in before {
            self.before_query(statement);
        }
        match &last.kind {
            StatementKind::Query(query) => self.ask(query, last.span),
            StatementKind::Subscribe(to) => self.subscribe(to, last.span),
            StatementKind::CreateTable(_)
            | StatementKind::CreateView(_)
            | StatementKind::CreateIndex(_)
            | StatementKind::CreateFunction(_)
            | StatementKind::Insert(_)
            | StatementKind::StatementSet(_)
            | StatementKind::Explain { .. }
            | StatementKind::AnalyzeJob(_)
            | StatementKind::Show { .. }
            | StatementKind::Describe { .. }
            | StatementKind::Drop { .. }
            | StatementKind::Set(_)
            | StatementKind::Reset(_)
            | StatementKind::Import(_)
            | StatementKind::Print { .. } => {
                let message = "the last statement is not a query";
                self.report(plans::not_one_query(message, "no query", last.span))
            }
        }
    }

    /// A statement before the query: it may declare and set.
    fn before_query(&mut self, statement: &'a Statement) {
        let runs = match &statement.kind {
            StatementKind::CreateTable(create) => create.query.is_some(),
            StatementKind::CreateView(create) => create.materialized,
            StatementKind::CreateIndex(_)
            | StatementKind::Insert(_)
            | StatementKind::StatementSet(_)
            | StatementKind::Query(_)
            | StatementKind::Subscribe(_) => true,
            StatementKind::CreateFunction(_)
            | StatementKind::Explain { .. }
            | StatementKind::AnalyzeJob(_)
            | StatementKind::Show { .. }
            | StatementKind::Describe { .. }
            | StatementKind::Drop { .. }
            | StatementKind::Set(_)
            | StatementKind::Reset(_)
            | StatementKind::Import(_)
            | StatementKind::Print { .. } => false,
        };
        if runs {
            let message = "only declarations stand before a query";
            let problem = plans::not_one_query(message, "not a declaration", statement.span);
            self.found.push(problem);
        } else {
            self.statement(statement);
        }
    }

    fn subscribe(&mut self, to: &Subscribe, span: Span) -> Option<Answer> {
        let found = match to {
            Subscribe::Name(name) => {
                let query = self.named_query(name)?;
                self.no_rank(query)?
            }
            Subscribe::Query(query) => self.whole_query(query)?,
        };
        let columns = self.visible_columns(found);
        let visible = columns.len();
        self.send_answer(found, &columns, span);
        let of_a_moment = self.of_a_moment(found, true)?;
        Some(Answer {
            visible,
            order: Vec::new(),
            limit: None,
            offset: 0,
            subscribe: true,
            of_a_moment,
        })
    }

    fn ask(&mut self, query: &ast::Query, span: Span) -> Option<Answer> {
        let limit = query.limit.as_ref().map(|limit| self.count(limit, "LIMIT"));
        let offset = query.offset.as_ref().map(|offset| self.count(offset, "OFFSET"));
        let outer = self.ctes.len();
        if let Some(with) = &query.with {
            self.with(with);
        }
        let body = self.ordered(query);
        self.ctes.truncate(outer);
        let (body, order) = body?;
        if let Some(emit) = &query.emit {
            self.emit(body, emit)?;
        }
        let mut columns = self.visible_columns(body);
        let visible = columns.len();
        let mut placed = Vec::with_capacity(order.len());
        for (at, direction) in order {
            let at = self.shown_as(body, &columns, at);
            let place = columns.iter().position(|column| *column == at);
            placed.push((place.unwrap_or(columns.len()), direction));
            if place.is_none() {
                columns.push(at);
            }
        }
        self.send_answer(body, &columns, span);
        let limit = match limit {
            Some(limit) => Some(limit?),
            None => None,
        };
        let offset = offset.unwrap_or(Some(0))?;
        let of_a_moment = self.of_a_moment(body, false)?;
        Some(Answer { visible, order: placed, limit, offset, subscribe: false, of_a_moment })
    }

    /// Whether the clock is read for rows that may be taken back. It may, where all is answered in
    /// one step: then rows come and go within one moment.
    fn of_a_moment(&mut self, query: QueryId, subscribe: bool) -> Option<bool> {
        let Some(span) = self.clock_over_updates else { return Some(false) };
        let of_view = |id: &QueryId| match &self.query_node(*id).op {
            QueryOp::Scan(relation) => self.module.relation(*relation).is_view(),
            _ => true,
        };
        match !subscribe && self.below(query).iter().all(of_view) {
            true => Some(true),
            false => self.report(plans::clock_over_updates(span)),
        }
    }

    /// A column among these that computes the same as column `at`, else `at`.
    fn shown_as(&self, query: QueryId, columns: &[usize], at: usize) -> usize {
        let QueryOp::Project { exprs, .. } = &self.query_node(query).op else { return at };
        let equal = |&&column: &&usize| same(&exprs[column], &exprs[at]);
        columns.iter().find(equal).copied().unwrap_or(at)
    }

    /// Sends a query's columns to the answer.
    fn send_answer(&mut self, query: QueryId, columns: &[usize], span: Span) {
        let query = self.shown(query, columns, span);
        let fields = self.query_node(query).fields();
        let target = self.made_stream(&ANSWER_STREAM, connector::ANSWER.to_string(), fields, span);
        let mode = SinkMode::Changes;
        self.module.outputs.push(Output { target, query, mode, keys: Vec::new(), span });
    }

    /// The body of a query, and its columns that ORDER BY sorts by. What is no column of the body
    /// becomes one, with a name that is not shown.
    fn ordered(&mut self, query: &ast::Query) -> Option<(QueryId, Vec<(usize, Direction)>)> {
        let order_by = query.order_by.as_slice();
        let directions = order_by.iter().map(|item| Direction {
            descending: item.descending,
            nulls_first: item.nulls_first.unwrap_or(item.descending),
        });
        let (body, columns) = match &query.body.kind {
            SetExprKind::Select(select) if !matches!(select.distinct, Distinct::Distinct(_)) => {
                self.ordered_select(select, order_by)?
            }
            SetExprKind::Select(_)
            | SetExprKind::Values(_)
            | SetExprKind::Table(_)
            | SetExprKind::Query(_)
            | SetExprKind::SetOp { .. } => {
                let body = self.set_expr(&query.body)?;
                let body = self.no_rank(body)?;
                self.ordered_rows(body, order_by, query.span)?
            }
        };
        Some((body, columns.into_iter().zip(directions).collect()))
    }

    /// ORDER BY of a SELECT: by its columns, or by expressions over what it selects from.
    fn ordered_select(
        &mut self,
        select: &Select,
        order_by: &[OrderItem],
    ) -> Option<(QueryId, Vec<usize>)> {
        let mut extended = select.clone();
        let mut keys = Vec::with_capacity(order_by.len());
        for (nth, item) in order_by.iter().enumerate() {
            let key = sort_key(&item.expr, &select.items, nth);
            if let SortKey::Hidden(name) = &key {
                let span = item.expr.span;
                let alias = Some(Ident { text: name.clone(), quoted: true, span });
                let kind = SelectItemKind::Expr { expr: item.expr.clone(), alias };
                extended.items.push(SelectItem { kind, span });
            }
            keys.push((key, item.expr.span));
        }
        let body = self.select(&extended)?;
        let body = self.no_rank(body)?;
        let columns = keys.iter().map(|(key, span)| self.sort_column(body, key, *span));
        let columns: Vec<Option<usize>> = columns.collect();
        Some((body, columns.into_iter().collect::<Option<_>>()?))
    }

    fn sort_column(&mut self, body: QueryId, key: &SortKey<'_>, span: Span) -> Option<usize> {
        match key {
            SortKey::Position(text) => self.sort_position(body, text, span),
            SortKey::Named(name) => {
                let scope = self.scope_of(body, None);
                self.resolve(&ast::ObjectName::single((*name).clone()), &scope).map(|(at, _)| at)
            }
            SortKey::Hidden(name) => {
                self.query_node(body).columns.iter().position(|column| column.name == *name)
            }
        }
    }

    fn sort_position(&mut self, body: QueryId, text: &str, span: Span) -> Option<usize> {
        let columns = self.visible_columns(body);
        let at = text.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
        match at.and_then(|at| columns.get(at)) {
            Some(column) => Some(*column),
            None => self.report(aggregates::bad_position(text, columns.len(), span)),
        }
    }

    /// ORDER BY of any other body: by its columns, and expressions over them.
    fn ordered_rows(
        &mut self,
        body: QueryId,
        order_by: &[OrderItem],
        span: Span,
    ) -> Option<(QueryId, Vec<usize>)> {
        let scope = self.scope_of(body, None);
        let width = scope.columns.len();
        let mut more: Vec<(String, Option<Expr>)> = Vec::new();
        let mut columns = Vec::with_capacity(order_by.len());
        for item in order_by {
            if let Some(text) = position(&item.expr) {
                columns.push(self.sort_position(body, text, item.expr.span));
                continue;
            }
            let typed = self.expr(&item.expr, &mut ExprCx::rows(&scope, "ORDER BY"));
            columns.push(typed.map(|expr| {
                plain_column(&expr).unwrap_or_else(|| {
                    more.push((format!("$order{}", more.len()), Some(expr)));
                    width + more.len() - 1
                })
            }));
        }
        let columns = columns.into_iter().collect::<Option<Vec<usize>>>()?;
        Some((self.extend(body, more, span), columns))
    }

    /// The number of LIMIT or OFFSET.
    fn count(&mut self, written: &ast::Expr, clause: &'static str) -> Option<u64> {
        let scope = Scope::default();
        let typed = self.expr(written, &mut ExprCx::rows(&scope, clause))?;
        let count = match constant(&typed) {
            Some(Value::Int(count)) => u64::try_from(*count).ok(),
            Some(_) | None => None,
        };
        match count {
            Some(count) => Some(count),
            None => self.report(plans::not_a_count(clause, written.span)),
        }
    }
}

/// An item of ORDER BY over a SELECT: names of its items come before those of columns.
fn sort_key<'q>(e: &'q ast::Expr, items: &[SelectItem], nth: usize) -> SortKey<'q> {
    if let Some(text) = position(e) {
        return SortKey::Position(text);
    }
    let named = if let ExprKind::Name(name) = &e.kind { name.as_single() } else { None };
    let names = items.iter().filter_map(|item| match &item.kind {
        SelectItemKind::Expr { alias: Some(alias), .. } => Some(alias.text.clone()),
        SelectItemKind::Expr { expr, alias: None } => default_name(expr),
        SelectItemKind::Wildcard { .. } => None,
    });
    let names: Vec<String> = names.filter(|name| visible(name)).collect();
    match named {
        Some(name) if find(&name.text, names.iter().map(String::as_str)) != Found::None => {
            SortKey::Named(name)
        }
        Some(_) | None => SortKey::Hidden(format!("$order{nth}")),
    }
}

/// The text of a position.
fn position(e: &ast::Expr) -> Option<&str> {
    let ExprKind::Literal(literal) = &e.kind else { return None };
    let Literal::Number { text, kind: NumberKind::Integer } = literal else { return None };
    Some(text)
}
