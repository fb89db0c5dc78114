//! The signal of each request, with its trace; the id of the request in its response.

use std::future::pending;
use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::routing::get;
use futures_util::FutureExt;
use http::{Method, Request};
use undercroft::infrastructure::events::{ApiRequestReceivedEvent, EventBus, Subscription};
use undercroft::infrastructure::middleware::{Chain, Client, LoggingMiddleware, TrustedProxies};

use super::{send, text};

const CAUSE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn router(sampled: f64) -> (Router, Subscription<ApiRequestReceivedEvent>) {
    let routes =
        Router::new().route("/news/{id}", get(async || "news")).route("/slow/{id}", get(pending::<&str>));
    let bus = EventBus::default();
    let requests = bus.subscribe();
    let logging = Some(LoggingMiddleware { bus, sampled, ..LoggingMiddleware::default() });
    (Chain { logging, ..Chain::default() }.apply(routes), requests)
}

fn request(method: Method, path: &str) -> Request<Body> {
    let peer = ConnectInfo(SocketAddr::from(([192, 0, 2, 7], 50_000)));
    Request::builder().method(method).uri(path).extension(peer).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn each_request_has_an_id_and_a_signal_with_its_route() {
    let (router, mut requests) = router(0.0);
    for (method, path, route, status) in [
        (Method::GET, "/news/7", Some("/news/{id}"), 200),
        (Method::PUT, "/news/7", Some("/news/{id}"), 405),
        (Method::GET, "/none", None, 404),
    ] {
        let response = send(&router, request(method.clone(), path)).await;
        let signal = requests.next().await;
        assert_eq!(text(response.headers(), "x-request-id"), signal.request_id.to_string());
        assert_eq!(
            (signal.method, signal.route.as_deref(), signal.status.unwrap().as_u16()),
            (method, route, status)
        );
        assert!(!signal.trace.is_sampled() && signal.caused_by.is_none());
    }
}

#[tokio::test]
async fn a_request_is_in_the_trace_of_its_cause_or_begins_one() {
    let (router, mut requests) = router(1.0);
    let mut caused = request(Method::GET, "/news/7");
    caused.headers_mut().insert("traceparent", CAUSE.parse().unwrap());
    send(&router, caused).await;
    let signal = requests.next().await;
    assert_eq!(signal.caused_by.unwrap().to_string(), CAUSE);
    assert_eq!(signal.trace.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_ne!(signal.trace.span_id(), "00f067aa0ba902b7");

    for stated in [&["no trace"][..], &[CAUSE, CAUSE], &[CAUSE, "no trace"]] {
        let mut other = request(Method::GET, "/news/7");
        for value in stated {
            other.headers_mut().append("traceparent", value.parse().unwrap());
        }
        send(&router, other).await;
        let signal = requests.next().await;
        assert!(signal.caused_by.is_none() && signal.trace.is_sampled(), "{stated:?}");
    }
}

#[tokio::test]
async fn a_stranger_does_not_decide_that_a_trace_is_sampled() {
    let (router, mut requests) = router(0.0);
    let trusted = TrustedProxies::parse(["192.0.2.7"]).unwrap();
    for (peer, is_sampled) in [(None, false), (Some([192, 0, 2, 8]), false), (Some([192, 0, 2, 7]), true)] {
        let mut caused = request(Method::GET, "/news/7");
        caused.headers_mut().insert("traceparent", CAUSE.parse().unwrap());
        if let Some(peer) = peer {
            let client = Client::of(caused.headers(), peer.into(), &trusted);
            caused.extensions_mut().insert(client);
        }
        send(&router, caused).await;
        let signal = requests.next().await;
        assert_eq!(signal.trace.is_sampled(), is_sampled, "{peer:?}");
        assert_eq!(signal.trace.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
    }
}

#[tokio::test]
async fn a_request_whose_client_disconnects_has_a_signal_without_a_status() {
    let (router, mut requests) = router(1.0);
    assert!(send(&router, request(Method::GET, "/slow/7")).now_or_never().is_none());
    let signal = requests.next().now_or_never().expect("emitted when the request is dropped");
    assert_eq!((signal.route.as_deref(), signal.status, signal.problem), (Some("/slow/{id}"), None, None));
    assert!(requests.next().now_or_never().is_none(), "once");
}
