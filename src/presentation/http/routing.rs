//! Routes that state their policy and document themselves.
//!
//! The first argument of a handler is its policy: [`Public`], [`Anyone`], [`CredentialHolder`], or the proof of a
//! guard: [`Guarded`], such as [`LoggedIn`] and [`Admin`]. [`Routes`] takes no handler that begins with anything else
//! ([`PolicyHandler`]). The other arguments are [`Argument`]s, which add to the API document what they read and how
//! they fail. They are read once the policy allows the request, and the faults of all of them are one response.
//!
//! # In another service
//!
//! A service of its own adds its handlers by [`Routes::route`], without an API document. Its state implements
//! [`ServiceState`], by which handlers take it, and its extractors implement [`Argument`]. Its policies are [`Public`]
//! and [`Guarded`] with [guards](crate::infrastructure::guards#in-another-service); `examples/edge.rs` has some of
//! them.
//!
//! ```
//! use axum::Router;
//! use http::Method;
//! use serde::Deserialize;
//! use undercroft::presentation::http::json::Json;
//! use undercroft::presentation::http::principal::Public;
//! use undercroft::presentation::http::query::Path;
//! use undercroft::presentation::http::routing::Routes;
//! use undercroft::presentation::http::state::{ServiceState, State};
//! use utoipa::ToSchema;
//!
//! #[derive(Clone)]
//! struct Depot {
//!     city: &'static str,
//! }
//!
//! impl ServiceState for Depot {}
//!
//! #[derive(Deserialize, ToSchema)]
//! struct Parcel {
//!     #[schema(minimum = 1)]
//!     grams: i64,
//! }
//!
//! /// An id that is no number and a parcel without a weight are two faults of one response.
//! async fn send(_: Public, State(depot): State<Depot>, Path(id): Path<u32>, Json(parcel): Json<Parcel>) -> String {
//!     format!("parcel {id} of {} g, from {}", parcel.grams, depot.city)
//! }
//!
//! let routes = Routes::default().route(Method::PUT, "/parcels/{id}", send);
//! let router: Router = routes.into_router().with_state(Depot { city: "Bremen" });
//! ```
//!
//! All else is for the store, whose state is [`AppState`]: the policies but those two, the functions of
//! `Routes<AppState>`, which follow from the API document, and the macro `routes!`, which other crates do not see.
//!
//! # Adding one
//!
//! A handler of the store is documented by `#[utoipa::path]`, and listed with its own failures in `routes!`. Parameters
//! of the query are refused if the document has none, unless [`AnyQuery`] is among the arguments. The rate of requests
//! to a route is limited as that of all others, unless [`Routes::limited`] states another class. The module
//! `adding_one`, in `src/presentation/http/routing/adding_one.rs`, is a complete example. The file's `routes` is then
//! listed in `routes/mod.rs`.
//!
//! [`Public`]: super::principal::Public
//! [`Anyone`]: super::principal::Anyone
//! [`LoggedIn`]: super::principal::LoggedIn
//! [`Admin`]: super::principal::Admin
//! [`Guarded`]: super::guarded::Guarded
//! [`CredentialHolder`]: super::principal::CredentialHolder
//! [`AnyQuery`]: super::query::AnyQuery
//! [`ServiceState`]: super::state::ServiceState

mod access;
mod paths;
mod policy;

use std::collections::HashMap;
use std::future::ready;

use axum::Extension;
use axum::Router;
use axum::extract::Request;
use axum::middleware::{from_fn, map_request, map_response};
use axum::response::Response;
use axum::routing::MethodRouter;
use http::Method;
use utoipa::openapi::{OpenApi, path::Operation};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

pub use self::access::Access;
use self::paths::{operation_id, operations};
use self::policy::route;
pub use self::policy::{Argument, Policy, PolicyHandler, Signature};
use super::actor::AdministrationId;
use super::operation::OperationDescription;
use super::permissions;
use super::recorded_reads;
use super::refusals;
use super::state::{AppState, State};
use crate::domain::permission::Permission;
use crate::infrastructure::exceptions::{Failure, RejectedRequest};
use crate::infrastructure::middleware::{
    AuthorizationMiddleware, BodyLimit, ByRoute, PublicResponse, RateClass, Unread,
};

/// The name of the scheme in the API document by which a request sends its credential in a header.
pub(super) const BEARER: &str = "session_token";
/// The name of the scheme in the API document by which a browser sends the token of its session in a cookie.
pub(super) const COOKIE: &str = "session_cookie";

impl<S> Argument for State<S> {}

