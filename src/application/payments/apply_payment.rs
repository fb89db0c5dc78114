//! Applies the outcomes that providers report to payments and orders. The responses to requests, notices and the
//! look-ups of the recovery are applied by the same functions, in any order and any number of times. The transitions
//! themselves are in [`placed_order`](crate::domain::placed_order).

use jiff::{SignedDuration, Timestamp};

use crate::domain::ids::{OrderId, PaymentId, PaymentOperationId};
use crate::domain::payment::{
    FIRST_RETRY, OperationKind, OperationStatus, Payment, PaymentOperation, PaymentStatus,
};
use crate::domain::permission::{Permission, Permissions, Resource};
use crate::domain::placed_order::{Effect, PlacedOrder, Transition};
use crate::domain::ports::Charge;
use crate::domain::time::later;
use crate::infrastructure::exceptions::{
    Conflict, Failure, NotFound, Technical, UnauthorizedAccessException,
};
use crate::infrastructure::guards::{Guard, PaymentFacts, PaymentVerificationGuard, RequiredPayment};
use crate::infrastructure::repositories::{
    PaymentRepository, Settlement, SubscriptionRepository, UnitOfWork,
};

use super::effects::{execute, return_money};
use super::placed_orders::{lock, lock_by_payment, save};

/// Applies the provider's record of a payment to it and its order.
///
/// # Errors
///
/// [`NotFound::Payment`], and a forbidden transition.
pub async fn apply_payment(
    work: &mut UnitOfWork,
    id: PaymentId,
    charge: &Charge,
) -> Result<PlacedOrder, Failure> {
    let placed = lock_by_payment(work, id).await?;
    apply_to_locked(work, placed, charge).await
}

/// Applies the provider's response to the request of a checkout.
pub(crate) async fn apply_response(
    work: &mut UnitOfWork,
    id: PaymentId,
    charge: &Charge,
) -> Result<PlacedOrder, Failure> {
    let mut placed = lock_by_payment(work, id).await?;
    let effects = record(work, &mut placed, charge, PlacedOrder::apply_response).await?;
    finish(work, placed, effects).await
}

/// Applies the provider's record of a payment to it and its order, which are locked.
pub(crate) async fn apply_to_locked(
    work: &mut UnitOfWork,
    mut placed: PlacedOrder,
    charge: &Charge,
) -> Result<PlacedOrder, Failure> {
    let effects = record(work, &mut placed, charge, PlacedOrder::apply).await?;
    finish(work, placed, effects).await
}

/// Applies the charge of a payment whose reservation has expired. If it still waits for the shopper, the order is
/// cancelled with the beginning of the void: a payment that is confirmed before the provider has voided it is returned.
pub(crate) async fn apply_late_charge(
    work: &mut UnitOfWork,
    id: PaymentId,
    charge: &Charge,
) -> Result<(), Failure> {
    let mut placed = lock_by_payment(work, id).await?;
    let mut effects = record(work, &mut placed, charge, PlacedOrder::apply).await?;
    effects.extend(placed.expire()?);
    let mut placed = finish(work, placed, effects).await?;
    if placed.payment.is_open() {
        void_open_payment(work, &mut placed.payment).await?;
    }
    Ok(())
}

/// Applies a charge by `apply`, unless it was read before its authorization was voided: that would be voided again,
/// with a second credit note.
async fn record(
    work: &mut UnitOfWork,
    placed: &mut PlacedOrder,
    charge: &Charge,
    apply: fn(&mut PlacedOrder, &Charge, Timestamp) -> Transition,
) -> Result<Vec<Effect>, Failure> {
    let payment = &placed.payment;
    if payment.status == PaymentStatus::Voided && charge.captured.is_zero() {
        let operations = PaymentRepository(work).operations(payment.id).await?;
        let voided = |operation: &PaymentOperation| {
            operation.kind == OperationKind::Void
                && operation.status == OperationStatus::Succeeded
                && operation.amount.is_positive()
        };
        if operations.iter().any(voided) {
            return Ok(Vec::new());
        }
    }
    Ok(apply(placed, charge, work.now())?)
}

/// Abandons a payment that its provider does not know, and cancels its order.
pub(crate) async fn abandon(work: &mut UnitOfWork, id: PaymentId) -> Result<(), Failure> {
    let mut placed = lock_by_payment(work, id).await?;
    let effects = placed.abandon(work.now())?;
    finish(work, placed, effects).await.map(drop)
}

/// Cancels an order that is not fulfilled, and begins to void or refund its payment.
///
/// # Errors
///
/// [`UnauthorizedAccessException::MissingPermission`] if something has to be refunded, and these permissions do not
/// include that.
pub(crate) async fn cancel_order(
    work: &mut UnitOfWork,
    id: OrderId,
    permissions: Permissions,
) -> Result<PlacedOrder, Failure> {
    let placed = lock(work, id).await?;
    let Payment { captured, capturing, .. } = &placed.payment;
    if !(captured.is_zero() && capturing.is_zero()) {
        check_refunds(permissions)?;
    }
    cancel_locked(work, placed).await
}

/// Fails with [`UnauthorizedAccessException::MissingPermission`] if these permissions do not include refunds.
pub(crate) fn check_refunds(permissions: Permissions) -> Result<(), Failure> {
    let refund = Permission::write(Resource::Refunds);
    UnauthorizedAccessException::check_permissions(permissions, [refund])
}

