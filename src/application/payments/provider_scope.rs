//! The payment providers of a job.

use jiff::Timestamp;

use crate::application::Store;
use crate::infrastructure::exceptions::Failure;
use crate::infrastructure::repositories::{Due, Field};

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

    /// Returns the keys of up to `limit` rows with each provider of the scope that are due at `by`.
    pub(crate) async fn due<T: Due<Key: Field>>(
        self,
        store: &Store,
        by: Timestamp,
        limit: i64,
    ) -> Result<Vec<T::Key>, Failure> {
        let mut connection = store.database().read().await?;
        let mut due = Vec::new();
        for provider in connection.due_providers::<T>(by).await? {
            if self.includes(store, &provider) {
                due.extend(connection.due::<T>(&provider, by, limit).await?);
            }
        }
        Ok(due)
    }

    /// Returns whether the scope has the payments of a provider.
    fn includes(self, store: &Store, provider: &str) -> bool {
        match self {
            Self::One(name) => name == provider,
            Self::NotConfigured => store.infrastructure.gateways.get(provider).is_none(),
        }
    }
}
