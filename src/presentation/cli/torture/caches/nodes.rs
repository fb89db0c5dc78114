//! Servers over one store, each with a connection of its own to Redis, which a proxy can cut off.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering::SeqCst};
use std::time::Duration;

use http::Method;
use serde_json::Value;
use tokio::time::timeout;

use super::super::super::CliError;
use super::super::client::{Client, NoResponse, Response};
use super::super::error::TortureError;
use super::super::proxy::Proxy;
use super::super::test_store::{Server, TestStore};

/// The longest wait for a response.
const LONGEST: Duration = Duration::from_secs(30);

/// The ports of the servers.
pub(super) type Ports = Arc<[AtomicU16]>;

/// The servers.
pub(super) struct Nodes<'a> {
    store: &'a TestStore,
    pub(super) servers: Vec<Node>,
    pub(super) proxies: Vec<Proxy>,
    pub(super) ports: Ports,
}

/// A server, with its settings.
pub(super) struct Node {
    server: Server,
    settings: Vec<(&'static str, String)>,
}

impl Node {
    async fn start(store: &TestStore, settings: Vec<(&'static str, String)>) -> Result<Self, CliError> {
        let values: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Ok(Self { server: store.serve_with(&values).await?, settings })
    }

    /// Kills the server, and puts another one in its place.
    pub(super) async fn replace(&mut self, store: &TestStore, port: &AtomicU16) -> Result<(), CliError> {
        let next = Self::start(store, self.settings.clone()).await?;
        std::mem::replace(self, next).server.kill().await?;
        port.store(self.server.address().port(), SeqCst);
        Ok(())
    }
}

impl<'a> Nodes<'a> {
    /// Starts servers with these settings, each behind a proxy of its own to the Redis of a URL, if there is one.
    pub(super) async fn start(
        store: &'a TestStore,
        number: usize,
        redis: Option<&str>,
        settings: &[(&'static str, String)],
    ) -> Result<Self, CliError> {
        let (mut servers, mut proxies) = (Vec::new(), Vec::new());
        for _ in 0..number {
            let mut settings = settings.to_vec();
            if let Some(url) = redis {
                let (proxy, through) = Proxy::before_redis(url).await.map_err(TortureError::Child)?;
                proxies.push(proxy);
                settings.push(("CACHE", through));
            }
            servers.push(Node::start(store, settings).await?);
        }
        let ports = servers.iter().map(|node| AtomicU16::new(node.server.address().port())).collect();
        Ok(Self { store, servers, proxies, ports })
    }

    /// Returns a client of all servers, a guest without a token.
    pub(super) fn client(&self, token: Option<&str>) -> NodeClient {
        NodeClient::new(&self.ports, token)
    }

    /// Returns the store.
    pub(super) fn store(&self) -> &'a TestStore {
        self.store
    }

    /// Ends the servers, and removes what they put into Redis.
    pub(super) async fn end(self) -> Result<(), CliError> {
        for node in self.servers {
            node.server.kill().await?;
        }
        for proxy in &self.proxies {
            proxy.forget().await.map_err(TortureError::Child)?;
        }
        Ok(())
    }
}

/// A client with a connection to each server.
pub(super) struct NodeClient {
    ports: Ports,
    token: Option<String>,
    clients: Vec<Option<(u16, Client)>>,
}

impl NodeClient {
    fn new(ports: &Ports, token: Option<&str>) -> Self {
        let clients = ports.iter().map(|_| None).collect();
        Self { ports: Arc::clone(ports), token: token.map(str::to_owned), clients }
    }

    /// Returns the same client with another token.
    pub(super) fn with(&self, token: &str) -> Self {
        Self::new(&self.ports, Some(token))
    }

    /// Returns the number of servers.
    pub(super) fn nodes(&self) -> usize {
        self.ports.len()
    }

    /// Sends a request to the first server, before the test; fails without a response that says that it succeeded.
    pub(super) async fn set_up(
        &mut self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<Response, TortureError> {
        let response = self.send(0, method, path, Some(body), None).await.ok();
        let done = response.filter(|response| matches!(response.status, 200 | 201));
        done.ok_or(TortureError::ChildUnresponsive)
    }

    /// Gets a path from a server.
    pub(super) async fn get(&mut self, node: usize, path: &str) -> Result<Response, NoResponse> {
        self.send(node, Method::GET, path, None, None).await
    }

    /// Sends a request to a server and waits for the response.
    pub(super) async fn send(
        &mut self,
        node: usize,
        method: Method,
        path: &str,
        body: Option<&Value>,
        key: Option<&str>,
    ) -> Result<Response, NoResponse> {
        let port = self.ports[node].load(SeqCst);
        let present = self.clients[node].take().filter(|(known, _)| *known == port);
        let new = || Client::new(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), self.token.clone());
        let mut client = present.map_or_else(new, |(_, client)| client);
        let response = timeout(LONGEST, client.send(method, path, body, key)).await;
        let response = response.map_err(|_| NoResponse)??;
        self.clients[node] = Some((port, client));
        Ok(response)
    }
}
