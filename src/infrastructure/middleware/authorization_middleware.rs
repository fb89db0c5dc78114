//! States the permission that a route requires, for the guard that checks it. It refuses no request itself: guards are
//! run by the policy of the route, an extractor with which its handler begins
//! (`docs/decisions/0038-the-policy-of-a-route-is-the-first-argument-of-its-handler.md`).

use axum::Extension;
use axum::routing::MethodRouter;

use crate::domain::permission::Permission;

/// The permission that the route of a request requires, an extension of the request. The facts of
/// [`AdminGuard`](crate::infrastructure::guards::AdminGuard) have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequiredPermission(pub Permission);

/// States the permission that a route requires, as the extension [`RequiredPermission`] of its requests. Surrounds a
/// single route, unlike the members of the [`Chain`](super::Chain).
///
/// It refuses nothing: the guards of a route are run by its policy, the first argument of the handler, whose proof the
/// handler then has (`Routes` of `presentation/http/routing.rs` takes no handler without one). One of them,
/// [`AdminGuard`](crate::infrastructure::guards::AdminGuard), gets this permission with its facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthorizationMiddleware {
    /// The permission that the route requires.
    pub permission: Permission,
}

impl AuthorizationMiddleware {
    /// Surrounds the methods of a route.
    pub fn apply<S: Clone + Send + Sync + 'static>(self, route: MethodRouter<S>) -> MethodRouter<S> {
        route.layer(Extension(RequiredPermission(self.permission)))
    }
}
