//! Products with a faulty line: all their lines are rejected, so that they can be corrected and imported together.

use undercroft::application::import::line::Reason;
use undercroft::application::import::readers::Options;
use undercroft::domain::money::Currency;

use super::{Import, read, with_currency};

/// Returns the number, the reason and the detail of each rejection, in the order in which they are yielded.
fn rejections(import: &Import) -> Vec<(u64, &'static str, &str)> {
    let rejections = import.rejected.iter();
    rejections.map(|it| (it.line.number, it.reason.code(), it.detail.as_str())).collect()
}

#[test]
fn a_product_with_a_faulty_line_is_rejected_with_all_its_lines_in_their_order() {
    let shopify = "Handle,Title,Option1 Name,Option1 Value,Type,Variant Price,Image Src\n\
                   cup,Cup,Size,S,Cups,3.00,\ncup,,,M,,free,\ncup,,,,,,cup.jpg\ncup,,,L,,,\njug,Jug,,,,9.00,\n";
    let woocommerce = "ID,Type,SKU,Name,Regular price,Parent,Attribute 1 name,Attribute 1 value(s)\n\
                       1,variation,C-S,Cup,3,C,Size,S\n2,variable,C,Cup,,,Size,\n3,variation,C-M,Cup,free,C,Size,M\n\
                       4,simple,J,Jug,9,,,\n4,variation,C-L,Cup,5,C,Size,L\n";
    for (text, expected) in [
        (
            shopify,
            vec![
                (2, "product_rejected", "see line 3"),
                (3, "bad_price", "“free”"),
                (4, "product_rejected", "see line 3"),
                (5, "no_price", ""),
            ],
        ),
        (
            woocommerce,
            vec![
                (2, "product_rejected", "see line 4"),
                (3, "product_rejected", "see line 4"),
                (4, "bad_price", "“free”"),
                (6, "duplicate_key", "“4”, see line 5"),
            ],
        ),
    ] {
        let read = read(text, &with_currency(Currency::EUR));
        assert_eq!(rejections(&read), expected);
        let names: Vec<_> = read.products().iter().map(|product| product.name.as_str()).collect();
        assert_eq!(
            (names, read.unused.kept.len()),
            (vec!["Jug"], 0),
            "no value of a rejected product is kept"
        );
    }
}

#[test]
fn a_malformed_line_of_shopify_rejects_the_product_of_its_handle() {
    let header = "Handle,Title,Option1 Name,Option1 Value,Variant Price\n";
    let valid = "jug,Jug,,,9.00\n";
    for (lines, expected) in [
        (
            "cup,Cup,Size,S,3.00\ncup,,,M,3,50\n",
            vec![(2, "product_rejected", "see line 3"), (3, "wrong_field_count", "6 fields instead of 5")],
        ),
        (
            "cup,Cu\0p,Size,S,3.00\ncup,,,M,3.50\n",
            vec![(2, "nul_byte", ""), (3, "product_rejected", "see line 2")],
        ),
        ("Total\n", vec![(2, "wrong_field_count", "1 fields instead of 5")]),
        (",\n", vec![(2, "wrong_field_count", "2 fields instead of 5")]),
    ] {
        let read = read(&format!("{header}{lines}{valid}"), &with_currency(Currency::EUR));
        assert_eq!((rejections(&read), read.products().len()), (expected, 1), "{lines}");
    }
}

#[test]
fn a_product_with_a_category_on_too_many_levels_is_rejected_and_adds_no_category() {
    let path = |levels: usize| (1..=levels).map(|level| level.to_string()).collect::<Vec<_>>().join(" > ");
    for levels in [25, 10_000] {
        let (valid, long) = (path(24), path(levels));
        let shopify = format!(
            "Handle,Title,Type,Variant Price\ncup,Cup,{long},1.00\ncup,,,2.00\njug,Jug,{valid},1.00\n"
        );
        let woocommerce = format!(
            "ID,Type,SKU,Name,Regular price,Categories,Parent\n1,simple,A,Cup,1,{long},\n2,variable,B,Mug,,{long},\n\
             3,variation,C,Mug,1,,B\n4,simple,A,Jug,1,{valid},\n"
        );
        for (text, expected) in [
            (shopify, vec![(2, "too_many_levels", "more than 24"), (3, "product_rejected", "see line 2")]),
            (
                woocommerce,
                vec![
                    (2, "too_many_levels", "more than 24"),
                    (3, "too_many_levels", "more than 24"),
                    (4, "unknown_parent", "“B”"),
                ],
            ),
        ] {
            let read = read(&text, &with_currency(Currency::EUR));
            assert_eq!(rejections(&read), expected);
            assert_eq!((read.categories().len(), read.products().len()), (24, 1), "those of the jug");
        }
    }
}

