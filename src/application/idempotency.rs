//! Idempotency keys: a request that is repeated with its key has one effect and one response.
//!
//! A use case of one transaction runs in [`once`]. A use case that calls a payment provider between two transactions is
//! a [`ProviderRequest`], run by [`request_provider`]: the first transaction claims the key together with the effect,
//! the last one stores the response.

use std::sync::Arc;

use jiff::SignedDuration;
use uuid::Uuid;

use super::Store;
use crate::domain::time::later;
use crate::infrastructure::exceptions::{Conflict, Failure, Technical, UnauthorizedAccessException};
use crate::infrastructure::repositories::{
    Claimed, IdempotencyKey, IdempotencyRepository, StoredResponse, UnitOfWork, WorkFn, spawn_in_trace,
};

/// How long a request has the claim to its key, beside two calls to a payment provider. A repeated request continues an
/// earlier one after that.
const CLAIM: SignedDuration = SignedDuration::from_secs(20);

/// Renders results and failures as responses, which are stored with the key.
pub trait Render<T: ?Sized>: Send + Sync + 'static {
    /// Renders a result.
    fn success(&self, value: &T) -> StoredResponse;
    /// Renders a failure.
    fn failure(&self, failure: &Failure) -> StoredResponse;
}

/// Responds to a request: renders the result of the use case, and stores the response with the idempotency key of the
/// request, if it has one.
pub struct Responder<T: ?Sized> {
    /// The key under which the response is stored.
    pub key: Option<IdempotencyKey>,
    /// Renders the response.
    pub render: Arc<dyn Render<T>>,
}

impl<T: ?Sized> Clone for Responder<T> {
    fn clone(&self) -> Self {
        Self { key: self.key.clone(), render: Arc::clone(&self.render) }
    }
}

impl<T: ?Sized + 'static> Responder<T> {
    /// Returns a responder that stores its response under `key`.
    pub fn new(key: Option<IdempotencyKey>, render: impl Render<T>) -> Self {
        Self { key, render: Arc::new(render) }
    }

    /// Stores the response to a result. Returns the stored one, which is an earlier one if the key has one.
    async fn respond(
        &self,
        work: &mut UnitOfWork,
        store: &Store,
        value: &T,
    ) -> Result<StoredResponse, Failure> {
        store_response(work, store, self.key.as_ref(), self.render.success(value)).await
    }

    /// Stores the response to a failure, if the failure is final.
    async fn fail(&self, store: &Store, failure: Failure) -> Result<StoredResponse, Failure> {
        let Some(key) = self.key.clone().filter(|_| is_final(&failure)) else { return Err(failure) };
        let given = (store.clone(), key, self.render.failure(&failure));
        let write = store.database().write(given, async |work, (store, key, response)| {
            match claim(work, store, key, None).await? {
                Claimed::New => store_response(work, store, Some(key), response.clone()).await,
                Claimed::Responded(earlier) => Ok(earlier),
                Claimed::Begun { .. } => Err(Conflict::IdempotencyInProgress.into()),
            }
        });
        write.await
    }
}

/// Runs `work` in one transaction with its idempotency key and its response: all of them are committed, or none.
///
/// A request whose key has a response already gets that response, and `work` is not run.
///
/// # Errors
///
/// Those of `work`; [`Conflict::IdempotencyKeyReused`] if the key was used with another request, and
/// [`Conflict::IdempotencyInProgress`] if the first request is still running.
pub async fn once<A, T, F>(
    store: &Store,
    responder: Responder<T>,
    given: A,
    work: F,
) -> Result<StoredResponse, Failure>
where
    A: Send + Sync + 'static,
    T: Send + Sync + 'static,
    F: AsyncFn(&mut UnitOfWork, &A) -> Result<T, Failure>
        + for<'a> WorkFn<'a, A, Result<T, Failure>>
        + Send
        + Sync
        + 'static,
{
    Ok(once_with_value(store, responder, given, work).await?.0)
}

