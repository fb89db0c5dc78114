//! Checkout: turns a cart into an order and authorizes its payment.
//!
//! One transaction places the order, the provider is called outside of any, and
//! [`apply_response`] applies its response.

use std::net::IpAddr;

use uuid::Uuid;

use crate::domain::address::Address;
use crate::domain::cart::{Cart, CartStatus};
use crate::domain::feature_flag::EvaluationContext;
use crate::domain::ids::{CartId, OrderId, UserId};
use crate::domain::money::Money;
use crate::domain::order::Order;
use crate::domain::payment::{Payment, PaymentStatus};
use crate::domain::placed_order::PlacedOrder;
use crate::domain::ports::{Charge, DeclineReason};
use crate::domain::user::User;
use crate::infrastructure::exceptions::{
    Failure, Fault, PaymentFailedException, UnauthorizedAccessException, ValidationException,
};
use crate::infrastructure::guards::{EmailFacts, EmailVerifiedGuard, Guard};
use crate::infrastructure::repositories::{CartRepository, PaymentRepository, StoredResponse, UnitOfWork};

use super::cart::{CartSelector, extend_retention, lock};
use super::holds::Holders;
use super::place_order::{OrderDraft, place_order};
use super::quote::ShippingChoice;
use crate::application::Store;
use crate::application::features::{self, Feature};
use crate::application::idempotency::{ProviderRequest, Responder, request_provider};
use crate::application::payments::apply_payment::apply_response;
use crate::application::payments::gateway_calls::{authorize, check_payment_method};
use crate::application::payments::placed_orders;

/// A request to check out a cart.
#[derive(Debug, Clone)]
pub struct Checkout {
    /// The cart.
    pub cart_id: CartId,
    /// The version that the cart must have; any if `None`.
    pub version: Option<i64>,
    /// The total that the buyer was shown; any if `None`.
    pub expected_total: Option<Money>,
    /// The buyer; `None` is a guest.
    pub user_id: Option<UserId>,
    /// The address of the buyer's client, if it is known.
    pub client: Option<IpAddr>,
    /// The buyer's e-mail address; if omitted, that of the cart, or else that of the user.
    pub email: Option<String>,
    /// The address to which the order is delivered; if omitted, that of the cart.
    pub shipping_address: Option<Address>,
    /// The address of the invoice; if omitted, the shipping address.
    pub billing_address: Option<Address>,
    /// The code of the shipping method; if omitted, that of the cart, or else the cheapest.
    pub shipping_method: Option<String>,
    /// The payment provider.
    pub provider: String,
    /// The payment method token.
    pub token: String,
}

/// Turns a cart into an order and authorizes its payment. The response is the order, or the failure of its payment.
///
/// # Errors
///
/// A [`ValidationException`], `NotFound::Cart`, an `OrderProcessingException` if the cart is already ordered,
/// `Conflict::PreconditionFailed` if it has another version, and those of [`place_order`].
pub async fn checkout(
    store: &Store,
    request: Checkout,
    responder: Responder<PlacedOrder>,
) -> Result<StoredResponse, Failure> {
    if request.user_id.is_none() {
        features::require(store, Feature::GuestCheckout, &EvaluationContext::default()).await?;
    }
    check_payment_method(store, &request.provider, &request.token)?;
    request_provider(store, request, responder).await
}

impl ProviderRequest for Checkout {
    type Begun = Payment;
    type Outcome = Charge;
    type Value = PlacedOrder;

    fn begin_ahead(&self, work: &mut UnitOfWork) {
        CartRepository::lock_ahead(work, self.cart_id);
        if let Some(id) = self.user_id {
            work.find_ahead::<User>(&id);
        }
    }

    /// Places the order of the cart.
    async fn begin(&self, work: &mut UnitOfWork, store: &Store, id: Uuid) -> Result<Payment, Failure> {
        let mut cart = cart_with_lines(work, self).await?;
        let draft = draft(work, store, OrderId(id), &cart, self).await?;
        let placed = place_order(work, &store.terms, &draft).await?;
        // an erasure that was committed since the user was read is seen here; a later one waits for the order
        buyer(work, self.user_id).await?;
        cart.status = CartStatus::Ordered;
        cart.order_id = Some(placed.order.id);
        // it is open again if the order is cancelled
        extend_retention(&mut cart, &store.terms, work.now());
        work.save(&mut cart).await?;
        Ok(placed.payment)
    }

