//! Captures, refunds and voids of orders, also during a cancellation: each amount is charged, returned and credited
//! once.

use std::time::Duration;

use undercroft::application::consistency::check;
use undercroft::application::idempotency::Responder;
use undercroft::application::selling::orders::{OperationRequest, fulfil_once};
use undercroft::application::selling::queries;
use undercroft::domain::invoice::InvoiceTax;
use undercroft::domain::money::Currency;
use undercroft::domain::order::OrderStatus;
use undercroft::domain::payment::{OperationKind, PaymentStatus};
use undercroft::domain::product::Translations;
use undercroft::domain::shipping::{ShippingMethod, ShippingRate};
use undercroft::domain::tax::{TaxRate, TaxRule};
use undercroft::infrastructure::exceptions::OrderProcessingException;
use undercroft::infrastructure::repositories::{Database, DatabaseError, TaxRepository};

use crate::support::orders::{Sale, assert_consistent, eur, recover, run, stock};
use crate::support::store::{Summary, cart, execute, manual_capture, value};
use crate::support::{Shop, ShopOptions};

/// Refunds all that is left and restocks the pieces; returns the status and the body of the response.
async fn refund_and_restock(sale: &Sale) -> (u16, String) {
    let request = OperationRequest { restock: true, ..sale.request(OperationKind::Refund, None) };
    run(&sale.store, request, None).await
}

on_both_engines!(a_capture_of_a_cancelled_order_is_refused, ShopOptions::default().terms(manual_capture()));
async fn a_capture_of_a_cancelled_order_is_refused(shop: &Shop) {
    let sale = Sale::begin(shop, 1, "tok_ok").await;
    sale.cancel().await;
    assert_eq!(sale.run(OperationKind::Capture, None).await, (409, "order_processing".into()));
    sale.recover().await;
    let payment = sale.payment().await;
    assert_eq!(
        (payment.status, payment.authorized.amount, payment.captured.amount),
        (PaymentStatus::Voided, 0, 0)
    );
    assert_eq!(sale.credit_notes().await, [1000], "the whole invoice is credited");
    sale.check().await;
}

on_both_engines!(
    captures_that_race_with_a_cancellation_are_refunded,
    ShopOptions::default().terms(manual_capture())
);
async fn captures_that_race_with_a_cancellation_are_refunded(shop: &Shop) {
    let store = &shop.store;
    let variant = shop.product().price(1000).stock(20).create().await;
    for round in 0..20 {
        let sale = Sale::of(store, variant, "tok_ok").await;
        let capture = |amount| {
            let sale = sale.clone();
            tokio::spawn(async move { sale.run(OperationKind::Capture, Some(amount)).await })
        };
        let (first, second) = (capture(400), capture(600));
        tokio::time::sleep(Duration::from_micros(300 * round)).await;
        sale.cancel().await;
        let mut captured = 0;
        for (amount, outcome) in [(400, first.await.unwrap()), (600, second.await.unwrap())] {
            match outcome {
                (201, _) => captured += amount,
                (status, code) => assert_eq!((status, code.as_str()), (409, "order_processing")),
            }
        }
        sale.recover().await;
        let payment = sale.payment().await;
        assert_eq!((payment.captured.amount, payment.refunded.amount), (captured, captured), "round {round}");
        assert_eq!(payment.authorized, payment.captured, "the rest is voided");
        assert_eq!(sale.credit_notes().await.iter().sum::<i64>(), 1000);
    }
    assert_eq!(stock(&shop.database, variant).await, (20, 0));
    assert_consistent(&shop.database).await;
}

on_both_engines!(
    a_capture_that_succeeds_after_the_cancellation_is_refunded,
    ShopOptions::default().terms(manual_capture())
);
async fn a_capture_that_succeeds_after_the_cancellation_is_refunded(shop: &Shop) {
    let sale = Sale::begin(shop, 1, "tok_ok").await;
    // no provider responds to the capture
    execute(&shop.database, &["UPDATE payments SET provider = 'silent'"]).await;
    assert_ne!(sale.run(OperationKind::Capture, Some(400)).await.0, 201);
    sale.cancel().await;
    execute(&shop.database, &["UPDATE payments SET provider = 'sandbox'"]).await;
    assert_eq!(check(&shop.database, false).await.unwrap(), []);
    sale.recover().await;
    let payment = sale.payment().await;
    assert_eq!((payment.status, payment.captured.amount), (PaymentStatus::Refunded, 400));
    assert_eq!(sale.credit_notes().await.iter().sum::<i64>(), 1000);
    assert_eq!(sale.stock().await, (1, 0));
    sale.check().await;
}

