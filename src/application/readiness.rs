//! Readiness: whether the store can write.

use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::Store;
use crate::infrastructure::exceptions::{Failure, NotReady, NotReadyReason, RepeatedFailure};
use crate::infrastructure::repositories::{DatabaseError, Role, SettingsRepository};

/// The bytes that are written, more than a checkout writes: on a disk that is nearly full, a smaller write may succeed.
const SIZE: usize = 128 << 10;
/// How long a result is returned again, so that frequent requests do not become frequent writes.
const VALIDITY: Duration = Duration::from_secs(1);
/// The longest time of a check: a database without a response by then cannot be written.
const WAIT: Duration = Duration::from_secs(2);

/// Checks whether a store can write.
#[derive(Debug, Default)]
pub struct Readiness {
    written: Recent,
    role: Recent,
    /// The failures to write, of which the log has one line for each reason.
    failing: std::sync::Mutex<RepeatedFailure>,
}

impl Readiness {
    /// Reads the role of the database, and writes a text to one that is live, unless that was done less than a second
    /// ago. A check that runs already is waited for, instead of beginning another one.
    ///
    /// # Errors
    ///
    /// [`NotReady`], with the reason why the database cannot be written: after two seconds without a response, that it
    /// is not available.
    pub async fn check(&self, store: &Store) -> Result<(), Failure> {
        Ok(self.written.get_or(self.write(store)).await?)
    }

    /// Reads whether the database is that of the store, unless that was done less than a second ago. It is taken for
    /// that if there is no response in two seconds.
    ///
    /// # Errors
    ///
    /// [`NotReady`], if it is a standby or the store has moved.
    pub async fn check_live(&self, store: &Store) -> Result<(), NotReady> {
        let role = async { timeout(WAIT, read_role(store)).await.unwrap_or(Ok(())) };
        self.role.get_or(role).await
    }

    /// Writes, and fails after [`WAIT`].
    async fn write(&self, store: &Store) -> Result<(), NotReady> {
        let written = timeout(WAIT, write(store)).await.unwrap_or_else(|_| {
            let reason = format!("no response within {} seconds", WAIT.as_secs());
            Ok(Err(DatabaseError::Unavailable(reason)))
        })?;
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let Err(error) = written else {
            if failing.has_begun() {
                tracing::info!("the database can be written again");
                failing.end();
            }
            return Ok(());
        };
        let not_ready = not_ready(&error);
        if failing.begin_as(format_args!("{:?}", not_ready.reason)) {
            tracing::warn!(error = &error as &dyn std::error::Error, "the database cannot be written");
        }
        Err(not_ready)
    }
}

/// A result that is returned again for [`VALIDITY`].
#[derive(Debug, Default)]
struct Recent(Mutex<Option<(Instant, Result<(), NotReady>)>>);

impl Recent {
    /// Returns the last result if it is recent, or else that of `get`.
    async fn get_or(&self, get: impl Future<Output = Result<(), NotReady>>) -> Result<(), NotReady> {
        let mut last = self.0.lock().await;
        if let Some((at, result)) = *last
            && at.elapsed() < VALIDITY
        {
            return result;
        }
        let result = get.await;
        *last = Some((Instant::now(), result));
        result
    }
}

async fn read_role(store: &Store) -> Result<(), NotReady> {
    let role = store.database().role().await;
    role.ok().and_then(Role::not_live).map_or(Ok(()), |reason| Err(reason.into()))
}

/// Writes to a database that is live.
async fn write(store: &Store) -> Result<Result<(), DatabaseError>, NotReady> {
    read_role(store).await?;
    let write = store.database().write((), async |work, ()| {
        // pages that do not change are not written
        let now = work.now().as_microsecond().to_string();
        SettingsRepository::set(work, "readiness", &now.repeat(SIZE / now.len())).await
    });
    Ok(write.await)
}

fn not_ready(error: &DatabaseError) -> NotReady {
    let reason = match error {
        DatabaseError::NotLive(reason) => return NotReady::from(*reason),
        DatabaseError::Unavailable(_)
        | DatabaseError::OutcomeUnknown(_)
        | DatabaseError::Missing(_)
        | DatabaseError::Retryable(_) => NotReadyReason::DatabaseUnavailable,
        DatabaseError::Full(_) => NotReadyReason::DiskFull,
        DatabaseError::ReadOnly(_) => NotReadyReason::ReadOnly,
        _ => NotReadyReason::DatabaseFailed,
    };
    NotReady { reason }
}
