//! `oneOf` and `anyOf`: values that may be one of several things.

use serde_json::Value;
use utoipa::openapi::{RefOr, schema::Schema as Node};

use super::walk::{At, MAX_FAULTS, Walk};
use crate::infrastructure::exceptions::Fault;

impl Walk<'_> {
    /// The value must fit one of several. If it fits none, the faults are those of the one that it was meant for:
    /// the first with the fewest faults among those with the right type and tag.
    pub(super) fn alternatives(&mut self, nodes: &[RefOr<Node>], value: &Value, at: At<'_>) {
        let mut meant: Option<Vec<(String, Fault)>> = None;
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
            } else if meant.as_ref().is_none_or(|best| branch.faults.len() < best.len()) {
                meant = Some(branch.faults);
            }
        }
        let faults = meant.unwrap_or_else(|| merged(others));
        let room = MAX_FAULTS.saturating_sub(self.faults.len());
        self.faults.extend(faults.into_iter().take(room));
    }
}

/// Whether a fault found at `pointer` says that another alternative for `here` was meant: another type, or another
/// tag.
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

/// One fault for a value that fits no alternative: the tags that it could have had, or else the type.
fn merged(others: Vec<(String, Fault)>) -> Vec<(String, Fault)> {
    let mut tags = Vec::new();
    let mut place = None;
    let mut kind = None;
    for (pointer, fault) in others {
        match fault {
            Fault::NotAllowed { allowed } => {
                tags.extend(allowed);
                place.get_or_insert(pointer);
            }
            Fault::Type { expected: "null" } => {}
            fault => {
                kind.get_or_insert((pointer, fault));
            }
        }
    }
    place.map(|place| (place, Fault::NotAllowed { allowed: tags })).or(kind).into_iter().collect()
}
