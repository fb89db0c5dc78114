//! Reviews: one a buyer and product, only after purchase, and a rating that is the sum of the approved ones.

use std::sync::Arc;

use undercroft::domain::ids::{ProductId, ReviewId, UserId};
use undercroft::domain::review::{Review, ReviewStatus};
use undercroft::infrastructure::repositories::{Page, ReviewFilter, ReviewRepository};
use uuid::Uuid;

use super::{at, concurrently, execute, number, order, product, register, user};
use crate::support::{Shop, ShopOptions};

use ReviewStatus::{Approved, Pending, Rejected};

fn review(number: u32, product_id: ProductId, user_id: UserId) -> Review {
    Review {
        id: ReviewId(Uuid::from_u128(number.into())),
        product_id,
        user_id,
        rating: i64::from(number % 5) + 1,
        title: "Keeps well".into(),
        body: "Déjà vu".into(),
        status: Pending,
        version: 1,
        created_at: at(number.into()),
        updated_at: at(number.into()),
    }
}

/// Products and users of the numbers from 1.
async fn set_up(shop: &Shop, products: u32, users: u32) -> (Vec<ProductId>, Vec<UserId>) {
    let mut product_ids = Vec::new();
    for number in 1..=products {
        product_ids.push(product(shop, number).await);
    }
    let users: Vec<_> = (1..=users).map(|number| user(number, &format!("{number}@example.com"))).collect();
    register(shop, &users).await;
    (product_ids, users.iter().map(|user| user.id).collect())
}

async fn add(shop: &Shop, review: &Review) -> bool {
    let inserted = shop
        .database
        .write(review.clone(), async |work, review| ReviewRepository::insert_once(work, review).await)
        .await;
    inserted.unwrap()
}

async fn moderate(shop: &Shop, id: ReviewId, from: ReviewStatus, to: ReviewStatus) -> bool {
    let moderate = shop.database.write((id, from, to), async |work, &(id, from, to)| {
        ReviewRepository::moderate(work, id, from, to).await
    });
    moderate.await.unwrap()
}

/// The sum and count of a product's ratings, as it has them and as its approved reviews have them.
async fn ratings(shop: &Shop, product: ProductId) -> [(i64, i64); 2] {
    let approved = "FROM reviews WHERE product_id = $1 AND status = 'approved'";
    let count = |sql: String| async move { number(shop, &sql, &[product.into()]).await };
    let kept = "FROM products WHERE id = $1";
    [
        (
            count(format!("SELECT rating_sum {kept}")).await,
            count(format!("SELECT rating_count {kept}")).await,
        ),
        (
            count(format!("SELECT CAST(COALESCE(SUM(rating), 0) AS BIGINT) {approved}")).await,
            count(format!("SELECT COUNT(*) {approved}")).await,
        ),
    ]
}

on_both_engines!(of_32_concurrent_reviews_of_one_buyer_one_is_inserted);
async fn of_32_concurrent_reviews_of_one_buyer_one_is_inserted(shop: &Shop) {
    let (products, users) = set_up(shop, 2, 1).await;
    let (product, other, buyer) = (products[0], products[1], users[0]);
    let added = concurrently(shop, 32, |shop, number| async move {
        add(&shop, &review(u32::try_from(number).unwrap() + 1, product, buyer)).await
    })
    .await;
    assert_eq!(added, 1);
    assert_eq!(number(shop, "SELECT COUNT(*) FROM reviews", &[]).await, 1);
    assert!(add(shop, &review(99, other, buyer)).await, "another product is another review");
}

on_both_engines!(
    a_product_is_bought_with_a_paid_order,
    ShopOptions::default().unchecked("the order is a row without a payment")
);
async fn a_product_is_bought_with_a_paid_order(shop: &Shop) {
    let (products, users) = set_up(shop, 2, 2).await;
    let bought = order(shop, Some(users[0]), 1).await;
    let sql = "INSERT INTO purchases (user_id, product_id, order_id) VALUES ($1, $2, $3)";
    execute(shop, sql, &[users[0].into(), products[0].into(), bought.into()]).await;
    let has_bought = async |user: usize, product: usize| {
        let mut connection = shop.database.read().await.unwrap();
        ReviewRepository(&mut connection).has_bought(users[user], products[product]).await.unwrap()
    };
    assert!(has_bought(0, 0).await);
    assert!(!has_bought(0, 1).await);
    assert!(!has_bought(1, 0).await);
    for (status, has) in [("pending", false), ("fulfilled", true), ("cancelled", false), ("refunded", false)]
    {
        let sql = "UPDATE orders SET status = $2 WHERE id = $1";
        execute(shop, sql, &[bought.into(), status.into()]).await;
        assert_eq!(has_bought(0, 0).await, has, "{status}");
    }
}

