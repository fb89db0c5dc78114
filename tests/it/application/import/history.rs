//! Order lines of a retailer become orders, refunds and credit notes, with exact amounts on both engines.

use crate::support::Shop;
use crate::support::import::{
    HEADER, ONLINE_RETAIL, Progress, SHOPIFY, WOOCOMMERCE, another_shop, exported, import_all, import_with,
    number, options, try_import,
};
use crate::support::orders::recover_payments;
use undercroft::application::catalogue::store_currency;
use undercroft::application::consistency::check;
use undercroft::application::import::readers::Options;
use undercroft::application::import::report::{Counts, StockCounts};
use undercroft::application::import::run::ImportError;
use undercroft::domain::money::Currency;

on_both_engines!(imported_orders_add_up_to_the_file_exactly);
async fn imported_orders_add_up_to_the_file_exactly(shop: &Shop) {
    let store = &shop.store;
    let (report, progress) = import_all(store, ONLINE_RETAIL).await;
    let totals = &report.totals;
    assert_eq!((totals.lines, totals.accepted.lines, totals.rejected.lines), (240, 195, 45));
    assert_eq!(progress.rejected.len(), 45);
    assert_eq!(report.added.orders, 97);
    assert_eq!((report.added.products, report.added.customers), (161, 97));
    assert_eq!(report.unchanged, Counts::default());

    let sold = number(store, "SELECT CAST(SUM(total) AS BIGINT) FROM orders").await;
    let refunded = number(store, "SELECT CAST(SUM(refunded) AS BIGINT) FROM payments").await;
    let credited =
        number(store, "SELECT CAST(SUM(total) AS BIGINT) FROM invoices WHERE order_id IS NULL").await;
    assert!(credited > 0, "there are returns of unknown orders");
    assert_eq!(i128::from(sold - refunded - credited), totals.accepted.amount);

    // like every paid order: the payment is captured, the stock sold, the invoice issued
    let unpaid = "SELECT COUNT(*) FROM payments WHERE status NOT IN ('captured', 'refunded') \
                  OR captured <> amount OR next_attempt_at IS NOT NULL OR capturing + refunding <> 0";
    assert_eq!(number(store, unpaid).await, 0);
    assert_eq!(number(store, "SELECT COUNT(*) FROM reservations").await, 0);
    let stock = "SELECT COUNT(*) FROM inventory WHERE stock <> 100 OR reserved <> 0";
    assert_eq!(number(store, stock).await, 0, "the sold pieces are added before, and 100 are left");
    let invoices = "SELECT COUNT(*) FROM invoices i JOIN orders o ON o.id = i.order_id \
                    WHERE i.kind = 'invoice' AND i.total = o.total AND i.issued_at = o.placed_at";
    assert_eq!(number(store, invoices).await, 97);
    assert_eq!(number(store, "SELECT MAX(number) FROM orders").await, 97, "numbers have no gaps");
    let out_of_order = "SELECT COUNT(*) FROM orders a JOIN orders b ON a.number < b.number \
                        AND a.placed_at > b.placed_at";
    assert_eq!(number(store, out_of_order).await, 0, "numbers are in the order of the dates");
    let violations = check(store.database(), true).await.unwrap();
    assert_eq!(violations, []);
    let notes = number(store, "SELECT COUNT(*) FROM invoices WHERE kind = 'credit_note'").await;
    assert_eq!(notes.unsigned_abs(), report.added.refunds + report.added.credit_notes);
}

on_both_engines!(importing_again_changes_nothing);
async fn importing_again_changes_nothing(shop: &Shop) {
    let store = &shop.store;
    let (first, rejected) = import_all(store, ONLINE_RETAIL).await;
    let before = exported(store).await;
    let events = number(store, "SELECT COUNT(*) FROM outbox").await;
    let (second, rejected_again) = import_all(store, ONLINE_RETAIL).await;
    assert_eq!((second.added, second.unchanged), (Counts::default(), first.added));
    assert_eq!(second.totals, first.totals);
    assert_eq!(rejected_again.rejected, rejected.rejected);
    assert!(before == exported(store).await, "the store is unchanged");
    assert_eq!(number(store, "SELECT COUNT(*) FROM outbox").await, events);
}