on_both_engines!(
    a_cancelled_order_that_was_captured_in_part_voids_the_rest,
    ShopOptions::default().terms(manual_capture())
);
async fn a_cancelled_order_that_was_captured_in_part_voids_the_rest(shop: &Shop) {
    let sale = Sale::begin(shop, 1, "tok_ok").await;
    assert_eq!(sale.run(OperationKind::Capture, Some(400)).await.0, 201);
    sale.cancel().await;
    sale.recover().await;
    let payment = sale.payment().await;
    assert_eq!(
        (payment.captured.amount, payment.refunded.amount, payment.authorized.amount),
        (400, 400, 400)
    );
    assert_eq!(payment.status, PaymentStatus::Refunded);
    let held = "SELECT amount - captured FROM sandbox_charges";
    assert_eq!(value::<i64>(&shop.database, held, &[]).await, 0);
    let mut credited = sale.credit_notes().await;
    credited.sort_unstable();
    assert_eq!(credited, [400, 600]);
    sale.check().await;
}

on_both_engines!(
    a_refund_of_the_captured_amount_voids_the_rest_and_closes_the_order,
    ShopOptions::default().terms(manual_capture())
);
async fn a_refund_of_the_captured_amount_voids_the_rest_and_closes_the_order(shop: &Shop) {
    let sale = Sale::begin(shop, 1, "tok_ok").await;
    assert_eq!(sale.run(OperationKind::Capture, Some(400)).await.0, 201);
    assert_eq!(sale.run(OperationKind::Refund, Some(100)).await.0, 201);
    let placed = sale.order().await;
    assert_eq!((placed.payment.status, placed.payment.voiding.amount), (PaymentStatus::Captured, 0));
    assert_eq!(sale.run(OperationKind::Refund, None).await.0, 201);
    let placed = sale.order().await;
    assert_eq!((placed.payment.status, placed.payment.voiding.amount), (PaymentStatus::Captured, 600));
    assert_eq!(placed.order.status, OrderStatus::Paid);
    assert_eq!(sale.run(OperationKind::Capture, None).await, (409, "order_processing".into()));
    sale.recover().await;
    let placed = sale.order().await;
    assert_eq!(
        (placed.payment.status, placed.order.status),
        (PaymentStatus::Refunded, OrderStatus::Refunded)
    );
    assert_eq!(sale.credit_notes().await.iter().sum::<i64>(), 1000);
    sale.check().await;
}

on_both_engines!(pieces_are_restocked_once_and_only_with_a_refund);
async fn pieces_are_restocked_once_and_only_with_a_refund(shop: &Shop) {
    let sale = Sale::begin(shop, 3, "tok_ok").await;
    execute(&shop.database, &["UPDATE sandbox_charges SET status = 'declined'"]).await;
    for _ in 0..2 {
        assert_eq!(refund_and_restock(&sale).await.0, 402);
        assert_eq!(sale.stock().await, (2, 0), "the provider refused");
    }
    execute(&shop.database, &["UPDATE sandbox_charges SET status = 'captured'"]).await;
    assert_eq!(refund_and_restock(&sale).await.0, 201);
    assert_eq!(sale.stock().await, (3, 0));
    assert_eq!(refund_and_restock(&sale).await.0, 409);

    // the refund of the rest
    let sale = Sale::of(&sale.store, sale.variant, "tok_ok").await;
    assert_eq!(sale.run(OperationKind::Refund, Some(400)).await.0, 201);
    let part = OperationRequest { restock: true, ..sale.request(OperationKind::Refund, Some(1)) };
    assert_eq!(run(&sale.store, part, None).await.1, "validation");
    assert_eq!(refund_and_restock(&sale).await.0, 201);
    assert_eq!(sale.stock().await, (3, 0));

    // a refund without a response, and then a cancellation
    let sale = Sale::of(&sale.store, sale.variant, "tok_ok").await;
    execute(&shop.database, &["UPDATE payments SET provider = 'silent' WHERE status = 'captured'"]).await;
    assert_ne!(refund_and_restock(&sale).await.0, 201);
    assert_eq!(
        refund_and_restock(&sale).await,
        (409, "order_processing".into()),
        "the first refund is pending"
    );
    sale.cancel().await;
    execute(&shop.database, &["UPDATE payments SET provider = 'sandbox'"]).await;
    sale.recover().await;
    assert_eq!(sale.payment().await.refunded.amount, 1000);
    assert_eq!(sale.stock().await, (3, 0));

    // a cancellation, and then a refund
    let sale = Sale::of(&sale.store, sale.variant, "tok_ok").await;
    sale.cancel().await;
    assert_ne!(refund_and_restock(&sale).await.0, 201);
    sale.recover().await;
    assert_eq!(sale.stock().await, (3, 0));
    sale.check().await;
}

on_both_engines!(an_order_is_not_fulfilled_while_all_of_it_is_being_refunded);
async fn an_order_is_not_fulfilled_while_all_of_it_is_being_refunded(shop: &Shop) {
    let fulfil =
        async |sale: &Sale| fulfil_once(&sale.store, sale.id, None, Responder::new(None, Summary)).await;
    let returned = Sale::begin(shop, 3, "tok_ok").await;
    let kept = Sale::of(&returned.store, returned.variant, "tok_ok").await;
    // no provider responds to the refunds
    execute(&shop.database, &["UPDATE payments SET provider = 'silent'"]).await;
    assert_ne!(refund_and_restock(&returned).await.0, 201);
    assert_ne!(kept.run(OperationKind::Refund, Some(999)).await.0, 201);
    let refused = fulfil(&returned).await.unwrap_err();
    assert_eq!(refused.downcast_ref(), Some(&OrderProcessingException::InProgress));
    assert_eq!(fulfil(&kept).await.unwrap().status, 201);

    execute(&shop.database, &["UPDATE payments SET provider = 'sandbox'"]).await;
    returned.recover().await;
    let (returned, kept) = (returned.order().await.order.status, kept.order().await.order.status);
    assert_eq!((returned, kept), (OrderStatus::Refunded, OrderStatus::Fulfilled));
}

