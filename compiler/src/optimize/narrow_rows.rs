//! Where a program reads only fields of a ROW column, the scan reads those fields and never makes
//! the row.
//!
//! From the sinks down, it is found which fields of which columns all readers together want,
//! through every operator that passes rows on. From the scans up, each such field then gets a
//! column of its own beside the row's, NULL where the row is, and who read the field of the row
//! reads that column. The row stays, unread, for pruning. What an operator keeps so depends on
//! what is read above it, and not on what others read of the same scan.

use std::collections::{BTreeMap, BTreeSet};

use flow_ir::decode_plan::Origin;
use flow_ir::expr::{Expr, ExprKind};
use flow_ir::ids::NodeId;
use flow_ir::logical::{LogicalOp, Node, Plan, PlanNode, Project, Scan, ScanKind, Schema};
use flow_ir::types::{DataType, Type};

use super::Pass;
use super::prune_columns::{is_total_order, over_reads, top_n_reads};

/// The pass.
pub(crate) struct NarrowRows;

impl Pass for NarrowRows {
    fn name(&self) -> &'static str {
        "narrow_rows"
    }

    fn reason(&self) -> &'static str {
        "of a ROW only the fields that are read are decoded"
    }

    fn run(&self, plan: &mut Plan) -> bool {
        let order = plan.order();
        let mut changed = false;
        for &id in &order {
            for expr in plan.nodes[id.index()].op.exprs_mut() {
                expr.rewrite(&mut |e| changed |= ask_a_field(e));
            }
        }
        let wanted = wanted(plan, &order);
        let mut shapes: Vec<Shape> = vec![Shape::default(); plan.nodes.len()];
        for &id in &order {
            let shape = split(plan, id, &wanted, &shapes);
            shapes[id.index()] = shape;
            let schema = plan.derive(&plan.node(id).op, &plan.node(id).inputs);
            plan.nodes[id.index()].schema = schema;
        }
        changed || order.iter().any(|id| !shapes[id.index()].fields.is_empty())
    }
}

/// A field within a column: positions from the outermost row inwards; empty for the column.
type Path = Vec<usize>;

/// What is wanted of a node's columns.
#[derive(Clone, Debug, Default)]
struct Wanted(BTreeMap<usize, BTreeSet<Path>>);

impl Wanted {
    fn add(&mut self, column: usize, path: Path) {
        self.0.entry(column).or_default().insert(path);
    }

    fn whole(&mut self, columns: impl IntoIterator<Item = usize>) {
        columns.into_iter().for_each(|column| self.add(column, Path::new()));
    }

    /// What an expression reads.
    fn expr(&mut self, expr: &Expr) {
        if let Some((column, path)) = field_path(expr) {
            self.add(column, path);
        } else {
            expr.children().into_iter().for_each(|child| self.expr(child));
        }
    }

    fn extend(&mut self, other: &Wanted) {
        for (&column, paths) in &other.0 {
            self.0.entry(column).or_default().extend(paths.iter().cloned());
        }
    }

    /// What is wanted of the columns in a range, counted from its start.
    fn within(&self, columns: std::ops::Range<usize>) -> Wanted {
        let inside = self.0.range(columns.clone());
        Wanted(inside.map(|(c, paths)| (c - columns.start, paths.clone())).collect())
    }

    /// The fields to give columns of their own: the outermost ones of columns not wanted whole.
    fn fields(&self) -> impl Iterator<Item = (usize, &Path)> {
        self.0.iter().flat_map(|(&column, paths)| {
            let inside = |p: &Path| (0..p.len()).any(|outer| paths.contains(&p[..outer]));
            paths.iter().filter(move |p| !p.is_empty() && !inside(p)).map(move |p| (column, p))
        })
    }
}

/// The column and the path within it, if the expression is a column or a field at some depth.
fn field_path(expr: &Expr) -> Option<(usize, Path)> {
    let mut inner = expr;
    let mut path = Path::new();
    while let ExprKind::Field { arg, index } = &inner.kind {
        path.push(*index);
        inner = arg;
    }
    path.reverse();
    if let ExprKind::Column(column) = inner.kind { Some((column, path)) } else { None }
}

/// `row IS NULL` asks a field that is NULL exactly where the row is, if the row has one.
fn ask_a_field(expr: &mut Expr) -> bool {
    let ExprKind::IsNull(row) = &mut expr.kind else { return false };
    let DataType::Row(fields) = &row.ty.data else { return false };
    let always = |ty: &Type| !ty.nullable && !matches!(ty.data, DataType::Row(_));
    let Some(index) = fields.iter().position(|field| always(&field.ty)) else { return false };
    **row = field_of((**row).clone(), index);
    true
}

