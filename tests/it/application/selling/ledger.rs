//! Captures, refunds and voids that race with a cancellation, and what is invoiced and credited: no money is kept.

use undercroft::application::idempotency::Responder;
use undercroft::domain::invoice::InvoiceTax;
use undercroft::domain::money::Currency;
use undercroft::domain::product::Translations;
use undercroft::domain::shipping::{ShippingMethod, ShippingRate};
use undercroft::domain::tax::{TaxRate, TaxRule};
use undercroft::infrastructure::repositories::TaxRepository;

use super::*;

async fn refund_with_goods(store: &Store, order_id: OrderId) -> (u16, String) {
    let request =
        OperationRequest { order_id, kind: OperationKind::Refund, amount: None, reason: None, restock: true };
    told(&capture_or_refund(store, request, Responder::new(None, Plain)).await)
}

on_both_engines!(a_capture_of_a_cancelled_order_is_refused, ShopOptions::default().policy(manual_capture()));
async fn a_capture_of_a_cancelled_order_is_refused(shop: &Shop) {
    let store = &shop.store;
    let variant = shop.product().price(1000).stock(1).create().await;
    let id = order_of(store, variant, "tok_ok").await;
    cancelled(store, id).await;
    assert_eq!(moved(store, id, OperationKind::Capture, None).await, (409, "order_processing".into()));
    work(store).await;
    let payment = order(store, id).await.unwrap().payment;
    assert_eq!(
        (payment.status, payment.authorized.amount, payment.captured.amount),
        (PaymentStatus::Voided, 0, 0)
    );
    assert_eq!(credited(store, id).await, [1000], "the invoice is taken back");
    check(&shop.database).await;
}

on_both_engines!(
    captures_that_race_with_a_cancellation_are_refunded,
    ShopOptions::default().policy(manual_capture())
);
async fn captures_that_race_with_a_cancellation_are_refunded(shop: &Shop) {
    let store = &shop.store;
    let variant = shop.product().price(1000).stock(20).create().await;
    for round in 0..20 {
        let id = order_of(store, variant, "tok_ok").await;
        let capture = |amount| {
            let store = store.clone();
            tokio::spawn(async move { moved(&store, id, OperationKind::Capture, Some(amount)).await })
        };
        let (first, second) = (capture(400), capture(600));
        tokio::time::sleep(Duration::from_micros(300 * round)).await;
        cancelled(store, id).await;
        let mut captured = 0;
        for (amount, outcome) in [(400, first.await.unwrap()), (600, second.await.unwrap())] {
            match outcome {
                (201, _) => captured += amount,
                (status, code) => assert_eq!((status, code.as_str()), (409, "order_processing")),
            }
        }
        work(store).await;
        let payment = order(store, id).await.unwrap().payment;
        assert_eq!((payment.captured.amount, payment.refunded.amount), (captured, captured), "round {round}");
        assert_eq!(payment.authorized, payment.captured, "nothing is held");
        assert_eq!(credited(store, id).await.iter().sum::<i64>(), 1000);
    }
    assert_eq!(stock(&shop.database, variant).await, (20, 0));
    check(&shop.database).await;
}

on_both_engines!(
    a_capture_that_succeeds_after_the_cancellation_is_refunded,
    ShopOptions::default().policy(manual_capture())
);
async fn a_capture_that_succeeds_after_the_cancellation_is_refunded(shop: &Shop) {
    let store = &shop.store;
    let variant = shop.product().price(1000).stock(1).create().await;
    let id = order_of(store, variant, "tok_ok").await;
    // the vendor does not answer while the capture is sent
    execute(&shop.database, &["UPDATE payments SET provider = 'silent'"]).await;
    assert_ne!(moved(store, id, OperationKind::Capture, Some(400)).await.0, 201);
    cancelled(store, id).await;
    execute(&shop.database, &["UPDATE payments SET provider = 'sandbox'"]).await;
    assert_eq!(checker::check(&shop.database, false).await.unwrap(), []);
    work(store).await;
    let payment = order(store, id).await.unwrap().payment;
    assert_eq!((payment.status, payment.captured.amount), (PaymentStatus::Refunded, 400));
    assert_eq!(credited(store, id).await.iter().sum::<i64>(), 1000);
    assert_eq!(stock(&shop.database, variant).await, (1, 0));
    check(&shop.database).await;
}

