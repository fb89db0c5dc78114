//! A store with its worker's parts at hand, and things to sell in it.

use jiff::SignedDuration;
use undercroft::application::idempotency::Render;
use undercroft::application::selling::orders::PaymentOperationOutcome;
use undercroft::application::{Policy, Store};
use undercroft::domain::address::Address;
use undercroft::domain::cart::{Cart, CartItem, CartStatus};
use undercroft::domain::discount::{Discount, DiscountKind};
use undercroft::domain::ids::{CartId, PaymentId, ProductId, UserId, VariantId};
use undercroft::domain::money::Currency;
use undercroft::domain::placed_order::PlacedOrder;
use undercroft::infrastructure::Infrastructure;
use undercroft::infrastructure::exceptions::Failure;
use undercroft::infrastructure::repositories::{
    CartRepository, Database, DatabaseError, Field, Param, StoredResponse,
};

/// What the store's owner decided, in tests.
pub fn policy() -> Policy {
    Policy {
        name: "Test".into(),
        default_currency: Currency::EUR,
        default_country: "DE".parse().unwrap(),
        session: SignedDuration::from_hours(24),
        cart: SignedDuration::from_hours(24),
        reservation: SignedDuration::from_mins(30),
        idempotency: SignedDuration::from_hours(24),
        capture_at_checkout: true,
    }
}

/// The same for a store that only authorizes payments at checkout.
pub fn manual_capture() -> Policy {
    Policy { capture_at_checkout: false, ..policy() }
}

/// A store on this database, whose payment provider is the sandbox.
pub fn store(database: &Database, policy: Policy) -> Store {
    Store::new(Infrastructure::new(database.clone()), policy)
}

/// Confirms a payment of the sandbox as the shopper does; whether it waited for that.
pub async fn confirm_payment(store: &Store, payment_id: PaymentId) -> bool {
    let sandbox = store.infrastructure.gateways.get("sandbox").unwrap();
    sandbox.confirmation_page().unwrap().decide(payment_id, true).await.unwrap()
}

/// One value from the database.
pub async fn value<T: Field>(database: &Database, sql: &str, params: &[Param<'_>]) -> T {
    database.read().await.unwrap().one(sql, params).await.unwrap()
}

/// Something that is done to the database, told in SQL.
pub async fn execute(database: &Database, statements: &'static [&'static str]) {
    let done: Result<(), DatabaseError> = database
        .write_boxed(move |work| {
            Box::pin(async move {
                for sql in statements {
                    work.script(sql).await?;
                }
                Ok(())
            })
        })
        .await;
    done.unwrap();
}

/// Something to sell: a product of one variant that costs `price` cents, of which there are `stock`.
pub async fn product(database: &Database, price: i64, stock: i64) -> VariantId {
    product_of_kind(database, price, stock, "physical").await
}