/// What is wanted, by node.
struct AllWanted {
    /// Of its output, by all readers.
    outputs: Vec<Wanted>,
    /// Of its inputs, by port.
    inputs: Vec<Vec<Wanted>>,
}

fn wanted(plan: &Plan, order: &[NodeId]) -> AllWanted {
    let count = plan.nodes.len();
    let mut outputs = vec![Wanted::default(); count];
    let mut inputs = vec![Vec::new(); count];
    for &id in order.iter().rev() {
        let node = plan.node(id);
        if let LogicalOp::Scan(scan) = &node.op {
            scan.watermark.iter().for_each(|e| outputs[id.index()].expr(e));
        }
        let schemas: Vec<&Schema> = node.inputs.iter().map(|&i| plan.schema(i)).collect();
        let below = of_inputs(node, &outputs[id.index()], &schemas);
        for (input, below) in node.inputs.iter().zip(&below) {
            outputs[input.index()].extend(below);
        }
        inputs[id.index()] = below;
    }
    AllWanted { outputs, inputs }
}

/// What an operator wants of its inputs to make what is wanted of its output.
fn of_inputs(node: &Node, above: &Wanted, inputs: &[&Schema]) -> Vec<Wanted> {
    let whole = |columns: Vec<usize>| {
        let mut wanted = above.clone();
        wanted.whole(columns);
        vec![wanted]
    };
    let all = |schema: &Schema| (0..schema.width()).collect::<Vec<_>>();
    match &node.op {
        LogicalOp::Scan(_) => Vec::new(),
        LogicalOp::Filter(filter) => {
            let mut wanted = above.clone();
            wanted.expr(&filter.predicate);
            vec![wanted]
        }
        LogicalOp::Project(project) => vec![of_project(project, above)],
        LogicalOp::Join(join) => {
            let mut both = above.clone();
            join.condition.iter().for_each(|e| both.expr(e));
            let (left, right) = (inputs[0].width(), inputs[1].width());
            let mut sides = [both.within(0..left), both.within(left..left + right)];
            sides[0].whole(join.left_keys());
            sides[1].whole(join.right_keys());
            sides.into()
        }
        LogicalOp::Window(_) => vec![above.within(0..inputs[0].width())],
        LogicalOp::Session(session) => {
            let mut wanted = above.within(0..inputs[0].width());
            wanted.whole(session.keys.clone());
            vec![wanted]
        }
        LogicalOp::Unnest(unnest) => {
            let mut wanted = above.within(0..inputs[0].width());
            wanted.whole(unnest.columns.iter().copied());
            vec![wanted]
        }
        LogicalOp::Aggregate(aggregate) => {
            let mut wanted = Wanted::default();
            wanted.whole(aggregate.columns());
            vec![wanted]
        }
        LogicalOp::Deduplicate(dedup) if !is_total_order(&dedup.keys, &dedup.order, inputs[0]) => {
            whole(all(inputs[0]))
        }
        LogicalOp::Deduplicate(dedup) => {
            let order = dedup.order.iter().map(|&(column, _)| column);
            whole(dedup.keys.iter().copied().chain(order).collect())
        }
        LogicalOp::TopN(top) => {
            let mut wanted = above.within(0..inputs[0].width());
            wanted.whole(top_n_reads(top, &BTreeSet::new(), inputs[0]));
            vec![wanted]
        }
        LogicalOp::Over(over) => {
            let mut wanted = above.within(0..inputs[0].width());
            let results = inputs[0].width()..inputs[0].width() + over.calls.len();
            wanted.whole(over_reads(over, &results.collect(), inputs[0]));
            vec![wanted]
        }
        LogicalOp::Normalize(normalize) => whole(normalize.keys.clone()),
        LogicalOp::Late(_) | LogicalOp::Union(_) => vec![above.clone(); inputs.len()],
        LogicalOp::Materialize(_) | LogicalOp::Sink(_) => whole(all(inputs[0])),
    }
}

fn of_project(project: &Project, above: &Wanted) -> Wanted {
    let mut wanted = Wanted::default();
    for (&output, paths) in &above.0 {
        let expr = &project.exprs[output];
        match field_path(expr) {
            Some((column, outer)) => {
                paths.iter().for_each(|inner| wanted.add(column, [&outer[..], inner].concat()));
            }
            None => wanted.expr(expr),
        }
    }
    wanted
}

