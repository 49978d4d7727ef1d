//! Everything a logical plan must satisfy, whatever passes ran. Lowering may rely on all of it.

use std::fmt;

use flow_ir::expr::{Expr, ExprKind};
use flow_ir::ids::NodeId;
use flow_ir::logical::{
    Aggregate, Changes, Hidden, Join, JoinClass, LogicalOp, Node, Over, Plan, PlanNode, Schema,
    Sink, TopN,
};
use flow_ir::physical::{Numbering, SinkMode, WindowInput};
use flow_ir::types::{DataType, Field};

/// The rule that a plan breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidPlan {
    /// The node.
    pub node: NodeId,
    /// What is wrong.
    pub why: String,
}

impl fmt::Display for InvalidPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {}: {}", self.node.0, self.why)
    }
}

/// Checks a plan.
///
/// # Errors
/// The first rule that it breaks.
pub fn verify(plan: &Plan) -> Result<(), InvalidPlan> {
    let readers = plan.readers();
    for id in plan.order() {
        let node = plan.node(id);
        let inputs: Vec<&Schema> = node.inputs.iter().map(|&i| plan.schema(i)).collect();
        let fail = |why: String| InvalidPlan { node: id, why };
        verify_node(plan, node, &inputs).map_err(fail)?;
        let is_sink = matches!(node.op, LogicalOp::Sink(_));
        let sink_ok = !is_sink || (readers[id.index()] == 0 && plan.sinks.contains(&id));
        ensure(sink_ok, "a sink is read").map_err(fail)?;
    }
    Ok(())
}

fn ensure(holds: bool, why: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why.to_string()) }
}

fn verify_node(plan: &Plan, node: &Node, inputs: &[&Schema]) -> Result<(), String> {
    let arity_ok = node.op.arity().map_or(!inputs.is_empty(), |arity| inputs.len() == arity);
    ensure(arity_ok, "wrong number of inputs")?;
    verify_op(plan, node, inputs)?;
    // A scan's expressions are over its own columns.
    let read = if inputs.is_empty() { &[&node.schema][..] } else { inputs };
    let columns: Vec<&Field> = read.iter().flat_map(|schema| &schema.columns).collect();
    for expr in node.op.exprs() {
        let types: Vec<&DataType> = columns.iter().map(|c| &c.ty.data).collect();
        verify_expr(expr, &types)?;
    }
    ensure(node.op.output(inputs) == node.schema, "the schema is not the rule's")
}

/// Columns are in range and of the type that the expression says.
fn verify_expr(expr: &Expr, columns: &[&DataType]) -> Result<(), String> {
    let mut wrong = None;
    expr.walk(&mut |e| {
        if let ExprKind::Column(index) = e.kind
            && columns.get(index).is_none_or(|data| **data != e.ty.data)
        {
            wrong = Some(index);
        }
    });
    wrong.map_or(Ok(()), |index| Err(format!("column {index} is missing or of another type")))
}

fn verify_op(plan: &Plan, node: &Node, inputs: &[&Schema]) -> Result<(), String> {
    let within = |columns: &[usize]| {
        ensure(columns.iter().all(|&c| c < inputs[0].width()), "a column is out of range")
    };
    match &node.op {
        LogicalOp::Scan(_) => Ok(()),
        LogicalOp::Filter(filter) => {
            ensure(filter.predicate.ty.data == DataType::Boolean, "the condition is not BOOLEAN")
        }
        LogicalOp::Project(project) => {
            ensure(project.exprs.len() == project.names.len(), "a column without a name")
        }
        LogicalOp::Unnest(unnest) => within(&unnest.columns),
        LogicalOp::Join(join) => verify_join(join, inputs[0], inputs[1]),
        LogicalOp::Window(window) => {
            within(&[window.time])?;
            not_upsert(inputs[0])?;
            hidden_at(inputs[0], Hidden::Watermark, window.watermark)
        }
        LogicalOp::Session(session) => {
            within(&[&session.keys[..], &[session.time]].concat())?;
            not_upsert(inputs[0])
        }
        LogicalOp::Aggregate(aggregate) => {
            within(&aggregate.columns())?;
            verify_aggregate(aggregate, inputs[0])
        }
        LogicalOp::Deduplicate(dedup) => {
            within(&dedup.keys)?;
            within(&dedup.order.iter().map(|&(column, _)| column).collect::<Vec<_>>())?;
            append(inputs[0])
        }
        LogicalOp::TopN(top) => {
            within(&top.keys)?;
            verify_top_n(top, inputs[0])
        }
        LogicalOp::Over(over) => {
            within(&over.columns())?;
            verify_over(over, inputs[0])
        }
        LogicalOp::Normalize(normalize) => {
            within(&normalize.keys)?;
            ensure(inputs[0].changes == Changes::Upsert, "the input is no keyed changelog")?;
            hidden_at(inputs[0], Hidden::Weight, normalize.weight)?;
            hidden_at(inputs[0], Hidden::Watermark, normalize.watermark)?;
            hidden_at(inputs[0], Hidden::Tombstone, Some(normalize.tombstone))
        }
        LogicalOp::Materialize(kept) => {
            within(&kept.keys)?;
            ensure(kept.hashed <= kept.keys.len(), "more columns hashed than kept")?;
            not_upsert(inputs[0])
        }
        LogicalOp::Union(_) => {
            let same = inputs.iter().all(|schema| schema.types() == inputs[0].types());
            inputs.iter().try_for_each(|schema| not_upsert(schema))?;
            ensure(same, "inputs of different types")
        }
        LogicalOp::Late(late) => {
            within(&[late.time])?;
            hidden_at(inputs[0], Hidden::Watermark, Some(late.watermark))?;
            hidden_at(inputs[0], Hidden::Position, Some(late.position))?;
            ensure(plan.in_source_pipeline(node.inputs[0]), "not in a source's pipeline")
        }
        LogicalOp::Sink(sink) => {
            within(&sink.keys)?;
            verify_sink(sink, inputs[0])
        }
    }
}

