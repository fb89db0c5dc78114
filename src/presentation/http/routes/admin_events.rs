//! Events and their subscribers.

use std::time::Duration;

use axum::response::IntoResponse;
use axum::response::sse::Sse;
use http::{HeaderName, HeaderValue};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::application::jobs::event_log::{self, ReplayRequest};
use crate::application::schema::event_type::EventType;
use crate::infrastructure::events::{Envelope, EventFilter, Lag};
use crate::infrastructure::exceptions::{Fault, NotFound, RejectedRequest, ValidationException};
use crate::presentation::http::event_stream::EventStream;
use crate::presentation::http::json::Json;
use crate::presentation::http::last_event_id::LastEventId;
use crate::presentation::http::list::{List, ListQuery};
use crate::presentation::http::principal::Admin;
use crate::presentation::http::query::{Path, Query};
use crate::presentation::http::response::HandlerResult;
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::{AppState, State};

pub(super) fn routes() -> Routes {
    routes![
        list_events,
        get_event: [NotFound::Event],
        stream_events: [RejectedRequest::TooManyAtOnce],
        list_subscribers,
        replay_events: [NotFound::Subscriber, NotFound::Event],
    ]
}

/// Which events are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct EventQuery {
    /// Only events of this type.
    #[serde(rename = "type")]
    #[param(inline, value_type = Option<EventType>, example = "order.paid")]
    event_type: Option<String>,
    /// Only events of this aggregate, such as the id of an order.
    #[param(max_length = 64)]
    subject: Option<String>,
}

/// The longest time between two messages of a stream, if connections may be idle for longer than twice that.
const LONGEST_SILENCE: Duration = Duration::from_secs(15);
/// The longest duration of a stream, in seconds: then the client shows its token again.
const LONGEST_STREAM: u64 = 900;

/// Which events a stream has, and its duration.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct StreamQuery {
    /// Only events of this type.
    #[serde(rename = "type")]
    #[param(inline, value_type = Option<EventType>, example = "order.paid")]
    event_type: Option<String>,
    /// Only events of this aggregate, such as the id of an order.
    #[param(max_length = 64)]
    subject: Option<String>,
    /// The longest duration of the stream, in seconds.
    #[serde(default = "longest_stream")]
    #[param(minimum = 1, maximum = 900, default = 900)]
    seconds: u64,
}

fn longest_stream() -> u64 {
    LONGEST_STREAM
}

/// A fact about the business or the service, published in the transaction that caused it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
struct EventBody {
    /// The id of the event.
    id: Uuid,
    /// The type of the event, an `EventType`.
    #[serde(rename = "type")]
    #[schema(example = "order.paid")]
    event_type: String,
    /// The version of the data, from 1.
    version: i64,
    /// The aggregate that the event belongs to, such as the id of an order.
    subject: String,
    /// The time of the transaction that published the event, UTC.
    time: Timestamp,
    /// The data of the event.
    #[schema(value_type = Object)]
    data: Value,
    /// The id of the trace of the request or job that published the event, which the log has too for a request; `null`
    /// if neither did.
    trace_id: Option<String>,
}

impl EventBody {
    fn of(event: Envelope) -> Self {
        let Envelope { id, event_type, version, subject, occurred_at, data, trace, .. } = event;
        let trace_id = trace.map(|trace| trace.trace_id());
        Self { id, event_type, version, subject, time: occurred_at, data, trace_id }
    }
}

/// A part of the store to which events are delivered.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Subscriber)]
struct SubscriberBody {
    /// The name of the subscriber.
    name: &'static str,
    /// The types of events that are delivered to it; none are listed for `broker`, to which all are published.
    #[schema(value_type = Vec<EventType>)]
    types: Vec<&'static str>,
    /// The number of published events that it has not read.
    unread: i64,
    /// The time at which the first of them was published, UTC; `null` if there are none.
    oldest_unread_at: Option<Timestamp>,
    /// The number of events that it has read and that wait for an attempt: one failed, or they are replayed, or they
    /// come after such an event of the same subject.
    postponed: i64,
    /// The time of the next of these attempts, UTC; `null` if there is none.
    next_attempt_at: Option<Timestamp>,
    /// Why the last attempt failed of the event that is attempted next, of those that failed; `null` if none failed.
    last_error: Option<String>,
    /// The number of its dead letters.
    dead_letters: i64,
}

impl SubscriberBody {
    fn of(lag: Lag) -> Self {
        let Lag { subscriber, types, unread, oldest_unread_at, postponed, .. } = lag;
        let Lag { next_attempt_at, last_error, dead_letters, .. } = lag;
        Self {
            name: subscriber,
            types,
            unread,
            oldest_unread_at,
            postponed,
            next_attempt_at,
            last_error,
            dead_letters,
        }
    }
}

