//! The prices of a cart: discount, tax, shipping and total, in whole minor units.
//!
//! Amounts are rounded half away from zero, once a line, and every sum is a sum of rounded lines, so that each column
//! of an invoice adds up. The reasons are in `docs/decisions/0002-prices-and-tax.md`.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::Serialize;

use crate::domain::cart::MAX_QUANTITY;
use crate::domain::discount::Discount;
use crate::domain::ids::VariantId;
use crate::domain::money::{Currency, Money, MoneyError};
use crate::domain::tax::TaxRate;

/// The number of pieces that a line may have.
pub const LINE_QUANTITY: RangeInclusive<i64> = 1..=MAX_QUANTITY;

/// The lines, discount and shipping of a cart to price.
#[derive(Clone, Debug)]
pub struct PricingInput<'a> {
    /// The currency of every amount.
    pub currency: Currency,
    /// The lines.
    pub lines: Vec<LineInput>,
    /// The discount. It must apply ([`Discount::applies`]): pricing does not check that.
    pub discount: Option<&'a Discount>,
    /// The shipping; `None` if nothing is shipped.
    pub shipping: Option<ShippingInput>,
}

/// A line to price: a variant with its quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineInput {
    /// The variant.
    pub variant_id: VariantId,
    /// The price of one piece.
    pub unit_price: Money,
    /// The number of pieces, within [`LINE_QUANTITY`].
    pub quantity: i64,
    /// The tax rate.
    pub tax: TaxRate,
}

/// The price of shipping and its tax rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShippingInput {
    /// The price, which no discount lowers.
    pub amount: Money,
    /// The tax rate.
    pub tax: TaxRate,
}

/// The totals of a cart or an order, in one currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Totals {
    /// The price of the items before the discount.
    pub subtotal: Money,
    /// The amount that the discount deducts.
    pub discount: Money,
    /// The shipping costs.
    pub shipping: Money,
    /// The tax, included in the prices or added to them.
    pub tax: Money,
    /// The amount to pay.
    pub total: Money,
}

/// A priced cart. No amount in it is negative.
///
/// The total is the sum of the lines' totals and `shipping_total`. It is also `subtotal − discount + shipping` and the
/// tax of exclusive rates; the amounts contain the tax of inclusive ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Priced {
    /// The lines, in the order given.
    pub lines: Vec<PricedLine>,
    /// The totals; shipping is with its tax if the rate is inclusive, without if not.
    pub totals: Totals,
    /// The tax on shipping.
    pub shipping_tax: Money,
    /// The amount to pay for shipping, tax included.
    pub shipping_total: Money,
    /// The tax of each rate, in the order of the rates; all net amounts and taxes add up to the total.
    pub tax_by_rate: Vec<RateTotal>,
}

/// A priced line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PricedLine {
    /// The variant.
    pub variant_id: VariantId,
    /// The number of pieces.
    pub quantity: i64,
    /// The price of one piece.
    pub unit_price: Money,
    /// The price of all pieces before the discount.
    pub subtotal: Money,
    /// The line's share of the discount.
    pub discount: Money,
    /// The tax on the discounted price, included in it or added to it.
    pub tax: Money,
    /// The amount to pay for the line, tax included.
    pub total: Money,
    /// The rate of the tax.
    pub tax_rate: TaxRate,
}

/// The net amount and the tax of one rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateTotal {
    /// The rate in basis points.
    pub basis_points: u32,
    /// Whether prices include the tax.
    pub inclusive: bool,
    /// The amounts without tax, after the discount.
    pub net: Money,
    /// The tax on the net amount.
    pub tax: Money,
}

/// The reason why a cart cannot be priced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PricingError {
    /// A line has no pieces, or more than a line may have.
    #[error("line {line}: {quantity} pieces are not within {LINE_QUANTITY:?}")]
    Quantity {
        /// The index of the line, from 0.
        line: usize,
        /// The requested quantity.
        quantity: i64,
    },
    /// A price is negative.
    #[error("the price {price} is negative")]
    NegativePrice {
        /// The price.
        price: Money,
    },
    /// An amount is too large, or in another currency.
    #[error(transparent)]
    Money(#[from] MoneyError),
}

