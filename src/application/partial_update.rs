//! Partial updates: a member that is omitted keeps its value, and `null` removes it.

use serde::{Deserialize, Deserializer};

/// Reads a member that may be `null`: `#[serde(default, deserialize_with = "nullable")] member: Option<Option<T>>`.
///
/// `None` is an omitted member and `Some(None)` is `null`. The schema of such a member is that of an `Option<T>`.
#[expect(clippy::option_option, reason = "an omitted member is not the same as `null`")]
pub(crate) fn nullable<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::deserialize(deserializer).map(Some)
}
