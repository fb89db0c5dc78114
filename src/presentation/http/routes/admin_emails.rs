//! E-mails to customers and administrators.

use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::application::emails;
use crate::domain::email::{Email, EmailStatus};
use crate::domain::ids::{EmailId, UserId};
use crate::infrastructure::exceptions::{Conflict, NotFound};
use crate::infrastructure::repositories::EmailFilter;
use crate::presentation::http::json::Json;
use crate::presentation::http::list::{List, ListQuery};
use crate::presentation::http::principal::Admin;
use crate::presentation::http::query::{Path, Query};
use crate::presentation::http::response::HandlerResult;
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::{AppState, State};

pub(super) fn routes() -> Routes {
    routes![
        list_emails,
        get_email: [NotFound::Email],
        retry_email: [
            NotFound::Email,
            Conflict::ForbiddenTransition { what: "e-mail", from: "sent", to: "pending" },
        ],
    ]
}

/// Which e-mails are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct EmailQuery {
    /// Only e-mails with this status.
    #[param(inline)]
    status: Option<EmailStatus>,
}

/// An e-mail.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Email)]
struct EmailBody {
    /// The id.
    id: EmailId,
    /// The user to whom it is sent; `null` for a guest.
    user_id: Option<UserId>,
    /// The kind.
    #[schema(example = "order_paid")]
    kind: String,
    /// The address to which it is sent.
    recipient: String,
    /// The subject.
    subject: String,
    /// The status. `sent` means that the mail server accepted it.
    status: EmailStatus,
    /// The number of attempts.
    attempts: i64,
    /// The time of the next attempt; `null` if there is none.
    due_at: Option<Timestamp>,
    /// Why the last attempt failed; `null` if it did not.
    error: Option<String>,
    /// The time at which the e-mail was created.
    created_at: Timestamp,
    /// The time at which the e-mail was sent or failed.
    ended_at: Option<Timestamp>,
}

/// An e-mail with its text.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EmailWithText)]
struct EmailWithTextBody {
    #[serde(flatten)]
    email: EmailBody,
    /// The text.
    body: String,
}

impl EmailBody {
    fn of(email: Email) -> Self {
        Self {
            id: email.id,
            user_id: email.user_id,
            kind: email.kind,
            recipient: email.recipient,
            subject: email.subject,
            status: email.status,
            attempts: email.attempts,
            due_at: email.due_at,
            error: email.error,
            created_at: email.created_at,
            ended_at: email.ended_at,
        }
    }
}

/// List e-mails
///
/// Newest e-mails come first. An e-mail is kept for 30 days. The audit log records who read the list.
#[utoipa::path(get, path = "/admin/v1/emails", tag = "admin-emails", responses((status = 200, body = List<EmailBody>)))]
async fn list_emails(
    _: Admin,
    State(app): State<AppState>,
    Query(query): Query<ListQuery<EmailQuery>>,
) -> HandlerResult<Json<List<EmailBody>>> {
    let ListQuery { filter: EmailQuery { status }, limit, cursor } = query;
    let page = emails::emails(&app.store, &EmailFilter { status }, limit, cursor.as_deref()).await?;
    Ok(Json(List::of(page, EmailBody::of)))
}

/// Get an e-mail
///
/// Returns an e-mail with its text. `{token}` stands for a token, which only the recipient gets. The audit log records
/// who read it.
#[utoipa::path(get, path = "/admin/v1/emails/{id}", tag = "admin-emails", params(("id" = Uuid, Path)),
    responses((status = 200, body = EmailWithTextBody)))]
async fn get_email(
    _: Admin,
    State(app): State<AppState>,
    Path(id): Path<EmailId>,
) -> HandlerResult<Json<EmailWithTextBody>> {
    let mut email = emails::email(&app.store, id).await?;
    let body = std::mem::take(&mut email.body);
    Ok(Json(EmailWithTextBody { email: EmailBody::of(email), body }))
}

/// Retry an e-mail
///
/// Sends an e-mail that failed once more, with as many attempts as a new one.
#[utoipa::path(post, path = "/admin/v1/emails/{id}/retry", tag = "admin-emails", params(("id" = Uuid, Path)),
    responses((status = 202, body = EmailBody)))]
async fn retry_email(
    _: Admin,
    State(app): State<AppState>,
    Path(id): Path<EmailId>,
) -> HandlerResult<(StatusCode, Json<EmailBody>)> {
    let email = emails::retry(&app.store, id).await?;
    Ok((StatusCode::ACCEPTED, Json(EmailBody::of(email))))
}
