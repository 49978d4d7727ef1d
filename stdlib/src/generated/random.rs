//! Random numbers of a record: a sequence that its seed and number begin. Written out here, since
//! it must stay the same in every later version: a job that goes on repeats what it made.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A sequence of random numbers (SplitMix64).
#[derive(Clone, Copy, Debug)]
pub(super) struct Random(u64);

impl Random {
    /// The sequence of a number.
    pub(super) fn new(seed: u64, number: u64) -> Self {
        Self(xxh3_64_with_seed(&number.to_le_bytes(), seed))
    }

    #[inline]
    pub(super) fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is at least 1.
    #[inline]
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.word()) * u128::from(bound)) >> 64) as u64
    }

    /// A number from `min` to `max`, both included.
    pub(super) fn between(&mut self, min: i64, max: i64) -> i64 {
        match max.wrapping_sub(min).wrapping_add(1) as u64 {
            0 => self.word() as i64,
            span => min.wrapping_add(self.below(span) as i64),
        }
    }

    /// A number from 0 to 1, without 1.
    pub(super) fn unit(&mut self) -> f64 {
        (self.word() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// One of some things.
    pub(super) fn one_of<'t, T>(&mut self, things: &'t [T]) -> &'t T {
        &things[self.below(things.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn numbers_stay_in_their_range_and_repeat() {
        let draw = |seed, number| {
            let mut random = Random::new(seed, number);
            std::array::from_fn::<i64, 8, _>(|_| random.between(-3, 3))
        };
        assert_eq!(draw(1, 2), draw(1, 2));
        assert_ne!(draw(1, 2), draw(1, 3));
        assert_ne!(draw(1, 2), draw(2, 2));
        assert!((0..100).flat_map(|n| draw(0, n)).all(|n| (-3..=3).contains(&n)));
        let mut random = Random::new(0, 0);
        assert!((0..100).all(|_| (0.0..1.0).contains(&random.unit())));
        random.between(i64::MIN, i64::MAX);
    }

    #[test]
    fn what_was_made_once_is_made_for_ever() {
        let mut random = Random::new(7, 11);
        assert_eq!([random.word(), random.word()], [16623064109123446294, 3420237126202565284]);
    }
}
