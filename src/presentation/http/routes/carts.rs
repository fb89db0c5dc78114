//! Carts: filled, changed, looked at.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::application::selling::cart::{self, CartSelector, PricedCart};
use crate::application::{Policy, idempotency::once};
use crate::domain::cart::CartItem;
use crate::domain::ids::{CartId, VariantId};
use crate::domain::money::Currency;
use crate::infrastructure::exceptions::Failure;
use crate::infrastructure::repositories::{UnitOfWork, Work};
use crate::presentation::http::answer::{HandlerResult, created, done};
use crate::presentation::http::bodies::CartBody;
use crate::presentation::http::conditional::{IfMatch, IfNoneMatch, changed, fresh};
use crate::presentation::http::idempotency_key::Idempotent;
use crate::presentation::http::json::Json;
use crate::presentation::http::principal::{Anyone, SignedIn};
use crate::presentation::http::query::Path;
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::AppState;

pub(super) fn routes() -> Routes {
    routes![create, get, mine, add_item, set_item, remove_item, set_discount, remove_discount]
}

/// What a new cart is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewCart {
    /// The currency it is priced in; the store's own if it is not said.
    currency: Option<Currency>,
}

/// Pieces of a variant that are to be added.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewItem {
    /// What.
    variant_id: VariantId,
    /// How many more.
    #[schema(minimum = 1, maximum = 9999)]
    quantity: i64,
}

/// How many pieces there are to be.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Quantity {
    /// How many.
    #[schema(minimum = 1, maximum = 9999)]
    quantity: i64,
}

/// A discount code.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Code {
    /// The code, in any spelling.
    #[schema(min_length = 1, max_length = 64)]
    code: String,
}

/// Makes a cart: the caller's if they are signed in, else a guest's.
#[utoipa::path(post, path = "/v1/carts", tag = "carts", request_body = NewCart,
    responses((status = 201, body = CartBody)))]
async fn create(who: Anyone, State(app): State<AppState>, request: Idempotent<NewCart>) -> HandlerResult {
    let (user_id, currency) = (who.user_id(), request.body.currency);
    let render =
        created(|priced: &PricedCart| (format!("/v1/carts/{}", priced.cart.id), CartBody::answer(priced)));
    let policy = Arc::clone(&app.store.policy);
    let answer = once(&app.store, request.key(user_id), Arc::new(render), move |work| {
        let policy = Arc::clone(&policy);
        Box::pin(async move { cart::create(work, &policy, user_id, currency).await })
    });
    Ok(answer.await?.into_response())
}

/// A cart, priced now.
#[utoipa::path(get, path = "/v1/carts/{id}", tag = "carts", params(("id" = Uuid, Path)),
    responses((status = 200, body = CartBody)))]
async fn get(
    who: Anyone,
    State(app): State<AppState>,
    Path(id): Path<CartId>,
    known: IfNoneMatch,
) -> HandlerResult {
    let priced = cart::cart(&app.store, CartSelector { id, user_id: who.user_id(), version: None }).await?;
    fresh(priced.cart.version, &CartBody::of(&priced), &known)
}

/// The caller's open cart.
#[utoipa::path(get, path = "/v1/me/cart", tag = "carts", responses((status = 200, body = CartBody)))]
async fn mine(who: SignedIn, State(app): State<AppState>, known: IfNoneMatch) -> HandlerResult {
    let priced = cart::cart_of(&app.store, who.user_id()).await?;
    fresh(priced.cart.version, &CartBody::of(&priced), &known)
}

/// Adds pieces of a variant to those that are in the cart.
#[utoipa::path(post, path = "/v1/carts/{id}/items", tag = "carts", params(("id" = Uuid, Path)),
    request_body = NewItem, responses((status = 200, body = CartBody)))]
