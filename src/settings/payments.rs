//! The limits of calls to payment providers, and the sandbox.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::Deserialize;

use super::non_zero;
use super::readers::positive_seconds;

/// `[payments]`: the limits of calls to payment providers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PaymentSettings {
    /// Whether the store has the sandbox.
    pub sandbox: Sandbox,
    /// The longest wait for the response to a call.
    #[serde(rename = "provider_timeout_seconds", deserialize_with = "positive_seconds")]
    pub provider_timeout: Duration,
    /// The most payments of a provider that each background job processes at the same time.
    pub provider_concurrency: NonZeroU32,
}

/// Whether a store has the sandbox, in which payments succeed without money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sandbox {
    /// If only this machine reaches the store. With another address it does not start.
    Local,
    /// On any address.
    Enabled,
    /// The store has no sandbox.
    Disabled,
}

impl Default for PaymentSettings {
    fn default() -> Self {
        Self {
            sandbox: Sandbox::Local,
            provider_timeout: Duration::from_secs(20),
            provider_concurrency: non_zero(16),
        }
    }
}