/// The routes of these handlers, each with the failures that neither its policy nor its arguments imply:
/// `routes![list_orders, get_order: [NotFound::Order]]`.
macro_rules! routes {
    ($($handler:ident $(: [$($failure:expr),* $(,)?])?),+ $(,)?) => {
        <$crate::presentation::http::routing::Routes>::default()$(.operation(
            ::utoipa_axum::routes!($handler),
            $handler,
            || vec![$($($crate::infrastructure::exceptions::Failure::from($failure)),*)?],
        ))+
    };
}
pub(crate) use routes;

/// Routes, the handler of each of which begins with a policy: those of the store with their documentation, or those of
/// a service of its own.
///
/// ```
/// use axum::Router;
/// use http::Method;
/// use undercroft::presentation::http::principal::Public;
/// use undercroft::presentation::http::query::Path;
/// use undercroft::presentation::http::routing::Routes;
///
/// async fn get_health(_: Public) -> &'static str {
///     "up"
/// }
/// async fn get_name(_: Public, Path(name): Path<String>) -> String {
///     name
/// }
///
/// let routes = Routes::default().route(Method::GET, "/health", get_health).route(Method::GET, "/{name}", get_name);
/// let router: Router = routes.into_router();
/// ```
///
/// A handler that does not begin with a policy does not compile:
///
/// ```compile_fail,E0277
/// use axum::Router;
/// use http::Method;
/// use undercroft::presentation::http::query::Path;
/// use undercroft::presentation::http::routing::Routes;
///
/// async fn get_name(Path(name): Path<String>) -> String {
///     name
/// }
///
/// let router: Router = Routes::default().route(Method::GET, "/{name}", get_name).into_router();
/// ```
///
/// Nor does one that takes the state by the extractor of axum, which knows no actor for the audit log:
///
/// ```compile_fail,E0277
/// use axum::extract::State;
/// use http::Method;
/// use undercroft::presentation::http::principal::Public;
/// use undercroft::presentation::http::routing::Routes;
/// use undercroft::presentation::http::state::AppState;
///
/// async fn get_address(_: Public, State(_): State<AppState>) {}
///
/// let routes: Routes = Routes::default().route(Method::GET, "/address", get_address);
/// ```
pub struct Routes<S = AppState> {
    router: OpenApiRouter<S>,
    described: Vec<Described>,
    undocumented: Vec<String>,
}

/// What is known of an operation beside what `#[utoipa::path]` says.
struct Described {
    operation_id: String,
    method: Method,
    path: String,
    signature: Signature,
    /// The permission that it requires, if it is for administrators.
    permission: Option<Permission>,
    failures: fn() -> Vec<Failure>,
    class: RateClass,
    unread: Unread,
}

impl<S: Clone + Send + Sync + 'static> Default for Routes<S> {
    fn default() -> Self {
        Self { router: OpenApiRouter::default(), described: Vec::new(), undocumented: Vec::new() }
    }
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// Adds a route that is not in the API document. In the store these are the pages for browsers, of which a test of
    /// the access matrix lists all.
    ///
    /// # Panics
    ///
    /// If there is a route with the method and the path already, or `method` is none of HTTP.
    #[must_use]
    pub fn route<H, T>(mut self, method: Method, path: &str, handler: H) -> Self
    where
        H: PolicyHandler<T, S>,
        T: 'static,
    {
        self.undocumented.push(path.to_owned());
        Self { router: self.router.route(path, route(method, handler)), ..self }
    }

    /// Adds other routes.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.described.extend(other.described);
        self.undocumented.extend(other.undocumented);
        Self { router: self.router.merge(other.router), ..self }
    }

    /// The router.
    pub fn into_router(self) -> Router<S> {
        self.router.split_for_parts().0
    }
}

