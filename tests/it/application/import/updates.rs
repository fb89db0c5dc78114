//! Imports that update products which are in the store already.

use undercroft::application::import::report::{Counts, StockCounts};

use crate::support::Shop;
use crate::support::import::{SHOPIFY, exported, import_all, number, update_all};
use crate::support::orders::Sale;
use crate::support::store::value;

const COLUMNS: &str = "Handle,Title,Body (HTML),Option1 Name,Option1 Value,Variant SKU,Variant Inventory Tracker,\
                       Variant Inventory Qty,Variant Price\n";

/// A product of two variants.
fn first_file() -> String {
    format!("{COLUMNS}cup,Cup,A cup.,Size,S,C-S,shopify,5,3.00\ncup,,,,M,C-M,shopify,6,4.00\n")
}

/// The line of the only product in an export.
fn product_line(export: &str) -> String {
    let mut lines = export.lines().filter(|line| line.starts_with(r#"{"type":"product""#));
    let line = lines.next().unwrap().to_owned();
    assert_eq!(lines.next(), None);
    line
}

on_both_engines!(an_update_takes_texts_prices_stock_and_new_variants);
async fn an_update_takes_texts_prices_stock_and_new_variants(shop: &Shop) {
    let second = format!(
        "{COLUMNS}cup,Big cup,A big cup.,Size,S,C-S,shopify,5,3.50\ncup,,,,M,C-M,,,4.00\ncup,,,,L,C-L,shopify,,5.00\n\
         jug,Jug,,,,J,shopify,1,9.00\n"
    );

    let store = &shop.store;
    import_all(store, &first_file()).await;
    let before = product_line(&exported(store).await);
    let published = "SELECT COUNT(*) FROM outbox WHERE type IN ('product.changed', 'stock.changed')";
    let published_before = number(store, published).await;

    let (report, _) = import_all(store, &second).await;
    assert_eq!((report.added.products, report.unchanged.products), (1, 1));
    assert!(exported(store).await.contains(&before), "without --update the product stays");

    let (report, progress) = update_all(store, &second).await;
    assert_eq!(progress.rejected, []);
    assert_eq!((report.updated.products, report.unchanged.products, report.added), (1, 1, Counts::default()));
    assert_eq!(report.stock, StockCounts { missing: 1, ..StockCounts::default() }, "of the new variant");
    let expected = before
        .replace(r#""name":"Cup","description":"A cup.""#, r#""name":"Big cup","description":"A big cup.""#)
        .replace(r#""amount":300"#, r#""amount":350"#)
        .replace(r#""stock":6}"#, r#""stock":null}"#);
    let after = exported(store).await;
    let updated = after.lines().find(|line| line.contains("Big cup")).unwrap();
    let (others, _) = expected.split_once(r#"],"created_at""#).unwrap();
    assert!(updated.starts_with(others), "{updated}\n{others}");
    assert!(updated[others.len()..].contains(r#""sku":"C-L","options":["L"]"#), "{updated}");
    // the jug was added, the cup was changed, and so was the stock of one variant
    assert_eq!(number(store, published).await, published_before + 3);

    let (again, _) = update_all(store, &second).await;
    assert_eq!((again.updated, again.unchanged.products), (Counts::default(), 2));
    assert!(exported(store).await == after, "a repeated update changes nothing");
}

on_both_engines!(imported_products_are_published_when_they_are_imported);
async fn imported_products_are_published_when_they_are_imported(shop: &Shop) {
    let (store, begun) = (&shop.store, shop.now());
    // one product, and several in one unit of work
    for file in [first_file(), SHOPIFY.to_owned()] {
        import_all(store, &file).await;
    }
    let own_time = "SELECT COUNT(*) FROM products WHERE created_at >= $1";
    assert_eq!(value::<i64>(&shop.database, own_time, &[begun.into()]).await, 0, "the time of the file");
    let past = "SELECT COUNT(*) FROM outbox WHERE type = 'product.changed' AND occurred_at < $1";
    assert_eq!(value::<i64>(&shop.database, past, &[begun.into()]).await, 0);
    let sql = "SELECT (SELECT COUNT(*) FROM products) - COUNT(*) FROM outbox WHERE type = 'product.changed'";
    assert_eq!(number(store, sql).await, 0);
}

on_both_engines!(an_update_takes_metadata_and_keeps_values_with_other_names);
async fn an_update_takes_metadata_and_keeps_values_with_other_names(shop: &Shop) {
    let file = |vendor: &str, grams: &str| {
        format!("Handle,Title,Vendor,Variant Price,Variant Grams\ncup,Cup,{vendor},3.00,{grams}\n")
    };

    let store = &shop.store;
    import_all(store, &file("Hall", "200")).await;
    let own = product_line(&exported(store).await).replace(r#""Vendor""#, r#""Aisle":"7","Vendor""#);
    update_all(store, &own).await;
    let (report, _) = update_all(store, &file("Mill", "210")).await;
    assert_eq!(report.updated.products, 1);
    let line = product_line(&exported(store).await);
    assert!(line.contains(r#""metadata":{"Aisle":"7","Vendor":"Mill"}"#), "{line}");
    assert!(line.contains(r#""metadata":{"Variant Grams":"210"}"#), "{line}");
}

on_both_engines!(an_update_removes_nothing);
async fn an_update_removes_nothing(shop: &Shop) {
    let file = format!("{COLUMNS}cup,Cup,,Size,S,C-S,shopify,,3.00\n");

    let store = &shop.store;
    import_all(store, &first_file()).await;
    let line = product_line(&exported(store).await);
    // the merchant adds a price and a translation
    let own = line
        .replace(r#""currency":"EUR"}]"#, r#""currency":"EUR"},{"amount":280,"currency":"GBP"}]"#)
        .replace(r#""variants":"#, r#""translations":{"de":{"name":"Tasse","description":""}},"variants":"#);
    let (report, _) = update_all(store, &own).await;
    assert_eq!(report.updated.products, 1);
    let before = exported(store).await;
    assert!(before.contains("Tasse") && before.contains("GBP"), "{before}");

    let (report, progress) = update_all(store, &file).await;
    assert_eq!((report.unchanged.products, progress.rejected), (1, vec![]));
    assert!(exported(store).await == before, "what the file does not have stays");
}

on_both_engines!(an_update_that_the_store_refuses_leaves_the_product_as_it_is);
async fn an_update_that_the_store_refuses_leaves_the_product_as_it_is(shop: &Shop) {
    let store = &shop.store;
    Sale::begin(shop, 10, "tok_requires_action").await;
    let reserved = product_line(&exported(store).await).replace(r#""stock":10"#, r#""stock":0"#);
    import_all(store, &first_file()).await;
    let before = exported(store).await;

    let renamed = format!("{COLUMNS}cup,Big cup,,Size,S,C-S-NEW,shopify,5,3.00\n");
    let other_options = format!("{COLUMNS}cup,Big cup,,,,C-NEW,shopify,5,3.00\n");
    for (file, reason) in [
        (&reserved.replace(r#""amount":1000"#, r#""amount":1"#), "orders have reserved 1 pieces of sku"),
        (&renamed, "invalid input: /variants/2/options same_options"),
        (&other_options, "invalid input: /variants/2/options option_values"),
    ] {
        let (report, progress) = update_all(store, file).await;
        let [(_, "refused", detail)] = &progress.rejected[..] else { panic!("{:?}", progress.rejected) };
        assert!(detail.starts_with(reason), "{detail}");
        assert_eq!(report.updated, Counts::default());
        assert!(exported(store).await == before, "{reason}");
    }
}
