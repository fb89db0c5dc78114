//! Search: matches, their order, their pages and facets.

use std::collections::{BTreeMap, HashSet};

use undercroft::domain::ids::CategoryId;
use undercroft::domain::product::{Product, Texts};
use undercroft::infrastructure::repositories::{
    ListError, PriceBand, ProductFilter, ProductRepository, ProductSort, SearchResults,
};

use super::{category, euros, insert, insert_all, move_category, names, product, update};
use crate::support::Shop;

async fn find(
    shop: &Shop,
    q: &str,
    filter: &ProductFilter,
    limit: usize,
    cursor: Option<&str>,
) -> Result<SearchResults, ListError> {
    let mut connection = shop.database.read().await?;
    ProductRepository(&mut connection).search(q, filter, &shop.database.page_request(limit, cursor)).await
}

/// Every name, page by page.
async fn walk(shop: &Shop, q: &str, filter: &ProductFilter, limit: usize) -> Vec<String> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let found = find(shop, q, filter, limit, cursor.as_deref()).await.unwrap();
        assert!(found.page.items.len() <= limit);
        all.extend(found.page.items.into_iter().map(|view| view.product.name));
        cursor = found.page.next;
        if cursor.is_none() {
            return all;
        }
    }
}

async fn found(shop: &Shop, q: &str) -> Vec<String> {
    walk(shop, q, &euros(), 10).await
}

on_both_engines!(a_product_is_found_by_every_text_in_any_spelling);
async fn a_product_is_found_by_every_text_in_any_spelling(shop: &Shop) {
    let mut cafe = product(shop, "Café Crème", &[900]);
    cafe.description = "Roasted in small batches".into();
    cafe.variants[0].sku = "CC-250/G".into();
    cafe.options = vec!["grind".into()];
    cafe.variants[0].options = vec!["French press".into()];
    let german = Texts { name: "Milchkaffee".into(), description: "Schonend geröstet".into() };
    let japanese = Texts { name: "カフェ有機".into(), description: String::new() };
    cafe.translations = BTreeMap::from([("de".into(), german), ("ja".into(), japanese)]);
    insert(shop, &cafe).await.unwrap();
    insert(shop, &product(shop, "Tea", &[900])).await.unwrap();
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
        assert_eq!(found(shop, q).await, ["Café Crème"], "{q}");
    }
    for q in ["coffee", "cafe tea", "afe", "milchkaf creme"] {
        assert!(found(shop, q).await.is_empty(), "{q}");
    }
    assert_eq!(found(shop, " … ").await, ["Tea", "Café Crème"], "a query without words lists all");
}

on_both_engines!(umlauts_are_found_by_two_letters);
async fn umlauts_are_found_by_two_letters(shop: &Shop) {
    let mut cheese = product(shop, "Green cheese", &[900]);
    cheese.description = "Made in Gruyere".into();
    let german =
        Texts { name: "Grüner Käse".into(), description: "Aus der Höhle, gut für Soßen".into() };
    cheese.translations = BTreeMap::from([("de".into(), german)]);
    insert(shop, &cheese).await.unwrap();
    let described = Product { description: "Wie gruener Kaese".into(), ..product(shop, "Quark", &[900]) };
    insert(shop, &described).await.unwrap();
    // the name has all words, in each spelling
    for q in ["gruener kaese", "GRUENER kase"] {
        assert_eq!(found(shop, q).await[0], "Green cheese", "{q}");
    }
    for q in
        ["grüner käse", "gru\u{308}ner", "gruner kase", "hoehle", "hohle", "höhle", "sossen fuer", "hoeh"]
    {
        assert_eq!(found(shop, q).await, ["Green cheese"], "{q}");
    }
    for q in ["gruenner", "kaasse", "hoole"] {
        assert!(found(shop, q).await.is_empty(), "{q}");
    }
}

on_both_engines!(words_in_a_second_spelling_keep_no_others_out_of_the_index);
async fn words_in_a_second_spelling_keep_no_others_out_of_the_index(shop: &Shop) {
    let mut doors = product(shop, "Doors", &[900]);
    doors.description = (0..100).map(|number| format!("Tür{number}")).collect::<Vec<_>>().join(" ");
    let english = Texts { name: "Doors".into(), description: "with hinges".into() };
    doors.translations = BTreeMap::from([("en".into(), english)]);
    insert(shop, &doors).await.unwrap();
    for q in ["tur99", "tuer99", "hinges"] {
        assert_eq!(found(shop, q).await, ["Doors"], "{q}");
    }
}

