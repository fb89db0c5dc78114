//! How members surround routes: the whole chain is one service, whose response is one allocation, where a layer of
//! `axum::middleware::from_fn` a member would allocate several times a request and member.

use std::convert::Infallible;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::Route;
use tower::{Service, ServiceExt, layer::layer_fn, service_fn};

/// The headers that the members of the store add to a response, about: so many are allocated at once.
pub(super) const HEADERS: usize = 16;

/// What a member of the chain does with a request.
pub trait Middleware: Send + Sync + 'static {
    /// Responds to a request, usually by what is within this member. A request is lent: one that is moved from member
    /// to member would be copied at each.
    fn respond(&self, request: &mut Request, next: impl Next) -> impl Future<Output = Response> + Send;

    /// Returns this member around another one.
    fn around<M: Middleware>(self, inner: M) -> (Self, M)
    where
        Self: Sized,
    {
        (self, inner)
    }
}

/// What is within a member: the members after it, and the routes.
pub trait Next: Clone + Send {
    /// Responds to a request, which is taken: an empty one is left in its place.
    fn run(self, request: &mut Request) -> impl Future<Output = Response> + Send;
}

/// One member around another.
impl<A: Middleware, B: Middleware> Middleware for (A, B) {
    fn respond(&self, request: &mut Request, next: impl Next) -> impl Future<Output = Response> + Send {
        let (outer, member) = self;
        outer.respond(request, Within { member, next })
    }
}

/// A member that is there or not.
impl<M: Middleware> Middleware for Option<M> {
    async fn respond(&self, request: &mut Request, next: impl Next) -> Response {
        match self {
            Some(member) => member.respond(request, next).await,
            None => next.run(request).await,
        }
    }
}

/// A member with what is within it.
struct Within<'a, M, N> {
    member: &'a M,
    next: N,
}

impl<M, N: Clone> Clone for Within<'_, M, N> {
    fn clone(&self) -> Self {
        Self { member: self.member, next: self.next.clone() }
    }
}

impl<M: Middleware, N: Next> Next for Within<'_, M, N> {
    fn run(self, request: &mut Request) -> impl Future<Output = Response> + Send {
        self.member.respond(request, self.next)
    }
}

/// Returns what is within a member as a service, for a layer of `tower`. Each of its responses takes an allocation: the
/// types of all members and layers within each other would be too deep for the compiler.
pub(super) fn service<'a>(
    next: impl Next + 'a,
) -> impl Service<Request, Response = Response, Error = Infallible, Future = Responding<'a>> + Clone {
    service_fn(move |mut request| -> Responding<'a> {
        let next = next.clone();
        Box::pin(async move { Ok(next.run(&mut request).await) })
    })
}

/// A response, once it is there.
type Responding<'a> = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send + 'a>>;

/// A route within the members.
#[derive(Clone)]
struct Innermost<'a>(&'a Route);

impl Next for Innermost<'_> {
    async fn run(self, request: &mut Request) -> Response {
        let Ok(mut response) = self.0.clone().oneshot(mem::take(request)).await;
        response.headers_mut().reserve(HEADERS);
        response
    }
}

/// Surrounds all routes of a router, the response to an unknown route included.
pub(super) fn surround<S: Clone + Send + Sync + 'static>(
    router: Router<S>,
    member: impl Middleware,
) -> Router<S> {
    let member = Arc::new(member);
    router.layer(layer_fn(move |route| Surrounded(Arc::new((Arc::clone(&member), route)))))
}

/// A route with its members. The router clones it for each request.
struct Surrounded<M>(Arc<(Arc<M>, Route)>);

impl<M> Clone for Surrounded<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<M: Middleware> Service<Request> for Surrounded<M> {
    type Response = Response;
    type Error = Infallible;
    type Future = Responding<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // a route is always ready
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let surrounded = Arc::clone(&self.0);
        Box::pin(async move {
            let (member, route) = &*surrounded;
            Ok(member.respond(&mut request, Innermost(route)).await)
        })
    }
}
