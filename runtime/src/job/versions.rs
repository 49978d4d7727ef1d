//! Versions of a program under one job's name: what becomes of the state when the program changes,
//! told before anything runs, and the end of a job's state.

use std::collections::BTreeMap;
use std::path::Path;

use flow_ir::physical::JobGraph;

use super::begun;
use super::start::{
    delete_if_allowed, forget_epochs, internal_names, remove_store, why_other, writer_id,
};
use crate::error::Result;
use crate::world::World;

/// What a new version of a program does to the state of the one before. Operators by name, each
/// once, in the order of their graph.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateChange {
    /// Operators that go on with what they have.
    pub kept: Vec<String>,
    /// Operators whose state nothing of the new version takes up, each with the reason.
    pub lost: Vec<(String, &'static str)>,
    /// Operators that have no state yet.
    pub added: Vec<String>,
    /// Shards before and after, if they differ: they are fixed at a job's first start.
    pub shards: Option<(u32, u32)>,
}

impl StateChange {
    /// Whether the new version can go on where the one before stopped.
    pub fn goes_on(&self) -> bool {
        self.lost.is_empty() && self.added.is_empty() && self.shards.is_none()
    }
}

/// Compares two versions of a job.
pub fn compare(before: &JobGraph, after: &JobGraph) -> StateChange {
    let tables = |graph: &JobGraph| -> Vec<(String, String)> {
        let named = graph.tables.iter().map(|table| {
            (graph.table_name(table), graph.vertices[table.owner.index()].name.clone())
        });
        named.collect()
    };
    let (old, new) = (tables(before), tables(after));
    let old_names: BTreeMap<String, &str> =
        old.iter().map(|(name, operator)| (name.clone(), operator.as_str())).collect();
    let new_names: BTreeMap<String, &str> =
        new.iter().map(|(name, operator)| (name.clone(), operator.as_str())).collect();
    let mut change = StateChange::default();
    for (name, operator) in &old {
        if !new_names.contains_key(name) {
            change.lost.push((operator.clone(), why_other(name, &new_names)));
        }
    }
    for (name, operator) in &new {
        match old_names.contains_key(name) {
            true => change.kept.push(operator.clone()),
            false => change.added.push(operator.clone()),
        }
    }
    change.lost.dedup();
    change.kept.dedup();
    change.added.dedup();
    let (was, is) = (before.settings.shards, after.settings.shards);
    change.shards = (was != is).then_some((was, is));
    change
}

/// Forgets a job that does not run: its position, and its state here and in its log. Its internal
/// topics are deleted, its outputs stay. What a crash leaves undone is done when it is called
/// again; a job of that name that starts before begins anew.
///
/// # Errors
/// If the log cannot be reached, or the folder cannot be changed.
pub fn forget(graph: &JobGraph, state_dir: &Path, world: &World) -> Result<()> {
    let home = world.logs.home()?;
    let [epochs, changelog] = internal_names(&graph.name);
    if home.topic(&epochs)?.is_some() {
        // A process that runs it after all is fenced, before its topics go.
        let mut writer = home.writer(&writer_id(&graph.name))?;
        forget_epochs(&mut *writer, &epochs)?;
    }
    begun::forget(state_dir)?;
    delete_if_allowed(&home, &[&changelog, &epochs])?;
    remove_store(&state_dir.join("store"))
}
