//! Changes of a placed order by an administrator or a customer: cancel, capture, refund, fulfil.

use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::ids::{OrderId, PaymentOperationId};
use crate::domain::money::{Currency, Money};
use crate::domain::order::{Order, OrderStatus};
use crate::domain::payment::{FIRST_RETRY, OperationKind, OperationStatus, Payment, PaymentOperation};
use crate::domain::permission::Permissions;
use crate::domain::placed_order::PlacedOrder;
use crate::domain::ports::DeclineReason;
use crate::domain::state::State;
use crate::domain::time::later;
use crate::infrastructure::exceptions::{
    Failure, Fault, NotFound, OrderProcessingException, PaymentFailedException, Technical,
    ValidationException,
};
use crate::infrastructure::repositories::{PaymentRepository, StoredResponse, UnitOfWork};

use crate::application::Store;
use crate::application::idempotency::{ProviderRequest, Responder, once, request_provider};
use crate::application::payments::apply_payment::{
    begin_operation, cancel_order, cancel_order_by_buyer, fulfil_order, settle_operation,
};
use crate::application::payments::gateway_calls::{call_provider, send_due};
use crate::application::payments::placed_orders;

/// Returns an order with its payment.
pub async fn order(store: &Store, id: OrderId) -> Result<PlacedOrder, Failure> {
    placed_orders::get(&mut store.database().read().await?, id).await
}

/// Who cancels an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelledBy {
    /// The buyer, who may cancel a pending order, and a paid one for a time and if nothing of it was delivered.
    Buyer,
    /// An administrator with these permissions, who may cancel each order that is not fulfilled: one whose payment was
    /// captured with `refunds:write` only, since it is refunded.
    Administrator(Permissions),
}

/// Cancels an order that is not fulfilled, once for each idempotency key: its stock is released, and its payment voided
/// or refunded.
///
/// # Errors
///
/// [`NotFound::Order`]; an [`OrderProcessingException`] if the status of the order forbids it or its buyer may not
/// cancel it (any more); and [`UnauthorizedAccessException::MissingPermission`] for an administrator who may not
/// refund.
///
/// [`UnauthorizedAccessException::MissingPermission`]: crate::infrastructure::exceptions::UnauthorizedAccessException
pub async fn cancel_once(
    store: &Store,
    id: OrderId,
    by: CancelledBy,
    responder: Responder<PlacedOrder>,
) -> Result<StoredResponse, Failure> {
    let since = store.now();
    let given = (id, by, store.terms.cancellation);
    let response = once(store, responder, given, async |work, &(id, by, window)| match by {
        CancelledBy::Buyer => cancel_order_by_buyer(work, id, window).await,
        CancelledBy::Administrator(permissions) => cancel_order(work, id, permissions).await,
    });
    let response = response.await?;
    send_due(store, since).await;
    Ok(response)
}

/// Hands an order to the carrier, once for each idempotency key.
pub async fn fulfil_once(
    store: &Store,
    id: OrderId,
    tracking_code: Option<String>,
    responder: Responder<PlacedOrder>,
) -> Result<StoredResponse, Failure> {
    once(store, responder, (id, tracking_code), async |work, (id, tracking_code)| {
        fulfil_order(work, *id, tracking_code.clone()).await
    })
    .await
}

/// An amount with its currency, or in minor units of the order's currency.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Amount {
    /// An amount with its currency.
    Money(Money),
    /// An amount in minor units of the order's currency.
    Minor(i64),
}

impl Amount {
    /// Returns the amount, which must be in this currency.
    fn in_currency(self, currency: Currency) -> Result<Money, Failure> {
        match self {
            Self::Money(money) if money.currency != currency => {
                let fault = Fault::WrongCurrency { expected: currency.to_string() };
                Err(ValidationException::one("/amount/currency", fault).into())
            }
            Self::Money(money) => Ok(money),
            Self::Minor(minor) => Ok(Money::new(minor, currency)),
        }
    }

    /// Fails at the number of the amount unless it is within bounds, in minor units.
    fn check_bounds(self, minimum: i64, maximum: i64) -> Result<(), Failure> {
        let (pointer, minor) = match self {
            Self::Money(money) => ("/amount/amount", money.amount),
            Self::Minor(minor) => ("/amount", minor),
        };
        let fault = if minor < minimum {
            Fault::Minimum { minimum: minimum.into() }
        } else if minor > maximum {
            Fault::Maximum { maximum: maximum.into() }
        } else {
            return Ok(());
        };
        Err(ValidationException::one(pointer, fault).into())
    }
}

/// A request to capture an authorized amount or to refund a captured one.
#[derive(Debug, Clone)]
pub struct OperationRequest {
    /// The order.
    pub order_id: OrderId,
    /// `Capture` or `Refund`.
    pub kind: OperationKind,
    /// The amount; if omitted, all that is left.
    pub amount: Option<Amount>,
    /// The reason, for the ledger and the credit note.
    pub reason: Option<String>,
    /// Whether the pieces of the order are restocked. Only with the refund of all that is left, and not while more is
    /// being captured.
    pub restock: bool,
}

/// A payment operation with its order.
#[derive(Debug, Clone)]
pub struct OperationOutcome {
    /// The operation.
    pub operation: PaymentOperation,
    /// The order and its payment.
    pub placed: PlacedOrder,
}

