//! The typed module as text: what `flow explain --stage typed` shows and golden tests compare.
//! The same module always gives the same text.

use std::fmt::Write;

use flow_ir::aggregate::{AggregateCall, WindowSpec};
use flow_ir::decode_plan::Origin;
use flow_ir::expr::Expr;
use flow_ir::logical::{JoinClass, expr_text};
use flow_ir::over::OverCall;
use flow_ir::physical::{Changelog, Direction, SinkMode};
use flow_ir::types::Field;

use super::typed::{
    Bound, Column, ColumnSource, Join, Materialized, Over, Query, QueryId, QueryOp, Relation,
    TypedModule,
};

/// The whole module: relations, query nodes, outputs.
pub(super) fn module(module: &TypedModule) -> String {
    let mut out = String::new();
    for relation in &module.relations {
        self::relation(relation, &mut out);
    }
    for (at, query) in module.queries.iter().enumerate() {
        node(module, at, query, &mut out);
    }
    for view in &module.views {
        line(&mut out, &format!("view {} = q{}", view.name, view.query.0));
    }
    for view in &module.materialized {
        kept(module, view, &mut out);
    }
    for output in &module.outputs {
        let stream = &module.relation(output.target).stream;
        let names = |at: &usize| stream.columns[*at].name.as_str();
        let keys: Vec<&str> = output.keys.iter().map(names).collect();
        let mode = match output.mode {
            SinkMode::Append => "append",
            SinkMode::Upsert => "upsert",
            SinkMode::Changes => "changes",
        };
        let by = if keys.is_empty() { String::new() } else { format!(" by {}", keys.join(", ")) };
        line(&mut out, &format!("output {} = q{}, {mode}{by}", stream.name, output.query.0));
    }
    out
}

fn line(out: &mut String, text: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{text}");
}

/// A materialized view and its indexes.
fn kept(module: &TypedModule, view: &Materialized, out: &mut String) {
    let relation = module.relation(view.relation);
    let names = |columns: &[usize]| {
        let names: Vec<&str> = columns.iter().map(|c| relation.columns[*c].name.as_str()).collect();
        names.join(", ")
    };
    let by =
        if view.counted { "rows counted".into() } else { format!("by ({})", names(&view.key)) };
    line(out, &format!("materialized {} = q{}, {by}", relation.stream.name, view.query.0));
    for index in &view.indexes {
        let name = &module.relation(index.relation).stream.name;
        line(out, &format!("  index {name} ({})", names(&index.columns)));
    }
}

fn relation(relation: &Relation, out: &mut String) {
    let stream = &relation.stream;
    let kind = match relation.primary_key.is_empty() {
        _ if relation.is_view() => "view",
        true => "stream",
        false => "table",
    };
    let mut how = stream.connector.clone();
    if let Some(format) = &stream.value_format {
        how = format!("{how}, {format}");
    }
    line(out, &format!("{kind} {} ({how})", stream.name));
    let fields: Vec<Field> =
        relation.columns.iter().map(|c| Field::new(c.name.clone(), c.ty.clone())).collect();
    for (at, column) in relation.columns.iter().enumerate() {
        let source = match &column.source {
            ColumnSource::Record(at) => match &stream.columns[*at].origin {
                Origin::Value(_) => String::new(),
                Origin::Key(_) => String::from(" in the record key"),
                Origin::Metadata(metadata) => format!(" from {metadata:?}"),
            },
            ColumnSource::Computed(expr) => format!(" = {}", expr_text(expr, &fields)),
        };
        let key = if relation.primary_key.contains(&at) { " key" } else { "" };
        line(out, &format!("  {} {}{key}{source}", column.name, column.ty));
    }
    if let Some(watermark) = &relation.watermark {
        let expr = expr_text(&watermark.expr, &fields);
        line(out, &format!("  watermark {} = {expr}", relation.columns[watermark.column].name));
    }
}

