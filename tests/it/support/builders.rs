//! Builders of products, discounts and users.

use serde_json::{Value, json};
use undercroft::application::Store;
use undercroft::application::catalogue::products;
use undercroft::application::idempotency::Responder;
use undercroft::domain::discount::{Discount, DiscountKind};
use undercroft::domain::ids::{UserId, VariantId};
use undercroft::domain::product::ProductView;
use undercroft::domain::user::{Role, User};
use undercroft::infrastructure::exceptions::Failure;

use super::store::Text;
use super::unique;

/// A product with one variant.
pub struct ProductBuilder<'a> {
    store: &'a Store,
    product: Value,
}

impl<'a> ProductBuilder<'a> {
    /// A physical product; its variant costs 10.00 EUR and has 10 pieces.
    pub fn new(store: &'a Store) -> Self {
        let price = json!({"amount": 1_000, "currency": "EUR"});
        let variant = json!({"sku": unique("sku"), "price": price, "stock": 10});
        Self { store, product: json!({"name": unique("product"), "variants": [variant]}) }
    }

    /// The price of the variant in cents.
    #[must_use]
    pub fn price(mut self, cents: i64) -> Self {
        self.product["variants"][0]["price"]["amount"] = cents.into();
        self
    }

    /// The stock of the variant.
    #[must_use]
    pub fn stock(mut self, pieces: i64) -> Self {
        self.product["variants"][0]["stock"] = pieces.into();
        self
    }

    /// Another member of the product as in a request, such as its category.
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.product[member] = value.into();
        self
    }

    /// A product that is sold as a monthly subscription.
    #[must_use]
    pub fn subscription(self) -> Self {
        self.with("kind", "subscription").with("billing_interval", "month")
    }

    /// Creates the product; returns the id of its variant.
    pub async fn create(self) -> VariantId {
        let draft = serde_json::from_value(self.product).unwrap();
        let variant_id = Text(|view: &ProductView| view.product.variants[0].id.to_string());
        let created = products::create(self.store, draft, Responder::new(None, variant_id)).await.unwrap();
        let body = String::from_utf8(created.body).unwrap();
        body.parse().unwrap_or_else(|error| panic!("{error}: {body}"))
    }
}

/// Creates a discount of a percentage; `usage_limit` is the number of orders that may use it.
pub async fn discount(store: &Store, code: &str, percent: u32, usage_limit: Option<i64>) -> Discount {
    let given = (code.to_owned(), percent, usage_limit);
    let created: Result<_, Failure> = store
        .database()
        .write(given, async |work, (code, percent, usage_limit)| {
            let kind = DiscountKind::Percent { basis_points: percent * 100 };
            let new = Discount::new(work.id(), code.clone(), kind, work.now());
            let discount = Discount { usage_limit: *usage_limit, ..new };
            work.insert(&discount).await?;
            Ok(discount)
        })
        .await;
    created.unwrap()
}

/// Creates a user without a password.
pub async fn user(store: &Store, role: Role) -> UserId {
    let created: Result<_, Failure> = store
        .database()
        .write(role, async |work, role| {
            let id: UserId = work.id();
            let email = format!("{}@example.com", id.0.simple());
            let user = User::new(id, email, "Ann".into(), *role, work.now());
            work.insert(&user).await?;
            Ok(id)
        })
        .await;
    created.unwrap()
}
