//! What docs/EVENTS.md says is so.

use std::collections::BTreeSet;

use undercroft::domain::events::EVENT_TYPES;
use undercroft::infrastructure::events::TECHNICAL_EVENT_TYPES;

const PAGE: &str = include_str!("../../../../docs/EVENTS.md");

/// Returns the types in the first column of the table number `table` from 1.
fn documented(table: usize) -> BTreeSet<&'static str> {
    let rows = PAGE.split("| type | version |").nth(table).unwrap().lines().skip(1);
    let rows = rows.take_while(|line| line.starts_with('|'));
    rows.filter_map(|line| line.split('`').nth(1)).collect()
}

#[test]
fn every_type_of_events_is_documented_and_no_other() {
    assert_eq!(documented(1), EVENT_TYPES.iter().copied().collect());
    assert_eq!(documented(2), TECHNICAL_EVENT_TYPES.iter().copied().collect());
}
