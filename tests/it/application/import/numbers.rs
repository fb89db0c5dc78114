//! Ambiguous numbers: the other numbers of a column decide, in the whole file.

use std::fmt::Write;

use crate::support::Shop;
use crate::support::import::{exported, import_all, number};

/// A WooCommerce file with these regular prices and stocks, in the order of its lines.
fn file(lines: &[(&str, &str)]) -> String {
    let mut text = "ID;Type;SKU;Name;Stock;Regular price\n".to_owned();
    for (index, (price, stock)) in lines.iter().enumerate() {
        writeln!(text, "{index};simple;S{index};Lamp {index};{stock};{price}").unwrap();
    }
    text
}

on_both_engines!(the_prices_of_a_column_decide_what_an_ambiguous_one_is);
async fn the_prices_of_a_column_decide_what_an_ambiguous_one_is(shop: &Shop) {
    let store = &shop.store;
    // the price that decides comes last; stock has marks of its own
    let lines = [("1.299", "3"), ("€ 2.450", "1.000.000"), ("-", "1"), ("19", "2.000"), ("8,50", "4")];
    let (report, progress) = import_all(store, &file(&lines)).await;
    assert_eq!(report.added.products, 4);
    assert_eq!(progress.rejected, [(4, "bad_price", "“-”".to_owned())]);
    let all = exported(store).await;
    for price in [129_900, 245_000, 1_900, 850] {
        assert!(all.contains(&format!("\"amount\":{price},")), "{price}: {all}");
    }
    assert_eq!(number(store, "SELECT CAST(SUM(stock) AS BIGINT) FROM inventory").await, 1_002_007);
}

on_both_engines!(an_ambiguous_price_is_rejected_if_the_column_does_not_decide);
async fn an_ambiguous_price_is_rejected_if_the_column_does_not_decide(shop: &Shop) {
    let store = &shop.store;
    let lines = [("1.299", "1"), ("19", "1"), ("12,50", "1"), ("12.50", "1"), ("8", "1,000")];
    let (report, progress) = import_all(store, &file(&lines)).await;
    let detail = |value: &str| format!("“{value}” may be thousands or a fraction; set --decimal-mark");
    assert_eq!(progress.rejected, [(2, "bad_price", detail("1.299")), (6, "bad_quantity", detail("1,000"))]);
    assert_eq!(report.added.products, 3);
}
