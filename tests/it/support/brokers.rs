//! The brokers of tests: each test has its own names at a broker, and removes what it created.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions, ExchangeDeleteOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use tokio::net::TcpStream;
use undercroft::infrastructure::events::transports::{self, Transport};

use super::{report_skipped, required, unique};

/// A kind of broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrokerKind {
    /// NATS JetStream.
    Nats,
    /// The broker RabbitMQ.
    RabbitMq,
    /// Kafka: a cluster in this process, or the one at `UNDERCROFT_TEST_KAFKA`, such as `127.0.0.1:9092`.
    #[cfg(feature = "kafka")]
    Kafka,
}

/// A broker with the names of one test; what is there by these names is removed when it is dropped.
pub struct TestBroker {
    /// The kind.
    pub kind: BrokerKind,
    /// The URL.
    pub url: String,
    /// The beginning of the names.
    pub name: String,
    #[cfg(feature = "kafka")]
    cluster: Option<Arc<super::kafka::TestCluster>>,
}

/// A rejected message.
#[derive(Debug)]
pub struct Rejected {
    /// The reason.
    pub reason: String,
    /// The body.
    pub body: Vec<u8>,
}

/// Makes a test of `async fn name(broker: &TestBroker)` for each kind of broker: `name::nats`, …
macro_rules! on_each_broker {
    ($test:ident) => {
        mod $test {
            use crate::support::brokers::{BrokerKind, TestBroker};

            #[tokio::test(flavor = "multi_thread")]
            async fn nats() {
                if let Some(broker) = TestBroker::new(BrokerKind::Nats).await {
                    super::$test(&broker).await;
                }
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn rabbitmq() {
                if let Some(broker) = TestBroker::new(BrokerKind::RabbitMq).await {
                    super::$test(&broker).await;
                }
            }

            #[cfg(feature = "kafka")]
            #[tokio::test(flavor = "multi_thread")]
            async fn kafka() {
                if let Some(broker) = TestBroker::new(BrokerKind::Kafka).await {
                    super::$test(&broker).await;
                }
            }
        }
    };
}

/// Makes a test of `async fn name(shop: &Shop, broker: &TestBroker)` for each kind of broker and each engine:
/// `name::nats::sqlite`, … A second argument gives the options of the shop.
macro_rules! on_each_broker_and_engine {
    ($test:ident) => {
        on_each_broker_and_engine!($test, crate::support::ShopOptions::default());
    };
    ($test:ident, $options:expr) => {
        mod $test {
            use super::*;

            mod nats {
                use super::*;
                on_each_broker_and_engine!(@tests $test, $options, Nats);
            }

            mod rabbitmq {
                use super::*;
                on_each_broker_and_engine!(@tests $test, $options, RabbitMq);
            }

            #[cfg(feature = "kafka")]
            mod kafka {
                use super::*;
                on_each_broker_and_engine!(@tests $test, $options, Kafka);
            }
        }
    };
    (@tests $test:ident, $options:expr, $kind:ident) => {
        #[tokio::test(flavor = "multi_thread")]
        async fn sqlite() {
            use crate::support::brokers::{BrokerKind, TestBroker};
            if let Some(broker) = TestBroker::new(BrokerKind::$kind).await {
                let shop = crate::support::Shop::on_sqlite($options).await;
                shop.run(async |shop: &Shop| super::super::$test(shop, &broker).await).await;
            }
        }

        #[tokio::test(flavor = "multi_thread")]
        async fn postgres() {
            use crate::support::brokers::{BrokerKind, TestBroker};
            if let (Some(broker), Some(shop)) =
                (TestBroker::new(BrokerKind::$kind).await, crate::support::Shop::on_postgres($options).await)
            {
                shop.run(async |shop: &Shop| super::super::$test(shop, &broker).await).await;
            }
        }
    };
}

impl TestBroker {
    /// The broker at its usual address, `None` with a message if there is none.
    pub async fn new(kind: BrokerKind) -> Option<Self> {
        let url = match kind {
            BrokerKind::Nats => "nats://127.0.0.1:4222".to_owned(),
            BrokerKind::RabbitMq => "amqp://guest:guest@127.0.0.1:5672".to_owned(),
            #[cfg(feature = "kafka")]
            BrokerKind::Kafka => match super::kafka::servers() {
                Some(servers) => format!("kafka://{servers}"),
                None => return Some(Self::in_process()),
            },
        };
        if let Err(error) = TcpStream::connect(url.rsplit(['/', '@']).next().unwrap()).await {
            assert!(!required(), "{kind:?} is required and is not available: {error}");
            report_skipped(&format!("the tests on {kind:?}, because none is available at {url}"));
            return None;
        }
        let name = unique("undercroft_test");
        Some(Self {
            kind,
            url,
            name,
            #[cfg(feature = "kafka")]
            cluster: None,
        })
    }

    /// A Kafka cluster in this process.
    #[cfg(feature = "kafka")]
    fn in_process() -> Self {
        let cluster = super::kafka::TestCluster::start();
        let (url, name) = (cluster.url.clone(), unique("undercroft_test"));
        Self { kind: BrokerKind::Kafka, url, name, cluster: Some(Arc::new(cluster)) }
    }

    /// The same broker for another store.
    pub fn beside(&self) -> Self {
        let (url, name) = (self.url.clone(), unique("undercroft_test"));
        Self {
            kind: self.kind,
            url,
            name,
            #[cfg(feature = "kafka")]
            cluster: self.cluster.clone(),
        }
    }

    /// A new connection.
    pub fn transport(&self) -> Arc<dyn Transport> {
        self.transport_at(&self.url)
    }

    /// A new connection through another address.
    pub fn transport_at(&self, url: &str) -> Arc<dyn Transport> {
        transports::open(&url.parse().unwrap(), &self.name).unwrap()
    }

    /// A new connection, after the broker was set up for these groups.
    pub async fn set_up(&self, groups: &[&str]) -> Arc<dyn Transport> {
        let transport = self.transport();
        let groups: Vec<_> = groups.iter().map(|&group| group.to_owned()).collect();
        assert_eq!(transport.state(&groups).await.unwrap(), None);
        transport.set_up(&groups).await.unwrap();
        assert!(transport.state(&groups).await.unwrap().is_some());
        transport
    }

    /// Publishes any message as if it were an event of a type.
    pub async fn send(&self, event_type: &str, headers: &[(&str, &str)], body: &[u8]) {
        match self.kind {
            BrokerKind::Nats => {
                let client = async_nats::connect(&self.url).await.unwrap();
                let context = async_nats::jetstream::new(client);
                let subject = format!("{}.events.{event_type}", self.name);
                let mut all = async_nats::HeaderMap::new();
                for (name, value) in headers {
                    all.insert(*name, *value);
                }
                let sent = context.publish_with_headers(subject, all, body.to_vec().into()).await.unwrap();
                sent.await.unwrap();
            }
            BrokerKind::RabbitMq => {
                let (_connection, channel) = channel(&self.url).await;
                let (mut properties, mut all) = (BasicProperties::default(), FieldTable::default());
                for (name, value) in headers {
                    if *name == "content-type" {
                        properties = properties.with_content_type((*value).into());
                    } else {
                        all.insert((*name).into(), AMQPValue::LongString((*value).into()));
                    }
                }
                let (exchange, options) = (self.name.as_str().into(), BasicPublishOptions::default());
                let properties = properties.with_headers(all);
                let sent = channel.basic_publish(exchange, event_type.into(), options, body, properties);
                sent.await.unwrap().await.unwrap();
            }
            #[cfg(feature = "kafka")]
            BrokerKind::Kafka => super::kafka::send(&self.url, &self.name, event_type, headers, body).await,
        }
    }

    /// Lets the broker refuse messages that are larger than a number of bytes; returns whether this kind can.
    pub async fn limit_messages(&self, bytes: i32) -> bool {
        if self.kind != BrokerKind::Nats {
            return false;
        }
        let context = async_nats::jetstream::new(async_nats::connect(&self.url).await.unwrap());
        let mut config = context.get_stream(&self.name).await.unwrap().cached_info().config.clone();
        config.max_message_size = bytes;
        context.update_stream(config).await.unwrap();
        true
    }

    /// The headers of an event in binary mode.
    pub fn binary<'a>(&self, attributes: &[(&str, &'a str)]) -> Vec<(&'static str, &'a str)> {
        let prefix = match self.kind {
            BrokerKind::Nats => "ce-",
            BrokerKind::RabbitMq => "cloudEvents:",
            #[cfg(feature = "kafka")]
            BrokerKind::Kafka => "ce_",
        };
        let header = |&(name, value): &(&str, &'a str)| {
            let name: &'static str = Box::leak(format!("{prefix}{name}").into_boxed_str());
            (name, value)
        };
        attributes.iter().map(header).chain([("content-type", "application/json")]).collect()
    }

    /// The first messages that were rejected.
    pub async fn rejected(&self, number: usize) -> Vec<Rejected> {
        let reading = tokio::time::timeout(Duration::from_mins(1), self.read_rejected(number));
        reading.await.expect("fewer messages were rejected in a minute")
    }

    async fn read_rejected(&self, number: usize) -> Vec<Rejected> {
        match self.kind {
            BrokerKind::Nats => {
                let client = async_nats::connect(&self.url).await.unwrap();
                let context = async_nats::jetstream::new(client);
                let stream = context.get_stream(format!("{}-rejected", self.name)).await.unwrap();
                let config = async_nats::jetstream::consumer::pull::Config::default();
                let consumer = stream.create_consumer(config).await.unwrap();
                let messages = consumer.messages().await.unwrap().take(number);
                let rejected = messages.map(|message| {
                    let message = message.unwrap();
                    let reason = message.headers.as_ref().unwrap().get("undercroft-reason").unwrap();
                    Rejected { reason: reason.to_string(), body: message.payload.to_vec() }
                });
                rejected.collect().await
            }
            BrokerKind::RabbitMq => {
                let (_connection, channel) = channel(&self.url).await;
                let queue = format!("{}.rejected", self.name);
                let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
                let messages =
                    channel.basic_consume(queue.into(), "".into(), options, arguments).await.unwrap();
                let rejected = messages.take(number).map(|message| {
                    let message = message.unwrap();
                    let headers = message.properties.headers().clone().unwrap();
                    let Some(AMQPValue::LongString(reason)) = headers.inner().get("undercroft-reason") else {
                        panic!("no reason in {headers:?}")
                    };
                    Rejected { reason: reason.to_string(), body: message.data }
                });
                rejected.collect().await
            }
            #[cfg(feature = "kafka")]
            BrokerKind::Kafka => {
                super::kafka::read_rejected(&self.url, &format!("{}-rejected", self.name), number).await
            }
        }
    }

    /// Removes all that is there by the names of the test.
    pub async fn wipe(&self) {
        #[cfg(feature = "kafka")]
        if let Some(cluster) = &self.cluster {
            return cluster.wipe().await;
        }
        wipe(self.kind, &self.url, &self.name).await;
    }
}

