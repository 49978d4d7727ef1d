//! Declarations as Arroyo writes them: its names of connectors, formats and options, and event time
//! and watermark as options, put into the form that the rest of the checker knows.

use flow_ir::span::Span;

use super::from::same_name;
use super::ksql_options::entry;
use crate::syntax::ast::{
    Ast, BinaryOp, ColumnDef, ColumnKind, CreateTable, Expr, ExprKind, Ident, Literal, ObjectName,
    OptionEntry, StatementKind, TableElement, Text, WatermarkDef,
};

/// Its connectors by ours.
const CONNECTORS: &[(&str, &str)] = &[("single_file", "file"), ("stdout", "print")];
/// Its formats by ours.
const FORMATS: &[(&str, &str)] = &[("debezium_json", "debezium-json"), ("raw_string", "raw")];
/// Options that only it has.
const MARKS: &[&str] = &["event_time_field", "watermark_field"];

/// The program with such declarations in our form; `None` where it has none.
pub(super) fn expand(ast: &Ast) -> Option<Ast> {
    let is_its = |kind: &StatementKind| match kind {
        StatementKind::CreateTable(create) => is_marked(create),
        _ => false,
    };
    if !ast.statements.iter().any(|statement| is_its(&statement.kind)) {
        return None;
    }
    let mut expanded = ast.clone();
    for statement in &mut expanded.statements {
        if let StatementKind::CreateTable(create) = &mut statement.kind
            && is_marked(create)
        {
            rewrite(create);
        }
    }
    Some(expanded)
}

fn is_marked(create: &CreateTable) -> bool {
    create.options.iter().any(|option| {
        let (key, value) = (option.key.value.as_str(), option.value.text.as_str());
        MARKS.contains(&key)
            || key == "connector" && CONNECTORS.iter().any(|(theirs, _)| *theirs == value)
            || key == "type" && matches!(value, "source" | "sink" | "lookup")
            || key == "format" && FORMATS.iter().any(|(theirs, _)| *theirs == value)
    })
}

fn rewrite(create: &mut CreateTable) {
    let take = |create: &mut CreateTable, name: &str| {
        let at = create.options.iter().position(|option| option.key.value == name)?;
        Some(create.options.remove(at))
    };
    let (time, mark) = (take(create, "event_time_field"), take(create, "watermark_field"));
    take(create, "type");
    if let Some(whole) = take(create, "json.unstructured").filter(|o| o.value.text == "true") {
        let wrap = entry("json.wrap-single-value", "false", whole.key.span);
        create.options.push(wrap);
    }
    for option in &mut create.options {
        let names = match option.key.value.as_str() {
            "connector" => CONNECTORS,
            "format" => FORMATS,
            _ => continue,
        };
        if let Some((_, ours)) = names.iter().find(|(theirs, _)| *theirs == option.value.text) {
            option.value.text = (*ours).to_owned();
        }
    }
    let Some(elements) = &mut create.elements else { return };
    for element in elements.iter_mut() {
        if let TableElement::Watermark(WatermarkDef { column, expr: expr @ None, span }) = element {
            *expr = Some(a_second_behind(column.clone(), *span));
        }
    }
    if let Some(time) = time {
        let watermark = watermark(&time, mark.as_ref(), elements);
        elements.push(TableElement::Watermark(watermark));
    }
}

/// What both options say: where there is no watermark, it is a second behind the event time.
fn watermark(
    time: &OptionEntry,
    mark: Option<&OptionEntry>,
    elements: &[TableElement],
) -> WatermarkDef {
    let named = |option: &OptionEntry| {
        let text = option.value.text.clone();
        ObjectName::single(Ident { text, quoted: true, span: option.value.span })
    };
    let column = named(time);
    let expr = match mark {
        None => a_second_behind(column.clone(), time.value.span),
        Some(mark) => computed(&mark.value.text, elements)
            .unwrap_or_else(|| Expr { kind: ExprKind::Name(named(mark)), span: mark.value.span }),
    };
    WatermarkDef { column, expr: Some(expr), span: time.value.span }
}

/// What a column is computed by.
fn computed(name: &str, elements: &[TableElement]) -> Option<Expr> {
    elements.iter().find_map(|element| match element {
        TableElement::Column(ColumnDef { name: own, kind: ColumnKind::Computed(e), .. }) => {
            same_name(&own.text, name).then(|| e.clone())
        }
        TableElement::Column(_) | TableElement::Watermark(_) | TableElement::PrimaryKey(_) => None,
    })
}

fn a_second_behind(column: ObjectName, span: Span) -> Expr {
    let value = Text { value: "1 second".to_owned(), span };
    let second = Literal::Interval { negative: false, value, units: None };
    let of = |kind: ExprKind| Box::new(Expr { kind, span });
    let (left, right) = (of(ExprKind::Name(column)), of(ExprKind::Literal(second)));
    Expr { kind: ExprKind::Binary { op: BinaryOp::Subtract, left, right }, span }
}