/// Where a node's columns are once fields have columns of their own.
#[derive(Clone, Debug, Default)]
struct Shape {
    /// The columns that it had.
    places: Vec<usize>,
    /// The fields.
    fields: BTreeMap<(usize, Path), usize>,
}

impl Shape {
    /// Nothing has moved.
    fn same(width: usize) -> Self {
        Self { places: (0..width).collect(), fields: BTreeMap::new() }
    }

    /// The columns of one relation and then those of another; the first has `width` now.
    fn then(&self, right: &Shape, width: usize) -> Self {
        let mut both = self.clone();
        both.places.extend(right.places.iter().map(|place| width + place));
        let old = self.places.len();
        for ((column, path), place) in &right.fields {
            both.fields.insert((old + column, path.clone()), width + place);
        }
        both
    }

    /// The expression over the columns as they are now.
    fn rewrite(&self, expr: &mut Expr) {
        if let Some(field) = field_path(expr)
            && let Some(&place) = self.fields.get(&field)
        {
            expr.kind = ExprKind::Column(place);
            return;
        }
        if let ExprKind::Column(column) = &mut expr.kind {
            *column = self.places[*column];
        }
        expr.children_mut().into_iter().for_each(|child| self.rewrite(child));
    }
}

/// A field of a row; NULL where the row is.
fn field_of(row: Expr, index: usize) -> Expr {
    let DataType::Row(fields) = &row.ty.data else { return row };
    let ty = fields[index].ty.with_nullable(row.ty.nullable || fields[index].ty.nullable);
    let span = row.span;
    Expr { kind: ExprKind::Field { arg: Box::new(row), index }, ty, span }
}

/// Gives the fields that are wanted of a node columns of their own.
fn split(plan: &mut Plan, id: NodeId, all: &AllWanted, shapes: &[Shape]) -> Shape {
    let wanted = &all.outputs[id.index()];
    let inputs = plan.node(id).inputs.clone();
    let below = inputs.first().map(|input| shapes[input.index()].clone()).unwrap_or_default();
    let mut op = plan.node(id).op.clone();
    let shape = match &mut op {
        LogicalOp::Scan(scan) => split_scan(scan, wanted),
        LogicalOp::Filter(filter) => {
            below.rewrite(&mut filter.predicate);
            below
        }
        LogicalOp::Late(late) => {
            for column in [&mut late.time, &mut late.watermark, &mut late.position] {
                *column = below.places[*column];
            }
            below
        }
        LogicalOp::Project(project) => split_project(project, wanted, &below),
        LogicalOp::Window(window) => {
            window.time = below.places[window.time];
            window.watermark = window.watermark.map(|c| below.places[c]);
            below.then(&Shape::same(3), plan.schema(inputs[0]).width())
        }
        LogicalOp::Unnest(unnest) => {
            unnest.columns.iter_mut().for_each(|c| *c = below.places[*c]);
            let made = plan.schema(id).width() - below.places.len();
            below.then(&Shape::same(made), plan.schema(inputs[0]).width())
        }
        LogicalOp::Aggregate(aggregate) => {
            aggregate.map_columns(&|c| below.places[c]);
            Shape::same(plan.schema(id).width())
        }
        LogicalOp::Join(_)
        | LogicalOp::Session(_)
        | LogicalOp::Deduplicate(_)
        | LogicalOp::TopN(_)
        | LogicalOp::Over(_)
        | LogicalOp::Normalize(_)
        | LogicalOp::Materialize(_)
        | LogicalOp::Union(_)
        | LogicalOp::Sink(_) => return split_fitted(plan, id, &all.inputs[id.index()], shapes),
    };
    plan.nodes[id.index()].op = op;
    shape
}

fn split_scan(scan: &mut Scan, wanted: &Wanted) -> Shape {
    let mut shape = Shape::same(scan.columns.len());
    // A view's rows are there already: nothing is decoded that could be left out.
    let decoded = scan.kind != ScanKind::View;
    for (column, path) in wanted.fields().filter(|_| decoded) {
        if let Origin::Value(_) | Origin::Key(_) = scan.columns[column].origin {
            shape.fields.insert((column, path.clone()), scan.columns.len());
            let field = path.iter().fold(scan.columns[column].clone(), |row, &at| row.field(at));
            scan.columns.push(field);
        }
    }
    scan.exprs_mut().into_iter().for_each(|e| shape.rewrite(e));
    shape
}