on_both_engines!(an_import_that_was_stopped_and_repeated_has_the_same_result_on_both_engines);
async fn an_import_that_was_stopped_and_repeated_has_the_same_result_on_both_engines(shop: &Shop) {
    let whole = another_shop().await;
    let (report, progress) = import_all(&whole.store, ONLINE_RETAIL).await;
    let expected = exported(&whole.store).await;
    let units = progress.committed.len();
    assert!(units > 3, "there are several units of work");

    let store = &shop.store;
    for most in 1..units {
        let mut progress = Progress::stopping_after(most);
        let stopped = try_import(store, ONLINE_RETAIL, &mut progress).await;
        assert!(matches!(stopped, Err(ImportError::Observer(_))), "{stopped:?}");
    }
    let (last, _) = import_all(store, ONLINE_RETAIL).await;
    assert_eq!(last.totals, report.totals);
    assert!(last.added.orders < report.added.orders, "most orders were there");
    assert!(exported(store).await == expected, "the exports differ");
}

on_both_engines!(catalogues_of_other_shops_are_imported_with_the_same_result_on_both_engines);
async fn catalogues_of_other_shops_are_imported_with_the_same_result_on_both_engines(shop: &Shop) {
    let sqlite = another_shop().await;
    for text in [SHOPIFY, WOOCOMMERCE] {
        import_all(&sqlite.store, text).await;
    }
    let expected = exported(&sqlite.store).await;
    assert!(expected.contains("APR-SAND-M") && expected.contains("JUG-BLU-S"));

    let store = &shop.store;
    for text in [SHOPIFY, WOOCOMMERCE] {
        let (report, _) = import_all(store, text).await;
        assert!(report.added.products > 0 && report.added.categories > 0);
    }
    assert!(exported(store).await == expected, "the exports differ");
}

on_both_engines!(returned_pieces_are_refunded_on_the_orders_that_sold_them);
async fn returned_pieces_are_refunded_on_the_orders_that_sold_them(shop: &Shop) {
    let file = format!(
        "{HEADER}{}",
        "1,A,APPLE,2,2011-01-01 10:00:00,1.50,7,France\n\
         1,B,BREAD,1,2011-01-01 10:00:00,4.00,7,France\n\
         C2,A,APPLE,-1,2011-01-02 10:00:00,1.50,7,France\n\
         C3,A,APPLE,-3,2011-01-03 10:00:00,1.50,7,France\n\
         C4,B,BREAD,-1,2011-01-04 10:00:00,4.00,7,France\n"
    );

    let store = &shop.store;
    let (report, progress) = import_all(store, &file).await;
    assert_eq!(progress.rejected, []);
    // of three apples one was sold and not returned before; the other two were never sold
    assert_eq!((report.added.orders, report.added.refunds, report.added.credit_notes), (1, 3, 1));
    let status = "SELECT COUNT(*) FROM orders o JOIN payments p ON p.order_id = o.id \
                  WHERE o.status = 'refunded' AND p.status = 'refunded' AND p.refunded = 700";
    assert_eq!(number(store, status).await, 1);
    let credited = "SELECT CAST(SUM(total) AS BIGINT) FROM invoices WHERE order_id IS NULL";
    assert_eq!(number(store, credited).await, 300);
    assert_eq!(report.totals.accepted.amount, 700 - 150 - 450 - 400);
    let dates = "SELECT COUNT(*) FROM payment_operations s JOIN invoices i ON i.payment_operation_id = s.id \
                 WHERE s.kind = 'refund' AND s.created_at = i.issued_at AND s.settled_at = i.issued_at";
    assert_eq!(number(store, dates).await, 3, "each refund has its own date");
    let (again, _) = import_all(store, &file).await;
    assert_eq!((again.added, again.totals), (Counts::default(), report.totals));
}

