//! A buyer's orders, their payments and invoices.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::application::idempotency::once;
use crate::application::selling::{history, orders};
use crate::domain::ids::{OrderId, PaymentId};
use crate::domain::order::OrderStatus;
use crate::infrastructure::exceptions::NotFound;
use crate::infrastructure::repositories::OrderFilter;
use crate::presentation::http::answer::{HandlerResult, done};
use crate::presentation::http::bodies::{InvoiceBody, OrderBody, PaymentBody};
use crate::presentation::http::conditional::{IfNoneMatch, fresh};
use crate::presentation::http::idempotency_key::Idempotent;
use crate::presentation::http::json::{Json, Nothing};
use crate::presentation::http::list::{List, usual_limit};
use crate::presentation::http::order_token::Buyer;
use crate::presentation::http::principal::{Anyone, SignedIn};
use crate::presentation::http::query::{Path, Query};
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::AppState;

pub(super) fn routes() -> Routes {
    routes![list, get, cancel, invoice, payment]
}

/// Which orders.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ListParameters {
    /// Only those in this state.
    #[param(inline)]
    status: Option<OrderStatus>,
    /// The most items of a page.
    #[serde(default = "usual_limit")]
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: usize,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// The caller's orders, newest first.
#[utoipa::path(get, path = "/v1/orders", tag = "orders", params(ListParameters),
    responses((status = 200, body = List<OrderBody>)))]
async fn list(
    who: SignedIn,
    State(app): State<AppState>,
    Query(wanted): Query<ListParameters>,
) -> HandlerResult {
    let filter = OrderFilter { user_id: Some(who.user_id()), status: wanted.status, number: None };
    let page = history::orders(&app.store, &filter, wanted.limit, wanted.cursor.as_deref()).await?;
    Ok(Json(List::of(page, |placed| OrderBody::of(&placed))).into_response())
}

/// An order of the caller's, or of the guest who shows its token.
#[utoipa::path(get, path = "/v1/orders/{id}", tag = "orders",
    params(("id" = Uuid, Path)),
    responses((status = 200, body = OrderBody)))]
async fn get(
    who: Anyone,
    State(app): State<AppState>,
    Path(id): Path<OrderId>,
    buyer: Buyer,
    known: IfNoneMatch,
) -> HandlerResult {
    let placed = orders::order(&app.store, id).await?;
    buyer.check(&app, &who, &placed.order)?;
    fresh(placed.order.version, &OrderBody::of(&placed), &known)
}

/// Cancels an order that was not fulfilled: the stock is free again, and the money goes back.
#[utoipa::path(post, path = "/v1/orders/{id}/cancel", tag = "orders",
    params(("id" = Uuid, Path)),
    request_body = Option<Nothing>, responses((status = 200, body = OrderBody)))]
async fn cancel(
    who: Anyone,
    State(app): State<AppState>,
    Path(id): Path<OrderId>,
    buyer: Buyer,
    request: Idempotent<Nothing>,
) -> HandlerResult {
    buyer.check(&app, &who, &orders::order(&app.store, id).await?.order)?;
    let render = Arc::new(done(OrderBody::answer));
    let answer = once(&app.store, request.key(who.user_id()), render, move |work| {
        Box::pin(async move { orders::cancel(work, id).await })
    });
    Ok(answer.await?.into_response())
}

/// The invoice of an order that is paid, with the credit notes that take back from it.
#[utoipa::path(get, path = "/v1/orders/{id}/invoice", tag = "orders",
    params(("id" = Uuid, Path)),
    responses((status = 200, body = InvoiceBody)))]
async fn invoice(
    who: Anyone,
    State(app): State<AppState>,
    Path(id): Path<OrderId>,
    buyer: Buyer,
) -> HandlerResult {
    buyer.check(&app, &who, &orders::order(&app.store, id).await?.order)?;
    let (invoice, credit_notes) = history::invoice(&app.store, id).await?;
    let credit_notes = credit_notes.into_iter().map(|note| InvoiceBody::of(note, Vec::new())).collect();
    Ok(Json(InvoiceBody::of(invoice, credit_notes)).into_response())
}

/// A payment of the caller's, or of the guest who shows the token of its order.
#[utoipa::path(get, path = "/v1/payments/{id}", tag = "payments",
    params(("id" = Uuid, Path)),
    responses((status = 200, body = PaymentBody)))]
async fn payment(
    who: Anyone,
    State(app): State<AppState>,
    Path(id): Path<PaymentId>,
    buyer: Buyer,
    known: IfNoneMatch,
) -> HandlerResult {
    let placed = history::order_of_payment(&app.store, id).await?;
    buyer.check(&app, &who, &placed.order).map_err(|_| NotFound::Payment)?;
    fresh(placed.payment.version, &PaymentBody::of(&placed.payment), &known)
}
