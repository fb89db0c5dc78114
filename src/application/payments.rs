//! What is done with a payment after it was asked for: capture, refund, void, and finding out how it stands.
//!
//! Each step is written down with its amount set aside before the vendor is asked, and settled once the vendor has
//! answered. A step whose answer was lost stays pending and is sent again with the same key.

use jiff::SignedDuration;

use crate::domain::events::{PaymentCaptured, PaymentRefunded};
use crate::domain::ids::{PaymentId, PaymentStepId};
use crate::domain::money::Money;
use crate::domain::order::OrderStatus;
use crate::domain::payment::{Payment, PaymentStatus, PaymentStep, StepKind, StepStatus};
use crate::domain::ports::{
    Authorization, Charge, ChargeStatus, DeclineReason, GatewayError, PaymentGateway,
};
use crate::domain::state::State;
use crate::infrastructure::exceptions::{Failure, Fault, NotFound, Technical, ValidationException};
use crate::infrastructure::repositories::{
    Answer, IdempotencyKey, OrderRepository, PaymentRepository, UnitOfWork,
};

use super::apply_payment::{apply_payment, give_up_order};
use super::idempotency::{Render, later, settle};
use super::place_order::PlacedOrder;
use super::{Store, invoicing, subscriptions};
use std::sync::Arc;

/// The provider of payments whose money moved outside the store, as before its time: nobody is asked.
pub(super) const OUTSIDE: &str = "imported";

/// After how long a payment that nobody settled is asked about.
pub(super) const FIRST_RETRY: SignedDuration = SignedDuration::from_secs(30);

/// Asks the vendor for a payment's money; `None` where no answer tells how it stands.
pub(super) async fn authorize(store: &Store, payment: &Payment) -> Result<Option<Charge>, Failure> {
    if payment.amount == 0 {
        return Ok(Some(nothing_to_pay(payment)));
    }
    let gateway = gateway(store, &payment.provider)?;
    let request = Authorization {
        payment_id: payment.id,
        amount: Money::new(payment.amount, payment.currency),
        token: payment.token.clone(),
        capture: store.policy.capture_at_checkout,
    };
    match gateway.authorize(request).await {
        Ok(charge) => Ok(Some(charge)),
        Err(GatewayError::Refused(why)) => {
            tracing::warn!(payment = %payment.id, why, "the payment vendor refused the request");
            Ok(Some(Charge {
                status: ChargeStatus::Declined(DeclineReason::ProcessingError),
                ..nothing_to_pay(payment)
            }))
        }
        Err(error) => {
            tracing::warn!(payment = %payment.id, %error, "asking the payment vendor how the charge stands");
            Ok(gateway.look_up(payment.id).await.unwrap_or_default())
        }
    }
}

/// The charge of an order that costs nothing: no vendor is asked.
fn nothing_to_pay(payment: &Payment) -> Charge {
    Charge {
        reference: format!("none_{}", payment.id.0.simple()),
        status: ChargeStatus::Captured,
        authorized: 0,
        captured: 0,
        refunded: 0,
    }
}

/// The vendor of this name.
pub(super) fn gateway<'a>(store: &'a Store, name: &str) -> Result<&'a Arc<dyn PaymentGateway>, Failure> {
    store.infrastructure.gateways.get(name).ok_or_else(|| {
        let allowed = store.infrastructure.gateways.names().map(Into::into).collect();
        ValidationException::one("/payment/provider", Fault::NotAllowed { allowed }).into()
    })
}

