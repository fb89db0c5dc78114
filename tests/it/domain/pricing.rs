//! Pricing: real receipts that were computed by hand, and properties of any cart.

use proptest::prelude::*;
use undercroft::domain::discount::{Discount, DiscountKind, code_key};
use undercroft::domain::ids::{DiscountId, VariantId};
use undercroft::domain::money::{Currency, Money, MoneyError};
use undercroft::domain::pricing::{
    LINE_QUANTITY, LineInput, Priced, PricingError, PricingInput, ShippingInput, Totals, price,
};
use undercroft::domain::tax::TaxRate;
use uuid::Uuid;

fn eur(amount: i64) -> Money {
    Money::new(amount, Currency::EUR)
}

fn inclusive(basis_points: u32) -> TaxRate {
    TaxRate { basis_points, inclusive: true }
}

fn exclusive(basis_points: u32) -> TaxRate {
    TaxRate { basis_points, inclusive: false }
}

fn line(variant: u128, quantity: i64, unit_price: i64, tax: TaxRate) -> LineInput {
    LineInput { variant_id: VariantId(Uuid::from_u128(variant)), unit_price: eur(unit_price), quantity, tax }
}

fn discount(kind: DiscountKind) -> Discount {
    Discount::new(DiscountId(Uuid::nil()), "SAVE".to_owned(), kind, jiff::Timestamp::UNIX_EPOCH)
}

fn percent(basis_points: u32) -> Discount {
    discount(DiscountKind::Percent { basis_points })
}

fn fixed(amount: Money) -> Discount {
    discount(DiscountKind::Fixed { amount })
}

fn cart(lines: &[LineInput]) -> PricingInput<'static> {
    PricingInput { currency: Currency::EUR, lines: lines.to_vec(), discount: None, shipping: None }
}

/// `(subtotal, discount, shipping, tax, total)`.
fn totals(priced: &Priced) -> (i64, i64, i64, i64, i64) {
    let Totals { subtotal, discount, shipping, tax, total } = priced.totals;
    (subtotal.amount, discount.amount, shipping.amount, tax.amount, total.amount)
}

/// `(basis points, net, tax)` of each rate.
fn rates(priced: &Priced) -> Vec<(u32, i64, i64)> {
    priced.tax_by_rate.iter().map(|rate| (rate.basis_points, rate.net.amount, rate.tax.amount)).collect()
}

fn line_taxes(priced: &Priced) -> Vec<i64> {
    priced.lines.iter().map(|line| line.tax.amount).collect()
}

#[test]
fn three_at_33_33_with_10_percent_off_at_19_percent_inclusive() {
    // 99.99 - 9.999 = 89.99; 89.99 × 19/119 = 14.368
    let ten_off = percent(1_000);
    let priced =
        price(&PricingInput { discount: Some(&ten_off), ..cart(&[line(1, 3, 3_333, inclusive(1_900))]) });
    let priced = priced.unwrap();
    assert_eq!(totals(&priced), (9_999, 1_000, 0, 1_437, 8_999));
    assert_eq!(rates(&priced), [(1_900, 7_562, 1_437)]);
}

#[test]
fn a_german_grocery_receipt_with_two_rates() {
    // 2.38 × 7/107 = 0.1557, 3.29 × 7/107 = 0.2152, 4.49 × 19/119 = 0.7169;
    // the 7 % lines taken together would be 0.3709
    let priced = price(&cart(&[
        line(1, 2, 119, inclusive(700)),
        line(2, 1, 329, inclusive(700)),
        line(3, 1, 449, inclusive(1_900)),
    ]))
    .unwrap();
    assert_eq!(totals(&priced), (1_016, 0, 0, 110, 1_016));
    assert_eq!(line_taxes(&priced), [16, 22, 72]);
    assert_eq!(rates(&priced), [(700, 529, 38), (1_900, 377, 72)]);
}

#[test]
fn a_texan_receipt_with_tax_on_top() {
    // 39.98 × 8.25 % = 3.29835, 4.95 × 8.25 % = 0.408375
    let shipping = Some(ShippingInput { amount: eur(495), tax: exclusive(825) });
    let priced = price(&PricingInput { shipping, ..cart(&[line(1, 2, 1_999, exclusive(825))]) }).unwrap();
    assert_eq!(totals(&priced), (3_998, 0, 495, 371, 4_864));
    assert_eq!((priced.shipping_tax, priced.shipping_total), (eur(41), eur(536)));
    assert_eq!(rates(&priced), [(825, 4_493, 371)]);
}

