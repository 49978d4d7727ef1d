//! Exact sums of doubles: a fixed-point integer over the whole exponent range, as in Kulisch's
//! long accumulator. Adding, merging and taking back are integer additions, so the sum does not
//! depend on their order and a value taken back leaves nothing behind.
//!
//! The integer counts units of 2^−1074, the smallest double. It is stored as bytes: the number of
//! the first stored word (the words below are zero), then 64-bit words, lowest first, the last
//! one's sign bit standing for all words above. No bytes at all are zero. `Digits::write` stores
//! no more words than needed; `add_in_place` may leave more. The largest double needs 2,098 bits
//! and 2^63 of them 2,161: 34 words.
//!
//! NaN and infinities are counted beside (`Specials`).
//!
//! Integers may be added too, in units of 1: then the sum counts these.

use flow_ir::row::ValueMut;

use super::big::Big;

/// Words of the longest sum.
const WORDS_MAX: usize = 34;
/// Words of magnitude that one double times a weight takes: 53 + 63 bits, shifted by up to 63.
const ADDEND_WORDS: usize = 3;
/// Bytes of `Specials` in an accumulator column.
const SPECIALS_BYTES: usize = 24;
/// Fraction bits of the sign-less number that a result is rounded from.
const FRACTION_BITS: usize = 64;
/// Bits of a double's significand.
const SIGNIFICAND_BITS: usize = 53;

/// An exact sum, unpacked for work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Digits {
    /// Number of the first word in `words`.
    first: usize,
    /// Words in use.
    len: usize,
    words: [u64; WORDS_MAX],
}

impl Digits {
    /// Reads what `bytes` wrote. Other bytes give zero.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let mut digits = Self { first: 0, len: 0, words: [0; WORDS_MAX] };
        let Some((&first, rest)) = bytes.split_first() else { return digits };
        let (words, odd) = rest.as_chunks::<8>();
        if odd.is_empty() && usize::from(first) + words.len() <= WORDS_MAX {
            digits.first = first.into();
            digits.len = words.len();
            for (word, bytes) in digits.words.iter_mut().zip(words) {
                *word = u64::from_le_bytes(*bytes);
            }
        }
        digits
    }

    /// Hands the stored form to `put`.
    pub(super) fn write(&self, put: impl FnOnce(&[u8])) {
        let Some(zeros) = self.words().iter().position(|&w| w != 0) else { return put(&[]) };
        let mut words = &self.words()[zeros..];
        while let [.., below, top] = words
            && *top as i64 == (*below as i64) >> 63
        {
            words = &words[..words.len() - 1];
        }
        let mut bytes = [0; 1 + 8 * WORDS_MAX];
        bytes[0] = (self.first + zeros) as u8;
        for (bytes, word) in bytes[1..].as_chunks_mut::<8>().0.iter_mut().zip(words) {
            *bytes = word.to_le_bytes();
        }
        put(&bytes[..1 + 8 * words.len()]);
    }

    fn words(&self) -> &[u64] {
        &self.words[..self.len]
    }

    /// Adds a finite double `weight` times.
    pub(super) fn add(&mut self, value: f64, weight: i64) {
        if let Some(addend) = Addend::new(value, weight) {
            self.add_words(addend.at, &addend.words, addend.negative);
        }
    }

    /// Adds another sum.
    pub(super) fn merge(&mut self, other: &Digits) {
        if let Some(&top) = other.words().last() {
            self.add_words(other.first, other.words(), (top as i64) < 0);
        }
    }

    /// Adds a two's complement number whose lowest word is word `at` of the sum.
    fn add_words(&mut self, at: usize, addend: &[u64], negative: bool) {
        let beyond = if negative { u64::MAX } else { 0 };
        self.cover(at, at + addend.len());
        let offset = at - self.first;
        let before = self.words[self.len - 1] as i64;
        let mut carry = false;
        for i in offset..self.len {
            let add = addend.get(i - offset).copied().unwrap_or(beyond);
            let (sum, over) = self.words[i].overflowing_add(add);
            let (sum, again) = sum.overflowing_add(u64::from(carry));
            self.words[i] = sum;
            carry = over || again;
        }
        let after = self.words[self.len - 1] as i64;
        let top_added = match self.len - offset == addend.len() {
            true => addend[addend.len() - 1] as i64,
            false => beyond as i64,
        };
        let overflowed = (before < 0) == (top_added < 0) && (after < 0) != (before < 0);
        if overflowed && self.first + self.len < WORDS_MAX {
            self.words[self.len] = beyond;
            self.len += 1;
        }
    }

    /// Stores words `from..to` too, without changing the number.
    fn cover(&mut self, from: usize, to: usize) {
        debug_assert!(from < to && to <= WORDS_MAX, "a double ends below word 34");
        if self.len == 0 {
            self.first = from;
        }
        if from < self.first {
            let lower = self.first - from;
            self.words.copy_within(..self.len, lower);
            self.words[..lower].fill(0);
            self.first = from;
            self.len += lower;
        }
        let sign = match self.words().last() {
            Some(&top) if (top as i64) < 0 => u64::MAX,
            _ => 0,
        };
        let len = to.saturating_sub(self.first).max(self.len);
        self.words[self.len..len].fill(sign);
        self.len = len;
    }

    /// The sum as a whole number of its units.
    pub(super) fn to_big(&self) -> Big {
        let negative = self.words().last().is_some_and(|&top| (top as i64) < 0);
        let mut words = self.words().to_vec();
        if negative {
            negate(&mut words);
        }
        Big::new(negative, self.first, words)
    }

    /// The sum divided by `count`, rounded once to the nearest double, ties to even. A sum beyond
    /// the range of doubles gives an infinity.
    pub(super) fn quotient(&self, count: u64) -> f64 {
        let negative = self.words().last().is_some_and(|&top| (top as i64) < 0);
        // One fraction word, the sum's words, one word for the place of the sign.
        let mut number = [0u64; WORDS_MAX + 2];
        let stored = &mut number[1 + self.first..1 + self.first + self.len];
        stored.copy_from_slice(self.words());
        if negative {
            negate(stored);
        }
        let mut rest = 0u128;
        if count > 1 {
            for word in number.iter_mut().rev() {
                let with = (rest << 64) | u128::from(*word);
                *word = (with / u128::from(count)) as u64;
                rest = with % u128::from(count);
            }
        }
        let value = round(&number, rest != 0);
        if negative { -value } else { value }
    }
}

