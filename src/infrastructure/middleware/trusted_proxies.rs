//! The proxies of which the operator says that they report the client of a request truthfully.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net};

/// The addresses of proxies that are trusted. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Arc<[IpNet]>);

/// A text is neither an IP address nor a network.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is neither an IP address nor a network, such as 10.0.0.0/8")]
pub struct InvalidNetwork(String);

impl TrustedProxies {
    /// Reads addresses and networks (CIDR, RFC 4632). IPv6 networks of mapped IPv4 addresses are those of IPv4.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidNetwork> {
        texts.into_iter().map(|text| network(text).ok_or_else(|| InvalidNetwork(text.to_owned()))).collect()
    }

    /// Returns whether an address, which is not a mapped one, is that of a trusted proxy.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Returns whether no proxy is trusted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<IpNet> for TrustedProxies {
    fn from_iter<I: IntoIterator<Item = IpNet>>(networks: I) -> Self {
        Self(networks.into_iter().collect())
    }
}

/// The bits of an IPv6 address before the IPv4 address that it maps (RFC 4291 section 2.5.5.2).
const MAPPED_BITS: u8 = 96;

fn network(text: &str) -> Option<IpNet> {
    let network = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => text.parse().ok()?,
    };
    match (network.addr().to_canonical(), network.prefix_len().checked_sub(MAPPED_BITS)) {
        (IpAddr::V4(address), Some(bits)) if network.addr().is_ipv6() => {
            Ipv4Net::new(address, bits).ok().map(IpNet::V4)
        }
        _ => Some(network),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_networks_of_both_families_are_read() {
        let trusted =
            TrustedProxies::parse(["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::ffff:198.51.100.0/120"]);
        let trusted = trusted.unwrap();
        for (address, expected) in [
            ("10.1.2.3", true),
            ("11.0.0.1", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("2001:db8:1::1", true),
            ("2001:db9::1", false),
            ("198.51.100.200", true),
            ("198.51.101.1", false),
        ] {
            assert_eq!(trusted.contains(address.parse().unwrap()), expected, "{address}");
        }
        assert!(!TrustedProxies::default().contains("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn a_text_that_is_no_network_is_refused() {
        for text in ["", "localhost", "10.0.0.0/33", "10.0.0", "::/129", "10.0.0.0/-1", "1.2.3.4:80"] {
            assert!(TrustedProxies::parse([text]).is_err(), "{text:?}");
        }
    }
}
