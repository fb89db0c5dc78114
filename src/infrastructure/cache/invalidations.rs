//! What transactions of all processes drop: the events that they committed, read before an entry is used.
//!
//! A reader first reads the invalidations that were committed since the last look, so that no entry is used that a
//! transaction dropped before the reader came, whichever process committed it. Readers that come while a look is in
//! progress share the next one: on PostgreSQL a busy process looks some thousand times a second, however many
//! readers it has. On SQLite no look is needed as long as nothing was committed, which a read of a few bytes tells.
//! Nothing has to be delivered, and so nothing can be lost or late.
//!
//! On a standby that does not hold: its replication adds events below those that are there. Each look drops everything
//! there, until the database is live.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::counters::{LookCounters, LookCounts};
use super::drops::{Drops, LogEntry, Position};
use super::tag::Tag;
use super::tiers::CatchUp;
use crate::domain::events::DurableEvent;
use crate::infrastructure::events::{ALL_TAGS, CacheInvalidationEvent};
use crate::infrastructure::repositories::{
    CommitMark, Connection, Database, DatabaseError, Engine, Json, Outbox, Publishing, Role,
};

/// The type of the events.
const INVALIDATION: &str = CacheInvalidationEvent::TYPE;
/// The most invalidations that are read at once.
const BATCH: usize = 500;
/// The invalidations before the start that are read, so that entries of other processes can be used.
const BEFORE_START: usize = 2_000;
/// The looks after which the transactions that are still open are asked for. So they are at each look while more than
/// a batch was read above the position up to which everything is known: each look would read all of it again.
const LOOKS: u32 = 256;
/// The time after which they are asked for if something was read above that position: what is loaded after a change is
/// shared with other processes only once everything up to the change is known. A load waits that long for it.
const ASKED_EVERY: SignedDuration = SignedDuration::from_millis(100);
/// The longest time of a look. A database that accepts statements and does not respond would keep all readers waiting,
/// and none would learn why. It is longer than the wait for a connection, whose error names the server.
const LONGEST_LOOK: Duration = Duration::from_secs(12);

/// The invalidations of a database.
pub struct Invalidations {
    database: Database,
    drops: Arc<Drops>,
    /// The number of readers that came.
    came: AtomicU64,
    state: Mutex<State>,
    /// The mark that was read before the last look that succeeded.
    looked_at: std::sync::Mutex<Option<CommitMark>>,
    /// Until when readers that can go on without a look do not wait for one; `None` after one that succeeded.
    paused_until: std::sync::Mutex<Option<Instant>>,
    looks: LookCounters,
}

#[derive(Default)]
struct State {
    /// The number of the last reader for whom a look was taken.
    served: u64,
    /// The number of the last reader for whom a look failed, and its error.
    failed: Option<(u64, DatabaseError)>,
    /// The position up to which every invalidation was read; `None` before the first look.
    complete_to: Option<i64>,
    /// The invalidations above it that were read: transactions with earlier numbers may still be open.
    read: BTreeSet<i64>,
    looks: u32,
    /// When the open transactions were last asked for.
    asked_at: Option<Timestamp>,
    /// Whether the database was found not to be a standby: it does not become one any more.
    is_live: bool,
    /// The transactions that were open before a look that succeeded.
    publishing: Option<Publishing>,
    /// The last invalidation that was known after the last look that succeeded; at the first look, the last one before.
    last: Option<LogEntry>,
    /// The number of the log of the last look that succeeded; see [`Outbox::id_and_log`].
    log: Option<i64>,
}

impl Invalidations {
    /// Returns the invalidations of a database, which drop what is in `drops`.
    pub fn new(database: Database, drops: Arc<Drops>) -> Self {
        Self {
            database,
            drops,
            came: AtomicU64::new(0),
            state: Mutex::default(),
            looked_at: std::sync::Mutex::default(),
            paused_until: std::sync::Mutex::default(),
            looks: LookCounters::default(),
        }
    }

    /// Drops what was invalidated by transactions that were committed before this call. All who came before a look
    /// share its outcome, also its failure: they would wait for one time-out after the other.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`] if the database cannot be read. Nothing that is kept can be trusted then.
    pub async fn catch_up(&self) -> Result<(), DatabaseError> {
        if self.is_caught_up() {
            return Ok(());
        }
        let own = self.came.fetch_add(1, SeqCst) + 1;
        let mut state = self.state.lock().await;
        if state.served >= own {
            return Ok(());
        }
        if let Some((_, error)) = state.failed.as_ref().filter(|(last, _)| *last >= own) {
            return Err(error.clone());
        }
        // the look begins now, after all of these came
        let (came, mark) = (self.came.load(SeqCst), self.database.commit_mark());
        let began = Instant::now();
        let looked = timeout(LONGEST_LOOK, self.look(&mut state)).await;
        let looked = looked.unwrap_or_else(|_| Err(too_late()));
        self.looks.add(began.elapsed(), looked.is_err());
        match &looked {
            Ok(()) => {
                state.served = came;
                *self.looked_at() = mark;
                *self.paused_until() = None;
            }
            Err(error) => state.failed = Some((came, error.clone())),
        }
        looked
    }

