//! Subscriptions: one charge a period, dunning after a failed charge, and pauses, resumptions and cancellations.

mod cancelled_orders;
mod outages;
mod renewed_terms;

use jiff::{SignedDuration, Timestamp};
use undercroft::application::Store;
use undercroft::application::idempotency::Responder;
use undercroft::application::payments::gateway_calls::refresh;
use undercroft::application::selling::checkout::Checkout;
use undercroft::application::subscriptions::lifecycle::{SubscriptionChange, change_once};
use undercroft::application::subscriptions::renewals::renew;
use undercroft::domain::ids::{OrderId, SubscriptionId, VariantId};
use undercroft::domain::order::OrderStatus;
use undercroft::domain::payment::PaymentStatus;
use undercroft::domain::placed_order::PlacedOrder;
use undercroft::domain::subscription::{Subscription, SubscriptionStatus};
use undercroft::infrastructure::exceptions::{Failure, Kind, SubscriptionExpiredException};
use undercroft::infrastructure::repositories::{Database, StoredResponse};

use crate::support::orders::{
    Sale, assert_consistent, checkout_request, recover_payments, renew_subscriptions, stock, submit,
};
use crate::support::store::{Text, cart, confirm_payment, execute, value};
use crate::support::{Shop, ShopOptions};

/// The first time of the tests: a month later there is no 31st.
const JANUARY_31: &str = "2026-01-31T12:00:00Z";

/// Changes a subscription.
async fn change(
    store: &Store,
    id: SubscriptionId,
    change: SubscriptionChange,
) -> Result<StoredResponse, Failure> {
    change_once(store, id, None, change, Responder::new(None, Text(|_: &Subscription| String::new()))).await
}

/// A shop whose only subscription costs 15.00 EUR a month.
struct Subscribed {
    shop: Shop,
    store: Store,
    variant: VariantId,
    id: SubscriptionId,
}

impl Subscribed {
    async fn begin(shop: &Shop) -> Self {
        let (store, database) = (shop.store.clone(), &shop.database);
        let variant = shop.product().price(1500).stock(100).subscription().create().await;
        let user_id = shop.customer().await;
        let cart = cart(&store, Some(user_id), &[(variant, 1)]).await;
        let request = Checkout { user_id: Some(user_id), ..checkout_request(cart, "tok_ok") };
        assert_eq!(submit(&store, request, None).await.0, 201);
        let id = value(database, "SELECT id FROM subscriptions", &[]).await;
        Self { shop: shop.clone(), store, variant, id }
    }

    fn database(&self) -> &Database {
        self.store.database()
    }

    fn now(&self) -> Timestamp {
        self.database().context().clock.now()
    }

    /// Advances the clock day by day, and recovers payments and renews subscriptions on each day.
    async fn live(&self, days: i64) {
        for _ in 0..days {
            self.shop.clock().advance(SignedDuration::from_hours(24));
            recover_payments(&self.store, self.now()).await.unwrap();
            renew_subscriptions(&self.store, self.now()).await.unwrap();
        }
    }

    /// Renews the subscription after a month with a payment that waits for its confirmation.
    async fn pending_renewal(&self) -> PlacedOrder {
        self.sql(&["UPDATE subscriptions SET token = 'tok_requires_action'"]).await;
        self.shop.clock().advance(SignedDuration::from_hours(24 * 28));
        renew_subscriptions(&self.store, self.now()).await.unwrap();
        let pending = self.sale(self.last_order().await).order().await;
        assert_eq!(pending.payment.status, PaymentStatus::RequiresAction);
        pending
    }

