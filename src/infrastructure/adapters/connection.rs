//! Connections to servers of others, one for each request.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// What requests call the store in `User-Agent`.
pub(super) const AGENT: &str = concat!("undercroft/", env!("CARGO_PKG_VERSION"));
/// The longest wait for a connection to one address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The host has no address that is allowed.
    #[error("the host has no address that is allowed")]
    NotAllowed,
    /// The host is no name that a certificate can have.
    #[error("the host is not a name")]
    Name,
    /// The name of the host cannot be resolved.
    #[error("the name of the host cannot be resolved")]
    Resolve(#[source] io::Error),
    /// The connection failed.
    #[error("the connection failed")]
    Failed(#[source] io::Error),
    /// The server does not speak HTTP/1.1.
    #[error("the request failed")]
    Http(#[source] hyper::Error),
}

/// Connects to servers. Clones share the configuration of TLS.
#[derive(Clone)]
pub(in crate::infrastructure::adapters) struct Connector {
    tls: Option<TlsConnector>,
}

impl Connector {
    /// Returns a connector that trusts the public roots.
    pub(in crate::infrastructure::adapters) fn new() -> Self {
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let config =
            ClientConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
                .with_safe_default_protocol_versions()
                .map(|builder| builder.with_root_certificates(roots).with_no_client_auth());
        // the provider supports the default versions, so there is always a configuration
        Self { tls: config.ok().map(|config| TlsConnector::from(Arc::new(config))) }
    }

    /// Connects to the first address of a host that is allowed and accepts the connection.
    pub(in crate::infrastructure::adapters) async fn connect(
        &self,
        host: &str,
        port: u16,
        is_https: bool,
        allowed: impl Fn(IpAddr) -> bool,
    ) -> Result<SendRequest<Full<Bytes>>, ConnectError> {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let resolved = lookup_host((host, port)).await.map_err(ConnectError::Resolve)?;
        let addresses: Vec<_> = resolved.filter(|address| allowed(address.ip())).collect();
        if addresses.is_empty() {
            return Err(ConnectError::NotAllowed);
        }
        let stream = connect_to_first(&addresses).await.map_err(ConnectError::Failed)?;
        if !is_https {
            return open(TokioIo::new(stream)).await;
        }

        let invalid = |_| ConnectError::Name;
        let name = ServerName::try_from(host.to_owned()).map_err(invalid)?;
        let no_tls = || ConnectError::Failed(io::Error::other("TLS is not available"));
        let tls = self.tls.as_ref().ok_or_else(no_tls)?;
        open(TokioIo::new(tls.connect(name, stream).await.map_err(ConnectError::Failed)?)).await
    }
}

/// Connects to the first address that accepts the connection in time.
async fn connect_to_first(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::TimedOut);
    for address in addresses {
        match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

/// Begins HTTP/1.1 on a stream.
async fn open<S: Read + Write + Unpin + Send + 'static>(
    stream: S,
) -> Result<SendRequest<Full<Bytes>>, ConnectError> {
    let (sender, connection) = handshake(stream).await.map_err(ConnectError::Http)?;
    // ends when the sender is dropped; the error of a request is returned by the request
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(sender)
}
