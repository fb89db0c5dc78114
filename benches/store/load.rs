//! Clients that keep their connection and send one request after the other.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header, request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::Outcome;

/// The concurrent connections.
pub(crate) const CONNECTIONS: usize = 8;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A client with its own connection.
pub(crate) struct Caller {
    address: SocketAddr,
    connection: Option<SendRequest<Full<Bytes>>>,
    /// A header of each request.
    header: Option<(HeaderName, HeaderValue)>,
}

impl Caller {
    /// A client that is not connected yet.
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, connection: None, header: None }
    }

    /// A client whose requests have this header.
    pub(crate) fn with_header(address: SocketAddr, name: HeaderName, value: HeaderValue) -> Self {
        Self { header: Some((name, value)), ..Self::new(address) }
    }

    /// Sends a GET request and returns the body.
    pub(crate) async fn get(&mut self, path: &str) -> Outcome<Bytes> {
        self.send(Method::GET, path, Bytes::new(), None).await
    }

    /// Sends a GET request whose response must have this status.
    pub(crate) async fn expect(&mut self, path: &str, status: u16) -> Outcome<()> {
        let found = self.status(path).await?;
        if found == status { Ok(()) } else { Err(format!("{path} → {found}").into()) }
    }

    /// Sends a GET request; returns the status of the response.
    pub(crate) async fn status(&mut self, path: &str) -> Outcome<StatusCode> {
        let request = self.request(Method::GET, path).body(Full::default())?;
        Ok(self.exchange(request).await?.status())
    }

    /// Sends a GET request, whose response must be a success, and returns a header of it.
    pub(crate) async fn header(&mut self, path: &str, name: &str) -> Outcome<HeaderValue> {
        let request = self.request(Method::GET, path).body(Full::default())?;
        let response = self.exchange(request).await?;
        let header = response.headers().get(name).filter(|_| response.status().is_success());
        header.cloned().ok_or_else(|| format!("{path} → {}, without {name}", response.status()).into())
    }

    /// Sends JSON and returns the body of the response, which must be a success.
    pub(crate) async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
        key: Option<&str>,
    ) -> Outcome<Bytes> {
        let mut request = self.request(method, path);
        if let Some(key) = key {
            request = request.header(IDEMPOTENCY_KEY, key);
        }
        let body = body.into();
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let response = self.exchange(request.body(Full::new(body))?).await?;
        let (status, body) = (response.status(), response.into_body());
        if status.is_success() {
            return Ok(body);
        }
        Err(format!("{path} → {status}: {}", String::from_utf8_lossy(&body)).into())
    }

    /// Sends a request and reads the whole response.
    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Outcome<Response<Bytes>> {
        let (head, body) = self.connected().await?.send_request(request).await?.into_parts();
        Ok(Response::from_parts(head, body.collect().await?.to_bytes()))
    }

    fn request(&self, method: Method, path: &str) -> request::Builder {
        let request = Request::builder().method(method).uri(path).header(header::HOST, "store");
        match &self.header {
            Some((name, value)) => request.header(name, value),
            None => request,
        }
    }

    async fn connected(&mut self) -> Outcome<&mut SendRequest<Full<Bytes>>> {
        if self.connection.is_none() {
            let stream = TcpStream::connect(self.address).await?;
            stream.set_nodelay(true)?;
            let (sender, connection) = handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            self.connection = Some(sender);
        }
        let connection = self.connection.as_mut().ok_or("no connection")?;
        connection.ready().await?;
        Ok(connection)
    }
}

/// A client that repeats an operation.
pub(crate) trait Shopper: Send + 'static {
    /// Runs the operation once.
    fn run_once(&mut self) -> impl Future<Output = Outcome<()>> + Send;
}

/// The result of a load.
pub(crate) struct Load {
    /// The duration of each operation.
    pub times: Vec<Duration>,
    /// The duration of the whole load.
    pub elapsed: Duration,
}

/// Runs all shoppers concurrently for this duration.
pub(crate) async fn run<S: Shopper>(shoppers: Vec<S>, span: Duration) -> Outcome<(Load, Vec<S>)> {
    let began = Instant::now();
    let mut running = JoinSet::new();
    for mut shopper in shoppers {
        running.spawn(async move {
            let mut times = Vec::new();
            while began.elapsed() < span {
                let started = Instant::now();
                shopper.run_once().await?;
                times.push(started.elapsed());
            }
            Outcome::Ok((times, shopper))
        });
    }
    let (mut times, mut shoppers) = (Vec::new(), Vec::new());
    while let Some(ended) = running.join_next().await {
        let (its, shopper) = ended??;
        times.extend(its);
        shoppers.push(shopper);
    }
    Ok((Load { times, elapsed: began.elapsed() }, shoppers))
}