/// Runs `work` as [`once`] does; returns its value with the response, if it was run and committed.
pub(crate) async fn once_with_value<A, T, F>(
    store: &Store,
    responder: Responder<T>,
    given: A,
    work: F,
) -> Result<(StoredResponse, Option<T>), Failure>
where
    A: Send + Sync + 'static,
    T: Send + Sync + 'static,
    F: AsyncFn(&mut UnitOfWork, &A) -> Result<T, Failure>
        + for<'a> WorkFn<'a, A, Result<T, Failure>>
        + Send
        + Sync
        + 'static,
{
    let given = (store.clone(), responder.clone(), given, work);
    match store.database().write(given, run_once::<A, T, F>).await {
        Ok(responded) => Ok(responded),
        Err(failure) => Ok((responder.fail(store, failure).await?, None)),
    }
}

/// Claims the key, runs the work and stores the response.
async fn run_once<A, T, F>(
    unit_of_work: &mut UnitOfWork,
    (store, responder, given, work): &(Store, Responder<T>, A, F),
) -> Result<(StoredResponse, Option<T>), Failure>
where
    A: Send + Sync + 'static,
    T: Send + Sync + 'static,
    F: for<'a> WorkFn<'a, A, Result<T, Failure>> + Send + Sync + 'static,
{
    if let Some(key) = &responder.key {
        match claim(unit_of_work, store, key, None).await? {
            Claimed::New | Claimed::Begun { abandoned: true, .. } => {}
            Claimed::Responded(response) => return Ok((response, None)),
            Claimed::Begun { abandoned: false, .. } => return Err(Conflict::IdempotencyInProgress.into()),
        }
    }
    let value = work(unit_of_work, given).await?;
    let response = responder.respond(unit_of_work, store, &value).await?;
    Ok((response, Some(value)))
}

/// A use case that calls a payment provider between two transactions.
pub(crate) trait ProviderRequest: Send + Sync + Sized + 'static {
    /// What the first transaction wrote, such as a payment.
    type Begun: Send + Sync + 'static;
    /// The outcome that the provider reported.
    type Outcome: Send + Sync + 'static;
    /// The result of the use case.
    type Value: Send + Sync + 'static;

    /// Sends the statements that [`ProviderRequest::begin`] runs first ahead, together with the claim of the key.
    fn begin_ahead(&self, _work: &mut UnitOfWork) {}

    /// Writes the payment or operation that is sent to the provider, with `id` as its id.
    fn begin(
        &self,
        work: &mut UnitOfWork,
        store: &Store,
        id: Uuid,
    ) -> impl Future<Output = Result<Self::Begun, Failure>> + Send;

    /// Loads what an earlier request with the same key wrote; `None` if it is not there.
    fn resume(
        work: &mut UnitOfWork,
        id: Uuid,
    ) -> impl Future<Output = Result<Option<Self::Begun>, Failure>> + Send;

    /// Returns whether the provider has not been called yet, or its outcome is unknown.
    fn is_pending(begun: &Self::Begun) -> bool;

    /// Calls the provider, outside of any transaction. Returns `None` if there is no response.
    fn call(
        store: &Store,
        begun: &Self::Begun,
    ) -> impl Future<Output = Result<Option<Self::Outcome>, Failure>> + Send;

    /// Applies the outcome, if there is one. Returns the result, or the failure that is the response and is stored
    /// with the key.
    fn conclude(
        work: &mut UnitOfWork,
        begun: &Self::Begun,
        outcome: Option<&Self::Outcome>,
    ) -> impl Future<Output = Result<Result<Self::Value, Failure>, Failure>> + Send;
}

/// The state of a request after its first transaction.
enum Progress<B> {
    Begun(B),
    Responded(StoredResponse),
}

