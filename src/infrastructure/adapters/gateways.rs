//! The payment providers of a store, by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::notice_queue::NoticeQueue;
use crate::domain::ports::PaymentGateway;

/// The payment providers of a store. Clones share them.
#[derive(Clone)]
pub struct Gateways {
    providers: Arc<BTreeMap<&'static str, Arc<dyn PaymentGateway>>>,
    notices: Arc<NoticeQueue>,
}

impl Gateways {
    /// Returns these providers by their names, with the queue of their notices.
    pub(super) fn new(
        providers: impl IntoIterator<Item = Arc<dyn PaymentGateway>>,
        notices: Arc<NoticeQueue>,
    ) -> Self {
        let providers = providers.into_iter().map(|provider| (provider.name(), provider)).collect();
        Self { providers: Arc::new(providers), notices }
    }

    /// Returns the provider of this name, if the store has it.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn PaymentGateway>> {
        self.providers.get(name)
    }

    /// Returns the names of the providers.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.providers.keys().copied()
    }

    /// Returns the queue of the notices of all providers.
    pub fn notices(&self) -> &NoticeQueue {
        &self.notices
    }
}

impl std::fmt::Debug for Gateways {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.providers.keys()).finish()
    }
}
