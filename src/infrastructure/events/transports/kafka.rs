//! Apache Kafka: a topic of events, a consumer group for each group, and a topic of rejected messages.
//!
//! Quirks: a consumer commits an offset, not a message. So what is committed is the offset up to which every message is
//! settled, and a refused message waits in this process. The client of another service may create a topic that is
//! missing. That the relay has set the topics up is therefore marked by an offset, which the broker removes together
//! with the topic. The client is built without TLS, gzip and zstd.
//!
//! <https://kafka.apache.org/documentation/#design>,
//! <https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md>, and the binding of CloudEvents,
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md>

mod member;

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{Client, ClientContext};
use rdkafka::config::{ClientConfig, FromClientConfig};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::metadata::MetadataTopic;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::oneshot;

use super::{
    CONTENT_TYPE, KafkaUrl, MAX_MESSAGE, Message, Messages, TIMEOUT, Transport, TransportError, group_name,
    in_time,
};

/// The name of the servers in the configuration of the client.
const SERVERS: &str = "bootstrap.servers";
/// The prefix of the attributes of an event in binary mode.
const PREFIX: &str = "ce_";
/// The number of partitions of the topic of events. A subject stays in one of them.
const PARTITIONS: i32 = 12;
/// How long the topic keeps an event, in milliseconds: a week.
const RETENTION: &str = "604800000";
/// How long the topic keeps a rejected message, in milliseconds: 30 days.
const REJECTED_RETENTION: &str = "2592000000";

/// The broker Kafka. Clones share the producer.
#[derive(Clone)]
pub(super) struct Kafka {
    config: ClientConfig,
    name: String,
    /// The client that publishes, until it fails for good.
    producer: Arc<Mutex<Option<FutureProducer>>>,
}

impl Kafka {
    pub(super) fn new(url: &KafkaUrl, name: &str) -> Self {
        let (timeout, mut config) = (TIMEOUT.as_millis().to_string(), ClientConfig::new());
        config
            .set(SERVERS, &url.servers)
            .set("client.id", "undercroft")
            .set("allow.auto.create.topics", "false")
            .set("socket.keepalive.enable", "true")
            .set("socket.timeout.ms", &timeout)
            .set("socket.connection.setup.timeout.ms", &timeout)
            .set("reconnect.backoff.max.ms", "1000");
        if let Some((user, password)) = &url.login {
            config
                .set("security.protocol", "SASL_PLAINTEXT")
                .set("sasl.mechanisms", "PLAIN")
                .set("sasl.username", user)
                .set("sasl.password", password);
        }
        Self { config, name: name.to_owned(), producer: Arc::default() }
    }

    fn rejected(&self) -> String {
        format!("{}-rejected", self.name)
    }

    /// Returns the configuration of a consumer.
    fn consumer(&self, group: &str) -> ClientConfig {
        let mut config = self.config.clone();
        config
            .set("group.id", group)
            .set("auto.offset.reset", "earliest")
            .set("enable.auto.offset.store", "false")
            .set("auto.commit.interval.ms", "500")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", "6000")
            .set("heartbeat.interval.ms", "2000")
            .set("queued.min.messages", "1000")
            .set("queued.max.messages.kbytes", "16384");
        config
    }

    /// Returns the client that publishes. It numbers its messages, so that the broker stores each once, in their order.
    fn producer(&self) -> Result<FutureProducer, TransportError> {
        let mut slot = self.producer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(producer) = slot.as_ref() {
            return Ok(producer.clone());
        }
        let mut config = self.config.clone();
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "0")
            .set("message.max.bytes", MAX_MESSAGE.to_string())
            .set("message.timeout.ms", TIMEOUT.as_millis().to_string())
            .set("topic.metadata.propagation.max.ms", "0");
        Ok(slot.insert(config.create()?).clone())
    }

    /// Publishes a message, and waits until it is stored.
    async fn store(
        &self,
        topic: &str,
        key: Option<&[u8]>,
        headers: OwnedHeaders,
        body: &Bytes,
    ) -> Result<(), TransportError> {
        let producer = self.producer()?;
        let mut record = FutureRecord::to(topic).headers(headers).payload(body.as_ref());
        record.key = key;
        let Err((error, _)) = producer.send(record, TIMEOUT).await else { return Ok(()) };
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageSizeTooLarge) {
            // the broker does not say its limit
            return Err(TransportError::TooLarge { size: body.len(), limit: body.len().saturating_sub(1) });
        }
        let error = TransportError::from(error);
        if matches!(error, TransportError::NotSetUp(_)) || producer.client().fatal_error().is_some() {
            // the client would go on to refuse messages
            self.producer.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
        Err(error)
    }

    /// Returns the offset that marks that the topics were set up.
    fn mark(&self) -> Result<TopicPartitionList, KafkaError> {
        let mut mark = TopicPartitionList::new();
        mark.add_partition_offset(&self.name, 0, Offset::Offset(0))?;
        Ok(mark)
    }

    /// Returns the identity of the cluster if the topics are there and were set up by the relay.
    fn read_state(&self) -> Result<Option<String>, TransportError> {
        let consumer: BaseConsumer = self.consumer(&self.name).create()?;
        for topic in [&self.name, &self.rejected()] {
            match require(consumer.client(), topic) {
                Err(TransportError::NotSetUp(_)) => return Ok(None),
                checked => checked?,
            }
        }
        let mark = self.mark()?;
        let committed = consumer.committed_offsets(mark.clone(), TIMEOUT)?;
        if committed != mark {
            return Ok(None);
        }
        // the broker forgets an offset that was not committed for a week
        consumer.commit(&mark, CommitMode::Sync)?;
        let identity = consumer.client().fetch_cluster_id(TIMEOUT);
        identity.map(Some).ok_or_else(|| TransportError::Unavailable("no identity of the cluster".to_owned()))
    }
}

