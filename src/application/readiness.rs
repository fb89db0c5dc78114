//! Readiness: whether the store can write.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::Store;
use crate::infrastructure::exceptions::{Failure, NotReady, NotReadyReason};
use crate::infrastructure::repositories::{DatabaseError, Role, SettingsRepository};

/// The bytes that are written, more than a checkout writes: on a disk that is nearly full, a smaller write may succeed.
const SIZE: usize = 128 << 10;
/// How long a result is returned again, so that frequent requests do not become frequent writes.
const VALIDITY: Duration = Duration::from_secs(1);

/// Checks whether a store can write.
#[derive(Debug, Default)]
pub struct Readiness {
    written: Recent,
    role: Recent,
}

impl Readiness {
    /// Reads the role of the database, and writes a text to one that is live, unless that was done less than a second
    /// ago.
    ///
    /// # Errors
    ///
    /// [`NotReady`], with the reason why the database cannot be written.
    pub async fn check(&self, store: &Store) -> Result<(), Failure> {
        Ok(self.written.get_or(write(store)).await?)
    }

    /// Reads whether the database is that of the store, unless that was done less than a second ago.
    ///
    /// # Errors
    ///
    /// [`NotReady`], if it is a standby or the store has moved.
    pub async fn check_live(&self, store: &Store) -> Result<(), NotReady> {
        self.role.get_or(read_role(store)).await
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

async fn write(store: &Store) -> Result<(), NotReady> {
    read_role(store).await?;
    let written = store.database().write((), async |work, ()| {
        // pages that do not change are not written
        let now = work.now().as_microsecond().to_string();
        SettingsRepository::set(work, "readiness", &now.repeat(SIZE / now.len())).await
    });
    written.await.map_err(|error| {
        tracing::warn!(error = &error as &dyn std::error::Error, "the database cannot be written");
        not_ready(&error)
    })
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