/// Takes in how a charge stands and keeps the answer to its key, in one unit of work.
pub(super) async fn record(
    store: &Store,
    payment_id: PaymentId,
    charge: Option<Charge>,
    key: Option<IdempotencyKey>,
    render: Arc<dyn Render<PlacedOrder>>,
) -> Result<Answer, Failure> {
    store
        .database()
        .write(move |unit_of_work| {
            let (charge, key, render) = (charge.clone(), key.clone(), Arc::clone(&render));
            Box::pin(async move {
                let placed = match &charge {
                    Some(charge) => apply_payment(unit_of_work, payment_id, charge).await?,
                    None => placed(unit_of_work, payment_id).await?,
                };
                let answer = super::checkout::answer(&placed, render.as_ref());
                settle(unit_of_work, key.as_ref(), answer).await
            })
        })
        .await
}

/// A payment with its order, as they are.
pub(super) async fn placed(unit_of_work: &mut UnitOfWork, id: PaymentId) -> Result<PlacedOrder, Failure> {
    let payment: Payment = unit_of_work.find(id).await?.ok_or(NotFound::Payment)?;
    let order = unit_of_work.find(payment.order_id).await?.ok_or(NotFound::Order)?;
    Ok(PlacedOrder { order, payment })
}

/// Asks the vendor how a payment stands and takes it in; what a webhook only hints at is so learnt first-hand.
pub async fn refresh(store: &Store, payment_id: PaymentId) -> Result<(), Failure> {
    let payment: Payment = store.database().read().await?.find(payment_id).await?.ok_or(NotFound::Payment)?;
    let charge = gateway(store, &payment.provider)?.look_up(payment_id).await.map_err(Technical::vendor)?;
    match charge {
        Some(charge) => take_in(store, payment_id, charge).await,
        None => Ok(()),
    }
}

/// Takes in how a charge stands.
pub(super) async fn take_in(store: &Store, payment_id: PaymentId, charge: Charge) -> Result<(), Failure> {
    store
        .database()
        .write(move |unit_of_work| {
            let charge = charge.clone();
            Box::pin(async move { apply_payment(unit_of_work, payment_id, &charge).await.map(drop) })
        })
        .await
}

/// Sends a step to the vendor and settles it; `None` where the answer was lost, and it is sent again later.
pub(super) async fn send_step(
    store: &Store,
    payment: &Payment,
    step: &PaymentStep,
) -> Result<Option<StepStatus>, Failure> {
    let outcome = match ask(store, payment, step).await? {
        Ok(reference) => Ok(reference),
        Err(GatewayError::Refused(why)) => Err(why),
        Err(error) => {
            tracing::warn!(payment = %payment.id, step = %step.id, %error, "a step of a payment has no answer yet");
            return Ok(None);
        }
    };
    let step_id = step.id;
    store
        .database()
        .write(move |unit_of_work| {
            let outcome = outcome.clone();
            Box::pin(async move { settle_step(unit_of_work, step_id, outcome).await.map(Some) })
        })
        .await
}

/// Asks the vendor to do a step; its name for the charge.
async fn ask(
    store: &Store,
    payment: &Payment,
    step: &PaymentStep,
) -> Result<Result<String, GatewayError>, Failure> {
    let reference = payment.provider_reference.clone().unwrap_or_default();
    if payment.provider == OUTSIDE {
        return Ok(Ok(reference));
    }
    let gateway = gateway(store, &payment.provider)?;
    let amount = Money::new(step.amount, payment.currency);
    let charge = match step.kind {
        StepKind::Capture => gateway.capture(reference, amount, step.id.0).await,
        StepKind::Refund => gateway.refund(reference, amount, step.id.0).await,
        StepKind::Void => gateway.void(reference, step.id.0).await,
        // asked for by `authorize` alone
        StepKind::Authorize => Err(GatewayError::NoAnswer("the authorization is not settled".to_owned())),
    };
    Ok(charge.map(|charge| charge.reference))
}

