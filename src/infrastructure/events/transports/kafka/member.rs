//! A consumer as a member of a consumer group: a thread receives messages, and commits what is settled.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use rdkafka::client::ClientContext;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message as _, OwnedHeaders};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList, TopicPartitionListElem};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::super::{
    AGAIN, CONTENT_TYPE, MAX_MESSAGE, Messages, Receipt, Received, Settle, Settlement, TransportError,
    read_headers, rejected_body,
};
use super::{Kafka, PREFIX, blocking, require, with};

/// The most messages that a consumer has received and not acknowledged.
const MAX_UNSETTLED: usize = 500;
/// The longest wait for the next message before the consumer looks whether it has to end.
const POLL: Duration = Duration::from_millis(100);

/// Returns the messages of a consumer that joins a group.
pub(super) async fn join(kafka: &Kafka, group: String) -> Result<Messages, TransportError> {
    let given = kafka.clone();
    let subscribe = move || {
        let partitions = Partitions { topic: given.name.clone(), ..Partitions::default() };
        let consumer = BaseConsumer::from_config_and_context(&given.consumer(&group), partitions)?;
        require(consumer.client(), &given.name)?;
        consumer.subscribe(&[&given.name])?;
        Ok(consumer)
    };
    let consumer = blocking(subscribe).await?;

    // each unsettled message is there once at most, and an error
    let (sender, incoming) = mpsc::channel(MAX_UNSETTLED + 1);
    let partitions = Arc::clone(consumer.context());
    let group = Group { kafka: kafka.clone(), partitions, again: sender.clone() };
    let runtime = Handle::current();
    // a thread of its own, because closing the consumer waits for the broker
    std::thread::spawn(move || receive(&consumer, &sender, &runtime));
    let messages = stream::try_unfold((incoming, group), async |(mut incoming, group)| {
        let Some(delivery) = incoming.recv().await.transpose()? else { return Ok(None) };
        Ok(Some((received(delivery, &group), (incoming, group))))
    });
    Ok(messages.boxed())
}

/// A message that a consumer has and has not settled.
#[derive(Debug)]
struct Delivery {
    partition: i32,
    offset: i64,
    key: Option<Vec<u8>>,
    content_type: Option<String>,
    attributes: Vec<(String, String)>,
    body: Bytes,
    _permit: OwnedSemaphorePermit,
}

impl Delivery {
    fn new(message: &BorrowedMessage<'_>, permit: OwnedSemaphorePermit) -> Self {
        let headers = message.headers().into_iter().flat_map(Headers::iter);
        let texts = headers.filter_map(|header| Some((header.key, std::str::from_utf8(header.value?).ok()?)));
        let (content_type, attributes) = read_headers(texts, PREFIX);
        Self {
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(<[u8]>::to_vec),
            content_type,
            attributes,
            body: Bytes::copy_from_slice(message.payload().unwrap_or_default()),
            _permit: permit,
        }
    }
}

/// Receives messages until the consumer of `deliveries` has ended, or an error.
fn receive(
    consumer: &BaseConsumer<Partitions>,
    deliveries: &mpsc::Sender<Result<Delivery, TransportError>>,
    runtime: &Handle,
) {
    let unsettled = Arc::new(Semaphore::new(MAX_UNSETTLED));
    let permit = || {
        runtime.block_on(async {
            tokio::select! {
                permit = Arc::clone(&unsettled).acquire_owned() => permit.ok(),
                () = deliveries.closed() => None,
            }
        })
    };
    while let Some(permit) = permit() {
        let polled = loop {
            if deliveries.is_closed() {
                return;
            }
            consumer.context().store(consumer);
            match consumer.poll(POLL) {
                Some(Err(error)) if is_passing(&error) => {}
                Some(polled) => break polled,
                None => {}
            }
        };
        let delivery = polled.map(|message| {
            consumer.context().begin(message.partition(), message.offset());
            Delivery::new(&message, permit)
        });
        let has_failed = delivery.is_err();
        if deliveries.blocking_send(delivery.map_err(Into::into)).is_err() || has_failed {
            return;
        }
    }
}

/// Whether the client recovers from an error by itself.
fn is_passing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{
        AllBrokersDown, BrokerTransportFailure, OperationTimedOut, PollExceeded, Resolve,
    };
    let code = error.rdkafka_error_code();
    matches!(code, Some(AllBrokersDown | BrokerTransportFailure | OperationTimedOut | PollExceeded | Resolve))
}

/// The partitions that a consumer has.
#[derive(Debug, Default)]
struct Partitions {
    topic: String,
    offsets: Mutex<BTreeMap<i32, Offsets>>,
}

/// The offsets of the messages of a partition.
#[derive(Debug, Default)]
struct Offsets {
    unsettled: BTreeSet<i64>,
    /// The offset after the last message that was received.
    next: i64,
    /// The offset that is committed at the next time.
    stored: i64,
}