/// The queues of the tests.
const QUEUES: [&str; 11] = [
    "all",
    "emails",
    "late",
    "notes",
    "notifications",
    "one",
    "order=20counts",
    "other=20service",
    "rejected",
    "two=20words",
    "webhooks",
];

/// A channel of RabbitMQ, with its connection.
async fn channel(url: &str) -> (Connection, Channel) {
    let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    (connection, channel)
}

async fn wipe(kind: BrokerKind, url: &str, name: &str) {
    match kind {
        BrokerKind::Nats => {
            let context = async_nats::jetstream::new(async_nats::connect(url).await.unwrap());
            for stream in [name.to_owned(), format!("{name}-rejected")] {
                // it may not have been created
                let _ = context.delete_stream(stream).await;
            }
        }
        BrokerKind::RabbitMq => {
            let (_connection, channel) = channel(url).await;
            channel.exchange_delete(name.into(), ExchangeDeleteOptions::default()).await.unwrap();
            for queue in QUEUES {
                let options = QueueDeleteOptions::default();
                channel.queue_delete(format!("{name}.{queue}").into(), options).await.unwrap();
            }
        }
        #[cfg(feature = "kafka")]
        BrokerKind::Kafka => super::kafka::delete(url, &[name, &format!("{name}-rejected")]).await,
    }
}

impl Drop for TestBroker {
    fn drop(&mut self) {
        #[cfg(feature = "kafka")]
        if self.cluster.is_some() {
            return;
        }
        let (kind, url, name) = (self.kind, self.url.clone(), self.name.clone());
        // a new runtime, because the test's own one may be shutting down
        let removed = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(wipe(kind, &url, &name));
        });
        removed.join().unwrap();
    }
}

/// Counts equal texts.
pub fn counts<'a>(texts: impl IntoIterator<Item = &'a str>) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    for text in texts {
        *counts.entry(text).or_default() += 1;
    }
    counts
}
