//! Carts as they are shown between changes, from caches: the cart of the version that the database has, and the offers
//! and the discount that no transaction has dropped. What is shown decides nothing: a change and a checkout read the
//! database in their own transactions. A change that is repeated with its idempotency key is shown in the same way.

use std::sync::Arc;

use crate::application::Store;
use crate::application::idempotency::{Render, Responder, once_with_value};
use crate::domain::cart::{Cart, CartStatus};
use crate::domain::discount::{Discount, code_key};
use crate::domain::ids::{UserId, VariantId};
use crate::infrastructure::cache::{CartVersion, LoadError, Members, Private};
use crate::infrastructure::exceptions::{Failure, NotFound};
use crate::infrastructure::repositories::{CartRepository, StoredResponse};

use super::cart::{CartChange, CartSelector, change_in, is_of, keep};
use super::priced_cart::{PricedCart, price_lines, quote_request};
use super::quote::{QuoteRequest, ShippingChoice, quote_ahead};

/// Returns a cart with its prices, also an ordered one.
pub async fn cart(store: &Store, selector: CartSelector) -> Result<PricedCart, Failure> {
    let version = async {
        let mut connection = store.database().read().await?;
        let found = CartRepository(&mut connection).version(selector.id).await?;
        Ok::<_, Failure>(found.map(|(version, updated_at)| CartVersion {
            id: selector.id,
            version,
            updated_at,
        }))
    };
    let is_shown = |cart: &Cart| {
        let is_there = cart.status != CartStatus::Merged && cart.expires_at > store.now();
        is_there && is_of(cart, selector.user_id)
    };
    show(store, version, is_shown).await
}

/// Changes a cart, once for each idempotency key. A repeated request gets the cart as it is then: the response is not
/// stored, since a guest may send any number of keys, and a cart with many lines is large.
pub async fn change_once(
    store: &Store,
    selector: CartSelector,
    change: CartChange,
    Responder { key, render }: Responder<PricedCart>,
) -> Result<StoredResponse, Failure> {
    let given = (Arc::clone(&store.terms), selector, change);
    let responder = Responder::new(key, WithoutCart(Arc::clone(&render)));
    let changed = once_with_value(store, responder, given, async |work, (terms, selector, change)| {
        change_in(work, terms, *selector, change).await
    });
    match changed.await? {
        (_, Some(priced)) => {
            keep(store, &priced);
            Ok(render.success(&priced))
        }
        (stored, None) if stored.body.is_empty() => Ok(render.success(&cart(store, selector).await?)),
        // a failure, or the response that a release before this one stored
        (stored, None) => Ok(stored),
    }
}

/// Renders what is stored of a response: a failure, or that the change was made.
struct WithoutCart(Arc<dyn Render<PricedCart>>);

impl Render<PricedCart> for WithoutCart {
    fn success(&self, _: &PricedCart) -> StoredResponse {
        StoredResponse { status: 200, headers: Vec::new(), body: Vec::new() }
    }

    fn failure(&self, failure: &Failure) -> StoredResponse {
        self.0.failure(failure)
    }
}

/// Returns the open cart of a user with its prices, the newest if there are several.
pub async fn cart_of(store: &Store, user_id: UserId) -> Result<PricedCart, Failure> {
    let version = async {
        let mut connection = store.database().read().await?;
        let found = CartRepository(&mut connection).open_version_of(user_id, store.now()).await?;
        Ok::<_, Failure>(found.map(|(id, version, updated_at)| CartVersion { id, version, updated_at }))
    };
    // it may have been ordered since its version was read
    show(store, version, |cart| cart.status == CartStatus::Open && cart.user_id == Some(user_id)).await
}

async fn show(
    store: &Store,
    version: impl Future<Output = Result<Option<CartVersion>, Failure>>,
    is_shown: impl Fn(&Cart) -> bool,
) -> Result<PricedCart, Failure> {
    let caches = &store.infrastructure.caches;
    let (members, version) =
        tokio::try_join!(async { caches.current().await.map_err(Failure::from) }, version)?;
    let cart = match caches.own().cart.value(&version.ok_or(NotFound::Cart)?).await {
        Err(LoadError::Missing) => return Err(NotFound::Cart.into()),
        found => found?.0,
    };
    if !is_shown(&cart) {
        return Err(NotFound::Cart.into());
    }
    price(store, members, Cart::clone(&cart)).await
}

/// Computes the prices of a cart as they are shown.
async fn price(store: &Store, members: &Members, cart: Cart) -> Result<PricedCart, Failure> {
    let variants: Vec<VariantId> = cart.lines.iter().map(|line| line.variant_id).collect();
    let offers = async { members.inventory.offers(&variants).await.map_err(Failure::from) };
    let (offers, discount) = tokio::try_join!(offers, discount(members, cart.discount_code.as_deref()))?;

    let shipping = ShippingChoice::preferred(cart.delivery.shipping_method.as_deref());
    let request = QuoteRequest {
        kept_discount: Some(discount.as_deref()),
        ..quote_request(&store.terms, store.now(), &cart, &shipping)
    };
    let mut connection = store.database().read().await?;
    quote_ahead(&mut connection, request);
    let (lines, quote) = price_lines(&mut connection, &cart, request, offers).await?;
    Ok(PricedCart { cart, lines, quote })
}

async fn discount(members: &Members, code: Option<&str>) -> Result<Option<Private<Discount>>, Failure> {
    let Some(code) = code else { return Ok(None) };
    match members.discount.value(&code_key(code)).await {
        Err(LoadError::Missing) => Ok(None),
        found => Ok(Some(found?.0)),
    }
}
