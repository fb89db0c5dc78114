//! The syntax of `Host`.

use http::uri::Authority;

/// Returns whether a value is a host with an optional port (RFC 9110 section 7.2).
pub fn is_host(value: &[u8]) -> bool {
    // most are a name, which needs no parser
    if !value.is_empty() && value.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-')) {
        return true;
    }
    let Ok(authority) = Authority::try_from(value) else { return false };
    let has_port = authority.as_str().len() > authority.host().len() + 1;
    !authority.as_str().contains('@') && (!has_port || authority.port_u16().is_some())
}