/// Moves the amounts of a step whose outcome is known. Done twice it changes nothing twice.
pub(super) async fn settle_step(
    unit_of_work: &mut UnitOfWork,
    id: PaymentStepId,
    outcome: Result<String, String>,
) -> Result<StepStatus, Failure> {
    let step: PaymentStep = unit_of_work.find(id).await?.ok_or(NotFound::Payment)?;
    let mut payment =
        PaymentRepository::lock(unit_of_work, step.payment_id).await?.ok_or(NotFound::Payment)?;
    let (status, reference, failure) = match &outcome {
        Ok(reference) => (StepStatus::Succeeded, Some(reference.as_str()), None),
        Err(why) => (StepStatus::Failed, None, Some(why.as_str())),
    };
    if !PaymentRepository::settle_step(unit_of_work, id, status, reference, failure).await? {
        let settled: PaymentStep = unit_of_work.find(id).await?.ok_or(NotFound::Payment)?;
        return Ok(settled.status);
    }
    let done = status == StepStatus::Succeeded;
    let moved = if done { step.amount } else { 0 };
    match step.kind {
        StepKind::Capture => {
            payment.capturing -= step.amount;
            payment.captured += moved;
            captured(unit_of_work, &mut payment, moved).await?;
        }
        StepKind::Refund => {
            payment.refunding -= step.amount;
            payment.refunded += moved;
            refunded(unit_of_work, &mut payment, &step, moved).await?;
        }
        StepKind::Void if done => voided(unit_of_work, &mut payment).await?,
        StepKind::Void | StepKind::Authorize => {}
    }
    let open = PaymentRepository(unit_of_work).has_pending_steps(payment.id).await?;
    payment.next_attempt_at = open.then(|| later(unit_of_work.now(), FIRST_RETRY));
    PaymentRepository::save_progress(unit_of_work, &payment).await?;
    Ok(status)
}

async fn captured(unit_of_work: &mut UnitOfWork, payment: &mut Payment, moved: i64) -> Result<(), Failure> {
    if moved == 0 {
        return Ok(());
    }
    if payment.status == PaymentStatus::Authorized {
        payment.status = payment.status.step(PaymentStatus::Captured)?;
    }
    let amount = Money::new(moved, payment.currency);
    let event = PaymentCaptured { payment_id: payment.id, order_id: payment.order_id, amount };
    Ok(unit_of_work.publish(&event).await?)
}

async fn refunded(
    unit_of_work: &mut UnitOfWork,
    payment: &mut Payment,
    step: &PaymentStep,
    moved: i64,
) -> Result<(), Failure> {
    if moved == 0 {
        return Ok(());
    }
    let mut order = OrderRepository::lock(unit_of_work, payment.order_id).await?.ok_or(NotFound::Order)?;
    if payment.refunded == payment.captured {
        payment.status = payment.status.step(PaymentStatus::Refunded)?;
        if matches!(order.status, OrderStatus::Paid | OrderStatus::Fulfilled) {
            order.status = order.status.step(OrderStatus::Refunded)?;
            OrderRepository::forget_purchases(unit_of_work, &order).await?;
            subscriptions::order_undone(unit_of_work, order.id).await?;
            OrderRepository::save_progress(unit_of_work, &order).await?;
        }
    }
    let amount = Money::new(moved, payment.currency);
    invoicing::credit_note(unit_of_work, &order, step.id, amount, step.reason.as_deref()).await?;
    let event = PaymentRefunded {
        payment_id: payment.id,
        order_id: order.id,
        number: order.number,
        user_id: order.user_id,
        amount,
    };
    Ok(unit_of_work.publish(&event).await?)
}

async fn voided(unit_of_work: &mut UnitOfWork, payment: &mut Payment) -> Result<(), Failure> {
    if payment.status.successors().contains(&PaymentStatus::Voided) {
        payment.status = payment.status.step(PaymentStatus::Voided)?;
        payment.action_url = None;
    }
    let mut order = OrderRepository::lock(unit_of_work, payment.order_id).await?.ok_or(NotFound::Order)?;
    give_up_order(unit_of_work, &mut order, "payment_voided").await?;
    Ok(OrderRepository::save_progress(unit_of_work, &order).await?)
}