#[test]
fn a_japanese_receipt_without_minor_units() {
    // 2940 × 8/108 = 217.78, 550 × 10/110 = 50
    let yen = |amount| Money::new(amount, "JPY".parse().unwrap());
    let input = PricingInput {
        currency: "JPY".parse().unwrap(),
        lines: vec![LineInput { unit_price: yen(980), ..line(1, 3, 0, inclusive(800)) }],
        discount: None,
        shipping: Some(ShippingInput { amount: yen(550), tax: inclusive(1_000) }),
    };
    let priced = price(&input).unwrap();
    assert_eq!(totals(&priced), (2_940, 0, 550, 268, 3_490));
    assert_eq!(rates(&priced), [(800, 2_722, 218), (1_000, 500, 50)]);
}

#[test]
fn a_wholesalers_invoice_of_2010_adds_up_in_its_tax_column() {
    // invoice 536365 of the UCI Online Retail data, as if its prices held the 17.5 % of that year;
    // taxed as a whole it would be 139.12 × 17.5/117.5 = 20.72
    let pieces = [(6, 255), (6, 339), (8, 275), (6, 339), (6, 339), (2, 765), (6, 425)];
    let lines: Vec<_> = pieces
        .iter()
        .zip(1..)
        .map(|((quantity, unit_price), variant)| line(variant, *quantity, *unit_price, inclusive(1_750)))
        .collect();
    let priced = price(&cart(&lines)).unwrap();
    assert_eq!(totals(&priced), (13_912, 0, 0, 2_073, 13_912));
    assert_eq!(line_taxes(&priced), [228, 303, 328, 303, 303, 228, 380]);
}

#[test]
fn five_off_three_equal_lines_is_five_off() {
    let five_off = fixed(eur(500));
    let lines = [1, 2, 3].map(|variant| line(variant, 1, 1_000, TaxRate::NONE));
    let priced = price(&PricingInput { discount: Some(&five_off), ..cart(&lines) }).unwrap();
    let shares: Vec<_> = priced.lines.iter().map(|line| line.discount.amount).collect();
    assert_eq!(shares, [167, 167, 166]);
    assert_eq!(totals(&priced), (3_000, 500, 0, 0, 2_500));
}

#[test]
fn a_cart_may_mix_prices_with_and_without_tax() {
    // 20.00 off 119.00 + 81.00: shares 11.90 and 8.10; 107.10 × 19/119 = 17.10, 72.90 × 10 % = 7.29
    let twenty_off = fixed(eur(2_000));
    let lines = [line(1, 1, 11_900, inclusive(1_900)), line(2, 1, 8_100, exclusive(1_000))];
    let priced = price(&PricingInput { discount: Some(&twenty_off), ..cart(&lines) }).unwrap();
    assert_eq!(totals(&priced), (20_000, 2_000, 0, 2_439, 18_729));
    assert_eq!(rates(&priced), [(1_000, 7_290, 729), (1_900, 9_000, 1_710)]);
}

#[test]
fn the_remaining_cent_goes_to_the_same_line_in_any_order() {
    // 0.49 × 19 % = 0.0931, but 0.50 × 19 % = 0.095
    let cent_off = fixed(eur(1));
    let (taxed, free) = (line(1, 1, 50, exclusive(1_900)), line(2, 1, 50, exclusive(0)));
    for lines in [[taxed, free], [free, taxed]] {
        let priced = price(&PricingInput { discount: Some(&cent_off), ..cart(&lines) }).unwrap();
        assert_eq!(totals(&priced), (100, 1, 0, 9, 108));
    }
}

#[test]
fn a_discount_of_everything_leaves_the_shipping() {
    let all_off = percent(10_000);
    let shipping = Some(ShippingInput { amount: eur(490), tax: inclusive(1_900) });
    let lines = [line(1, 7, 333, inclusive(1_900)), line(2, 1, 0, inclusive(700))];
    let priced = price(&PricingInput { discount: Some(&all_off), shipping, ..cart(&lines) }).unwrap();
    assert_eq!(totals(&priced), (2_331, 2_331, 490, 78, 490));
}

#[test]
fn free_shipping_has_no_rate_of_its_own() {
    let (goods, paid) = ((700, 467, 33), (1_900, 100, 19));
    for (amount, expected) in [(0, vec![goods]), (119, vec![goods, paid])] {
        let shipping = Some(ShippingInput { amount: eur(amount), tax: inclusive(1_900) });
        let priced = price(&PricingInput { shipping, ..cart(&[line(1, 1, 500, inclusive(700))]) }).unwrap();
        assert_eq!(rates(&priced), expected);
        assert_eq!(priced.shipping_total, eur(amount));
    }
}

