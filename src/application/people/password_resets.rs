//! Password resets: a token in an e-mail allows its holder to set a new password.

use std::sync::Arc;

use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::common_passwords::check_password;
use super::users::lock_not_erased;
use super::{known_devices, one_time_passwords, second_factor, sessions, tokens};
use crate::application::emails::accounts::{are_sent, write_security_notice};
use crate::application::{Mailing, Store};
use crate::domain::audit::SecurityAction;
use crate::domain::email::SecurityNotice;
use crate::domain::ids::UserId;
use crate::domain::user::{Role, User};
use crate::domain::user_token::TokenPurpose;
use crate::infrastructure::exceptions::{Conflict, Failure, RejectedRequest};
use crate::infrastructure::repositories::{
    ApiKeyRepository, IdentityRepository, SessionRepository, UnitOfWork, UserRepository, UserTokenRepository,
    spawn_in_trace,
};

/// The purpose of the tokens.
const PURPOSES: [TokenPurpose; 1] = [TokenPurpose::PasswordReset];

/// The account whose password was forgotten.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestPasswordReset {
    /// The e-mail address of the account, in any spelling.
    #[schema(max_length = 254)]
    pub email: String,
}

/// A new password, with the token that allows it.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResetPassword {
    /// The token of the e-mail.
    #[schema(value_type = String, min_length = 1, max_length = 128)]
    pub token: SecretString,
    /// The new password.
    #[schema(value_type = String, min_length = 8, max_length = 128)]
    pub password: SecretString,
}

/// Sends a token to the address of an account, if there is one.
///
/// The account is looked for after the response, in a task of its own: neither the response nor its time depends on
/// it. If the process ends before, no e-mail is sent.
///
/// # Errors
///
/// [`Conflict::NoEmails`], and [`RejectedRequest::TooManyAtOnce`].
pub async fn request(store: &Store, request: RequestPasswordReset) -> Result<(), Failure> {
    if !are_sent(&mut store.database().read().await?, &store.terms).await? {
        return Err(Conflict::NoEmails.into());
    }
    let permit = Arc::clone(&store.password_resets).try_acquire_owned();
    let permit = permit.map_err(|_| RejectedRequest::TooManyAtOnce)?;
    let store = store.clone();
    spawn_in_trace(async move {
        let _permit = permit;
        if let Err(failure) = send(&store, request).await {
            tracing::error!(failure = %failure.report(), "the e-mail of a password reset was not written");
        }
    });
    Ok(())
}

/// Sends a token to the address of an account, if there is one and its owner may have one more e-mail.
///
/// Without an e-mail, the same is read and nothing is written, whether there is an account or not: the responses of
/// other requests at that time say nothing either.
pub async fn send(store: &Store, request: RequestPasswordReset) -> Result<(), Failure> {
    match send_to_owner(store, request).await {
        // the owner has as many e-mails as they may have
        Err(failure) if matches!(failure.downcast_ref(), Some(RejectedRequest::TooManyEmails { .. })) => {
            Ok(())
        }
        sent => sent,
    }
}

async fn send_to_owner(store: &Store, request: RequestPasswordReset) -> Result<(), Failure> {
    let mut connection = store.database().read().await?;
    let owner = UserRepository(&mut connection).by_email(&request.email).await?;
    let user_id = owner.as_ref().map_or(UserId(Uuid::nil()), |owner| owner.id);
    let token = (user_id, TokenPurpose::PasswordReset);
    tokens::check_limit(&mut connection, store.now(), token).await?;
    drop(connection);
    if owner.is_none() {
        return Ok(());
    }

    let write = store.database().write((store.mailing(), request), async |work, (mailing, request)| {
        send_in(work, mailing, &request.email).await
    });
    write.await
}

async fn send_in(work: &mut UnitOfWork, mailing: &Mailing, email: &str) -> Result<(), Failure> {
    let Some(user) = UserRepository(work).by_email(email).await? else { return Ok(()) };
    let user = lock_not_erased(work, user.id).await?;
    work.record(SecurityAction::PasswordResetRequested, Some(user.id));
    tokens::issue(work, mailing, (user.id, TokenPurpose::PasswordReset), &user.email).await
}

/// Sets the password of the user whom a token was sent to, ends all of their sessions, API keys and other tokens, and
/// verifies the address to which the token was sent. One-time passwords remain, unless a customer has added them before
/// the address was verified. Returns the token by which the device is known from now on: failed log-ins of strangers do
/// not keep the user from logging in with it.
pub async fn reset(store: &Store, request: ResetPassword) -> Result<String, Failure> {
    let user_id = tokens::check(store, &request.token, &PURPOSES).await?.user_id;
    let user: Option<User> = store.database().read().await?.find(user_id).await?;
    let user = user.ok_or_else(tokens::invalid)?;
    check_password(&request.password, &user.email, &user.name)?;
    let hash = store.passwords.hash(&request.password).await?;
    let device = known_devices::issue(store, user_id, &hash);
    let write = store.database().write(
        (store.mailing(), request.token, hash),
        async |work, (mailing, token, hash)| {
            let (token, mut user) = tokens::use_once(work, token, &PURPOSES).await?;
            if token.email == user.email && user.email_verified_at.is_none() {
                user.email_verified_at = Some(work.now());
                // someone else may have registered with the address, but not as an administrator
                if user.role == Role::Customer {
                    one_time_passwords::remove(work, mailing, &mut user).await?;
                }
                IdentityRepository::remove_all_of(work, user.id).await?;
            }
            second_factor::end_enrolment(work, &user).await?;
            ApiKeyRepository::remove_all_of(work, user.id).await?;
            user.password_hash = Some(hash.clone());
            work.record(SecurityAction::PasswordReset, Some(user.id));
            write_security_notice(work, mailing, SecurityNotice::PasswordChanged, (user.id, &user.email))
                .await?;
            work.update(&mut user).await?;
            UserTokenRepository::end_all_of(work, user.id).await?;
            Ok::<_, Failure>(SessionRepository::end_all_of(work, user.id).await?)
        },
    );
    sessions::end_in_redis(store, &write.await?).await;
    Ok(device)
}
