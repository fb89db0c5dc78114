//! Cross-origin resource sharing: a model of a browser decides which requests of a page succeed, for each combination
//! of settings, origin, method, headers and credentials.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request as AxumRequest;
use axum::routing::any;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use tracing::Level;
use undercroft::infrastructure::middleware::{Chain, CorsMiddleware, FromNamedOrigin};

use super::{send, text};
use crate::support::Lines;

const SHOP: &str = "https://shop.example";
const OTHER: &str = "http://localhost:3000";
/// The origins of requests; the settings name the first, the first two, or none of them.
const ORIGINS: [&str; 8] = [
    SHOP,
    OTHER,
    "https://evil.example",
    "http://shop.example",
    "https://shop.example:8443",
    "https://shop.example.evil.example",
    "https://SHOP.example",
    "null",
];
/// The methods that every page may use, without a preflight request.
const SIMPLE: [&str; 3] = ["GET", "HEAD", "POST"];

fn router(origins: &[&str]) -> Router {
    let cors = CorsMiddleware {
        origins: origins.iter().map(|origin| origin.parse().unwrap()).collect(),
        methods: vec![Method::GET, Method::HEAD, Method::POST, Method::PUT],
        request_headers: vec!["authorization".parse().unwrap(), "if-match".parse().unwrap()],
        response_headers: vec!["etag".parse().unwrap()],
        max_age: Duration::from_hours(2),
    };
    let is_named =
        async |request: AxumRequest| request.extensions().get::<FromNamedOrigin>().is_some().to_string();
    Chain { cors, ..Chain::default() }.apply(Router::new().route("/", any(is_named)))
}

/// A request of a page.
struct Fetch<'a> {
    origin: &'a str,
    method: &'a str,
    headers: &'a [&'a str],
    credentials: bool,
}

impl Fetch<'_> {
    fn request(&self, method: &str) -> Request<Body> {
        Request::builder().method(method).uri("/").header("origin", self.origin).body(Body::empty()).unwrap()
    }

    /// Returns whether a browser sends the request and lets the page read the response, as the Fetch standard states
    /// (sections 4.8 and 4.9).
    async fn succeeds(&self, router: &Router) -> bool {
        if !SIMPLE.contains(&self.method) || !self.headers.is_empty() {
            let mut preflight = self.request("OPTIONS");
            preflight.headers_mut().insert("access-control-request-method", self.method.parse().unwrap());
            if !self.headers.is_empty() {
                let headers = self.headers.join(",").parse().unwrap();
                preflight.headers_mut().insert("access-control-request-headers", headers);
            }
            let response = send(router, preflight).await;
            if !response.status().is_success()
                || !self.may_read(response.headers())
                || !self.is_allowed(&response)
            {
                return false;
            }
        }
        self.may_read(send(router, self.request(self.method)).await.headers())
    }

    /// The CORS check.
    fn may_read(&self, headers: &HeaderMap) -> bool {
        let allowed: Vec<_> = headers.get_all("access-control-allow-origin").iter().collect();
        let is_allowed = match allowed[..] {
            [one] => one == self.origin || one == "*" && !self.credentials,
            _ => false,
        };
        is_allowed && (!self.credentials || text(headers, "access-control-allow-credentials") == "true")
    }

    /// The checks of the preflight request.
    fn is_allowed(&self, response: &Response<Body>) -> bool {
        let list = |name| text(response.headers(), name).split(',').map(str::trim).collect::<Vec<_>>();
        let (methods, headers) = (list("access-control-allow-methods"), list("access-control-allow-headers"));
        (SIMPLE.contains(&self.method) || methods.contains(&self.method))
            && self.headers.iter().all(|header| headers.contains(header))
    }
}

#[tokio::test]
async fn a_page_can_do_what_the_settings_allow_and_nothing_else() {
    let mut succeeded = 0;
    for named in [&ORIGINS[..0], &ORIGINS[..1], &ORIGINS[..2]] {
        let router = router(named);
        for origin in ORIGINS {
            for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "TRACK"] {
                for headers in
                    [&[][..], &["authorization"], &["authorization", "if-match"], &["if-match", "x-other"]]
                {
                    for credentials in [false, true] {
                        let fetch = Fetch { origin, method, headers, credentials };
                        let expected = named.contains(&origin)
                            && ["GET", "HEAD", "POST", "PUT"].contains(&method)
                            && !headers.contains(&"x-other");
                        let what = format!("{origin} {method} {headers:?} {credentials}, named: {named:?}");
                        assert_eq!(fetch.succeeds(&router).await, expected, "{what}");
                        succeeded += usize::from(expected);
                    }
                }
            }
        }
    }
    assert_eq!(succeeded, 3 * 4 * 3 * 2, "three pairs of settings and a named origin");
}

