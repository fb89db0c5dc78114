//! The rooms, and what assembles them.

pub mod adapters;
pub mod events;
pub mod exceptions;
pub mod repositories;

use self::adapters::Gateways;
use self::repositories::Database;

/// The rooms of a store, assembled. Clones share everything.
#[derive(Debug, Clone)]
pub struct Infrastructure {
    /// Where everything is kept.
    pub database: Database,
    /// Who takes the money.
    pub gateways: Gateways,
}
