//! What is looked up in a program's text before anything is checked: the shortest GRACE PERIOD, and
//! what is inserted into.

use super::Checker;
use super::record_time::GRACE_DEFAULT;
use crate::syntax::ast::{
    ArgValue, Ast, Expr, Query, Select, SetExpr, SetExprKind, Statement, StatementKind,
    TableArgSource, TableFactor, TableFactorKind, TableRef,
};

impl<'a> Checker<'a> {
    /// Looks through a program for what its declarations must know.
    pub(super) fn look_ahead(&mut self, ast: &'a Ast) {
        let mut graces = Vec::new();
        for statement in &ast.statements {
            self.look_into(statement, &mut graces);
        }
        let told = self.found.len();
        let lengths = graces.into_iter().filter_map(|grace| self.length(grace));
        let shortest = lengths.filter(|length| *length >= 0).min();
        // What there is to say of them is said where they are used.
        self.found.truncate(told);
        self.grace = shortest.map_or(GRACE_DEFAULT, |shortest| shortest.min(GRACE_DEFAULT));
    }

    fn look_into(&mut self, statement: &'a Statement, graces: &mut Vec<&'a Expr>) {
        match &statement.kind {
            StatementKind::CreateTable(create) => {
                create.query.iter().for_each(|query| of_query(query, graces));
            }
            StatementKind::CreateView(create) => of_query(&create.query, graces),
            StatementKind::Insert(insert) => {
                self.inserted.push(insert.table.last().text.clone());
                of_query(&insert.query, graces);
            }
            StatementKind::StatementSet(inserts) => {
                for insert in inserts {
                    self.inserted.push(insert.table.last().text.clone());
                    of_query(&insert.query, graces);
                }
            }
            StatementKind::Query(query) => of_query(query, graces),
            StatementKind::CreateIndex(_)
            | StatementKind::CreateFunction(_)
            | StatementKind::CreateType(_)
            | StatementKind::Subscribe(_)
            | StatementKind::Change(_)
            | StatementKind::Explain { .. }
            | StatementKind::AnalyzeJob(_)
            | StatementKind::Show { .. }
            | StatementKind::Describe { .. }
            | StatementKind::DescribeFunction { .. }
            | StatementKind::Drop { .. }
            | StatementKind::Set(_)
            | StatementKind::Reset(_)
            | StatementKind::Import(_)
            | StatementKind::Print { .. }
            | StatementKind::Control { .. } => {}
        }
    }
}

fn of_query<'q>(query: &'q Query, graces: &mut Vec<&'q Expr>) {
    for table in query.with.iter().flat_map(|with| &with.tables) {
        of_query(&table.query, graces);
    }
    of_set(&query.body, graces);
}

fn of_set<'q>(body: &'q SetExpr, graces: &mut Vec<&'q Expr>) {
    match &body.kind {
        SetExprKind::Select(select) => of_select(select, graces),
        SetExprKind::Query(query) => of_query(query, graces),
        SetExprKind::SetOp { left, right, .. } => {
            of_set(left, graces);
            of_set(right, graces);
        }
        SetExprKind::Values(_) | SetExprKind::Table(_) => {}
    }
}

fn of_select<'q>(select: &'q Select, graces: &mut Vec<&'q Expr>) {
    graces.extend(select.time_window.iter().filter_map(|window| window.grace.as_ref()));
    select.from.iter().for_each(|table| of_table(table, graces));
}

fn of_table<'q>(table: &'q TableRef, graces: &mut Vec<&'q Expr>) {
    of_factor(&table.first, graces);
    for join in &table.joins {
        graces.extend(join.within.iter().filter_map(|within| within.grace.as_ref()));
        of_factor(&join.right, graces);
    }
}

fn of_factor<'q>(factor: &'q TableFactor, graces: &mut Vec<&'q Expr>) {
    match &factor.kind {
        TableFactorKind::Query(query) => of_query(query, graces),
        TableFactorKind::Nested(inner) => of_table(inner, graces),
        TableFactorKind::MatchRecognize { input, .. } => of_factor(input, graces),
        TableFactorKind::Function { args, .. } => {
            for arg in args {
                if let ArgValue::Table(table) = &arg.value
                    && let TableArgSource::Query(query) = &table.source
                {
                    of_query(query, graces);
                }
            }
        }
        TableFactorKind::Named { .. } | TableFactorKind::Unnest { .. } => {}
    }
}
