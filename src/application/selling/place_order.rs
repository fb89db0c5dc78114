//! Places the orders of checkouts, renewals and imports.
//!
//! One unit of work prices the lines, reserves their stock, redeems the discount, and writes the order, the payment and
//! the events. Conditional updates of the database keep concurrent orders within the stock and the usage limit.

use std::sync::Arc;

use crate::domain::address::Address;
use crate::domain::discount::DiscountRejection;
use crate::domain::events::{OrderPlaced, StockDepleted};
use crate::domain::ids::{CartId, OrderId, PaymentId, SubscriptionId, UserId, VariantId};
use crate::domain::money::{Currency, Money};
use crate::domain::order::{Order, OrderLine, OrderStatus};
use crate::domain::payment::{FIRST_RETRY, OperationKind, Payment, PaymentOperation, PaymentStatus};
use crate::domain::placed_order::PlacedOrder;
use crate::domain::pricing::Totals;
use crate::domain::time::later;
use crate::infrastructure::exceptions::{
    Failure, Fault, InvalidDiscountCodeException, ProductOutOfStockException, TotalChangedException,
    UnauthorizedAccessException, ValidationException,
};
use crate::infrastructure::guards::{AgeFacts, AgeVerificationGuard, CartFacts, CartGuard, Guard};
use crate::infrastructure::repositories::{
    DiscountRepository, InventoryRepository, Offer, ReserveError, UnitOfWork, next_number, next_number_ahead,
};

use super::holds::Holders;
use super::quote::{LinePrice, Quote, QuoteLine, QuoteRequest, ShippingChoice, quote};
use crate::application::Terms;
use crate::application::payments::invoicing;

/// The counter of order numbers.
const NUMBERS: &str = "order";

/// An order to be placed.
#[derive(Debug, Clone)]
pub struct OrderDraft {
    /// The id of the order.
    pub id: OrderId,
    /// The id of its payment.
    pub payment_id: PaymentId,
    /// The buyer; `None` is a guest.
    pub user_id: Option<UserId>,
    /// The buyer's age in years, if it is known.
    pub age: Option<i64>,
    /// The buyer's e-mail address.
    pub email: String,
    /// The cart that is ordered.
    pub cart_id: Option<CartId>,
    /// The owner of the cart; `None` if it is that of a guest, which everyone uses who has its id.
    pub cart_owner: Option<UserId>,
    /// The subscription of which the order pays a period.
    pub subscription_id: Option<SubscriptionId>,
    /// The currency.
    pub currency: Currency,
    /// The variants with their quantities.
    pub lines: Vec<QuoteLine>,
    /// The total that the buyer was shown; any if `None`.
    pub expected_total: Option<Money>,
    /// The discount code.
    pub discount_code: Option<String>,
    /// The shipping method.
    pub shipping: ShippingChoice,
    /// The address to which the order is delivered.
    pub shipping_address: Address,
    /// The address of the invoice.
    pub billing_address: Address,
    /// Who holds the pieces until the order is paid.
    pub holders: Holders,
    /// The payment provider.
    pub provider: String,
    /// The payment method token.
    pub token: String,
}

