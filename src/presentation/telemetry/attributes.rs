//! The forms of OTLP in JSON: attributes and times.
//!
//! <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>

use jiff::Timestamp;
use serde_json::{Value, json};

/// Returns attributes as OTLP has them. Null values are omitted.
pub(super) fn attributes<'a>(pairs: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    let values = pairs.into_iter().filter_map(|(key, value)| {
        let value = match value {
            Value::Null => return None,
            Value::Bool(value) => json!({"boolValue": value}),
            // 64-bit integers are texts
            Value::Number(number) => json!({"intValue": number.to_string()}),
            Value::String(text) => json!({"stringValue": text}),
            other => json!({"stringValue": other.to_string()}),
        };
        Some(json!({"key": key, "value": value}))
    });
    values.collect()
}

/// Returns a time in nanoseconds since 1970, as a text.
pub(super) fn nanoseconds(at: Timestamp) -> String {
    at.as_nanosecond().max(0).to_string()
}
