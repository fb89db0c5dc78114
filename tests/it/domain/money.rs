//! Money: exact results or errors for all amounts.

use std::cmp::Ordering;
use std::num::NonZeroU64;

use proptest::prelude::*;
use undercroft::domain::money::{Currency, Money, MoneyError, UnknownCurrency};

fn eur(amount: i64) -> Money {
    Money::new(amount, Currency::EUR)
}

fn gbp(amount: i64) -> Money {
    Money::new(amount, Currency::GBP)
}

#[test]
fn money_is_serialized_as_minor_units_and_a_code() {
    let text = r#"{"amount":1299,"currency":"EUR"}"#;
    assert_eq!(serde_json::to_string(&eur(1299)).unwrap(), text);
    assert_eq!(serde_json::from_str::<Money>(text).unwrap(), eur(1299));
}

#[test]
fn values_that_are_not_exactly_money_are_refused() {
    for text in [
        r#"{"amount":12.99,"currency":"EUR"}"#,
        r#"{"amount":1299.0,"currency":"EUR"}"#,
        r#"{"amount":"1299","currency":"EUR"}"#,
        r#"{"amount":9223372036854775808,"currency":"EUR"}"#,
        r#"{"amount":1299}"#,
        r#"{"currency":"EUR"}"#,
        r#"{"amount":1299,"currency":"eur"}"#,
        r#"{"amount":1299,"currency":"EURO"}"#,
        r#"{"amount":1299,"currency":"EUR","scale":2}"#,
        "1299",
    ] {
        assert!(serde_json::from_str::<Money>(text).is_err(), "{text}");
    }
}

#[test]
fn a_currency_has_the_minor_unit_of_iso_4217() {
    let digits = |code: &str| code.parse().map(Currency::minor_digits);
    assert_eq!(digits("EUR"), Ok(2));
    assert_eq!(digits("JPY"), Ok(0));
    assert_eq!(digits("KWD"), Ok(3));
}

#[test]
fn codes_without_prices_are_no_currencies() {
    for code in ["", "EU", "eur", "ZZZ", "XAU", "XXX", "XTS", "€"] {
        assert_eq!(code.parse::<Currency>(), Err(UnknownCurrency), "{code}");
    }
}

#[test]
fn display_has_the_decimal_point_of_the_currency() {
    let show = |amount, code: &str| Money::new(amount, code.parse().unwrap()).to_string();
    assert_eq!(show(1_299, "EUR"), "12.99 EUR");
    assert_eq!(show(-5, "EUR"), "-0.05 EUR");
    assert_eq!(show(1_299, "JPY"), "1299 JPY");
    assert_eq!(show(12_005, "KWD"), "12.005 KWD");
    assert_eq!(show(i64::MIN, "USD"), "-92233720368547758.08 USD");
}

#[test]
fn currencies_do_not_mix() {
    let mismatch = Err(MoneyError::CurrencyMismatch { left: Currency::EUR, right: Currency::GBP });
    assert_eq!(eur(1).checked_add(gbp(1)), mismatch);
    assert_eq!(eur(1).checked_sub(gbp(1)), mismatch);
    assert_eq!(eur(1).min(gbp(1)), mismatch);
    assert_eq!(eur(1).max(gbp(1)), mismatch);
    assert_eq!(Money::checked_sum(Currency::EUR, [eur(1), gbp(1)]), mismatch);
    assert_eq!(eur(1).compare(gbp(1)).ok(), None);
}

#[test]
fn an_overflow_is_an_error() {
    assert_eq!(eur(i64::MAX).checked_add(eur(1)), Err(MoneyError::Overflow));
    assert_eq!(eur(i64::MIN).checked_sub(eur(1)), Err(MoneyError::Overflow));
    assert_eq!(eur(i64::MAX).checked_times(2), Err(MoneyError::Overflow));
    assert_eq!(eur(i64::MAX).times_rate(10_001), Err(MoneyError::Overflow));
    assert_eq!(eur(i64::MAX).times_rate(10_000), Ok(eur(i64::MAX)));
}

#[test]
fn halves_are_rounded_away_from_zero() {
    assert_eq!(eur(5).times_rate(1_000), Ok(eur(1)));
    assert_eq!(eur(4).times_rate(1_000), Ok(eur(0)));
    assert_eq!(eur(-5).times_rate(1_000), Ok(eur(-1)));
    assert_eq!(eur(-4).times_rate(1_000), Ok(eur(0)));
    assert_eq!(eur(1_999).times_rate(750), Ok(eur(150)), "149.925");
}

#[test]
fn the_cent_left_over_goes_to_the_largest_remainder_then_to_the_first() {
    assert_eq!(eur(100).allocate(&[1, 1, 1]), Ok(vec![eur(34), eur(33), eur(33)]));
    assert_eq!(eur(-100).allocate(&[1, 1, 1]), Ok(vec![eur(-34), eur(-33), eur(-33)]));
    // 0.05 by 30 : 70 is 1.5 : 3.5, by 31 : 69 it is 1.55 : 3.45
    assert_eq!(eur(5).allocate(&[30, 70]), Ok(vec![eur(2), eur(3)]));
    assert_eq!(eur(5).allocate(&[69, 31]), Ok(vec![eur(3), eur(2)]));
    // 1.4 : 1.4 : 4.2 leaves one over, and the first has the largest remainder
    assert_eq!(eur(7).allocate(&[1, 1, 3]), Ok(vec![eur(2), eur(1), eur(4)]));
}

