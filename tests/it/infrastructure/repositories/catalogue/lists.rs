//! Lists of products and orders: complete, in order, filtered, and read along an index.

use jiff::{SignedDuration, Timestamp};
use undercroft::domain::context::Context;
use undercroft::domain::ids::{CategoryId, UserId};
use undercroft::domain::money::Currency;
use undercroft::domain::order::{Order, OrderStatus};
use undercroft::domain::product::Product;
use undercroft::infrastructure::repositories::{
    AdminProductFilter, Connection, Database, DatabaseError, Engine, ListError, NEWEST_POSTINGS, OrderFilter,
    Page, Param, ProductFilter, ProductRepository, ProductSort, Setup, newest_first,
};
use uuid::Uuid;

use super::{category, euros, insert, insert_all, move_category, names, product, update};
use crate::support::Shop;

/// Prices repeat, so that the product decides between equals.
const PRICES: [i64; 5] = [500, 100, 900, 100, 300];

async fn page(
    database: &Database,
    filter: &ProductFilter,
    limit: usize,
    cursor: Option<&str>,
) -> Result<Page<String>, ListError> {
    let mut connection = database.read().await?;
    let page = ProductRepository(&mut connection).list(filter, &database.page_request(limit, cursor)).await?;
    Ok(page.map(|view| view.product.name))
}

/// Every name, page by page.
async fn walk(shop: &Shop, filter: &ProductFilter, limit: usize) -> Vec<String> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let page = page(&shop.database, filter, limit, cursor.as_deref()).await.unwrap();
        assert!(page.items.len() <= limit);
        all.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            return all;
        }
    }
}

/// Inserts products named by their number.
async fn insert_products(shop: &Shop, count: usize, category: Option<CategoryId>) -> Vec<Product> {
    let mut products = Vec::new();
    for i in 0..count {
        let mut product = product(shop, &format!("{i:03}"), &[PRICES[i % 5], 5_000]);
        product.category_id = category;
        insert(shop, &product).await.unwrap();
        products.push(product);
    }
    products
}

on_both_engines!(pages_of_any_length_make_the_same_list_in_every_order);
async fn pages_of_any_length_make_the_same_list_in_every_order(shop: &Shop) {
    let products = insert_products(shop, 23, None).await;
    let mut expected: Vec<_> = products.iter().collect();
    let price = |product: &&Product| product.lowest_prices()[&Currency::EUR];
    for sort in [None, Some(ProductSort::PriceDescending), Some(ProductSort::PriceAscending)] {
        match sort {
            None => expected.sort_by_key(|product| (product.created_at, product.id)),
            Some(_) => expected.sort_by_key(|product| (price(product), product.id)),
        }
        if sort != Some(ProductSort::PriceAscending) {
            expected.reverse();
        }
        let expected: Vec<_> = expected.iter().map(|product| product.name.clone()).collect();
        for limit in [1, 4, 22, 23, 100] {
            let filter = ProductFilter { sort, ..euros() };
            assert_eq!(walk(shop, &filter, limit).await, expected, "{sort:?} by {limit}");
        }
    }
}

on_both_engines!(a_range_of_prices_narrows_every_order);
async fn a_range_of_prices_narrows_every_order(shop: &Shop) {
    let products = insert_products(shop, 20, None).await;
    for sort in [None, Some(ProductSort::PriceAscending), Some(ProductSort::PriceDescending)] {
        for (min_price, max_price) in
            [(Some(300), None), (None, Some(300)), (Some(300), Some(500)), (Some(301), Some(499))]
        {
            let filter = ProductFilter { sort, min_price, max_price, ..euros() };
            let mut found = walk(shop, &filter, 3).await;
            if sort.is_none() {
                assert!(found.is_sorted_by(|one, other| one > other), "newest first: {found:?}");
            }
            found.sort();
            let within = products.iter().filter(|product| {
                let price = product.lowest_prices()[&Currency::EUR];
                min_price.is_none_or(|min| min <= price) && max_price.is_none_or(|max| price <= max)
            });
            let within: Vec<_> = within.map(|product| product.name.clone()).collect();
            assert_eq!(found, within, "{filter:?}");
        }
    }
}

