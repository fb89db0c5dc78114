//! Search: what is found, in which order, and that nothing is out of reach.

use std::collections::{BTreeMap, HashSet};

use undercroft::domain::ids::CategoryId;
use undercroft::domain::product::{Product, Texts};
use undercroft::infrastructure::repositories::{
    Found, ListError, PriceBand, ProductFilter, ProductRepository, ProductSort,
};

use super::{category, euros, insert, insert_all, move_category, names, product, update};
use crate::support::{TestDatabase, on_each_engine};

async fn find(
    test: &TestDatabase,
    q: &str,
    filter: &ProductFilter,
    limit: usize,
    cursor: Option<&str>,
) -> Result<Found, ListError> {
    let mut connection = test.database.read().await?;
    ProductRepository(&mut connection).search(q, filter, limit, cursor, test.database.cursor_key()).await
}

/// Every name, page by page.
async fn walk(test: &TestDatabase, q: &str, filter: &ProductFilter, limit: usize) -> Vec<String> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let found = find(test, q, filter, limit, cursor.as_deref()).await.unwrap();
        assert!(found.page.items.len() <= limit);
        all.extend(found.page.items.into_iter().map(|view| view.product.name));
        cursor = found.page.next;
        if cursor.is_none() {
            return all;
        }
    }
}

