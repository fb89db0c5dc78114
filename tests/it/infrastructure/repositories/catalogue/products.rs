//! Products are saved whole, read whole, and never lose a variant that an order may name.

use std::collections::BTreeMap;
use std::sync::Arc;

use undercroft::domain::ids::{ProductId, VariantId};
use undercroft::domain::money::Currency;
use undercroft::domain::product::{BillingInterval, Product, ProductKind, Texts, Variant};
use undercroft::infrastructure::repositories::{DatabaseError, ProductRepository, SaveError};

use super::{by_id, category, insert, product, update, write};
use crate::support::{TestDatabase, on_each_engine};

/// A product in which every field says something.
async fn full(test: &TestDatabase) -> Product {
    let mut product = product(test, "Honey of the month", &[1_299, 2_499]);
    product.slug = "honey-of-the-month".into();
    product.description = "A jar \"of\" honey, ünïcode & all.".into();
    product.category_id = Some(category(test, "honey", None).await);
    product.kind = ProductKind::Subscription;
    product.billing_interval = Some(BillingInterval::Month);
    product.minimum_age = Some(18);
    product.tax_class = Some("reduced".parse().unwrap());
    product.options = vec!["size".into(), "kind".into()];
    let german = Texts { name: "Honig des Monats".into(), description: "Ein Glas.".into() };
    product.translations = BTreeMap::from([("de".into(), german)]);
    product.variants[0].options = vec!["S".into(), "Acacia".into()];
    product.variants[1].options = vec!["L".into(), "Acacia".into()];
    product.variants[1].active = false;
    product.variants[1].prices.remove(&Currency::USD);
    product
}

