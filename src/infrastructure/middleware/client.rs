//! The client of a request.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use http::{Extensions, HeaderMap, HeaderValue, header::HOST};
use ipnet::IpNet;

use super::forwarded::sender;
use super::trusted_proxies::TrustedProxies;

/// The client of a request, as far as the operator's proxies report it: an extension of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its address. One of IPv4 is never mapped to IPv6.
    pub address: IpAddr,
    /// Whether it sent the request over HTTPS.
    pub is_https: bool,
    /// The host that it sent the request to, with the port if it is not the usual one; `None` if the request has none.
    pub host: Option<HeaderValue>,
    /// Whether a trusted proxy sent the request to the service.
    pub is_proxied: bool,
}

impl Client {
    /// Returns the client of a request with these headers that came from the address `peer`. What the headers report
    /// counts only if `peer` is a trusted proxy, and so does each further one.
    pub fn of(headers: &HeaderMap, peer: IpAddr, trusted: &TrustedProxies) -> Self {
        let peer = peer.to_canonical();
        let sender = sender(headers, peer, trusted);
        let reported = sender.host.and_then(|host| HeaderValue::from_str(host).ok());
        Self {
            address: sender.address,
            is_https: sender.is_https.unwrap_or(false),
            host: reported.or_else(|| headers.get(HOST).cloned()),
            is_proxied: trusted.contains(peer),
        }
    }
}

/// Returns the address of the client of a request with these extensions: behind trusted proxies if the service finds
/// it, or that of the connection.
pub(super) fn client_address(extensions: &Extensions) -> Option<IpAddr> {
    let client = extensions.get().map(|client: &Client| client.address);
    let peer = || extensions.get().map(|ConnectInfo(peer): &ConnectInfo<SocketAddr>| peer.ip());
    client.or_else(peer)
}

/// Returns the network of an address with this many bits, of IPv4 and of IPv6.
pub fn network(address: IpAddr, [v4, v6]: [u8; 2]) -> IpNet {
    let bits = if address.is_ipv4() { v4 } else { v6 };
    IpNet::new(address, bits).unwrap_or(address.into()).trunc()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(address: &str) -> Client {
        Client::of(&HeaderMap::new(), address.parse().unwrap(), &TrustedProxies::default())
    }

    #[test]
    fn a_mapped_address_is_that_of_ipv4() {
        assert_eq!(client("::ffff:192.0.2.77").address.to_string(), "192.0.2.77");
    }

    #[test]
    fn the_network_for_the_log_names_no_single_client() {
        let shown = |address: &str| network(address.parse().unwrap(), [24, 48]).to_string();
        assert_eq!(shown("192.0.2.77"), "192.0.2.0/24");
        assert_eq!(shown("2001:db8:1:2::3"), "2001:db8:1::/48");
    }
}
