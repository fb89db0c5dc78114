//! Answers that come late, refusals of money that should go back, and operations that are sent again: no money is kept.

use undercroft::application::idempotency::Responder;
use undercroft::application::payments::apply_payment::apply_payment;
use undercroft::domain::payment::OperationStatus;
use undercroft::domain::ports::{Charge, ChargeStatus};

use undercroft::infrastructure::repositories::Engine;

use super::*;

/// An order whose vendor is still at it when it is cancelled and nothing is heard of its charge.
async fn abandoned(store: &Store, variant: VariantId) -> (OrderId, PaymentId, CartId) {
    let cart = cart(store, None, &[(variant, 1)]).await;
    let buyer = {
        let store = store.clone();
        tokio::spawn(async move { buy(&store, cart, "tok_slow").await })
    };
    let database = store.database();
    while value::<i64>(database, "SELECT COUNT(*) FROM orders", &[]).await == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let id: OrderId = value(database, "SELECT id FROM orders", &[]).await;
    cancelled(store, id).await;
    recover_payments(store, database.context().clock.now()).await.unwrap();
    let given_up = order(store, id).await.unwrap().payment;
    assert_eq!((given_up.status, given_up.provider_reference), (PaymentStatus::Voided, None));
    assert!(given_up.next_attempt_at.is_some(), "it is looked for again");
    buyer.await.unwrap().unwrap();
    (id, given_up.id, cart)
}

on_both_engines!(a_charge_of_an_abandoned_payment_is_refunded);
async fn a_charge_of_an_abandoned_payment_is_refunded(shop: &Shop) {
    let store = &shop.store;
    let variant = shop.product().price(1000).stock(1).create().await;
    let (id, payment_id, _) = abandoned(store, variant).await;
    work(store).await;
    let payment = order(store, id).await.unwrap().payment;
    assert_eq!((payment.status, payment.refunded.amount), (PaymentStatus::Refunded, 1000));
    assert_eq!(payment.provider_reference, Some(format!("sandbox_{}", payment_id.0.simple())));
    assert!(history::invoice(store, id).await.is_err(), "what was never invoiced is not credited");
    assert_eq!(stock(&shop.database, variant).await, (1, 0));
    check(&shop.database).await;
}

on_both_engines!(an_abandoned_payment_is_looked_up_for_some_hours, ShopOptions::at(JANUARY_31));
async fn an_abandoned_payment_is_looked_up_for_some_hours(shop: &Shop) {
    let store = &shop.store;
    let variant = shop.product().price(1000).stock(2).create().await;
    for late in [true, false] {
        let id = order_of(store, variant, "tok_requires_action").await;
        let payment_id = order(store, id).await.unwrap().payment.id;
        // the vendor has not heard of it yet
        execute(&shop.database, &["UPDATE sandbox_charges SET id = 'away' WHERE status = 'requires_action'"])
            .await;
        cancelled(store, id).await;
        let mut asked = 0;
        for _ in 0..48 {
            asked += recover_payments(store, clock_now(store)).await.unwrap();
            shop.clock().advance(SignedDuration::from_mins(5));
        }
        assert!((5..20).contains(&asked), "asked {asked} times in four hours");
        if late {
            let name = format!("sandbox_{}", payment_id.0.simple());
            rename_charge(&shop.database, name).await;
        }
        for _ in 0..48 {
            recover_payments(store, clock_now(store)).await.unwrap();
            shop.clock().advance(SignedDuration::from_mins(5));
        }
        let payment = order(store, id).await.unwrap().payment;
        assert_eq!(payment.refunded.amount, if late { 1000 } else { 0 });
        assert_eq!(payment.next_attempt_at, None);
        execute(&shop.database, &["DELETE FROM sandbox_charges WHERE id = 'away'"]).await;
    }
    check(&shop.database).await;
}

/// The vendor hears of a charge, and takes its money.
async fn rename_charge(database: &Database, name: String) {
    let done: Result<u64, DatabaseError> = database
        .write(name, async |work, name| {
            let sql = "UPDATE sandbox_charges SET id = $1, status = 'captured', captured = amount WHERE id = 'away'";
            work.execute(sql, &[name.as_str().into()]).await
        })
        .await;
    assert_eq!(done.unwrap(), 1);
}

