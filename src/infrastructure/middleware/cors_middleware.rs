//! Cross-origin resource sharing (the Fetch standard, section 3.2): lets pages of named origins use the service with
//! the credentials of their users.
//!
//! The layer of `tower-http` writes the headers. It sees only requests of named origins: a response to another one has
//! no header of CORS, so that nothing is reflected, and an `OPTIONS` request that is no preflight reaches its route.

use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use http::header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use tower::{Layer, ServiceExt};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::origin::Origin;
use super::surround::{Middleware, Next, service};

/// Lets pages of named origins use the service. Without an origin it does nothing.
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

/// An extension of each request that a page of a named origin sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FromNamedOrigin;

/// The origins, and the layer that writes the headers.
struct Named {
    origins: Vec<Origin>,
    layer: CorsLayer,
}

impl CorsMiddleware {
    /// Returns the member of the chain, if there is an origin.
    pub(super) fn member(self) -> Option<impl Middleware> {
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
        Some(Named { origins: self.origins, layer })
    }
}

impl Middleware for Named {
    async fn respond(&self, mut request: Request, next: impl Next) -> Response {
        let is_preflight = request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        let is_ours = request.method() != Method::OPTIONS || is_preflight;
        if !is_ours || !self.contains(request.headers()) {
            let mut response = next.run(request).await;
            response.headers_mut().append(VARY, HeaderValue::from_static("origin"));
            return response;
        }

        request.extensions_mut().insert(FromNamedOrigin);
        let Ok(response) = self.layer.layer(service(next)).oneshot(request).await;
        response
    }
}

impl Named {
    /// Returns whether a page of a named origin sent a request with these headers.
    fn contains(&self, headers: &HeaderMap) -> bool {
        let mut sent = headers.get_all(ORIGIN).iter();
        match (sent.next(), sent.next()) {
            (Some(sent), None) => self.origins.iter().any(|origin| origin.header() == sent),
            _ => false,
        }
    }
}