impl Routes {
    /// Adds an operation of the API of the store, which lists its own by the macro `routes!` of this crate.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "a handler is a function, as in `route`")]
    pub fn operation<H, T>(
        mut self,
        (schemas, mut paths, _): UtoipaMethodRouter<AppState>,
        handler: H,
        failures: fn() -> Vec<Failure>,
    ) -> Self
    where
        H: PolicyHandler<T, AppState>,
        T: 'static,
    {
        let signature = H::SIGNATURE;
        let mut router = MethodRouter::new();
        for (path, item) in &mut paths.paths {
            for (method, operation) in operations(item) {
                let function = operation.operation_id.take().unwrap_or_default();
                let operation_id = operation_id(path, &function);
                operation.operation_id = Some(operation_id.clone());
                let permission = match signature.access {
                    Access::Admin => Some(permissions::required(&method, path)),
                    Access::Public | Access::Anyone | Access::LoggedIn => None,
                };
                let mut added: MethodRouter<AppState> = route(method.clone(), handler.clone());
                if let Some(permission) = permission {
                    added = added.layer(Extension(AdministrationId(operation_id.as_str().into())));
                    added = AuthorizationMiddleware { permission }.apply(added);
                    if permissions::reads_people(permission) {
                        added = added.layer(from_fn(recorded_reads::record));
                    }
                    added = added.layer(from_fn(refusals::record));
                }
                router = router.merge(added);
                let unread = signature.unread(operation, method.is_safe());
                let (path, class) = (path.clone(), RateClass::General);
                let described =
                    Described { operation_id, method, path, signature, permission, failures, class, unread };
                self.described.push(described);
            }
        }
        Self { router: self.router.routes((schemas, paths, router)), ..self }
    }

    /// Sets the class by which the rate of requests to all of these routes is limited; that of others is general.
    #[must_use]
    pub fn limited(mut self, class: RateClass) -> Self {
        for described in &mut self.described {
            described.class = class;
        }
        self
    }

    /// The routes whose class is not the general one, by path.
    pub fn classes(&self) -> ByRoute<RateClass> {
        let mut classes: ByRoute<_> = HashMap::new();
        for described in self.described.iter().filter(|described| described.class != RateClass::General) {
            let of_path = classes.entry(described.path.clone()).or_default();
            of_path.push((described.method.clone(), described.class));
        }
        classes
    }

    /// What the routes do not read, by path.
    pub fn unread(&self) -> ByRoute<Unread> {
        let mut unread: ByRoute<_> = HashMap::new();
        for described in &self.described {
            let of_path = unread.entry(described.path.clone()).or_default();
            of_path.push((described.method.clone(), described.unread));
        }
        unread
    }

    /// Accepts bodies of up to this many bytes, if the setting allows fewer.
    #[must_use]
    pub fn accept_bodies(self, limit: usize) -> Self {
        let raise = move |mut request: Request| {
            let BodyLimit(general) = request.extensions().get().copied().unwrap_or_default();
            request.extensions_mut().insert(BodyLimit(general.max(limit)));
            ready(request)
        };
        Self { router: self.router.layer(map_request(raise)), ..self }
    }

    /// Lets caches store the responses to successful reads, those of public operations only: for as long as the
    /// settings say.
    #[must_use]
    pub fn publicly_cached(self) -> Self {
        let mark = async |mut response: Response| {
            response.extensions_mut().insert(PublicResponse);
            response
        };
        Self { router: self.router.layer(map_response(mark)), ..self }
    }

    /// The paths of the routes that are not in the API document.
    pub fn undocumented(&self) -> &[String] {
        &self.undocumented
    }

    /// The operations that require a permission, each with its id and the permission, in the order of their paths.
    pub fn permissions(&self) -> Vec<(Permission, String)> {
        let mut required: Vec<_> = self
            .described
            .iter()
            .filter_map(|described| Some((&described.path, described.permission?, &described.operation_id)))
            .collect();
        required.sort_by_key(|(path, ..)| *path);
        required.into_iter().map(|(_, permission, id)| (permission, id.clone())).collect()
    }

    /// The documentation.
    pub fn into_document(self) -> OpenApi {
        let mut document = self.router.split_for_parts().1;
        for (method, operation) in document.paths.paths.values_mut().flat_map(operations) {
            let described = self
                .described
                .iter()
                .find(|known| Some(&known.operation_id) == operation.operation_id.as_ref());
            if let Some(described) = described {
                described.apply(operation, method.is_safe());
            }
        }
        document
    }
}

impl Described {
    fn apply(&self, operation: &mut Operation, is_safe: bool) {
        let Signature { access, describe } = self.signature;
        operation.security = Some(access.security());
        let mut description = OperationDescription::new(operation, is_safe);
        if let Some(permission) = self.permission {
            description.requires_permission(permission);
        }
        describe(&mut description);
        if self.unread.query {
            description.fails_validation();
        }
        for (_, failure) in self.unread.conditions.failures() {
            description.fails(failure);
        }
        for failure in (self.failures)() {
            description.fails(failure);
        }
        if self.class != RateClass::Exempt {
            description.fails(RejectedRequest::TooMany { retry_after: 1 });
        }
        description.finish();
    }
}

#[cfg(test)]
mod adding_one;
