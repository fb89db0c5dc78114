//! What users wish.

use crate::domain::ids::UserId;
use crate::domain::money::Currency;
use crate::domain::user::Preferences;
use crate::infrastructure::exceptions::Failure;
use crate::infrastructure::repositories::{PreferencesRepository, UnitOfWork};

use crate::application::{Store, check_version};

/// What a user says they wish.
#[derive(Debug, Clone)]
pub struct PreferencesChange {
    /// The language they read.
    pub locale: Option<String>,
    /// The currency they see.
    pub currency: Option<Currency>,
    /// Whether they agree to be sent offers.
    pub marketing_consent: bool,
}

/// What a user wishes.
pub async fn preferences(store: &Store, user_id: UserId) -> Result<Preferences, Failure> {
    Ok(PreferencesRepository(&mut store.database().read().await?).of(user_id).await?)
}

/// Puts these wishes in the place of those that were there. When consent was given or taken back is kept: whoever
/// sends offers must be able to show it.
pub async fn wish(
    work: &mut UnitOfWork,
    user_id: UserId,
    wishes: &PreferencesChange,
    seen: Option<i64>,
) -> Result<Preferences, Failure> {
    let mut preferences = PreferencesRepository(work).of(user_id).await?;
    check_version(preferences.version, seen)?;
    let now = work.now();
    if preferences.marketing_consent != wishes.marketing_consent {
        preferences.marketing_consent = wishes.marketing_consent;
        preferences.consent_at = Some(now);
    }
    preferences.locale.clone_from(&wishes.locale);
    preferences.currency = wishes.currency;
    preferences.updated_at = now;
    PreferencesRepository::save(work, &mut preferences).await?;
    Ok(preferences)
}
