//! Carts: filled, priced each time they are looked at, merged at log-in.
//!
//! A change takes the cart for its unit of work first, so that changes at once stand in line, and ends by pricing it:
//! what cannot be priced is not kept. A user's cart is only theirs; a guest's is held by its unguessable id.

use jiff::Timestamp;

use crate::domain::cart::{Cart, CartItem, CartStatus, MAX_LINES, MAX_QUANTITY};
use crate::domain::ids::{CartId, UserId, VariantId};
use crate::domain::money::Currency;
use crate::domain::pricing::PricedLine;
use crate::domain::state::State;
use crate::domain::time::later;
use crate::infrastructure::exceptions::{
    Conflict, Failure, Fault, Location, NotFound, OrderProcessingException, ValidationException,
};
use crate::infrastructure::repositories::{CartRepository, Connection, Offer, UnitOfWork};

use super::quote::{Quote, QuoteLine, QuoteRequest, ShippingChoice, quote_ahead, quote_offers};
use crate::application::{Policy, Store};

/// A cart as its caller means it.
#[derive(Debug, Clone, Copy)]
pub struct CartSelector {
    /// Which.
    pub id: CartId,
    /// Who asks; `None` is a guest.
    pub user_id: Option<UserId>,
    /// The version that was seen, if no other is to be changed.
    pub version: Option<i64>,
}

/// A cart with what it costs.
#[derive(Debug, Clone)]
pub struct PricedCart {
    /// The cart.
    pub cart: Cart,
    /// Its lines, in its order.
    pub lines: Vec<CartLine>,
    /// What the lines that can be bought cost in the store's own country.
    pub quote: Quote,
}

/// A line of a cart.
#[derive(Debug, Clone)]
pub struct CartLine {
    /// What and how many.
    pub item: CartItem,
    /// What is known of it.
    pub offer: Offer,
    /// What it costs; `None` if it cannot be bought (any more).
    pub priced: Option<PricedLine>,
}

/// A new cart.
pub async fn create(
    work: &mut UnitOfWork,
    policy: &Policy,
    user_id: Option<UserId>,
    currency: Option<Currency>,
) -> Result<PricedCart, Failure> {
    let now = work.now();
    let cart = Cart {
        id: work.id(),
        user_id,
        currency: currency.unwrap_or(policy.default_currency),
        status: CartStatus::Open,
        discount_code: None,
        order_id: None,
        version: 1,
        created_at: now,
        updated_at: now,
        expires_at: later(now, policy.cart),
        items: Vec::new(),
    };
    work.insert(&cart).await?;
    price(work, policy, now, cart).await
}

/// A cart, also one that became an order.
pub async fn cart(store: &Store, meant: CartSelector) -> Result<PricedCart, Failure> {
    let mut connection = store.database().read().await?;
    let now = store.database().context().clock.now();
    let cart = CartRepository(&mut connection).by_id(meant.id).await?;
    let cart = cart.filter(|cart| {
        is_of(cart, meant.user_id) && cart.status != CartStatus::Merged && cart.expires_at > now
    });
    price(&mut connection, &store.policy, now, cart.ok_or(NotFound::Cart)?).await
}

/// The open cart of a user.
pub async fn cart_of(store: &Store, user_id: UserId) -> Result<PricedCart, Failure> {
    let mut connection = store.database().read().await?;
    let now = store.database().context().clock.now();
    let cart = CartRepository(&mut connection).open_of(user_id, now).await?;
    price(&mut connection, &store.policy, now, cart.ok_or(NotFound::Cart)?).await
}

/// Adds pieces of a variant to those that are there.
pub async fn add_item(
    work: &mut UnitOfWork,
    policy: &Policy,
    meant: CartSelector,
    item: CartItem,
) -> Result<PricedCart, Failure> {
    let mut cart = take(work, policy, meant).await?;
    admit(work, &cart, item.variant_id, "/variant_id".into()).await?;
    let known = cart.items.iter().find(|known| known.variant_id == item.variant_id);
    let quantity = known.map_or(0, |known| known.quantity).saturating_add(item.quantity);
    if quantity > MAX_QUANTITY {
        return Err(
            ValidationException::one("/quantity", Fault::Maximum { maximum: MAX_QUANTITY.into() }).into()
        );
    }
    CartRepository::set_item(work, &mut cart, CartItem { quantity, ..item }).await?;
    let now = work.now();
    price(work, policy, now, cart).await
}

/// Sets how many pieces of a variant there are.
pub async fn set_item(
    work: &mut UnitOfWork,
    policy: &Policy,
    meant: CartSelector,
    item: CartItem,
) -> Result<PricedCart, Failure> {
    let mut cart = take(work, policy, meant).await?;
    admit(work, &cart, item.variant_id, Location::Parameter("variant_id".into())).await?;
    CartRepository::set_item(work, &mut cart, item).await?;
    let now = work.now();
    price(work, policy, now, cart).await
}

/// Takes a variant out.
pub async fn remove_item(
    work: &mut UnitOfWork,
    policy: &Policy,
    meant: CartSelector,
    variant_id: VariantId,
) -> Result<PricedCart, Failure> {
    let mut cart = take(work, policy, meant).await?;
    if !has(&cart, variant_id) {
        return Err(NotFound::Variant.into());
    }
    CartRepository::remove_item(work, &mut cart, variant_id).await?;
    let now = work.now();
    price(work, policy, now, cart).await
}

