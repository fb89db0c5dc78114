//! Orders, as administrators manage them.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::application::selling::orders::{
    self, Amount, CancelledBy, OperationOutcome, OperationRequest, capture_or_refund,
};
use crate::application::selling::queries;
use crate::domain::ids::{OrderId, UserId};
use crate::domain::order::OrderStatus;
use crate::domain::payment::OperationKind;
use crate::infrastructure::exceptions::{NotFound, OrderProcessingException, PaymentFailedException};
use crate::infrastructure::repositories::OrderFilter;
use crate::presentation::http::bodies::{InvoiceBody, OrderBody, PaymentOperationBody};
use crate::presentation::http::conditional::IfNoneMatch;
use crate::presentation::http::idempotency_key::Idempotent;
use crate::presentation::http::json::{EmptyBody, Json};
use crate::presentation::http::list::{List, ListQuery};
use crate::presentation::http::operation::any;
use crate::presentation::http::principal::Admin;
use crate::presentation::http::query::{Path, Query};
use crate::presentation::http::response::{HandlerResult, StoredResponse, changed, created, untagged};
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::{AppState, State};

pub(super) fn routes() -> Routes {
    routes![
        list_orders,
        get_order: [NotFound::Order],
        get_order_invoice: [NotFound::Order, NotFound::Invoice],
        capture_payment: [NotFound::Order, any::<OrderProcessingException>(), any::<PaymentFailedException>()],
        refund_payment: [NotFound::Order, any::<OrderProcessingException>(), any::<PaymentFailedException>()],
        fulfil_order: [NotFound::Order, any::<OrderProcessingException>()],
        cancel_order: [NotFound::Order, any::<OrderProcessingException>()],
    ]
}

/// Which orders are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct OrderQuery {
    /// Only orders of this user.
    #[param(value_type = Option<Uuid>)]
    user_id: Option<UserId>,
    /// Only orders with this status.
    #[param(inline)]
    status: Option<OrderStatus>,
    /// Only the order with this number.
    #[param(minimum = 1)]
    number: Option<i64>,
}

/// An order with the operations of its payment.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AdminOrder)]
struct AdminOrderBody {
    #[serde(flatten)]
    order: OrderBody,
    /// The operations of the payment, oldest first.
    payment_operations: Vec<PaymentOperationBody>,
}

/// The amount to capture.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CapturePayment {
    /// The amount to capture. If omitted, all that is authorized and not captured.
    amount: Option<Amount>,
}

/// The amount to refund.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RefundPayment {
    /// The amount to refund. If omitted, all that is captured and not refunded.
    amount: Option<Amount>,
    /// The reason. The buyer sees it: the credit note states it.
    #[schema(max_length = 500)]
    reason: Option<String>,
    /// Whether all pieces of the order are added to the stock. Only allowed with the refund of all that is captured and
    /// not refunded, and not while more of it is being captured. Set the stock of single variants that came back.
    #[serde(default)]
    #[schema(default = false)]
    restock: bool,
}

/// The delivery of an order.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct FulfilOrder {
    /// The carrier's tracking code.
    #[schema(min_length = 1, max_length = 200)]
    tracking_code: Option<String>,
}

/// List orders
///
/// Newest orders come first. The audit log records who read which list, with the user of `user_id`.
#[utoipa::path(get, path = "/admin/v1/orders", tag = "admin-orders",
    responses((status = 200, body = List<OrderBody>)))]
async fn list_orders(
    _: Admin,
    State(app): State<AppState>,
    Query(ListQuery { filter, limit, cursor }): Query<ListQuery<OrderQuery>>,
) -> HandlerResult<Json<List<OrderBody>>> {
    let OrderQuery { user_id, status, number } = filter;
    let filter = OrderFilter { user_id, status, number };
    let page = queries::orders(&app.store, &filter, limit, cursor.as_deref()).await?;
    Ok(Json(List::of(page, |placed| OrderBody::of(&placed))))
}

/// Get an order
///
/// Returns an order with the operations of its payment. The audit log records who read it.
#[utoipa::path(get, path = "/admin/v1/orders/{id}", tag = "admin-orders", params(("id" = Uuid, Path)),
    responses((status = 200, body = AdminOrderBody)))]
async fn get_order(
    _: Admin,
    State(app): State<AppState>,
    Path(id): Path<OrderId>,
    if_none_match: IfNoneMatch,
) -> HandlerResult {
    let (placed, operations) = queries::order_with_operations(&app.store, id).await?;
    let payment_operations = operations.iter().map(PaymentOperationBody::of).collect();
    let body = AdminOrderBody { order: OrderBody::of(&placed), payment_operations };
    Ok(if_none_match.respond(placed.order.version, &body))
}

