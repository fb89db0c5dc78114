//! What a store does by itself: delivers events, settles payments, renews subscriptions, clears away what expired.

use std::time::Duration;

use jiff::SignedDuration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::infrastructure::adapters::sandbox::Notice;
use crate::infrastructure::events::EventDispatcher;
use crate::infrastructure::exceptions::Failure;
use crate::infrastructure::repositories::{
    CartRepository, IdempotencyRepository, SessionRepository, UnitOfWork,
};

use super::Store;
use super::idempotency::later;
use super::payments::refresh;
use super::reactions::subscribers;
use super::recovery::recover_payments;
use super::renewals::renew_subscriptions;

/// How long the dispatcher waits at most: another process may have published.
const LISTEN: Duration = Duration::from_secs(2);
/// How often payments and subscriptions that are due are looked for.
const ROUND: Duration = Duration::from_secs(5);
/// How often what expired is cleared away.
const CLEAR: Duration = Duration::from_mins(10);
/// Rows cleared away in one unit of work.
const SWEEP: i64 = 1000;

/// Works until it is told to stop. What it has begun by then it finishes.
pub async fn work(store: Store, notices: mpsc::Receiver<Notice>, stop: CancellationToken) {
    tokio::join!(
        deliver(&store, &stop),
        listen(&store, notices, &stop),
        settle(&store, &stop),
        every(CLEAR, &stop, || clear(&store)),
    );
}

/// Delivers events as they are committed.
async fn deliver(store: &Store, stop: &CancellationToken) {
    let dispatcher = EventDispatcher::new(store.database().clone(), subscribers());
    while !stop.is_cancelled() {
        let committed = store.database().committed().notified();
        if let Err(failure) = dispatcher.deliver().await {
            tracing::warn!(%failure, "events could not be delivered yet");
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = committed => {}
            () = tokio::time::sleep(LISTEN) => {}
        }
    }
}

/// Learns first-hand what a vendor's notice only hints at.
async fn listen(store: &Store, mut notices: mpsc::Receiver<Notice>, stop: &CancellationToken) {
    loop {
        let notice = tokio::select! {
            () = stop.cancelled() => return,
            notice = notices.recv() => notice,
        };
        let Some(Notice(payment_id)) = notice else { return };
        if let Err(failure) = refresh(store, payment_id).await {
            tracing::warn!(payment = %payment_id, %failure, "a notice could not be followed");
        }
    }
}

/// Settles payments and renews subscriptions. The first round takes up everything that is open, due or not: this
/// process may have been killed in the middle of it.
async fn settle(store: &Store, stop: &CancellationToken) {
    let clock = &store.database().context().clock;
    let everything = later(clock.now(), SignedDuration::from_hours(1));
    if let Err(failure) = recover_payments(store, everything).await {
        tracing::warn!(%failure, "open payments could not be taken up yet");
    }
    every(ROUND, stop, || async {
        let now = clock.now();
        recover_payments(store, now).await?;
        renew_subscriptions(store, now).await?;
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

/// Clears away carts, keys and log-ins that expired.
async fn clear(store: &Store) -> Result<(), Failure> {
    loop {
        let cleared: u64 = store
            .database()
            .write(|unit_of_work: &mut UnitOfWork| {
                Box::pin(async move {
                    let now = unit_of_work.now();
                    let carts = CartRepository::purge(unit_of_work, now, SWEEP).await?;
                    let keys = IdempotencyRepository(unit_of_work).purge(SWEEP).await?;
                    let sessions = SessionRepository::purge_expired(unit_of_work).await?;
                    tracing::debug!(carts, keys, sessions, "cleared away");
                    Ok::<_, Failure>(carts.max(keys))
                })
            })
            .await?;
        if cleared < SWEEP.unsigned_abs() {
            return Ok(());
        }
    }
}
