//! `ETag`, `If-None-Match` and `If-Match` (RFC 9110 section 13): a response that the client has is not sent again, and
//! a change that was made meanwhile is not overwritten.
//!
//! An entity tag begins with the version of the resource, which is all that `If-Match` compares: a price that changed
//! beside the resource is no conflict. The digest that follows distinguishes the representations of one version, for
//! `If-None-Match`.

use std::convert::Infallible;

use axum::Extension;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode, request::Parts};
use serde::Serialize;
use utoipa::openapi::ObjectBuilder;

use super::operation::OperationDescription;
use super::response::{JSON, entity_tag, tagged};
use super::routing::Argument;
use crate::application::Precondition;
use crate::infrastructure::cache::Form;
use crate::infrastructure::exceptions::{Conflict, Failure, RejectedRequest, RequestFaults, Technical};
use crate::infrastructure::middleware::{ResponseLanguages, client_has, entity_tags, if_none_match};

/// The entity tags of the representations that the client has.
#[derive(Debug, Clone, Default)]
pub struct IfNoneMatch(HeaderMap);

/// The version of what has none of its own, in its entity tag: the digest of its body suffices.
pub const NO_VERSION: i64 = 0;

/// The values that clients send as `If-Match`: `*` or a list of entity tags.
const ENTITY_TAGS_PATTERN: &str = r#"^(\*|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*)$"#;

/// The syntax of `If-Match`.
const ENTITY_TAGS: RejectedRequest = RejectedRequest::MalformedHeader {
    header: "If-Match",
    expected: "`*` or a list of entity tags in double quotes, separated by commas",
};

/// The version that a change of an existing resource requires; `None` is any. As an extractor it fails with 400 for a
/// header that is not a list of entity tags, and with 412 if no tag of the list is one of this store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IfMatch(pub Option<i64>);

/// The value of `If-None-Match` of a change.
const NOT_NONE: RejectedRequest = RejectedRequest::MalformedHeader {
    header: "If-None-Match",
    expected: "`*`, by which this operation only creates",
};

/// What a change that creates the resource if there is none requires of it, by `If-Match` and `If-None-Match`. As an
/// extractor it fails as [`IfMatch`] does, and with 400 for an `If-None-Match` with entity tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequiredState(pub Precondition);

impl IfNoneMatch {
    /// Responds with `body` and its entity tag (200), or without a body if the client has it (304).
    pub fn respond<B: Serialize>(&self, version: i64, body: &B) -> Response {
        let response = tagged(version, body).into_response();
        match response.headers().get(ETAG) {
            Some(tag) if self.contains(tag) => {
                (StatusCode::NOT_MODIFIED, [(ETAG, tag.clone())]).into_response()
            }
            _ => response,
        }
    }

    /// Responds with a body that is rendered already, like [`IfNoneMatch::respond`].
    pub fn respond_with(&self, Form { body, entity_tag, languages }: Form) -> Response {
        let mut response = if self.contains(&entity_tag) {
            (StatusCode::NOT_MODIFIED, [(ETAG, entity_tag)]).into_response()
        } else {
            let head = [(CONTENT_TYPE, HeaderValue::from_static(JSON)), (ETAG, entity_tag)];
            (head, Extension(body.clone()), body.bytes().clone()).into_response()
        };
        // a list without products is in no language
        if let Some(languages) = languages.filter(|languages| !languages.is_empty()) {
            response.extensions_mut().insert(ResponseLanguages(languages));
        }
        response
    }

    /// Returns whether the client has the representation with this entity tag.
    pub(super) fn contains(&self, tag: &HeaderValue) -> bool {
        client_has(&self.0, tag)
    }
}

/// Renders a body of a version.
pub fn form<B: Serialize>(version: i64, body: &B) -> Result<Form, Failure> {
    form_of(version, serde_json::to_vec(body).map_err(Technical::internal)?)
}

/// Returns the form of a body of a version that is rendered already.
pub(super) fn form_of(version: i64, body: Vec<u8>) -> Result<Form, Failure> {
    let entity_tag = HeaderValue::try_from(entity_tag(version, &body)).map_err(Technical::internal)?;
    Ok(Form { body: body.into(), entity_tag, languages: None })
}

