//! The limit of the requests that begin in a second, around routes.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::response::Response;
use axum::routing::{get, post};
use bytes::Bytes;
use http::header::{ACCEPT_LANGUAGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, RETRY_AFTER};
use http::{Method, Request};
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use serde_json::{Value, json};
use undercroft::infrastructure::events::{ApiRequestReceivedEvent, EventBus, Subscription};
use undercroft::infrastructure::exceptions::{Messages, ProblemCode};
use undercroft::infrastructure::middleware::{
    Chain, CorsMiddleware, LocalizationMiddleware, LoggingMiddleware, OverloadLimiter, OverloadMiddleware,
    Priority,
};

use super::overload_limiter::{TARGET, waits};
use super::{send, text};
use crate::support::eventually;

/// The origin of a page that uses the service.
const PAGE: &str = "https://shop.example";

/// Routes with this limiter.
fn routes(limiter: OverloadLimiter) -> Router {
    routes_with_signals(limiter).0
}

/// Routes with this limiter, and the signals of their requests.
fn routes_with_signals(limiter: OverloadLimiter) -> (Router, Subscription<ApiRequestReceivedEvent>) {
    let cors = CorsMiddleware {
        origins: vec![PAGE.parse().unwrap()],
        response_headers: vec![RETRY_AFTER],
        methods: vec![Method::POST],
        ..CorsMiddleware::default()
    };
    let bus = EventBus::default();
    let requests = bus.subscribe();
    let logging = Some(LoggingMiddleware { bus, ..LoggingMiddleware::default() });
    (routes_within(Chain { logging, cors, ..Chain::default() }, limiter), requests)
}

/// Routes with this limiter, within this middleware.
fn routes_within(chain: Chain, limiter: OverloadLimiter) -> Router {
    let overload = OverloadMiddleware {
        limiter,
        priority: |_: &Method, route| match route {
            Some("/health") => Priority::Exempt,
            Some("/lists") => Priority::Low,
            _ => Priority::High,
        },
    };
    let routes = Router::new()
        .route("/health", get(|| async { "up" }))
        .route("/lists", get(|| async { "a list" }))
        .route("/carts", post(|| async { "created" }));
    Chain { overload: Some(overload), ..chain }.apply(routes)
}

#[tokio::test]
async fn a_request_beyond_the_limit_is_refused_at_once() {
    let routes = routes(OverloadLimiter::new(TARGET, Some(waits(1000))));
    let refused = first_refused(&routes).await;

    assert_eq!(refused.status(), 503);
    assert_eq!(text(refused.headers(), "retry-after"), "1");
    assert_eq!(text(refused.headers(), "content-type"), "application/problem+json");
    assert_eq!(text(refused.headers(), "content-language"), "en");
    let document = refused.into_body().collect().await.unwrap().to_bytes();
    let document: Value = serde_json::from_slice(&document).unwrap();
    assert_eq!(document["code"], "unavailable");
    let health = Request::get("/health").body(Body::empty()).unwrap();
    assert_eq!(send(&routes, health).await.status(), 200);

    eventually("an accepted request", async || create(&routes).await.status() == 200).await;
}

#[tokio::test]
async fn a_refusal_has_the_headers_of_other_responses_the_language_of_its_client_and_a_signal() {
    let (routes, mut requests) = routes_with_signals(OverloadLimiter::new(TARGET, Some(waits(1000))));
    first_refused(&routes).await;
    let health = send(&routes, Request::get("/health").body(Body::empty()).unwrap()).await;
    requests.take_all();
    // what is of low priority is refused for long
    let list = Request::get("/lists").header(ACCEPT_LANGUAGE, "fr, de-AT;q=0.9");
    let refused = send(&routes, list.body(Body::empty()).unwrap()).await;

    assert_eq!((refused.status().as_u16(), text(refused.headers(), "content-language")), (503, "de"));
    assert_eq!(text(refused.headers(), "cache-control"), "no-store");
    for name in [
        "content-security-policy",
        "x-content-type-options",
        "referrer-policy",
        "cross-origin-opener-policy",
        "cross-origin-resource-policy",
    ] {
        let of_others = text(health.headers(), name);
        assert!(!of_others.is_empty() && text(refused.headers(), name) == of_others, "{name}");
    }
    let signal = requests.next().await;
    assert_eq!(text(refused.headers(), "x-request-id"), signal.request_id.to_string());
    assert_eq!((signal.method, signal.route.as_deref()), (Method::GET, Some("/lists")));
    assert_eq!(signal.status.map(|status| status.as_u16()), Some(503));
    assert_eq!(signal.problem, Some(ProblemCode("unavailable".into())));
    assert!(requests.take().is_none(), "once");
    let document = refused.into_body().collect().await.unwrap().to_bytes();
    let document: Value = serde_json::from_slice(&document).unwrap();
    assert_eq!((&document["code"], &document["title"]), (&"unavailable".into(), &"Nicht verfügbar".into()));
}