/// Gives it a discount code that applies, or takes the one it has away.
pub async fn set_discount(
    work: &mut UnitOfWork,
    policy: &Policy,
    meant: CartSelector,
    code: Option<String>,
) -> Result<PricedCart, Failure> {
    let mut cart = take(work, policy, meant).await?;
    cart.discount_code = code;
    work.save(&mut cart).await?;
    let now = work.now();
    let priced = price(work, policy, now, cart).await?;
    match &priced.quote.refused_discount {
        Some(refused) => Err(refused.clone().into()),
        None => Ok(priced),
    }
}

/// Gives a guest's cart to the user who logs in: into the one they have, or as theirs where it does not fit in. A cart
/// that is gone, or not a guest's, is left alone.
pub async fn merge(
    work: &mut UnitOfWork,
    policy: &Policy,
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
    // somebody else may have logged in with it meanwhile
    let guest = CartRepository::lock(work, guest).await?.filter(is_guests);
    let Some(mut guest) = guest else { return Ok(()) };
    match own.filter(|own| fits(own, &guest)) {
        Some(mut own) => {
            for item in &guest.items {
                let there = own.items.iter().find(|own| own.variant_id == item.variant_id);
                let quantity =
                    there.map_or(0, |own| own.quantity).saturating_add(item.quantity).min(MAX_QUANTITY);
                CartRepository::set_item(work, &mut own, CartItem { quantity, ..*item }).await?;
            }
            own.discount_code = own.discount_code.or(guest.discount_code.take());
            own.expires_at = later(now, policy.cart);
            work.save(&mut own).await?;
            guest.status = guest.status.step(CartStatus::Merged)?;
        }
        None => guest.user_id = Some(user_id),
    }
    work.save(&mut guest).await?;
    Ok(())
}

/// Whether a guest's cart fits into a user's.
fn fits(own: &Cart, guest: &Cart) -> bool {
    let new = guest.items.iter().filter(|item| !has(own, item.variant_id)).count();
    own.currency == guest.currency && own.items.len() + new <= MAX_LINES
}

fn is_of(cart: &Cart, user_id: Option<UserId>) -> bool {
    cart.user_id.is_none() || cart.user_id == user_id
}

fn has(cart: &Cart, variant_id: VariantId) -> bool {
    cart.items.iter().any(|item| item.variant_id == variant_id)
}

/// Locks a cart that its owner may change.
async fn take(work: &mut UnitOfWork, policy: &Policy, meant: CartSelector) -> Result<Cart, Failure> {
    let Some(mut cart) = CartRepository::lock(work, meant.id).await? else {
        let cart = CartRepository(work).by_id(meant.id).await?;
        return Err(match cart {
            Some(cart) if is_of(&cart, meant.user_id) && cart.status == CartStatus::Ordered => {
                OrderProcessingException::Forbidden { what: "cart", from: "ordered", to: "changed" }.into()
            }
            _ => NotFound::Cart.into(),
        });
    };
    if !is_of(&cart, meant.user_id) {
        return Err(NotFound::Cart.into());
    }
    if meant.version.is_some_and(|seen| seen != cart.version) {
        return Err(Conflict::PreconditionFailed.into());
    }
    // Rarely, since a cart is kept for days and changed within seconds. The change that follows saves it.
    if cart.expires_at < later(work.now(), policy.cart / 2) {
        cart.expires_at = later(work.now(), policy.cart);
    }
    Ok(cart)
}

/// Whether a variant may stand in a cart: it is for sale in its currency, and there is room for its line.
async fn admit(
    work: &mut UnitOfWork,
    cart: &Cart,
    variant_id: VariantId,
    place: Location,
) -> Result<(), Failure> {
    let offers = CartRepository(work).offers(&[variant_id]).await?;
    if !offers.first().is_some_and(|offer| is_for_sale(offer, cart.currency)) {
        return Err(ValidationException::one(place, Fault::NoSuchThing).into());
    }
    if cart.items.len() >= MAX_LINES && !has(cart, variant_id) {
        return Err(ValidationException::one(place, Fault::TooMany { max_items: MAX_LINES }).into());
    }
    Ok(())
}

fn is_for_sale(offer: &Offer, currency: Currency) -> bool {
    offer.active && offer.prices.contains_key(&currency)
}

/// What a cart costs: those of its lines that can be bought, taxed and shipped as at home.
async fn price(
    connection: &mut Connection,
    policy: &Policy,
    now: Timestamp,
    cart: Cart,
) -> Result<PricedCart, Failure> {
    let variants: Vec<VariantId> = cart.items.iter().map(|item| item.variant_id).collect();
    let code = cart.discount_code.as_deref();
    quote_ahead(connection, policy.default_country, code, &ShippingChoice::Cheapest);
    let mut known = CartRepository(connection).offers(&variants).await?;
    let (mut lines, mut wanted, mut offers) = (Vec::with_capacity(variants.len()), Vec::new(), Vec::new());
    for &item in &cart.items {
        let Some(at) = known.iter().position(|offer| offer.variant_id == item.variant_id) else { continue };
        let offer = known.swap_remove(at);
        if is_for_sale(&offer, cart.currency) {
            let CartItem { variant_id, quantity } = item;
            wanted.push(QuoteLine { variant_id, quantity, agreed_price: None });
            offers.push(offer.clone());
        }
        lines.push(CartLine { item, offer, priced: None });
    }
    let request = QuoteRequest {
        now,
        currency: cart.currency,
        lines: &wanted,
        discount_code: cart.discount_code.as_deref(),
        country: policy.default_country,
        shipping: &ShippingChoice::Cheapest,
    };
    let quote = quote_offers(connection, &request, offers).await?;
    let mut priced = quote.priced.lines.iter();
    for line in lines.iter_mut().filter(|line| is_for_sale(&line.offer, cart.currency)) {
        line.priced = priced.next().copied();
    }
    Ok(PricedCart { cart, lines, quote })
}
