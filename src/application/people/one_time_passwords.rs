//! One-time passwords: a user enrols an authenticator app, gets recovery codes, and ends both.

use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;

use super::granting::{Grantable, Granter};
use super::second_factor::{self, Refusal, SecondFactor};
use super::{current_password, sessions, users};
use crate::application::emails::accounts::write_security_notice;
use crate::application::{Mailing, Store};
use crate::domain::audit::SecurityAction;
use crate::domain::email::SecurityNotice;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::one_time_password::{
    OneTimePasswords, RECOVERY_CODE_BYTES, RECOVERY_CODES, SECRET_BYTES, otpauth_uri, recovery_code_hash,
    recovery_code_text, secret_text,
};
use crate::domain::user::User;
use crate::infrastructure::exceptions::{
    Conflict, Failure, Fault, UnauthorizedAccessException, ValidationException,
};
use crate::infrastructure::repositories::{OneTimePasswordRepository, UnitOfWork};

/// A request to enrol an authenticator app.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BeginTotp {
    /// The current password.
    #[schema(value_type = String, max_length = 128)]
    pub current_password: SecretString,
}

/// A code of the app that is enrolled.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmTotp {
    /// The code that the app shows.
    #[schema(value_type = String, min_length = 6, max_length = 16, example = "492039")]
    pub one_time_password: SecretString,
}

/// The proof of both factors: the password, and a code of the app or a recovery code.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BothFactors {
    /// The current password.
    #[schema(value_type = String, max_length = 128)]
    pub current_password: SecretString,
    /// The code that the app shows.
    #[schema(value_type = Option<String>, nullable = false, max_length = 16)]
    pub one_time_password: Option<SecretString>,
    /// A recovery code, in place of the code.
    #[schema(value_type = Option<String>, nullable = false, max_length = 64)]
    pub recovery_code: Option<SecretString>,
}

/// What an authenticator app needs. It is shown once.
#[derive(Clone)]
pub struct Enrolment {
    /// The secret, in base 32.
    pub secret: String,
    /// The URI that the app reads from a QR code.
    pub otpauth_uri: String,
}

/// An app that was enrolled.
pub struct ConfirmedTotp {
    /// The recovery codes.
    pub recovery_codes: Vec<String>,
    /// The new token of the session that sent the code; `None` if the session has ended meanwhile.
    pub token: Option<String>,
}

/// Gives a user a secret, in place of one that was not confirmed. Logging in does not require a code yet.
///
/// # Errors
///
/// [`Conflict::AlreadyExists`] if an app is enrolled.
pub async fn begin(
    store: &Store,
    (user_id, session_id): (UserId, SessionId),
    request: BeginTotp,
) -> Result<Enrolment, Failure> {
    let by = (user_id, Some(session_id));
    let proven = current_password::prove(store, by, Some(&request.current_password)).await?;
    let write = store.database().write((store.mailing(), user_id, proven), async |work, given| {
        let (mailing, user_id, proven) = given;
        let user = lock_proven(work, *user_id, proven).await?;
        check_not_enrolled(&user)?;
        let mut secret = [0; SECRET_BYTES];
        work.secret(&mut secret);
        let sealed = second_factor::seal(work, &mailing.key, user.id, &secret)?;
        OneTimePasswordRepository::begin(work, user.id, &sealed).await?;
        let otpauth_uri = otpauth_uri(&secret, &mailing.terms.name, &user.email);
        Ok::<_, Failure>(Enrolment { secret: secret_text(&secret), otpauth_uri })
    });
    write.await
}

/// Enrols the app that shows this code: from now on logging in requires one. Ends all other sessions of the user, and
/// gives that of the request another token: an administrator may do more by it than before. Wrong codes are counted as
/// at logging in.
///
/// # Errors
///
/// [`Conflict::AlreadyExists`] if an app is enrolled, [`Fault::NoEnrolment`] if the user has no secret or an old one,
/// and those of a wrong code.
pub async fn confirm(
    store: &Store,
    user_id: UserId,
    token_hash: Vec<u8>,
    request: ConfirmTotp,
) -> Result<ConfirmedTotp, Failure> {
    let given = (store.mailing(), user_id, token_hash, request.one_time_password);
    let write = store.database().write(given, async |work, (mailing, user_id, token_hash, code)| {
        let mut user = users::lock_not_erased(work, *user_id).await?;
        check_not_enrolled(&user)?;
        let known = work.find::<OneTimePasswords>(user.id).await?;
        let known = known.filter(|known| known.can_be_confirmed(work.now()));
        let none = || ValidationException::one("/one_time_password", Fault::NoEnrolment);
        let known = known.ok_or_else(none)?;
        if let Err(refusal) = second_factor::use_code(work, mailing, &user, (&known, code)).await? {
            return Ok(Err(refusal));
        }
        user.totp_since = Some(work.now());
        work.update(&mut user).await?;
        work.record(SecurityAction::OneTimePasswordsEnabled, Some(user.id));
        let session = (user.id, token_hash.as_slice());
        let (ended, token) = sessions::rotate(work, &mailing.key, session).await?;
        write_security_notice(work, mailing, SecurityNotice::OneTimePasswordsEnabled, (user.id, &user.email))
            .await?;
        Ok::<_, Failure>(Ok((ended, token, new_recovery_codes(work, user.id).await?)))
    });
    let (ended, token, recovery_codes) = write.await?.map_err(Refusal::of_request)?;
    let goes_on = store.sessions().end_in_redis(&ended).await;
    Ok(ConfirmedTotp { recovery_codes, token: goes_on.then_some(token) })
}

