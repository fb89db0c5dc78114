//! Past sales: fulfilled when they were imported, numbered apart from the sales of the store, and not notified of.

use undercroft::application::idempotency::Responder;
use undercroft::application::selling::orders::{CancelledBy, cancel_once};
use undercroft::domain::ids::{OrderId, VariantId};
use undercroft::domain::order::OrderStatus;
use undercroft::domain::payment::OperationKind;
use undercroft::domain::permission::Permissions;
use undercroft::infrastructure::exceptions::OrderProcessingException;
use undercroft::infrastructure::repositories::Field;

use crate::support::Shop;
use crate::support::import::{HEADER, ONLINE_RETAIL, import_all, number};
use crate::support::orders::{Sale, assert_consistent};
use crate::support::store::{Summary, value};

/// Two sales of one customer, and the return of a piece that no sale of the file sold.
const SALES: &str = "1,A,APPLE,2,2011-01-01 10:00:00,1.50,7,France\n\
                     2,A,APPLE,3,2011-01-02 10:00:00,1.50,7,France\n\
                     C3,B,BREAD,-1,2011-01-03 10:00:00,4.00,7,France\n";

/// The events of orders and payments.
const EVENTS: &str =
    "SELECT COUNT(*) FROM outbox WHERE type LIKE 'order.%' OR type LIKE 'payment.%' OR type LIKE 'stock.%'";

async fn one<T: Field>(shop: &Shop, sql: &str) -> T {
    value(&shop.database, sql, &[]).await
}

/// Imports [`SALES`]; returns the first sale.
async fn first_sale(shop: &Shop) -> Sale {
    let (report, progress) = import_all(&shop.store, &format!("{HEADER}{SALES}")).await;
    assert_eq!((report.added.orders, progress.rejected), (2, vec![]));
    let id: OrderId = one(shop, "SELECT id FROM orders WHERE number = 1").await;
    let variant: VariantId = one(shop, "SELECT id FROM variants WHERE sku = 'A'").await;
    Sale { store: shop.store.clone(), variant, id }
}

on_both_engines!(past_sales_are_fulfilled_at_their_date_and_publish_no_events);
async fn past_sales_are_fulfilled_at_their_date_and_publish_no_events(shop: &Shop) {
    let store = &shop.store;
    import_all(store, ONLINE_RETAIL).await;
    let open = "SELECT COUNT(*) FROM orders WHERE status NOT IN ('fulfilled', 'refunded') \
                OR fulfilled_at IS NULL OR fulfilled_at <> placed_at";
    assert_eq!((number(store, open).await, number(store, EVENTS).await), (0, 0));
    assert_consistent(&shop.database).await;
}

on_both_engines!(the_invoices_of_a_store_begin_at_one_after_an_import);
async fn the_invoices_of_a_store_begin_at_one_after_an_import(shop: &Shop) {
    first_sale(shop).await;
    let sale = Sale::begin(shop, 1, "tok_ok").await;
    assert_eq!(sale.run(OperationKind::Refund, Some(1)).await.0, 201);

    for (series, last) in [("IMPORT-R", 2), ("IMPORT-G", 1), ("R", 1), ("G", 1)] {
        let sql = format!("SELECT COALESCE(MAX(number), 0) FROM invoices WHERE series = '{series}'");
        assert_eq!(number(&shop.store, &sql).await, last, "{series}");
    }
    assert_consistent(&shop.database).await;
}

on_both_engines!(a_past_sale_is_not_cancelled_and_its_refund_is_only_recorded);
async fn a_past_sale_is_not_cancelled_and_its_refund_is_only_recorded(shop: &Shop) {
    let past = first_sale(shop).await;
    for by in [CancelledBy::Buyer, CancelledBy::Administrator(Permissions::ALL)] {
        let cancelled = cancel_once(&past.store, past.id, by, Responder::new(None, Summary)).await;
        let fulfilled =
            OrderProcessingException::Forbidden { what: "order", from: "fulfilled", to: "cancelled" };
        assert_eq!(cancelled.unwrap_err().downcast_ref(), Some(&fulfilled));
    }

    assert_eq!(past.run(OperationKind::Refund, Some(100)).await.0, 201);
    assert_eq!(past.run(OperationKind::Refund, None).await.0, 201);
    let placed = past.order().await;
    assert_eq!((placed.order.status, placed.payment.refunded.amount), (OrderStatus::Refunded, 300));
    assert_eq!(past.credit_notes().await, [100, 200]);
    let notes = "SELECT COUNT(*) FROM invoices WHERE series = 'IMPORT-G' AND order_id IS NOT NULL";
    assert_eq!((number(&shop.store, notes).await, number(&shop.store, EVENTS).await), (2, 0));
    assert_eq!(number(&shop.store, "SELECT COUNT(*) FROM sandbox_requests").await, 0);
    assert_consistent(&shop.database).await;
}
