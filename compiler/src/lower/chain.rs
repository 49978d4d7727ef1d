//! Chains of filters and projections: one kernel, one loop over the batch. What stands above a
//! filter can fail only for the rows that it keeps.

use flow_ir::ids::{NodeId, Reg, VertexId};
use flow_ir::logical::{LogicalOp, Plan};
use flow_ir::physical::{Map, Partitioning, PhysicalOp};
use flow_ir::types::Type;

use super::Lowering;
use crate::scalar::{Columns, Program};

/// Which filters and projections have only a filter or projection for a reader.
pub(super) fn absorbed(plan: &Plan) -> Vec<bool> {
    let readers = plan.readers();
    let mut absorbed = vec![false; plan.nodes.len()];
    for id in plan.order() {
        if is_stateless(plan, id) {
            let input = plan.node(id).inputs[0];
            absorbed[input.index()] = readers[input.index()] == 1 && is_stateless(plan, input);
        }
    }
    absorbed
}

fn is_stateless(plan: &Plan, id: NodeId) -> bool {
    matches!(plan.node(id).op, LogicalOp::Filter(_) | LogicalOp::Project(_))
}

impl Lowering<'_> {
    /// The chain that ends in this node, as a `Map` over the node below it.
    pub(super) fn map(&mut self, top: NodeId) -> VertexId {
        let mut steps = vec![top];
        let mut base = self.plan.node(top).inputs[0];
        while self.absorbed[base.index()] {
            steps.push(base);
            base = self.plan.node(base).inputs[0];
        }
        let from = self.lowered[&base];
        let input = self.types(from);
        let mut program = Program::new(input.clone());
        let mut filter: Option<Reg> = None;
        let mut computed: Option<Vec<Reg>> = None;
        for &id in steps.iter().rev() {
            let columns = computed.as_deref().map_or(Columns::Input, Columns::Computed);
            match &self.plan.node(id).op {
                LogicalOp::Filter(op) => {
                    let passes = program.guarded(filter, &op.predicate, &columns);
                    filter = Some(match filter {
                        Some(before) => program.and(before, passes),
                        None => passes,
                    });
                }
                LogicalOp::Project(op) => {
                    let exprs = op.exprs.iter();
                    let regs = exprs.map(|e| program.guarded(filter, e, &columns)).collect();
                    computed = Some(regs);
                }
                LogicalOp::Scan(_)
                | LogicalOp::Unnest(_)
                | LogicalOp::Join(_)
                | LogicalOp::Window(_)
                | LogicalOp::Session(_)
                | LogicalOp::Aggregate(_)
                | LogicalOp::Deduplicate(_)
                | LogicalOp::TopN(_)
                | LogicalOp::Over(_)
                | LogicalOp::Normalize(_)
                | LogicalOp::Materialize(_)
                | LogicalOp::Union(_)
                | LogicalOp::Late(_)
                | LogicalOp::Sink(_) => unreachable!("a chain has filters and projections"),
            }
        }
        let regs = computed
            .unwrap_or_else(|| (0..input.len()).map(|column| program.column(column)).collect());
        let node = self.plan.node(top);
        let outputs: Vec<(Reg, Type)> = regs.into_iter().zip(node.schema.types()).collect();
        let kernel = self.sites.kernel(program, filter, outputs);
        let part = self.part(top, "map".into(), PhysicalOp::Map(Map { kernel }));
        let vertex = self.vertex(part);
        self.edge(from, vertex, 0, Partitioning::Forward);
        vertex
    }
}