async fn by_slug(test: &TestDatabase, slug: &str) -> Option<Product> {
    let mut connection = test.database.read().await.unwrap();
    ProductRepository(&mut connection).by_slug(slug).await.unwrap().map(|view| view.product)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_comes_back_as_it_was_saved_with_its_stock() {
    on_each_engine(|test| async move {
        let product = full(&test).await;
        insert(&test, &product).await.unwrap();
        let view = by_id(&test, product.id).await.unwrap();
        assert_eq!(view.product, product);
        assert_eq!(by_slug(&test, "honey-of-the-month").await, Some(product.clone()));
        assert_eq!(view.stock.iter().map(|stock| stock.available()).collect::<Vec<_>>(), [10, 10]);
        let offered: Vec<_> = view.offered().map(|(variant, available)| (variant.id, available)).collect();
        assert_eq!(offered, [(product.variants[0].id, 10)], "an inactive variant is not offered");
        assert_eq!(by_id(&test, ProductId(product.variants[0].id.0)).await, None);
        assert_eq!(by_slug(&test, "honey").await, None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_products_come_in_the_order_asked_for_each_with_its_variants() {
    on_each_engine(|test| async move {
        let mut ids = Vec::new();
        for i in 1..=5_i64 {
            let product =
                product(&test, &format!("Product {i}"), &vec![100 * i; usize::try_from(i).unwrap()]);
            insert(&test, &product).await.unwrap();
            ids.push(product.id);
        }
        ids.reverse();
        ids.insert(2, ProductId(test.database.context().ids.uuid()));
        let mut connection = test.database.read().await.unwrap();
        let views = ProductRepository(&mut connection).by_ids(&ids).await.unwrap();
        ids.remove(2);
        assert_eq!(views.iter().map(|view| view.product.id).collect::<Vec<_>>(), ids);
        for (view, count) in views.iter().zip([5, 4, 3, 2, 1]) {
            assert_eq!((view.product.variants.len(), view.stock.len()), (count, count));
            assert!(view.product.variants.iter().all(|variant| variant.product_id == view.product.id));
        }
        assert!(ProductRepository(&mut connection).by_ids(&[]).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variant_that_is_taken_out_is_deactivated_and_keeps_its_stock() {
    on_each_engine(|test| async move {
        let mut product = full(&test).await;
        insert(&test, &product).await.unwrap();
        let gone = product.variants.remove(0);
        let new =
            Variant { id: VariantId(test.database.context().ids.uuid()), sku: "NEW".into(), ..gone.clone() };
        product.variants[0].active = true;
        product.variants.insert(0, new.clone());
        let saved = update(&test, &product).await.unwrap();
        assert_eq!(saved.version, 2);
        let view = by_id(&test, product.id).await.unwrap();
        let expected = [(new.id, true, 5), (product.variants[1].id, true, 10), (gone.id, false, 10)];
        let variants = view.product.variants.iter().zip(&view.stock);
        let variants: Vec<_> =
            variants.map(|(variant, stock)| (variant.id, variant.active, stock.available())).collect();
        assert_eq!(variants, expected);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_change_a_product_at_once_the_second_is_told() {
    on_each_engine(|test| async move {
        let product = product(&test, "Contested", &[100]);
        insert(&test, &product).await.unwrap();
        let tasks: Vec<_> = (0..8)
            .map(|i| {
                let (test, mut product) = (Arc::clone(&test), product.clone());
                product.name = format!("Changed {i}");
                tokio::spawn(async move { update(&test, &product).await })
            })
            .collect();
        let mut done = Vec::new();
        for task in tasks {
            match task.await.unwrap() {
                Ok(product) => done.push(product),
                Err(SaveError::Store(DatabaseError::Stale { table: "products" })) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
        assert_eq!(done.len(), 1);
        assert_eq!(by_id(&test, product.id).await.unwrap().product, done[0]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_slug_or_sku_is_told_and_nothing_is_half_saved() {
    on_each_engine(|test| async move {
        let first = product(&test, "First", &[100, 200]);
        insert(&test, &first).await.unwrap();
        let mut second = product(&test, "Second", &[100, 200]);

        let mut other = second.clone();
        other.slug.clone_from(&first.slug);
        assert!(matches!(insert(&test, &other).await, Err(SaveError::SlugTaken)));
        let mut other = second.clone();
        other.variants[1].sku.clone_from(&first.variants[0].sku);
        let sku = &first.variants[0].sku;
        assert!(matches!(insert(&test, &other).await, Err(SaveError::SkuTaken(taken)) if taken == *sku));
        let mut other = second.clone();
        other.variants[1].sku = "twice".into();
        other.variants[0].sku = "twice".into();
        assert!(matches!(insert(&test, &other).await, Err(SaveError::SkuTaken(taken)) if taken == "twice"));
        assert_eq!(by_id(&test, second.id).await, None);

        insert(&test, &second).await.unwrap();
        let before = by_id(&test, second.id).await;
        let mut other = second.clone();
        other.slug.clone_from(&first.slug);
        assert!(matches!(update(&test, &other).await, Err(SaveError::SlugTaken)));
        let mut other = second.clone();
        other.name = "Changed".into();
        other.variants[1].sku.clone_from(&first.variants[1].sku);
        let sku = &first.variants[1].sku;
        assert!(matches!(update(&test, &other).await, Err(SaveError::SkuTaken(taken)) if taken == *sku));
        second.variants.push(first.variants[0].clone());
        second.variants[2].sku = "a thief's".into();
        assert!(matches!(update(&test, &second).await, Err(SaveError::Store(DatabaseError::ForeignKey(_)))));
        assert_eq!(by_id(&test, second.id).await, before);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_want_a_slug_or_sku_at_once_one_has_it() {
    on_each_engine(|test| async move {
        for same_slug in [true, false] {
            let tasks: Vec<_> = (0..8)
                .map(|_| {
                    let (test, mut product) = (Arc::clone(&test), product(&test, "Wanted", &[100]));
                    if same_slug {
                        product.slug = "wanted".into();
                    } else {
                        product.variants[0].sku = "WANTED".into();
                    }
                    tokio::spawn(async move { insert(&test, &product).await })
                })
                .collect();
            let mut done = 0;
            for task in tasks {
                match task.await.unwrap() {
                    Ok(()) => done += 1,
                    Err(SaveError::SlugTaken) => assert!(same_slug),
                    Err(SaveError::SkuTaken(sku)) => assert!(!same_slug && sku == "WANTED"),
                    Err(other) => panic!("{other:?}"),
                }
            }
            assert_eq!(done, 1);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_that_is_written_back_leaves_the_rating_to_the_reviews() {
    on_each_engine(|test| async move {
        let product = product(&test, "Rated", &[100]);
        insert(&test, &product).await.unwrap();
        let id = product.id;
        write::<_, DatabaseError, _>(&test.database, move |work| {
            Box::pin(async move {
                let sql = "UPDATE products SET rating_sum = 9, rating_count = 2 WHERE id = $1";
                work.execute(sql, &[id.into()]).await
            })
        })
        .await
        .unwrap();
        update(&test, &product).await.unwrap();
        let rated = by_id(&test, id).await.unwrap().product;
        assert_eq!((rated.rating_sum, rated.rating_count, rated.rating_hundredths()), (9, 2, Some(450)));
    })
    .await;
}
