//! Log-ins: begun with a password, ended by their holder.
//!
//! A log-in has no idempotency key: its answer holds the token, of which the store keeps nothing but the hash. One
//! that is sent twice is two log-ins.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::SecretString;

use crate::domain::ids::{CartId, UserId};
use crate::domain::user::{Session, User, token_hash};
use crate::infrastructure::exceptions::{Failure, UnauthorizedAccessException};
use crate::infrastructure::repositories::{SessionRepository, UserRepository};

use crate::application::Store;
use crate::application::idempotency::later;
use crate::application::selling::cart;

/// Bytes of a token: nobody guesses 256 bits.
const TOKEN: usize = 32;
/// Log-ins that a user may have at once; a new one more ends the oldest.
const AT_ONCE: i64 = 100;

/// Who wants to log in.
#[derive(Debug, Clone)]
pub struct LogIn {
    /// The address they registered with, in any spelling.
    pub email: String,
    /// Their password.
    pub password: SecretString,
    /// The cart they filled as a guest, which becomes theirs.
    pub cart_id: Option<CartId>,
}

/// A log-in that has begun.
#[derive(Clone)]
pub struct LoggedIn {
    /// What its holder shows from here on; told this once.
    pub token: String,
    /// The log-in.
    pub session: Session,
    /// Who it is.
    pub user: User,
}

/// Begins a log-in. Who has no account, or none with a password, is told the same as one who mistyped it, after the
/// same time.
pub async fn log_in(store: &Store, request: LogIn) -> Result<LoggedIn, Failure> {
    let _under_way = store.passwords.begin(&request.email)?;
    let found = UserRepository(&mut store.database().read().await?).by_email(&request.email).await?;
    let hash = found.as_ref().and_then(|user| user.password_hash.clone());
    let matches = store.passwords.matches(&request.password, hash.as_deref()).await?;
    let (Some(user), Some(hash), true) = (found, hash, matches) else {
        return Err(UnauthorizedAccessException::WrongCredentials.into());
    };
    let policy = Arc::clone(&store.policy);
    let write = store.database().write_boxed(move |work| {
        let (policy, user, hash) = (Arc::clone(&policy), user.clone(), hash.clone());
        Box::pin(async move {
            if !UserRepository::lock_password(work, user.id, &hash).await? {
                return Err(UnauthorizedAccessException::WrongCredentials.into());
            }
            let mut secret = [0; TOKEN];
            work.secret(&mut secret);
            let (token, now) = (URL_SAFE_NO_PAD.encode(secret), work.now());
            let session = Session {
                token_hash: token_hash(&token),
                user_id: user.id,
                created_at: now,
                expires_at: later(now, policy.session),
            };
            work.insert(&session).await?;
            SessionRepository::keep_newest(work, user.id, AT_ONCE).await?;
            if let Some(cart_id) = request.cart_id {
                cart::merge(work, &policy, user.id, cart_id).await?;
            }
            Ok(LoggedIn { token, session, user })
        })
    });
    write.await
}

/// Ends a log-in, if it has not ended before.
pub async fn log_out(store: &Store, token_hash: Vec<u8>) -> Result<(), Failure> {
    let write = store.database().write_boxed(move |work| {
        let token_hash = token_hash.clone();
        Box::pin(async move {
            SessionRepository::remove(work, &token_hash).await?;
            Ok(())
        })
    });
    write.await
}

/// Ends every log-in of a user.
pub async fn log_out_everywhere(store: &Store, user_id: UserId) -> Result<(), Failure> {
    let write = store.database().write_boxed(move |work| {
        Box::pin(async move {
            SessionRepository::remove_all_of(work, user_id).await?;
            Ok(())
        })
    });
    write.await
}
