//! The syntax of `Host`.

use http::uri::Authority;

/// Returns whether a value is a host with an optional port (RFC 9110 section 7.2).
pub fn is_host(value: &[u8]) -> bool {
    // most are a name with an optional port of four digits, which needs no parser
    let mut parts = value.split(|byte| *byte == b':');
    let name = parts.next().unwrap_or_default();
    let is_name =
        !name.is_empty() && name.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-'));
    let is_port = |port: &[u8]| matches!(port.len(), 1..=4) && port.iter().all(u8::is_ascii_digit);
    if is_name && parts.next().is_none_or(is_port) && parts.next().is_none() {
        return true;
    }
    let Ok(authority) = Authority::try_from(value) else { return false };
    let has_port = authority.as_str().len() > authority.host().len() + 1;
    !authority.as_str().contains('@') && (!has_port || authority.port_u16().is_some())
}
