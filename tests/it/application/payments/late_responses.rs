//! Late charges, failed refunds and repeated operations of payments: everything charged for a cancelled order is
//! returned.

use std::time::Duration;

use jiff::SignedDuration;
use tokio::time::timeout;
use undercroft::application::consistency::check;
use undercroft::application::payments::apply_payment::apply_payment;
use undercroft::application::selling::queries;
use undercroft::domain::payment::{OperationKind, OperationStatus, Payment, PaymentOperation, PaymentStatus};
use undercroft::domain::ports::{Charge, ChargeStatus};
use undercroft::infrastructure::exceptions::Failure;
use undercroft::infrastructure::repositories::{Database, DatabaseError, Engine};

use super::START;
use crate::support::orders::{Sale, assert_consistent, check_out, eur, key, recover_payments, run};
use crate::support::store::{cart, execute, manual_capture, store, terms, value};
use crate::support::{Shop, ShopOptions, eventually};

/// Cancels an order while the provider authorizes its payment, and recovers the payment before the charge exists.
async fn cancelled_during_checkout(shop: &Shop) -> Sale {
    let store = &shop.store;
    let variant = shop.product().price(1000).stock(1).create().await;
    let cart = cart(store, None, &[(variant, 1)]).await;
    let checkout = {
        let store = store.clone();
        tokio::spawn(async move { check_out(&store, cart, "tok_slow").await })
    };
    let is_placed = async || value::<i64>(&shop.database, "SELECT COUNT(*) FROM orders", &[]).await > 0;
    eventually("the order", is_placed).await;
    let id = value(&shop.database, "SELECT id FROM orders", &[]).await;
    let sale = Sale { store: store.clone(), variant, id };
    sale.cancel().await;
    recover_payments(store, shop.now()).await.unwrap();
    let voided = sale.payment().await;
    assert_eq!((voided.status, voided.provider_reference), (PaymentStatus::Voided, None));
    assert!(voided.next_attempt_at.is_some(), "the charge is looked up again");
    checkout.await.unwrap();
    sale
}

on_both_engines!(a_charge_after_the_cancellation_is_refunded);
async fn a_charge_after_the_cancellation_is_refunded(shop: &Shop) {
    let sale = Box::pin(cancelled_during_checkout(shop)).await;
    sale.recover().await;
    let payment = sale.payment().await;
    assert_eq!((payment.status, payment.refunded.amount), (PaymentStatus::Refunded, 1000));
    assert_eq!(payment.provider_reference, Some(format!("sandbox_{}", payment.id.0.simple())));
    let invoice = queries::invoice(&sale.store, sale.id).await;
    assert!(invoice.is_err(), "an order without an invoice has no credit note");
    assert_eq!(sale.stock().await, (1, 0));
    sale.check().await;
}

on_both_engines!(a_voided_payment_without_a_charge_is_looked_up_for_some_hours, ShopOptions::at(START));
async fn a_voided_payment_without_a_charge_is_looked_up_for_some_hours(shop: &Shop) {
    let store = &shop.store;
    let variant = shop.product().price(1000).stock(2).create().await;
    for late in [true, false] {
        let sale = Sale::of(store, variant, "tok_requires_action").await;
        let payment_id = sale.payment().await.id;
        // the charge is not known to the provider yet
        execute(&shop.database, &["UPDATE sandbox_charges SET id = 'away' WHERE status = 'requires_action'"])
            .await;
        sale.cancel().await;
        let mut attempts = 0;
        for _ in 0..48 {
            attempts += recover_payments(store, shop.now()).await.unwrap();
            shop.clock().advance(SignedDuration::from_mins(5));
        }
        assert!((5..20).contains(&attempts), "{attempts} attempts in four hours");
        if late {
            let name = format!("sandbox_{}", payment_id.0.simple());
            rename_charge(&shop.database, name).await;
        }
        for _ in 0..48 {
            recover_payments(store, shop.now()).await.unwrap();
            shop.clock().advance(SignedDuration::from_mins(5));
        }
        let payment = sale.payment().await;
        assert_eq!(payment.refunded.amount, if late { 1000 } else { 0 });
        assert_eq!(payment.next_attempt_at, None);
        execute(&shop.database, &["DELETE FROM sandbox_charges WHERE id = 'away'"]).await;
    }
    assert_consistent(&shop.database).await;
}