#[test]
fn a_line_without_a_key_names_the_columns_that_are_empty() {
    let sales = crate::support::import::HEADER;
    for (text, expected) in [
        ("ID,Type,SKU,Name,Regular price\n,simple,,Cup,1\n", "the columns ID and SKU are empty"),
        (
            "Type,SKU,Name,Regular price\nsimple,,Cup,1\n",
            "there is no column ID, and the column SKU is empty",
        ),
        ("Handle,Title,Variant Price\n,,1\n", "the columns Handle and Title are empty"),
        ("Handle,Title,Variant Price\n--,Cup,1\n", "the handle “--” has neither a letter nor a digit"),
        (&format!("{sales},A,APPLE,1,2011-01-01 10:00:00,1.00,,France\n"), "the column InvoiceNo is empty"),
    ] {
        let read = read(text, &with_currency(Currency::EUR));
        assert_eq!(rejections(&read), [(2, "no_key", expected)]);
    }
}

#[test]
fn a_sku_of_two_products_is_rejected_with_the_other_line_or_gets_a_suffix() {
    let shopify = "Handle,Title,Option1 Name,Option1 Value,Variant SKU,Variant Price\n\
                   cup,Cup,,,A-1,3.00\njug,Jug,Size,L,A-1,4.00\njug,,,M,'A-2,5.00\n";
    let woocommerce = "ID,Type,SKU,Name,Regular price,Parent,Attribute 1 name,Attribute 1 value(s)\n\
                       1,simple,A-1,Cup,3,,,\n,simple,A-1,Jug,4,,,\n9,variable,J,Vase,,,Size,\n\
                       10,variation,A-1,Vase,5,J,Size,L\n11,variation,A-2,Vase,5,J,Size,M\n";
    let product = |id: &str, skus: [&str; 2]| {
        let variants = skus.map(|sku| {
            format!(r#"{{"sku":"{sku}","stock":1,"prices":[{{"amount":300,"currency":"EUR"}}]}}"#)
        });
        format!(r#"{{"type":"product","id":"{id}","name":"{id}","variants":[{}]}}"#, variants.join(","))
    };
    let json = [product("cup", ["A-1", "B"]), product("jug", ["A-2", "A-1"])].join("\n");
    let rejecting = with_currency(Currency::EUR);
    let adding_suffixes = Options { suffix_duplicate_skus: true, ..rejecting };
    for (text, lines, with_suffixes) in [
        (shopify, vec![(3, 2)], vec!["A-1", "A-1-2", "A-2"]),
        (woocommerce, vec![(3, 2), (5, 2)], vec!["A-1", "A-1-2", "A-1-3", "A-2"]),
        (&json, vec![(2, 1)], vec!["A-1", "B", "A-2", "A-1-2"]),
    ] {
        let rejected = read(text, &rejecting);
        let rejections = rejected.rejected.iter();
        let details: Vec<_> = rejections
            .filter(|rejection| rejection.reason != Reason::ProductRejected)
            .map(|rejection| (rejection.line.number, rejection.reason.code(), rejection.detail.clone()))
            .collect();
        let expected = lines.into_iter();
        let expected: Vec<_> = expected
            .map(|(line, other)| (line, "duplicate_sku", format!("“A-1”, see line {other}")))
            .collect();
        assert_eq!(details, expected);

        let read = read(text, &adding_suffixes);
        let variants: Vec<_> = read.products().into_iter().flat_map(|product| &product.variants).collect();
        let skus: Vec<_> = variants.iter().map(|variant| variant.sku.as_str()).collect();
        assert_eq!((skus, read.reasons()), (with_suffixes, vec![]));
        let ids: std::collections::BTreeSet<_> = variants.iter().map(|variant| variant.id).collect();
        assert_eq!(ids.len(), variants.len(), "each variant has its own id");
        let ids: std::collections::BTreeSet<_> = read.products().iter().map(|product| product.id).collect();
        assert_eq!(ids.len(), read.products().len(), "each product has its own id");
    }
}

#[test]
fn a_second_record_with_the_same_key_is_rejected_with_the_line_of_the_first() {
    let woocommerce = "ID,Type,SKU,Name,Regular price\n7,simple,A,Cup,1.00\n8,simple,B,Jug,1.00\n7,simple,C,Vase,1.00\n\
                       ,simple,D,Pot,1.00\n,simple,E,Pan,1.00\n";
    let import = read(woocommerce, &with_currency(Currency::EUR));
    assert_eq!(import.products().len(), 4);
    assert_eq!(import.reasons(), [(4, "duplicate_key")]);
    assert_eq!(import.rejected[0].detail, "“7”, see line 2");

    let line = |r#type: &str, id: &str| format!("{{\"type\":\"{type}\",\"id\":\"{id}\",\"name\":\"A\"}}\n");
    let json_lines = [("category", "a"), ("customer", "a"), ("customer", "a"), ("category", "b")];
    let json_lines: String = json_lines.iter().map(|(r#type, id)| line(r#type, id)).collect();
    let import = read(&json_lines, &Options::default());
    assert_eq!(import.reasons(), [(3, "duplicate_key")]);
}