/// Captures or refunds an amount. It is pending before the provider is called, so that concurrent operations never
/// exceed what is authorized or captured.
///
/// # Errors
///
/// [`NotFound::Order`], an [`OrderProcessingException`] if the order or its payment does not allow the operation, and a
/// [`ValidationException`] if the amount is not available.
pub async fn capture_or_refund(
    store: &Store,
    request: OperationRequest,
    responder: Responder<OperationOutcome>,
) -> Result<StoredResponse, Failure> {
    let since = store.now();
    let response = request_provider(store, request, responder).await?;
    // a refund of all that was captured began a void of the rest
    send_due(store, since).await;
    Ok(response)
}

impl ProviderRequest for OperationRequest {
    type Begun = (Payment, PaymentOperation);
    type Outcome = Result<String, String>;
    type Value = OperationOutcome;

    /// Adds the operation to the ledger, if the order and its payment allow it.
    async fn begin(
        &self,
        work: &mut UnitOfWork,
        _: &Store,
        id: Uuid,
    ) -> Result<(Payment, PaymentOperation), Failure> {
        let PlacedOrder { order, mut payment } = placed_orders::lock(work, self.order_id).await?;
        let amount = if self.kind == OperationKind::Refund && payment.amount.is_zero() {
            free_refund(work, &payment, &order, self).await?
        } else {
            amount(&payment, &order, self)?
        };
        let now = work.now();
        let operation = PaymentOperation {
            reason: self.reason.clone(),
            restock: self.restock,
            ..PaymentOperation::pending(PaymentOperationId(id), payment.id, self.kind, amount, now)
        };
        begin_operation(work, &mut payment, &operation, later(now, FIRST_RETRY)).await?;
        Ok((payment, operation))
    }

    async fn resume(work: &mut UnitOfWork, id: Uuid) -> Result<Option<(Payment, PaymentOperation)>, Failure> {
        let Some(operation) = work.find::<PaymentOperation>(PaymentOperationId(id)).await? else {
            return Ok(None);
        };
        let payment = work.find(operation.payment_id).await?.ok_or(NotFound::Payment)?;
        Ok(Some((payment, operation)))
    }

    fn is_pending((_, operation): &(Payment, PaymentOperation)) -> bool {
        operation.status == OperationStatus::Pending
    }

    async fn call(
        store: &Store,
        (payment, operation): &(Payment, PaymentOperation),
    ) -> Result<Option<Result<String, String>>, Failure> {
        call_provider(store, payment, operation).await
    }

    async fn conclude(
        work: &mut UnitOfWork,
        (payment, operation): &(Payment, PaymentOperation),
        outcome: Option<&Result<String, String>>,
    ) -> Result<Result<OperationOutcome, Failure>, Failure> {
        if let Some(outcome) = outcome {
            settle_operation(work, operation.id, outcome).await?;
        }
        let operation: PaymentOperation = work.find(operation.id).await?.ok_or(NotFound::Payment)?;
        if operation.status == OperationStatus::Failed {
            return Ok(Err(PaymentFailedException { reason: DeclineReason::ProcessingError }.into()));
        }
        let placed = placed_orders::get_by_payment(work, payment.id).await?;
        Ok(Ok(OperationOutcome { operation, placed }))
    }
}

/// Checks that an order that cost nothing may be refunded, which returns its pieces. Returns zero.
async fn free_refund(
    work: &mut UnitOfWork,
    payment: &Payment,
    order: &Order,
    request: &OperationRequest,
) -> Result<Money, Failure> {
    if PaymentRepository(work).has_pending_operations(payment.id).await? {
        return Err(OrderProcessingException::InProgress.into());
    }
    order.status.transition_to(OrderStatus::Refunded)?;
    if let Some(amount) = request.amount {
        amount.in_currency(payment.currency)?;
        amount.check_bounds(0, 0)?;
    }
    Ok(Money::zero(payment.currency))
}

/// Returns the amount of a requested operation, if the order and its payment allow it.
fn amount(payment: &Payment, order: &Order, request: &OperationRequest) -> Result<Money, Failure> {
    let capture = request.kind == OperationKind::Capture;
    let (to, pending) =
        if capture { ("captured", payment.capturing) } else { ("refunded", payment.refunding) };
    if capture && !matches!(order.status, OrderStatus::Paid | OrderStatus::Fulfilled) {
        let from = order.status.name();
        return Err(OrderProcessingException::Forbidden { what: "order", from, to }.into());
    }
    if capture && payment.refunding.is_positive() && payment.is_returned() {
        // the order ends with that refund, and what is captured then would be kept
        return Err(OrderProcessingException::InProgress.into());
    }
    let left = payment.left(request.kind).map_err(Technical::internal)?;
    if left.is_zero() && pending.is_positive() {
        return Err(OrderProcessingException::InProgress.into());
    }
    if left.is_zero() {
        let from = payment.status.name();
        return Err(OrderProcessingException::Forbidden { what: "payment", from, to }.into());
    }

    let requested = request.amount.unwrap_or(Amount::Money(left));
    let amount = requested.in_currency(left.currency)?;
    if request.restock && payment.capturing.is_positive() {
        // what is captured then would be kept for pieces that were returned
        return Err(OrderProcessingException::InProgress.into());
    }
    let restockable = !capture && amount == left && order.status != OrderStatus::Cancelled;
    if request.restock && !restockable {
        return Err(ValidationException::one("/restock", Fault::NotRestockable).into());
    }
    requested.check_bounds(1, left.amount)?;
    Ok(amount)
}
