//! Accounts: customers register, and the operator of a store creates administrators.

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::domain::audit::SecurityAction;
use crate::domain::events::UserRegistered;
use crate::domain::feature_flag::EvaluationContext;
use crate::domain::user::{Role, User};
use crate::infrastructure::exceptions::{EmailAlreadyUsedException, Failure, Fault, ValidationException};
use crate::infrastructure::repositories::{
    IdempotencyRepository, PreferencesRepository, SessionRepository, StoredResponse, UnitOfWork,
    UserRepository,
};

use super::common_passwords::check_password;
use super::email_addresses;
use crate::application::Store;
use crate::application::features::{self, Feature};
use crate::application::idempotency::{Responder, once};

/// The oldest age in years that a birth date may give.
const MAX_AGE: i16 = 130;

/// The account to create.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateUser {
    /// The e-mail address. Letter case and Unicode form do not matter: two spellings are one address.
    #[schema(format = "email", max_length = 254)]
    pub email: String,
    /// The password.
    #[schema(value_type = String, min_length = 8, max_length = 128)]
    pub password: SecretString,
    /// The user's name.
    #[schema(max_length = 200)]
    pub name: Option<String>,
    /// The user's birth date. Products with a minimum age are only sold to users with a birth date.
    pub birth_date: Option<Date>,
    /// The user's language, a BCP 47 tag.
    #[schema(format = "language", example = "pt-BR")]
    pub locale: Option<String>,
}

/// Creates the account of a customer, and sends a token to its address.
///
/// The response says whether the address has an account already; docs/decisions/0006-account-enumeration.md
/// explains why.
pub async fn register(
    store: &Store,
    new: CreateUser,
    mut responder: Responder<User>,
) -> Result<StoredResponse, Failure> {
    features::require(store, Feature::SignUp, &EvaluationContext::default()).await?;
    if let Some(key) = responder.key.take() {
        responder.key = Some(store.passwords.blind(key).await?);
    }
    check(&new)?;
    let password_hash = store.passwords.hash(&new.password).await?;
    let given = (new, password_hash, responder.key.clone(), store.mailing());
    let registered = once(store, responder, given, async |work, (new, hash, key, mailing)| {
        let user = insert(work, new, hash, Role::Customer).await?;
        email_addresses::welcome(work, mailing, &user).await?;
        if let Some(key) = key {
            // an erasure of the user deletes the stored response
            IdempotencyRepository(work).set_subject(key, user.id.0).await?;
        }
        Ok(user)
    });
    registered.await
}

/// Creates an administrator, as [`make_admin`] does, in a transaction of its own.
pub async fn create_admin(store: &Store, new: CreateUser) -> Result<User, Failure> {
    check(&new)?;
    let password_hash = store.passwords.hash(&new.password).await?;
    let given = (new, password_hash);
    store.database().write(given, async |work, (new, hash)| make_admin(work, new, hash).await).await
}

/// Creates an administrator. A user with the same address becomes an administrator, gets the new password and is
/// logged out everywhere.
pub async fn make_admin(work: &mut UnitOfWork, new: &CreateUser, hash: &str) -> Result<User, Failure> {
    let Some(mut user) = UserRepository(work).by_email(&new.email).await? else {
        return insert(work, new, hash, Role::Admin).await;
    };
    user.role = Role::Admin;
    user.password_hash = Some(hash.to_owned());
    if let Some(name) = &new.name {
        user.name.clone_from(name);
    }
    work.update(&mut user).await?;
    work.record(SecurityAction::AdministratorMade, Some(user.id));
    SessionRepository::remove_all_of(work, user.id).await?;
    Ok(user)
}

/// Refuses a password that is guessed first.
fn check(new: &CreateUser) -> Result<(), Failure> {
    check_password(&new.password, &new.email, new.name.as_deref().unwrap_or_default())
}

async fn insert(work: &mut UnitOfWork, new: &CreateUser, hash: &str, role: Role) -> Result<User, Failure> {
    let now = work.now();
    check_birth_date(new.birth_date, now)?;
    let name = new.name.clone().unwrap_or_default();
    let user = User {
        password_hash: Some(hash.to_owned()),
        birth_date: new.birth_date,
        ..User::new(work.id(), new.email.clone(), name, role, now)
    };
    if !UserRepository::insert_unique_email(work, &user).await? {
        return Err(EmailAlreadyUsedException.into());
    }

    if new.locale.is_some() {
        let mut preferences = PreferencesRepository(work).of(user.id).await?;
        preferences.locale.clone_from(&new.locale);
        PreferencesRepository::save(work, &mut preferences).await?;
    }
    work.record(
        match role {
            Role::Customer => SecurityAction::Registered,
            Role::Admin => SecurityAction::AdministratorMade,
        },
        Some(user.id),
    );
    work.publish(&UserRegistered { user_id: user.id }).await?;
    Ok(user)
}

/// Fails for a birth date in the future, in any time zone, or more than 130 years ago.
pub(crate) fn check_birth_date(birth_date: Option<Date>, now: Timestamp) -> Result<(), Failure> {
    let tomorrow = now.to_zoned(TimeZone::UTC).date().saturating_add(jiff::Span::new().days(1));
    if birth_date.is_some_and(|date| date > tomorrow || date.year() < tomorrow.year() - MAX_AGE) {
        return Err(ValidationException::one("/birth_date", Fault::Invalid).into());
    }
    Ok(())
}