impl PricingInput<'_> {
    /// Returns the price of the lines before discount, added tax and shipping.
    pub fn subtotal(&self) -> Result<Money, PricingError> {
        Ok(Money::checked_sum(self.currency, self.line_subtotals()?)?)
    }

    fn line_subtotals(&self) -> Result<Vec<Money>, PricingError> {
        let subtotal = |(line, input): (usize, &LineInput)| {
            if !LINE_QUANTITY.contains(&input.quantity) {
                return Err(PricingError::Quantity { line, quantity: input.quantity });
            }
            Ok(not_negative(input.unit_price)?.checked_times(input.quantity)?)
        };
        self.lines.iter().enumerate().map(subtotal).collect()
    }

    /// Returns each line's share of `discount`, in proportion to its subtotal.
    ///
    /// The lines are sorted by their own values first, so that the order of a cart does not decide which of two equal
    /// shares a remaining minor unit is added to: the lines may be taxed differently.
    fn discounts(&self, subtotals: &[Money], discount: Money) -> Result<Vec<Money>, PricingError> {
        let mut order: Vec<usize> = (0..self.lines.len()).collect();
        order.sort_by_key(|i| {
            let line = &self.lines[*i];
            (line.variant_id, line.unit_price.amount, line.quantity, line.tax)
        });
        let weights: Vec<i64> = order.iter().map(|i| subtotals[*i].amount).collect();

        let mut shares = vec![Money::zero(discount.currency); order.len()];
        for (i, share) in order.into_iter().zip(discount.allocate(&weights)?) {
            shares[i] = share;
        }
        Ok(shares)
    }
}

/// Prices a cart.
pub fn price(input: &PricingInput<'_>) -> Result<Priced, PricingError> {
    let zero = Money::zero(input.currency);
    let subtotals = input.line_subtotals()?;
    let subtotal = Money::checked_sum(input.currency, subtotals.iter().copied())?;
    let discount = input.discount.map_or(Ok(zero), |discount| discount.amount_off(subtotal))?;
    let shares = input.discounts(&subtotals, discount)?;

    let mut rates = Rates::new(input.currency);
    let mut lines = Vec::with_capacity(input.lines.len());
    for ((line, subtotal), discount) in input.lines.iter().zip(subtotals).zip(shares) {
        let (tax, total) = rates.add(line.tax, subtotal.checked_sub(discount)?)?;
        lines.push(PricedLine {
            variant_id: line.variant_id,
            quantity: line.quantity,
            unit_price: line.unit_price,
            subtotal,
            discount,
            tax,
            total,
            tax_rate: line.tax,
        });
    }
    let (shipping, shipping_tax, shipping_total) = match input.shipping {
        Some(ShippingInput { amount, tax: rate }) if !amount.is_zero() => {
            let (tax, total) = rates.add(rate, not_negative(amount)?)?;
            (amount, tax, total)
        }
        // an invoice states the tax of what is paid for: free shipping has no rate
        Some(_) | None => (zero, zero, zero),
    };
    let totals = Totals { subtotal, discount, shipping, tax: rates.tax, total: rates.total };
    let tax_by_rate = rates.by_rate.into_values().collect();
    Ok(Priced { lines, totals, shipping_tax, shipping_total, tax_by_rate })
}

/// The sums of the amounts and taxes so far.
struct Rates {
    tax: Money,
    total: Money,
    by_rate: BTreeMap<TaxRate, RateTotal>,
}

impl Rates {
    fn new(currency: Currency) -> Self {
        let zero = Money::zero(currency);
        Self { tax: zero, total: zero, by_rate: BTreeMap::new() }
    }

    /// Adds an amount; returns its tax, and the amount with its tax.
    fn add(&mut self, rate: TaxRate, amount: Money) -> Result<(Money, Money), MoneyError> {
        let (net, tax) = rate.split(amount)?;
        let total = net.checked_add(tax)?;
        self.tax = self.tax.checked_add(tax)?;
        self.total = self.total.checked_add(total)?;
        let zero = Money::zero(amount.currency);
        let TaxRate { basis_points, inclusive } = rate;
        let sums =
            self.by_rate.entry(rate).or_insert(RateTotal { basis_points, inclusive, net: zero, tax: zero });
        sums.net = sums.net.checked_add(net)?;
        sums.tax = sums.tax.checked_add(tax)?;
        Ok((tax, total))
    }
}

fn not_negative(price: Money) -> Result<Money, PricingError> {
    if price.is_negative() { Err(PricingError::NegativePrice { price }) } else { Ok(price) }
}
