//! The tables of the test: what each writer has published, what each subscriber has handled, and the pieces of jobs.

use super::publishers::SUBSCRIBERS;
use crate::infrastructure::repositories::{Database, DatabaseError, params};

/// What is done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    /// The events that are committed.
    pub published: u64,
    /// The events that the subscribers have handled.
    pub handled: u64,
    /// The fewest events that a subscriber has handled.
    pub fewest: u64,
    /// The jobs of which all pieces are done.
    pub jobs: u64,
    /// The jobs that have not ended.
    pub open_jobs: u64,
}

/// The faults that were found.
pub(super) struct Found {
    pub out_of_order: u64,
    pub dead_letters: u64,
    pub overlaps: u64,
}

impl Progress {
    /// Returns the number of deliveries that are missing.
    pub(super) fn unhandled(&self) -> u64 {
        (self.published * SUBSCRIBERS).saturating_sub(self.handled)
    }

    /// Returns whether each subscriber has handled this many events.
    pub(super) fn handled_by_all_at_least(&self, events: u64) -> bool {
        self.fewest >= events
    }
}

/// Creates the tables with the rows of the writers and the subscribers.
pub(super) async fn create(database: &Database, writers: u32) -> Result<(), DatabaseError> {
    let create = database.write(writers, async |work, &writers| {
        work.script(
            "CREATE TABLE torture_writers (writer BIGINT PRIMARY KEY, published BIGINT NOT NULL); \
             CREATE TABLE torture_handled (subscriber BIGINT NOT NULL, writer BIGINT NOT NULL, \
             handled BIGINT NOT NULL, out_of_order BIGINT NOT NULL, PRIMARY KEY (subscriber, writer)); \
             CREATE TABLE torture_jobs (number BIGINT PRIMARY KEY, pieces BIGINT NOT NULL, overlapping BIGINT NOT NULL)",
        )
        .await?;
        for writer in 0..i64::from(writers) {
            let sql = "INSERT INTO torture_writers (writer, published) VALUES ($1, 0)";
            work.execute(sql, &params![writer]).await?;
            for subscriber in 0..SUBSCRIBERS.cast_signed() {
                let sql = "INSERT INTO torture_handled (subscriber, writer, handled, out_of_order) \
                           VALUES ($1, $2, 0, 0)";
                work.execute(sql, &params![subscriber, writer]).await?;
            }
        }
        Ok(())
    });
    create.await
}

/// Returns what is done so far.
pub(super) async fn progress(database: &Database) -> Result<Progress, DatabaseError> {
    const SQL: &str = "SELECT (SELECT CAST(SUM(published) AS BIGINT) FROM torture_writers), \
                       (SELECT CAST(SUM(handled) AS BIGINT) FROM torture_handled), \
                       (SELECT CAST(MIN(all_handled) AS BIGINT) FROM \
                       (SELECT SUM(handled) AS all_handled FROM torture_handled GROUP BY subscriber) AS subscribers), \
                       (SELECT COUNT(*) FROM torture_jobs WHERE pieces = 3), \
                       (SELECT COUNT(*) FROM jobs WHERE name = 'torture.pieces' AND ended_at IS NULL)";
    let (published, handled, fewest, jobs, open_jobs): (i64, i64, i64, i64, i64) =
        database.read().await?.one(SQL, &[]).await?;
    let [published, handled, fewest, jobs, open_jobs] =
        [published, handled, fewest, jobs, open_jobs].map(i64::cast_unsigned);
    Ok(Progress { published, handled, fewest, jobs, open_jobs })
}

/// Returns the faults that were found.
pub(super) async fn found(database: &Database) -> Result<Found, DatabaseError> {
    const SQL: &str = "SELECT (SELECT CAST(SUM(out_of_order) AS BIGINT) FROM torture_handled), \
                       (SELECT COUNT(*) FROM dead_letters), \
                       (SELECT CAST(COALESCE(SUM(overlapping), 0) AS BIGINT) FROM torture_jobs)";
    let (out_of_order, dead_letters, overlaps): (i64, i64, i64) =
        database.read().await?.one(SQL, &[]).await?;
    let [out_of_order, dead_letters, overlaps] =
        [out_of_order, dead_letters, overlaps].map(i64::cast_unsigned);
    Ok(Found { out_of_order, dead_letters, overlaps })
}
