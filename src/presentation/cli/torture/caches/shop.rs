//! The shop of the test, and what its writers change.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::super::super::CliError;
use super::super::client::{NoResponse, Response};
use super::super::error::TortureError;
use super::super::random::{random, random_below, random_index};
use super::super::test_store::{TestStore, checkout};
use super::facts::{Fact, Facts, PRODUCTS};
use super::nodes::{NodeClient, Nodes};
use crate::domain::context::Context;
use crate::domain::ids::{ProductId, VariantId};

/// The price of a product in its version 0, in cents.
pub(super) const PRICE: u64 = 10_000;
/// The stock of a product in its version 0.
pub(super) const STOCK: u64 = 1_000_000;
/// The product that is ordered, whose stock no writer sets.
const ORDERED: usize = 0;
/// The product in the cart of the member.
pub(super) const IN_CART: usize = 1;
/// The greatest quantity in a cart.
const MOST: u64 = 9_999;
/// The wait after a change without a response: what a killed server sent to the database may be committed meanwhile.
const UNKNOWN: Duration = Duration::from_millis(300);
/// The role of the staff whose permissions change.
pub(super) const ROLE: &str = "torture";

/// What the shop has, and what happens in it.
pub(super) struct Shop {
    pub(super) facts: Facts,
    pub(super) products: Vec<Product>,
    /// The id of the category.
    pub(super) category: String,
    /// The cart of the member.
    pub(super) cart: String,
    pub(super) tokens: Tokens,
    pub(super) context: Context,
    pub(super) stop: CancellationToken,
    pub(super) counts: Counts,
}

/// A product with one variant.
pub(super) struct Product {
    pub(super) id: String,
    pub(super) slug: String,
    variant: String,
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
        for _ in 0..products.max(PRODUCTS) {
            found.push(product(store).await?);
        }
        let mut admin = nodes.client(Some(store.token()));
        let role = json!({"name": ROLE, "permissions": []});
        created(admin.send(0, Method::POST, "/admin/v1/roles", Some(&role), None).await)?;
        let category = json!({"name": "Category 0", "slug": "category"});
        let category =
            created(admin.send(0, Method::POST, "/admin/v1/categories", Some(&category), None).await)?;
        let tokens = Tokens {
            admin: store.token().to_owned(),
            staff: store.user(Some(ROLE)).await?,
            buyer: store.user(None).await?,
            member: store.user(None).await?,
        };
        let mut member = admin.with(&tokens.member);
        let cart =
            created(member.send(0, Method::POST, "/v1/carts", Some(&json!({})), None).await)?.text("id");
        Ok(Arc::new(Self {
            facts: Facts::new(),
            products: found,
            category: category.text("id"),
            cart,
            tokens,
            context: store.database().context().clone(),
            stop: CancellationToken::new(),
            counts: Counts::default(),
        }))
    }

    /// Counts a response; returns it if it has an expected status.
    pub(super) fn expect(
        &self,
        response: Result<Response, NoResponse>,
        expected: &[u16],
    ) -> Option<Response> {
        match response {
            Ok(response) if expected.contains(&response.status) => Some(response),
            Ok(response) => {
                let Counts { unavailable, failed, .. } = &self.counts;
                let counter = if matches!(response.status, 503 | 504) { unavailable } else { failed };
                counter.fetch_add(1, Relaxed);
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
    /// Prices, stock, the category and permissions.
    Catalogue,
    /// Orders, a cart, an account and its preferences.
    Users,
}

/// A writer. Only one of a kind changes a fact.
pub(super) struct Writer {
    shop: Arc<Shop>,
    client: NodeClient,
    number: u64,
}

impl Writer {
    pub(super) fn new(shop: &Arc<Shop>, client: NodeClient) -> Self {
        Self { shop: Arc::clone(shop), client, number: 0 }
    }

    /// Changes one fact after the other, at most so many milliseconds apart, until the test stops.
    pub(super) async fn run(mut self, kind: Kind, pause: u64) {
        while !self.shop.stop.is_cancelled() {
            let fact = self.choose(kind);
            let done = match fact {
                Fact::Order => self.order().await,
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
        match (kind, random_below(context, 4)) {
            (Kind::Products, _) | (Kind::Catalogue, 0 | 1) => product(),
            (Kind::Catalogue, 2) => Fact::Category,
            (Kind::Catalogue, _) => Fact::Right,
            (Kind::Users, 0) => Fact::Order,
            (Kind::Users, 1) => Fact::Cart,
            (Kind::Users, 2) => Fact::Name,
            (Kind::Users, _) => Fact::Consent,
        }
    }

    /// Changes a fact by a request to one of the servers; `None` if it is not known whether it was.
    async fn change(&mut self, fact: Fact) -> Option<()> {
        let version = self.shop.facts.next(fact);
        let shop = &*self.shop;
        let (method, path, body, token) = match fact {
            Fact::Price(product) => {
                let Product { id, variant, .. } = &shop.products[product];
                let price = json!({"amount": PRICE + version, "currency": "EUR"});
                let variants = json!([{"id": variant, "sku": variant, "price": price}]);
                let body = json!({"name": "Scarce product", "variants": variants});
                (Method::PUT, format!("/admin/v1/products/{id}"), body, &shop.tokens.admin)
            }
            Fact::Stock(product) => {
                let path = format!("/admin/v1/inventory/{}", shop.products[product].variant);
                (Method::PUT, path, json!({"stock": STOCK + version}), &shop.tokens.admin)
            }
            Fact::Category => {
                let path = format!("/admin/v1/categories/{}", shop.category);
                (Method::PATCH, path, json!({"name": format!("Category {version}")}), &shop.tokens.admin)
            }
            Fact::Right => {
                let permissions = if version % 2 == 1 { json!(["orders:read"]) } else { json!([]) };
                let path = format!("/admin/v1/roles/{ROLE}");
                (Method::PUT, path, json!({"permissions": permissions}), &shop.tokens.admin)
            }
            Fact::Cart => {
                let path = format!("/v1/carts/{}/items/{}", shop.cart, shop.products[IN_CART].variant);
                let quantity = version.min(MOST);
                (Method::PUT, path, json!({"quantity": quantity}), &shop.tokens.member)
            }
            Fact::Name => {
                let name = format!("Name {version}");
                (Method::PATCH, "/v1/me".to_owned(), json!({"name": name}), &shop.tokens.member)
            }
            Fact::Consent => {
                let body = json!({"marketing_consent": version % 2 == 1});
                (Method::PUT, "/v1/me/preferences".to_owned(), body, &shop.tokens.member)
            }
            Fact::Order => return None,
        };
        let mut client = self.client.with(token);
        let node = random_index(&shop.context, client.nodes());
        let response = client.send(node, method, &path, Some(&body), None).await;
        shop.expect(response, &[200])?;
        let version = if fact == Fact::Cart { version.min(MOST) } else { version };
        shop.facts.acknowledge(fact, version);
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

/// Creates a product.
async fn product(store: &TestStore) -> Result<Product, CliError> {
    let variant = store.product(STOCK.cast_signed()).await?;
    let sql = "SELECT p.id, p.slug FROM products p JOIN variants v ON v.product_id = p.id WHERE v.id = $1";
    let (id, slug): (ProductId, String) = store.database().read().await?.one(sql, &[variant.into()]).await?;
    let VariantId(variant) = variant;
    Ok(Product { id: id.to_string(), slug, variant: variant.to_string() })
}

fn created(response: Result<Response, NoResponse>) -> Result<Response, TortureError> {
    response.ok().filter(|response| response.status == 201).ok_or(TortureError::ChildUnresponsive)
}
