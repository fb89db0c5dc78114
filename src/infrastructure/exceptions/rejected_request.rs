//! A request is rejected before its content is looked at: syntax, size, media type, rate.

use http::header::{ACCEPT_ENCODING, CONTENT_RANGE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Map, Value, json};

use super::{Exception, Kind, facts, retry_after_a_second};

/// The request cannot be read, or not now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RejectedRequest {
    /// 400: the body is not JSON.
    #[error("malformed JSON at line {line}, column {column}")]
    MalformedJson {
        /// The line of the first fault, from 1.
        line: usize,
        /// The column of the first fault, from 1; 0 is the end of the previous line.
        column: usize,
    },
    /// 400: a header does not have the syntax of its definition.
    #[error("the header {header} is not {expected}")]
    MalformedHeader {
        /// The name of the header.
        header: &'static str,
        /// The expected syntax, in words.
        expected: &'static str,
    },
    /// 400: the client closed the body before its end.
    #[error("the body stopped before its end")]
    BodyIncomplete,
    /// 400: a request of HTTP/1.1 has no `Host`, or more than one (RFC 9112 section 3.2).
    #[error("not exactly one Host")]
    NotOneHost,
    /// 405: the resource exists and does not support the method.
    #[error("method not allowed")]
    MethodNotAllowed,
    /// 408: the body took too long to arrive.
    #[error("the request took too long to arrive")]
    TooSlow,
    /// 413: the body exceeds the size limit.
    #[error("the body has more than {limit} bytes")]
    BodyTooLarge {
        /// The greatest size in bytes.
        limit: usize,
    },
    /// 415: `Content-Type` names an unsupported media type.
    #[error("the body must be {expected}")]
    UnsupportedMediaType {
        /// The supported media type.
        expected: &'static str,
    },
    /// 415: the body has a content coding that is not decoded (RFC 9110 section 15.5.16).
    #[error("the content coding of the body must be {expected}")]
    UnsupportedContentCoding {
        /// The content coding that is accepted.
        expected: &'static str,
    },
    /// 416: the resource has none of the requested bytes.
    #[error("none of {size} bytes are in the range")]
    RangeNotSatisfiable {
        /// The number of bytes of the resource.
        size: u64,
    },
    /// 429: the greatest number of such requests is in progress.
    #[error("too many such requests are in progress")]
    TooManyAtOnce,
    /// 429: the account was sent the greatest number of such e-mails in the last hour.
    #[error("the account was sent too many such e-mails")]
    TooManyEmails {
        /// The seconds until a further one is sent.
        retry_after: u64,
    },
    /// 429: there were too many such requests in some time.
    #[error("too many such requests; the next one is allowed in {retry_after} s")]
    TooMany {
        /// The seconds until one more is allowed.
        retry_after: u64,
    },
}

impl Exception for RejectedRequest {
    fn code(&self) -> &'static str {
        match self {
            Self::MalformedJson { .. } => "malformed_json",
            Self::MalformedHeader { .. } => "malformed_header",
            Self::BodyIncomplete => "body_incomplete",
            Self::NotOneHost => "not_one_host",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::TooSlow => "request_too_slow",
            Self::BodyTooLarge { .. } => "body_too_large",
            Self::UnsupportedMediaType { .. } => "unsupported_media_type",
            Self::UnsupportedContentCoding { .. } => "unsupported_content_coding",
            Self::RangeNotSatisfiable { .. } => "range_not_satisfiable",
            Self::TooManyAtOnce | Self::TooMany { .. } => "too_many_requests",
            Self::TooManyEmails { .. } => "too_many_emails",
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::BodyIncomplete
            | Self::TooSlow
            | Self::TooManyAtOnce
            | Self::TooMany { .. }
            | Self::TooManyEmails { .. } => Kind::Retryable,
            Self::MalformedJson { .. }
            | Self::MalformedHeader { .. }
            | Self::NotOneHost
            | Self::MethodNotAllowed
            | Self::BodyTooLarge { .. }
            | Self::UnsupportedMediaType { .. }
            | Self::UnsupportedContentCoding { .. }
            | Self::RangeNotSatisfiable { .. } => Kind::Invalid,
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::MalformedJson { .. }
            | Self::MalformedHeader { .. }
            | Self::BodyIncomplete
            | Self::NotOneHost => StatusCode::BAD_REQUEST,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType { .. } | Self::UnsupportedContentCoding { .. } => {
                StatusCode::UNSUPPORTED_MEDIA_TYPE
            }
            Self::RangeNotSatisfiable { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::TooManyAtOnce | Self::TooMany { .. } | Self::TooManyEmails { .. } => {
                StatusCode::TOO_MANY_REQUESTS
            }
        }
    }

    fn details(&self) -> Map<String, Value> {
        match self {
            Self::MalformedJson { line, column } => facts([("line", json!(line)), ("column", json!(column))]),
            Self::MalformedHeader { header, expected } => {
                facts([("header", json!(header)), ("expected", json!(expected))])
            }
            Self::BodyTooLarge { limit } => facts([("limit", json!(limit))]),
            Self::UnsupportedMediaType { expected } | Self::UnsupportedContentCoding { expected } => {
                facts([("expected", json!(expected))])
            }
            Self::RangeNotSatisfiable { size } => facts([("size", json!(size))]),
            Self::BodyIncomplete
            | Self::NotOneHost
            | Self::MethodNotAllowed
            | Self::TooSlow
            | Self::TooManyAtOnce
            | Self::TooMany { .. }
            | Self::TooManyEmails { .. } => Map::new(),
        }
    }

    fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        match self {
            Self::TooManyAtOnce => retry_after_a_second(),
            Self::TooMany { retry_after } | Self::TooManyEmails { retry_after } => {
                vec![(RETRY_AFTER, (*retry_after).max(1).into())]
            }
            Self::UnsupportedContentCoding { expected } => {
                vec![(ACCEPT_ENCODING, HeaderValue::from_static(expected))]
            }
            Self::RangeNotSatisfiable { size } => {
                let value = HeaderValue::from_str(&format!("bytes */{size}"));
                value.into_iter().map(|value| (CONTENT_RANGE, value)).collect()
            }
            _ => Vec::new(),
        }
    }
}
