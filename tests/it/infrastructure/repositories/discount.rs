//! Discounts: found by code, and never used more often than they may be, whoever asks at once.

use undercroft::domain::discount::{Discount, DiscountKind};
use undercroft::domain::ids::{DiscountId, OrderId};
use undercroft::domain::money::{Currency, Money};
use undercroft::infrastructure::repositories::{DatabaseError, DiscountRepository};
use uuid::Uuid;

use super::{at, at_once, order};
use crate::support::{TestDatabase, on_each_engine};

fn discount(number: u32, code: &str) -> Discount {
    Discount {
        id: DiscountId(Uuid::from_u128(number.into())),
        code: code.to_owned(),
        kind: DiscountKind::Percent { basis_points: 1_000 },
        minimum: None,
        usage_limit: None,
        used: 0,
        starts_at: None,
        ends_at: None,
        active: true,
        version: 1,
        created_at: at(number.into()),
        updated_at: at(0),
    }
}

async fn add(test: &TestDatabase, discount: &Discount) {
    within!(test, work, discount => work.insert(&discount).await).unwrap();
}

async fn find(test: &TestDatabase, id: DiscountId) -> Discount {
    test.database.read().await.unwrap().find(id).await.unwrap().unwrap()
}

async fn take(
    test: &TestDatabase,
    id: DiscountId,
    order_id: OrderId,
    second: i64,
) -> Result<bool, DatabaseError> {
    within!(test, work =>
        DiscountRepository::redeem(work, id, order_id, at(second)).await)
}

async fn give_back(test: &TestDatabase, order_id: OrderId) -> bool {
    within!(test, work => DiscountRepository::release_use(work, order_id).await).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_discount_is_found_as_it_was_written_by_any_spelling() {
    on_each_engine(|test| async move {
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
            add(&test, one).await;
            assert_eq!(find(&test, one.id).await, *one);
        }
        let mut connection = test.database.read().await.unwrap();
        let mut discounts = DiscountRepository(&mut connection);
        assert_eq!(discounts.by_code(" ｓａｖｅ10 ").await.unwrap(), Some(percent));
        assert_eq!(discounts.by_code("fiver").await.unwrap(), Some(fixed));
        assert_eq!(discounts.by_code("tenner").await.unwrap(), None);
        let same = discount(3, "SAVE10");
        let taken = within!(test, work, same => work.insert(&same).await).unwrap_err();
        assert!(taken.is_taken("discounts_code"), "{taken}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_newest_first_and_goes_on_where_it_ended() {
    on_each_engine(|test| async move {
        for number in 1..=3 {
            add(&test, &discount(number, &format!("d{number}"))).await;
        }
        let cursors = test.database.cursor_key().cursors("discounts");
        let mut connection = test.database.read().await.unwrap();
        let mut discounts = DiscountRepository(&mut connection);
        let codes = |page: &[Discount]| page.iter().map(|one| one.code.clone()).collect::<Vec<_>>();
        let first = discounts.list(2, None, &cursors).await.unwrap();
        assert_eq!(codes(&first.items), ["d3", "d2"]);
        let after = cursors.decode(&first.next.unwrap()).unwrap();
        let second = discounts.list(2, Some(after), &cursors).await.unwrap();
        assert_eq!((codes(&second.items), second.next), (vec!["d1".to_owned()], None));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_32_who_want_the_last_use_one_gets_it() {
    on_each_engine(|test| async move {
        let last = Discount { usage_limit: Some(5), used: 4, ..discount(1, "last") };
        add(&test, &last).await;
        let mut numbers = 1..;
        for round in 1..=5 {
            let mut orders = Vec::new();
            for _ in 0..32 {
                orders.push(order(&test, None, numbers.next().unwrap()).await);
            }
            let id = last.id;
            let taken = at_once(&test, 32, |test, number| {
                let order_id = orders[number];
                async move { take(&test, id, order_id, 0).await.unwrap() }
            })
            .await;
            assert_eq!((taken, find(&test, id).await.used), (1, 5), "round {round}");
            let given = at_once(&test, 64, |test, number| {
                let order_id = orders[number / 2];
                async move { give_back(&test, order_id).await }
            })
            .await;
            assert_eq!((given, find(&test, id).await.used), (1, 4), "round {round}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_use_is_taken_only_while_the_discount_lasts_and_is_on() {
    on_each_engine(|test| async move {
        let lasting = Discount { starts_at: Some(at(10)), ends_at: Some(at(20)), ..discount(1, "lasting") };
        let off = Discount { active: false, ..discount(2, "off") };
        for one in [&lasting, &off] {
            add(&test, one).await;
        }
        let mut orders = Vec::new();
        for number in 1..=4 {
            orders.push(order(&test, None, number).await);
        }
        for (second, may) in [(9, false), (10, true), (19, true), (20, false)] {
            let order_id = orders.pop().unwrap();
            assert_eq!(take(&test, lasting.id, order_id, second).await.unwrap(), may, "at {second}");
            assert!(!take(&test, off.id, order_id, second).await.unwrap());
        }
        assert_eq!((find(&test, lasting.id).await.used, find(&test, off.id).await.used), (2, 0));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_takes_no_second_use() {
    on_each_engine(|test| async move {
        let twice = discount(1, "twice");
        add(&test, &twice).await;
        let order_id = order(&test, None, 1).await;
        assert!(take(&test, twice.id, order_id, 0).await.unwrap());
        assert!(matches!(take(&test, twice.id, order_id, 0).await, Err(DatabaseError::Taken { .. })));
        assert_eq!(find(&test, twice.id).await.used, 1, "the second left no trace");
        assert!(give_back(&test, order_id).await);
        assert!(!give_back(&test, order_id).await);
        assert_eq!(find(&test, twice.id).await.used, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_does_not_undo_a_use() {
    on_each_engine(|test| async move {
        let read = Discount { usage_limit: Some(2), ..discount(1, "edited") };
        add(&test, &read).await;
        let order_id = order(&test, None, 1).await;
        assert!(take(&test, read.id, order_id, 0).await.unwrap());
        let save = async |edited: Discount| {
            within!(test, work, edited => {
                let mut edited = edited;
                work.update(&mut edited).await
            })
        };
        save(Discount { code: "renamed".into(), ..read.clone() }).await.unwrap();
        let now = find(&test, read.id).await;
        assert_eq!((now.code.as_str(), now.used, now.version), ("renamed", 1, 2));
        assert!(matches!(save(read.clone()).await, Err(DatabaseError::Stale { table: "discounts" })));
        let second = order(&test, None, 2).await;
        assert!(take(&test, read.id, second, 0).await.unwrap());
        let below = save(Discount { usage_limit: Some(1), ..now }).await.unwrap_err();
        assert!(below.is_check("discounts_within_limit"), "{below}");
    })
    .await;
}