impl Argument for IfNoneMatch {
    fn describe(operation: &mut OperationDescription<'_>) {
        let description = "The entity tags (`ETag`) of the representations that the client has.";
        operation.request_header("If-None-Match", description);
        operation.response_header(StatusCode::OK, "ETag", "The entity tag of the representation.");
        operation.response(StatusCode::NOT_MODIFIED, "The client has the current representation.");
    }
}

impl Argument for IfMatch {
    fn describe(operation: &mut OperationDescription<'_>) {
        let description = "The `ETag` of the version to change. The request fails with 412 if the resource has \
                           another version. If omitted, any version is changed.";
        let bounds = ObjectBuilder::new().min_length(Some(1)).pattern(Some(ENTITY_TAGS_PATTERN));
        operation.request_header_of("If-Match", description, bounds);
        operation.response_header(StatusCode::OK, "ETag", "The entity tag of the new version.");
        operation.fails(Conflict::PreconditionFailed);
        operation.fails(Conflict::Stale);
        operation.fails(ENTITY_TAGS);
    }
}

impl Argument for RequiredState {
    fn describe(operation: &mut OperationDescription<'_>) {
        IfMatch::describe(operation);
        let description = "`*` creates the resource: the request fails with 412 if there is one.";
        let bounds = ObjectBuilder::new().pattern(Some(r"^\*$"));
        operation.request_header_of("If-None-Match", description, bounds);
        operation.fails(NOT_NONE);
    }
}

impl<S: Sync> FromRequestParts<S> for IfNoneMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(if_none_match(&parts.headers)))
    }
}

impl<S: Sync> FromRequestParts<S> for RequiredState {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let mut faults = RequestFaults::default();
        let version = faults.keep(IfMatch::from_request_parts(parts, state).await)?;
        let requires_one = parts.headers.contains_key(IF_MATCH);
        let requires_none = parts.headers.contains_key(IF_NONE_MATCH);
        let is_star = parts.headers.get_all(IF_NONE_MATCH).iter().all(|value| value == "*");
        faults.keep(is_star.then_some(()).ok_or(NOT_NONE))?;
        let (Some(IfMatch(version)), true) = (version, faults.is_empty()) else {
            return Err(faults.into_failure());
        };

        match (version, requires_one, requires_none) {
            (_, true, true) => Err(Conflict::PreconditionFailed.into()),
            (Some(version), ..) => Ok(Self(Precondition::Version(version))),
            (None, true, false) => Ok(Self(Precondition::Exists)),
            (None, false, true) => Ok(Self(Precondition::Missing)),
            (None, false, false) => Ok(Self(Precondition::None)),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let mut tags = Vec::new();
        for header in parts.headers.get_all(IF_MATCH) {
            if header == "*" {
                return Ok(Self(None));
            }
            tags.extend(entity_tags(header.as_bytes()).ok_or(ENTITY_TAGS)?);
        }
        if !parts.headers.contains_key(IF_MATCH) {
            return Ok(Self(None));
        }

        // Versions only increase, so that of a list only the newest can be the present one.
        let newest = tags.into_iter().filter_map(version).max();
        newest.map(|version| Self(Some(version))).ok_or_else(|| Conflict::PreconditionFailed.into())
    }
}

