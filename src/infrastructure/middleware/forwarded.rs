//! What proxies report of a client: `Forwarded` (RFC 7239), and `X-Forwarded-For`, `-Proto` and `-Host`.
//!
//! Each proxy appends the address that it got the request from. Anyone can send these headers, so they are read from
//! the right: an element is true only if a trusted proxy appended it. What is left of the first address that is no
//! trusted proxy is not even parsed, and so cannot make what is right of it invalid.

use std::iter;
use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, header::FORWARDED};

use super::host::is_host;
use super::trusted_proxies::TrustedProxies;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// The most elements that are read: more proxies than any service has.
const MAX_HOPS: usize = 32;

/// What is known of the sender of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sender<'a> {
    /// The address.
    pub(super) address: IpAddr,
    /// Whether it sent the request over HTTPS; `None` if no proxy reports it.
    pub(super) is_https: Option<bool>,
    /// The host that it sent the request to; `None` if no proxy reports it.
    pub(super) host: Option<&'a str>,
}

/// One element: what a proxy reports of the sender that it got the request from.
struct Hop<'a> {
    /// `None` if the proxy hides it.
    address: Option<IpAddr>,
    is_https: Option<bool>,
    host: Option<&'a str>,
}

/// Returns the sender of a request that came from `peer`. If both families of headers are there and contradict each
/// other, one of them came from the client, and neither is used.
pub(super) fn sender<'a>(headers: &'a HeaderMap, peer: IpAddr, trusted: &TrustedProxies) -> Sender<'a> {
    let unknown = Sender { address: peer, is_https: None, host: None };
    if !trusted.contains(peer) {
        return unknown;
    }
    let has = |name| headers.contains_key(name);
    let has_others = has(X_FORWARDED_FOR) || has(X_FORWARDED_PROTO) || has(X_FORWARDED_HOST);
    match (has(FORWARDED), has_others) {
        (false, false) => unknown,
        (true, false) => by_forwarded(headers, unknown, trusted),
        (false, true) => by_x_forwarded(headers, unknown, trusted),
        (true, true) => {
            let sender = by_forwarded(headers, unknown, trusted);
            if sender == by_x_forwarded(headers, unknown, trusted) { sender } else { unknown }
        }
    }
}

fn by_forwarded<'a>(headers: &'a HeaderMap, peer: Sender<'a>, trusted: &TrustedProxies) -> Sender<'a> {
    walk(from_right(headers, FORWARDED).map(element), peer, trusted).0
}

/// The protocols and hosts have no addresses beside them: if there are as many as addresses, that at the same position
/// from the right is used, and otherwise the last one, which the nearest proxy set.
fn by_x_forwarded<'a>(headers: &'a HeaderMap, peer: Sender<'a>, trusted: &TrustedProxies) -> Sender<'a> {
    let hops = from_right(headers, X_FORWARDED_FOR).map(|text| {
        let address = address(text)?;
        Some(Hop { address: Some(address), is_https: None, host: None })
    });
    let (sender, hops) = walk(hops, peer, trusted);
    let value = |name| {
        let mut values = from_right(headers, name).take(MAX_HOPS);
        let last = values.next()?;
        if hops < 2 { Some(last) } else { values.nth(hops - 2).or(Some(last)) }
    };
    Sender {
        is_https: value(X_FORWARDED_PROTO).and_then(is_https),
        host: value(X_FORWARDED_HOST).filter(|host| is_host(host.as_bytes())),
        ..sender
    }
}

/// Follows the elements from the right, as long as trusted proxies appended them; returns the sender and the number of
/// elements that were used. An element that is malformed ends it.
fn walk<'a>(
    hops: impl Iterator<Item = Option<Hop<'a>>>,
    mut sender: Sender<'a>,
    trusted: &TrustedProxies,
) -> (Sender<'a>, usize) {
    let mut used = 0;
    for hop in hops.take(MAX_HOPS) {
        let Some(hop) = hop else { break };
        used += 1;
        sender.is_https = hop.is_https.or(sender.is_https);
        sender.host = hop.host.or(sender.host);
        let Some(address) = hop.address else { break };
        sender.address = address;
        if !trusted.contains(address) {
            break;
        }
    }
    (sender, used)
}

/// Returns the elements of a header, the last one first. One that is not ASCII is an empty text.
fn from_right(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(name).iter().rev();
    lines.flat_map(|line| split_from_right(line.to_str().unwrap_or_default(), b','))
}