/// Gives the charge `away` the reference of its payment, and captures it.
async fn rename_charge(database: &Database, name: String) {
    let done: Result<u64, DatabaseError> = database
        .write(name, async |work, name| {
            let sql = "UPDATE sandbox_charges SET id = $1, status = 'captured', captured = amount WHERE id = 'away'";
            work.execute(sql, &[name.as_str().into()]).await
        })
        .await;
    assert_eq!(done.unwrap(), 1);
}

on_both_engines!(a_refused_refund_of_a_cancelled_order_is_retried, ShopOptions::at(START));
async fn a_refused_refund_of_a_cancelled_order_is_retried(shop: &Shop) {
    for (terms, kind) in [(terms(), OperationKind::Refund), (manual_capture(), OperationKind::Void)] {
        let store = store(&shop.database, terms);
        let variant = shop.product().price(1000).stock(1).create().await;
        let sale = Sale::of(&store, variant, "tok_ok").await;
        let (fail, succeed): (&'static [_], &'static [_]) = match kind {
            OperationKind::Refund => (
                &["UPDATE sandbox_charges SET status = 'declined' WHERE status = 'captured'"],
                &["UPDATE sandbox_charges SET status = 'captured' WHERE status = 'declined'"],
            ),
            _ => (
                &["UPDATE sandbox_charges SET status = 'declined' WHERE status = 'authorized'"],
                &["UPDATE sandbox_charges SET status = 'authorized' WHERE status = 'declined'"],
            ),
        };
        execute(&shop.database, fail).await;
        sale.cancel().await;
        for _ in 0..60 {
            recover_payments(&store, shop.now()).await.unwrap();
            assert_eq!(check(&shop.database, false).await.unwrap(), []);
            shop.clock().advance(SignedDuration::from_mins(1));
        }
        let attempts = sale.operations(kind).await;
        assert!((4..8).contains(&attempts.len()), "{} attempts in an hour", attempts.len());
        let failed = attempts.iter().filter(|operation| operation.status == OperationStatus::Failed).count();
        let events = "SELECT COUNT(*) FROM outbox WHERE type = 'payment.refund_failed'";
        let events = value::<i64>(&shop.database, events, &[]).await;
        assert_eq!(events, i64::try_from(failed).unwrap());
        execute(&shop.database, succeed).await;
        shop.clock().advance(SignedDuration::from_hours(2));
        recover_payments(&store, shop.now()).await.unwrap();
        let payment = sale.payment().await;
        assert_eq!(
            (payment.captured.amount, payment.authorized.amount),
            (payment.refunded.amount, payment.captured.amount)
        );
        assert_eq!(sale.credit_notes().await, [1000]);
        sale.check().await;
        execute(&shop.database, &["DELETE FROM outbox WHERE type = 'payment.refund_failed'"]).await;
    }
}

