//! The payment vendors of a store, by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::ports::PaymentGateway;

/// The payment vendors of a store.
#[derive(Clone, Default)]
pub struct Gateways(BTreeMap<&'static str, Arc<dyn PaymentGateway>>);

impl Gateways {
    /// These vendors, each by its own name.
    pub fn new(gateways: impl IntoIterator<Item = Arc<dyn PaymentGateway>>) -> Self {
        Self(gateways.into_iter().map(|gateway| (gateway.name(), gateway)).collect())
    }

    /// The vendor of this name, if the store has it.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn PaymentGateway>> {
        self.0.get(name)
    }

    /// The names of the vendors.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }
}

impl std::fmt::Debug for Gateways {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