#[test]
fn an_empty_cart_costs_nothing_with_any_discount() {
    for discount in [percent(1_000), fixed(eur(500))] {
        let priced = price(&PricingInput { discount: Some(&discount), ..cart(&[]) }).unwrap();
        assert_eq!(totals(&priced), (0, 0, 0, 0, 0));
        assert_eq!(priced.tax_by_rate, []);
    }
}

#[test]
fn a_line_has_1_to_9999_pieces() {
    for quantity in [1, 9_999] {
        assert!(price(&cart(&[line(1, quantity, 1, TaxRate::NONE)])).is_ok());
    }
    for quantity in [i64::MIN, -1, 0, 10_000, i64::MAX] {
        let lines = [line(1, 1, 1, TaxRate::NONE), line(2, quantity, 1, TaxRate::NONE)];
        assert_eq!(price(&cart(&lines)), Err(PricingError::Quantity { line: 1, quantity }));
    }
}

#[test]
fn a_negative_price_is_refused() {
    let refused = Err(PricingError::NegativePrice { price: eur(-1) });
    assert_eq!(price(&cart(&[line(1, 1, -1, TaxRate::NONE)])), refused);
    let shipping = Some(ShippingInput { amount: eur(-1), tax: TaxRate::NONE });
    assert_eq!(price(&PricingInput { shipping, ..cart(&[]) }), refused);
}

#[test]
fn another_currency_is_refused_in_every_position() {
    let mismatch =
        PricingError::Money(MoneyError::CurrencyMismatch { left: Currency::EUR, right: Currency::USD });
    let dollar = Money::new(100, Currency::USD);
    let goods = line(1, 1, 100, TaxRate::NONE);
    let foreign_line = cart(&[goods, LineInput { unit_price: dollar, ..goods }]);
    assert_eq!(price(&foreign_line), Err(mismatch));
    let shipping = Some(ShippingInput { amount: dollar, tax: exclusive(0) });
    assert_eq!(price(&PricingInput { shipping, ..cart(&[goods]) }), Err(mismatch));
    let dollar_off = fixed(dollar);
    assert!(matches!(
        price(&PricingInput { discount: Some(&dollar_off), ..cart(&[goods]) }),
        Err(PricingError::Money(MoneyError::CurrencyMismatch { .. }))
    ));
}

fn tax_rate() -> impl Strategy<Value = TaxRate> {
    let basis_points = prop_oneof![Just(0_u32), Just(700), Just(1_900), 0..=10_000_u32];
    (basis_points, any::<bool>()).prop_map(|(basis_points, inclusive)| TaxRate { basis_points, inclusive })
}

/// Prices of few cents make equal shares and free carts likely.
fn lines(unit_price: impl Strategy<Value = i64>) -> impl Strategy<Value = Vec<LineInput>> {
    let quantity = prop_oneof![3 => 1..4_i64, 1 => LINE_QUANTITY];
    let line = (0..4_u128, quantity, unit_price, tax_rate())
        .prop_map(|(variant, quantity, unit_price, tax)| line(variant, quantity, unit_price, tax));
    prop::collection::vec(line, 0..12)
}

fn any_discount() -> impl Strategy<Value = Option<Discount>> {
    let percentage = prop_oneof![(1..=10_000_u32).prop_map(percent), (10_001..=u32::MAX).prop_map(percent)];
    let amount = prop_oneof![1..50_i64, 1..1_000_000_i64].prop_map(|amount| fixed(eur(amount)));
    prop::option::of(prop_oneof![percentage, amount])
}

fn any_shipping() -> impl Strategy<Value = Option<ShippingInput>> {
    let shipping =
        (0..2_000_i64, tax_rate()).prop_map(|(amount, tax)| ShippingInput { amount: eur(amount), tax });
    prop::option::of(shipping)
}

fn sum(amounts: impl IntoIterator<Item = Money>) -> i128 {
    amounts.into_iter().map(|money| i128::from(money.amount)).sum()
}

