//! Discounts: found by code, listed, and redeemed at most as often as their limit.

use undercroft::domain::discount::{Discount, DiscountKind};
use undercroft::domain::ids::{DiscountId, OrderId};
use undercroft::domain::money::{Currency, Money};
use undercroft::infrastructure::repositories::{DatabaseError, DiscountRepository};
use uuid::Uuid;

use super::{at, concurrently, insert, order, update};
use crate::support::{Shop, ShopOptions};

fn discount(number: u32, code: &str) -> Discount {
    let kind = DiscountKind::Percent { basis_points: 1_000 };
    Discount::new(DiscountId(Uuid::from_u128(number.into())), code.to_owned(), kind, at(number.into()))
}

async fn add(shop: &Shop, discount: &Discount) {
    insert(shop, discount).await.unwrap();
}

async fn find(shop: &Shop, id: DiscountId) -> Discount {
    shop.database.read().await.unwrap().find(id).await.unwrap().unwrap()
}

async fn redeem(shop: &Shop, id: DiscountId, order_id: OrderId, second: i64) -> Result<bool, DatabaseError> {
    let given = (id, order_id, at(second));
    let redeemed = shop.database.write(given, async |work, &(id, order_id, at)| {
        DiscountRepository::redeem(work, id, order_id, at).await
    });
    redeemed.await
}

async fn release(shop: &Shop, order_id: OrderId) -> bool {
    let released = shop
        .database
        .write(order_id, async |work, &order_id| DiscountRepository::release_use(work, order_id).await)
        .await;
    released.unwrap()
}

on_both_engines!(a_discount_is_found_by_any_spelling_of_its_code);
async fn a_discount_is_found_by_any_spelling_of_its_code(shop: &Shop) {
    let percent = discount(1, "Save10");
    let money = |amount| Money::new(amount, Currency::GBP);
    let fixed = Discount {
        kind: DiscountKind::Fixed { amount: money(500) },
        minimum: Some(money(2_000)),
        usage_limit: Some(3),
        starts_at: Some(at(1)),
        ends_at: Some(at(9)),
        active: false,
        ..discount(2, "FIVER")
    };
    for one in [&percent, &fixed] {
        add(shop, one).await;
        assert_eq!(find(shop, one.id).await, *one);
    }
    let mut connection = shop.database.read().await.unwrap();
    let mut discounts = DiscountRepository(&mut connection);
    assert_eq!(discounts.by_code(" ｓａｖｅ10 ").await.unwrap(), Some(percent));
    assert_eq!(discounts.by_code("fiver").await.unwrap(), Some(fixed));
    assert_eq!(discounts.by_code("tenner").await.unwrap(), None);
    let same = discount(3, "SAVE10");
    let taken = insert(shop, &same).await.unwrap_err();
    assert!(taken.is_taken("discounts_code"), "{taken}");
}

on_both_engines!(discounts_are_listed_newest_first_in_pages);
async fn discounts_are_listed_newest_first_in_pages(shop: &Shop) {
    for number in 1..=3 {
        add(shop, &discount(number, &format!("d{number}"))).await;
    }
    let mut connection = shop.database.read().await.unwrap();
    let mut discounts = DiscountRepository(&mut connection);
    let codes = |page: &[Discount]| page.iter().map(|one| one.code.clone()).collect::<Vec<_>>();
    let first = discounts.list(&shop.database.page_request(2, None)).await.unwrap();
    assert_eq!(codes(&first.items), ["d3", "d2"]);
    let request = shop.database.page_request(2, first.next.as_deref());
    let second = discounts.list(&request).await.unwrap();
    assert_eq!((codes(&second.items), second.next), (vec!["d1".to_owned()], None));
}