    /// Does what [`Invalidations::catch_up`] does for a reader that is not caught up and can go on without it, and so
    /// waits `longest` at most. A look that takes longer goes on, and no other such reader waits for it; nor does one
    /// in the `pause` after a look that failed, unless one succeeds meanwhile.
    pub(super) async fn catch_up_soon(
        self: &Arc<Self>,
        longest: Duration,
        pause: Duration,
    ) -> Result<(), DatabaseError> {
        if self.is_paused() {
            return Err(too_late());
        }
        let own = Arc::clone(self);
        let mut look = Box::pin(async move {
            let looked = own.catch_up().await;
            match &looked {
                // also if another reader's look was in time for this one, which may have begun the pause meanwhile
                Ok(()) => *own.paused_until() = None,
                Err(DatabaseError::Unavailable(_)) => *own.paused_until() = Some(Instant::now() + pause),
                Err(_) => {}
            }
            looked
        });
        if let Ok(looked) = timeout(longest, &mut look).await {
            return looked;
        }
        // a look that failed in this moment has set its own
        if !self.is_paused() {
            *self.paused_until() = Some(Instant::now() + LONGEST_LOOK);
        }
        tokio::spawn(look);
        Err(too_late())
    }

    /// Returns whether nothing was committed since the last look, as far as that is known without one.
    pub(super) fn is_caught_up(&self) -> bool {
        let mark = self.database.commit_mark();
        mark.is_some() && mark == *self.looked_at()
    }

    /// Returns whether readers that can go on without a look do not wait for one.
    fn is_paused(&self) -> bool {
        self.paused_until().is_some_and(|until| Instant::now() < until)
    }

    fn paused_until(&self) -> MutexGuard<'_, Option<Instant>> {
        self.paused_until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the looks since the start: on PostgreSQL one for all readers that came during the one before it, on
    /// SQLite only after a commit.
    pub fn looks(&self) -> LookCounts {
        self.looks.counts()
    }

    fn looked_at(&self) -> MutexGuard<'_, Option<CommitMark>> {
        self.looked_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what catches up for [`Tiers`](super::Tiers). If the database cannot be read, the check mode concludes
    /// nothing, and nothing is shared.
    pub fn catcher_up(self: &Arc<Self>) -> CatchUp {
        let own = Arc::clone(self);
        Arc::new(move || {
            let own = Arc::clone(&own);
            Box::pin(async move { own.catch_up().await.is_ok() })
        })
    }

    async fn look(&self, state: &mut State) -> Result<(), DatabaseError> {
        if !state.is_live && self.database.role().await? == Role::Standby {
            self.drops.leave_log();
            return Ok(());
        }
        // also after a look that failed before it followed the log: the next one may read that of another server
        if !state.is_live || !self.drops.follows_log() {
            self.leave_log(state);
        }
        let mut connection = self.database.read().await?;
        let (last, known_log) = (state.last, state.log);
        Outbox(&mut connection).send_id_and_log_ahead(position_of(last));
        let (is_continued, mut publishing) = self.read(state, &mut connection).await?;
        let (has_last, log) = log_of(&mut connection, last).await?;
        let is_another = known_log.is_some_and(|known| known != log);
        if !is_continued || !has_last || is_another {
            tracing::info!(
                "all caches are emptied: the last known change was purged, or the database was restored or started"
            );
            self.leave_log(state);
            (_, publishing) = self.read(state, &mut connection).await?;
        }
        // not before: a look that failed half-way, or whose reader left, may have read another log
        if let Some(publishing) = publishing {
            self.set_complete_to(state, publishing.readable_until());
            state.publishing = Some(publishing);
        }
        // what was dropped is recorded one event after the other
        if !self.drops.follows_log() {
            self.drops.follow_log(log);
        }
        (state.last, state.log) = (self.drops.known().last, Some(log));
        Ok(())
    }

    /// Forgets what was read, until the log is read anew.
    fn leave_log(&self, state: &mut State) {
        self.drops.leave_log();
        let failed = state.failed.take();
        *state = State { is_live: true, served: state.served, failed, ..State::default() };
    }

