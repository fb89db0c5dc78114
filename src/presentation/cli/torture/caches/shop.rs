//! The shop of the test, and what its writers change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::super::super::CliError;
use super::super::client::{NoResponse, Response};
use super::super::random::{random, random_below, random_index};
use super::super::test_store::{TestStore, checkout};
use super::catalogue::{CODE, Catalogue, DISCOUNT, discount, new_slug};
use super::facts::{Fact, Facts, PRODUCTS, state_of};
use super::nodes::{NodeClient, Nodes};
use crate::domain::context::Context;
use crate::domain::ids::{ProductId, VariantId};
use crate::infrastructure::cache::{CacheOptions, Caches};

/// The price of a product in its version 0, in cents.
pub(super) const PRICE: u64 = 10_000;
/// The stock of a product in its version 0.
pub(super) const STOCK: u64 = 1_000_000;
/// The product that is ordered, whose stock no writer sets.
const ORDERED: usize = 0;
/// The product in the cart of the member.
pub(super) const IN_CART: usize = 1;
/// The product that is moved between the shelves.
pub(super) const MOVED: usize = PRODUCTS;
/// The product in the category that is moved.
pub(super) const BELOW: usize = PRODUCTS + 1;
/// The products that the test needs.
const LEAST_PRODUCTS: usize = PRODUCTS + 2;
/// The greatest quantity in a cart.
const MOST: u64 = 9_999;
/// The greatest version of the discount: it deducts the lowest subtotal.
const MOST_DISCOUNTED: u64 = PRICE - DISCOUNT;
/// The name of the products, which searches find.
const NAME: &str = "Scarce product";
/// The wait after a change without a response: what a killed server sent to the database may be committed meanwhile.
const UNKNOWN: Duration = Duration::from_millis(300);
/// The role of the staff whose permissions change.
pub(super) const ROLE: &str = "torture";
/// What the staff may read, each in turn.
const READABLE: [&str; 8] = [
    "dead-letters",
    "discounts",
    "feature-flags",
    "files",
    "reviews",
    "shipping-methods",
    "taxes",
    "webhook-endpoints",
];

/// What the shop has, and what happens in it.
pub(super) struct Shop {
    pub(super) facts: Facts,
    pub(super) products: Vec<Product>,
    pub(super) catalogue: Catalogue,
    /// The cart of the member.
    pub(super) cart: String,
    pub(super) tokens: Tokens,
    pub(super) context: Context,
    pub(super) stop: CancellationToken,
    pub(super) counts: Counts,
    /// How long each cache may serve what was dropped, if it cannot be loaded: as its policy says, by its name.
    pub(super) fail_safe: BTreeMap<&'static str, Duration>,
}

/// A product with one variant.
pub(super) struct Product {
    pub(super) id: String,
    pub(super) slug: String,
    variant: String,
}

impl Product {
    /// Returns the request that sets its price and its category.
    fn body(&self, price: u64, category: Option<&str>) -> Value {
        let price = json!({"amount": price, "currency": "EUR"});
        let variants = json!([{"id": self.variant, "sku": self.variant, "price": price}]);
        json!({"name": NAME, "category_id": category, "variants": variants})
    }
}

/// The tokens of the users.
pub(super) struct Tokens {
    admin: String,
    /// An administrator with [`ROLE`].
    pub(super) staff: String,
    /// A user who orders.
    pub(super) buyer: String,
    /// A user whose account, preferences and cart change.
    pub(super) member: String,
}

/// What was counted.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) reads: AtomicU64,
    pub(super) writes: AtomicU64,
    pub(super) orders: AtomicU64,
    /// Requests without a response, because their server was killed.
    pub(super) unanswered: AtomicU64,
    /// Responses with the status 503 or 504.
    pub(super) unavailable: AtomicU64,
    /// Responses with another status than the expected one.
    pub(super) failed: AtomicU64,
}