#[tokio::test]
async fn a_response_to_another_origin_has_no_header_of_cors_and_varies_by_origin() {
    for named in [&ORIGINS[..0], &ORIGINS[..2]] {
        let router = router(named);
        for origins in
            [&[][..], &["https://evil.example"], &["*"], &[SHOP, SHOP], &["https://shop.example, a"]]
        {
            for method in ["GET", "OPTIONS"] {
                let mut request = Request::builder().method(method).uri("/").body(Body::empty()).unwrap();
                for origin in origins {
                    request.headers_mut().append("origin", origin.parse().unwrap());
                }
                request.headers_mut().insert("access-control-request-method", "PUT".parse().unwrap());
                let response = send(&router, request).await;
                let is_cors = |name: &HeaderName| name.as_str().starts_with("access-control-");
                assert!(!response.headers().keys().any(is_cors), "{origins:?} {:?}", response.headers());
                let vary = if named.is_empty() { "" } else { "origin" };
                assert_eq!(text(response.headers(), "vary"), vary, "{origins:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_named_origin_is_returned_with_what_pages_may_read() {
    let router = router(&ORIGINS[..2]);
    for (path, status) in [("/", 200), ("/missing", 404)] {
        for origin in [SHOP, OTHER] {
            let request = Request::get(path).header("origin", origin).body(Body::empty()).unwrap();
            let response = send(&router, request).await;
            assert_eq!(response.status(), status, "{path}");
            for (name, value) in [
                ("access-control-allow-origin", origin),
                ("access-control-allow-credentials", "true"),
                ("access-control-expose-headers", "etag"),
            ] {
                assert_eq!(text(response.headers(), name), value, "{path}");
            }
            assert!(response.headers().get_all("vary").iter().any(|value| value == "origin"), "{path}");
        }
    }
}

#[tokio::test]
async fn the_response_to_a_preflight_request_is_cached_and_allows_private_networks() {
    let request = Request::options("/")
        .header("origin", SHOP)
        .header("access-control-request-method", "PUT")
        .header("access-control-request-private-network", "true");
    let response = send(&router(&[SHOP]), request.body(Body::empty()).unwrap()).await;
    assert_eq!(text(response.headers(), "access-control-max-age"), "7200");
    assert_eq!(text(response.headers(), "access-control-allow-private-network"), "true");
}

#[tokio::test]
async fn only_requests_of_named_origins_are_marked_and_plain_options_reach_the_route() {
    let router = router(&[SHOP]);
    for (method, origin, body) in [
        ("GET", SHOP, "true"),
        ("POST", SHOP, "true"),
        ("GET", "https://evil.example", "false"),
        ("OPTIONS", SHOP, "false"),
    ] {
        let request =
            Request::builder().method(method).uri("/").header("origin", origin).body(Body::empty()).unwrap();
        let response = send(&router, request).await;
        let bytes = axum::body::to_bytes(response.into_body(), 16).await.unwrap();
        assert_eq!(bytes, body, "{method} {origin}");
    }
}

#[tokio::test]
async fn a_page_whose_origin_is_not_named_has_a_line_at_debug() {
    let lines = Lines::begin_at(Level::DEBUG);
    let sent = |origin: &[u8], site: &str| {
        let origin = HeaderValue::from_bytes(origin).unwrap();
        let request = Request::builder().uri("/").header("host", "store.example").header("origin", origin);
        let request = if site.is_empty() { request } else { request.header("sec-fetch-site", site) };
        request.body(Body::empty()).unwrap()
    };
    for named in [&ORIGINS[..0], &ORIGINS[..1]] {
        let router = router(named);
        send(&router, sent(b"https://evil.example", "cross-site")).await;
        send(&router, sent(b"https://other.example", "")).await;
        send(&router, sent(b"https://\xff", "")).await;
        // pages of the store itself
        send(&router, sent(b"http://store.example", "")).await;
        send(&router, sent(b"https://store.example", "same-origin")).await;
    }
    send(&router(&[SHOP]), sent(SHOP.as_bytes(), "cross-site")).await;

    let text = "the origin of a page is not in `http.allowed_origins` origin=";
    assert_eq!(lines.with(text), 6);
    for origin in [r#""https://evil.example""#, r#""https://other.example""#, r#""https://\xff""#] {
        assert_eq!(lines.with(&format!("{text}{origin}")), 2, "{origin}");
    }
}
