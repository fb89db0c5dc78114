//! The audit log.

use jiff::Timestamp;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::application::audit::{self, AuditEntryBody};
use crate::domain::ids::UserId;
use crate::infrastructure::repositories::AuditFilter;
use crate::presentation::http::json::Json;
use crate::presentation::http::list::{List, ListQuery};
use crate::presentation::http::principal::Admin;
use crate::presentation::http::query::Query;
use crate::presentation::http::response::HandlerResult;
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::{AppState, State};

pub(super) fn routes() -> Routes {
    routes![list_audit_log]
}

/// Which entries are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct AuditQuery {
    /// Only actions of this user.
    #[param(value_type = Option<Uuid>)]
    user_id: Option<UserId>,
    /// Only this action, such as `adminUpdateProduct` or `session.created`.
    #[param(min_length = 1, max_length = 100)]
    action: Option<String>,
    /// Only actions on what has this id.
    subject_id: Option<Uuid>,
    /// Only actions of this request, by its `X-Request-Id`.
    request_id: Option<Uuid>,
    /// Only actions at this time or later.
    since: Option<Timestamp>,
    /// Only actions before this time.
    until: Option<Timestamp>,
}

/// List the audit log
///
/// Returns the actions of administrators and commands, requests for such actions that were refused, reads of a person's
/// data by administrators, and what concerns the security of accounts; the last come first. Entries are never changed
/// or removed: each contains the hash of the one before it.
#[utoipa::path(get, path = "/admin/v1/audit-log", tag = "admin-audit-log",
    responses((status = 200, body = List<AuditEntryBody>)))]
async fn list_audit_log(
    _: Admin,
    State(app): State<AppState>,
    Query(query): Query<ListQuery<AuditQuery>>,
) -> HandlerResult<Json<List<AuditEntryBody>>> {
    let ListQuery { filter, limit, cursor } = query;
    let AuditQuery { user_id, action, subject_id, request_id, since, until } = filter;
    let filter = AuditFilter { user_id, action, subject_id, request_id, since, until };
    let page = audit::list(&app.store, &filter, limit, cursor.as_deref()).await?;
    Ok(Json(List::of(page, AuditEntryBody::from)))
}
