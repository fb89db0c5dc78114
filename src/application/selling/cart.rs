//! Carts: created, changed, priced each time they are read, and merged when their user logs in.
//!
//! A change locks the cart, so that concurrent changes wait for each other, and ends by computing its prices: a change
//! after which they cannot be computed fails. A user's cart is accessible to that user only; a guest's cart to each
//! client that knows its id.

use std::sync::Arc;

use jiff::Timestamp;

use crate::domain::cart::{Cart, CartLine, CartStatus, Delivery, MAX_QUANTITY};
use crate::domain::ids::{CartId, UserId, VariantId};
use crate::domain::money::Currency;
use crate::domain::state::State;
use crate::domain::time::later;
use crate::domain::user::User;
use crate::infrastructure::exceptions::{
    Failure, Fault, Location, NotFound, OrderProcessingException, ValidationException,
};
use crate::infrastructure::guards::{AgeFacts, AgeVerificationGuard, CartFacts, CartGuard, Guard};
use crate::infrastructure::repositories::{
    CartRepository, Offer, ProductRepository, StoredResponse, UnitOfWork,
};

use super::priced_cart::{NotPriced, PricedCart, PricedCartLine, price, price_with};
use super::quote::ShippingChoice;
use crate::application::idempotency::{Responder, once_with_value};
use crate::application::{Store, Terms, check_version};

/// Selects a cart.
#[derive(Debug, Clone, Copy)]
pub struct CartSelector {
    /// The cart.
    pub id: CartId,
    /// The user; `None` for a guest.
    pub user_id: Option<UserId>,
    /// The version that a change requires; any if `None`.
    pub version: Option<i64>,
}

/// A change of a cart.
#[derive(Debug, Clone)]
pub enum CartChange {
    /// Adds pieces of a variant to those in the cart.
    AddLine(CartLine),
    /// Sets the quantity of a variant.
    SetLine(CartLine),
    /// Removes a variant.
    RemoveLine(VariantId),
    /// Sets the discount code, which has to apply, or removes it.
    SetDiscount(Option<String>),
    /// Sets the delivery that the cart is priced for.
    SetDelivery(Box<Delivery>),
}

/// Creates an empty cart in a currency; the store's default currency if `None`.
pub async fn create(
    store: &Store,
    user_id: Option<UserId>,
    currency: Option<Currency>,
    responder: Responder<PricedCart>,
) -> Result<StoredResponse, Failure> {
    let given = (Arc::clone(&store.terms), user_id, currency);
    let created = once_with_value(store, responder, given, async |work, (terms, user_id, currency)| {
        create_in(work, terms, *user_id, *currency).await
    });
    Ok(kept(store, created.await?))
}

async fn create_in(
    work: &mut UnitOfWork,
    terms: &Terms,
    user_id: Option<UserId>,
    currency: Option<Currency>,
) -> Result<PricedCart, Failure> {
    let now = work.now();
    let currency = currency.unwrap_or(terms.default_currency);
    check_bounds(terms, currency, 0, "/currency".into())?;
    let cart = Cart {
        id: work.id(),
        user_id,
        currency,
        status: CartStatus::Open,
        discount_code: None,
        delivery: Delivery::default(),
        order_id: None,
        version: 1,
        created_at: now,
        updated_at: now,
        expires_at: later(now, terms.cart),
        lines: Vec::new(),
    };
    work.insert(&cart).await?;
    price(work, terms, now, cart).await
}

/// Changes a cart and returns it with its prices.
pub async fn change(
    store: &Store,
    selector: CartSelector,
    change: CartChange,
) -> Result<PricedCart, Failure> {
    let given = (Arc::clone(&store.terms), selector, change);
    let write = store.database().write(given, async |work, (terms, selector, change)| {
        change_in(work, terms, *selector, change).await
    });
    let priced = write.await?;
    keep(store, &priced);
    Ok(priced)
}

/// Keeps the cart of a response, if it was created for this request.
fn kept(store: &Store, (response, priced): (StoredResponse, Option<PricedCart>)) -> StoredResponse {
    if let Some(priced) = &priced {
        keep(store, priced);
    }
    response
}

/// Keeps a cart that was committed for the next read of it.
pub(super) fn keep(store: &Store, committed: &PricedCart) {
    store.infrastructure.caches.own().cart.keep_committed(committed.cart.clone());
}