    async fn sql(&self, statements: &'static [&'static str]) {
        execute(self.database(), statements).await;
    }

    async fn number(&self, sql: &str) -> i64 {
        value(self.database(), sql, &[]).await
    }

    async fn current(&self) -> Subscription {
        self.database().read().await.unwrap().find(self.id).await.unwrap().unwrap()
    }

    async fn status(&self) -> String {
        value(self.database(), "SELECT status FROM subscriptions", &[]).await
    }

    async fn pause(&self) -> Result<StoredResponse, Failure> {
        change(&self.store, self.id, SubscriptionChange::Pause).await
    }

    async fn resume(&self) -> Result<StoredResponse, Failure> {
        change(&self.store, self.id, SubscriptionChange::Resume).await
    }

    async fn cancel(&self) -> Result<StoredResponse, Failure> {
        change(&self.store, self.id, SubscriptionChange::Cancel).await
    }

    /// An order of the subscription.
    fn sale(&self, id: OrderId) -> Sale {
        Sale { store: self.store.clone(), variant: self.variant, id }
    }

    /// The order of the last period.
    async fn last_order(&self) -> OrderId {
        let sql = "SELECT order_id FROM subscription_periods ORDER BY period DESC LIMIT 1";
        value(self.database(), sql, &[]).await
    }

    async fn paid_periods(&self) -> i64 {
        self.number("SELECT COUNT(*) FROM subscription_periods WHERE status = 'paid'").await
    }

    /// Asserts that no day is paid twice and that the data is consistent.
    async fn check(&self) {
        let paid_twice = "SELECT COUNT(*) FROM subscription_periods a JOIN subscription_periods b \
                          ON a.period < b.period AND a.ends_at > b.starts_at \
                          WHERE a.status = 'paid' AND b.status = 'paid'";
        assert_eq!(self.number(paid_twice).await, 0, "a day is paid twice");
        assert_consistent(self.database()).await;
    }
}

on_both_engines!(a_period_of_a_subscription_is_charged_once_by_32_workers, ShopOptions::at(JANUARY_31));
async fn a_period_of_a_subscription_is_charged_once_by_32_workers(shop: &Shop) {
    let subscribed = Subscribed::begin(shop).await;
    assert!(!renew(&subscribed.store, subscribed.id).await.unwrap(), "not due yet");
    subscribed.shop.clock().advance(SignedDuration::from_hours(24 * 28));
    let workers = (0..32).map(|_| {
        let (store, id) = (subscribed.store.clone(), subscribed.id);
        tokio::spawn(async move { renew(&store, id).await.unwrap() })
    });
    let mut charged = 0;
    for worker in workers.collect::<Vec<_>>() {
        charged += i64::from(worker.await.unwrap());
    }
    assert_eq!(charged, 1);
    assert_eq!(subscribed.number("SELECT COUNT(*) FROM orders").await, 2);
    assert!(subscribed.current().await.paid_until > subscribed.now());
    subscribed.check().await;
}

on_both_engines!(a_subscription_whose_charges_fail_expires_after_four, ShopOptions::at(JANUARY_31));
async fn a_subscription_whose_charges_fail_expires_after_four(shop: &Shop) {
    let subscribed = Subscribed::begin(shop).await;
    subscribed.sql(&["UPDATE subscriptions SET token = 'tok_declined'"]).await;
    let mut states = Vec::new();
    for days in [28, 1, 3, 5, 30] {
        subscribed.live(days).await;
        states.push(subscribed.status().await);
    }
    assert_eq!(states, ["past_due", "past_due", "past_due", "expired", "expired"]);
    assert_eq!(subscribed.number("SELECT COUNT(*) FROM payments WHERE status = 'failed'").await, 4);
    assert_eq!(stock(subscribed.database(), subscribed.variant).await, (99, 0));
    for refused in [subscribed.pause().await, subscribed.resume().await, subscribed.cancel().await] {
        assert!(refused.unwrap_err().is::<SubscriptionExpiredException>());
    }
    subscribed.check().await;
}

on_both_engines!(
    a_renewal_whose_provider_is_not_configured_is_not_a_failed_charge,
    ShopOptions::at(JANUARY_31)
);
async fn a_renewal_whose_provider_is_not_configured_is_not_a_failed_charge(shop: &Shop) {
    let subscribed = Subscribed::begin(shop).await;
    subscribed.sql(&["UPDATE subscriptions SET provider = 'removed'"]).await;
    subscribed.shop.clock().advance(SignedDuration::from_hours(24 * 28));
    let failure = renew(&subscribed.store, subscribed.id).await.unwrap_err();
    assert_eq!(failure.kind(), Kind::Internal);
    let subscription = subscribed.current().await;
    assert_eq!((subscription.status, subscription.failed_attempts), (SubscriptionStatus::Active, 0));
    assert!(subscription.next_charge_at.is_some_and(|at| at <= subscribed.now()), "it is still due");

    subscribed.sql(&["UPDATE subscriptions SET provider = 'sandbox'"]).await;
    assert!(renew(&subscribed.store, subscribed.id).await.unwrap());
    subscribed.check().await;
}

