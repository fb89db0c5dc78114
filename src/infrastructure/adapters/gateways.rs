//! The payment providers of a store, by name.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::notice_queue::NoticeQueue;
use super::timed_gateway::TimedGateway;
use crate::domain::ports::PaymentGateway;
use crate::infrastructure::events::EventBus;

/// The limits of the calls to each payment provider.
#[derive(Debug, Clone, Copy)]
pub struct CallLimits {
    /// The longest wait for the response to a call.
    pub timeout: Duration,
    /// The most payments of a provider that a job processes at the same time, at least 1.
    pub concurrency: usize,
}

/// The payment providers of a store. Clones share them.
#[derive(Clone)]
pub struct Gateways {
    providers: Arc<BTreeMap<&'static str, Provider>>,
    limits: CallLimits,
}

/// A payment provider with the queue of its notices.
struct Provider {
    gateway: Arc<dyn PaymentGateway>,
    notices: Arc<NoticeQueue>,
}

impl Gateways {
    /// Returns these providers by their names, each with the queue of its notices. A call without a response within its
    /// time-out fails as [`NoResponse`](crate::domain::ports::GatewayError::NoResponse). The outcome of each call is
    /// emitted on the bus.
    pub fn new(
        providers: impl IntoIterator<Item = (Arc<dyn PaymentGateway>, Arc<NoticeQueue>)>,
        limits: CallLimits,
        bus: &EventBus,
    ) -> Self {
        let providers = providers.into_iter().map(|(gateway, notices)| {
            let name = gateway.name();
            let gateway = Arc::new(TimedGateway::new(gateway, limits.timeout, bus.clone()));
            (name, Provider { gateway, notices })
        });
        Self { providers: Arc::new(providers.collect()), limits }
    }

    /// Returns the provider of this name, if the store has it.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn PaymentGateway>> {
        self.providers.get(name).map(|provider| &provider.gateway)
    }

    /// Returns the names of the providers.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.providers.keys().copied()
    }

    /// Returns the queue of a provider's notices, if the store has the provider.
    pub fn notices(&self, name: &str) -> Option<&NoticeQueue> {
        self.providers.get(name).map(|provider| &*provider.notices)
    }

    /// Returns the longest wait for the response of a provider.
    pub fn timeout(&self) -> Duration {
        self.limits.timeout
    }

    /// Returns the most payments of a provider that a job processes at the same time.
    pub fn concurrency(&self) -> usize {
        self.limits.concurrency
    }
}

impl std::fmt::Debug for Gateways {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.providers.keys()).finish()
    }
}
