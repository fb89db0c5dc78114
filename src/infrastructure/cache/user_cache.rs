//! Users by id, without the hash of the password. Each change of a user's data ends what is kept of it. A password is
//! checked with what the database has.

use std::time::Duration;

use super::cached::Cached;
use super::entry::Loaded;
use super::own::{Own, is_latest};
use super::policy::Policy;
use super::private::Private;
use super::tiers::Tiers;
use crate::domain::user::User;
use crate::infrastructure::repositories::{Database, DatabaseError};

const POLICY: Policy = Policy { ttl: Duration::from_mins(1), max_bytes: 8 << 20, ..Policy::named("user", 1) };

/// Users, erased ones included, without the hash of their password.
pub type UserCache = Cached<Own<()>, Private<User>, DatabaseError>;

pub(super) fn user_cache(tiers: &Tiers, database: Database) -> UserCache {
    let source = database.clone();
    let latest = move |key: Own<()>| is_latest(source.clone(), key.data);
    tiers.cached_by_version(POLICY, latest, move |key| load(database.clone(), key))
}

async fn load(database: Database, key: Own<()>) -> Result<Loaded<Private<User>>, DatabaseError> {
    let found: Option<User> = database.read().await?.find(key.data.user_id).await?;
    let value = found.map(|user| Private::new(User { password_hash: None, ..user }));
    Ok(Loaded { value, tags: Vec::new(), bytes: 400 })
}