on_both_engines!(an_operation_begun_during_a_recovery_is_recovered_too);
async fn an_operation_begun_during_a_recovery_is_recovered_too(shop: &Shop) {
    let store = &shop.store;
    let variant = shop.product().price(100).stock(30).create().await;
    for round in 0..10 {
        let sale = Sale::of(store, variant, "tok_ok").await;
        let payment_id = sale.payment().await.id;
        execute(&shop.database, &["UPDATE payments SET next_attempt_at = created_at"]).await;
        let recovery = {
            let (store, now) = (store.clone(), shop.now());
            tokio::spawn(async move { recover_payments(&store, now).await.unwrap() })
        };
        let claimed = "SELECT attempts FROM payments WHERE id = $1";
        // without a pause, in which the recovery could end
        let looking =
            async { while value::<i64>(&shop.database, claimed, &[payment_id.into()]).await == 0 {} };
        timeout(Duration::from_mins(1), looking).await.expect("the recovery of the payment");
        let begun: Result<(), Failure> = shop
            .database
            .write(payment_id, async |work, &payment_id| {
                let operation = PaymentOperation::pending(
                    work.id(),
                    payment_id,
                    OperationKind::Refund,
                    eur(100),
                    work.now(),
                );
                let mut payment = work.lock::<Payment>(payment_id).await?.unwrap();
                payment.begin(&operation, work.now()).unwrap();
                payment.next_attempt_at = Some(work.now());
                work.save(&mut payment).await?;
                work.insert(&operation).await?;
                if work.engine() == Engine::Postgres {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Ok(())
            })
            .await;
        begun.unwrap();
        recovery.await.unwrap();
        assert_eq!(check(&shop.database, false).await.unwrap(), [], "round {round}");
        sale.recover().await;
        assert_eq!(sale.payment().await.refunded.amount, 100);
    }
}

on_both_engines!(an_unconfirmed_payment_is_voided_by_an_operation, ShopOptions::at(START));
async fn an_unconfirmed_payment_is_voided_by_an_operation(shop: &Shop) {
    let sale = Sale::begin(shop, 3, "tok_requires_action").await;
    shop.clock().advance(SignedDuration::from_hours(1));
    recover_payments(&sale.store, shop.now()).await.unwrap();
    let payment = sale.payment().await;
    assert_eq!(payment.status, PaymentStatus::Voided);
    let [void] = &sale.operations(OperationKind::Void).await[..] else { panic!("one void") };
    assert_eq!(void.status, OperationStatus::Succeeded);
    let keys = "SELECT idempotency_key FROM sandbox_requests WHERE kind = 'void'";
    assert_eq!(value::<String>(&shop.database, keys, &[]).await, void.id.to_string());
    sale.check().await;
}

on_both_engines!(a_resumed_request_does_not_repeat_a_settled_operation, ShopOptions::at(START));
async fn a_resumed_request_does_not_repeat_a_settled_operation(shop: &Shop) {
    let sale = Sale::begin(shop, 1, "tok_ok").await;
    let refund = || run(&sale.store, sale.request(OperationKind::Refund, Some(400)), Some(key("refund")));
    let first = refund().await;
    assert_eq!(first.0, 201);
    // the operation was settled without a stored response, and a second call of the provider would fail
    execute(
        &shop.database,
        &[
            "UPDATE idempotency_keys SET status = NULL, headers = NULL, body = NULL",
            "UPDATE payments SET provider = 'silent'",
        ],
    )
    .await;
    shop.clock().advance(SignedDuration::from_mins(2));
    assert_eq!(refund().await, first);
}

on_both_engines!(a_late_notice_does_not_undo_a_refund);
async fn a_late_notice_does_not_undo_a_refund(shop: &Shop) {
    let sale = Sale::begin(shop, 1, "tok_ok").await;
    Box::pin(apply_after_cancellation(&sale, ChargeStatus::Captured, 1000)).await;
}

on_both_engines!(a_late_notice_does_not_undo_a_void, ShopOptions::default().terms(manual_capture()));
async fn a_late_notice_does_not_undo_a_void(shop: &Shop) {
    let sale = Sale::begin(shop, 1, "tok_ok").await;
    Box::pin(apply_after_cancellation(&sale, ChargeStatus::Authorized, 0)).await;
    assert_eq!(sale.payment().await.status, PaymentStatus::Voided);
    assert_eq!(sale.operations(OperationKind::Void).await.len(), 1);
}

/// Cancels an order and applies a charge that was read before; asserts that it changes nothing.
async fn apply_after_cancellation(sale: &Sale, status: ChargeStatus, captured: i64) {
    let reference = "another".to_owned();
    let charge = Charge { reference, status, authorized: eur(1000), captured: eur(captured) };
    sale.cancel().await;
    sale.recover().await;
    let before = sale.payment().await;
    let write = sale.store.database().write((before.id, charge), async |work, (payment_id, charge)| {
        apply_payment(work, *payment_id, charge).await.map(drop)
    });
    write.await.unwrap();
    let after = sale.payment().await;
    assert_eq!((after.status, &after.provider_reference), (before.status, &before.provider_reference));
    sale.recover().await;
    sale.check().await;
}
