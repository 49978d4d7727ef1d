//! The time of a record, where a declaration is written as ksqlDB writes it: the columns that
//! ROWTIME, ROWPARTITION and ROWOFFSET name, the watermark, and WINDOWSTART and WINDOWEND.
//!
//! A watermark stays behind the record's time by the program's shortest GRACE PERIOD, a day where
//! none is written. So nothing that a grace period takes is late, and what has a longer one is
//! corrected.

use flow_ir::decode_plan::Metadata;
use flow_ir::expr::Expr;
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;

use super::Checker;
use super::coerce::cast;
use super::declare::{Draft, DraftSource, draft_scope, over_record};
use super::expr::ExprCx;
use super::ksql_options::RecordTime;
use super::literal::constant;
use super::scope::{Found, Scope, find};
use super::typed::{QueryId, RelationId, Watermark};
use crate::diagnostics::{names, windows};
use crate::syntax::ast::{self, BinaryOp, Ident, ObjectName, TableKind};

/// How long ksqlDB takes rows that come late where no GRACE PERIOD is written, microseconds.
pub(super) const GRACE_DEFAULT: i64 = 86_400_000_000;

/// The hidden columns of a record.
pub(super) const ROWTIME: &str = "$rowtime";
const ROWPARTITION: &str = "$rowpartition";
const ROWOFFSET: &str = "$rowoffset";

/// Names that no declaration gives.
const PSEUDO: &[(&str, &str)] =
    &[("ROWTIME", ROWTIME), ("ROWPARTITION", ROWPARTITION), ("ROWOFFSET", ROWOFFSET)];

const MILLIS: Type = Type { data: DataType::TimestampLtz { precision: 3 }, nullable: false };