/// Cancels an order for its buyer, who may for `window` after the checkout.
pub(crate) async fn cancel_order_by_buyer(
    work: &mut UnitOfWork,
    id: OrderId,
    window: SignedDuration,
) -> Result<PlacedOrder, Failure> {
    let placed = lock(work, id).await?;
    placed.check_cancellation(window, work.now())?;
    cancel_locked(work, placed).await
}

async fn cancel_locked(work: &mut UnitOfWork, mut placed: PlacedOrder) -> Result<PlacedOrder, Failure> {
    let effects = placed.cancel(work.now())?;
    finish(work, placed, effects).await
}

/// Hands an order to the carrier.
///
/// # Errors
///
/// Those of [`PaymentVerificationGuard`]: while all that was captured is being refunded, nothing is sent.
pub(crate) async fn fulfil_order(
    work: &mut UnitOfWork,
    id: OrderId,
    tracking_code: Option<String>,
) -> Result<PlacedOrder, Failure> {
    let mut placed = lock(work, id).await?;
    let effects = placed.fulfil(tracking_code, work.now())?;
    let payment = placed.payment.clone();
    PaymentVerificationGuard::check(PaymentFacts { payment, required: RequiredPayment::Authorized })?;
    finish(work, placed, effects).await
}

/// Adds a pending operation to the ledger of a locked payment. It is sent now, and again from `retry_at` on.
pub(crate) async fn begin_operation(
    work: &mut UnitOfWork,
    payment: &mut Payment,
    operation: &PaymentOperation,
    retry_at: Timestamp,
) -> Result<(), Failure> {
    payment.begin(operation, retry_at).map_err(Technical::internal)?;
    work.insert(operation).await?;
    work.save(payment).await?;
    Ok(())
}

/// Begins to void a locked payment that waits for the shopper's confirmation, unless that was begun before.
async fn void_open_payment(work: &mut UnitOfWork, payment: &mut Payment) -> Result<(), Failure> {
    let operations = PaymentRepository(work).operations(payment.id).await?;
    let voids = |operation: &PaymentOperation| {
        operation.kind == OperationKind::Void && operation.status == OperationStatus::Pending
    };
    if operations.iter().any(voids) {
        return Ok(());
    }
    let amount = payment.left(OperationKind::Void).map_err(Technical::internal)?;
    let reason = "the order was cancelled or its reservation expired";
    return_money(work, payment, OperationKind::Void, amount, reason).await?;
    work.save(payment).await?;
    Ok(())
}

/// Settles a payment operation whose outcome is known: the provider's reference of the charge, or the reason of a
/// refusal. An operation that is settled keeps its outcome.
pub(crate) async fn settle_operation(
    work: &mut UnitOfWork,
    id: PaymentOperationId,
    outcome: &Result<String, String>,
) -> Result<(), Failure> {
    let operation: PaymentOperation = work.find(id).await?.ok_or(NotFound::Payment)?;
    let mut placed = lock_by_payment(work, operation.payment_id).await?;
    let status = if outcome.is_ok() { OperationStatus::Succeeded } else { OperationStatus::Failed };
    let (reference, failure) = (outcome.as_deref().ok(), outcome.as_deref().err().map(String::as_str));
    if !PaymentRepository::settle(work, id, Settlement { status, reference, failure }).await? {
        return Ok(());
    }

    // if the void of an open payment is refused, the provider has to be asked for its status
    let is_pending = placed.payment.is_open()
        || PaymentRepository(work).has_pending_operations(operation.payment_id).await?;
    let retry_at = is_pending.then(|| later(work.now(), FIRST_RETRY));
    let outcome = outcome.as_ref().map(|_| ()).map_err(String::as_str);
    let effects = placed.settle(&operation, outcome, retry_at, work.now())?;
    finish(work, placed, effects).await.map(drop)
}

/// Executes the effects of a transition and saves order and payment. Orders that charge a subscription which ended
/// with this one are cancelled too.
///
/// # Errors
///
/// [`Conflict::Stale`] if such an order was placed after the orders to lock were read.
async fn finish(
    work: &mut UnitOfWork,
    mut placed: PlacedOrder,
    effects: Vec<Effect>,
) -> Result<PlacedOrder, Failure> {
    // orders are locked before subscriptions, by their ids: these orders are newer than the one that paid the last
    // period
    let mut charges = Vec::new();
    if effects.contains(&Effect::EndSubscriptions) && placed.order.has_subscriptions() {
        for id in SubscriptionRepository(work).next_charges(placed.order.id).await? {
            charges.push(lock(work, id).await?);
        }
    }

    let ended = execute(work, &mut placed, effects).await?;
    // one that was closed by the provider's record may have a void whose outcome has not come yet
    let payment = &mut placed.payment;
    let is_closed = matches!(payment.status, PaymentStatus::Voided | PaymentStatus::Failed);
    if is_closed && payment.next_attempt_at.is_none() {
        let is_pending = PaymentRepository(work).has_pending_operations(payment.id).await?;
        payment.next_attempt_at = is_pending.then(|| later(work.now(), FIRST_RETRY));
    }
    save(work, &mut placed).await?;
    for id in ended {
        let charge = charges.iter_mut().find(|charge| charge.order.id == id).ok_or(Conflict::Stale)?;
        let effects = charge.cancel(work.now())?;
        execute(work, charge, effects).await?;
        save(work, charge).await?;
    }
    Ok(placed)
}
