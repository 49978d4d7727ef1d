//! EXPLAIN ANALYZE JOB: the plan that runs, with what each operator did since the job's last start.

use std::fmt::Write;
use std::time::Duration;

use flow_compiler::lower::explain_graph_with;
use flow_ir::ids::VertexId;
use flow_ir::physical::PhysicalOp;
use flow_runtime::metrics::{Durations, Metrics};

use super::info::JobInfo;
use crate::figures::{bytes, duration, time};

/// The plan of a job with its figures.
pub fn analyzed(job: &JobInfo, metrics: &Metrics) -> String {
    let mut out = format!("{}: {}, workers: {}\n", job.name, job.state.word(), job.parallelism);
    for (what, durations) in
        [("epochs", metrics.epoch_durations.read()), ("commits", metrics.commit_durations.read())]
    {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "  {what}: {}{}", metrics.epochs.get(), spread(&durations));
    }
    if let Some((at, partition)) = metrics.watermark().filter(|(at, _)| *at != i64::MIN) {
        let _ = writeln!(out, "  watermark: {}, held by {partition}", time(at));
    }
    let busy = metrics.busy_seconds();
    out + &explain_graph_with(&metrics.graph, |id| Some(remark(metrics, id, busy)))
}

/// How long they took, if there were any.
fn spread(durations: &Durations) -> String {
    if durations.count() == 0 {
        return String::new();
    }
    let mut text = format!(", {} on average", duration(durations.mean()));
    if let Some(bound) = durations.within(0.99) {
        let _ = write!(text, ", 99 % within {}", duration(bound));
    }
    text
}

/// What an operator did; `busy` are the seconds spent in all of them.
fn remark(metrics: &Metrics, id: VertexId, busy: f64) -> String {
    let (operator, vertex) = (&metrics.operators[id.index()], &metrics.graph.vertices[id.index()]);
    if let Some(by) = operator.done_by {
        return format!("done by {}, in one loop", by.0);
    }
    let read = if matches!(vertex.op, PhysicalOp::Source(_)) { "records" } else { "rows" };
    let seconds = operator.busy_seconds();
    let share = if busy > 0.0 { seconds / busy * 100.0 } else { 0.0 };
    let mut text = format!(
        "{} {read} in, {} out, {} ({share:.0} %)",
        operator.rows_in.get(),
        operator.rows_out.get(),
        duration(Duration::from_secs_f64(seconds)),
    );
    if !vertex.op.tables().is_empty() {
        let (rows, size) = (operator.state_rows.get(), operator.state_bytes.get());
        let _ = write!(text, ", state {rows} rows, {}", bytes(size));
    }
    if let Some(at) = operator.watermark() {
        let _ = write!(text, ", watermark {}", time(at));
    }
    text
}
