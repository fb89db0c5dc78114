//! A payment provider that does not respond delays neither the payments of others, nor refunds, nor the end of the
//! worker.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use jiff::SignedDuration;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use undercroft::application::idempotency::Responder;
use undercroft::application::jobs::worker::work;
use undercroft::application::payments::gateway_calls::refresh;
use undercroft::application::selling::checkout::Checkout;
use undercroft::application::selling::orders::{self, CancelledBy};
use undercroft::application::subscriptions::lifecycle::{self, SubscriptionChange};
use undercroft::application::{Store, Terms};
use undercroft::domain::ids::{PaymentId, VariantId};
use undercroft::domain::order::OrderStatus;
use undercroft::domain::payment::{OperationKind, OperationStatus, PaymentStatus};
use undercroft::domain::permission::Permissions;
use undercroft::domain::subscription::Subscription;
use undercroft::infrastructure::adapters::CallLimits;
use undercroft::infrastructure::repositories::Database;

use crate::support::orders::{Sale, checkout_request, recover, recover_payments, submit};
use crate::support::slow_gateway::{Call, SlowGateway};
use crate::support::store::{
    Summary, Text, cart, confirm_payment, execute, limits, manual_capture, terms, value,
};
use crate::support::{Shop, ShopOptions};

/// Less than the time-out of a call, so that nothing that waits for a held call happens within it.
const SOON: Duration = Duration::from_secs(10);

/// Waits until a statement returns this number.
#[track_caller]
fn until(database: &Database, sql: &'static str, expected: i64) -> impl Future<Output = ()> {
    let (database, caller) = (database.clone(), std::panic::Location::caller());
    async move {
        let start = Instant::now();
        while value::<i64>(&database, sql, &[]).await != expected {
            assert!(start.elapsed() < SOON, "not {expected}: {sql} ({caller})");
            sleep(Duration::from_millis(10)).await;
        }
    }
}

/// A worker in the background.
struct Worker {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Worker {
    fn start(store: &Store) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(work(store.clone(), stop.clone()));
        Self { stop, task }
    }

    /// Stops the worker, which does not wait for the calls that are held.
    async fn stop(self) {
        self.stop.cancel();
        timeout(Duration::from_secs(2), self.task).await.expect("the worker ends in a moment").unwrap();
    }
}

/// Checks out one piece of a variant with the provider `slow`.
async fn slow_sale(store: &Store, variant: VariantId) -> Sale {
    let cart_id = cart(store, None, &[(variant, 1)]).await;
    let request = Checkout { provider: "slow".into(), ..checkout_request(cart_id, "tok_ok") };
    let (status, body) = submit(store, request, None).await;
    assert_eq!(status, 201, "{body}");
    Sale { store: store.clone(), variant, id: body.split(' ').next().unwrap().parse().unwrap() }
}

async fn cancel(sale: &Sale) {
    let cancelled = orders::cancel_once(
        &sale.store,
        sale.id,
        CancelledBy::Administrator(Permissions::ALL),
        Responder::new(None, Summary),
    )
    .await
    .unwrap();
    assert_eq!(cancelled.status, 201);
}

/// Places 20 orders whose confirmed payments are due for recovery at the provider `slow`.
async fn unsettled_payments(store: &Store, variant: VariantId) {
    for _ in 0..20 {
        Sale::of(store, variant, "tok_requires_action").await;
    }
    execute(
        store.database(),
        &[
            "UPDATE payments SET provider = 'slow', next_attempt_at = created_at WHERE status = 'requires_action'",
            "UPDATE sandbox_charges SET status = 'captured', captured = amount WHERE status = 'requires_action'",
        ],
    )
    .await;
}

/// A worker that recovers 20 payments of a provider that does not respond.
async fn held_recovery(shop: &Shop, variant: VariantId) -> (Store, Arc<SlowGateway>, Worker) {
    let (store, slow) = SlowGateway::store(&shop.database, terms(), limits());
    unsettled_payments(&store, variant).await;
    slow.hold(&[Call::Authorize, Call::LookUp]);
    let worker = Worker::start(&store);
    let start = Instant::now();
    while slow.waiting() < limits().concurrency {
        assert!(start.elapsed() < SOON, "only {} calls wait", slow.waiting());
        sleep(Duration::from_millis(10)).await;
    }
    (store, slow, worker)
}

