//! Money and stock are right under any race, crash, duplicate and reorder.

mod payments;
mod races;
mod subscriptions;

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use undercroft::application::checkout::{Checkout, checkout};
use undercroft::application::orders::{MoneyMove, cancel, move_money, order};
use undercroft::application::payments::refresh;
use undercroft::application::recovery::recover_payments;
use undercroft::application::subscriptions::{renew, renew_subscriptions};
use undercroft::application::{Policy, Store};
use undercroft::domain::context::{Context, ManualClock, SystemIds};
use undercroft::domain::ids::{CartId, OrderId, SubscriptionId, UserId, VariantId};
use undercroft::domain::order::OrderStatus;
use undercroft::domain::payment::{PaymentStatus, StepKind};
use undercroft::domain::user::{Role, User};
use undercroft::infrastructure::adapters::sandbox::SandboxPayments;
use undercroft::infrastructure::exceptions::Failure;
use undercroft::infrastructure::repositories::{
    Answer, Database, IdempotencyKey, InventoryRepository, StoreError,
};

use crate::support::store::{Plain, address, cart, policy, product, product_of_kind, store, told, value};
use crate::support::{on_each_engine, on_each_engine_at};

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

async fn buy(store: &Store, cart_id: CartId, token: &str) -> Result<Answer, Failure> {
    checkout(store, purchase(cart_id, token), None, Arc::new(Plain)).await
}

/// Buys one piece and tells the order's id.
async fn order_of(store: &Store, variant: VariantId, token: &str) -> OrderId {
    let cart = cart(store, None, &[(variant, 1)]).await;
    let (status, body) = told(&buy(store, cart, token).await);
    assert_eq!(status, 201, "{body}");
    body.split(' ').next().unwrap().parse().unwrap()
}

fn key(name: &str) -> IdempotencyKey {
    IdempotencyKey { scope: "test".into(), key: name.into(), request_hash: b"the same".to_vec() }
}

/// What must hold whenever nothing is under way: stock, reservations, money and numbers.
async fn check(database: &Database) {
    let rules = [
        (
            "stock is reserved for pending orders only",
            "SELECT COUNT(*) FROM reservations r JOIN orders o ON o.id = r.order_id WHERE o.status <> 'pending'",
        ),
        (
            "what is reserved is what reservations say",
            "SELECT COUNT(*) FROM inventory i WHERE i.reserved <> \
          (SELECT CAST(COALESCE(SUM(r.quantity), 0) AS BIGINT) FROM reservations r WHERE r.variant_id = i.variant_id)",
        ),
        (
            "a paid order's money is there",
            "SELECT COUNT(*) FROM orders o JOIN payments p ON p.order_id = o.id \
          WHERE o.status IN ('paid', 'fulfilled') AND p.authorized < o.total",
        ),
        (
            "the vendor's books say the same",
            "SELECT COUNT(*) FROM payments p JOIN sandbox_charges c ON c.id = p.provider_reference \
          WHERE p.captured <> c.captured OR p.refunded <> c.refunded",
        ),
        (
            "nobody pays for an order that came to nothing",
            "SELECT COUNT(*) FROM orders o JOIN payments p ON p.order_id = o.id \
          WHERE o.status = 'cancelled' AND p.captured <> p.refunded",
        ),
        (
            "one charge an order",
            "SELECT COUNT(*) FROM sandbox_charges c WHERE c.captured > 0 AND NOT EXISTS \
          (SELECT 1 FROM payments p WHERE p.provider_reference = c.id)",
        ),
        ("the numbers have no gap", "SELECT COALESCE(MAX(number), 0) - COUNT(*) FROM orders"),
        (
            "the invoices' numbers have no gap",
            "SELECT COALESCE(MAX(number), 0) - COUNT(*) FROM invoices WHERE series = 'R'",
        ),
        (
            "each order was announced",
            "SELECT (SELECT COUNT(*) FROM orders) - (SELECT COUNT(*) FROM outbox WHERE type = 'order.placed')",
        ),
    ];
    for (rule, sql) in rules {
        assert_eq!(value::<i64>(database, sql, &[]).await, 0, "{rule}");
    }
}

async fn stock(database: &Database, variant: VariantId) -> (i64, i64) {
    let of = [variant.into()];
    (
        value(database, "SELECT stock FROM inventory WHERE variant_id = $1", &of).await,
        value(database, "SELECT reserved FROM inventory WHERE variant_id = $1", &of).await,
    )
}

/// A context whose time the test sets.
fn manual() -> (Context, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new("2026-01-31T12:00:00Z".parse().unwrap()));
    let context =
        Context { clock: Arc::clone(&clock) as _, ids: Arc::new(SystemIds::new(Arc::clone(&clock) as _)) };
    (context, clock)
}
