//! Decisions from a stream of bytes, whoever made it: a seeded generator in `./test`, libFuzzer in
//! `scripts/fuzz`. When the bytes are used up every answer is the first one, so what is made stays
//! finite, and fewer bytes make less.

use arbitrary::Unstructured;

/// A stream of bytes to decide by.
#[derive(Debug)]
pub struct Source<'a>(Unstructured<'a>);

impl<'a> Source<'a> {
    /// Decisions by these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(Unstructured::new(bytes))
    }

    /// A number under the limit, which is at least 1.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0.int_in_range(0..=limit - 1).unwrap_or(0)
    }

    /// TRUE once in so many times; FALSE without bytes.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == times - 1
    }

    /// One of these.
    pub fn pick<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        &from[self.below(from.len())]
    }

    /// 64 bits.
    pub fn word(&mut self) -> u64 {
        self.0.int_in_range(0..=u64::MAX).unwrap_or(0)
    }

    /// 64 bits of which the upper ones are often all alike.
    pub fn short_word(&mut self) -> i64 {
        let shift = self.below(64);
        self.word() as i64 >> shift
    }

    /// Fewer bytes than this.
    pub fn bytes(&mut self, limit: usize) -> Vec<u8> {
        let count = self.below(limit);
        (0..count).map(|_| self.below(256) as u8).collect()
    }

    /// Many numbers from one decision.
    pub fn spread(&mut self) -> Spread {
        Spread(self.word())
    }
}

/// Numbers that follow from a seed (splitmix64), for what would take too many bytes to decide.
#[derive(Debug)]
pub struct Spread(u64);

impl Spread {
    /// A number under the limit.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }

    /// One of these.
    pub fn pick<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        &from[self.below(from.len())]
    }
}
