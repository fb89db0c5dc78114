//! The second factor of a user with one-time passwords: a code of the authenticator app, or a recovery code.
//!
//! Each code is used once: the database accepts only that of a later step. Wrong codes are counted for the user, in the
//! transaction that checks them, and delay further ones; a recovery code is accepted all the same. The code that was
//! used last is refused and not counted: the owner may have sent it twice, and a stranger who guesses it learns a code
//! that no one can use any more.

use secrecy::{ExposeSecret, SecretString};

use crate::application::Mailing;
use crate::application::emails::accounts::write_security_notice;
use crate::domain::audit::SecurityAction;
use crate::domain::email::SecurityNotice;
use crate::domain::ids::UserId;
use crate::domain::one_time_password::{OneTimePasswords, matching_step, recovery_code_hash};
use crate::domain::time::later;
use crate::domain::user::User;
use crate::infrastructure::exceptions::{
    Failure, Fault, RejectedRequest, Technical, UnauthorizedAccessException, ValidationException,
};
use crate::infrastructure::repositories::{OneTimePasswordRepository, SigningKey, UnitOfWork};

/// What the secrets are encrypted for.
const PURPOSE: &str = "one-time passwords";

/// What a request has of the second factor.
#[derive(Debug, Clone, Default)]
pub(super) struct SecondFactor {
    /// A code of the authenticator app.
    pub(super) one_time_password: Option<SecretString>,
    /// A recovery code.
    pub(super) recovery_code: Option<SecretString>,
}

impl SecondFactor {
    /// Returns the second factor of a request. An empty code is none: forms send fields that were not filled in.
    pub(super) fn of(one_time_password: Option<SecretString>, recovery_code: Option<SecretString>) -> Self {
        let filled = |code: &SecretString| !code.expose_secret().trim().is_empty();
        Self {
            one_time_password: one_time_password.filter(filled),
            recovery_code: recovery_code.filter(filled),
        }
    }
}

/// Why the second factor is refused. A caller commits its transaction all the same, since the failure is counted in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The request has none.
    Missing,
    /// The code is wrong, or was used.
    WrongCode,
    /// The recovery code is wrong, or was used.
    WrongRecoveryCode,
    /// There were too many wrong codes; the next one is accepted after so many seconds.
    Blocked(u64),
}

impl Refusal {
    /// Returns the failure of logging in.
    pub(super) fn of_log_in(self) -> Failure {
        match self {
            Self::Missing => UnauthorizedAccessException::OneTimePasswordRequired.into(),
            Self::WrongCode | Self::WrongRecoveryCode => {
                UnauthorizedAccessException::WrongOneTimePassword.into()
            }
            Self::Blocked(retry_after) => RejectedRequest::TooMany { retry_after }.into(),
        }
    }

    /// Returns the failure of a request with a session.
    pub(super) fn of_request(self) -> Failure {
        let (member, fault) = match self {
            Self::Missing => ("/one_time_password", Fault::Required),
            Self::WrongCode => ("/one_time_password", Fault::WrongOneTimePassword),
            Self::WrongRecoveryCode => ("/recovery_code", Fault::WrongOneTimePassword),
            Self::Blocked(_) => return self.of_log_in(),
        };
        ValidationException::one(member, fault).into()
    }
}

/// Checks the second factor of a user whose row is locked, if the user has one.
pub(super) async fn verify(
    work: &mut UnitOfWork,
    mailing: &Mailing,
    user: &User,
    given: &SecondFactor,
) -> Result<Result<(), Refusal>, Failure> {
    if user.totp_since.is_none() {
        return Ok(Ok(()));
    }
    if let Some(code) = &given.recovery_code {
        return use_recovery_code(work, mailing, user, code).await;
    }
    let Some(code) = &given.one_time_password else { return Ok(Err(Refusal::Missing)) };
    let known = work.find::<OneTimePasswords>(user.id).await?;
    let known = known.ok_or_else(|| Technical::internal("one-time passwords without a secret"))?;
    use_code(work, mailing, user, (&known, code)).await
}

/// Uses a code, which is right and was not used before, of a user whose row is locked. A wrong one is counted, and
/// after too many of them none is accepted for some time. The one that was used last is refused like a wrong one, and
/// not counted.
pub(super) async fn use_code(
    work: &mut UnitOfWork,
    mailing: &Mailing,
    user: &User,
    (known, code): (&OneTimePasswords, &SecretString),
) -> Result<Result<(), Refusal>, Failure> {
    let now = work.now();
    if let Some(until) = known.blocked_until.filter(|until| *until > now) {
        let seconds = until.duration_since(now).as_secs();
        return Ok(Err(Refusal::Blocked(u64::try_from(seconds + 1).unwrap_or(1))));
    }
    let secret = open(&mailing.key, known)?;
    let step = matching_step(&secret, code.expose_secret(), now);
    if let Some(step) = step
        && OneTimePasswordRepository::use_step(work, user.id, step).await?
    {
        return Ok(Ok(()));
    }
    if step == Some(known.last_step) {
        work.record(SecurityAction::OneTimePasswordRefused, Some(user.id));
        return Ok(Err(Refusal::WrongCode));
    }
    let delay = known.delay_after_failure().map(jiff::SignedDuration::from_mins);
    OneTimePasswordRepository::count_failure(work, user.id, delay.map(|delay| later(now, delay))).await?;
    work.record(SecurityAction::OneTimePasswordRefused, Some(user.id));
    // of an app that is being enrolled the notice would be wrong: no one has logged in with its codes
    if user.totp_since.is_some() && delay.is_some() && known.blocked_until.is_none() {
        write_security_notice(work, mailing, SecurityNotice::OneTimePasswordsRefused, (user.id, &user.email))
            .await?;
    }
    Ok(Err(Refusal::WrongCode))
}

/// Removes the secret of a user who has begun to enrol an app and has not confirmed it.
pub(super) async fn end_enrolment(work: &mut UnitOfWork, user: &User) -> Result<(), Failure> {
    if user.totp_since.is_none() {
        OneTimePasswordRepository::remove(work, user.id).await?;
    }
    Ok(())
}

async fn use_recovery_code(
    work: &mut UnitOfWork,
    mailing: &Mailing,
    user: &User,
    code: &SecretString,
) -> Result<Result<(), Refusal>, Failure> {
    let hash = recovery_code_hash(code.expose_secret());
    if OneTimePasswordRepository::use_recovery_code(work, user.id, &hash).await? {
        work.record(SecurityAction::RecoveryCodeUsed, Some(user.id));
        write_security_notice(work, mailing, SecurityNotice::RecoveryCodeUsed, (user.id, &user.email))
            .await?;
        return Ok(Ok(()));
    }
    work.record(SecurityAction::OneTimePasswordRefused, Some(user.id));
    Ok(Err(Refusal::WrongRecoveryCode))
}

/// Encrypts the secret of a user.
pub(super) fn seal(
    work: &UnitOfWork,
    key: &SigningKey,
    user_id: UserId,
    secret: &[u8],
) -> Result<Vec<u8>, Failure> {
    Ok(key.seal(work, (PURPOSE, user_id.0.as_bytes()), secret)?)
}

/// Decrypts the secret of a user.
fn open(key: &SigningKey, known: &OneTimePasswords) -> Result<Vec<u8>, Failure> {
    Ok(key.open((PURPOSE, known.user_id.0.as_bytes()), &known.secret)?)
}
