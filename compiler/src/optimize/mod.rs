//! Rewrites logical plans into cheaper ones that give the same results. The list of passes is the
//! order they run in; each can be switched off by name, and no result depends on it.

mod choose_join;
mod drop_watermark;
mod fold_constants;
mod fuse_window;
mod identity;
mod merge_projects;
mod narrow_rows;
mod pass;
mod prune_columns;
mod push_filter;
mod share_subplan;
mod verify;

#[cfg(test)]
mod tests;

pub use pass::{OptimizeOptions, Pass, PassTiming, optimize, pass_names};
pub use verify::{InvalidPlan, verify};

/// The passes, in order.
const PASSES: &[&dyn Pass] = &[
    &fold_constants::FoldConstants,
    &share_subplan::ShareSubplan,
    &push_filter::PushFilter,
    &choose_join::ChooseJoin,
    &fuse_window::FuseWindow,
    &drop_watermark::DropWatermark,
    &narrow_rows::NarrowRows,
    &merge_projects::MergeProjects,
    &prune_columns::PruneColumns,
];