async fn found(test: &TestDatabase, q: &str) -> Vec<String> {
    walk(test, q, &euros(), 10).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_text_of_a_product_finds_it_however_it_is_written() {
    on_each_engine(|test| async move {
        let mut cafe = product(&test, "Café Crème", &[900]);
        cafe.description = "Roasted in small batches".into();
        cafe.variants[0].sku = "CC-250/G".into();
        cafe.options = vec!["grind".into()];
        cafe.variants[0].options = vec!["French press".into()];
        let german = Texts { name: "Milchkaffee".into(), description: "Schonend geröstet".into() };
        let japanese = Texts { name: "カフェ有機".into(), description: String::new() };
        cafe.translations = BTreeMap::from([("de".into(), german), ("ja".into(), japanese)]);
        insert(&test, &cafe).await.unwrap();
        insert(&test, &product(&test, "Tea", &[900])).await.unwrap();
        for q in [
            "cafe",
            "CAFÉ  crème",
            "cre\u{300}me cafe",
            "batches roasted",
            "cc-250/g",
            "press",
            "milchkaffee",
            "SCHONEND GEROSTET crème",
            "有機",
            "milchkaf",
            "cafe roas",
        ] {
            assert_eq!(found(&test, q).await, ["Café Crème"], "{q}");
        }
        for q in ["coffee", "cafe tea", "afe", "milchkaf creme"] {
            assert!(found(&test, q).await.is_empty(), "{q}");
        }
        assert_eq!(found(&test, " … ").await, ["Tea", "Café Crème"], "a question without words is a list");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_itself_comes_before_names_that_hold_it_and_those_before_texts() {
    on_each_engine(|test| async move {
        for (name, description) in [
            ("Lamp", ""),
            ("Table", "goes with the lamp"),
            ("Desk lamp", ""),
            ("Chair", "lamp not included"),
            ("Lamp oil", ""),
        ] {
            let product = Product { description: description.into(), ..product(&test, name, &[100]) };
            insert(&test, &product).await.unwrap();
        }
        assert_eq!(found(&test, "lamp").await, ["Lamp", "Lamp oil", "Desk lamp", "Chair", "Table"]);
        assert_eq!(found(&test, "lamp desk").await, ["Desk lamp"]);
        let by_time = ProductFilter { sort: Some(ProductSort::Newest), ..euros() };
        assert_eq!(
            walk(&test, "lamp", &by_time, 2).await,
            ["Lamp oil", "Chair", "Desk lamp", "Table", "Lamp"]
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_word_shuts_out_longer_ones_and_a_part_of_one_lets_them_in() {
    on_each_engine(|test| async move {
        for name in ["Sho", "Shoe", "Shoes of oak", "Shore", "9", "Sho9"] {
            insert(&test, &product(&test, name, &[100])).await.unwrap();
        }
        assert_eq!(found(&test, "sho").await, ["Sho"]);
        assert_eq!(found(&test, "shoe").await, ["Shoe"]);
        assert_eq!(found(&test, "sh").await, ["Sho9", "Shore", "Shoes of oak", "Shoe", "Sho"]);
        assert_eq!(found(&test, "oak sho").await, ["Shoes of oak"]);
        assert!(found(&test, "sho oak").await.is_empty(), "only the last word may be a part");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_matches_than_a_window_are_all_shown_once() {
    on_each_engine(|test| async move {
        let mut products = Vec::new();
        for i in 0..450_i64 {
            let name = if i % 7 == 0 { format!("Cup {i}") } else { format!("Mug {i}") };
            let mut product = product(&test, &name, &[100 + i % 50]);
            product.description = if i % 2 == 0 { "a cup, green" } else { "a cup, red" }.into();
            products.push(product);
        }
        insert_all(&test, products).await.unwrap();
        for (q, filter, expected) in [
            ("cup", euros(), 450),
            ("cup green", euros(), 225),
            ("cu", euros(), 450),
            ("cup", ProductFilter { min_price: Some(149), ..euros() }, 9),
            ("cup red", ProductFilter { sort: Some(ProductSort::PriceAscending), ..euros() }, 225),
        ] {
            for limit in [7, 100, 200, 1_000] {
                let names = walk(&test, q, &filter, limit).await;
                let distinct: HashSet<_> = names.iter().collect();
                assert_eq!((names.len(), distinct.len()), (expected, expected), "{q} by {limit}");
            }
        }
        let first = find(&test, "cup", &euros(), 28, None).await.unwrap();
        assert_eq!(first.facets.unwrap().prices.iter().map(|band| band.count).sum::<usize>(), 200);
        assert!(
            names(&first.page.items).iter().all(|name| name.starts_with("Cup")),
            "names of the window lead"
        );
        // what comes meanwhile does not move what was not shown yet
        insert(&test, &product(&test, "Cup of tomorrow", &[100])).await.unwrap();
        let second = find(&test, "cup", &euros(), 200, first.page.next.as_deref()).await.unwrap();
        let shown: HashSet<_> = first.page.items.iter().map(|view| view.product.id).collect();
        assert!(second.page.items.iter().all(|view| !shown.contains(&view.product.id)));
        assert!(!names(&second.page.items).contains(&"Cup of tomorrow"));
        assert!(second.facets.is_none(), "facets come with the first page");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn words_that_seldom_meet_are_found_behind_many_that_do_not() {
    on_each_engine(|test| async move {
        insert(&test, &product(&test, "north south", &[100])).await.unwrap();
        let name = |i| if i % 2 == 0 { "north" } else { "south" };
        insert_all(&test, (0..600).map(|i| product(&test, name(i), &[100])).collect()).await.unwrap();
        assert_eq!(found(&test, "south north").await, ["north south"]);
        assert_eq!(found(&test, "sou north").await, Vec::<String>::new());
        assert_eq!(found(&test, "north sou").await, ["north south"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_keeps_to_the_category_and_counts_what_it_found() {
    on_each_engine(|test| async move {
        let garden = category(&test, "garden", None).await;
        let tools = category(&test, "tools", Some(garden)).await;
        let kitchen = category(&test, "kitchen", None).await;
        for (name, category, price) in [
            ("Green spade", tools, 1_500),
            ("Green rake", tools, 1_999),
            ("Green hose", garden, 2_000),
            ("Green cup", kitchen, 300),
            ("Red cup", kitchen, 300),
        ] {
            let product = Product { category_id: Some(category), ..product(&test, name, &[price]) };
            insert(&test, &product).await.unwrap();
        }
        let within = |category: CategoryId| ProductFilter { category: Some(category), ..euros() };
        assert_eq!(
            walk(&test, "green", &within(garden), 10).await,
            ["Green hose", "Green rake", "Green spade"]
        );
        assert_eq!(walk(&test, "green", &within(kitchen), 10).await, ["Green cup"]);
        assert_eq!(walk(&test, "sp", &within(garden), 10).await, ["Green spade"]);
        let filter = ProductFilter { min_price: Some(1_600), ..euros() };
        let found = find(&test, "green", &filter, 10, None).await.unwrap();
        assert_eq!(names(&found.page.items), ["Green hose", "Green rake"]);
        let facets = found.facets.unwrap();
        assert_eq!(facets.categories[0], (tools, 2));
        assert_eq!(facets.categories.len(), 3);
        let bands = [(200, 500, 1), (1_000, 2_000, 2), (2_000, 5_000, 1)];
        assert_eq!(facets.prices, bands.map(|(from, until, count)| PriceBand { from, until, count }));
        move_category(&test, tools, Some(kitchen)).await;
        assert_eq!(walk(&test, "green", &within(garden), 10).await, ["Green hose"]);
        assert_eq!(walk(&test, "green spade", &within(kitchen), 10).await, ["Green spade"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_follows_every_change_of_a_product() {
    on_each_engine(|test| async move {
        let mut clock = product(&test, "Wall clock", &[100]);
        insert(&test, &clock).await.unwrap();
        clock.name = "Alarm clock".into();
        clock = update(&test, &clock).await.unwrap();
        assert!(found(&test, "wall").await.is_empty());
        assert_eq!(found(&test, "alarm").await, ["Alarm clock"]);
        clock.active = false;
        clock = update(&test, &clock).await.unwrap();
        assert!(found(&test, "clock").await.is_empty(), "shoppers do not see it");
        clock.active = true;
        clock.variants[0].prices.remove(&"EUR".parse().unwrap());
        update(&test, &clock).await.unwrap();
        assert!(found(&test, "clock").await.is_empty(), "it has no price in this currency");
        let dollars = ProductFilter { currency: "USD".parse().unwrap(), ..euros() };
        assert_eq!(walk(&test, "clock", &dollars, 10).await, ["Alarm clock"]);
    })
    .await;
}
