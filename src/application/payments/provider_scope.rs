//! The payment providers of a job.

use std::future::ready;

use futures_util::stream::{self, StreamExt};
use jiff::Timestamp;

use crate::application::Store;
use crate::infrastructure::exceptions::Failure;
use crate::infrastructure::repositories::{Due, Field};

/// The most rows of a provider that one run of a job processes.
const BATCH: i64 = 100;

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

    /// Returns whether a row with a provider of the scope is due at `by`.
    pub(crate) async fn any_due<T: Due>(self, store: &Store, by: Timestamp) -> Result<bool, Failure> {
        let providers = store.database().read().await?.due_providers::<T>(by).await?;
        Ok(providers.iter().any(|provider| self.includes(store, provider)))
    }

    /// Processes up to 100 rows with each provider of the scope that are due at `by`, a limited number at the same
    /// time. Returns for how many of them `process` returned `true`.
    pub(crate) async fn process_due<T, F>(
        self,
        store: &Store,
        by: Timestamp,
        process: impl Fn(T::Key) -> F,
    ) -> Result<usize, Failure>
    where
        T: Due<Key: Field>,
        F: Future<Output = bool>,
    {
        let due = self.due::<T>(store, by).await?;
        let processed = stream::iter(due).map(process);
        let processed = processed.buffer_unordered(store.infrastructure.gateways.concurrency());
        Ok(processed.filter(|done| ready(*done)).count().await)
    }

    /// Returns the keys of the rows to process.
    async fn due<T: Due<Key: Field>>(self, store: &Store, by: Timestamp) -> Result<Vec<T::Key>, Failure> {
        let mut connection = store.database().read().await?;
        let mut due = Vec::new();
        for provider in connection.due_providers::<T>(by).await? {
            if self.includes(store, &provider) {
                due.extend(connection.due::<T>(&provider, by, BATCH).await?);
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
