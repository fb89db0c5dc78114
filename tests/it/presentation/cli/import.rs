//! The commands `import` and `export`: their output and files, also after a failure or a kill.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::{run, undercroft};
use crate::support::EmptyPostgres;
use crate::support::import::{DEMO, HEADER};

/// Returns a folder with a file in it.
pub(super) fn folder_with(name: &str, content: impl AsRef<[u8]>) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join(name);
    fs::write(&file, content).unwrap();
    (folder, file)
}

/// Returns a file of invoices with three lines each.
pub(super) fn sales(invoices: usize) -> String {
    let mut file = HEADER.to_owned();
    for invoice in 0..invoices {
        for line in 0..3 {
            let product = (invoice * 3 + line) % 50;
            let _ = writeln!(
                file,
                "{},S{product},THING {product},{},2011-01-{:02} 10:00:00,1.{product:02},{},France",
                1_000 + invoice,
                1 + line,
                1 + invoice % 28,
                1 + invoice % 20
            );
        }
    }
    file
}

/// Imports a file and returns the JSON report.
pub(super) fn import(folder: &Path, file: &Path) -> Value {
    let (code, output, errors) = run(folder, &["import", "--json", file.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{errors}");
    serde_json::from_str(&output).unwrap()
}

/// Exports the store of the folder, or that in `database`.
pub(super) fn export(folder: &Path, database: Option<&str>) -> String {
    let mut arguments = vec!["export"];
    arguments.extend(database.into_iter().flat_map(|url| ["--database", url]));
    let (code, output, errors) = run(folder, &arguments);
    assert_eq!(code, Some(0), "{errors}");
    assert!(errors.contains("not exported: passwords, sessions, "), "{errors}");
    output
}

#[test]
fn the_totals_of_an_import_add_up_and_rejected_lines_are_written_to_a_file() {
    let rest = "9000,S1,,5,2011-01-01 10:00:00,0,,France\n\
                9001,S1,THING 1,many,2011-01-01 10:00:00,1.01,7,France\n\
                C9002,S1,THING 1,-1,2011-01-02 10:00:00,1.01,1,France\n";
    let (folder, file) = folder_with("sales.csv", sales(5) + rest);
    let report = import(folder.path(), &file);
    let lines = |which: &str| report[which]["lines"].as_u64().unwrap();
    assert_eq!((report["lines"].as_u64(), lines("accepted")), (Some(18), 16), "{report}");
    let reasons = report["rejected"]["reasons"].as_object().unwrap();
    assert_eq!(reasons.values().map(|count| count.as_u64().unwrap()).sum::<u64>(), lines("rejected"));
    assert_eq!((&report["format"], &report["added"]["orders"]), (&"online-retail".into(), &5.into()));

    let rejected = fs::read_to_string(folder.path().join("sales.rejected.csv")).unwrap();
    let numbers: Vec<_> = rejected.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(numbers, ["17", "18"], "{rejected}");
    assert!(
        rejected.lines().nth(2).unwrap().ends_with(",9001,S1,THING 1,many,2011-01-01 10:00:00,1.01,7,France")
    );

    let again = import(folder.path(), &file);
    assert_eq!((&again["accepted"], &again["added"]["orders"]), (&report["accepted"], &0.into()));
    let (code, _, errors) = run(folder.path(), &["import", "--strict", file.to_str().unwrap()]);
    assert_eq!(code, Some(3), "{errors}");
}

#[test]
fn the_summary_says_how_the_stock_was_taken() {
    let shopify = "Handle,Title,Variant Inventory Tracker,Variant Inventory Qty,Variant Price\n\
                   a,A,shopify,,1.00\nb,B,shopify,,1.00\nc,C,,,1.00\n";
    let (folder, _) = folder_with("shopify.csv", shopify);
    let (_, output, _) = run(folder.path(), &["import", "shopify.csv", "--currency", "EUR"]);
    assert!(output.contains("\nstock of 2 variants: without a quantity in the file: 0 pieces"), "{output}");
    assert!(output.contains("\nstock of 1 variant: not counted: always available\n"), "{output}");
    fs::write(
        folder.path().join("more.csv"),
        shopify.replace("shopify,,", "shopify,7,").replace(",A,", ",D,").replace("\na,", "\nd,"),
    )
    .unwrap();
    let (_, output, _) = run(folder.path(), &["import", "more.csv", "--currency", "EUR"]);
    assert!(output.contains("\nstock of 1 variant: the quantity in the file\n"), "{output}");
    fs::write(folder.path().join("sales.csv"), sales(1)).unwrap();
    let (_, output, _) = run(folder.path(), &["import", "sales.csv"]);
    let expected = "\nstock of 3 variants: assumed, not from the file: 100 pieces of each\n";
    assert!(output.contains(expected), "{output}");
}

#[test]
fn the_summary_says_which_columns_are_kept_as_metadata_and_which_are_not() {
    let summary = |name: &str, content: String| {
        let (folder, file) = folder_with(name, content);
        let (code, output, errors) =
            run(folder.path(), &["import", "--currency", "EUR", file.to_str().unwrap()]);
        assert_eq!(code, Some(0), "{errors}");
        output
    };
    let long = "x".repeat(5_001);
    let output = summary(
        "products.csv",
        format!("Handle,Title,Vendor,Tags,Notes,Variant Price\na,A,Hall,new,{long},1\nb,B,Hall,,,1\n"),
    );
    assert!(
        output.contains("\nkept as metadata: 3 values of 2 columns\nnot kept: Notes (1 value)\n"),
        "{output}"
    );
    let extended = HEADER.replace('\n', ",Clerk\n") + "1,A,APPLE,2,2011-01-01 10:00:00,1.50,7,France,Bob\n";
    let output = summary("sales.csv", extended);
    assert!(output.contains("\nnot kept: Clerk (1 value)\n"), "{output}");
}

#[test]
fn an_empty_store_shows_the_currency_of_its_first_import_and_others_are_named() {
    let shopify = "Handle,Title,Variant Price\na,A,1.00\n";
    let (folder, _) = folder_with("first.csv", shopify);
    let summary = |file: &str, currency: &str, database: &str| {
        let arguments = ["import", file, "--currency", currency, "--database", database];
        let (code, output, errors) = run(folder.path(), &arguments);
        assert_eq!(code, Some(0), "{errors}");
        output
    };
    let output = summary("first.csv", "USD", "sqlite:one.db");
    assert!(output.contains("\nthe store had no products and now shows prices in USD;"), "{output}");
    let output = summary("first.csv", "USD", "sqlite:one.db");
    assert!(!output.contains("shows prices") && !output.contains("not shown"), "{output}");

    fs::write(folder.path().join("second.csv"), "Handle,Title,Variant Price\nb,B,1.00\n").unwrap();
    let output = summary("second.csv", "GBP", "sqlite:one.db");
    let expected = "\n1 product is not shown: without a price in USD, the currency of the store. \
                    Set store.default_currency to GBP, or request ?currency=GBP\n";
    assert!(output.contains(expected), "{output}");

    fs::write(folder.path().join("undercroft.toml"), "[store]\ndefault_currency = \"EUR\"").unwrap();
    let output = summary("first.csv", "USD", "sqlite:two.db");
    assert!(output.contains("without a price in EUR"), "a setting counts more than the import: {output}");
}

#[test]
fn the_summary_counts_the_products_that_were_in_the_store_and_update_takes_their_changes() {
    let (folder, _) = folder_with("shop.csv", "Handle,Title,Variant Price\na,A,1.00\nb,B,2.00\n");
    let summary = |options: &[&str]| {
        let arguments = [&["import", "shop.csv", "--currency", "EUR"], options].concat();
        let (code, output, errors) = run(folder.path(), &arguments);
        assert_eq!(code, Some(0), "{errors}");
        output
    };
    assert!(!summary(&[]).contains("--update"), "all products are new");
    fs::write(folder.path().join("shop.csv"), "Handle,Title,Variant Price\na,A,1.00\nb,B,2.50\n").unwrap();
    let kept = summary(&[]);
    assert!(
        kept.contains("\nunchanged: products 2\n2 products were in the store before and stayed;"),
        "{kept}"
    );
    let updated = summary(&["--update"]);
    assert!(updated.contains("\nadded: nothing\nupdated: products 1\nunchanged: products 1\n"), "{updated}");
    assert!(export(folder.path(), None).contains("\"amount\":250"));
}

#[test]
fn records_that_are_not_imported_are_named_in_the_report_and_the_exit_code() {
    let customer = r#"{"type":"customer","id":"ann","name":"Ann"}"#;
    let file =
        format!("{customer}\n{{\"type\":\"order\"}}\n{{\"type\":\"review\"}}\n{{\"type\":\"order\"}}\n");
    let (folder, file) = folder_with("all.jsonl", file);
    let (code, output, errors) = run(folder.path(), &["import", "--json", file.to_str().unwrap()]);
    assert_eq!(code, Some(3), "{errors}");
    assert!(errors.contains("records of these types are not imported: order, review"), "{errors}");
    let report: serde_json::Value = serde_json::from_str(&output).unwrap();
    assert_eq!(report["added"]["customers"], 1);
    assert_eq!(report["rejected"]["not_imported"], serde_json::json!({"order": 2, "review": 1}));
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        2,
        "there is no file of lines that cannot be corrected"
    );
}

/// Returns the number of committed orders in the folder's store, which is 0 before it is set up.
pub(super) fn orders_in(folder: &Path) -> i64 {
    orders_of(&folder.join("undercroft.db"))
}

/// Returns the number of orders in the file of a store; 0 before it is set up.
pub(super) fn orders_of(file: &Path) -> i64 {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let database = rusqlite::Connection::open_with_flags(file, flags);
    database
        .and_then(|database| database.query_row("SELECT COUNT(*) FROM orders", [], |row| row.get(0)))
        .unwrap_or(0)
}

#[test]
fn an_import_that_was_killed_and_repeated_has_the_same_result() {
    let (whole, file) = folder_with("sales.csv", sales(600));
    let killed = TempDir::new().unwrap();
    let mut command = undercroft(killed.path(), &["import", file.to_str().unwrap()]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_mins(1);
    while orders_in(killed.path()) == 0 {
        assert!(Instant::now() < deadline, "no order is written");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().code(), None, "the import ended before it was killed");

    let report = import(killed.path(), &file);
    let count = |what: &str| report[what]["orders"].as_u64().unwrap();
    assert!(count("unchanged") > 0 && count("added") > 0, "{report}");
    import(whole.path(), &file);
    let (one, other) = (export(killed.path(), None), export(whole.path(), None));
    assert!(one.lines().count() > 1_200 && one == other, "the exports differ");
}

/// A folder with a store of the demo catalogue and its export.
fn exported_demo() -> (TempDir, String) {
    let (folder, file) = folder_with("demo.jsonl", DEMO);
    import(folder.path(), &file);
    let (code, output, errors) = run(folder.path(), &["export", "--output", "all.jsonl"]);
    assert_eq!((code, output.as_str()), (Some(0), ""), "{errors}");
    assert!(errors.contains("not exported: passwords, sessions, "), "{errors}");
    let all = fs::read_to_string(folder.path().join("all.jsonl")).unwrap();
    assert!(all.lines().count() >= 60);
    (folder, all)
}

#[test]
fn an_export_to_a_file_is_the_same_as_one_to_standard_output() {
    let (folder, all) = exported_demo();
    assert_eq!(export(folder.path(), None), all);
}

#[tokio::test]
async fn an_export_that_is_imported_on_postgres_is_exported_unchanged() {
    let Some(postgres) = EmptyPostgres::new().await else { return };
    let (folder, all) = exported_demo();
    let (code, _, errors) = run(folder.path(), &["import", "all.jsonl", "--database", &postgres.url]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(export(folder.path(), Some(&postgres.url)) == all, "the exports differ");
}

#[test]
fn the_fault_of_a_file_is_reported_with_its_position_and_nothing_is_written() {
    let good = sales(1);
    let bytes = |tail: &[u8]| [good.as_bytes(), tail].concat();
    let endless = format!("1,A,\"{}", "x".repeat(2 << 20));
    for (content, expected) in [
        (
            bytes(b"1,\xC3\x89,\n1,A,caf\xE9,1,2011-01-01 10:00:00,1.00,7,France\n"),
            "line 6, column 8: not UTF-8",
        ),
        (HEADER.replace(",UnitPrice", "").into_bytes(), "line 1, column 1: missing columns: UnitPrice"),
        (bytes(b"1,A,5\" PIPE,1,2011-01-01 10:00:00,1.00,7,France\n"), "line 5, column 6: a quotation mark"),
        (bytes(b"1,A,\"OPEN,1,2011-01-01 10:00:00,1.00,7,France\n"), "line 5, column 5: this quotation mark"),
        (bytes(endless.as_bytes()), "line 5, column 5: more than 1048576 bytes in one record"),
    ] {
        let (folder, file) = folder_with("broken.csv", content);
        let (code, output, errors) = run(folder.path(), &["import", "broken.csv"]);
        assert_eq!((code, output.as_str()), (Some(1), ""), "{expected}: {errors}");
        assert!(errors.starts_with(&format!("undercroft: broken.csv: {expected}")), "{expected}: {errors}");
        fs::remove_file(file).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{expected}: something was left behind");
    }
    let folder = TempDir::new().unwrap();
    let (code, _, errors) = run(folder.path(), &["import", "/dev/null"]);
    assert_eq!(code, Some(1));
    assert!(errors.contains("/dev/null: cannot be opened: not a regular file"), "{errors}");
}

#[test]
fn the_decimal_mark_can_be_set() {
    let file = "ID,Type,SKU,Name,Stock,Regular price\n1,simple,A,Lamp,\"1,000\",\"1,299\"\n";
    for (mark, price, stock) in [(".", "129900", "1000"), (",", "129", "1")] {
        let file = file.replace("1,299", if mark == "." { "1,299" } else { "1,290" });
        let (folder, _) = folder_with("shop.csv", file);
        let arguments = ["import", "shop.csv", "--currency", "EUR", "--decimal-mark", mark];
        let (code, _, errors) = run(folder.path(), &arguments);
        assert_eq!(code, Some(0), "{errors}");
        let all = export(folder.path(), None);
        assert!(all.contains(&format!("\"amount\":{price},")), "{all}");
        assert!(all.contains(&format!("\"stock\":{stock}")), "{all}");
    }
}

#[test]
fn existing_files_are_not_replaced_and_only_their_user_may_read_new_ones() {
    let rest = "9000,S1,,5,2011-01-01 10:00:00,0,,France\n";
    let (folder, file) = folder_with("sales.csv", sales(5) + rest);
    let mode = |name: &str| {
        let metadata = fs::metadata(folder.path().join(name)).unwrap();
        std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777
    };
    import(folder.path(), &file);
    let first = fs::read(folder.path().join("sales.rejected.csv")).unwrap();
    import(folder.path(), &file);
    assert_eq!(fs::read(folder.path().join("sales.rejected.csv")).unwrap(), first);
    assert_eq!((mode("sales.rejected.csv"), mode("sales.rejected-2.csv")), (0o600, 0o600));

    for name in ["kept.csv", "sales.csv"] {
        fs::write(folder.path().join("kept.csv"), "mine").unwrap();
        let before = fs::read(folder.path().join(name)).unwrap();
        let (code, _, errors) = run(folder.path(), &["import", "sales.csv", "--rejects", name]);
        assert_eq!(code, Some(1), "{errors}");
        assert!(errors.contains(&format!("{name} cannot be written: ")), "{errors}");
        assert_eq!(fs::read(folder.path().join(name)).unwrap(), before);
    }

    let to_file = ["export", "--output", "kept.csv"];
    let (code, _, errors) = run(folder.path(), &to_file);
    assert_eq!(code, Some(2), "{errors}");
    assert_eq!(errors, "undercroft: kept.csv exists; `--force` replaces it\n");
    assert_eq!(fs::read_to_string(folder.path().join("kept.csv")).unwrap(), "mine");
    assert_eq!(run(folder.path(), &[&to_file[..], &["--force"]].concat()).0, Some(0));
    assert_eq!(mode("kept.csv"), 0o600);
}
