//! EXPLODE and UNNEST as items of SELECT: a row per element, of several side by side as many rows
//! as the longest has elements.

use flow_ir::expr::Expr;
use flow_ir::types::DataType;

use super::Checker;
use super::expr::ExprCx;
use super::scope::Scope;
use super::select::{Item, Value};
use super::typed::{QueryId, Unnest};
use crate::diagnostics::{plans, types};
use crate::syntax::ast::{ArgValue, Call, ExprKind, Select};

impl Checker<'_> {
    /// The rows with the elements that items are made of behind them; the items are then columns.
    pub(super) fn exploded(
        &mut self,
        select: &Select,
        items: &mut [Item<'_>],
        scope: &Scope,
        input: QueryId,
    ) -> Option<QueryId> {
        let mut arrays = Vec::new();
        let mut places = Vec::new();
        for (place, item) in items.iter().enumerate() {
            let Value::Written(written) = item.value else { continue };
            let ExprKind::Call(call) = &written.kind else { continue };
            let Some(argument) = element_of(call) else { continue };
            let array = self.expr(argument, &mut ExprCx::rows(scope, "SELECT"))?;
            if !matches!(array.ty.data, DataType::Array(_)) {
                return self.report(types::no_parts("elements", &array.ty, argument.span));
            }
            places.push((place, written.span));
            arrays.push((format!("$explode{}", arrays.len()), Some(array)));
        }
        let Some((_, span)) = places.first().copied() else { return Some(input) };
        if select.group_by.is_some() || select.having.is_some() {
            let instead = "Group in a query around this one.";
            let what = "a row per element in a query with GROUP BY";
            return self.report(plans::not_available(what, span, Some(instead)));
        }
        let width = self.query_node(input).columns.len();
        let count = arrays.len();
        let input = self.extend(input, arrays, select.span);
        let columns = (width..width + count).collect();
        let unnest = Unnest { input, columns, ordinality: false, outer: false };
        let unnested = self.unnest(unnest, select.span);
        for (at, (place, span)) in places.into_iter().enumerate() {
            let at = width + count + at;
            let ty = self.query_node(unnested).columns[at].ty.clone();
            items[place].value = Value::Column(Some(Expr::column(at, ty, span)));
        }
        Some(unnested)
    }
}

/// The argument of a call that gives a row per element.
fn element_of(call: &Call) -> Option<&crate::syntax::ast::Expr> {
    let name = call.name.as_single()?;
    if !(name.is_word("explode") || name.is_word("unnest")) {
        return None;
    }
    match call.args.as_slice() {
        [only] if only.name.is_none() => match &only.value {
            ArgValue::Expr(e) => Some(e),
            _ => None,
        },
        [] | [..] => None,
    }
}
