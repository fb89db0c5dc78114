//! Tokens in e-mails: issued a limited number of times an hour, and used once.

use std::num::NonZeroU32;
use std::time::Duration;

use jiff::SignedDuration;
use secrecy::{ExposeSecret, SecretString};

use super::log_in_limits::digest;
use crate::application::emails::accounts::write_token;
use crate::application::{Mailing, Store};
use crate::domain::email::email_key;
use crate::domain::ids::UserId;
use crate::domain::time::later;
use crate::domain::user::User;
use crate::domain::user_token::{TokenPurpose, UserToken};
use crate::infrastructure::exceptions::{Failure, Fault, RejectedRequest, ValidationException};
use crate::infrastructure::middleware::{Quota, RateLimit};
use crate::infrastructure::repositories::{UnitOfWork, UserTokenRepository};

/// The most tokens of a user for one purpose in [`WINDOW`].
const LIMIT: i64 = 5;
/// The time in which tokens are counted.
const WINDOW: SignedDuration = SignedDuration::from_hours(1);
/// The most e-mails to an address that users name as their new one, all users together, in [`RECIPIENT_WINDOW`].
const RECIPIENT_LIMIT: NonZeroU32 = NonZeroU32::new(5).unwrap();
/// The time in which they are counted.
const RECIPIENT_WINDOW: Duration = Duration::from_hours(1);
/// How long a token is kept. Tokens are counted for less than that, and valid for less or as long.
pub(crate) const TOKEN_RETENTION: SignedDuration = SignedDuration::from_hours(24);

/// Issues a token to a user whose row is locked, and writes the e-mail to `email` that carries it.
///
/// # Errors
///
/// [`RejectedRequest::TooManyEmails`].
pub(super) async fn issue(
    work: &mut UnitOfWork,
    mailing: &Mailing,
    (user_id, purpose): (UserId, TokenPurpose),
    email: &str,
) -> Result<(), Failure> {
    check_limit(work, user_id, purpose).await?;
    let token = UserTokenRepository::issue(work, &mailing.key, (user_id, purpose), email).await?;
    write_token(work, &mailing.terms, &token).await
}

/// Fails if a user had the greatest number of tokens for a purpose in the last hour.
async fn check_limit(work: &mut UnitOfWork, user_id: UserId, purpose: TokenPurpose) -> Result<(), Failure> {
    let oldest = UserTokenRepository(work).issued_before_last(user_id, purpose, LIMIT).await?;
    let Some(free_at) = oldest.map(|oldest| later(oldest, WINDOW)) else { return Ok(()) };
    let wait = free_at.duration_since(work.now());
    if wait.is_positive() {
        let retry_after = u64::try_from(wait.as_secs() + 1).unwrap_or(1);
        return Err(RejectedRequest::TooManyEmails { retry_after }.into());
    }
    Ok(())
}

/// Counts an e-mail to an address that a user names. Fails if all users together named it too often in the last
/// hour: the store must not send more to someone who never asked.
///
/// # Errors
///
/// [`RejectedRequest::TooManyEmails`].
pub(super) async fn check_recipient(store: &Store, email: &str) -> Result<(), Failure> {
    let quota = Quota::new(RECIPIENT_LIMIT, RECIPIENT_WINDOW);
    let limit = RateLimit { name: "emails_to_address", quota };
    let recipient = digest(&[email_key(email).as_bytes()]);
    let decision = store.infrastructure.limiter.count(limit, recipient).await;
    if decision.is_allowed {
        return Ok(());
    }
    Err(RejectedRequest::TooManyEmails { retry_after: decision.retry_after(quota) }.into())
}

/// Returns a valid token for one of these purposes, without using it.
pub(super) async fn check(
    store: &Store,
    text: &SecretString,
    purposes: &[TokenPurpose],
) -> Result<UserToken, Failure> {
    let now = store.now();
    let mut connection = store.database().read().await?;
    let found = UserTokenRepository(&mut connection).by_text(text.expose_secret(), now).await?;
    found.filter(|token| purposes.contains(&token.purpose)).ok_or_else(invalid)
}

/// Uses a valid token for one of these purposes; returns it with its user, whose row is locked.
pub(super) async fn use_once(
    work: &mut UnitOfWork,
    text: &SecretString,
    purposes: &[TokenPurpose],
) -> Result<(UserToken, User), Failure> {
    let now = work.now();
    let found = UserTokenRepository(work).by_text(text.expose_secret(), now).await?;
    let token = found.filter(|token| purposes.contains(&token.purpose)).ok_or_else(invalid)?;
    let user = work.lock::<User>(token.user_id).await?.filter(|user| user.erased_at.is_none());
    let user = user.ok_or_else(invalid)?;
    if UserTokenRepository::use_once(work, token.id).await? { Ok((token, user)) } else { Err(invalid()) }
}

/// Returns the failure of a token that is not known, has expired or was used.
pub(super) fn invalid() -> Failure {
    ValidationException::one("/token", Fault::InvalidToken).into()
}
