//! Hosts, as URLs and headers name them.

// `std::net` can also open connections, which the domain does not
use core::net::IpAddr;

/// Returns whether a host is this machine, by its name or its address. One of IPv6 may be in brackets.
pub(crate) fn is_this_machine(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_localhost_and_every_loopback_address() {
        for host in ["localhost", "LocalHost", "127.0.0.1", "127.0.0.2", "::1", "[::1]", "[0:0:0:0:0:0:0:1]"]
        {
            assert!(is_this_machine(host), "{host}");
        }
    }

    #[test]
    fn every_other_host_is_another_machine() {
        for host in [
            "",
            "shop.example.com",
            "localhost.example.com",
            "127.0.0.1.example.com",
            "0.0.0.0",
            "192.168.0.1",
            "[::]",
            "[2001:db8::1]",
            "127.0.0.1:80",
        ] {
            assert!(!is_this_machine(host), "{host}");
        }
    }
}
