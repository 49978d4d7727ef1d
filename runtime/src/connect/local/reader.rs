//! Reads partitions of the embedded log, taking turns between those that have records.

use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::batch::Stored;
use super::log::{Shared, State, Topic, compacted_prefix, data_key, data_prefix, offset_of};
use crate::connect::{Assignment, FETCH_RECORDS_MAX, Fetched, Reader};
use crate::error::Result;

/// Bytes that a round over the keys of a compacted topic brings at most.
const ROUND_BYTES: usize = 16 << 20;

/// In which order a reader gets the records of compacted topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Of their offsets: its positions always hold.
    Offset,
    /// Of their keys: its positions hold at the end.
    Key,
}

/// A reader's view of one partition.
struct Partition {
    topic: String,
    number: u32,
    partition: u32,
    compacted: bool,
    position: i64,
    /// Up to where it may read, as last looked up.
    stable: i64,
    /// Where it ends, as last looked up.
    end: i64,
    /// Compacted: where its tail begins, as last looked up.
    tail_from: i64,
    paused: bool,
    /// Compacted, in key order: the key at which the scan of this round goes on, and where the
    /// round ends.
    round: Option<(Vec<u8>, i64)>,
    /// Compacted, in the order of offsets: what this round found, and the position behind it.
    found: VecDeque<(i64, Vec<u8>)>,
    found_until: i64,
}

/// Reads some partitions.
pub(super) struct LocalReader {
    shared: Arc<Shared>,
    partitions: Vec<Partition>,
    /// Whose turn it is.
    turn: usize,
    order: Order,
}

impl LocalReader {
    /// A reader of these partitions, which may come from a peer.
    pub(super) fn new(
        shared: Arc<Shared>,
        assignment: &[Assignment],
        order: Order,
    ) -> Result<Self> {
        let mut reader = Self { shared, partitions: Vec::new(), turn: 0, order };
        reader.add(assignment)?;
        Ok(reader)
    }

    fn look_up_ends(&mut self) -> Result<()> {
        let state = self.shared.lock();
        for p in &mut self.partitions {
            let topic = p.in_state(&state).ok_or_else(|| self.shared.gone(&p.topic))?;
            p.stable = topic.stable[p.partition as usize];
            p.end = topic.ends[p.partition as usize];
            p.tail_from = topic.tails[p.partition as usize].from;
        }
        Ok(())
    }

    /// Records of the next partition in turn that has some.
    fn fetch(&mut self) -> Result<Option<Fetched>> {
        for _ in 0..self.partitions.len() {
            let index = self.turn;
            self.turn = (self.turn + 1) % self.partitions.len();
            let partition = &mut self.partitions[index];
            if partition.paused || partition.position >= partition.stable {
                continue;
            }
            let stored = match (partition.compacted, self.order) {
                (true, Order::Offset) => partition.scan_by_offset(&self.shared)?,
                (true, Order::Key) => partition.scan_by_key(&self.shared)?,
                (false, _) => partition.scan(&self.shared)?,
            };
            // What was deleted while it was read has not been read.
            if partition.in_state(&self.shared.lock()).is_none() {
                return Err(self.shared.gone(&partition.topic));
            }
            let next_offset = partition.position;
            if stored.records_len() > 0 {
                let batch = Box::new(stored);
                return Ok(Some(Fetched { partition: index, batch, next_offset }));
            }
        }
        Ok(None)
    }
}

