//! INSERT INTO … VALUES: rows of literals as JSON objects, which the server checks against the
//! stream and writes.

use flow_compiler::check::typed::Relation;
use flow_compiler::syntax::ast::{Expr, ExprKind, Insert, Literal, NumberKind, TypedKind, UnaryOp};
use flow_ir::decode_plan::Origin;
use flow_ir::span::Span;
use flow_ir::types::{DataType, Type};
use serde_json::{Map, Value, json};

use super::server::{Request, segment};
use super::statement::Typed;
use super::{Done, Shell, live};

/// Rows that one request writes at most.
const ROWS_MAX: usize = 1_000;

/// What cannot be inserted, and where it stands.
struct NoRow {
    span: Span,
    why: String,
}

impl Shell {
    pub(super) fn insert_values(
        &mut self,
        typed: &Typed<'_>,
        insert: &Insert,
        rows: &[Vec<Expr>],
    ) -> Done {
        let target = &insert.table.last().text;
        let declared = self.session().find(target).map(|d| d.name.clone());
        let (module, _) = self.session().notes();
        let stream = declared.as_deref().unwrap_or(target);
        let relation = module.relations.iter().find(|r| r.stream.name == stream);
        let objects = match objects(insert, rows, relation) {
            Ok(objects) => objects,
            Err(no_row) => return self.no_row(typed, &no_row),
        };
        let count = objects.len();
        let declarations = self.session().needed(typed.text);
        for some in objects.chunks(ROWS_MAX) {
            let request = match relation {
                Some(_) => Request::post(
                    "/v1/streams",
                    json!({ "declarations": declarations, "stream": stream, "records": some }),
                ),
                // A stream of a job that the server runs.
                None => {
                    let body = Value::Array(some.to_vec());
                    Request::post(format!("/v1/streams/{}", segment(stream)), body)
                }
            };
            if let Err(problem) = self.server.ask(&request) {
                return self.problem(&problem);
            }
        }
        let rows = live::count_of(count as u64, "row");
        self.screen.remark(&format!("{rows} inserted."));
        Done::Well
    }

    fn no_row(&mut self, typed: &Typed<'_>, no_row: &NoRow) -> Done {
        let sources = self.session().sources(typed.script);
        let (place, text) = (sources.place(no_row.span), sources.text(no_row.span));
        self.mistake(&format!("{place}: {}: {text}", no_row.why))
    }
}

fn objects(
    insert: &Insert,
    rows: &[Vec<Expr>],
    relation: Option<&Relation>,
) -> Result<Vec<Value>, NoRow> {
    let columns = columns(insert, relation)?;
    let mut objects = Vec::with_capacity(rows.len());
    for row in rows {
        if row.len() != columns.len() {
            let why = format!("{} values for {} columns", row.len(), columns.len());
            let span = row.first().map_or(insert.span, |e| e.span);
            return Err(NoRow { span, why });
        }
        let mut object = Map::new();
        for (expr, (name, ty)) in row.iter().zip(&columns) {
            object.insert(name.clone(), value(expr, ty.as_ref())?);
        }
        objects.push(Value::Object(object));
    }
    Ok(objects)
}

/// The columns that values go to, with their types as far as they are known.
fn columns(
    insert: &Insert,
    relation: Option<&Relation>,
) -> Result<Vec<(String, Option<Type>)>, NoRow> {
    let written: Vec<(String, Option<Type>)> = relation
        .iter()
        .flat_map(|r| &r.stream.columns)
        .filter(|c| !matches!(c.origin, Origin::Metadata(_)))
        .map(|c| (c.name.clone(), Some(c.ty.clone())))
        .collect();
    if insert.columns.is_empty() {
        if written.is_empty() {
            let why = "name the columns, as in INSERT INTO s (a, b) VALUES (1, 2)".to_string();
            return Err(NoRow { span: insert.table.span(), why });
        }
        return Ok(written);
    }
    let named = insert.columns.iter().map(|ident| {
        let exact = written.iter().find(|(name, _)| *name == ident.text);
        let found =
            exact.or_else(|| written.iter().find(|(n, _)| n.eq_ignore_ascii_case(&ident.text)));
        found.cloned().unwrap_or_else(|| (ident.text.clone(), None))
    });
    Ok(named.collect())
}

