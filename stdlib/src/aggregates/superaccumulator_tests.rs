//! The sums against exact arithmetic: powers of two spread far apart, small integers, and a
//! compensated bit-by-bit sum that needs no big numbers of its own.

use proptest::prelude::*;

use super::*;

fn sum(values: &[(f64, i64)]) -> Digits {
    let mut digits = Digits::read(&[]);
    for (value, weight) in values {
        digits.add(*value, *weight);
        digits = stored(&digits);
    }
    digits
}

fn stored(digits: &Digits) -> Digits {
    let mut bytes = Vec::new();
    digits.write(|b| bytes.extend_from_slice(b));
    Digits::read(&bytes)
}

fn bytes(digits: &Digits) -> Vec<u8> {
    let mut bytes = Vec::new();
    digits.write(|b| bytes.extend_from_slice(b));
    bytes
}

/// The exact sum as a list of bits in units of 2^−1074, by school arithmetic on single bits;
/// rounded by comparing with neighbouring doubles.
struct Exact {
    /// Digits in base 2, lowest first, each any integer until `settle`.
    bits: Vec<i128>,
}

impl Exact {
    fn of(values: &[(f64, i64)]) -> Self {
        let mut bits = vec![0i128; 2300];
        for (value, weight) in values {
            let raw = value.to_bits();
            let exponent = (raw >> 52 & 0x7ff) as usize;
            let fraction = raw & ((1 << 52) - 1);
            let significand = if exponent == 0 { fraction } else { fraction | 1 << 52 };
            let sign = if raw >> 63 == 1 { -1 } else { 1 };
            for bit in 0..53 {
                if significand >> bit & 1 == 1 {
                    bits[exponent.max(1) - 1 + bit] += sign * i128::from(*weight);
                }
            }
        }
        Self { bits }
    }

    /// (negative, the magnitude's bits)
    fn settle(mut self) -> (bool, Vec<bool>) {
        let carry_over = |bits: &mut Vec<i128>| {
            let mut carry = 0;
            for bit in bits.iter_mut() {
                let total = *bit + carry;
                *bit = total.rem_euclid(2);
                carry = total.div_euclid(2);
            }
            carry
        };
        let negative = carry_over(&mut self.bits) < 0;
        if negative {
            for bit in &mut self.bits {
                *bit = -*bit;
            }
            // The number was bits − 2^2300; its magnitude is 2^2300 − bits.
            let carry = carry_over(&mut self.bits);
            assert_eq!(carry, -1);
        }
        (negative, self.bits.iter().map(|&b| b == 1).collect())
    }

    fn rounded(self) -> f64 {
        let (negative, bits) = self.settle();
        let Some(top) = bits.iter().rposition(|&b| b) else { return 0.0 };
        let cut = (top + 1).saturating_sub(53);
        let significand: u64 = (cut..=top).filter(|&i| bits[i]).map(|i| 1u64 << (i - cut)).sum();
        let half = cut > 0 && bits[cut - 1];
        let sticky = cut > 0 && bits[..cut - 1].iter().any(|&b| b);
        let up = half && (sticky || significand % 2 == 1);
        let mut value = (significand + u64::from(up)) as f64;
        // Multiplying by two is exact until it overflows; below, units are subnormal anyway.
        let unit = f64::from_bits(1);
        if cut == 0 {
            value = f64::from_bits(significand);
        } else {
            // value · 2^(cut − 1074) without an intermediate loss.
            let mut exponent = cut as i32 - 1074;
            while exponent < 0 && value / 2.0 * 2.0 == value && value / 2.0 > unit {
                let step = (-exponent).min(1000);
                value *= 2f64.powi(-step);
                exponent += step;
            }
            while exponent > 0 {
                let step = exponent.min(1000);
                value *= 2f64.powi(step);
                exponent -= step;
            }
        }
        if negative { -value } else { value }
    }
}

fn doubles() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |v| v.is_finite()),
        (-1000i64..1000).prop_map(|v| v as f64 / 8.0),
        (any::<i32>(), -40i32..40).prop_map(|(m, e)| f64::from(m) * 2f64.powi(e)),
        (0u64..1 << 53).prop_map(f64::from_bits),
        Just(f64::MAX),
        Just(f64::MIN),
        Just(f64::MIN_POSITIVE),
        Just(-0.0),
    ]
}