on_both_engines!(a_product_with_200_variants_is_found_by_each_sku_and_by_its_description);
async fn a_product_with_200_variants_is_found_by_each_sku_and_by_its_description(shop: &Shop) {
    let screws =
        Product { description: "Countersunk, of brass".into(), ..product(shop, "Screws", &[10; 200]) };
    insert(shop, &screws).await.unwrap();
    for q in screws.variants.iter().map(|variant| variant.sku.as_str()).chain(["countersunk brass"]) {
        assert_eq!(found(shop, q).await, ["Screws"], "{q}");
    }
}

on_both_engines!(equal_names_precede_names_that_contain_the_query_and_those_precede_descriptions);
async fn equal_names_precede_names_that_contain_the_query_and_those_precede_descriptions(shop: &Shop) {
    for (name, description) in [
        ("Lamp", ""),
        ("Table", "goes with the lamp"),
        ("Desk lamp", ""),
        ("Chair", "lamp not included"),
        ("Lamp oil", ""),
    ] {
        let product = Product { description: description.into(), ..product(shop, name, &[100]) };
        insert(shop, &product).await.unwrap();
    }
    assert_eq!(found(shop, "lamp").await, ["Lamp", "Lamp oil", "Desk lamp", "Chair", "Table"]);
    assert_eq!(found(shop, "lamp desk").await, ["Desk lamp"]);
    let by_time = ProductFilter { sort: Some(ProductSort::Newest), ..euros() };
    assert_eq!(walk(shop, "lamp", &by_time, 2).await, ["Lamp oil", "Chair", "Desk lamp", "Table", "Lamp"]);
}

on_both_engines!(an_indexed_word_matches_itself_only_and_a_prefix_matches_longer_words);
async fn an_indexed_word_matches_itself_only_and_a_prefix_matches_longer_words(shop: &Shop) {
    for name in ["Sho", "Shoe", "Shoes of oak", "Shore", "9", "Sho9"] {
        insert(shop, &product(shop, name, &[100])).await.unwrap();
    }
    assert_eq!(found(shop, "sho").await, ["Sho"]);
    assert_eq!(found(shop, "shoe").await, ["Shoe"]);
    assert_eq!(found(shop, "sh").await, ["Sho9", "Shore", "Shoes of oak", "Shoe", "Sho"]);
    assert_eq!(found(shop, "oak sho").await, ["Shoes of oak"]);
    assert!(found(shop, "sho oak").await.is_empty(), "only the last word may be a part");
}

on_both_engines!(more_matches_than_a_window_are_all_listed_once);
async fn more_matches_than_a_window_are_all_listed_once(shop: &Shop) {
    let mut products = Vec::new();
    for i in 0..450_i64 {
        let name = if i % 7 == 0 { format!("Cup {i}") } else { format!("Mug {i}") };
        let mut product = product(shop, &name, &[100 + i % 50]);
        product.description = if i % 2 == 0 { "a cup, green" } else { "a cup, red" }.into();
        products.push(product);
    }
    insert_all(shop, products).await.unwrap();
    for (q, filter, expected) in [
        ("cup", euros(), 450),
        ("cup green", euros(), 225),
        ("cu", euros(), 450),
        ("cup", ProductFilter { min_price: Some(149), ..euros() }, 9),
        ("cup red", ProductFilter { sort: Some(ProductSort::PriceAscending), ..euros() }, 225),
    ] {
        for limit in [7, 100, 200, 1_000] {
            let names = walk(shop, q, &filter, limit).await;
            let distinct: HashSet<_> = names.iter().collect();
            assert_eq!((names.len(), distinct.len()), (expected, expected), "{q} by {limit}");
        }
    }
    let first = find(shop, "cup", &euros(), 28, None).await.unwrap();
    assert_eq!(first.facets.unwrap().prices.iter().map(|band| band.count).sum::<usize>(), 200);
    assert!(
        names(&first.page.items).iter().all(|name| name.starts_with("Cup")),
        "matches in the name come first"
    );
    // a product that is inserted between pages does not appear on later ones
    insert(shop, &product(shop, "Cup of tomorrow", &[100])).await.unwrap();
    let second = find(shop, "cup", &euros(), 200, first.page.next.as_deref()).await.unwrap();
    let shown: HashSet<_> = first.page.items.iter().map(|view| view.product.id).collect();
    assert!(second.page.items.iter().all(|view| !shown.contains(&view.product.id)));
    assert!(!names(&second.page.items).contains(&"Cup of tomorrow"));
    assert!(second.facets.is_none(), "facets come with the first page");
}