impl Checker<'_> {
    /// Adds the record's hidden columns to a declaration, and the watermark that its time has.
    pub(super) fn record_columns(
        &mut self,
        id: RelationId,
        kind: TableKind,
        name: &str,
        drafts: &mut Vec<Draft>,
    ) -> Option<Watermark> {
        let time = self.declared(id).time.clone();
        let span = self.module.relation(id).span;
        let from_record = self.declared(id).options.has_record_keys();
        let draft = |name: &str, ty: Type, source: DraftSource| Draft {
            name: name.to_owned(),
            span,
            ty: Some(ty),
            source,
        };
        let time_column = drafts.len();
        match &time {
            Some(time) => {
                let computed = self.time_of_column(time, drafts, name)?;
                let source = DraftSource::Computed(Some(over_record(computed.clone(), drafts)));
                drafts.push(draft(ROWTIME, computed.ty, source));
            }
            None if from_record => {
                drafts.push(draft(ROWTIME, MILLIS, DraftSource::Metadata(Metadata::Timestamp)));
            }
            None => return None,
        }
        if from_record {
            let int = Type::not_null(DataType::Int);
            let bigint = Type::not_null(DataType::BigInt);
            drafts.push(draft(ROWPARTITION, int, DraftSource::Metadata(Metadata::Partition)));
            drafts.push(draft(ROWOFFSET, bigint, DraftSource::Metadata(Metadata::Offset)));
        }
        // A table's own record time is the version of its rows as it is.
        if kind == TableKind::Table && time.is_none() {
            return None;
        }
        let ty = drafts[time_column].ty.clone()?;
        let mut expr = Expr::column(time_column, ty, span);
        if self.grace > 0 {
            let behind = Value::Interval { months: 0, micros: self.grace };
            let behind = Expr::literal(behind, Type::not_null(DataType::Interval), span);
            expr = self.operator("-", vec![expr, behind], span)?;
        }
        let expr = over_record(expr, drafts);
        Some(Watermark { column: time_column, expr, record_time: time.is_none() })
    }

    /// The instant that the TIMESTAMP column of a declaration says.
    fn time_of_column(&mut self, time: &RecordTime, drafts: &[Draft], name: &str) -> Option<Expr> {
        let scope = draft_scope(drafts, name);
        let text = time.column.value.trim_matches('`').to_owned();
        let ident = Ident { text, quoted: false, span: time.column.span };
        let (at, _) = self.resolve(&ObjectName::single(ident), &scope)?;
        let span = time.column.span;
        let column = Expr::column(at, scope.columns[at].ty.clone(), span);
        let read = match (&column.ty.data, &time.pattern) {
            (DataType::BigInt, None) => {
                let millis = Expr::literal(Value::Int(3), Type::not_null(DataType::Int), span);
                self.operator("TO_TIMESTAMP_LTZ", vec![column, millis], span)?
            }
            (DataType::Timestamp { .. } | DataType::TimestampLtz { .. }, None) => column,
            (DataType::String, Some(pattern)) => {
                let text = Value::String(pattern.value.clone());
                let pattern = Expr::literal(text, Type::not_null(DataType::String), pattern.span);
                self.operator("TO_TIMESTAMP", vec![column, pattern], span)?
            }
            (other, pattern) => {
                let given = match pattern {
                    Some(_) => "a column with TIMESTAMP_FORMAT is STRING",
                    None => "a column of time is BIGINT, in milliseconds, or TIMESTAMP",
                };
                let label = other.to_string();
                return self.report(windows::bad_watermark(given, &label, span));
            }
        };
        let nullable = read.ty.nullable;
        let stamp = match read.ty.data {
            DataType::TimestampLtz { precision: 3 } => read,
            _ => cast(read, &MILLIS.data, false, span),
        };
        Some(Expr { ty: MILLIS.with_nullable(nullable), ..stamp })
    }

    /// ROWKEY, ROWTIME, ROWPARTITION, ROWOFFSET, WINDOWSTART and WINDOWEND where no column has the
    /// name; the outer `None` for any other name.
    pub(super) fn pseudo_column(
        &mut self,
        name: &ObjectName,
        cx: &ExprCx<'_>,
    ) -> Option<Option<Expr>> {
        let (table, word) = match name.parts.as_slice() {
            [word] => (None, word),
            [table, word] => (Some(table), word),
            [] | [..] => return None,
        };
        let upper = word.text.to_uppercase();
        if upper == "ROWKEY" && table.is_none() && cx.scope.bare(&word.text) == Found::None {
            return cx.scope.row_key.clone().map(Some);
        }
        let bound = ["WINDOWSTART", "WINDOWEND"].iter().position(|known| *known == upper);
        let hidden = PSEUDO.iter().find(|(known, _)| *known == upper).map(|(_, hidden)| *hidden);
        if word.quoted || (bound.is_none() && hidden.is_none()) {
            return None;
        }
        let range = match table.map(|table| cx.scope.table(&table.text)) {
            None => 0..cx.scope.columns.len(),
            Some(Found::One(table)) => cx.scope.tables[table].columns.clone(),
            Some(Found::None | Found::Many(_)) => return None,
        };
        let named = cx.scope.columns[range.clone()].iter().map(|c| c.name.as_str());
        if find(&word.text, named) != Found::None {
            return None;
        }
        let span = name.span();
        if let Some(shift) = bound {
            let window = cx.group_window?;
            let ty = Type::not_null(cx.scope.columns[window.time].ty.data.clone());
            let bound = Expr::column(window.first + shift, ty, span);
            return Some(self.operator("EPOCH_MILLIS", vec![bound], span));
        }
        let found = columns_of_record(cx.scope, range, hidden?);
        match found[..] {
            [] => None,
            [at] if hidden == Some(ROWTIME) => {
                let time = Expr::column(at, cx.scope.columns[at].ty.clone(), span);
                Some(self.operator("EPOCH_MILLIS", vec![time], span))
            }
            [at] => Some(Some(Expr::column(at, cx.scope.columns[at].ty.clone(), span))),
            [..] => {
                let all: Vec<String> = cx
                    .scope
                    .tables
                    .iter()
                    .filter_map(|t| t.name.as_ref())
                    .map(|table| format!("{table}.{upper}"))
                    .collect();
                Some(self.report(names::ambiguous("the column", &word.text, span, &all)))
            }
        }
    }

    /// A text beside ROWTIME, WINDOWSTART or WINDOWEND is a point of time.
    pub(super) fn text_as_time(
        &mut self,
        op: BinaryOp,
        (left, right): (&ast::Expr, &ast::Expr),
        (typed_left, typed_right): (Expr, Expr),
    ) -> Option<(Expr, Expr)> {
        let is_comparison = match op {
            BinaryOp::Eq
            | BinaryOp::NotEq
            | BinaryOp::Lt
            | BinaryOp::LtEq
            | BinaryOp::Gt
            | BinaryOp::GtEq => true,
            _ => false,
        };
        let is_text = |e: &Expr| matches!(constant(e), Some(Value::String(_)));
        let is_millis = |e: &Expr| e.ty.data == DataType::BigInt;
        if !is_comparison {
            return Some((typed_left, typed_right));
        }
        if is_time(left) && is_millis(&typed_left) && is_text(&typed_right) {
            return Some((typed_left, self.millis_of(typed_right)?));
        }
        if is_time(right) && is_millis(&typed_right) && is_text(&typed_left) {
            return Some((self.millis_of(typed_left)?, typed_right));
        }
        Some((typed_left, typed_right))
    }

    fn millis_of(&mut self, text: Expr) -> Option<Expr> {
        let span = text.span;
        let time = self.explicit_cast(text, &MILLIS.data, false, span)?;
        self.operator("EPOCH_MILLIS", vec![time], span)
    }

    /// The `'allowed.lateness'` of a window with a GRACE PERIOD over these rows.
    pub(super) fn grace_lateness(&self, input: QueryId, grace: i64) -> i64 {
        let by_record = self.scanned(input).any(|id| self.declared[id.0 as usize].ksql);
        if by_record { (grace - self.grace).max(0) } else { grace }
    }
}

/// Whether an expression names a time that is BIGINT.
fn is_time(e: &ast::Expr) -> bool {
    let ast::ExprKind::Name(name) = &e.kind else { return false };
    ["rowtime", "windowstart", "windowend"].iter().any(|word| name.last().is_word(word))
}

/// The columns that a name of the record means: with its time one of each relation, the event time
/// where it has one.
fn columns_of_record(scope: &Scope, range: std::ops::Range<usize>, hidden: &str) -> Vec<usize> {
    let tables = scope
        .tables
        .iter()
        .filter(|t| range.contains(&t.columns.start) && t.columns.end <= range.end && t.level == 0);
    let found = tables.filter_map(|table| {
        let mut columns = table.columns.clone();
        let time = columns.clone().find(|at| hidden == ROWTIME && scope.columns[*at].event_time);
        time.or_else(|| columns.find(|at| scope.columns[*at].name == hidden))
    });
    found.collect()
}
