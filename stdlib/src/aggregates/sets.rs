//! Calls that count the same DISTINCT values: a value is kept once for all of them, with what each
//! of their filters lets through.

use flow_ir::aggregate::AggregateCall;

use super::values::required;
use super::{Multiset, multiset};

/// Filters of a set at most: one bit of a word each.
const FILTERS_MAX: usize = u64::BITS as usize;

/// Calls over the same values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DistinctSet {
    /// The calls by number, each with the place of its filter in `filters`.
    pub members: Vec<(usize, usize)>,
    /// The different filters, as columns of the calls' input; `None` lets everything through.
    pub filters: Vec<Option<usize>>,
    /// Whether rows may be taken back: then a value has a weight for each filter, else one word
    /// with a bit for each filter that has let it through.
    pub weighs: bool,
}

impl DistinctSet {
    /// Words that are kept for a value.
    pub fn words(&self) -> usize {
        if self.weighs { self.filters.len() } else { 1 }
    }

    /// Takes a call if it is over the same values.
    fn takes(&mut self, calls: &[AggregateCall], number: usize) -> bool {
        let (mine, call) = (&calls[self.members[0].0], &calls[number]);
        let same = mine.args == call.args
            && mine.order == call.order
            && mine.retracts == call.retracts
            && required(mine) == required(call);
        let known = self.filters.iter().position(|filter| *filter == call.filter);
        let place = known.unwrap_or(self.filters.len());
        if !same || place == FILTERS_MAX {
            return false;
        }
        if known.is_none() {
            self.filters.push(call.filter);
        }
        self.members.push((number, place));
        true
    }
}

/// The sets of those calls whose multiset is one of different values.
pub fn distinct_sets(calls: &[AggregateCall]) -> Vec<DistinctSet> {
    let mut sets: Vec<DistinctSet> = Vec::new();
    for (number, call) in calls.iter().enumerate() {
        if multiset(call) == Some(Multiset::Distinct)
            && !sets.iter_mut().any(|set| set.takes(calls, number))
        {
            let (members, filters) = (vec![(number, 0)], vec![call.filter]);
            sets.push(DistinctSet { members, filters, weighs: call.retracts });
        }
    }
    sets
}

/// Words that a table of the values of all these calls has for each: the most of any set.
pub fn distinct_words(calls: &[AggregateCall]) -> Option<usize> {
    distinct_sets(calls).iter().map(DistinctSet::words).max()
}

#[cfg(test)]
mod tests {
    use flow_ir::types::{DataType, Type};

    use super::*;

    fn count(arg: usize, filter: Option<usize>) -> AggregateCall {
        let types = vec![Type::nullable(DataType::BigInt)];
        let ty = Type::not_null(DataType::BigInt);
        let call = AggregateCall::new("COUNT", vec![arg], types, ty);
        AggregateCall { distinct: true, filter, ..call }
    }

    #[test]
    fn calls_over_the_same_values_share_a_set() {
        let plain = AggregateCall { distinct: false, ..count(0, None) };
        let calls = [count(0, None), count(1, Some(2)), plain, count(0, Some(2)), count(0, None)];
        let sets = distinct_sets(&calls);
        assert_eq!(sets.len(), 2);
        assert_eq!(sets[0].members, [(0, 0), (3, 1), (4, 0)]);
        assert_eq!(sets[0].filters, [None, Some(2)]);
        assert_eq!(sets[1].members, [(1, 0)]);
        assert_eq!(distinct_words(&calls), Some(1));
        let back = calls.map(|call| AggregateCall { retracts: true, ..call });
        assert_eq!(distinct_words(&back), Some(2));
    }

    #[test]
    fn a_set_has_no_more_filters_than_a_word_has_bits() {
        let calls: Vec<AggregateCall> = (0..100).map(|at| count(0, Some(at))).collect();
        let sets = distinct_sets(&calls);
        assert_eq!(sets.iter().map(|set| set.filters.len()).collect::<Vec<_>>(), [64, 36]);
    }
}
