//! A load balancer over HTTP, which sends requests to the servers that are ready and repeats none.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use super::client::Client;

/// The time between two checks of a server.
pub(super) const CHECK: Duration = Duration::from_millis(200);

/// A running load balancer.
pub(super) struct Balancer {
    /// Its address.
    pub(super) address: SocketAddr,
    servers: Servers,
    _accepting: AbortOnDropHandle<()>,
    _checking: AbortOnDropHandle<()>,
}

/// The servers, with the last check of each: whether it is ready.
type Servers = Arc<Mutex<Vec<(SocketAddr, bool)>>>;

/// The connection to a server, of one connection of a client.
type Upstream = Arc<tokio::sync::Mutex<Option<(SocketAddr, SendRequest<Incoming>)>>>;

impl Balancer {
    /// Starts a load balancer without servers.
    pub(super) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, servers) = (listener.local_addr()?, Servers::default());
        let accepting = tokio::spawn(accept(listener, Arc::clone(&servers)));
        let checking = tokio::spawn(check(Arc::clone(&servers)));
        Ok(Self {
            address,
            servers,
            _accepting: AbortOnDropHandle::new(accepting),
            _checking: AbortOnDropHandle::new(checking),
        })
    }

    /// Adds a server, which gets requests when it is ready.
    pub(super) fn add(&self, server: SocketAddr) {
        lock(&self.servers).push((server, false));
    }

    /// Removes a server.
    pub(super) fn remove(&self, server: SocketAddr) {
        lock(&self.servers).retain(|(address, _)| *address != server);
    }

    /// Waits until this many servers are ready.
    pub(super) async fn ready(&self, count: usize) {
        while lock(&self.servers).iter().filter(|(_, ready)| *ready).count() < count {
            sleep(CHECK / 10).await;
        }
    }
}

fn lock(servers: &Servers) -> std::sync::MutexGuard<'_, Vec<(SocketAddr, bool)>> {
    servers.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks each server from time to time whether it is ready.
async fn check(servers: Servers) {
    loop {
        let addresses: Vec<_> = lock(&servers).iter().map(|(address, _)| *address).collect();
        for address in addresses {
            let response = Client::new(address, None).send(Method::GET, "/health/ready", None, None).await;
            let is_ready = response.is_ok_and(|response| response.status == 200);
            if let Some((_, ready)) = lock(&servers).iter_mut().find(|(server, _)| *server == address) {
                *ready = is_ready;
            }
        }
        sleep(CHECK).await;
    }
}

/// Accepts the connections of clients.
async fn accept(listener: TcpListener, servers: Servers) {
    while let Ok((stream, _)) = listener.accept().await {
        let (servers, upstream) = (Arc::clone(&servers), Upstream::default());
        let service = service_fn(move |request| {
            let (servers, upstream) = (Arc::clone(&servers), Arc::clone(&upstream));
            async move { Ok::<_, Infallible>(respond(request, &servers, &upstream).await) }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

/// Sends a request to a server, and returns its response; 502 if there is none.
async fn respond(
    request: Request<Incoming>,
    servers: &Servers,
    upstream: &Upstream,
) -> Response<BoxBody<Bytes, hyper::Error>> {
    let mut upstream = upstream.lock().await;
    if let Ok(mut response) = forward(request, servers, &mut upstream).await {
        // it says how the server treats its connection, not that of the client
        response.headers_mut().remove(header::CONNECTION);
        return response.map(BodyExt::boxed);
    }
    *upstream = None;
    let mut response = Response::new(Full::default().map_err(|never| match never {}).boxed());
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response
}

/// Sends a request on the present connection if its server is ready, otherwise on a new one.
async fn forward(
    request: Request<Incoming>,
    servers: &Servers,
    upstream: &mut Option<(SocketAddr, SendRequest<Incoming>)>,
) -> Result<Response<Incoming>, Box<dyn std::error::Error + Send + Sync>> {
    let present = upstream.as_ref().map(|(address, _)| *address);
    let is_ready = lock(servers).iter().any(|(address, ready)| *ready && present == Some(*address));
    if let Some((_, sender)) = upstream
        && is_ready
        && sender.ready().await.is_ok()
    {
        return Ok(sender.send_request(request).await?);
    }
    let address = {
        let mut servers = lock(servers);
        let ready = servers.iter().position(|(_, ready)| *ready).ok_or("no server is ready")?;
        // the next connection goes to another server
        servers[ready..].rotate_left(1);
        servers.last().ok_or("no server is ready")?.0
    };
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    sender.ready().await?;
    let (_, sender) = upstream.insert((address, sender));
    Ok(sender.send_request(request).await?)
}
