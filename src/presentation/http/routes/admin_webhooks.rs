//! Webhook endpoints and the deliveries of events to them, as administrators manage them.

use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::application::webhooks::deliveries;
use crate::application::webhooks::endpoints::{self, CreateWebhookEndpoint, UpdateWebhookEndpoint};
use crate::domain::ids::{UserId, WebhookDeliveryId, WebhookEndpointId};
use crate::domain::webhook::{WebhookDelivery, WebhookDeliveryStatus, WebhookEndpoint};
use crate::infrastructure::exceptions::{Conflict, NotFound};
use crate::infrastructure::repositories::WebhookDeliveryFilter;
use crate::presentation::http::conditional::{IfMatch, IfNoneMatch};
use crate::presentation::http::idempotency_key::Idempotent;
use crate::presentation::http::json::Json;
use crate::presentation::http::list::{List, ListQuery};
use crate::presentation::http::principal::Admin;
use crate::presentation::http::query::{Path, Query};
use crate::presentation::http::response::{HandlerResult, StoredResponse, created, tagged};
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::{AppState, State};

pub(super) fn routes() -> Routes {
    routes![
        list_webhook_endpoints,
        get_webhook_endpoint: [NotFound::WebhookEndpoint],
        create_webhook_endpoint: [Conflict::TooManyWebhookEndpoints],
        update_webhook_endpoint: [NotFound::WebhookEndpoint],
        delete_webhook_endpoint: [NotFound::WebhookEndpoint],
        rotate_webhook_secret: [NotFound::WebhookEndpoint],
        test_webhook_endpoint: [NotFound::WebhookEndpoint, Conflict::WebhookEndpointInactive],
        list_webhook_deliveries: [NotFound::WebhookEndpoint],
        get_webhook_delivery: [NotFound::WebhookDelivery],
        retry_webhook_delivery: [NotFound::WebhookDelivery, Conflict::WebhookEndpointInactive],
    ]
}

/// A server that receives events.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookEndpoint)]
struct EndpointBody {
    /// The id of the endpoint.
    id: WebhookEndpointId,
    /// The URL to which events are sent.
    url: String,
    /// A text for administrators.
    description: String,
    /// The types of the events that are sent; all of the business if it is empty.
    event_types: Vec<String>,
    /// Whether events are sent. It becomes `false` when the endpoint has acknowledged nothing for five days and a
    /// message has failed every attempt, or when it responds with the status 410.
    active: bool,
    /// The time of the first failed attempt since the last successful one; `null` if the last one succeeded.
    failing_since: Option<Timestamp>,
    /// The administrator who created the endpoint, who may have lost the permission to read its events; `null` if an
    /// earlier version of the store created it.
    created_by: Option<UserId>,
    /// The time at which the endpoint was created.
    created_at: Timestamp,
    /// The time of the last change.
    updated_at: Timestamp,
}

/// A webhook endpoint with its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookEndpointWithSecret)]
struct EndpointWithSecretBody {
    #[serde(flatten)]
    endpoint: EndpointBody,
    /// The secret that signs the messages, as the libraries of Standard Webhooks take it. No other operation shows it.
    secret: String,
}

/// An event that is sent to an endpoint.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookDelivery)]
struct DeliveryBody {
    /// The id of the delivery.
    id: WebhookDeliveryId,
    /// The endpoint.
    endpoint_id: WebhookEndpointId,
    /// The id of the event, which is the `webhook-id` of the message.
    event_id: Uuid,
    /// The type of the event.
    #[schema(example = "order.paid")]
    event_type: String,
    /// The status.
    status: WebhookDeliveryStatus,
    /// The number of attempts.
    attempts: i64,
    /// The time of the next attempt; `null` if there is none.
    due_at: Option<Timestamp>,
    /// The status of the last response; `null` if there was none.
    response_status: Option<i64>,
    /// Why the last attempt failed; `null` if it did not.
    error: Option<String>,
    /// The time at which the delivery was created.
    created_at: Timestamp,
    /// The time at which the last attempt ended.
    attempted_at: Option<Timestamp>,
}

/// A delivery with the body of its message.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookDeliveryWithPayload)]
struct DeliveryWithPayloadBody {
    #[serde(flatten)]
    delivery: DeliveryBody,
    /// The body of the message: a CloudEvent in JSON.
    payload: String,
}

/// Which deliveries are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct DeliveryQuery {
    /// Only deliveries with this status.
    #[param(inline)]
    status: Option<WebhookDeliveryStatus>,
}

impl EndpointBody {
    fn of(endpoint: &WebhookEndpoint) -> Self {
        Self {
            id: endpoint.id,
            url: endpoint.url.clone(),
            description: endpoint.description.clone(),
            event_types: endpoint.event_types.clone(),
            active: endpoint.active,
            failing_since: endpoint.failing_since,
            created_by: endpoint.created_by,
            created_at: endpoint.created_at,
            updated_at: endpoint.updated_at,
        }
    }

