//! What readers look at, and compare with what was acknowledged before.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};

use super::super::random::{random_below, random_index};
use super::catalogue::{DISCOUNT, MOVED_CATEGORY, NAMED, SHELVES, new_slug, newest};
use super::facts::{Fact, Known, PRODUCTS, state_of};
use super::nodes::NodeClient;
use super::shop::{BELOW, IN_CART, MOVED, PRICE, STOCK, Shop, order_version, readable};

/// What a reader looks at.
#[derive(Debug, Clone, Copy)]
pub(super) enum Look {
    ProductById,
    ProductBySlug,
    List,
    Search,
    Tree,
    Category,
    /// The products of a shelf.
    Shelf(usize),
    /// A shelf as a category.
    ShelfCategory(usize),
    /// The product that was created last, or is created next.
    NewProduct,
    /// The products of the category that was created last, or is created next.
    NewCategory,
    Cart,
    Account,
    AccountByAccessToken,
    Preferences,
    Orders,
    Notifications,
    /// What the staff may read according to the last permission, or the one before it.
    Right,
}

/// What a guest looks at.
pub(super) const PAGES: &[Look] =
    &[Look::ProductById, Look::ProductById, Look::ProductBySlug, Look::List, Look::Search, Look::Tree];

/// What all users look at.
pub(super) const ALL: &[Look] = &[
    Look::ProductById,
    Look::ProductBySlug,
    Look::List,
    Look::Search,
    Look::Tree,
    Look::Category,
    Look::Shelf(0),
    Look::Shelf(1),
    Look::Shelf(2),
    Look::Shelf(3),
    Look::ShelfCategory(0),
    Look::ShelfCategory(1),
    Look::ShelfCategory(2),
    Look::ShelfCategory(3),
    Look::NewProduct,
    Look::NewCategory,
    Look::Cart,
    Look::Account,
    Look::AccountByAccessToken,
    Look::Preferences,
    Look::Orders,
    Look::Notifications,
    Look::Right,
];

/// A reader: a client of each user.
pub(super) struct Reader {
    shop: Arc<Shop>,
    guest: NodeClient,
    member: NodeClient,
    buyer: NodeClient,
    staff: NodeClient,
    /// The member by an access token, which is asked for when it is needed.
    token: Option<NodeClient>,
}

impl Reader {
    pub(super) fn new(shop: &Arc<Shop>, guest: NodeClient) -> Self {
        let tokens = &shop.tokens;
        Self {
            member: guest.with(&tokens.member),
            buyer: guest.with(&tokens.buyer),
            staff: guest.with(&tokens.staff),
            token: None,
            guest,
            shop: Arc::clone(shop),
        }
    }

    /// Looks at one after the other until the test stops, `pause` apart, and hands the time of each to `took`.
    pub(super) async fn run(mut self, looks: &[Look], pause: Duration, took: impl Fn(Duration)) {
        while !self.shop.stop.is_cancelled() {
            let look = looks[random_index(&self.shop.context, looks.len())];
            let began = Instant::now();
            // what came is counted
            let _ = self.look(look).await;
            self.shop.counts.reads.fetch_add(1, Relaxed);
            took(began.elapsed());
            tokio::time::sleep(pause).await;
        }
    }

    /// Looks at one of the servers; `None` without the expected response.
    async fn look(&mut self, look: Look) -> Option<()> {
        let shop = Arc::clone(&self.shop);
        let node = random_index(&shop.context, self.guest.nodes());
        let version = shop.version_of(look);
        let path = shop.path(look, version);
        if matches!(look, Look::AccountByAccessToken) && self.token.is_none() {
            let issued =
                self.member.send(node, Method::POST, "/v1/sessions/token", Some(&json!({})), None).await;
            let token = shop.expect(issued, &[200])?.text("access_token");
            self.token = Some(self.member.with(&token));
        }
        let client = match look {
            Look::Cart | Look::Account | Look::Preferences => &mut self.member,
            Look::Orders | Look::Notifications => &mut self.buyer,
            Look::Right => &mut self.staff,
            Look::AccountByAccessToken => self.token.as_mut()?,
            _ => &mut self.guest,
        };
        let (known, asked) = (shop.facts.known(), Instant::now());
        let response = client.get(node, &path).await;
        if matches!(look, Look::AccountByAccessToken)
            && response.as_ref().is_ok_and(|response| response.status == 401)
        {
            // it has ended
            self.token = None;
            return Some(());
        }
        let expected: &[u16] = match look {
            Look::Right => &[200, 403],
            Look::NewProduct | Look::NewCategory => &[200, 404],
            _ => &[200],
        };
        let response = shop.expect(response, expected)?;
        let status = response.status;
        if let Some(fact) = look.created() {
            if status == 404 {
                shop.facts.missed(&known, fact, version);
            }
            return Some(());
        }
        // what could not be loaded again says so, and may be as old as the policy of its cache allows
        let known = if response.is_fallback {
            let age = look.cache().and_then(|cache| shop.fail_safe.get(cache)).copied();
            shop.facts.known_for(age.unwrap_or_default(), asked)
        } else {
            known
        };
        shop.compare((look, version), &known, status, &response.json());
        Some(())
    }
}

