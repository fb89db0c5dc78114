//! Connections to servers of others, one for each request.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, USER_AGENT};
use http::{Method, Request, Uri, request};
use http_body_util::Full;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::certificate_authorities::CertificateAuthorities;

/// What requests call the store in `User-Agent`.
const AGENT: &str = concat!("undercroft/", env!("CARGO_PKG_VERSION"));
/// The longest wait for a connection to one address: requests have at least five seconds, in which a second one is
/// tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Where requests go: an HTTP or HTTPS URL with a host and a valid port, without a user and a fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) is_https: bool,
    /// The host and, if it is stated, the port, as `Host` has them.
    pub(super) authority: String,
    /// An address of IPv6 is without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) path_and_query: String,
}

/// A text is not the URL of an [`Endpoint`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an HTTP URL with a host, without a user and a fragment")]
pub(super) struct InvalidUrl;

impl FromStr for Endpoint {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        let uri: Uri = text.parse().map_err(|_| InvalidUrl)?;
        let (is_https, port) = match uri.scheme_str() {
            Some("https") => (true, 443),
            Some("http") => (false, 80),
            _ => return Err(InvalidUrl),
        };
        let authority = uri.authority().ok_or(InvalidUrl)?;
        let (authority, host) = (authority.as_str(), authority.host());
        if host.is_empty() || authority.contains('@') || text.contains('#') {
            return Err(InvalidUrl);
        }
        // the parsed URL has no port if the number is too large
        let port = match authority.strip_prefix(host).and_then(|rest| rest.strip_prefix(':')) {
            None => port,
            Some(stated) => stated.parse().ok().filter(|port| *port != 0).ok_or(InvalidUrl)?,
        };
        Ok(Self {
            is_https,
            authority: authority.to_owned(),
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port,
            path_and_query: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        })
    }
}

impl Endpoint {
    /// Begins a request to a path of it, with the headers that each has.
    pub(super) fn request(&self, method: Method, path: &str) -> request::Builder {
        let request = Request::builder().method(method).uri(path);
        request.header(HOST, &self.authority).header(USER_AGENT, AGENT)
    }
}

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
pub(super) struct Connector {
    tls: Option<TlsConnector>,
}

impl Connector {
    /// Returns a connector that trusts these authorities.
    pub(super) fn new(authorities: &CertificateAuthorities) -> Self {
        let roots = authorities.roots();
        let config =
            ClientConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
                .with_safe_default_protocol_versions()
                .map(|builder| builder.with_root_certificates(roots).with_no_client_auth());
        // the provider supports the default versions, so there is always a configuration
        Self { tls: config.ok().map(|config| TlsConnector::from(Arc::new(config))) }
    }

    /// Connects to the first address of a host that is allowed and accepts the connection.
    pub(super) async fn connect(
        &self,
        Endpoint { is_https, host, port, .. }: &Endpoint,
        allowed: impl Fn(IpAddr) -> bool,
    ) -> Result<SendRequest<Full<Bytes>>, ConnectError> {
        let resolved = lookup_host((host.as_str(), *port)).await.map_err(ConnectError::Resolve)?;
        let addresses: Vec<_> = resolved.filter(|address| allowed(address.ip())).collect();
        if addresses.is_empty() {
            return Err(ConnectError::NotAllowed);
        }
        let stream = connect_to_first(&addresses).await.map_err(ConnectError::Failed)?;
        if !*is_https {
            return open(TokioIo::new(stream)).await;
        }

        let invalid = |_| ConnectError::Name;
        let name = ServerName::try_from(host.clone()).map_err(invalid)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_has_a_host_and_a_valid_port_and_no_user() {
        let of = |text: &str| text.parse::<Endpoint>();
        let endpoint = of("https://shop.example:8443/hooks?a=b").unwrap();
        assert_eq!((endpoint.host.as_str(), endpoint.port, endpoint.is_https), ("shop.example", 8443, true));
        assert_eq!(endpoint.path_and_query, "/hooks?a=b");
        let request = endpoint.request(Method::POST, &endpoint.path_and_query).body(()).unwrap();
        assert_eq!(request.headers()[HOST], "shop.example:8443");
        let endpoint = of("http://[::1]").unwrap();
        assert_eq!((endpoint.host.as_str(), endpoint.port, endpoint.is_https), ("::1", 80, false));
        assert_eq!((endpoint.authority.as_str(), endpoint.path_and_query.as_str()), ("[::1]", "/"));
        for text in [
            "",
            "/hooks",
            "shop.example",
            "127.0.0.1:80",
            "ftp://shop.example/",
            "https://",
            "https://ann@shop.example/",
            "https://ann:secret@shop.example/",
            "https://shop.example/#part",
            "https://shop.example:0/",
            "https://shop.example:65536/",
            "https://shop.example:x/",
        ] {
            assert_eq!(of(text), Err(InvalidUrl), "{text}");
        }
    }
}
