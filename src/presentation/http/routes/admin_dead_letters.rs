//! Dead letters: events that a subscriber did not handle.

use axum::response::IntoResponse;
use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::application::jobs::dead_letters;
use crate::domain::ids::DeadLetterId;
use crate::infrastructure::exceptions::NotFound;
use crate::infrastructure::repositories::{DeadLetter, DeadLetterFilter};
use crate::presentation::http::json::Json;
use crate::presentation::http::list::{List, ListQuery};
use crate::presentation::http::principal::Admin;
use crate::presentation::http::query::{Path, Query};
use crate::presentation::http::response::HandlerResult;
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::{AppState, State};

pub(super) fn routes() -> Routes {
    routes![
        list_dead_letters,
        retry_dead_letter: [NotFound::DeadLetter],
        discard_dead_letter: [NotFound::DeadLetter],
    ]
}

/// Which dead letters are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct DeadLetterQuery {
    /// Only dead letters of the subscriber of this name.
    #[param(max_length = 64)]
    subscriber: Option<String>,
}

/// An event whose handler failed every attempt.
#[derive(Debug, Serialize, ToSchema)]
struct DeadLetterBody {
    /// The id.
    id: DeadLetterId,
    /// The name of the subscriber.
    subscriber: String,
    /// The id of the event.
    event_id: Uuid,
    /// The type of the event, such as `order.paid`.
    event_type: String,
    /// The aggregate that the event belongs to.
    subject: String,
    /// The number of failed attempts.
    attempts: i64,
    /// The error of the last attempt.
    error: String,
    /// The time of the last attempt, UTC.
    failed_at: Timestamp,
}

impl DeadLetterBody {
    fn of(letter: DeadLetter) -> Self {
        let DeadLetter { id, subscriber, event_id, event_type, subject, attempts, error, failed_at, .. } =
            letter;
        Self { id, subscriber, event_id, event_type, subject, attempts, error, failed_at }
    }
}

/// List dead letters
///
/// An event becomes a dead letter when the handler of a subscriber has failed eight times; the subscriber continues
/// with the next event. The last to fail come first.
#[utoipa::path(get, path = "/admin/v1/dead-letters", tag = "admin-events",
    responses((status = 200, body = List<DeadLetterBody>)))]
async fn list_dead_letters(
    _: Admin,
    State(app): State<AppState>,
    Query(query): Query<ListQuery<DeadLetterQuery>>,
) -> HandlerResult<Json<List<DeadLetterBody>>> {
    let ListQuery { filter: DeadLetterQuery { subscriber }, limit, cursor } = query;
    let filter = DeadLetterFilter { subscriber };
    let page = dead_letters::dead_letters(&app.store, &filter, limit, cursor.as_deref()).await?;
    Ok(Json(List::of(page, DeadLetterBody::of)))
}

/// Retry a dead letter
///
/// Delivers the event to its subscriber once more. The subscriber has got later events since. If the handler succeeds,
/// the dead letter is removed and the response has the status 204; otherwise it is returned with the new error.
#[utoipa::path(post, path = "/admin/v1/dead-letters/{id}/retry", tag = "admin-events", params(("id" = Uuid, Path)),
    responses((status = 204), (status = 200, body = DeadLetterBody)))]
async fn retry_dead_letter(
    _: Admin,
    State(app): State<AppState>,
    Path(id): Path<DeadLetterId>,
) -> HandlerResult {
    Ok(match dead_letters::retry(&app.store, id).await? {
        Some(letter) => Json(DeadLetterBody::of(letter)).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

/// Discard a dead letter
///
/// The subscriber never handles the event.
#[utoipa::path(delete, path = "/admin/v1/dead-letters/{id}", tag = "admin-events", params(("id" = Uuid, Path)),
    responses((status = 204)))]
async fn discard_dead_letter(
    _: Admin,
    State(app): State<AppState>,
    Path(id): Path<DeadLetterId>,
) -> HandlerResult<StatusCode> {
    dead_letters::discard(&app.store, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
