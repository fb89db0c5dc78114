//! The UCI data set "Online Retail": real order lines, and a line for each fault.

use std::collections::BTreeMap;

use undercroft::application::import::line::Reason;
use undercroft::application::import::readers::Options;
use undercroft::application::records::{ImportedStock, Record};
use undercroft::domain::country::Country;
use undercroft::domain::money::Currency;

use super::{Import, read};
use crate::support::import::{HEADER, ONLINE_RETAIL};

fn sales(lines: &[&str]) -> Import {
    read(&format!("{HEADER}{}\n", lines.join("\n")), &Options::default())
}

#[test]
fn real_order_lines_add_up_exactly() {
    let read = read(ONLINE_RETAIL, &Options::default());
    let totals = &read.totals;
    assert_eq!((totals.lines, totals.accepted.lines, totals.rejected.lines), (240, 195, 45));
    assert_eq!(
        (totals.accepted.amount, totals.rejected.amount, totals.rejected.unpriced),
        (-206_870, 8_008, 0)
    );
    let reasons =
        [("negative_quantity", 6), ("no_description", 15), ("no_price", 16), ("unknown_country", 8)];
    assert_eq!(totals.rejected.reasons, BTreeMap::from(reasons));

    assert_eq!((read.orders().len(), read.cancellations().len(), read.products().len()), (97, 34, 161));
    assert_eq!(read.records.iter().filter(|record| matches!(record, Record::Customer(_))).count(), 97);
    let guests =
        read.orders().into_iter().chain(read.cancellations()).filter(|invoice| invoice.customer.is_none());
    assert_eq!(guests.count(), 22);
    let mut stock =
        read.products().into_iter().flat_map(|product| &product.variants).map(|variant| read.stock(variant));
    assert!(
        stock.all(|stock| stock == ImportedStock::Assumed(100)),
        "in addition to the pieces that the orders bring"
    );
}

#[test]
fn reading_again_yields_the_same_ids_in_the_same_order() {
    let (first, second) =
        (read(ONLINE_RETAIL, &Options::default()), read(ONLINE_RETAIL, &Options::default()));
    assert_eq!(first.records, second.records);
    let placed: Vec<_> = first
        .records
        .iter()
        .filter_map(|record| match record {
            Record::Order(invoice) | Record::Cancellation(invoice) => {
                Some((invoice.placed_at, invoice.key.clone()))
            }
            _ => None,
        })
        .collect();
    assert!(placed.is_sorted(), "invoices are in the order of their times");
}

#[test]
fn an_invoice_has_all_of_its_lines_and_their_earliest_time() {
    let read = sales(&[
        "536365,85123A,WHITE HANGING HEART,6,2010-12-01 08:27:00,2.55,17850.0,EIRE",
        "536365,85123a,white hanging heart,1,2010-12-01 08:26:00,3,17850,EIRE",
        "536365,85123A,WHITE HANGING HEART,6,2010-12-01 08:27:00,2.55,17850.0,EIRE",
        "C536400,85123A,WHITE HANGING HEART,-2,12/3/2010 9:05,2.55,,RSA",
    ]);
    let order = read.order("536365");
    assert_eq!(order.placed_at.to_string(), "2010-12-01T08:26:00Z");
    assert_eq!(order.country, "IE".parse::<Country>().unwrap());
    assert_eq!(order.currency, Currency::GBP);
    let lines: Vec<_> =
        order.lines.iter().map(|line| (line.number, line.sku.as_str(), line.quantity)).collect();
    assert_eq!(lines, [(2, "85123A", 6), (3, "85123a", 1), (4, "85123A", 6)]);
    assert_ne!(order.lines[0].variant, order.lines[1].variant, "codes that differ in case are two products");

    let cancellation = read.cancellations()[0];
    assert_eq!(cancellation.placed_at.to_string(), "2010-12-03T09:05:00Z");
    assert_eq!((cancellation.customer, cancellation.lines[0].quantity), (None, 2));
    assert_eq!(read.totals.accepted.amount, 6 * 255 + 300 + 6 * 255 - 2 * 255);

    let slugs: Vec<_> = read.products().iter().map(|product| product.slug.clone()).collect();
    assert_eq!(slugs.len(), 2);
    assert_ne!(slugs[0], slugs[1]);
}

