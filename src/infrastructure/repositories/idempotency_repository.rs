//! Idempotency keys: the first request with a key has the effect, and each repeated one gets the same response.
//!
//! The key is claimed in the unit of work that has the effect, and its response is stored in the one that completes the
//! request. The claim expires, so that a request that was interrupted can be completed by a repeated one.
//!
//! The body of a response is encrypted by a key that follows from the secret of the store and the idempotency key,
//! since it may contain a secret that the store shows once, such as the token of a guest's order.
//!
//! Not described by `table!`: a claim reads some columns, and a purged key has no type that other code reads.

use super::database::{DatabaseError, FromRow, Json, Param, Row, SigningKey, UnitOfWork, lock_rows, params};
use jiff::Timestamp;
use serde::de::IgnoredAny;
use uuid::Uuid;

/// A key with the request it was sent with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The principal and the route: keys of different principals or routes are different.
    pub scope: String,
    /// The key as the client sent it.
    pub key: String,
    /// The SHA-256 of the request.
    pub request_hash: Vec<u8>,
}

/// A response as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredResponse {
    /// The HTTP status.
    pub status: u16,
    /// The headers that are stored with it, by name.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// The state in which a claim finds its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// The key is new, and claimed by this request.
    New,
    /// The key has a response.
    Responded(StoredResponse),
    /// An earlier request claimed the key and has no response yet.
    Begun {
        /// The id of the aggregate that the earlier request is about, if it has one.
        subject: Option<Uuid>,
        /// Whether the claim of the earlier request has expired, so that this request has the claim now.
        abandoned: bool,
    },
}

const CLAIM: &str = "SELECT request_hash, subject, status, headers, body FROM idempotency_keys \
                    WHERE scope = $1 AND key = $2";

/// Queries on idempotency keys.
pub struct IdempotencyRepository<'a>(pub &'a mut UnitOfWork);

impl IdempotencyRepository<'_> {
    /// Claims a key until `locked_until`; `secret` is that of the store, `subject` is the id of the aggregate that
    /// the request is about. The key is removed after `expires_at`. Returns `None` if the key was used with another
    /// request.
    pub async fn claim(
        &mut self,
        secret: &SigningKey,
        key: &IdempotencyKey,
        subject: Option<Uuid>,
        locked_until: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Option<Claimed>, DatabaseError> {
        let now = self.0.now();
        let sql = "INSERT INTO idempotency_keys (scope, key, request_hash, locked_until, subject, expires_at) \
                   VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (scope, key) DO UPDATE SET \
                   request_hash = excluded.request_hash, locked_until = excluded.locked_until, \
                   subject = excluded.subject, expires_at = excluded.expires_at, status = NULL, headers = NULL, \
                   body = NULL WHERE idempotency_keys.expires_at <= $7";
        let values = params![
            &key.scope,
            &key.key,
            key.request_hash.as_slice(),
            locked_until,
            subject,
            expires_at,
            now,
        ];
        if self.0.execute(sql, &values).await? == 1 {
            return Ok(Some(Claimed::New));
        }
        let claim: StoredClaim = self.0.one(CLAIM, &params![&key.scope, &key.key]).await?;
        if claim.request_hash != key.request_hash {
            return Ok(None);
        }
        if let Some(response) = claim.response {
            return Ok(Some(Claimed::Responded(open(secret, key, response)?)));
        }
        let sql = "UPDATE idempotency_keys SET locked_until = $3 \
                   WHERE scope = $1 AND key = $2 AND status IS NULL AND locked_until <= $4";
        let abandoned = self.0.execute(sql, &params![&key.scope, &key.key, locked_until, now]).await? == 1;
        Ok(Some(Claimed::Begun { subject: claim.subject, abandoned }))
    }

    /// Stores the response to a key, unless it has one; returns the stored one.
    pub async fn respond(
        &mut self,
        secret: &SigningKey,
        key: &IdempotencyKey,
        response: &StoredResponse,
    ) -> Result<StoredResponse, DatabaseError> {
        let sql = self.locking();
        let claim: Option<StoredClaim> = self.0.first(&sql, &params![&key.scope, &key.key]).await?;
        if let Some(stored) = claim.and_then(|claim| claim.response) {
            return open(secret, key, stored);
        }
        let sql =
            "UPDATE idempotency_keys SET status = $3, headers = $4, body = $5 WHERE scope = $1 AND key = $2";
        let sealed =
            secret.seal(self.0, (purpose(key).as_str(), key.request_hash.as_slice()), &response.body)?;
        let headers = Param::json(&response.headers);
        let values = params![&key.scope, &key.key, response.status, headers, sealed];
        self.0.defer(sql, &values).await?;
        Ok(response.clone())
    }

    /// Records the id of the aggregate that the request of a claimed key has created.
    pub async fn set_subject(&mut self, key: &IdempotencyKey, subject: Uuid) -> Result<(), DatabaseError> {
        let sql = "UPDATE idempotency_keys SET subject = $3 WHERE scope = $1 AND key = $2";
        self.0.defer(sql, &params![&key.scope, &key.key, subject]).await
    }

    /// Sends the lock of [`IdempotencyRepository::respond`] ahead; see [`Connection::send_ahead`].
    ///
    /// [`Connection::send_ahead`]: super::database::Connection::send_ahead
    pub(crate) fn respond_ahead(&mut self, key: &IdempotencyKey) {
        let sql = self.locking();
        self.0.send_ahead(&sql, &params![&key.scope, &key.key]);
    }

    fn locking(&self) -> String {
        format!("{CLAIM} {}", lock_rows(self.0.engine()))
    }

    /// Removes up to `limit` keys that expired by `by`; returns their number.
    pub async fn purge(&mut self, by: Timestamp, limit: i64) -> Result<u64, DatabaseError> {
        // The outer condition is checked again after a lock wait: a key that was claimed again is not removed.
        let sql = "DELETE FROM idempotency_keys WHERE (scope, key) IN \
                   (SELECT scope, key FROM idempotency_keys WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2) \
                   AND expires_at <= $1";
        self.0.execute(sql, &params![by, limit]).await
    }
}

/// Returns the stored response to a key as it was sent. The body is empty if it was emptied by an erasure.
fn open(
    secret: &SigningKey,
    key: &IdempotencyKey,
    stored: StoredResponse,
) -> Result<StoredResponse, DatabaseError> {
    if stored.body.is_empty() {
        return Ok(stored);
    }
    match secret.open((purpose(key).as_str(), key.request_hash.as_slice()), &stored.body) {
        Ok(body) => Ok(StoredResponse { body, ..stored }),
        // a release before this one stored it as it is
        Err(_) if serde_json::from_slice::<IgnoredAny>(&stored.body).is_ok() => Ok(stored),
        Err(error) => Err(error),
    }
}

/// Returns what the body of the response to a key is encrypted for. A key has no spaces.
fn purpose(key: &IdempotencyKey) -> String {
    format!("idempotent response {} {}", key.key, key.scope)
}

/// The stored claim of a key, with the response as it is stored.
struct StoredClaim {
    request_hash: Vec<u8>,
    subject: Option<Uuid>,
    response: Option<StoredResponse>,
}

impl FromRow for StoredClaim {
    fn from_row(row: &mut Row<'_>) -> Result<Self, DatabaseError> {
        let (request_hash, subject) = row.read()?;
        let response = match row.read::<Option<u16>>()? {
            None => None,
            Some(status) => {
                let (Json(headers), body) = row.read()?;
                Some(StoredResponse { status, headers, body })
            }
        };
        Ok(Self { request_hash, subject, response })
    }
}
