//! A page of another origin uses a store: named by the settings it may, with the session cookie; otherwise it may not.

use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::routing::{get, post};
use http::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use undercroft::domain::context::Context;
use undercroft::infrastructure::middleware::{Chain, SameSiteCookie};
use undercroft::presentation::http::middleware::{cors, security_headers};
use undercroft::presentation::http::server::serve;
use undercroft::settings::HttpSettings;

use crate::support::{Shop, TestClient, TestServer};

const SHOP: &str = "https://shop.example";
const EVIL: &str = "https://evil.example";

fn settings() -> HttpSettings {
    HttpSettings {
        allowed_origins: vec![SHOP.parse().unwrap()],
        cookie_same_site: SameSiteCookie::None,
        ..HttpSettings::default()
    }
}

/// A client whose requests a page of `origin` sends.
fn page(client: &TestClient, origin: &str) -> TestClient {
    client.with("origin", origin).with("sec-fetch-site", "cross-site")
}

on_both_engines!(a_page_of_a_named_origin_uses_the_store_with_the_session_cookie);
async fn a_page_of_a_named_origin_uses_the_store_with_the_session_cookie(shop: &Shop) {
    let server = TestServer::start_with(shop.store.clone(), settings()).await;
    let guest = server.guest();
    let credentials = json!({ "email": "ann@example.org", "password": "correct horse battery" });
    let registered = page(&guest, SHOP).post("/v1/users", credentials.clone()).await;
    registered.expect(201);
    assert_eq!(registered.header("access-control-allow-origin"), SHOP);
    let refused = page(&guest, EVIL).post("/v1/sessions", credentials.clone()).await;
    assert_eq!((refused.problem(403), refused.header("set-cookie")), ("unauthorized_access".into(), ""));
    let session = page(&guest, SHOP).post("/v1/sessions", credentials).await;
    session.expect(201);
    let cookie = session.header("set-cookie");
    assert!(cookie.ends_with("; HttpOnly; SameSite=None; Secure"), "{cookie}");
    let ann = guest.with("cookie", cookie.split(';').next().unwrap());

    let wishes = json!({ "locale": "de" });
    let changed = page(&ann, SHOP).put("/v1/me/preferences", wishes.clone()).await;
    changed.expect(200);
    assert_eq!(changed.header("access-control-allow-credentials"), "true");
    let refused = page(&ann, EVIL).put("/v1/me/preferences", wishes).await;
    assert_eq!(refused.problem(403), "unauthorized_access");
    assert_eq!(refused.header("access-control-allow-origin"), "");

    let to = |method, path: &'static str| (method, path);
    for ((method, path), status) in [
        (to(Method::GET, "/v1/me"), 401),
        (to(Method::GET, "/v1/products/none"), 404),
        (to(Method::GET, "/none"), 404),
        (to(Method::DELETE, "/v1/products"), 405),
        (to(Method::POST, "/v1/sessions"), 422),
    ] {
        let response = page(&guest, SHOP).send(method, path, None).await;
        response.problem(status);
        assert_eq!(response.header("access-control-allow-origin"), SHOP, "{response}");
    }
    server.end().await;
}

/// Sends a request of a page to a server without a store, and returns the head of the response.
async fn head_of(request: &str, http: HttpSettings) -> String {
    let router = Router::new()
        .route("/panic", get(|| async { panic!("on purpose") as &str }))
        .route("/wait", get(std::future::pending::<&str>))
        .route("/read", post(async |_: Bytes| "read"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let security_headers = security_headers("https://api.shop.example", &http);
    let chain = Chain { security_headers, cors: cors(&http), ..Chain::default() };
    let (context, end) = (Context::system(), stop.clone());
    let serving = tokio::spawn(async move { serve(listener, router, chain, &http, context, end).await });

    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    while !text.ends_with("\r\n\r\n") {
        text.push(char::from(client.read_u8().await.unwrap()));
    }
    drop(client);
    stop.cancel();
    serving.await.unwrap();
    text
}

#[tokio::test]
async fn responses_of_the_server_have_the_headers_of_the_middleware() {
    let head = format!("host: a\r\norigin: {SHOP}\r\n");
    let short = || HttpSettings {
        request_timeout: Duration::from_millis(50),
        body_timeout: Duration::from_millis(50),
        ..settings()
    };
    for (request, status) in [
        (format!("GET /panic HTTP/1.1\r\n{head}\r\n"), "500"),
        (format!("GET /wait HTTP/1.1\r\n{head}\r\n"), "504"),
        (format!("POST /read HTTP/1.1\r\n{head}content-length: 5\r\n\r\nab"), "408"),
    ] {
        let response = head_of(&request, short()).await;
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
        for header in [
            "access-control-allow-origin: https://shop.example\r\n",
            "access-control-expose-headers: ",
            "x-content-type-options: nosniff\r\n",
            "content-security-policy: default-src 'none'; base-uri 'none'; frame-ancestors 'none'\r\n",
            "strict-transport-security: max-age=31536000\r\n",
            "content-type: application/problem+json\r\n",
        ] {
            assert!(response.contains(header), "{header} {response}");
        }
    }
}
