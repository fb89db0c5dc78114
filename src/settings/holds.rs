//! The settings of what buyers may hold.

use std::num::NonZeroU32;

use serde::Deserialize;

use super::non_zero;

/// `[holds]`: what buyers may hold at once with orders that are not paid.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HoldSettings {
    /// Whether holds are limited at all.
    pub enabled: bool,
    /// The most orders of an address.
    pub orders_per_address: NonZeroU32,
    /// The most pieces of an address.
    pub pieces_per_address: NonZeroU32,
    /// The most orders of a user.
    pub orders_per_user: NonZeroU32,
    /// The most pieces of a user.
    pub pieces_per_user: NonZeroU32,
    /// The most pieces of an order.
    pub pieces_per_order: NonZeroU32,
}

impl Default for HoldSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            orders_per_address: non_zero(20),
            pieces_per_address: non_zero(200),
            orders_per_user: non_zero(10),
            pieces_per_user: non_zero(200),
            pieces_per_order: non_zero(100),
        }
    }
}
