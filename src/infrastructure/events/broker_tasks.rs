//! What a process does for the broker of a store.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::broker::Broker;
use super::event_dispatcher::EventDispatcher;
use super::receiver::Receiver;
use super::relay::Relay;

/// The longest time that the end may take.
const END: Duration = Duration::from_secs(1);

/// The relay and the receiver of a store.
pub struct BrokerTasks {
    relay: Relay,
    receiver: Receiver,
}

impl BrokerTasks {
    /// Returns the tasks for the subscribers of a dispatcher, which leaves new events to them.
    pub fn new(dispatcher: EventDispatcher, broker: Broker) -> Self {
        let groups = dispatcher.subscribers().iter().map(|subscriber| subscriber.name().to_owned());
        let relay = Relay::new(dispatcher.database().clone(), broker.clone(), groups.collect());
        Self { relay, receiver: Receiver::new(dispatcher, broker) }
    }

    /// Publishes the events of the store to the broker, and receives those of its subscribers, until `stop` is
    /// cancelled.
    pub async fn run(&self, stop: &CancellationToken) {
        tokio::join!(self.relay.run(stop), self.receiver.run(stop));
    }

    /// Lets another process continue to publish at once. Without it, one continues when the lease has ended.
    pub async fn end(&self) {
        if !matches!(tokio::time::timeout(END, self.relay.release()).await, Ok(Ok(()))) {
            tracing::debug!("the lease of the relay was not released; it ends by itself");
        }
    }
}
