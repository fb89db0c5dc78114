//! Money and stock are right under any race, crash, duplicate and reorder.

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

#[tokio::test(flavor = "multi_thread")]
async fn of_64_buyers_10_get_the_10_pieces() {
    on_each_engine(|test| async move {
        let (store, _notices) = store(&test.database, policy());
        let variant = product(&test.database, 1000, 10).await;
        let mut buyers = Vec::new();
        for _ in 0..64 {
            let cart = cart(&store, None, &[(variant, 1)]).await;
            let store = store.clone();
            buyers.push(tokio::spawn(async move { told(&buy(&store, cart, "tok_ok").await) }));
        }
        let (mut sold, mut refused) = (0, 0);
        for buyer in buyers {
            match buyer.await.unwrap() {
                (201, _) => sold += 1,
                (409, code) if code == "product_out_of_stock" => refused += 1,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((sold, refused), (10, 54));
        assert_eq!(stock(&test.database, variant).await, (0, 0));
        check(&test.database).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_that_is_set_while_it_is_sold_is_never_oversold() {
    on_each_engine(|test| async move {
        let (store, _notices) = store(&test.database, policy());
        let variant = product(&test.database, 1000, 5).await;
        let mut buyers = Vec::new();
        for i in 0..40 {
            let cart = cart(&store, None, &[(variant, 1)]).await;
            let (store, database) = (store.clone(), test.database.clone());
            buyers.push(tokio::spawn(async move {
                if i % 10 == 5 {
                    let set: Result<_, StoreError> = database
                        .write(move |unit_of_work| {
                            Box::pin(InventoryRepository::adjust(unit_of_work, variant, 2))
                        })
                        .await;
                    set.unwrap();
                }
                told(&buy(&store, cart, "tok_ok").await).0
            }));
        }
        let mut sold = 0;
        for buyer in buyers {
            sold += i64::from(buyer.await.unwrap() == 201);
        }
        let (left, reserved) = stock(&test.database, variant).await;
        assert_eq!((sold + left, reserved), (5 + 4 * 2, 0));
        check(&test.database).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_is_one_order_and_one_answer() {
    on_each_engine(|test| async move {
        let (store, _notices) = store(&test.database, policy());
        let variant = product(&test.database, 1000, 100).await;
        let cart = cart(&store, None, &[(variant, 2)]).await;
        let requests = (0..50).map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                told(&checkout(&store, purchase(cart, "tok_ok"), Some(key("k")), Arc::new(Plain)).await)
            })
        });
        let mut answers = Vec::new();
        for request in requests.collect::<Vec<_>>() {
            answers.push(request.await.unwrap());
        }
        let again = checkout(&store, purchase(cart, "tok_ok"), Some(key("k")), Arc::new(Plain)).await;
        let expected = told(&again);
        assert_eq!(expected.0, 201);
        for answer in answers {
            assert!(answer == expected || answer == (409, "idempotency_in_progress".into()), "{answer:?}");
        }
        let reused = IdempotencyKey { request_hash: b"another".to_vec(), ..key("k") };
        let reused = checkout(&store, purchase(cart, "tok_ok"), Some(reused), Arc::new(Plain)).await;
        assert_eq!(told(&reused), (422, "idempotency_key_reused".into()));
        assert_eq!(value::<i64>(&test.database, "SELECT COUNT(*) FROM orders", &[]).await, 1);
        check(&test.database).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_kept_with_its_key_too() {
    on_each_engine(|test| async move {
        let (store, _notices) = store(&test.database, policy());
        let variant = product(&test.database, 1000, 1).await;
        let too_many = cart(&store, None, &[(variant, 2)]).await;
        for _ in 0..2 {
            let refused =
                checkout(&store, purchase(too_many, "tok_ok"), Some(key("a")), Arc::new(Plain)).await;
            assert_eq!(told(&refused), (409, "product_out_of_stock".into()));
        }
        let declined = cart(&store, None, &[(variant, 1)]).await;
        for _ in 0..2 {
            let refused =
                checkout(&store, purchase(declined, "tok_declined"), Some(key("b")), Arc::new(Plain)).await;
            assert_eq!(told(&refused), (402, "payment_failed".into()));
        }
        assert_eq!(stock(&test.database, variant).await, (1, 0));
        // The cart is open again for another card.
        assert_eq!(told(&buy(&store, declined, "tok_ok").await).0, 201);
        check(&test.database).await;
    })
    .await;
}

/// Moves money 32 times at once; how many went through.
async fn move_32_times(store: &Store, order_id: OrderId, kind: StepKind, amount: i64) -> usize {
    let moves = (0..32).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            let request = MoneyMove { order_id, kind, amount: Some(amount), reason: None, restock: false };
            told(&move_money(&store, request, None, Arc::new(Plain)).await).0
        })
    });
    let mut through = 0;
    for moved in moves.collect::<Vec<_>>() {
        through += usize::from(moved.await.unwrap() == 201);
    }
    through
}

#[tokio::test(flavor = "multi_thread")]
async fn of_32_refunds_of_60_on_100_one_goes_through() {
    on_each_engine(|test| async move {
        let (store, _notices) = store(&test.database, policy());
        let variant = product(&test.database, 10_000, 1).await;
        let id = order_of(&store, variant, "tok_ok").await;
        assert_eq!(move_32_times(&store, id, StepKind::Refund, 6000).await, 1);
        let placed = order(&store, id).await.unwrap();
        assert_eq!(
            (placed.payment.captured, placed.payment.refunded, placed.payment.refunding),
            (10_000, 6000, 0)
        );
        assert_eq!(move_32_times(&store, id, StepKind::Refund, 4000).await, 1);
        assert_eq!(order(&store, id).await.unwrap().order.status, OrderStatus::Refunded);
        check(&test.database).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_32_captures_of_60_on_100_one_goes_through() {
    on_each_engine(|test| async move {
        let (store, _notices) = store(&test.database, Policy { capture_at_checkout: false, ..policy() });
        let variant = product(&test.database, 10_000, 1).await;
        let id = order_of(&store, variant, "tok_ok").await;
        assert_eq!(order(&store, id).await.unwrap().payment.status, PaymentStatus::Authorized);
        assert_eq!(move_32_times(&store, id, StepKind::Capture, 6000).await, 1);
        let placed = order(&store, id).await.unwrap();
        assert_eq!((placed.payment.captured, placed.payment.capturing), (6000, 0));
        assert_eq!(move_32_times(&store, id, StepKind::Refund, 6001).await, 0);
        check(&test.database).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_charge_whose_answer_was_lost_is_found_and_charged_once() {
    on_each_engine(|test| async move {
        let (store, _notices) = store(&test.database, policy());
        let variant = product(&test.database, 1000, 3).await;
        let id = order_of(&store, variant, "tok_timeout_after_charge").await;
        assert_eq!(order(&store, id).await.unwrap().order.status, OrderStatus::Paid);
        assert_eq!(value::<i64>(&test.database, "SELECT COUNT(*) FROM sandbox_charges", &[]).await, 1);
        check(&test.database).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_of_the_vendor_counts_once_however_often_it_comes() {
    on_each_engine(|test| async move {
        let (store, mut notices) = store(&test.database, policy());
        let variant = product(&test.database, 1000, 3).await;
        let id = order_of(&store, variant, "tok_duplicate_webhooks").await;
        let payment_id = order(&store, id).await.unwrap().payment.id;
        let mut told = 0;
        while let Ok(notice) = notices.try_recv() {
            told += 1;
            refresh(&store, notice.0).await.unwrap();
        }
        assert_eq!(told, 3);
        refresh(&store, payment_id).await.unwrap();
        let paid = "SELECT COUNT(*) FROM outbox WHERE type = 'order.paid'";
        assert_eq!(value::<i64>(&test.database, paid, &[]).await, 1);
        assert_eq!(stock(&test.database, variant).await, (2, 0));
        check(&test.database).await;
    })
    .await;
}

/// Begins a checkout and loses the store in the middle of it: the vendor is slow, and nobody waits for it.
async fn crash_in_checkout(store: &Store, cart_id: CartId, key: &IdempotencyKey) {
    let begun = {
        let (store, key) = (store.clone(), key.clone());
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let database = store.database().clone();
        runtime.spawn(async move {
            let _ = checkout(&store, purchase(cart_id, "tok_slow"), Some(key), Arc::new(Plain)).await;
        });
        while value::<i64>(&database, "SELECT COUNT(*) FROM orders", &[]).await == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        runtime
    };
    begun.shutdown_background();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_order_and_charge_loses_neither_order_nor_stock() {
    on_each_engine(|test| async move {
        if test.url.starts_with("postgres") {
            // Connections of the pool belong to the runtime that opened them; the crash is played on SQLite,
            // and with a real process on both by the fault tests.
            return;
        }
        let (store, _notices) = store(&test.database, policy());
        let variant = product(&test.database, 1000, 3).await;
        let cart = cart(&store, None, &[(variant, 1)]).await;
        crash_in_checkout(&store, cart, &key("crash")).await;
        assert_eq!(stock(&test.database, variant).await, (3, 1));
        let soon = test.database.context().clock.now().checked_add(SignedDuration::from_hours(1)).unwrap();
        assert_eq!(recover_payments(&store, soon).await.unwrap(), 1);
        let answer = checkout(&store, purchase(cart, "tok_slow"), Some(key("crash")), Arc::new(Plain)).await;
        let (status, body) = told(&answer);
        assert_eq!(status, 201, "{body}");
        let again = checkout(&store, purchase(cart, "tok_slow"), Some(key("crash")), Arc::new(Plain)).await;
        assert_eq!(told(&again), (status, body));
        assert_eq!(stock(&test.database, variant).await, (2, 0));
        check(&test.database).await;
    })
    .await;
}

/// A context whose time the test sets.
fn manual() -> (Context, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new("2026-01-31T12:00:00Z".parse().unwrap()));
    let context =
        Context { clock: Arc::clone(&clock) as _, ids: Arc::new(SystemIds::new(Arc::clone(&clock) as _)) };
    (context, clock)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_waits_too_long_for_its_shopper_is_given_up() {
    let (context, clock) = manual();
    on_each_engine_at(context, |test| {
        let clock = Arc::clone(&clock);
        async move {
            let (store, _notices) = store(&test.database, policy());
            let variant = product(&test.database, 1000, 3).await;
            let id = order_of(&store, variant, "tok_requires_action").await;
            let waiting = order(&store, id).await.unwrap();
            assert_eq!(waiting.payment.status, PaymentStatus::RequiresAction);
            assert_eq!(stock(&test.database, variant).await, (3, 1));
            clock.advance(SignedDuration::from_hours(1));
            let now = test.database.context().clock.now();
            assert_eq!(recover_payments(&store, now).await.unwrap(), 1);
            assert_eq!(order(&store, id).await.unwrap().order.status, OrderStatus::Cancelled);
            assert_eq!(stock(&test.database, variant).await, (3, 0));
            check(&test.database).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn money_that_comes_after_the_order_was_cancelled_goes_back() {
    on_each_engine(|test| async move {
        let (store, _notices) = store(&test.database, policy());
        let variant = product(&test.database, 1000, 1).await;
        let id = order_of(&store, variant, "tok_requires_action").await;
        let payment_id = order(&store, id).await.unwrap().payment.id;
        let cancelled: Result<_, Failure> =
            test.database.write(move |unit_of_work| Box::pin(cancel(unit_of_work, id))).await;
        assert_eq!(cancelled.unwrap().order.status, OrderStatus::Cancelled);
        let (notices, _received) = tokio::sync::mpsc::channel(1);
        let sandbox = SandboxPayments::new(test.database.clone(), notices);
        assert!(sandbox.act(payment_id, true).await.unwrap());
        let soon = test.database.context().clock.now().checked_add(SignedDuration::from_hours(1)).unwrap();
        for _ in 0..2 {
            recover_payments(&store, soon).await.unwrap();
        }
        let placed = order(&store, id).await.unwrap();
        assert_eq!(placed.order.status, OrderStatus::Cancelled);
        assert_eq!((placed.payment.captured, placed.payment.refunded), (1000, 1000));
        assert_eq!(stock(&test.database, variant).await, (1, 0));
        check(&test.database).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paid_order_that_is_cancelled_gives_back_money_and_stock() {
    on_each_engine(|test| async move {
        let (store, _notices) = store(&test.database, policy());
        let variant = product(&test.database, 1000, 1).await;
        let id = order_of(&store, variant, "tok_ok").await;
        let cancelled: Result<_, Failure> =
            test.database.write(move |unit_of_work| Box::pin(cancel(unit_of_work, id))).await;
        assert_eq!(cancelled.unwrap().order.status, OrderStatus::Cancelled);
        recover_payments(&store, test.database.context().clock.now()).await.unwrap();
        let placed = order(&store, id).await.unwrap();
        assert_eq!((placed.order.status, placed.payment.refunded), (OrderStatus::Cancelled, 1000));
        assert_eq!(stock(&test.database, variant).await, (1, 0));
        check(&test.database).await;
    })
    .await;
}

async fn shopper(database: &Database) -> UserId {
    let made: Result<UserId, StoreError> = database
        .write(|unit_of_work| {
            Box::pin(async move {
                let now = unit_of_work.now();
                let id: UserId = unit_of_work.id();
                let user = User {
                    id,
                    email: format!("{id}@example.com"),
                    name: "Ann".into(),
                    password_hash: None,
                    role: Role::Customer,
                    birth_date: None,
                    email_verified_at: None,
                    erased_at: None,
                    version: 1,
                    created_at: now,
                    updated_at: now,
                };
                unit_of_work.insert(&user).await?;
                Ok(id)
            })
        })
        .await;
    made.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_period_of_a_subscription_is_charged_once_by_32_workers() {
    let (context, clock) = manual();
    on_each_engine_at(context, |test| {
        let clock = Arc::clone(&clock);
        async move {
            let (store, _notices) = store(&test.database, policy());
            let variant = product_of_kind(&test.database, 1500, 100, "subscription").await;
            let user_id = shopper(&test.database).await;
            let cart = cart(&store, Some(user_id), &[(variant, 1)]).await;
            let request = Checkout { user_id: Some(user_id), ..purchase(cart, "tok_ok") };
            assert_eq!(told(&checkout(&store, request, None, Arc::new(Plain)).await).0, 201);
            let id: SubscriptionId = value(&test.database, "SELECT id FROM subscriptions", &[]).await;
            assert!(!renew(&store, id).await.unwrap(), "not due yet");
            clock.advance(SignedDuration::from_hours(24 * 32));
            let workers = (0..32).map(|_| {
                let store = store.clone();
                tokio::spawn(async move { renew(&store, id).await.unwrap() })
            });
            let mut charged = 0;
            for worker in workers.collect::<Vec<_>>() {
                charged += i64::from(worker.await.unwrap());
            }
            assert_eq!(charged, 1);
            assert_eq!(value::<i64>(&test.database, "SELECT COUNT(*) FROM orders", &[]).await, 2);
            let until: Timestamp = value(&test.database, "SELECT paid_until FROM subscriptions", &[]).await;
            assert!(until > test.database.context().clock.now());
            check(&test.database).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_whose_charges_fail_expires_after_four() {
    let (context, clock) = manual();
    on_each_engine_at(context, |test| {
        let clock = Arc::clone(&clock);
        async move {
            let (store, _notices) = store(&test.database, policy());
            let variant = product_of_kind(&test.database, 1500, 100, "subscription").await;
            let user_id = shopper(&test.database).await;
            let cart = cart(&store, Some(user_id), &[(variant, 1)]).await;
            let request = Checkout { user_id: Some(user_id), ..purchase(cart, "tok_ok") };
            assert_eq!(told(&checkout(&store, request, None, Arc::new(Plain)).await).0, 201);
            crate::support::store::execute(
                &test.database,
                &["UPDATE subscriptions SET token = 'tok_declined'"],
            )
            .await;
            let mut states = Vec::new();
            for _ in 0..5 {
                clock.advance(SignedDuration::from_hours(24 * 32));
                renew_subscriptions(&store, test.database.context().clock.now()).await.unwrap();
                states.push(value::<String>(&test.database, "SELECT status FROM subscriptions", &[]).await);
            }
            assert_eq!(states, ["past_due", "past_due", "past_due", "expired", "expired"]);
            assert_eq!(stock(&test.database, variant).await, (99, 0));
            check(&test.database).await;
        }
    })
    .await;
}
