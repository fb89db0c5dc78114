//! Webhook endpoints, as administrators manage them.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::domain::ids::{UserId, WebhookEndpointId};
use crate::domain::permission::{Permission, Permissions, Resource};
use crate::domain::webhook::{MAX_WEBHOOK_ENDPOINTS, WebhookEndpoint, WebhookSecret};
use crate::infrastructure::adapters::{InvalidEndpoint, WebhookClient, new_webhook_secret};
use crate::infrastructure::exceptions::{
    Conflict, Failure, Fault, NotFound, UnauthorizedAccessException, ValidationException,
};
use crate::infrastructure::repositories::{
    Page, StoredResponse, UnitOfWork, WebhookCounts, WebhookRepository,
};

use crate::application::idempotency::{Responder, once};
use crate::application::schema::event_type::EventType;
use crate::application::{Change, Store, active_by_default, check_version, remove_version};

/// The webhook endpoint to create.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateWebhookEndpoint {
    /// The URL to which events are sent: HTTPS, and a public address or a name other than `localhost`.
    #[schema(min_length = 1, max_length = 2048, example = "https://example.com/hooks/orders")]
    pub url: String,
    /// A text for administrators.
    #[serde(default)]
    #[schema(default = "", max_length = 200)]
    pub description: String,
    /// The types of the events that are sent, such as `order.paid`. If it is empty or omitted, all events of the
    /// business are; technical ones, such as `cache_invalidation`, are sent only if they are named.
    #[serde(default)]
    #[schema(value_type = Vec<EventType>, default = json!([]), max_items = 64)]
    pub event_types: Vec<String>,
    /// Whether events are sent.
    #[serde(default = "active_by_default")]
    #[schema(default = true)]
    pub active: bool,
}

/// A partial update of a webhook endpoint: a member that is omitted keeps its value.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateWebhookEndpoint {
    /// The URL to which events are sent: HTTPS, and a public address or a name other than `localhost`.
    #[schema(nullable = false, min_length = 1, max_length = 2048)]
    pub url: Option<String>,
    /// A text for administrators.
    #[schema(nullable = false, max_length = 200)]
    pub description: Option<String>,
    /// The types of the events that are sent; all of the business if it is empty.
    #[schema(value_type = Option<Vec<EventType>>, nullable = false, max_items = 64)]
    pub event_types: Option<Vec<String>>,
    /// Whether events are sent. An endpoint that was deactivated because it failed is activated again by `true`. Of
    /// what was published meanwhile, only the last events may be sent to it.
    #[schema(nullable = false)]
    pub active: Option<bool>,
}

/// Returns a page of endpoints, newest first.
pub async fn endpoints(
    store: &Store,
    limit: usize,
    cursor: Option<&str>,
) -> Result<Page<WebhookEndpoint>, Failure> {
    let request = store.database().page_request(limit, cursor);
    let mut connection = store.database().read().await?;
    Ok(WebhookRepository(&mut connection).endpoints(&request).await?)
}

/// Returns an endpoint.
pub async fn endpoint(store: &Store, id: WebhookEndpointId) -> Result<WebhookEndpoint, Failure> {
    Ok(store.database().read().await?.find(id).await?.ok_or(NotFound::WebhookEndpoint)?)
}

/// Returns the numbers of endpoints and deliveries.
pub async fn counts(store: &Store) -> Result<WebhookCounts, Failure> {
    let mut connection = store.database().read().await?;
    Ok(WebhookRepository(&mut connection).counts().await?)
}

/// Returns the active endpoints with a URL to which the settings of this process send nothing because it is not public,
/// as far as that is known without a resolution of its host.
pub async fn private(store: &Store) -> Result<Vec<WebhookEndpoint>, Failure> {
    let mut connection = store.database().read().await?;
    let mut endpoints = WebhookRepository(&mut connection).active_endpoints().await?;
    let check = |endpoint: &WebhookEndpoint| store.infrastructure.webhooks.check(&endpoint.url);
    endpoints.retain(|endpoint| matches!(check(endpoint), Err(InvalidEndpoint::Private)));
    Ok(endpoints)
}