/// Changes a cart, and computes its prices.
pub(super) async fn change_in(
    work: &mut UnitOfWork,
    terms: &Terms,
    selector: CartSelector,
    change: &CartChange,
) -> Result<PricedCart, Failure> {
    let mut cart = lock_to_change(work, terms, selector).await?;
    match change {
        CartChange::AddLine(line) => add_line(work, terms, &mut cart, *line).await?,
        CartChange::SetLine(line) => {
            let location = Location::Parameter("variant_id".into());
            check_variant(work, terms, &cart, line.variant_id, location).await?;
            CartRepository::set_line(work, &mut cart, *line).await?;
        }
        CartChange::RemoveLine(variant_id) if !has(&cart, *variant_id) => {
            return Err(NotFound::Variant.into());
        }
        CartChange::RemoveLine(variant_id) => {
            CartRepository::remove_line(work, &mut cart, *variant_id).await?;
        }
        CartChange::SetDiscount(code) => {
            cart.discount_code.clone_from(code);
            work.save(&mut cart).await?;
        }
        CartChange::SetDelivery(delivery) => {
            check_delivery(delivery)?;
            cart.delivery = Delivery::clone(delivery);
            work.save(&mut cart).await?;
        }
    }

    let now = work.now();
    let code = cart.delivery.shipping_method.as_deref();
    let shipping = match change {
        CartChange::SetDelivery(_) => ShippingChoice::method(code),
        _ => ShippingChoice::preferred(code),
    };
    let priced = price_with(work, terms, now, cart, &shipping).await?;
    if let CartChange::AddLine(CartLine { variant_id, .. })
    | CartChange::SetLine(CartLine { variant_id, .. }) = change
    {
        check_amount(&priced, *variant_id)?;
    }
    match (change, &priced.quote.refused_discount) {
        (CartChange::SetDiscount(_), Some(refused)) => Err(refused.clone().into()),
        _ => Ok(priced),
    }
}

/// Adds pieces of a variant to those in the cart.
async fn add_line(
    work: &mut UnitOfWork,
    terms: &Terms,
    cart: &mut Cart,
    line: CartLine,
) -> Result<(), Failure> {
    check_variant(work, terms, cart, line.variant_id, "/variant_id".into()).await?;
    let known = cart.lines.iter().find(|known| known.variant_id == line.variant_id);
    let quantity = known.map_or(0, |known| known.quantity).saturating_add(line.quantity);
    if quantity > MAX_QUANTITY {
        let fault = Fault::Maximum { maximum: MAX_QUANTITY.into() };
        return Err(ValidationException::one("/quantity", fault).into());
    }
    Ok(CartRepository::set_line(work, cart, CartLine { quantity, ..line }).await?)
}

/// Merges a guest's cart into the open cart of a user who logs in. If there is no open cart, or the guest's does not
/// fit into it, the guest's cart becomes one of the user's. A cart that does not exist, or is not a guest's, is
/// ignored.
pub async fn merge(
    work: &mut UnitOfWork,
    terms: &Terms,
    user_id: UserId,
    guest: CartId,
) -> Result<(), Failure> {
    let is_guests = |cart: &Cart| cart.user_id.is_none();
    if !CartRepository(work).by_id(guest).await?.is_some_and(|cart| is_guests(&cart)) {
        return Ok(());
    }
    let now = work.now();
    let own = CartRepository(work).open_of(user_id, now).await?;
    let own = match own {
        Some(own) => CartRepository::lock(work, own.id).await?,
        None => None,
    };
    // Another user may have logged in with the cart before it was locked.
    let guest = CartRepository::lock(work, guest).await?.filter(is_guests);
    let Some(mut guest) = guest else { return Ok(()) };
    match own.filter(|own| fits(terms, own, &guest)) {
        Some(mut own) => {
            for line in &guest.lines {
                let there = own.lines.iter().find(|own| own.variant_id == line.variant_id);
                let quantity =
                    there.map_or(0, |own| own.quantity).saturating_add(line.quantity).min(MAX_QUANTITY);
                CartRepository::set_line(work, &mut own, CartLine { quantity, ..*line }).await?;
            }
            own.discount_code = own.discount_code.or(guest.discount_code.take());
            let delivery = std::mem::take(&mut guest.delivery);
            if own.delivery == Delivery::default() {
                own.delivery = delivery;
            }
            own.expires_at = later(now, terms.cart);
            work.save(&mut own).await?;
            guest.status = guest.status.transition_to(CartStatus::Merged)?;
        }
        None => guest.user_id = Some(user_id),
    }
    work.save(&mut guest).await?;
    Ok(())
}

/// Returns whether a guest's cart fits into a user's: same currency, and not too many lines.
fn fits(terms: &Terms, own: &Cart, guest: &Cart) -> bool {
    let new = guest.lines.iter().filter(|line| !has(own, line.variant_id)).count();
    own.currency == guest.currency && own.lines.len() + new <= terms.cart_bounds.max_lines
}

/// Returns whether a user, or a guest (`None`), has access to a cart.
pub(super) fn is_of(cart: &Cart, user_id: Option<UserId>) -> bool {
    cart.user_id.is_none() || cart.user_id == user_id
}

fn has(cart: &Cart, variant_id: VariantId) -> bool {
    cart.lines.iter().any(|line| line.variant_id == variant_id)
}

