//! Expressions and values as EXPLAIN shows them: SQL-like, with the columns' names, fully
//! parenthesised where operators nest.

use crate::each::EachKind;
use crate::expr::{Expr, ExprKind};
use crate::types::{DataType, Field};
use crate::value::Value;

/// An expression over these columns.
pub fn expr_text(expr: &Expr, columns: &[Field]) -> String {
    let text = |e: &Expr| expr_text(e, columns);
    let operand = |e: &Expr| {
        let text = expr_text(e, columns);
        if is_compound(e) { format!("({text})") } else { text }
    };
    let list = |args: &[Expr]| args.iter().map(text).collect::<Vec<_>>().join(", ");
    let joined = |args: &[Expr], by: &str| args.iter().map(operand).collect::<Vec<_>>().join(by);
    match &expr.kind {
        ExprKind::Column(index) => {
            columns.get(*index).map_or_else(|| format!("#{index}"), |c| c.name.clone())
        }
        ExprKind::Literal(Value::Decimal(value)) => decimal_text(*value, &expr.ty.data),
        ExprKind::Literal(value) => value_text(value),
        ExprKind::Call { function, args, .. } => match (is_symbol(function), &args[..]) {
            (true, [a]) => format!("{function}{}", operand(a)),
            (true, [a, b]) => format!("{} {function} {}", operand(a), operand(b)),
            (true | false, _) => format!("{function}({})", list(args)),
        },
        ExprKind::Cast { arg, lenient } => {
            let cast = if *lenient { "TRY_CAST" } else { "CAST" };
            format!("{cast}({} AS {})", text(arg), expr.ty.data)
        }
        ExprKind::Case { branches, otherwise } => {
            let branch =
                |(when, then): &(Expr, Expr)| format!("WHEN {} THEN {} ", text(when), text(then));
            let branches: String = branches.iter().map(branch).collect();
            let otherwise =
                otherwise.as_ref().map_or(String::new(), |e| format!("ELSE {} ", text(e)));
            format!("CASE {branches}{otherwise}END")
        }
        ExprKind::And(args) => joined(args, " AND "),
        ExprKind::Or(args) => joined(args, " OR "),
        ExprKind::Not(arg) => format!("NOT {}", operand(arg)),
        ExprKind::IsNull(arg) => format!("{} IS NULL", operand(arg)),
        ExprKind::Field { arg, index } => {
            let fields = if let DataType::Row(fields) = &arg.ty.data { &fields[..] } else { &[] };
            let name = fields.get(*index).map(|f| f.name.as_str());
            format!("{}.{}", operand(arg), name.unwrap_or("?"))
        }
        ExprKind::Row(args) => format!("ROW({})", list(args)),
        ExprKind::Array(args) => format!("ARRAY[{}]", list(args)),
        ExprKind::Param(number) => format!("${number}"),
        ExprKind::Each { kind, first, arrays, init, body } => {
            let name = match kind {
                EachKind::Map => "TRANSFORM",
                EachKind::Filter => "FILTER",
                EachKind::Fold => "REDUCE",
            };
            let args: Vec<String> = arrays.iter().chain(init.as_deref()).map(text).collect();
            let params = (0..args.len()).map(|at| format!("${}", first + at));
            let params = params.collect::<Vec<_>>().join(", ");
            format!("{name}({}, ({params}) -> {})", args.join(", "), text(body))
        }
        ExprKind::Clock => "NOW()".into(),
    }
}

/// A decimal with its point.
fn decimal_text(value: i128, ty: &DataType) -> String {
    let DataType::Decimal { scale, .. } = ty else { return value.to_string() };
    let scale = usize::from(*scale);
    let sign = if value < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", value.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

fn is_symbol(function: &str) -> bool {
    !function.chars().any(|c| c.is_ascii_alphanumeric())
}

fn is_compound(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Call { function, .. } => is_symbol(function),
        ExprKind::And(_) | ExprKind::Or(_) | ExprKind::Not(_) | ExprKind::IsNull(_) => true,
        ExprKind::Column(_)
        | ExprKind::Literal(_)
        | ExprKind::Cast { .. }
        | ExprKind::Case { .. }
        | ExprKind::Field { .. }
        | ExprKind::Row(_)
        | ExprKind::Array(_)
        | ExprKind::Param(_)
        | ExprKind::Each { .. }
        | ExprKind::Clock => false,
    }
}

/// A value whose type is not at hand. Exact where EXPLAIN readers look (numbers, text), raw
/// microseconds for times.
pub fn value_text(value: &Value) -> String {
    let list = |values: &[Value]| values.iter().map(value_text).collect::<Vec<_>>().join(", ");
    match value {
        Value::Null => "NULL".into(),
        Value::Boolean(v) => v.to_string().to_uppercase(),
        Value::Int(v) => v.to_string(),
        Value::Float(v) => format!("{v:?}"),
        Value::Decimal(v) => format!("DECIMAL {v}"),
        Value::String(v) | Value::Json(v) => format!("'{}'", v.replace('\'', "''")),
        Value::Bytes(v) => {
            let hex: String = v.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("X'{hex}'")
        }
        Value::Date(v) => format!("DATE {v}"),
        Value::Time(v) => format!("TIME {v}"),
        Value::Timestamp(v) => format!("TIMESTAMP {v}"),
        Value::TimestampLtz(v) => format!("TIMESTAMP_LTZ {v}"),
        Value::Interval { months: 0, micros } => format!("INTERVAL {}s", *micros as f64 / 1e6),
        Value::Interval { months, micros } => {
            format!("INTERVAL {months}mon {}s", *micros as f64 / 1e6)
        }
        Value::Uuid(v) => format!("UUID '{v:032x}'"),
        Value::Array(values) => format!("ARRAY[{}]", list(values)),
        Value::Map(entries) => {
            let entry = |(k, v): &(Value, Value)| format!("{}: {}", value_text(k), value_text(v));
            format!("MAP{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
        Value::Row(values) => format!("ROW({})", list(values)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_have_their_point() {
        let decimal = |precision, scale| DataType::Decimal { precision, scale };
        assert_eq!(decimal_text(908, &decimal(3, 3)), "0.908");
        assert_eq!(decimal_text(-5, &decimal(5, 2)), "-0.05");
        assert_eq!(decimal_text(1234, &decimal(5, 2)), "12.34");
        assert_eq!(decimal_text(7, &decimal(5, 0)), "7");
    }
}