const PAID: &str = "SELECT COUNT(*) FROM orders WHERE status = 'paid'";

on_both_engines!(a_provider_that_does_not_respond_delays_no_other);
async fn a_provider_that_does_not_respond_delays_no_other(shop: &Shop) {
    let variant = shop.product().price(1000).stock(100).create().await;
    let monthly = shop.product().price(1500).stock(100).subscription().create().await;
    let user_id = Some(shop.customer().await);
    let cart_id = cart(&shop.store, user_id, &[(monthly, 1)]).await;
    let request = Checkout { user_id, ..checkout_request(cart_id, "tok_ok") };
    assert_eq!(submit(&shop.store, request, None).await.0, 201);
    let (store, slow, worker) = held_recovery(shop, variant).await;

    execute(&shop.database, &["UPDATE subscriptions SET next_charge_at = created_at"]).await;
    let sale = Sale::of(&store, variant, "tok_ok").await;
    cancel(&sale).await;

    until(&shop.database, "SELECT COUNT(*) FROM payments WHERE refunded = 1000", 1).await;
    until(
        &shop.database,
        "SELECT COUNT(*) FROM orders WHERE subscription_id IS NOT NULL AND status = 'paid'",
        1,
    )
    .await;
    until(
        &shop.database,
        "SELECT COUNT(*) FROM notifications WHERE channel = 'in_app' AND kind = 'order_paid'",
        2,
    )
    .await;
    assert_eq!(slow.waiting(), limits().concurrency, "no more calls than this wait at the same time");
    worker.stop().await;
    slow.hold(&[]);
    recover(&store).await;
}

on_both_engines!(calls_that_are_dropped_at_the_stop_are_repeated_after_the_start);
async fn calls_that_are_dropped_at_the_stop_are_repeated_after_the_start(shop: &Shop) {
    let variant = shop.product().price(1000).stock(40).create().await;
    let (store, slow, worker) = held_recovery(shop, variant).await;
    worker.stop().await;
    assert_eq!((slow.waiting(), value::<i64>(&shop.database, PAID, &[]).await), (0, 0));

    slow.hold(&[]);
    let worker = Worker::start(&store);
    until(&shop.database, PAID, 20).await;
    worker.stop().await;
}

on_both_engines!(a_refund_does_not_wait_for_the_recovery_of_other_payments);
async fn a_refund_does_not_wait_for_the_recovery_of_other_payments(shop: &Shop) {
    let variant = shop.product().price(1000).stock(100).create().await;
    let sale = slow_sale(&SlowGateway::store(&shop.database, terms(), limits()).0, variant).await;
    let (store, slow, worker) = held_recovery(shop, variant).await;

    cancel(&Sale { store: store.clone(), ..sale.clone() }).await;
    until(&shop.database, "SELECT COUNT(*) FROM payments WHERE refunded = 1000", 1).await;
    assert_eq!(slow.waiting(), limits().concurrency);
    worker.stop().await;
    slow.hold(&[]);
    recover(&store).await;
}

on_both_engines!(
    a_void_is_sent_while_a_refund_of_the_payment_waits,
    ShopOptions::default().terms(manual_capture())
);
async fn a_void_is_sent_while_a_refund_of_the_payment_waits(shop: &Shop) {
    let (store, slow) = SlowGateway::store(&shop.database, manual_capture(), limits());
    let variant = shop.product().price(1000).stock(1).create().await;
    let sale = slow_sale(&store, variant).await;
    assert_eq!(sale.run(OperationKind::Capture, Some(400)).await.0, 201);
    let worker = Worker::start(&store);
    slow.hold(&[Call::Refund]);
    let refund = {
        let sale = sale.clone();
        tokio::spawn(async move { sale.run(OperationKind::Refund, Some(100)).await })
    };
    until(&shop.database, "SELECT COUNT(*) FROM payments WHERE refunding = 100", 1).await;

    cancel(&sale).await;
    until(&shop.database, "SELECT COUNT(*) FROM payments WHERE authorized = 400 AND voiding = 0", 1).await;
    let [void] = &sale.operations(OperationKind::Void).await[..] else { panic!("one void") };
    assert_eq!(void.status, OperationStatus::Succeeded);
    assert_eq!(sale.payment().await.refunded.amount, 0, "the refund still waits");

    slow.hold(&[]);
    assert_eq!(refund.await.unwrap().0, 201);
    until(&shop.database, "SELECT COUNT(*) FROM payments WHERE refunded = 400", 1).await;
    assert_eq!(sale.payment().await.status, PaymentStatus::Refunded);
    worker.stop().await;
    sale.check().await;
}