on_both_engines!(few_products_within_a_range_of_prices_are_found_behind_many_outside);
async fn few_products_within_a_range_of_prices_are_found_behind_many_outside(shop: &Shop) {
    for (name, price) in [("old and dear", 99_000), ("older", 98_000)] {
        insert(shop, &product(shop, name, &[price])).await.unwrap();
    }
    let filler = product(shop, "filler", &[100]);
    insert(shop, &filler).await.unwrap();
    // as many newer listings as one page reads at most, of a single product
    add_listings(shop, &filler).await;
    let filter = ProductFilter { min_price: Some(90_000), ..euros() };
    assert_eq!(walk(shop, &filter, 1).await, ["older", "old and dear"]);
}

on_both_engines!(too_many_products_to_sort_within_a_range_of_prices_are_found_page_by_page);
async fn too_many_products_to_sort_within_a_range_of_prices_are_found_page_by_page(shop: &Shop) {
    const MANY: usize = 1_010;
    let many = (0..MANY).map(|_| product(shop, "cheap", &[60])).collect();
    insert_all(shop, many).await.unwrap();
    let filler = product(shop, "filler", &[100]);
    insert(shop, &filler).await.unwrap();
    add_listings(shop, &filler).await;
    let filter = ProductFilter { max_price: Some(99), ..euros() };

    let first = page(&shop.database, &filter, 100, None).await.unwrap();
    assert_eq!(first.items, [""; 0], "the walk ended before the range began");
    let cursor = first.next.expect("a cursor at the end of the walk");
    let second = page(&shop.database, &filter, 100, Some(&cursor)).await.unwrap();
    assert_eq!(second.items.len(), 100);
    assert_eq!(walk(shop, &filter, 100).await.len(), MANY);
}

/// Adds 3,000 newer listings of a product that costs 1.00 EUR.
async fn add_listings(shop: &Shop, product: &Product) {
    let given = (product.id, product.created_at);
    let added: Result<(), DatabaseError> = shop
        .database
        .write(given, async |work, &(product_id, created_at)| {
            let sql = "INSERT INTO listings (category_id, currency, created_at, product_id, amount) \
                       VALUES ($1, $2, $3, $4, 100)";
            let catalogue = CategoryId(Uuid::nil());
            for second in 1..=3_000 {
                let at = created_at + SignedDuration::from_secs(second);
                let values = [catalogue.into(), Currency::EUR.into(), at.into(), product_id.into()];
                work.execute(sql, &values).await?;
            }
            Ok(())
        })
        .await;
    added.unwrap();
}

on_both_engines!(a_category_lists_the_products_of_its_subtree_also_after_a_move);
async fn a_category_lists_the_products_of_its_subtree_also_after_a_move(shop: &Shop) {
    let drinks = category(shop, "drinks", None).await;
    let tea = category(shop, "tea", Some(drinks)).await;
    let green = category(shop, "green", Some(tea)).await;
    let food = category(shop, "food", None).await;
    for (name, category) in [("Cola", drinks), ("Assam", tea), ("Sencha", green), ("Bread", food)] {
        let product = Product { category_id: Some(category), ..product(shop, name, &[100]) };
        insert(shop, &product).await.unwrap();
    }
    let list = |category| {
        let (shop, filter) = (shop.clone(), ProductFilter { category: Some(category), ..euros() });
        async move { walk(&shop, &filter, 2).await }
    };
    assert_eq!(list(drinks).await, ["Sencha", "Assam", "Cola"]);
    assert_eq!(list(green).await, ["Sencha"]);
    move_category(shop, tea, Some(food)).await;
    assert_eq!(list(drinks).await, ["Cola"]);
    assert_eq!(list(food).await, ["Bread", "Sencha", "Assam"]);
    assert_eq!(list(tea).await, ["Sencha", "Assam"]);
    assert_eq!(walk(shop, &euros(), 2).await, ["Bread", "Sencha", "Assam", "Cola"]);
    let mut connection = shop.database.read().await.unwrap();
    let in_food = AdminProductFilter { category: Some(food), ..AdminProductFilter::default() };
    let request = shop.database.page_request(10, None);
    let page = ProductRepository(&mut connection).list_all(&in_food, &request).await.unwrap();
    assert_eq!(names(&page.items), ["Bread", "Sencha", "Assam"]);
}

