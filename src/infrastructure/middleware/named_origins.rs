//! The origins whose pages may use the service, and the headers that their responses have.

use std::mem;

use axum::extract::Request;
use axum::response::Response;
use http::header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY};
use http::{HeaderMap, HeaderValue, Method};
use tower::{Layer, ServiceExt};
use tower_http::cors::CorsLayer;

use super::origin::Origin;
use super::surround::{Next, service};

/// An extension of each request that a page of a named origin sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FromNamedOrigin;

/// The origins, and the layer that writes the headers.
pub(super) struct NamedOrigins {
    pub(super) origins: Vec<Origin>,
    pub(super) layer: CorsLayer,
}

impl NamedOrigins {
    /// Responds to a request, with the headers for its page.
    pub(super) async fn respond(&self, request: &mut Request, next: impl Next) -> Response {
        let is_ours = request.method() != Method::OPTIONS || is_preflight(request.headers());
        if !is_ours || !self.contains(request.headers()) {
            let mut response = next.run(request).await;
            response.headers_mut().append(VARY, HeaderValue::from_static("origin"));
            return response;
        }

        request.extensions_mut().insert(FromNamedOrigin);
        let Ok(response) = self.layer.layer(service(next)).oneshot(mem::take(request)).await;
        response
    }

    /// Returns whether a page of a named origin asks whether it may send a request. The layer responds to that.
    pub(super) fn is_asked(&self, request: &Request) -> bool {
        let headers = request.headers();
        request.method() == Method::OPTIONS && is_preflight(headers) && self.contains(headers)
    }

    /// Returns whether a page of a named origin sent a request with these headers.
    pub(super) fn contains(&self, headers: &HeaderMap) -> bool {
        let mut sent = headers.get_all(ORIGIN).iter();
        match (sent.next(), sent.next()) {
            (Some(sent), None) => self.origins.iter().any(|origin| origin.header() == sent),
            _ => false,
        }
    }
}

fn is_preflight(headers: &HeaderMap) -> bool {
    headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}
