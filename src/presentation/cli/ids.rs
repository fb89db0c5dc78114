//! Ids on the command line.

use uuid::Uuid;

use crate::infrastructure::exceptions::Fault;

/// Reads an id. The error of the crate would name a letter and its place.
pub(super) fn id(text: &str) -> Result<Uuid, String> {
    text.parse().map_err(|_| format!("an id is a UUID, such as {}", Fault::UUID_EXAMPLE))
}
