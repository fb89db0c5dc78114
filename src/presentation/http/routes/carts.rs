//! Carts.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::application::selling::cart::{self, CartChange, CartSelector};
use crate::application::selling::priced_cart::PricedCart;
use crate::application::selling::shown_cart;
use crate::domain::cart::{CartLine, Delivery};
use crate::domain::ids::{CartId, VariantId};
use crate::domain::money::Currency;
use crate::infrastructure::exceptions::{
    AgeRestriction, InvalidDiscountCodeException, NotFound, OrderProcessingException,
    UnauthorizedAccessException,
};
use crate::presentation::http::bodies::CartBody;
use crate::presentation::http::conditional::{IfMatch, IfNoneMatch};
use crate::presentation::http::idempotency_key::Idempotent;
use crate::presentation::http::json::Json;
use crate::presentation::http::operation::any;
use crate::presentation::http::principal::{Anyone, LoggedIn};
use crate::presentation::http::query::Path;
use crate::presentation::http::rate_classes::{DISCOUNT_CODE, NEW_CART};
use crate::presentation::http::response::{HandlerResult, StoredResponse, changed, created};
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::{AppState, State};

/// The failure of a user who is younger than a product allows.
const TOO_YOUNG: UnauthorizedAccessException =
    UnauthorizedAccessException::AgeRestricted(AgeRestriction::EXAMPLE);

pub(super) fn routes() -> Routes {
    let discount_code = routes![
        set_cart_discount: [NotFound::Cart, any::<InvalidDiscountCodeException>(), any::<OrderProcessingException>()],
    ];
    let new_cart = routes![create_cart];
    let others = routes![
        get_cart: [NotFound::Cart],
        get_own_cart: [NotFound::Cart],
        add_cart_item: [NotFound::Cart, TOO_YOUNG, any::<OrderProcessingException>()],
        set_cart_item: [NotFound::Cart, TOO_YOUNG, any::<OrderProcessingException>()],
        remove_cart_item: [NotFound::Cart, NotFound::Variant, any::<OrderProcessingException>()],
        remove_cart_discount: [NotFound::Cart, any::<OrderProcessingException>()],
        set_cart_delivery: [NotFound::Cart, any::<OrderProcessingException>()],
    ];
    others.and(new_cart.limited(NEW_CART)).and(discount_code.limited(DISCOUNT_CODE))
}

/// The cart in a path.
#[derive(Debug, Clone, Copy, Deserialize)]
struct OfCart {
    id: CartId,
}

/// The variant in a path. It is an argument beside that of the cart, so that the faults of both are listed.
#[derive(Debug, Clone, Copy, Deserialize)]
struct OfVariant {
    variant_id: VariantId,
}

/// The cart to create.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateCart {
    /// The currency of the prices. If omitted, it is the store's default currency.
    currency: Option<Currency>,
}

/// The pieces to add.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AddCartItem {
    /// The variant.
    variant_id: VariantId,
    /// The number of pieces to add.
    #[schema(minimum = 1, maximum = 9999)]
    quantity: i64,
}

/// The new quantity of a variant.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SetCartItem {
    /// The number of pieces.
    #[schema(minimum = 1, maximum = 9999)]
    quantity: i64,
}

/// The discount code of a cart.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SetCartDiscount {
    /// The code. Letter case does not matter.
    #[schema(min_length = 1, max_length = 64)]
    code: String,
}

/// Create a cart
///
/// The cart belongs to the logged-in user, or to a guest. Only its id protects a guest's cart.
#[utoipa::path(post, path = "/v1/carts", tag = "carts", request_body = Option<CreateCart>,
    responses((status = 201, body = CartBody)))]
async fn create_cart(
    principal: Anyone,
    State(app): State<AppState>,
    request: Idempotent<CreateCart>,
) -> HandlerResult<StoredResponse> {
    let user_id = principal.user_id();
    let location = |priced: &PricedCart| format!("/v1/carts/{}", priced.cart.id);
    let (new, responder) = request.into_parts(user_id, created(location, CartBody::response))?;
    cart::create(&app.store, user_id, new.currency, responder).await
}

/// Get a cart
///
/// The cart has current prices and availability.
#[utoipa::path(get, path = "/v1/carts/{id}", tag = "carts", params(("id" = Uuid, Path)),
    responses((status = 200, body = CartBody)))]
async fn get_cart(
    principal: Anyone,
    State(app): State<AppState>,
    Path(id): Path<CartId>,
    if_none_match: IfNoneMatch,
) -> HandlerResult {
    let selector = CartSelector { id, user_id: principal.user_id(), version: None };
    let priced = shown_cart::cart(&app.store, selector).await?;
    Ok(if_none_match.respond(priced.cart.version, &CartBody::of(&priced)))
}

/// Get the user's open cart
///
/// Returns the newest open cart of the user.
#[utoipa::path(get, path = "/v1/me/cart", tag = "carts", responses((status = 200, body = CartBody)))]
async fn get_own_cart(
    principal: LoggedIn,
    State(app): State<AppState>,
    if_none_match: IfNoneMatch,
) -> HandlerResult {
    let priced = shown_cart::cart_of(&app.store, principal.user_id()).await?;
    Ok(if_none_match.respond(priced.cart.version, &CartBody::of(&priced)))
}

