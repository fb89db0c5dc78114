//! RabbitMQ: a durable topic exchange, a quorum queue for each group, and a queue of rejected messages.
//!
//! Quirks: a queue gets what is published after it was created, so the store publishes again what it has when a queue
//! is missing. A check of something that is missing closes the channel. From version 4 on, the server moves a message
//! that was refused 20 times to the queue of rejected messages, unless the queue has another limit.
//!
//! <https://www.rabbitmq.com/docs/quorum-queues>, <https://www.rabbitmq.com/docs/confirms>. CloudEvents has no binding
//! of AMQP 0.9.1: the names of the headers are those of the binding of AMQP 1.0, in both of its forms,
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/amqp-protocol-binding.md>

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ErrorKind, ExchangeKind};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;

use super::url::host_and_port;
use super::{
    MAX_MESSAGE, Message, Messages, REJECTED, Receipt, Received, Settle, Settlement, Transport,
    TransportError, group_name, in_time,
};

/// The prefixes of the attributes of an event in binary mode; the first one is published.
const PREFIXES: [&str; 2] = ["cloudEvents:", "cloudEvents_"];
/// The most messages that a consumer has received and not acknowledged.
const MAX_UNSETTLED: u16 = 500;
/// The number of deliveries of a message after which the server rejects it: none, as events wait for their handlers.
const DELIVERIES: i64 = i32::MAX as i64;
/// The wait before a message is refused.
const AGAIN: Duration = Duration::from_millis(200);
/// The delivery mode of messages that are stored.
const PERSISTENT: u8 = 2;
/// The code of the error that something does not exist.
const NOT_FOUND: u16 = 404;
/// The seconds between two signs of life; a connection without any for twice this time is closed.
const HEARTBEAT: &str = "heartbeat=10";

/// The broker RabbitMQ.
#[derive(Debug)]
pub(super) struct RabbitMq {
    url: SecretString,
    name: String,
    /// The connection, until it fails.
    connected: Mutex<Option<Arc<Connected>>>,
}

/// A connection with the channel on which messages are published.
struct Connected {
    connection: Connection,
    publishing: Channel,
}

impl RabbitMq {
    pub(super) fn new(url: &str, name: &str) -> Self {
        let joint = if url.contains('?') { '&' } else { '?' };
        let url =
            if url.contains("heartbeat=") { url.to_owned() } else { format!("{url}{joint}{HEARTBEAT}") };
        Self { url: url.into(), name: name.to_owned(), connected: Mutex::new(None) }
    }

    /// Returns the connection, a new one if the last one failed.
    async fn connected(&self) -> Result<Arc<Connected>, TransportError> {
        let mut slot = self.connected.lock().await;
        if let Some(connected) = slot.as_ref().filter(|connected| connected.is_usable()) {
            return Ok(Arc::clone(connected));
        }
        let properties = ConnectionProperties::default().with_connection_name("undercroft".into());
        let connection = in_time(Connection::connect(self.url.expose_secret(), properties)).await?;
        let publishing = in_time(connection.create_channel()).await?;
        in_time(publishing.confirm_select(ConfirmSelectOptions::default())).await?;
        Ok(Arc::clone(slot.insert(Arc::new(Connected { connection, publishing }))))
    }

    /// Closes a connection after an error: the next call opens a new one, unless another call has.
    async fn disconnect(&self, failed: &Arc<Connected>) {
        let mut slot = self.connected.lock().await;
        slot.take_if(|connected| Arc::ptr_eq(connected, failed));
    }

    fn queue(&self, group: &str) -> String {
        format!("{}.{}", self.name, group_name(group))
    }

    fn rejected(&self) -> String {
        format!("{}.{REJECTED}", self.name)
    }

    /// Declares the exchange and the queues on a channel; those that are missing are created unless it only checks.
    async fn declare(
        &self,
        channel: &Channel,
        groups: &[String],
        only_checks: bool,
    ) -> Result<(), lapin::Error> {
        let queue_options = QueueDeclareOptions { passive: only_checks, durable: true, ..Default::default() };
        let options = ExchangeDeclareOptions { passive: only_checks, durable: true, ..Default::default() };
        let exchange = self.name.as_str();
        channel
            .exchange_declare(exchange.into(), ExchangeKind::Topic, options, FieldTable::default())
            .await?;
        channel.queue_declare(self.rejected().into(), queue_options, quorum()).await?;
        for queue in groups.iter().map(|group| self.queue(group)) {
            let mut arguments = quorum();
            arguments.insert("x-dead-letter-exchange".into(), AMQPValue::LongString("".into()));
            let rejected = AMQPValue::LongString(self.rejected().into());
            arguments.insert("x-dead-letter-routing-key".into(), rejected);
            channel.queue_declare(queue.as_str().into(), queue_options, arguments).await?;
            // also as a check: a binding that was removed cannot be read
            let options = QueueBindOptions::default();
            channel
                .queue_bind(queue.into(), exchange.into(), "#".into(), options, FieldTable::default())
                .await?;
        }
        Ok(())
    }
}

