//! Tokens in e-mails: issued a limited number of times an hour, and used once.

use std::num::NonZeroU32;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};

use crate::application::emails::accounts::write_token;
use crate::application::{Mailing, Store};
use crate::domain::email::email_key;
use crate::domain::ids::UserId;
use crate::domain::state::State;
use crate::domain::time::later;
use crate::domain::user::User;
use crate::domain::user_token::{TokenPurpose, UserToken};
use crate::infrastructure::exceptions::{Failure, Fault, RejectedRequest, ValidationException};
use crate::infrastructure::middleware::{Partition, Quota, RateLimit};
use crate::infrastructure::repositories::{Connection, UnitOfWork, UserTokenRepository};

/// The most tokens of a user for one purpose in [`WINDOW`].
const LIMIT: i64 = 5;
/// The time in which tokens are counted.
const WINDOW: SignedDuration = SignedDuration::from_hours(1);
/// How often all users together may do something by which e-mails are sent to an address, in [`RECIPIENT_WINDOW`].
const RECIPIENT_LIMIT: NonZeroU32 = NonZeroU32::new(5).unwrap();
/// The time in which it is counted.
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
    let now = work.now();
    check_limit(work, now, (user_id, purpose)).await?;
    issue_by(work, mailing, (user_id, purpose), (purpose.name(), email)).await
}

/// Issues a token to a user whose row is locked, and writes the e-mail of a kind to `email` that carries it. The caller
/// limits how often.
pub(super) async fn issue_by(
    work: &mut UnitOfWork,
    mailing: &Mailing,
    (user_id, purpose): (UserId, TokenPurpose),
    (kind, email): (&str, &str),
) -> Result<(), Failure> {
    let token = UserTokenRepository::issue(work, &mailing.key, (user_id, purpose), email).await?;
    write_token(work, &mailing.terms, kind, &token).await
}

/// Fails if a user had the greatest number of tokens for a purpose in the last hour.
///
/// # Errors
///
/// [`RejectedRequest::TooManyEmails`].
pub(super) async fn check_limit(
    connection: &mut Connection,
    now: Timestamp,
    (user_id, purpose): (UserId, TokenPurpose),
) -> Result<(), Failure> {
    let oldest = UserTokenRepository(connection).issued_before_last(user_id, purpose, LIMIT).await?;
    let Some(free_at) = oldest.map(|oldest| later(oldest, WINDOW)) else { return Ok(()) };
    let wait = free_at.duration_since(now);
    if wait.is_positive() {
        let retry_after = u64::try_from(wait.as_secs() + 1).unwrap_or(1);
        return Err(RejectedRequest::TooManyEmails { retry_after }.into());
    }
    Ok(())
}

/// Counts for an address, under the name of a limit, what a user does by which e-mails are sent to it. Fails if all
/// users together did it too often in the last hour: the store must not send more to someone who never asked.
///
/// # Errors
///
/// [`RejectedRequest::TooManyEmails`].
pub(super) async fn check_recipient(store: &Store, name: &'static str, email: &str) -> Result<(), Failure> {
    let (limit, recipient) = recipient_limit(name, email);
    let decision = store.infrastructure.limiter.count(limit, recipient).await;
    if decision.is_allowed {
        return Ok(());
    }
    Err(RejectedRequest::TooManyEmails { retry_after: decision.retry_after(limit.quota) }.into())
}

/// Takes back what [`check_recipient`] counted, since it was not done.
pub(super) async fn uncount_recipient(store: &Store, name: &'static str, email: &str) {
    let (limit, recipient) = recipient_limit(name, email);
    store.infrastructure.limiter.uncount(limit, recipient).await;
}

fn recipient_limit(name: &'static str, email: &str) -> (RateLimit, Partition) {
    let limit = RateLimit { name, quota: Quota::new(RECIPIENT_LIMIT, RECIPIENT_WINDOW) };
    (limit, Partition::digest(&[email_key(email).as_bytes()]))
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
