//! The SKUs of a file, each of which belongs to one variant.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::field_parsing::{LineError, quoted};
use crate::application::import::line::Reason;

/// The SKUs of the variants so far.
pub(super) struct Skus {
    /// The line of each.
    lines: HashMap<String, Use>,
    /// Whether a SKU that another variant has gets a suffix.
    adds_suffix: bool,
}

/// Where a SKU is used.
#[derive(Clone, Copy)]
struct Use {
    /// The number of the line.
    line: u64,
    /// The number of the next suffix that may be free.
    next_suffix: u64,
}

impl Skus {
    /// Creates an empty list. With `adds_suffix`, a SKU that another variant has gets a suffix instead of being
    /// refused.
    pub(super) fn new(adds_suffix: bool) -> Self {
        Self { lines: HashMap::new(), adds_suffix }
    }

    /// Adds the SKU of a variant on a line, and returns it; with the first free suffix (`-2`, `-3`, …) if another
    /// variant has it.
    pub(super) fn add(&mut self, sku: String, line: u64) -> Result<String, LineError> {
        let new = Use { line, next_suffix: 2 };
        let first = match self.lines.entry(sku.clone()) {
            Entry::Vacant(slot) => {
                slot.insert(new);
                return Ok(sku);
            }
            Entry::Occupied(slot) => *slot.get(),
        };
        if !self.adds_suffix {
            return Err((Reason::DuplicateSku, format!("{}, see line {}", quoted(&sku), first.line)));
        }

        let mut number = first.next_suffix;
        let mut free = format!("{sku}-{number}");
        while self.lines.contains_key(&free) {
            number += 1;
            free = format!("{sku}-{number}");
        }
        self.lines.insert(sku, Use { next_suffix: number + 1, ..first });
        self.lines.insert(free.clone(), new);
        Ok(free)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_sku_is_refused_or_gets_the_first_free_suffix() {
        let mut skus = Skus::new(false);
        assert_eq!(skus.add("A".to_owned(), 2), Ok("A".to_owned()));
        assert_eq!(skus.add("A".to_owned(), 7), Err((Reason::DuplicateSku, "“A”, see line 2".to_owned())));

        let mut skus = Skus::new(true);
        let added: Vec<_> =
            ["A", "A-2", "A", "A-4", "A", "A-2", "B"].map(|sku| skus.add(sku.to_owned(), 2).unwrap()).into();
        assert_eq!(added, ["A", "A-2", "A-3", "A-4", "A-5", "A-2-2", "B"]);
    }
}
