//! `[telemetry]`: the collector of traces and metrics.

use std::time::Duration;

use serde::Deserialize;

use super::readers::{hidden_or_none, positive_seconds, share};
use crate::infrastructure::adapters::OtlpUrl;

/// `[telemetry]`: the collector of traces and metrics.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetrySettings {
    /// The URL of the collector; `None` if there is none.
    #[serde(deserialize_with = "hidden_or_none")]
    pub otlp: Option<OtlpUrl>,
    /// The share of the traces that begin at this store which are exported, from 0 to 1; and of those that clients, but
    /// for trusted proxies, call sampled.
    #[serde(deserialize_with = "share")]
    pub sampled: f64,
    /// How often metrics are exported.
    #[serde(rename = "metrics_seconds", deserialize_with = "positive_seconds")]
    pub metrics_every: Duration,
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self { otlp: None, sampled: 1.0, metrics_every: Duration::from_secs(15) }
    }
}

impl TelemetrySettings {
    /// Returns the share of traces that are sampled: none without a collector.
    pub fn sampled(&self) -> f64 {
        if self.otlp.is_some() { self.sampled } else { 0.0 }
    }
}
