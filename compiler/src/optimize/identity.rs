//! Identities, given before any pass runs. Filters are pushed first, in a copy and whatever passes
//! are on: what an operator keeps depends on the filters that end up below it, so these are part of
//! what it is.

use flow_ir::logical::{Plan, identities};

use super::Pass;
use super::push_filter::PushFilter;

/// Gives each node its identity.
pub(super) fn identify(plan: &mut Plan) {
    let written = identities(plan);
    let mut pushed = plan.clone();
    PushFilter.run(&mut pushed);
    let moved = identities(&pushed);
    for (index, node) in plan.nodes.iter_mut().enumerate() {
        let moved = moved[index].node;
        node.identity = if moved == 0 { written[index].node } else { moved };
    }
}
