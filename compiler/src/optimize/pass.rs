//! The driver: runs the listed passes in order, times each, leaves out those that are switched off,
//! and checks the plan after each.

use std::time::{Duration, Instant};

use flow_ir::logical::Plan;

use super::identity::identify;
use super::{PASSES, verify};

/// One rewrite of a plan. It keeps the plan's results, its sinks and the identity of every operator
/// that keeps state.
pub trait Pass: Sync {
    /// Name for EXPLAIN and `--without-pass`.
    fn name(&self) -> &'static str;

    /// What a plan gains by it, for EXPLAIN.
    fn reason(&self) -> &'static str;

    /// Rewrites the plan; whether anything changed. Live schemas are derived anew afterwards.
    fn run(&self, plan: &mut Plan) -> bool;
}

/// What the driver is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OptimizeOptions {
    /// Names of passes to leave out.
    pub without: Vec<String>,
}

/// What a pass did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassTiming {
    /// The pass.
    pub pass: &'static str,
    /// What a plan gains by it.
    pub reason: &'static str,
    /// How long it took.
    pub elapsed: Duration,
    /// Whether it changed the plan.
    pub changed: bool,
}

/// The names of all passes, in order.
pub fn pass_names() -> impl Iterator<Item = &'static str> {
    PASSES.iter().map(|pass| pass.name())
}

/// Gives each node its identity and runs the passes.
///
/// # Panics
/// If the plan breaks a rule, at first or after a pass: a bug in the compiler.
pub fn optimize(mut plan: Plan, options: &OptimizeOptions) -> (Plan, Vec<PassTiming>) {
    check(&plan, "planning");
    identify(&mut plan);
    let mut timings = Vec::with_capacity(PASSES.len());
    for pass in PASSES {
        if options.without.iter().any(|name| name == pass.name()) {
            continue;
        }
        let start = Instant::now();
        let changed = pass.run(&mut plan);
        if changed {
            plan.refresh();
        }
        let (pass_name, reason) = (pass.name(), pass.reason());
        timings.push(PassTiming { pass: pass_name, reason, elapsed: start.elapsed(), changed });
        check(&plan, pass.name());
    }
    (plan, timings)
}

fn check(plan: &Plan, after: &str) {
    if let Err(broken) = verify(plan) {
        panic!("after {after}: {broken}\n{}", flow_ir::logical::explain(plan));
    }
}
