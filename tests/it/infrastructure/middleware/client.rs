//! The client of a request, as the chain finds it.

use std::net::SocketAddr;

use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::routing::get;
use axum::{Extension, Router};
use http::Request;
use undercroft::infrastructure::middleware::{Chain, Client, ClientMiddleware, TrustedProxies};

use super::send;

fn router() -> Router {
    let show = async |client: Option<Extension<Client>>| {
        client.map_or("none".to_owned(), |Extension(client)| client.address.to_string())
    };
    let client = ClientMiddleware { trusted_proxies: TrustedProxies::parse(["10.0.0.0/8"]).unwrap() };
    Chain { client, ..Chain::default() }.apply(Router::new().route("/", get(show)))
}

/// Returns the address of the client of a request by a proxy that reports `203.0.113.1`.
async fn found(peer: Option<&str>, known: Option<Client>) -> String {
    let mut request = Request::get("/").header("x-forwarded-for", "203.0.113.1").body(Body::empty()).unwrap();
    if let Some(peer) = peer {
        request.extensions_mut().insert(ConnectInfo::<SocketAddr>(peer.parse().unwrap()));
    }
    if let Some(known) = known {
        request.extensions_mut().insert(known);
    }
    let response = send(&router(), request).await;
    String::from_utf8(to_bytes(response.into_body(), 100).await.unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn a_trusted_proxy_alone_reports_the_client() {
    assert_eq!(found(Some("10.0.0.1:50000"), None).await, "203.0.113.1");
    assert_eq!(found(Some("[::ffff:10.0.0.1]:50000"), None).await, "203.0.113.1");
    assert_eq!(found(Some("192.0.2.7:50000"), None).await, "192.0.2.7");
    assert_eq!(found(None, None).await, "none");
}

#[tokio::test]
async fn a_client_that_the_service_found_itself_is_kept() {
    let known =
        Client { address: "198.51.100.9".parse().unwrap(), is_https: true, host: None, is_proxied: false };
    assert_eq!(found(Some("10.0.0.1:50000"), Some(known)).await, "198.51.100.9");
}