on_both_engines!(a_second_file_does_not_change_the_stock);
async fn a_second_file_does_not_change_the_stock(shop: &Shop) {
    let month = |number: u32, quantity: u32| {
        format!("{HEADER}{number},A,APPLE,{quantity},2011-0{number}-01 10:00:00,1.50,7,France\n")
    };

    let store = &shop.store;
    import_all(store, &month(1, 5)).await;
    let (report, progress) = import_all(store, &month(2, 5000)).await;
    assert_eq!(progress.rejected, []);
    assert_eq!((report.added.orders, report.unchanged.products), (1, 1));
    assert_eq!(number(store, "SELECT CAST(SUM(stock) AS BIGINT) FROM inventory").await, 100);
}

on_both_engines!(imported_payments_are_not_recovered);
async fn imported_payments_are_not_recovered(shop: &Shop) {
    let store = &shop.store;
    import_all(store, ONLINE_RETAIL).await;
    let end = "9999-01-01T00:00:00Z".parse().unwrap();
    assert_eq!(recover_payments(store, end).await.unwrap(), 0);
}

on_both_engines!(suffixes_of_shared_skus_are_the_same_when_the_file_is_imported_again);
async fn suffixes_of_shared_skus_are_the_same_when_the_file_is_imported_again(shop: &Shop) {
    let file = "Handle,Title,Variant SKU,Variant Price\ncup,Cup,A,3.00\njug,Jug,A,4.00\nvase,Vase,A,5.00\n";
    let adding_suffixes = Options { suffix_duplicate_skus: true, ..options() };

    let store = &shop.store;
    let (report, progress) = import_with(store, file, &adding_suffixes).await;
    assert_eq!((report.added.products, progress.rejected), (3, vec![]));
    let before = exported(store).await;
    assert!(["A", "A-2", "A-3"].iter().all(|sku| before.contains(&format!("\"sku\":\"{sku}\""))));
    let (again, _) = import_with(store, file, &adding_suffixes).await;
    assert_eq!((again.added, again.unchanged.products), (Counts::default(), 3));
    assert!(before == exported(store).await, "the store is unchanged");
}

on_both_engines!(the_report_says_how_the_stock_was_taken);
async fn the_report_says_how_the_stock_was_taken(shop: &Shop) {
    let file = "Handle,Title,Variant Inventory Tracker,Variant Inventory Qty,Variant Inventory Policy,Variant Price\n\
                a,A,shopify,-3,continue,1.00\nb,B,shopify,5,deny,1.00\nc,C,,7,deny,1.00\nd,D,shopify,,deny,1.00\n";

    let store = &shop.store;
    let (report, _) = import_all(store, file).await;
    let expected = StockCounts { given: 1, missing: 1, not_counted: 2, ..StockCounts::default() };
    assert_eq!(report.stock, expected);
    let not_counted = "SELECT COUNT(*) FROM inventory WHERE stock IS NULL";
    assert_eq!(number(store, not_counted).await, 2);
    let all = exported(store).await;
    let other = another_shop().await;
    import_all(&other.store, &all).await;
    assert!(exported(&other.store).await == all, "the exports differ");

    let (report, _) = import_all(store, ONLINE_RETAIL).await;
    assert_eq!((report.stock.assumed, report.stock.assumed_pieces), (161, Some(100)));
    let (again, _) = import_all(store, file).await;
    assert_eq!(again.stock, StockCounts::default(), "nothing was added");
}

on_both_engines!(only_an_import_into_an_empty_store_sets_its_currency);
async fn only_an_import_into_an_empty_store_sets_its_currency(shop: &Shop) {
    let file = |handle: &str| format!("Handle,Title,Variant Price\n{handle},{handle},1.00\n");
    let in_dollars = Options { currency: Some(Currency::USD), ..options() };
    let in_pounds = Options { currency: Some(Currency::GBP), ..options() };

    let store = &shop.store;
    let (report, _) = import_with(store, &file("a"), &in_dollars).await;
    assert_eq!(report.prices, [(Currency::USD, 1)].into());
    import_with(store, &file("b"), &in_pounds).await;
    let currency = store_currency::find(&mut shop.database.read().await.unwrap()).await.unwrap();
    assert_eq!(currency, Some(Currency::USD));

    let other = another_shop().await;
    import_all(&other.store, &file("a")).await;
    let currency = store_currency::find(&mut other.database.read().await.unwrap()).await.unwrap();
    assert_eq!(currency, None, "the prices are in the currency of the store");
}
