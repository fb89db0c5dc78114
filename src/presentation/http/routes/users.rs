//! Registration.

use crate::application::people::accounts::{self, CreateUser};
use crate::application::people::log_in_limits::LogInClient;
use crate::domain::user::User;
use crate::infrastructure::exceptions::{EmailAlreadyUsedException, UnauthorizedAccessException};
use crate::presentation::http::bodies::UserBody;
use crate::presentation::http::idempotency_key::Idempotent;
use crate::presentation::http::operation::any;
use crate::presentation::http::principal::Public;
use crate::presentation::http::rate_classes::SIGN_UP;
use crate::presentation::http::response::{HandlerResult, StoredResponse, created};
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::{AppState, State};

pub(super) fn routes() -> Routes {
    routes![create_user: [any::<EmailAlreadyUsedException>(), UnauthorizedAccessException::FeatureOff]]
        .limited(SIGN_UP)
}

/// Register a customer
///
/// Creates an account, and sends a token to verify its e-mail address, if the store sends e-mails. The request fails
/// with `email_already_used` if the e-mail address has an account, unless the store hides that: then the response is
/// that of a new account, the owner of the address gets an e-mail, and logging in requires a verified e-mail address.
/// If that address is not verified yet, the e-mail has a token to set a password, which also verifies it.
#[utoipa::path(post, path = "/v1/users", tag = "users", request_body = CreateUser,
    responses((status = 201, body = UserBody)))]
async fn create_user(
    _: Public,
    State(app): State<AppState>,
    client: LogInClient,
    request: Idempotent<CreateUser>,
) -> HandlerResult<StoredResponse> {
    let render = created(|_: &User| "/v1/me".to_owned(), UserBody::response);
    let (new, responder) = request.into_parts(None, render)?;
    accounts::register(&app.store, new, client.address, responder).await
}
