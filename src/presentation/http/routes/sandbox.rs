//! The sandbox: the confirmation page of its payment provider, where no money moves, and e-mails for developers.

use axum::extract::FromRequestParts;
use axum::response::{Html, IntoResponse, Response};
use http::HeaderName;
use http::header::REFERRER_POLICY;
use http::request::Parts;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::application::emails;
use crate::application::payments::confirmation;
use crate::domain::email::Email;
use crate::domain::payment::PaymentStatus;
use crate::infrastructure::exceptions::{Failure, NotFound, UnauthorizedAccessException};
use crate::infrastructure::middleware::Client;
use crate::presentation::http::json::Json;
use crate::presentation::http::list::List;
use crate::presentation::http::operation::OperationDescription;
use crate::presentation::http::own_host::is_to_this_machine;
use crate::presentation::http::principal::{Public, SameSite};
use crate::presentation::http::query::{Path, Query};
use crate::presentation::http::response::HandlerResult;
use crate::presentation::http::routing::{Argument, Routes, routes};
use crate::presentation::http::state::{AppState, State};

/// The proof that a request is [`within_this_machine`], and passed no proxy.
#[derive(Debug, Clone, Copy)]
struct FromThisMachine;

/// The proof that a request to a sandbox which only this machine reaches is [`within_this_machine`]. A proxy of a
/// developer may pass it on.
#[derive(Debug, Clone, Copy)]
struct ToOwnSandbox;

impl Argument for FromThisMachine {}

impl<S: Sync> FromRequestParts<S> for FromThisMachine {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let passed_proxy = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"]
            .iter()
            .any(|name| parts.headers.contains_key(*name));
        let is_allowed = !passed_proxy && within_this_machine(parts);
        if is_allowed { Ok(Self) } else { Err(NotFound::SandboxEmails.into()) }
    }
}

impl Argument for ToOwnSandbox {
    fn describe(operation: &mut OperationDescription<'_>) {
        operation.fails(UnauthorizedAccessException::ForeignOrigin);
    }
}

impl FromRequestParts<AppState> for ToOwnSandbox {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Failure> {
        let is_allowed = !app.has_local_sandbox || within_this_machine(parts);
        if is_allowed { Ok(Self) } else { Err(UnauthorizedAccessException::ForeignOrigin.into()) }
    }
}

/// Returns whether a request comes from this machine and was sent to a name of it.
fn within_this_machine(parts: &Parts) -> bool {
    let client: Option<&Client> = parts.extensions.get();
    client.is_some_and(|client| client.address.is_loopback()) && is_to_this_machine(&parts.headers)
}

/// The payment provider whose page this is.
const PROVIDER: &str = "sandbox";

pub(super) fn routes() -> Routes {
    routes![
        show_payment: [NotFound::Payment],
        decide_payment: [NotFound::Payment],
        list_sandbox_emails: [NotFound::SandboxEmails],
    ]
}

/// The shopper's decision.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Confirmation {
    /// Whether the shopper approves or declines the payment.
    #[param(inline)]
    decision: Decision,
}

/// Whose e-mails are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Recipient {
    /// The address to which the e-mails were sent, as it was written.
    #[param(max_length = 254, example = "ann@example.com")]
    address: String,
}

/// An e-mail as its recipient gets it.
#[derive(Debug, Serialize, ToSchema)]
struct SandboxEmail {
    /// The kind.
    #[schema(example = "password_reset")]
    kind: String,
    /// The subject.
    subject: String,
    /// The text, with the token.
    body: String,
    /// The time at which the e-mail was created.
    created_at: Timestamp,
}

/// A decision about a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Decision {
    /// The payment is approved.
    Approve,
    /// The payment is declined.
    Decline,
}

