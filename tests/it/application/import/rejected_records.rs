//! Records that the store rejects, and files that cannot be read.

use crate::support::Shop;
use crate::support::import::{HEADER, Progress, exported, import_all, number, try_import};
use undercroft::application::import::run::ImportError;

on_both_engines!(a_file_that_cannot_be_read_changes_nothing);
async fn a_file_that_cannot_be_read_changes_nothing(shop: &Shop) {
    let store = &shop.store;
    let empty = exported(store).await;
    let good = "1,A,APPLE,2,2011-01-01 10:00:00,1.50,7,France\n".repeat(500);
    let broken = format!("{HEADER}{good}1,A,AP\"PLE,2,2011-01-01 10:00:00,1.50,7,France\n");
    let error = try_import(store, &broken, &mut Progress::stopping_after(usize::MAX)).await;
    let Err(ImportError::Read(error)) = error else { panic!("{error:?}") };
    assert_eq!((error.line, error.column), (502, 7));
    assert_eq!(exported(store).await, empty);
    assert_eq!(number(store, "SELECT COUNT(*) FROM outbox").await, 0);
}

on_both_engines!(a_refused_record_is_rejected_and_the_import_continues);
async fn a_refused_record_is_rejected_and_the_import_continues(shop: &Shop) {
    let categories = concat!(
        r#"{"type":"category","id":"tea","slug":"tea","name":"Tea"}"#,
        "\n",
        r#"{"type":"category","id":"other-tea","slug":"tea","name":"Tea"}"#,
        "\n",
        r#"{"type":"product","id":"a","name":"A","category":"other-tea","variants":[{"sku":"A","stock":1,"prices":[{"amount":1,"currency":"EUR"}]}]}"#,
        "\n",
        r#"{"type":"product","id":"b","name":"B","category":"tea","variants":[{"sku":"B","stock":1,"prices":[{"amount":1,"currency":"EUR"}]}]}"#,
        "\n",
        r#"{"type":"product","id":"c","name":"C","variants":[{"sku":"B","stock":1,"prices":[{"amount":1,"currency":"EUR"}]}]}"#,
        "\n",
        r#"{"type":"customer","id":"ann","name":"Ann","email":"ann@example.org"}"#,
        "\n",
        r#"{"type":"customer","id":"eve","name":"Eve","email":"ANN@example.org"}"#,
        "\n",
        r#"{"type":"order","id":"1"}"#,
        "\n",
        r#"{"type":"product","id":"e","name":"E","slug":"b","variants":[{"sku":"E","stock":1,"prices":[{"amount":1,"currency":"EUR"}]}]}"#,
        "\n",
        r#"{"type":"category","id":"own","name":"Own","parent":"own"}"#,
        "\n",
        r#"{"type":"product","id":"d","name":"D","slug":"d/e","translations":{"not a tag":{"name":"D"}},"variants":[{"sku":"D","stock":1,"prices":[{"amount":1,"currency":"EUR"}]}]}"#,
        "\n",
    );

    let store = &shop.store;
    let (report, progress) = import_all(store, categories).await;
    let refused: Vec<_> = progress.rejected.iter().map(|(line, reason, _)| (*line, *reason)).collect();
    assert_eq!(
        refused,
        [
            (5, "duplicate_sku"),
            (10, "invalid_json"),
            (2, "refused"),
            (3, "refused"),
            (7, "refused"),
            (9, "refused"),
            (11, "refused")
        ]
    );
    assert_eq!(progress.rejected[0].2, "“B”, see line 4");
    assert_eq!(report.totals.rejected.not_imported, [("order".to_owned(), 1)].into());
    assert_eq!(progress.rejected[2].2, "another category has the slug tea");
    assert_eq!(progress.rejected[3].2, "a record that it refers to is not in the store");
    assert_eq!(progress.rejected[5].2, "another product has the slug b");
    assert_eq!(progress.rejected[6].2, "invalid input: /slug format, /translations/not a tag format");
    assert_eq!((report.added.categories, report.added.products, report.added.customers), (1, 1, 1));
    assert_eq!((report.totals.accepted.lines, report.totals.rejected.lines), (3, 8));
}

on_both_engines!(a_category_below_the_last_level_of_the_tree_is_refused);
async fn a_category_below_the_last_level_of_the_tree_is_refused(shop: &Shop) {
    let mut categories = r#"{"type":"category","id":"1","slug":"c1","name":"1"}"#.to_owned();
    for level in 2..=25 {
        let parent = level - 1;
        let category = format!(
            r#"{{"type":"category","id":"{level}","slug":"c{level}","name":"{level}","parent":"{parent}"}}"#
        );
        categories = format!("{categories}\n{category}");
    }
    let (report, progress) = import_all(&shop.store, &categories).await;
    assert_eq!(report.added.categories, 24);
    let [(25, "refused", reason)] = &progress.rejected[..] else { panic!("{:?}", progress.rejected) };
    assert_eq!(reason, "a category is at most 23 levels below the top");
    let (again, _) = import_all(&shop.store, &categories).await;
    assert_eq!((again.added.categories, again.unchanged.categories), (0, 24));
}

