//! The form of an event outside the store: CloudEvents 1.0 in its JSON format.
//!
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::envelope::Envelope;
use super::transports::Message;
use crate::domain::trace::TraceContext;

/// The source of every event, a URI reference: the store, which may be reached by several URLs. Ids are unique among
/// all stores.
pub(super) const SOURCE: &str = "/";

/// An event as a CloudEvent. `source` and `id` together are unique.
#[derive(Debug, Serialize)]
pub struct CloudEvent<'a> {
    specversion: &'static str,
    id: Uuid,
    source: &'static str,
    #[serde(rename = "type")]
    event_type: &'a str,
    subject: &'a str,
    time: Timestamp,
    datacontenttype: &'static str,
    /// An extension attribute: the version of the data, from 1.
    dataversion: i64,
    /// An extension attribute: the position of the event among those of the store, with leading zeros, so that texts
    /// have the order of the numbers.
    sequence: String,
    /// An extension attribute: the trace of the request or job that published the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    data: &'a Value,
}

impl<'a> CloudEvent<'a> {
    /// The media type of a CloudEvent in the JSON format.
    pub const MEDIA_TYPE: &'static str = "application/cloudevents+json";

    /// Returns an event of the store.
    pub fn new(event: &'a Envelope) -> Self {
        Self {
            specversion: "1.0",
            id: event.id,
            source: SOURCE,
            event_type: &event.event_type,
            subject: &event.subject,
            time: event.occurred_at,
            datacontenttype: "application/json",
            dataversion: event.version,
            sequence: format!("{:020}", event.position),
            traceparent: event.trace.map(|trace| trace.to_string()),
            data: &event.data,
        }
    }

    /// Returns the trace of an event in the JSON format, if it has one.
    pub fn trace_of(event: &str) -> Option<TraceContext> {
        /// The members of an event that are read.
        #[derive(Deserialize)]
        struct Traced {
            traceparent: Option<String>,
        }
        serde_json::from_str::<Traced>(event).ok()?.traceparent?.parse().ok()
    }

    /// Returns the message of a broker.
    pub(super) fn message(&self, mode: Mode) -> Message {
        let (content_type, attributes, body) = match mode {
            Mode::Structured => (Self::MEDIA_TYPE, Vec::new(), serde_json::to_vec(self)),
            Mode::Binary => (self.datacontenttype, self.attributes(), serde_json::to_vec(self.data)),
        };
        Message {
            id: self.id,
            event_type: self.event_type.to_owned(),
            subject: self.subject.to_owned(),
            content_type,
            attributes,
            // maps have text keys, so it can always be written as JSON
            body: body.unwrap_or_default().into(),
        }
    }

    /// Returns the attributes, without the media type of the data.
    fn attributes(&self) -> Vec<(&'static str, String)> {
        let mut attributes = vec![
            ("specversion", self.specversion.to_owned()),
            ("id", self.id.to_string()),
            ("source", self.source.to_owned()),
            ("type", self.event_type.to_owned()),
            ("subject", self.subject.to_owned()),
            ("time", self.time.to_string()),
            ("dataversion", self.dataversion.to_string()),
            ("sequence", self.sequence.clone()),
        ];
        attributes.extend(self.traceparent.clone().map(|trace| ("traceparent", trace)));
        attributes
    }
}

/// How a message contains an event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The body is the event in the JSON format.
    #[default]
    Structured,
    /// The body is the data, and headers are the attributes.
    Binary,
}
