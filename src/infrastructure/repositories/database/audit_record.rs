//! What a unit of work records for the audit log.

use std::sync::Arc;

use uuid::Uuid;

use super::param::Param;
use crate::domain::audit::{Actor, Administration, AuditChange, RowChange, SecurityAction};
use crate::domain::state::State;

/// The most rows that an entry lists one by one.
const MOST_ROWS: usize = 20;

/// What a unit of work records.
#[derive(Default)]
pub(super) struct AuditRecord {
    actor: Option<Arc<Actor>>,
    actions: Vec<(SecurityAction, Option<Uuid>)>,
    changes: Vec<AuditChange>,
    /// The number of actions that have no entry.
    unrecorded: usize,
}

/// A state of a record to return to.
#[derive(Clone, Copy)]
pub(super) struct AuditMark {
    actions: usize,
    changes: usize,
    unrecorded: usize,
}

impl AuditRecord {
    pub(super) fn new(actor: Option<Arc<Actor>>) -> Self {
        Self { actor, ..Self::default() }
    }

    pub(super) fn mark(&self) -> AuditMark {
        let Self { actions, changes, unrecorded, .. } = self;
        AuditMark { actions: actions.len(), changes: changes.len(), unrecorded: *unrecorded }
    }

    pub(super) fn return_to(&mut self, mark: AuditMark) {
        self.actions.truncate(mark.actions);
        self.changes.truncate(mark.changes);
        self.unrecorded = mark.unrecorded;
    }

    /// Returns who acts, if it is known.
    pub(super) fn actor(&self) -> Option<&Actor> {
        self.actor.as_deref()
    }

    /// Returns the administrative action, if it is one.
    pub(super) fn administration(&self) -> Option<&Administration> {
        self.actor.as_ref().and_then(|actor| actor.administration.as_ref())
    }

    /// Returns the actions of the entries to write, with their subjects.
    pub(super) fn entries(&mut self) -> Vec<(String, Option<Uuid>, Vec<AuditChange>)> {
        let mut entries = Vec::new();
        if let Some(Administration { action, subject_id }) = self.administration().cloned() {
            let written = self.changes.iter().find_map(|change| change.id.as_ref()?.parse().ok());
            entries.push((action.to_string(), subject_id.or(written), std::mem::take(&mut self.changes)));
        }
        let actions = self.actions.drain(..);
        entries.extend(actions.map(|(action, subject)| (action.name().to_owned(), subject, Vec::new())));
        entries
    }

    /// Returns whether the changed columns of the next row are recorded.
    pub(super) fn lists_columns(&self) -> bool {
        self.administration().is_some() && self.changes.len() < MOST_ROWS
    }

    /// Records an action.
    pub(super) fn act(&mut self, action: SecurityAction, subject_id: Option<Uuid>) {
        self.actions.push((action, subject_id));
    }

    /// Counts an action that has no entry.
    pub(super) fn leave_out(&mut self) {
        self.unrecorded += 1;
    }

    /// Returns the number of actions that have no entry.
    pub(super) fn unrecorded(&self) -> usize {
        self.unrecorded
    }

    /// Records a written row.
    pub(super) fn add(
        &mut self,
        table: &'static str,
        key: &Param<'_>,
        change: RowChange,
        columns: Vec<String>,
    ) {
        if self.changes.len() < MOST_ROWS {
            self.changes.push(AuditChange { table: table.into(), id: id(key), change, columns, rows: 1 });
            return;
        }
        let mut further = self.changes[MOST_ROWS..].iter_mut();
        if let Some(known) = further.find(|known| known.table == table && known.change == change) {
            known.rows += 1;
            return;
        }
        let table = table.into();
        self.changes.push(AuditChange { table, id: None, change, columns: Vec::new(), rows: 1 });
    }
}

/// Returns the text of a key. That of a session follows from its token and is no id.
fn id(key: &Param<'_>) -> Option<String> {
    match key {
        Param::Uuid(id) => Some(id.to_string()),
        Param::Int(number) => Some(number.to_string()),
        Param::Text(name) => Some(name.to_string()),
        _ => None,
    }
}
