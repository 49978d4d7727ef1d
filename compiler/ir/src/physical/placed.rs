//! Where rows already are. An operator that is keyed keeps its rows with the worker that owns their
//! key, and so does what comes out of it: an exchange by the same key moves nothing.

use super::{JobGraph, JoinKind, Partitioning, PhysicalOp};
use crate::ids::VertexId;
use crate::kernel::KernelSpec;
use crate::scalar::ScalarOp;

/// Keys by which a vertex's rows are placed: each row is with the worker that owns the shard of its
/// key of these columns.
type Keys = Vec<Vec<usize>>;

impl JobGraph {
    /// By edge, in their order, whether it is an exchange whose rows are where they are to go.
    pub fn settled_edges(&self) -> Vec<bool> {
        let mut placed: Vec<Keys> = Vec::with_capacity(self.vertices.len());
        for (i, vertex) in self.vertices.iter().enumerate() {
            let inputs = self.inputs(VertexId::from(i));
            let (input, width) = match inputs.first() {
                Some(edge) => {
                    let from = edge.from.index();
                    let input = match &edge.partitioning {
                        Partitioning::Forward => placed.get(from).cloned().unwrap_or_default(),
                        Partitioning::Hash(keys) => vec![keys.clone()],
                    };
                    (input, self.vertices[from].columns.len())
                }
                None => Default::default(),
            };
            placed.push(keys_of(&vertex.op, &input, width));
        }
        let is_settled = |edge: &super::Edge| match &edge.partitioning {
            Partitioning::Forward => false,
            Partitioning::Hash(keys) => placed[edge.from.index()].contains(keys),
        };
        self.edges.iter().map(is_settled).collect()
    }
}

/// How an operator's rows are placed, whose first input's come placed by the keys `input`, and have
/// `width` columns.
fn keys_of(op: &PhysicalOp, input: &[Vec<usize>], width: usize) -> Keys {
    let of_join = |kind: JoinKind, left: &[usize], right: &[usize]| match kind {
        JoinKind::Inner => vec![left.to_vec(), right.iter().map(|key| width + key).collect()],
        JoinKind::Left | JoinKind::Semi | JoinKind::Anti => vec![left.to_vec()],
        // A right row that goes out alone is with the owner of its own key.
        JoinKind::Full => Vec::new(),
    };
    match op {
        PhysicalOp::Source(_) | PhysicalOp::Union(_) | PhysicalOp::Sink(_) => Vec::new(),
        PhysicalOp::Map(op) => renamed(input, |column| output_of(&op.kernel, column)),
        PhysicalOp::PreAggregate(op) => {
            renamed(input, |column| op.keys.iter().position(|key| *key == column))
        }
        // What they make is the input and more.
        PhysicalOp::Unnest(_) | PhysicalOp::Late(_) | PhysicalOp::WindowExpand(_) => input.to_vec(),
        PhysicalOp::SessionWindow(op) => vec![op.keys.clone()],
        PhysicalOp::Deduplicate(op) => vec![op.keys.clone()],
        PhysicalOp::TopN(op) => vec![op.keys.clone()],
        PhysicalOp::Over(op) => vec![op.keys.clone()],
        PhysicalOp::Normalize(op) => vec![op.keys.clone()],
        PhysicalOp::Materialize(op) => vec![op.keys[..op.hashed].to_vec()],
        // What they make begins with the key.
        PhysicalOp::SessionAggregate(op) => vec![(0..op.keys.len()).collect()],
        PhysicalOp::GroupAggregate(op) => vec![(0..op.keys).collect()],
        PhysicalOp::WindowAggregate(op) => vec![(0..op.keys).collect()],
        PhysicalOp::WindowJoin(op) => of_join(op.kind, &op.left_keys, &op.right_keys),
        PhysicalOp::IntervalJoin(op) => of_join(op.kind, &op.left_keys, &op.right_keys),
        PhysicalOp::TemporalJoin(op) => of_join(op.kind, &op.left_keys, &op.right_keys),
        PhysicalOp::LookupJoin(op) => of_join(op.kind, &op.left_keys, &op.right_keys),
        PhysicalOp::Join(op) => of_join(op.kind, &op.left_keys, &op.right_keys),
    }
}

/// The keys whose columns are all there under some number.
fn renamed(keys: &[Vec<usize>], to: impl Fn(usize) -> Option<usize>) -> Keys {
    keys.iter().filter_map(|key| key.iter().map(|column| to(*column)).collect()).collect()
}

/// The output of a kernel that is this input column.
fn output_of(kernel: &KernelSpec, column: usize) -> Option<usize> {
    kernel.outputs.iter().position(|output| {
        let made = kernel.program.insts.get(output.index());
        made.is_some_and(|inst| inst.op == ScalarOp::Column(column as u32))
    })
}
