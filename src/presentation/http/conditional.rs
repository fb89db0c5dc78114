//! `ETag`, `If-None-Match` and `If-Match` (RFC 9110 section 13): not sent again what is known, not overwritten what
//! was not seen.
//!
//! A tag begins with the version of what is shown, which is what `If-Match` compares: a price that changed beside it
//! is no reason to refuse. What follows tells representations of one version apart, for `If-None-Match`.

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::response::Response;
use http::header::{CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH};
use http::{HeaderValue, StatusCode, request::Parts};
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::openapi::path::Operation;

use super::routing::{Argument, describe_answer, describe_header};
use crate::infrastructure::exceptions::{Conflict, Failure, Technical};

/// The one who asks has a representation already: its tags.
#[derive(Debug, Clone, Default)]
pub struct IfNoneMatch(Option<HeaderValue>);

/// The change is meant for this version, or for any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IfMatch(pub Option<i64>);

/// Answers 200 with `body` and its tag, or 304 if the one who asks has it already.
pub fn fresh<B: Serialize>(version: i64, body: &B, known: &IfNoneMatch) -> Result<Response, Failure> {
    let body = serde_json::to_vec(body).map_err(Technical::internal)?;
    let tag = tag(version, &body);
    let is_known = known.has(&tag);
    let mut response = Response::new(if is_known { Body::empty() } else { Body::from(body) });
    let headers = response.headers_mut();
    headers.extend(HeaderValue::try_from(tag).ok().map(|tag| (ETAG, tag)));
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    Ok(response)
}

/// Answers 200 with what a change has come to, and its tag.
pub fn changed<B: Serialize>(version: i64, body: &B) -> Result<Response, Failure> {
    fresh(version, body, &IfNoneMatch::default())
}

/// The tag of a version that looks so. Eight bytes of the digest are enough: nobody gains from a collision with
/// themselves.
pub(super) fn tag(version: i64, body: &[u8]) -> String {
    let digest = Sha256::digest(body);
    let digest = digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte));
    format!("\"{version}-{digest:016x}\"")
}

impl IfNoneMatch {
    fn has(&self, tag: &str) -> bool {
        let known = self.0.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
        known.split(',').map(str::trim).any(|known| known == "*" || known.trim_start_matches("W/") == tag)
    }
}

impl Argument for IfNoneMatch {
    fn describe(operation: &mut Operation) {
        describe_header(
            operation,
            IF_NONE_MATCH.as_str(),
            "The `ETag`s of what is known; then 304 if it is one of them.",
        );
        describe_answer(operation, StatusCode::NOT_MODIFIED, "It is known.");
    }
}

impl Argument for IfMatch {
    fn describe(operation: &mut Operation) {
        let description = "The `ETag` of what is to be changed; 412 if that is no longer what is there.";
        describe_header(operation, IF_MATCH.as_str(), description);
    }
}

impl<S: Sync> FromRequestParts<S> for IfNoneMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.headers.get(IF_NONE_MATCH).cloned()))
    }
}

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        match parts.headers.get(IF_MATCH).map(HeaderValue::as_bytes) {
            None | Some(b"*") => Ok(Self(None)),
            // what is no tag of ours matches nothing
            Some(tag) => version(tag)
                .map(|version| Self(Some(version)))
                .ok_or_else(|| Conflict::PreconditionFailed.into()),
        }
    }
}

/// The version in a tag.
fn version(tag: &[u8]) -> Option<i64> {
    let tag = std::str::from_utf8(tag).ok()?.trim().strip_prefix('"')?.strip_suffix('"')?;
    let (version, rest) = tag.split_once('-')?;
    rest.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| version.parse().ok())?
}

impl IfMatch {
    /// Refuses if what is there has another version than the one meant.
    pub fn check(self, version: i64) -> Result<(), Failure> {
        match self.0 {
            Some(meant) if meant != version => Err(Conflict::PreconditionFailed.into()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn known(text: &str) -> IfNoneMatch {
        IfNoneMatch(Some(text.parse().unwrap()))
    }

    #[test]
    fn what_is_known_is_not_sent_again() {
        let body = ["a"];
        let first = changed(3, &body).unwrap();
        assert_eq!(first.status(), StatusCode::OK);
        let tag = first.headers()[ETAG].to_str().unwrap().to_owned();
        for header in [tag.clone(), format!("\"x\", W/{tag}"), "*".to_owned()] {
            let answer = fresh(3, &body, &known(&header)).unwrap();
            assert_eq!(
                (answer.status(), &answer.headers()[ETAG]),
                (StatusCode::NOT_MODIFIED, &tag.parse().unwrap())
            );
        }
        assert_eq!(fresh(4, &body, &known(&tag)).unwrap().status(), StatusCode::OK);
        assert_eq!(fresh(3, &["b"], &known(&tag)).unwrap().status(), StatusCode::OK, "another price, say");
    }

    #[tokio::test]
    async fn a_change_is_made_to_the_version_that_was_seen() {
        let tag = changed(7, &()).unwrap().headers()[ETAG].clone();
        let extract = async |value: &HeaderValue| {
            let mut parts = Request::builder().header(IF_MATCH, value).body(()).unwrap().into_parts().0;
            IfMatch::from_request_parts(&mut parts, &()).await
        };
        let meant = extract(&tag).await.unwrap();
        assert!(meant.check(7).is_ok());
        assert_eq!(meant.check(8).unwrap_err().status(), StatusCode::PRECONDITION_FAILED);
        assert!(extract(&"*".parse().unwrap()).await.unwrap().check(8).is_ok());
        for nonsense in ["7", "\"7\"", "\"x-1\"", "W/\"7-0\"", "\"7-0\", \"8-0\""] {
            assert!(extract(&nonsense.parse().unwrap()).await.is_err(), "{nonsense}");
        }
    }
}
