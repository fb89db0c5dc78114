//! Routes that state their policy and document themselves.
//!
//! # Adding one
//!
//! A handler is documented by `#[utoipa::path]`, and its first argument is its policy: [`Public`], [`Anyone`],
//! [`CredentialHolder`], or the proof of a guard: [`Guarded`], such as [`LoggedIn`] and [`Admin`].
//! [`routes!`] takes no handler that begins with anything else. The other arguments are [`Argument`]s, which add to the
//! API document what they read and how they fail; the failures of the handler itself are listed in [`routes!`].
//! Parameters of the query are refused if the document has none, unless [`AnyQuery`] is among the arguments. The rate
//! of requests to a route is limited as that of all others, unless [`Routes::limited`] states another class. The module
//! `adding_one` is a complete example. The file's `routes` is then listed in `routes/mod.rs`.
//!
//! [`Public`]: super::principal::Public
//! [`Anyone`]: super::principal::Anyone
//! [`LoggedIn`]: super::principal::LoggedIn
//! [`Admin`]: super::principal::Admin
//! [`Guarded`]: super::guarded::Guarded
//! [`CredentialHolder`]: super::principal::CredentialHolder
//! [`AnyQuery`]: super::query::AnyQuery

mod access;
mod paths;

use std::collections::HashMap;
use std::future::ready;

use axum::Extension;
use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::middleware::{from_fn, map_request, map_response};
use axum::response::Response;
use axum::routing::MethodRouter;
use http::header::{CACHE_CONTROL, VARY};
use http::{HeaderValue, Method};
use utoipa::openapi::{OpenApi, path::Operation};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

pub use self::access::Access;
use self::paths::{operation_id, operations};
use super::actor::AdministrationId;
use super::operation::OperationDescription;
use super::permissions;
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

impl Argument for State<AppState> {}

/// The arguments of a handler that begin with a [`Policy`].
pub trait BeginsWithPolicy {
    /// The policy and what the arguments read.
    const SIGNATURE: Signature;
}

/// The policy of a handler, and what its arguments read.
#[derive(Debug, Clone, Copy)]
pub struct Signature {
    access: Access,
    describe: fn(&mut OperationDescription<'_>),
}

impl Signature {
    /// Returns what the handler of an operation does not read.
    fn unread(self, operation: &Operation, is_safe: bool) -> Unread {
        let mut operation = operation.clone();
        let mut description = OperationDescription::new(&mut operation, is_safe);
        (self.describe)(&mut description);
        description.unread()
    }
}

macro_rules! begins_with_policy {
    ($($argument:ident)*) => {
        impl<M, P: Policy, $($argument: Argument),*> BeginsWithPolicy for (M, P, $($argument,)*) {
            const SIGNATURE: Signature = Signature {
                access: P::ACCESS,
                describe: |description| { P::describe(description); $($argument::describe(description);)* },
            };
        }
    };
}

begins_with_policy!();
begins_with_policy!(A);
begins_with_policy!(A B);
begins_with_policy!(A B C);
begins_with_policy!(A B C D);
begins_with_policy!(A B C D E);
begins_with_policy!(A B C D E F);
begins_with_policy!(A B C D E F G);

/// Returns the policy of `handler`, and what its arguments read.
///
/// ```
/// use undercroft::presentation::http::principal::Public;
/// use undercroft::presentation::http::routing::signature;
/// use undercroft::presentation::http::state::{AppState, State};
///
/// async fn get_name(_: Public) {}
/// async fn get_address(_: Public, State(_): State<AppState>) {}
///
/// signature(&get_name);
/// signature(&get_address);
/// ```
///
/// A handler that does not begin with a policy does not compile:
///
/// ```compile_fail,E0277
/// use undercroft::presentation::http::routing::signature;
/// use undercroft::presentation::http::state::{AppState, State};
///
/// async fn get_address(State(_): State<AppState>) {}
///
/// signature(&get_address);
/// ```
///
/// Nor does one that takes the state by the extractor of axum, which knows no actor for the audit log:
///
/// ```compile_fail,E0277
/// use axum::extract::State;
/// use undercroft::presentation::http::principal::Public;
/// use undercroft::presentation::http::routing::signature;
/// use undercroft::presentation::http::state::AppState;
///
/// async fn get_address(_: Public, State(_): State<AppState>) {}
///
/// signature(&get_address);
/// ```
pub fn signature<H, T>(_: &H) -> Signature
where
    H: Handler<T, AppState>,
    T: BeginsWithPolicy,
{
    T::SIGNATURE
}

/// The routes of these handlers, each with the failures that neither its policy nor its arguments imply:
/// `routes![list_orders, get_order: [NotFound::Order]]`.
macro_rules! routes {
    ($($handler:ident $(: [$($failure:expr),* $(,)?])?),+ $(,)?) => {
        $crate::presentation::http::routing::Routes::default()$(.operation(
            ::utoipa_axum::routes!($handler),
            $crate::presentation::http::routing::signature(&$handler),
            || vec![$($($crate::infrastructure::exceptions::Failure::from($failure)),*)?],
        ))+
    };
}
pub(crate) use routes;

/// Routes with their documentation.
#[derive(Default)]
pub struct Routes {
    router: OpenApiRouter<AppState>,
    described: Vec<Described>,
    pages: Vec<String>,
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

impl Routes {
    /// Adds an operation of the API. Use [`routes!`].
    #[must_use]
    pub fn operation(
        mut self,
        (schemas, mut paths, router): UtoipaMethodRouter<AppState>,
        signature: Signature,
        failures: fn() -> Vec<Failure>,
    ) -> Self {
        let mut router = match signature.access {
            Access::Public => router,
            Access::Anyone | Access::LoggedIn | Access::Admin => router.layer(map_response(private)),
        };
        for (path, item) in &mut paths.paths {
            for (method, operation) in operations(item) {
                let function = operation.operation_id.take().unwrap_or_default();
                let operation_id = operation_id(path, &function);
                operation.operation_id = Some(operation_id.clone());
                let permission = match signature.access {
                    Access::Admin => Some(permissions::required(&method, path)),
                    Access::Public | Access::Anyone | Access::LoggedIn => None,
                };
                if let Some(permission) = permission {
                    router = router.layer(Extension(AdministrationId(operation_id.as_str().into())));
                    router = AuthorizationMiddleware { permission }.apply(router);
                    router = router.layer(from_fn(refusals::record));
                }
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

    /// Adds a page for browsers, which is public and not part of the API: it has no policy. A test of the access matrix
    /// lists all of them.
    #[must_use]
    pub fn page(mut self, path: &str, page: MethodRouter<AppState>) -> Self {
        self.pages.push(path.to_owned());
        Self { router: self.router.route(path, page), ..self }
    }

    /// Adds other routes.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.described.extend(other.described);
        self.pages.extend(other.pages);
        Self { router: self.router.merge(other.router), ..self }
    }

    /// The paths of the pages.
    pub fn pages(&self) -> &[String] {
        &self.pages
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

    /// The router.
    pub fn into_router(self) -> Router<AppState> {
        self.router.split_for_parts().0
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

/// Keeps caches from storing a response that depends on the principal (RFC 9111 section 5.2.2).
async fn private(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.append(VARY, HeaderValue::from_static("authorization, cookie"));
    response
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
