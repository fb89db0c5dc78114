//! Sessions: a user logs in with a password, and logs out.
//!
//! Logging in takes no idempotency key: the response holds the token, of which the store keeps only the hash. A
//! repeated request creates a second session.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::domain::ids::{CartId, UserId};
use crate::domain::user::{Session, User, token_hash};
use crate::infrastructure::exceptions::{Failure, UnauthorizedAccessException};
use crate::infrastructure::repositories::{SessionRepository, UnitOfWork, UserRepository};

use super::passwords::Passwords;
use crate::application::selling::cart;
use crate::application::{Store, Terms};
use crate::domain::time::later;

/// The length of a token in bytes.
const TOKEN_BYTES: usize = 32;
/// The most sessions of a user; a further one ends the oldest.
const MAX_SESSIONS: i64 = 100;

/// The credentials of a user.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateSession {
    /// The e-mail address of the account, in any spelling.
    #[schema(max_length = 254)]
    pub email: String,
    /// The password.
    #[schema(value_type = String, max_length = 128)]
    pub password: SecretString,
    /// A guest's cart: it becomes the user's, or is merged into the user's open cart.
    pub cart_id: Option<CartId>,
}

/// A session that was created, with its token.
#[derive(Clone)]
pub struct CreatedSession {
    /// The token. The store keeps only its hash.
    pub token: String,
    /// The session.
    pub session: Session,
    /// The user.
    pub user: User,
}

/// Creates a session. An unknown address and a wrong password give the same failure after the same time.
pub async fn log_in(store: &Store, request: CreateSession) -> Result<CreatedSession, Failure> {
    let _permit = store.passwords.begin(&request.email)?;
    let found = UserRepository(&mut store.database().read().await?).by_email(&request.email).await?;
    let hash = found.as_ref().and_then(|user| user.password_hash.clone());
    let matches = store.passwords.matches(&request.password, hash.as_deref()).await?;
    let (Some(user), Some(hash), true) = (found, hash, matches) else {
        return Err(UnauthorizedAccessException::WrongCredentials.into());
    };

    let rehashed = match Passwords::is_current(&hash) {
        true => None,
        false => Some(store.passwords.hash(&request.password).await?),
    };

    let given = (Arc::clone(&store.terms), user, Hashes { stored: hash, rehashed }, request.cart_id);
    let write = store.database().write(given, async |work, (terms, user, hashes, cart_id)| {
        create(work, terms, user, hashes, *cart_id).await
    });
    write.await
}

/// The hashes of the password with which a user logs in.
struct Hashes {
    /// The stored hash.
    stored: String,
    /// The hash with the parameters of today, if the stored one has others.
    rehashed: Option<String>,
}

async fn create(
    work: &mut UnitOfWork,
    terms: &Terms,
    user: &User,
    hashes: &Hashes,
    cart_id: Option<CartId>,
) -> Result<CreatedSession, Failure> {
    if !UserRepository::lock_password(work, user.id, &hashes.stored).await? {
        return Err(UnauthorizedAccessException::WrongCredentials.into());
    }
    if let Some(rehashed) = &hashes.rehashed {
        UserRepository::set_password_hash(work, user.id, rehashed).await?;
    }
    let mut secret = [0; TOKEN_BYTES];
    work.secret(&mut secret);
    let (token, now) = (URL_SAFE_NO_PAD.encode(secret), work.now());
    let session = Session {
        token_hash: token_hash(&token),
        user_id: user.id,
        created_at: now,
        expires_at: later(now, terms.session),
    };
    work.insert(&session).await?;
    SessionRepository::keep_newest(work, user.id, MAX_SESSIONS).await?;
    if let Some(cart_id) = cart_id {
        cart::merge(work, terms, user.id, cart_id).await?;
    }
    Ok(CreatedSession { token, session, user: user.clone() })
}

/// Returns the session with this hash of its token, and its user; `None` if the session has ended.
pub async fn by_token_hash(store: &Store, token_hash: &[u8]) -> Result<Option<(Session, User)>, Failure> {
    let now = store.now();
    let mut connection = store.database().read().await?;
    Ok(SessionRepository(&mut connection).by_token_hash(token_hash, now).await?)
}

/// Ends a session, if it has not ended before.
pub async fn log_out(store: &Store, token_hash: Vec<u8>) -> Result<(), Failure> {
    let write = store.database().write(token_hash, async |work, token_hash| {
        SessionRepository::remove(work, token_hash).await.map_err(Failure::from)
    });
    write.await.map(drop)
}

/// Ends all sessions of a user.
pub async fn log_out_everywhere(store: &Store, user_id: UserId) -> Result<(), Failure> {
    let write = store.database().write(user_id, async |work, user_id| {
        SessionRepository::remove_all_of(work, *user_id).await.map_err(Failure::from)
    });
    write.await.map(drop)
}
