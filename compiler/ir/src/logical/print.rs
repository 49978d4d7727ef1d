//! EXPLAIN of a logical plan: one line a node, inputs indented below it. A node with several
//! readers is printed where it is met first, with a number that the other places refer to.

use std::fmt::Write;

use super::{Plan, PlanNode, Schema};
use crate::ids::NodeId;

/// The plan as text; the same plan gives the same text.
pub fn explain(plan: &Plan) -> String {
    let mut printer = Printer { plan, readers: plan.readers(), numbers: Vec::new() };
    let mut out = String::new();
    for &sink in &plan.sinks {
        // An explicit stack, so that a deep plan cannot exhaust the thread's.
        let mut stack = vec![(sink, 0)];
        while let Some((id, depth)) = stack.pop() {
            if printer.line(id, depth, &mut out) {
                let inputs = plan.node(id).inputs.iter().rev();
                stack.extend(inputs.map(|&input| (input, depth + 1)));
            }
        }
    }
    out
}

struct Printer<'a> {
    plan: &'a Plan,
    readers: Vec<usize>,
    numbers: Vec<NodeId>,
}

impl Printer<'_> {
    /// Prints a node's line; whether its inputs are to follow.
    fn line(&mut self, id: NodeId, depth: usize, out: &mut String) -> bool {
        let node = self.plan.node(id);
        let indent = "  ".repeat(depth);
        let known = self.numbers.iter().position(|&n| n == id);
        if let Some(number) = known {
            push(out, format_args!("{indent}[{}] {}, as above\n", number + 1, node.op.kind()));
            return false;
        }
        let number = if self.readers[id.index()] > 1 {
            self.numbers.push(id);
            format!("[{}] ", self.numbers.len())
        } else {
            String::new()
        };
        let inputs: Vec<&Schema> = node.inputs.iter().map(|&i| self.plan.schema(i)).collect();
        let text = node.op.explain(&inputs);
        let space = if text.is_empty() { "" } else { " " };
        push(out, format_args!("{indent}{number}{}{space}{text}\n", node.op.kind()));
        true
    }
}

fn push(out: &mut String, line: std::fmt::Arguments<'_>) {
    out.write_fmt(line).expect("writing to a string does not fail");
}
