//! What docs/IMPORT.md says is so.

use std::collections::BTreeSet;

use undercroft::application::import::report::Counts;

use crate::support::Shop;
use crate::support::import::import_all;

const PAGE: &str = include_str!("../../../../docs/IMPORT.md");
const REASONS: &str = include_str!("../../../../src/application/import/line.rs");

#[test]
fn every_reason_is_documented_and_no_other() {
    let codes = |text: &'static str, mark: &'static str| text.split(mark).skip(1).step_by(2);
    let known: BTreeSet<_> = REASONS
        .lines()
        .filter(|line| line.trim_start().starts_with("Self::"))
        .flat_map(|line| codes(line, "\""))
        .collect();
    let (_, table) = PAGE.split_once("| reason | the line |").unwrap();
    let first_column = |line: &'static str| line.split('|').nth(1).unwrap_or_default();
    let documented: BTreeSet<_> = table.lines().flat_map(|line| codes(first_column(line), "`")).collect();
    assert!(known.len() > 20);
    assert_eq!(documented, known);
}

on_both_engines!(the_documented_file_is_imported);
async fn the_documented_file_is_imported(shop: &Shop) {
    let (_, file) = PAGE.split_once("```json\n").unwrap();
    let (file, _) = file.split_once("```").unwrap();
    let (report, progress) = import_all(&shop.store, file).await;
    assert_eq!(progress.rejected, []);
    let expected = Counts {
        categories: 2,
        tax_rules: 2,
        shipping_methods: 1,
        products: 1,
        discounts: 1,
        customers: 1,
        ..Counts::default()
    };
    assert_eq!(report.added, expected);
}
