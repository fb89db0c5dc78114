//! Feature flags as administrators manage them.

use serde::Deserialize;
use utoipa::ToSchema;

use super::Feature;
use crate::application::{Precondition, Store, first_version, remove_version};
use crate::domain::feature_flag::{EVERYONE, FeatureFlag, TargetingRule};
use crate::domain::text::is_path_name;
use crate::infrastructure::exceptions::{Conflict, Failure, Fault, Location, NotFound, ValidationException};
use crate::infrastructure::repositories::{FeatureFlagRepository, UnitOfWork};

/// The most flags of a store: all of them are in memory.
const MAX_FLAGS: usize = 200;

/// The values of a flag.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplaceFeatureFlag {
    /// The description, for administrators.
    #[serde(default)]
    #[schema(max_length = 500)]
    pub description: String,
    /// Whether rules and roll-out apply. If not, the feature is off for everyone.
    pub enabled: bool,
    /// Whether pages of the shop may evaluate the flag.
    #[serde(default)]
    pub public: bool,
    /// The rules, of which the first that matches decides. `sign_up` and `guest_checkout`, which are for guests, have
    /// none, and those of `reviews` have no countries.
    #[serde(default)]
    #[schema(max_items = 50)]
    pub rules: Vec<TargetingRule>,
    /// The share of the users for whom no rule matches that have the feature, in basis points: 10000 is everyone. A
    /// user always has the same result, and keeps the feature when the share grows. Guests who send no targeting key
    /// have it only if everyone has. That of `sign_up` and `guest_checkout`, which are for guests, is 0 or 10000.
    #[serde(default = "everyone")]
    #[schema(minimum = 0, maximum = 10_000, default = 10_000)]
    pub rollout: i64,
}

fn everyone() -> i64 {
    EVERYONE
}

/// Returns all flags by their keys.
pub async fn flags(store: &Store) -> Result<Vec<FeatureFlag>, Failure> {
    Ok(FeatureFlagRepository(&mut store.database().read().await?).all().await?)
}

/// Returns a flag.
///
/// # Errors
///
/// [`NotFound::FeatureFlag`].
pub async fn flag(store: &Store, key: String) -> Result<FeatureFlag, Failure> {
    Ok(store.database().read().await?.find(key).await?.ok_or(NotFound::FeatureFlag)?)
}

/// Replaces the values of a flag; creates it if there is none.
///
/// # Errors
///
/// A [`ValidationException`] for a key that no flag can have, for rules or a share of a feature of guests, and for
/// countries in rules of another feature of the store, [`Conflict::TooManyFeatureFlags`], and
/// [`Conflict::PreconditionFailed`] if the flag is not as required.
pub async fn replace(
    store: &Store,
    key: String,
    required: Precondition,
    values: ReplaceFeatureFlag,
) -> Result<FeatureFlag, Failure> {
    check_key(&key)?;
    check_feature(&key, &values)?;
    let given = (key, required, values);
    let write = store
        .database()
        .write(given, async |work, (key, required, values)| replace_in(work, key, *required, values).await);
    let flag = write.await;
    store.features.forget();
    flag
}

async fn replace_in(
    work: &mut UnitOfWork,
    key: &str,
    required: Precondition,
    values: &ReplaceFeatureFlag,
) -> Result<FeatureFlag, Failure> {
    work.lock_name("feature_flags").await?;
    let now = work.now();
    let ReplaceFeatureFlag { description, enabled, public, rules, rollout } = values.clone();
    let new = FeatureFlag {
        key: key.to_owned(),
        description,
        enabled,
        public,
        rules,
        rollout,
        version: first_version(now),
        created_at: now,
        updated_at: now,
    };
    let known = work.find::<FeatureFlag>(key.to_owned()).await?;
    required.check(known.as_ref().map(|known| known.version))?;
    let Some(known) = known else {
        if FeatureFlagRepository(work).all().await?.len() >= MAX_FLAGS {
            return Err(Conflict::TooManyFeatureFlags.into());
        }
        work.insert(&new).await?;
        return Ok(new);
    };
    let mut flag = FeatureFlag { version: known.version, created_at: known.created_at, ..new };
    work.update(&mut flag).await?;
    Ok(flag)
}

/// Checks that a text can be the key of a flag.
fn check_key(key: &str) -> Result<(), Failure> {
    if is_path_name(key) {
        return Ok(());
    }
    Err(ValidationException::one(Location::Parameter("key".to_owned()), Fault::FeatureFlagKey).into())
}

/// Checks that the flag of a feature of the store has only rules that can match, and a share that is stable. That of a
/// feature of guests is for all of them or for none, since nothing is known of a guest. Of a user, no country is known.
fn check_feature(key: &str, values: &ReplaceFeatureFlag) -> Result<(), Failure> {
    let Some(feature) = Feature::ALL.into_iter().find(|feature| feature.key() == key) else { return Ok(()) };
    let mut faults = ValidationException::none();
    if !feature.is_for_guests() {
        for (i, rule) in values.rules.iter().enumerate() {
            let at = format!("/rules/{i}/countries");
            faults.require(rule.countries.is_empty(), at, Fault::TooMany { max_items: 0 });
        }
        return faults.check();
    }
    faults.require(values.rules.is_empty(), "/rules", Fault::TooMany { max_items: 0 });
    let allowed = vec![0.into(), EVERYONE.into()];
    faults.require([0, EVERYONE].contains(&values.rollout), "/rollout", Fault::NotAllowed { allowed });
    faults.check()
}

/// Deletes a flag. A feature of the store that had it is on again.
///
/// # Errors
///
/// [`NotFound::FeatureFlag`], and [`Conflict::PreconditionFailed`].
pub async fn remove(store: &Store, key: String, expected_version: Option<i64>) -> Result<(), Failure> {
    let write = store.database().write((key, expected_version), async |work, (key, expected_version)| {
        remove_version::<FeatureFlag>(work, key.clone(), *expected_version, NotFound::FeatureFlag).await
    });
    let removed = write.await;
    store.features.forget();
    removed
}