/// A number times a weight, as a two's complement number whose lowest word is word `at`.
#[derive(Clone, Copy)]
pub(super) struct Addend {
    at: usize,
    words: [u64; ADDEND_WORDS],
    negative: bool,
}

impl Addend {
    /// Of an integer whose lowest word is word `at`; `None` for zero.
    pub(super) fn integer(magnitude: u128, negative: bool, weight: i64, at: usize) -> Option<Self> {
        let factor = u128::from(weight.unsigned_abs());
        let low = (magnitude & u128::from(u64::MAX)) * factor;
        let high = (magnitude >> 64) * factor + (low >> 64);
        let words = [low as u64, high as u64, (high >> 64) as u64];
        if words == [0; ADDEND_WORDS] {
            return None;
        }
        let mut addend = Self { at, words, negative: negative != (weight < 0) };
        if addend.negative {
            negate(&mut addend.words);
        }
        Some(addend)
    }

    /// Of a finite double; `None` for zero.
    pub(super) fn new(value: f64, weight: i64) -> Option<Self> {
        let bits = value.to_bits();
        let exponent = (bits >> 52) as usize & 0x7ff;
        let fraction = bits & ((1 << 52) - 1);
        let (significand, at) = match exponent {
            0 => (fraction, 0),
            _ => (fraction | (1 << 52), exponent - 1),
        };
        if significand == 0 || weight == 0 {
            return None;
        }
        let magnitude = u128::from(significand) * u128::from(weight.unsigned_abs());
        let shift = at % 64;
        let low = magnitude << shift;
        let high = if shift == 0 { 0 } else { magnitude >> (128 - shift) };
        let negative = (value < 0.0) != (weight < 0);
        let mut addend =
            Self { at: at / 64, words: [low as u64, (low >> 64) as u64, high as u64], negative };
        if negative {
            negate(&mut addend.words);
        }
        Some(addend)
    }

    fn beyond(&self) -> u64 {
        if self.negative { u64::MAX } else { 0 }
    }

    /// Whether the lowest `len` words alone, sign-extended, are the whole number.
    fn fits(&self, len: usize) -> bool {
        let Some((kept, cut)) = self.words.split_at_checked(len) else { return true };
        kept.last().is_some_and(|top| ((*top as i64) < 0) == self.negative)
            && cut.iter().all(|word| *word == self.beyond())
    }

    /// Adds to words of which the first is word `at`; whether the sum fits them. If it does not,
    /// they are as they were.
    fn add_to(&self, stored: &mut [[u8; 8]]) -> bool {
        let top =
            |stored: &[[u8; 8]]| stored.last().is_some_and(|bytes| i64::from_le_bytes(*bytes) < 0);
        let before = top(stored);
        self.add_wrapping(stored);
        let fits = before != self.negative || top(stored) == before;
        if !fits {
            let mut back = Self { negative: !self.negative, ..*self };
            negate(&mut back.words);
            back.add_wrapping(stored);
        }
        fits
    }

    fn add_wrapping(&self, stored: &mut [[u8; 8]]) {
        let mut carry = false;
        for (i, bytes) in stored.iter_mut().enumerate() {
            let add = self.words.get(i).copied().unwrap_or(self.beyond());
            let (sum, over) = u64::from_le_bytes(*bytes).overflowing_add(add);
            let (sum, again) = sum.overflowing_add(u64::from(carry));
            *bytes = sum.to_le_bytes();
            carry = over || again;
            if i >= ADDEND_WORDS && carry == self.negative {
                return;
            }
        }
    }
}

/// Adds a finite double `weight` times to a stored sum, if that needs no more words than it has.
/// Returns whether it did; if not, the sum is as it was.
pub(super) fn add_in_place(bytes: &mut [u8], value: f64, weight: i64) -> bool {
    match Addend::new(value, weight) {
        Some(addend) => add_addend_in_place(bytes, &addend),
        None => !bytes.is_empty(),
    }
}