on_both_engines!(a_subscription_is_paused_while_its_charge_is_settled, ShopOptions::at(JANUARY_31));
async fn a_subscription_is_paused_while_its_charge_is_settled(shop: &Shop) {
    let subscribed = Subscribed::begin(shop).await;
    for _ in 0..4 {
        subscribed.shop.clock().advance(SignedDuration::from_hours(24 * 31));
        let (renewed, paused) = tokio::join!(renew(&subscribed.store, subscribed.id), subscribed.pause());
        renewed.unwrap();
        let stale = paused.is_err_and(|failure| failure.code() == "stale");
        if stale {
            subscribed.pause().await.unwrap();
        }
        assert_eq!(subscribed.status().await, "paused");
        subscribed.live(1).await;
        subscribed.check().await;
        subscribed.resume().await.unwrap();
    }
}

on_both_engines!(a_retried_charge_does_not_change_the_periods_of_a_year, ShopOptions::at(JANUARY_31));
async fn a_retried_charge_does_not_change_the_periods_of_a_year(shop: &Shop) {
    let subscribed = Subscribed::begin(shop).await;
    subscribed.sql(&["UPDATE subscriptions SET token = 'tok_declined'"]).await;
    subscribed.live(30).await;
    assert_eq!(subscribed.status().await, "past_due");
    let until = subscribed.current().await.paid_until;
    subscribed.sql(&["UPDATE subscriptions SET token = 'tok_ok'"]).await;
    subscribed.resume().await.unwrap();
    assert_eq!(subscribed.current().await.paid_until, until, "the period is charged from its beginning");
    renew_subscriptions(&subscribed.store, subscribed.now()).await.unwrap();
    assert_eq!((subscribed.status().await.as_str(), subscribed.paid_periods().await), ("active", 2));
    subscribed.live(335).await;
    assert_eq!(subscribed.paid_periods().await, 13);
    subscribed.check().await;
}

on_both_engines!(a_pause_cancels_the_pending_charge, ShopOptions::at(JANUARY_31));
async fn a_pause_cancels_the_pending_charge(shop: &Shop) {
    let subscribed = Subscribed::begin(shop).await;
    let pending = subscribed.pending_renewal().await;
    subscribed.pause().await.unwrap();
    confirm_payment(&subscribed.store, pending.payment.id).await;
    subscribed.live(100).await;
    let cancelled = subscribed.sale(pending.order.id).order().await;
    assert_eq!(cancelled.order.status, OrderStatus::Cancelled);
    assert_eq!((subscribed.status().await.as_str(), subscribed.paid_periods().await), ("paused", 1));
    subscribed.check().await;

    subscribed.sql(&["UPDATE subscriptions SET token = 'tok_ok'"]).await;
    subscribed.resume().await.unwrap();
    subscribed.live(1).await;
    assert_eq!(subscribed.paid_periods().await, 2);
    subscribed.live(180).await;
    assert_eq!(subscribed.paid_periods().await, 7, "periods begin on the day of the resumption");
    subscribed.check().await;
}

on_both_engines!(a_subscription_cancelled_during_a_charge_refunds_it, ShopOptions::at(JANUARY_31));
async fn a_subscription_cancelled_during_a_charge_refunds_it(shop: &Shop) {
    let subscribed = Subscribed::begin(shop).await;
    let pending = subscribed.pending_renewal().await;
    subscribed.cancel().await.unwrap();
    confirm_payment(&subscribed.store, pending.payment.id).await;
    refresh(&subscribed.store, pending.payment.id).await.unwrap();
    subscribed.live(60).await;
    assert_eq!((subscribed.status().await.as_str(), subscribed.paid_periods().await), ("cancelled", 1));
    let charge = subscribed.sale(pending.order.id).order().await;
    assert_eq!(charge.payment.captured.amount, charge.payment.refunded.amount);
    subscribed.check().await;
}

on_both_engines!(missed_periods_are_not_charged_later, ShopOptions::at(JANUARY_31));
async fn missed_periods_are_not_charged_later(shop: &Shop) {
    let subscribed = Subscribed::begin(shop).await;
    subscribed.shop.clock().advance(SignedDuration::from_hours(24 * 120));
    for _ in 0..5 {
        renew_subscriptions(&subscribed.store, subscribed.now()).await.unwrap();
    }
    assert_eq!(subscribed.paid_periods().await, 2, "one charge for five months");
    assert!(subscribed.current().await.paid_until > subscribed.now());
    subscribed.live(62).await;
    assert_eq!(subscribed.paid_periods().await, 4);
    subscribed.check().await;
}

