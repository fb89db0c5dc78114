//! Replication: keeps a second database, of the same engine or the other, in step with that of a store while the store
//! is written to, until the store moves to it.
//!
//! 1. Triggers on each table of the source record the keys of changed rows (`recording.rs`).
//! 2. The first copy is that of [`super::copy`], from one snapshot; after an interruption, what was copied is made
//!    equal to a new snapshot first (`pair.rs`).
//! 3. Each round takes a snapshot of the source, and writes the rows that it has for the recorded keys to the target in
//!    one transaction (`apply.rs`); then the target equals that snapshot. Afterwards the record of these changes is
//!    deleted.
//! 4. The hand-over (`hand_over.rs`) makes the target, a standby that refuses other writes (`standby.rs`), the database
//!    of the store.
//!
//! docs/decisions/0012-replication-by-recorded-keys.md has the reasons.

mod apply;
mod end;
mod error;
mod hand_over;
mod pair;
mod recording;
mod standby;
mod tables;

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use self::pair::{Opened, Pair};
use super::DatabaseUrl;
use super::copy::{CopyError, CopyObserver, TableReport};
use crate::domain::context::Context;

pub(super) use self::end::detach;
pub use self::{
    apply::{Changes, TableChanges},
    end::{make_live, stop},
    error::ReplicationError,
};

/// The delay after a round. Each one is a transaction of the source, whose writers wait for it on SQLite.
const POLL: Duration = Duration::from_millis(100);
/// The number of changes in a round after which the next one follows at once.
const MANY: i64 = 1000;
/// How often the target records that it equals the source while there are no changes.
const TOUCH: Duration = Duration::from_secs(5);
/// The delays before a lost connection is opened again: the first one, doubled up to the last.
const RECONNECT: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(30)];

/// What a replication is run for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// To keep the target in step until it is stopped.
    Follow,
    /// To compare all rows of source and target once.
    Verify,
    /// To move the store to the target.
    HandOver,
}

/// How a replication ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was stopped; the next run continues.
    Stopped,
    /// The tables of source and target are equal.
    Verified(Vec<TableReport>),
    /// The store has moved to the target.
    HandedOver {
        /// The tables, which were equal before the last changes; those were compared one by one. Empty if an earlier
        /// run was interrupted after the point of no return.
        tables: Vec<TableReport>,
        /// How long no writes were possible; `None` if an earlier run was interrupted after the point of no return.
        stop: Option<Duration>,
    },
}

/// A round: what was applied to the target in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// The number of recorded changes that waited.
    pub waited: i64,
    /// The age of the oldest of them.
    pub lag: Duration,
    /// A time by the source's clock: the target has all that was committed before it.
    pub equal_at: Timestamp,
    /// The changed rows.
    pub changes: Changes,
}

/// An observer of a replication.
pub trait ReplicationObserver: CopyObserver {
    /// Receives each round.
    fn applied(&mut self, round: &Round);
    /// Receives an error after which the replication continues, and the time until it does.
    fn interrupted(&mut self, error: &ReplicationError, delay: Duration);
}

