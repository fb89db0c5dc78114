//! An HTTP client with one connection, which it opens again after an error.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// The client of a shopper, or of the administrator if it has a token.
pub(super) struct Client {
    address: SocketAddr,
    token: Option<String>,
    connection: Option<SendRequest<Full<Bytes>>>,
}

/// A response.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Bytes,
    /// Whether a cache had a value that could not be loaded again (`Cache-Status`).
    pub is_fallback: bool,
}

impl Response {
    /// Returns the body as JSON; `null` if it is not JSON.
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// Returns the text of a member of the body; empty if there is none.
    pub(super) fn text(&self, field: &str) -> String {
        self.json()[field].as_str().unwrap_or_default().to_owned()
    }
}

/// No response came. The request may have been executed.
#[derive(Debug)]
pub(super) struct NoResponse;

impl Client {
    /// Creates a client without a connection.
    pub(super) fn new(address: SocketAddr, token: Option<String>) -> Self {
        Self { address, token, connection: None }
    }

    /// Sends a request and waits for the response.
    pub(super) async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        key: Option<&str>,
    ) -> Result<Response, NoResponse> {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let bytes = body.map(|body| Bytes::from(body.to_string()));
        if bytes.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(bytes.unwrap_or_default())).map_err(|_| NoResponse)?;
        let outcome = self.exchange(request).await;
        if outcome.is_err() {
            self.connection = None;
        }
        outcome
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Response, NoResponse> {
        let open = self.connection.as_ref().is_some_and(|connection| !connection.is_closed());
        if !open {
            let stream = TcpStream::connect(self.address).await.map_err(|_| NoResponse)?;
            stream.set_nodelay(true).map_err(|_| NoResponse)?;
            let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|_| NoResponse)?;
            tokio::spawn(connection);
            self.connection = Some(sender);
        }
        let connection = self.connection.as_mut().ok_or(NoResponse)?;
        connection.ready().await.map_err(|_| NoResponse)?;
        let response = connection.send_request(request).await.map_err(|_| NoResponse)?;
        let status = response.status().as_u16();
        let of_cache = response.headers().get("cache-status").and_then(|value| value.to_str().ok());
        let is_fallback = of_cache.is_some_and(|text| text.contains("detail=failed"));
        let body = response.into_body().collect().await.map_err(|_| NoResponse)?.to_bytes();
        Ok(Response { status, body, is_fallback })
    }
}
