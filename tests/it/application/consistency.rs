//! The consistency check finds every violation that the test makes.

use undercroft::application::consistency::check;

use crate::support::orders::{Sale, assert_consistent, violations};
use crate::support::store::execute;
use crate::support::{Shop, ShopOptions};

on_both_engines!(
    the_consistency_check_finds_violations,
    ShopOptions::default().unchecked("the test makes the data inconsistent")
);
async fn the_consistency_check_finds_violations(shop: &Shop) {
    let store = &shop.store;
    let variant = shop.product().price(1000).stock(5).create().await;
    for token in ["tok_ok", "tok_requires_action"] {
        Sale::of(store, variant, token).await;
    }
    assert_consistent(&shop.database).await;
    let reversible: [[&'static [&'static str]; 2]; 4] = [
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
    for [violation, repair] in reversible {
        execute(&shop.database, violation).await;
        assert_ne!(check(&shop.database, false).await.unwrap(), [], "{violation:?}");
        execute(&shop.database, repair).await;
        assert_consistent(&shop.database).await;
    }
    let changes: [&'static [&'static str]; 6] = [
        &["UPDATE inventory SET reserved = reserved + 1"],
        &["UPDATE orders SET number = number + 7 WHERE status = 'paid'"],
        &["UPDATE sandbox_charges SET refunded = 1 WHERE status = 'captured'"],
        &["UPDATE payments SET authorized = 1, captured = 1 WHERE status = 'captured'"],
        &["DELETE FROM outbox WHERE type = 'order.paid'"],
        &["DELETE FROM reservations"],
    ];
    for (number, violation) in changes.into_iter().enumerate() {
        let before = violations(&shop.database).await.len();
        execute(&shop.database, violation).await;
        let after = violations(&shop.database).await.len();
        assert!(after > before, "violation {number} is not found");
    }
}
