//! The example of a service of its own on the rooms of middleware and guards.

use std::net::SocketAddr;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use http::{Request, Response, request::Builder};

use super::{send, text};

#[path = "../../../../examples/edge.rs"]
#[expect(dead_code, reason = "the example is a program of its own")]
mod edge;

async fn request(service: &Router, request: Builder) -> Response<Body> {
    let peer = ConnectInfo(SocketAddr::from(([192, 0, 2, 7], 50_000)));
    send(service, request.extension(peer).body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn only_members_read_the_news() {
    let service = edge::service().unwrap();
    for (token, status) in [("Bearer member-ada", 200), ("Bearer ada", 401)] {
        let response = request(&service, Request::get("/news").header("authorization", token)).await;
        assert_eq!(response.status(), status, "{token}");
        assert!(
            text(response.headers(), "vary").contains("authorization"),
            "no cache has it for other members"
        );
    }
    let response = request(&service, Request::get("/news")).await;
    assert_eq!(response.status(), 401);
    assert_eq!(text(response.headers(), "content-type"), "application/problem+json");
}

#[tokio::test]
async fn only_members_with_a_verified_address_read_the_archive() {
    let service = edge::service().unwrap();
    for (token, status) in [("Bearer member-ada", 200), ("Bearer member-new", 403), ("Bearer ada", 401)] {
        let response = request(&service, Request::get("/archive").header("authorization", token)).await;
        assert_eq!(response.status(), status, "{token}");
    }
    assert_eq!(request(&service, Request::get("/archive")).await.status(), 401);
}

#[tokio::test]
async fn an_unknown_route_is_a_problem_document_in_the_language_of_the_client() {
    let service = edge::service().unwrap();
    let response =
        request(&service, Request::get("/none").header("accept-language", "de-CH, fr;q=0.5")).await;
    assert_eq!(response.status(), 404);
    let headers = response.headers();
    assert_eq!(text(headers, "content-type"), "application/problem+json");
    assert_eq!((text(headers, "content-language"), text(headers, "x-request-id").len()), ("de", 36));
}

#[tokio::test]
async fn a_handler_that_panics_is_a_problem_document_without_the_cause() {
    let service = edge::service().unwrap();
    let response = request(&service, Request::get("/panic")).await;
    assert_eq!(response.status(), 500);
    assert_eq!(text(response.headers(), "content-type"), "application/problem+json");
    let body = to_bytes(response.into_body(), 10_000).await.unwrap();
    let body = String::from_utf8(body.to_vec()).unwrap();
    assert!(body.contains("instance") && !body.contains("a fault of the handler"), "{body}");
}

#[tokio::test]
async fn a_page_of_the_named_origin_reads_every_response_also_a_refusal() {
    let service = edge::service().unwrap();
    let from = |origin| Request::get("/news").header("origin", origin);
    let mut statuses = Vec::new();
    for _ in 0..61 {
        let response = request(&service, from("https://club.example")).await;
        assert_eq!(text(response.headers(), "access-control-allow-origin"), "https://club.example");
        statuses.push(response.status().as_u16());
    }
    assert_eq!((statuses[59], statuses[60]), (401, 429));
    let other = request(&service, from("https://evil.example")).await;
    assert_eq!(text(other.headers(), "access-control-allow-origin"), "");
    assert_eq!(request(&service, Request::get("/health")).await.status(), 200, "it has no limit");
}

#[tokio::test]
async fn each_client_behind_the_trusted_proxy_has_its_own_limit() {
    let service = edge::service().unwrap();
    let from = async |peer: [u8; 4], client: &str| {
        let request = Request::get("/news").header("x-forwarded-for", client);
        let request = request.extension(ConnectInfo(SocketAddr::from((peer, 50_000))));
        send(&service, request.body(Body::empty()).unwrap()).await.status().as_u16()
    };
    for _ in 0..60 {
        assert_eq!(from([127, 0, 0, 1], "203.0.113.1").await, 401);
    }
    assert_eq!(from([127, 0, 0, 1], "203.0.113.1").await, 429);
    assert_eq!(from([127, 0, 0, 1], "203.0.113.2").await, 401);
    assert_eq!(
        from([203, 0, 113, 1], "203.0.113.3").await,
        429,
        "it is no proxy that may report another client"
    );
}
