//! Join: pairs rows of two relations. Output: left columns, right columns (nullable in a left
//! join).

use super::schema::names;
use super::{Changes, PlanNode, Schema};
use crate::expr::Expr;
use crate::logical::text::expr_text;
use crate::physical::JoinKind;

/// How long rows wait for partners.
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
    /// Each left row meets the version of the right table that was valid at its time.
    Temporal {
        /// Event time of the left input.
        left_time: usize,
        /// Version time of the right input; `None`: one version, valid always.
        right_time: Option<usize>,
    },
}

/// Pairs rows with equal keys (NULL equals nothing) that pass the condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Join {
    /// Inner or left.
    pub kind: JoinKind,
    /// How long rows wait.
    pub class: JoinClass,
    /// Equal columns: (of the left input, of the right input), of one data type.
    pub keys: Vec<(usize, usize)>,
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

    /// Whether each row of `other` meets at most one row of a side that is unique in `keys`.
    fn keys_of_pairs(&self, left: &Schema, right: &Schema) -> Vec<Vec<usize>> {
        let width = left.width();
        let shifted = |key: &Vec<usize>| key.iter().map(|c| c + width).collect::<Vec<_>>();
        let temporal = matches!(self.class, JoinClass::Temporal { .. });
        if temporal || right.is_unique(&self.right_keys()) {
            return left.keys.clone();
        }
        if self.kind == JoinKind::Inner && left.is_unique(&self.left_keys()) {
            return right.keys.iter().map(shifted).collect();
        }
        let mut keys = Vec::new();
        for key in &left.keys {
            keys.extend(right.keys.iter().map(|other| [key.clone(), shifted(other)].concat()));
        }
        keys
    }
}

impl PlanNode for Join {
    fn output(&self, inputs: &[&Schema]) -> Schema {
        let (left, right) = (inputs[0], inputs[1]);
        let mut columns = left.columns.clone();
        columns.extend(right.columns.iter().cloned());
        if self.kind == JoinKind::Left {
            columns[left.width()..].iter_mut().for_each(|c| c.ty.nullable = true);
        }
        let both_append = left.changes == Changes::Append && right.changes == Changes::Append;
        let (changes, times) = match self.class {
            JoinClass::Regular if both_append && self.kind == JoinKind::Inner => {
                (Changes::Append, Vec::new())
            }
            JoinClass::Regular => (Changes::Retract, Vec::new()),
            JoinClass::Interval { left_time, right_time, .. } => {
                let right_time = left.width() + right_time;
                let right_time = (self.kind == JoinKind::Inner).then_some(right_time);
                (Changes::Append, std::iter::once(left_time).chain(right_time).collect())
            }
            JoinClass::Temporal { left_time, .. } => (Changes::Append, vec![left_time]),
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
        let kind = match self.kind {
            JoinKind::Inner => "inner",
            JoinKind::Left => "left",
        };
        let pairs = self.keys.iter();
        let pairs = pairs.map(|&(l, r)| format!("{} = {}", names(left, &[l]), names(right, &[r])));
        let mut line = format!("{kind} on [{}]", pairs.collect::<Vec<_>>().join(", "));
        match self.class {
            JoinClass::Regular => {}
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
