//! One key, one effect, one answer: for every request that creates or pays.
//!
//! What happens in one unit of work goes through [`once`]. What needs a vendor in between (checkout, refund, capture)
//! claims its key with [`claim`] in the unit that has the effect and settles it with [`settle`] in the last one.

use std::sync::Arc;

use jiff::SignedDuration;
use uuid::Uuid;

use super::Store;
use crate::infrastructure::exceptions::{Conflict, Failure, UnauthorizedAccessException};
use crate::infrastructure::repositories::{
    Claimed, IdempotencyKey, IdempotencyRepository, StoredResponse, UnitOfWork, Work,
};

/// How long whoever claimed a key may be silent before another request takes its work up.
const PATIENCE: SignedDuration = SignedDuration::from_secs(60);

/// How results and refusals look on the wire: the caller's business, kept with the key.
pub trait Render<T: ?Sized>: Send + Sync + 'static {
    /// The answer to a success.
    fn success(&self, value: &T) -> StoredResponse;
    /// The answer to a refusal.
    fn refusal(&self, failure: &Failure) -> StoredResponse;
}

/// What a claim came to.
#[derive(Debug)]
pub enum ClaimOutcome {
    /// The work is this caller's.
    Fresh,
    /// There is an answer already.
    Answered(StoredResponse),
    /// Another request works on this, or did until it fell silent (then `mine` is set).
    UnderWay {
        /// What it works on.
        subject: Option<Uuid>,
        /// Whether this caller is to take the work up.
        mine: bool,
    },
}

/// Claims a key for work about `subject`.
pub async fn claim(
    unit_of_work: &mut UnitOfWork,
    store: &Store,
    key: &IdempotencyKey,
    subject: Option<Uuid>,
) -> Result<ClaimOutcome, Failure> {
    let now = unit_of_work.now();
    let (locked_until, expires_at) = (later(now, PATIENCE), later(now, store.policy.idempotency));
    let claimed = IdempotencyRepository(unit_of_work).claim(key, subject, locked_until, expires_at).await?;
    match claimed {
        Claimed::Fresh => Ok(ClaimOutcome::Fresh),
        Claimed::Answered(answer) => Ok(ClaimOutcome::Answered(answer)),
        Claimed::Running(subject) => Ok(ClaimOutcome::UnderWay { subject, mine: false }),
        Claimed::Abandoned(subject) => Ok(ClaimOutcome::UnderWay { subject, mine: true }),
        Claimed::Reused => Err(Conflict::IdempotencyKeyReused.into()),
    }
}

/// Keeps the answer to a key; the answer that stands, which is another one if somebody was faster.
pub async fn settle(
    unit_of_work: &mut UnitOfWork,
    key: Option<&IdempotencyKey>,
    answer: StoredResponse,
) -> Result<StoredResponse, Failure> {
    match key {
        Some(key) => Ok(IdempotencyRepository(unit_of_work).answer(key, &answer).await?),
        None => Ok(answer),
    }
}

/// Does `work` in one unit of work with its key and its answer: all of them, or none.
pub async fn once<T, F, R>(
    store: &Store,
    key: Option<IdempotencyKey>,
    render: Arc<R>,
    work: F,
) -> Result<StoredResponse, Failure>
where
    F: for<'a> Fn(&'a mut UnitOfWork) -> Work<'a, T, Failure> + Send + Sync + 'static,
    R: Render<T> + ?Sized,
    T: Send + 'static,
{
    let work = Arc::new(work);
    let outcome = {
        let (store, key, render) = (store.clone(), key.clone(), Arc::clone(&render));
        let database = store.database().clone();
        database
            .write_boxed(move |unit_of_work| {
                let (store, key, render, work) =
                    (store.clone(), key.clone(), Arc::clone(&render), Arc::clone(&work));
                Box::pin(async move {
                    if let Some(key) = &key {
                        match claim(unit_of_work, &store, key, None).await? {
                            ClaimOutcome::Fresh | ClaimOutcome::UnderWay { mine: true, .. } => {}
                            ClaimOutcome::Answered(answer) => return Ok(answer),
                            ClaimOutcome::UnderWay { mine: false, .. } => {
                                return Err(Conflict::IdempotencyInProgress.into());
                            }
                        }
                    }
                    let value = work(unit_of_work).await?;
                    settle(unit_of_work, key.as_ref(), render.success(&value)).await
                })
            })
            .await
    };
    match (outcome, key) {
        (Err(failure), Some(key)) => refuse(store, key, &render.refusal(&failure), failure).await,
        (outcome, _) => outcome,
    }
}

/// Keeps a refusal as the answer to its key, if the same request would be refused for good.
pub async fn refuse(
    store: &Store,
    key: IdempotencyKey,
    answer: &StoredResponse,
    failure: Failure,
) -> Result<StoredResponse, Failure> {
    if !is_final(&failure) {
        return Err(failure);
    }
    let (store, answer) = (store.clone(), answer.clone());
    let database = store.database().clone();
    database
        .write_boxed(move |unit_of_work| {
            let (store, key, answer) = (store.clone(), key.clone(), answer.clone());
            Box::pin(async move {
                match claim(unit_of_work, &store, &key, None).await? {
                    ClaimOutcome::Fresh => settle(unit_of_work, Some(&key), answer).await,
                    ClaimOutcome::Answered(earlier) => Ok(earlier),
                    ClaimOutcome::UnderWay { .. } => Err(Conflict::IdempotencyInProgress.into()),
                }
            })
        })
        .await
}

/// Returns whether a failure is the final response to a request: it depends neither on the time nor on the login of
/// the client.
fn is_final(failure: &Failure) -> bool {
    failure.kind().is_final() && !failure.is::<UnauthorizedAccessException>()
}

/// `span` after `at`, or the end of time.
pub(crate) fn later(at: jiff::Timestamp, span: SignedDuration) -> jiff::Timestamp {
    at.checked_add(span).unwrap_or(jiff::Timestamp::MAX)
}
