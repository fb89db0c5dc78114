//! The category tree while the database is away, and while it accepts statements and does not respond.

use std::time::{Duration, Instant};

use undercroft::application::Store;
use undercroft::application::catalogue::categories;
use undercroft::domain::context::Context;
use undercroft::infrastructure::cache::Outcome;
use undercroft::infrastructure::repositories::{Database, Setup};

use crate::support::store::{store, terms};
use crate::support::{FaultyProxy, Line, Proxy, Shop, ShopOptions, eventually};

/// Processes on the database of a URL.
async fn processes<const N: usize>(url: &str) -> [Store; N] {
    let database = Database::open(&url.parse().unwrap(), Context::system(), Setup::IfEmpty).await.unwrap();
    [(); N].map(|()| store(&database, terms()))
}

/// Waits until a process serves the tree that it has as one that is current.
async fn until_hit(process: &Store) {
    let is_hit = async || categories::all(process).await.unwrap().status.outcome == Outcome::Hit;
    eventually("a tree that is current", is_hit).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tree_is_served_while_the_database_is_away_and_says_so() {
    let Some(shop) = Shop::on_postgres(ShopOptions::default()).await else { return };
    let (proxy, url) = FaultyProxy::before(&shop.url).await;
    let [reader, late] = processes(&url).await;
    let tree = categories::all(&reader).await.unwrap();

    proxy.refuse("57P03");
    let away = categories::all(&reader).await.unwrap();
    assert_eq!(away.status.outcome, Outcome::Fallback);
    assert!(away.status.ttl_seconds <= 0 && std::ptr::eq(away.tree(), tree.tree()));
    assert!(categories::all(&late).await.is_err(), "it has nothing");

    let refused = proxy.refused();
    for _ in 0..20 {
        assert_eq!(categories::all(&reader).await.unwrap().status.outcome, Outcome::Fallback);
    }
    assert!(proxy.refused() < refused + 10, "the database is not asked for each of them");
    proxy.let_in();
    until_hit(&reader).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tree_does_not_wait_for_a_database_without_a_response() {
    let Some(shop) = Shop::on_postgres(ShopOptions::default()).await else { return };
    let (proxy, url) = Proxy::before(&shop.url).await.unwrap();
    let [reader] = processes(&url).await;
    let tree = categories::all(&reader).await.unwrap();

    proxy.set(Line::Silent);
    let began = Instant::now();
    for _ in 0..20 {
        let away = categories::all(&reader).await.unwrap();
        assert_eq!(away.status.outcome, Outcome::Fallback);
        assert!(std::ptr::eq(away.tree(), tree.tree()));
    }
    // the first reader waits for a second, and twenty seconds are over if each does; a loaded machine may be slow
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    proxy.set(Line::Open);
    until_hit(&reader).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_of_another_reader_that_succeeds_ends_the_pause_of_the_tree() {
    let Some(shop) = Shop::on_postgres(ShopOptions::default()).await else { return };
    let (proxy, url) = FaultyProxy::before(&shop.url).await;
    let [reader] = processes(&url).await;
    categories::all(&reader).await.unwrap();
    proxy.refuse("57P03");
    assert_eq!(categories::all(&reader).await.unwrap().status.outcome, Outcome::Fallback);
    proxy.let_in();
    reader.infrastructure.caches.current().await.unwrap();
    assert_eq!(categories::all(&reader).await.unwrap().status.outcome, Outcome::Hit);
}
