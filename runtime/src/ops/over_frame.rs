//! The rows of a partition in order, and the frame of each.

use std::ops::Range;

use flow_ir::over::{Frame, FrameBound, FrameExclude, FrameUnit};
use flow_ir::physical::Direction;
use flow_ir::row::{BatchBuilder, RowBatch, RowLayout, RowRef};
use flow_ir::types::Type;

use super::Order;
use super::over_reach::{Extent, Reach};

/// The rows of a partition in order, one by one, and which of them are equal in the order.
pub(super) struct Partition<'a> {
    rows: &'a RowBatch,
    /// The batch's row of each; a row of weight 2 is there twice.
    places: Vec<u32>,
    /// Where each group of equal rows begins, and behind the last one where that ends.
    starts: Vec<usize>,
    /// The group of each row.
    group_of: Vec<u32>,
    /// What the order's columns gave, of each group.
    orders: Vec<Vec<u8>>,
}

impl<'a> Partition<'a> {
    /// These rows of a batch, in order; `order` has the columns in which rows are equal.
    pub(super) fn new(rows: &'a RowBatch, places: Vec<u32>, order: &Order) -> Self {
        let mut partition =
            Self { rows, starts: Vec::new(), group_of: Vec::new(), orders: Vec::new(), places };
        let mut bytes = Vec::new();
        for i in 0..partition.places.len() {
            bytes.clear();
            order.append_columns(partition.row(i), &mut bytes);
            if partition.orders.last() != Some(&bytes) {
                partition.orders.push(bytes.clone());
                partition.starts.push(i);
            }
            partition.group_of.push(partition.orders.len() as u32 - 1);
        }
        partition.starts.push(partition.places.len());
        partition
    }

    /// Number of rows.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// A row.
    pub(super) fn row(&self, i: usize) -> RowRef<'a> {
        self.rows.row(self.places[i] as usize)
    }

    /// Where a row is in the batch.
    pub(super) fn place(&self, i: usize) -> usize {
        self.places[i] as usize
    }

    /// Copies a row's columns to the open row of `out`, from its first column on.
    pub(super) fn copy(&self, i: usize, out: &mut BatchBuilder) {
        for (at, column) in self.rows.layout().columns().iter().enumerate() {
            out.copy_column(at, self.row(i), *column);
        }
    }

    /// The group of equal rows that a row is in, from 0.
    pub(super) fn group(&self, i: usize) -> usize {
        self.group_of[i] as usize
    }

    /// Number of groups.
    pub(super) fn groups(&self) -> usize {
        self.orders.len()
    }

    /// The rows equal to a row.
    pub(super) fn peers(&self, i: usize) -> Range<usize> {
        let group = self.group(i);
        self.starts[group]..self.starts[group + 1]
    }
}

/// How a call's frames lie.
pub(super) struct Frames {
    frame: Frame,
    /// The values at which RANGE frames begin and end, written as the order's column is.
    values: [Option<Order>; 2],
}

/// The rows of one frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Framed {
    /// From the first to the last.
    pub(super) rows: Range<usize>,
    /// Those among them that are left out.
    pub(super) out: Range<usize>,
    /// A row among these that is not.
    pub(super) kept: Option<usize>,
}

impl Framed {
    /// The rows that count, in order.
    pub(super) fn parts(&self) -> [Range<usize>; 3] {
        let kept = self.kept.map_or(0..0, |i| i..i + 1);
        match self.out.is_empty() {
            true => [self.rows.clone(), 0..0, 0..0],
            false => [self.rows.start..self.out.start, kept, self.out.end..self.rows.end],
        }
    }

    /// The rows that are left out.
    pub(super) fn left_out(&self) -> impl Iterator<Item = usize> {
        let kept = self.kept;
        self.out.clone().filter(move |i| Some(*i) != kept)
    }
}

impl Frames {
    /// Of rows of this layout, in this order.
    pub(super) fn new(
        frame: &Frame,
        layout: &RowLayout,
        types: &[Type],
        order: &[(usize, Direction)],
    ) -> Result<Self, String> {
        let value = |bound: &FrameBound| match (bound, order) {
            (FrameBound::Value(column), [(by, direction)]) => {
                let same = types[*column].data == types[*by].data;
                let value = || Order::new(layout, types, &[(*column, *direction)]);
                same.then(value)
                    .map(Some)
                    .ok_or("a frame's bound is of another type than the order")
            }
            (FrameBound::Value(_), _) => Err("a frame of values needs one column of order"),
            _ => Ok(None),
        };
        let values = [value(&frame.start)?, value(&frame.end)?];
        Ok(Self { frame: frame.clone(), values })
    }

    /// What the frame of a row depends on.
    pub(super) fn reach(&self) -> Reach {
        let by_rows = self.frame.unit == FrameUnit::Rows;
        let extent = |bound: &FrameBound, outwards: bool| match bound {
            FrameBound::UnboundedPreceding | FrameBound::UnboundedFollowing if outwards => {
                Extent::ALL
            }
            FrameBound::Preceding(n) | FrameBound::Following(n) if outwards => match by_rows {
                true => Extent::rows(*n),
                false => Extent::groups(*n),
            },
            FrameBound::Value(_) => Extent { values: true, ..Extent::PEERS },
            FrameBound::CurrentRow
            | FrameBound::UnboundedPreceding
            | FrameBound::UnboundedFollowing
            | FrameBound::Preceding(_)
            | FrameBound::Following(_) => match by_rows {
                true => Extent::default(),
                false => Extent::PEERS,
            },
        };
        let (start, end) = (&self.frame.start, &self.frame.end);
        let goes_back = matches!(start, FrameBound::UnboundedPreceding | FrameBound::Preceding(_));
        let goes_on = matches!(end, FrameBound::UnboundedFollowing | FrameBound::Following(_));
        Reach { back: extent(start, goes_back), ahead: extent(end, goes_on) }
    }

