//! Registration.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use jiff::civil::Date;
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::application::idempotency::once;
use crate::application::people::accounts::{self, NewUser};
use crate::domain::user::User;
use crate::presentation::http::answer::{HandlerResult, created, versioned};
use crate::presentation::http::bodies::UserBody;
use crate::presentation::http::idempotency_key::Idempotent;
use crate::presentation::http::principal::Public;
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::AppState;

pub(super) fn routes() -> Routes {
    routes![register]
}

/// Who registers.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Registration {
    /// Their address; two spellings of one address are one.
    #[schema(format = "email", max_length = 254)]
    email: String,
    /// Their password.
    #[schema(value_type = String, min_length = 8, max_length = 128)]
    password: SecretString,
    /// Their name.
    #[schema(max_length = 200)]
    name: Option<String>,
    /// When they were born: goods with a minimum age are sold to those who say it.
    birth_date: Option<Date>,
    /// The language they read (BCP 47).
    #[schema(format = "language", example = "pt-BR")]
    locale: Option<String>,
}

/// Makes an account. `email_already_used` says that the address has one.
#[utoipa::path(post, path = "/v1/users", tag = "users", request_body = Registration,
    responses((status = 201, body = UserBody)))]
async fn register(
    _: Public,
    State(app): State<AppState>,
    request: Idempotent<Registration>,
) -> HandlerResult {
    let passwords = &app.store.passwords;
    let key = match request.key(None) {
        Some(key) => Some(passwords.blind(key).await?),
        None => None,
    };
    let Registration { email, password, name, birth_date, locale } = request.body;
    let password_hash = passwords.hash(&password).await?;
    let new = NewUser { email, name, password_hash, birth_date, locale };
    let render = created(|user: &User| ("/v1/me".to_owned(), versioned(user.version, &UserBody::of(user))));
    let answer = once(&app.store, key, Arc::new(render), move |work| {
        let new = new.clone();
        Box::pin(async move { accounts::register(work, &new).await })
    });
    Ok(answer.await?.into_response())
}