on_both_engines!(
    a_cancelled_order_that_was_captured_in_part_voids_the_rest,
    ShopOptions::default().policy(manual_capture())
);
async fn a_cancelled_order_that_was_captured_in_part_voids_the_rest(shop: &Shop) {
    let store = &shop.store;
    let variant = shop.product().price(1000).stock(1).create().await;
    let id = order_of(store, variant, "tok_ok").await;
    assert_eq!(moved(store, id, OperationKind::Capture, Some(400)).await.0, 201);
    cancelled(store, id).await;
    work(store).await;
    let payment = order(store, id).await.unwrap().payment;
    assert_eq!(
        (payment.captured.amount, payment.refunded.amount, payment.authorized.amount),
        (400, 400, 400)
    );
    assert_eq!(payment.status, PaymentStatus::Refunded);
    let held = "SELECT amount - captured FROM sandbox_charges";
    assert_eq!(value::<i64>(&shop.database, held, &[]).await, 0);
    let mut credited = credited(store, id).await;
    credited.sort_unstable();
    assert_eq!(credited, [400, 600]);
    check(&shop.database).await;
}

on_both_engines!(
    a_refund_of_the_captured_amount_voids_the_rest_and_closes_the_order,
    ShopOptions::default().policy(manual_capture())
);
async fn a_refund_of_the_captured_amount_voids_the_rest_and_closes_the_order(shop: &Shop) {
    let store = &shop.store;
    let variant = shop.product().price(1000).stock(1).create().await;
    let id = order_of(store, variant, "tok_ok").await;
    assert_eq!(moved(store, id, OperationKind::Capture, Some(400)).await.0, 201);
    assert_eq!(moved(store, id, OperationKind::Refund, Some(100)).await.0, 201);
    let placed = order(store, id).await.unwrap();
    assert_eq!((placed.payment.status, placed.payment.voiding.amount), (PaymentStatus::Captured, 0));
    assert_eq!(moved(store, id, OperationKind::Refund, None).await.0, 201);
    let placed = order(store, id).await.unwrap();
    assert_eq!((placed.payment.status, placed.payment.voiding.amount), (PaymentStatus::Captured, 600));
    assert_eq!(placed.order.status, OrderStatus::Paid);
    assert_eq!(moved(store, id, OperationKind::Capture, None).await, (409, "order_processing".into()));
    work(store).await;
    let placed = order(store, id).await.unwrap();
    assert_eq!(
        (placed.payment.status, placed.order.status),
        (PaymentStatus::Refunded, OrderStatus::Refunded)
    );
    assert_eq!(credited(store, id).await.iter().sum::<i64>(), 1000);
    check(&shop.database).await;
}

on_both_engines!(pieces_are_restocked_once_and_only_with_a_refund);
async fn pieces_are_restocked_once_and_only_with_a_refund(shop: &Shop) {
    let store = &shop.store;
    let variant = shop.product().price(1000).stock(3).create().await;
    let id = order_of(store, variant, "tok_ok").await;
    execute(&shop.database, &["UPDATE sandbox_charges SET status = 'declined'"]).await;
    for _ in 0..2 {
        assert_eq!(refund_with_goods(store, id).await.0, 402);
        assert_eq!(stock(&shop.database, variant).await, (2, 0), "the vendor refused");
    }
    execute(&shop.database, &["UPDATE sandbox_charges SET status = 'captured'"]).await;
    assert_eq!(refund_with_goods(store, id).await.0, 201);
    assert_eq!(stock(&shop.database, variant).await, (3, 0));
    assert_eq!(refund_with_goods(store, id).await.0, 409);

    // asked for, without an answer, and then cancelled
    let id = order_of(store, variant, "tok_ok").await;
    execute(&shop.database, &["UPDATE payments SET provider = 'silent' WHERE status = 'captured'"]).await;
    assert_ne!(refund_with_goods(store, id).await.0, 201);
    assert_eq!(refund_with_goods(store, id).await, (409, "order_processing".into()), "it is under way");
    cancelled(store, id).await;
    execute(&shop.database, &["UPDATE payments SET provider = 'sandbox'"]).await;
    work(store).await;
    assert_eq!(order(store, id).await.unwrap().payment.refunded.amount, 1000);
    assert_eq!(stock(&shop.database, variant).await, (3, 0));

    // cancelled, and then asked for by hand
    let id = order_of(store, variant, "tok_ok").await;
    cancelled(store, id).await;
    assert_ne!(refund_with_goods(store, id).await.0, 201);
    work(store).await;
    assert_eq!(stock(&shop.database, variant).await, (3, 0));
    check(&shop.database).await;
}

