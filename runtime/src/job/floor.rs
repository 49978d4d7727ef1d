//! How time goes on behind streams some of whose partitions say nothing of it.
//!
//! * A partition that joins in, again or for the first time, goes on from its stream's *floor*: no
//!   row of it is accepted that would be too late for an operator.
//! * A stream all of whose partitions are passed over goes along with the streams that it meets in
//!   some operator, as if it had a row of their time. With none of them to go along it stays.

use flow_ir::ids::VertexId;
use flow_ir::physical::{JobGraph, PhysicalOp};

use super::assign::Partition;

/// Which streams' records come to each vertex.
pub(super) struct Feeding(Vec<Vec<usize>>);

impl Feeding {
    pub(super) fn new(graph: &JobGraph) -> Self {
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
        Self(all)
    }

    /// Raises the floor of each stream to the highest watermark that an operator fed by it has got.
    /// `marks` are the watermarks of the vertices.
    pub(super) fn raise(&self, floor: &mut [i64], marks: &[i64]) {
        for (streams, &mark) in self.0.iter().zip(marks) {
            // The end of time stands for an input that has ended, or holds nothing back.
            for &stream in streams.iter().filter(|_| mark != i64::MAX) {
                floor[stream] = floor[stream].max(mark);
            }
        }
    }

    /// By stream, the watermark of one that is silent as a whole; the end of time for all others,
    /// whose partitions tell.
    pub(super) fn silent(&self, floor: &[i64], partitions: &[Partition]) -> Vec<i64> {
        let streams = floor.len();
        let live = |stream: usize| {
            partitions.iter().filter(move |p| p.stream.index() == stream && !p.position.ended)
        };
        let is_silent =
            |stream: usize| live(stream).next().is_some() && live(stream).all(|p| p.position.idle);
        let own = |stream: usize| {
            let tells = live(stream).filter(|p| p.timed && !p.position.idle);
            tells.map(|p| p.position.watermark).min()
        };
        let mark = |stream: usize| match is_silent(stream) {
            true => {
                let others = (0..streams).filter(|&other| self.meet(stream, other));
                let along = others.filter_map(own).min();
                floor[stream].max(along.unwrap_or(i64::MIN))
            }
            false => i64::MAX,
        };
        (0..streams).map(mark).collect()
    }

    fn meet(&self, one: usize, other: usize) -> bool {
        one != other && self.0.iter().any(|fed| fed.contains(&one) && fed.contains(&other))
    }
}
