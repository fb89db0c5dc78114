//! Orders of a shop: checked out, captured, refunded and cancelled by the use cases.

use jiff::{SignedDuration, Timestamp};
use undercroft::application::Store;
use undercroft::application::consistency::{Violation, check, check_rules};
use undercroft::application::idempotency::Responder;
use undercroft::application::payments::provider_scope::ProviderScope;
use undercroft::application::payments::recovery;
use undercroft::application::selling::checkout::{Checkout, checkout};
use undercroft::application::selling::orders::{self, Amount, CancelledBy, OperationRequest};
use undercroft::application::selling::queries;
use undercroft::application::subscriptions::renewals;
use undercroft::domain::ids::{CartId, OrderId, VariantId};
use undercroft::domain::money::{Currency, Money};
use undercroft::domain::order::OrderStatus;
use undercroft::domain::payment::{OperationKind, Payment, PaymentOperation};
use undercroft::domain::permission::Permissions;
use undercroft::domain::placed_order::PlacedOrder;
use undercroft::infrastructure::adapters::SANDBOX_RULES;
use undercroft::infrastructure::exceptions::Failure;
use undercroft::infrastructure::repositories::{Database, IdempotencyKey, StoredResponse};

use super::Shop;
use super::store::{Summary, address, cart, value};

/// An amount in cents.
pub fn eur(cents: i64) -> Money {
    Money::new(cents, Currency::EUR)
}

/// The idempotency key of this name, always of the same request.
pub fn key(name: &str) -> IdempotencyKey {
    IdempotencyKey { scope: "test".into(), key: name.into(), request_hash: b"the same".to_vec() }
}

/// A guest's request to check out a cart.
pub fn checkout_request(cart_id: CartId, token: &str) -> Checkout {
    Checkout {
        cart_id,
        version: None,
        expected_total: None,
        user_id: None,
        client: Some("192.0.2.7".parse().unwrap()),
        email: Some("ann@example.com".into()),
        shipping_address: Some(address()),
        billing_address: None,
        shipping_method: None,
        provider: "sandbox".into(),
        token: token.into(),
    }
}

/// Checks out a cart; returns the status and the body of the response.
pub async fn check_out(store: &Store, cart_id: CartId, token: &str) -> (u16, String) {
    submit(store, checkout_request(cart_id, token), None).await
}

/// Sends a checkout with an idempotency key or none; returns the status and the body of the response.
pub async fn submit(store: &Store, request: Checkout, key: Option<IdempotencyKey>) -> (u16, String) {
    status_and_body(checkout(store, request, Responder::new(key, Summary)).await)
}

/// Runs a capture or a refund with an idempotency key or none; returns the status and the body of the response.
pub async fn run(store: &Store, request: OperationRequest, key: Option<IdempotencyKey>) -> (u16, String) {
    status_and_body(orders::capture_or_refund(store, request, Responder::new(key, Summary)).await)
}

/// A failure without a stored response has its code as the body.
fn status_and_body(outcome: Result<StoredResponse, Failure>) -> (u16, String) {
    match outcome {
        Ok(response) => (response.status, String::from_utf8(response.body).unwrap()),
        Err(failure) => (failure.status().as_u16(), failure.code().to_owned()),
    }
}

/// The pieces of a variant in stock, and those of them that are reserved.
pub async fn stock(database: &Database, variant: VariantId) -> (i64, i64) {
    let of = [variant.into()];
    (
        value(database, "SELECT stock FROM inventory WHERE variant_id = $1", &of).await,
        value(database, "SELECT reserved FROM inventory WHERE variant_id = $1", &of).await,
    )
}

/// Asserts that the data is consistent and that no payment operation is pending.
pub async fn assert_consistent(database: &Database) {
    assert_eq!(violations(database).await, []);
}

/// The rules that the data violates, those that hold while no payment operation is pending included.
pub async fn violations(database: &Database) -> Vec<Violation> {
    let mut violations = check(database, true).await.unwrap();
    violations.extend(check_rules(database, SANDBOX_RULES).await.unwrap());
    violations
}

/// Recovers the payments of all providers that are due at `by`; returns how many there were.
pub async fn recover_payments(store: &Store, by: Timestamp) -> Result<usize, Failure> {
    let mut recovered = 0;
    for scope in ProviderScope::all(store) {
        recovered += recovery::recover_payments(store, scope, by).await?;
    }
    Ok(recovered)
}