on_both_engines!(a_call_without_a_response_ends_after_its_time_out);
async fn a_call_without_a_response_ends_after_its_time_out(shop: &Shop) {
    let limits = CallLimits { timeout: Duration::from_millis(50), ..limits() };
    let (store, slow) = SlowGateway::store(&shop.database, terms(), limits);
    let variant = shop.product().price(1000).stock(1).create().await;
    slow.hold(&[Call::Authorize, Call::LookUp]);
    let sale = timeout(SOON, slow_sale(&store, variant)).await.unwrap();
    assert_eq!(sale.order().await.order.status, OrderStatus::Pending);

    slow.hold(&[]);
    let soon = shop.now() + SignedDuration::from_mins(1);
    assert_eq!(recover_payments(&store, soon).await.unwrap(), 1);
    assert_eq!(sale.order().await.order.status, OrderStatus::Paid);
}

/// Lets the reservation of a payment expire that waits for the shopper; its void does not reach the provider.
async fn begin_void(shop: &Shop, terms: Terms) -> (Sale, Arc<SlowGateway>) {
    let limits = CallLimits { timeout: Duration::from_millis(50), ..limits() };
    let (store, slow) = SlowGateway::store(&shop.database, terms, limits);
    let sale = Sale { store, ..Sale::begin(shop, 1, "tok_requires_action").await };
    execute(&shop.database, &["UPDATE payments SET provider = 'slow'"]).await;
    shop.clock().advance(SignedDuration::from_mins(31));
    slow.hold(&[Call::Void]);
    recover_payments(&sale.store, shop.now()).await.unwrap();
    (sale, slow)
}

/// Lets a reservation expire, and the shopper confirm the payment before the void reaches the provider.
async fn confirm_while_the_void_waits(shop: &Shop, terms: Terms) {
    let (sale, slow) = begin_void(shop, terms).await;
    let (store, payment_id) = (&sale.store, sale.payment().await.id);
    assert_eq!(sale.operations(OperationKind::Void).await.len(), 1);
    assert_eq!((sale.order().await.order.status, sale.stock().await), (OrderStatus::Cancelled, (1, 0)));

    assert!(confirm_payment(store, payment_id).await);
    refresh(store, payment_id).await.unwrap();
    slow.hold(&[]);
    recover(store).await;
    let placed = sale.order().await;
    assert_eq!((placed.order.status, sale.stock().await), (OrderStatus::Cancelled, (1, 0)));
    let kept = placed.payment.captured.amount - placed.payment.refunded.amount;
    assert_eq!(kept, 0, "{:?}", placed.payment);
    let refused = "SELECT COUNT(*) FROM outbox WHERE type = 'payment.refund_failed'";
    assert_eq!(value::<i64>(&shop.database, refused, &[]).await, 0);
    execute(&shop.database, &["UPDATE payments SET provider = 'sandbox'"]).await;
    sale.check().await;
}

