//! An event in the form in which the outbox stores it.

use super::param::Param;
use crate::domain::events::DurableEvent;

/// An event that is about to be published.
#[derive(Debug)]
pub struct NewEvent {
    pub(super) event_type: &'static str,
    pub(super) version: i64,
    pub(super) subject: String,
    pub(super) data: Param<'static>,
}

impl NewEvent {
    /// Writes an event.
    pub fn of<E: DurableEvent>(event: &E) -> Self {
        let (subject, data) = (event.subject(), Param::json(event));
        Self { event_type: E::TYPE, version: E::VERSION, subject, data }
    }
}
