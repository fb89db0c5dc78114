//! From a cart to an order.
//!
//! The cart becomes an order in one unit of work; the vendor is asked outside any; its answer is taken in by
//! [`apply_payment`](crate::application::payments::apply_payment). All of it runs in a task of its own, so that a shopper who goes away in
//! the middle leaves no half of it behind; what a crash interrupts, the recovery finishes.

use std::sync::Arc;

use uuid::Uuid;

use crate::domain::address::Address;
use crate::domain::cart::{Cart, CartStatus};
use crate::domain::ids::{CartId, OrderId, PaymentId, UserId};
use crate::domain::payment::{Payment, PaymentStatus};
use crate::domain::placed_order::PlacedOrder;
use crate::domain::ports::{Charge, DeclineReason};
use crate::domain::user::User;
use crate::infrastructure::exceptions::{
    Conflict, Failure, Fault, NotFound, OrderProcessingException, PaymentFailedException, Technical,
    UnauthorizedAccessException, ValidationException,
};
use crate::infrastructure::repositories::{
    CartRepository, IdempotencyKey, PaymentRepository, StoredResponse, UnitOfWork,
};

use super::place_order::{OrderDraft, place_order};
use super::quote::{QuoteLine, ShippingChoice};
use crate::application::Store;
use crate::application::idempotency::{ClaimOutcome, Render, claim, refuse, settle};
use crate::application::payments::apply_payment::apply_payment;
use crate::application::payments::gateway_calls::{authorize, gateway};
use crate::application::payments::placed_orders;

/// What a shopper sends to buy a cart.
#[derive(Debug, Clone)]
pub struct Checkout {
    /// Which cart.
    pub cart_id: CartId,
    /// Who buys; `None` is a guest.
    pub user_id: Option<UserId>,
    /// Where to write to; a user's own address if it is not said.
    pub email: Option<String>,
    /// Where it goes.
    pub shipping_address: Address,
    /// Where the invoice goes, if elsewhere.
    pub billing_address: Option<Address>,
    /// The way of shipping; the cheapest if it is not said.
    pub shipping_method: Option<String>,
    /// Who takes the money.
    pub provider: String,
    /// The shopper's token for the means of payment.
    pub token: String,
}

/// Buys a cart. The answer is an order, or the refusal of its payment.
pub async fn checkout(
    store: &Store,
    request: Checkout,
    key: Option<IdempotencyKey>,
    render: Arc<dyn Render<PlacedOrder>>,
) -> Result<StoredResponse, Failure> {
    gateway(store, &request.provider)?;
    let store = store.clone();
    let task = tokio::spawn(async move {
        match begin(&store, request, key.clone()).await {
            Ok(Placing::Answered(answer)) => Ok(answer),
            Ok(Placing::Placed(payment)) => {
                let charge = authorize(&store, &payment).await?;
                record(&store, payment.id, charge, key, render).await
            }
            Ok(Placing::Settled(payment_id)) => record(&store, payment_id, None, key, render).await,
            Err(failure) => match key {
                Some(key) => refuse(&store, key, &render.refusal(&failure), failure).await,
                None => Err(failure),
            },
        }
    });
    task.await.unwrap_or_else(|error| Err(Technical::internal(error).into()))
}

/// Applies the charge and stores the response to the key, in one transaction.
async fn record(
    store: &Store,
    payment_id: PaymentId,
    charge: Option<Charge>,
    key: Option<IdempotencyKey>,
    render: Arc<dyn Render<PlacedOrder>>,
) -> Result<StoredResponse, Failure> {
    let given = (payment_id, charge, key, render);
    let write = store.database().write(given, async |work, (id, charge, key, render)| {
        let placed = match charge {
            Some(charge) => apply_payment(work, *id, charge).await?,
            None => placed_orders::get_by_payment(work, *id).await?,
        };
        settle(work, key.as_ref(), response(&placed, render.as_ref())).await
    });
    write.await
}

/// Returns the response to a checkout: the order, or why its payment failed.
fn response(placed: &PlacedOrder, render: &dyn Render<PlacedOrder>) -> StoredResponse {
    if placed.payment.status == PaymentStatus::Failed {
        let reason =
            placed.payment.failure.as_deref().map_or(DeclineReason::Declined, DeclineReason::from_name);
        return render.refusal(&PaymentFailedException { reason }.into());
    }
    render.success(placed)
}

/// How far a checkout is after its first unit of work.
enum Placing {
    /// The order is placed; its money is to be asked for.
    Placed(Box<Payment>),
    /// An earlier request placed the order and did not live to answer; its payment is settled meanwhile.
    Settled(PaymentId),
    /// An earlier request was answered.
    Answered(StoredResponse),
}