fn append(schema: &Schema) -> Result<(), String> {
    ensure(schema.changes == Changes::Append, "an input must be append-only")
}

fn verify_top_n(top: &TopN, input: &Schema) -> Result<(), String> {
    let in_range = top.order.iter().all(|&(column, _)| column < input.width());
    ensure(in_range, "a column is out of range")?;
    let plain = top.numbering == Numbering::RowNumber && !top.rank;
    ensure(plain || top.limit.is_some(), "numbers without an end")?;
    if let Some(window) = top.window {
        ensure(window.end < input.width() && top.limit.is_some(), "a window's top has no end")?;
        ensure(input.changes == Changes::Append, "an input must be append-only")?;
    }
    not_upsert(input)
}

fn verify_over(over: &Over, input: &Schema) -> Result<(), String> {
    ensure(over.names.len() == over.calls.len(), "a result without a name")?;
    ensure(over.peers <= over.order.len(), "more columns are equal than ordered")?;
    match over.time {
        Some(_) => append(input),
        None => not_upsert(input),
    }
}

fn verify_sink(sink: &Sink, input: &Schema) -> Result<(), String> {
    not_upsert(input)?;
    let visible = (0..input.width()).all(|c| !input.is_hidden(c));
    ensure(visible, "a hidden column reaches a sink")?;
    match sink.mode {
        SinkMode::Append => append(input),
        SinkMode::Upsert | SinkMode::Changes => Ok(()),
    }
}

fn verify_aggregate(aggregate: &Aggregate, input: &Schema) -> Result<(), String> {
    not_upsert(input)?;
    match aggregate.window {
        Some(WindowInput::Time { watermark, .. }) => hidden_at(input, Hidden::Watermark, watermark),
        Some(WindowInput::Carried { .. }) | None => Ok(()),
    }
}

fn not_upsert(schema: &Schema) -> Result<(), String> {
    ensure(schema.changes != Changes::Upsert, "a keyed changelog is not normalised")
}

fn hidden_at(schema: &Schema, hidden: Hidden, at: Option<usize>) -> Result<(), String> {
    let right = at.is_none_or(|at| schema.columns.get(at).is_some_and(|c| c.name == hidden.name()));
    ensure(right, "a hidden column is not where it should be")
}

fn verify_join(join: &Join, left: &Schema, right: &Schema) -> Result<(), String> {
    for &(l, r) in &join.keys {
        let pair = left.columns.get(l).zip(right.columns.get(r));
        let same = pair.is_some_and(|(l, r)| l.ty.data == r.ty.data);
        ensure(same, "key columns are missing or of different types")?;
    }
    let all_append = left.changes == Changes::Append && right.changes == Changes::Append;
    match join.class {
        JoinClass::Regular | JoinClass::Lookup => {
            not_upsert(left)?;
            not_upsert(right)
        }
        JoinClass::Interval { left_time, right_time, lower, upper } => {
            ensure(all_append, "an interval join's input must be append-only")?;
            ensure(lower <= upper, "the interval is empty")?;
            let within = left_time < left.width() && right_time < right.width();
            ensure(within, "a time column is out of range")
        }
        JoinClass::Window { left_end, right_end, .. } => {
            ensure(all_append, "a window join's input must be append-only")?;
            let within = left_end < left.width() && right_end < right.width();
            ensure(within, "a window's end is out of range")
        }
        JoinClass::Temporal { left_time, right_time } => {
            ensure(left.changes == Changes::Append, "a temporal join's left must be append-only")?;
            let versions = match right.changes {
                Changes::Upsert => true,
                Changes::Append => right_time.is_some(),
                Changes::Retract => false,
            };
            ensure(versions, "a temporal join's right must be a table, or rows with a time")?;
            let within = left_time < left.width() && right_time.is_none_or(|t| t < right.width());
            ensure(within, "a time column is out of range")
        }
    }
}
