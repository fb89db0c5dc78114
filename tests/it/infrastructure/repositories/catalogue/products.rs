//! Products: saved and read with their variants, which are deactivated and never deleted.

use std::collections::BTreeMap;

use undercroft::domain::ids::{ProductId, VariantId};
use undercroft::domain::money::Currency;
use undercroft::domain::product::{BillingInterval, Product, ProductKind, Texts, Variant};
use undercroft::infrastructure::repositories::{DatabaseError, ProductRepository, SaveError};
use uuid::Uuid;

use super::super::execute;
use super::{by_id, category, insert, product, update};
use crate::support::{Shop, ShopOptions};

/// A product with a value in every field.
async fn full(shop: &Shop) -> Product {
    let mut product = product(shop, "Honey of the month", &[1_299, 2_499]);
    product.slug = "honey-of-the-month".into();
    product.description = "A jar \"of\" honey, ünïcode & all.".into();
    product.category_id = Some(category(shop, "honey", None).await);
    product.kind = ProductKind::Subscription;
    product.billing_interval = Some(BillingInterval::Month);
    product.minimum_age = Some(18);
    product.tax_class = Some("reduced".parse().unwrap());
    product.options = vec!["size".into(), "kind".into()];
    let german = Texts { name: "Honig des Monats".into(), description: "Ein Glas.".into() };
    product.translations = BTreeMap::from([("de".into(), german)]);
    product.metadata.insert("Vendor", "Hives \"& sons\"".into()).unwrap();
    product.variants[1].metadata.insert("Barcode", "4006".into()).unwrap();
    product.variants[0].options = vec!["S".into(), "Acacia".into()];
    product.variants[1].options = vec!["L".into(), "Acacia".into()];
    product.variants[1].active = false;
    product.variants[1].prices.remove(&Currency::USD);
    product
}

async fn active_by_slug(shop: &Shop, slug: &str) -> Option<Product> {
    let mut connection = shop.database.read().await.unwrap();
    ProductRepository(&mut connection).active_by_slug(slug).await.unwrap().map(|view| view.product)
}

on_both_engines!(a_product_is_read_as_it_was_saved_with_its_stock);
async fn a_product_is_read_as_it_was_saved_with_its_stock(shop: &Shop) {
    let product = full(shop).await;
    insert(shop, &product).await.unwrap();
    let view = by_id(shop, product.id).await.unwrap();
    assert_eq!(view.product, product);
    assert_eq!(active_by_slug(shop, "honey-of-the-month").await, Some(product.clone()));
    assert_eq!(view.stock.iter().map(|stock| stock.available()).collect::<Vec<_>>(), [Some(10), Some(10)]);
    let offered: Vec<_> = view.offered().map(|(variant, available)| (variant.id, available)).collect();
    assert_eq!(offered, [(product.variants[0].id, Some(10))], "an inactive variant is not offered");
    assert_eq!(by_id(shop, ProductId(product.variants[0].id.0)).await, None);
    assert_eq!(active_by_slug(shop, "honey").await, None);
}

on_both_engines!(offers_of_any_number_of_variants_are_read);
async fn offers_of_any_number_of_variants_are_read(shop: &Shop) {
    let product = full(shop).await;
    insert(shop, &product).await.unwrap();
    // more than a statement of either engine has parameters
    let mut wanted: Vec<_> = (0..66_000).map(|number| VariantId(Uuid::from_u128(number))).collect();
    wanted.extend(product.variants.iter().map(|variant| variant.id));
    let mut connection = shop.database.read().await.unwrap();
    let offers = ProductRepository(&mut connection).offers(&wanted).await.unwrap();
    assert_eq!(offers.len(), product.variants.len());
    assert_eq!(offers[0].product_id, product.id);
}

on_both_engines!(several_products_are_read_in_the_order_of_their_ids_with_their_variants);
async fn several_products_are_read_in_the_order_of_their_ids_with_their_variants(shop: &Shop) {
    let mut ids = Vec::new();
    for i in 1..=5_i64 {
        let product = product(shop, &format!("Product {i}"), &vec![100 * i; usize::try_from(i).unwrap()]);
        insert(shop, &product).await.unwrap();
        ids.push(product.id);
    }
    ids.reverse();
    ids.insert(2, ProductId(shop.database.context().ids.uuid()));
    let mut connection = shop.database.read().await.unwrap();
    let views = ProductRepository(&mut connection).by_ids(&ids).await.unwrap();
    ids.remove(2);
    assert_eq!(views.iter().map(|view| view.product.id).collect::<Vec<_>>(), ids);
    for (view, count) in views.iter().zip([5, 4, 3, 2, 1]) {
        assert_eq!((view.product.variants.len(), view.stock.len()), (count, count));
        assert!(view.product.variants.iter().all(|variant| variant.product_id == view.product.id));
    }
    assert!(ProductRepository(&mut connection).by_ids(&[]).await.unwrap().is_empty());
}

