//! Webhooks: endpoints, and the deliveries of events to them.

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::database::{
    Conditions, Connection, DatabaseError, ListError, Page, PageRequest, UnitOfWork, column_list, from_row,
    params, select, table,
};
use crate::domain::ids::{WebhookDeliveryId, WebhookEndpointId};
use crate::domain::webhook::{WebhookDelivery, WebhookDeliveryStatus, WebhookEndpoint};

table! {
    WebhookEndpoint in "webhook_endpoints", key WebhookEndpointId, versioned except [failing_since],
    listed by created_at;
    id,
    url,
    description,
    event_types: json,
    secret,
    previous_secret,
    previous_secret_until,
    active,
    failing_since,
    version,
    created_by,
    created_at,
    updated_at,
}

table! {
    WebhookDelivery in "webhook_deliveries", key WebhookDeliveryId, listed by created_at;
    id,
    endpoint_id,
    event_id,
    event_type,
    payload,
    status,
    attempts,
    due_at,
    lease,
    response_status,
    error,
    created_at,
    attempted_at,
}

/// Which deliveries a list shows.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct WebhookDeliveryFilter {
    /// Those to this endpoint.
    pub endpoint_id: WebhookEndpointId,
    /// Only those with this status.
    pub status: Option<WebhookDeliveryStatus>,
}

/// The outcome of an attempt.
#[derive(Debug, Clone)]
pub struct WebhookAttempt {
    /// The delivery.
    pub id: WebhookDeliveryId,
    /// The lease of the attempt. If it is another one's by now, the outcome is not recorded.
    pub lease: Uuid,
    /// The status of the delivery now.
    pub status: WebhookDeliveryStatus,
    /// The time of the next attempt, if there is one.
    pub due_at: Option<Timestamp>,
    /// The status of the response, if there was one.
    pub response_status: Option<i64>,
    /// Why the attempt failed.
    pub error: Option<String>,
}

/// The numbers of endpoints and deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebhookCounts {
    /// The active endpoints whose last attempt succeeded, or that had none.
    pub active: i64,
    /// The active endpoints whose last attempt failed.
    pub failing: i64,
    /// The endpoints that are not active.
    pub inactive: i64,
    /// The deliveries that wait for an attempt.
    pub pending: i64,
}

from_row!(WebhookCounts { active, failing, inactive, pending });

/// Queries on webhooks.
pub struct WebhookRepository<'a>(pub &'a mut Connection);

impl WebhookRepository<'_> {
    /// Returns a page of endpoints, newest first.
    pub async fn endpoints(&mut self, request: &PageRequest<'_>) -> Result<Page<WebhookEndpoint>, ListError> {
        self.0.newest(&(), Conditions::default(), request).await
    }

    /// Returns the active endpoints.
    pub async fn active_endpoints(&mut self) -> Result<Vec<WebhookEndpoint>, DatabaseError> {
        self.0.all(&select::<WebhookEndpoint>("WHERE active ORDER BY id"), &[]).await
    }

    /// Returns the numbers of endpoints and deliveries.
    pub async fn counts(&mut self) -> Result<WebhookCounts, DatabaseError> {
        let sql = "SELECT COUNT(CASE WHEN active AND failing_since IS NULL THEN 1 END), \
                   COUNT(CASE WHEN active AND failing_since IS NOT NULL THEN 1 END), \
                   COUNT(CASE WHEN NOT active THEN 1 END), \
                   (SELECT COUNT(*) FROM webhook_deliveries WHERE due_at IS NOT NULL) FROM webhook_endpoints";
        self.0.one(sql, &[]).await
    }

    /// Returns a page of deliveries, newest first.
    pub async fn deliveries(
        &mut self,
        filter: &WebhookDeliveryFilter,
        request: &PageRequest<'_>,
    ) -> Result<Page<WebhookDelivery>, ListError> {
        let conditions = Conditions::default()
            .compare("endpoint_id =", filter.endpoint_id)
            .compare_some("status =", filter.status);
        self.0.newest(filter, conditions, request).await
    }

    /// Returns up to `limit` deliveries to an endpoint that are due at `now`, the earliest first.
    pub async fn due(
        &mut self,
        endpoint_id: WebhookEndpointId,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<WebhookDeliveryId>, DatabaseError> {
        let sql = "SELECT id FROM webhook_deliveries WHERE endpoint_id = $1 AND due_at <= $2 \
                   ORDER BY due_at LIMIT $3";
        self.0.all(sql, &params![endpoint_id, now, limit]).await
    }

    /// Returns the number of endpoints. Locks them: none is created until the transaction ends.
    pub async fn lock_count(work: &mut UnitOfWork) -> Result<i64, DatabaseError> {
        work.lock_name("webhook endpoints").await?;
        work.one("SELECT COUNT(*) FROM webhook_endpoints", &[]).await
    }

    /// Begins an attempt of a delivery that is due now, which is to end by `until`; `None` if it is not due any more:
    /// another process makes it.
    pub async fn lease(
        work: &mut UnitOfWork,
        id: WebhookDeliveryId,
        until: Timestamp,
    ) -> Result<Option<WebhookDelivery>, DatabaseError> {
        let sql = format!(
            "UPDATE webhook_deliveries SET attempts = attempts + 1, due_at = $3, lease = $4 \
             WHERE id = $1 AND due_at <= $2 RETURNING {}",
            column_list::<WebhookDelivery>("")
        );
        let values = params![id, work.now(), until, work.id::<Uuid>()];
        work.first(&sql, &values).await
    }

    /// Records the outcome of an attempt; returns whether it was recorded.
    pub async fn record(work: &mut UnitOfWork, attempt: &WebhookAttempt) -> Result<bool, DatabaseError> {
        let sql = "UPDATE webhook_deliveries SET status = $3, due_at = $4, response_status = $5, error = $6, \
                   attempted_at = $7, lease = NULL WHERE id = $1 AND lease = $2";
        let WebhookAttempt { id, lease, status, due_at, response_status, error } = attempt;
        let values = params![*id, *lease, *status, *due_at, *response_status, error.as_deref(), work.now()];
        Ok(work.execute(sql, &values).await? == 1)
    }

    /// Makes a delivery pending and due now, with all of its attempts; returns whether there is one.
    pub async fn retry(work: &mut UnitOfWork, id: WebhookDeliveryId) -> Result<bool, DatabaseError> {
        let sql = "UPDATE webhook_deliveries SET status = 'pending', attempts = 0, due_at = $2, lease = NULL \
                   WHERE id = $1";
        let values = params![id, work.now()];
        Ok(work.execute(sql, &values).await? == 1)
    }

    /// Sets the time since which an endpoint fails.
    pub async fn set_failing(
        work: &mut UnitOfWork,
        id: WebhookEndpointId,
        since: Option<Timestamp>,
    ) -> Result<(), DatabaseError> {
        let sql = "UPDATE webhook_endpoints SET failing_since = $2 WHERE id = $1";
        work.execute(sql, &params![id, since]).await.map(drop)
    }

    /// Deletes up to `limit` deliveries that were created and last attempted before a time; returns their number. Those
    /// that wait for an endpoint that is not active are among them.
    pub async fn purge(work: &mut UnitOfWork, before: Timestamp, limit: i64) -> Result<u64, DatabaseError> {
        let sql = "DELETE FROM webhook_deliveries WHERE id IN (SELECT id FROM webhook_deliveries \
                   WHERE created_at < $1 AND (attempted_at IS NULL OR attempted_at < $1) \
                   ORDER BY created_at LIMIT $2)";
        work.execute(sql, &params![before, limit]).await
    }
}
