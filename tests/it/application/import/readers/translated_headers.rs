//! WooCommerce's exports with the column names of the shop's language.

use undercroft::application::import::readers::{Fault, Format, Reader};
use undercroft::application::records::ImportedStock::Given;
use undercroft::domain::money::Currency;

use super::{read, try_read_detected, with_currency};

/// The header of an export in several languages, each after its locale.
const HEADERS: &str = include_str!("../../../../fixtures/woocommerce-headers.csv");
/// An export in German that a spreadsheet saved: semicolons, windows-1252.
const GERMAN: &[u8] = include_bytes!("../../../../fixtures/woocommerce-de.csv");
/// A product with its variation and another product, under each of the headers.
const LINES: &str = "\
1,variable,JUG,Jug,1,visible,Short,Long,,,,1,7,,,,Kitchen,,,Colour,\"Blue, Green\"
2,variation,JUG-B,Jug - Blue,1,,,,,,,1,parent,,12.50,14.00,,,JUG,Colour,Blue
3,simple,BOWL,Bowl,1,hidden,,,2026-06-01,2026-06-30,,0,,,8.00,9.50,Kitchen > Bowls,,,,
";

#[test]
fn an_export_is_read_in_the_language_of_the_shop() {
    let mut locales = Vec::new();
    let english = "ID,Type,SKU,Name,Published,Visibility in catalog,Short description,Description,\
                   Date sale price starts,Date sale price ends,Tax class,In stock?,Stock,Weight (kg),Sale price,\
                   Regular price,Categories,Images,Parent,Attribute 1 name,Attribute 1 value(s)";
    let expected = read(&format!("{english}\n{LINES}"), &with_currency(Currency::EUR));
    assert_eq!((expected.products().len(), expected.totals.rejected.lines), (2, 0));
    for line in HEADERS.lines() {
        let (locale, header) = line.split_once(',').unwrap();
        let import = read(&format!("{header}\n{LINES}"), &with_currency(Currency::EUR));
        assert_eq!(
            (import.records, import.totals),
            (expected.records.clone(), expected.totals.clone()),
            "{locale}"
        );
        locales.push(&locale[..2]);
    }
    for language in ["de", "fr", "es", "it", "nl", "pl", "pt", "ru"] {
        assert!(locales.contains(&language), "{language}");
    }
}

#[test]
fn a_german_export_of_a_spreadsheet_is_read() {
    let import = try_read_detected(GERMAN, &with_currency(Currency::EUR)).unwrap();
    let cup = import.product("Tasse „Möwe“");
    assert_eq!(cup.description, "Steinzeug, spülmaschinenfest; 8 € Versand.");
    let variants: Vec<_> = cup
        .variants
        .iter()
        .map(|variant| (variant.options[0].as_str(), variant.prices[&Currency::EUR], import.stock(variant)))
        .collect();
    assert_eq!(variants, [("klein", 1490, Given(12)), ("groß", 1550, Given(5))]);
    assert_eq!(import.product("Eßtisch Eiche").variants[0].prices[&Currency::EUR], 124_900);
    assert_eq!(import.categories(), ["kuche", "kuche--geschirr", "mobel"]);
    assert_eq!(import.reasons(), [(6, "bad_price"), (7, "no_price")]);
    assert!(
        import.rejected[0].detail.starts_with("“1.899” may be thousands or a fraction"),
        "{:?}",
        import.rejected
    );
}

#[test]
fn the_header_of_the_file_is_kept_for_its_rejected_lines() {
    let header = HEADERS.lines().find_map(|line| line.strip_prefix("fr_FR,")).unwrap();
    let reader = Reader::open(header.as_bytes(), &with_currency(Currency::EUR)).unwrap();
    assert_eq!((reader.format(), reader.header().get(2)), (Format::Woocommerce, Some("UGS")));
    let without_price = header.replace("Tarif régulier", "Prix");
    let error = Reader::open(without_price.as_bytes(), &with_currency(Currency::EUR)).err().unwrap();
    assert!(matches!(error.fault, Fault::MissingColumns { missing, .. } if missing == ["Regular price"]));
}