on_both_engines!(a_variant_that_is_left_out_is_deactivated_and_keeps_its_stock);
async fn a_variant_that_is_left_out_is_deactivated_and_keeps_its_stock(shop: &Shop) {
    let mut product = full(shop).await;
    insert(shop, &product).await.unwrap();
    let gone = product.variants.remove(0);
    let new =
        Variant { id: VariantId(shop.database.context().ids.uuid()), sku: "NEW".into(), ..gone.clone() };
    product.variants[0].active = true;
    product.variants.insert(0, new.clone());
    let saved = update(shop, &product).await.unwrap();
    assert_eq!(saved.version, 2);
    let view = by_id(shop, product.id).await.unwrap();
    let expected = [(new.id, true, 5), (product.variants[1].id, true, 10), (gone.id, false, 10)];
    let variants = view.product.variants.iter().zip(&view.stock);
    let variants: Vec<_> =
        variants.map(|(variant, stock)| (variant.id, variant.active, stock.available().unwrap())).collect();
    assert_eq!(variants, expected);
}

on_both_engines!(of_two_concurrent_changes_of_a_product_the_second_is_stale);
async fn of_two_concurrent_changes_of_a_product_the_second_is_stale(shop: &Shop) {
    let product = product(shop, "Contested", &[100]);
    insert(shop, &product).await.unwrap();
    let tasks: Vec<_> = (0..8)
        .map(|i| {
            let (shop, mut product) = (shop.clone(), product.clone());
            product.name = format!("Changed {i}");
            tokio::spawn(async move { update(&shop, &product).await })
        })
        .collect();
    let mut done = Vec::new();
    for task in tasks {
        match task.await.unwrap() {
            Ok(product) => done.push(product),
            Err(SaveError::Database(DatabaseError::Stale { table: "products" })) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(done.len(), 1);
    assert_eq!(by_id(shop, product.id).await.unwrap().product, done[0]);
}

on_both_engines!(a_taken_slug_or_sku_is_reported_and_nothing_is_saved);
async fn a_taken_slug_or_sku_is_reported_and_nothing_is_saved(shop: &Shop) {
    let first = product(shop, "First", &[100, 200]);
    insert(shop, &first).await.unwrap();
    let mut second = product(shop, "Second", &[100, 200]);

    let mut other = second.clone();
    other.slug.clone_from(&first.slug);
    assert!(matches!(insert(shop, &other).await, Err(SaveError::SlugTaken)));
    let mut other = second.clone();
    other.variants[1].sku.clone_from(&first.variants[0].sku);
    let sku = &first.variants[0].sku;
    assert!(matches!(insert(shop, &other).await, Err(SaveError::SkuTaken(taken)) if taken == *sku));
    let mut other = second.clone();
    other.variants[1].sku = "twice".into();
    other.variants[0].sku = "twice".into();
    assert!(matches!(insert(shop, &other).await, Err(SaveError::SkuTaken(taken)) if taken == "twice"));
    assert_eq!(by_id(shop, second.id).await, None);

    insert(shop, &second).await.unwrap();
    let before = by_id(shop, second.id).await;
    let mut other = second.clone();
    other.slug.clone_from(&first.slug);
    assert!(matches!(update(shop, &other).await, Err(SaveError::SlugTaken)));
    let mut other = second.clone();
    other.name = "Changed".into();
    other.variants[1].sku.clone_from(&first.variants[1].sku);
    let sku = &first.variants[1].sku;
    assert!(matches!(update(shop, &other).await, Err(SaveError::SkuTaken(taken)) if taken == *sku));
    second.variants.push(first.variants[0].clone());
    second.variants[2].sku = "taken".into();
    assert!(matches!(update(shop, &second).await, Err(SaveError::Database(DatabaseError::ForeignKey(_)))));
    assert_eq!(by_id(shop, second.id).await, before);
}

on_both_engines!(of_concurrent_uses_of_a_slug_or_sku_one_succeeds);
async fn of_concurrent_uses_of_a_slug_or_sku_one_succeeds(shop: &Shop) {
    for same_slug in [true, false] {
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let (shop, mut product) = (shop.clone(), product(shop, "Wanted", &[100]));
                if same_slug {
                    product.slug = "wanted".into();
                } else {
                    product.variants[0].sku = "WANTED".into();
                }
                tokio::spawn(async move { insert(&shop, &product).await })
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
}

on_both_engines!(
    an_update_of_a_product_keeps_its_rating,
    ShopOptions::default().unchecked("the rating has no reviews")
);
async fn an_update_of_a_product_keeps_its_rating(shop: &Shop) {
    let product = product(shop, "Rated", &[100]);
    insert(shop, &product).await.unwrap();
    let id = product.id;
    execute(shop, "UPDATE products SET rating_sum = 9, rating_count = 2 WHERE id = $1", &[id.into()]).await;
    update(shop, &product).await.unwrap();
    let rated = by_id(shop, id).await.unwrap().product;
    assert_eq!((rated.rating_sum, rated.rating_count, rated.rating_hundredths()), (9, 2, Some(450)));
}
