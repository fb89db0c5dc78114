//! Cross-origin resource sharing (the Fetch standard, section 3.2): lets pages of named origins use the service with
//! the credentials of their users.
//!
//! The layer of `tower-http` writes the headers. It sees only requests of named origins: a response to another one has
//! no header of CORS, so that nothing is reflected, and an `OPTIONS` request that is no preflight reaches its route.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use http::header::ORIGIN;
use http::{HeaderName, Method};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::named_origins::NamedOrigins;
use super::origin::Origin;
use super::surround::{Middleware, Next};

/// Lets pages of named origins use the service. Without an origin it does nothing.
///
/// Pages of these origins may use it in a private network, too: a preflight request that requires it always gets
/// `Access-Control-Allow-Private-Network`.
#[derive(Clone, Debug, Default)]
pub struct CorsMiddleware {
    /// The origins whose pages may use the service with credentials.
    pub origins: Vec<Origin>,
    /// The methods that pages may use.
    pub methods: Vec<Method>,
    /// The headers that pages may send, beside those that every page may.
    pub request_headers: Vec<HeaderName>,
    /// The headers of responses that pages may read, beside those that every page may.
    pub response_headers: Vec<HeaderName>,
    /// How long a browser may keep the response to a preflight request.
    pub max_age: Duration,
}

/// The member of the chain.
struct Cors(Arc<NamedOrigins>);

impl CorsMiddleware {
    /// Returns the member of the chain, if there is an origin.
    pub(super) fn member(origins: Option<Arc<NamedOrigins>>) -> Option<impl Middleware> {
        origins.map(Cors)
    }

    /// Returns the origins with their layer, if there is one.
    pub(super) fn named(self) -> Option<Arc<NamedOrigins>> {
        if self.origins.is_empty() {
            return None;
        }
        let origins = self.origins.iter().map(|origin| origin.header().clone());
        let layer = CorsLayer::new()
            .allow_origin(AllowOrigin::list(origins))
            .allow_credentials(true)
            .allow_methods(self.methods)
            .allow_headers(self.request_headers)
            .expose_headers(self.response_headers)
            .max_age(self.max_age)
            .allow_private_network(true)
            .vary([ORIGIN]);
        Some(Arc::new(NamedOrigins { origins: self.origins, layer }))
    }
}

impl Middleware for Cors {
    async fn respond(&self, request: Request, next: impl Next) -> Response {
        self.0.respond(request, next).await
    }
}