impl Shop {
    /// Sets up the shop, with this number of products.
    pub(super) async fn open(nodes: &Nodes<'_>, products: usize) -> Result<Arc<Self>, CliError> {
        let store = nodes.store();
        let mut found = Vec::with_capacity(products);
        for _ in 0..products.max(LEAST_PRODUCTS) {
            found.push(product(store).await?);
        }
        let mut admin = nodes.client(Some(store.token()));
        let role = json!({"name": ROLE, "permissions": [format!("{}:read", readable(0))]});
        admin.set_up(Method::POST, "/admin/v1/roles", &role).await?;
        let catalogue = Catalogue::create(&mut admin).await?;
        for (product, category) in [(MOVED, catalogue.shelf(0)), (BELOW, catalogue.moved.as_str())] {
            let product = &found[product];
            let path = format!("/admin/v1/products/{}", product.id);
            admin.set_up(Method::PUT, &path, &product.body(PRICE, Some(category))).await?;
        }
        let tokens = Tokens {
            admin: store.token().to_owned(),
            staff: store.user(Some(ROLE)).await?,
            buyer: store.user(None).await?,
            member: store.user(None).await?,
        };
        let mut member = admin.with(&tokens.member);
        let cart = member.set_up(Method::POST, "/v1/carts", &json!({})).await?.text("id");
        let item = format!("/v1/carts/{cart}/items/{}", found[IN_CART].variant);
        member.set_up(Method::PUT, &item, &json!({"quantity": 1})).await?;
        member.set_up(Method::PUT, &format!("/v1/carts/{cart}/discount"), &json!({"code": CODE})).await?;
        let caches = Caches::new(store.database(), CacheOptions::default()).states();
        Ok(Arc::new(Self {
            facts: Facts::new(),
            products: found,
            catalogue,
            cart,
            tokens,
            context: store.database().context().clone(),
            stop: CancellationToken::new(),
            counts: Counts::default(),
            fail_safe: caches.iter().map(|state| (state.cache, state.policy.fail_safe)).collect(),
        }))
    }

    /// Returns the request that changes a fact to a version, with the token of its user; `None` if it takes several, or
    /// none as notifications do.
    fn request(&self, fact: Fact, version: u64) -> Option<(Method, String, Value, &str)> {
        let Self { catalogue, cart, tokens, products, .. } = self;
        let (admin, member) = (tokens.admin.as_str(), tokens.member.as_str());
        Some(match fact {
            Fact::Price(product) => {
                let product = &products[product];
                let path = format!("/admin/v1/products/{}", product.id);
                (Method::PUT, path, product.body(PRICE + version, None), admin)
            }
            Fact::Moved => {
                let product = &products[MOVED];
                let path = format!("/admin/v1/products/{}", product.id);
                (Method::PUT, path, product.body(PRICE, Some(catalogue.shelf(version))), admin)
            }
            Fact::Stock(product) => {
                let path = format!("/admin/v1/inventory/{}", products[product].variant);
                (Method::PUT, path, json!({"stock": STOCK + version}), admin)
            }
            Fact::Category => {
                let path = format!("/admin/v1/categories/{}", catalogue.named);
                (Method::PATCH, path, json!({"name": format!("Category {version}")}), admin)
            }
            Fact::Parent => {
                let path = format!("/admin/v1/categories/{}/move", catalogue.moved);
                (Method::POST, path, json!({"parent_id": catalogue.shelf(version)}), admin)
            }
            Fact::Discount => {
                let path = format!("/admin/v1/discounts/{}", catalogue.discount);
                (Method::PATCH, path, json!({"kind": discount(version)}), admin)
            }
            Fact::Right => {
                let permissions = [format!("{}:read", readable(version))];
                (Method::PUT, format!("/admin/v1/roles/{ROLE}"), json!({"permissions": permissions}), admin)
            }
            Fact::Cart => {
                let path = format!("/v1/carts/{cart}/items/{}", products[IN_CART].variant);
                (Method::PUT, path, json!({"quantity": version}), member)
            }
            Fact::Name => {
                let name = format!("Name {version}");
                (Method::PATCH, "/v1/me".to_owned(), json!({"name": name}), member)
            }
            Fact::Consent => {
                let body = json!({"marketing_consent": version % 2 == 1});
                (Method::PUT, "/v1/me/preferences".to_owned(), body, member)
            }
            Fact::Order | Fact::NewProduct | Fact::NewCategory | Fact::Notifications => return None,
        })
    }

