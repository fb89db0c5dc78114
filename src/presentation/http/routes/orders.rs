//! The orders of a buyer, with their payments and invoices.

use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::application::files;
use crate::application::selling::orders::{self, CancelledBy};
use crate::application::selling::queries;
use crate::domain::order::OrderStatus;
use crate::infrastructure::cache::NewestOrders;
use crate::infrastructure::exceptions::{NotFound, OrderProcessingException};
use crate::presentation::http::bodies::{ContentBody, InvoiceBody, OrderBody, PaymentBody};
use crate::presentation::http::cache_status::OwnFromCache;
use crate::presentation::http::conditional::IfNoneMatch;
use crate::presentation::http::idempotency_key::Idempotent;
use crate::presentation::http::json::{EmptyBody, Json};
use crate::presentation::http::list::{List, ListQuery};
use crate::presentation::http::operation::any;
use crate::presentation::http::order_token::{OwnOrder, OwnPayment};
use crate::presentation::http::principal::LoggedIn;
use crate::presentation::http::query::Query;
use crate::presentation::http::response::{HandlerResult, StoredResponse, changed};
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::{AppState, State};

pub(super) fn routes() -> Routes {
    routes![
        list_orders,
        get_order,
        cancel_order: [any::<OrderProcessingException>()],
        get_invoice: [NotFound::Invoice],
        list_order_files: [any::<OrderProcessingException>()],
        get_payment: [NotFound::Payment],
    ]
}

/// Which orders are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct OrderQuery {
    /// Only orders with this status.
    #[param(inline)]
    status: Option<OrderStatus>,
}

/// List the user's orders
///
/// Newest orders come first.
#[utoipa::path(get, path = "/v1/orders", tag = "orders", responses((status = 200, body = List<OrderBody>)))]
async fn list_orders(
    principal: LoggedIn,
    State(app): State<AppState>,
    Query(ListQuery { filter, limit, cursor }): Query<ListQuery<OrderQuery>>,
    from_cache: OwnFromCache,
) -> HandlerResult {
    let newest = NewestOrders { status: filter.status };
    let (page, status) =
        queries::own_orders(&app.store, principal.data(), newest, limit, cursor.as_deref()).await?;
    let items = page.items.iter().map(OrderBody::of).collect();
    Ok(from_cache.respond(Json(List { items, next_cursor: page.next.clone() }), status))
}

/// Get an order
///
/// Returns an order of the user, or of the guest who sends its token.
#[utoipa::path(get, path = "/v1/orders/{id}", tag = "orders", params(("id" = Uuid, Path)),
    responses((status = 200, body = OrderBody)))]
async fn get_order(own: OwnOrder, if_none_match: IfNoneMatch) -> Response {
    if_none_match.respond(own.order.version, &OrderBody::of(&own))
}

/// Cancel an order
///
/// Cancels an order that was not fulfilled: its stock is released, and its payment is voided or refunded. The provider
/// is asked after the response, which has the payment as it was.
///
/// A paid order can be cancelled for a time that the store sets. One with digital goods, which are delivered with the
/// payment, or with a subscription cannot: its subscription is cancelled instead.
#[utoipa::path(post, path = "/v1/orders/{id}/cancel", tag = "orders", params(("id" = Uuid, Path)),
    request_body = Option<EmptyBody>, responses((status = 200, body = OrderBody)))]
async fn cancel_order(
    own: OwnOrder,
    State(app): State<AppState>,
    request: Idempotent<EmptyBody>,
) -> HandlerResult<StoredResponse> {
    let (_, responder) = request.into_parts(own.user_id(), changed(OrderBody::response))?;
    orders::cancel_once(&app.store, own.order.id, CancelledBy::Buyer, responder).await
}

/// Get the invoice of an order
///
/// Returns the invoice of a paid order with its credit notes.
#[utoipa::path(get, path = "/v1/orders/{id}/invoice", tag = "orders", params(("id" = Uuid, Path)),
    responses((status = 200, body = InvoiceBody)))]
async fn get_invoice(own: OwnOrder, State(app): State<AppState>) -> HandlerResult<Json<InvoiceBody>> {
    let (invoice, credit_notes) = queries::invoice(&app.store, own.order.id).await?;
    Ok(Json(InvoiceBody::with_credit_notes(invoice, credit_notes)))
}

/// List the files of an order
///
/// The contents of the products of an order whose payment is captured. The download of a guest's file requires the
/// token of the order, too.
#[utoipa::path(get, path = "/v1/orders/{id}/files", tag = "orders", params(("id" = Uuid, Path)),
    responses((status = 200, body = List<ContentBody>)))]
async fn list_order_files(
    own: OwnOrder,
    State(app): State<AppState>,
) -> HandlerResult<Json<List<ContentBody>>> {
    let contents = files::contents_of(&app.store, &own).await?;
    Ok(Json(List::whole(contents, |file| ContentBody::of(&file, own.order.id))))
}

/// Get a payment
///
/// Returns a payment of the user, or of the guest who sends the token of its order.
#[utoipa::path(get, path = "/v1/payments/{id}", tag = "payments", params(("id" = Uuid, Path)),
    responses((status = 200, body = PaymentBody)))]
async fn get_payment(own: OwnPayment, if_none_match: IfNoneMatch) -> Response {
    if_none_match.respond(own.payment.version, &PaymentBody::of(&own.payment))
}