    /// The values at which the frame of a row begins and ends, as key bytes.
    pub(super) fn values(&self, row: RowRef<'_>) -> [Option<Vec<u8>>; 2] {
        self.values.each_ref().map(|value| value.as_ref().map(|_| bytes(value, row)))
    }

    /// Whether each holds the one of the row before.
    pub(super) fn are_running(&self) -> bool {
        self.frame.is_running()
    }

    /// The frame of a row.
    pub(super) fn of(&self, i: usize, partition: &Partition<'_>) -> Framed {
        let rows = self.start(i, partition)..self.end(i, partition);
        if rows.is_empty() {
            return Framed { rows: rows.start..rows.start, out: 0..0, kept: None };
        }
        let within = |out: Range<usize>| out.start.max(rows.start)..out.end.min(rows.end);
        let (out, keeps) = match self.frame.exclude {
            FrameExclude::NoOthers => (0..0, false),
            FrameExclude::CurrentRow => (within(i..i + 1), false),
            FrameExclude::Group => (within(partition.peers(i)), false),
            FrameExclude::Ties => (within(partition.peers(i)), true),
        };
        let out = if out.is_empty() { 0..0 } else { out };
        let kept = (keeps && rows.contains(&i)).then_some(i);
        Framed { rows, out, kept }
    }

    fn start(&self, i: usize, partition: &Partition<'_>) -> usize {
        let len = partition.len();
        let group_start = |group: usize| partition.starts[group.min(partition.groups())];
        let group = partition.group(i);
        match (&self.frame.start, self.frame.unit) {
            (FrameBound::UnboundedPreceding, _) => 0,
            (FrameBound::UnboundedFollowing, _) => len,
            (FrameBound::CurrentRow, FrameUnit::Rows) => i,
            (FrameBound::CurrentRow, FrameUnit::Range | FrameUnit::Groups) => group_start(group),
            (FrameBound::Preceding(n), FrameUnit::Rows) => i.saturating_sub(count(*n)),
            (FrameBound::Following(n), FrameUnit::Rows) => i.saturating_add(count(*n)).min(len),
            (FrameBound::Preceding(n), FrameUnit::Range | FrameUnit::Groups) => {
                group_start(group.saturating_sub(count(*n)))
            }
            (FrameBound::Following(n), FrameUnit::Range | FrameUnit::Groups) => {
                group_start(group.saturating_add(count(*n)))
            }
            (FrameBound::Value(_), _) => {
                group_start(self.first_from(&self.values[0], i, partition))
            }
        }
    }

    /// Behind the last row.
    fn end(&self, i: usize, partition: &Partition<'_>) -> usize {
        let len = partition.len();
        let groups_end = |groups: usize| partition.starts[groups.min(partition.groups())];
        let group = partition.group(i);
        match (&self.frame.end, self.frame.unit) {
            (FrameBound::UnboundedPreceding, _) => 0,
            (FrameBound::UnboundedFollowing, _) => len,
            (FrameBound::CurrentRow, FrameUnit::Rows) => i + 1,
            (FrameBound::CurrentRow, FrameUnit::Range | FrameUnit::Groups) => groups_end(group + 1),
            (FrameBound::Preceding(n), FrameUnit::Rows) => (i + 1).saturating_sub(count(*n)),
            (FrameBound::Following(n), FrameUnit::Rows) => {
                (i + 1).saturating_add(count(*n)).min(len)
            }
            (FrameBound::Preceding(n), FrameUnit::Range | FrameUnit::Groups) => {
                groups_end((group + 1).saturating_sub(count(*n)))
            }
            (FrameBound::Following(n), FrameUnit::Range | FrameUnit::Groups) => {
                groups_end((group + 1).saturating_add(count(*n)))
            }
            (FrameBound::Value(_), _) => {
                let bound = bytes(&self.values[1], partition.row(i));
                groups_end(partition.orders.partition_point(|order| *order <= bound))
            }
        }
    }

    /// The first group that is not before the value of a row.
    fn first_from(&self, value: &Option<Order>, i: usize, partition: &Partition<'_>) -> usize {
        let bound = bytes(value, partition.row(i));
        partition.orders.partition_point(|order| *order < bound)
    }

    /// The first row that the frame of a row behind all these can hold.
    pub(super) fn first_needed(&self, partition: &Partition<'_>) -> usize {
        let (len, groups) = (partition.len(), partition.groups());
        match (&self.frame.start, self.frame.unit) {
            (FrameBound::UnboundedPreceding, _) => 0,
            (FrameBound::Preceding(n), FrameUnit::Rows) => len.saturating_sub(count(*n)),
            (FrameBound::Preceding(n), FrameUnit::Range | FrameUnit::Groups) => {
                partition.starts[groups.saturating_sub(count(*n))]
            }
            (FrameBound::Value(_), _) if len > 0 => {
                partition.starts[self.first_from(&self.values[0], len - 1, partition)]
            }
            (
                FrameBound::CurrentRow
                | FrameBound::Following(_)
                | FrameBound::UnboundedFollowing
                | FrameBound::Value(_),
                _,
            ) => len,
        }
    }
}

fn bytes(order: &Option<Order>, row: RowRef<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    if let Some(order) = order {
        order.append_columns(row, &mut out);
    }
    out
}

fn count(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
