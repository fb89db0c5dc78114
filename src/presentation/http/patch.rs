//! Changes of a part: a field that is not there leaves things as they are, one that is null takes away what was there.

use serde::{Deserialize, Deserializer};

/// Reads a field that may be null: `#[serde(default, deserialize_with = "given")] field: Option<Option<T>>`, whose
/// schema is that of an `Option<T>`.
pub fn given<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::deserialize(deserializer).map(Some)
}