/// Creates an endpoint with a new secret for this administrator, who has these permissions. Events that are published
/// from now on are sent to it.
///
/// # Errors
///
/// [`UnauthorizedAccessException::MissingPermission`] if the administrator may not read the events.
pub async fn create(
    store: &Store,
    (created_by, permissions): (UserId, Permissions),
    new: CreateWebhookEndpoint,
    responder: Responder<WebhookEndpoint>,
) -> Result<StoredResponse, Failure> {
    check_types(permissions, &new.event_types)?;
    check_url(&store.infrastructure.webhooks, &new.url)?;
    let secret = new_webhook_secret(store.database().context());
    once(store, responder, (created_by, new, secret), create_in).await
}

async fn create_in(
    work: &mut UnitOfWork,
    (created_by, new, secret): &(UserId, CreateWebhookEndpoint, WebhookSecret),
) -> Result<WebhookEndpoint, Failure> {
    let CreateWebhookEndpoint { url, description, event_types, active } = new.clone();
    if WebhookRepository::lock_count(work).await? >= MAX_WEBHOOK_ENDPOINTS {
        return Err(Conflict::TooManyWebhookEndpoints.into());
    }
    let now = work.now();
    let endpoint = WebhookEndpoint {
        id: work.id(),
        url,
        description,
        event_types,
        secret: secret.clone(),
        previous_secret: None,
        previous_secret_until: None,
        active,
        failing_since: None,
        version: 1,
        created_by: Some(*created_by),
        created_at: now,
        updated_at: now,
    };
    work.insert(&endpoint).await?;
    Ok(endpoint)
}

/// Changes an endpoint for an administrator with these permissions.
///
/// # Errors
///
/// [`UnauthorizedAccessException::MissingPermission`] if other events are sent to it or to another URL, and the
/// administrator may not read them.
pub async fn update(
    store: &Store,
    permissions: Permissions,
    id: WebhookEndpointId,
    expected_version: Option<i64>,
    change: UpdateWebhookEndpoint,
) -> Result<WebhookEndpoint, Failure> {
    if let Some(url) = &change.url {
        check_url(&store.infrastructure.webhooks, url)?;
    }
    let change = Change { id, expected_version, to: (permissions, change) };
    store.database().write(change, async |work, change| update_in(work, change).await).await
}

async fn update_in(
    work: &mut UnitOfWork,
    change: &Change<WebhookEndpointId, (Permissions, UpdateWebhookEndpoint)>,
) -> Result<WebhookEndpoint, Failure> {
    let Change { id, expected_version, to: (permissions, change) } = change;
    let mut endpoint = find(work, *id, *expected_version).await?;
    let is_other_url = change.url.as_ref().is_some_and(|url| *url != endpoint.url);
    let event_types = change.event_types.as_ref().unwrap_or(&endpoint.event_types);
    if is_other_url || *event_types != endpoint.event_types {
        check_types(*permissions, event_types)?;
    }
    if is_other_url || change.active == Some(true) && !endpoint.active {
        endpoint.failing_since = None;
        WebhookRepository::set_failing(work, *id, None).await?;
    }
    let UpdateWebhookEndpoint { url, description, event_types, active } = change.clone();
    endpoint.url = url.unwrap_or(endpoint.url);
    endpoint.description = description.unwrap_or(endpoint.description);
    endpoint.event_types = event_types.unwrap_or(endpoint.event_types);
    endpoint.active = active.unwrap_or(endpoint.active);
    work.update(&mut endpoint).await?;
    Ok(endpoint)
}

/// Removes an endpoint with its deliveries.
pub async fn remove(
    store: &Store,
    id: WebhookEndpointId,
    expected_version: Option<i64>,
) -> Result<(), Failure> {
    let write = store.database().write((id, expected_version), async |work, &(id, expected_version)| {
        remove_version::<WebhookEndpoint>(work, id, expected_version, NotFound::WebhookEndpoint).await
    });
    write.await
}

