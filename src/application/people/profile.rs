//! What users change in their own account.

use jiff::{Timestamp, civil::Date};
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::domain::audit::SecurityAction;
use crate::domain::email::SecurityNotice;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::user::{User, session_id};
use crate::infrastructure::exceptions::{
    Conflict, EmailAlreadyUsedException, Failure, Fault, UnauthorizedAccessException, UserNotFoundException,
    ValidationException,
};
use crate::infrastructure::repositories::{
    ApiKeyRepository, EndedSessions, UnitOfWork, UserRepository, UserTokenRepository,
};

use super::birth_dates::check_birth_date;
use super::common_passwords::check_password;
use super::granting::Granter;
use super::{current_password, email_addresses, known_devices, second_factor, sessions, tokens, users};
use crate::application::emails::accounts::{addresses_of, are_sent, write_security_notice};
use crate::application::{Mailing, Store, check_version};

/// The name of the limit of e-mails to an address that users name as their new one.
const NEW_ADDRESSES: &str = "emails_to_address";
/// The name of the limit of erasures of accounts whose address is not verified.
const ERASURES: &str = "erasures_of_address";

/// A partial update of an account: a member that is omitted keeps its value.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateAccount {
    /// The user's name.
    #[schema(nullable = false, max_length = 200)]
    pub name: Option<String>,
    /// The user's birth date. Once it is set, only an administrator can change it.
    #[schema(nullable = false)]
    pub birth_date: Option<Date>,
    /// The new e-mail address. Requires `current_password`. If the store sends e-mails, it becomes that of the
    /// account when the token in the e-mail to it is used; until then the account keeps its address.
    #[schema(nullable = false, format = "email", max_length = 254)]
    pub email: Option<String>,
    /// The new password. Requires `current_password`, and ends all other sessions and all API keys of the user.
    #[schema(value_type = Option<String>, nullable = false, min_length = 8, max_length = 128)]
    pub password: Option<SecretString>,
    /// The current password. Required if `email` or `password` is given.
    #[schema(value_type = Option<String>, nullable = false, max_length = 128)]
    pub current_password: Option<SecretString>,
}

impl UpdateAccount {
    /// Returns whether the change needs a session: an API key is not enough.
    pub fn requires_session(&self) -> bool {
        self.email.is_some() || self.password.is_some()
    }
}

/// The account that is changed, and from where.
#[derive(Debug, Clone)]
pub struct AccountOwner {
    /// The owner of the account.
    pub user_id: UserId,
    /// The hash of the token of the session that sends the change; `None` if it is sent without one.
    pub token_hash: Option<Vec<u8>>,
    /// The version that the change requires; any if `None`.
    pub expected_version: Option<i64>,
}

/// An account after a change.
#[derive(Clone)]
pub struct UpdatedAccount {
    /// The user.
    pub user: User,
    /// The new token of the session that sent the change, if the password changed.
    pub token: Option<String>,
    /// The token by which the device is known from now on, if the password changed.
    pub device: Option<String>,
}

/// Changes an account. What requires the password requires a session, too. A new password ends every session but the
/// one that sends the change, which gets a new token.
pub async fn update(
    store: &Store,
    owner: AccountOwner,
    change: UpdateAccount,
) -> Result<UpdatedAccount, Failure> {
    let proven = if change.requires_session() {
        let token_hash = owner.token_hash.as_deref().ok_or(UnauthorizedAccessException::SessionRequired)?;
        let session_id = Some(session_id(token_hash));
        let proven =
            current_password::prove(store, (owner.user_id, session_id), change.current_password.as_ref())
                .await?;
        check_new(store, owner.user_id, &change).await?;
        Some(proven)
    } else {
        None
    };
    let password_hash = match &change.password {
        Some(password) => Some(store.passwords.hash(password).await?),
        None => None,
    };

    let device = password_hash.as_ref().map(|hash| known_devices::issue(store, owner.user_id, hash));
    let given = (owner, change, Hashes { proven, new: password_hash }, store.mailing());
    let write = store.database().write(given, async |work, (owner, change, hashes, mailing)| {
        apply(work, (owner, mailing), change, hashes).await
    });
    let (user, ended, token) = write.await?;
    let goes_on = match &ended {
        Some(ended) => store.sessions().end_in_redis(ended).await,
        None => false,
    };
    Ok(UpdatedAccount { user, token: token.filter(|_| goes_on), device })
}

/// Refuses a new password that is guessed first by what is known of the user after the change, and a new address to
/// which an e-mail would be sent, if too many were sent to it.
async fn check_new(store: &Store, user_id: UserId, change: &UpdateAccount) -> Result<(), Failure> {
    let mut connection = store.database().read().await?;
    let user: Option<User> = connection.find(user_id).await?;
    let user = user.ok_or(UserNotFoundException { id: user_id })?;
    let (email, name) =
        (change.email.as_ref().unwrap_or(&user.email), change.name.as_ref().unwrap_or(&user.name));
    if let Some(password) = &change.password {
        check_password(password, email, name)?;
    }
    let sends = *email != user.email && are_sent(&mut connection, &store.terms).await?;
    drop(connection);
    if sends { tokens::check_recipient(store, NEW_ADDRESSES, email).await } else { Ok(()) }
}

/// A request to erase the own account.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EraseAccount {
    /// The current password. Required if the account has one.
    #[schema(value_type = Option<String>, nullable = false, max_length = 128)]
    pub current_password: Option<SecretString>,
}

