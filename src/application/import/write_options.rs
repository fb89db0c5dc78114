//! How records are written.

use std::sync::Arc;

use crate::application::{Store, Terms};
use crate::domain::context::Context;

/// What an import does with products that are in the store already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ExistingProducts {
    /// They stay as they are.
    #[default]
    Keep,
    /// They take the texts, prices and stock of the file, and its new variants. Nothing is removed.
    Update,
}

/// How records are written.
#[derive(Debug, Clone)]
pub(super) struct WriteOptions {
    /// The terms of the store.
    pub terms: Arc<Terms>,
    /// What happens to products that are in the store already.
    pub existing: ExistingProducts,
    /// The clock of the store and its ids, with which products are published and updated.
    pub context: Context,
}

impl WriteOptions {
    /// Returns the options of an import into a store.
    pub(super) fn new(store: &Store, existing: ExistingProducts) -> Self {
        Self { terms: Arc::clone(&store.terms), existing, context: store.database().context().clone() }
    }
}