    /// Counts a response; returns it if it has an expected status.
    pub(super) fn expect(
        &self,
        response: Result<Response, NoResponse>,
        expected: &[u16],
    ) -> Option<Response> {
        match response {
            Ok(response) if expected.contains(&response.status) => Some(response),
            Ok(Response { status: status @ (503 | 504), .. }) => {
                self.counts.unavailable.fetch_add(1, Relaxed);
                tracing::warn!(status, "the store was not available");
                None
            }
            Ok(response) => {
                self.counts.failed.fetch_add(1, Relaxed);
                tracing::error!(status = response.status, body = %response.json(), "an unexpected response");
                None
            }
            Err(NoResponse) => {
                self.counts.unanswered.fetch_add(1, Relaxed);
                None
            }
        }
    }
}

/// What a writer changes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// Prices and stock.
    Products,
    /// Prices, stock, a discount, categories, new products and permissions.
    Catalogue,
    /// Orders, a cart, an account and its preferences.
    Users,
}

/// A writer. Only one of a kind changes a fact.
pub(super) struct Writer {
    shop: Arc<Shop>,
    client: NodeClient,
    number: u64,
    /// The ids of what was created last, by the path that creates it.
    created: BTreeMap<&'static str, String>,
}

impl Writer {
    pub(super) fn new(shop: &Arc<Shop>, client: NodeClient) -> Self {
        Self { shop: Arc::clone(shop), client, number: 0, created: BTreeMap::new() }
    }

    /// Changes one fact after the other, at most so many milliseconds apart, until the test stops.
    pub(super) async fn run(mut self, kind: Kind, pause: u64) {
        while !self.shop.stop.is_cancelled() {
            let fact = self.choose(kind);
            let done = match fact {
                Fact::Order => self.order().await,
                Fact::NewProduct => self.create(fact, "/admin/v1/products").await,
                Fact::NewCategory => self.create(fact, "/admin/v1/categories").await,
                fact => self.change(fact).await,
            };
            self.shop.counts.writes.fetch_add(1, Relaxed);
            if done.is_none() {
                sleep(UNKNOWN).await;
            }
            sleep(random(&self.shop.context, pause)).await;
        }
    }

    fn choose(&self, kind: Kind) -> Fact {
        let context = &self.shop.context;
        let product = || match random_below(context, 2) {
            0 => Fact::Price(random_index(context, PRODUCTS)),
            _ => Fact::Stock(1 + random_index(context, PRODUCTS - 1)),
        };
        match kind {
            Kind::Products => product(),
            Kind::Catalogue => match random_below(context, 11) {
                0..=3 => product(),
                4 => Fact::Category,
                5 => Fact::Right,
                6 => Fact::Discount,
                7 => Fact::NewProduct,
                8 => Fact::NewCategory,
                9 => Fact::Moved,
                _ => Fact::Parent,
            },
            Kind::Users => match random_below(context, 4) {
                0 => Fact::Order,
                1 => Fact::Cart,
                2 => Fact::Name,
                _ => Fact::Consent,
            },
        }
    }

    /// Changes a fact by a request to one of the servers; `None` if it is not known whether it was.
    async fn change(&mut self, fact: Fact) -> Option<()> {
        let version = self.shop.facts.next(fact);
        let shop = &*self.shop;
        let version = match fact {
            Fact::Cart => version.min(MOST),
            Fact::Discount => version.min(MOST_DISCOUNTED),
            _ => version,
        };
        let (method, path, body, token) = shop.request(fact, version)?;
        let mut client = self.client.with(token);
        let node = random_index(&shop.context, client.nodes());
        let response = client.send(node, method, &path, Some(&body), None).await;
        shop.expect(response, &[200])?;
        shop.facts.acknowledge(fact, version);
        Some(())
    }

