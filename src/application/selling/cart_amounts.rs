//! Which lines of a cart are priced: those that are sold in its currency, up to the largest subtotal.

use crate::domain::cart::CartLine;
use crate::domain::money::Currency;
use crate::infrastructure::repositories::Offer;

/// The largest subtotal of a cart in minor units. Tax of 100 % and shipping fit beside it in 64 bits.
const MAX_SUBTOTAL: i64 = i64::MAX / 4;

/// The reason why a line of a cart has no price and is not in the totals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotPriced {
    /// The variant is not sold in the currency of the cart.
    NotSold,
    /// The price of all pieces, with those of the lines before, is too large.
    AmountTooLarge,
}

impl NotPriced {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotSold => "not_sold",
            Self::AmountTooLarge => "amount_too_large",
        }
    }
}

/// Adds the price of a line to the subtotal of the lines before.
pub(super) fn add_line(
    subtotal: &mut i64,
    offer: &Offer,
    line: CartLine,
    currency: Currency,
) -> Result<(), NotPriced> {
    let price = offer.prices.get(&currency).filter(|_| offer.active).ok_or(NotPriced::NotSold)?;
    let sum = price.checked_mul(line.quantity).and_then(|amount| subtotal.checked_add(amount));
    *subtotal = sum.filter(|sum| *sum <= MAX_SUBTOTAL).ok_or(NotPriced::AmountTooLarge)?;
    Ok(())
}