/// Places an order; its payment is pending and its stock reserved. The order of an import publishes no events.
///
/// # Errors
///
/// A [`TotalChangedException`] if the total is not the expected one, and those of [`Holders::hold`]; then nothing is
/// reserved.
pub async fn place_order(
    work: &mut UnitOfWork,
    terms: &Terms,
    draft: &OrderDraft,
) -> Result<PlacedOrder, Failure> {
    if draft.lines.is_empty() {
        return Err(ValidationException::one("/items", Fault::TooFew { min_items: 1 }).into());
    }
    let request = QuoteRequest {
        now: work.now(),
        currency: draft.currency,
        discount_code: draft.discount_code.as_deref(),
        kept_discount: None,
        country: draft.shipping_address.country,
        shipping: &draft.shipping,
    };
    let quote = quote(work, request, &draft.lines).await?;
    admit(terms, draft, &quote)?;

    // sent together; the order number is last, since other transactions wait for its lock
    let now = work.now();
    let pieces: Vec<_> = draft.lines.iter().map(|line| (line.variant_id, line.quantity)).collect();
    InventoryRepository::reserve_ahead(work, &pieces);
    if let Some(discount) = &quote.discount {
        DiscountRepository::redeem_ahead(work, discount.id, now);
    }
    draft.holders.lock_ahead(work).await?;
    next_number_ahead(work, NUMBERS);

    let depleted = reserve(work, draft.id, &pieces, &quote).await?;
    let reserved_until = later(now, terms.reservation_of(draft.user_id));
    let count = pieces.iter().fold(0_i64, |sum, (_, quantity)| sum.saturating_add(*quantity));
    draft.holders.hold(work, draft.id, count, reserved_until).await?;
    let number = next_number(work, NUMBERS).await?;
    let order = order(terms, draft, &quote, number, now);
    let total = order.total;
    let retry_at = later(now, FIRST_RETRY);
    let payment = payment(draft, total, now, retry_at);
    work.insert(&order).await?;
    redeem_discount(work, draft, &quote).await?;
    work.insert(&payment).await?;
    let operation =
        PaymentOperation::pending(work.id(), payment.id, OperationKind::Authorize, payment.amount, now);
    work.insert(&operation).await?;
    if !payment.is_imported() {
        for variant_id in depleted {
            work.publish(&StockDepleted { variant_id }).await?;
        }
        let Order { id: order_id, user_id, .. } = order;
        // who reads events must not get the cart of a guest, which a declined payment opens again
        let cart_id = order.cart_id.filter(|_| draft.cart_owner.is_some());
        work.publish(&OrderPlaced { order_id, number, user_id, cart_id, total }).await?;
    }
    tracing::debug!(order = %order.id, %reserved_until, "order placed");
    Ok(PlacedOrder { order, payment })
}

/// Checks that the buyer may order these variants to this address.
fn admit(terms: &Terms, draft: &OrderDraft, quote: &Quote) -> Result<(), Failure> {
    if let Some(refused) = &quote.refused_discount {
        return Err(refused.clone().into());
    }
    // what was sold outside the store was allowed there
    let sold_here = |(line, _): &(&QuoteLine, &Offer)| !matches!(line.price, LinePrice::Paid(_));
    let lines = || draft.lines.iter().zip(&quote.offers).filter(sold_here);
    for (_, offer) in lines() {
        AgeVerificationGuard::check(AgeFacts {
            variant_id: offer.variant_id,
            minimum_age: offer.minimum_age,
            country: draft.shipping_address.country,
            rules: Arc::clone(&terms.age_rules),
            age: draft.age,
        })?;
    }
    let recurring = lines().any(|(line, offer)| line.price.billing_interval(offer).is_some());
    if recurring && draft.user_id.is_none() {
        return Err(UnauthorizedAccessException::NotLoggedIn.into());
    }
    if draft.cart_id.is_some() {
        CartGuard::check(CartFacts {
            bounds: Arc::clone(&terms.cart_bounds),
            currency: draft.currency,
            lines: draft.lines.len(),
            subtotal: Some(quote.priced.totals.subtotal),
            location: "".into(),
        })?;
    }
    if quote.undeliverable {
        let country = draft.shipping_address.country;
        let fault = Fault::DoesNotShip { country, currency: draft.currency };
        return Err(ValidationException::one("/shipping_address/country", fault).into());
    }
    check_total(draft, quote)
}

/// Checks that the total is the one that the buyer was shown.
fn check_total(draft: &OrderDraft, quote: &Quote) -> Result<(), Failure> {
    let Some(expected) = draft.expected_total else { return Ok(()) };
    if expected.currency != draft.currency {
        let fault = Fault::WrongCurrency { expected: draft.currency.to_string() };
        return Err(ValidationException::one("/expected_total/currency", fault).into());
    }
    let totals = quote.priced.totals;
    if expected != totals.total {
        return Err(TotalChangedException { expected, totals }.into());
    }
    Ok(())
}

