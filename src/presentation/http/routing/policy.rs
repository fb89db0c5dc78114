//! Handlers that begin with a policy. The policy runs the guards of the route; then the other arguments are read, and
//! the faults of all of them are one response.

use std::marker::PhantomData;
use std::pin::Pin;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::handler::Handler;
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter};
use http::header::{CACHE_CONTROL, VARY};
use http::{HeaderValue, Method};
use utoipa::openapi::path::Operation;

use super::Access;
use crate::infrastructure::exceptions::{Failure, RequestFaults};
use crate::infrastructure::middleware::Unread;
use crate::presentation::http::operation::OperationDescription;

/// An extractor which proves that the principal may call the route.
pub trait Policy {
    /// The principals that may call the route.
    const ACCESS: Access;

    /// Adds to the description of an operation what the policy reads, and how it fails.
    fn describe(operation: &mut OperationDescription<'_>) {
        Self::ACCESS.describe(operation);
    }
}

/// An argument of a handler, which adds to the API document what it reads and how it fails.
pub trait Argument {
    /// Adds to the description of an operation.
    fn describe(_: &mut OperationDescription<'_>) {}
}

/// The policy of a handler, and what its arguments read.
#[derive(Debug, Clone, Copy)]
pub struct Signature {
    pub(super) access: Access,
    pub(super) describe: fn(&mut OperationDescription<'_>),
}

impl Signature {
    /// Returns what the handler of an operation does not read.
    pub(super) fn unread(self, operation: &Operation, is_safe: bool) -> Unread {
        let mut operation = operation.clone();
        let mut description = OperationDescription::new(&mut operation, is_safe);
        (self.describe)(&mut description);
        description.unread()
    }
}

/// A handler whose first argument is its [`Policy`], and whose others are [`Argument`]s. `T` are their types, which
/// the compiler finds.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no handler that begins with a policy",
    note = "the first argument of a handler is its policy: `Public`, `Anyone`, `CredentialHolder` or a `Guarded` proof",
    note = "each other argument implements `Argument`, and at most the last one reads the body",
    note = "the state implements `LoadFacts` of each guard, and each guard `DescribeGuard`",
    note = "`#[axum::debug_handler(state = …)]` on the handler says which argument the state does not provide"
)]
pub trait PolicyHandler<T, S>: Clone + Send + Sync + 'static {
    /// The policy and what the arguments read.
    const SIGNATURE: Signature;

    /// Reads the arguments of a request and calls the handler.
    ///
    /// # Errors
    ///
    /// That of the policy, before anything else is read. Then all faults of the other arguments together, and with them
    /// what none of the arguments reads and what the policy kept in the extension [`RequestFaults`].
    fn respond(self, request: Request, state: S) -> impl Future<Output = Result<Response, Failure>> + Send;
}

/// A handler that reads nothing but its policy.
impl<F, Fut, R, S, P> PolicyHandler<((), P), S> for F
where
    F: FnOnce(P) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = R> + Send,
    R: IntoResponse,
    S: Send + Sync + 'static,
    P: Policy + FromRequestParts<S, Rejection: Into<Failure>> + Send,
{
    const SIGNATURE: Signature = Signature { access: P::ACCESS, describe: P::describe };

    async fn respond(self, request: Request, state: S) -> Result<Response, Failure> {
        let (mut parts, _) = request.into_parts();
        let policy = P::from_request_parts(&mut parts, &state).await.map_err(Into::<Failure>::into)?;
        let faults = RequestFaults::take(&mut parts.extensions);
        if !faults.is_empty() {
            return Err(faults.into_failure());
        }
        Ok(self(policy).await.into_response())
    }
}

macro_rules! policy_handler {
    ($($argument:ident $value:ident)*) => {
        impl<F, Fut, R, S, M, P, $($argument,)* Last> PolicyHandler<(M, P, $($argument,)* Last), S> for F
        where
            F: FnOnce(P, $($argument,)* Last) -> Fut + Clone + Send + Sync + 'static,
            Fut: Future<Output = R> + Send,
            R: IntoResponse,
            S: Send + Sync + 'static,
            P: Policy + FromRequestParts<S, Rejection: Into<Failure>> + Send,
            $($argument: Argument + FromRequestParts<S, Rejection: Into<Failure>> + Send,)*
            Last: Argument + FromRequest<S, M, Rejection: Into<Failure>> + Send,
        {
            const SIGNATURE: Signature = Signature {
                access: P::ACCESS,
                describe: |description| {
                    P::describe(description);
                    $($argument::describe(description);)*
                    Last::describe(description);
                },
            };

            async fn respond(self, request: Request, state: S) -> Result<Response, Failure> {
                let (mut parts, body) = request.into_parts();
                let policy = P::from_request_parts(&mut parts, &state).await.map_err(Into::<Failure>::into)?;

                let mut faults = RequestFaults::take(&mut parts.extensions);
                $(let $value = faults.keep($argument::from_request_parts(&mut parts, &state).await)?;)*
                let request = Request::from_parts(parts, body);
                let last = faults.keep(Last::from_request(request, &state).await)?;
                let ($(Some($value),)* Some(last), true) = ($($value,)* last, faults.is_empty()) else {
                    return Err(faults.into_failure());
                };

                Ok(self(policy, $($value,)* last).await.into_response())
            }
        }
    };
}

policy_handler!();
policy_handler!(A first);
policy_handler!(A first B second);
policy_handler!(A first B second C third);
policy_handler!(A first B second C third D fourth);
policy_handler!(A first B second C third D fourth E fifth);
policy_handler!(A first B second C third D fourth E fifth G sixth);

/// A handler as one of axum.
#[derive(Clone)]
struct Routed<H>(H);

impl<H, T, S> Handler<PhantomData<fn() -> T>, S> for Routed<H>
where
    H: PolicyHandler<T, S>,
    T: 'static,
    S: Send + 'static,
{
    type Future = Pin<Box<dyn Future<Output = Response> + Send>>;

    fn call(self, request: Request, state: S) -> Self::Future {
        Box::pin(async move { self.0.respond(request, state).await.into_response() })
    }
}

/// Returns the route of a method. Its responses are private unless its policy is public.
pub(super) fn route<H, T, S>(method: Method, handler: H) -> MethodRouter<S>
where
    H: PolicyHandler<T, S>,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    let filter = MethodFilter::try_from(method).unwrap_or_else(|unknown| panic!("{unknown}"));
    let route = MethodRouter::new().on::<_, PhantomData<fn() -> T>>(filter, Routed(handler));
    match H::SIGNATURE.access {
        Access::Public => route,
        Access::Anyone | Access::LoggedIn | Access::Admin => route.layer(map_response(private)),
    }
}

/// Keeps caches from storing a response that depends on the principal (RFC 9111 section 5.2.2).
async fn private(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.append(VARY, HeaderValue::from_static("authorization, cookie"));
    response
}
