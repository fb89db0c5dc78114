//! Files in other encodings than UTF-8, with other separators than commas, and with other line ends.

use undercroft::application::import::readers::{Encoding, Fault, Options, encoding_of};
use undercroft::application::records::ImportedStock;
use undercroft::domain::money::Currency;

use super::{Import, try_read, try_read_detected, with_currency};
use crate::support::import::{HEADER, ONLINE_RETAIL, SHOPIFY};

/// A product export of Shopify that a spreadsheet saved: semicolons, CR LF, windows-1250.
const WINDOWS_1250: &[u8] = include_bytes!("../../../../fixtures/shopify-windows-1250.csv");
/// A product export of Shopify that a spreadsheet saved as "Unicode text": tabs, UTF-16 with a byte order mark.
const UTF_16: &[u8] = include_bytes!("../../../../fixtures/shopify-utf-16.txt");

fn detected(bytes: &[u8]) -> Import {
    try_read_detected(bytes, &with_currency(Currency::EUR)).unwrap()
}

fn names(import: &Import) -> Vec<&str> {
    import.products().iter().map(|product| product.name.as_str()).collect()
}

/// Encodes a text as UTF-16, with the bytes of a character in this order.
fn utf_16(text: &str, bytes: impl Fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(bytes).collect()
}

#[test]
fn semicolons_and_a_windows_code_page_are_found_in_the_file() {
    assert_eq!(encoding_of(WINDOWS_1250).unwrap().to_string(), "windows-1250");
    let import = detected(WINDOWS_1250);
    assert_eq!(names(&import), ["Dzbanek żółty", "Ściereczka lniana"]);
    let jug = import.product("Dzbanek żółty");
    assert_eq!(jug.description, "Ręcznie malowany, pojemność 1 l; do kawy i herbaty.");
    assert_eq!(
        (jug.variants[1].options[0].as_str(), import.stock(&jug.variants[1])),
        ("Biały śnieżny", ImportedStock::Given(3))
    );
    assert_eq!(import.reasons(), [(4, "no_price")]);
}

#[test]
fn tabs_and_utf_16_are_found_in_the_file() {
    let import = detected(UTF_16);
    assert_eq!(names(&import), ["Stempel „Eule“", "Kissen süß & groß"]);
    let cushion = import.product("Kissen süß & groß");
    let colours: Vec<_> = cushion.variants.iter().map(|variant| variant.options[0].as_str()).collect();
    assert_eq!(colours, ["Grün", "Weiß"]);
}

#[test]
fn every_encoding_line_end_and_separator_gives_the_same_records() {
    let expected = detected(SHOPIFY.as_bytes());
    let (big, little) = (u16::to_be_bytes, u16::to_le_bytes);
    for bytes in [
        utf_16(&format!("\u{FEFF}{SHOPIFY}"), big),
        utf_16(&format!("\u{FEFF}{SHOPIFY}"), little),
        utf_16(SHOPIFY, big),
        utf_16(SHOPIFY, little),
        SHOPIFY.replace('\n', "\r").into_bytes(),
        SHOPIFY.replace('\n', "\r\n").into_bytes(),
        format!("sep=,\r\n{SHOPIFY}").into_bytes(),
    ] {
        let read = detected(&bytes);
        assert_eq!((read.records, read.totals), (expected.records.clone(), expected.totals.clone()));
    }

    let expected = try_read(ONLINE_RETAIL.as_bytes(), &Options::default()).unwrap();
    for separator in *b";\t|" {
        let mut lines = csv::Reader::from_reader(ONLINE_RETAIL.as_bytes());
        let mut out = csv::WriterBuilder::new().delimiter(separator).from_writer(Vec::new());
        out.write_record(lines.headers().unwrap()).unwrap();
        lines.records().for_each(|line| out.write_record(&line.unwrap()).unwrap());
        let read = try_read(&*out.into_inner().unwrap(), &Options::default()).unwrap();
        assert_eq!((read.records, read.totals), (expected.records.clone(), expected.totals.clone()));
    }
}

