//! Recovery: settles the payments and operations without a known outcome, after a crash, a lost response, or a shopper
//! who did not confirm a payment.

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};

use crate::domain::ids::PaymentId;
use crate::domain::order::{Order, OrderStatus};
use crate::domain::payment::{FIRST_RETRY, OperationKind, OperationStatus, Payment, PaymentOperation};
use crate::domain::time::later;
use crate::infrastructure::exceptions::{Failure, NotFound};
use crate::infrastructure::repositories::{PaymentRepository, UnitOfWork};

use super::apply_payment::{abandon, apply_late_charge};
use super::gateway_calls::{apply_charge, authorize, gateway, refresh, send_operation};
use super::provider_scope::ProviderScope;
use crate::application::Store;

/// The longest wait between two look-ups of a payment.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(30);

/// Makes the payments without a known outcome due now, for use after a restart: the process that was to settle them
/// may have been killed. Payments whose next attempt is more than half an hour away keep it.
pub async fn reschedule_open_payments(store: &Store) -> Result<(), Failure> {
    let write = store.database().write((), async |work, ()| {
        let by = later(work.now(), LONGEST_WAIT);
        Ok(PaymentRepository::make_due(work, by).await?)
    });
    write.await
}

/// Recovers up to 100 payments of each provider in `scope` that are due at `by`, a limited number at the same time.
/// Returns how many were claimed. A failure is logged, does not stop the others, and is retried.
///
/// Dropping the future is safe: a payment in progress is recovered by its next attempt.
pub async fn recover_payments(store: &Store, scope: ProviderScope, by: Timestamp) -> Result<usize, Failure> {
    scope.process_due::<Payment, _>(store, by, |id| attempt(store, id, by)).await
}

/// Claims and recovers a payment; returns whether it was claimed.
async fn attempt(store: &Store, id: PaymentId, by: Timestamp) -> bool {
    let (claimed, recovered) = match claim(store, id, by).await {
        Ok(true) => (true, recover(store, id).await),
        Ok(false) => (false, Ok(())),
        Err(failure) => (false, Err(failure)),
    };
    if let Err(failure) = recovered {
        tracing::warn!(payment = %id, failure = %failure.report(), "the payment could not be settled yet");
    }
    claimed
}

/// Processes a notice: recovers the payment if it is due, and otherwise looks it up. Operations that begin by its
/// outcome are sent too.
pub(crate) async fn process_notice(store: &Store, id: PaymentId) -> Result<(), Failure> {
    let mut due = claim(store, id, store.now()).await?;
    if !due {
        refresh(store, id).await?;
        due = claim(store, id, store.now()).await?;
    }
    while due {
        recover(store, id).await?;
        due = claim(store, id, store.now()).await?;
    }
    Ok(())
}

/// Schedules the next attempt of a payment that is due at `by`, so that no other node makes this one. Returns whether
/// this node makes it.
async fn claim(store: &Store, id: PaymentId, by: Timestamp) -> Result<bool, Failure> {
    let payment: Payment = store.database().read().await?.find(id).await?.ok_or(NotFound::Payment)?;
    if payment.next_attempt_at.is_none_or(|at| at > by) {
        return Ok(false);
    }
    // the stock of an order is released when its reservation expires
    let terms = &store.terms;
    let ends = [terms.guest_reservation, terms.reservation].map(|held| later(payment.created_at, held));
    let ends = if payment.is_open() { ends.to_vec() } else { Vec::new() };
    let given = (id, by, wait(payment.attempts), ends);
    let write = store.database().write(given, async |work, (id, by, wait, ends)| {
        let (id, by, now) = (*id, *by, work.now());
        let next = ends.iter().filter(|end| **end > now).fold(later(now, *wait), |next, end| next.min(*end));
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
    let payment: Payment = store.database().read().await?.find(id).await?.ok_or(NotFound::Payment)?;
    if payment.is_open() {
        recover_open(store, &payment).await?;
    } else if payment.is_watched(store.now()) {
        refresh(store, id).await?;
    }

    let (payment, operations) = load(store, id).await?;
    let pending = |operation: &&PaymentOperation| {
        operation.status == OperationStatus::Pending && operation.kind != OperationKind::Authorize
    };
    // at the same time: an operation to which the provider does not respond delays no other
    let sent = operations.iter().filter(pending).map(|operation| send_operation(store, &payment, operation));
    for outcome in join_all(sent).await {
        outcome?;
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
    let pending = PaymentRepository(work).has_pending_operations(id).await?;
    if !payment.is_open() && !pending && !payment.is_watched(work.now()) {
        payment.next_attempt_at = None;
        work.save(&mut payment).await?;
    }
    Ok(())
}

/// Looks up an open payment and applies its charge. A payment whose reservation has expired is abandoned, also if its
/// provider is not configured any more.
async fn recover_open(store: &Store, payment: &Payment) -> Result<(), Failure> {
    let order: Order = store.database().read().await?.find(payment.order_id).await?.ok_or(NotFound::Order)?;
    let now = store.now();
    let expired = order.status != OrderStatus::Pending
        || now >= later(payment.created_at, store.terms.reservation_of(order.user_id));
    let charge = match gateway(store, &payment.provider) {
        _ if payment.amount.is_zero() => None,
        Ok(gateway) => gateway.look_up(payment.id).await?,
        Err(_) if expired => None,
        Err(failure) => return Err(failure),
    };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_half_an_hour() {
        let minutes = |attempts| wait(attempts).as_mins();
        assert_eq!([0, 1, 2, 3, 4, 5, 1_000].map(minutes), [1, 2, 4, 8, 16, 30, 30]);
    }
}
