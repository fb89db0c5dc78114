//! The prices of a cart: of the lines that are sold in its currency, up to the largest subtotal.

use jiff::Timestamp;

use super::quote::{Quote, QuoteRequest, ShippingChoice, quote_ahead, quote_offers};
use crate::application::Terms;
use crate::domain::cart::{Cart, CartLine};
use crate::domain::ids::VariantId;
use crate::domain::money::Currency;
use crate::domain::pricing::PricedLine;
use crate::infrastructure::exceptions::Failure;
use crate::infrastructure::repositories::{Connection, Offer, ProductRepository};

/// The largest subtotal of a cart in minor units. Tax of 100 % and the largest price of shipping fit beside it in 64
/// bits.
const MAX_SUBTOTAL: i64 = i64::MAX / 4;

/// A cart with its prices.
#[derive(Debug, Clone)]
pub struct PricedCart {
    /// The cart.
    pub cart: Cart,
    /// The lines, in the order of the cart.
    pub lines: Vec<PricedCartLine>,
    /// The prices of the lines that can be bought, for the delivery of the cart.
    pub quote: Quote,
}

/// A line of a cart with its offer and its prices.
#[derive(Debug, Clone)]
pub struct PricedCartLine {
    /// The variant and its quantity.
    pub line: CartLine,
    /// The offer of the variant.
    pub offer: Offer,
    /// The prices; `None` if the line is not priced.
    pub priced: Option<PricedLine>,
    /// The reason why the line is not priced.
    pub not_priced: Option<NotPriced>,
}

/// The reason why a line of a cart has no price and is not in the totals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotPriced {
    /// The variant is not sold in the currency of the cart.
    NotSold,
    /// The price of all pieces, with those of the lines before, is too large.
    AmountTooLarge,
}

impl NotPriced {
    /// Returns the name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotSold => "not_sold",
            Self::AmountTooLarge => "amount_too_large",
        }
    }
}

/// Computes the prices of a cart: of the lines that can be bought, for the delivery of the cart. If its shipping method
/// is not available any more, the cheapest one applies.
pub(super) async fn price(
    connection: &mut Connection,
    terms: &Terms,
    now: Timestamp,
    cart: Cart,
) -> Result<PricedCart, Failure> {
    let shipping = ShippingChoice::preferred(cart.delivery.shipping_method.as_deref());
    price_with(connection, terms, now, cart, &shipping).await
}

/// Computes the prices of a cart with this choice of the shipping method.
pub(super) async fn price_with(
    connection: &mut Connection,
    terms: &Terms,
    now: Timestamp,
    cart: Cart,
    shipping: &ShippingChoice,
) -> Result<PricedCart, Failure> {
    let variants: Vec<VariantId> = cart.lines.iter().map(|line| line.variant_id).collect();
    let request = quote_request(terms, now, &cart, shipping);
    quote_ahead(connection, request);
    let offers = ProductRepository(connection).offers(&variants).await?;
    let (lines, quote) = price_lines(connection, &cart, request, offers).await?;
    Ok(PricedCart { cart, lines, quote })
}

/// Returns what the prices of a cart depend on beside its lines.
pub(super) fn quote_request<'a>(
    terms: &Terms,
    now: Timestamp,
    cart: &'a Cart,
    shipping: &'a ShippingChoice,
) -> QuoteRequest<'a> {
    let country = cart.delivery.country().unwrap_or(terms.default_country);
    let discount_code = cart.discount_code.as_deref();
    QuoteRequest { now, currency: cart.currency, discount_code, kept_discount: None, country, shipping }
}

/// Computes the prices of the lines of a cart from the offers of its variants.
pub(super) async fn price_lines(
    connection: &mut Connection,
    cart: &Cart,
    request: QuoteRequest<'_>,
    mut known: Vec<Offer>,
) -> Result<(Vec<PricedCartLine>, Quote), Failure> {
    let (mut lines, mut quoted, mut offers) = (Vec::with_capacity(known.len()), Vec::new(), Vec::new());
    let mut subtotal = 0;
    for &line in &cart.lines {
        let Some(at) = known.iter().position(|offer| offer.variant_id == line.variant_id) else { continue };
        let offer = known.swap_remove(at);
        let not_priced = add_line(&mut subtotal, &offer, line, cart.currency).err();
        if not_priced.is_none() {
            quoted.push(line.into());
            offers.push(offer.clone());
        }
        lines.push(PricedCartLine { line, offer, priced: None, not_priced });
    }
    let quote = quote_offers(connection, request, &quoted, offers).await?;
    let mut priced = quote.priced.lines.iter();
    for line in lines.iter_mut().filter(|line| line.not_priced.is_none()) {
        line.priced = priced.next().copied();
    }
    Ok((lines, quote))
}

/// Adds the price of a line to the subtotal of the lines before.
fn add_line(subtotal: &mut i64, offer: &Offer, line: CartLine, currency: Currency) -> Result<(), NotPriced> {
    let price = offer.prices.get(&currency).filter(|_| offer.active).ok_or(NotPriced::NotSold)?;
    let sum = price.checked_mul(line.quantity).and_then(|amount| subtotal.checked_add(amount));
    *subtotal = sum.filter(|sum| *sum <= MAX_SUBTOTAL).ok_or(NotPriced::AmountTooLarge)?;
    Ok(())
}