on_both_engines!(
    a_payment_that_was_voided_before_the_response_is_due_for_its_operation,
    ShopOptions::manual_clock()
);
async fn a_payment_that_was_voided_before_the_response_is_due_for_its_operation(shop: &Shop) {
    let (sale, slow) = begin_void(shop, terms()).await;
    let store = &sale.store;

    execute(&shop.database, &["UPDATE sandbox_charges SET status = 'voided'"]).await;
    refresh(store, sale.payment().await.id).await.unwrap();
    let payment = sale.payment().await;
    assert_eq!(payment.status, PaymentStatus::Voided);
    assert!(payment.next_attempt_at.is_some(), "the outcome of the operation is not known");
    slow.hold(&[]);
    recover(store).await;
    let [void] = &sale.operations(OperationKind::Void).await[..] else { panic!("one void") };
    assert_ne!(void.status, OperationStatus::Pending);
    assert_eq!(sale.payment().await.next_attempt_at, None);
    execute(&shop.database, &["UPDATE payments SET provider = 'sandbox'"]).await;
    sale.check().await;
}

on_both_engines!(a_payment_captured_while_its_void_waits_is_refunded, ShopOptions::manual_clock());
async fn a_payment_captured_while_its_void_waits_is_refunded(shop: &Shop) {
    Box::pin(confirm_while_the_void_waits(shop, terms())).await;
    let refunded = "SELECT COUNT(*) FROM payments WHERE status = 'refunded' AND refunded = 1000";
    assert_eq!(value::<i64>(&shop.database, refunded, &[]).await, 1);
}

on_both_engines!(
    a_payment_authorized_while_its_void_waits_is_voided,
    ShopOptions::manual_clock().terms(manual_capture())
);
async fn a_payment_authorized_while_its_void_waits_is_voided(shop: &Shop) {
    Box::pin(confirm_while_the_void_waits(shop, manual_capture())).await;
    let voided = "SELECT COUNT(*) FROM payments p JOIN sandbox_charges c ON c.id = p.provider_reference \
                  WHERE p.status = 'voided' AND p.authorized = 0 AND c.status = 'voided'";
    assert_eq!(value::<i64>(&shop.database, voided, &[]).await, 1);
}

/// Returns the payment of the next notice; `None` if there is no notice.
fn notice(store: &Store) -> Option<PaymentId> {
    store.infrastructure.gateways.notices("sandbox").unwrap().next().now_or_never()
}

on_both_engines!(
    the_worker_is_notified_of_operations_that_are_to_be_sent,
    ShopOptions::default().terms(manual_capture())
);
async fn the_worker_is_notified_of_operations_that_are_to_be_sent(shop: &Shop) {
    let variant = shop.product().price(1000).stock(10).create().await;
    let cancelled = Sale::of(&shop.store, variant, "tok_ok").await;
    cancel(&cancelled).await;
    assert_eq!(notice(&shop.store), Some(cancelled.payment().await.id));

    let refunded = Sale::of(&shop.store, variant, "tok_ok").await;
    assert_eq!(refunded.run(OperationKind::Capture, Some(400)).await.0, 201);
    assert_eq!(refunded.run(OperationKind::Refund, Some(100)).await.0, 201);
    assert_eq!(notice(&shop.store), None, "nothing is to be sent");
    assert_eq!(refunded.run(OperationKind::Refund, None).await.0, 201);
    assert_eq!(notice(&shop.store), Some(refunded.payment().await.id), "the rest is voided");
}

on_both_engines!(the_worker_is_notified_of_the_refund_of_a_subscription);
async fn the_worker_is_notified_of_the_refund_of_a_subscription(shop: &Shop) {
    let monthly = shop.product().price(1500).stock(10).subscription().create().await;
    let user_id = Some(shop.customer().await);
    let cart_id = cart(&shop.store, user_id, &[(monthly, 1)]).await;
    let request = Checkout { user_id, ..checkout_request(cart_id, "tok_ok") };
    assert_eq!(submit(&shop.store, request, None).await.0, 201);
    let id = value(&shop.database, "SELECT id FROM subscriptions", &[]).await;
    let responder = Responder::new(None, Text(|_: &Subscription| String::new()));
    let cancel = SubscriptionChange::CancelAndRefund(Permissions::ALL);
    lifecycle::change_once(&shop.store, id, None, cancel, responder).await.unwrap();
    assert_eq!(notice(&shop.store), Some(value(&shop.database, "SELECT id FROM payments", &[]).await));
}