on_both_engines!(rare_combinations_of_words_are_found_behind_many_others);
async fn rare_combinations_of_words_are_found_behind_many_others(shop: &Shop) {
    insert(shop, &product(shop, "north south", &[100])).await.unwrap();
    let name = |i| if i % 2 == 0 { "north" } else { "south" };
    insert_all(shop, (0..600).map(|i| product(shop, name(i), &[100])).collect()).await.unwrap();
    assert_eq!(found(shop, "south north").await, ["north south"]);
    assert_eq!(found(shop, "sou north").await, Vec::<String>::new());
    assert_eq!(found(shop, "north sou").await, ["north south"]);
}

on_both_engines!(a_search_is_limited_to_a_category_and_has_facets);
async fn a_search_is_limited_to_a_category_and_has_facets(shop: &Shop) {
    let garden = category(shop, "garden", None).await;
    let tools = category(shop, "tools", Some(garden)).await;
    let kitchen = category(shop, "kitchen", None).await;
    for (name, category, price) in [
        ("Green spade", tools, 1_500),
        ("Green rake", tools, 1_999),
        ("Green hose", garden, 2_000),
        ("Green cup", kitchen, 300),
        ("Red cup", kitchen, 300),
    ] {
        let product = Product { category_id: Some(category), ..product(shop, name, &[price]) };
        insert(shop, &product).await.unwrap();
    }
    let within = |category: CategoryId| ProductFilter { category: Some(category), ..euros() };
    assert_eq!(walk(shop, "green", &within(garden), 10).await, ["Green hose", "Green rake", "Green spade"]);
    assert_eq!(walk(shop, "green", &within(kitchen), 10).await, ["Green cup"]);
    assert_eq!(walk(shop, "sp", &within(garden), 10).await, ["Green spade"]);
    let filter = ProductFilter { min_price: Some(1_600), ..euros() };
    let found = find(shop, "green", &filter, 10, None).await.unwrap();
    assert_eq!(names(&found.page.items), ["Green hose", "Green rake"]);
    let facets = found.facets.unwrap();
    assert_eq!(facets.categories[0], (tools, 2));
    assert_eq!(facets.categories.len(), 3);
    let bands = [(200, 500, 1), (1_000, 2_000, 2), (2_000, 5_000, 1)];
    assert_eq!(facets.prices, bands.map(|(from, until, count)| PriceBand { from, until, count }));
    move_category(shop, tools, Some(kitchen)).await;
    assert_eq!(walk(shop, "green", &within(garden), 10).await, ["Green hose"]);
    assert_eq!(walk(shop, "green spade", &within(kitchen), 10).await, ["Green spade"]);
}

on_both_engines!(a_search_follows_every_change_of_a_product);
async fn a_search_follows_every_change_of_a_product(shop: &Shop) {
    let mut clock = product(shop, "Wall clock", &[100]);
    insert(shop, &clock).await.unwrap();
    clock.name = "Alarm clock".into();
    clock = update(shop, &clock).await.unwrap();
    assert!(found(shop, "wall").await.is_empty());
    assert_eq!(found(shop, "alarm").await, ["Alarm clock"]);
    clock.active = false;
    clock = update(shop, &clock).await.unwrap();
    assert!(found(shop, "clock").await.is_empty(), "inactive products are not listed");
    clock.active = true;
    clock.variants[0].prices.remove(&"EUR".parse().unwrap());
    update(shop, &clock).await.unwrap();
    assert!(found(shop, "clock").await.is_empty(), "it has no price in this currency");
    let dollars = ProductFilter { currency: "USD".parse().unwrap(), ..euros() };
    assert_eq!(walk(shop, "clock", &dollars, 10).await, ["Alarm clock"]);
}