    fn response(endpoint: &WebhookEndpoint) -> StoredResponse {
        tagged(endpoint.version, &Self::of(endpoint))
    }
}

impl EndpointWithSecretBody {
    fn response(endpoint: &WebhookEndpoint) -> StoredResponse {
        let secret = endpoint.secret.0.clone();
        tagged(endpoint.version, &Self { endpoint: EndpointBody::of(endpoint), secret })
    }
}

impl DeliveryBody {
    fn of(delivery: WebhookDelivery) -> Self {
        Self {
            id: delivery.id,
            endpoint_id: delivery.endpoint_id,
            event_id: delivery.event_id,
            event_type: delivery.event_type,
            status: delivery.status,
            attempts: delivery.attempts,
            due_at: delivery.due_at,
            response_status: delivery.response_status,
            error: delivery.error,
            created_at: delivery.created_at,
            attempted_at: delivery.attempted_at,
        }
    }
}

/// List webhook endpoints
///
/// Newest endpoints come first.
#[utoipa::path(get, path = "/admin/v1/webhook-endpoints", tag = "admin-webhooks",
    responses((status = 200, body = List<EndpointBody>)))]
async fn list_webhook_endpoints(
    _: Admin,
    State(app): State<AppState>,
    Query(ListQuery { limit, cursor, .. }): Query<ListQuery>,
) -> HandlerResult<Json<List<EndpointBody>>> {
    let page = endpoints::endpoints(&app.store, limit, cursor.as_deref()).await?;
    Ok(Json(List::of(page, |endpoint| EndpointBody::of(&endpoint))))
}

/// Get a webhook endpoint
#[utoipa::path(get, path = "/admin/v1/webhook-endpoints/{id}", tag = "admin-webhooks",
    params(("id" = Uuid, Path)), responses((status = 200, body = EndpointBody)))]
async fn get_webhook_endpoint(
    _: Admin,
    State(app): State<AppState>,
    Path(id): Path<WebhookEndpointId>,
    if_none_match: IfNoneMatch,
) -> HandlerResult {
    let endpoint = endpoints::endpoint(&app.store, id).await?;
    Ok(if_none_match.respond(endpoint.version, &EndpointBody::of(&endpoint)))
}

/// Create a webhook endpoint
///
/// Events that are published from now on are sent to its URL by POST, each as a CloudEvent in JSON, at least once and
/// in no particular order. A message is signed as Standard Webhooks states, with the secret in the response. It is
/// acknowledged by a status of 200 to 299 within 15 seconds; otherwise it is sent again, ten times within four days.
///
/// The administrator may read what is sent: it requires `events:read` or, for each type that is named, the permission
/// to read what it is about, such as `orders:read` for those of orders and payments, and `users:read`,
/// `products:read`, `inventory:read`, `reviews:read`, `subscriptions:read`, `jobs:read`, `caches:read`, `emails:read`
/// and `files:read` for others.
#[utoipa::path(post, path = "/admin/v1/webhook-endpoints", tag = "admin-webhooks",
    request_body = CreateWebhookEndpoint, responses((status = 201, body = EndpointWithSecretBody)))]
async fn create_webhook_endpoint(
    admin: Admin,
    State(app): State<AppState>,
    request: Idempotent<CreateWebhookEndpoint>,
) -> HandlerResult<StoredResponse> {
    let location = |endpoint: &WebhookEndpoint| format!("/admin/v1/webhook-endpoints/{}", endpoint.id);
    let (new, responder) =
        request.into_parts(Some(admin.user_id()), created(location, EndpointWithSecretBody::response))?;
    endpoints::create(&app.store, (admin.user_id(), admin.permissions), new, responder).await
}

/// Update a webhook endpoint
///
/// Another `url`, and other `event_types`, require the permissions to read the events that "Create a webhook endpoint"
/// names.
#[utoipa::path(patch, path = "/admin/v1/webhook-endpoints/{id}", tag = "admin-webhooks",
    params(("id" = Uuid, Path)), request_body = UpdateWebhookEndpoint,
    responses((status = 200, body = EndpointBody)))]
async fn update_webhook_endpoint(
    admin: Admin,
    State(app): State<AppState>,
    Path(id): Path<WebhookEndpointId>,
    IfMatch(expected_version): IfMatch,
    Json(change): Json<UpdateWebhookEndpoint>,
) -> HandlerResult<StoredResponse> {
    let endpoint = endpoints::update(&app.store, admin.permissions, id, expected_version, change).await?;
    Ok(EndpointBody::response(&endpoint))
}