/// Splits a text at a separator outside of quotes; the last part comes first. No proxy escapes a quote.
fn split_from_right(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    iter::from_fn(move || {
        let text = rest?;
        let mut is_quoted = false;
        let at = text.bytes().rposition(|byte| {
            is_quoted ^= byte == b'"';
            byte == separator && !is_quoted
        });
        let (before, part) =
            at.map_or((None, text), |at| (text.get(..at), text.get(at + 1..).unwrap_or_default()));
        rest = before;
        Some(part.trim_matches([' ', '\t']))
    })
}

/// Parses an element of `Forwarded` (RFC 7239 section 4).
fn element(text: &str) -> Option<Hop<'_>> {
    let (mut node, mut proto, mut host) = (None, None, None);
    for pair in split_from_right(text, b';') {
        let (name, value) = pair.split_once('=')?;
        let parameter = match name.to_ascii_lowercase().as_str() {
            "for" => &mut node,
            "proto" => &mut proto,
            "host" => &mut host,
            _ => continue,
        };
        // a parameter is given once
        if parameter.replace(unquoted(value)?).is_some() {
            return None;
        }
    }
    let address = match node {
        None => None,
        // section 6.3: an identifier that hides the address begins with an underscore
        Some(hidden) if hidden.eq_ignore_ascii_case("unknown") || hidden.starts_with('_') => None,
        Some(node) => Some(address(node)?),
    };
    Some(Hop {
        address,
        is_https: proto.and_then(is_https),
        host: host.filter(|host| is_host(host.as_bytes())),
    })
}

/// Returns the content of a quoted string, or a value that needs no quotes.
fn unquoted(value: &str) -> Option<&str> {
    let inner = match value.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"')?,
        None => value,
    };
    (!inner.is_empty() && !inner.contains(['"', '\\'])).then_some(inner)
}

/// Parses an IP address with or without a port; one of IPv6 may have brackets. A mapped address is that of IPv4.
fn address(text: &str) -> Option<IpAddr> {
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    let address = text.parse::<IpAddr>().ok().or_else(bare);
    let address = address.or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))?;
    Some(address.to_canonical())
}

