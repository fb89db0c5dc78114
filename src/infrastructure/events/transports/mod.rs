//! Brokers that carry events to other processes, each behind [`Transport`].
//!
//! A broker has one place to which events are published, a durable queue for each group of consumers, and a queue of
//! rejected messages. The relay alone creates them ([`Transport::set_up`]): by what is missing it notices that a broker
//! was wiped.
//!
//! # Adding one
//!
//! 1. Write `<name>.rs` with a type that implements [`Transport`], behind a Cargo feature of that name.
//! 2. Add its scheme to [`EventsUrl`](super::EventsUrl) and a line to [`open`].
//! 3. Add it to the suite in `tests/it/infrastructure/events/transports`, which checks the promises of the trait.

#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "nats")]
mod nats;
#[cfg(feature = "rabbitmq")]
mod rabbitmq;
mod url;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use futures_util::stream::BoxStream;
use uuid::Uuid;

#[cfg(feature = "kafka")]
pub use self::url::KafkaUrl;
pub use self::url::{EventsUrl, InvalidEventsUrl};

/// The bytes that a protocol adds to a message: names of headers, the media type, the id.
#[cfg(any(feature = "kafka", feature = "nats", feature = "rabbitmq"))]
const OVERHEAD: usize = 512;
/// The largest message that is published, and that is read: the usual limit of NATS and of Kafka, in bytes.
pub const MAX_MESSAGE: usize = 1 << 20;
/// The name of the queue of rejected messages, which no group may have.
pub(super) const REJECTED: &str = "rejected";
/// The longest wait for the response of a broker.
pub const TIMEOUT: Duration = Duration::from_secs(10);
/// The time after which a refused message comes again.
#[cfg(any(feature = "kafka", feature = "nats"))]
const AGAIN: Duration = Duration::from_secs(1);
/// The space for the reason in a rejected message, in bytes.
#[cfg(any(feature = "kafka", feature = "nats"))]
const REASON_SPACE: usize = 4096;
/// The header with the media type of the body.
#[cfg(any(feature = "kafka", feature = "nats"))]
const CONTENT_TYPE: &str = "content-type";

/// A broker. Clones of the `Arc` share its connections, which are opened when they are needed, and again after a
/// failure.
pub trait Transport: Debug + Send + Sync {
    /// Returns the name of the kind of broker, such as `nats`.
    fn kind(&self) -> &'static str;

    /// Returns the host and the port, or those of several servers, without user and password.
    fn server(&self) -> String;

    /// Returns what identifies the content of the broker; `None` if something of [`Transport::set_up`] is missing. A
    /// broker that was wiped and set up again has another identity, or `None` in between.
    fn state<'a>(&'a self, groups: &'a [String]) -> BoxFuture<'a, Result<Option<String>, TransportError>>;

    /// Creates what is missing: the place to which events are published, and a queue for each group of consumers.
    fn set_up<'a>(&'a self, groups: &'a [String]) -> BoxFuture<'a, Result<(), TransportError>>;

    /// Returns the id of the store that the name belongs to; `None` if none is recorded, or if this kind of broker
    /// records none.
    fn owner(&self) -> BoxFuture<'_, Result<Option<String>, TransportError>> {
        ready(Ok(None)).boxed()
    }

    /// Records the id of the store that the name belongs to, if this kind of broker can. It is set up.
    fn set_owner<'a>(&'a self, _store: &'a str) -> BoxFuture<'a, Result<(), TransportError>> {
        ready(Ok(())).boxed()
    }

    /// Publishes a message; returns after the broker has acknowledged that it is stored. A repeated call may store it
    /// again.
    fn publish<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), TransportError>>;

    /// Returns the messages of a group, from the first that the group has not acknowledged. Each is delivered to one
    /// consumer of the group, and again until it is settled. The stream ends with an error, after which a new one
    /// continues.
    fn consume<'a>(&'a self, group: &'a str) -> BoxFuture<'a, Result<Messages, TransportError>>;
}

/// A stream of received messages.
pub type Messages = BoxStream<'static, Result<Received, TransportError>>;