/// Adds to the sum that an accumulator column stores; NULL is zero.
pub(super) fn accumulate(acc: &mut ValueMut<'_>, at: usize, addend: Option<Addend>) {
    let Some(addend) = addend else { return };
    if add_addend_in_place(acc.var_mut(at), &addend) {
        return;
    }
    let mut digits = Digits::read(acc.var(at));
    digits.add_words(addend.at, &addend.words, addend.negative);
    digits.write(|bytes| acc.set_var(at, bytes));
}

/// Adds another stored sum to the one that an accumulator column stores.
pub(super) fn accumulate_sum(acc: &mut ValueMut<'_>, at: usize, more: &[u8]) {
    if !more.is_empty() {
        let mut digits = Digits::read(acc.var(at));
        digits.merge(&Digits::read(more));
        digits.write(|bytes| acc.set_var(at, bytes));
    }
}

fn add_addend_in_place(bytes: &mut [u8], addend: &Addend) -> bool {
    let Some((first, rest)) = bytes.split_first_mut() else { return false };
    let (stored, odd) = rest.as_chunks_mut::<8>();
    let offset = addend.at.checked_sub(usize::from(*first));
    match offset.and_then(|offset| stored.get_mut(offset..)) {
        Some(stored) if odd.is_empty() && addend.fits(stored.len()) => addend.add_to(stored),
        Some(_) | None => false,
    }
}

fn negate(words: &mut [u64]) {
    let mut carry = true;
    for word in words {
        (*word, carry) = (!*word).overflowing_add(u64::from(carry));
    }
}

/// The double nearest to a magnitude in units of 2^−1138; `more`: a little is missing from it.
fn round(number: &[u64], more: bool) -> f64 {
    let Some(top) = number.iter().rposition(|&w| w != 0) else { return 0.0 };
    let bits = top * 64 + 64 - number[top].leading_zeros() as usize;
    let cut = bits.saturating_sub(SIGNIFICAND_BITS).max(FRACTION_BITS);
    let word = |i: usize| number.get(i).copied().unwrap_or(0);
    let pair = u128::from(word(cut / 64)) | (u128::from(word(cut / 64 + 1)) << 64);
    let significand = (pair >> (cut % 64)) as u64 & ((1 << SIGNIFICAND_BITS) - 1);
    let half = word((cut - 1) / 64) >> ((cut - 1) % 64) & 1 == 1;
    let below = (cut - 1) / 64;
    let mask = (1u64 << ((cut - 1) % 64)) - 1;
    let sticky = more || word(below) & mask != 0 || number[..below].iter().any(|&w| w != 0);
    let up = half && (sticky || significand & 1 == 1);
    let infinity = f64::INFINITY.to_bits();
    // A carry out of the significand is the next exponent.
    let bits = (((cut - FRACTION_BITS) as u64) << 52) + significand + u64::from(up);
    f64::from_bits(bits.min(infinity))
}

/// How many NaNs and infinities were added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Specials {
    nan: i64,
    infinite: i64,
    negative_infinite: i64,
}

impl Specials {
    /// Reads what `bytes` wrote. Other bytes give none.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let (counts, _) = bytes.as_chunks::<8>();
        let count = |i: usize| counts.get(i).map_or(0, |bytes| i64::from_le_bytes(*bytes));
        Self { nan: count(0), infinite: count(1), negative_infinite: count(2) }
    }

    /// The stored form.
    pub(super) fn bytes(self) -> [u8; SPECIALS_BYTES] {
        let mut bytes = [0; SPECIALS_BYTES];
        let counts = [self.nan, self.infinite, self.negative_infinite];
        for (bytes, count) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(counts) {
            *bytes = count.to_le_bytes();
        }
        bytes
    }

    /// Counts a NaN or infinity `weight` times.
    pub(super) fn add(&mut self, value: f64, weight: i64) {
        let count = match (value.is_nan(), value > 0.0) {
            (true, _) => &mut self.nan,
            (false, true) => &mut self.infinite,
            (false, false) => &mut self.negative_infinite,
        };
        *count = count.wrapping_add(weight);
    }

    /// Adds the counts of another.
    pub(super) fn merge(&mut self, other: Self) {
        self.nan = self.nan.wrapping_add(other.nan);
        self.infinite = self.infinite.wrapping_add(other.infinite);
        self.negative_infinite = self.negative_infinite.wrapping_add(other.negative_infinite);
    }

    /// What the sum is because of them, if anything.
    pub(super) fn decide(self) -> Option<f64> {
        match (self.nan != 0, self.infinite != 0, self.negative_infinite != 0) {
            (false, false, false) => None,
            (false, true, false) => Some(f64::INFINITY),
            (false, false, true) => Some(f64::NEG_INFINITY),
            (true, _, _) | (false, true, true) => Some(f64::NAN),
        }
    }
}

#[cfg(test)]
#[path = "superaccumulator_tests.rs"]
mod tests;