/// Returns whether a protocol is HTTPS; `None` if it is neither of the two.
fn is_https(protocol: &str) -> Option<bool> {
    let is = |name: &str| protocol.eq_ignore_ascii_case(name);
    if is("https") { Some(true) } else { is("http").then_some(false) }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const PEER: &str = "10.0.0.1";

    /// The address, protocol and host of a request from a trusted peer with these headers.
    fn found(headers: &[(&'static str, &str)]) -> (String, Option<bool>, Option<String>) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let trusted = TrustedProxies::parse(["10.0.0.0/8", "2001:db8:ffff::/48"]).unwrap();
        let sender = sender(&map, PEER.parse().unwrap(), &trusted);
        (sender.address.to_string(), sender.is_https, sender.host.map(str::to_owned))
    }

    fn address_by(name: &'static str, value: &str) -> String {
        found(&[(name, value)]).0
    }

    #[test]
    fn the_first_address_from_the_right_that_is_no_trusted_proxy_is_the_client() {
        for (value, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("203.0.113.9, 192.0.2.1", "192.0.2.1"),
            ("203.0.113.9, 192.0.2.1,10.0.0.3 , 10.0.0.2", "192.0.2.1"),
            ("10.0.0.4, 10.0.0.3", "10.0.0.4"),
            ("192.0.2.1:8080", "192.0.2.1"),
            ("2001:db8::7", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("[2001:db8::7]:443", "2001:db8::7"),
            ("192.0.2.1, 2001:db8:ffff::1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("192.0.2.1, ::ffff:10.0.0.2", "192.0.2.1"),
            ("\"; drop, 192.0.2.1", "192.0.2.1"),
        ] {
            assert_eq!(address_by("x-forwarded-for", value), expected, "{value}");
        }
        for (value, expected) in [
            ("for=192.0.2.1", "192.0.2.1"),
            ("For=\"[2001:db8::7]:4711\"", "2001:db8::7"),
            ("for=203.0.113.9, for=192.0.2.1;proto=https;by=10.0.0.2, for=10.0.0.2", "192.0.2.1"),
            ("for=203.0.113.9;x=\", for=192.0.2.1", "192.0.2.1"),
            ("for=\"a, for=\"[2001:db8::7]\"", "2001:db8::7"),
            ("proto=https, for=10.0.0.2", "10.0.0.2"),
            ("for=203.0.113.9, for=_hidden, for=10.0.0.2", "10.0.0.2"),
            ("for=203.0.113.9, for=unknown", PEER),
        ] {
            assert_eq!(address_by("forwarded", value), expected, "{value}");
        }
    }

    #[test]
    fn the_lines_of_a_header_are_one_list() {
        let lines = [("x-forwarded-for", "203.0.113.9"), ("x-forwarded-for", "192.0.2.1, 10.0.0.3")];
        assert_eq!(found(&lines).0, "192.0.2.1");
    }

    #[test]
    fn a_malformed_element_is_not_used_and_nothing_left_of_it() {
        let long = "10.0.0.2,".repeat(10_000) + "10.0.0.2";
        for value in ["", ",", "x", "192.0.2.1.5", "192.0.2.1, x", "192.0.2.1,", "fe80::1%eth0", "\u{e9}"] {
            assert_eq!(address_by("x-forwarded-for", value), PEER, "{value}");
        }
        for value in [
            "for",
            "for=",
            "for=\"192.0.2.1",
            "for=192.0.2.1\"",
            "for=\"192.0.2.1\\\"\"",
            "for=192.0.2.1;for=192.0.2.2",
            "192.0.2.1",
            "for=192.0.2.1;;",
        ] {
            assert_eq!(address_by("forwarded", value), PEER, "{value}");
        }
        assert_eq!(address_by("x-forwarded-for", "192.0.2.1, x, 10.0.0.2"), "10.0.0.2");
        assert_eq!(address_by("x-forwarded-for", &long), "10.0.0.2", "bounded");
    }

    #[test]
    fn the_outermost_trusted_proxy_reports_the_protocol_and_the_host() {
        let forwarded = "for=192.0.2.1;proto=https;host=shop.example, for=10.0.0.2;proto=http;host=inner";
        let expected = ("192.0.2.1".to_owned(), Some(true), Some("shop.example".to_owned()));
        assert_eq!(found(&[("forwarded", forwarded)]), expected);
        let spoofed = "for=203.0.113.9;proto=http;host=evil.example, ".to_owned() + forwarded;
        assert_eq!(found(&[("forwarded", &spoofed)]), expected);

        let listed = |protocols, hosts| {
            let addresses = ("x-forwarded-for", "203.0.113.9, 192.0.2.1, 10.0.0.2");
            found(&[addresses, ("x-forwarded-proto", protocols), ("x-forwarded-host", hosts)])
        };
        assert_eq!(listed("http, https, http", "evil.example, shop.example, inner"), expected);
        assert_eq!(listed("https", "shop.example"), expected);
        assert_eq!(listed("gopher", "a b").1, None);
        assert_eq!(listed("https", "user@shop.example").2, None);
    }

    #[test]
    fn headers_that_contradict_each_other_are_not_used() {
        let own = ("x-forwarded-for", "192.0.2.1");
        assert_eq!(found(&[own, ("forwarded", "for=203.0.113.9")]).0, PEER);
        let host = found(&[own, ("forwarded", "for=192.0.2.1;host=evil.example")]);
        assert_eq!(host, (PEER.to_owned(), None, None));
        assert_eq!(found(&[own, ("forwarded", "for=192.0.2.1")]).0, "192.0.2.1");
    }

    proptest! {
        #[test]
        fn no_header_of_a_client_changes_what_its_proxy_appended(
            sent in "[ -~]{0,60}", name in prop_oneof![Just("forwarded"), Just("x-forwarded-for")],
        ) {
            let appended = if name == "forwarded" { "for=192.0.2.1" } else { "192.0.2.1" };
            prop_assert_eq!(address_by(name, &format!("{sent}, {appended}")), "192.0.2.1");
        }

        #[test]
        fn no_header_panics_or_reports_an_address_of_a_client_that_is_not_behind_a_proxy(
            value in "[ -~]{0,60}", name in prop_oneof![Just("forwarded"), Just("x-forwarded-for")],
        ) {
            let _ = address_by(name, &value);
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            let peer = "192.0.2.5".parse().unwrap();
            let none = sender(&headers, peer, &TrustedProxies::parse(["10.0.0.0/8"]).unwrap());
            prop_assert_eq!(none, Sender { address: peer, is_https: None, host: None });
        }
    }
}
