//! `Last-Event-ID`: the position after which a client continues a stream of server-sent events.

use axum::extract::FromRequestParts;
use http::request::Parts;
use utoipa::openapi::ObjectBuilder;

use super::operation::OperationDescription;
use super::routing::Argument;
use super::state::AppState;
use crate::application::jobs::event_log;
use crate::infrastructure::exceptions::{Failure, RejectedRequest};

/// The name of the header.
const NAME: &str = "Last-Event-ID";
/// The failure of a header that is not the id of a message.
const NOT_AN_ID: RejectedRequest =
    RejectedRequest::MalformedHeader { header: NAME, expected: "the id of a message of this stream" };

/// The position of the last message that a client has got; `None` if it has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LastEventId(pub(super) Option<i64>);

impl Argument for LastEventId {
    fn describe(operation: &mut OperationDescription<'_>) {
        let description = "The `id` of the last message that the client has got: the stream continues after it, \
                           without a gap or a repetition. Browsers send it when they connect again. If omitted, the \
                           stream begins with the next event.";
        let bounds = ObjectBuilder::new().pattern(Some("^[A-Za-z0-9_-]+$"));
        operation.request_header_of(NAME, description, bounds);
        operation.fails(NOT_AN_ID);
    }
}

impl FromRequestParts<AppState> for LastEventId {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Failure> {
        let Some(value) = parts.headers.get(NAME) else { return Ok(Self(None)) };
        let id = value.to_str().map_err(|_| NOT_AN_ID)?;
        Ok(Self(Some(event_log::position_of_id(&app.store, id).ok_or(NOT_AN_ID)?)))
    }
}