impl Look {
    /// Returns the fact by which something is created that may not be found, if it looks at that.
    fn created(self) -> Option<Fact> {
        match self {
            Self::NewProduct => Some(Fact::NewProduct),
            Self::NewCategory => Some(Fact::NewCategory),
            _ => None,
        }
    }

    /// Returns the name of the cache that the page comes from, if it is the same for all shoppers.
    fn cache(self) -> Option<&'static str> {
        match self {
            Self::ProductById | Self::ProductBySlug | Self::NewProduct => Some("product"),
            Self::List | Self::Shelf(_) | Self::NewCategory => Some("listing"),
            Self::Search => Some("search"),
            Self::Tree | Self::Category | Self::ShelfCategory(_) => Some("category"),
            _ => None,
        }
    }
}

impl Shop {
    /// Returns the version of what a reader looks at: the last one of what is created, or the next one; the last one
    /// of the permissions, or the one before it.
    fn version_of(&self, look: Look) -> u64 {
        let (known, random) = (self.facts.known(), random_below(&self.context, 2));
        match look {
            Look::Right => known.of(Fact::Right).saturating_sub(random),
            // there is none of the version 0
            _ => look.created().map_or(0, |fact| known.of(fact).max(1) + random),
        }
    }

    /// Returns the path of what a reader looks at, one of the products, or what was created or is permitted with a
    /// version.
    fn path(&self, look: Look, version: u64) -> String {
        let product = &self.products[random_index(&self.context, self.products.len())];
        match look {
            Look::ProductById => format!("/v1/products/{}", product.id),
            Look::ProductBySlug => format!("/v1/products/{}", product.slug),
            Look::List => "/v1/products?limit=100".to_owned(),
            Look::Search => "/v1/products?q=scarce&limit=100".to_owned(),
            Look::Tree => "/v1/categories".to_owned(),
            Look::Category => format!("/v1/categories/{NAMED}"),
            Look::Shelf(shelf) => format!("/v1/products?category={}", SHELVES[shelf]),
            Look::ShelfCategory(shelf) => format!("/v1/categories/{}", SHELVES[shelf]),
            Look::NewProduct => format!("/v1/products/{}", new_slug(version)),
            Look::NewCategory => format!("/v1/products?category={}", new_slug(version)),
            Look::Cart => format!("/v1/carts/{}", self.cart),
            Look::Account | Look::AccountByAccessToken => "/v1/me".to_owned(),
            Look::Preferences => "/v1/me/preferences".to_owned(),
            Look::Orders => "/v1/orders".to_owned(),
            Look::Notifications => "/v1/notifications".to_owned(),
            Look::Right => format!("/admin/v1/{}", readable(version)),
        }
    }

