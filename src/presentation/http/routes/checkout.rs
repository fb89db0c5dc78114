//! From a cart to an order.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::application::selling::checkout::{Checkout, checkout};
use crate::application::selling::place_order::PlacedOrder;
use crate::domain::address::Address;
use crate::domain::ids::CartId;
use crate::presentation::http::answer::{HandlerResult, created, versioned};
use crate::presentation::http::bodies::OrderBody;
use crate::presentation::http::idempotency_key::Idempotent;
use crate::presentation::http::order_token::token;
use crate::presentation::http::principal::Anyone;
use crate::presentation::http::query::Path;
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::AppState;

pub(super) fn routes() -> Routes {
    routes![buy]
}

/// Who buys, where it goes, and how it is paid.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Purchase {
    /// Where to write to; a user's own address if it is not said.
    #[schema(format = "email", max_length = 254)]
    email: Option<String>,
    /// Where the goods go.
    shipping_address: Address,
    /// Where the invoice goes, if elsewhere.
    billing_address: Option<Address>,
    /// The code of the way of shipping; the cheapest if it is not said.
    #[schema(min_length = 1, max_length = 64)]
    shipping_method: Option<String>,
    /// How it is paid.
    payment: Means,
}

/// A means of payment.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Means {
    /// Who takes the money.
    #[schema(min_length = 1, max_length = 64, example = "sandbox")]
    provider: String,
    /// The token that the provider gave the shopper.
    #[schema(min_length = 1, max_length = 500, example = "tok_ok")]
    token: String,
}

/// Buys what is in the cart. A payment that `requires_action` is finished by the shopper at its `action_url`.
#[utoipa::path(post, path = "/v1/carts/{id}/checkout", tag = "checkout", params(("id" = Uuid, Path)),
    request_body = Purchase, responses((status = 201, body = OrderBody)))]
async fn buy(
    who: Anyone,
    State(app): State<AppState>,
    Path(cart_id): Path<CartId>,
    request: Idempotent<Purchase>,
) -> HandlerResult {
    let key = request.key(who.user_id());
    let Purchase { email, shipping_address, billing_address, shipping_method, payment } = request.body;
    let purchase = Checkout {
        cart_id,
        user_id: who.user_id(),
        email,
        shipping_address,
        billing_address,
        shipping_method,
        provider: payment.provider,
        token: payment.token,
    };
    let secret = app.store.database().cursor_key().clone();
    let render = created(move |placed: &PlacedOrder| {
        let mut body = OrderBody::of(placed);
        body.token = placed.order.user_id.is_none().then(|| token(&secret, placed.order.id));
        (format!("/v1/orders/{}", placed.order.id), versioned(placed.order.version, &body))
    });
    Ok(checkout(&app.store, purchase, key, Arc::new(render)).await?.into_response())
}