on_both_engines!(
    pieces_are_not_restocked_while_more_is_being_captured,
    ShopOptions::default().terms(manual_capture())
);
async fn pieces_are_not_restocked_while_more_is_being_captured(shop: &Shop) {
    let sale = Sale::begin(shop, 1, "tok_ok").await;
    assert_eq!(sale.run(OperationKind::Capture, Some(400)).await.0, 201);
    // no provider responds to the capture
    execute(&shop.database, &["UPDATE payments SET provider = 'silent'"]).await;
    assert_ne!(sale.run(OperationKind::Capture, Some(300)).await.0, 201);
    execute(&shop.database, &["UPDATE payments SET provider = 'sandbox'"]).await;
    assert_eq!(refund_and_restock(&sale).await, (409, "order_processing".into()));
    sale.recover().await;
    assert_eq!(refund_and_restock(&sale).await.0, 201);
    sale.recover().await;
    assert_eq!((sale.payment().await.refunded.amount, sale.stock().await), (700, (1, 0)));
}

on_both_engines!(
    nothing_is_captured_while_all_that_was_captured_is_being_refunded,
    ShopOptions::default().terms(manual_capture())
);
async fn nothing_is_captured_while_all_that_was_captured_is_being_refunded(shop: &Shop) {
    let sale = Sale::begin(shop, 1, "tok_ok").await;
    assert_eq!(sale.run(OperationKind::Capture, Some(400)).await.0, 201);
    // no provider responds to the refund
    execute(&shop.database, &["UPDATE payments SET provider = 'silent'"]).await;
    assert_ne!(refund_and_restock(&sale).await.0, 201);
    execute(&shop.database, &["UPDATE payments SET provider = 'sandbox'"]).await;
    assert_eq!(sale.run(OperationKind::Capture, None).await, (409, "order_processing".into()));
    sale.recover().await;
    let (order, payment) = (sale.order().await.order, sale.payment().await);
    assert_eq!((order.status, payment.captured.amount), (OrderStatus::Refunded, 400));
    assert_eq!((payment.refunded.amount, sale.stock().await), (400, (1, 0)));
}

on_both_engines!(a_cancelled_order_releases_its_redemption_of_a_discount);
async fn a_cancelled_order_releases_its_redemption_of_a_discount(shop: &Shop) {
    let store = &shop.store;
    let variant = shop.product().price(1000).stock(5).create().await;
    shop.discount("ONCE", 10, Some(1)).await;
    for _ in 0..2 {
        let cart = cart(store, None, &[(variant, 1)]).await;
        execute(&shop.database, &["UPDATE carts SET discount_code = 'once' WHERE status = 'open'"]).await;
        Sale::of_cart(store, cart, variant, "tok_ok").await.cancel().await;
    }
    recover(store).await;
    assert_consistent(&shop.database).await;
}

/// Sets 19 % tax included in the prices of products, and 7 % added to the price of shipping, 5.00 EUR.
async fn set_taxes(database: &Database) {
    let done: Result<(), DatabaseError> = database
        .write((), async |work, ()| {
            let rule = |tax_class: &str, basis_points, inclusive| TaxRule {
                country: "DE".parse().unwrap(),
                tax_class: tax_class.parse().unwrap(),
                rate: TaxRate { basis_points, inclusive },
            };
            let rules = [rule("standard", 1900, true), rule("shipping", 700, false)];
            TaxRepository::replace(work, &rules).await?;
            let rate = ShippingRate { country: None, currency: Currency::EUR, amount: 500, free_from: None };
            let method = ShippingMethod {
                id: work.id(),
                code: "parcel".into(),
                name: "Parcel".into(),
                translations: Translations::new(),
                tax_class: "shipping".parse().unwrap(),
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
    set_taxes(&shop.database).await;
    let variant = shop.product().price(10_000).stock(1).create().await;
    let sale = Sale::of(store, variant, "tok_ok").await;
    let (invoice, _) = queries::invoice(&sale.store, sale.id).await.unwrap();
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
        assert_eq!(sale.run(OperationKind::Refund, amount).await.0, 201);
    }
    assert_eq!(sale.credit_notes().await, [3333, 1, 3333, 3868]);
    let (_, notes) = queries::invoice(&sale.store, sale.id).await.unwrap();
    for (i, whole) in taxes.iter().enumerate() {
        let shares = notes.iter().map(|note| &note.document.taxes[i]);
        let sums = shares.fold((0, 0), |(net, tax), share| (net + share.net.amount, tax + share.tax.amount));
        assert_eq!(sums, (whole.net.amount, whole.tax.amount));
    }
    sale.check().await;
}
