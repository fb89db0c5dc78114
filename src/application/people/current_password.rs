//! The current password, which users prove to know once more before changes that outlive a session.

use secrecy::SecretString;

use crate::application::Store;
use crate::domain::audit::SecurityAction;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::user::User;
use crate::infrastructure::exceptions::{Failure, Fault, UserNotFoundException, ValidationException};

use super::{log_in_limits, sessions};

/// Returns the stored hash of a user's password, and fails if `password` is not the user's. Attempts are counted for
/// the session of the request, if it has one.
pub(super) async fn prove(
    store: &Store,
    (user_id, session_id): (UserId, Option<SessionId>),
    password: Option<&SecretString>,
) -> Result<String, Failure> {
    let fault = |fault| ValidationException::one("/current_password", fault);
    let password = password.ok_or_else(|| fault(Fault::Required))?;
    let user = store.database().read().await?.find::<User>(user_id).await?;
    let user = user.ok_or(UserNotFoundException { id: user_id })?;
    let _permit = store.passwords.begin(None, &user.email)?;
    let attempt = log_in_limits::begin_in_session(store, (user_id, session_id)).await?;
    let hash = user.password_hash;
    let matches = attempt.outcome(store.passwords.matches(password, hash.as_deref())).await?;
    if !matches {
        sessions::record(store, SecurityAction::PasswordRefused, Some(user_id)).await?;
    }
    Ok(hash.filter(|_| matches).ok_or_else(|| fault(Fault::WrongPassword))?)
}