on_both_engines!(a_refused_refund_of_a_cancelled_order_is_retried, ShopOptions::at(JANUARY_31));
async fn a_refused_refund_of_a_cancelled_order_is_retried(shop: &Shop) {
    for (policy, kind) in [(policy(), OperationKind::Refund), (manual_capture(), OperationKind::Void)] {
        let store = store(&shop.database, policy);
        let variant = shop.product().price(1000).stock(1).create().await;
        let id = order_of(&store, variant, "tok_ok").await;
        let payment_id = order(&store, id).await.unwrap().payment.id;
        let (refuse, agree): (&'static [_], &'static [_]) = match kind {
            OperationKind::Refund => (
                &["UPDATE sandbox_charges SET status = 'declined' WHERE status = 'captured'"],
                &["UPDATE sandbox_charges SET status = 'captured' WHERE status = 'declined'"],
            ),
            _ => (
                &["UPDATE sandbox_charges SET status = 'declined' WHERE status = 'authorized'"],
                &["UPDATE sandbox_charges SET status = 'authorized' WHERE status = 'declined'"],
            ),
        };
        execute(&shop.database, refuse).await;
        cancelled(&store, id).await;
        for _ in 0..60 {
            recover_payments(&store, clock_now(&store)).await.unwrap();
            assert_eq!(checker::check(&shop.database, false).await.unwrap(), []);
            shop.clock().advance(SignedDuration::from_mins(1));
        }
        let asked = operations(&store, payment_id, kind).await;
        assert!((4..8).contains(&asked.len()), "{} times in an hour", asked.len());
        let refused = "SELECT COUNT(*) FROM outbox WHERE type = 'payment.refund_failed'";
        let told = value::<i64>(&shop.database, refused, &[]).await;
        let failed = asked.iter().filter(|operation| operation.status == OperationStatus::Failed).count();
        assert_eq!(told, i64::try_from(failed).unwrap());
        execute(&shop.database, agree).await;
        shop.clock().advance(SignedDuration::from_hours(2));
        recover_payments(&store, clock_now(&store)).await.unwrap();
        let payment = order(&store, id).await.unwrap().payment;
        assert_eq!(
            (payment.captured.amount, payment.authorized.amount),
            (payment.refunded.amount, payment.captured.amount)
        );
        assert_eq!(credited(&store, id).await, [1000]);
        check(&shop.database).await;
        execute(&shop.database, &["DELETE FROM outbox WHERE type = 'payment.refund_failed'"]).await;
    }
}

on_both_engines!(an_operation_begun_during_a_recovery_is_recovered_too);
async fn an_operation_begun_during_a_recovery_is_recovered_too(shop: &Shop) {
    let store = &shop.store;
    let variant = shop.product().price(100).stock(30).create().await;
    for round in 0..10 {
        let id = order_of(store, variant, "tok_ok").await;
        let payment_id = order(store, id).await.unwrap().payment.id;
        execute(&shop.database, &["UPDATE payments SET next_attempt_at = created_at"]).await;
        let recovery = {
            let store = store.clone();
            tokio::spawn(async move { recover_payments(&store, clock_now(&store)).await.unwrap() })
        };
        let claimed = "SELECT attempts FROM payments WHERE id = $1";
        while value::<i64>(&shop.database, claimed, &[payment_id.into()]).await == 0 {}
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
        assert_eq!(checker::check(&shop.database, false).await.unwrap(), [], "round {round}");
        work(store).await;
        assert_eq!(order(store, id).await.unwrap().payment.refunded.amount, 100);
    }
}

on_both_engines!(an_unconfirmed_payment_is_voided_by_an_operation, ShopOptions::at(JANUARY_31));
async fn an_unconfirmed_payment_is_voided_by_an_operation(shop: &Shop) {
    let store = &shop.store;
    let variant = shop.product().price(1000).stock(3).create().await;
    let id = order_of(store, variant, "tok_requires_action").await;
    shop.clock().advance(SignedDuration::from_hours(1));
    recover_payments(store, clock_now(store)).await.unwrap();
    let payment = order(store, id).await.unwrap().payment;
    assert_eq!(payment.status, PaymentStatus::Voided);
    let [void] = &operations(store, payment.id, OperationKind::Void).await[..] else { panic!("one void") };
    assert_eq!(void.status, OperationStatus::Succeeded);
    let keys = "SELECT idempotency_key FROM sandbox_requests WHERE kind = 'void'";
    assert_eq!(value::<String>(&shop.database, keys, &[]).await, void.id.to_string());
    check(&shop.database).await;
}

on_both_engines!(a_resumed_request_does_not_repeat_a_settled_operation, ShopOptions::at(JANUARY_31));
async fn a_resumed_request_does_not_repeat_a_settled_operation(shop: &Shop) {
    let store = &shop.store;
    let variant = shop.product().price(1000).stock(1).create().await;
    let id = order_of(store, variant, "tok_ok").await;
    let request = OperationRequest {
        order_id: id,
        kind: OperationKind::Refund,
        amount: Some(Amount::Minor(400)),
        reason: None,
        restock: false,
    };
    let refund = || capture_or_refund(store, request.clone(), Responder::new(Some(key("refund")), Plain));
    let first = told(&refund().await);
    assert_eq!(first.0, 201);
    // the operation was settled and the answer was not kept; nobody would answer who is asked now
    execute(
        &shop.database,
        &[
            "UPDATE idempotency_keys SET status = NULL, headers = NULL, body = NULL",
            "UPDATE payments SET provider = 'silent'",
        ],
    )
    .await;
    shop.clock().advance(SignedDuration::from_mins(2));
    assert_eq!(told(&refund().await), first);
}

on_both_engines!(a_late_notice_does_not_undo_a_refund);
async fn a_late_notice_does_not_undo_a_refund(shop: &Shop) {
    let store = &shop.store;
    let variant = shop.product().price(1000).stock(1).create().await;
    let id = order_of(store, variant, "tok_ok").await;
    cancelled(store, id).await;
    work(store).await;
    let before = order(store, id).await.unwrap().payment;
    let charge = Charge {
        reference: "another".into(),
        status: ChargeStatus::Captured,
        authorized: eur(1000),
        captured: eur(1000),
        refunded: eur(0),
    };
    let payment_id = before.id;
    let applied: Result<_, Failure> = shop
        .database
        .write((payment_id, charge), async |work, (payment_id, charge)| {
            apply_payment(work, *payment_id, charge).await.map(drop)
        })
        .await;
    applied.unwrap();
    let after = order(store, id).await.unwrap().payment;
    assert_eq!((after.status, after.provider_reference), (before.status, before.provider_reference));
    check(&shop.database).await;
}
