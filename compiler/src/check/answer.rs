//! Queries that are asked once, and subscriptions: declarations, then one query, whose rows go to
//! a stream of the connector `answer`. The outermost ORDER BY, LIMIT and OFFSET are not the plan's:
//! who collects the rows sorts and cuts them, by columns that may stand behind the visible ones.

use flow_ir::connector::{self, ConnectorSpec, Delivery, Directions};
use flow_ir::physical::{Direction, SinkMode};
use flow_ir::span::{FileId, Span};

use super::catalog::Catalog;
use super::expr::same;
use super::order::Limits;
use super::typed::{Output, QueryId, QueryOp, TypedModule};
use super::{CheckOptions, Checker, like, nodes, on_own_stack};
use crate::diagnostics::{self, Diagnostic, plans};
use crate::source::SourceMap;
use crate::syntax::ast::{self, Ast, Statement, StatementKind, Subscribe};

/// The stream that takes the rows.
static ANSWER_STREAM: ConnectorSpec = ConnectorSpec {
    name: connector::ANSWER,
    directions: Directions { source: false, sink: true },
    refused: &[],
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
        let mut found = Vec::new();
        let expanded = like::expand(ast, &mut found);
        let ast = expanded.as_ref().unwrap_or(ast);
        let mut checker = Checker::new(sources, catalog, options);
        (checker.asked, checker.found) = (true, found);
        checker.settings(ast);
        let answer = checker.asked_statements(ast);
        nodes::drop_unread(&mut checker.module);
        let mut found = checker.found;
        diagnostics::sort(&mut found);
        (checker.module, answer, found)
    })
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
            | StatementKind::CreateType(_)
            | StatementKind::Insert(_)
            | StatementKind::Change(_)
            | StatementKind::StatementSet(_)
            | StatementKind::Explain { .. }
            | StatementKind::AnalyzeJob(_)
            | StatementKind::Control { .. }
            | StatementKind::Show { .. }
            | StatementKind::Describe { .. }
            | StatementKind::DescribeFunction { .. }
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
            | StatementKind::Change(_)
            | StatementKind::StatementSet(_)
            | StatementKind::Query(_)
            | StatementKind::Subscribe(_) => true,
            StatementKind::CreateFunction(_)
            | StatementKind::CreateType(_)
            | StatementKind::Explain { .. }
            | StatementKind::AnalyzeJob(_)
            | StatementKind::Control { .. }
            | StatementKind::Show { .. }
            | StatementKind::Describe { .. }
            | StatementKind::DescribeFunction { .. }
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
            Subscribe::Name(name) => self.named_query(name)?,
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
        let limits = self.limits(query);
        let outer = self.ctes.len();
        if let Some(with) = &query.with {
            self.with(with, None);
        }
        let body = self.ordered(query);
        self.ctes.truncate(outer);
        let (mut body, order) = body?;
        let mut limits = limits?;
        if limits.ties {
            body = self.cut(body, &order, limits, span);
            limits = Limits::default();
        }
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
        let Limits { limit, offset, .. } = limits;
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
}
