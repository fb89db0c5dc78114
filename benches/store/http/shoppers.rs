//! The shoppers whose requests are measured.

use std::net::SocketAddr;

use http::header::ACCEPT_ENCODING;
use http::{HeaderValue, Method};
use serde_json::{Value, json};
use undercroft::domain::context::Context;
use undercroft::domain::ids::{ProductId, VariantId};

use crate::Outcome;
use crate::load::{CONNECTIONS, Caller, Shopper};

/// The paths of products.
pub(super) fn product_paths(products: &[ProductId]) -> Vec<String> {
    products.iter().map(|id| format!("/v1/products/{id}")).collect()
}

/// A shopper that reads one product after the other.
pub(super) struct Reader {
    caller: Caller,
    paths: Vec<String>,
    at: usize,
}

impl Reader {
    pub(super) fn each(address: SocketAddr, paths: &[String]) -> Vec<Self> {
        let reader = |number| Self { caller: Caller::new(address), paths: paths.to_vec(), at: number * 97 };
        (0..CONNECTIONS).map(reader).collect()
    }

    pub(super) fn with_gzip(address: SocketAddr, path: &str) -> Vec<Self> {
        // as browsers send it; the body is not read
        let caller = || Caller::with_header(address, ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        let reader = |_| Self { caller: caller(), paths: vec![path.to_owned()], at: 0 };
        (0..CONNECTIONS).map(reader).collect()
    }

    /// Returns the client with the path that it reads next.
    pub(super) fn next_read(&mut self) -> (&mut Caller, &str) {
        self.at = (self.at + 1) % self.paths.len();
        (&mut self.caller, &self.paths[self.at])
    }
}

impl Shopper for Reader {
    async fn run_once(&mut self) -> Outcome<()> {
        let (caller, path) = self.next_read();
        caller.get(path).await.map(drop)
    }
}

/// A shopper whose responses have one status.
pub(super) struct WithStatus {
    caller: Caller,
    path: String,
    status: u16,
}

impl WithStatus {
    pub(super) fn each(caller: impl Fn() -> Caller, path: &str, status: u16) -> Vec<Self> {
        let shopper = |_| Self { caller: caller(), path: path.to_owned(), status };
        (0..CONNECTIONS).map(shopper).collect()
    }
}

impl Shopper for WithStatus {
    async fn run_once(&mut self) -> Outcome<()> {
        // the limiter for overload accepts requests at first, and a few after a pause
        for _ in 0..100_000 {
            if self.caller.status(&self.path).await? == self.status {
                return Ok(());
            }
        }
        Err(format!("{} is never {}", self.path, self.status).into())
    }
}

/// A shopper that changes the quantities of the lines of a cart, one after the other.
pub(super) struct Adder {
    caller: Caller,
    paths: Vec<String>,
    at: usize,
}

impl Adder {
    /// Returns shoppers, each with a cart of so many lines.
    pub(super) async fn each(
        address: SocketAddr,
        variants: &[VariantId],
        lines: usize,
    ) -> Outcome<Vec<Self>> {
        let mut adders = Vec::new();
        for number in 0..CONNECTIONS {
            let mut caller = Caller::new(address);
            let cart = new_cart(&mut caller).await?;
            let chosen = variants.iter().cycle().skip(number * 101).step_by(7).take(lines);
            let paths = chosen.map(|variant| format!("/v1/carts/{cart}/items/{variant}")).collect();
            let mut adder = Self { caller, paths, at: 0 };
            for _ in 0..lines {
                adder.run_once().await?;
            }
            adders.push(adder);
        }
        Ok(adders)
    }
}

impl Shopper for Adder {
    async fn run_once(&mut self) -> Outcome<()> {
        self.at += 1;
        let path = &self.paths[self.at % self.paths.len()];
        let body = json!({ "quantity": 1 + self.at % 9 }).to_string();
        self.caller.send(Method::PUT, path, body, None).await.map(drop)
    }
}

/// A shopper that creates a cart, adds a line and checks out.
pub(super) struct Buyer {
    caller: Caller,
    variants: Vec<VariantId>,
    context: Context,
    at: usize,
}

impl Buyer {
    pub(super) fn each(address: SocketAddr, variants: &[VariantId]) -> Vec<Self> {
        let buyer = |number| Self {
            caller: Caller::new(address),
            variants: variants.to_vec(),
            context: Context::system(),
            at: number * 101,
        };
        (0..CONNECTIONS).map(buyer).collect()
    }
}

impl Shopper for Buyer {
    async fn run_once(&mut self) -> Outcome<()> {
        self.at += 1;
        let variant = self.variants[self.at % self.variants.len()];
        let cart = new_cart(&mut self.caller).await?;
        let item = format!("/v1/carts/{cart}/items/{variant}");
        self.caller.send(Method::PUT, &item, json!({ "quantity": 1 }).to_string(), None).await?;
        let purchase = json!({
            "email": "ann@example.com",
            "shipping_address": {
                "name": "Ann Buyer", "line1": "Marktplatz 1", "city": "Bremen", "postal_code": "28195", "country": "DE"
            },
            "payment": { "provider": "sandbox", "token": "tok_ok" }
        });
        let key = self.context.ids.uuid().to_string();
        let path = format!("/v1/carts/{cart}/checkout");
        let order = self.caller.send(Method::POST, &path, purchase.to_string(), Some(&key)).await?;
        match serde_json::from_slice::<Value>(&order)?["status"].as_str() {
            Some("paid") => Ok(()),
            status => Err(format!("an order is {status:?}").into()),
        }
    }
}

/// Creates a cart and returns its id.
async fn new_cart(caller: &mut Caller) -> Outcome<String> {
    let cart = caller.send(Method::POST, "/v1/carts", "{}", None).await?;
    let cart: Value = serde_json::from_slice(&cart)?;
    Ok(cart["id"].as_str().ok_or("a cart without an id")?.to_owned())
}