fn split_project(project: &mut Project, wanted: &Wanted, below: &Shape) -> Shape {
    let mut shape = Shape::same(project.exprs.len());
    for (output, path) in wanted.fields() {
        if field_path(&project.exprs[output]).is_some() {
            add_field(project, output, path, &mut shape);
        }
    }
    project.exprs.iter_mut().for_each(|e| below.rewrite(e));
    shape
}

/// Adds a field of a projection's column as a column.
fn add_field(project: &mut Project, output: usize, path: &Path, shape: &mut Shape) {
    let mut field = project.exprs[output].clone();
    let mut name = project.names[output].clone();
    for &index in path {
        if let DataType::Row(fields) = &field.ty.data {
            name = format!("{name}.{}", fields[index].name);
        }
        field = field_of(field, index);
    }
    shape.fields.insert((output, path.clone()), project.exprs.len());
    project.exprs.push(field);
    project.names.push(name);
}

/// As `split`, for operators whose inputs have exactly the columns that they read.
fn split_fitted(plan: &mut Plan, id: NodeId, wanted: &[Wanted], shapes: &[Shape]) -> Shape {
    let inputs = plan.node(id).inputs.clone();
    let mut op = plan.node(id).op.clone();
    let mut fitted = Vec::with_capacity(inputs.len());
    for (port, &input) in inputs.iter().enumerate() {
        let fields = wanted[port].fields().collect::<Vec<_>>();
        fitted.push(fit(plan, input, &shapes[input.index()], &fields));
    }
    let inputs: Vec<NodeId> = fitted.iter().map(|(input, _)| *input).collect();
    let shape = match &mut op {
        LogicalOp::Join(join) => {
            let both = fitted[0].1.then(&fitted[1].1, plan.schema(inputs[0]).width());
            join.condition.iter_mut().for_each(|e| both.rewrite(e));
            if join.kind.has_pairs() { both } else { fitted[0].1.clone() }
        }
        LogicalOp::Session(_) => fitted[0].1.then(&Shape::same(3), plan.schema(inputs[0]).width()),
        LogicalOp::Sink(_) => Shape::same(plan.schema(id).width()),
        LogicalOp::Over(over) => {
            let results = Shape::same(over.calls.len());
            fitted[0].1.then(&results, plan.schema(inputs[0]).width())
        }
        LogicalOp::TopN(top) => {
            let number = Shape::same(usize::from(top.rank));
            fitted[0].1.then(&number, plan.schema(inputs[0]).width())
        }
        LogicalOp::Scan(_)
        | LogicalOp::Filter(_)
        | LogicalOp::Project(_)
        | LogicalOp::Unnest(_)
        | LogicalOp::Window(_)
        | LogicalOp::Aggregate(_)
        | LogicalOp::Deduplicate(_)
        | LogicalOp::Normalize(_)
        | LogicalOp::Materialize(_)
        | LogicalOp::Union(_)
        | LogicalOp::Late(_) => fitted[0].1.clone(),
    };
    let node = &mut plan.nodes[id.index()];
    (node.op, node.inputs) = (op, inputs);
    shape
}

/// The columns that a node had, in order, and then these fields; the node itself where that is what
/// it has.
fn fit(
    plan: &mut Plan,
    input: NodeId,
    below: &Shape,
    fields: &[(usize, &Path)],
) -> (NodeId, Shape) {
    let origin = plan.node(input).origin;
    let columns = &plan.schema(input).columns;
    let old = below.places.iter().map(|&place| &columns[place]).enumerate();
    let (exprs, names) =
        old.map(|(at, c)| (Expr::column(at, c.ty.clone(), origin), c.name.clone())).unzip();
    let mut project = Project { exprs, names, time: None };
    let mut shape = Shape::same(below.places.len());
    for (column, path) in fields {
        add_field(&mut project, *column, path, &mut shape);
    }
    project.exprs.iter_mut().for_each(|e| below.rewrite(e));
    let repeats =
        |(at, e): (usize, &Expr)| project.passes(at) == Some(at) && e.ty == columns[at].ty;
    if project.exprs.len() == columns.len() && project.exprs.iter().enumerate().all(repeats) {
        return (input, shape);
    }
    (plan.add(LogicalOp::Project(project), vec![input], origin), shape)
}
