//! The e-mail addresses of accounts: verified and changed by tokens in e-mails.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use utoipa::ToSchema;

use super::users::lock_not_erased;
use super::{authentication, sessions, tokens};
use crate::application::emails::accounts::{are_sent, write_security_notice};
use crate::application::{Mailing, Store};
use crate::domain::audit::SecurityAction;
use crate::domain::email::SecurityNotice;
use crate::domain::ids::UserId;
use crate::domain::user::User;
use crate::domain::user_token::TokenPurpose;
use crate::infrastructure::exceptions::{Conflict, EmailAlreadyUsedException, Failure};
use crate::infrastructure::repositories::{EndedSessions, UnitOfWork, UserRepository, UserTokenRepository};

/// The purposes of tokens that verify an address.
const PURPOSES: [TokenPurpose; 2] = [TokenPurpose::EmailVerification, TokenPurpose::EmailChange];

/// A token that was sent to an e-mail address.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyEmail {
    /// The token of the e-mail.
    #[schema(value_type = String, min_length = 1, max_length = 128)]
    pub token: SecretString,
}

/// Sends a token to the address of a user, unless it is verified already.
///
/// # Errors
///
/// [`Conflict::NoEmails`], and `TooManyEmails`.
pub async fn send_verification(store: &Store, user_id: UserId) -> Result<(), Failure> {
    let write = store.database().write((store.mailing(), user_id), async |work, (mailing, user_id)| {
        if !are_sent(work, &mailing.terms).await? {
            return Err(Conflict::NoEmails.into());
        }
        let user = lock_not_erased(work, *user_id).await?;
        if user.email_verified_at.is_some() {
            return Ok(());
        }
        tokens::issue(work, mailing, (user.id, TokenPurpose::EmailVerification), &user.email).await
    });
    write.await
}

/// Sends a token to the address of a user who has just registered, if the store sends e-mails.
pub(super) async fn welcome(work: &mut UnitOfWork, mailing: &Mailing, user: &User) -> Result<(), Failure> {
    if !are_sent(work, &mailing.terms).await? {
        return Ok(());
    }
    tokens::issue(work, mailing, (user.id, TokenPurpose::EmailVerification), &user.email).await
}

/// Begins the change of a user's address: the new one gets a token, the present one a notice. Whether the new one
/// has an account is not looked up, so that nothing reveals it: the use of the token fails if it has.
pub(super) async fn begin_change(
    work: &mut UnitOfWork,
    mailing: &Mailing,
    user: &User,
    email: &str,
) -> Result<(), Failure> {
    work.record(SecurityAction::EmailChangeRequested, Some(user.id));
    tokens::issue(work, mailing, (user.id, TokenPurpose::EmailChange), email).await?;
    write_security_notice(work, mailing, SecurityNotice::EmailChangeRequested, (user.id, &user.email)).await
}

/// Verifies the address to which a token was sent. The token of a change makes it the address of the account, and
/// ends the sessions of the user, except the one to which the first of these texts belongs that is a credential of a
/// session of the user.
///
/// # Errors
///
/// [`RedisUnavailable`](crate::infrastructure::cache::RedisUnavailable) if the session cannot be looked up, since it
/// would end otherwise, too.
pub async fn verify(
    store: &Store,
    credentials: &[SecretString],
    request: VerifyEmail,
) -> Result<(), Failure> {
    let token = tokens::check(store, &request.token, &PURPOSES).await?;
    let session_hash = match token.purpose {
        TokenPurpose::EmailChange => own_session(store, token.user_id, credentials).await?,
        TokenPurpose::EmailVerification | TokenPurpose::PasswordReset => None,
    };
    let given = (store.mailing(), session_hash, request);
    let write = store.database().write(given, async |work, (mailing, session_hash, request)| {
        verify_in(work, mailing, session_hash.as_deref(), &request.token).await
    });
    if let Some(ended) = write.await? {
        sessions::end_in_redis(store, &ended).await;
    }
    Ok(())
}

/// Returns the hash of the token of a user's session to which the first of these texts belongs.
async fn own_session(
    store: &Store,
    user_id: UserId,
    credentials: &[SecretString],
) -> Result<Option<Vec<u8>>, Failure> {
    for text in credentials {
        let session = authentication::session(store, text.expose_secret()).await?;
        if let Some(session) = session.filter(|session| session.user_id == user_id) {
            return Ok(Some(session.token_hash));
        }
    }
    Ok(None)
}

async fn verify_in(
    work: &mut UnitOfWork,
    mailing: &Mailing,
    session_hash: Option<&[u8]>,
    text: &SecretString,
) -> Result<Option<EndedSessions>, Failure> {
    let (token, mut user) = tokens::use_once(work, text, &PURPOSES).await?;
    let mut ended = None;
    if token.purpose == TokenPurpose::EmailChange {
        let former = std::mem::replace(&mut user.email, token.email);
        write_security_notice(work, mailing, SecurityNotice::EmailChanged, (user.id, &former)).await?;
        work.record(SecurityAction::EmailChanged, Some(user.id));
        // those that were sent to the former address
        UserTokenRepository::end_all_of(work, user.id).await?;
        ended = Some(sessions::end_others(work, user.id, session_hash).await?);
    } else if token.email != user.email {
        return Err(tokens::invalid());
    }
    user.email_verified_at = Some(work.now());
    work.record(SecurityAction::EmailVerified, Some(user.id));
    let is_free = UserRepository::update_unique_email(work, &mut user).await?;
    if is_free { Ok(ended) } else { Err(EmailAlreadyUsedException.into()) }
}