/// Erases the account of a user who proves to know its password; see [`users::erase`].
///
/// # Errors
///
/// Also `TooManyEmails`, if accounts of an address that is not verified are erased too often.
pub async fn erase(
    store: &Store,
    (user_id, session_id): (UserId, Option<SessionId>),
    request: EraseAccount,
) -> Result<(), Failure> {
    let user: Option<User> = store.database().read().await?.find(user_id).await?;
    let user = user.ok_or(UserNotFoundException { id: user_id })?;
    let proven = match user.password_hash {
        Some(_) => Some(
            current_password::prove(store, (user_id, session_id), request.current_password.as_ref()).await?,
        ),
        None => None,
    };
    let counted = count_erasures(store, &user).await?;

    let given = (user_id, proven, store.mailing());
    let erase = store.database().write(given, async |work, (user_id, proven, mailing)| {
        let user = users::find_not_erased(work, *user_id).await?;
        if user.password_hash != *proven {
            return Err(Conflict::Stale.into());
        }
        users::erase_in(work, mailing, Granter::Unlimited, *user_id).await
    });
    let erased = erase.await;
    if erased.is_err() {
        uncount_erasures(store, &counted).await;
    }
    sessions::end_in_redis(store, &erased?).await;
    Ok(())
}

/// Counts an erasure for each address of a user that may be someone else's, if the store sends e-mails; returns these
/// addresses. Fails if there were too many: with an account, the e-mails are removed by which further ones to its
/// address are limited, and who registers with the address of someone else must not send it more by erasing each
/// account.
async fn count_erasures(store: &Store, user: &User) -> Result<Vec<String>, Failure> {
    let mut connection = store.database().read().await?;
    if !are_sent(&mut connection, &store.terms).await? {
        return Ok(Vec::new());
    }
    let addresses = addresses_of(&mut connection, user).await?;
    drop(connection);
    let unverified = addresses.into_iter().filter(|address| address.is_unverified);
    let emails: Vec<_> = unverified.map(|address| address.email).collect();
    for (counted, email) in emails.iter().enumerate() {
        if let Err(failure) = tokens::check_recipient(store, ERASURES, email).await {
            uncount_erasures(store, &emails[..counted]).await;
            return Err(failure);
        }
    }
    Ok(emails)
}

/// Takes back what [`count_erasures`] counted for these addresses, since the account was not erased.
async fn uncount_erasures(store: &Store, addresses: &[String]) {
    for email in addresses {
        tokens::uncount_recipient(store, ERASURES, email).await;
    }
}

/// The hashes of the passwords in a change.
struct Hashes {
    /// The stored hash of the current password, if the request proved that the user knows it.
    proven: Option<String>,
    /// The hash of the new password.
    new: Option<String>,
}

/// Returns the user after a change, the sessions that it ended, and the new token of the session that sends it.
async fn apply(
    work: &mut UnitOfWork,
    (owner, mailing): (&AccountOwner, &Mailing),
    change: &UpdateAccount,
    hashes: &Hashes,
) -> Result<(User, Option<EndedSessions>, Option<String>), Failure> {
    let mut user = users::lock_not_erased(work, owner.user_id).await?;
    check_version(user.version, owner.expected_version)?;
    if hashes.proven.is_some() && hashes.proven != user.password_hash {
        return Err(Conflict::Stale.into());
    }

    set_members(&mut user, change, work.now())?;
    if let Some(hash) = &hashes.new {
        user.password_hash = Some(hash.clone());
        work.record(SecurityAction::PasswordChanged, Some(user.id));
        write_security_notice(work, mailing, SecurityNotice::PasswordChanged, (user.id, &user.email)).await?;
        // who knew the former password may have requested or created them
        UserTokenRepository::end_all_of(work, user.id).await?;
        ApiKeyRepository::remove_all_of(work, user.id).await?;
        second_factor::end_enrolment(work, &user).await?;
    }
    let email_changed = match change.email.as_ref().filter(|email| **email != user.email) {
        Some(email) => change_email(work, mailing, &mut user, email).await?,
        None => false,
    };
    if !UserRepository::update_unique_email(work, &mut user).await? {
        return Err(EmailAlreadyUsedException.into());
    }

    // After the update: it waits for a concurrent login with the old password, whose session is removed here.
    let (ended, token) = match (&hashes.new, owner.token_hash.as_deref()) {
        (Some(_), Some(token_hash)) => {
            let (ended, token) = sessions::rotate(work, &mailing.key, (user.id, token_hash)).await?;
            (Some(ended), Some(token))
        }
        (None, _) if !email_changed => (None, None),
        (_, kept) => (Some(sessions::end_others(work, user.id, kept).await?), None),
    };
    Ok((user, ended, token))
}

fn set_members(user: &mut User, change: &UpdateAccount, now: Timestamp) -> Result<(), Failure> {
    if let Some(name) = &change.name {
        user.name.clone_from(name);
    }
    if change.birth_date.is_some() && change.birth_date != user.birth_date {
        if user.birth_date.is_some() {
            return Err(ValidationException::one("/birth_date", Fault::AlreadySet).into());
        }
        check_birth_date(change.birth_date, now)?;
        user.birth_date = change.birth_date;
    }
    Ok(())
}

/// Sends a token to the new address of a user, whose use changes the address. If the store sends no e-mails, the
/// address is changed at once, is not verified, and the other sessions of the user are to be ended; returns whether it
/// was.
async fn change_email(
    work: &mut UnitOfWork,
    mailing: &Mailing,
    user: &mut User,
    email: &str,
) -> Result<bool, Failure> {
    if are_sent(work, &mailing.terms).await? {
        email_addresses::begin_change(work, mailing, user, email).await?;
        return Ok(false);
    }
    email.clone_into(&mut user.email);
    work.record(SecurityAction::EmailChanged, Some(user.id));
    user.email_verified_at = None;
    UserTokenRepository::end_all_of(work, user.id).await?;
    Ok(true)
}