impl Connected {
    fn is_usable(&self) -> bool {
        self.connection.status().connected() && self.publishing.status().connected()
    }
}

impl std::fmt::Debug for Connected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connected").finish_non_exhaustive()
    }
}

impl Transport for RabbitMq {
    fn kind(&self) -> &'static str {
        "rabbitmq"
    }

    fn server(&self) -> String {
        host_and_port(self.url.expose_secret())
    }

    fn state<'a>(&'a self, groups: &'a [String]) -> BoxFuture<'a, Result<Option<String>, TransportError>> {
        async move {
            let channel = in_time(self.connected().await?.connection.create_channel()).await?;
            match timed(self.declare(&channel, groups, true)).await {
                Ok(()) => Ok(Some(server(self.url.expose_secret()).to_owned())),
                Err(TransportError::NotSetUp(_)) => Ok(None),
                Err(error) => Err(error),
            }
        }
        .boxed()
    }

    fn set_up<'a>(&'a self, groups: &'a [String]) -> BoxFuture<'a, Result<(), TransportError>> {
        async move {
            let channel = in_time(self.connected().await?.connection.create_channel()).await?;
            timed(self.declare(&channel, groups, false)).await
        }
        .boxed()
    }

    fn publish<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), TransportError>> {
        async move {
            message.check_size(MAX_MESSAGE)?;
            let mut headers = FieldTable::default();
            for (name, value) in &message.attributes {
                let name = format!("{}{name}", PREFIXES[0]);
                headers.insert(name.into(), AMQPValue::LongString(value.as_str().into()));
            }
            let properties = BasicProperties::default()
                .with_content_type(message.content_type.into())
                .with_message_id(message.id.to_string().into())
                .with_headers(headers);
            let connected = self.connected().await?;
            let stored =
                store(&connected.publishing, &self.name, &message.event_type, &message.body, properties)
                    .await;
            if stored.is_err() {
                self.disconnect(&connected).await;
            }
            stored
        }
        .boxed()
    }

    fn consume<'a>(&'a self, group: &'a str) -> BoxFuture<'a, Result<Messages, TransportError>> {
        async move {
            let connected = self.connected().await?;
            let channel = in_time(connected.connection.create_channel()).await?;
            in_time(channel.confirm_select(ConfirmSelectOptions::default())).await?;
            in_time(channel.basic_qos(MAX_UNSETTLED, BasicQosOptions::default())).await?;
            let queue = self.queue(group);
            let options = BasicConsumeOptions::default();
            let consuming = channel.basic_consume(queue.into(), "".into(), options, FieldTable::default());
            let (deliveries, rejected) = (timed(consuming).await?, self.rejected());
            let received = deliveries.map(move |delivery| match delivery {
                // the connection is open while its messages are read
                Ok(delivery) => Ok(received(delivery, &channel, &rejected, &connected)),
                Err(error) => Err(error.into()),
            });
            Ok(received.boxed())
        }
        .boxed()
    }
}

/// Returns what identifies another server, and is no secret: the address and the virtual host of a URL.
fn server(url: &str) -> &str {
    let without_parameters = url.split('?').next().unwrap_or_default();
    without_parameters.rsplit('@').next().unwrap_or_default()
}

/// Returns the arguments of a quorum queue.
fn quorum() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(DELIVERIES));
    arguments
}

/// Returns the error of a message of `size` bytes. For one above its `max_message_size` the server closes the channel,
/// and all messages on it fail with that error (`rabbit_channel.erl` of the server).
fn if_too_large(error: TransportError, size: usize) -> TransportError {
    let TransportError::Unavailable(text) = &error else { return error };
    let limit = text.split_once("is larger than configured max size ");
    let limit = limit.and_then(|(_, limit)| limit.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok());
    match limit {
        Some(limit) if size > limit => TransportError::TooLarge { size, limit },
        _ => error,
    }
}

/// Publishes a message that must reach a queue, and waits until it is stored.
async fn store(
    channel: &Channel,
    exchange: &str,
    routing_key: &str,
    body: &[u8],
    properties: BasicProperties,
) -> Result<(), TransportError> {
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    let properties = properties.with_delivery_mode(PERSISTENT);
    let storing = async {
        channel.basic_publish(exchange.into(), routing_key.into(), options, body, properties).await?.await
    };
    let confirmation = timed(storing).await.map_err(|error| if_too_large(error, body.len()))?;
    if !confirmation.is_ack() {
        return Err(TransportError::Unavailable("the server did not store the message".to_owned()));
    }
    match confirmation.take_message() {
        None => Ok(()),
        Some(_) => Err(TransportError::NotSetUp("no queue gets the message".to_owned())),
    }
}

