//! The verification of e-mail addresses.

use http::StatusCode;

use crate::application::people::email_addresses::{self, VerifyEmail};
use crate::infrastructure::exceptions::EmailAlreadyUsedException;
use crate::presentation::http::json::Json;
use crate::presentation::http::operation::any;
use crate::presentation::http::principal::CredentialHolder;
use crate::presentation::http::response::HandlerResult;
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::{AppState, State};

pub(super) fn routes() -> Routes {
    routes![
        verify_email: [any::<EmailAlreadyUsedException>()],
    ]
}

/// Verify an e-mail address
///
/// Uses the token of an e-mail to an address: that of a registration or of a new account address. The latter
/// becomes the address of the account; the request fails with `email_already_used` if the address has another
/// account by then. A token can be used once, and until a newer one was sent.
///
/// The token is all that the operation requires: other credentials of the request are never refused, whether they are
/// of another user, have ended, or are of another scheme. A new account address also ends all sessions of the user
/// except the one to which the request belongs: by its token in `Authorization` or in the cookie, or by an access token
/// of it. A session of another user goes on.
#[utoipa::path(post, path = "/v1/email-verifications", tag = "users", request_body = VerifyEmail,
    responses((status = 204)))]
async fn verify_email(
    CredentialHolder(credentials): CredentialHolder,
    State(app): State<AppState>,
    Json(request): Json<VerifyEmail>,
) -> HandlerResult<StatusCode> {
    email_addresses::verify(&app.store, &credentials, request).await?;
    Ok(StatusCode::NO_CONTENT)
}
