//! Money and stock are right under any race, crash, duplicate and reorder.

mod late;
mod ledger;
mod payments;
mod races;
mod round_trips;
mod subscriptions;
mod waits;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use undercroft::application::Store;
use undercroft::application::consistency as checker;
use undercroft::application::idempotency::Responder;
use undercroft::application::payments::gateway_calls::refresh;
use undercroft::application::payments::recovery::recover_payments;
use undercroft::application::selling::checkout::{Checkout, checkout};
use undercroft::application::selling::history;
use undercroft::application::selling::orders::{Amount, OperationRequest, cancel, capture_or_refund, order};
use undercroft::application::subscriptions::renewals::{renew, renew_subscriptions};
use undercroft::domain::ids::{CartId, OrderId, PaymentId, SubscriptionId, UserId, VariantId};
use undercroft::domain::money::{Currency, Money};
use undercroft::domain::order::OrderStatus;
use undercroft::domain::payment::{OperationKind, Payment, PaymentOperation, PaymentStatus};
use undercroft::infrastructure::exceptions::Failure;
use undercroft::infrastructure::repositories::{
    Database, DatabaseError, IdempotencyKey, InventoryRepository, StoredResponse,
};

use crate::support::store::{
    Plain, address, cart, confirm_payment, execute, manual_capture, policy, store, told, value,
};
use crate::support::{Shop, ShopOptions};

fn eur(amount: i64) -> Money {
    Money::new(amount, Currency::EUR)
}

fn purchase(cart_id: CartId, token: &str) -> Checkout {
    Checkout {
        cart_id,
        user_id: None,
        email: Some("ann@example.com".into()),
        shipping_address: address(),
        billing_address: None,
        shipping_method: None,
        provider: "sandbox".into(),
        token: token.into(),
    }
}

async fn buy(store: &Store, cart_id: CartId, token: &str) -> Result<StoredResponse, Failure> {
    checkout(store, purchase(cart_id, token), Responder::new(None, Plain)).await
}

/// Buys one piece and tells the order's id.
pub(crate) async fn order_of(store: &Store, variant: VariantId, token: &str) -> OrderId {
    let cart = cart(store, None, &[(variant, 1)]).await;
    let (status, body) = told(&buy(store, cart, token).await);
    assert_eq!(status, 201, "{body}");
    body.split(' ').next().unwrap().parse().unwrap()
}

fn key(name: &str) -> IdempotencyKey {
    IdempotencyKey { scope: "test".into(), key: name.into(), request_hash: b"the same".to_vec() }
}

/// What must hold whenever nothing is under way: stock, reservations, money, numbers and events.
async fn check(database: &Database) {
    assert_eq!(checker::check(database, true).await.unwrap(), []);
}

async fn stock(database: &Database, variant: VariantId) -> (i64, i64) {
    let of = [variant.into()];
    (
        value(database, "SELECT stock FROM inventory WHERE variant_id = $1", &of).await,
        value(database, "SELECT reserved FROM inventory WHERE variant_id = $1", &of).await,
    )
}

/// The first time of tests with a manual clock: a month later there is no 31st.
const JANUARY_31: &str = "2026-01-31T12:00:00Z";

async fn cancelled(store: &Store, id: OrderId) {
    let done: Result<_, Failure> = store.database().write(id, async |work, &id| cancel(work, id).await).await;
    assert_eq!(done.unwrap().order.status, OrderStatus::Cancelled);
}

async fn moved(store: &Store, order_id: OrderId, kind: OperationKind, amount: Option<i64>) -> (u16, String) {
    let request =
        OperationRequest { order_id, kind, amount: amount.map(Amount::Minor), reason: None, restock: false };
    told(&capture_or_refund(store, request, Responder::new(None, Plain)).await)
}

/// What the worker does within the next days.
async fn work(store: &Store) {
    let later = store.database().context().clock.now() + SignedDuration::from_hours(72);
    for _ in 0..3 {
        recover_payments(store, later).await.unwrap();
    }
}

async fn operations(store: &Store, id: PaymentId, kind: OperationKind) -> Vec<PaymentOperation> {
    let operations = history::payment_operations(store, id).await.unwrap();
    operations.into_iter().filter(|operation| operation.kind == kind).collect()
}

/// The totals of an order's credit notes, and whether their taxes add up to them.
async fn credited(store: &Store, id: OrderId) -> Vec<i64> {
    let (invoice, notes) = history::invoice(store, id).await.unwrap();
    for document in notes.iter().chain([&invoice]) {
        let taxes: i64 = document.document.taxes.iter().map(|tax| tax.net.amount + tax.tax.amount).sum();
        assert_eq!(taxes, document.total.amount, "{document:?}");
    }
    notes.iter().map(|note| note.total.amount).collect()
}

fn clock_now(store: &Store) -> Timestamp {
    store.database().context().clock.now()
}

on_both_engines!(
    the_consistency_check_finds_violations,
    ShopOptions::default().unchecked("the test breaks the rules")
);
async fn the_consistency_check_finds_violations(shop: &Shop) {
    let store = &shop.store;
    let variant = shop.product().price(1000).stock(5).create().await;
    for token in ["tok_ok", "tok_requires_action"] {
        order_of(store, variant, token).await;
    }
    check(&shop.database).await;
    let undone: [[&'static [&'static str]; 2]; 4] = [
        [
            &["UPDATE payments SET capturing = 1, authorized = authorized + 1"],
            &["UPDATE payments SET capturing = 0, authorized = authorized - 1"],
        ],
        [
            &["UPDATE payments SET next_attempt_at = NULL WHERE status = 'requires_action'"],
            &["UPDATE payments SET next_attempt_at = created_at WHERE status = 'requires_action'"],
        ],
        [
            &["UPDATE orders SET status = 'cancelled' WHERE status = 'paid'"],
            &["UPDATE orders SET status = 'paid' WHERE status = 'cancelled'"],
        ],
        [
            &["UPDATE payments SET status = 'refunded' WHERE status = 'captured'"],
            &["UPDATE payments SET status = 'captured' WHERE status = 'refunded'"],
        ],
    ];
    for [wrong, right] in undone {
        execute(&shop.database, wrong).await;
        assert_ne!(checker::check(&shop.database, false).await.unwrap(), [], "{wrong:?}");
        execute(&shop.database, right).await;
        check(&shop.database).await;
    }
    let wrongs: [&'static [&'static str]; 6] = [
        &["UPDATE inventory SET reserved = reserved + 1"],
        &["UPDATE orders SET number = number + 7 WHERE status = 'paid'"],
        &["UPDATE sandbox_charges SET refunded = 1 WHERE status = 'captured'"],
        &["UPDATE payments SET authorized = 1, captured = 1 WHERE status = 'captured'"],
        &["DELETE FROM outbox WHERE type = 'order.paid'"],
        &["DELETE FROM reservations"],
    ];
    for (number, wrong) in wrongs.into_iter().enumerate() {
        let before = checker::check(&shop.database, true).await.unwrap().len();
        execute(&shop.database, wrong).await;
        let after = checker::check(&shop.database, true).await.unwrap().len();
        assert!(after > before, "wrong number {number} was not found");
    }
}
