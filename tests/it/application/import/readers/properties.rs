//! Arbitrary files: no panic, and every line is counted.

use proptest::prelude::*;
use undercroft::application::import::readers::{Format, Options};
use undercroft::domain::money::Currency;

use super::{try_read, with_currency};
use crate::support::import::{HEADER, ONLINE_RETAIL, SHOPIFY, WOOCOMMERCE};

fn options(format: Format) -> Options {
    Options { format: Some(format), ..with_currency(Currency::EUR) }
}

fn formats() -> impl Strategy<Value = Format> {
    prop::sample::select(Format::ALL.to_vec())
}

/// Lines of a format, with some fields replaced by arbitrary text.
fn damaged(text: &'static str) -> impl Strategy<Value = String> {
    let lines: Vec<&str> = text.lines().collect();
    let header = lines[0];
    let field =
        prop_oneof![Just(String::new()), "[-0-9.,]{1,25}", "[a-zA-Z é€]{0,8}", Just("FALSE".to_owned())];
    let line = (prop::sample::select(lines[1..].to_vec()), prop::collection::vec((0..60_usize, field), 0..4));
    prop::collection::vec(line, 0..30).prop_map(move |lines| {
        let mut out = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
        let split = |line: &str| {
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_bytes());
            let record = reader.records().next().unwrap().unwrap();
            record.iter().map(str::to_owned).collect::<Vec<_>>()
        };
        out.write_record(split(header.trim_start_matches('\u{FEFF}'))).unwrap();
        for (line, changes) in lines {
            let mut fields = split(line);
            for (index, value) in changes {
                let index = index % fields.len();
                fields[index] = value;
            }
            out.write_record(fields).unwrap();
        }
        String::from_utf8(out.into_inner().unwrap()).unwrap()
    })
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), format in formats()) {
        // try_read checks that the totals add up
        drop(try_read(bytes.as_slice(), &options(format)));
    }

    #[test]
    fn arbitrary_text_under_a_real_header_never_panics(tail in "[\"\\n\\r,{}:0-9a-zA-Z. -]{0,200}", format in formats()) {
        let header = match format {
            Format::OnlineRetail => HEADER,
            Format::Shopify => SHOPIFY.lines().next().unwrap(),
            Format::Woocommerce => WOOCOMMERCE.lines().next().unwrap(),
            Format::JsonLines => "",
        };
        drop(try_read(format!("{header}\n{tail}").as_bytes(), &options(format)));
    }

    #[test]
    fn every_line_of_a_damaged_file_is_accepted_or_rejected(
        sales in damaged(ONLINE_RETAIL),
        shopify in damaged(SHOPIFY),
        woocommerce in damaged(WOOCOMMERCE),
    ) {
        for (text, format) in
            [(sales, Format::OnlineRetail), (shopify, Format::Shopify), (woocommerce, Format::Woocommerce)]
        {
            let read = try_read(text.as_bytes(), &options(format)).unwrap();
            let records = csv::Reader::from_reader(text.as_bytes()).into_records().count();
            prop_assert_eq!(read.totals.lines, records as u64);
            prop_assert_eq!(read.totals.accepted.lines + read.totals.rejected.lines, records as u64);
        }
    }

    #[test]
    fn csv_is_read_as_it_was_written(
        rows in prop::collection::vec(prop::collection::vec("[a-z\",\\r\\n é]{0,6}", 8), 0..20),
    ) {
        let mut out = csv::Writer::from_writer(HEADER.as_bytes().to_vec());
        for row in &rows {
            out.write_record(row).unwrap();
        }
        let text = out.into_inner().unwrap();
        let read = try_read(text.as_slice(), &Options::default()).unwrap();
        let mut lines: Vec<_> = read.rejected.iter().map(|rejection| &rejection.line).collect();
        lines.sort_by_key(|line| line.number);
        let fields: Vec<Vec<&str>> = lines.iter().map(|line| line.fields.iter().collect()).collect();
        prop_assert_eq!(fields, rows);
    }
}
