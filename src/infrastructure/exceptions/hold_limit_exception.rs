//! A client or a user holds as much as it may with orders that are not paid.

use http::header::RETRY_AFTER;
use http::{HeaderName, HeaderValue, StatusCode};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{Exception, Kind, facts};

/// 429: unpaid orders of the client's address or of the user hold as many pieces, or are as many, as allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unpaid orders hold as much as they may, until {ends_at}")]
pub struct HoldLimitException {
    /// The time at which the first of the holds ends at the latest, UTC. It ends earlier if its order is paid.
    pub ends_at: Timestamp,
    /// The present time, UTC.
    pub now: Timestamp,
}

impl Exception for HoldLimitException {
    fn code(&self) -> &'static str {
        "hold_limit"
    }

    fn kind(&self) -> Kind {
        Kind::Retryable
    }

    fn status(&self) -> StatusCode {
        StatusCode::TOO_MANY_REQUESTS
    }

    fn details(&self) -> Map<String, Value> {
        facts([("ends_at", json!(self.ends_at))])
    }

    fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        let seconds = self.ends_at.duration_since(self.now).as_secs();
        vec![(RETRY_AFTER, u64::try_from(seconds + 1).unwrap_or(1).into())]
    }
}
