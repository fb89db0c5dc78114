//! What the collector of telemetry did not accept.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::registry;

/// The spans and metrics that the collector did not accept. Clones count together.
#[derive(Clone)]
pub(in crate::presentation) struct LostTelemetry(Family<LostLabels, Counter>);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LostLabels {
    signal: &'static str,
}

impl LostTelemetry {
    /// Returns the metric of a collector that has accepted everything.
    pub(in crate::presentation) fn new() -> Self {
        let lost = Self(Family::default());
        lost.add_spans(0);
        lost.add_metrics(0);
        lost
    }

    /// Counts spans.
    pub(in crate::presentation) fn add_spans(&self, number: u64) {
        self.add("spans", number);
    }

    /// Counts metrics.
    pub(in crate::presentation) fn add_metrics(&self, number: u64) {
        self.add("metrics", number);
    }

    fn add(&self, signal: &'static str, number: u64) {
        self.0.get_or_create(&LostLabels { signal }).inc_by(number);
    }

    /// Returns the registry of the metric.
    pub(super) fn registry(&self) -> Registry {
        let mut registry = registry();
        let help = "The spans and metrics that the collector did not accept";
        registry.register("telemetry_lost", help, self.0.clone());
        registry
    }
}