#[test]
fn a_product_has_its_most_frequent_name_and_price() {
    let read = sales(&[
        "1,A,OLD NAME,1,2011-01-01 10:00:00,1.00,,France",
        "2,A,NAME,1,2011-01-02 10:00:00,2.00,,France",
        "3,A,NAME,1,2011-01-03 10:00:00,2.00,,France",
        "4,A,OTHER,1,2011-01-04 10:00:00,9.00,,France",
        "5,B,BETA,1,2011-01-01 10:00:00,1.00,,France",
        "6,B,ALPHA,1,2011-01-05 10:00:00,3.00,,France",
        "7,B,BETA,0,2011-01-06 10:00:00,4.00,,France",
        "C8,D,Discount,-1,2011-01-06 10:00:00,4.00,,France",
    ]);
    let known: Vec<_> = read
        .products()
        .iter()
        .map(|product| (product.name.as_str(), product.variants[0].prices[&Currency::GBP], product.active))
        .collect();
    // of equally frequent ones the first name and the latest price; a product that was only returned is inactive
    assert_eq!(known, [("NAME", 200, true), ("ALPHA", 300, true), ("Discount", 400, false)]);
    assert_eq!(read.reasons(), [(8, "bad_quantity")]);
}

#[test]
fn each_wrong_line_is_rejected_alone_with_its_reason() {
    let read = sales(&[
        "1,A,X,1,2011-01-01 10:00:00,1.00,,France",
        "1,A,,1,2011-01-01 10:00:00,1.00,,France",
        "1,,X,1,2011-01-01 10:00:00,1.00,,France",
        "1,A,X,1,2011-01-01 10:00:00,,,France",
        "1,A,X,1,2011-01-01 10:00:00,0.0,,France",
        "1,A,X,1,2011-01-01 10:00:00,-5,,France",
        "1,A,X,1,2011-01-01 10:00:00,1.005,,France",
        "1,A,X,1,2011-01-01 10:00:00,$1,,France",
        "1,A,X,-1,2011-01-01 10:00:00,1.00,,France",
        "C1,A,X,1,2011-01-01 10:00:00,1.00,,France",
        "1,A,X,1.5,2011-01-01 10:00:00,1.00,,France",
        "1,A,X,1,yesterday,1.00,,France",
        "1,A,X,1,2011-02-30 10:00:00,1.00,,France",
        "1,A,X,1,1011-01-01 10:00:00,1.00,,France",
        "1,A,X,1,2011-01-01 10:00:00,1.00,,Unspecified",
        "1,A,X,1,2011-01-01 10:00:00,1.00,abc,France",
        "A1,A,X,1,2011-01-01 10:00:00,1.00,,France",
        ",A,X,1,2011-01-01 10:00:00,1.00,,France",
        "1,A,X,1,2011-01-01 10:00:00,1.00,,Spain",
        "1,A,X,9223372036854775807,2011-01-01 10:00:00,1.00,,France",
        "1,A,X,99999999999999999999,2011-01-01 10:00:00,1.00,,France",
        "1,A,X,1,2011-01-01 10:00:00,92233720368547758.07,,France",
        "1,A,X,2,2011-01-01 10:00:00,92233720368547758.07,,France",
        "1,A,X,1,2011-01-01 10:00:00,1.00",
        "1,A,X,1,2011-01-01 10:00:00,1.00,,France,?",
        "1,A,X\0,1,2011-01-01 10:00:00,1.00,,France",
    ]);
    let reasons: Vec<_> = read.reasons().into_iter().map(|(_, reason)| reason).collect();
    assert_eq!(
        reasons,
        [
            "no_description",
            "no_sku",
            "no_price",
            "no_price",
            "negative_price",
            "bad_price",
            "bad_price",
            "negative_quantity",
            "positive_cancellation",
            "bad_quantity",
            "bad_date",
            "bad_date",
            "bad_date",
            "unknown_country",
            "bad_key",
            "bad_key",
            "no_key",
            "invoice_mismatch",
            "too_large",
            "too_large",
            "too_large",
            "wrong_field_count",
            "wrong_field_count",
            "nul_byte",
        ]
    );
    assert_eq!((read.orders().len(), read.totals.accepted.lines), (1, 2));
    assert_eq!(
        read.totals.accepted.amount,
        100 + i128::from(i64::MAX),
        "the largest price there is counts in full"
    );
    assert_eq!(read.totals.rejected.unpriced, 10);
    let sku_rejection = read.rejected.iter().find(|rejection| rejection.reason == Reason::NoSku).unwrap();
    assert_eq!(
        sku_rejection.line.fields.iter().collect::<Vec<_>>()[1..3],
        ["", "X"],
        "the line is kept as it was"
    );
}

#[test]
fn an_invoice_whose_lines_are_all_rejected_is_no_order() {
    let read = sales(&["1,A,X,1,2011-01-01 10:00:00,0,17850,France"]);
    assert_eq!((read.records.len(), read.totals.rejected.lines), (0, 1));
}
