//! Users by id, without the hash of the password. Each change of a user's data ends what is kept of it. A password is
//! checked with what the database has.
//!
//! There are none by e-mail address: what begins with one writes, or checks a password, beside which a query costs
//! nothing (docs/decisions/0028-caches-of-shoppers-are-kept-by-version.md).

use std::time::Duration;

use super::cached::Cached;
use super::entry::Loaded;
use super::own::{Own, own_cache};
use super::policy::Policy;
use super::private::Private;
use super::tiers::Tiers;
use super::weight::{self, optional, texts};
use crate::domain::user::User;
use crate::infrastructure::repositories::{Database, DatabaseError};

const POLICY: Policy = Policy { ttl: Duration::from_mins(1), max_bytes: 8 << 20, ..Policy::named("user", 1) };

/// Users, erased ones included, without the hash of their password.
pub type UserCache = Cached<Own<()>, Private<User>, DatabaseError>;

pub(super) fn user_cache(tiers: &Tiers, database: Database) -> UserCache {
    own_cache(tiers, POLICY, database, load)
}

async fn load(database: Database, key: Own<()>) -> Result<Loaded<Private<User>>, DatabaseError> {
    let found: Option<User> = database.read().await?.find(key.data.user_id).await?;
    let bytes = weight::capped(found.as_ref().map_or(0, weigh));
    let value = found.map(|user| Private::new(User { password_hash: None, ..user }));
    Ok(Loaded { value, tags: Vec::new(), bytes })
}

fn weigh(user: &User) -> usize {
    size_of::<User>() + texts([&user.email, &user.name]) + optional([&user.staff_role])
}
