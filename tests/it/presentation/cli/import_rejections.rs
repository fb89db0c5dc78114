//! The rejected lines of `import`, and files that are not imported at all.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::import::{export, folder_with, import, sales};
use super::run;

/// Imports a file with options and returns the JSON report.
fn import_with(folder: &Path, file: &str, options: &[&str]) -> Value {
    let (code, output, errors) = run(folder, &[&["import", "--json", file], options].concat());
    assert_eq!(code, Some(0), "{errors}");
    serde_json::from_str(&output).unwrap()
}

#[test]
fn rejected_lines_are_imported_when_they_are_corrected() {
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/shopify-windows-1250.csv");
    let (folder, _) = folder_with("shop.csv", fs::read(fixture).unwrap());
    let options = ["--json", "--currency", "PLN", "--encoding", "windows-1250"];
    let import = |file: &str| {
        let (code, output, errors) = run(folder.path(), &[&["import", file], &options[..]].concat());
        assert_eq!(code, Some(0), "{errors}");
        serde_json::from_str::<Value>(&output).unwrap()
    };
    let first = import("shop.csv");
    assert_eq!((&first["encoding"], &first["rejected"]["lines"]), (&"windows-1250".into(), &1.into()));

    let rejected = fs::read_to_string(folder.path().join("shop.rejected.csv")).unwrap();
    assert!(rejected.contains("Miseczka „Jaskółka”") && rejected.contains(";12;deny;;TRUE;"), "{rejected}");
    let corrected = rejected.replace(";12;deny;;TRUE;", ";12;deny;49.00;TRUE;");
    fs::write(folder.path().join("shop.rejected.csv"), corrected).unwrap();
    let second = import("shop.rejected.csv");
    assert_eq!(
        (&second["added"]["products"], &second["rejected"]["lines"]),
        (&1.into(), &0.into()),
        "{second}"
    );
    assert!(export(folder.path(), None).contains("Miseczka „Jaskółka”"));
}

#[test]
fn a_product_of_which_one_line_was_corrected_is_imported_whole() {
    let shopify = "Handle,Title,Option1 Name,Option1 Value,Variant Price\ncup,Cup,Size,S,3.00\njug,Jug,,,9.00\n\
                   mug,Mug,Size,S,4.00\nmug,,,M,free\nmug,,,L,6.00\n";
    let woocommerce = "ID,Type,SKU,Name,Regular price,Parent,Attribute 1 name,Attribute 1 value(s)\n\
                       1,variable,C,Mug,,,Size,\n2,variation,C-S,Mug,3,C,Size,S\n3,variation,C-M,Mug,free,C,Size,M\n\
                       4,variation,C-L,Mug,5,C,Size,L\n5,simple,J,Jug,9,,,\n6,simple,K,Cup,3,,,\n";
    for (text, lines) in [(shopify, 3), (woocommerce, 4)] {
        let (folder, _) = folder_with("shop.csv", text);
        let currency = ["--currency", "EUR"];
        let first = import_with(folder.path(), "shop.csv", &currency);
        assert_eq!(
            (&first["added"]["products"], &first["rejected"]["lines"]),
            (&2.into(), &lines.into()),
            "{first}"
        );
        let rejects = folder.path().join("shop.rejected.csv");
        fs::write(&rejects, fs::read_to_string(&rejects).unwrap().replace(",free", ",5.00")).unwrap();
        let second = import_with(folder.path(), "shop.rejected.csv", &currency);
        assert_eq!((&second["added"]["products"], &second["rejected"]["lines"]), (&1.into(), &0.into()));

        let (whole, _) = folder_with("shop.csv", text.replace(",free", ",5.00"));
        import_with(whole.path(), "shop.csv", &currency);
        let variants = |folder: &Path| {
            let all = export(folder, None);
            let mut variants: Vec<_> =
                all.split("\"sku\":").skip(1).map(|it| it.split('}').next().unwrap().to_owned()).collect();
            variants.sort();
            variants
        };
        assert_eq!(variants(folder.path()).len(), 5);
        assert_eq!(variants(folder.path()), variants(whole.path()));
    }
}

#[test]
fn the_summary_says_that_an_order_does_not_take_further_lines() {
    let rest = "1000,S9,THING 9,many,2011-01-01 10:00:00,1.00,1,France\n";
    let (folder, _) = folder_with("sales.csv", sales(1) + rest);
    let (_, output, errors) = run(folder.path(), &["import", "sales.csv"]);
    assert!(
        output.contains("\nan order that was imported without a rejected line stays as it is\n"),
        "{output}{errors}"
    );
}

#[test]
fn rejected_json_lines_are_imported_when_they_are_corrected() {
    let (folder, file) = folder_with("all.jsonl", "{\"type\":\"customer\",\"id\":\"ann\"}\n");
    import(folder.path(), &file);
    // a second time without a correction: the columns of the cause are not repeated
    import(folder.path(), &folder.path().join("all.rejected.csv"));
    let rejected = fs::read_to_string(folder.path().join("all.rejected.rejected.csv")).unwrap();
    assert!(rejected.starts_with("line,reason,detail,record\n2,invalid_json,"), "{rejected}");
    let corrected = rejected.replace("\"\"ann\"\"", "\"\"ann\"\",\"\"name\"\":\"\"Ann\"\"");
    let corrected_file = folder.path().join("corrected.csv");
    fs::write(&corrected_file, corrected).unwrap();
    assert_eq!(import(folder.path(), &corrected_file)["added"]["customers"], 1);
}

#[test]
fn only_products_without_a_price_in_the_currency_of_the_store_are_named_as_not_shown() {
    let file = |products: &str| format!("Handle,Title,Variant Price\n{products}");
    let (folder, _) = folder_with("first.csv", file("a,A,1.00\nb,B,1.00\n"));
    import_with(folder.path(), "first.csv", &["--currency", "GBP"]);
    fs::write(folder.path().join("second.csv"), file("a,A,2.00\nb,B,2.00\nc,C,2.00\n")).unwrap();
    let expected = "\n1 product is not shown: without a price in GBP, the currency of the store. ";
    for options in [&["--currency", "EUR", "--dry-run"][..], &["--currency", "EUR", "--update"]] {
        let (code, output, errors) = run(folder.path(), &[&["import", "second.csv"], options].concat());
        assert_eq!(code, Some(0), "{errors}");
        assert!(output.contains(expected), "{output}");
    }
}

#[test]
fn a_currency_that_is_needed_and_missing_is_a_usage_error() {
    let (folder, _) = folder_with("shop.csv", "Handle,Title,Variant Price\na,A,1.00\n");
    let (code, output, errors) = run(folder.path(), &["import", "shop.csv"]);
    assert_eq!((code, output.as_str()), (Some(2), ""), "{errors}");
    assert!(errors.contains("set it with --currency, such as --currency EUR"), "{errors}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is written");
}
