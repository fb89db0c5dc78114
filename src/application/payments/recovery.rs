//! Finishes what a crash, a lost answer or a shopper who went away left open: every payment that is not settled is
//! asked about until it is.

use jiff::{SignedDuration, Timestamp};

use crate::domain::ids::PaymentId;
use crate::domain::payment::{Payment, PaymentStep, StepKind, StepStatus};
use crate::domain::ports::Charge;
use crate::infrastructure::exceptions::{Failure, NotFound, Technical};
use crate::infrastructure::repositories::{PaymentRepository, UnitOfWork};

use super::apply_payment::{ABANDONED, abandon, apply_payment};
use super::gateway_calls::{FIRST_RETRY, apply_charge, authorize, gateway, refresh, send_step};
use super::settlement::ask_back;
use crate::application::Store;
use crate::application::idempotency::later;
use crate::domain::order::{Order, OrderStatus};

/// Payments asked about in one round.
const ROUND: i64 = 100;
/// The longest time between two questions about the same payment.
const SLOWEST: SignedDuration = SignedDuration::from_mins(30);

/// How long a vendor that never heard of a payment is asked about it after it was given up: what was sent may be on
/// its way.
const WATCH: SignedDuration = SignedDuration::from_hours(6);

/// Makes every payment that is open due now, unless it was put off for longer: whoever was to settle it may have been
/// killed in the middle of it.
pub async fn reschedule_open_payments(store: &Store) -> Result<(), Failure> {
    let write = store.database().write_boxed(|work: &mut UnitOfWork| {
        Box::pin(async move {
            let by = later(work.now(), SLOWEST);
            Ok(PaymentRepository::make_due(work, by).await?)
        })
    });
    write.await
}

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
        .write_boxed(move |work| {
            Box::pin(async move {
                let payment: Payment = work.find(id).await?.ok_or(NotFound::Payment)?;
                let next = later(work.now(), pause(payment.attempts));
                Ok(PaymentRepository::claim_retry(work, id, by, next).await?)
            })
        })
        .await
}

/// How long to wait after so many questions: twice as long each time, from twice the first wait on.
fn pause(asked: i64) -> SignedDuration {
    let doubled = FIRST_RETRY.saturating_mul(2 << asked.clamp(0, 8));
    doubled.min(SLOWEST)
}

/// Brings one payment as far as it can be brought now.
async fn recover(store: &Store, id: PaymentId) -> Result<(), Failure> {
    let (payment, steps) = payment(store, id).await?;
    if payment.is_open() {
        settle_open(store, &payment).await?;
    } else if is_watched(&payment, &steps, store.database().context().clock.now()) {
        refresh(store, id).await?;
    }
    let (payment, steps) = self::payment(store, id).await?;
    let open = |step: &&PaymentStep| step.status == StepStatus::Pending && step.kind != StepKind::Authorize;
    for step in steps.iter().filter(open) {
        send_step(store, &payment, step).await?;
    }
    store.database().write_boxed(move |work| Box::pin(rest(work, id))).await
}

async fn payment(store: &Store, id: PaymentId) -> Result<(Payment, Vec<PaymentStep>), Failure> {
    let mut session = store.database().read().await?;
    let payment = session.find(id).await?.ok_or(NotFound::Payment)?;
    Ok((payment, PaymentRepository(&mut session).steps(id).await?))
}

/// Asks no more about a payment that has nothing open. Steps are looked for once it is taken: nobody adds one then.
async fn rest(work: &mut UnitOfWork, id: PaymentId) -> Result<(), Failure> {
    let mut payment = PaymentRepository::lock(work, id).await?.ok_or(NotFound::Payment)?;
    let steps = PaymentRepository(work).steps(id).await?;
    let pending = steps.iter().any(|step| step.status == StepStatus::Pending);
    if !payment.is_open() && !pending && !is_watched(&payment, &steps, work.now()) {
        payment.next_attempt_at = None;
        PaymentRepository::save_progress(work, &payment).await?;
    }
    Ok(())
}

/// Whether the vendor may still come to know of a payment that was given up.
fn is_watched(payment: &Payment, steps: &[PaymentStep], now: Timestamp) -> bool {
    let abandoned = |step: &&PaymentStep| step.failure.as_deref() == Some(ABANDONED);
    let since = steps.iter().find(abandoned).and_then(|step| step.settled_at);
    payment.amount > 0 && since.is_some_and(|since| now < later(since, WATCH))
}

/// Finds out how a payment that is not settled stands; gives it up when its time is over.
async fn settle_open(store: &Store, payment: &Payment) -> Result<(), Failure> {
    let gateway = gateway(store, &payment.provider)?;
    let order: Order = store.database().read().await?.find(payment.order_id).await?.ok_or(NotFound::Order)?;
    let now = store.database().context().clock.now();
    let given_up = order.status != OrderStatus::Pending;
    let expired = given_up || now >= later(payment.created_at, store.policy.reservation);
    let known = match payment.amount {
        0 => None,
        _ => gateway.look_up(payment.id).await.map_err(Technical::vendor)?,
    };
    let id = payment.id;
    match known {
        Some(charge) if expired => {
            store
                .database()
                .write_boxed(move |work| {
                    let charge = charge.clone();
                    Box::pin(async move { apply_late_charge(work, id, &charge).await })
                })
                .await
        }
        Some(charge) => apply_charge(store, id, charge).await,
        None if expired => store.database().write_boxed(move |work| Box::pin(abandon(work, id))).await,
        None => match authorize(store, payment).await? {
            Some(charge) => apply_charge(store, id, charge).await,
            None => Ok(()),
        },
    }
}

/// Takes in how the charge of a payment stands whose time is over; one that still waits for the shopper is let go.
async fn apply_late_charge(work: &mut UnitOfWork, id: PaymentId, charge: &Charge) -> Result<(), Failure> {
    let mut payment = apply_payment(work, id, charge).await?.payment;
    let steps = PaymentRepository(work).steps(id).await?;
    let asked = |step: &PaymentStep| step.kind == StepKind::Void && step.status == StepStatus::Pending;
    if payment.is_open() && !steps.iter().any(asked) {
        ask_back(work, &mut payment, StepKind::Void, "the order had been given up").await?;
        PaymentRepository::save_progress(work, &payment).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_question_waits_twice_as_long_up_to_half_an_hour() {
        let minutes = |asked| pause(asked).as_mins();
        assert_eq!([0, 1, 2, 3, 4, 5, 1_000].map(minutes), [1, 2, 4, 8, 16, 30, 30]);
    }
}