on_both_engines!(
    of_32_concurrent_redemptions_of_the_last_one_succeeds,
    ShopOptions::default().unchecked("the orders are rows without payments")
);
async fn of_32_concurrent_redemptions_of_the_last_one_succeeds(shop: &Shop) {
    let last = Discount { usage_limit: Some(5), used: 4, ..discount(1, "last") };
    add(shop, &last).await;
    let mut numbers = 1..;
    for round in 1..=5 {
        let mut orders = Vec::new();
        for _ in 0..32 {
            orders.push(order(shop, None, numbers.next().unwrap()).await);
        }
        let id = last.id;
        let redeemed = concurrently(shop, 32, |shop, number| {
            let order_id = orders[number];
            async move { redeem(&shop, id, order_id, 0).await.unwrap() }
        })
        .await;
        assert_eq!((redeemed, find(shop, id).await.used), (1, 5), "round {round}");
        let released = concurrently(shop, 64, |shop, number| {
            let order_id = orders[number / 2];
            async move { release(&shop, order_id).await }
        })
        .await;
        assert_eq!((released, find(shop, id).await.used), (1, 4), "round {round}");
    }
}

on_both_engines!(
    a_discount_is_redeemed_only_while_active_and_in_its_period,
    ShopOptions::default().unchecked("the orders are rows without payments")
);
async fn a_discount_is_redeemed_only_while_active_and_in_its_period(shop: &Shop) {
    let lasting = Discount { starts_at: Some(at(10)), ends_at: Some(at(20)), ..discount(1, "lasting") };
    let off = Discount { active: false, ..discount(2, "off") };
    for one in [&lasting, &off] {
        add(shop, one).await;
    }
    let mut orders = Vec::new();
    for number in 1..=4 {
        orders.push(order(shop, None, number).await);
    }
    for (second, may) in [(9, false), (10, true), (19, true), (20, false)] {
        let order_id = orders.pop().unwrap();
        assert_eq!(redeem(shop, lasting.id, order_id, second).await.unwrap(), may, "at {second}");
        assert!(!redeem(shop, off.id, order_id, second).await.unwrap());
    }
    assert_eq!((find(shop, lasting.id).await.used, find(shop, off.id).await.used), (2, 0));
}

on_both_engines!(
    an_order_redeems_a_discount_once,
    ShopOptions::default().unchecked("the orders are rows without payments")
);
async fn an_order_redeems_a_discount_once(shop: &Shop) {
    let twice = discount(1, "twice");
    add(shop, &twice).await;
    let order_id = order(shop, None, 1).await;
    assert!(redeem(shop, twice.id, order_id, 0).await.unwrap());
    assert!(matches!(redeem(shop, twice.id, order_id, 0).await, Err(DatabaseError::Taken { .. })));
    assert_eq!(find(shop, twice.id).await.used, 1, "the second one is rolled back");
    assert!(release(shop, order_id).await);
    assert!(!release(shop, order_id).await);
    assert_eq!(find(shop, twice.id).await.used, 0);
}

on_both_engines!(
    an_update_keeps_the_number_of_redemptions,
    ShopOptions::default().unchecked("the orders are rows without payments")
);
async fn an_update_keeps_the_number_of_redemptions(shop: &Shop) {
    let read = Discount { usage_limit: Some(2), ..discount(1, "edited") };
    add(shop, &read).await;
    let order_id = order(shop, None, 1).await;
    assert!(redeem(shop, read.id, order_id, 0).await.unwrap());
    let save = async |edited: Discount| update(shop, edited).await;
    save(Discount { code: "renamed".into(), ..read.clone() }).await.unwrap();
    let now = find(shop, read.id).await;
    assert_eq!((now.code.as_str(), now.used, now.version), ("renamed", 1, 2));
    assert!(matches!(save(read.clone()).await, Err(DatabaseError::Stale { table: "discounts" })));
    let second = order(shop, None, 2).await;
    assert!(redeem(shop, read.id, second, 0).await.unwrap());
    let below = save(Discount { usage_limit: Some(1), ..now }).await.unwrap_err();
    assert!(below.is_check("discounts_within_limit"), "{below}");
}