on_both_engines!(a_cancelled_order_releases_its_use_of_a_discount);
async fn a_cancelled_order_releases_its_use_of_a_discount(shop: &Shop) {
    let store = &shop.store;
    let variant = shop.product().price(1000).stock(5).create().await;
    shop.discount("ONCE", 10, Some(1)).await;
    for _ in 0..2 {
        let cart = cart(store, None, &[(variant, 1)]).await;
        execute(&shop.database, &["UPDATE carts SET discount_code = 'once' WHERE status = 'open'"]).await;
        let (status, body) = told(&buy(store, cart, "tok_ok").await);
        assert_eq!(status, 201, "{body}");
        cancelled(store, body.split(' ').next().unwrap().parse().unwrap()).await;
    }
    work(store).await;
    check(&shop.database).await;
}

/// Goods are taxed at 19 % contained in their price, shipping (5.00) at 7 % on top of it.
async fn taxed(database: &Database) {
    let done: Result<(), DatabaseError> = database
        .write((), async |work, ()| {
            let rule = |tax_class: &str, basis_points, inclusive| TaxRule {
                country: "DE".parse().unwrap(),
                tax_class: tax_class.parse().unwrap(),
                rate: TaxRate { basis_points, inclusive },
            };
            let rules = [rule("standard", 1900, true), rule("carriage", 700, false)];
            TaxRepository::replace(work, &rules).await?;
            let rate = ShippingRate { country: None, currency: Currency::EUR, amount: 500, free_from: None };
            let method = ShippingMethod {
                id: work.id(),
                code: "parcel".into(),
                name: "Parcel".into(),
                translations: Translations::new(),
                tax_class: "carriage".parse().unwrap(),
                position: 1,
                active: true,
                rates: vec![rate],
            };
            work.insert(&method).await
        })
        .await;
    done.unwrap();
}

on_both_engines!(taxes_add_up_to_the_invoice_and_to_each_of_its_credit_notes);
async fn taxes_add_up_to_the_invoice_and_to_each_of_its_credit_notes(shop: &Shop) {
    let store = &shop.store;
    taxed(&shop.database).await;
    let variant = shop.product().price(10_000).stock(1).create().await;
    let id = order_of(store, variant, "tok_ok").await;
    let (invoice, _) = history::invoice(store, id).await.unwrap();
    let tax = |basis_points, inclusive, net, tax| InvoiceTax {
        basis_points,
        inclusive,
        net: eur(net),
        tax: eur(tax),
    };
    assert_eq!((invoice.total.amount, invoice.document.shipping.amount), (10_535, 535));
    let taxes = [tax(700, false, 500, 35), tax(1900, true, 8403, 1597)];
    assert_eq!(invoice.document.taxes, taxes);
    for amount in [Some(3333), Some(1), Some(3333), None] {
        assert_eq!(moved(store, id, OperationKind::Refund, amount).await.0, 201);
    }
    assert_eq!(credited(store, id).await, [3333, 1, 3333, 3868]);
    let (_, notes) = history::invoice(store, id).await.unwrap();
    for (i, whole) in taxes.iter().enumerate() {
        let shares = notes.iter().map(|note| &note.document.taxes[i]);
        let sums = shares.fold((0, 0), |(net, tax), share| (net + share.net.amount, tax + share.tax.amount));
        assert_eq!(sums, (whole.net.amount, whole.tax.amount));
    }
    check(&shop.database).await;
}
