//! Stock under races: never more reserved than there is, whoever asks at once.

use std::future::Future;
use std::sync::Arc;

use undercroft::domain::ids::{OrderId, VariantId};
use undercroft::domain::product::Stock;
use undercroft::infrastructure::repositories::{DatabaseError, InventoryRepository, ReserveError, StockSet};

use super::{insert, product, write};
use crate::support::{TestDatabase, on_each_engine};

fn order(test: &TestDatabase) -> OrderId {
    OrderId(test.database.context().ids.uuid())
}

/// Variants of one product with this stock each, in the order of their ids.
async fn variants<const N: usize>(test: &TestDatabase, stock: i64) -> [VariantId; N] {
    let product = product(test, "Thing", &[100; N]);
    insert(test, &product).await.unwrap();
    let mut ids: Vec<_> = product.variants.iter().map(|variant| variant.id).collect();
    ids.sort();
    for &id in &ids {
        set(test, id, stock, None).await.unwrap();
    }
    ids.try_into().unwrap()
}

async fn reserve(
    test: &TestDatabase,
    order: OrderId,
    lines: &[(VariantId, i64)],
) -> Result<Vec<VariantId>, ReserveError> {
    let lines = lines.to_vec();
    write(&test.database, move |work| {
        let lines = lines.clone();
        Box::pin(async move { InventoryRepository::reserve(work, order, &lines).await })
    })
    .await
}

async fn commit(test: &TestDatabase, order: OrderId) {
    write::<_, DatabaseError, _>(&test.database, move |work| {
        Box::pin(InventoryRepository::commit(work, order))
    })
    .await
    .unwrap();
}

async fn release(test: &TestDatabase, order: OrderId) {
    write::<_, DatabaseError, _>(&test.database, move |work| {
        Box::pin(InventoryRepository::release(work, order))
    })
    .await
    .unwrap();
}

async fn set(
    test: &TestDatabase,
    variant: VariantId,
    stock: i64,
    expected: Option<i64>,
) -> Result<StockSet, DatabaseError> {
    write(&test.database, move |work| {
        Box::pin(InventoryRepository::set_stock(work, variant, stock, expected))
    })
    .await
}

async fn stock(test: &TestDatabase, variant: VariantId) -> Stock {
    let mut connection = test.database.read().await.unwrap();
    InventoryRepository(&mut connection).stocks(&[variant]).await.unwrap()[&variant]
}

/// `(stock, reserved)`.
async fn levels(test: &TestDatabase, variant: VariantId) -> (i64, i64) {
    let stock = stock(test, variant).await;
    (stock.stock, stock.reserved)
}

/// Pieces that an order has reserved.
async fn reserved_for(test: &TestDatabase, order: OrderId) -> i64 {
    let sql = "SELECT CAST(COALESCE(SUM(quantity), 0) AS BIGINT) FROM reservations WHERE order_id = $1";
    crate::support::store::value(&test.database, sql, &[order.into()]).await
}