on_both_engines!(a_rating_counts_while_its_review_is_approved);
async fn a_rating_counts_while_its_review_is_approved(shop: &Shop) {
    let (products, users) = set_up(shop, 1, 2).await;
    let product = products[0];
    let four = review(3, product, users[0]);
    assert!(add(shop, &four).await);
    let approved = Review { status: Approved, ..review(4, product, users[1]) };
    assert!(add(shop, &approved).await);
    assert!(!add(shop, &approved).await);
    assert_eq!(ratings(shop, product).await, [(5, 1); 2], "a review may be inserted as approved");

    let steps = [(Pending, Approved, (9, 2)), (Approved, Rejected, (5, 1)), (Rejected, Approved, (9, 2))];
    for (from, to, rating) in steps {
        assert!(moderate(shop, four.id, from, to).await, "{from:?} to {to:?}");
        assert!(!moderate(shop, four.id, from, to).await, "{from:?} to {to:?} again");
        assert_eq!(ratings(shop, product).await, [rating; 2], "{from:?} to {to:?}");
    }
    let found: Review = shop.database.read().await.unwrap().find(four.id).await.unwrap().unwrap();
    let same = Review { status: Approved, version: 4, updated_at: found.updated_at, ..four.clone() };
    assert_eq!(found, same);
    assert!(found.updated_at > four.updated_at);
}

on_both_engines!(concurrent_moderations_keep_the_rating_consistent);
async fn concurrent_moderations_keep_the_rating_consistent(shop: &Shop) {
    let (products, users) = set_up(shop, 1, 8).await;
    let mut reviews = Vec::new();
    for (number, user) in (1..).zip(users) {
        let one = review(number, products[0], user);
        assert!(add(shop, &one).await);
        reviews.push(one.id);
    }
    let reviews = Arc::new(reviews);
    let moved = concurrently(shop, 32, |shop, number| {
        let reviews = Arc::clone(&reviews);
        async move {
            let steps =
                [(Pending, Approved), (Pending, Rejected), (Approved, Rejected), (Rejected, Approved)];
            let mut moved = false;
            for attempt in 0..16 {
                let (from, to) = steps[(number + attempt) % steps.len()];
                moved |= moderate(&shop, reviews[(number + attempt / 4) % reviews.len()], from, to).await;
            }
            moved
        }
    })
    .await;
    assert!(moved > 0);
    let [kept, counted] = ratings(shop, products[0]).await;
    assert_eq!(kept, counted);
    assert_eq!(number(shop, "SELECT COUNT(*) FROM reviews WHERE status = 'pending'", &[]).await, 0);
}

on_both_engines!(reviews_are_listed_by_product_status_or_author_newest_first);
async fn reviews_are_listed_by_product_status_or_author_newest_first(shop: &Shop) {
    let (products, users) = set_up(shop, 2, 3).await;
    for (number, product, user, status) in [
        (1, 0, 0, Approved),
        (2, 0, 1, Approved),
        (3, 0, 2, Pending),
        (4, 1, 0, Approved),
        (5, 1, 1, Rejected),
    ] {
        assert!(add(shop, &Review { status, ..review(number, products[product], users[user]) }).await);
    }
    let list = async |filter, cursor: Option<&str>| {
        let mut connection = shop.database.read().await.unwrap();
        let request = shop.database.page_request(2, cursor);
        ReviewRepository(&mut connection).list(filter, &request).await.unwrap()
    };
    let ids = |page: &Page<Review>| page.items.iter().map(|one| one.id.0.as_u128()).collect::<Vec<_>>();
    assert_eq!(ids(&list(ReviewFilter::ShownOf(products[0]), None).await), [2, 1]);
    assert_eq!(ids(&list(ReviewFilter::ShownOf(products[1]), None).await), [4]);
    assert_eq!(ids(&list(ReviewFilter::In(Pending), None).await), [3]);
    assert_eq!(ids(&list(ReviewFilter::By(users[0]), None).await), [4, 1]);
    let first = list(ReviewFilter::In(Approved), None).await;
    assert_eq!(ids(&first), [4, 2]);
    let second = list(ReviewFilter::In(Approved), first.next.as_deref()).await;
    assert_eq!((ids(&second), second.next), (vec![1], None));
}