/// Runs a use case that calls a payment provider, in a task of its own: it continues if the client disconnects. After a
/// crash, a repeated request or the recovery completes it.
///
/// # Errors
///
/// Those of the use case, and those of [`once`].
pub(crate) async fn request_provider<R: ProviderRequest>(
    store: &Store,
    request: R,
    responder: Responder<R::Value>,
) -> Result<StoredResponse, Failure> {
    let store = store.clone();
    let task = spawn_in_trace(async move {
        let given = (store.clone(), request, responder.clone());
        let begun = match store.database().write(given, begin_request::<R>).await {
            Ok(Progress::Begun(begun)) => begun,
            Ok(Progress::Responded(response)) => return Ok(response),
            Err(failure) => return responder.fail(&store, failure).await,
        };

        let outcome = if R::is_pending(&begun) { R::call(&store, &begun).await? } else { None };

        let given = (store.clone(), Called { begun, outcome }, responder);
        store.database().continuing().write(given, conclude_request::<R>).await
    });
    task.await.unwrap_or_else(|error| Err(Technical::internal(error).into()))
}

/// Claims the key and begins the request, or loads what an earlier one began.
async fn begin_request<R: ProviderRequest>(
    work: &mut UnitOfWork,
    (store, request, responder): &(Store, R, Responder<R::Value>),
) -> Result<Progress<R::Begun>, Failure> {
    let id: Uuid = work.id();
    request.begin_ahead(work);
    let claimed = match &responder.key {
        Some(key) => claim(work, store, key, Some(id)).await?,
        None => Claimed::New,
    };
    let (subject, abandoned) = match claimed {
        Claimed::New => return request.begin(work, store, id).await.map(Progress::Begun),
        Claimed::Responded(response) => return Ok(Progress::Responded(response)),
        Claimed::Begun { subject, abandoned } => (subject, abandoned),
    };
    let begun = match subject {
        Some(id) => R::resume(work, id).await?,
        None => None,
    };
    match begun {
        Some(begun) if abandoned || !R::is_pending(&begun) => Ok(Progress::Begun(begun)),
        _ => Err(Conflict::IdempotencyInProgress.into()),
    }
}

/// A request for which the provider was called, with the outcome that it reported, if any.
struct Called<R: ProviderRequest> {
    begun: R::Begun,
    outcome: Option<R::Outcome>,
}

/// Applies the outcome and stores the response.
async fn conclude_request<R: ProviderRequest>(
    work: &mut UnitOfWork,
    (store, Called { begun, outcome }, responder): &(Store, Called<R>, Responder<R::Value>),
) -> Result<StoredResponse, Failure> {
    if let Some(key) = &responder.key {
        IdempotencyRepository(work).respond_ahead(key);
    }
    let response = match R::conclude(work, begun, outcome.as_ref()).await? {
        Ok(value) => responder.render.success(&value),
        Err(failure) => responder.render.failure(&failure),
    };
    store_response(work, store, responder.key.as_ref(), response).await
}

/// Claims a key for a request about `subject`.
async fn claim(
    work: &mut UnitOfWork,
    store: &Store,
    key: &IdempotencyKey,
    subject: Option<Uuid>,
) -> Result<Claimed, Failure> {
    let now = work.now();
    let calls =
        SignedDuration::try_from(2 * store.infrastructure.gateways.timeout()).map_err(Technical::internal)?;
    let (locked_until, expires_at) = (later(now, CLAIM + calls), later(now, store.terms.idempotency));
    let secret = store.database().signing_key();
    let claimed = IdempotencyRepository(work).claim(secret, key, subject, locked_until, expires_at).await?;
    Ok(claimed.ok_or(Conflict::IdempotencyKeyReused)?)
}

/// Stores the response to a key. Returns the stored one, which is an earlier one if the key has one.
async fn store_response(
    work: &mut UnitOfWork,
    store: &Store,
    key: Option<&IdempotencyKey>,
    response: StoredResponse,
) -> Result<StoredResponse, Failure> {
    match key {
        Some(key) => {
            let secret = store.database().signing_key();
            Ok(IdempotencyRepository(work).respond(secret, key, &response).await?)
        }
        None => Ok(response),
    }
}

/// Returns whether a failure is the final response to a request: it depends neither on the time nor on the session
/// of the client.
fn is_final(failure: &Failure) -> bool {
    failure.kind().is_final() && !failure.is::<UnauthorizedAccessException>()
}
