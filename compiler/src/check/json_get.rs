//! Parts of JSON by their keys as functions, as Arroyo and DataFusion name them.

use flow_ir::expr::Expr;
use flow_ir::span::Span;
use flow_ir::types::DataType;

use super::Checker;
use super::coerce::cast;
use super::expr::ExprCx;
use crate::syntax::ast::Call;

/// Their names, and the type of what they give: of none it is JSON.
const GETTERS: &[(&str, Option<DataType>)] = &[
    ("JSON_GET", None),
    ("JSON_GET_JSON", Some(DataType::String)),
    ("JSON_GET_STR", Some(DataType::String)),
    ("JSON_AS_TEXT", Some(DataType::String)),
    ("JSON_GET_INT", Some(DataType::BigInt)),
    ("JSON_GET_FLOAT", Some(DataType::Double)),
    ("JSON_GET_BOOL", Some(DataType::Boolean)),
];

impl Checker<'_> {
    /// `JSON_GET_INT(json, key, …)`: NULL where there is no such value.
    pub(super) fn json_getter(
        &mut self,
        name: &str,
        call: &Call,
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<Option<Expr>> {
        let (_, ty) = GETTERS.iter().find(|(getter, _)| *getter == name)?;
        if call.args.len() < 2 {
            return None;
        }
        let args: Vec<Option<Expr>> =
            call.args.iter().map(|arg| self.argument(name, arg, cx)).collect();
        Some(args.into_iter().collect::<Option<Vec<Expr>>>().and_then(|args| {
            let mut args = args.into_iter();
            let mut json = args.next()?;
            let last = args.len();
            for (at, key) in args.enumerate() {
                let as_text = at + 1 == last && ty.is_some();
                json = self.operator(if as_text { "->>" } else { "->" }, vec![json, key], span)?;
            }
            Some(match ty {
                Some(DataType::String) | None => json,
                Some(ty) => cast(json, ty, true, span),
            })
        }))
    }
}
