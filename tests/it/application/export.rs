//! An export can be imported and contains no credentials.

use crate::support::Shop;
use crate::support::import::{DEMO, ONLINE_RETAIL, another_shop, exported, import_all, number};
use undercroft::application::import::report::Counts;

const TERMS: &str = concat!(
    r#"{"type":"tax_rule","country":"DE","tax_class":"reduced","basis_points":700,"inclusive":true}"#,
    "\n",
    r#"{"type":"shipping_method","id":"parcel","code":"parcel","name":"Parcel","translations":{"de":{"name":"Paket"}},"rates":[{"country":null,"currency":"EUR","amount":490,"free_from":5000}]}"#,
    "\n",
    r#"{"type":"discount","id":"ten","code":"Ten","kind":{"type":"percent","basis_points":1000},"usage_limit":9,"minimum":{"amount":100,"currency":"EUR"}}"#,
    "\n",
    r#"{"type":"customer","id":"ann","name":"Ann","email":"ann@example.org","birth_date":"1990-05-01","created_at":"2020-01-01T00:00:00Z","preferences":{"locale":"de","marketing_consent":true,"consent_at":"2020-01-02T00:00:00Z"}}"#,
    "\n",
);

on_both_engines!(an_imported_export_is_exported_unchanged);
async fn an_imported_export_is_exported_unchanged(shop: &Shop) {
    let source = &another_shop().await.store;
    import_all(source, DEMO).await;
    import_all(source, TERMS).await;
    let expected = exported(source).await;
    for (kind, least) in [
        ("category", 20),
        ("tax_rule", 1),
        ("shipping_method", 1),
        ("product", 38),
        ("discount", 1),
        ("customer", 1),
    ] {
        let start = format!("{{\"type\":\"{kind}\",");
        let found = expected.lines().filter(|line| line.starts_with(&start)).count();
        assert!(found >= least, "{found} of {kind}");
    }

    let store = &shop.store;
    let (report, progress) = import_all(store, &expected).await;
    assert_eq!(progress.rejected, []);
    assert_eq!(report.unchanged, Counts::default());
    assert!(exported(store).await == expected, "the exports differ");
}

on_both_engines!(the_orders_of_an_export_are_rejected);
async fn the_orders_of_an_export_are_rejected(shop: &Shop) {
    let source = &shop.store;
    import_all(source, ONLINE_RETAIL).await;
    let export = exported(source).await;
    let target = another_shop().await;
    let (report, progress) = import_all(&target.store, &export).await;
    assert_eq!((report.added.products, report.added.customers), (161, 97));
    assert_eq!(progress.rejected, [], "records of types that are not imported are only counted");
    let not_imported = &report.totals.rejected.not_imported;
    // each order has an invoice, and there are credit notes
    assert!(not_imported["invoice"] > not_imported["order"], "{not_imported:?}");
    assert!(not_imported["order"] >= 97, "{not_imported:?}");
}

on_both_engines!(an_export_contains_no_credentials);
async fn an_export_contains_no_credentials(shop: &Shop) {
    let store = &shop.store;
    import_all(store, ONLINE_RETAIL).await;
    let export = exported(store).await;
    for secret in ["password", "\"token", "session"] {
        assert!(!export.contains(secret), "{secret}");
    }
}

on_both_engines!(the_uses_of_a_discount_in_another_store_are_subtracted_from_its_limit);
async fn the_uses_of_a_discount_in_another_store_are_subtracted_from_its_limit(shop: &Shop) {
    let discount = |id: &str, used: u32| {
        format!(
            r#"{{"type":"discount","id":"{id}","code":"{id}","kind":{{"type":"percent","basis_points":1000}},"used":{used},"usage_limit":5}}"#
        )
    };
    let lines = [discount("some-left", 3), discount("used-up", 5), discount("more-than-all", 6)].join("\n");

    let store = &shop.store;
    let (report, progress) = import_all(store, &lines).await;
    assert_eq!((report.added.discounts, progress.rejected.len()), (2, 1));
    let left = "SELECT usage_limit - used FROM discounts WHERE code = 'some-left' AND active";
    assert_eq!(number(store, left).await, 2);
    assert_eq!(
        number(store, "SELECT COUNT(*) FROM discounts WHERE code = 'used-up' AND NOT active").await,
        1
    );
}