/// Omits the password.
impl std::fmt::Debug for Kafka {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kafka").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Transport for Kafka {
    fn kind(&self) -> &'static str {
        "kafka"
    }

    fn server(&self) -> String {
        self.config.get(SERVERS).unwrap_or_default().to_owned()
    }

    fn state<'a>(&'a self, _: &'a [String]) -> BoxFuture<'a, Result<Option<String>, TransportError>> {
        let kafka = self.clone();
        blocking(move || kafka.read_state()).boxed()
    }

    fn set_up<'a>(&'a self, _: &'a [String]) -> BoxFuture<'a, Result<(), TransportError>> {
        async move {
            let rejected = self.rejected();
            let new = |name, partitions, retention| {
                // -1: as many replicas as the broker has configured
                NewTopic::new(name, partitions, TopicReplication::Fixed(-1)).set("retention.ms", retention)
            };
            let topics =
                [new(&rejected, 1, REJECTED_RETENTION), new(self.name.as_str(), PARTITIONS, RETENTION)];
            let options = AdminOptions::new().request_timeout(Some(TIMEOUT)).operation_timeout(Some(TIMEOUT));
            let admin = AdminClient::from_config(&self.config)?;
            for created in admin.create_topics(&topics, &options).await? {
                match created {
                    Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                    Err((topic, error)) => {
                        return Err(TransportError::Unavailable(format!("the topic {topic}: {error}")));
                    }
                }
            }
            let kafka = self.clone();
            let mark = move || {
                let consumer: BaseConsumer = kafka.consumer(&kafka.name).create()?;
                Ok(consumer.commit(&kafka.mark()?, CommitMode::Sync)?)
            };
            blocking(mark).await
        }
        .boxed()
    }

    fn publish<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), TransportError>> {
        async move {
            message.check_size(MAX_MESSAGE)?;
            let mut headers = with(OwnedHeaders::new(), CONTENT_TYPE, message.content_type);
            for (name, value) in &message.attributes {
                headers = with(headers, &format!("{PREFIX}{name}"), value);
            }
            if message.attributes.is_empty() {
                // the binding allows attributes as headers in structured mode, too
                headers = with(headers, &format!("{PREFIX}id"), &message.id.to_string());
            }
            self.store(&self.name, Some(message.subject.as_bytes()), headers, &message.body).await
        }
        .boxed()
    }

    fn consume<'a>(&'a self, group: &'a str) -> BoxFuture<'a, Result<Messages, TransportError>> {
        member::join(self, format!("{}.{}", self.name, group_name(group))).boxed()
    }
}

/// Returns an error if a topic is missing.
fn require<C: ClientContext>(client: &Client<C>, topic: &str) -> Result<(), TransportError> {
    let metadata = client.fetch_metadata(Some(topic), TIMEOUT)?;
    match metadata.topics().first().and_then(MetadataTopic::error) {
        None => Ok(()),
        Some(error) => Err(KafkaError::MetadataFetch(error.into()).into()),
    }
}

fn with(headers: OwnedHeaders, key: &str, value: &str) -> OwnedHeaders {
    headers.insert(Header { key, value: Some(value) })
}

/// Runs calls of the client that wait for the broker, on a thread of their own, which delays no end of the process.
async fn blocking<T: Send + 'static>(
    calls: impl FnOnce() -> Result<T, TransportError> + Send + 'static,
) -> Result<T, TransportError> {
    let (done, result) = oneshot::channel();
    std::thread::spawn(move || done.send(calls()));
    in_time(result).await?
}

impl From<KafkaError> for TransportError {
    fn from(error: KafkaError) -> Self {
        use RDKafkaErrorCode::{UnknownPartition, UnknownTopic, UnknownTopicOrPartition};
        match error.rdkafka_error_code() {
            Some(UnknownPartition | UnknownTopic | UnknownTopicOrPartition) => {
                Self::NotSetUp(error.to_string())
            }
            _ => Self::Unavailable(error.to_string()),
        }
    }
}
