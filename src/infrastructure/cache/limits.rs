//! The sizes of caches that an operator sets.

use std::collections::BTreeMap;

use super::policy::Policy;

/// The names of the caches of a store.
pub const CACHES: [&str; 11] = [
    "product",
    "listing",
    "search",
    "category",
    "discount",
    "inventory",
    "user",
    "user_preference",
    "order",
    "notification",
    "cart",
];

/// The most bytes of caches by their names; a cache that is not named has the size of its policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheLimits(BTreeMap<String, u64>);

/// A text is not the name of a cache.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not a cache; those are {known}")]
pub struct UnknownCache {
    name: String,
    /// The names of all caches, as the message has them.
    known: String,
}

impl CacheLimits {
    /// Returns the limits of caches by their names, in bytes; with 0 a cache keeps nothing. `known` are the names of
    /// all caches of the service: for a store [`CACHES`].
    ///
    /// # Errors
    ///
    /// [`UnknownCache`] for a name that is not known.
    pub fn new(limits: BTreeMap<String, u64>, known: &[&str]) -> Result<Self, UnknownCache> {
        match limits.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(UnknownCache { name: name.clone(), known: known.join(", ") }),
            None => Ok(Self(limits)),
        }
    }

    /// Returns the most bytes of the cache with this policy.
    pub(super) fn of(&self, policy: &Policy) -> u64 {
        self.0.get(policy.name).copied().unwrap_or(policy.max_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_replaces_that_of_the_policy_and_unknown_caches_are_refused() {
        let limits = CacheLimits::new(BTreeMap::from([("product".to_owned(), 5)]), &CACHES).unwrap();
        let [product, search] = ["product", "search"].map(|name| limits.of(&Policy::named(name, 1)));
        assert_eq!((product, search), (5, 16 << 20));
        let sheep = BTreeMap::from([("sheep".to_owned(), 5)]);
        let error = CacheLimits::new(sheep.clone(), &CACHES).unwrap_err().to_string();
        assert!(error.starts_with("`sheep` is not a cache; those are product, listing"), "{error}");
        // another service has other caches
        assert!(CacheLimits::new(sheep, &["sheep"]).is_ok());
    }
}
