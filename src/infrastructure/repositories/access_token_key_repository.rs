//! The keys that sign access tokens.

use super::database::{Connection, DatabaseError, UnitOfWork, params, select, table};
use crate::domain::access_token::{AccessTokenKey, published_keys};
use crate::domain::ids::AccessTokenKeyId;

table! {
    AccessTokenKey in "access_token_keys", key AccessTokenKeyId;
    id,
    created_at,
}

/// Queries on the keys of access tokens.
pub struct AccessTokenKeyRepository<'a>(pub &'a mut Connection);

impl AccessTokenKeyRepository<'_> {
    /// Returns all keys in the order of their creation.
    pub async fn all(&mut self) -> Result<Vec<AccessTokenKey>, DatabaseError> {
        self.0.all(&select::<AccessTokenKey>("ORDER BY created_at, id"), &[]).await
    }

    /// Returns all keys, and locks them until the transaction ends.
    pub async fn lock_all(work: &mut UnitOfWork) -> Result<Vec<AccessTokenKey>, DatabaseError> {
        work.lock_name("access_token_keys").await?;
        AccessTokenKeyRepository(work).all().await
    }

    /// Creates a key, and removes those of `keys` that are not published any more; returns the new key.
    pub async fn add(
        work: &mut UnitOfWork,
        keys: &[AccessTokenKey],
    ) -> Result<AccessTokenKey, DatabaseError> {
        let (id, now) = (work.id(), work.now());
        let key = AccessTokenKey { id, created_at: now };
        let published = published_keys(keys, now);
        for ended in keys.iter().filter(|key| !published.contains(key)) {
            work.execute("DELETE FROM access_token_keys WHERE id = $1", &params![ended.id]).await?;
        }
        work.insert(&key).await?;
        Ok(key)
    }
}
