//! A credential that ends while the body of its request arrives has no effect after that.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::newcomer;
use crate::support::{Shop, TestClient, TestServer};

/// Longer than a body may take without a further verification.
const PAUSE: Duration = Duration::from_millis(150);

/// A request of which the server has all but the last byte of the body.
struct Unfinished {
    stream: TcpStream,
    last: u8,
}

impl Unfinished {
    async fn begin(server: &TestServer, client: &TestClient, request: (&str, &str)) -> Self {
        let ((line, body), authorization) = (request, client.header("authorization"));
        let (begin, last) = body.as_bytes().split_at(body.len() - 1);
        let length = body.len();
        let head = format!(
            "{line} HTTP/1.1\r\nhost: shop\r\nauthorization: {authorization}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(&[head.as_bytes(), begin].concat()).await.unwrap();
        sleep(PAUSE).await;
        Self { stream, last: last[0] }
    }

    /// Sends the last byte; returns the status of the response.
    async fn complete(mut self) -> u16 {
        self.stream.write_all(&[self.last]).await.unwrap();
        let mut response = String::new();
        timeout(Duration::from_secs(10), self.stream.read_to_string(&mut response)).await.unwrap().unwrap();
        response.split(' ').nth(1).and_then(|status| status.parse().ok()).expect(&response)
    }
}

on_both_engines!(a_request_whose_session_ends_before_its_body_is_complete_is_refused);
async fn a_request_whose_session_ends_before_its_body_is_complete_is_refused(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, "ann@example.org").await;
    let requests = [
        ("POST /v1/me/api-keys", r#"{"name": "program", "current_password": "correct horse"}"#),
        ("PATCH /v1/me", r#"{"name": "Bob"}"#),
        ("POST /v1/carts", "{}"),
    ];
    let mut unfinished = Vec::new();
    for request in requests {
        unfinished.push(Unfinished::begin(server, &ann, request).await);
    }
    ann.delete("/v1/me/sessions").await.expect(204);
    for request in unfinished {
        assert_eq!(request.complete().await, 401);
    }
}

on_both_engines!(a_request_whose_permission_ends_before_its_body_is_complete_is_refused);
async fn a_request_whose_permission_ends_before_its_body_is_complete_is_refused(shop: &Shop) {
    let server = shop.server().await;
    let (admin, other) = (server.admin().await, server.admin().await);
    let id = other.get("/v1/me").await.expect(200)["id"].as_str().unwrap().to_owned();
    let requests =
        [("POST /admin/v1/categories", r#"{"name": "Tea"}"#), ("POST /admin/v1/files?name=tea", "content")];
    let mut unfinished = Vec::new();
    for request in requests {
        let allowed = Unfinished::begin(server, &other, request).await;
        assert_eq!(allowed.complete().await, 201, "a slow body alone is no fault");
        unfinished.push(Unfinished::begin(server, &other, request).await);
    }
    admin.patch(&format!("/admin/v1/users/{id}"), json!({"role": "customer"})).await.expect(200);
    for request in unfinished {
        let status = request.complete().await;
        assert!(status == 401 || status == 403, "{status}");
    }
    let files = admin.get("/admin/v1/files").await.expect(200);
    assert_eq!(files["items"].as_array().unwrap().len(), 1, "of the upload that was allowed");
}
