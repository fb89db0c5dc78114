//! What an administrator does with orders: sees them all, captures, refunds, fulfils, cancels.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::application::idempotency::once;
use crate::application::selling::history;
use crate::application::selling::orders::{
    self, PaymentOperation, PaymentOperationOutcome, capture_or_refund,
};
use crate::domain::ids::{OrderId, UserId};
use crate::domain::money::Money;
use crate::domain::order::OrderStatus;
use crate::domain::payment::StepKind;
use crate::infrastructure::exceptions::{Failure, Fault, ValidationException};
use crate::infrastructure::repositories::{OrderFilter, StoredResponse};
use crate::presentation::http::answer::{HandlerResult, created, done, shown};
use crate::presentation::http::bodies::{OrderBody, StepBody};
use crate::presentation::http::conditional::{IfNoneMatch, fresh};
use crate::presentation::http::idempotency_key::Idempotent;
use crate::presentation::http::json::{Json, Nothing};
use crate::presentation::http::list::{List, usual_limit};
use crate::presentation::http::principal::Admin;
use crate::presentation::http::query::{Path, Query};
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::AppState;

pub(super) fn routes() -> Routes {
    routes![list, get, capture, refund, fulfil, cancel]
}

/// Which orders.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ListParameters {
    /// Only this user's.
    #[param(value_type = Option<Uuid>)]
    user_id: Option<UserId>,
    /// Only those in this state.
    #[param(inline)]
    status: Option<OrderStatus>,
    /// Only the one with this number.
    #[param(minimum = 1)]
    number: Option<i64>,
    /// The most items of a page.
    #[serde(default = "usual_limit")]
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: usize,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// An order with every step of its payment.
#[derive(Debug, Serialize, ToSchema)]
struct OrderRecord {
    #[serde(flatten)]
    order: OrderBody,
    /// What was asked of the payment's provider, oldest first.
    payment_steps: Vec<StepBody>,
}

/// Money that is to be captured.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewCapture {
    /// How much; all that is held if it is not said.
    amount: Option<Amount>,
}

/// Money that is to go back.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewRefund {
    /// How much; all that is left if it is not said.
    amount: Option<Amount>,
    /// Why.
    #[schema(max_length = 500)]
    reason: Option<String>,
    /// Whether the goods came back and can be sold again; only with a refund of everything.
    #[serde(default)]
    restock: bool,
}

/// An amount of money, or its minor units in the currency of the order.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(untagged)]
enum Amount {
    /// With its currency.
    Money(Money),
    /// In minor units.
    Minor(i64),
}

/// That an order is on its way.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Fulfilment {
    /// The carrier's tracking code.
    #[schema(min_length = 1, max_length = 200)]
    tracking_code: Option<String>,
}

/// All orders, newest first.
#[utoipa::path(get, path = "/admin/v1/orders", tag = "admin orders", params(ListParameters),
    responses((status = 200, body = List<OrderBody>)))]
async fn list(_: Admin, State(app): State<AppState>, Query(wanted): Query<ListParameters>) -> HandlerResult {
    let filter = OrderFilter { user_id: wanted.user_id, status: wanted.status, number: wanted.number };
    let page = history::orders(&app.store, &filter, wanted.limit, wanted.cursor.as_deref()).await?;
    Ok(Json(List::of(page, |placed| OrderBody::of(&placed))).into_response())
}

/// An order with every step of its payment.
#[utoipa::path(get, path = "/admin/v1/orders/{id}", tag = "admin orders", params(("id" = Uuid, Path)),
    responses((status = 200, body = OrderRecord)))]
async fn get(
    _: Admin,
    State(app): State<AppState>,
    Path(id): Path<OrderId>,
    known: IfNoneMatch,
) -> HandlerResult {
    let placed = orders::order(&app.store, id).await?;
    let steps = history::payment_steps(&app.store, placed.payment.id).await?;
    let currency = placed.payment.currency;
    let payment_steps = steps.iter().map(|step| StepBody::of(step, currency)).collect();
    fresh(placed.order.version, &OrderRecord { order: OrderBody::of(&placed), payment_steps }, &known)
}