/// Parses the version of an entity tag. A weak tag has none, since `If-Match` compares strongly.
fn version(tag: &[u8]) -> Option<i64> {
    let tag = std::str::from_utf8(tag).ok()?.strip_prefix('"')?.strip_suffix('"')?;
    let (version, rest) = tag.split_once('-')?;
    rest.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| version.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infrastructure::exceptions::{Location, ValidationException};
    use http::{HeaderName, Request};

    fn if_none_match(text: &str) -> IfNoneMatch {
        let lists = ["\"other\"", text].map(|list| (IF_NONE_MATCH, list.parse().unwrap()));
        IfNoneMatch(HeaderMap::from_iter(lists))
    }

    #[test]
    fn a_representation_that_the_client_has_is_not_sent_again() {
        let body = ["a"];
        let first = IfNoneMatch::default().respond(3, &body);
        assert_eq!(first.status(), StatusCode::OK);
        let tag = first.headers()[ETAG].to_str().unwrap().to_owned();
        for header in [tag.clone(), format!("\"x\", W/{tag}"), "*".to_owned()] {
            let response = if_none_match(&header).respond(3, &body);
            assert_eq!(
                (response.status(), &response.headers()[ETAG]),
                (StatusCode::NOT_MODIFIED, &tag.parse().unwrap())
            );
        }
        assert_eq!(if_none_match(&tag).respond(4, &body).status(), StatusCode::OK);
        assert_eq!(if_none_match(&tag).respond(3, &["b"]).status(), StatusCode::OK, "another price");
    }

    #[tokio::test]
    async fn a_change_that_creates_requires_a_resource_or_none() {
        let extract = async |headers: &[(HeaderName, &str)]| {
            let mut parts = Request::builder().body(()).unwrap().into_parts().0;
            parts.headers =
                headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
            RequiredState::from_request_parts(&mut parts, &()).await.map(|RequiredState(required)| required)
        };
        for (headers, expected) in [
            (&[][..], Precondition::None),
            (&[(IF_MATCH, "*")], Precondition::Exists),
            (&[(IF_MATCH, "\"7-0\"")], Precondition::Version(7)),
            (&[(IF_NONE_MATCH, "*")], Precondition::Missing),
        ] {
            assert_eq!(extract(headers).await.unwrap(), expected, "{headers:?}");
        }
        for one in ["*", "\"7-0\""] {
            let failure = extract(&[(IF_MATCH, one), (IF_NONE_MATCH, "*")]).await.unwrap_err();
            assert_eq!(failure.status(), StatusCode::PRECONDITION_FAILED, "{one}");
        }
        for other in ["\"7-0\"", "W/\"7-0\"", "", "*, \"7-0\""] {
            let failure = extract(&[(IF_NONE_MATCH, other)]).await.unwrap_err();
            assert_eq!(failure.details()["header"], "If-None-Match", "{other}");
            // a tag of another store is no fault
            let failure = extract(&[(IF_MATCH, "\"foreign\""), (IF_NONE_MATCH, other)]).await.unwrap_err();
            assert_eq!(failure.details()["header"], "If-None-Match", "{other}");
        }
        let failure = extract(&[(IF_MATCH, "foreign"), (IF_NONE_MATCH, "\"x\"")]).await.unwrap_err();
        let invalid: &ValidationException = failure.downcast_ref().unwrap();
        let headers: Vec<_> = invalid.faults().iter().map(|(location, _)| location.clone()).collect();
        assert_eq!(headers, [Location::Header("If-Match"), Location::Header("If-None-Match")]);
    }

    #[tokio::test]
    async fn if_match_gives_the_version_of_a_tag() {
        let tag = IfNoneMatch::default().respond(7, &()).headers()[ETAG].clone();
        let extract = async |value: &HeaderValue| {
            let mut parts = Request::builder().header(IF_MATCH, value).body(()).unwrap().into_parts().0;
            IfMatch::from_request_parts(&mut parts, &()).await
        };
        assert_eq!(extract(&tag).await.unwrap(), IfMatch(Some(7)));
        assert_eq!(extract(&"*".parse().unwrap()).await.unwrap(), IfMatch(None));
        let newest = format!("\"x\", W/\"9-0\", , \"6-0\",{}", tag.to_str().unwrap());
        assert_eq!(extract(&newest.parse().unwrap()).await.unwrap(), IfMatch(Some(7)));
        for other in ["\"7\"", "\"\"", "\"x-1\"", "W/\"7-0\"", "\"a,b\", W/\"8-0\""] {
            let failure = extract(&other.parse().unwrap()).await.unwrap_err();
            assert_eq!(failure.status(), StatusCode::PRECONDITION_FAILED, "{other}");
        }
        for malformed in ["7", "", ",", "\"7-0", "\"7-0\" \"8-0\"", "\"7 0\"", "w/\"7-0\"", "\"7-0\", *"] {
            let failure = extract(&malformed.parse().unwrap()).await.unwrap_err();
            assert_eq!(failure.status(), StatusCode::BAD_REQUEST, "{malformed}");
            assert_eq!(failure.details()["header"], "If-Match");
        }
    }
}