/// Renews the subscriptions of all providers that are due at `by`; returns how many were charged.
pub async fn renew_subscriptions(store: &Store, by: Timestamp) -> Result<usize, Failure> {
    let mut charged = 0;
    for scope in ProviderScope::all(store) {
        charged += renewals::renew_subscriptions(store, scope, by).await?;
    }
    Ok(charged)
}

/// Runs the recovery of payments three times, 72 hours from now.
pub async fn recover(store: &Store) {
    let later = store.database().context().clock.now() + SignedDuration::from_hours(72);
    for _ in 0..3 {
        recover_payments(store, later).await.unwrap();
    }
}

/// An order of one piece of a variant.
#[derive(Clone)]
pub struct Sale {
    /// The store that sold it.
    pub store: Store,
    /// The variant of its only line.
    pub variant: VariantId,
    /// The id of the order.
    pub id: OrderId,
}

impl Sale {
    /// Creates a product at 10.00 EUR with this stock and checks out one piece of it.
    pub async fn begin(shop: &Shop, stock: i64, token: &str) -> Self {
        let variant = shop.product().price(1000).stock(stock).create().await;
        Self::of(&shop.store, variant, token).await
    }

    /// Checks out one piece of a variant.
    pub async fn of(store: &Store, variant: VariantId, token: &str) -> Self {
        let cart_id = cart(store, None, &[(variant, 1)]).await;
        Self::of_cart(store, cart_id, variant, token).await
    }

    /// Checks out a cart with one piece of a variant.
    pub async fn of_cart(store: &Store, cart_id: CartId, variant: VariantId, token: &str) -> Self {
        let (status, body) = check_out(store, cart_id, token).await;
        assert_eq!(status, 201, "{body}");
        let id = body.split(' ').next().unwrap().parse().unwrap();
        Self { store: store.clone(), variant, id }
    }

    /// The database of the store.
    pub fn database(&self) -> &Database {
        self.store.database()
    }

    /// The order with its payment as they are now.
    pub async fn order(&self) -> PlacedOrder {
        orders::order(&self.store, self.id).await.unwrap()
    }

    /// The payment as it is now.
    pub async fn payment(&self) -> Payment {
        self.order().await.payment
    }

    /// The payment operations of this kind, oldest first.
    pub async fn operations(&self, kind: OperationKind) -> Vec<PaymentOperation> {
        let (_, operations) = queries::order_with_operations(&self.store, self.id).await.unwrap();
        operations.into_iter().filter(|operation| operation.kind == kind).collect()
    }

    /// The totals of the credit notes; asserts that the taxes of each document add up to its total.
    pub async fn credit_notes(&self) -> Vec<i64> {
        let (invoice, notes) = queries::invoice(&self.store, self.id).await.unwrap();
        for document in notes.iter().chain([&invoice]) {
            let taxes = document.document.taxes.iter().map(|tax| tax.net.amount + tax.tax.amount);
            assert_eq!(taxes.sum::<i64>(), document.total.amount, "{document:?}");
        }
        notes.iter().map(|note| note.total.amount).collect()
    }

    /// The stock of the variant, see [`stock`].
    pub async fn stock(&self) -> (i64, i64) {
        stock(self.database(), self.variant).await
    }

    /// Captures or refunds an amount in cents, or all that is left; returns the status and the body of the response.
    pub async fn run(&self, kind: OperationKind, amount: Option<i64>) -> (u16, String) {
        run(&self.store, self.request(kind, amount), None).await
    }

    /// The request of [`Sale::run`].
    pub fn request(&self, kind: OperationKind, amount: Option<i64>) -> OperationRequest {
        let amount = amount.map(Amount::Minor);
        OperationRequest { order_id: self.id, kind, amount, reason: None, restock: false }
    }

    /// Cancels the order.
    pub async fn cancel(&self) {
        orders::cancel_once(
            &self.store,
            self.id,
            CancelledBy::Administrator(Permissions::ALL),
            Responder::new(None, Summary),
        )
        .await
        .unwrap();
        assert_eq!(self.order().await.order.status, OrderStatus::Cancelled);
    }

    /// Recovers payments, see [`recover`].
    pub async fn recover(&self) {
        recover(&self.store).await;
    }

    /// Asserts that the data is consistent, see [`assert_consistent`].
    pub async fn check(&self) {
        assert_consistent(self.database()).await;
    }
}