impl Partitions {
    fn with<T>(&self, change: impl FnOnce(&mut BTreeMap<i32, Offsets>) -> T) -> T {
        change(&mut self.offsets.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Records that a message was received.
    fn begin(&self, partition: i32, offset: i64) {
        self.with(|partitions| {
            let offsets =
                partitions.entry(partition).or_insert(Offsets { stored: offset, ..Offsets::default() });
            offsets.unsettled.insert(offset);
            offsets.next = offset + 1;
        });
    }

    /// Records that a message was settled. If the consumer has lost the partition, this has no effect, and the message
    /// comes again to another one.
    fn end(&self, partition: i32, offset: i64) {
        self.with(|partitions| {
            if let Some(offsets) = partitions.get_mut(&partition) {
                offsets.unsettled.remove(&offset);
            }
        });
    }

    /// Gives the client the offsets up to which every message is settled. It commits them twice a second, and when the
    /// consumer loses a partition.
    fn store(&self, consumer: &BaseConsumer<Self>) {
        let mut settled = TopicPartitionList::new();
        self.with(|partitions| {
            for (partition, offsets) in partitions {
                let until = offsets.unsettled.first().copied().unwrap_or(offsets.next);
                let offset = Offset::Offset(until);
                if until > offsets.stored
                    && settled.add_partition_offset(&self.topic, *partition, offset).is_ok()
                {
                    offsets.stored = until;
                }
            }
        });
        if settled.count() > 0 {
            // fails if the consumer has lost the partition
            let _ = consumer.store_offsets(&settled);
        }
    }
}

impl ClientContext for Partitions {}

impl ConsumerContext for Partitions {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(lost) = rebalance {
            self.store(consumer);
            let lost: BTreeSet<_> = lost.elements().iter().map(TopicPartitionListElem::partition).collect();
            self.with(|partitions| partitions.retain(|partition, _| !lost.contains(partition)));
        }
    }
}

/// What settles the messages of a consumer.
#[derive(Debug, Clone)]
struct Group {
    kafka: Kafka,
    partitions: Arc<Partitions>,
    /// Delivers a message again.
    again: mpsc::Sender<Result<Delivery, TransportError>>,
}

fn received(delivery: Delivery, group: &Group) -> Received {
    Received {
        content_type: delivery.content_type.clone(),
        attributes: delivery.attributes.clone(),
        body: delivery.body.clone(),
        receipt: Receipt::new(KafkaReceipt { delivery, group: group.clone() }),
    }
}

#[derive(Debug)]
struct KafkaReceipt {
    delivery: Delivery,
    group: Group,
}

impl KafkaReceipt {
    /// Stores the message with the reason in the topic of rejected messages. A body without space for the reason is
    /// cut.
    async fn reject(&self, reason: &str) -> Result<(), TransportError> {
        let Delivery { partition, offset, key, content_type, attributes, body, .. } = &self.delivery;
        let mut size = key.as_ref().map_or(0, Vec::len);
        let mut headers = OwnedHeaders::new();
        for (name, value) in attributes {
            let with_it = size + PREFIX.len() + name.len() + value.len();
            // a message may consist of headers alone
            if with_it < MAX_MESSAGE / 2 {
                size = with_it;
                headers = with(headers, &format!("{PREFIX}{name}"), value);
            }
        }
        if let Some(content_type) = content_type {
            size += CONTENT_TYPE.len() + content_type.len();
            headers = with(headers, CONTENT_TYPE, content_type);
        }
        headers = with(headers, "undercroft-reason", reason);
        headers = with(headers, "undercroft-partition", &partition.to_string());
        headers = with(headers, "undercroft-offset", &offset.to_string());
        let kafka = &self.group.kafka;
        let body = rejected_body(body, size, MAX_MESSAGE);
        kafka.store(&kafka.rejected(), key.as_deref(), headers, &body).await
    }
}

impl Settle for KafkaReceipt {
    fn settle(self: Box<Self>, settlement: Settlement) -> BoxFuture<'static, Result<(), TransportError>> {
        async move {
            let settled = match &settlement {
                Settlement::Handled => Ok(true),
                Settlement::Again => Ok(false),
                Settlement::Rejected(reason) => self.reject(reason).await.map(|()| true),
            };
            let Self { delivery, group } = *self;
            if settled == Ok(true) {
                group.partitions.end(delivery.partition, delivery.offset);
            } else {
                tokio::spawn(async move {
                    tokio::time::sleep(AGAIN).await;
                    // fails if the consumer has ended: the broker delivers the message to another one
                    let _ = group.again.send(Ok(delivery)).await;
                });
            }
            settled.map(drop)
        }
        .boxed()
    }
}
