//! Tasks that run at the same time.

use std::panic::resume_unwind;

use tokio::task::JoinSet;

/// Runs futures, each in a task of its own, so that one which is slow or blocks its thread does not delay the others.
/// Ends when all have ended; panics if one does. If this is dropped, all of them are cancelled.
pub(super) async fn run_all<F: Future<Output = ()> + Send + 'static>(futures: impl IntoIterator<Item = F>) {
    let mut running: JoinSet<()> = futures.into_iter().collect();
    while let Some(ended) = running.join_next().await {
        if let Err(error) = ended
            && let Ok(panic) = error.try_into_panic()
        {
            resume_unwind(panic);
        }
    }
}
