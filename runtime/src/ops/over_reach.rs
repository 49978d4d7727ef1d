//! How far a change in a partition is felt: the rows whose values it can touch, and around these
//! the rows that their values are computed from. Both are found by walks away from the change, one
//! row at a time, that end as soon as a row is neither.

use flow_ir::row::RowRef;

use super::Order;
use super::over_frame::Frames;

/// The rows on one side of a row that its value depends on; the larger of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    /// All of them.
    pub(super) all: bool,
    /// So many rows.
    pub(super) rows: u64,
    /// The rows equal to it, and so many groups of equal rows beyond.
    pub(super) groups: Option<u64>,
    /// Those that are not beyond the values at which frames end on that side.
    pub(super) values: bool,
}

impl Extent {
    /// All rows.
    pub(super) const ALL: Self = Self { all: true, rows: 0, groups: None, values: false };
    /// The rows equal to it.
    pub(super) const PEERS: Self = Self { all: false, rows: 0, groups: Some(0), values: false };

    /// So many rows.
    pub(super) fn rows(rows: u64) -> Self {
        Self { rows, ..Self::default() }
    }

    /// So many groups beyond its own.
    pub(super) fn groups(groups: u64) -> Self {
        Self { groups: Some(groups), ..Self::default() }
    }

    fn or(self, other: Self) -> Self {
        Self {
            all: self.all || other.all,
            rows: self.rows.max(other.rows),
            groups: self.groups.max(other.groups),
            values: self.values || other.values,
        }
    }

    fn needs_order(self) -> bool {
        !self.all && (self.groups.is_some() || self.values)
    }
}

/// What a row's value depends on, before it and behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reach {
    pub(super) back: Extent,
    pub(super) ahead: Extent,
}

impl Reach {
    /// The whole partition.
    pub(super) const ALL: Self = Self { back: Extent::ALL, ahead: Extent::ALL };

    pub(super) fn or(self, other: Self) -> Self {
        Self { back: self.back.or(other.back), ahead: self.ahead.or(other.ahead) }
    }

    /// Whether walks look at what rows are ordered by.
    pub(super) fn needs_order(self) -> bool {
        self.back.needs_order() || self.ahead.needs_order()
    }
}

/// What walks look at in a row: key bytes of its order and of the values at which frames that are
/// bounded by values begin and end, of these the farthest.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks {
    pub(super) order: Vec<u8>,
    pub(super) low: Vec<u8>,
    pub(super) high: Vec<u8>,
}

impl Marks {
    /// Of a row, by the columns in which rows are equal.
    pub(super) fn of<'f>(
        row: RowRef<'_>,
        order: &Order,
        frames: impl Iterator<Item = &'f Frames>,
    ) -> Self {
        let mut marks = Self::default();
        order.append_columns(row, &mut marks.order);
        for frames in frames {
            let [low, high] = frames.values(row);
            if let Some(low) = low.filter(|low| marks.low.is_empty() || *low < marks.low) {
                marks.low = low;
            }
            if let Some(high) = high.filter(|high| *high > marks.high) {
                marks.high = high;
            }
        }
        marks
    }
}

/// Which way a walk goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Back,
    Ahead,
}

/// What a row that a walk meets is to the change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Met {
    /// Its value may be another.
    Touched,
    /// A touched row's value depends on it.
    Needed,
    /// Neither, and no row behind it is.
    Beyond,
}

/// A walk away from a change.
#[derive(Debug)]
pub(super) struct Walk {
    way: Way,
    /// What is touched: as far as rows over there look this way.
    touch: Extent,
    /// What is needed: as far as touched rows look on.
    need: Extent,
    /// The order of the changed row.
    change: Vec<u8>,
    /// The last touched row: the changed one at first.
    edge: Marks,
    is_beyond_touched: bool,
    /// Rows met since the change, or where nothing is touched any more since the edge.
    rows: u64,
    /// Groups met likewise, and the order of the last one.
    groups: u64,
    order: Vec<u8>,
}

impl Walk {
    /// Begins at a changed row.
    pub(super) fn new(way: Way, reach: Reach, change: Marks) -> Self {
        let (touch, need) = match way {
            Way::Back => (reach.ahead, reach.back),
            Way::Ahead => (reach.back, reach.ahead),
        };
        Self {
            way,
            touch,
            need,
            change: change.order.clone(),
            order: change.order.clone(),
            edge: change,
            is_beyond_touched: false,
            rows: 0,
            groups: 0,
        }
    }

    /// Meets the next row, which is there so many times.
    pub(super) fn meet(&mut self, row: &Marks, times: u64) -> Met {
        if !self.is_beyond_touched {
            self.pass(row);
            let touched = self.is_within(self.touch) || self.touch.values && self.looks_at(row);
            if touched {
                self.rows = self.rows.saturating_add(times);
                return self.touched(row);
            }
            self.is_beyond_touched = true;
            self.rows = 0;
            self.groups = 0;
            self.order.clone_from(&self.edge.order);
        }
        self.pass(row);
        let needed = self.is_within(self.need) || self.need.values && self.is_looked_at(row);
        self.rows = self.rows.saturating_add(times);
        if needed { Met::Needed } else { Met::Beyond }
    }

    fn touched(&mut self, row: &Marks) -> Met {
        if self.need.groups.is_some() || self.need.values {
            self.edge.order.clone_from(&row.order);
            self.edge.low.clone_from(&row.low);
            self.edge.high.clone_from(&row.high);
        }
        Met::Touched
    }

    fn pass(&mut self, row: &Marks) {
        if row.order != self.order {
            self.groups += 1;
            self.order.clone_from(&row.order);
        }
    }

    fn is_within(&self, extent: Extent) -> bool {
        extent.all
            || self.rows < extent.rows
            || extent.groups.is_some_and(|groups| self.groups <= groups)
    }

    /// Whether a row's frame holds the change.
    fn looks_at(&self, row: &Marks) -> bool {
        match self.way {
            Way::Back => row.high >= self.change,
            Way::Ahead => row.low <= self.change,
        }
    }

    /// Whether the frame of the last touched row holds a row.
    fn is_looked_at(&self, row: &Marks) -> bool {
        match self.way {
            Way::Back => row.order >= self.edge.low,
            Way::Ahead => row.order <= self.edge.high,
        }
    }
}
