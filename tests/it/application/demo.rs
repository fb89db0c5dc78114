//! The demo catalogue of a new store.

use undercroft::application::Terms;
use undercroft::application::demo::{admin, fill, is_due};
use undercroft::domain::context::Context;
use undercroft::infrastructure::repositories::{Database, Setup};

use crate::support::import::{exported, number};
use crate::support::store::{store, terms};
use crate::support::{Shop, ShopOptions};

on_both_engines!(an_interrupted_demo_is_completed_at_the_next_start);
async fn an_interrupted_demo_is_completed_at_the_next_start(shop: &Shop) {
    let first = &shop.store;
    assert!(is_due(first).await.unwrap());
    fill(first).await.unwrap();
    let filled = exported(first).await;

    // a second start, at which the database is not new
    let database =
        Database::open(&shop.url.parse().unwrap(), Context::system(), Setup::IfEmpty).await.unwrap();
    let second = store(&database, terms());
    assert!(is_due(&second).await.unwrap(), "there is no administrator yet");
    fill(&second).await.unwrap();
    assert_eq!(exported(&second).await, filled);
    admin(&second).await.unwrap();
    assert_eq!(number(&second, "SELECT COUNT(*) FROM users WHERE role = 'admin'").await, 1);
    assert!(!is_due(&second).await.unwrap());
}

on_both_engines!(
    the_demo_is_in_the_base_language_of_the_store,
    ShopOptions::default().terms(Terms { base_language: "de".parse().unwrap(), ..terms() })
);
async fn the_demo_is_in_the_base_language_of_the_store(shop: &Shop) {
    fill(&shop.store).await.unwrap();
    for (sql, expected) in [
        ("SELECT COUNT(*) FROM categories WHERE slug = 'coffee' AND name = 'Kaffee'", 1),
        ("SELECT COUNT(*) FROM shipping_methods WHERE code = 'parcel' AND name LIKE 'Paket%'", 1),
        ("SELECT COUNT(*) FROM products WHERE description = ''", 0),
    ] {
        assert_eq!(number(&shop.store, sql).await, expected, "{sql}");
    }
}

on_both_engines!(an_existing_empty_store_is_not_filled);
async fn an_existing_empty_store_is_not_filled(shop: &Shop) {
    let database =
        Database::open(&shop.url.parse().unwrap(), Context::system(), Setup::IfEmpty).await.unwrap();
    let store = store(&database, terms());
    assert!(!is_due(&store).await.unwrap());
}