async fn add_item(
    who: Anyone,
    State(app): State<AppState>,
    Path(id): Path<CartId>,
    IfMatch(version): IfMatch,
    request: Idempotent<NewItem>,
) -> HandlerResult {
    let meant = CartSelector { id, user_id: who.user_id(), version };
    let NewItem { variant_id, quantity } = request.body;
    let policy = Arc::clone(&app.store.policy);
    let render = Arc::new(done(CartBody::answer));
    let answer = once(&app.store, request.key(meant.user_id), render, move |work| {
        let policy = Arc::clone(&policy);
        let item = CartItem { variant_id, quantity };
        Box::pin(async move { cart::add_item(work, &policy, meant, item).await })
    });
    Ok(answer.await?.into_response())
}

/// Sets how many pieces of a variant are in the cart.
#[utoipa::path(put, path = "/v1/carts/{id}/items/{variant_id}", tag = "carts",
    params(("id" = Uuid, Path), ("variant_id" = Uuid, Path)), request_body = Quantity,
    responses((status = 200, body = CartBody)))]
async fn set_item(
    who: Anyone,
    State(app): State<AppState>,
    Path((id, variant_id)): Path<(CartId, VariantId)>,
    IfMatch(version): IfMatch,
    Json(Quantity { quantity }): Json<Quantity>,
) -> HandlerResult {
    let meant = CartSelector { id, user_id: who.user_id(), version };
    let item = CartItem { variant_id, quantity };
    change(&app, move |work, policy| Box::pin(cart::set_item(work, policy, meant, item))).await
}

/// Takes a variant out of the cart.
#[utoipa::path(delete, path = "/v1/carts/{id}/items/{variant_id}", tag = "carts",
    params(("id" = Uuid, Path), ("variant_id" = Uuid, Path)), responses((status = 200, body = CartBody)))]
async fn remove_item(
    who: Anyone,
    State(app): State<AppState>,
    Path((id, variant_id)): Path<(CartId, VariantId)>,
    IfMatch(version): IfMatch,
) -> HandlerResult {
    let meant = CartSelector { id, user_id: who.user_id(), version };
    change(&app, move |work, policy| Box::pin(cart::remove_item(work, policy, meant, variant_id))).await
}

/// Gives the cart a discount code.
#[utoipa::path(put, path = "/v1/carts/{id}/discount", tag = "carts", params(("id" = Uuid, Path)),
    request_body = Code, responses((status = 200, body = CartBody)))]
async fn set_discount(
    who: Anyone,
    State(app): State<AppState>,
    Path(id): Path<CartId>,
    IfMatch(version): IfMatch,
    Json(Code { code }): Json<Code>,
) -> HandlerResult {
    let meant = CartSelector { id, user_id: who.user_id(), version };
    change(&app, move |work, policy| Box::pin(cart::set_discount(work, policy, meant, Some(code.clone()))))
        .await
}

/// Takes the discount code away.
#[utoipa::path(delete, path = "/v1/carts/{id}/discount", tag = "carts", params(("id" = Uuid, Path)),
    responses((status = 200, body = CartBody)))]
async fn remove_discount(
    who: Anyone,
    State(app): State<AppState>,
    Path(id): Path<CartId>,
    IfMatch(version): IfMatch,
) -> HandlerResult {
    let meant = CartSelector { id, user_id: who.user_id(), version };
    change(&app, move |work, policy| Box::pin(cart::set_discount(work, policy, meant, None))).await
}

/// Changes a cart in one unit of work and answers what it is then.
async fn change<F>(app: &AppState, change: F) -> HandlerResult
where
    F: for<'a> Fn(&'a mut UnitOfWork, &'a Policy) -> Work<'a, PricedCart, Failure> + Send + Sync + 'static,
{
    let (policy, change) = (Arc::clone(&app.store.policy), Arc::new(change));
    let write = app.store.database().write_boxed(move |work| {
        let (policy, change) = (Arc::clone(&policy), Arc::clone(&change));
        Box::pin(async move { change(work, &policy).await })
    });
    let priced: PricedCart = write.await?;
    changed(priced.cart.version, &CartBody::of(&priced))
}
