//! The form of an event outside the store: CloudEvents 1.0 in its JSON format.
//!
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::envelope::Envelope;

/// The source of every event, a URI reference: the store, which may be reached by several URLs. Ids are unique among
/// all stores.
const SOURCE: &str = "/";

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
            data: &event.data,
        }
    }
}
