//! Readiness: whether the store can write.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::Store;
use crate::infrastructure::exceptions::{Failure, NotReady, NotReadyReason};
use crate::infrastructure::repositories::{DatabaseError, SettingsRepository};

/// The bytes that are written, more than a checkout writes: on a disk that is nearly full, a smaller write may succeed.
const SIZE: usize = 128 << 10;
/// How long a result is returned again, so that frequent requests do not become frequent writes.
const VALIDITY: Duration = Duration::from_secs(1);

/// Checks whether a store can write.
#[derive(Debug, Default)]
pub struct Readiness(Mutex<Option<(Instant, Result<(), NotReady>)>>);

impl Readiness {
    /// Reads the role of the database, and writes a text to one that is live, unless that was done less than a second
    /// ago.
    ///
    /// # Errors
    ///
    /// [`NotReady`], with the reason why the database cannot be written.
    pub async fn check(&self, store: &Store) -> Result<(), Failure> {
        let mut last = self.0.lock().await;
        if let Some((at, result)) = *last
            && at.elapsed() < VALIDITY
        {
            return Ok(result?);
        }

        let result = write(store).await;
        *last = Some((Instant::now(), result));
        Ok(result?)
    }
}

async fn write(store: &Store) -> Result<(), NotReady> {
    if let Ok(role) = store.database().role().await
        && let Some(reason) = role.not_live()
    {
        return Err(reason.into());
    }
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