    /// Creates a product or a category, and removes the one before it; `None` if it is not known whether it was.
    async fn create(&mut self, fact: Fact, path: &'static str) -> Option<()> {
        let (shop, mut admin) = (Arc::clone(&self.shop), self.client.with(&self.shop.tokens.admin));
        let node = || random_index(&shop.context, self.client.nodes());
        let version = shop.facts.next(fact);
        let slug = new_slug(version);
        let body = if fact == Fact::NewProduct {
            let price = json!({"amount": PRICE, "currency": "EUR"});
            json!({"name": NAME, "slug": slug, "variants": [{"sku": slug, "price": price}]})
        } else {
            json!({"name": "New", "slug": slug})
        };
        let created = admin.send(node(), Method::POST, path, Some(&body), None).await;
        let id = shop.expect(created, &[201])?.text("id");
        shop.facts.acknowledge(fact, version);

        if let Some(before) = self.created.insert(path, id) {
            let path = format!("{path}/{before}");
            let removed = admin.send(node(), Method::DELETE, &path, None, None).await;
            shop.expect(removed, &[204])?;
        }
        Some(())
    }

    /// Orders a piece at a price that is not older than this call, and cancels every second order.
    async fn order(&mut self) -> Option<()> {
        self.number += 1;
        let (shop, mut buyer) = (Arc::clone(&self.shop), self.client.with(&self.shop.tokens.buyer));
        let node = || random_index(&shop.context, self.client.nodes());
        let cart = buyer.send(node(), Method::POST, "/v1/carts", Some(&json!({})), None).await;
        let cart = shop.expect(cart, &[201])?.text("id");
        let item = format!("/v1/carts/{cart}/items/{}", shop.products[ORDERED].variant);
        let added = buyer.send(node(), Method::PUT, &item, Some(&json!({"quantity": 1})), None).await;
        shop.expect(added, &[200])?;

        let known = shop.facts.known();
        let (path, key) =
            (format!("/v1/carts/{cart}/checkout"), format!("torture-caches-order-{}", self.number));
        let placed = buyer.send(node(), Method::POST, &path, Some(&checkout("tok_ok")), Some(&key)).await;
        let placed = shop.expect(placed, &[201])?.json();
        shop.counts.orders.fetch_add(1, Relaxed);
        shop.saw_price(&known, ORDERED, &placed["items"][0]["unit_price"]);
        let version = order_version(&placed)?;
        shop.facts.acknowledge(Fact::Order, version);

        if self.number.is_multiple_of(2) {
            let path = format!("/v1/orders/{}/cancel", placed["id"].as_str()?);
            let key = format!("torture-caches-cancel-{}", self.number);
            let cancelled = buyer.send(node(), Method::POST, &path, Some(&json!({})), Some(&key)).await;
            let version = order_version(&shop.expect(cancelled, &[200])?.json())?;
            shop.facts.acknowledge(Fact::Order, version);
        }
        Some(())
    }
}

/// Returns the version of the newest order: its number, and whether it is cancelled.
pub(super) fn order_version(order: &Value) -> Option<u64> {
    Some(2 * order["number"].as_u64()? + u64::from(order["status"] == "cancelled"))
}

/// Returns what the staff may read in a version of their permissions, and nothing else.
pub(super) fn readable(version: u64) -> &'static str {
    READABLE[state_of(version, READABLE.len())]
}

/// Creates a product.
async fn product(store: &TestStore) -> Result<Product, CliError> {
    let variant = store.product(STOCK.cast_signed()).await?;
    let sql = "SELECT p.id, p.slug FROM products p JOIN variants v ON v.product_id = p.id WHERE v.id = $1";
    let (id, slug): (ProductId, String) = store.database().read().await?.one(sql, &[variant.into()]).await?;
    let VariantId(variant) = variant;
    Ok(Product { id: id.to_string(), slug, variant: variant.to_string() })
}