/// Something to sell, of a kind.
pub async fn product_of_kind(database: &Database, price: i64, stock: i64, kind: &'static str) -> VariantId {
    let made: Result<VariantId, DatabaseError> = database
        .write_boxed(move |work| {
            Box::pin(async move {
                let (product, variant): (ProductId, VariantId) = (work.id(), work.id());
                let now = work.now();
                let interval = (kind == "subscription").then_some("month");
                let name = product.to_string();
                let sql = "INSERT INTO products (id, slug, name, description, kind, billing_interval, active, options, \
                           translations, rating_sum, rating_count, version, created_at, updated_at) \
                           VALUES ($1, $2, $2, '', $3, $4, $5, $6, $7, 0, 0, 1, $8, $8)";
                let values = [
                    product.into(),
                    Param::from(&name),
                    kind.into(),
                    interval.into(),
                    true.into(),
                    Param::Json("[]".into()),
                    Param::Json("{}".into()),
                    now.into(),
                ];
                work.execute(sql, &values).await?;
                let sql = "INSERT INTO variants (id, product_id, sku, options, active, prices, position) \
                           VALUES ($1, $2, $3, $4, $5, $6, 1)";
                let values = [
                    variant.into(),
                    product.into(),
                    Param::from(&name),
                    Param::Json("[]".into()),
                    true.into(),
                    Param::Json(format!(r#"{{"EUR":{price}}}"#)),
                ];
                work.execute(sql, &values).await?;
                let sql = "INSERT INTO inventory (variant_id, stock, reserved, version, updated_at) \
                           VALUES ($1, $2, 0, 1, $3)";
                work.execute(sql, &[variant.into(), stock.into(), now.into()]).await?;
                Ok(variant)
            })
        })
        .await;
    made.unwrap()
}

/// An open cart with these lines.
pub async fn cart(store: &Store, user_id: Option<UserId>, items: &[(VariantId, i64)]) -> CartId {
    let items = items.to_vec();
    let span = store.policy.cart;
    let made: Result<CartId, DatabaseError> = store
        .database()
        .write_boxed(move |work| {
            let items = items.clone();
            Box::pin(async move {
                let now = work.now();
                let cart = Cart {
                    id: work.id(),
                    user_id,
                    currency: Currency::EUR,
                    status: CartStatus::Open,
                    discount_code: None,
                    order_id: None,
                    version: 1,
                    created_at: now,
                    updated_at: now,
                    expires_at: now.checked_add(span).unwrap(),
                    items: Vec::new(),
                };
                work.insert(&cart).await?;
                for (variant_id, quantity) in items {
                    CartRepository::set_item(work, cart.id, CartItem { variant_id, quantity }).await?;
                }
                Ok(cart.id)
            })
        })
        .await;
    made.unwrap()
}

/// An address in Germany.
pub fn address() -> Address {
    Address {
        name: "Ann Buyer".into(),
        line1: "Marktplatz 1".into(),
        line2: None,
        city: "Bremen".into(),
        region: None,
        postal_code: "28195".into(),
        country: "DE".parse().unwrap(),
    }
}

/// Answers in a form that tests can read: the status, and what happened to whom.
pub struct Plain;

impl Render<PlacedOrder> for Plain {
    fn success(&self, placed: &PlacedOrder) -> StoredResponse {
        let body = format!("{} {:?} {:?}", placed.order.id, placed.order.status, placed.payment.status);
        StoredResponse { status: 201, headers: Vec::new(), body: body.into_bytes() }
    }

    fn refusal(&self, failure: &Failure) -> StoredResponse {
        StoredResponse { status: failure.status().as_u16(), headers: Vec::new(), body: failure.code().into() }
    }
}

impl Render<PaymentOperationOutcome> for Plain {
    fn success(&self, moved: &PaymentOperationOutcome) -> StoredResponse {
        let body = format!("{} {:?}", moved.step.id, moved.step.status);
        StoredResponse { status: 201, headers: Vec::new(), body: body.into_bytes() }
    }

    fn refusal(&self, failure: &Failure) -> StoredResponse {
        Render::<PlacedOrder>::refusal(self, failure)
    }
}

/// The status and body of an outcome, whichever way it came.
pub fn told(outcome: &Result<StoredResponse, Failure>) -> (u16, String) {
    match outcome {
        Ok(answer) => (answer.status, String::from_utf8(answer.body.clone()).unwrap()),
        Err(failure) => (failure.status().as_u16(), failure.code().to_owned()),
    }
}

/// A discount of so many basis points.
pub async fn discount(database: &Database, code: &'static str, basis_points: u32, usage_limit: Option<i64>) {
    let made: Result<(), DatabaseError> = database
        .write_boxed(move |work| {
            Box::pin(async move {
                let now = work.now();
                let discount = Discount {
                    id: work.id(),
                    code: code.into(),
                    kind: DiscountKind::Percent { basis_points },
                    minimum: None,
                    usage_limit,
                    used: 0,
                    starts_at: None,
                    ends_at: None,
                    active: true,
                    version: 1,
                    created_at: now,
                    updated_at: now,
                };
                work.insert(&discount).await
            })
        })
        .await;
    made.unwrap();
}
