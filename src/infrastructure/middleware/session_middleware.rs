//! Reads the token of a session from a cookie. Without it, only `Authorization` is read.

use axum::extract::Request;
use axum::response::Response;

use super::credential::SessionCookie;
use super::surround::{Middleware, Next};

/// Lets a service read the session cookie.
#[derive(Clone, Copy, Debug, Default)]
pub struct SessionMiddleware {
    /// The cookie; `None` if the service has none.
    pub cookie: Option<SessionCookie>,
}

impl Middleware for SessionMiddleware {
    fn respond(&self, request: &mut Request, next: impl Next) -> impl Future<Output = Response> + Send {
        if let Some(cookie) = self.cookie {
            request.extensions_mut().insert(cookie);
        }
        next.run(request)
    }
}
