//! States the permission that a route requires, for the guard that checks it.

use axum::Extension;
use axum::routing::MethodRouter;

use crate::domain::permission::Permission;

/// The permission that the route of a request requires, an extension of the request. The facts of
/// [`AdminGuard`](crate::infrastructure::guards::AdminGuard) have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequiredPermission(pub Permission);

/// Surrounds a single route, unlike the members of the [`Chain`](super::Chain).
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
