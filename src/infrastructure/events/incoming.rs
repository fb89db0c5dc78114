//! Events from a broker: CloudEvents 1.0 of any producer, read strictly.
//!
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md>

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use thiserror::Error;
use uuid::Uuid;

use super::cloud_event::CloudEvent;
use super::transports::{MAX_MESSAGE, Received};
use crate::domain::media_type::{self, essence};
use crate::domain::trace::TraceContext;
use crate::domain::unique_members::{UniqueMembers, UniqueValue};

/// An event that was received.
#[derive(Debug, Clone, PartialEq)]
pub struct ReceivedEvent {
    /// The id, unique among the events of its source.
    pub id: String,
    /// The source, a URI reference.
    pub source: String,
    /// The type.
    pub event_type: String,
    /// The version of the data: the extension attribute `dataversion`, 1 if it is omitted.
    pub version: i64,
    /// The aggregate that the event belongs to.
    pub subject: Option<String>,
    /// The time at which the event happened.
    pub time: Option<Timestamp>,
    /// The position of the event among those of its source: the extension attribute `sequence`.
    pub position: Option<i64>,
    /// The trace in which it happened: the extension attribute `traceparent`, `None` if it is malformed.
    pub trace: Option<TraceContext>,
    /// The data, `null` if there is none.
    pub data: Value,
}

/// Why a message is not an event.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidEvent {
    /// The message is larger than the limit.
    #[error("the message has {0} bytes, and at most {MAX_MESSAGE} are read")]
    TooLarge(usize),
    /// The message is in neither mode of CloudEvents.
    #[error("the message is no CloudEvent: it has another media type, and no attribute specversion")]
    NoEvent,
    /// The body is not JSON, or not the JSON of an event.
    #[error("the body is malformed: {0}")]
    Malformed(String),
    /// The event has another version of the specification.
    #[error("version {0} of CloudEvents is not supported")]
    Version(String),
    /// A required attribute is missing.
    #[error("the attribute {0} is missing")]
    Missing(&'static str),
    /// An attribute does not have the form that the specification requires.
    #[error("the attribute {name} is not {expected}")]
    Attribute {
        /// The name of the attribute.
        name: String,
        /// What was expected.
        expected: &'static str,
    },
}

impl ReceivedEvent {
    /// Reads an event in structured or in binary mode.
    pub fn parse(message: &Received) -> Result<Self, InvalidEvent> {
        if message.body.len() > MAX_MESSAGE {
            return Err(InvalidEvent::TooLarge(message.body.len()));
        }
        let media_type = message.content_type.as_deref().map(essence).unwrap_or_default();
        let attributes = if media_type.eq_ignore_ascii_case(CloudEvent::MEDIA_TYPE) {
            let UniqueMembers(mut attributes) = json(&message.body)?;
            decode_base64(&mut attributes)?;
            attributes
        } else if message.attributes.iter().any(|(name, _)| name == "specversion") {
            binary(message)?
        } else {
            return Err(InvalidEvent::NoEvent);
        };
        Self::of(&attributes)
    }

    /// Returns an id that follows from the source and the id, which identify an event together.
    pub(super) fn key(&self) -> Uuid {
        let digest = Sha256::digest(format!("{}\n{}", self.source, self.id));
        let bytes = digest.first_chunk().copied().unwrap_or_default();
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }

    fn of(attributes: &Map<String, Value>) -> Result<Self, InvalidEvent> {
        for (name, value) in attributes {
            check(name, value)?;
        }
        let version = required(attributes, "specversion")?;
        if version != "1.0" {
            return Err(InvalidEvent::Version(version));
        }
        let data_version = number(attributes, "dataversion")?;
        Ok(Self {
            id: required(attributes, "id")?,
            source: required(attributes, "source")?,
            event_type: required(attributes, "type")?,
            version: data_version.unwrap_or(1),
            subject: optional(attributes, "subject")?,
            time: match optional(attributes, "time")? {
                Some(time) => Some(time.parse().map_err(|_| wrong("time", "a time by RFC 3339"))?),
                None => None,
            },
            position: number(attributes, "sequence")?,
            trace: optional(attributes, "traceparent")?.and_then(|trace| trace.parse().ok()),
            data: attributes.get("data").cloned().unwrap_or(Value::Null),
        })
    }
}

