//! The log of events: what the outbox keeps, for queries. An event is kept for [`RETENTION`] at least.
//!
//! [`RETENTION`]: super::RETENTION

use serde::Serialize;
use uuid::Uuid;

use super::envelope::Envelope;
use crate::infrastructure::repositories::{
    Conditions, Connection, DatabaseError, ListError, Outbox, Page, PageRequest, SigningKey,
};

/// The list whose cursors are the ids of positions.
const POSITIONS: &str = "positions of events";

/// Which events are read. By default all are.
#[derive(Debug, Clone, Default, Serialize)]
pub struct EventFilter {
    /// Only events of this type, such as `order.paid`.
    pub event_type: Option<String>,
    /// Only events of this aggregate, such as the id of an order.
    pub subject: Option<String>,
}

/// The log of events, over a connection.
pub struct EventLogger<'a>(pub &'a mut Connection);

impl EventLogger<'_> {
    /// Returns the event with this id.
    pub async fn find(&mut self, id: Uuid) -> Result<Option<Envelope>, DatabaseError> {
        let (sql, values) = Conditions::default().compare("id =", id).first(&select(), "seq", 1);
        self.0.first(&sql, &values).await
    }

    /// Returns a page of events, the last published first.
    pub async fn list(
        &mut self,
        filter: &EventFilter,
        request: &PageRequest<'_>,
    ) -> Result<Page<Envelope>, ListError> {
        let (cursors, before) = request.cursors::<i64>("outbox", filter)?;
        let conditions = filter.conditions().compare_some("seq <", before);
        let (sql, values) = conditions.first(&select(), "seq DESC", request.limit.saturating_add(1));
        let events = self.0.all(&sql, &values).await?;
        Ok(Page::cut(events, request.limit, &cursors, |event: &Envelope| event.position)?)
    }

    /// Returns the last `limit` events in the order of their delivery, and the position after which [`after`]
    /// continues.
    ///
    /// [`after`]: EventLogger::after
    pub async fn last(
        &mut self,
        filter: &EventFilter,
        limit: usize,
    ) -> Result<(Vec<Envelope>, i64), DatabaseError> {
        let until = Outbox(self.0).readable_until().await?;
        let conditions = filter.conditions().compare("seq <=", until);
        let (sql, values) = conditions.first(&select(), "seq DESC", limit);
        let mut events: Vec<Envelope> = self.0.all(&sql, &values).await?;
        events.reverse();
        Ok((events, until))
    }

    /// Returns the first `limit` events after a position, in the order of their delivery, and the position after which
    /// the next call continues.
    pub async fn after(
        &mut self,
        position: i64,
        filter: &EventFilter,
        limit: usize,
    ) -> Result<(Vec<Envelope>, i64), DatabaseError> {
        let until = Outbox(self.0).readable_until().await?;
        let conditions = filter.conditions().compare("seq >", position).compare("seq <=", until);
        let (sql, values) = conditions.first(&select(), "seq", limit);
        let events: Vec<Envelope> = self.0.all(&sql, &values).await?;
        let reached = match events.last() {
            Some(last) if events.len() == limit => last.position,
            _ => until.max(position),
        };
        Ok((events, reached))
    }
}

/// Returns a position in the log as a signed text, for clients that continue after it.
pub fn position_id(key: &SigningKey, position: i64) -> Result<String, ListError> {
    let (cursors, _) = PageRequest { limit: 0, cursor: None, key }.cursors::<i64>(POSITIONS, &())?;
    Ok(cursors.encode(&position)?)
}

/// Returns the position of a text that [`position_id`] returned.
pub fn position_of_id(key: &SigningKey, id: &str) -> Result<i64, ListError> {
    let (_, position) = PageRequest { limit: 0, cursor: Some(id), key }.cursors(POSITIONS, &())?;
    Ok(position.unwrap_or(Outbox::START))
}

fn select() -> String {
    format!("SELECT {} FROM outbox", Envelope::COLUMNS)
}

impl EventFilter {
    /// Returns whether the filter selects an event.
    pub(super) fn selects(&self, event: &Envelope) -> bool {
        self.event_type.as_ref().is_none_or(|event_type| *event_type == event.event_type)
            && self.subject.as_ref().is_none_or(|subject| *subject == event.subject)
    }

    fn conditions(&self) -> Conditions<'_> {
        Conditions::default()
            .compare_some("type =", self.event_type.as_deref())
            .compare_some("subject =", self.subject.as_deref())
    }
}
