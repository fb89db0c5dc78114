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

use super::credential::is_cross_site;
use super::named_origins::NamedOrigins;
use super::origin::Origin;
use super::surround::{Middleware, Next};

/// Lets pages of named origins use the service. Without an origin it lets none. A request of a page of another origin
/// has a line in the log at `debug`.
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

/// The member of the chain, with the named origins if there are any.
struct Cors(Option<Arc<NamedOrigins>>);

impl CorsMiddleware {
    /// Returns the member of the chain.
    pub(super) fn member(origins: Option<Arc<NamedOrigins>>) -> impl Middleware {
        Cors(origins)
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
    async fn respond(&self, request: &mut Request, next: impl Next) -> Response {
        if tracing::enabled!(tracing::Level::DEBUG) {
            self.log_unnamed(request);
        }

        match &self.0 {
            Some(origins) => origins.respond(request, next).await,
            None => next.run(request).await,
        }
    }
}

impl Cors {
    /// Logs a request of a page whose origin is not named: the browser tells that to its user alone.
    fn log_unnamed(&self, request: &Request) {
        let headers = request.headers();
        let Some(origin) = headers.get(ORIGIN) else { return };
        let is_named = self.0.as_ref().is_some_and(|origins| origins.contains(headers));
        if !is_named && is_cross_site(headers, request.extensions()) {
            tracing::debug!(?origin, "the origin of a page is not in `http.allowed_origins`");
        }
    }
}
