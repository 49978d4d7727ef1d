//! 192-bit integers: exact sums of DECIMAL(38) values, and of 128-bit sums times weights. Addition
//! wraps around, so sums do not depend on their order; fewer than 2^64 values never reach the end.

/// The largest magnitude of a DECIMAL, plus one: 10^38.
const DECIMAL_END: u128 = 10u128.pow(38);

/// A 192-bit two's complement integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wide {
    /// The low 128 bits.
    pub(crate) low: u128,
    /// The high 64 bits, with the sign.
    pub(crate) high: i64,
}

impl From<i128> for Wide {
    fn from(value: i128) -> Self {
        Self { low: value as u128, high: if value < 0 { -1 } else { 0 } }
    }
}

impl Wide {
    /// `value` · `weight`, exactly.
    pub(crate) fn product(value: i128, weight: i64) -> Self {
        if weight == 1 {
            return value.into();
        }
        let (magnitude, factor) = (value.unsigned_abs(), u128::from(weight.unsigned_abs()));
        let low = (magnitude & u128::from(u64::MAX)) * factor;
        let high = (magnitude >> 64) * factor + (low >> 64);
        let product = Self {
            low: (high << 64) | (low & u128::from(u64::MAX)),
            high: (high >> 64) as u64 as i64,
        };
        if (value < 0) != (weight < 0) { product.negated() } else { product }
    }

    /// The sum, wrapping around.
    pub(crate) fn plus(self, other: Self) -> Self {
        let (low, carry) = self.low.overflowing_add(other.low);
        let high = self.high.wrapping_add(other.high).wrapping_add(i64::from(carry));
        Self { low, high }
    }

    fn negated(self) -> Self {
        let (low, carry) = (!self.low).overflowing_add(1);
        Self { low, high: (!self.high).wrapping_add(i64::from(carry)) }
    }

    /// The value, if it fits.
    pub(crate) fn to_i128(self) -> Option<i128> {
        let value = self.low as i128;
        (Self::from(value) == self).then_some(value)
    }

    /// The value, if it is a DECIMAL(38).
    pub(crate) fn to_decimal(self) -> Option<i128> {
        self.to_i128().filter(|v| v.unsigned_abs() < DECIMAL_END)
    }

    /// `self` · 10^`digits` / `count` rounded half away from zero, if it is a DECIMAL(38). At most
    /// 19 digits.
    pub(crate) fn average(self, digits: u32, count: u64) -> Option<i128> {
        let negative = self.high < 0;
        let Self { low, high } = if negative { self.negated() } else { self };
        let count = u128::from(count);
        let mut rest = 0u128;
        let mut digit = |word: u64| {
            let with = (rest << 64) | u128::from(word);
            rest = with % count;
            with / count
        };
        let top = digit(high as u64);
        let quotient = (digit((low >> 64) as u64) << 64) | digit(low as u64);
        let scale = 10u128.checked_pow(digits)?;
        let fraction = rest.checked_mul(scale)?;
        let rounded = fraction / count + u128::from(fraction % count * 2 >= count);
        let magnitude = quotient.checked_mul(scale)?.checked_add(rounded)?;
        let fits = top == 0 && magnitude < DECIMAL_END;
        fits.then_some(if negative { -(magnitude as i128) } else { magnitude as i128 })
    }

    /// `self` / `count`, correctly rounded to nearest even. `None`: over 128 bits.
    pub(crate) fn ratio(self, count: u64) -> Option<f64> {
        let value = self.to_i128()?;
        let magnitude = value.unsigned_abs();
        if magnitude == 0 {
            return Some(0.0);
        }
        // The quotient has at least 64 bits, so that its lowest may stand for all that follow.
        let shift = magnitude.leading_zeros();
        let (scaled, count) = (magnitude << shift, u128::from(count));
        let quotient = (scaled / count) | u128::from(!scaled.is_multiple_of(count));
        let ratio = quotient as f64 * 2f64.powi(-(shift as i32));
        Some(if value < 0 { -ratio } else { ratio })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn products_and_sums_agree_with_128_bits(
            a in any::<i64>(), b in any::<i64>(), w in any::<i32>(),
        ) {
            let (a, b, w) = (i128::from(a), i128::from(b), i64::from(w));
            let sum = Wide::product(a, w).plus(Wide::product(b, -w));
            prop_assert_eq!(sum.to_i128(), Some(a * i128::from(w) - b * i128::from(w)));
        }

        #[test]
        fn products_of_full_width_cancel(a in any::<i128>(), w in any::<i64>()) {
            prop_assume!(w != i64::MIN);
            let sum = Wide::product(a, w).plus(Wide::product(a, -w));
            prop_assert_eq!(sum, Wide::from(0));
            // a·w by shift and add.
            let mut slow = Wide::from(0);
            for bit in 0..63 {
                if w.unsigned_abs() >> bit & 1 == 1 {
                    let mut part = Wide::from(a);
                    for _ in 0..bit {
                        part = part.plus(part);
                    }
                    slow = slow.plus(part);
                }
            }
            if w < 0 {
                slow = slow.negated();
            }
            prop_assert_eq!(Wide::product(a, w), slow);
        }

        #[test]
        fn averages_round_half_away_from_zero(sum in any::<i64>(), count in 1u64..1000) {
            let scaled = i128::from(sum) * 1_000_000;
            let doubled = 2 * scaled.unsigned_abs() + u128::from(count);
            let magnitude = (doubled / (2 * u128::from(count))) as i128;
            let expected = if sum < 0 { -magnitude } else { magnitude };
            prop_assert_eq!(Wide::from(i128::from(sum)).average(6, count), Some(expected));
        }

        #[test]
        fn ratios_are_exact_where_a_double_is(
            a in -(1i64 << 53)..1i64 << 53, count in 1u64..1 << 53,
        ) {
            // One IEEE division of exact operands is correctly rounded.
            let ratio = Wide::from(i128::from(a)).ratio(count);
            prop_assert_eq!(ratio, Some(a as f64 / count as f64));
        }
    }

    #[test]
    fn decimals_end_at_38_digits() {
        assert_eq!(Wide::from(10i128.pow(38)).to_decimal(), None);
        assert_eq!(Wide::from(-(10i128.pow(38) - 1)).to_decimal(), Some(-(10i128.pow(38) - 1)));
        let twice = Wide::from(i128::MAX).plus(Wide::from(i128::MAX));
        assert_eq!(twice.to_i128(), None);
        assert_eq!(twice.plus(Wide::from(-i128::MAX)).to_i128(), Some(i128::MAX));
    }
}
