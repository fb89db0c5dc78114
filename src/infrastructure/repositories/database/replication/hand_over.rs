//! The hand-over: the store moves from the source to the target.
//!
//! What may take long comes first, while the source is written to: the comparison of all rows, and the locks of the
//! target's tables. Then the source's writes are held by a lock, which ends if this process ends; the last changes are
//! applied and compared, and the target gets its foreign keys and triggers, all in one transaction that is not
//! committed yet. The commit of the source, which refuses writes from then on, is the point of no return; the commit
//! of the target follows at once. At no time are both live. If this process ends between the two commits, the
//! next run completes the hand-over.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::super::connection::Connection;
use super::super::copy::CopyError;
use super::super::copy::catalog::CopyTable;
use super::super::copy::target::Target;
use super::super::dialect::Engine;
use super::super::error::DatabaseError;
use super::super::param::params;
use super::apply::Application;
use super::pair::{Pair, begin, set_serials};
use super::recording::HOLD_WRITES;
use super::{ReplicationError, standby};

/// The longest time for which the source's writes are held, over all attempts.
const LONGEST_STOP: Duration = Duration::from_secs(1);
/// The most changes that are left to apply when the writes are held.
const FEW: i64 = 500;
/// The most rounds until few changes are left.
const ROUNDS: u32 = 200;
/// The most attempts of a hand-over.
const ATTEMPTS: u32 = 3;
/// The longest waits for the lock that holds the writes on PostgreSQL, in milliseconds: if two transactions wait for
/// each other meanwhile, those that already write would wait too.
const HOLDS: [u64; 5] = [20, 40, 80, 160, 320];
const BACKOFF: Duration = Duration::from_millis(50);

/// Hands a source over to its target, which equals it; returns how long the writes were held, over all attempts.
pub(super) async fn hand_over(
    pair: &mut Pair,
    stop: &CancellationToken,
) -> Result<Duration, ReplicationError> {
    let mut held = Duration::ZERO;
    let mut attempt = 1;
    loop {
        catch_up(pair, stop).await?;
        let error = match self::attempt(pair, &mut held).await {
            Ok(()) => return Ok(held),
            Err(error) => error,
        };
        if attempt == ATTEMPTS || held >= LONGEST_STOP || !error.is_momentary() {
            return Err(error);
        }

        // there is no transaction if the writes were not held
        let _ = pair.record.roll_back().await;
        pair.target.connection.roll_back().await.map_err(CopyError::Target)?;
        pair.generation -= 1;
        tracing::info!(%error, attempt, "the writes of the source go on; the hand-over is retried");
        sleep(BACKOFF * attempt).await;
        attempt += 1;
    }
}

/// Applies changes until few are left.
async fn catch_up(pair: &mut Pair, stop: &CancellationToken) -> Result<(), ReplicationError> {
    for _ in 0..ROUNDS {
        if stop.is_cancelled() {
            return Err(CopyError::Stopped.into());
        }
        if pair.round(true).await?.waited <= FEW {
            return Ok(());
        }
    }
    Err(ReplicationError::TooManyChanges)
}

/// Hands over, unless it takes too long; adds the time for which the writes were held to `held`.
async fn attempt(pair: &mut Pair, held: &mut Duration) -> Result<(), ReplicationError> {
    begin(&mut pair.target.connection, pair.id, &mut pair.generation).await?;
    standby::lock(&mut pair.target.connection, &pair.tables).await.map_err(|error| match error {
        DatabaseError::Unavailable(_) | DatabaseError::Retryable(_) => ReplicationError::TargetInUse(error),
        error => CopyError::Target(error).into(),
    })?;
    let held_at = hold_writes(&mut pair.record, held).await?;

    let left = LONGEST_STOP.saturating_sub(*held);
    let prepared = timeout(left, prepare(&mut pair.record, &mut pair.target, &pair.tables)).await;
    prepared.map_err(|_| ReplicationError::TooSlow)??;
    if held_at.elapsed() > left {
        return Err(ReplicationError::TooSlow);
    }
    let sql = "UPDATE replication SET role = 'moved' WHERE id = $1 AND role = 'source'";
    let moved = pair.record.execute(sql, &params![pair.id]).await.map_err(CopyError::Source)?;
    if moved == 0 {
        return Err(ReplicationError::Ended);
    }
    pair.record.commit().await.map_err(|error| match error.of_commit() {
        error @ DatabaseError::OutcomeUnknown(_) => unfinished(error),
        error => CopyError::Source(error).into(),
    })?;
    pair.target.connection.commit().await.map_err(unfinished)?;
    *held += held_at.elapsed();
    Ok(())
}

fn unfinished(error: DatabaseError) -> ReplicationError {
    ReplicationError::Unfinished(Some(error))
}

/// Completes a hand-over after the point of no return.
pub(super) async fn complete(pair: &mut Pair) -> Result<(), ReplicationError> {
    begin(&mut pair.target.connection, pair.id, &mut pair.generation).await?;
    standby::lock(&mut pair.target.connection, &pair.tables).await.map_err(unfinished)?;
    prepare(&mut pair.record, &mut pair.target, &pair.tables).await?;
    pair.target.connection.commit().await.map_err(unfinished)
}

/// Applies the last changes of a source whose writes are held, and makes the target live when it commits.
async fn prepare(
    source: &mut Connection,
    target: &mut Target,
    tables: &[CopyTable],
) -> Result<(), ReplicationError> {
    let application = Application { tables, copied: None, compared: true };
    application.run(source, &mut target.connection).await?;
    set_serials(source, &mut target.connection, tables).await?;
    standby::record_origin(&mut target.connection).await.map_err(CopyError::Target)?;
    Ok(standby::become_live(&mut target.connection, tables).await.map_err(CopyError::Target)?)
}

/// Begins a transaction in which the source is not written to by others, who wait. Returns when they began to wait;
/// adds the time of waits without success to `held`.
async fn hold_writes(source: &mut Connection, held: &mut Duration) -> Result<Instant, ReplicationError> {
    if source.engine() == Engine::Sqlite {
        let begun = source.begin().map(|()| Instant::now());
        return begun.map_err(ReplicationError::WritesNotHeld);
    }
    let mut failure = DatabaseError::Unavailable(String::new());
    for milliseconds in HOLDS {
        let wait = Duration::from_millis(milliseconds).min(LONGEST_STOP.saturating_sub(*held));
        // 0 would be no limit
        let milliseconds = wait.as_millis().max(1);
        source.begin().map_err(CopyError::Source)?;
        let held_at = Instant::now();
        let settings = format!(
            "SET LOCAL lock_timeout = {milliseconds}; SET LOCAL idle_in_transaction_session_timeout = 2000"
        );
        let locked = async {
            source.script(&settings).await?;
            source.execute(HOLD_WRITES, &[]).await
        };
        match locked.await {
            Ok(_) => return Ok(held_at),
            Err(error) => failure = error,
        }
        *held += held_at.elapsed();
        source.roll_back().await.map_err(CopyError::Source)?;
        sleep(BACKOFF).await;
    }
    Err(ReplicationError::WritesNotHeld(failure))
}
