//! Join: pairs rows of two relations. Output: left columns, right columns (nullable where their
//! row may be missing); of semi and anti joins the left columns alone.

use super::schema::names;
use super::{Changes, PlanNode, Schema};
use crate::expr::Expr;
use crate::logical::text::expr_text;
use crate::physical::JoinKind;
use crate::types::Field;

/// How long rows wait for partners. The checker decides it, both of its times and those of the plan
/// are columns of their sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JoinClass {
    /// For ever.
    Regular,
    /// Within a distance of event time: left time + lower ≤ right time ≤ left time + upper.
    Interval {
        /// Event time of the left input.
        left_time: usize,
        /// Event time of the right input.
        right_time: usize,
        /// Microseconds.
        lower: i64,
        /// Microseconds.
        upper: i64,
    },
    /// Of the same window, the bounds of which are among the keys.
    Window {
        /// The end of the left row's window.
        left_end: usize,
        /// The end of the right row's window.
        right_end: usize,
        /// Whether windows close by the clock.
        by_clock: bool,
    },
    /// Each left row meets the version of the right table that was valid at its time.
    Temporal {
        /// Event time of the left input.
        left_time: usize,
        /// Version time of the right input; `None`: one version, valid always.
        right_time: Option<usize>,
    },
    /// Each left row meets the right rows, which are all read before the first of them.
    Lookup,
}

/// Pairs rows with equal keys (NULL equals nothing, unless said) that pass the condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Join {
    /// What it gives.
    pub kind: JoinKind,
    /// How long rows wait.
    pub class: JoinClass,
    /// Equal columns: (of the left input, of the right input), of one data type.
    pub keys: Vec<(usize, usize)>,
    /// Positions in `keys` where NULL equals NULL.
    pub nulls_equal: Vec<usize>,
    /// What else must hold, over left and right columns.
    pub condition: Option<Expr>,
}

impl Join {
    /// Key columns of the left input.
    pub fn left_keys(&self) -> Vec<usize> {
        self.keys.iter().map(|&(left, _)| left).collect()
    }

    /// Key columns of the right input.
    pub fn right_keys(&self) -> Vec<usize> {
        self.keys.iter().map(|&(_, right)| right).collect()
    }

    /// Those of two times, one of each side, that are there in every row.
    fn times_of_pairs(&self, left: usize, right: usize) -> Vec<usize> {
        let left = (!self.kind.keeps_lonely(1)).then_some(left);
        let has_right = self.kind.has_pairs() && !self.kind.keeps_lonely(0);
        left.into_iter().chain(has_right.then_some(right)).collect()
    }

    /// Unique keys of the output: a side's keys alone where the other side has at most one partner
    /// for each of its rows, else one key of each.
    fn keys_of_pairs(&self, left: &Schema, right: &Schema) -> Vec<Vec<usize>> {
        if !self.kind.has_pairs() {
            return left.keys.clone();
        }
        let width = left.width();
        let shifted = |key: &Vec<usize>| key.iter().map(|c| c + width).collect::<Vec<_>>();
        let temporal = matches!(self.class, JoinClass::Temporal { .. });
        let full = self.kind == JoinKind::Full;
        if temporal || (!full && right.is_unique(&self.right_keys())) {
            return left.keys.clone();
        }
        if self.kind == JoinKind::Inner && left.is_unique(&self.left_keys()) {
            return right.keys.iter().map(shifted).collect();
        }
        let mut keys = Vec::new();
        for key in &left.keys {
            keys.extend(right.keys.iter().map(|other| [key.clone(), shifted(other)].concat()));
        }
        // Two rows alone, one of each side, are the same in a key that is NULL in both.
        let columns = || left.columns.iter().chain(&right.columns).collect::<Vec<_>>();
        keys.retain(|key| !full || key.iter().any(|&c| !columns()[c].ty.nullable));
        keys
    }
}

impl PlanNode for Join {
    fn output(&self, inputs: &[&Schema]) -> Schema {
        let (left, right) = (inputs[0], inputs[1]);
        let mut columns = left.columns.clone();
        columns.iter_mut().for_each(|c| c.ty.nullable |= self.kind.keeps_lonely(1));
        if self.kind.has_pairs() {
            let nullable = self.kind.keeps_lonely(0);
            let right = right.columns.iter().cloned();
            columns.extend(
                right.map(|c| Field { ty: c.ty.with_nullable(nullable || c.ty.nullable), ..c }),
            );
        }
        let both_append = left.changes == Changes::Append && right.changes == Changes::Append;
        let (changes, times) = match self.class {
            JoinClass::Regular
                if both_append && matches!(self.kind, JoinKind::Inner | JoinKind::Semi) =>
            {
                (Changes::Append, Vec::new())
            }
            JoinClass::Regular => (Changes::Retract, Vec::new()),
            JoinClass::Interval { left_time, right_time, .. } => {
                (Changes::Append, self.times_of_pairs(left_time, left.width() + right_time))
            }
            JoinClass::Window { by_clock: true, .. } => (Changes::Append, Vec::new()),
            JoinClass::Window { left_end, right_end, by_clock: false } => {
                (Changes::Append, self.times_of_pairs(left_end, left.width() + right_end))
            }
            JoinClass::Temporal { left_time, .. } => (Changes::Append, vec![left_time]),
            JoinClass::Lookup => (left.changes, left.times.clone()),
        };
        Schema { columns, changes, keys: self.keys_of_pairs(left, right), times }
    }

    fn exprs(&self) -> Vec<&Expr> {
        self.condition.iter().collect()
    }

    fn exprs_mut(&mut self) -> Vec<&mut Expr> {
        self.condition.iter_mut().collect()
    }

    fn explain(&self, inputs: &[&Schema]) -> String {
        let (left, right) = (inputs[0], inputs[1]);
        let kind = self.kind.name();
        let pairs = self.keys.iter().enumerate().map(|(at, &(l, r))| {
            let equals = if self.nulls_equal.contains(&at) { "<=>" } else { "=" };
            format!("{} {equals} {}", names(left, &[l]), names(right, &[r]))
        });
        let mut line = format!("{kind} on [{}]", pairs.collect::<Vec<_>>().join(", "));
        match self.class {
            JoinClass::Regular => {}
            JoinClass::Lookup => line += " in what is read before",
            JoinClass::Interval { left_time, right_time, lower, upper } => {
                let seconds = |micros: i64| format!("{}s", micros as f64 / 1e6);
                line += &format!(
                    " where {} - {} in [{}, {}]",
                    names(right, &[right_time]),
                    names(left, &[left_time]),
                    seconds(lower),
                    seconds(upper)
                );
            }
            JoinClass::Window { left_end, right_end, .. } => {
                let (left, right) = (names(left, &[left_end]), names(right, &[right_end]));
                line += &format!(" when {left} and {right} are over");
            }
            JoinClass::Temporal { left_time, right_time } => {
                let versions = right_time.map_or("always".into(), |time| names(right, &[time]));
                line += &format!(" at {} of versions {versions}", names(left, &[left_time]));
            }
        }
        if let Some(condition) = &self.condition {
            let both = [left.columns.clone(), right.columns.clone()].concat();
            line += &format!(" if {}", expr_text(condition, &both));
        }
        line
    }
}