/// Get the invoice of an order
///
/// Returns the invoice of a paid order with its credit notes. The audit log records who read it.
#[utoipa::path(get, path = "/admin/v1/orders/{id}/invoice", tag = "admin-orders", params(("id" = Uuid, Path)),
    responses((status = 200, body = InvoiceBody)))]
async fn get_order_invoice(
    _: Admin,
    State(app): State<AppState>,
    Path(id): Path<OrderId>,
) -> HandlerResult<Json<InvoiceBody>> {
    let (invoice, credit_notes) = queries::invoice(&app.store, id).await?;
    Ok(Json(InvoiceBody::with_credit_notes(invoice, credit_notes)))
}

/// Capture the payment of an order
///
/// Charges an authorized amount, or a part of it.
#[utoipa::path(post, path = "/admin/v1/orders/{id}/capture", tag = "admin-orders", params(("id" = Uuid, Path)),
    request_body = Option<CapturePayment>, responses((status = 201, body = PaymentOperationBody)))]
async fn capture_payment(
    admin: Admin,
    State(app): State<AppState>,
    Path(id): Path<OrderId>,
    request: Idempotent<CapturePayment>,
) -> HandlerResult<StoredResponse> {
    let (CapturePayment { amount }, responder) =
        request.into_parts(Some(admin.user_id()), created(location, operation_response))?;
    let capture =
        OperationRequest { order_id: id, kind: OperationKind::Capture, amount, reason: None, restock: false };
    capture_or_refund(&app.store, capture, responder).await
}

/// Refund the payment of an order
///
/// Pays back what was captured, or a part of it. The refund of an imported order is only recorded, with its credit
/// note: no payment provider is called, and the customer gets no notification.
#[utoipa::path(post, path = "/admin/v1/orders/{id}/refund", tag = "admin-orders", params(("id" = Uuid, Path)),
    request_body = Option<RefundPayment>, responses((status = 201, body = PaymentOperationBody)))]
async fn refund_payment(
    admin: Admin,
    State(app): State<AppState>,
    Path(id): Path<OrderId>,
    request: Idempotent<RefundPayment>,
) -> HandlerResult<StoredResponse> {
    let (RefundPayment { amount, reason, restock }, responder) =
        request.into_parts(Some(admin.user_id()), created(location, operation_response))?;
    let refund = OperationRequest { order_id: id, kind: OperationKind::Refund, amount, reason, restock };
    capture_or_refund(&app.store, refund, responder).await
}

/// Fulfil an order
///
/// Records that the order was handed to the carrier. Refused with `order_processing` while all that was captured is
/// being refunded.
#[utoipa::path(post, path = "/admin/v1/orders/{id}/fulfil", tag = "admin-orders", params(("id" = Uuid, Path)),
    request_body = Option<FulfilOrder>, responses((status = 200, body = OrderBody)))]
async fn fulfil_order(
    admin: Admin,
    State(app): State<AppState>,
    Path(id): Path<OrderId>,
    request: Idempotent<FulfilOrder>,
) -> HandlerResult<StoredResponse> {
    let (FulfilOrder { tracking_code }, responder) =
        request.into_parts(Some(admin.user_id()), changed(OrderBody::response))?;
    orders::fulfil_once(&app.store, id, tracking_code, responder).await
}

/// Cancel an order
///
/// Cancels an order that was not fulfilled: its stock is released, and its payment is voided or refunded. If it was
/// captured, that requires `refunds:write`, too.
#[utoipa::path(post, path = "/admin/v1/orders/{id}/cancel", tag = "admin-orders", params(("id" = Uuid, Path)),
    request_body = Option<EmptyBody>, responses((status = 200, body = OrderBody)))]
async fn cancel_order(
    admin: Admin,
    State(app): State<AppState>,
    Path(id): Path<OrderId>,
    request: Idempotent<EmptyBody>,
) -> HandlerResult<StoredResponse> {
    let (_, responder) = request.into_parts(Some(admin.user_id()), changed(OrderBody::response))?;
    orders::cancel_once(&app.store, id, CancelledBy::Administrator(admin.permissions), responder).await
}

/// The URL of the order whose payment was captured or refunded.
fn location(outcome: &OperationOutcome) -> String {
    format!("/admin/v1/orders/{}", outcome.placed.order.id)
}

/// The response with a capture or refund.
fn operation_response(outcome: &OperationOutcome) -> StoredResponse {
    untagged(&PaymentOperationBody::of(&outcome.operation))
}