/// A message to publish: an event in one of the modes of CloudEvents.
#[derive(Debug, Clone)]
pub struct Message {
    /// The id of the event.
    pub id: Uuid,
    /// The type of the event.
    pub event_type: String,
    /// The aggregate that the event belongs to. The messages of a subject keep their order.
    pub subject: String,
    /// The media type of the body.
    pub content_type: &'static str,
    /// The attributes of the event in binary mode, without the prefix of the protocol; none in structured mode.
    pub attributes: Vec<(&'static str, String)>,
    /// The event in structured mode, its data in binary mode.
    pub body: Bytes,
}

#[cfg(any(feature = "kafka", feature = "nats", feature = "rabbitmq"))]
impl Message {
    /// Checks the size of the message against the limit of the broker.
    fn check_size(&self, limit: usize) -> Result<(), TransportError> {
        let attributes = self.attributes.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        let (size, limit) = (self.body.len() + attributes, limit.min(MAX_MESSAGE));
        if size + OVERHEAD > limit { Err(TransportError::TooLarge { size, limit }) } else { Ok(()) }
    }
}

/// A message from a broker.
#[derive(Debug)]
pub struct Received {
    /// The media type of the body, if the message has one.
    pub content_type: Option<String>,
    /// The attributes of the event in binary mode, without the prefix of the protocol.
    pub attributes: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
    /// Settles the message.
    pub receipt: Receipt,
}

/// The receipt of a message. A message whose receipt is dropped comes again.
#[derive(Debug)]
pub struct Receipt(Option<Box<dyn Settle>>);

/// Settles a message of one kind of broker.
pub trait Settle: Debug + Send + Sync {
    /// Settles the message at the broker. If this fails, the message comes again.
    fn settle(self: Box<Self>, settlement: Settlement) -> BoxFuture<'static, Result<(), TransportError>>;
}

impl Receipt {
    /// Returns the receipt of a message that is settled by `settle`.
    pub fn new(settle: impl Settle + 'static) -> Self {
        Self(Some(Box::new(settle)))
    }

    /// Settles the message at the broker. If this fails, the message comes again.
    pub async fn settle(mut self, settlement: Settlement) -> Result<(), TransportError> {
        match self.0.take() {
            Some(message) => message.settle(settlement).await,
            None => Ok(()),
        }
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if let (Some(message), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            // if the consumer has ended, too, this fails, and the broker delivers the message to another one
            runtime.spawn(message.settle(Settlement::Again));
        }
    }
}

/// What becomes of a received message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// It is acknowledged.
    Handled,
    /// It comes again after a moment.
    Again,
    /// It is moved to the queue of rejected messages, with the reason.
    Rejected(String),
}

/// Why a broker did not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// The broker cannot be reached, or does not respond in time; the text is its error.
    #[error("the broker is not available: {0}")]
    Unavailable(String),
    /// The broker lacks something of [`Transport::set_up`].
    #[error("the broker is not set up: {0}")]
    NotSetUp(String),
    /// The name of the store at the broker belongs to another store.
    #[error("the name at the broker belongs to another store: each needs its own `events.name`")]
    OtherStore,
    /// The message is larger than the broker accepts.
    #[error("the message has {size} bytes, and at most {limit} are accepted")]
    TooLarge {
        /// The size of the message, in bytes.
        size: usize,
        /// The limit of the broker, in bytes.
        limit: usize,
    },
    /// The broker refuses the message for what it contains, such as its size; the text is its error.
    #[error("the broker refuses the message: {0}")]
    Refused(String),
}

impl TransportError {
    /// Returns whether another attempt with the same message fails, too.
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::TooLarge { .. } | Self::Refused(_))
    }
}

/// Returns the broker at a URL, `None` for the database itself. `name` begins the names of all that the store has
/// there. It is connected to when it is used.
#[cfg_attr(
    not(any(feature = "kafka", feature = "nats", feature = "rabbitmq")),
    expect(unused_variables, reason = "no broker has a name without the features")
)]
pub fn open(url: &EventsUrl, name: &str) -> Option<Arc<dyn Transport>> {
    match url {
        EventsUrl::Database => None,
        #[cfg(feature = "kafka")]
        EventsUrl::Kafka(url) => Some(Arc::new(kafka::Kafka::new(url, name))),
        #[cfg(feature = "nats")]
        EventsUrl::Nats(url) => Some(Arc::new(nats::Nats::new(url.clone(), name))),
        #[cfg(feature = "rabbitmq")]
        EventsUrl::RabbitMq(url) => Some(Arc::new(rabbitmq::RabbitMq::new(url, name))),
    }
}