/// Delete a webhook endpoint
///
/// The endpoint is removed with its deliveries.
#[utoipa::path(delete, path = "/admin/v1/webhook-endpoints/{id}", tag = "admin-webhooks",
    params(("id" = Uuid, Path)), responses((status = 204)))]
async fn delete_webhook_endpoint(
    _: Admin,
    State(app): State<AppState>,
    Path(id): Path<WebhookEndpointId>,
    IfMatch(expected_version): IfMatch,
) -> HandlerResult<StatusCode> {
    endpoints::remove(&app.store, id, expected_version).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Rotate the secret of a webhook endpoint
///
/// Returns the endpoint with a new secret. For 24 hours, messages are signed with the previous secret too; after a
/// further rotation within that time, with the first of them.
///
/// It requires the permissions to read the events that "Create a webhook endpoint" names: with the secret, one can send
/// the receiver messages as if they were the store's.
#[utoipa::path(post, path = "/admin/v1/webhook-endpoints/{id}/rotate-secret", tag = "admin-webhooks",
    params(("id" = Uuid, Path)), responses((status = 200, body = EndpointWithSecretBody)))]
async fn rotate_webhook_secret(
    admin: Admin,
    State(app): State<AppState>,
    Path(id): Path<WebhookEndpointId>,
) -> HandlerResult<StoredResponse> {
    let endpoint = endpoints::rotate_secret(&app.store, admin.permissions, id).await?;
    Ok(EndpointWithSecretBody::response(&endpoint))
}

/// Test a webhook endpoint
///
/// Sends an event of the type `webhook.test`, and returns its delivery, whose outcome the list of deliveries shows.
#[utoipa::path(post, path = "/admin/v1/webhook-endpoints/{id}/test", tag = "admin-webhooks",
    params(("id" = Uuid, Path)), responses((status = 202, body = DeliveryBody)))]
async fn test_webhook_endpoint(
    _: Admin,
    State(app): State<AppState>,
    Path(id): Path<WebhookEndpointId>,
) -> HandlerResult<(StatusCode, Json<DeliveryBody>)> {
    let delivery = deliveries::send_test(&app.store, id).await?;
    Ok((StatusCode::ACCEPTED, Json(DeliveryBody::of(delivery))))
}

/// List the deliveries to a webhook endpoint
///
/// Newest deliveries come first. A delivery is kept for 30 days after its last attempt, or after its creation.
#[utoipa::path(get, path = "/admin/v1/webhook-endpoints/{id}/deliveries", tag = "admin-webhooks",
    params(("id" = Uuid, Path)), responses((status = 200, body = List<DeliveryBody>)))]
async fn list_webhook_deliveries(
    _: Admin,
    State(app): State<AppState>,
    Path(endpoint_id): Path<WebhookEndpointId>,
    Query(query): Query<ListQuery<DeliveryQuery>>,
) -> HandlerResult<Json<List<DeliveryBody>>> {
    let ListQuery { filter: DeliveryQuery { status }, limit, cursor } = query;
    let filter = WebhookDeliveryFilter { endpoint_id, status };
    let page = deliveries::deliveries(&app.store, &filter, limit, cursor.as_deref()).await?;
    Ok(Json(List::of(page, DeliveryBody::of)))
}

/// Get a webhook delivery
///
/// Returns a delivery with the body of its message.
#[utoipa::path(get, path = "/admin/v1/webhook-deliveries/{id}", tag = "admin-webhooks",
    params(("id" = Uuid, Path)), responses((status = 200, body = DeliveryWithPayloadBody)))]
async fn get_webhook_delivery(
    _: Admin,
    State(app): State<AppState>,
    Path(id): Path<WebhookDeliveryId>,
) -> HandlerResult<Json<DeliveryWithPayloadBody>> {
    let mut delivery = deliveries::delivery(&app.store, id).await?;
    let payload = std::mem::take(&mut delivery.payload);
    Ok(Json(DeliveryWithPayloadBody { delivery: DeliveryBody::of(delivery), payload }))
}

/// Retry a webhook delivery
///
/// Sends the message once more, whatever the status of the delivery, with as many attempts as a new one. It has the
/// same `webhook-id`.
#[utoipa::path(post, path = "/admin/v1/webhook-deliveries/{id}/retry", tag = "admin-webhooks",
    params(("id" = Uuid, Path)), responses((status = 202, body = DeliveryBody)))]
async fn retry_webhook_delivery(
    _: Admin,
    State(app): State<AppState>,
    Path(id): Path<WebhookDeliveryId>,
) -> HandlerResult<(StatusCode, Json<DeliveryBody>)> {
    let delivery = deliveries::retry(&app.store, id).await?;
    Ok((StatusCode::ACCEPTED, Json(DeliveryBody::of(delivery))))
}
