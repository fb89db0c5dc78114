//! NATS JetStream: a stream of events, a durable pull consumer for each group, and a stream of rejected messages.
//!
//! Quirks: the server acknowledges a message before it is synchronized to its disk, unless `sync_interval: always` is
//! set. It ignores a message whose id it has seen within the duplicate window.
//!
//! <https://docs.nats.io/nats-concepts/jetstream>, and the binding of CloudEvents,
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/nats-protocol-binding.md>

use std::error::Error;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config, StorageType, Stream};
use async_nats::jetstream::{self, AckKind, Context, ErrorCode};
use async_nats::{ConnectOptions, HeaderMap};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::OnceCell;

use super::url::host_and_port;
use super::{
    AGAIN, CONTENT_TYPE, Message, Messages, Receipt, Received, Settle, Settlement, TIMEOUT, Transport,
    TransportError, group_name, in_time, read_headers, rejected_body,
};

/// The prefix of the attributes of an event in binary mode.
const PREFIX: &str = "ce-";
/// How long the stream keeps an event.
const MAX_AGE: Duration = Duration::from_hours(7 * 24);
/// How long the stream keeps a rejected message.
const REJECTED_MAX_AGE: Duration = Duration::from_hours(30 * 24);
/// The time within which the server ignores a repeated message.
const DUPLICATE_WINDOW: Duration = Duration::from_mins(10);
/// The time after which a message without an acknowledgement comes again.
const ACK_WAIT: Duration = Duration::from_secs(15);
/// The errors of a stream that follow from the message: it, or its headers, are larger than the stream accepts.
/// <https://github.com/nats-io/nats-server/blob/main/server/errors.json>
const REFUSALS: [ErrorCode; 2] =
    [ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM, ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM];
/// The description of a stream of events, before the id of its store. Servers before 2.10 store no metadata.
const OWNER: &str = "undercroft store ";
/// The most messages that a consumer has received and not acknowledged.
const MAX_UNSETTLED: usize = 500;

/// NATS JetStream.
#[derive(Debug)]
pub(super) struct Nats {
    url: SecretString,
    name: String,
    /// The connection reconnects by itself.
    context: OnceCell<Context>,
}

impl Nats {
    pub(super) fn new(url: String, name: &str) -> Self {
        Self { url: url.into(), name: name.to_owned(), context: OnceCell::new() }
    }

    async fn context(&self) -> Result<&Context, TransportError> {
        let connect = async {
            let options = ConnectOptions::new()
                .name("undercroft")
                .connection_timeout(TIMEOUT)
                .request_timeout(Some(TIMEOUT))
                .max_reconnects(None);
            let client = in_time(options.connect(self.url.expose_secret()).boxed()).await?;
            Ok(jetstream::new(client))
        };
        self.context.get_or_try_init(|| connect).await
    }

    /// Returns the stream of events, or that of rejected messages.
    async fn stream(&self, rejected: bool) -> Result<Stream, TransportError> {
        let (context, name) = (self.context().await?, self.config(rejected).name);
        let Ok(found) = tokio::time::timeout(TIMEOUT, context.get_stream(&name)).await else {
            return Err(TransportError::Unavailable("no response in time".to_owned()));
        };
        found.map_err(|error| match error.kind() {
            jetstream::context::GetStreamErrorKind::JetStream(cause) if cause.code() == 404 => {
                TransportError::NotSetUp(format!("there is no stream {name}"))
            }
            _ => TransportError::Unavailable(error.to_string()),
        })
    }

    /// Returns the configuration of the stream of events, or of that of rejected messages.
    fn config(&self, rejected: bool) -> Config {
        let (name, subjects, max_age) = if rejected {
            (format!("{}-rejected", self.name), format!("{}.rejected.>", self.name), REJECTED_MAX_AGE)
        } else {
            (self.name.clone(), format!("{}.events.>", self.name), MAX_AGE)
        };
        Config {
            name,
            subjects: vec![subjects],
            max_age,
            duplicate_window: DUPLICATE_WINDOW,
            storage: StorageType::File,
            ..Config::default()
        }
    }
}