fn received(
    mut delivery: Delivery,
    channel: &Channel,
    rejected: &str,
    connected: &Arc<Connected>,
) -> Received {
    let mut attributes = Vec::new();
    for (name, value) in delivery.properties.headers().iter().flat_map(FieldTable::inner) {
        let prefix = PREFIXES.iter().find_map(|prefix| name.as_str().strip_prefix(prefix));
        let Some(name) = prefix else { continue };
        attributes.push((name.to_owned(), text(value)));
    }
    let body = Bytes::from(std::mem::take(&mut delivery.data));
    let content_type = delivery.properties.content_type().as_ref();
    let content_type = content_type.map(|media_type| media_type.as_str().to_owned());
    Received {
        content_type,
        attributes,
        body: body.clone(),
        receipt: Receipt::new(RabbitMqReceipt {
            delivery,
            body,
            channel: channel.clone(),
            rejected: rejected.to_owned(),
            _connected: Arc::clone(connected),
        }),
    }
}

/// Returns the text of a header; that of a value of another type is its description.
fn text(value: &AMQPValue) -> String {
    match value {
        AMQPValue::LongString(text) => String::from_utf8_lossy(text.as_bytes()).into_owned(),
        AMQPValue::ShortString(text) => text.as_str().to_owned(),
        AMQPValue::LongInt(number) => number.to_string(),
        AMQPValue::LongLongInt(number) => number.to_string(),
        AMQPValue::Boolean(value) => value.to_string(),
        other => format!("{other:?}"),
    }
}

#[derive(Debug)]
struct RabbitMqReceipt {
    /// The message without its body.
    delivery: Delivery,
    body: Bytes,
    channel: Channel,
    rejected: String,
    _connected: Arc<Connected>,
}

impl RabbitMqReceipt {
    /// Stores the message with the reason in the queue of rejected messages.
    async fn reject(&self, reason: &str) -> Result<(), TransportError> {
        let mut headers = FieldTable::default();
        // others, such as CC, would control the server
        for (name, value) in self.delivery.properties.headers().iter().flat_map(FieldTable::inner) {
            if PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix)) {
                headers.insert(name.clone(), value.clone());
            }
        }
        for (name, value) in [
            ("undercroft-reason", reason),
            ("undercroft-exchange", self.delivery.exchange.as_str()),
            ("undercroft-routing-key", self.delivery.routing_key.as_str()),
        ] {
            headers.insert(name.into(), AMQPValue::LongString(value.into()));
        }
        let mut properties = BasicProperties::default().with_headers(headers);
        if let Some(content_type) = self.delivery.properties.content_type() {
            properties = properties.with_content_type(content_type.clone());
        }
        store(&self.channel, "", &self.rejected, &self.body, properties).await
    }
}

impl Settle for RabbitMqReceipt {
    fn settle(self: Box<Self>, settlement: Settlement) -> BoxFuture<'static, Result<(), TransportError>> {
        async move {
            if let Settlement::Rejected(reason) = &settlement {
                self.reject(reason).await?;
            }
            let is_settled = match settlement {
                Settlement::Handled | Settlement::Rejected(_) => {
                    timed(self.delivery.acker.ack(BasicAckOptions::default())).await?
                }
                Settlement::Again => {
                    // the server delivers it at once
                    tokio::time::sleep(AGAIN).await;
                    let options = BasicNackOptions { requeue: true, ..Default::default() };
                    timed(self.delivery.acker.nack(options)).await?
                }
            };
            let closed = || TransportError::Unavailable("the channel was closed".to_owned());
            if is_settled { Ok(()) } else { Err(closed()) }
        }
        .boxed()
    }
}

/// Waits for the response of the server.
async fn timed<T>(response: impl Future<Output = Result<T, lapin::Error>>) -> Result<T, TransportError> {
    match tokio::time::timeout(super::TIMEOUT, response).await {
        Ok(response) => Ok(response?),
        Err(_) => Err(TransportError::Unavailable("no response in time".to_owned())),
    }
}

impl From<lapin::Error> for TransportError {
    fn from(error: lapin::Error) -> Self {
        match error.kind() {
            ErrorKind::ProtocolError(cause) if cause.get_id() == NOT_FOUND => {
                Self::NotSetUp(error.to_string())
            }
            _ => Self::Unavailable(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{TransportError, if_too_large, server};

    #[test]
    fn of_the_messages_on_a_channel_the_larger_ones_are_refused() {
        let text = "PRECONDITION_FAILED - message size 300 is larger than configured max size 200";
        let error = || TransportError::Unavailable(format!("protocol error: {text}, class 60"));
        assert_eq!(if_too_large(error(), 300), TransportError::TooLarge { size: 300, limit: 200 });
        assert_eq!(if_too_large(error(), 200), error());
    }

    #[test]
    fn parameters_and_passwords_identify_no_server() {
        let url = "amqp://ann:secret@host:5672/store";
        assert_eq!(server(&format!("{url}?heartbeat=10&frame_max=8192")), "host:5672/store");
        assert_eq!(server(&format!("{url}?heartbeat=5&password=a@b")), server(url));
    }
}
