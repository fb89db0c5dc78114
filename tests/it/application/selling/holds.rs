//! What buyers hold with orders that are not paid is limited, and ends with the reservation.

use std::net::IpAddr;

use jiff::SignedDuration;
use undercroft::application::Terms;
use undercroft::application::selling::checkout::Checkout;
use undercroft::application::selling::holds::{HoldLimit, HoldLimits};
use undercroft::domain::ids::{UserId, VariantId};
use undercroft::domain::order::OrderStatus;

use crate::support::http::{cart_of, checkout_body, faults};
use crate::support::orders::{Sale, checkout_request, recover_payments, stock, submit};
use crate::support::store::{cart, confirm_payment, terms, value};
use crate::support::{Shop, ShopOptions};

/// Five orders and twelve pieces of an address, three orders and eight pieces of a user, ten pieces of an order; a
/// guest holds for 15 minutes.
fn limited() -> Terms {
    let holds = HoldLimits {
        address: HoldLimit { orders: 5, pieces: 12 },
        user: HoldLimit { orders: 3, pieces: 8 },
        pieces_per_order: 10,
    };
    Terms { holds: Some(holds), guest_reservation: SignedDuration::from_mins(15), ..terms() }
}

fn options() -> ShopOptions {
    ShopOptions::manual_clock().terms(limited())
}

/// Checks out pieces with a payment that waits for a confirmation; returns the status and the body.
async fn hold(
    shop: &Shop,
    address: &str,
    user_id: Option<UserId>,
    variant: VariantId,
    pieces: i64,
) -> (u16, String) {
    let cart_id = cart(&shop.store, user_id, &[(variant, pieces)]).await;
    let client: IpAddr = address.parse().unwrap();
    let request =
        Checkout { client: Some(client), user_id, ..checkout_request(cart_id, "tok_requires_action") };
    submit(&shop.store, request, None).await
}

async fn holds(shop: &Shop) -> i64 {
    value(&shop.database, "SELECT COUNT(*) FROM holds", &[]).await
}

fn refused() -> (u16, String) {
    (429, "hold_limit".into())
}

on_both_engines!(of_50_concurrent_checkouts_of_an_address_5_hold_stock_and_others_still_buy, options());
async fn of_50_concurrent_checkouts_of_an_address_5_hold_stock_and_others_still_buy(shop: &Shop) {
    let variant = shop.product().price(1000).stock(500).create().await;
    let checkouts: Vec<_> = (0..50)
        .map(|number| {
            let shop = shop.clone();
            let address = format!("2001:db8:0:1::{number:x}");
            tokio::spawn(async move { hold(&shop, &address, None, variant, 1).await })
        })
        .collect();
    let (mut held, mut other) = (0, Vec::new());
    for checkout in checkouts {
        match checkout.await.unwrap() {
            (201, _) => held += 1,
            outcome => other.push(outcome),
        }
    }
    assert_eq!((held, other), (5, vec![refused(); 45]));
    assert_eq!(stock(&shop.database, variant).await, (500, 5));
    assert_eq!(hold(shop, "2001:db8:0:2::1", None, variant, 1).await.0, 201, "another network");
    assert_eq!(hold(shop, "192.0.2.1", None, variant, 1).await.0, 201);
}

on_both_engines!(the_pieces_of_an_address_and_of_an_order_are_limited, options());
async fn the_pieces_of_an_address_and_of_an_order_are_limited(shop: &Shop) {
    let variant = shop.product().price(1000).stock(500).create().await;
    assert_eq!(hold(shop, "192.0.2.1", None, variant, 11).await, (422, "validation".into()));
    let guest = shop.server().await.guest();
    let path = format!("{}/checkout", cart_of(&guest, variant, 11).await);
    let refused_by_cart = guest.post(&path, checkout_body("tok_ok")).await;
    assert_eq!(refused_by_cart.faults(), faults([("", "too_many_pieces")]));
    assert_eq!(hold(shop, "192.0.2.1", None, variant, 10).await.0, 201);
    assert_eq!(hold(shop, "192.0.2.1", None, variant, 3).await, refused());
    assert_eq!(hold(shop, "192.0.2.1", None, variant, 2).await.0, 201);
    assert_eq!(stock(&shop.database, variant).await, (500, 12));
}