on_both_engines!(a_list_follows_every_change_of_a_product);
async fn a_list_follows_every_change_of_a_product(shop: &Shop) {
    let (attic, cellar) = (category(shop, "attic", None).await, category(shop, "cellar", None).await);
    let mut lamp = Product { category_id: Some(attic), ..product(shop, "Lamp", &[500, 700]) };
    insert(shop, &lamp).await.unwrap();
    let up_to = |category, most| ProductFilter { category, max_price: Some(most), ..euros() };
    assert_eq!(walk(shop, &up_to(Some(attic), 500), 9).await, ["Lamp"]);

    lamp.category_id = Some(cellar);
    lamp.variants[0].active = false;
    lamp.variants[1].prices.remove(&Currency::USD);
    lamp = update(shop, &lamp).await.unwrap();
    assert!(walk(shop, &up_to(Some(attic), 9_999), 9).await.is_empty());
    assert!(walk(shop, &up_to(Some(cellar), 699), 9).await.is_empty());
    assert_eq!(walk(shop, &up_to(Some(cellar), 700), 9).await, ["Lamp"]);
    assert!(walk(shop, &ProductFilter { currency: Currency::USD, ..euros() }, 9).await.is_empty());

    lamp.active = false;
    lamp = update(shop, &lamp).await.unwrap();
    assert!(walk(shop, &euros(), 9).await.is_empty());
    lamp.active = true;
    update(shop, &lamp).await.unwrap();
    assert_eq!(walk(shop, &euros(), 9).await, ["Lamp"]);
}

on_both_engines!(a_cursor_is_valid_for_its_own_list_only);
async fn a_cursor_is_valid_for_its_own_list_only(shop: &Shop) {
    insert_products(shop, 3, None).await;
    let first = page(&shop.database, &euros(), 1, None).await.unwrap();
    let cursor = first.next.unwrap();
    assert_eq!(page(&shop.database, &euros(), 1, Some(&cursor)).await.unwrap().items, ["001"]);
    let other = ProductFilter { min_price: Some(1), ..euros() };
    let outcomes = [
        page(&shop.database, &other, 1, Some(&cursor)).await,
        page(&shop.database, &euros(), 1, Some(&cursor[1..])).await,
        page(&shop.database, &euros(), 1, Some("")).await,
    ];
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Err(ListError::Cursor(_)))), "{outcomes:?}");
}

