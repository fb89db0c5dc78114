//! Tokens that are sent to users by e-mail. A token is valid until it expires; using or replacing it ends it.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::database::{Connection, DatabaseError, SigningKey, UnitOfWork, params, select, table};
use crate::domain::ids::{UserId, UserTokenId};
use crate::domain::time::later;
use crate::domain::user_token::{TokenPurpose, UserToken};

table! {
    UserToken in "user_tokens", key UserTokenId;
    id,
    user_id,
    purpose,
    token_hash,
    email,
    created_at,
    expires_at,
}

/// Ends tokens at `$1`, also one that was created after that: by a transaction that got the lock of the user first, or
/// by a server whose clock is ahead.
const END: &str = "UPDATE user_tokens SET expires_at = $1, \
                   created_at = CASE WHEN created_at > $1 THEN $1 ELSE created_at END";

/// Returns the text of a token. It follows from the id and the secret of the store, so that only the e-mail has it: it
/// is computed when the token is issued, for its hash, and when the e-mail is handed to the mail server.
/// docs/decisions/0015-tokens-in-e-mails.md explains why.
pub fn token_text(key: &SigningKey, id: UserTokenId) -> String {
    URL_SAFE_NO_PAD.encode(key.sign("user token", id.0.as_bytes()))
}

/// Queries on tokens.
pub struct UserTokenRepository<'a>(pub &'a mut Connection);

impl UserTokenRepository<'_> {
    /// Returns the valid token with this text.
    pub async fn by_text(&mut self, text: &str, now: Timestamp) -> Result<Option<UserToken>, DatabaseError> {
        let hash = hash_of(text);
        self.0
            .first(&select::<UserToken>("WHERE token_hash = $1 AND expires_at > $2"), &params![hash, now])
            .await
    }

    /// Returns the time at which the oldest of the last `count` tokens of a user for a purpose was issued, if there are
    /// so many.
    pub async fn issued_before_last(
        &mut self,
        user_id: UserId,
        purpose: TokenPurpose,
        count: i64,
    ) -> Result<Option<Timestamp>, DatabaseError> {
        let sql = "SELECT created_at FROM user_tokens WHERE user_id = $1 AND purpose = $2 \
                   ORDER BY created_at DESC LIMIT 1 OFFSET $3";
        self.0.first(sql, &params![user_id, purpose, count - 1]).await
    }

    /// Issues a token for an address, in place of earlier ones of the same purpose.
    pub async fn issue(
        work: &mut UnitOfWork,
        key: &SigningKey,
        (user_id, purpose): (UserId, TokenPurpose),
        email: &str,
    ) -> Result<UserToken, DatabaseError> {
        let (id, now) = (work.id(), work.now());
        let sql = format!("{END} WHERE user_id = $2 AND purpose = $3 AND expires_at > $1");
        work.execute(&sql, &params![now, user_id, purpose]).await?;
        let token = UserToken {
            id,
            user_id,
            purpose,
            token_hash: hash_of(&token_text(key, id)),
            email: email.to_owned(),
            created_at: now,
            expires_at: later(now, purpose.lifetime()),
        };
        work.insert(&token).await?;
        Ok(token)
    }

    /// Uses a token; returns whether it was valid until now.
    pub async fn use_once(work: &mut UnitOfWork, id: UserTokenId) -> Result<bool, DatabaseError> {
        let sql = format!("{END} WHERE id = $2 AND expires_at > $1");
        let now = work.now();
        Ok(work.execute(&sql, &params![now, id]).await? == 1)
    }

    /// Ends all tokens of a user.
    pub async fn end_all_of(work: &mut UnitOfWork, user_id: UserId) -> Result<(), DatabaseError> {
        let sql = format!("{END} WHERE user_id = $2 AND expires_at > $1");
        let now = work.now();
        work.defer(&sql, &params![now, user_id]).await
    }

    /// Deletes up to `limit` tokens that were issued before a time and have expired; returns their number.
    pub async fn purge(work: &mut UnitOfWork, before: Timestamp, limit: i64) -> Result<u64, DatabaseError> {
        let sql = "DELETE FROM user_tokens WHERE id IN (SELECT id FROM user_tokens \
                   WHERE created_at < $1 AND expires_at <= $2 ORDER BY created_at LIMIT $3)";
        let now = work.now();
        work.execute(sql, &params![before, now, limit]).await
    }
}

fn hash_of(text: &str) -> Vec<u8> {
    Sha256::digest(text).to_vec()
}
