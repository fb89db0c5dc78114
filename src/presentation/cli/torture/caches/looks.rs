//! What readers look at, and compare with what was acknowledged before.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};

use super::super::random::random_index;
use super::facts::{Fact, Known, PRODUCTS};
use super::nodes::NodeClient;
use super::shop::{IN_CART, PRICE, STOCK, Shop, order_version};

/// What a reader looks at.
#[derive(Debug, Clone, Copy)]
pub(super) enum Look {
    ProductById,
    ProductBySlug,
    List,
    Search,
    Tree,
    Category,
    Cart,
    Account,
    AccountByAccessToken,
    Preferences,
    Orders,
    Notifications,
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
        let product = &shop.products[random_index(&shop.context, shop.products.len())];
        let path = match look {
            Look::ProductById => format!("/v1/products/{}", product.id),
            Look::ProductBySlug => format!("/v1/products/{}", product.slug),
            Look::List => "/v1/products?limit=100".to_owned(),
            Look::Search => "/v1/products?q=scarce&limit=100".to_owned(),
            Look::Tree => "/v1/categories".to_owned(),
            Look::Category => "/v1/categories/category".to_owned(),
            Look::Cart => format!("/v1/carts/{}", shop.cart),
            Look::Account | Look::AccountByAccessToken => "/v1/me".to_owned(),
            Look::Preferences => "/v1/me/preferences".to_owned(),
            Look::Orders => "/v1/orders".to_owned(),
            Look::Notifications => "/v1/notifications".to_owned(),
            Look::Right => "/admin/v1/orders?limit=1".to_owned(),
        };
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
        let known = shop.facts.known();
        let response = client.get(node, &path).await;
        if matches!(look, Look::AccountByAccessToken)
            && response.as_ref().is_ok_and(|response| response.status == 401)
        {
            // it has ended
            self.token = None;
            return Some(());
        }
        let expected: &[u16] = if matches!(look, Look::Right) { &[200, 403] } else { &[200] };
        let response = shop.expect(response, expected)?;
        // the tree may be that of before if it cannot be loaded, and says so
        if !response.is_fallback {
            let status = response.status;
            shop.compare(look, &known, status, &response.json());
        }
        Some(())
    }
}

impl Shop {
    /// Compares what a reader saw with what was known when it began.
    fn compare(&self, look: Look, known: &Known, status: u16, body: &Value) {
        match look {
            Look::ProductById | Look::ProductBySlug => self.saw_product(known, body),
            Look::List | Look::Search => {
                body["items"].as_array().into_iter().flatten().for_each(|item| self.saw_product(known, item));
            }
            Look::Tree => self.saw_name(known, Fact::Category, &body["items"][0]["name"]),
            Look::Category => self.saw_name(known, Fact::Category, &body["name"]),
            Look::Account | Look::AccountByAccessToken => self.saw_name(known, Fact::Name, &body["name"]),
            Look::Cart => {
                let item = &body["items"][0];
                // an empty cart has no item
                self.facts.saw(known, Fact::Cart, item["quantity"].as_u64().unwrap_or_default());
                if item.is_object() {
                    self.saw_price(known, IN_CART, &item["unit_price"]);
                    self.saw_stock(known, IN_CART, &item["available"]);
                }
            }
            Look::Preferences => self.facts.saw_odd(known, Fact::Consent, body["marketing_consent"] == true),
            Look::Right => self.facts.saw_odd(known, Fact::Right, status == 200),
            Look::Orders => {
                let version = order_version(&body["items"][0]).unwrap_or_default();
                self.facts.saw(known, Fact::Order, version);
            }
            Look::Notifications => {}
        }
    }

    fn saw_product(&self, known: &Known, body: &Value) {
        let of = self.products.iter().position(|product| body["id"] == product.id);
        if let Some(product) = of.filter(|product| *product < PRODUCTS) {
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

    /// Compares the number at the end of a name with what was known.
    fn saw_name(&self, known: &Known, fact: Fact, name: &Value) {
        let number = name.as_str().and_then(|name| name.rsplit(' ').next()?.parse().ok());
        self.facts.saw(known, fact, number.unwrap_or_default());
    }
}
