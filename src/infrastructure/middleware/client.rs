//! The client of a request.

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue, header::HOST};
use ipnet::IpNet;

use super::forwarded::sender;
use super::trusted_proxies::TrustedProxies;

/// The bits of a network that a log shows of an IPv4 address.
const LOGGED_BITS_V4: u8 = 24;
/// The bits of a network that a log shows of an IPv6 address.
const LOGGED_BITS_V6: u8 = 48;

/// The client of a request, as far as the operator's proxies report it: an extension of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its address. One of IPv4 is never mapped to IPv6.
    pub address: IpAddr,
    /// Whether it sent the request over HTTPS.
    pub is_https: bool,
    /// The host that it sent the request to, with the port if it is not the usual one; `None` if the request has none.
    pub host: Option<HeaderValue>,
}

impl Client {
    /// Returns the client of a request with these headers that came from the address `peer`. What the headers report
    /// counts only if `peer` is a trusted proxy, and so does each further one.
    pub fn of(headers: &HeaderMap, peer: IpAddr, trusted: &TrustedProxies) -> Self {
        let sender = sender(headers, peer.to_canonical(), trusted);
        let reported = sender.host.and_then(|host| HeaderValue::from_str(host).ok());
        Self {
            address: sender.address,
            is_https: sender.is_https.unwrap_or(false),
            host: reported.or_else(|| headers.get(HOST).cloned()),
        }
    }

    /// Returns the network of the address that a log may show: /24 of IPv4, /48 of IPv6.
    pub fn network(&self) -> IpNet {
        let bits = if self.address.is_ipv4() { LOGGED_BITS_V4 } else { LOGGED_BITS_V6 };
        IpNet::new(self.address, bits).unwrap_or(self.address.into()).trunc()
    }
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
        assert_eq!(client("192.0.2.77").network().to_string(), "192.0.2.0/24");
        assert_eq!(client("2001:db8:1:2::3").network().to_string(), "2001:db8:1::/48");
    }
}