on_both_engines!(an_order_is_placed_without_the_refused_lines);
async fn an_order_is_placed_without_the_refused_lines(shop: &Shop) {
    // the first file's product has the stock code under another id
    let taken = r#"{"type":"product","id":"mine","name":"Mine","variants":[{"sku":"A","stock":3,"prices":[{"amount":1,"currency":"EUR"}]}]}"#;
    let sales = format!(
        "{HEADER}{}",
        "1,A,APPLE,2,2011-01-01 10:00:00,1.50,7,France\n\
         1,B,BREAD,1,2011-01-01 10:00:00,4.00,7,France\n\
         2,A,APPLE,1,2011-01-02 10:00:00,1.50,7,France\n\
         C3,B,BREAD,-1,2011-01-03 10:00:00,4.00,7,France\n"
    );

    let store = &shop.store;
    import_all(store, taken).await;
    let (report, progress) = import_all(store, &sales).await;
    let lines: Vec<_> = progress.rejected.iter().map(|(line, reason, _)| (*line, *reason)).collect();
    assert_eq!(lines, [(2, "refused"), (4, "refused")]);
    assert_eq!(progress.rejected[0].2, "variant_id: not_found");
    assert_eq!((report.added.orders, report.added.refunds), (1, 1));
    assert_eq!(number(store, "SELECT CAST(SUM(total) AS BIGINT) FROM orders").await, 400);
    assert_eq!((report.totals.accepted.amount, report.totals.rejected.amount), (0, 450));

    let (again, rejected_again) = import_all(store, &sales).await;
    assert_eq!(again.totals, report.totals);
    let lines: Vec<_> = rejected_again.rejected.iter().map(|(line, ..)| *line).collect();
    assert_eq!(lines, [2, 4]);
}

on_both_engines!(lines_that_an_imported_order_does_not_have_are_rejected);
async fn lines_that_an_imported_order_does_not_have_are_rejected(shop: &Shop) {
    let first = format!("{HEADER}1,A,APPLE,2,2011-01-01 10:00:00,1.50,7,France\n");
    let grown = format!(
        "{first}1,B,BREAD,1,2011-01-01 10:00:00,4.00,7,France\n2,B,BREAD,1,2011-01-02 10:00:00,4.00,,France\n"
    );

    let store = &shop.store;
    import_all(store, &first).await;
    let (report, progress) = import_all(store, &grown).await;
    assert_eq!(progress.rejected.len(), 1);
    let (line, reason, detail) = &progress.rejected[0];
    assert_eq!((*line, *reason, detail.as_str()), (3, "refused", "the order exists without this line"));
    assert_eq!((report.added.orders, report.unchanged.orders), (1, 1));
    assert_eq!((report.totals.accepted.amount, report.totals.rejected.amount), (300 + 400, 400));
}

on_both_engines!(orders_of_a_rejected_customer_are_rejected);
async fn orders_of_a_rejected_customer_are_rejected(shop: &Shop) {
    let ann = r#"{"type":"customer","id":"ann","name":"Ann","email":"7@customers.invalid"}"#;
    let sales = format!(
        "{HEADER}{}",
        "1,A,APPLE,2,2011-01-01 10:00:00,1.50,7,France\n\
         2,A,APPLE,1,2011-01-02 10:00:00,1.50,8,France\n\
         C3,A,APPLE,-1,2011-01-03 10:00:00,1.50,7,France\n"
    );

    let store = &shop.store;
    import_all(store, ann).await;
    let (report, progress) = import_all(store, &sales).await;
    let rejected: Vec<_> =
        progress.rejected.iter().map(|(line, _, detail)| (*line, detail.as_str())).collect();
    let reason = "its customer is not in the store";
    assert_eq!(rejected, [(2, reason), (4, reason)]);
    assert_eq!((report.added.orders, report.added.customers), (1, 1));
}

on_both_engines!(a_sku_of_another_product_of_the_store_is_named);
async fn a_sku_of_another_product_of_the_store_is_named(shop: &Shop) {
    let products = |handle: &str| {
        format!(
            "Handle,Title,Variant SKU,Variant Price\n{handle},Cup,A-1,3.00\n{handle}-2,Jug,{handle},3.00\n"
        )
    };

    let store = &shop.store;
    import_all(store, &products("cup")).await;
    let (report, progress) = import_all(store, &products("mug")).await;
    let expected = (2, "refused", "another variant of the store has the SKU A-1".to_owned());
    assert_eq!((report.added.products, progress.rejected), (1, vec![expected]));
}
