//! Views of other jobs as inputs. The rows of a view are in the changelog of the job that keeps it,
//! among those of its other tables; that job's last epoch record says under which number, and where
//! its state begins. A reader goes on from its own positions, which hold for one incarnation of the
//! keeper: one that was started anew, or changed, is refused.

use std::sync::Arc;

use flow_ir::connector::{VIEW_COUNTED, VIEW_JOB, VIEW_TABLE};
use flow_ir::ids::VertexId;
use flow_ir::physical::{Stream, TableKind, TableSpec};
use flow_ir::row::key_hash;
use flow_ir::types::{DataType, Type};

use super::assign::fresh;
use super::start::{internal_names, last_record};
use crate::commit::InputPosition;
use crate::connect::{Log, TopicInfo};
use crate::error::{Result, RuntimeError};

/// What to do about a view that is no longer what the reader has read.
const ANEW: &str = "Start the reader anew with --fresh.";

/// A view of another job, as that job keeps it now.
pub(super) struct ReadView {
    changelog: TopicInfo,
    /// The number of its table in the keys of the changelog.
    pub(super) table: u32,
    /// Where the keeper's state begins, by partition.
    from: Vec<i64>,
}

impl ReadView {
    /// Finds the view that a stream stands for.
    ///
    /// # Errors
    /// If its job has not run yet, or keeps no such view; the message says what to do.
    pub(super) fn find(stream: &Stream, log: &Arc<dyn Log>) -> Result<Self> {
        let view = &stream.name;
        let named = stream.option(VIEW_JOB).zip(stream.option(VIEW_TABLE));
        let (job, table) = named.ok_or_else(|| changed(view, "its keeper"))?;
        let absent = || {
            RuntimeError::external(format!(
                "view {view}: job {job} has committed nothing yet in {}",
                log.describe_self()
            ))
            .with_help(format!(
                "Run job {job} first. Its topics have to be in this log: a job that reads and \
                 writes only files keeps its state to itself."
            ))
        };
        let [epochs, changelog] = internal_names(job);
        let has_epochs = log.topic(&epochs)?.is_some();
        let record = if has_epochs { last_record(log, &epochs)? } else { None };
        let record = record.ok_or_else(absent)?;
        let changelog = log.topic(&changelog)?.ok_or_else(absent)?;
        let of_changelog = record.changelog == changelog.id
            && record.changelog_from.len() == changelog.partitions as usize;
        let entry = record.directory.get(table).filter(|_| of_changelog && is_of(stream, table));
        let entry = entry.ok_or_else(|| changed(view, &format!("job {job}")))?;
        Ok(Self { changelog, table: entry.number, from: record.changelog_from })
    }

    /// Where each partition is read on: behind what was read `before`, else from the beginning of
    /// the keeper's state.
    ///
    /// # Errors
    /// If what was read before belongs to another incarnation of the keeper.
    pub(super) fn positions(
        &self,
        stream: &Stream,
        log: &Arc<dyn Log>,
        before: Vec<InputPosition>,
    ) -> Result<Vec<InputPosition>> {
        let (topic, topic_id) = (&self.changelog.name, self.incarnation());
        if before.is_empty() {
            let position = |(partition, &start): (u32, &i64)| InputPosition {
                topic_id: topic_id.clone(),
                ..fresh(stream, log, &self.changelog, partition, start)
            };
            return Ok((0..).zip(&self.from).map(position).collect());
        }
        let same = |p: &InputPosition| p.topic == *topic && p.topic_id == topic_id;
        if before.len() != self.from.len() || !before.iter().all(same) {
            let message = format!(
                "view {} was made anew since this job began to read it: its job was started with \
                 --fresh, or dropped and run again",
                stream.name
            );
            return Err(RuntimeError::user(message).with_help(ANEW));
        }
        Ok(before)
    }

    /// Identity of the changelog and of where the keeper's state begins in it.
    fn incarnation(&self) -> String {
        let from: Vec<u8> = self.from.iter().flat_map(|offset| offset.to_be_bytes()).collect();
        format!("{}@{:016x}", self.changelog.id, key_hash(&from))
    }
}

/// Whether a table's name is that of one with the rows that the stream has.
fn is_of(stream: &Stream, table: &str) -> bool {
    let row = stream.types();
    let key = stream.primary_key.iter().filter_map(|&at| row.get(at).cloned()).collect();
    let counted = stream.option(VIEW_COUNTED).is_some();
    let value = if counted { vec![Type::not_null(DataType::BigInt)] } else { row };
    let (owner, role, kind) = (VertexId(0), String::new(), TableKind::Ordered);
    let expected = TableSpec { owner, role, kind, key, value }.layout();
    table.rsplit('/').next() == Some(&format!("{expected:016x}"))
}

fn changed(view: &str, keeper: &str) -> RuntimeError {
    RuntimeError::user(format!("{keeper} no longer keeps view {view} as this program reads it"))
        .with_help(format!(
            "It was changed: compile or submit this program again, so that it reads the view as it \
             is now. {ANEW}"
        ))
}
