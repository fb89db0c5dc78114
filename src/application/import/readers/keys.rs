//! The keys of a file, each of which belongs to one record.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::field_parsing::{LineError, quoted};
use crate::application::import::line::Reason;

/// The keys of the records so far, each with the number of its line.
#[derive(Default)]
pub(super) struct Keys(HashMap<String, u64>);

impl Keys {
    /// Adds the key of the record on a line; refuses one that an earlier line has, because the import would take the
    /// second record for a repetition of the first.
    pub(super) fn add(&mut self, key: &str, line: u64) -> Result<(), LineError> {
        match self.0.entry(key.to_owned()) {
            Entry::Vacant(slot) => {
                slot.insert(line);
                Ok(())
            }
            Entry::Occupied(slot) => {
                Err((Reason::DuplicateKey, format!("{}, see line {}", quoted(key), slot.get())))
            }
        }
    }
}
