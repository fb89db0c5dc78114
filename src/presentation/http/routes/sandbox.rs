//! The confirmation page of the sandbox payment provider. No money moves here.

use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::application::payments::confirmation;
use crate::domain::payment::PaymentStatus;
use crate::infrastructure::exceptions::NotFound;
use crate::presentation::http::principal::{Public, SameSite};
use crate::presentation::http::query::{Path, Query};
use crate::presentation::http::response::HandlerResult;
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::AppState;

/// The payment provider whose page this is.
const PROVIDER: &str = "sandbox";

pub(super) fn routes() -> Routes {
    routes![
        show_payment: [NotFound::Payment],
        decide_payment: [NotFound::Payment],
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
/// Returns an HTML page on which a shopper approves or declines the payment.
#[utoipa::path(get, path = "/sandbox/3ds/{reference}", tag = "sandbox", params(("reference" = String, Path, description = "The reference of the payment, as in its `action_url`.",
        pattern = r"^[!-~]+$")),
    responses((status = 200, body = String, content_type = "text/html")))]
async fn show_payment(
    _: Public,
    State(app): State<AppState>,
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

/// Approve or decline a sandbox payment
///
/// Records the decision of the shopper and applies it to the payment and its order. A request that another site caused
/// is refused.
#[utoipa::path(post, path = "/sandbox/3ds/{reference}", tag = "sandbox",
    params(("reference" = String, Path, description = "The reference of the payment, as in its `action_url`.",
        pattern = r"^[!-~]+$")),
    responses((status = 200, body = String, content_type = "text/html")))]
async fn decide_payment(
    _: Public,
    State(app): State<AppState>,
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
    Html(format!("<!doctype html><html lang=en><meta charset=utf-8><title>Sandbox bank</title>{body}</html>"))
        .into_response()
}
