//! Integers of any length, for results that are the small difference of large numbers.

use std::cmp::Ordering;

/// A signed integer: its magnitude in 64-bit words, lowest first, above `low` zero words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Big {
    negative: bool,
    low: usize,
    words: Vec<u64>,
}

impl Big {
    /// Of a magnitude whose lowest word is word `low`.
    pub(super) fn new(negative: bool, low: usize, words: Vec<u64>) -> Self {
        let mut big = Self { negative, low, words };
        while big.words.last() == Some(&0) {
            big.words.pop();
        }
        let zeros = big.words.iter().take_while(|word| **word == 0).count();
        big.words.drain(..zeros);
        big.low += zeros;
        big
    }

    /// The product.
    pub(super) fn times(&self, other: &Self) -> Self {
        let mut words = vec![0u64; self.words.len() + other.words.len()];
        for (i, a) in self.words.iter().enumerate() {
            let mut carry = 0u128;
            for (j, b) in other.words.iter().enumerate() {
                let sum = u128::from(*a) * u128::from(*b) + u128::from(words[i + j]) + carry;
                words[i + j] = sum as u64;
                carry = sum >> 64;
            }
            words[i + other.words.len()] = carry as u64;
        }
        Self::new(self.negative != other.negative, self.low + other.low, words)
    }

    /// The product with a power of two.
    pub(super) fn shifted(&self, bits: usize) -> Self {
        let power = Self::new(false, bits / 64, vec![1 << (bits % 64)]);
        self.times(&power)
    }

    /// The difference.
    pub(super) fn minus(&self, other: &Self) -> Self {
        let low = self.low.min(other.low);
        let [a, b] = [self.from_word(low), other.from_word(low)];
        if self.negative != other.negative {
            return Self::new(self.negative, low, add(&a, &b));
        }
        match compare(&a, &b) {
            Ordering::Less => Self::new(!self.negative, low, subtract(&b, &a)),
            Ordering::Equal | Ordering::Greater => Self::new(self.negative, low, subtract(&a, &b)),
        }
    }

    /// The words from this one on, which is not above the lowest.
    fn from_word(&self, low: usize) -> Vec<u64> {
        let mut words = vec![0; self.low - low];
        words.extend_from_slice(&self.words);
        words
    }

    /// The double nearest to the integer times 2^`exponent`; where that is subnormal, it may be
    /// rounded twice.
    pub(super) fn to_f64(&self, exponent: i64) -> f64 {
        let [rest @ .., top] = self.words.as_slice() else { return 0.0 };
        let shift = top.leading_zeros();
        let (second, rest) = rest.split_last().map_or((0, rest), |(word, rest)| (*word, rest));
        let both = ((u128::from(*top) << 64) | u128::from(second)) << shift;
        let sticky = both as u64 != 0 || rest.iter().any(|word| *word != 0);
        let high = (both >> 64) as u64 | u64::from(sticky);
        let place = 64 * (self.low + self.words.len() - 1) as i64 - i64::from(shift) + exponent;
        let value = scaled(high as f64, place);
        if self.negative { -value } else { value }
    }
}

/// `value` · 2^`exponent`.
fn scaled(mut value: f64, mut exponent: i64) -> f64 {
    const STEP: i64 = 512;
    while exponent.abs() > STEP && value != 0.0 && value.is_finite() {
        value *= 2f64.powi((STEP * exponent.signum()) as i32);
        exponent -= STEP * exponent.signum();
    }
    value * 2f64.powi(exponent.clamp(-STEP, STEP) as i32)
}

fn compare(a: &[u64], b: &[u64]) -> Ordering {
    let len = a.len().max(b.len());
    let word = |words: &[u64], at: usize| words.get(at).copied().unwrap_or(0);
    (0..len)
        .rev()
        .map(|at| word(a, at).cmp(&word(b, at)))
        .find(|o| o.is_ne())
        .unwrap_or(Ordering::Equal)
}

fn add(a: &[u64], b: &[u64]) -> Vec<u64> {
    let mut carry = 0u128;
    let len = a.len().max(b.len()) + 1;
    let word = |words: &[u64], at: usize| words.get(at).copied().unwrap_or(0);
    let sum = |at| {
        let sum = u128::from(word(a, at)) + u128::from(word(b, at)) + carry;
        carry = sum >> 64;
        sum as u64
    };
    (0..len).map(sum).collect()
}

/// `a` − `b`, which is not greater.
fn subtract(a: &[u64], b: &[u64]) -> Vec<u64> {
    let mut borrow = false;
    let difference = |(at, a): (usize, &u64)| {
        let (value, under) = a.overflowing_sub(b.get(at).copied().unwrap_or(0));
        let (value, again) = value.overflowing_sub(u64::from(borrow));
        borrow = under || again;
        value
    };
    a.iter().enumerate().map(difference).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(value: i128) -> Big {
        let magnitude = value.unsigned_abs();
        Big::new(value < 0, 0, vec![magnitude as u64, (magnitude >> 64) as u64])
    }

    proptest! {
        #[test]
        fn products_and_differences_agree_with_128_bits(
            a in any::<i64>(), b in any::<i64>(), c in any::<i64>(), d in any::<i64>(),
        ) {
            let [a, b, c, d] = [a >> 1, b >> 1, c >> 1, d >> 1].map(i128::from);
            let product = of(a).times(&of(b)).minus(&of(c).times(&of(d)));
            let expected = a * b - c * d;
            prop_assert_eq!(product.to_f64(0), expected as f64);
            prop_assert_eq!(product.shifted(200).to_f64(-200), expected as f64);
            prop_assert_eq!(of(a).minus(&of(a)).to_f64(0), 0.0);
        }
    }
}
