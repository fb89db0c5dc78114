//! Lists of entity tags, as `If-Match` and `If-None-Match` have them (RFC 9110 sections 8.8.3 and 13.1).

use http::header::IF_NONE_MATCH;
use http::{HeaderMap, HeaderValue};

/// Splits a list of entity tags, which may be empty between its commas. Returns `None` if it is not such a list.
pub fn entity_tags(mut list: &[u8]) -> Option<Vec<&[u8]>> {
    let mut tags = Vec::new();
    loop {
        list = list.trim_ascii_start();
        let opaque = list.strip_prefix(b"W/").unwrap_or(list);
        if let Some(rest) = opaque.strip_prefix(b"\"") {
            let length = rest.iter().position(|byte| *byte == b'"')?;
            let (text, rest) = rest.split_at(length);
            if text.iter().any(u8::is_ascii_whitespace) {
                return None;
            }
            let (tag, _) = list.split_at(list.len() - rest.len() + 1);
            tags.push(tag);
            list = rest[1..].trim_ascii_start();
        }
        match list.split_first() {
            None if tags.is_empty() => return None,
            None => return Some(tags),
            Some((b',', rest)) => list = rest,
            Some(_) => return None,
        }
    }
}

/// Returns the `If-None-Match` of a request alone.
pub fn if_none_match(headers: &HeaderMap) -> HeaderMap {
    headers.get_all(IF_NONE_MATCH).iter().map(|list| (IF_NONE_MATCH, list.clone())).collect()
}

/// Returns whether the client of a request with these headers has the representation with this entity tag: whether
/// `If-None-Match` is false. A header that is not a list of entity tags names none.
pub fn client_has(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    // the weak comparison (RFC 9110 section 8.8.3.2)
    let tag = opaque(tag.as_bytes());
    headers.get_all(IF_NONE_MATCH).iter().any(|list| {
        let tags = entity_tags(list.as_bytes()).unwrap_or_default();
        list == "*" || tags.into_iter().any(|known| opaque(known) == tag)
    })
}

/// Returns an entity tag as if it were a strong one.
fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}
