//! The names of this machine, to which requests are sent that only it may read the response of.

use http::HeaderMap;
use http::header::HOST;
use http::uri::Authority;

use crate::domain::host::is_this_machine;

/// Returns whether a request with these headers was sent to a name of this machine. A page of another site whose name
/// leads to this machine sends its own name.
pub(in crate::presentation) fn is_to_this_machine(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    host.is_some_and(|host| is_own_name(host.host()))
}

/// Returns whether a host is a name of this machine, also one below `localhost` (RFC 6761 section 6.3).
fn is_own_name(host: &str) -> bool {
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    is_this_machine(&name) || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn is_own(host: &'static str) -> bool {
        is_to_this_machine(&HeaderMap::from_iter([(HOST, HeaderValue::from_static(host))]))
    }

    #[test]
    fn a_request_is_to_this_machine_by_its_names_with_any_port() {
        for host in ["localhost", "LOCALHOST.:9464", "shop.localhost:80", "127.0.0.1:9464", "[::1]:9464"] {
            assert!(is_own(host), "{host}");
        }
        for host in
            ["", "shop.example.com", "localhost.example.com:9464", "192.168.0.1", "[2001:db8::1]:9464"]
        {
            assert!(!is_own(host), "{host}");
        }
        assert!(!is_to_this_machine(&HeaderMap::new()));
    }
}
