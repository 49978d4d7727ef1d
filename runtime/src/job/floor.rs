//! How far time has gone on behind each stream. A partition that joins in, again or for the first
//! time, goes on from there: no row of it is accepted that would be too late for an operator.

use flow_ir::ids::VertexId;
use flow_ir::physical::{JobGraph, PhysicalOp};

/// By stream, the highest watermark that an operator fed by it has got; `i64::MIN` if none has.
/// `marks` are the watermarks of the vertices.
pub(super) fn floor(graph: &JobGraph, marks: &[i64]) -> Vec<i64> {
    let mut floor = vec![i64::MIN; graph.streams.len()];
    for (streams, &mark) in feeding(graph).iter().zip(marks) {
        // The end of time stands for an input that has ended, or holds nothing back.
        for &stream in streams.iter().filter(|_| mark != i64::MAX) {
            floor[stream] = floor[stream].max(mark);
        }
    }
    floor
}

/// By vertex, the streams whose records come to it.
fn feeding(graph: &JobGraph) -> Vec<Vec<usize>> {
    let mut all: Vec<Vec<usize>> = Vec::with_capacity(graph.vertices.len());
    for (i, vertex) in graph.vertices.iter().enumerate() {
        let mut streams: Vec<usize> = if let PhysicalOp::Source(source) = &vertex.op {
            vec![source.stream.index()]
        } else {
            let inputs = graph.inputs(VertexId::from(i)).into_iter();
            inputs.flat_map(|edge| all[edge.from.index()].iter().copied()).collect()
        };
        streams.sort_unstable();
        streams.dedup();
        all.push(streams);
    }
    all
}
