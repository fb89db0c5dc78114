//! What users change of their own account.

use jiff::{Timestamp, civil::Date};
use secrecy::SecretString;

use crate::domain::ids::UserId;
use crate::domain::user::User;
use crate::infrastructure::exceptions::{
    Conflict, EmailAlreadyUsedException, Failure, Fault, UserNotFoundException, ValidationException,
};
use crate::infrastructure::repositories::SessionRepository;

use super::accounts::check_birth_date;
use crate::application::{Store, check_version};

/// What a user wants changed of their account.
#[derive(Debug, Clone, Default)]
pub struct ProfileChange {
    /// Another name.
    pub name: Option<String>,
    /// Another birth date, or none.
    pub birth_date: Option<Option<Date>>,
    /// Another address.
    pub email: Option<String>,
    /// Another password.
    pub password: Option<SecretString>,
    /// The password as it is: without it address and password stay as they are.
    pub current_password: Option<SecretString>,
}

/// Whose account is changed, from where.
#[derive(Debug, Clone)]
pub struct Owner {
    /// Whose.
    pub user_id: UserId,
    /// The log-in it is changed from.
    pub token_hash: Vec<u8>,
    /// The version that was seen, if no other is to be changed.
    pub version: Option<i64>,
}

/// Changes an account. Another password ends every log-in but the one it is changed from.
pub async fn change(store: &Store, owner: Owner, change: ProfileChange) -> Result<User, Failure> {
    let proof = if change.email.is_some() || change.password.is_some() {
        Some(prove(store, owner.user_id, change.current_password.as_ref()).await?)
    } else {
        None
    };
    let password_hash = match &change.password {
        Some(password) => Some(store.passwords.hash(password).await?),
        None => None,
    };
    let write = store.database().write_boxed(move |work| {
        let (owner, change, proof) = (owner.clone(), change.clone(), proof.clone());
        let password_hash = password_hash.clone();
        Box::pin(async move {
            let missing = UserNotFoundException { id: owner.user_id };
            let mut user = work.find::<User>(owner.user_id).await?.ok_or(missing)?;
            check_version(user.version, owner.version)?;
            if proof.is_some() && proof != user.password_hash {
                return Err(Conflict::Stale.into());
            }
            apply(&mut user, change, work.now())?;
            let ends_others = password_hash.is_some();
            user.password_hash = password_hash.or(user.password_hash);
            match work.update(&mut user).await {
                Err(error) if error.is_taken("users_email") => return Err(EmailAlreadyUsedException.into()),
                done => done?,
            }
            // only now: a log-in that holds the old password is waited for by the change, and then seen
            if ends_others {
                SessionRepository::remove_others_of(work, user.id, &owner.token_hash).await?;
            }
            Ok(user)
        })
    });
    write.await
}

/// The hash of a user's password, given that they know the password.
async fn prove(store: &Store, user_id: UserId, password: Option<&SecretString>) -> Result<String, Failure> {
    let fault = |fault| ValidationException::one("/current_password", fault);
    let password = password.ok_or_else(|| fault(Fault::Required))?;
    let user = store.database().read().await?.find::<User>(user_id).await?;
    let hash = user.and_then(|user| user.password_hash);
    let matches = store.passwords.matches(password, hash.as_deref()).await?;
    Ok(hash.filter(|_| matches).ok_or_else(|| fault(Fault::Invalid))?)
}

fn apply(user: &mut User, change: ProfileChange, now: Timestamp) -> Result<(), Failure> {
    if let Some(name) = change.name {
        user.name = name;
    }
    if let Some(birth_date) = change.birth_date {
        check_birth_date(birth_date, now)?;
        user.birth_date = birth_date;
    }
    if let Some(email) = change.email
        && email != user.email
    {
        user.email = email;
        user.email_verified_at = None;
    }
    user.updated_at = now;
    Ok(())
}
