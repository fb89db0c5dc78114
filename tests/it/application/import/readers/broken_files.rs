//! Files that cannot be read: the error has a line and a column, and memory is bounded.

use std::io::Read;

use undercroft::application::import::readers::{Fault, Format, MAX_RECORD, Options};
use undercroft::domain::money::Currency;

use super::{read, try_read, with_currency};
use crate::support::import::{HEADER, ONLINE_RETAIL, SHOPIFY};

fn fault(bytes: impl AsRef<[u8]>) -> (u64, u64, String) {
    let error = try_read(bytes.as_ref(), &with_currency(Currency::EUR)).err().unwrap();
    (error.line, error.column, error.fault.to_string())
}

#[test]
fn the_error_of_a_file_has_its_position() {
    let line = "1,A,X,1,2011-01-01 10:00:00,1.00,,France\n";
    let broken = |tail: &str| fault(format!("{HEADER}{line}{tail}"));
    assert_eq!(broken("1,A,5\" pipe,1,,,,\n").0, 3);
    assert_eq!(broken("1,A,5\" pipe,1,,,,\n").1, 6);
    assert_eq!(broken("1,Ä,\"5\" pipe\",1,,,,\n").1, 8, "columns are characters, not bytes");
    assert_eq!(broken("1,A,X\n2,B,\"open\n1,A,X\n"), (4, 5, Fault::UnclosedQuote.to_string()));
    assert_eq!(broken("1,\"two\nlines\",\"a\"b\n").0, 4);

    assert_eq!(fault(""), (1, 1, Fault::Empty.to_string()));
    assert_eq!(fault("name,price\n").0, 1);
    assert_eq!(
        fault("InvoiceNo,StockCode,Description,Quantity,InvoiceDate\n").2,
        "missing columns: UnitPrice, CustomerID, Country; the file has InvoiceNo, StockCode, Description, Quantity, InvoiceDate"
    );
    assert_eq!(fault(format!("Country,{HEADER}")).2, "the column Country occurs twice");
    let without_currency = try_read(SHOPIFY.as_bytes(), &Options::default()).err().unwrap();
    assert!(matches!(without_currency.fault, Fault::CurrencyNeeded));
}

#[test]
fn an_unknown_header_is_shown_with_the_nearest_format_or_a_hint() {
    for (header, expected) in [
        (
            "name,price",
            "the columns name, price. The nearest format is shopify, which also needs Handle, Title.",
        ),
        ("ID;Tipo;Nome;Prezzo di listino", "The nearest format is woocommerce, which also needs SKU."),
        (
            "Quantity\tDescription\tCountry",
            "nearest format is online-retail, which also needs InvoiceNo, StockCode,",
        ),
        ("Nafn,Verð", "No format has any of them. Are they in another language?"),
        ("Handle~Title~Variant Price", "Is the separator another one than a comma, a semicolon, a tab or |?"),
    ] {
        let (line, column, text) = fault(format!("{header}\n"));
        assert_eq!((line, column), (1, 1), "{header}");
        assert!(text.starts_with("unknown format. The file has the columns "), "{text}");
        assert!(text.contains(expected), "{header}: {text}");
        assert!(text.ends_with(
            "Known formats are online-retail, shopify, woocommerce, json-lines; set one with --format"
        ));
    }
    let wide = vec!["x\u{7}".repeat(60); 50].join(",");
    let text = fault(wide).2;
    assert!(text.contains(&format!("{}, ", "x".repeat(40))) && text.contains(" and 20 more."), "{text}");
}

#[test]
fn an_export_of_orders_or_customers_is_named() {
    for (header, expected) in [
        (
            "Name,Email,Financial Status,Paid at,Currency,Total,Lineitem quantity,Lineitem name,Lineitem price",
            "orders of Shopify",
        ),
        (
            "Customer ID,First Name,Last Name,Email,Accepts Email Marketing,Total Spent,Total Orders,Note,Tags",
            "customers of Shopify",
        ),
        (
            "Date,Order #,N. Revenue (formatted),Status,Customer,Customer type,Product(s),Items sold,Coupon(s)",
            "orders of WooCommerce",
        ),
        ("order_id,order_number,order_date,status,shipping_total,order_total", "orders of WooCommerce"),
        (
            "Order Number,Order Status,Order Date,First Name (Billing),SKU,Item Name,Quantity",
            "orders of WooCommerce",
        ),
    ] {
        let text = fault(format!("{header}\n")).2;
        let only = "of Shopify and WooCommerce only exports of products are imported";
        assert_eq!(text, format!("these are {expected}; {only}"));
    }
}

#[test]
fn the_format_can_be_set() {
    let options = Options { format: Some(Format::Shopify), ..with_currency(Currency::EUR) };
    let error = try_read(ONLINE_RETAIL.as_bytes(), &options).err().unwrap();
    assert_eq!(
        error.fault.to_string(),
        "missing columns: Handle, Title, Variant Price; the file has InvoiceNo, StockCode, Description, Quantity, InvoiceDate, UnitPrice, CustomerID, Country"
    );
    assert_eq!("woocommerce".parse(), Ok(Format::Woocommerce));
    assert!("magento".parse::<Format>().is_err());
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_change_nothing() {
    let windows = format!("\u{FEFF}{}", ONLINE_RETAIL.replace('\n', "\r\n"));
    let (unix, windows) = (read(ONLINE_RETAIL, &Options::default()), read(&windows, &Options::default()));
    assert_eq!((unix.records, unix.totals), (windows.records, windows.totals));
}

/// A reader without end that counts the bytes that were read.
struct Endless<'a> {
    head: &'a [u8],
    consumed: &'a mut u64,
}

impl Read for Endless<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = if self.head.is_empty() {
            buffer.fill(b'x');
            buffer.len()
        } else {
            self.head.read(buffer)?
        };
        *self.consumed += count as u64;
        Ok(count)
    }
}

#[test]
fn a_field_without_end_is_refused_at_the_limit() {
    for (tail, column) in [("1,A,\"", 5), ("1,A,", 5)] {
        let head = format!("{HEADER}{tail}");
        let mut consumed = 0;
        let error = try_read(Endless { head: head.as_bytes(), consumed: &mut consumed }, &Options::default())
            .err()
            .unwrap();
        assert!(matches!(error.fault, Fault::RecordTooLarge { limit: MAX_RECORD }), "{error}");
        assert_eq!((error.line, error.column), (2, column));
        assert!(consumed < 2 * MAX_RECORD as u64, "{consumed} bytes were read of an endless field");
    }
    let mut consumed = 0;
    let error = try_read(Endless { head: b"{\"type\":\"", consumed: &mut consumed }, &Options::default())
        .err()
        .unwrap();
    assert!(matches!(error.fault, Fault::RecordTooLarge { .. }) && consumed < 2 * MAX_RECORD as u64);
}