fn node(module: &TypedModule, at: usize, query: &Query, out: &mut String) {
    line(out, &format!("q{at} {}", op_text(module, query)));
    let columns: Vec<String> = query.columns.iter().map(column_text).collect();
    line(out, &format!("   ({})", columns.join(", ")));
    let changelog = match query.changelog {
        Changelog::Append => "append",
        Changelog::Retract => "updates",
    };
    let names = |key: &Vec<usize>| {
        let names: Vec<&str> = key.iter().map(|at| query.columns[*at].name.as_str()).collect();
        format!("({})", names.join(", "))
    };
    let keys: Vec<String> = query.unique_keys.iter().map(names).collect();
    let unique =
        if keys.is_empty() { String::new() } else { format!(", unique {}", keys.join(" ")) };
    line(out, &format!("   {changelog}{unique}"));
}

fn column_text(column: &Column) -> String {
    let mut text = format!("{} {}", column.name, column.ty);
    if column.event_time {
        text.push_str(" *time");
    }
    if let Some(window) = &column.window {
        let bound = match window.bound {
            Bound::Start => "start",
            Bound::End => "end",
            Bound::Time => "time",
        };
        text.push_str(&format!(" *{bound} of q{}", window.origin.0));
    }
    text
}

fn op_text(module: &TypedModule, query: &Query) -> String {
    let fields = |id: QueryId| module.query(id).fields();
    let name = |id: QueryId, at: usize| module.query(id).columns[at].name.clone();
    let names = |id: QueryId, all: &[usize]| {
        all.iter().map(|at| name(id, *at)).collect::<Vec<_>>().join(", ")
    };
    match &query.op {
        QueryOp::Scan(id) => format!("Scan {}", module.relation(*id).stream.name),
        QueryOp::Filter { input, condition } => {
            format!("Filter q{} {}", input.0, expr_text(condition, &fields(*input)))
        }
        QueryOp::Project { input, exprs } => {
            let of = fields(*input);
            let exprs = exprs.iter().map(|e| expr_text(e, &of)).collect::<Vec<String>>();
            format!("Project q{} {}", input.0, exprs.join(", "))
        }
        QueryOp::Unnest(unnest) => {
            let outer = if unnest.outer { " outer" } else { "" };
            let ordinality = if unnest.ordinality { " with ordinality" } else { "" };
            let columns = names(unnest.input, &unnest.columns);
            format!("Unnest q{}{outer} {columns}{ordinality}", unnest.input.0)
        }
        QueryOp::Join(join) => join_text(module, join),
        QueryOp::Window(window) => {
            let time = name(window.input, window.time);
            let late = lateness(window.lateness);
            let by = match window.spec {
                WindowSpec::Session { .. } => {
                    format!(" by [{}]", names(window.input, &window.keys))
                }
                WindowSpec::Tumble { .. }
                | WindowSpec::Hop { .. }
                | WindowSpec::Cumulate { .. } => String::new(),
            };
            let clock = if window.by_clock { " by clock" } else { "" };
            format!("Window q{} {} on {time}{by}{late}{clock}", window.input.0, window.spec)
        }
        QueryOp::Aggregate(aggregate) => {
            let of = fields(aggregate.input);
            let calls: Vec<String> = aggregate.calls.iter().map(|c| call_text(c, &of)).collect();
            let window = aggregate.window.map_or(String::new(), |w| {
                let late = lateness(w.lateness);
                let changes = if aggregate.emits_changes { " emits changes" } else { "" };
                format!(" per window {}, {}{late}{changes}", of[w.start].name, of[w.end].name)
            });
            let (keys, calls) = (names(aggregate.input, &aggregate.keys), calls.join(", "));
            format!("Aggregate q{} by [{keys}]{window} calls [{calls}]", aggregate.input.0)
        }
        QueryOp::Deduplicate(dedup) => {
            let keep = dedup.keep.text();
            let (of, keys) = (fields(dedup.input), names(dedup.input, &dedup.keys));
            let order = order_text(&of, &dedup.order);
            format!("Deduplicate q{} by [{keys}] {keep} of {order}", dedup.input.0)
        }
        QueryOp::TopN(top) => {
            let range = top.numbering.range_text(top.offset, top.limit);
            let (of, keys) = (fields(top.input), names(top.input, &top.keys));
            let order = order_text(&of, &top.order);
            format!("TopN q{} by [{keys}] {range} of {order}", top.input.0)
        }
        QueryOp::Over(over) => over_text(over, &fields(over.input)),
        QueryOp::UnionAll(inputs) => {
            let inputs = inputs.iter().map(|q| format!("q{}", q.0));
            format!("UnionAll {}", inputs.collect::<Vec<String>>().join(" "))
        }
    }
}

