//! States the permission that a route requires, for the guard that checks it. It refuses no request itself.

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
/// It refuses nothing: a route that it surrounds is open to all until its handler takes the proof of a guard, such as
/// [`AdminGuard`](crate::infrastructure::guards::AdminGuard), whose facts the service loads with this permission.
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
