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
use crate::domain::ids::UserId;
use crate::domain::staff_role::StaffRole;
use crate::domain::state::State;
use crate::domain::time::earlier;
use crate::domain::user::{Preferences, Role, User};
use crate::domain::user_token::TokenPurpose;
use crate::infrastructure::exceptions::{
    EmailAlreadyUsedException, Failure, NotFound, Technical, TechnicalKind,
};
use crate::infrastructure::repositories::{
    ApiKeyRepository, EmailRepository, IdempotencyRepository, IdentityRepository, OneTimePasswordRepository,
    SessionRepository, StoredResponse, UnitOfWork, UserRepository, UserTokenRepository,
};

use super::birth_dates::check_birth_date;
use super::common_passwords::check_password;
use super::granting::{Grantable, Granter, check_remaining_admin};
use super::{email_addresses, tokens};
use crate::application::emails::accounts::{are_sent, write_notice};
use crate::application::features::{self, Feature};
use crate::application::idempotency::{Responder, once};
use crate::application::{Mailing, Store};

/// The least time between two e-mails of a kind that someone registered with an address.
const NOTICE_INTERVAL: SignedDuration = SignedDuration::from_hours(1);
/// How often the account of an address is inserted whose owner gets another address meanwhile.
const ATTEMPTS: u32 = 2;
/// How often an e-mail to the owner of an address waits for the database.
const ROUND_TRIPS_OF_NOTICE: u32 = 3;

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
        let owner = insert_or_notify(work, mailing, new, &user).await?;
        if let Some(key) = key {
            // an erasure of the user, or of the owner of the address, deletes the stored response
            IdempotencyRepository(work).set_subject(key, owner.0).await?;
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
    let had_one_time_passwords = user.totp_since.take().is_some();
    if !UserRepository::update_unique_email(work, &mut user).await? {
        return Err(EmailAlreadyUsedException.into());
    }
    work.record(SecurityAction::AdministratorMade, Some(user.id));
    if had_one_time_passwords {
        work.record(SecurityAction::OneTimePasswordsDisabled, Some(user.id));
    }
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

/// Inserts a customer, who gets a token by e-mail. If the address has an account already and the terms hide it, its
/// owner gets an e-mail instead, and the database is asked as often. Returns the id of who has the address.
async fn insert_or_notify(
    work: &mut UnitOfWork,
    mailing: &Mailing,
    new: &CreateUser,
    user: &User,
) -> Result<UserId, Failure> {
    let hides = mailing.terms.accounts.hide_registered_addresses && are_sent(work, &mailing.terms).await?;
    if !hides {
        if !insert(work, new, user).await? {
            return Err(EmailAlreadyUsedException.into());
        }
        email_addresses::welcome(work, mailing, user).await?;
        return Ok(user.id);
    }
    for _ in 0..ATTEMPTS {
        let is_new = insert(work, new, user).await?;
        if let Some(owner) = locked_owner(work, &new.email).await? {
            if !is_new {
                // each time: a transaction that writes nothing would be faster than that of a new account
                work.record(SecurityAction::RegistrationAttempted, Some(owner.id));
            }
            notify_of_registration(work, mailing, &owner, is_new).await?;
            return Ok(owner.id);
        }
    }
    Err(Technical::new(TechnicalKind::Unavailable, "the owner of the address changed meanwhile").into())
}

/// Returns the owner of an address, so that registrations at the same time send one notice; `None` if the owner has got
/// another address meanwhile or was erased.
async fn locked_owner(work: &mut UnitOfWork, email: &str) -> Result<Option<User>, Failure> {
    let Some(found) = UserRepository(work).by_email(email).await? else { return Ok(None) };
    Ok(work.lock::<User>(found.id).await?.filter(|owner| owner.email == found.email))
}

/// Writes an e-mail to the owner of an account that someone registered with its address, at most one of its kind in an
/// hour. If the account `is_new`, its e-mail has a token that verifies the address. Each of these takes as many round
/// trips: the time of a registration must not tell them apart.
///
/// A customer whose address is not verified may have lost the e-mail that verifies it, and gets a token to set a
/// password, which verifies the address, too. A token that only verifies it would open the account for the password of
/// the first who registered, perhaps a stranger: docs/decisions/0006-account-enumeration.md explains why.
async fn notify_of_registration(
    work: &mut UnitOfWork,
    mailing: &Mailing,
    owner: &User,
    is_new: bool,
) -> Result<(), Failure> {
    let (kind, purpose) = match (is_new, owner.is_unverified_customer()) {
        (true, _) => (TokenPurpose::EmailVerification.name(), Some(TokenPurpose::EmailVerification)),
        (false, true) => ("registration_repeated", Some(TokenPurpose::PasswordReset)),
        (false, false) => ("registration_attempted", None),
    };
    let since = earlier(work.now(), NOTICE_INTERVAL);
    if EmailRepository(work).is_written_since(owner.id, kind, since).await? {
        for _ in 0..ROUND_TRIPS_OF_NOTICE {
            work.find::<User>(owner.id).await?;
        }
        return Ok(());
    }
    match purpose {
        // not limited as requests of the owner are: a failure would say that the address has an account
        Some(purpose) => tokens::issue_by(work, mailing, (owner.id, purpose), (kind, &owner.email)).await,
        None => write_notice(work, &mailing.terms, kind, (owner.id, &owner.email)).await,
    }
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
        // the first ones of the user: no response is waited for
        let (locale, updated_at) = (new.locale.clone(), work.now());
        let first = Preferences { locale, version: 1, updated_at, ..Preferences::none(user.id) };
        work.insert(&first).await?;
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