/// Returns the name of a group as brokers allow it: letters, digits, `-` and `_`; other bytes as `=` and two
/// hexadecimal digits.
#[cfg(any(feature = "kafka", feature = "nats", feature = "rabbitmq"))]
fn group_name(group: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => char::from(byte).to_string(),
        _ => format!("={byte:02x}"),
    };
    group.bytes().map(encode).collect()
}

/// Returns the media type and the attributes of an event in binary mode that are among the headers of a message.
#[cfg(any(feature = "kafka", feature = "nats"))]
fn read_headers<'a>(
    headers: impl Iterator<Item = (&'a str, &'a str)>,
    prefix: &str,
) -> (Option<String>, Vec<(String, String)>) {
    let (mut content_type, mut attributes) = (None, Vec::new());
    for (name, value) in headers {
        let name = name.to_ascii_lowercase();
        if name == CONTENT_TYPE {
            content_type = Some(value.to_owned());
        } else if let Some(name) = name.strip_prefix(prefix) {
            attributes.push((name.to_owned(), value.to_owned()));
        }
    }
    (content_type, attributes)
}

/// Returns the body of a rejected message: cut if a message of `limit` bytes has no space for it beside headers of
/// `headers` bytes and the reason.
#[cfg(any(feature = "kafka", feature = "nats"))]
fn rejected_body(body: &Bytes, headers: usize, limit: usize) -> Bytes {
    body.slice(..body.len().min(limit.saturating_sub(REASON_SPACE + headers)))
}

/// Waits for the response of a broker, at most [`TIMEOUT`].
#[cfg(any(feature = "kafka", feature = "nats", feature = "rabbitmq"))]
async fn in_time<T, E: std::fmt::Display>(
    response: impl Future<Output = Result<T, E>>,
) -> Result<T, TransportError> {
    match tokio::time::timeout(TIMEOUT, response).await {
        Ok(response) => response.map_err(|error| TransportError::Unavailable(error.to_string())),
        Err(_) => Err(TransportError::Unavailable("no response in time".to_owned())),
    }
}

#[cfg(all(test, any(feature = "kafka", feature = "nats", feature = "rabbitmq")))]
mod tests {
    use super::*;

    #[test]
    fn the_password_of_a_broker_is_not_shown() {
        let urls = [
            #[cfg(feature = "kafka")]
            "kafka://ann:secret@localhost",
            #[cfg(feature = "nats")]
            "nats://ann:secret@localhost",
            #[cfg(feature = "rabbitmq")]
            "amqp://ann:secret@localhost",
        ];
        for url in urls {
            let shown = format!("{:?}", open(&url.parse().unwrap(), "name"));
            assert!(shown.contains("name") && !shown.contains("secret"), "{shown}");
        }
    }

    #[test]
    fn the_server_of_a_broker_is_shown_with_its_port_and_without_credentials() {
        let servers = [
            #[cfg(feature = "kafka")]
            ("kafka://ann:secret@one:9092,two", "one:9092,two"),
            #[cfg(feature = "nats")]
            ("nats://ann:secret@localhost", "localhost:4222"),
            #[cfg(feature = "nats")]
            ("tls://[::1]:4333", "[::1]:4333"),
            #[cfg(feature = "rabbitmq")]
            ("amqp://ann:secret@localhost/store?heartbeat=5", "localhost:5672"),
            #[cfg(feature = "rabbitmq")]
            ("amqps://localhost", "localhost:5671"),
        ];
        for (url, server) in servers {
            let transport = open(&url.parse().unwrap(), "name").unwrap();
            assert_eq!(transport.server(), server, "{url}");
        }
    }

    #[test]
    fn the_names_of_groups_stay_distinct() {
        assert_eq!(group_name("webhooks"), "webhooks");
        assert_eq!(group_name("parcel counts.é"), "parcel=20counts=2e=c3=a9");
        assert_ne!(group_name("a b"), group_name("a=20b"));
    }
}
