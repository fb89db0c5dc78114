//! The events room: each published event is delivered to every subscriber at least once, in order.
//!
//! There are two kinds of events, told apart by their traits. A [`DurableEvent`] is published with a transaction by
//! [`UnitOfWork::publish`], stored, and delivered to every subscriber. A [`Signal`] is emitted by [`EventBus::emit`]
//! to subscriptions in this process, which may miss some. The technical events are the files `*_event.rs` here; those
//! of the business are in `domain/events.rs`.
//!
//! # In another service
//!
//! Its events are types of its own, which it publishes with what it writes. An [`EventDispatcher`] with its subscribers
//! delivers them; `examples/outbox.rs` is such a service, and `examples/consume.rs` one that receives the events of a
//! store from a broker. Its jobs are in [`jobs`].
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use undercroft::domain::events::DurableEvent;
//! use undercroft::infrastructure::events::{Envelope, EventDispatcher, Subscriber};
//! use undercroft::infrastructure::exceptions::Failure;
//! use undercroft::infrastructure::repositories::{Database, UnitOfWork};
//!
//! #[derive(Serialize, Deserialize)]
//! struct ParcelSent {
//!     customer: String,
//! }
//!
//! impl DurableEvent for ParcelSent {
//!     const TYPE: &'static str = "parcel.sent";
//!
//!     fn subject(&self) -> String {
//!         self.customer.clone()
//!     }
//! }
//!
//! async fn count(work: &mut UnitOfWork, event: &ParcelSent, _: &Envelope) -> Result<(), Failure> {
//!     let sql = "UPDATE parcel_counts SET parcels = parcels + 1 WHERE customer = $1";
//!     work.execute(sql, &[event.customer.as_str().into()]).await?;
//!     Ok(())
//! }
//!
//! /// Its `run` delivers the events until it is stopped.
//! fn dispatcher(database: &Database) -> EventDispatcher {
//!     EventDispatcher::new(database.clone(), [Subscriber::new("parcel counts").on(count)])
//! }
//! ```
//!
//! # Adding one
//!
//! A subscriber is a name with handlers, each an async function over a [`UnitOfWork`], an event and its [`Envelope`].
//! It is written in `application/`, next to what it does, and listed in `application/jobs/mod.rs`. The module
//! `adding_one`, at the end of `src/infrastructure/events/mod.rs`, is a complete example. A new subscriber begins with
//! the oldest event that is still kept.
//!
//! An event of the business is added to `domain/events.rs`, a technical one is a file here.
//!
//! # Brokers
//!
//! With a [`Broker`], the [`Relay`] publishes the durable events to it, and the [`Receiver`] gets those of each
//! subscriber from it; `transports/` has the kinds of brokers.
//!
//! # Publishing needs a transaction
//!
//! ```
//! use undercroft::domain::events::StockDepleted;
//! use undercroft::infrastructure::repositories::{Database, DatabaseError};
//!
//! async fn deplete(database: &Database, event: StockDepleted) -> Result<(), DatabaseError> {
//!     database.write(event, async |work, event| work.publish(event).await).await
//! }
//! ```
//!
//! A durable event cannot be published without one, and it cannot be emitted as a signal:
//!
//! ```compile_fail,E0308
//! use undercroft::domain::events::StockDepleted;
//! use undercroft::infrastructure::repositories::{Database, DatabaseError, UnitOfWork};
//!
//! async fn deplete(mut database: Database, event: StockDepleted) -> Result<(), DatabaseError> {
//!     UnitOfWork::publish(&mut database, &event).await
//! }
//! ```
//!
//! ```compile_fail,E0277
//! use undercroft::domain::events::StockDepleted;
//! use undercroft::infrastructure::events::EventBus;
//!
//! fn deplete(bus: &EventBus, event: StockDepleted) {
//!     bus.emit(&event);
//! }
//! ```
//!
//! [`DurableEvent`]: crate::domain::events::DurableEvent
//! [`UnitOfWork`]: crate::infrastructure::repositories::UnitOfWork
//! [`UnitOfWork::publish`]: crate::infrastructure::repositories::UnitOfWork::publish

mod api_request_received_event;
mod background_job_completed_event;
mod backoff;
mod batch;
mod broker;
mod broker_tasks;
mod cache_invalidation_event;
mod cloud_event;
mod cursor;
mod database_replication_event;
mod email_delivery_event;
mod envelope;
mod event_bus;
mod event_dispatcher;
mod event_feed;
mod event_logger;
mod file_upload_completed_event;
mod inbox;
mod incoming;
pub mod jobs;
mod lag;
mod log_event;
mod message_queue_event;
mod postponed;
mod receiver;
mod refused_head_event;
mod relay;
mod replay;
mod service_shutdown_event;
mod subscriber;
mod tasks;
mod third_party_api_response_event;
pub mod transports;