/// Takes money that the provider holds.
#[utoipa::path(post, path = "/admin/v1/orders/{id}/capture", tag = "admin orders", params(("id" = Uuid, Path)),
    request_body = Option<NewCapture>, responses((status = 201, body = StepBody)))]
async fn capture(
    who: Admin,
    State(app): State<AppState>,
    Path(id): Path<OrderId>,
    request: Idempotent<NewCapture>,
) -> HandlerResult {
    let amount = minor_units(&app, id, request.body.amount).await?;
    let capture =
        PaymentOperation { order_id: id, kind: StepKind::Capture, amount, reason: None, restock: false };
    let key = request.key(Some(who.user_id()));
    Ok(capture_or_refund(&app.store, capture, key, Arc::new(created(moved))).await?.into_response())
}

/// Gives money back, never more than was captured.
#[utoipa::path(post, path = "/admin/v1/orders/{id}/refund", tag = "admin orders", params(("id" = Uuid, Path)),
    request_body = Option<NewRefund>, responses((status = 201, body = StepBody)))]
async fn refund(
    who: Admin,
    State(app): State<AppState>,
    Path(id): Path<OrderId>,
    request: Idempotent<NewRefund>,
) -> HandlerResult {
    let key = request.key(Some(who.user_id()));
    let NewRefund { amount, reason, restock } = request.body;
    let amount = minor_units(&app, id, amount).await?;
    let refund = PaymentOperation { order_id: id, kind: StepKind::Refund, amount, reason, restock };
    Ok(capture_or_refund(&app.store, refund, key, Arc::new(created(moved))).await?.into_response())
}

/// Says that an order was handed to the carrier.
#[utoipa::path(post, path = "/admin/v1/orders/{id}/fulfil", tag = "admin orders", params(("id" = Uuid, Path)),
    request_body = Option<Fulfilment>, responses((status = 200, body = OrderBody)))]
async fn fulfil(
    who: Admin,
    State(app): State<AppState>,
    Path(id): Path<OrderId>,
    request: Idempotent<Fulfilment>,
) -> HandlerResult {
    let key = request.key(Some(who.user_id()));
    let tracking_code = request.body.tracking_code;
    let answer = once(&app.store, key, Arc::new(done(OrderBody::answer)), move |work| {
        let tracking_code = tracking_code.clone();
        Box::pin(async move { orders::fulfil(work, id, tracking_code).await })
    });
    Ok(answer.await?.into_response())
}

/// Cancels an order that was not fulfilled: the stock is free again, and the money goes back.
#[utoipa::path(post, path = "/admin/v1/orders/{id}/cancel", tag = "admin orders", params(("id" = Uuid, Path)),
    request_body = Option<Nothing>, responses((status = 200, body = OrderBody)))]
async fn cancel(
    who: Admin,
    State(app): State<AppState>,
    Path(id): Path<OrderId>,
    request: Idempotent<Nothing>,
) -> HandlerResult {
    let key = request.key(Some(who.user_id()));
    let answer = once(&app.store, key, Arc::new(done(OrderBody::answer)), move |work| {
        Box::pin(async move { orders::cancel(work, id).await })
    });
    Ok(answer.await?.into_response())
}

/// Where a step is seen, and how it looks.
fn moved(moved: &PaymentOperationOutcome) -> (String, StoredResponse) {
    let PaymentOperationOutcome { step, placed } = moved;
    let step = StepBody::of(step, placed.payment.currency);
    (format!("/admin/v1/orders/{}", placed.order.id), shown(&step))
}

/// An amount in minor units of the order's currency.
async fn minor_units(app: &AppState, id: OrderId, amount: Option<Amount>) -> Result<Option<i64>, Failure> {
    let Money { amount, currency } = match amount {
        None => return Ok(None),
        Some(Amount::Minor(amount)) => return Ok(Some(amount)),
        Some(Amount::Money(money)) => money,
    };
    let expected = orders::order(&app.store, id).await?.order.currency;
    if currency == expected {
        return Ok(Some(amount));
    }
    let fault = Fault::WrongCurrency { expected: expected.to_string() };
    Err(ValidationException::one("/amount/currency", fault).into())
}
