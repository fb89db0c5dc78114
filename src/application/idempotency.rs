//! One key, one effect, one answer: for every request that creates or pays.
//!
//! What happens in one unit of work goes through [`once`]. What needs a vendor in between (checkout, refund, capture)
//! claims its key with [`claim`] in the unit that has the effect and settles it with [`settle`] in the last one.

use std::sync::Arc;

use jiff::SignedDuration;
use uuid::Uuid;

use super::Store;
use crate::domain::time::later;
use crate::infrastructure::exceptions::{Conflict, Failure, UnauthorizedAccessException};
use crate::infrastructure::repositories::{
    Claimed, IdempotencyKey, IdempotencyRepository, StoredResponse, UnitOfWork, WorkFn,
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

/// How a use case responds: the idempotency key of the request, if it was sent with one, and what renders the result.
pub struct Responder<T: ?Sized> {
    /// The key under which the response is stored.
    pub key: Option<IdempotencyKey>,
    /// What renders the result.
    pub render: Arc<dyn Render<T>>,
}

impl<T: ?Sized> Clone for Responder<T> {
    fn clone(&self) -> Self {
        Self { key: self.key.clone(), render: Arc::clone(&self.render) }
    }
}

impl<T: ?Sized> Responder<T> {
    /// A responder that stores its response under `key`.
    pub fn new(key: Option<IdempotencyKey>, render: impl Render<T>) -> Self {
        Self { key, render: Arc::new(render) }
    }
}

/// Runs `work` in one transaction with its idempotency key and its response: all of them are committed, or none.
///
/// A request whose key has a response already gets that response, and `work` is not run.
pub async fn once<A, T, F>(
    store: &Store,
    responder: Responder<T>,
    given: A,
    work: F,
) -> Result<StoredResponse, Failure>
where
    A: Send + Sync + 'static,
    T: Send + 'static,
    F: AsyncFn(&mut UnitOfWork, &A) -> Result<T, Failure>
        + for<'a> WorkFn<'a, A, Result<T, Failure>>
        + Send
        + Sync
        + 'static,
{
    let Responder { key, render } = responder.clone();
    let given = (store.clone(), responder, given, work);
    let outcome = store.database().write(given, run_once::<A, T, F>).await;
    match (outcome, key) {
        (Err(failure), Some(key)) => refuse(store, key, &render.refusal(&failure), failure).await,
        (outcome, _) => outcome,
    }
}

/// Claims the key, runs the work and stores the response.
async fn run_once<A, T, F>(
    unit_of_work: &mut UnitOfWork,
    (store, Responder { key, render }, given, work): &(Store, Responder<T>, A, F),
) -> Result<StoredResponse, Failure>
where
    A: Send + Sync + 'static,
    T: Send + 'static,
    F: for<'a> WorkFn<'a, A, Result<T, Failure>> + Send + Sync + 'static,
{
    if let Some(key) = key {
        match claim(unit_of_work, store, key, None).await? {
            ClaimOutcome::Fresh | ClaimOutcome::UnderWay { mine: true, .. } => {}
            ClaimOutcome::Answered(response) => return Ok(response),
            ClaimOutcome::UnderWay { mine: false, .. } => return Err(Conflict::IdempotencyInProgress.into()),
        }
    }
    let value = work(unit_of_work, given).await?;
    settle(unit_of_work, key.as_ref(), render.success(&value)).await
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
    let given = (store.clone(), key, answer.clone());
    let write = store.database().write(given, async |work, (store, key, answer)| {
        match claim(work, store, key, None).await? {
            ClaimOutcome::Fresh => settle(work, Some(key), answer.clone()).await,
            ClaimOutcome::Answered(earlier) => Ok(earlier),
            ClaimOutcome::UnderWay { .. } => Err(Conflict::IdempotencyInProgress.into()),
        }
    });
    write.await
}

/// Returns whether a failure is the final response to a request: it depends neither on the time nor on the login of
/// the client.
fn is_final(failure: &Failure) -> bool {
    failure.kind().is_final() && !failure.is::<UnauthorizedAccessException>()
}