/// Redeems the discount, unless its usage limit is reached.
async fn redeem_discount(work: &mut UnitOfWork, draft: &OrderDraft, quote: &Quote) -> Result<(), Failure> {
    let Some(discount) = &quote.discount else { return Ok(()) };
    let now = work.now();
    if DiscountRepository::redeem(work, discount.id, draft.id, now).await? {
        return Ok(());
    }
    let reason = Some(DiscountRejection::UsedUp);
    Err(InvalidDiscountCodeException { discount_code: discount.code.clone(), reason }.into())
}

/// Reserves the stock, all of it or none. Returns the variants of which nothing is available any more.
async fn reserve(
    work: &mut UnitOfWork,
    order_id: OrderId,
    pieces: &[(VariantId, i64)],
    quote: &Quote,
) -> Result<Vec<VariantId>, Failure> {
    let (variant_id, available) = match InventoryRepository::reserve(work, order_id, pieces).await {
        Ok(depleted) => return Ok(depleted),
        Err(ReserveError::OutOfStock { variant_id, available }) => (variant_id, available),
        Err(ReserveError::Database(error)) => return Err(error.into()),
    };
    let offer = quote.offers.iter().find(|offer| offer.variant_id == variant_id);
    let requested = pieces.iter().filter(|(id, _)| *id == variant_id).map(|(_, quantity)| quantity);
    Err(ProductOutOfStockException {
        variant_id,
        sku: offer.map(|offer| offer.sku.clone()).unwrap_or_default(),
        requested: requested.sum(),
        available,
    }
    .into())
}

fn order(terms: &Terms, draft: &OrderDraft, quote: &Quote, number: i64, now: jiff::Timestamp) -> Order {
    let priced = &quote.priced;
    let Totals { subtotal, discount, shipping, tax, total } = priced.totals;
    let requested = draft.lines.iter().zip(&quote.offers);
    let lines =
        priced.lines.iter().zip(requested).zip(1..).map(|((line, (requested, offer)), position)| OrderLine {
            position,
            variant_id: line.variant_id,
            product_id: offer.product_id,
            sku: offer.sku.clone(),
            kind: offer.kind,
            billing_interval: requested.price.billing_interval(offer),
            name: offer.name.clone(),
            quantity: line.quantity,
            unit_price: line.unit_price,
            discount: line.discount,
            tax: line.tax,
            tax_basis_points: line.tax_rate.basis_points.into(),
            tax_inclusive: line.tax_rate.inclusive,
            total: line.total,
        });
    Order {
        id: draft.id,
        number,
        user_id: draft.user_id,
        email: draft.email.clone(),
        seller: terms.name.clone(),
        status: OrderStatus::Pending,
        cart_id: draft.cart_id,
        subscription_id: draft.subscription_id,
        currency: draft.currency,
        subtotal,
        discount,
        shipping,
        tax,
        total,
        taxes: invoicing::taxes(priced),
        discount_code: quote.discount.as_ref().map(|discount| discount.code.clone()),
        shipping_method: quote.shipping.as_ref().map(|method| method.code.clone()),
        shipping_address: draft.shipping_address.clone(),
        billing_address: draft.billing_address.clone(),
        lines: lines.collect(),
        tracking_code: None,
        version: 1,
        placed_at: now,
        updated_at: now,
        fulfilled_at: None,
    }
}

fn payment(draft: &OrderDraft, total: Money, now: jiff::Timestamp, retry_at: jiff::Timestamp) -> Payment {
    let zero = Money::zero(total.currency);
    Payment {
        id: draft.payment_id,
        order_id: draft.id,
        provider: draft.provider.clone(),
        token: draft.token.clone(),
        provider_reference: None,
        status: PaymentStatus::Pending,
        currency: total.currency,
        amount: total,
        authorized: zero,
        captured: zero,
        capturing: zero,
        voiding: zero,
        refunded: zero,
        refunding: zero,
        failure: None,
        action_url: None,
        attempts: 0,
        next_attempt_at: Some(retry_at),
        watched_until: None,
        version: 1,
        created_at: now,
        updated_at: now,
    }
}
