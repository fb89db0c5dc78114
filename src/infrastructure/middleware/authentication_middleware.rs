//! Bounds the credential of a request. It is verified by [`authenticate`](super::authenticate), once, and only by a
//! handler or guard that asks who sends the request.

use axum::extract::Request;
use axum::response::Response;

use super::credential::LongestCredential;
use super::surround::{Middleware, Next};

/// Bounds what is read as a credential.
#[derive(Clone, Copy, Debug)]
pub struct AuthenticationMiddleware {
    /// The longest credential, in bytes; a longer one is not valid.
    pub longest: usize,
}

impl Default for AuthenticationMiddleware {
    /// 8 KiB, which is more than any access token of this store or of common identity providers has.
    fn default() -> Self {
        Self { longest: 8 << 10 }
    }
}

impl Middleware for AuthenticationMiddleware {
    async fn respond(&self, mut request: Request, next: impl Next) -> Response {
        request.extensions_mut().insert(LongestCredential(self.longest));
        next.run(request).await
    }
}