/// Replicates the store at `from` to the database at `to`, which is empty or belongs to this replication, until `stop`
/// is cancelled or the goal is reached.
///
/// A connection that is lost after the start is opened again. The process may end at any time. Another process that
/// replicates to the same target ends with an error.
pub async fn replicate<O: ReplicationObserver>(
    (from, to): (&DatabaseUrl, &DatabaseUrl),
    goal: Goal,
    context: Context,
    stop: &CancellationToken,
    observer: &mut O,
) -> Result<Outcome, ReplicationError> {
    let mut opened = pair::open(from, to, &context).await;
    let mut delay = RECONNECT[0];
    let (mut has_opened, mut has_replicated, mut may_have_moved) = (false, false, false);
    loop {
        has_opened |= opened.is_ok();
        has_replicated |= matches!(opened, Ok(Opened::Copying(_) | Opened::Following(_)));
        may_have_moved |= matches!(opened, Ok(Opened::Moving(_)));
        let began = Instant::now();
        let error = match opened {
            Ok(opened) => match run(opened, goal, stop, observer).await {
                Err(error) => error,
                outcome => return outcome,
            },
            Err(error) => error,
        };
        if !has_opened || !error.is_transient() {
            let is_handed_over = has_replicated && matches!(error, ReplicationError::SourceHasMoved);
            return Err(if is_handed_over { ReplicationError::HandedOver } else { error });
        }
        if began.elapsed() > RECONNECT[1] {
            delay = RECONNECT[0];
        }
        observer.interrupted(&error, delay);
        may_have_moved |= matches!(error, ReplicationError::Unfinished(_));
        tokio::select! {
            () = stop.cancelled() => {
                return if may_have_moved { Err(ReplicationError::Unfinished(None)) } else { stopped(goal) };
            }
            () = sleep(delay) => {}
        }
        delay = RECONNECT[1].min(delay * 2);
        opened = pair::open(from, to, &context).await;
    }
}

/// Returns the outcome of a replication that was stopped: an error if its goal is to come to an end.
fn stopped(goal: Goal) -> Result<Outcome, ReplicationError> {
    match goal {
        Goal::Follow => Ok(Outcome::Stopped),
        Goal::Verify | Goal::HandOver => Err(CopyError::Stopped.into()),
    }
}

/// Runs a replication on open connections.
async fn run<O: ReplicationObserver>(
    opened: Opened,
    goal: Goal,
    stop: &CancellationToken,
    observer: &mut O,
) -> Result<Outcome, ReplicationError> {
    let mut pair = match opened {
        Opened::Copying(mut pair) => {
            pair.take_over().await?;
            pair.copy(observer).await?;
            pair
        }
        Opened::Following(mut pair) => {
            pair.take_over().await?;
            pair
        }
        Opened::Moving(mut pair) if goal == Goal::HandOver => {
            pair.take_over().await?;
            hand_over::complete(&mut pair).await?;
            standby::check_foreign_keys(&mut pair.target.connection).await.map_err(CopyError::Target)?;
            return Ok(Outcome::HandedOver { tables: Vec::new(), stop: None });
        }
        Opened::Moved(mut target) if goal == Goal::HandOver => {
            standby::check_foreign_keys(&mut target.connection).await.map_err(CopyError::Target)?;
            return Ok(Outcome::HandedOver { tables: Vec::new(), stop: None });
        }
        Opened::Moving(_) | Opened::Moved(_) => return Err(ReplicationError::SourceHasMoved),
    };

    follow(&mut pair, goal, stop, observer).await
}

/// Keeps the target in step; compares all rows once the first copy is complete, and for a goal that needs it.
async fn follow<O: ReplicationObserver>(
    pair: &mut Pair,
    goal: Goal,
    stop: &CancellationToken,
    observer: &mut O,
) -> Result<Outcome, ReplicationError> {
    let mut touched = Instant::now();
    while !stop.is_cancelled() {
        let round = pair.round(false).await?;
        observer.applied(&round);
        if round.waited > 0 {
            touched = Instant::now();
        }
        if round.waited > MANY && goal == Goal::Follow && pair.verified {
            continue;
        }

        if !pair.verified || goal != Goal::Follow {
            let tables = pair.verify(observer).await?;
            match goal {
                Goal::Follow => continue,
                Goal::Verify => return Ok(Outcome::Verified(tables)),
                Goal::HandOver => {
                    let stopped = hand_over::hand_over(pair, stop).await?;
                    standby::check_foreign_keys(&mut pair.target.connection)
                        .await
                        .map_err(CopyError::Target)?;
                    return Ok(Outcome::HandedOver { tables, stop: Some(stopped) });
                }
            }
        }
        if touched.elapsed() >= TOUCH {
            pair.touch(round.equal_at).await?;
            touched = Instant::now();
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = sleep(POLL) => {}
        }
    }
    stopped(goal)
}
