//! The caller's own account and wishes.

use axum::extract::State;
use jiff::{Timestamp, civil::Date};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::application::people::preferences::{self, PreferencesChange};
use crate::application::people::profile::{self, Owner, ProfileChange};
use crate::application::people::users;
use crate::domain::money::Currency;
use crate::domain::user::Preferences;
use crate::infrastructure::exceptions::Failure;
use crate::presentation::http::answer::HandlerResult;
use crate::presentation::http::bodies::UserBody;
use crate::presentation::http::conditional::{IfMatch, IfNoneMatch, changed, fresh};
use crate::presentation::http::json::Json;
use crate::presentation::http::patch::given;
use crate::presentation::http::principal::SignedIn;
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::AppState;

use super::sessions::gone;

pub(super) fn routes() -> Routes {
    routes![get, change, erase, preferences, wish]
}

/// What is to be another; what is left out stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AccountChange {
    /// Another name.
    #[schema(max_length = 200)]
    name: Option<String>,
    /// Another birth date; null takes it away.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Date>)]
    birth_date: Option<Option<Date>>,
    /// Another address; asks for the current password.
    #[schema(format = "email", max_length = 254)]
    email: Option<String>,
    /// Another password; asks for the current one, and ends every other log-in.
    #[schema(value_type = Option<String>, min_length = 8, max_length = 128)]
    password: Option<SecretString>,
    /// The password as it is.
    #[schema(value_type = Option<String>, max_length = 128)]
    current_password: Option<SecretString>,
}

/// What a user wishes.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Preferences)]
struct PreferencesBody {
    /// The language they read (BCP 47).
    locale: Option<String>,
    /// The currency they see.
    currency: Option<Currency>,
    /// Whether they agreed to be sent offers.
    marketing_consent: bool,
    /// When they said so, or took it back.
    consent_at: Option<Timestamp>,
}

/// What a user wishes from here on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewPreferences {
    /// The language they read (BCP 47).
    #[schema(format = "language", example = "pt-BR")]
    locale: Option<String>,
    /// The currency they see.
    currency: Option<Currency>,
    /// Whether they agree to be sent offers.
    #[serde(default)]
    marketing_consent: bool,
}

/// The caller's account.
#[utoipa::path(get, path = "/v1/me", tag = "me", responses((status = 200, body = UserBody)))]
async fn get(who: SignedIn, known: IfNoneMatch) -> HandlerResult {
    fresh(who.user.version, &UserBody::of(&who.user), &known)
}

/// Changes the caller's account.
#[utoipa::path(patch, path = "/v1/me", tag = "me", request_body = AccountChange,
    responses((status = 200, body = UserBody)))]
async fn change(
    who: SignedIn,
    State(app): State<AppState>,
    IfMatch(version): IfMatch,
    Json(wanted): Json<AccountChange>,
) -> HandlerResult {
    let AccountChange { name, birth_date, email, password, current_password } = wanted;
    let wanted = ProfileChange { name, birth_date, email, password, current_password };
    let owner = Owner { user_id: who.user_id(), token_hash: who.session.token_hash, version };
    let user = profile::change(&app.store, owner, wanted).await?;
    changed(user.version, &UserBody::of(&user))
}

/// Forgets the caller: the account is gone for good, and of their orders stays what the books need. An order that is
/// under way has to be delivered or cancelled before (`open_orders`).
#[utoipa::path(delete, path = "/v1/me", tag = "me", responses((status = 204)))]
async fn erase(who: SignedIn, State(app): State<AppState>) -> HandlerResult {
    let id = who.user_id();
    let write = app.store.database().write_boxed(move |work| Box::pin(users::erase(work, id)));
    write.await?;
    Ok(gone(&app))
}

/// What the caller wishes.
#[utoipa::path(get, path = "/v1/me/preferences", tag = "me",
    responses((status = 200, body = PreferencesBody)))]
async fn preferences(who: SignedIn, State(app): State<AppState>, known: IfNoneMatch) -> HandlerResult {
    let wishes = preferences::preferences(&app.store, who.user_id()).await?;
    fresh(wishes.version, &PreferencesBody::of(&wishes), &known)
}

/// Puts these wishes in the place of those that were there.
#[utoipa::path(put, path = "/v1/me/preferences", tag = "me", request_body = NewPreferences,
    responses((status = 200, body = PreferencesBody)))]
async fn wish(
    who: SignedIn,
    State(app): State<AppState>,
    IfMatch(seen): IfMatch,
    Json(NewPreferences { locale, currency, marketing_consent }): Json<NewPreferences>,
) -> HandlerResult {
    let (user_id, wishes) = (who.user_id(), PreferencesChange { locale, currency, marketing_consent });
    let write = app.store.database().write_boxed(move |work| {
        let wishes = wishes.clone();
        Box::pin(async move { preferences::wish(work, user_id, &wishes, seen).await })
    });
    let wishes: Result<Preferences, Failure> = write.await;
    let wishes = wishes?;
    changed(wishes.version, &PreferencesBody::of(&wishes))
}

impl PreferencesBody {
    fn of(wishes: &Preferences) -> Self {
        Self {
            locale: wishes.locale.clone(),
            currency: wishes.currency,
            marketing_consent: wishes.marketing_consent,
            consent_at: wishes.consent_at,
        }
    }
}