/// Checks the properties of a priced cart.
fn check(input: &PricingInput<'_>, priced: &Priced) -> Result<(), TestCaseError> {
    let Totals { subtotal, discount, shipping, tax, total } = priced.totals;
    let [subtotal, discount, shipping, tax, total] =
        [subtotal, discount, shipping, tax, total].map(|sum| sum.amount.into());
    let lines = &priced.lines;
    prop_assert_eq!(sum(lines.iter().map(|line| line.subtotal)), subtotal);
    prop_assert_eq!(sum(lines.iter().map(|line| line.discount)), discount);
    prop_assert_eq!(sum(lines.iter().map(|line| line.tax).chain([priced.shipping_tax])), tax);
    prop_assert_eq!(sum(lines.iter().map(|line| line.total).chain([priced.shipping_total])), total);

    let on_top = lines.iter().filter(|line| !line.tax_rate.inclusive).map(|line| line.tax);
    let shipping_on_top =
        input.shipping.filter(|shipping| !shipping.tax.inclusive).map(|_| priced.shipping_tax);
    prop_assert_eq!(subtotal - discount + shipping + sum(on_top.chain(shipping_on_top)), total);
    prop_assert_eq!(sum(priced.tax_by_rate.iter().map(|rate| rate.tax)), tax);
    prop_assert_eq!(sum(priced.tax_by_rate.iter().map(|rate| rate.net)) + tax, total);
    prop_assert!((0..=subtotal).contains(&discount));

    prop_assert_eq!(lines.len(), input.lines.len());
    for (line, input) in lines.iter().zip(&input.lines) {
        prop_assert_eq!(line.variant_id, input.variant_id);
        prop_assert_eq!((line.quantity, line.unit_price), (input.quantity, input.unit_price));
        prop_assert_eq!(i128::from(line.unit_price.amount) * i128::from(line.quantity), sum([line.subtotal]));
        // the line's share of the discount and its tax differ from the exact ones by less than a minor unit
        let share = sum([line.discount]) * subtotal - discount * sum([line.subtotal]);
        prop_assert!(share == 0 || share.abs() < subtotal);
        let paid = sum([line.subtotal]) - sum([line.discount]);
        let rate = i128::from(line.tax_rate.basis_points);
        let whole = if line.tax_rate.inclusive { 10_000 + rate } else { 10_000 };
        prop_assert!((2 * (sum([line.tax]) * whole - paid * rate)).abs() <= whole);
        for amount in [line.subtotal, line.discount, line.tax, line.total] {
            prop_assert!(!amount.is_negative());
        }
    }
    for rate in &priced.tax_by_rate {
        prop_assert!(!rate.net.is_negative() && !rate.tax.is_negative());
    }
    Ok(())
}

proptest! {
    #[test]
    fn every_cart_adds_up(
        lines in lines(prop_oneof![0..6_i64, 0..1_000_000_i64]),
        discount in any_discount(),
        shipping in any_shipping(),
    ) {
        let input = PricingInput { discount: discount.as_ref(), shipping, ..cart(&lines) };
        let priced = price(&input).unwrap();
        prop_assert_eq!(priced.totals.subtotal, input.subtotal().unwrap());
        check(&input, &priced)?;
    }

    #[test]
    fn the_order_of_lines_does_not_change_the_price(
        (lines, shuffled) in lines(prop_oneof![0..6_i64, 0..5_000_i64])
            .prop_flat_map(|lines| (Just(lines.clone()), Just(lines).prop_shuffle())),
        discount in any_discount(),
    ) {
        let [one, other] = [lines, shuffled].map(|lines| {
            price(&PricingInput { discount: discount.as_ref(), ..cart(&lines) }).unwrap()
        });
        prop_assert_eq!(totals(&one), totals(&other));
        prop_assert_eq!(&one.tax_by_rate, &other.tax_by_rate);
        let [mut one, mut other] = [one, other].map(|priced| priced.lines);
        for lines in [&mut one, &mut other] {
            lines.sort_by_key(|line| (line.variant_id, line.unit_price.amount, line.quantity, line.tax_rate, line.discount.amount));
        }
        prop_assert_eq!(one, other);
    }

    #[test]
    fn an_overflow_is_an_error_and_never_a_wrong_price(
        lines in lines(prop_oneof![0..=i64::MAX, Just(i64::MAX / 9_999), Just(i64::MAX)]),
        discount in any_discount(),
    ) {
        let input = PricingInput { discount: discount.as_ref(), ..cart(&lines) };
        let goods: i128 =
            lines.iter().map(|line| i128::from(line.unit_price.amount) * i128::from(line.quantity)).sum();
        match price(&input) {
            Ok(priced) => check(&input, &priced)?,
            Err(error) => {
                prop_assert_eq!(error, PricingError::Money(MoneyError::Overflow));
                // at 100 % tax on top, what is paid is twice the goods
                prop_assert!(2 * goods > i128::from(i64::MAX));
            }
        }
    }

    #[test]
    fn the_key_of_a_code_is_idempotent_and_ignores_case(code in "\\PC{0,20}") {
        let key = code_key(&code);
        prop_assert_eq!(&code_key(&key), &key);
        prop_assert_eq!(&code_key(&code.to_uppercase()), &key);
        prop_assert_eq!(&code_key(&code.to_lowercase()), &key);
    }
}
