//! Idempotency keys: the first request with a key does the work, and every other one gets its answer, byte for byte.
//!
//! The key is claimed in the unit of work that has the effect, and answered in the one that settles it, so that
//! neither can be there without the other.

use super::database::{DatabaseError, FromRow, Json, Param, Row, UnitOfWork, lock_rows, params};
use jiff::Timestamp;
use uuid::Uuid;

/// A key with the request it was sent with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// Whose keys these are, and for what: keys of different callers or routes never meet.
    pub scope: String,
    /// The key as the caller sent it.
    pub key: String,
    /// SHA-256 of the request.
    pub request_hash: Vec<u8>,
}

/// An answer as it went out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredResponse {
    /// The HTTP status.
    pub status: u16,
    /// The headers that belong to it.
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
    Answered(StoredResponse),
    /// An earlier request claimed the key and has no response yet.
    Begun {
        /// What the earlier request is about, if it said so.
        subject: Option<Uuid>,
        /// Whether the claim of the earlier request has expired, so that this request has the claim now.
        abandoned: bool,
    },
}

const SEEN: &str = "SELECT request_hash, subject, status, headers, body FROM idempotency_keys \
                    WHERE scope = $1 AND key = $2";

/// Queries on idempotency keys.
pub struct IdempotencyRepository<'a>(pub &'a mut UnitOfWork);

impl IdempotencyRepository<'_> {
    /// Claims a key until `locked_until`; `subject` is what the request is about. Returns `None` if the key was used with
    /// another request.
    pub async fn claim(
        &mut self,
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
        let seen: Seen = self.0.one(SEEN, &params![&key.scope, &key.key]).await?;
        if seen.request_hash != key.request_hash {
            return Ok(None);
        }
        if let Some(answer) = seen.answer {
            return Ok(Some(Claimed::Answered(answer)));
        }
        let sql = "UPDATE idempotency_keys SET locked_until = $3 \
                   WHERE scope = $1 AND key = $2 AND status IS NULL AND locked_until <= $4";
        let abandoned = self.0.execute(sql, &params![&key.scope, &key.key, locked_until, now]).await? == 1;
        Ok(Some(Claimed::Begun { subject: seen.subject, abandoned }))
    }

    /// Stores the response to a key, unless it has one; returns the stored one.
    pub async fn answer(
        &mut self,
        key: &IdempotencyKey,
        response: &StoredResponse,
    ) -> Result<StoredResponse, DatabaseError> {
        let locking = self.locking();
        let seen: Option<Seen> = self.0.first(&locking, &params![&key.scope, &key.key]).await?;
        if let Some(stored) = seen.and_then(|seen| seen.answer) {
            return Ok(stored);
        }
        let sql =
            "UPDATE idempotency_keys SET status = $3, headers = $4, body = $5 WHERE scope = $1 AND key = $2";
        let headers = Param::json(&response.headers);
        let values = params![&key.scope, &key.key, response.status, headers, response.body.as_slice()];
        self.0.defer(sql, &values).await?;
        Ok(response.clone())
    }

    /// Sends for the lock of [`IdempotencyRepository::answer`] ahead; see [`Connection::send_ahead`].
    ///
    /// [`Connection::send_ahead`]: super::database::Connection::send_ahead
    pub(crate) fn answer_ahead(&mut self, key: &IdempotencyKey) {
        let locking = self.locking();
        self.0.send_ahead(&locking, &params![&key.scope, &key.key]);
    }

    fn locking(&self) -> String {
        format!("{SEEN} {}", lock_rows(self.0.engine()))
    }

    /// Clears away keys that expired by `by`; how many.
    pub async fn purge(&mut self, by: Timestamp, limit: i64) -> Result<u64, DatabaseError> {
        // said twice: one that is claimed anew while this waits for it stays
        let sql = "DELETE FROM idempotency_keys WHERE (scope, key) IN \
                   (SELECT scope, key FROM idempotency_keys WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2) \
                   AND expires_at <= $1";
        self.0.execute(sql, &params![by, limit]).await
    }
}

/// A key that was seen before.
struct Seen {
    request_hash: Vec<u8>,
    subject: Option<Uuid>,
    answer: Option<StoredResponse>,
}

impl FromRow for Seen {
    fn from_row(row: &mut Row<'_>) -> Result<Self, DatabaseError> {
        let (request_hash, subject) = row.read()?;
        let answer = match row.read::<Option<u16>>()? {
            None => None,
            Some(status) => {
                let (Json(headers), body) = row.read()?;
                Some(StoredResponse { status, headers, body })
            }
        };
        Ok(Self { request_hash, subject, answer })
    }
}