on_both_engines!(a_user_is_limited_at_all_addresses, options());
async fn a_user_is_limited_at_all_addresses(shop: &Shop) {
    let variant = shop.product().price(1000).stock(500).create().await;
    let user = Some(shop.customer().await);
    for number in 1..=3 {
        assert_eq!(hold(shop, &format!("192.0.2.{number}"), user, variant, 1).await.0, 201);
    }
    assert_eq!(hold(shop, "192.0.2.4", user, variant, 1).await, refused());
    assert_eq!(hold(shop, "192.0.2.4", None, variant, 1).await.0, 201);
    let other = Some(shop.customer().await);
    assert_eq!(hold(shop, "192.0.2.4", other, variant, 8).await.0, 201);
    assert_eq!(hold(shop, "192.0.2.5", other, variant, 1).await, refused());
}

on_both_engines!(a_hold_ends_when_its_order_is_paid_or_cancelled, options());
async fn a_hold_ends_when_its_order_is_paid_or_cancelled(shop: &Shop) {
    let variant = shop.product().price(1000).stock(500).create().await;
    let mut sales = Vec::new();
    for _ in 0..5 {
        let (_, body) = hold(shop, "192.0.2.1", None, variant, 2).await;
        let id = body.split(' ').next().unwrap().parse().unwrap();
        sales.push(Sale { store: shop.store.clone(), variant, id });
    }
    assert_eq!(hold(shop, "192.0.2.1", None, variant, 1).await, refused());
    assert_eq!(holds(shop).await, 5);

    sales[0].cancel().await;
    assert!(confirm_payment(&shop.store, sales[1].payment().await.id).await);
    sales[1].recover().await;
    assert_eq!(sales[1].order().await.order.status, OrderStatus::Paid);
    assert_eq!(holds(shop).await, 3);
    assert_eq!(hold(shop, "192.0.2.1", None, variant, 2).await.0, 201);
}

on_both_engines!(a_guest_holds_for_a_shorter_time_than_a_user, options());
async fn a_guest_holds_for_a_shorter_time_than_a_user(shop: &Shop) {
    let variant = shop.product().price(1000).stock(500).create().await;
    let user = Some(shop.customer().await);
    for user_id in [None, user] {
        assert_eq!(hold(shop, "192.0.2.1", user_id, variant, 4).await.0, 201);
    }
    for (minutes, reserved, left) in [(14, 8, 3), (1, 4, 2), (14, 4, 2), (1, 0, 0)] {
        shop.clock().advance(SignedDuration::from_mins(minutes));
        for _ in 0..2 {
            recover_payments(&shop.store, shop.now()).await.unwrap();
        }
        assert_eq!(stock(&shop.database, variant).await, (500, reserved));
        assert_eq!(holds(shop).await, left);
    }
}

on_both_engines!(the_response_says_when_the_first_hold_ends, options());
async fn the_response_says_when_the_first_hold_ends(shop: &Shop) {
    let variant = shop.product().price(1000).stock(500).create().await;
    let server = shop.server().await;
    let guest = server.guest();
    for _ in 0..5 {
        let cart = cart_of(&guest, variant, 1).await;
        guest.post(&format!("{cart}/checkout"), checkout_body("tok_requires_action")).await.expect(201);
    }
    let cart = cart_of(&guest, variant, 1).await;
    let refused = guest.post(&format!("{cart}/checkout"), checkout_body("tok_requires_action")).await;
    assert_eq!(refused.problem(429), "hold_limit");
    assert_eq!(refused.header("retry-after"), "901");
    let ends_at = shop.now() + SignedDuration::from_mins(15);
    assert_eq!(refused.json()["ends_at"], ends_at.to_string());
}
