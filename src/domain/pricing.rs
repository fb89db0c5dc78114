//! What a cart costs: discount, tax and shipping worked out to the last minor unit.
//!
//! Pure arithmetic over what it is given. Amounts are rounded once a line, and every sum is a sum
//! of rounded lines, so that an invoice adds up in each of its columns. The reasons stand in
//! `docs/decisions/0002-prices-and-tax.md`.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::domain::cart::MAX_QUANTITY;
use crate::domain::discount::Discount;
use crate::domain::ids::VariantId;
use crate::domain::money::{Currency, Money, MoneyError};
use crate::domain::tax::TaxRate;

/// How many pieces one line may have.
pub const LINE_QUANTITY: RangeInclusive<i64> = 1..=MAX_QUANTITY;

/// What is to be priced.
#[derive(Clone, Debug)]
pub struct PricingInput<'a> {
    /// The currency of every amount.
    pub currency: Currency,
    /// The goods.
    pub lines: Vec<LineInput>,
    /// A discount that applies; whether it does is [`Discount::applies`] to say, not pricing.
    pub discount: Option<&'a Discount>,
    /// Shipping, where something is shipped.
    pub shipping: Option<ShippingInput>,
}

/// Some pieces of one variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineInput {
    /// The variant.
    pub variant_id: VariantId,
    /// The price of one piece.
    pub unit_price: Money,
    /// How many pieces, within [`LINE_QUANTITY`].
    pub quantity: i64,
    /// The tax on it.
    pub tax: TaxRate,
}

/// What shipping costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShippingInput {
    /// The price, which no discount touches.
    pub amount: Money,
    /// The tax on it.
    pub tax: TaxRate,
}

/// A priced cart. No amount in it is negative.
///
/// `total` is what the shopper pays: the lines' totals and `shipping_total`. Equally it is
/// `subtotal − discount + shipping` and the tax of exclusive rates; the tax of inclusive ones is
/// contained in the amounts already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Priced {
    /// The lines, in the order given.
    pub lines: Vec<PricedLine>,
    /// The goods before the discount.
    pub subtotal: Money,
    /// What the discount takes off.
    pub discount: Money,
    /// Shipping as its price is stated: with its tax if that is inclusive, without if not.
    pub shipping: Money,
    /// The tax on shipping.
    pub shipping_tax: Money,
    /// What the shopper pays for shipping.
    pub shipping_total: Money,
    /// All tax, contained or added.
    pub tax: Money,
    /// What the shopper pays.
    pub total: Money,
    /// The tax of each rate, by rate; `net` and `tax` of all of them are the total.
    pub tax_by_rate: Vec<RateTotal>,
}

/// A priced line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PricedLine {
    /// The variant.
    pub variant_id: VariantId,
    /// How many pieces.
    pub quantity: i64,
    /// The price of one.
    pub unit_price: Money,
    /// The price of all.
    pub subtotal: Money,
    /// The line's share of the discount.
    pub discount: Money,
    /// The tax on what is left, contained or added.
    pub tax: Money,
    /// What the shopper pays for the line.
    pub total: Money,
    /// The rate of the tax.
    pub tax_rate: TaxRate,
}

/// What is taxed at one rate, and the tax on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateTotal {
    /// The rate in basis points.
    pub basis_points: u32,
    /// Whether prices contain it.
    pub inclusive: bool,
    /// The amounts without tax, after the discount.
    pub net: Money,
    /// The tax on them.
    pub tax: Money,
}

/// Why a cart cannot be priced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PricingError {
    /// A line has no pieces, or more than a line may have.
    #[error("line {line}: {quantity} pieces are not within {LINE_QUANTITY:?}")]
    Quantity {
        /// The line's place, from 0.
        line: usize,
        /// The quantity asked for.
        quantity: i64,
    },
    /// A price is negative.
    #[error("{price} is no price")]
    NegativePrice {
        /// The price.
        price: Money,
    },
    /// An amount is too large, or in another currency.
    #[error(transparent)]
    Money(#[from] MoneyError),
}

impl PricingInput<'_> {
    /// The price of the goods before discount, tax on top and shipping.
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

    /// Each line's share of `discount`, by what the line costs.
    ///
    /// A cent that falls to either of two equal shares must not depend on how a cart is sorted, for
    /// they may be taxed differently: shares are cut in an order of the lines' own.
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
        Some(ShippingInput { amount, tax: rate }) => {
            let (tax, total) = rates.add(rate, not_negative(amount)?)?;
            (amount, tax, total)
        }
        None => (zero, zero, zero),
    };
    let (tax, total) = (rates.tax, rates.total);
    let tax_by_rate = rates.by_rate.into_values().collect();
    Ok(Priced { lines, subtotal, discount, shipping, shipping_tax, shipping_total, tax, total, tax_by_rate })
}

/// The running sums of what is taxed.
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

    /// Taxes `amount`; answers the tax, and the amount with it.
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