fn weighted() -> impl Strategy<Value = (f64, i64)> {
    let weights = prop_oneof![Just(1i64), Just(-1), -5i64..5, any::<i32>().prop_map(i64::from)];
    (doubles(), weights)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn sums_are_the_exact_sums_rounded_once(values in prop::collection::vec(weighted(), 0..20)) {
        let exact = Exact::of(&values).rounded();
        prop_assert_eq!(sum(&values).quotient(1).to_bits() << 1, exact.to_bits() << 1);
        prop_assert_eq!(sum(&values).quotient(1) < 0.0, exact < 0.0);
    }

    #[test]
    fn order_and_merging_do_not_matter(
        values in prop::collection::vec(weighted(), 0..20), cut in 0usize..20,
    ) {
        let whole = bytes(&sum(&values));
        let mut reversed = values.clone();
        reversed.reverse();
        prop_assert_eq!(&bytes(&sum(&reversed)), &whole);
        let (head, tail) = values.split_at(cut.min(values.len()));
        let mut merged = sum(head);
        merged.merge(&sum(tail));
        prop_assert_eq!(&bytes(&merged), &whole);
    }

    #[test]
    fn taking_everything_back_leaves_nothing(
        values in prop::collection::vec(weighted(), 0..20),
    ) {
        let back = values.iter().rev().map(|(value, weight)| (*value, -weight));
        let all: Vec<_> = values.iter().copied().chain(back).collect();
        prop_assert_eq!(bytes(&sum(&all)), Vec::<u8>::new());
    }

    #[test]
    fn adding_in_place_is_adding(values in prop::collection::vec(weighted(), 0..40)) {
        let mut stored = Vec::new();
        for (value, weight) in &values {
            let before = stored.clone();
            if !add_in_place(&mut stored, *value, *weight) {
                prop_assert_eq!(&stored, &before, "a sum that does not fit is left alone");
                let mut digits = Digits::read(&stored);
                digits.add(*value, *weight);
                stored.clear();
                digits.write(|bytes| stored.extend_from_slice(bytes));
            }
        }
        prop_assert_eq!(bytes(&Digits::read(&stored)), bytes(&sum(&values)));
    }

    #[test]
    fn averages_of_small_integers_are_correctly_rounded(
        values in prop::collection::vec(-1000i32..1000, 1..30),
    ) {
        let total: i32 = values.iter().sum();
        let all: Vec<_> = values.iter().map(|v| (f64::from(*v), 1)).collect();
        let count = values.len() as u64;
        prop_assert_eq!(sum(&all).quotient(count), f64::from(total) / count as f64);
    }

    #[test]
    fn averages_of_equal_values_are_the_value(value in doubles(), count in 1i64..1_000_000) {
        prop_assert_eq!(sum(&[(value, count)]).quotient(count as u64), value);
    }

    #[test]
    fn any_bytes_are_read_without_harm(noise in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = add_in_place(&mut noise.clone(), 1.5, 3);
        let mut digits = Digits::read(&noise);
        digits.add(1.0, 1);
        digits.merge(&Digits::read(&noise));
        let _ = digits.quotient(3);
        let _ = Specials::read(&noise).decide();
    }
}

#[test]
fn averages_of_subnormals_round_in_units() {
    let unit = f64::from_bits(1);
    assert_eq!(sum(&[(unit, 1)]).quotient(2), 0.0, "a half goes to even");
    assert_eq!(sum(&[(unit, 3)]).quotient(2).to_bits(), 2);
    assert_eq!(sum(&[(unit, 5)]).quotient(3).to_bits(), 2);
}

#[test]
fn sums_beyond_the_range_are_infinite_and_come_back() {
    let over = sum(&[(f64::MAX, 3)]);
    assert_eq!(over.quotient(1), f64::INFINITY);
    assert_eq!(over.quotient(3), f64::MAX);
    assert_eq!(sum(&[(f64::MAX, 3), (f64::MAX, -2)]).quotient(1), f64::MAX);
    assert_eq!(sum(&[(f64::MIN, i64::MAX)]).quotient(i64::MAX as u64), f64::MIN);
}

#[test]
fn specials_decide_and_are_taken_back() {
    let mut specials = Specials::default();
    assert_eq!(specials.decide(), None);
    specials.add(f64::INFINITY, 2);
    assert_eq!(specials.decide(), Some(f64::INFINITY));
    specials.add(f64::NEG_INFINITY, 1);
    assert!(specials.decide().is_some_and(f64::is_nan));
    specials.add(f64::INFINITY, -2);
    assert_eq!(specials.decide(), Some(f64::NEG_INFINITY));
    specials.add(f64::NAN, 1);
    assert!(Specials::read(&specials.bytes()).decide().is_some_and(f64::is_nan));
}
