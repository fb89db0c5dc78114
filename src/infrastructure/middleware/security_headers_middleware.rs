//! Headers by which browsers protect users: they do not guess media types, do not run or frame what is no page, send no
//! URL of the service to others, and use HTTPS.

use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use http::header::{
    CONTENT_SECURITY_POLICY, Entry, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::surround::{Middleware, Next};

const CROSS_ORIGIN_OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Adds headers to each response that does not have them.
///
/// # Panics
///
/// [`Chain::apply`](super::Chain::apply) panics if a text is no value of a header: other characters than spaces, tabs
/// and visible ASCII.
#[derive(Clone, Debug)]
pub struct SecurityHeadersMiddleware {
    /// The `Content-Security-Policy` of responses without one of their own. The default is that of responses that are
    /// no pages: nothing is loaded or run, and no page shows them in a frame.
    pub content_security_policy: &'static str,
    /// The `Cross-Origin-Resource-Policy` of responses without one of their own. With the default `same-origin`, pages
    /// of other origins can use a response only by CORS, and not as an image or a script.
    pub cross_origin_resource_policy: &'static str,
    /// How long browsers that used HTTPS use only HTTPS with the host of the service (RFC 6797); `None` if it is not
    /// known that clients reach it by HTTPS.
    pub https_only: Option<Duration>,
    /// Whether that also holds for the subdomains of the host.
    pub https_only_subdomains: bool,
}

impl Default for SecurityHeadersMiddleware {
    fn default() -> Self {
        Self {
            content_security_policy: "default-src 'none'; base-uri 'none'; frame-ancestors 'none'",
            cross_origin_resource_policy: "same-origin",
            https_only: None,
            https_only_subdomains: false,
        }
    }
}

impl SecurityHeadersMiddleware {
    /// Returns the member of the chain.
    pub(super) fn member(&self) -> impl Middleware + use<> {
        Headers(self.headers())
    }

    /// Returns the headers of each response.
    pub(super) fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers: Vec<_> = [
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (CONTENT_SECURITY_POLICY, self.content_security_policy),
            (REFERRER_POLICY, "no-referrer"),
            (CROSS_ORIGIN_OPENER_POLICY, "same-origin"),
            (CROSS_ORIGIN_RESOURCE_POLICY, self.cross_origin_resource_policy),
        ]
        .map(|(name, value)| (name, HeaderValue::from_static(value)))
        .into();
        let hosts = if self.https_only_subdomains { "; includeSubDomains" } else { "" };
        let age =
            self.https_only.map(|age| HeaderValue::try_from(format!("max-age={}{hosts}", age.as_secs())));
        headers.extend(age.and_then(Result::ok).map(|age| (STRICT_TRANSPORT_SECURITY, age)));
        headers
    }
}

/// The headers of each response.
struct Headers(Vec<(HeaderName, HeaderValue)>);

impl Middleware for Headers {
    async fn respond(&self, request: &mut Request, next: impl Next) -> Response {
        let mut response = next.run(request).await;
        add_missing(response.headers_mut(), &self.0);
        response
    }
}

/// Adds the headers that are missing.
fn add_missing(present: &mut HeaderMap, headers: &[(HeaderName, HeaderValue)]) {
    for (name, value) in headers {
        if let Entry::Vacant(missing) = present.entry(name) {
            missing.insert(value.clone());
        }
    }
}