/// Locks an open cart that the user may change and that has the required version.
///
/// # Errors
///
/// [`NotFound::Cart`], an [`OrderProcessingException`] if the cart is already ordered, and
/// `Conflict::PreconditionFailed` if it has another version.
pub(super) async fn lock(work: &mut UnitOfWork, selector: CartSelector) -> Result<Cart, Failure> {
    let is_own = |cart: &Cart| is_of(cart, selector.user_id);
    if let Some(cart) = CartRepository::lock(work, selector.id).await?.filter(is_own) {
        check_version(cart.version, selector.version)?;
        return Ok(cart);
    }
    match CartRepository(work).by_id(selector.id).await?.filter(is_own) {
        Some(cart) if cart.status == CartStatus::Ordered => Err(OrderProcessingException::CartOrdered.into()),
        _ => Err(NotFound::Cart.into()),
    }
}

/// Locks a cart to change it, and extends its retention if half of it is over.
async fn lock_to_change(
    work: &mut UnitOfWork,
    terms: &Terms,
    selector: CartSelector,
) -> Result<Cart, Failure> {
    let mut cart = lock(work, selector).await?;
    extend_retention(&mut cart, terms, work.now());
    Ok(cart)
}

/// Extends the retention of a cart that is changed or ordered, if half of it is over. What follows saves the cart.
pub(super) fn extend_retention(cart: &mut Cart, terms: &Terms, now: Timestamp) {
    // not at each change, so that few write the time
    if cart.expires_at < later(now, terms.cart / 2) {
        cart.expires_at = later(now, terms.cart);
    }
}

/// Fails if a variant cannot be added to a cart: it is not sold in the cart's currency, there are too many lines, or
/// the user is known to be too young.
async fn check_variant(
    work: &mut UnitOfWork,
    terms: &Terms,
    cart: &Cart,
    variant_id: VariantId,
    location: Location,
) -> Result<(), Failure> {
    let offers = ProductRepository(work).offers(&[variant_id]).await?;
    let fault = match offers.first() {
        Some(offer) if is_for_sale(offer, cart.currency) => None,
        Some(offer) if offer.active => Some(Fault::NotSoldIn { currency: cart.currency }),
        _ => Some(Fault::NotFound),
    };
    if let Some(fault) = fault {
        return Err(ValidationException::one(location, fault).into());
    }
    if !has(cart, variant_id) {
        check_bounds(terms, cart.currency, cart.lines.len() + 1, location)?;
    }
    let minimum_age = offers.first().and_then(|offer| offer.minimum_age);
    check_age(work, terms, cart, (variant_id, minimum_age)).await
}

/// Fails if a cart with this currency and number of lines is not within the bounds of the store.
fn check_bounds(terms: &Terms, currency: Currency, lines: usize, location: Location) -> Result<(), Failure> {
    let bounds = Arc::clone(&terms.cart_bounds);
    CartGuard::check(CartFacts { bounds, currency, lines, subtotal: None, location }).map(drop)
}

/// Fails if the user is known to be younger than a product allows. A shopper whose age is not known may still log in
/// before the checkout.
async fn check_age(
    work: &mut UnitOfWork,
    terms: &Terms,
    cart: &Cart,
    (variant_id, minimum_age): (VariantId, Option<i64>),
) -> Result<(), Failure> {
    let (Some(user_id), Some(_)) = (cart.user_id, minimum_age) else { return Ok(()) };
    let user: Option<User> = work.find(user_id).await?;
    let today = work.now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let age = user.and_then(|user| user.age_on(today));
    if age.is_none() {
        return Ok(());
    }
    let country = cart.delivery.country().unwrap_or(terms.default_country);
    let rules = Arc::clone(&terms.age_rules);
    AgeVerificationGuard::check(AgeFacts { variant_id, minimum_age, country, rules, age }).map(drop)
}

fn is_for_sale(offer: &Offer, currency: Currency) -> bool {
    offer.active && offer.prices.contains_key(&currency)
}

/// Fails if the price of a variant's pieces is too large.
fn check_amount(priced: &PricedCart, variant_id: VariantId) -> Result<(), Failure> {
    let too_large = |line: &PricedCartLine| line.not_priced == Some(NotPriced::AmountTooLarge);
    if priced.lines.iter().any(|line| line.line.variant_id == variant_id && too_large(line)) {
        return Err(ValidationException::one("/quantity", Fault::AmountTooLarge).into());
    }
    Ok(())
}

/// Fails if the shipping address is in another country than the one that is stated beside it.
fn check_delivery(delivery: &Delivery) -> Result<(), Failure> {
    let Some(address) = &delivery.shipping_address else { return Ok(()) };
    if delivery.country.is_some_and(|country| country != address.country) {
        let allowed = vec![address.country.code().into()];
        return Err(ValidationException::one("/country", Fault::NotAllowed { allowed }).into());
    }
    Ok(())
}