    /// Compares what a reader saw with what was known when it began.
    fn compare(&self, (look, version): (Look, u64), known: &Known, status: u16, body: &Value) {
        match look {
            Look::ProductById | Look::ProductBySlug => self.saw_product(known, body),
            Look::List | Look::Search => {
                items(body).for_each(|item| self.saw_product(known, item));
                self.facts.saw(known, Fact::NewProduct, newest(items(body)));
            }
            Look::Tree => {
                let top = |slug: &str| items(body).find(|category| category["slug"] == slug);
                let named = top(NAMED).map_or(&Value::Null, |category| &category["name"]);
                self.saw_name(known, Fact::Category, named);
                self.facts.saw(known, Fact::NewCategory, newest(items(body)));
                for (shelf, slug) in SHELVES.into_iter().enumerate() {
                    self.saw_shelf(known, shelf, top(slug).unwrap_or(&Value::Null));
                }
            }
            Look::Shelf(shelf) => {
                for (product, fact) in [(MOVED, Fact::Moved), (BELOW, Fact::Parent)] {
                    let is_there = items(body).any(|item| item["id"] == self.products[product].id);
                    self.saw_on_shelf(known, fact, (shelf, is_there));
                }
            }
            Look::ShelfCategory(shelf) => self.saw_shelf(known, shelf, body),
            Look::Category => self.saw_name(known, Fact::Category, &body["name"]),
            Look::Account | Look::AccountByAccessToken => self.saw_name(known, Fact::Name, &body["name"]),
            Look::Cart => {
                let item = &body["items"][0];
                // an empty cart has no item
                self.facts.saw(known, Fact::Cart, item["quantity"].as_u64().unwrap_or_default());
                if item.is_object() {
                    self.saw_price(known, IN_CART, &item["unit_price"]);
                    self.saw_stock(known, IN_CART, &item["available"]);
                    let discount = body["totals"]["discount"]["amount"].as_u64().unwrap_or_default();
                    self.facts.saw(known, Fact::Discount, discount.saturating_sub(DISCOUNT));
                }
            }
            Look::Preferences => {
                let agrees = body["marketing_consent"] == true;
                self.facts.saw_state(known, Fact::Consent, |version| (version % 2 == 1) == agrees);
            }
            Look::Right => {
                let is_right = |other| (readable(other) == readable(version)) == (status == 200);
                self.facts.saw_state(known, Fact::Right, is_right);
            }
            Look::Orders => {
                let version = order_version(&body["items"][0]).unwrap_or_default();
                self.facts.saw(known, Fact::Order, version);
            }
            Look::Notifications => {
                // the buyer reads none of them
                let unread = body["unread"].as_u64().unwrap_or_default();
                self.facts.saw_first(known, Fact::Notifications, unread);
            }
            // that they are found is compared
            Look::NewProduct | Look::NewCategory => {}
        }
    }

    fn saw_product(&self, known: &Known, body: &Value) {
        let of = self.products.iter().position(|product| body["id"] == product.id);
        if of == Some(MOVED) {
            let is_there = |version| body["category_id"] == self.catalogue.shelf(version);
            self.facts.saw_state(known, Fact::Moved, is_there);
        } else if let Some(product) = of.filter(|product| *product < PRODUCTS) {
            let variant = &body["variants"][0];
            self.saw_price(known, product, &variant["price"]);
            if product > 0 {
                self.saw_stock(known, product, &variant["available"]);
            }
        }
    }

    /// Compares the price of a product with what was known.
    pub(super) fn saw_price(&self, known: &Known, product: usize, price: &Value) {
        let version = price["amount"].as_u64().unwrap_or_default().saturating_sub(PRICE);
        self.facts.saw(known, Fact::Price(product), version);
    }

    fn saw_stock(&self, known: &Known, product: usize, available: &Value) {
        let version = available.as_u64().unwrap_or_default().saturating_sub(STOCK);
        self.facts.saw(known, Fact::Stock(product), version);
    }

    /// Compares the categories of a shelf with what was known.
    fn saw_shelf(&self, known: &Known, shelf: usize, category: &Value) {
        let below = category["children"].as_array();
        let is_there = below.into_iter().flatten().any(|child| child["slug"] == MOVED_CATEGORY);
        self.saw_on_shelf(known, Fact::Parent, (shelf, is_there));
    }

    /// Compares whether something that is moved is on a shelf with what was known.
    fn saw_on_shelf(&self, known: &Known, fact: Fact, (shelf, is_there): (usize, bool)) {
        let is_right = |version| (state_of(version, SHELVES.len()) == shelf) == is_there;
        self.facts.saw_state(known, fact, is_right);
    }

    /// Compares the number at the end of a name with what was known.
    fn saw_name(&self, known: &Known, fact: Fact, name: &Value) {
        let number = name.as_str().and_then(|name| name.rsplit(' ').next()?.parse().ok());
        self.facts.saw(known, fact, number.unwrap_or_default());
    }
}

/// Returns the items of a list.
fn items(body: &Value) -> impl Iterator<Item = &Value> {
    body["items"].as_array().into_iter().flatten()
}
