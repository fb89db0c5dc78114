//! Finishes what a crash, a lost answer or a shopper who went away left open: every payment that is not settled is
//! asked about until it is.

use jiff::{SignedDuration, Timestamp};

use crate::domain::ids::PaymentId;
use crate::domain::payment::{Payment, PaymentStatus, PaymentStep, StepKind, StepStatus};
use crate::domain::ports::{Charge, ChargeStatus};
use crate::infrastructure::exceptions::{Failure, NotFound, Technical};
use crate::infrastructure::repositories::{PaymentRepository, UnitOfWork};

use super::Store;
use super::apply_payment::apply_payment;
use super::idempotency::later;
use super::payments::{authorize, gateway, send_step, take_in};
use crate::domain::order::{Order, OrderStatus};

/// Payments asked about in one round.
const ROUND: i64 = 100;
/// The longest time between two questions about the same payment.
const SLOWEST: SignedDuration = SignedDuration::from_mins(30);

/// Settles the payments that are due by `by`; how many were asked about. One that fails is tried again later and
/// does not keep the others waiting.
pub async fn recover_payments(store: &Store, by: Timestamp) -> Result<usize, Failure> {
    let due = PaymentRepository(&mut store.database().read().await?).due(by, ROUND).await?;
    let mut asked = 0;
    for id in due {
        if claim(store, id, by).await? {
            asked += 1;
            if let Err(failure) = recover(store, id).await {
                tracing::warn!(payment = %id, %failure, "the payment could not be settled yet");
            }
        }
    }
    Ok(asked)
}

/// Puts off the next question, so that no other node asks the same; each time by longer.
async fn claim(store: &Store, id: PaymentId, by: Timestamp) -> Result<bool, Failure> {
    store
        .database()
        .write(move |unit_of_work| {
            Box::pin(async move {
                let payment: Payment = unit_of_work.find(id).await?.ok_or(NotFound::Payment)?;
                let doubled = SignedDuration::from_secs(15_i64 << payment.attempts.clamp(0, 7));
                let next = later(unit_of_work.now(), doubled.min(SLOWEST));
                Ok(PaymentRepository::claim_attempt(unit_of_work, id, by, next).await?)
            })
        })
        .await
}

/// Brings one payment as far as it can be brought now.
async fn recover(store: &Store, id: PaymentId) -> Result<(), Failure> {
    let mut session = store.database().read().await?;
    let payment: Payment = session.find(id).await?.ok_or(NotFound::Payment)?;
    let order: Order = session.find(payment.order_id).await?.ok_or(NotFound::Order)?;
    let steps = PaymentRepository(&mut session).steps(id).await?;
    drop(session);
    match payment.status {
        PaymentStatus::Pending | PaymentStatus::RequiresAction => {
            settle_open(store, &payment, &order).await?;
        }
        _ => {}
    }
    let open = |step: &&PaymentStep| step.status == StepStatus::Pending && step.kind != StepKind::Authorize;
    for step in steps.iter().filter(open) {
        send_step(store, &payment, step).await?;
    }
    store
        .database()
        .write(move |unit_of_work| {
            Box::pin(async move { Ok(PaymentRepository::rest(unit_of_work, id).await?) })
        })
        .await
}

/// Finds out how a payment that is not settled stands; gives it up when its time is over.
async fn settle_open(store: &Store, payment: &Payment, order: &Order) -> Result<(), Failure> {
    let gateway = gateway(store, &payment.provider)?;
    let now = store.database().context().clock.now();
    let given_up = order.status != OrderStatus::Pending;
    let expired = given_up || now >= later(payment.created_at, store.policy.reservation);
    let known = match payment.amount {
        0 => None,
        _ => gateway.look_up(payment.id).await.map_err(Technical::vendor)?,
    };
    match known {
        Some(Charge {
            status: ChargeStatus::RequiresAction { .. } | ChargeStatus::Processing,
            reference,
            ..
        }) if expired => {
            let charge = gateway.void(reference, payment.id.0).await.map_err(Technical::vendor)?;
            take_in(store, payment.id, charge).await
        }
        Some(charge) => take_in(store, payment.id, charge).await,
        None if expired => abandon(store, payment.id).await,
        None => match authorize(store, payment).await? {
            Some(charge) => take_in(store, payment.id, charge).await,
            None => Ok(()),
        },
    }
}

/// The vendor never heard of it and its time is over.
async fn abandon(store: &Store, id: PaymentId) -> Result<(), Failure> {
    let voided = Charge {
        reference: format!("none_{}", id.0.simple()),
        status: ChargeStatus::Voided,
        authorized: 0,
        captured: 0,
        refunded: 0,
    };
    store
        .database()
        .write(move |unit_of_work: &mut UnitOfWork| {
            let voided = voided.clone();
            Box::pin(async move { apply_payment(unit_of_work, id, &voided).await.map(drop) })
        })
        .await
}
