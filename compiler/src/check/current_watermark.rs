//! CURRENT_WATERMARK(rowtime): the watermark of the record's partition just before the record. It
//! is a hidden column of the streams that have a watermark, where the program asks for one at all.

use flow_ir::decode_plan::{CURRENT_WATERMARK as HIDDEN, Metadata};
use flow_ir::expr::{Expr, ExprKind};
use flow_ir::span::Span;
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;

use super::Checker;
use super::coerce::cast;
use super::declare::{Draft, DraftSource};
use super::expr::ExprCx;
use super::from::plain_column;
use super::typed::{RelationId, Watermark};
use crate::diagnostics::{aggregates, windows};
use crate::source::SourceMap;
use crate::syntax::ast::Call;

/// The function's name.
pub(super) const CURRENT_WATERMARK: &str = "CURRENT_WATERMARK";

impl Checker<'_> {
    /// Adds the hidden column to a stream with a watermark, if the program asks for it.
    pub(super) fn watermark_column(
        &mut self,
        id: RelationId,
        watermark: Option<&Watermark>,
        drafts: &mut Vec<Draft>,
    ) {
        let relation = self.module.relation(id);
        if watermark.is_none() || relation.says_changes() || !self.asks_watermark {
            return;
        }
        let source = DraftSource::Metadata(Metadata::Watermark);
        let ty = Some(not_null(Metadata::Watermark.data_type()));
        drafts.push(Draft { name: HIDDEN.to_owned(), span: relation.span, ty, source });
    }

    /// The call, over the columns in reach.
    pub(super) fn current_watermark(
        &mut self,
        call: &Call,
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<Expr> {
        let [arg] = call.args.as_slice() else {
            let problem = aggregates::modifier_not_taken(CURRENT_WATERMARK, "no argument", span);
            return self.report(problem);
        };
        let time = self.argument(CURRENT_WATERMARK, arg, cx)?;
        let found = plain_column(&time)
            .filter(|at| cx.scope.columns[*at].event_time)
            .and_then(|at| cx.scope.tables.iter().find(|table| table.columns.contains(&at)))
            .and_then(|table| {
                table.columns.clone().find(|at| cx.scope.columns[*at].name == HIDDEN)
            });
        let Some(at) = found else {
            let text = self.sources.text(arg.span).to_string();
            let why = "CURRENT_WATERMARK reads it at the stream that declares it";
            let help = "Ask in the query that reads the stream, and pass the result on.";
            return self.report(windows::not_event_time(&text, why, arg.span, help.to_string()));
        };
        let bigint = |value| Expr::literal(Value::Int(value), not_null(DataType::BigInt), span);
        let mark = Expr::column(at, cx.scope.columns[at].ty.clone(), span);
        let none = self.operator("=", vec![mark.clone(), bigint(i64::MIN)], span)?;
        let six = Expr::literal(Value::Int(6), not_null(DataType::Int), span);
        let instant = self.operator("TO_TIMESTAMP_LTZ", vec![mark, six], span)?;
        let to = time.ty.data.clone();
        let shown = match &to {
            DataType::TimestampLtz { .. } => instant,
            _ => {
                let utc = Value::String("UTC".to_string());
                let utc = Expr::literal(utc, not_null(DataType::String), span);
                self.operator("AT TIME ZONE", vec![instant, utc], span)?
            }
        };
        let shown = if shown.ty.data == to { shown } else { cast(shown, &to, false, span) };
        let ty = Type::nullable(to);
        let null = Expr::literal(Value::Null, ty.clone(), span);
        let kind =
            ExprKind::Case { branches: vec![(none, null)], otherwise: Some(Box::new(shown)) };
        Some(Expr { kind, ty, span })
    }
}

fn not_null(data: DataType) -> Type {
    Type::not_null(data)
}

/// Whether any text mentions the function.
pub(super) fn is_asked(sources: &SourceMap) -> bool {
    let name = CURRENT_WATERMARK.as_bytes();
    let mut parts = sources.iter().flat_map(|(_, file)| file.text().as_bytes().windows(name.len()));
    parts.any(|part| part.eq_ignore_ascii_case(name))
}
