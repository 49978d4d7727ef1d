//! Where a query reads only fields of a ROW column, the scan reads those fields and never makes the
//! row: the field's path goes into the decoder's request.

use std::collections::BTreeSet;

use flow_ir::decode_plan::{DecodeColumn, Origin};
use flow_ir::expr::{Expr, ExprKind};
use flow_ir::ids::NodeId;
use flow_ir::logical::{LogicalOp, Plan, PlanNode, Scan};
use flow_ir::types::{DataType, Type};

use super::Pass;

/// The pass.
pub(crate) struct NarrowRows;

impl Pass for NarrowRows {
    fn name(&self) -> &'static str {
        "narrow_rows"
    }

    fn run(&self, plan: &mut Plan) -> bool {
        let mut changed = false;
        for id in plan.order() {
            changed |= narrow(plan, id);
        }
        changed
    }
}

/// A field within a column: positions from the outermost row inwards.
type Path = Vec<usize>;

fn narrow(plan: &mut Plan, id: NodeId) -> bool {
    let LogicalOp::Scan(scan) = &plan.node(id).op else { return false };
    let is_row = |c: &DecodeColumn| matches!(c.ty.data, DataType::Row(_)) && path_of(c).is_some();
    let rows: Vec<usize> = (0..scan.columns.len()).filter(|&c| is_row(&scan.columns[c])).collect();
    let Some(readers) = pipeline(plan, id) else { return false };
    let mut changed = false;
    for column in rows {
        if let Some(paths) = fields_read(plan, id, &readers, column) {
            split(plan, id, &readers, column, &paths);
            changed = true;
        }
    }
    changed
}

/// The names of a column's path, where it stands in key or value.
fn path_of(column: &DecodeColumn) -> Option<&Vec<String>> {
    match &column.origin {
        Origin::Value(path) | Origin::Key(path) => Some(path),
        Origin::Metadata(_) => None,
    }
}

/// The filters, late filters, projections and aggregates that see the scan's columns by their own
/// positions; `None` if something else does.
fn pipeline(plan: &Plan, scan: NodeId) -> Option<Vec<NodeId>> {
    let mut seen = vec![scan];
    let mut readers = Vec::new();
    for id in plan.order() {
        let node = plan.node(id);
        if !node.inputs.iter().any(|input| seen.contains(input)) {
            continue;
        }
        match &node.op {
            LogicalOp::Filter(_) | LogicalOp::Late(_) => seen.push(id),
            LogicalOp::Project(_) | LogicalOp::Aggregate(_) => {}
            LogicalOp::Scan(_)
            | LogicalOp::Join(_)
            | LogicalOp::Window(_)
            | LogicalOp::Deduplicate(_)
            | LogicalOp::Normalize(_)
            | LogicalOp::Materialize(_)
            | LogicalOp::Union(_)
            | LogicalOp::Sink(_) => return None,
        }
        readers.push(id);
    }
    Some(readers)
}

/// The fields of a column that are read; `None` if it is read whole, or not at all.
fn fields_read(
    plan: &Plan,
    scan: NodeId,
    readers: &[NodeId],
    column: usize,
) -> Option<BTreeSet<Path>> {
    let mut paths = BTreeSet::new();
    for id in std::iter::once(&scan).chain(readers) {
        let op = &plan.node(*id).op;
        if let LogicalOp::Aggregate(aggregate) = op
            && aggregate.columns().contains(&column)
        {
            return None;
        }
        for expr in op.exprs() {
            collect(expr, column, &mut paths)?;
        }
    }
    let within = |path: &Path| (1..path.len()).any(|shorter| paths.contains(&path[..shorter]));
    let outermost: BTreeSet<Path> = paths.iter().filter(|p| !within(p)).cloned().collect();
    (!outermost.is_empty()).then_some(outermost)
}

/// The path, if the expression is a field of the column at some depth; empty for the column.
fn field_path(expr: &Expr, column: usize) -> Option<Path> {
    match &expr.kind {
        ExprKind::Column(index) if *index == column => Some(Vec::new()),
        ExprKind::Field { arg, index } => {
            let mut path = field_path(arg, column)?;
            path.push(*index);
            Some(path)
        }
        ExprKind::Column(_)
        | ExprKind::Literal(_)
        | ExprKind::Call { .. }
        | ExprKind::Cast { .. }
        | ExprKind::Case { .. }
        | ExprKind::And(_)
        | ExprKind::Or(_)
        | ExprKind::Not(_)
        | ExprKind::IsNull(_)
        | ExprKind::Row(_)
        | ExprKind::Array(_)
        | ExprKind::Clock => None,
    }
}

fn collect(expr: &Expr, column: usize, paths: &mut BTreeSet<Path>) -> Option<()> {
    match field_path(expr, column) {
        Some(path) if path.is_empty() => None,
        Some(path) => {
            paths.insert(path);
            Some(())
        }
        None => expr.children().into_iter().try_for_each(|child| collect(child, column, paths)),
    }
}

/// Adds a scan column per path and lets the readers use it. The row stays, unread, for pruning.
fn split(plan: &mut Plan, scan: NodeId, readers: &[NodeId], column: usize, paths: &BTreeSet<Path>) {
    let mut added = Vec::new();
    if let LogicalOp::Scan(op) = &mut plan.nodes[scan.index()].op {
        for path in paths {
            added.push((path.clone(), op.columns.len(), add_field(op, column, path)));
        }
    }
    for id in std::iter::once(&scan).chain(readers) {
        for expr in plan.nodes[id.index()].op.exprs_mut() {
            replace(expr, column, &added);
        }
    }
}

fn add_field(scan: &mut Scan, column: usize, path: &[usize]) -> Type {
    let mut field = scan.columns[column].clone();
    for &index in path {
        let DataType::Row(fields) = &field.ty.data else { break };
        let inner = &fields[index];
        let nullable = field.ty.nullable || inner.ty.nullable;
        field.name = format!("{}.{}", field.name, inner.name);
        match &mut field.origin {
            Origin::Value(names) | Origin::Key(names) => names.push(inner.name.clone()),
            Origin::Metadata(_) => {}
        }
        field.ty = inner.ty.with_nullable(nullable);
    }
    let ty = field.ty.clone();
    scan.columns.push(field);
    ty
}

fn replace(expr: &mut Expr, column: usize, added: &[(Path, usize, Type)]) {
    if let Some(path) = field_path(expr, column)
        && let Some((_, place, ty)) = added.iter().find(|(p, _, _)| *p == path)
    {
        *expr = Expr::column(*place, ty.clone(), expr.span);
        return;
    }
    for child in expr.children_mut() {
        replace(child, column, added);
    }
}
