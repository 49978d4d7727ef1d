//! Functions in SELECT that give a row for each element: `SELECT unnest(xs) FROM t`, as Postgres
//! has them. Several of one SELECT go side by side, the shorter ones filled up with NULL.

use flow_ir::expr::Expr;
use flow_ir::span::Span;
use flow_ir::types::DataType;

use super::Checker;
use super::select::{Item, Value};
use super::typed::{QueryId, Unnest};
use crate::diagnostics::types;
use crate::syntax::ast::{self, ArgValue, Call};

/// Functions whose arrays Postgres has as rows.
const ROWS: &[&str] = &[
    "JSON_ARRAY_ELEMENTS",
    "JSON_ARRAY_ELEMENTS_TEXT",
    "JSONB_ARRAY_ELEMENTS",
    "JSONB_ARRAY_ELEMENTS_TEXT",
];

/// What an item gives a row for each element of.
fn array_of(item: &ast::Expr) -> Option<&ast::Expr> {
    let ast::ExprKind::Call(call) = &item.kind else { return None };
    let Call { args, over: None, filter: None, distinct: false, .. } = &**call else { return None };
    let name = call.name.as_single()?.text.to_uppercase();
    match args.as_slice() {
        [ast::Arg { name: None, value: ArgValue::Expr(array), .. }] if name == "UNNEST" => {
            Some(array)
        }
        _ => ROWS.contains(&name.as_str()).then_some(item),
    }
}

/// Puts the arrays in the place of such calls: which items are to become their elements.
pub(super) fn take_arrays(items: &mut [Item<'_>]) -> Vec<usize> {
    let mut found = Vec::new();
    for (at, item) in items.iter_mut().enumerate() {
        if let Value::Written(written) = item.value
            && let Some(array) = array_of(written)
        {
            item.value = Value::Written(array);
            found.push(at);
        }
    }
    found
}

impl Checker<'_> {
    /// The rows with these columns as their elements.
    pub(super) fn rows_of_items(
        &mut self,
        input: QueryId,
        columns: Vec<usize>,
        span: Span,
    ) -> Option<QueryId> {
        if columns.is_empty() {
            return Some(input);
        }
        let width = self.query_node(input).columns.len();
        for at in &columns {
            let ty = self.query_node(input).columns[*at].ty.clone();
            if !matches!(ty.data, DataType::Array(_)) {
                return self.report(types::no_parts("elements", &ty, span));
            }
        }
        let unnest = Unnest { input, columns: columns.clone(), ordinality: false, outer: false };
        let rows = self.unnest(unnest, span);
        let mut items = Vec::with_capacity(width);
        for at in 0..width {
            let (name, passed) = self.pass_column(rows, at, span);
            let element = columns.iter().position(|column| *column == at).map(|nth| {
                let ty = self.query_node(rows).columns[width + nth].ty.clone();
                Expr::column(width + nth, ty, span)
            });
            items.push((name, element.or(passed)));
        }
        Some(self.project(rows, items, span))
    }
}