#[test]
fn nothing_is_allocated_by_nothing() {
    assert_eq!(eur(0).allocate(&[]), Ok(vec![]));
    assert_eq!(eur(0).allocate(&[0, 0]), Ok(vec![eur(0), eur(0)]));
    assert_eq!(eur(1).allocate(&[]), Err(MoneyError::Unallocatable));
    assert_eq!(eur(1).allocate(&[0, 0]), Err(MoneyError::Unallocatable));
    assert_eq!(eur(1).allocate(&[2, -1]), Err(MoneyError::Unallocatable));
    assert_eq!(eur(0).allocate(&[-1]), Err(MoneyError::Unallocatable));
}

/// Amounts of a shop, and those at the ends of the range.
fn amount() -> impl Strategy<Value = i64> {
    prop_oneof![-50..50_i64, -1_000_000..1_000_000_i64, any::<i64>(), Just(i64::MIN), Just(i64::MAX)]
}

fn weights() -> impl Strategy<Value = Vec<i64>> {
    let weight = prop_oneof![Just(0_i64), 1..5_i64, 0..1_000_000_i64, Just(i64::MAX)];
    prop::collection::vec(weight, 1..20)
        .prop_filter("some weight", |weights| weights.iter().any(|weight| *weight > 0))
}

proptest! {
    #[test]
    fn arithmetic_is_that_of_whole_numbers_or_an_overflow(a in amount(), b in amount()) {
        let exact = |amount: Option<i64>| amount.map(eur).ok_or(MoneyError::Overflow);
        prop_assert_eq!(eur(a).checked_add(eur(b)), exact(a.checked_add(b)));
        prop_assert_eq!(eur(a).checked_sub(eur(b)), exact(a.checked_sub(b)));
        prop_assert_eq!(eur(a).checked_times(b), exact(a.checked_mul(b)));
        prop_assert_eq!(eur(a).min(eur(b)), Ok(eur(a.min(b))));
        prop_assert_eq!(eur(a).max(eur(b)), Ok(eur(a.max(b))));
        prop_assert_eq!(eur(a).compare(eur(b)), Ok(a.cmp(&b)));
        prop_assert_eq!(eur(a).is_negative(), a.cmp(&0) == Ordering::Less);
    }

    #[test]
    fn a_ratio_is_off_by_half_a_unit_at_most_and_then_away_from_zero(
        amount in amount(),
        numerator in prop_oneof![0..20_000_u64, any::<u64>()],
        denominator in prop_oneof![1..20_000_u64, 1..=u64::MAX],
    ) {
        let exact = i128::from(amount) * i128::from(numerator);
        let whole = i128::from(denominator);
        match eur(amount).times_ratio(numerator, NonZeroU64::new(denominator).unwrap()) {
            Ok(Money { amount: rounded, .. }) => {
                let error = i128::from(rounded) * whole - exact;
                prop_assert!(2 * error.abs() <= whole);
                prop_assert!(2 * error.abs() < whole || error.signum() == exact.signum());
            }
            Err(error) => {
                prop_assert_eq!(error, MoneyError::Overflow);
                prop_assert!((exact / whole).abs() >= i128::from(i64::MAX));
            }
        }
    }

    #[test]
    fn an_allocation_loses_nothing_and_no_part_is_off_by_a_unit(amount in amount(), weights in weights()) {
        let parts = eur(amount).allocate(&weights).unwrap();
        prop_assert_eq!(parts.len(), weights.len());
        let sum: i128 = parts.iter().map(|part| i128::from(part.amount)).sum();
        prop_assert_eq!(sum, i128::from(amount));
        let total: i128 = weights.iter().map(|weight| i128::from(*weight)).sum();
        for (part, weight) in parts.iter().zip(&weights) {
            // part - amount * weight / total, times total, without leaving 128 bits
            let product = i128::from(amount) * i128::from(*weight);
            let error = (i128::from(part.amount) - product / total) * total - product % total;
            prop_assert!(error.abs() < total, "{part} by {weight} of {total}");
            prop_assert!(*weight > 0 || part.is_zero());
        }
    }

    #[test]
    fn a_larger_weight_never_gets_the_smaller_part(amount in amount(), weights in weights()) {
        let parts = eur(amount).allocate(&weights).unwrap();
        for (one, weight) in parts.iter().zip(&weights) {
            for (other, other_weight) in parts.iter().zip(&weights) {
                prop_assert!(
                    weight <= other_weight || one.amount.unsigned_abs() >= other.amount.unsigned_abs()
                );
            }
        }
    }

    #[test]
    fn a_debt_is_allocated_like_its_opposite(amount in 0..=i64::MAX, weights in weights()) {
        let owed = eur(-amount).allocate(&weights).unwrap();
        for (debt, credit) in owed.into_iter().zip(eur(amount).allocate(&weights).unwrap()) {
            prop_assert_eq!(eur(0).checked_sub(debt), Ok(credit));
        }
    }

    #[test]
    fn money_is_deserialized_as_it_was_serialized(amount in amount()) {
        let text = serde_json::to_string(&gbp(amount)).unwrap();
        prop_assert_eq!(serde_json::from_str::<Money>(&text).unwrap(), gbp(amount));
    }
}
