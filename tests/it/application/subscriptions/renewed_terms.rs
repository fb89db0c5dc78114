//! What a renewal keeps of the order that began the subscription.

use std::collections::BTreeMap;

use undercroft::domain::address::Address;
use undercroft::domain::money::Currency;
use undercroft::domain::product::BillingInterval;
use undercroft::domain::shipping::{ShippingMethod, ShippingRate};
use undercroft::infrastructure::repositories::DatabaseError;

use super::*;
use crate::support::store::address;

/// Adds a shipping method that delivers everywhere.
async fn shipping_method(database: &Database, code: &'static str, cents: i64) {
    let done: Result<(), DatabaseError> = database
        .write((code, cents), async |work, &(code, cents)| {
            let rate =
                ShippingRate { country: None, currency: Currency::EUR, amount: cents, free_from: None };
            let method = ShippingMethod {
                id: work.id(),
                code: code.into(),
                name: code.into(),
                translations: BTreeMap::new(),
                tax_class: "standard".parse().unwrap(),
                position: cents,
                active: true,
                rates: vec![rate],
            };
            work.insert(&method).await
        })
        .await;
    done.unwrap();
}

/// Subscribes to a product with an invoice to another address and a shipping method that is not the cheapest.
async fn subscribe(shop: &Shop, token: &str) -> Sale {
    shipping_method(&shop.database, "post", 100).await;
    shipping_method(&shop.database, "courier", 900).await;
    let variant = shop.product().price(1500).stock(100).subscription().create().await;
    let user_id = shop.customer().await;
    let cart = cart(&shop.store, Some(user_id), &[(variant, 1)]).await;
    let request = Checkout {
        user_id: Some(user_id),
        billing_address: Some(Address { name: "Company".into(), ..address() }),
        shipping_method: Some("courier".into()),
        ..checkout_request(cart, token)
    };
    assert_eq!(submit(&shop.store, request, None).await.0, 201);
    let id = value(&shop.database, "SELECT id FROM orders", &[]).await;
    Sale { store: shop.store.clone(), variant, id }
}

/// Changes the price and the interval of the product.
const CHANGES: &[&str] =
    &["UPDATE variants SET prices = '{\"EUR\": 99900}'", "UPDATE products SET billing_interval = 'year'"];

on_both_engines!(a_renewal_has_the_agreed_price_addresses_and_shipping_method, ShopOptions::at(JANUARY_31));
async fn a_renewal_has_the_agreed_price_addresses_and_shipping_method(shop: &Shop) {
    let first = subscribe(shop, "tok_ok").await.order().await.order;
    execute(&shop.database, CHANGES).await;
    shop.clock().advance(SignedDuration::from_hours(24 * 28));
    assert_eq!(renew_subscriptions(&shop.store, shop.now()).await.unwrap(), 1);

    let sql = "SELECT id FROM orders WHERE subscription_id IS NOT NULL";
    let id = value(&shop.database, sql, &[]).await;
    let renewal = Sale { store: shop.store.clone(), variant: first.lines[0].variant_id, id };
    let renewal = renewal.order().await.order;
    assert_eq!(renewal.status, OrderStatus::Paid);
    assert_eq!((renewal.total, renewal.shipping), (first.total, first.shipping));
    assert_eq!(renewal.shipping_method.as_deref(), Some("courier"));
    assert_eq!(
        (&renewal.billing_address, &renewal.shipping_address),
        (&first.billing_address, &first.shipping_address)
    );
    assert_eq!(renewal.billing_address.name, "Company");
    assert_eq!(renewal.lines[0].billing_interval, Some(BillingInterval::Month));
}

on_both_engines!(a_subscription_is_what_was_ordered_when_its_payment_comes_late, ShopOptions::at(JANUARY_31));
async fn a_subscription_is_what_was_ordered_when_its_payment_comes_late(shop: &Shop) {
    let sale = subscribe(shop, "tok_requires_action").await;
    execute(&shop.database, CHANGES).await;
    execute(&shop.database, &["UPDATE products SET kind = 'physical', billing_interval = NULL"]).await;
    confirm_payment(&shop.store, sale.payment().await.id).await;
    refresh(&shop.store, sale.payment().await.id).await.unwrap();

    let id: SubscriptionId = value(&shop.database, "SELECT id FROM subscriptions", &[]).await;
    let begun: Subscription = shop.database.read().await.unwrap().find(id).await.unwrap().unwrap();
    assert_eq!((begun.interval, begun.unit_price.amount), (BillingInterval::Month, 1500));
}

on_both_engines!(a_renewal_without_its_shipping_method_has_the_cheapest, ShopOptions::at(JANUARY_31));
async fn a_renewal_without_its_shipping_method_has_the_cheapest(shop: &Shop) {
    subscribe(shop, "tok_ok").await;
    execute(&shop.database, &["UPDATE shipping_methods SET active = FALSE WHERE code = 'courier'"]).await;
    shop.clock().advance(SignedDuration::from_hours(24 * 28));
    assert_eq!(renew_subscriptions(&shop.store, shop.now()).await.unwrap(), 1);
    let sql = "SELECT shipping_method FROM orders WHERE subscription_id IS NOT NULL";
    assert_eq!(value::<String>(&shop.database, sql, &[]).await, "post");
}

on_both_engines!(a_renewal_that_cannot_be_charged_takes_the_place_of_no_other, ShopOptions::at(JANUARY_31));
async fn a_renewal_that_cannot_be_charged_takes_the_place_of_no_other(shop: &Shop) {
    subscribe(shop, "tok_ok").await;
    execute(&shop.database, &["UPDATE subscriptions SET provider = 'gone'"]).await;
    shop.clock().advance(SignedDuration::from_hours(24 * 28));
    let now = shop.now();
    assert_eq!(renew_subscriptions(&shop.store, now).await.unwrap(), 0);
    let sql = "SELECT COUNT(*) FROM subscriptions WHERE next_charge_at > $1 AND failed_attempts = 0";
    assert_eq!(value::<i64>(&shop.database, sql, &[now.into()]).await, 1, "it is retried later");
    execute(&shop.database, &["UPDATE subscriptions SET provider = 'sandbox'"]).await;
    shop.clock().advance(SignedDuration::from_mins(10));
    assert_eq!(renew_subscriptions(&shop.store, shop.now()).await.unwrap(), 1);
}