/// Asserts that no charge counts as failed while this fault lasts, and that it is charged once it is repaired.
async fn does_not_count_as_a_failed_charge(
    shop: &Shop,
    fault: &'static [&'static str],
    repair: &'static [&'static str],
) {
    let subscribed = Subscribed::begin(shop).await;
    subscribed.sql(fault).await;
    subscribed.live(60).await;
    let subscription = subscribed.current().await;
    assert_eq!((subscription.status, subscription.failed_attempts), (SubscriptionStatus::Active, 0));
    subscribed.sql(repair).await;
    subscribed.live(1).await;
    assert_eq!(subscribed.paid_periods().await, 2, "charged once the fault is repaired");
    subscribed.check().await;
}

on_both_engines!(a_failed_check_of_the_database_is_no_failed_charge, ShopOptions::at(JANUARY_31));
async fn a_failed_check_of_the_database_is_no_failed_charge(shop: &Shop) {
    let fault = &["ALTER TABLE reservations ADD COLUMN extra TEXT CHECK (extra IS NOT NULL OR quantity > 1)"];
    does_not_count_as_a_failed_charge(shop, fault, &["ALTER TABLE reservations DROP COLUMN extra"]).await;
}

on_both_engines!(a_number_that_is_taken_is_no_failed_charge, ShopOptions::at(JANUARY_31));
async fn a_number_that_is_taken_is_no_failed_charge(shop: &Shop) {
    let fault = &["UPDATE counters SET value = 0 WHERE name = 'order'"];
    let repair = &["UPDATE counters SET value = 1 WHERE name = 'order'"];
    does_not_count_as_a_failed_charge(shop, fault, repair).await;
}

on_both_engines!(an_invalid_price_is_no_failed_charge, ShopOptions::at(JANUARY_31));
async fn an_invalid_price_is_no_failed_charge(shop: &Shop) {
    let fault = &[
        "INSERT INTO shipping_methods (id, code, name, translations, tax_class, position, active, rates) \
           SELECT id, 'post', 'Post', '{}', 'standard', 1, TRUE, \
           '[{\"country\": null, \"currency\": \"EUR\", \"amount\": -100, \"free_from\": null}]' FROM variants",
    ];
    let repair = &["DELETE FROM shipping_methods"];
    does_not_count_as_a_failed_charge(shop, fault, repair).await;
}

/// Asserts that a renewal that is refused for this reason counts as a failed charge.
async fn counts_as_a_failed_charge(shop: &Shop, reason: &'static [&'static str]) {
    let subscribed = Subscribed::begin(shop).await;
    subscribed.sql(reason).await;
    subscribed.live(28).await;
    assert_eq!(subscribed.status().await, "past_due");
    let next = subscribed.current().await.next_charge_at.unwrap();
    assert!(next > subscribed.now(), "the next attempt is later");
    subscribed.live(60).await;
    assert_eq!(subscribed.status().await, "expired");
    let changes = subscribed.number("SELECT COUNT(*) FROM outbox WHERE type = 'subscription.changed'").await;
    assert_eq!(changes, 5, "the beginning and four failed charges");
    subscribed.check().await;
}

on_both_engines!(a_renewal_of_an_inactive_product_counts_as_a_failed_charge, ShopOptions::at(JANUARY_31));
async fn a_renewal_of_an_inactive_product_counts_as_a_failed_charge(shop: &Shop) {
    counts_as_a_failed_charge(shop, &["UPDATE products SET active = FALSE"]).await;
}

on_both_engines!(a_renewal_without_stock_counts_as_a_failed_charge, ShopOptions::at(JANUARY_31));
async fn a_renewal_without_stock_counts_as_a_failed_charge(shop: &Shop) {
    counts_as_a_failed_charge(shop, &["UPDATE inventory SET stock = 0"]).await;
}

on_both_engines!(a_renewal_below_the_minimum_age_counts_as_a_failed_charge, ShopOptions::at(JANUARY_31));
async fn a_renewal_below_the_minimum_age_counts_as_a_failed_charge(shop: &Shop) {
    counts_as_a_failed_charge(shop, &["UPDATE products SET minimum_age = 18"]).await;
}

on_both_engines!(a_renewal_without_its_provider_is_no_failed_charge, ShopOptions::at(JANUARY_31));
async fn a_renewal_without_its_provider_is_no_failed_charge(shop: &Shop) {
    let fault = &["UPDATE subscriptions SET provider = 'gone'"];
    let repair = &["UPDATE subscriptions SET provider = 'sandbox'"];
    does_not_count_as_a_failed_charge(shop, fault, repair).await;
}
