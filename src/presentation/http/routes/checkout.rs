//! From a cart to an order.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::application::selling::checkout::{Checkout, checkout};
use crate::domain::address::Address;
use crate::domain::ids::CartId;
use crate::domain::money::Money;
use crate::domain::placed_order::PlacedOrder;
use crate::infrastructure::exceptions::{
    AgeRestriction, HoldLimitException, InvalidDiscountCodeException, NotFound, OrderProcessingException,
    PaymentFailedException, ProductOutOfStockException, TotalChangedException, UnauthorizedAccessException,
};
use crate::presentation::http::bodies::OrderBody;
use crate::presentation::http::client_address::ClientAddress;
use crate::presentation::http::conditional::IfMatch;
use crate::presentation::http::idempotency_key::Idempotent;
use crate::presentation::http::operation::any;
use crate::presentation::http::order_token::token;
use crate::presentation::http::principal::Anyone;
use crate::presentation::http::query::Path;
use crate::presentation::http::rate_classes::CHECKOUT;
use crate::presentation::http::response::{HandlerResult, StoredResponse, created, tagged};
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::{AppState, State};

pub(super) fn routes() -> Routes {
    let checkout = routes![
        checkout_cart: [
            NotFound::Cart,
            any::<ProductOutOfStockException>(),
            any::<InvalidDiscountCodeException>(),
            any::<TotalChangedException>(),
            any::<PaymentFailedException>(),
            any::<OrderProcessingException>(),
            any::<HoldLimitException>(),
            UnauthorizedAccessException::AgeRestricted(AgeRestriction::EXAMPLE),
            UnauthorizedAccessException::BirthDateRequired(AgeRestriction::EXAMPLE),
        ],
    ];
    checkout.limited(CHECKOUT)
}

/// How an order is delivered and paid.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CheckoutCart {
    /// The buyer's e-mail address. If omitted, it is that of the cart, or else that of the logged-in user. It is
    /// required if neither has one.
    #[schema(format = "email", max_length = 254)]
    email: Option<String>,
    /// The address to which the order is delivered, whose country decides the tax, also of digital products. If
    /// omitted, it is that of the cart; it is required if the cart has none.
    shipping_address: Option<Address>,
    /// The address on the invoice. If omitted, it is the shipping address.
    billing_address: Option<Address>,
    /// The code of the shipping method. If omitted, it is that of the cart, or else the cheapest one.
    #[schema(min_length = 1, max_length = 64)]
    shipping_method: Option<String>,
    /// The total that the shopper was shown. If the order would have another one, the request fails with
    /// `total_changed` and the new totals: nothing is charged and no stock is reserved. If omitted, any total is
    /// charged.
    expected_total: Option<Money>,
    /// The payment method.
    payment: PaymentMethod,
}

/// A payment method.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PaymentMethod {
    /// The payment provider.
    #[schema(min_length = 1, max_length = 64, example = "sandbox")]
    provider: String,
    /// The payment method token that the provider gave the shopper.
    #[schema(min_length = 1, max_length = 500, example = "tok_ok")]
    token: String,
}

/// Check out a cart
///
/// Places an order with the items and the delivery of the cart and authorizes its payment. A payment with the status
/// `requires_action` has to be confirmed by the shopper at its `action_url`. With `expected_total` the order is only
/// placed if it costs what the shopper was shown; with `If-Match` only if the cart was not changed since then. A
/// guest's order has a `token` that authorizes later requests about the order.
///
/// What unpaid orders of a user, and of the address of a client, may hold at once is limited: a further checkout fails
/// with `hold_limit`.
#[utoipa::path(post, path = "/v1/carts/{id}/checkout", tag = "checkout", params(("id" = Uuid, Path)),
    request_body = CheckoutCart, responses((status = 201, body = OrderBody)))]
async fn checkout_cart(
    principal: Anyone,
    State(app): State<AppState>,
    ClientAddress(client): ClientAddress,
    Path(cart_id): Path<CartId>,
    IfMatch(version): IfMatch,
    request: Idempotent<CheckoutCart>,
) -> HandlerResult<StoredResponse> {
    let secret = app.store.database().signing_key().clone();
    let render = created(
        |placed: &PlacedOrder| format!("/v1/orders/{}", placed.order.id),
        move |placed| {
            let mut body = OrderBody::of(placed);
            body.token = placed.order.user_id.is_none().then(|| token(&secret, placed.order.id));
            tagged(placed.order.version, &body)
        },
    );
    let (body, responder) = request.into_parts(principal.user_id(), render)?;
    let CheckoutCart { email, shipping_address, billing_address, shipping_method, expected_total, payment } =
        body;
    let purchase = Checkout {
        cart_id,
        version,
        expected_total,
        user_id: principal.user_id(),
        client,
        email,
        shipping_address,
        billing_address,
        shipping_method,
        provider: payment.provider,
        token: payment.token,
    };
    checkout(&app.store, purchase, responder).await
}