    async fn resume(work: &mut UnitOfWork, id: Uuid) -> Result<Option<Payment>, Failure> {
        Ok(PaymentRepository(work).by_order(OrderId(id)).await?)
    }

    fn is_pending(payment: &Payment) -> bool {
        payment.status == PaymentStatus::Pending
    }

    async fn call(store: &Store, payment: &Payment) -> Result<Option<Charge>, Failure> {
        authorize(store, payment).await
    }

    async fn conclude(
        work: &mut UnitOfWork,
        payment: &Payment,
        charge: Option<&Charge>,
    ) -> Result<Result<PlacedOrder, Failure>, Failure> {
        let placed = match charge {
            Some(charge) => {
                work.lock_ahead::<Payment>(&payment.id);
                work.lock_ahead::<Order>(&payment.order_id);
                apply_response(work, payment.id, charge).await?
            }
            None => placed_orders::get_by_payment(work, payment.id).await?,
        };
        if placed.payment.status != PaymentStatus::Failed {
            return Ok(Ok(placed));
        }
        let failure = placed.payment.failure.as_deref();
        let reason = failure.map_or(DeclineReason::Declined, DeclineReason::from_name);
        Ok(Err(PaymentFailedException { reason }.into()))
    }
}

/// Locks the cart, and fails if it is empty.
async fn cart_with_lines(work: &mut UnitOfWork, request: &Checkout) -> Result<Cart, Failure> {
    let &Checkout { cart_id: id, user_id, version, .. } = request;
    let cart = lock(work, CartSelector { id, user_id, version }).await?;
    if cart.lines.is_empty() {
        return Err(ValidationException::one("", Fault::EmptyCart).into());
    }
    Ok(cart)
}

/// Returns the buyer; `None` is a guest. A user who was erased since the request was authenticated is not
/// logged in any more.
async fn buyer(work: &mut UnitOfWork, id: Option<UserId>) -> Result<Option<User>, Failure> {
    let Some(id) = id else { return Ok(None) };
    let user = work.find::<User>(id).await?.filter(|user| user.erased_at.is_none());
    Ok(Some(user.ok_or(UnauthorizedAccessException::InvalidToken)?))
}

async fn draft(
    work: &mut UnitOfWork,
    store: &Store,
    order_id: OrderId,
    cart: &Cart,
    request: &Checkout,
) -> Result<OrderDraft, Failure> {
    let user = buyer(work, request.user_id).await?;
    EmailVerifiedGuard::check(EmailFacts::of(user.as_ref(), store.terms.verified_email.for_checkout))?;
    let delivery = &cart.delivery;
    let email = request.email.as_ref().or(delivery.email.as_ref());
    let email = email.or(user.as_ref().map(|user| &user.email)).cloned();
    let shipping_address = request.shipping_address.as_ref().or(delivery.shipping_address.as_ref());
    let shipping_address =
        shipping_address.ok_or_else(|| ValidationException::one("/shipping_address", Fault::Required))?;
    let shipping_method = request.shipping_method.as_ref().or(delivery.shipping_method.as_ref());
    let today = work.now().to_zoned(jiff::tz::TimeZone::UTC).date();
    Ok(OrderDraft {
        id: order_id,
        payment_id: work.id(),
        user_id: request.user_id,
        age: user.and_then(|user| user.age_on(today)),
        email: email.ok_or_else(|| ValidationException::one("/email", Fault::Required))?,
        cart_id: Some(cart.id),
        cart_owner: cart.user_id,
        subscription_id: None,
        currency: cart.currency,
        expected_total: request.expected_total,
        lines: cart.lines.iter().map(|&line| line.into()).collect(),
        discount_code: cart.discount_code.clone(),
        shipping: ShippingChoice::method(shipping_method.map(String::as_str)),
        billing_address: request.billing_address.as_ref().unwrap_or(shipping_address).clone(),
        shipping_address: shipping_address.clone(),
        holders: Holders::of_buyer(store, request.user_id, request.client),
        provider: request.provider.clone(),
        token: request.token.clone(),
    })
}