/// Show the confirmation page of a sandbox payment
///
/// Returns an HTML page on which a shopper approves or declines the payment. It does not lead back to the shop. A
/// storefront opens the page in a window of its own and asks `GET /v1/orders/{id}`, of a guest with the token of the
/// order, every second or two, or once the window is closed: the status remains `pending` until the shopper decides,
/// and is `paid` or `cancelled` afterwards. With `payments.sandbox` set to `local`, a request from another machine, or
/// to a host other than this one, is refused.
#[utoipa::path(get, path = "/sandbox/3ds/{reference}", tag = "sandbox", params(("reference" = String, Path, description = "The reference of the payment, as in its `action_url`.",
        pattern = r"^[!-~]+$")),
    responses((status = 200, body = String, content_type = "text/html")))]
async fn show_payment(
    _: Public,
    State(app): State<AppState>,
    _: ToOwnSandbox,
    Path(reference): Path<String>,
) -> HandlerResult {
    let payment = confirmation::find_payment(&app.store, PROVIDER, &reference).await?;
    let body = if payment.status == PaymentStatus::RequiresAction {
        format!(
            "<p>Confirm a payment of {}?</p><form method=post>\
             <button formaction=\"?decision=approve\">Approve</button> \
             <button formaction=\"?decision=decline\">Decline</button></form>",
            payment.amount
        )
    } else {
        "<p>There is nothing to confirm.</p>".to_owned()
    };
    Ok(page(&body))
}

/// List the last e-mails to an address
///
/// Returns up to 20 e-mails, newest first, with the tokens in them: for developers, while a store has no mail
/// server. Not for e-mails to administrators. Those about orders are only written if `mail.url` is set; `local:` is
/// enough. Only if no other machine reaches the store, by `listen`, `public_url` or `http.trusted_proxies`, and for
/// requests from this one; the request fails with `sandbox_emails_not_found` if not.
#[utoipa::path(get, path = "/sandbox/emails", tag = "sandbox",
    responses((status = 200, body = List<SandboxEmail>)))]
async fn list_sandbox_emails(
    _: Public,
    State(app): State<AppState>,
    _: FromThisMachine,
    _: SameSite,
    Query(Recipient { address }): Query<Recipient>,
) -> HandlerResult<Json<List<SandboxEmail>>> {
    let emails = emails::in_sandbox(&app.store, &address).await?;
    Ok(Json(List::whole(emails, |Email { kind, subject, body, created_at, .. }| SandboxEmail {
        kind,
        subject,
        body,
        created_at,
    })))
}

/// Approve or decline a sandbox payment
///
/// Records the decision of the shopper and applies it to the payment and its order. A request that another site
/// caused is refused, as is one that the page refuses.
#[utoipa::path(post, path = "/sandbox/3ds/{reference}", tag = "sandbox",
    params(("reference" = String, Path, description = "The reference of the payment, as in its `action_url`.",
        pattern = r"^[!-~]+$")),
    responses((status = 200, body = String, content_type = "text/html")))]
async fn decide_payment(
    _: Public,
    State(app): State<AppState>,
    _: ToOwnSandbox,
    _: SameSite,
    Path(reference): Path<String>,
    Query(Confirmation { decision }): Query<Confirmation>,
) -> HandlerResult {
    let approve = decision == Decision::Approve;
    let waited = confirmation::confirm(&app.store, PROVIDER, &reference, approve).await?;
    Ok(page(match (waited, decision) {
        (false, _) => "<p>There is nothing to confirm.</p>",
        (true, Decision::Approve) => "<p>The payment is confirmed.</p>",
        (true, Decision::Decline) => "<p>The payment is declined.</p>",
    }))
}

fn page(body: &str) -> Response {
    // the page of a shop may have opened it, and wait until it is closed
    let opener = (HeaderName::from_static("cross-origin-opener-policy"), "unsafe-none");
    // without a referrer a form has the origin `null`, which is that of any site
    let referrer = (REFERRER_POLICY, "same-origin");
    let text =
        format!("<!doctype html><html lang=en><meta charset=utf-8><title>Sandbox bank</title>{body}</html>");
    ([opener, referrer], Html(text)).into_response()
}
