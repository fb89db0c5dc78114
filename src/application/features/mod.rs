//! Feature flags: evaluated for users and pages, and changed by administrators.
//!
//! All flags of a store are read together, at most every two seconds by a process: a change is effective on every
//! server within that time, and at once on the one that made it.

mod administration;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use jiff::{SignedDuration, Timestamp};

pub use self::administration::{ReplaceFeatureFlag, flag, flags, remove, replace};
use crate::application::Store;
use crate::domain::feature_flag::{Evaluation, EvaluationContext, EvaluationError, FeatureFlag};
use crate::infrastructure::exceptions::Failure;
use crate::infrastructure::guards::{FeatureFlagGuard, Guard};
use crate::infrastructure::repositories::FeatureFlagRepository;

/// How long flags that were read are used.
const READ_FOR: SignedDuration = SignedDuration::from_secs(2);

/// The features of the store that have a flag. Without one in the database they are on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    /// Customers register.
    SignUp,
    /// Guests check out.
    GuestCheckout,
    /// Buyers write reviews.
    Reviews,
}

impl Feature {
    /// All of them.
    const ALL: [Self; 3] = [Self::SignUp, Self::GuestCheckout, Self::Reviews];

    /// Returns whether the feature is evaluated for guests. They have no targeting key, so that a share of them is not
    /// stable: it is on for all of them or for none.
    fn is_for_guests(self) -> bool {
        matches!(self, Self::SignUp | Self::GuestCheckout)
    }

    /// Returns the key of the flag.
    pub fn key(self) -> &'static str {
        match self {
            Self::SignUp => "sign_up",
            Self::GuestCheckout => "guest_checkout",
            Self::Reviews => "reviews",
        }
    }
}

/// Flags by their keys.
type Flags = BTreeMap<String, FeatureFlag>;

/// The flags as they were read last. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Features(Arc<RwLock<KnownFlags>>);

/// The flags that were read last, if they may be used.
#[derive(Debug, Default)]
struct KnownFlags {
    read: Option<ReadFlags>,
    /// The number of changes by this process.
    changes: u64,
}

/// Flags with the time at which they were read.
#[derive(Debug, Clone)]
struct ReadFlags {
    read_at: Timestamp,
    flags: Arc<Flags>,
}

impl Features {
    /// Returns the flags that were read within the last two seconds.
    fn recent(&self, now: Timestamp) -> Option<Arc<Flags>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let read = known.read.as_ref();
        read.filter(|read| (read.read_at..read.read_at + READ_FOR).contains(&now))
            .map(|read| Arc::clone(&read.flags))
    }

    /// Returns the number of changes until now, before flags are read.
    fn changes(&self) -> u64 {
        self.0.read().unwrap_or_else(PoisonError::into_inner).changes
    }

    /// Uses these flags for two seconds, unless they may be those before a change: unless the number of changes is
    /// another one than before they were read.
    fn set(&self, now: Timestamp, changes: u64, flags: Arc<Flags>) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.changes == changes {
            known.read = Some(ReadFlags { read_at: now, flags });
        }
    }

    /// Lets the flags be read before they are used again, after a change.
    fn forget(&self) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.read = None;
        known.changes = known.changes.wrapping_add(1);
    }
}

/// Returns all flags, which may be two seconds old.
async fn known(store: &Store) -> Result<Arc<Flags>, Failure> {
    let now = store.now();
    if let Some(flags) = store.features.recent(now) {
        return Ok(flags);
    }
    let changes = store.features.changes();
    let flags = FeatureFlagRepository(&mut store.database().read().await?).all().await?;
    let flags: Flags = flags.into_iter().map(|flag| (flag.key.clone(), flag)).collect();
    let flags = Arc::new(flags);
    store.features.set(now, changes, Arc::clone(&flags));
    Ok(flags)
}

/// Evaluates the flag of a feature of the store.
pub async fn evaluate(
    store: &Store,
    feature: Feature,
    context: &EvaluationContext,
) -> Result<Evaluation, Failure> {
    let flags = known(store).await?;
    let flag = flags.get(feature.key());
    Ok(flag.map_or(Evaluation::built_in(true), |flag| flag.evaluate(context)))
}

/// Fails unless a feature is on.
///
/// # Errors
///
/// Those of [`FeatureFlagGuard`].
pub(crate) async fn require(
    store: &Store,
    feature: Feature,
    context: &EvaluationContext,
) -> Result<FeatureFlagGuard, Failure> {
    FeatureFlagGuard::check(evaluate(store, feature, context).await?)
}

/// Evaluates the flags that pages may evaluate: those with these keys, or all of them.
pub async fn evaluate_public(
    store: &Store,
    keys: Option<&[String]>,
    context: &EvaluationContext,
) -> Result<Vec<(String, Evaluation)>, Failure> {
    let flags = known(store).await?;
    let public = |key: &String| flags.get(key).filter(|flag| flag.public);
    let Some(keys) = keys else {
        let all = flags.values().filter(|flag| flag.public);
        return Ok(all.map(|flag| (flag.key.clone(), flag.evaluate(context))).collect());
    };
    let missing = Evaluation::failed(EvaluationError::FlagNotFound);
    let evaluated = keys.iter().map(|key| {
        let evaluation = public(key).map_or(missing, |flag| flag.evaluate(context));
        (key.clone(), evaluation)
    });
    Ok(evaluated.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_that_were_read_before_a_change_are_not_used_after_it() {
        let (features, now) = (Features::default(), Timestamp::UNIX_EPOCH);
        let before = features.changes();
        features.forget();
        features.set(now, before, Arc::default());
        assert!(features.recent(now).is_none());
        features.set(now, features.changes(), Arc::default());
        assert!(features.recent(now).is_some());
        features.forget();
        assert!(features.recent(now).is_none());
    }
}
