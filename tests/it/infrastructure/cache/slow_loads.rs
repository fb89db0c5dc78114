//! Loads of a database that are slower than a change of what they have read, on both engines.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use undercroft::application::catalogue::products;
use undercroft::domain::context::Context;
use undercroft::domain::ids::{ProductId, VariantId};
use undercroft::infrastructure::cache::{
    Cached, Invalidations, Loaded, Policy, Rendered, SharedTier, Tag, Tiers,
};
use undercroft::infrastructure::repositories::{CacheTag, Database, DatabaseError, ProductRepository, Setup};

use super::tiers::Shared;
use crate::support::store::value;
use crate::support::{Shop, eventually, unique};

/// More loads than a node begins.
const MANY: usize = 100;

/// A node of a store: a cache of prices, with its own drops and connections.
#[derive(Clone)]
struct Node {
    prices: Cached<ProductId, Rendered<i64>, DatabaseError>,
    invalidations: Arc<Invalidations>,
    gate: Arc<Gate>,
}

/// Where loads wait between their query and their end.
struct Gate {
    queries: AtomicUsize,
    permits: Semaphore,
}

impl Node {
    /// A node whose gate is closed.
    async fn open(shop: &Shop, shared: Option<SharedTier>) -> Self {
        let url = shop.url.parse().unwrap();
        let database = Database::open(&url, Context::system(), Setup::IfEmpty).await.unwrap();
        let tiers = Tiers { shared, ..Tiers::in_memory(database.context().clone()) };
        let invalidations = Arc::new(Invalidations::new(database.clone(), Arc::clone(&tiers.drops)));
        let tiers = Tiers { catch_up: Some(invalidations.catcher_up()), ..tiers };
        let gate = Arc::new(Gate { queries: AtomicUsize::new(0), permits: Semaphore::new(0) });
        let closed = Arc::clone(&gate);
        let load = move |id| load(database.clone(), id, Arc::clone(&closed));
        Self { prices: tiers.cached(Policy::named("price", 1), load), invalidations, gate }
    }

    /// The price, as the store has it when this is called.
    async fn price(&self, id: ProductId) -> i64 {
        self.invalidations.catch_up().await.unwrap();
        let (price, _) = self.prices.value(&id).await.unwrap();
        *price
    }

    /// A reader of the price, in a task of its own.
    fn reader(&self, id: ProductId) -> JoinHandle<i64> {
        let node = self.clone();
        tokio::spawn(async move { node.price(id).await })
    }

    /// Lets all loads end.
    fn open_gate(&self) {
        self.gate.permits.add_permits(MANY);
    }
}

/// Loads a price as the cache of products loads a product, and waits for the gate before it returns.
async fn load(
    database: Database,
    id: ProductId,
    gate: Arc<Gate>,
) -> Result<Loaded<Rendered<i64>>, DatabaseError> {
    let mut connection = database.read().await?;
    let found = ProductRepository(&mut connection).active_by_id(id).await?;
    gate.queries.fetch_add(1, SeqCst);
    gate.permits.acquire().await.unwrap().forget();
    let price = found.and_then(|view| view.product.variants[0].prices.values().next().copied());
    let tags = vec![Tag::from(CacheTag::Product(id))];
    Ok(Loaded { value: price.map(Rendered::new), tags, bytes: 8 })
}

/// Sets the price of a product by the use case of administrators, whose unit of work publishes what it drops.
async fn set_price(shop: &Shop, (id, variant): (ProductId, VariantId), cents: i64) {
    let price = json!({"amount": cents, "currency": "EUR"});
    let variants = json!([{"id": variant.to_string(), "sku": unique("sku"), "price": price}]);
    let draft = serde_json::from_value(json!({"name": "Assam", "variants": variants})).unwrap();
    products::replace(&shop.store, id, None, draft).await.unwrap();
}

on_both_engines!(a_load_that_is_slower_than_a_change_of_a_price_does_not_keep_the_old_one);
async fn a_load_that_is_slower_than_a_change_of_a_price_does_not_keep_the_old_one(shop: &Shop) {
    let variant = shop.product().price(900).create().await;
    let sql = "SELECT product_id FROM variants WHERE id = $1";
    let id: ProductId = value(&shop.database, sql, &[variant.into()]).await;
    // Whether the node learns of the change before the slow load ends. If it does, the entry of that load comes after
    // the drop, and no later event drops it: without the comparison of the moment of the drop with that at which the
    // load began (`History.began`), all who read from then on would get the old price.
    for (is_known, old, new) in [(true, 900, 800), (false, 800, 700)] {
        let second = Shared::in_process();
        let nodes = [Node::open(shop, second.tier()).await, Node::open(shop, second.tier()).await];
        let slow = nodes.each_ref().map(|node| node.reader(id));
        for node in &nodes {
            eventually("a query", async || node.gate.queries.load(SeqCst) == 1).await;
        }
        set_price(shop, (id, variant), new).await;
        let mut later = Vec::new();
        for node in nodes.iter().filter(|_| is_known) {
            later.push(node.reader(id));
            eventually("a reader that waits", async || node.prices.state().counts.waits == 1).await;
        }

        nodes.iter().for_each(Node::open_gate);
        for reader in slow {
            assert_eq!(reader.await.unwrap(), old, "it asked before the change");
        }
        for reader in later {
            assert_eq!(reader.await.unwrap(), new, "it asked after the change, and joined the slow load");
        }
        for node in &nodes {
            assert_eq!(node.price(id).await, new);
        }
        // nor is the old price shared
        let cold = Node::open(shop, second.tier()).await;
        cold.open_gate();
        assert_eq!(cold.price(id).await, new);
    }
}