#[tokio::test]
async fn a_refusal_has_the_texts_of_the_service_where_it_has_any() {
    let messages = |title: &str, detail: &str| -> Messages {
        serde_json::from_value(json!({"unavailable": {"title": title, "detail": detail}})).unwrap()
    };
    let english = messages("Busy", "Come back in a moment.");
    let french = messages("Occupé", "Revenez dans un instant.");
    let texts = BTreeMap::from([("en", english), ("fr", french)]);
    let localization = LocalizationMiddleware { languages: vec!["de", "fr"], texts };
    let limiter = OverloadLimiter::new(TARGET, Some(waits(1000)));
    let routes = routes_within(Chain { localization, ..Chain::default() }, limiter);
    first_refused(&routes).await;

    for (accepted, language, title) in [
        ("en", "en", "Busy"),
        ("it", "en", "Busy"),
        ("fr-CH, de", "fr", "Occupé"),
        ("de", "de", "Nicht verfügbar"),
    ] {
        // what is of low priority is refused for long
        let list = Request::get("/lists").header(ACCEPT_LANGUAGE, accepted);
        let refused = send(&routes, list.body(Body::empty()).unwrap()).await;
        assert_eq!((refused.status().as_u16(), text(refused.headers(), "content-language")), (503, language));
        let document = refused.into_body().collect().await.unwrap().to_bytes();
        let document: Value = serde_json::from_slice(&document).unwrap();
        assert_eq!((&document["code"], &document["title"]), (&"unavailable".into(), &title.into()));
    }
}

/// A body of ten bytes, none of which arrives.
struct Missing;

impl HttpBody for Missing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(10)
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_does_not_wait_for_its_body() {
    let routes = routes(OverloadLimiter::new(TARGET, Some(waits(1000))));
    first_refused(&routes).await;
    // what is of low priority is refused for long
    let list = Request::get("/lists").body(Body::new(Missing)).unwrap();
    let refused = tokio::time::timeout(Duration::from_secs(1), send(&routes, list)).await;
    assert_eq!(refused.unwrap().status(), 503);
}

/// Creates carts until one is refused; returns that response.
async fn first_refused(routes: &Router) -> Response {
    let creating = async {
        loop {
            let response = create(routes).await;
            if response.status() != 200 {
                return response;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), creating).await.expect("a refused request")
}

async fn create(routes: &Router) -> Response {
    send(routes, Request::post("/carts").body(Body::from("{}")).unwrap()).await
}

#[tokio::test]
async fn a_page_of_a_named_origin_reads_that_it_was_refused_and_what_it_may_send() {
    let limiter = OverloadLimiter::new(TARGET, Some(waits(1000)));
    let routes = routes(limiter.clone());
    first_refused(&routes).await;
    // what is of low priority is refused for long
    let list = async |method, origin: &'static str| {
        let request = Request::builder().method(method).uri("/lists").header(ORIGIN, origin);
        let request = request.header(ACCESS_CONTROL_REQUEST_METHOD, "POST");
        send(&routes, request.body(Body::empty()).unwrap()).await
    };

    let refused = list(Method::GET, PAGE).await;
    assert_eq!(refused.status(), 503);
    assert_eq!(text(refused.headers(), "access-control-allow-origin"), PAGE);
    assert_eq!(text(refused.headers(), "access-control-expose-headers"), "retry-after");
    let foreign = list(Method::GET, "https://other.example").await;
    assert_eq!(foreign.status(), 503);
    let vary: Vec<_> = foreign.headers().get_all("vary").iter().collect();
    assert_eq!(vary, ["accept-language", "origin"]);
    assert!(!foreign.headers().contains_key("access-control-allow-origin"));

    let so_far = limiter.load().refused;
    let asked = list(Method::OPTIONS, PAGE).await;
    assert_eq!(asked.status(), 200);
    assert_eq!(text(asked.headers(), "access-control-allow-methods"), "POST");
    assert_eq!(limiter.load().refused, so_far);
    assert_eq!(list(Method::OPTIONS, "https://other.example").await.status(), 503);
}