#[test]
fn positions_in_a_file_with_other_line_ends_are_those_of_its_lines_and_characters() {
    let line = "1,A,\"two\rlines\",1,2011-01-01 10:00:00,1.00,,France\r";
    let error = |line_end: &str| {
        let text = format!("{HEADER}{line}1,Ä,\"5\" pipe\",1,,,,\r").replace(['\r', '\n'], line_end);
        let error = try_read(text.as_bytes(), &Options::default()).err().unwrap();
        (error.line, error.column)
    };
    for line_end in ["\r", "\n", "\r\n"] {
        assert_eq!(error(line_end), (4, 8), "{line_end:?}");
    }
}

/// A file of Online Retail whose description ends with these bytes.
fn with_description(bytes: &[u8]) -> Vec<u8> {
    let line = [b"1,A,caf".as_slice(), bytes, b",1,2011-01-01 10:00:00,1.00,,France\n"].concat();
    [HEADER.as_bytes(), &line].concat()
}

fn description(import: &Import) -> &str {
    &import.orders()[0].lines[0].description
}

#[test]
fn the_encoding_can_be_named_and_a_byte_order_mark_comes_first() {
    let named = |name: &str| Options { encoding: Some(name.parse().unwrap()), ..Options::default() };
    let read = |bytes: &[u8], name| try_read(&*with_description(bytes), &named(name)).unwrap();
    assert_eq!(description(&detected(&with_description(b"\xE9 fran\xE7ais"))), "café français");
    assert_eq!(description(&read(b"\xE9", "latin1")), "café");
    assert_eq!(description(&read(b"\xE9", "windows-1251")), "cafй");
    assert_eq!(description(&read(b"\x8E", "macintosh")), "café");
    assert_eq!(description(&read(b"\x83\x4A", "shift_jis")), "cafカ");

    let marked = [b"\xEF\xBB\xBF".as_slice(), &with_description("é".as_bytes())].concat();
    assert_eq!(description(&try_read(&*marked, &named("windows-1251")).unwrap()), "café");
    assert!("ebcdic".parse::<Encoding>().is_err() && "replacement".parse::<Encoding>().is_err());
}

#[test]
fn white_space_before_the_header_and_a_byte_order_mark_is_skipped() {
    let file = "ID;Type;SKU;Name;Regular price\n7;simple;;Cup;1,50\n8;simple;;;1,50\n";
    for (before, line) in
        [("\n", 4), ("\r\n \t\n", 5), ("\n\u{FEFF}", 4), ("\t\u{FEFF}", 3), (" \r\n\r\u{FEFF}\n", 6)]
    {
        let import = detected(format!("{before}{file}").as_bytes());
        assert_eq!((names(&import), import.reasons()), (vec!["Cup"], vec![(line, "no_name")]), "{before:?}");
    }
    let json = "\n\u{FEFF}{\"type\":\"category\",\"id\":\"tea\",\"name\":\"Tea\"}";
    assert_eq!(detected(json.as_bytes()).categories(), ["tea"]);
}

#[test]
fn a_text_that_cannot_be_decoded_is_an_error_with_its_position() {
    let mut mixed = with_description("é".as_bytes());
    mixed.extend_from_slice(b"2,A,caf\xE9,1,2011-01-01 10:00:00,1.00,,France\n");
    let error = try_read_detected(&mixed, &Options::default()).err().unwrap();
    assert!(matches!(error.fault, Fault::Undecodable(_)), "{error}");
    assert_eq!((error.line, error.column), (3, 8), "a file is not read in two encodings");
    assert!(error.to_string().contains("--encoding"), "{error}");

    let shift_jis = Options { encoding: Some("shift_jis".parse().unwrap()), ..Options::default() };
    let error = try_read(&*with_description(b"\x83\x4A \xFF"), &shift_jis).err().unwrap();
    assert_eq!((error.line, error.column), (2, 10), "{error}");
    assert!(error.to_string().contains("not Shift_JIS"), "{error}");
}
