//! Describes a header that belongs to no known format: the columns of the file, and the format that is nearest to it.

use super::columns::{Coverage, listed};
use super::format::Format;
use crate::application::import::line::Fields;

/// The exports of other records than products: columns that all of an export's files have, and what it contains. Those
/// of WooCommerce are of its analytics and of two extensions.
const OTHER_RECORDS: [(&[&str], &str); 6] = [
    (&["Financial Status", "Lineitem name"], "orders of Shopify"),
    (&["First Name", "Last Name", "Total Spent", "Total Orders"], "customers of Shopify"),
    (&["Order #", "Customer type", "Product(s)"], "orders of WooCommerce"),
    (&["order_id", "order_number", "status"], "orders of WooCommerce"),
    (&["order_number", "order_date", "status"], "orders of WooCommerce"),
    (&["Order Number", "Order Status", "Order Date"], "orders of WooCommerce"),
];

/// Returns what a file contains if its header is that of an export of other records than products.
pub(super) fn other_records(header: &Fields) -> Option<&'static str> {
    let has = |name: &&str| header.iter().any(|column| column.trim().eq_ignore_ascii_case(name));
    let found = OTHER_RECORDS.iter().find(|(columns, _)| columns.iter().all(has));
    found.map(|(_, records)| *records)
}

/// Returns the description of a header, with what each format has of it.
pub(super) fn describe(header: &Fields, coverages: [(Format, Coverage); 3]) -> String {
    let columns = format!("The file has the columns {}.", listed(header));
    if header.len() == 1 {
        return format!(
            "{columns} Is the separator another one than a comma, a semicolon, a tab or |? Then save the file with commas."
        );
    }
    let nearest = coverages
        .into_iter()
        .filter(|(_, coverage)| coverage.known > 0)
        // of equally near ones the one that lacks the fewest columns
        .max_by_key(|(_, coverage)| (coverage.known, std::cmp::Reverse(coverage.missing.len())));
    match nearest {
        Some((format, Coverage { missing, .. })) => {
            format!("{columns} The nearest format is {format}, which also needs {}.", missing.join(", "))
        }
        None => format!(
            "{columns} No format has any of them. Are they in another language? Then export the file in English."
        ),
    }
}