/// Claims the key and places the order, in one unit of work.
async fn begin(store: &Store, request: Checkout, key: Option<IdempotencyKey>) -> Result<Placing, Failure> {
    store
        .database()
        .write((store.clone(), request, key), async |work, (store, request, key)| {
            let order_id: OrderId = work.id();
            if let Some(key) = key {
                match claim(work, store, key, Some(order_id.0)).await? {
                    ClaimOutcome::Fresh => {}
                    ClaimOutcome::Answered(answer) => return Ok(Placing::Answered(answer)),
                    ClaimOutcome::UnderWay { subject, mine } => return resume(work, subject, mine).await,
                }
            }
            let mut cart = open_cart(work, request).await?;
            let draft = draft(work, order_id, &cart, request).await?;
            let placed = place_order(work, &store.policy, &draft).await?;
            // The order holds off an erasure from here on; one that was faster is seen now.
            buyer(work, request.user_id).await?;
            cart.status = CartStatus::Ordered;
            cart.order_id = Some(placed.order.id);
            CartRepository::save(work, &cart).await?;
            Ok(Placing::Placed(Box::new(placed.payment)))
        })
        .await
}

/// Takes up what an earlier request with the same key began.
async fn resume(work: &mut UnitOfWork, subject: Option<Uuid>, mine: bool) -> Result<Placing, Failure> {
    let order_id = OrderId(subject.ok_or(Conflict::IdempotencyInProgress)?);
    let payment = PaymentRepository(work).by_order(order_id).await?;
    let payment = payment.ok_or(Conflict::IdempotencyInProgress)?;
    match payment.status {
        PaymentStatus::Pending if mine => Ok(Placing::Placed(Box::new(payment))),
        PaymentStatus::Pending => Err(Conflict::IdempotencyInProgress.into()),
        _ => Ok(Placing::Settled(payment.id)),
    }
}

/// Takes the cart, if it is open and the buyer's.
async fn open_cart(work: &mut UnitOfWork, request: &Checkout) -> Result<Cart, Failure> {
    let own = |cart: &Cart| cart.user_id.is_none() || cart.user_id == request.user_id;
    if let Some(cart) = CartRepository::lock(work, request.cart_id).await?.filter(own) {
        if cart.items.is_empty() {
            return Err(ValidationException::one("", Fault::TooFew { min_items: 1 }).into());
        }
        return Ok(cart);
    }
    match CartRepository(work).by_id(request.cart_id).await?.filter(own) {
        Some(cart) if cart.status == CartStatus::Ordered => {
            Err(OrderProcessingException::Forbidden { what: "cart", from: "ordered", to: "ordered" }.into())
        }
        _ => Err(NotFound::Cart.into()),
    }
}

/// The user who buys; `None` is a guest. Who was forgotten since the request came in is not signed in any more.
async fn buyer(work: &mut UnitOfWork, id: Option<UserId>) -> Result<Option<User>, Failure> {
    let Some(id) = id else { return Ok(None) };
    let user = work.find::<User>(id).await?.filter(|user| user.erased_at.is_none());
    Ok(Some(user.ok_or(UnauthorizedAccessException::InvalidToken)?))
}

async fn draft(
    work: &mut UnitOfWork,
    order_id: OrderId,
    cart: &Cart,
    request: &Checkout,
) -> Result<OrderDraft, Failure> {
    let user = buyer(work, request.user_id).await?;
    let email = request.email.clone().or_else(|| user.as_ref().map(|user| user.email.clone()));
    let today = work.now().to_zoned(jiff::tz::TimeZone::UTC).date();
    Ok(OrderDraft {
        id: order_id,
        payment_id: work.id(),
        user_id: request.user_id,
        age: user.and_then(|user| user.age_on(today)),
        email: email.ok_or_else(|| ValidationException::one("/email", Fault::Required))?,
        cart_id: Some(cart.id),
        subscription_id: None,
        currency: cart.currency,
        lines: cart
            .items
            .iter()
            .map(|item| QuoteLine {
                variant_id: item.variant_id,
                quantity: item.quantity,
                agreed_price: None,
            })
            .collect(),
        discount_code: cart.discount_code.clone(),
        shipping: match &request.shipping_method {
            Some(code) => ShippingChoice::Method(code.clone()),
            None => ShippingChoice::Cheapest,
        },
        billing_address: request.billing_address.as_ref().unwrap_or(&request.shipping_address).clone(),
        shipping_address: request.shipping_address.clone(),
        provider: request.provider.clone(),
        token: request.token.clone(),
    })
}
