//! Each response with a body has the media type that the document states for it.

use super::super::examples::Operation;
use crate::support::TestResponse;

/// The fault of a response: its media type is not documented, or a text has no character set.
pub(super) fn fault_of(operation: &Operation, response: &TestResponse) -> Option<String> {
    let stated = response.headers.get("content-type").map_or("", |value| value.to_str().unwrap());
    let (kind, parameters) = stated.split_once(';').unwrap_or((stated, ""));
    let documented = &operation.described["responses"][response.status.to_string()]["content"];
    let is_documented =
        documented.as_object().map_or(response.body.is_empty(), |types| types.contains_key(kind));
    // a stream of events is always UTF-8
    let is_text = kind.starts_with("text/") && kind != "text/event-stream";
    let has_charset = !is_text || parameters.trim().eq_ignore_ascii_case("charset=utf-8");
    (!is_documented || !has_charset).then(|| format!("{operation}: the media type is {stated:?}"))
}
