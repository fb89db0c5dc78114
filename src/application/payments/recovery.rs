//! Recovery: settles the payments and operations without a known outcome, after a crash, a lost response, or a shopper
//! who did not confirm a payment.

use jiff::{SignedDuration, Timestamp};

use crate::domain::ids::PaymentId;
use crate::domain::order::{Order, OrderStatus};
use crate::domain::payment::{FIRST_RETRY, OperationKind, OperationStatus, Payment, PaymentOperation};
use crate::domain::placed_order::UNKNOWN_TO_PROVIDER;
use crate::domain::ports::Charge;
use crate::domain::time::later;
use crate::infrastructure::exceptions::{Failure, NotFound};
use crate::infrastructure::repositories::{PaymentRepository, UnitOfWork};

use super::apply_payment::{abandon, apply_payment, void_open_payment};
use super::gateway_calls::{apply_charge, authorize, gateway, refresh, send_operation};
use crate::application::Store;

/// The most payments that one run looks up.
const BATCH: i64 = 100;
/// The longest wait between two look-ups of a payment.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(30);
/// How long an abandoned payment that its provider did not know is looked up: the request may still arrive.
const WATCH: SignedDuration = SignedDuration::from_hours(6);

/// Makes the payments without a known outcome due now, for use after a restart: the process that should have settled
/// them may have been killed. Payments whose next attempt is more than half an hour away keep it.
pub async fn reschedule_open_payments(store: &Store) -> Result<(), Failure> {
    let write = store.database().write((), async |work, ()| {
        let by = later(work.now(), LONGEST_WAIT);
        Ok(PaymentRepository::make_due(work, by).await?)
    });
    write.await
}

/// Recovers the payments that are due at `by`, and returns how many there were. A failure is logged, does not stop the
/// others, and is retried.
pub async fn recover_payments(store: &Store, by: Timestamp) -> Result<usize, Failure> {
    let due = PaymentRepository(&mut store.database().read().await?).due(by, BATCH).await?;
    let mut claimed = 0;
    for id in due {
        if claim(store, id, by).await? {
            claimed += 1;
            if let Err(failure) = recover(store, id).await {
                tracing::warn!(payment = %id, %failure, "the payment could not be settled yet");
            }
        }
    }
    Ok(claimed)
}

/// Schedules the next attempt, so that no other node makes this one. Returns whether this node is to make it.
async fn claim(store: &Store, id: PaymentId, by: Timestamp) -> Result<bool, Failure> {
    let write = store.database().write((id, by), async |work, &(id, by)| {
        let payment: Payment = work.find(id).await?.ok_or(NotFound::Payment)?;
        let next = later(work.now(), wait(payment.attempts));
        Ok(PaymentRepository::claim_retry(work, id, by, next).await?)
    });
    write.await
}

/// Returns the wait after so many attempts: it doubles with each, from twice the first wait on.
fn wait(attempts: i64) -> SignedDuration {
    let doubled = FIRST_RETRY.saturating_mul(2 << attempts.clamp(0, 8));
    doubled.min(LONGEST_WAIT)
}

/// Looks up a payment and sends its pending operations.
async fn recover(store: &Store, id: PaymentId) -> Result<(), Failure> {
    let (payment, operations) = load(store, id).await?;
    if payment.is_open() {
        recover_open(store, &payment).await?;
    } else if is_watched(&payment, &operations, store.database().context().clock.now()) {
        refresh(store, id).await?;
    }

    let (payment, operations) = load(store, id).await?;
    let pending = |operation: &&PaymentOperation| {
        operation.status == OperationStatus::Pending && operation.kind != OperationKind::Authorize
    };
    for operation in operations.iter().filter(pending) {
        send_operation(store, &payment, operation).await?;
    }
    store.database().write(id, async |work, id| unschedule(work, *id).await).await
}

async fn load(store: &Store, id: PaymentId) -> Result<(Payment, Vec<PaymentOperation>), Failure> {
    let mut connection = store.database().read().await?;
    let payment = connection.find(id).await?.ok_or(NotFound::Payment)?;
    Ok((payment, PaymentRepository(&mut connection).operations(id).await?))
}

/// Ends the attempts of a payment whose outcome is known. The operations are read after the payment was locked, since
/// they are only added under that lock.
async fn unschedule(work: &mut UnitOfWork, id: PaymentId) -> Result<(), Failure> {
    let mut payment = work.lock::<Payment>(id).await?.ok_or(NotFound::Payment)?;
    let operations = PaymentRepository(work).operations(id).await?;
    let pending = operations.iter().any(|operation| operation.status == OperationStatus::Pending);
    if !payment.is_open() && !pending && !is_watched(&payment, &operations, work.now()) {
        payment.next_attempt_at = None;
        work.save(&mut payment).await?;
    }
    Ok(())
}

/// Returns whether the provider may still receive the authorization of an abandoned payment.
fn is_watched(payment: &Payment, operations: &[PaymentOperation], now: Timestamp) -> bool {
    let unknown = |operation: &&PaymentOperation| operation.failure.as_deref() == Some(UNKNOWN_TO_PROVIDER);
    let since = operations.iter().find(unknown).and_then(|operation| operation.settled_at);
    payment.amount.is_positive() && since.is_some_and(|since| now < later(since, WATCH))
}

/// Looks up an open payment and applies its charge. A payment whose reservation has expired is abandoned.
async fn recover_open(store: &Store, payment: &Payment) -> Result<(), Failure> {
    let gateway = gateway(store, &payment.provider)?;
    let order: Order = store.database().read().await?.find(payment.order_id).await?.ok_or(NotFound::Order)?;
    let now = store.database().context().clock.now();
    let expired =
        order.status != OrderStatus::Pending || now >= later(payment.created_at, store.policy.reservation);
    let charge = if payment.amount.is_zero() { None } else { gateway.look_up(payment.id).await? };
    let id = payment.id;
    match charge {
        Some(charge) if expired => {
            let given = (id, charge);
            let write = store
                .database()
                .write(given, async |work, (id, charge)| apply_late_charge(work, *id, charge).await);
            write.await
        }
        Some(charge) => apply_charge(store, id, charge).await,
        None if expired => store.database().write(id, async |work, id| abandon(work, *id).await).await,
        None => match authorize(store, payment).await? {
            Some(charge) => apply_charge(store, id, charge).await,
            None => Ok(()),
        },
    }
}

/// Applies the charge of a payment whose reservation has expired. A charge that waits for the shopper is voided.
async fn apply_late_charge(work: &mut UnitOfWork, id: PaymentId, charge: &Charge) -> Result<(), Failure> {
    let mut payment = apply_payment(work, id, charge).await?.payment;
    if payment.is_open() {
        void_open_payment(work, &mut payment).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_half_an_hour() {
        let minutes = |attempts| wait(attempts).as_mins();
        assert_eq!([0, 1, 2, 3, 4, 5, 1_000].map(minutes), [1, 2, 4, 8, 16, 30, 30]);
    }
}
