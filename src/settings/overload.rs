//! The settings of what happens to requests when there are too many.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::Deserialize;

use super::non_zero;

/// `[overload]`: what happens to requests when there are too many.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OverloadSettings {
    /// Whether requests are refused while the server is overloaded.
    pub enabled: bool,
    /// How long requests may wait before they run, in milliseconds.
    pub wait_milliseconds: NonZeroU32,
}

impl OverloadSettings {
    /// Returns how long requests may wait before they run.
    pub fn wait(&self) -> Duration {
        Duration::from_millis(self.wait_milliseconds.get().into())
    }
}

impl Default for OverloadSettings {
    fn default() -> Self {
        Self { enabled: false, wait_milliseconds: non_zero(5) }
    }
}