fn over_text(over: &Over, of: &[Field]) -> String {
    let names = |all: &[usize]| {
        let names: Vec<&str> = all.iter().map(|at| of[*at].name.as_str()).collect();
        names.join(", ")
    };
    let order = order_text(of, &over.order);
    let calls: Vec<String> = over.calls.iter().map(|call: &OverCall| call.text(names)).collect();
    let passes = if over.passes { ", as time passes" } else { "" };
    let (keys, calls) = (names(&over.keys), calls.join(", "));
    format!("Over q{} by [{keys}] of {order}{passes} calls [{calls}]", over.input.0)
}

fn order_text(of: &[Field], order: &[(usize, Direction)]) -> String {
    let order = order.iter().map(|(at, direction)| {
        let descending = if direction.descending { " desc" } else { "" };
        let nulls = if direction.nulls_first { " nulls first" } else { "" };
        format!("{}{descending}{nulls}", of[*at].name)
    });
    order.collect::<Vec<String>>().join(", ")
}

fn lateness(micros: i64) -> String {
    if micros == 0 { String::new() } else { format!(" lateness {}s", micros as f64 / 1e6) }
}

fn join_text(module: &TypedModule, join: &Join) -> String {
    let (left, right) = (module.query(join.left).fields(), module.query(join.right).fields());
    let kind = join.kind.name();
    let keys = join.keys.iter().enumerate().map(|(at, (l, r))| {
        let equals = if join.nulls_equal.contains(&at) { "<=>" } else { "=" };
        format!("{} {equals} {}", left[*l].name, right[*r].name)
    });
    let keys: Vec<String> = keys.collect();
    let seconds = |micros: i64| micros as f64 / 1e6;
    let class = match join.class {
        JoinClass::Regular => String::new(),
        JoinClass::Interval { left_time, right_time, lower, upper } => format!(
            " within {} {:+}s to {:+}s of {}",
            right[right_time].name,
            seconds(lower),
            seconds(upper),
            left[left_time].name
        ),
        JoinClass::Lookup => String::from(" looked up"),
        JoinClass::Window { left_end, right_end, by_clock } => format!(
            " windows to {} and {}{}",
            left[left_end].name,
            right[right_end].name,
            if by_clock { " by clock" } else { "" }
        ),
        JoinClass::Temporal { left_time, right_time } => {
            let version = right_time.map_or("record time", |at| right[at].name.as_str());
            format!(" version {version} as of {}", left[left_time].name)
        }
    };
    let condition = |e: &Expr| {
        let both: Vec<Field> = left.iter().chain(&right).cloned().collect();
        format!(" where {}", expr_text(e, &both))
    };
    let condition = join.condition.as_ref().map_or(String::new(), condition);
    let (l, r) = (join.left.0, join.right.0);
    format!("Join q{l} q{r} {kind} on [{}]{class}{condition}", keys.join(", "))
}

fn call_text(call: &AggregateCall, of: &[Field]) -> String {
    let names = |columns: &[usize]| {
        let names: Vec<&str> = columns.iter().map(|at| of[*at].name.as_str()).collect();
        names.join(", ")
    };
    let filter = call.filter.map_or(String::new(), |at| format!(" FILTER {}", of[at].name));
    call.text(names) + &filter
}
