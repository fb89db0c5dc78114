//! A shopper's connection: one request after the other, opened again when it broke.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// A shopper, or the administrator if it has a token.
pub(super) struct Client {
    address: SocketAddr,
    token: Option<String>,
    connection: Option<SendRequest<Full<Bytes>>>,
}

/// What the server answered.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reply {
    /// The status.
    pub status: u16,
    /// The body as it came.
    pub body: Bytes,
}

impl Reply {
    /// The body in JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// A text in the body.
    pub fn text(&self, field: &str) -> String {
        self.json()[field].as_str().unwrap_or_default().to_owned()
    }
}

/// No answer came: the connection broke, which says nothing about what was done.
#[derive(Debug)]
pub(super) struct NoAnswer;

impl Client {
    /// Nobody is known by this address yet.
    pub fn new(address: SocketAddr, token: Option<String>) -> Self {
        Self { address, token, connection: None }
    }

    /// Sends a request and waits for its answer.
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        key: Option<&str>,
    ) -> Result<Reply, NoAnswer> {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "store");
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
        let request = request.body(Full::new(bytes.unwrap_or_default())).map_err(|_| NoAnswer)?;
        let outcome = self.exchange(request).await;
        if outcome.is_err() {
            self.connection = None;
        }
        outcome
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Reply, NoAnswer> {
        let open = self.connection.as_ref().is_some_and(|connection| !connection.is_closed());
        if !open {
            let stream = TcpStream::connect(self.address).await.map_err(|_| NoAnswer)?;
            stream.set_nodelay(true).map_err(|_| NoAnswer)?;
            let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|_| NoAnswer)?;
            tokio::spawn(connection);
            self.connection = Some(sender);
        }
        let connection = self.connection.as_mut().ok_or(NoAnswer)?;
        connection.ready().await.map_err(|_| NoAnswer)?;
        let answer = connection.send_request(request).await.map_err(|_| NoAnswer)?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.map_err(|_| NoAnswer)?.to_bytes();
        Ok(Reply { status, body })
    }
}
