//! The law for every operator: however its input is cut into batches and epochs, on one worker or
//! on four, with operators made anew between epochs or not, the net changelog is the same, and it
//! is what a plain evaluation of the whole input gives.

mod groups;
mod harness;
mod joins;
mod keyed;
mod over;
mod sessions;
mod stateless;
mod temporal;
mod top_n;
mod views;
mod window_joins;
mod window_tops;
mod windows;

use flow_ir::physical::PhysicalOp;

/// The test of the law for an operator. A new operator without one does not compile.
fn law_of(op: &PhysicalOp) -> Option<fn()> {
    match op {
        PhysicalOp::Source(_) | PhysicalOp::Sink(_) => None,
        PhysicalOp::Map(_) => Some(stateless::map_filters_and_projects),
        PhysicalOp::Unnest(_) => Some(stateless::unnest_makes_a_row_per_element),
        PhysicalOp::Late(_) => Some(stateless::late_leaves_out_late_rows),
        PhysicalOp::WindowExpand(_) => Some(windows::carried_windows_are_windows),
        PhysicalOp::SessionWindow(_) => Some(sessions::sessions_of_a_stream),
        PhysicalOp::SessionAggregate(_) => Some(sessions::sessions_come_to),
        PhysicalOp::PreAggregate(_) | PhysicalOp::GroupAggregate(_) => {
            Some(groups::groups_of_a_changelog)
        }
        PhysicalOp::WindowAggregate(_) => Some(windows::windows_of_a_stream),
        PhysicalOp::WindowJoin(_) => Some(window_joins::windows_join),
        PhysicalOp::Join(_) => Some(joins::changelogs_join),
        PhysicalOp::IntervalJoin(_) => Some(joins::intervals_join),
        PhysicalOp::TemporalJoin(_) => Some(temporal::versions_join),
        PhysicalOp::LookupJoin(_) => Some(joins::what_is_read_before_is_looked_up),
        PhysicalOp::Deduplicate(_) => Some(keyed::first_or_last_row_stays),
        PhysicalOp::TopN(_) => Some(top_n::first_rows_stay),
        PhysicalOp::Over(_) => Some(over::values_over_partitions),
        PhysicalOp::Normalize(_) => Some(keyed::last_row_per_key_stays),
        PhysicalOp::Materialize(_) => Some(views::views_pass_on_net_changes),
        PhysicalOp::Union(_) => Some(stateless::unions_pass_everything),
    }
}

#[test]
fn operators_have_laws_but_for_those_that_the_worker_drives() {
    assert!(law_of(&PhysicalOp::Union(flow_ir::physical::Union { inputs: 2 })).is_some());
}