    /// Reads the invalidations that are new; at the first look, those before it. Returns whether the log may be that of
    /// the looks before, and the transactions that are still open, if they were asked for.
    async fn read(
        &self,
        state: &mut State,
        connection: &mut Connection,
    ) -> Result<(bool, Option<Publishing>), DatabaseError> {
        // on SQLite transactions do not overlap, and a look follows a commit
        let is_sqlite = connection.engine() == Engine::Sqlite;
        let mut outbox = Outbox(connection);
        if state.complete_to.is_none() {
            let complete_to = outbox.readable_until().await?;
            let known = outbox.last_of(INVALIDATION, complete_to, BEFORE_START).await?;
            let first = known.last().map_or(0, |(position, ..)| *position);
            // of entries that others loaded before the first known invalidation nothing is known
            let floor = if known.len() < BEFORE_START { 0 } else { first };
            self.drops.drop_all(Position(floor));
            state.last = known.first().map(|(position, id, _)| entry(*position, *id));
            for (position, id, Json(event)) in known.into_iter().rev() {
                self.drop(position, id, &event);
            }
            self.set_complete_to(state, complete_to);
        }
        let complete_to = state.complete_to.unwrap_or_default();
        state.looks += 1;
        let now = self.database.context().clock.now();
        if !is_sqlite && !state.asks(now) {
            return Ok((self.read_new(state, connection, complete_to).await?, None));
        }
        (state.looks, state.asked_at) = (0, Some(now));
        let publishing = outbox.publishing().await?;
        // the look before has read what other transactions had published
        let new_after = state.publishing.as_ref().map_or(0, |earlier| publishing.new_after(earlier));
        let is_continued = self.read_new(state, connection, new_after.max(complete_to)).await?;
        // on SQLite it is that of the last event, which may be purged
        let is_continued = is_continued && (is_sqlite || publishing.assigned() >= complete_to);
        Ok((is_continued, Some(publishing)))
    }

    /// Reads the invalidations after a position that were committed since the last look. Returns whether none of them
    /// is where every one is known.
    ///
    /// It reads from the last known one on, if that is before the position: in the same log there is none in between,
    /// but after the log went back to a state with it, new ones are there.
    async fn read_new(
        &self,
        state: &mut State,
        connection: &mut Connection,
        after: i64,
    ) -> Result<bool, DatabaseError> {
        let complete_to = state.complete_to.unwrap_or_default();
        let mut after = after.min(position_of(state.last));
        loop {
            let found = Outbox(connection).committed_of(INVALIDATION, after, BATCH).await?;
            let is_whole = found.len() == BATCH;
            for (position, id, Json(event)) in found {
                if position <= complete_to {
                    return Ok(false);
                }
                after = position;
                if state.read.insert(position) {
                    self.drop(position, id, &event);
                }
            }
            if !is_whole {
                return Ok(true);
            }
        }
    }

    fn drop(&self, position: i64, id: Uuid, event: &CacheInvalidationEvent) {
        self.drops.record(entry(position, id));
        if event.tags.iter().any(|tag| tag == ALL_TAGS) {
            self.drops.drop_all(Position(position));
        } else {
            self.drops.drop_tags(event.tags.iter().map(|tag| Tag::of(tag)), Position(position));
        }
    }

    fn set_complete_to(&self, state: &mut State, position: i64) {
        state.complete_to = Some(position);
        state.read = state.read.split_off(&(position + 1));
        self.drops.set_complete_to(Position(position));
    }
}

impl State {
    /// Returns whether a look asks for the open transactions.
    fn asks(&self, now: Timestamp) -> bool {
        let is_later = || self.asked_at.is_none_or(|at| now.duration_since(at) >= ASKED_EVERY);
        self.looks >= LOOKS || self.read.len() >= BATCH || !self.read.is_empty() && is_later()
    }
}

/// Returns the error of a look that took too long.
fn too_late() -> DatabaseError {
    DatabaseError::Unavailable("what was changed could not be read in time".into())
}

/// Returns whether the last known invalidation is still in the log, or there was none, and the number of the log, which
/// was sent ahead. The file of SQLite cannot be replaced while it is open, and what is lost of its log is the end; a
/// database of PostgreSQL can be restored under running servers, or replaced by a replica that has not received every
/// commit.
async fn log_of(connection: &mut Connection, last: Option<LogEntry>) -> Result<(bool, i64), DatabaseError> {
    if connection.engine() == Engine::Sqlite {
        return Ok((true, 0));
    }
    let (found, log) = Outbox(connection).id_and_log(position_of(last)).await?;
    Ok((found.map(part_of) == last.map(|entry| entry.id), log))
}

/// Returns the position of the last known invalidation; that before all if there is none.
fn position_of(last: Option<LogEntry>) -> i64 {
    last.map_or(Outbox::START, |LogEntry { position, .. }| position.0)
}

fn entry(position: i64, id: Uuid) -> LogEntry {
    LogEntry { position: Position(position), id: part_of(id) }
}

/// Returns the random part of the id of an event.
fn part_of(id: Uuid) -> u64 {
    let (_, random) = id.as_u64_pair();
    random
}
