//! Bounds the credential of a request. It is verified by [`authenticate`](super::authenticate), once, and only by a
//! handler or guard that asks who sends the request.

use axum::extract::Request;
use axum::response::Response;

use super::credential::LongestCredential;
use super::jwt::LONGEST_TOKEN;
use super::surround::{Middleware, Next};

/// Bounds what is read as a credential.
#[derive(Clone, Copy, Debug)]
pub struct AuthenticationMiddleware {
    /// The longest credential, in bytes; a longer one is not valid.
    pub longest: usize,
}

impl Default for AuthenticationMiddleware {
    /// The longest JSON Web Token that is read.
    fn default() -> Self {
        Self { longest: LONGEST_TOKEN }
    }
}

impl Middleware for AuthenticationMiddleware {
    fn respond(&self, request: &mut Request, next: impl Next) -> impl Future<Output = Response> + Send {
        request.extensions_mut().insert(LongestCredential(self.longest));
        next.run(request)
    }
}
