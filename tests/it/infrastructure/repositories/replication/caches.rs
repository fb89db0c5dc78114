//! Caches over a standby: they show what each round brings, and share nothing until the store has moved.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use undercroft::domain::ids::ProductId;
use undercroft::infrastructure::cache::{CacheOptions, Caches, ProductName, SharedStore, SharedTier};
use undercroft::infrastructure::repositories::Engine;

use super::super::copy::Target;
use super::{moved, open, unchecked, verified, write_until_committed};
use crate::support::Shop;
use crate::support::store::value;

/// A store that keeps nothing and counts its uses.
#[derive(Default)]
struct Unused(AtomicU64);

impl SharedStore for Unused {
    fn get(&self, _: String) -> BoxFuture<'_, Option<Vec<u8>>> {
        self.0.fetch_add(1, SeqCst);
        async { None }.boxed()
    }

    fn set(&self, _: String, _: Vec<u8>, _: Duration) -> BoxFuture<'_, ()> {
        self.0.fetch_add(1, SeqCst);
        async {}.boxed()
    }

    fn lock(&self, _: String, _: Duration) -> BoxFuture<'_, bool> {
        async { true }.boxed()
    }

    fn remove(&self, _: String) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_shows_a_change_that_comes_after_later_ones() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        // on SQLite transactions do not overlap
        let Some(shop) = Shop::on_postgres(unchecked()).await else { return };
        let Some(target) = Target::on(engine).await else { return };
        shop.run(async |shop| shows_late_changes(shop, &target).await).await;
    }
}

async fn shows_late_changes(shop: &Shop, target: &Target) {
    let variant = shop.product().stock(5).create().await;
    let id: ProductId =
        value(&shop.database, "SELECT product_id FROM variants WHERE id = $1", &[variant.into()]).await;
    verified(&shop.url, &target.url).await;
    let (standby, redis) = (open(&target.url).await, Arc::new(Unused::default()));
    let shared = Some(SharedTier::new(Arc::<Unused>::clone(&redis), b"secret"));
    let caches = Caches::new(&standby, CacheOptions { shared, ..CacheOptions::default() });
    let name = async || {
        let (view, _) = caches.current().await.unwrap().product.value(&ProductName::Id(id)).await.unwrap();
        view.product.name.clone()
    };

    let change = format!(
        "UPDATE products SET name = 'changed' WHERE id = '{id}'; \
         INSERT INTO outbox (id, type, version, subject, occurred_at, data) VALUES (gen_random_uuid(), \
         'cache_invalidation', 1, 'product:{id}', now(), '{{\"tags\": [\"product:{id}\"]}}')"
    );
    let (writing, complete) = write_until_committed(&shop.database, change.leak()).await;
    // it has a later position, and comes first
    shop.product().create().await;
    verified(&shop.url, &target.url).await;
    assert_ne!(name().await, "changed");
    complete.cancel();
    writing.await.unwrap().unwrap();
    verified(&shop.url, &target.url).await;
    assert_eq!(name().await, "changed");
    assert_eq!(redis.0.load(SeqCst), 0, "a standby shares nothing");

    moved(&shop.url, &target.url).await;
    assert_eq!(name().await, "changed");
    assert!(redis.0.load(SeqCst) > 0, "the store that has moved shares its entries");
}