impl Transport for Nats {
    fn kind(&self) -> &'static str {
        "nats"
    }

    fn server(&self) -> String {
        host_and_port(self.url.expose_secret())
    }

    fn state<'a>(&'a self, _: &'a [String]) -> BoxFuture<'a, Result<Option<String>, TransportError>> {
        async move {
            let found = async { self.stream(true).await.and(self.stream(false).await) };
            match found.await {
                Ok(stream) => Ok(Some(stream.cached_info().created.unix_timestamp_nanos().to_string())),
                Err(TransportError::NotSetUp(_)) => Ok(None),
                Err(error) => Err(error),
            }
        }
        .boxed()
    }

    fn set_up<'a>(&'a self, _: &'a [String]) -> BoxFuture<'a, Result<(), TransportError>> {
        async move {
            let context = self.context().await?;
            for rejected in [true, false] {
                in_time(context.get_or_create_stream(self.config(rejected))).await?;
            }
            Ok(())
        }
        .boxed()
    }

    fn owner(&self) -> BoxFuture<'_, Result<Option<String>, TransportError>> {
        async move {
            let stream = match self.stream(false).await {
                Err(TransportError::NotSetUp(_)) => return Ok(None),
                stream => stream?,
            };
            let description = stream.cached_info().config.description.as_deref();
            Ok(description.and_then(|text| text.strip_prefix(OWNER)).map(str::to_owned))
        }
        .boxed()
    }

    fn set_owner<'a>(&'a self, store: &'a str) -> BoxFuture<'a, Result<(), TransportError>> {
        async move {
            let mut config = self.stream(false).await?.cached_info().config.clone();
            config.description = Some(format!("{OWNER}{store}"));
            in_time(self.context().await?.update_stream(config)).await.map(drop)
        }
        .boxed()
    }

    fn publish<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), TransportError>> {
        async move {
            let context = self.context().await?;
            message.check_size(context.client().max_payload())?;
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, message.content_type);
            for (name, value) in &message.attributes {
                headers.insert(format!("{PREFIX}{name}"), value.as_str());
            }
            let publish = PublishMessage::build()
                .payload(message.body.clone())
                .headers(headers)
                .message_id(message.id.to_string());
            store(context, format!("{}.events.{}", self.name, message.event_type), publish).await
        }
        .boxed()
    }

    fn consume<'a>(&'a self, group: &'a str) -> BoxFuture<'a, Result<Messages, TransportError>> {
        async move {
            let (context, stream) = (self.context().await?.clone(), self.stream(false).await?);
            let name = group_name(group);
            let config = pull::Config {
                durable_name: Some(name.clone()),
                deliver_policy: DeliverPolicy::All,
                ack_policy: AckPolicy::Explicit,
                ack_wait: ACK_WAIT,
                max_ack_pending: i64::try_from(MAX_UNSETTLED).unwrap_or(i64::MAX),
                ..pull::Config::default()
            };
            let consumer: PullConsumer = in_time(stream.get_or_create_consumer(&name, config)).await?;
            let pulled = consumer
                .stream()
                .max_messages_per_batch(MAX_UNSETTLED)
                .expires(TIMEOUT)
                .heartbeat(TIMEOUT / 4)
                .messages();
            let rejected_subject = format!("{}.rejected.{name}", self.name);
            let messages = in_time(pulled).await?;
            let received = messages
                .map_ok(move |message| received(message, &context, &rejected_subject))
                .map_err(|error| TransportError::Unavailable(error.to_string()));
            Ok(received.boxed())
        }
        .boxed()
    }
}

/// Publishes a message, and waits until the stream has stored it.
async fn store(context: &Context, subject: String, message: PublishMessage) -> Result<(), TransportError> {
    let stored = async {
        match context.send_publish(subject, message).await {
            Ok(acknowledgement) => acknowledgement.await.map(drop),
            Err(error) => Err(error),
        }
    };
    let Ok(stored) = tokio::time::timeout(TIMEOUT, stored).await else {
        return Err(TransportError::Unavailable("no acknowledgement in time".to_owned()));
    };
    stored.map_err(|error| match error.kind() {
        PublishErrorKind::StreamNotFound => TransportError::NotSetUp(error.to_string()),
        PublishErrorKind::MaxPayloadExceeded => TransportError::Refused(error.to_string()),
        _ if is_refusal(&error) => TransportError::Refused(error.to_string()),
        _ => TransportError::Unavailable(error.to_string()),
    })
}

/// Returns whether a stream refuses a message for what it contains.
fn is_refusal(error: &PublishError) -> bool {
    let cause = error.source().and_then(|source| source.downcast_ref::<jetstream::Error>());
    cause.is_some_and(|cause| REFUSALS.contains(&cause.error_code()))
}

fn received(message: jetstream::Message, context: &Context, rejected_subject: &str) -> Received {
    let headers = message.headers.iter().flat_map(HeaderMap::iter);
    let firsts = headers.filter_map(|(name, values)| Some((name.as_ref(), values.first()?.as_str())));
    let (content_type, attributes) = read_headers(firsts, PREFIX);
    let body = message.payload.clone();
    let receipt =
        NatsReceipt { message, context: context.clone(), rejected_subject: rejected_subject.to_owned() };
    Received { content_type, attributes, body, receipt: Receipt::new(receipt) }
}

#[derive(Debug)]
struct NatsReceipt {
    message: jetstream::Message,
    context: Context,
    rejected_subject: String,
}

impl NatsReceipt {
    /// Stores the message with the reason in the stream of rejected messages. A body without space for the reason is
    /// cut.
    async fn reject(&self, reason: &str) -> Result<(), TransportError> {
        let (mut headers, mut size) = (HeaderMap::new(), 0);
        // others would control the server
        for (name, values) in self.message.headers.iter().flat_map(HeaderMap::iter) {
            let text = AsRef::<str>::as_ref(name).to_ascii_lowercase();
            if text == CONTENT_TYPE || text.starts_with(PREFIX) {
                for value in values {
                    size += text.len() + value.as_str().len();
                    headers.append(text.as_str(), value.clone());
                }
            }
        }
        // a header has one line
        headers.insert("undercroft-reason", reason.replace(['\r', '\n'], " "));
        headers.insert("undercroft-subject", self.message.subject.as_str());
        // the id of the message, which a producer chose, must not make the server ignore it
        headers.insert("Nats-Msg-Id", self.message.reply.as_deref().unwrap_or_default());
        let body = rejected_body(&self.message.payload, size, self.context.client().max_payload());
        let publish = PublishMessage::build().payload(body).headers(headers);
        store(&self.context, self.rejected_subject.clone(), publish).await
    }
}

impl Settle for NatsReceipt {
    fn settle(self: Box<Self>, settlement: Settlement) -> BoxFuture<'static, Result<(), TransportError>> {
        async move {
            let kind = match settlement {
                Settlement::Handled => AckKind::Ack,
                Settlement::Again => AckKind::Nak(Some(AGAIN)),
                Settlement::Rejected(reason) => {
                    self.reject(&reason).await?;
                    AckKind::Ack
                }
            };
            in_time(self.message.ack_with(kind)).await
        }
        .boxed()
    }
}
