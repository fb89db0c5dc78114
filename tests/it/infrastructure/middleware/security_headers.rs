//! The headers by which browsers protect users.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::Request;
use undercroft::infrastructure::middleware::{Chain, SecurityHeadersMiddleware};

use super::{send, text};

const FRAME: &str = "frame-ancestors 'self'";

fn router(https_only: Option<Duration>, https_only_subdomains: bool) -> Router {
    let routes = Router::new()
        .route("/", get(async || "here"))
        .route("/page", get(async || ([("content-security-policy", FRAME)], "<p>here</p>")));
    let security_headers = SecurityHeadersMiddleware {
        https_only,
        https_only_subdomains,
        ..SecurityHeadersMiddleware::default()
    };
    Chain { security_headers, ..Chain::default() }.apply(routes)
}

#[tokio::test]
async fn every_response_has_the_headers_and_keeps_its_own() {
    for (path, status, policy) in [
        ("/", 200, "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"),
        ("/page", 200, FRAME),
        ("/missing", 404, "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"),
    ] {
        let response = send(&router(None, true), Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), status, "{path}");
        for (name, value) in [
            ("content-security-policy", policy),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("strict-transport-security", ""),
        ] {
            assert_eq!(text(response.headers(), name), value, "{path}");
            assert!(response.headers().get_all(name).iter().count() <= 1, "{path} {name}");
        }
    }
}

#[tokio::test]
async fn https_is_required_for_the_time_of_the_settings() {
    for (subdomains, expected) in [(false, "max-age=3600"), (true, "max-age=3600; includeSubDomains")] {
        let router = router(Some(Duration::from_hours(1)), subdomains);
        let response = send(&router, Request::get("/").body(Body::empty()).unwrap()).await;
        assert_eq!(text(response.headers(), "strict-transport-security"), expected);
    }
}