on_both_engines!(an_administrator_sees_every_product_newest_first);
async fn an_administrator_sees_every_product_newest_first(shop: &Shop) {
    for (i, mut product) in insert_products(shop, 10, None).await.into_iter().enumerate() {
        product.active = i % 3 != 0;
        update(shop, &product).await.unwrap();
    }
    for (active, q, expected) in [
        (None, None, vec!["009", "008", "007", "006", "005", "004", "003", "002", "001", "000"]),
        (Some(true), None, vec!["008", "007", "005", "004", "002", "001"]),
        (Some(false), None, vec!["009", "006", "003", "000"]),
        (None, Some("006"), vec!["006"]),
        (Some(true), Some("006"), vec![]),
        (Some(false), Some("00"), vec!["009", "006", "003", "000"]),
        (None, Some("00"), vec!["009", "008", "007", "006", "005", "004", "003", "002", "001", "000"]),
    ] {
        let filter = AdminProductFilter { q: q.map(str::to_owned), category: None, active };
        let (mut all, mut cursor): (Vec<String>, Option<String>) = (Vec::new(), None);
        loop {
            let mut connection = shop.database.read().await.unwrap();
            let request = shop.database.page_request(3, cursor.as_deref());
            let page = ProductRepository(&mut connection).list_all(&filter, &request).await.unwrap();
            all.extend(page.items.into_iter().map(|view| view.product.name));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(all, expected, "{filter:?}");
    }
}

/// The plan of a statement, a line per step.
async fn plan(connection: &mut Connection, sql: &str, values: &[Param<'_>]) -> Vec<String> {
    match connection.engine() {
        Engine::Sqlite => {
            let sql = format!("EXPLAIN QUERY PLAN {sql}");
            let steps: Vec<(i64, i64, i64, String)> = connection.all(&sql, values).await.unwrap();
            steps.into_iter().map(|(.., step)| step).collect()
        }
        Engine::Postgres => connection.all(&format!("EXPLAIN {sql}"), values).await.unwrap(),
    }
}

/// A plan reads no table as a whole and sorts nothing.
fn walks_an_index(plan: &[String]) {
    let walks = plan.iter().any(|step| step.contains("USING") || step.contains("Index"));
    let reads_all =
        |step: &String| step.contains("Seq Scan") || (step.starts_with("SCAN") && !step.contains("USING"));
    let sorts = |step: &String| ["Sort", "TEMP B-TREE", "Bitmap"].iter().any(|bad| step.contains(bad));
    assert!(walks && !plan.iter().any(|step| reads_all(step) || sorts(step)), "{plan:#?}");
}

on_both_engines!(every_list_walks_an_index_and_sorts_nothing);
async fn every_list_walks_an_index_and_sorts_nothing(shop: &Shop) {
    insert_products(shop, 30, None).await;
    // PostgreSQL prefers to read and sort so small a table: the test is whether it has to
    let joint = if shop.url.contains("options=") { "%20-c" } else { "?" };
    let url = match shop.database.engine() {
        Engine::Sqlite => shop.url.clone(),
        Engine::Postgres => {
            let off = ["enable_seqscan", "enable_bitmapscan", "enable_sort", "enable_incremental_sort"];
            off.iter().fold(shop.url.clone(), |url, switch| format!("{url}{joint}{switch}%3Doff"))
        }
    };
    let database = Database::open(&url.parse().unwrap(), Context::system(), Setup::IfEmpty).await.unwrap();
    let cursor = page(&database, &euros(), 1, None).await.unwrap().next;
    assert!(cursor.is_some());
    let mut connection = database.read().await.unwrap();
    let sorts = [None, Some(ProductSort::PriceAscending), Some(ProductSort::PriceDescending)];
    for sort in sorts {
        for (min_price, max_price) in [(None, None), (Some(1), Some(2))] {
            let filter = ProductFilter { sort, min_price, max_price, ..euros() };
            let mut plans = Vec::new();
            for after in [None, Some((0, Uuid::nil()))] {
                let (sql, values) = filter.statement(after, 20);
                plans.push(plan(&mut connection, &sql, &values).await);
                walks_an_index(&plans[plans.len() - 1]);
            }
            // a page after a cursor begins at the cursor, not at the end of the range
            let begins = |step: &String| step.contains("listings") && step.contains("product_id)");
            let is_shown = shop.database.engine() == Engine::Sqlite;
            assert!(!is_shown || plans.iter().flatten().any(begins), "{plans:#?}");
        }
    }

    let beginnings = [None, Some((Timestamp::UNIX_EPOCH, Uuid::nil()))];
    for active in [None, Some(true)] {
        let filter = AdminProductFilter { active, ..AdminProductFilter::default() };
        for after in beginnings {
            let (sql, values) = newest_first::<Product>(filter.conditions(), after, 20);
            walks_an_index(&plan(&mut connection, &sql, &values).await);
        }
    }
    let word = ["word".into(), i64::MAX.into(), 200_i64.into()];
    walks_an_index(&plan(&mut connection, NEWEST_POSTINGS, &word).await);

    let own = Some(UserId(Uuid::nil()));
    for (user_id, status, index) in [
        (None, None, "orders_by_time"),
        (own, None, "orders_by_user"),
        (None, Some(OrderStatus::Paid), "orders_by_status"),
        (own, Some(OrderStatus::Paid), "orders_by_user_status"),
    ] {
        let filter = OrderFilter { user_id, status, number: None };
        for after in beginnings {
            let (sql, values) = newest_first::<Order>(filter.conditions(), after, 20);
            let plan = plan(&mut connection, &sql, &values).await;
            walks_an_index(&plan);
            let named = |step: &String| step.split_whitespace().any(|word| word == index);
            // PostgreSQL chooses by the statistics of the table
            let chooses = shop.database.engine() == Engine::Postgres;
            assert!(chooses || plan.iter().any(named), "{index}: {plan:#?}");
        }
    }
}
