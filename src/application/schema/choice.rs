//! `oneOf` and `anyOf`: values that match one of several alternatives.

use serde_json::Value;
use utoipa::openapi::{RefOr, schema::Schema as Node};

use super::walk::{At, MAX_FAULTS, Walk};
use crate::infrastructure::exceptions::Fault;

impl Walk<'_> {
    /// Validates a value that has to match one of several alternatives. If it matches none, the faults are those of the
    /// first alternative with the fewest faults among those with the right type and tag.
    pub(super) fn alternatives(&mut self, nodes: &[RefOr<Node>], value: &Value, at: At<'_>) {
        let mut intended: Option<Vec<(String, Fault)>> = None;
        let mut others: Vec<(String, Fault)> = Vec::new();
        for node in nodes {
            let mut branch = Walk { schema: self.schema, faults: Vec::new() };
            branch.node(node, value, at);
            if branch.faults.is_empty() {
                return;
            }
            let here = at.pointer();
            let other = branch.faults.iter().position(|(pointer, fault)| is_other(&here, pointer, fault));
            if let Some(index) = other {
                others.push(branch.faults.swap_remove(index));
            } else if intended.as_ref().is_none_or(|best| branch.faults.len() < best.len()) {
                intended = Some(branch.faults);
            }
        }
        let faults = intended.unwrap_or_else(|| merged(others));
        let room = MAX_FAULTS.saturating_sub(self.faults.len());
        self.faults.extend(faults.into_iter().take(room));
    }
}

/// Returns whether a fault at `pointer` shows that the value is intended for another alternative at `here`: it has
/// another type or another tag.
fn is_other(here: &str, pointer: &str, fault: &Fault) -> bool {
    match fault {
        Fault::Type { .. } | Fault::NotAnInteger => pointer == here,
        Fault::NotAllowed { allowed } => {
            let is_child = pointer.rsplit_once('/').is_some_and(|(parent, _)| parent == here);
            pointer == here || (is_child && allowed.len() == 1)
        }
        _ => false,
    }
}

/// Merges the faults of a value that matches no alternative into one: the allowed tags, or the type.
fn merged(others: Vec<(String, Fault)>) -> Vec<(String, Fault)> {
    let mut tags = Vec::new();
    let mut location = None;
    let mut kind = None;
    for (pointer, fault) in others {
        match fault {
            Fault::NotAllowed { allowed } => {
                tags.extend(allowed);
                location.get_or_insert(pointer);
            }
            Fault::Type { expected: "null" } => {}
            // closer than an alternative that is no number
            Fault::NotAnInteger => kind = Some((pointer, fault)),
            fault => {
                kind.get_or_insert((pointer, fault));
            }
        }
    }
    location.map(|location| (location, Fault::NotAllowed { allowed: tags })).or(kind).into_iter().collect()
}
