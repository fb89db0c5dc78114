//! The payment providers of a job.

use crate::application::Store;

/// The payment providers whose payments or subscriptions a job processes. Each provider of a store has jobs of its own,
/// so that a slow provider delays no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderScope {
    /// The provider of this name.
    One(&'static str),
    /// All providers that are not configured: `imported`, and those that were removed from the settings.
    NotConfigured,
}

impl ProviderScope {
    /// Returns the scopes that together have every payment of a store.
    pub fn all(store: &Store) -> Vec<Self> {
        let configured = store.infrastructure.gateways.names().map(Self::One);
        configured.chain([Self::NotConfigured]).collect()
    }

    /// Returns whether the scope has the payments of a provider.
    pub(crate) fn includes(self, store: &Store, provider: &str) -> bool {
        match self {
            Self::One(name) => name == provider,
            Self::NotConfigured => store.infrastructure.gateways.get(provider).is_none(),
        }
    }
}
