//! The page of the sandbox's bank, where a shopper confirms a payment or does not. Nobody's money moves here.

use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::application::payments::gateway_calls::refresh;
use crate::application::selling::history;
use crate::domain::ids::PaymentId;
use crate::domain::payment::PaymentStatus;
use crate::infrastructure::exceptions::{Failure, NotFound};
use crate::presentation::http::answer::HandlerResult;
use crate::presentation::http::principal::Public;
use crate::presentation::http::query::{Path, Query};
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::AppState;

pub(super) fn routes() -> Routes {
    routes![ask, act]
}

/// What the shopper does.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Confirmation {
    /// Whether they confirm the payment.
    #[param(inline)]
    decision: Decision,
}

/// Whether a payment is confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Decision {
    /// It is.
    Approve,
    /// It is not.
    Decline,
}

/// The page on which a shopper confirms a payment of the sandbox.
#[utoipa::path(get, path = "/sandbox/3ds/{reference}", tag = "sandbox", params(("reference" = String, Path)),
    responses((status = 200, body = String, content_type = "text/html")))]
async fn ask(_: Public, State(app): State<AppState>, Path(reference): Path<String>) -> HandlerResult {
    let payment = history::order_of_payment(&app.store, payment_id(&reference)?).await?.payment;
    let (amount, currency) = (payment.amount, payment.currency);
    let body = if payment.status == PaymentStatus::RequiresAction {
        format!(
            "<p>Confirm a payment of {amount} minor units of {currency}?</p><form method=post>\
             <button formaction=\"?decision=approve\">Approve</button> \
             <button formaction=\"?decision=decline\">Decline</button></form>"
        )
    } else {
        "<p>There is nothing to confirm.</p>".to_owned()
    };
    Ok(page(&body))
}

/// Confirms a payment of the sandbox, or does not.
#[utoipa::path(post, path = "/sandbox/3ds/{reference}", tag = "sandbox",
    params(("reference" = String, Path), Confirmation),
    responses((status = 200, body = String, content_type = "text/html")))]
async fn act(
    _: Public,
    State(app): State<AppState>,
    Path(reference): Path<String>,
    Query(Confirmation { decision }): Query<Confirmation>,
) -> HandlerResult {
    let id = payment_id(&reference)?;
    // the order is to be paid when the shopper comes back to it
    let acted = app.sandbox.act(id, decision == Decision::Approve).await?;
    refresh(&app.store, id).await?;
    Ok(page(match (acted, decision) {
        (false, _) => "<p>There is nothing to confirm.</p>",
        (true, Decision::Approve) => "<p>The payment is confirmed.</p>",
        (true, Decision::Decline) => "<p>The payment is declined.</p>",
    }))
}

/// The payment that the sandbox calls so.
fn payment_id(reference: &str) -> Result<PaymentId, Failure> {
    let id = reference.strip_prefix("sandbox_").and_then(|id| Uuid::try_parse(id).ok());
    id.map(PaymentId).ok_or_else(|| NotFound::Payment.into())
}

fn page(body: &str) -> Response {
    Html(format!("<!doctype html><html lang=en><meta charset=utf-8><title>Sandbox bank</title>{body}</html>"))
        .into_response()
}