/// Add pieces of a variant
///
/// Adds pieces to those of the same variant that are in the cart. A request that is repeated with its idempotency key
/// adds nothing, and gets the cart as it is then.
#[utoipa::path(post, path = "/v1/carts/{id}/items", tag = "carts", params(("id" = Uuid, Path)),
    request_body = AddCartItem, responses((status = 200, body = CartBody)))]
async fn add_cart_item(
    principal: Anyone,
    State(app): State<AppState>,
    Path(id): Path<CartId>,
    IfMatch(version): IfMatch,
    request: Idempotent<AddCartItem>,
) -> HandlerResult<StoredResponse> {
    let selector = CartSelector { id, user_id: principal.user_id(), version };
    let (AddCartItem { variant_id, quantity }, responder) =
        request.into_parts(selector.user_id, changed(CartBody::response))?;
    let item = CartLine { variant_id, quantity };
    shown_cart::change_once(&app.store, selector, CartChange::AddLine(item), responder).await
}

/// Set the quantity of a variant
///
/// Sets the number of pieces of the variant in the cart, and adds the variant if it is not there.
#[utoipa::path(put, path = "/v1/carts/{id}/items/{variant_id}", tag = "carts",
    params(("id" = Uuid, Path), ("variant_id" = Uuid, Path)), request_body = SetCartItem,
    responses((status = 200, body = CartBody)))]
async fn set_cart_item(
    principal: Anyone,
    State(app): State<AppState>,
    Path(OfCart { id }): Path<OfCart>,
    Path(OfVariant { variant_id }): Path<OfVariant>,
    IfMatch(version): IfMatch,
    Json(SetCartItem { quantity }): Json<SetCartItem>,
) -> HandlerResult<StoredResponse> {
    let selector = CartSelector { id, user_id: principal.user_id(), version };
    let change = CartChange::SetLine(CartLine { variant_id, quantity });
    Ok(CartBody::response(&cart::change(&app.store, selector, change).await?))
}

/// Remove a variant from the cart
///
/// Removes all pieces of the variant.
#[utoipa::path(delete, path = "/v1/carts/{id}/items/{variant_id}", tag = "carts",
    params(("id" = Uuid, Path), ("variant_id" = Uuid, Path)), responses((status = 200, body = CartBody)))]
async fn remove_cart_item(
    principal: Anyone,
    State(app): State<AppState>,
    Path(OfCart { id }): Path<OfCart>,
    Path(OfVariant { variant_id }): Path<OfVariant>,
    IfMatch(version): IfMatch,
) -> HandlerResult<StoredResponse> {
    let selector = CartSelector { id, user_id: principal.user_id(), version };
    let change = CartChange::RemoveLine(variant_id);
    Ok(CartBody::response(&cart::change(&app.store, selector, change).await?))
}

/// Set the discount code
///
/// Replaces the discount code of the cart. The request fails with `invalid_discount_code` if the discount does not
/// apply.
#[utoipa::path(put, path = "/v1/carts/{id}/discount", tag = "carts", params(("id" = Uuid, Path)),
    request_body = SetCartDiscount, responses((status = 200, body = CartBody)))]
async fn set_cart_discount(
    principal: Anyone,
    State(app): State<AppState>,
    Path(id): Path<CartId>,
    IfMatch(version): IfMatch,
    Json(SetCartDiscount { code }): Json<SetCartDiscount>,
) -> HandlerResult<StoredResponse> {
    let selector = CartSelector { id, user_id: principal.user_id(), version };
    let change = CartChange::SetDiscount(Some(code));
    Ok(CartBody::response(&cart::change(&app.store, selector, change).await?))
}

/// Remove the discount code
///
/// The prices of the cart are computed without a discount.
#[utoipa::path(delete, path = "/v1/carts/{id}/discount", tag = "carts", params(("id" = Uuid, Path)),
    responses((status = 200, body = CartBody)))]
async fn remove_cart_discount(
    principal: Anyone,
    State(app): State<AppState>,
    Path(id): Path<CartId>,
    IfMatch(version): IfMatch,
) -> HandlerResult<StoredResponse> {
    let selector = CartSelector { id, user_id: principal.user_id(), version };
    let change = CartChange::SetDiscount(None);
    Ok(CartBody::response(&cart::change(&app.store, selector, change).await?))
}

/// Set the delivery
///
/// Replaces the delivery of the cart, for which its prices are computed; members that are omitted are removed. The
/// checkout takes what it does not state itself from here. A shipping method that does not deliver the items to the
/// country is a fault.
#[utoipa::path(put, path = "/v1/carts/{id}/delivery", tag = "carts", params(("id" = Uuid, Path)),
    request_body = Delivery, responses((status = 200, body = CartBody)))]
async fn set_cart_delivery(
    principal: Anyone,
    State(app): State<AppState>,
    Path(id): Path<CartId>,
    IfMatch(version): IfMatch,
    Json(delivery): Json<Delivery>,
) -> HandlerResult<StoredResponse> {
    let selector = CartSelector { id, user_id: principal.user_id(), version };
    let change = CartChange::SetDelivery(Box::new(delivery));
    Ok(CartBody::response(&cart::change(&app.store, selector, change).await?))
}
