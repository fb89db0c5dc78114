//! Finds the client of each request, behind the proxies that the operator trusts.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Request};
use axum::response::Response;

use super::client::Client;
use super::surround::{Middleware, Next};
use super::trusted_proxies::TrustedProxies;

/// Adds the [`Client`] to each request, as the trusted proxies report it. A request that has one already, such as each
/// request of the store's own server, keeps it; one without `ConnectInfo<SocketAddr>` gets none.
#[derive(Clone, Debug, Default)]
pub struct ClientMiddleware {
    /// The proxies that may report the client. Without any, the client is the peer of the connection.
    pub trusted_proxies: TrustedProxies,
}

impl Middleware for ClientMiddleware {
    fn respond(&self, request: &mut Request, next: impl Next) -> impl Future<Output = Response> + Send {
        let extensions = request.extensions();
        let is_known = extensions.get::<Client>().is_some();
        let peer = extensions.get::<ConnectInfo<SocketAddr>>().copied();
        if let Some(ConnectInfo(peer)) = peer.filter(|_| !is_known) {
            let client = Client::of(request.headers(), peer.ip(), &self.trusted_proxies);
            request.extensions_mut().insert(client);
        }
        next.run(request)
    }
}