/// Gives a user new recovery codes, in place of all earlier ones.
pub async fn replace_recovery_codes(
    store: &Store,
    by: (UserId, SessionId),
    request: BothFactors,
) -> Result<Vec<String>, Failure> {
    with_both_factors(store, by, request, Action::ReplaceCodes).await
}

/// Ends the one-time passwords of a user: logging in requires the password alone.
pub async fn end(store: &Store, by: (UserId, SessionId), request: BothFactors) -> Result<(), Failure> {
    with_both_factors(store, by, request, Action::End).await.map(drop)
}

/// Ends the one-time passwords of another user, who has lost the app and the recovery codes.
///
/// # Errors
///
/// [`UnauthorizedAccessException::NotAllowed`] for the own account, whose factors have to be proven.
pub async fn end_by_administrator(
    store: &Store,
    granter: Granter,
    user_id: UserId,
    administrator: UserId,
) -> Result<(), Failure> {
    if user_id == administrator {
        return Err(UnauthorizedAccessException::NotAllowed.into());
    }
    let given = (store.mailing(), granter, user_id);
    let write = store.database().write(given, async |work, (mailing, granter, user_id)| {
        let grantable = Grantable::lock(work, *granter).await?;
        let user = users::lock_not_erased(work, *user_id).await?;
        grantable.check_user(work, &user).await?;
        end_in(work, mailing, user).await
    });
    write.await
}

/// What requires both factors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    ReplaceCodes,
    End,
}

async fn with_both_factors(
    store: &Store,
    (user_id, session_id): (UserId, SessionId),
    request: BothFactors,
    action: Action,
) -> Result<Vec<String>, Failure> {
    let BothFactors { current_password, one_time_password, recovery_code } = request;
    let proven = current_password::prove(store, (user_id, Some(session_id)), Some(&current_password)).await?;
    let given =
        (store.mailing(), user_id, proven, SecondFactor::of(one_time_password, recovery_code), action);
    let write = store.database().write(given, async |work, (mailing, user_id, proven, factor, action)| {
        let user = lock_proven(work, *user_id, proven).await?;
        if let Err(refusal) = second_factor::verify(work, mailing, &user, factor).await? {
            return Ok::<_, Failure>(Err(refusal));
        }
        match action {
            Action::End => end_in(work, mailing, user).await.map(|()| Ok(Vec::new())),
            // there is no app that they could replace
            Action::ReplaceCodes if user.totp_since.is_none() => Ok(Err(Refusal::WrongCode)),
            Action::ReplaceCodes => {
                work.record(SecurityAction::RecoveryCodesReplaced, Some(user.id));
                let to = (user.id, user.email.as_str());
                write_security_notice(work, mailing, SecurityNotice::RecoveryCodesReplaced, to).await?;
                new_recovery_codes(work, user.id).await.map(Ok)
            }
        }
    });
    write.await?.map_err(Refusal::of_request)
}

/// Ends the one-time passwords of a user whose row is locked; does nothing if there are none.
async fn end_in(work: &mut UnitOfWork, mailing: &Mailing, mut user: User) -> Result<(), Failure> {
    if remove(work, mailing, &mut user).await? {
        work.update(&mut user).await?;
    }
    Ok(())
}

/// Ends the one-time passwords of a user whose row is locked, and which the caller updates; returns whether there were
/// any. The owner gets a notice of it.
pub(super) async fn remove(
    work: &mut UnitOfWork,
    mailing: &Mailing,
    user: &mut User,
) -> Result<bool, Failure> {
    OneTimePasswordRepository::remove(work, user.id).await?;
    if user.totp_since.take().is_none() {
        return Ok(false);
    }
    work.record(SecurityAction::OneTimePasswordsDisabled, Some(user.id));
    write_security_notice(work, mailing, SecurityNotice::OneTimePasswordsDisabled, (user.id, &user.email))
        .await?;
    Ok(true)
}

/// Locks a user whose password still has the hash that was proven.
async fn lock_proven(work: &mut UnitOfWork, user_id: UserId, proven: &str) -> Result<User, Failure> {
    let user = users::lock_not_erased(work, user_id).await?;
    if user.password_hash.as_deref() != Some(proven) {
        return Err(Conflict::Stale.into());
    }
    Ok(user)
}

fn check_not_enrolled(user: &User) -> Result<(), Failure> {
    match user.totp_since {
        Some(_) => Err(Conflict::AlreadyExists { field: "totp" }.into()),
        None => Ok(()),
    }
}

/// Generates recovery codes; the store keeps their hashes.
async fn new_recovery_codes(work: &mut UnitOfWork, user_id: UserId) -> Result<Vec<String>, Failure> {
    let code = |_| {
        let mut bytes = [0; RECOVERY_CODE_BYTES];
        work.secret(&mut bytes);
        recovery_code_text(bytes)
    };
    let codes: Vec<_> = (0..RECOVERY_CODES).map(code).collect();
    let hashes: Vec<_> = codes.iter().map(|code| recovery_code_hash(code)).collect();
    OneTimePasswordRepository::replace_recovery_codes(work, user_id, &hashes).await?;
    Ok(codes)
}