pub use api_request_received_event::ApiRequestReceivedEvent;
pub use background_job_completed_event::BackgroundJobCompletedEvent;
pub use broker::Broker;
pub use broker_tasks::BrokerTasks;
pub(crate) use cache_invalidation_event::ALL_TAGS;
pub use cache_invalidation_event::CacheInvalidationEvent;
pub(crate) use cache_invalidation_event::cache_invalidation;
pub use cloud_event::{CloudEvent, Mode};
pub use cursor::RELAY;
pub use database_replication_event::{DatabaseReplicationEvent, ReplicatedOperation};
pub use email_delivery_event::{EmailDeliveryEvent, EmailOutcome};
pub use envelope::Envelope;
pub use event_bus::{EventBus, Signal, Subscription};
pub use event_dispatcher::{EventDispatcher, RETENTION};
pub use event_feed::{EventFeed, Follower, Part};
pub use event_logger::{EventFilter, EventLogger, position_id, position_of_id};
pub use file_upload_completed_event::FileUploadCompletedEvent;
pub use inbox::{is_first, purge as purge_inbox};
pub use incoming::{InvalidEvent, ReceivedEvent};
pub use lag::Lag;
pub use log_event::LogEvent;
pub use message_queue_event::{MessageDirection, MessageOutcome, MessageQueueEvent};
pub use receiver::Receiver;
pub use refused_head_event::RefusedHeadEvent;
pub use relay::Relay;
pub use replay::Replay;
pub use service_shutdown_event::{DrainedRequests, HandedOver, ServiceShutdownEvent};
pub use subscriber::{Condition, EnvelopeHandler, EventHandler, HandledEvent, HandlerFailure, Subscriber};
pub use third_party_api_response_event::{CallOutcome, ThirdPartyApiResponseEvent};
pub use transports::{EventsUrl, InvalidEventsUrl};

use crate::domain::events::DurableEvent;

/// The types of technical events that are stored. Those of the business are
/// [`EVENT_TYPES`](crate::domain::events::EVENT_TYPES).
pub const TECHNICAL_EVENT_TYPES: &[&str] = &[
    BackgroundJobCompletedEvent::TYPE,
    CacheInvalidationEvent::TYPE,
    EmailDeliveryEvent::TYPE,
    FileUploadCompletedEvent::TYPE,
    ServiceShutdownEvent::TYPE,
];

#[cfg(test)]
mod adding_one {
    use tokio_util::sync::CancellationToken;
    use uuid::Uuid;

    use super::{Envelope, EventDispatcher, Subscriber};
    use crate::domain::events::{OrderFulfilled, OrderPaid};
    use crate::domain::ids::OrderId;
    use crate::domain::money::{Currency, Money};
    use crate::infrastructure::exceptions::Failure;
    use crate::infrastructure::repositories::{UnitOfWork, new_database, next_number};

    /// Counts the paid orders.
    async fn count(work: &mut UnitOfWork, _: &OrderPaid, _: &Envelope) -> Result<(), Failure> {
        next_number(work, "paid orders").await?;
        Ok(())
    }

    /// Counts the packed orders: one subscriber can handle several types of events.
    async fn pack(work: &mut UnitOfWork, _: &OrderFulfilled, event: &Envelope) -> Result<(), Failure> {
        assert_eq!(event.event_type, "order.fulfilled");
        next_number(work, "packed orders").await?;
        Ok(())
    }

    #[tokio::test]
    async fn a_subscriber_handles_what_was_published() {
        let (_folder, database) = new_database().await;
        let subscriber = Subscriber::new("counts").on(count).on(pack);
        let dispatcher = EventDispatcher::new(database.clone(), [subscriber]);

        let order_id = OrderId(Uuid::nil());
        let paid = OrderPaid { order_id, number: 1, user_id: None, total: Money::new(100, Currency::EUR) };
        let published: Result<(), Failure> = database
            .write(paid, async |work, paid| {
                work.publish(paid).await?;
                let OrderPaid { order_id, number, user_id, .. } = *paid;
                Ok(work.publish(&OrderFulfilled { order_id, number, user_id, digital: false }).await?)
            })
            .await;
        published.unwrap();
        assert_eq!(dispatcher.deliver(&CancellationToken::new()).await.unwrap(), 2);
        assert_eq!(dispatcher.deliver(&CancellationToken::new()).await.unwrap(), 0);

        let mut connection = database.read().await.unwrap();
        let sql = "SELECT SUM(value) FROM counters WHERE name IN ('paid orders', 'packed orders')";
        let handled: i64 = connection.one(sql, &[]).await.unwrap();
        assert_eq!(handled, 2);
    }
}
