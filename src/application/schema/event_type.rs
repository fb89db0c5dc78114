//! The types of events, as the API document lists them.

use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::domain::events::EVENT_TYPES;
use crate::infrastructure::events::TECHNICAL_EVENT_TYPES;

/// The schema of the type of an event of the store: one of [`EVENT_TYPES`] and [`TECHNICAL_EVENT_TYPES`].
#[derive(Debug)]
pub(crate) struct EventType;

impl PartialSchema for EventType {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("The type of an event of the store."))
            .enum_values(Some(EVENT_TYPES.iter().chain(TECHNICAL_EVENT_TYPES).copied()))
            .into()
    }
}

impl ToSchema for EventType {}
