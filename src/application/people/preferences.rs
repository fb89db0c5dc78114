//! The preferences of users.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::domain::ids::UserId;
use crate::domain::money::Currency;
use crate::domain::user::{Preferences, UserData};
use crate::infrastructure::cache::{Own, Private, Served};
use crate::infrastructure::exceptions::Failure;
use crate::infrastructure::repositories::{PreferencesRepository, UnitOfWork};

use super::users::lock_not_erased;
use crate::application::{Store, check_version};

/// The new preferences of a user.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplacePreferences {
    /// The user's language, a BCP 47 tag.
    #[schema(format = "language", example = "pt-BR")]
    pub locale: Option<String>,
    /// The currency in which the user sees prices.
    pub currency: Option<Currency>,
    /// Whether the user agrees to receive marketing messages.
    #[serde(default)]
    #[schema(default = false)]
    pub marketing_consent: bool,
}

/// Returns the preferences of the user who sends the request.
pub async fn preferences(store: &Store, data: UserData) -> Result<Served<Private<Preferences>>, Failure> {
    let cache = &store.infrastructure.caches.own().user_preference;
    Ok(cache.served(&Own { data, key: () }).await?)
}

/// Replaces the preferences of a user.
///
/// The time at which marketing consent was given or withdrawn is kept, since a sender must be able to prove it.
pub async fn replace(
    store: &Store,
    user_id: UserId,
    expected_version: Option<i64>,
    new: ReplacePreferences,
) -> Result<Preferences, Failure> {
    let given = (user_id, expected_version, new);
    let write = store.database().write(given, async |work, (user_id, expected_version, new)| {
        replace_in(work, *user_id, *expected_version, new).await
    });
    write.await
}

async fn replace_in(
    work: &mut UnitOfWork,
    user_id: UserId,
    expected_version: Option<i64>,
    new: &ReplacePreferences,
) -> Result<Preferences, Failure> {
    // an erasure waits for the lock, and removes what is written here
    lock_not_erased(work, user_id).await?;
    let mut preferences = PreferencesRepository(work).of(user_id).await?;
    check_version(preferences.version, expected_version)?;

    let now = work.now();
    if preferences.marketing_consent != new.marketing_consent {
        preferences.marketing_consent = new.marketing_consent;
        preferences.consent_at = Some(now);
    }
    preferences.locale.clone_from(&new.locale);
    preferences.currency = new.currency;
    PreferencesRepository::save(work, &mut preferences).await?;
    Ok(preferences)
}
