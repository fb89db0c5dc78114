//! The removal of contents that no file uses.

use jiff::{SignedDuration, Timestamp};

use crate::application::Store;
use crate::domain::ids::FileId;
use crate::domain::time::{earlier, later};
use crate::infrastructure::exceptions::Failure;
use crate::infrastructure::repositories::FileRepository;

/// The time after which an upload that is not complete counts as interrupted.
const INTERRUPTED: SignedDuration = SignedDuration::from_hours(1);
/// The most contents of one piece of the job.
const BATCH: usize = 100;

/// Removes contents of uploads that were interrupted and of files that were deleted; returns their number.
pub(crate) async fn clean(store: &Store) -> Result<usize, Failure> {
    let before = earlier(store.now(), INTERRUPTED);
    let unused = {
        let mut connection = store.database().read().await?;
        FileRepository(&mut connection).unused(before, BATCH).await?
    };
    for &id in &unused {
        if claim(store, id, before).await? {
            remove(store, id).await?;
        }
    }
    Ok(unused.len())
}

/// Removes the content of an id if no file uses it. If that fails, the job does it later.
pub(super) async fn remove_now(store: &Store, id: FileId) {
    let removed = async {
        let is_unused = FileRepository(&mut store.database().read().await?).is_unused(id).await?;
        // the transaction that uses it may be committing: the claim waits for its end
        if is_unused && claim(store, id, later(store.now(), INTERRUPTED)).await? {
            remove(store, id).await?;
        }
        Ok::<_, Failure>(())
    };
    if let Err(failure) = removed.await {
        tracing::warn!(file = %id, failure = %failure.report(), "an unused content was not removed; a job does it later");
    }
}

/// Claims a content that has been unused since before a time; returns whether it still is.
async fn claim(store: &Store, id: FileId, before: Timestamp) -> Result<bool, Failure> {
    let write = store.database().write((id, before), async |work, &(id, before)| {
        Ok(FileRepository::claim_unused(work, id, before).await?)
    });
    write.await
}

async fn remove(store: &Store, id: FileId) -> Result<(), Failure> {
    store.infrastructure.files.storage().remove(id).await?;
    let write =
        store.database().write(id, async |work, id| Ok(FileRepository::remove_unused(work, *id).await?));
    write.await
}