/// Gives an endpoint a new secret, for an administrator with these permissions; see
/// [`WebhookEndpoint::rotate_secret`].
///
/// # Errors
///
/// [`UnauthorizedAccessException::MissingPermission`] if the administrator may not read the events.
pub async fn rotate_secret(
    store: &Store,
    permissions: Permissions,
    id: WebhookEndpointId,
) -> Result<WebhookEndpoint, Failure> {
    let secret = new_webhook_secret(store.database().context());
    let write = store.database().write((permissions, id, secret), async |work, (permissions, id, secret)| {
        let mut endpoint = find(work, *id, None).await?;
        check_types(*permissions, &endpoint.event_types)?;
        endpoint.rotate_secret(secret.clone(), work.now());
        work.update(&mut endpoint).await?;
        Ok::<_, Failure>(endpoint)
    });
    write.await
}

async fn find(
    work: &mut UnitOfWork,
    id: WebhookEndpointId,
    expected_version: Option<i64>,
) -> Result<WebhookEndpoint, Failure> {
    let endpoint: WebhookEndpoint = work.find(id).await?.ok_or(NotFound::WebhookEndpoint)?;
    check_version(endpoint.version, expected_version)?;
    Ok(endpoint)
}

/// Fails unless an administrator may read the events of these types: all events, or what each is about.
fn check_types(permissions: Permissions, event_types: &[String]) -> Result<(), Failure> {
    let all = Permission::read(Resource::Events);
    if permissions.contains(all) {
        return Ok(());
    }
    // without types, those of later versions of the program are sent, too
    let of_all = event_types.is_empty().then_some(all);
    let required = event_types.iter().map(|event_type| read_permission(event_type)).chain(of_all);
    UnauthorizedAccessException::check_permissions(permissions, required)
}

/// Returns the permission to read what events of a type are about.
fn read_permission(event_type: &str) -> Permission {
    let about = event_type.split_once('.').map_or(event_type, |(about, _)| about);
    Permission::read(match about {
        "user" => Resource::Users,
        "product" => Resource::Products,
        "stock" => Resource::Inventory,
        "order" | "payment" => Resource::Orders,
        "review" => Resource::Reviews,
        "subscription" => Resource::Subscriptions,
        "background_job_completed" => Resource::Jobs,
        "cache_invalidation" => Resource::Caches,
        "email_delivery" => Resource::Emails,
        "file_upload_completed" => Resource::Files,
        // `service_shutdown`
        _ => Resource::Events,
    })
}

/// Fails if a URL cannot be that of an endpoint.
fn check_url(client: &WebhookClient, url: &str) -> Result<(), Failure> {
    let fault = match client.check(url) {
        Ok(()) => return Ok(()),
        Err(InvalidEndpoint::Url) => {
            Fault::Format { format: "https-url".to_owned(), example: "https://example.com/hooks/orders" }
        }
        Err(InvalidEndpoint::Private) => Fault::PrivateUrl,
    };
    Err(ValidationException::one("/url", fault).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::events::EVENT_TYPES;
    use crate::infrastructure::adapters::CertificateAuthorities;
    use crate::infrastructure::events::TECHNICAL_EVENT_TYPES;

    #[test]
    fn a_permission_is_stated_for_every_type_of_events() {
        let types = EVENT_TYPES.iter().chain(TECHNICAL_EVENT_TYPES);
        let others = types.filter(|name| read_permission(name).resource == Resource::Events);
        assert_eq!(others.collect::<Vec<_>>(), [&"service_shutdown"]);
    }

    #[test]
    fn the_error_of_a_private_url_names_the_setting_that_allows_it() {
        let client = WebhookClient::new(false, &CertificateAuthorities::default());
        let explained = |url| check_url(&client, url).map_err(|failure| failure.explanation());
        for url in ["http://example.com", "https://127.0.0.1", "https://2130706433", "https://localhost"] {
            let refused = explained(url).unwrap_err();
            assert!(refused.contains("/url: ") && refused.contains("`webhooks.allow_private`"), "{refused}");
        }
        assert_eq!(explained("https://example.com"), Ok(()));
    }
}