/// A literal as JSON, in the form that a column of its type is read from.
fn value(expr: &Expr, ty: Option<&Type>) -> Result<Value, NoRow> {
    let refuse = |why: &str| Err(NoRow { span: expr.span, why: why.to_string() });
    let element = |ty: Option<&Type>| match ty.map(|t| &t.data) {
        Some(DataType::Array(element)) => Some((**element).clone()),
        _ => None,
    };
    match &expr.kind {
        ExprKind::Literal(literal) => match literal {
            Literal::Null => Ok(Value::Null),
            Literal::Boolean(value) => Ok(Value::Bool(*value)),
            Literal::Number { text, kind } => number(text, *kind, ty, expr.span),
            Literal::String(text) => Ok(Value::from(text.as_str())),
            Literal::Typed { kind, value } => Ok(typed(*kind, &value.value)),
            Literal::Bytes(_) => refuse("bytes cannot be inserted here"),
            Literal::Interval { .. } => refuse("an interval cannot be inserted here"),
        },
        ExprKind::Unary { op, arg } => match (&arg.kind, op) {
            (ExprKind::Literal(Literal::Number { text, kind }), UnaryOp::Minus) => {
                number(&format!("-{text}"), *kind, ty, expr.span)
            }
            (ExprKind::Literal(Literal::Number { text, kind }), UnaryOp::Plus) => {
                number(text, *kind, ty, expr.span)
            }
            _ => refuse("only literals can be inserted"),
        },
        ExprKind::Array(items) => {
            let of = element(ty);
            items.iter().map(|item| value(item, of.as_ref())).collect()
        }
        ExprKind::Row(items) => match ty.map(|t| &t.data) {
            Some(DataType::Row(fields)) if fields.len() == items.len() => {
                let field = |(field, item): (&flow_ir::types::Field, &Expr)| {
                    Ok((field.name.clone(), value(item, Some(&field.ty))?))
                };
                let fields: Result<Map<String, Value>, NoRow> =
                    fields.iter().zip(items).map(field).collect();
                fields.map(Value::Object)
            }
            _ => refuse("the column is no row with as many fields"),
        },
        ExprKind::Map(entries) => {
            let of = match ty.map(|t| &t.data) {
                Some(DataType::Map(_, of)) => Some((**of).clone()),
                _ => None,
            };
            let mut object = Map::new();
            for (key, item) in entries {
                let ExprKind::Literal(Literal::String(key)) = &key.kind else {
                    return refuse("keys of a map are strings");
                };
                object.insert(key.clone(), value(item, of.as_ref())?);
            }
            Ok(Value::Object(object))
        }
        _ => refuse("only literals can be inserted"),
    }
}

/// A number; text where JSON has no exact form of it.
fn number(text: &str, kind: NumberKind, ty: Option<&Type>, span: Span) -> Result<Value, NoRow> {
    let is_text = matches!(ty.map(|t| &t.data), Some(DataType::String));
    let exact = match kind {
        NumberKind::Integer => text.parse::<i64>().ok().map(Value::from),
        NumberKind::Decimal if matches!(ty.map(|t| &t.data), Some(DataType::Decimal { .. })) => {
            Some(Value::from(text))
        }
        NumberKind::Decimal | NumberKind::Float => {
            text.parse::<f64>().ok().filter(|f| f.is_finite()).map(Value::from)
        }
    };
    match exact {
        Some(_) if is_text => {
            Err(NoRow { span, why: "the column is text; write it in quotes".into() })
        }
        Some(value) => Ok(value),
        None => Ok(Value::from(text)),
    }
}

/// Dates and times in the form of JSON: a T between date and time.
fn typed(kind: TypedKind, text: &str) -> Value {
    let is_time_stamp = matches!(kind, TypedKind::Timestamp | TypedKind::TimestampLtz);
    match is_time_stamp && text.len() > 10 && text.as_bytes().get(10) == Some(&b' ') {
        true => Value::from(text.replacen(' ', "T", 1)),
        false => Value::from(text),
    }
}
