//! Accounts: customers register, and the operator of a store creates administrators.

use std::net::IpAddr;

use jiff::{SignedDuration, civil::Date};
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::domain::audit::SecurityAction;
use crate::domain::email::is_same_mailbox;
use crate::domain::events::UserRegistered;
use crate::domain::feature_flag::EvaluationContext;
use crate::domain::staff_role::StaffRole;
use crate::domain::time::earlier;
use crate::domain::user::{Role, User};
use crate::infrastructure::exceptions::{EmailAlreadyUsedException, Failure, NotFound};
use crate::infrastructure::repositories::{
    ApiKeyRepository, EmailRepository, IdempotencyRepository, IdentityRepository, OneTimePasswordRepository,
    PreferencesRepository, SessionRepository, StoredResponse, UnitOfWork, UserRepository,
    UserTokenRepository,
};

use super::birth_dates::check_birth_date;
use super::common_passwords::check_password;
use super::email_addresses;
use super::granting::{Grantable, Granter, check_remaining_admin};
use crate::application::emails::accounts::{are_sent, write_security_notice};
use crate::application::features::{self, Feature};
use crate::application::idempotency::{Responder, once};
use crate::application::{Mailing, Store};

/// The least time between two notices that someone registered with an address.
const NOTICE_INTERVAL: SignedDuration = SignedDuration::from_hours(1);

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
/// The response says whether the address has an account already, unless the terms hide it. Then it is that of a new
/// account, and the owner of the address gets a notice; docs/decisions/0006-account-enumeration.md explains why.
///
/// # Errors
///
/// Also if too many passwords of the client, whose address this is if it is known, or of the account are being hashed.
pub async fn register(
    store: &Store,
    new: CreateUser,
    client: Option<IpAddr>,
    mut responder: Responder<User>,
) -> Result<StoredResponse, Failure> {
    let _permit = store.passwords.begin(client, &new.email)?;
    features::require(store, Feature::SignUp, &EvaluationContext::default()).await?;
    if let Some(key) = responder.key.take() {
        responder.key = Some(store.passwords.blind(key).await?);
    }
    check(&new)?;
    let password_hash = store.passwords.hash(&new.password).await?;
    let given = (new, password_hash, responder.key.clone(), store.mailing());
    let registered = once(store, responder, given, async |work, (new, hash, key, mailing)| {
        let user = user(work, new, hash, (Role::Customer, None))?;
        if !insert(work, new, &user).await? {
            let owner = hidden_owner(work, mailing, &new.email).await?;
            if let Some(key) = key {
                IdempotencyRepository(work).set_subject(key, owner.id.0).await?;
            }
            return Ok(user);
        }
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
pub async fn create_admin(
    store: &Store,
    new: CreateUser,
    staff_role: Option<String>,
) -> Result<User, Failure> {
    check(&new)?;
    let password_hash = store.passwords.hash(&new.password).await?;
    let given = (new, staff_role, password_hash);
    let write = store.database().write(given, async |work, (new, staff_role, hash)| {
        make_admin(work, new, staff_role.as_deref(), hash).await
    });
    write.await
}

/// Creates an administrator with a role of the staff; without one, who may do everything. A user with the same address
/// becomes an administrator, gets the new password, is logged out everywhere, and loses the API keys, the one-time
/// passwords, the accounts at identity providers and the tokens that were sent before.
///
/// # Errors
///
/// [`NotFound::Role`], and [`Conflict::LastAdmin`](crate::infrastructure::exceptions::Conflict::LastAdmin) if the user
/// is the last administrator who may do everything.
pub async fn make_admin(
    work: &mut UnitOfWork,
    new: &CreateUser,
    staff_role: Option<&str>,
    hash: &str,
) -> Result<User, Failure> {
    Grantable::lock(work, Granter::Unlimited).await?;
    if let Some(name) = staff_role {
        work.find::<StaffRole>(name.to_owned()).await?.ok_or(NotFound::Role)?;
    }
    let staff_role = staff_role.map(str::to_owned);
    let Some(mut user) = UserRepository(work).by_email(&new.email).await? else {
        let user = user(work, new, hash, (Role::Admin, staff_role))?;
        return if insert(work, new, &user).await? {
            Ok(user)
        } else {
            Err(EmailAlreadyUsedException.into())
        };
    };
    if staff_role.is_some() {
        check_remaining_admin(work, &user).await?;
    }
    if !is_same_mailbox(&user.email, &new.email) {
        // an earlier version let a similar address be registered, which may be someone else's
        user.email.clone_from(&new.email);
        user.email_verified_at = None;
    }
    user.role = Role::Admin;
    user.staff_role = staff_role;
    user.password_hash = Some(hash.to_owned());
    if let Some(name) = &new.name {
        user.name.clone_from(name);
    }
    user.totp_since = None;
    if !UserRepository::update_unique_email(work, &mut user).await? {
        return Err(EmailAlreadyUsedException.into());
    }
    work.record(SecurityAction::AdministratorMade, Some(user.id));
    // who had the account before may have made or requested them
    OneTimePasswordRepository::remove(work, user.id).await?;
    UserTokenRepository::end_all_of(work, user.id).await?;
    SessionRepository::end_all_of(work, user.id).await?;
    ApiKeyRepository::remove_all_of(work, user.id).await?;
    IdentityRepository::remove_all_of(work, user.id).await?;
    Ok(user)
}

/// Refuses a password that is guessed first.
fn check(new: &CreateUser) -> Result<(), Failure> {
    check_password(&new.password, &new.email, new.name.as_deref().unwrap_or_default())
}

/// Returns the owner of an address, who gets a notice that someone registered with it, at most one in an hour. The
/// audit log has each time. Fails if the store says that the address has an account.
async fn hidden_owner(work: &mut UnitOfWork, mailing: &Mailing, email: &str) -> Result<User, Failure> {
    let owner = UserRepository(work).by_email(email).await?;
    let is_hidden =
        mailing.terms.accounts.hide_registered_addresses && are_sent(work, &mailing.terms).await?;
    let owner = owner.filter(|_| is_hidden).ok_or(EmailAlreadyUsedException)?;
    // registrations at the same time send one notice
    work.lock::<User>(owner.id).await?;
    // also without a notice: a transaction that writes nothing would be faster than that of a new account
    work.record(SecurityAction::RegistrationAttempted, Some(owner.id));
    let since = earlier(work.now(), NOTICE_INTERVAL);
    if !EmailRepository(work).is_written_since(owner.id, "registration_attempted", since).await? {
        let to = (owner.id, owner.email.as_str());
        write_security_notice(work, mailing, "registration_attempted", to).await?;
    }
    Ok(owner)
}

/// Returns a new user.
fn user(
    work: &UnitOfWork,
    new: &CreateUser,
    hash: &str,
    (role, staff_role): (Role, Option<String>),
) -> Result<User, Failure> {
    let now = work.now();
    check_birth_date(new.birth_date, now)?;
    let name = new.name.clone().unwrap_or_default();
    Ok(User {
        staff_role,
        password_hash: Some(hash.to_owned()),
        birth_date: new.birth_date,
        ..User::new(work.id(), new.email.clone(), name, role, now)
    })
}

/// Inserts a user; returns whether the e-mail address had no account.
async fn insert(work: &mut UnitOfWork, new: &CreateUser, user: &User) -> Result<bool, Failure> {
    if !UserRepository::insert_unique_email(work, user).await? {
        return Ok(false);
    }

    if new.locale.is_some() {
        let mut preferences = PreferencesRepository(work).of(user.id).await?;
        preferences.locale.clone_from(&new.locale);
        PreferencesRepository::save(work, &mut preferences).await?;
    }
    work.record(
        match user.role {
            Role::Customer => SecurityAction::Registered,
            Role::Admin => SecurityAction::AdministratorMade,
        },
        Some(user.id),
    );
    work.publish(&UserRegistered { user_id: user.id }).await?;
    Ok(true)
}
