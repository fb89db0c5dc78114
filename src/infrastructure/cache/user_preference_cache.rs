//! The preferences of users: locale, currency and consent. Each change of a user's data ends what is kept of it. Who
//! sends marketing messages reads the consent from the database.

use std::time::Duration;

use super::cached::Cached;
use super::entry::Loaded;
use super::own::{Own, own_cache};
use super::policy::Policy;
use super::private::Private;
use super::tiers::Tiers;
use crate::domain::user::Preferences;
use crate::infrastructure::repositories::{Database, DatabaseError, PreferencesRepository};

const POLICY: Policy =
    Policy { ttl: Duration::from_mins(1), max_bytes: 4 << 20, ..Policy::named("user_preference", 1) };

/// The preferences of users.
pub type UserPreferenceCache = Cached<Own<()>, Private<Preferences>, DatabaseError>;

pub(super) fn user_preference_cache(tiers: &Tiers, database: Database) -> UserPreferenceCache {
    own_cache(tiers, POLICY, database, load)
}

async fn load(database: Database, key: Own<()>) -> Result<Loaded<Private<Preferences>>, DatabaseError> {
    let preferences = PreferencesRepository(&mut database.read().await?).of(key.data.user_id).await?;
    Ok(Loaded { value: Some(Private::new(preferences)), tags: Vec::new(), bytes: 120 })
}