impl Partition {
    /// The topic, unless it was deleted: one that was made under its name since is another.
    fn in_state<'s>(&self, state: &'s State) -> Option<&'s Topic> {
        state.topic(&self.topic).filter(|topic| topic.meta.number == self.number)
    }

    fn scan(&mut self, shared: &Shared) -> Result<Stored> {
        let prefix = data_prefix(self.number, self.partition);
        let at = data_key(self.number, self.partition, self.position);
        let after = data_key(self.number, self.partition, self.position.saturating_add(1));
        // The batch that holds the position may begin before it.
        let from = shared.kv.last_before(&prefix, &after)?.unwrap_or(at);
        let mut stored = Stored::new(self.position);
        let stable = self.stable;
        let position = &mut self.position;
        shared.kv.scan(&prefix, &from, |key, value| {
            let base = offset_of(key);
            if base >= stable {
                return false;
            }
            *position = stored.push(base, value.to_vec()).max(*position);
            stored.records_len() < FETCH_RECORDS_MAX
        })?;
        Ok(stored)
    }

    /// Reads on in the tail of a compacted topic. Nothing, if it begins later meanwhile: then what
    /// comes next is looked for among the keys.
    fn scan_tail(&mut self, shared: &Shared) -> Result<Stored> {
        let position = self.position;
        let stored = self.scan(shared)?;
        let tail = self.in_state(&shared.lock()).map(|t| t.tails[self.partition as usize]);
        match tail {
            Some(tail) if tail.from > position => {
                (self.position, self.tail_from) = (position, tail.from);
                Ok(Stored::new(0))
            }
            Some(_) | None => Ok(stored),
        }
    }

    /// What was last written, if it goes back to the position. Else, before the tail, a round goes
    /// over all keys for what was written since, as much of it as it may bring, and hands that out.
    fn scan_by_offset(&mut self, shared: &Shared) -> Result<Stored> {
        if self.found.is_empty() {
            if let Some((stored, position)) = self.recent(shared) {
                self.position = position;
                return Ok(stored);
            }
            if self.position >= self.tail_from {
                return self.scan_tail(shared);
            }
            self.find(shared)?;
        }
        let mut stored = Stored::new(0);
        while stored.records_len() < FETCH_RECORDS_MAX
            && let Some((offset, record)) = self.found.pop_front()
        {
            self.position = stored.push(offset, record);
        }
        if self.found.is_empty() {
            self.position = self.found_until;
        }
        Ok(stored)
    }

    fn recent(&self, shared: &Shared) -> Option<(Stored, i64)> {
        let state = shared.lock();
        let recent = self.in_state(&state)?.recent.get(self.partition as usize)?;
        recent.read(self.position, self.stable)
    }

    /// Goes over all keys and finds the records that were written next after the position.
    fn find(&mut self, shared: &Shared) -> Result<()> {
        let prefix = compacted_prefix(self.number, self.partition);
        let (mut found, mut bytes) = (BinaryHeap::new(), 0);
        let (position, mut until) = (self.position, self.stable.min(self.tail_from));
        shared.kv.scan(&prefix, &prefix, |_, value| {
            let Some((offset, record)) = value.split_first_chunk::<8>() else { return true };
            let offset = i64::from_be_bytes(*offset);
            if (position..until).contains(&offset) {
                bytes += record.len();
                found.push((offset, record.to_vec()));
            }
            while bytes > ROUND_BYTES
                && found.len() > 1
                && let Some((last, record)) = found.pop()
            {
                bytes -= record.len();
                until = last;
            }
            true
        })?;
        self.found = found.into_sorted_vec().into();
        self.found_until = until;
        Ok(())
    }

    /// Before the tail a round goes over all keys and hands out what was written since the
    /// position; the position moves to where the tail stood when the round began.
    fn scan_by_key(&mut self, shared: &Shared) -> Result<Stored> {
        if self.round.is_none() && self.position >= self.tail_from {
            return self.scan_tail(shared);
        }
        let prefix = compacted_prefix(self.number, self.partition);
        let until = self.stable.min(self.tail_from);
        let (from, until) = self.round.take().unwrap_or((prefix.clone(), until));
        let mut stored = Stored::new(0);
        let mut next = None;
        let position = self.position;
        shared.kv.scan(&prefix, &from, |key, value| {
            if stored.records_len() >= FETCH_RECORDS_MAX {
                next = Some(key.to_vec());
                return false;
            }
            if let Some((offset, batch)) = value.split_first_chunk::<8>() {
                let offset = i64::from_be_bytes(*offset);
                if (position..until).contains(&offset) {
                    stored.push(offset, batch.to_vec());
                }
            }
            true
        })?;
        match next {
            Some(key) => self.round = Some((key, until)),
            None => self.position = until,
        }
        Ok(stored)
    }
}

impl Reader for LocalReader {
    fn poll(&mut self, wait: Duration) -> Result<Option<Fetched>> {
        self.look_up_ends()?;
        if let Some(fetched) = self.fetch()? {
            return Ok(Some(fetched));
        }
        if wait.is_zero() {
            return Ok(None);
        }
        let partitions = &self.partitions;
        self.shared.wait_for_change(wait, |state| {
            partitions.iter().any(|p| {
                let stable = p.in_state(state).map(|t| t.stable[p.partition as usize]);
                stable.is_none_or(|stable| !p.paused && stable > p.position)
            })
        });
        self.look_up_ends()?;
        self.fetch()
    }

    fn add(&mut self, assignment: &[Assignment]) -> Result<()> {
        let mut state = self.shared.lock();
        let mut added = Vec::with_capacity(assignment.len());
        for assigned in assignment {
            let topic = state.topic(&assigned.topic);
            let topic = topic.ok_or_else(|| self.shared.missing(&assigned.topic))?;
            topic.refuse_unless_has(assigned.partition, &assigned.topic)?;
            added.push(Partition {
                topic: assigned.topic.clone(),
                number: topic.meta.number,
                partition: assigned.partition,
                compacted: topic.meta.compacted,
                position: assigned.offset.max(0),
                stable: 0,
                end: 0,
                tail_from: 0,
                paused: false,
                round: None,
                found: VecDeque::new(),
                found_until: 0,
            });
        }
        for followed in added.iter().filter(|p| p.compacted && self.order == Order::Offset) {
            state.follow(&followed.topic, followed.number, true);
        }
        drop(state);
        self.partitions.extend(added);
        self.look_up_ends()
    }

    fn pause(&mut self, partition: usize, paused: bool) {
        self.partitions[partition].paused = paused;
    }

    fn position(&self, partition: usize) -> i64 {
        self.partitions[partition].position
    }

    fn at_end(&self, partition: usize) -> bool {
        let p = &self.partitions[partition];
        p.round.is_none() && p.found.is_empty() && p.position >= p.end
    }

    fn lag(&self, partition: usize) -> u64 {
        let p = &self.partitions[partition];
        p.end.saturating_sub(p.position).max(0) as u64
    }
}

impl Drop for LocalReader {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        for followed in self.partitions.iter().filter(|p| p.compacted) {
            if self.order == Order::Offset {
                state.follow(&followed.topic, followed.number, false);
            }
        }
    }
}