/// Which events are delivered again. At least one member is required.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReplayEvents {
    /// Only the event with this id.
    event_id: Option<Uuid>,
    /// Only events of this type.
    #[serde(rename = "type")]
    #[schema(value_type = Option<EventType>, example = "order.paid")]
    event_type: Option<String>,
    /// Only events that were published at this time or later.
    since: Option<Timestamp>,
}

/// A replay of events.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Replay)]
struct ReplayBody {
    /// The number of events that are delivered again.
    events: u64,
}

/// List events
///
/// The last published come first. An event is kept for a week, and longer while a subscriber has not handled it.
#[utoipa::path(get, path = "/admin/v1/events", tag = "admin-events",
    responses((status = 200, body = List<EventBody>)))]
async fn list_events(
    _: Admin,
    State(app): State<AppState>,
    Query(query): Query<ListQuery<EventQuery>>,
) -> HandlerResult<Json<List<EventBody>>> {
    let ListQuery { filter: EventQuery { event_type, subject }, limit, cursor } = query;
    let filter = EventFilter { event_type, subject };
    let page = event_log::list(&app.store, &filter, limit, cursor.as_deref()).await?;
    Ok(Json(List::of(page, EventBody::of)))
}

/// Stream events
///
/// Responds with server-sent events: an event as it is published is a message whose data is a `CloudEvent` in JSON. The
/// `id` of the last message, sent as `Last-Event-ID`, continues a stream that ended; events are kept for a week at
/// least. A message without data is sent when there was no event for some time. The stream ends after `seconds`, when
/// the server stops, and within two seconds after the session of the administrator ended; clients connect again, as
/// browsers do by themselves. A server has at most 32 streams at the same time, and 8 of one user.
#[utoipa::path(get, path = "/admin/v1/events/stream", tag = "admin-events", params(StreamQuery),
    responses((status = 200, body = String, content_type = "text/event-stream")))]
async fn stream_events(
    admin: Admin,
    State(app): State<AppState>,
    Query(query): Query<StreamQuery>,
    LastEventId(last): LastEventId,
) -> HandlerResult<impl IntoResponse> {
    let open = app.streams.open(admin.user_id())?;
    let StreamQuery { event_type, subject, seconds } = query;
    let filter = EventFilter { event_type, subject };
    let position = match last {
        Some(position) => position,
        None => event_log::last(&app.store, &filter, 0).await?.1,
    };
    let stream = EventStream {
        store: app.store.clone(),
        admin,
        follower: app.feed.follow(),
        filter,
        position,
        ends_at: Instant::now() + Duration::from_secs(seconds),
        heartbeat: LONGEST_SILENCE.min(app.http.idle_timeout / 2),
        stop: app.stop.clone(),
        _open: open,
    };
    // the proxy nginx would collect messages before it sends them
    let unbuffered = [(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"))];
    Ok((unbuffered, Sse::new(stream.messages())))
}

/// Get an event
#[utoipa::path(get, path = "/admin/v1/events/{id}", tag = "admin-events", params(("id" = Uuid, Path)),
    responses((status = 200, body = EventBody)))]
async fn get_event(
    _: Admin,
    State(app): State<AppState>,
    Path(id): Path<Uuid>,
) -> HandlerResult<Json<EventBody>> {
    Ok(Json(EventBody::of(event_log::event(&app.store, id).await?)))
}

/// List subscribers
///
/// Returns each subscriber with the number of events that wait for it.
#[utoipa::path(get, path = "/admin/v1/subscribers", tag = "admin-events",
    responses((status = 200, body = List<SubscriberBody>)))]
async fn list_subscribers(
    _: Admin,
    State(app): State<AppState>,
) -> HandlerResult<Json<List<SubscriberBody>>> {
    Ok(Json(List::whole(event_log::lag(&app.store).await?, SubscriberBody::of)))
}

/// Replay events
///
/// Delivers events that a subscriber has read to it once more, in their order. Later events of the same subjects are
/// delivered after them. What the subscriber did for an event before is done again, such as a notification; but the
/// subscriber `webhooks` sends no event to an endpoint twice, and `emails` sends no e-mail twice. At least one of
/// `event_id`, `type` and `since` is required.
#[utoipa::path(post, path = "/admin/v1/subscribers/{name}/replay", tag = "admin-events",
    params(("name" = String, Path)), request_body = ReplayEvents, responses((status = 200, body = ReplayBody)))]
async fn replay_events(
    _: Admin,
    State(app): State<AppState>,
    Path(name): Path<String>,
    Json(ReplayEvents { event_id, event_type, since }): Json<ReplayEvents>,
) -> HandlerResult<Json<ReplayBody>> {
    let request = ReplayRequest { event: event_id, event_type, since };
    if request.event.is_none() && request.event_type.is_none() && request.since.is_none() {
        return Err(ValidationException::one("/since", Fault::Required).into());
    }
    Ok(Json(ReplayBody { events: event_log::replay(&app.store, &name, request).await? }))
}
