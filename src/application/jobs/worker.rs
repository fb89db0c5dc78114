//! What a store does by itself: delivers events, settles payments, renews subscriptions, clears away what expired.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::infrastructure::events::EventDispatcher;
use crate::infrastructure::exceptions::Failure;
use crate::infrastructure::repositories::{
    CartRepository, IdempotencyRepository, SessionRepository, UnitOfWork,
};

use super::subscribers;
use crate::application::Store;
use crate::application::payments::gateway_calls::refresh;
use crate::application::payments::recovery::{recover_payments, reschedule_open_payments};
use crate::application::subscriptions::renewals::renew_subscriptions;

/// How long the dispatcher waits at most: another process may have published.
const LISTEN: Duration = Duration::from_secs(2);
/// How often payments and subscriptions that are due are looked for.
const ROUND: Duration = Duration::from_secs(5);
/// How often what expired is cleared away.
const CLEAR: Duration = Duration::from_mins(10);
/// Rows cleared away in one unit of work.
const SWEEP: i64 = 1000;

/// Works until it is told to stop. What it has begun by then it finishes.
pub async fn work(store: Store, stop: CancellationToken) {
    let dispatcher = EventDispatcher::new(store.database().clone(), subscribers());
    tokio::join!(
        deliver(&store, &dispatcher, &stop),
        listen(&store, &stop),
        settle(&store, &stop),
        every(CLEAR, &stop, || clear(&store, &dispatcher, &stop)),
    );
}

/// Delivers events as they are committed.
async fn deliver(store: &Store, dispatcher: &EventDispatcher, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        let committed = store.database().committed().notified();
        if let Err(failure) = dispatcher.deliver(stop).await {
            tracing::warn!(%failure, "events could not be delivered yet");
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = committed => {}
            () = tokio::time::sleep(LISTEN) => {}
        }
    }
}

/// Looks up the payments about which providers send notices.
async fn listen(store: &Store, stop: &CancellationToken) {
    let notices = store.infrastructure.gateways.notices();
    loop {
        let payment_id = tokio::select! {
            () = stop.cancelled() => return,
            payment_id = notices.next() => payment_id,
        };
        if let Err(failure) = refresh(store, payment_id).await {
            tracing::warn!(payment = %payment_id, %failure, "the payment of a notice was not looked up");
        }
    }
}

/// Settles payments and renews subscriptions. The first round takes up everything that is open, due or not: this
/// process may have been killed in the middle of it.
async fn settle(store: &Store, stop: &CancellationToken) {
    if let Err(failure) = reschedule_open_payments(store).await {
        tracing::warn!(%failure, "open payments could not be taken up yet");
    }
    every(ROUND, stop, || async {
        let now = store.database().context().clock.now();
        while !stop.is_cancelled() && recover_payments(store, now).await? > 0 {}
        while !stop.is_cancelled() && renew_subscriptions(store, now).await? > 0 {}
        Ok(())
    })
    .await;
}

/// Does something again and again until it is told to stop.
async fn every<F, Fut>(pause: Duration, stop: &CancellationToken, mut task: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<(), Failure>>,
{
    while !stop.is_cancelled() {
        if let Err(failure) = task().await {
            tracing::warn!(%failure, "background work could not be done yet");
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Clears away carts, keys and log-ins that expired, and events that everybody has read.
async fn clear(store: &Store, dispatcher: &EventDispatcher, stop: &CancellationToken) -> Result<(), Failure> {
    while !stop.is_cancelled() {
        let write = store.database().write_boxed(|work: &mut UnitOfWork| {
            Box::pin(async move {
                let now = work.now();
                let carts = CartRepository::purge(work, now, SWEEP).await?;
                let keys = IdempotencyRepository(work).purge(now, SWEEP).await?;
                let sessions = SessionRepository::purge_expired(work, SWEEP).await?;
                Ok::<_, Failure>([carts, keys, sessions])
            })
        });
        let [carts, keys, sessions] = write.await?;
        let events = dispatcher.purge(SWEEP).await?;
        tracing::debug!(carts, keys, sessions, events, "cleared away");
        if [carts, keys, sessions, events].into_iter().all(|cleared| cleared < SWEEP.unsigned_abs()) {
            break;
        }
    }
    Ok(())
}