/// Does something many times at once.
async fn at_once<T, Fut>(times: usize, act: impl Fn(usize) -> Fut) -> Vec<T>
where
    T: Send + 'static,
    Fut: Future<Output = T> + Send + 'static,
{
    let tasks: Vec<_> = (0..times).map(|i| tokio::spawn(act(i))).collect();
    let mut outcomes = Vec::new();
    for task in tasks {
        outcomes.push(task.await.unwrap());
    }
    outcomes
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_buyers_of_ten_pieces_get_exactly_ten() {
    on_each_engine(|test| async move {
        let [variant] = variants(&test, 10).await;
        let outcomes = at_once(64, |_| {
            let test = Arc::clone(&test);
            async move { reserve(&test, order(&test), &[(variant, 1)]).await }
        })
        .await;
        let depleted =
            outcomes.iter().filter(|outcome| matches!(outcome, Ok(gone) if *gone == [variant])).count();
        let sold = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        let told = outcomes
            .iter()
            .filter(|outcome| matches!(outcome, Err(ReserveError::OutOfStock { available: 0, .. })));
        assert_eq!((sold, depleted, told.count()), (10, 1, 54));
        assert_eq!(levels(&test, variant).await, (10, 10));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_the_same_variant_count_together() {
    on_each_engine(|test| async move {
        let [variant] = variants(&test, 10).await;
        let refused = reserve(&test, order(&test), &[(variant, 6), (variant, 5)]).await;
        assert!(matches!(refused, Err(ReserveError::OutOfStock { available: 10, .. })), "{refused:?}");
        let outcomes = at_once(8, |_| {
            let test = Arc::clone(&test);
            async move { reserve(&test, order(&test), &[(variant, 2), (variant, 1)]).await.is_ok() }
        })
        .await;
        assert_eq!(outcomes.into_iter().filter(|&sold| sold).count(), 3);
        assert_eq!(levels(&test, variant).await, (10, 9));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_lacks_one_variant_reserves_none() {
    on_each_engine(|test| async move {
        let [first, second] = variants(&test, 3).await;
        set(&test, second, 1, None).await.unwrap();
        let id = order(&test);
        let refused = reserve(&test, id, &[(second, 2), (first, 3)]).await;
        match refused {
            Err(ReserveError::OutOfStock { variant_id, available }) => {
                assert_eq!((variant_id, available), (second, 1));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(levels(&test, first).await, (3, 0));
        assert_eq!(reserved_for(&test, id).await, 0, "no reservation is left behind");
        let unknown = reserve(&test, order(&test), &[(VariantId(order(&test).0), 1)]).await;
        assert!(matches!(unknown, Err(ReserveError::OutOfStock { available: 0, .. })), "{unknown:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_that_name_the_same_variants_in_any_order_do_not_block_each_other() {
    on_each_engine(|test| async move {
        let all: [VariantId; 20] = variants(&test, 1_000).await;
        let outcomes = at_once(32, |i| {
            let test = Arc::clone(&test);
            async move {
                let mut lines = all.map(|variant| (variant, 1));
                lines.rotate_left(i % 20);
                if i % 2 == 0 {
                    lines.reverse();
                }
                let id = order(&test);
                let reserved = reserve(&test, id, &lines).await;
                if i % 4 == 0 {
                    release(&test, id).await;
                } else if i % 4 == 1 {
                    commit(&test, id).await;
                }
                reserved
            }
        })
        .await;
        assert!(
            outcomes.iter().all(|outcome| matches!(outcome, Ok(gone) if gone.is_empty())),
            "{outcomes:?}"
        );
        for variant in all {
            assert_eq!(levels(&test, variant).await, (992, 16));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_who_sets_the_stock_never_takes_what_is_reserved() {
    on_each_engine(|test| async move {
        let [variant] = variants(&test, 10).await;
        at_once(96, |i| {
            let test = Arc::clone(&test);
            async move {
                let id = order(&test);
                let wanted = i64::try_from(i % 12).unwrap();
                if i % 3 == 0 {
                    if let StockSet::BelowReserved { reserved } =
                        set(&test, variant, wanted, None).await.unwrap()
                    {
                        assert!(reserved >= 0);
                    }
                } else if reserve(&test, id, &[(variant, 1 + wanted % 4)]).await.is_ok() {
                    match i % 2 {
                        0 => commit(&test, id).await,
                        _ => release(&test, id).await,
                    }
                }
                let (stock, reserved) = levels(&test, variant).await;
                assert!(0 <= reserved && reserved <= stock, "{reserved} of {stock} are reserved");
            }
        })
        .await;
        assert_eq!(levels(&test, variant).await.1, 0, "every reservation was settled");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stock_below_the_reservations_is_refused_and_told() {
    on_each_engine(|test| async move {
        let [variant] = variants(&test, 10).await;
        reserve(&test, order(&test), &[(variant, 4)]).await.unwrap();
        assert_eq!(set(&test, variant, 3, None).await.unwrap(), StockSet::BelowReserved { reserved: 4 });
        assert_eq!(set(&test, variant, -1, None).await.unwrap(), StockSet::BelowReserved { reserved: 4 });
        let outcome = set(&test, variant, 4, None).await.unwrap();
        assert!(matches!(outcome, StockSet::Done(stock) if stock.available() == 0), "{outcome:?}");
        assert_eq!(set(&test, VariantId(order(&test).0), 4, None).await.unwrap(), StockSet::NoSuchVariant);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stock_that_was_counted_before_a_sale_is_stale() {
    on_each_engine(|test| async move {
        let [variant] = variants(&test, 10).await;
        let seen = stock(&test, variant).await.version;
        let id = order(&test);
        reserve(&test, id, &[(variant, 4)]).await.unwrap();
        let after = Stock { stock: 12, reserved: 4, version: seen + 1 };
        assert_eq!(set(&test, variant, 12, Some(seen)).await.unwrap(), StockSet::Done(after));
        commit(&test, id).await;
        assert_eq!(set(&test, variant, 20, Some(seen + 1)).await.unwrap(), StockSet::Changed);
        assert_eq!(levels(&test, variant).await, (8, 0));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reservation_is_settled_once_however_often_and_by_whomever() {
    on_each_engine(|test| async move {
        let [first, second] = variants(&test, 10).await;
        let (sold, given_up, contested) = (order(&test), order(&test), order(&test));
        for id in [sold, given_up] {
            reserve(&test, id, &[(first, 3), (second, 5)]).await.unwrap();
        }
        for _ in 0..2 {
            release(&test, given_up).await;
        }
        for _ in 0..2 {
            commit(&test, sold).await;
            commit(&test, given_up).await;
            release(&test, sold).await;
        }
        assert_eq!((levels(&test, first).await, levels(&test, second).await), ((7, 0), (5, 0)));

        reserve(&test, contested, &[(first, 2), (second, 2)]).await.unwrap();
        reserve(&test, order(&test), &[(first, 5), (second, 3)]).await.unwrap();
        at_once(16, |_| {
            let test = Arc::clone(&test);
            async move { commit(&test, contested).await }
        })
        .await;
        assert_eq!((levels(&test, first).await, levels(&test, second).await), ((5, 5), (3, 3)));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn returned_pieces_can_be_sold_again() {
    on_each_engine(|test| async move {
        let [full, empty] = variants(&test, 4).await;
        set(&test, empty, 0, None).await.unwrap();
        let gone = VariantId(order(&test).0);
        write::<_, DatabaseError, _>(&test.database, move |work| {
            Box::pin(async move {
                InventoryRepository::restock(work, &[(full, 1), (empty, 1), (empty, 1), (gone, 1)]).await
            })
        })
        .await
        .unwrap();
        assert_eq!((levels(&test, full).await, levels(&test, empty).await), ((5, 0), (2, 0)));
        let outcome = write::<_, DatabaseError, _>(&test.database, move |work| {
            Box::pin(InventoryRepository::adjust(work, empty, -3))
        })
        .await;
        assert_eq!(outcome.unwrap(), StockSet::BelowReserved { reserved: 0 });
    })
    .await;
}