/// Returns the attributes and the data of an event in binary mode.
fn binary(message: &Received) -> Result<Map<String, Value>, InvalidEvent> {
    let mut attributes = Map::new();
    for (name, value) in &message.attributes {
        if attributes.insert(name.clone(), Value::from(value.as_str())).is_some() || name == "data" {
            return Err(wrong(name, "there once"));
        }
    }
    if let Some(media_type) = &message.content_type {
        attributes.insert("datacontenttype".to_owned(), media_type.as_str().into());
    }
    if !message.body.is_empty() {
        let data = match &message.content_type {
            Some(media_type) if !is_json(media_type) => Value::from(STANDARD.encode(&message.body)),
            _ => json::<UniqueValue>(&message.body)?.0,
        };
        attributes.insert("data".to_owned(), data);
    }
    Ok(attributes)
}

/// Replaces binary data by the JSON that it contains, or leaves it encoded if its media type is another one.
fn decode_base64(attributes: &mut Map<String, Value>) -> Result<(), InvalidEvent> {
    let Some(encoded) = attributes.remove("data_base64") else { return Ok(()) };
    let decoded = encoded.as_str().and_then(|text| STANDARD.decode(text).ok());
    let decoded = decoded.ok_or_else(|| wrong("data_base64", "text in Base64"))?;
    let media_type = attributes.get("datacontenttype").and_then(Value::as_str);
    let data = if media_type.is_none_or(is_json) { json::<UniqueValue>(&decoded)?.0 } else { encoded };
    match attributes.insert("data".to_owned(), data) {
        None => Ok(()),
        Some(_) => Err(wrong("data_base64", "alone: there is data, too")),
    }
}

/// Checks the name and the value of an attribute.
fn check(name: &str, value: &Value) -> Result<(), InvalidEvent> {
    if name == "data" {
        return Ok(());
    }
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if name.is_empty() || !name.bytes().all(is_name) {
        return Err(wrong(name, "named by lower-case letters and digits"));
    }
    let is_simple = match value {
        Value::String(text) => !text.contains(|c: char| c.is_control()),
        Value::Number(number) => number.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
        Value::Bool(_) | Value::Null => true,
        Value::Array(_) | Value::Object(_) => false,
    };
    if is_simple { Ok(()) } else { Err(wrong(name, "a text, a 32-bit integer or a boolean")) }
}

fn required(attributes: &Map<String, Value>, name: &'static str) -> Result<String, InvalidEvent> {
    optional(attributes, name)?.ok_or(InvalidEvent::Missing(name))
}

fn optional(attributes: &Map<String, Value>, name: &'static str) -> Result<Option<String>, InvalidEvent> {
    match attributes.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
        Some(_) => Err(wrong(name, "a text that is not empty")),
    }
}

/// Returns an attribute with a number, which is a text in binary mode.
fn number(attributes: &Map<String, Value>, name: &'static str) -> Result<Option<i64>, InvalidEvent> {
    let number = match attributes.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number.as_i64(),
        Some(Value::String(text)) => text.parse().ok(),
        Some(_) => None,
    };
    number.map(Some).ok_or_else(|| wrong(name, "a whole number"))
}

fn wrong(name: &str, expected: &'static str) -> InvalidEvent {
    InvalidEvent::Attribute { name: name.chars().take(64).collect(), expected }
}

fn json<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, InvalidEvent> {
    serde_json::from_slice(text).map_err(|error| InvalidEvent::Malformed(error.to_string()))
}

fn is_json(media_type: &str) -> bool {
    media_type::is_json(essence(media_type))
}
