//! The exchange of events with the broker of a store, if it has one.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::JobContext;
use crate::infrastructure::events::{Receiver, Relay};

/// The longest time that the end of the exchange may take.
const END: Duration = Duration::from_secs(1);

/// The relay and the receiver of a store.
pub(super) struct EventExchange(Option<(Relay, Receiver)>);

impl EventExchange {
    /// Returns the exchange of a store; without a broker it does nothing.
    pub(super) fn of(JobContext { store, dispatcher }: &JobContext) -> Self {
        let Some(broker) = &store.infrastructure.broker else { return Self(None) };
        let groups = dispatcher.subscribers().iter().map(|subscriber| subscriber.name().to_owned());
        let relay = Relay::new(store.database().clone(), broker.clone(), groups.collect());
        Self(Some((relay, Receiver::new(dispatcher.clone(), broker.clone()))))
    }

    /// Publishes the events of the store to the broker, and receives those of its subscribers, until `stop` is
    /// cancelled.
    pub(super) async fn run(&self, stop: &CancellationToken) {
        if let Some((relay, receiver)) = &self.0 {
            tokio::join!(relay.run(stop), receiver.run(stop));
        }
    }

    /// Lets another process continue to publish at once. Without it, one continues when the lease has ended.
    pub(super) async fn end(&self) {
        let Some((relay, _)) = &self.0 else { return };
        if !matches!(tokio::time::timeout(END, relay.release()).await, Ok(Ok(()))) {
            tracing::debug!("the lease of the relay was not released; it ends by itself");
        }
    }
}
