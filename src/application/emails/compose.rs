//! The subscriber that writes e-mails about orders and subscriptions, to users and to guests.

use serde_json::{Map, Value, json};

use super::templates::texts;
use super::{Draft, EMAIL_RETENTION, since, write};
use crate::domain::email::{is_same_mailbox, limit_key};
use crate::domain::events::{
    OrderCancelled, OrderFulfilled, OrderPaid, PaymentRefunded, SubscriptionChanged,
};
use crate::domain::ids::OrderId;
use crate::domain::money::Money;
use crate::domain::order::{Order, OrderLine};
use crate::domain::time::earlier;
use crate::domain::user::User;
use crate::infrastructure::events::{Envelope, Subscriber};
use crate::infrastructure::exceptions::Failure;
use crate::infrastructure::repositories::{Connection, InvoiceRepository, UnitOfWork};

/// The statuses of subscriptions of which customers get an e-mail.
const STATUSES: [&str; 3] = ["cancelled", "expired", "past_due"];

/// Returns the subscriber `emails`. It passes over all events before the store sends e-mails.
pub(crate) fn subscriber() -> Subscriber {
    Subscriber::new("emails")
        .on(order_paid)
        .on(order_cancelled)
        .on(order_fulfilled)
        .on(payment_refunded)
        .on(subscription_changed)
        .only_if(sends)
}

async fn sends(connection: &mut Connection) -> Result<bool, Failure> {
    Ok(since(connection).await?.is_some())
}

async fn order_paid(work: &mut UnitOfWork, event: &OrderPaid, envelope: &Envelope) -> Result<(), Failure> {
    about_order(work, event.order_id, "order_paid", json!({}), envelope).await
}

async fn order_cancelled(
    work: &mut UnitOfWork,
    event: &OrderCancelled,
    envelope: &Envelope,
) -> Result<(), Failure> {
    match event.notice() {
        Some(kind) => about_order(work, event.order_id, kind, json!({}), envelope).await,
        None => Ok(()),
    }
}

async fn order_fulfilled(
    work: &mut UnitOfWork,
    event: &OrderFulfilled,
    envelope: &Envelope,
) -> Result<(), Failure> {
    let kind = if event.digital { "order_delivered" } else { "order_fulfilled" };
    about_order(work, event.order_id, kind, json!({}), envelope).await
}

async fn payment_refunded(
    work: &mut UnitOfWork,
    event: &PaymentRefunded,
    envelope: &Envelope,
) -> Result<(), Failure> {
    let amount = json!({"amount": event.amount.to_string()});
    about_order(work, event.order_id, "payment_refunded", amount, envelope).await
}

/// Writes an e-mail about an order, unless its customer was erased.
async fn about_order(
    work: &mut UnitOfWork,
    order_id: OrderId,
    kind: &str,
    more: Value,
    envelope: &Envelope,
) -> Result<(), Failure> {
    if is_too_old(work, envelope).await? {
        return Ok(());
    }
    let Some(order) = work.find::<Order>(order_id).await? else { return Ok(()) };
    let mut arguments = order_arguments(&order);
    arguments.extend(more.as_object().cloned().unwrap_or_default());
    let (subject, body) = texts(kind, &arguments)?;
    let event_id = Some(envelope.id);
    let is_limited = !is_for_buyer(work, &order).await?;
    let limit_key = is_limited.then(|| limit_key("order", &order.email));
    let draft = Draft {
        event_id,
        token_id: None,
        kind,
        user_id: order.user_id,
        recipient: order.email,
        subject,
        body,
        limit_key,
    };
    write(work, draft).await
}

/// Returns whether the address of an order is that of its buyer, who has verified it or has paid. Anyone can place
/// orders with the address of someone else, and cancel them: that costs nothing.
async fn is_for_buyer(work: &mut UnitOfWork, order: &Order) -> Result<bool, Failure> {
    let user = match order.user_id {
        Some(id) => work.find::<User>(id).await?,
        None => None,
    };
    let has_verified = user
        .is_some_and(|user| user.email_verified_at.is_some() && is_same_mailbox(&user.email, &order.email));
    Ok(has_verified || InvoiceRepository(work).has_paid(order.id).await?)
}

fn order_arguments(order: &Order) -> Map<String, Value> {
    let mut lines: Vec<_> = order.lines.iter().map(line).collect();
    let goods = order.lines.iter().fold(0_i64, |sum, line| sum.saturating_add(line.total.amount));
    let shipping = Money::new(order.total.amount.saturating_sub(goods), order.currency);
    if shipping.is_positive() {
        lines.push(format!("Shipping: {shipping}"));
    }
    let tax = if order.tax.is_positive() { format!(" (tax included: {})", order.tax) } else { String::new() };
    let tracking = order.tracking_code.as_ref().map(|code| format!("Tracking code: {code}."));
    let arguments = [
        ("order_number", order.number.to_string()),
        ("seller", order.seller.clone()),
        ("lines", lines.join("\n")),
        ("total", format!("{}{tax}", order.total)),
        ("tracking", tracking.unwrap_or_default()),
    ];
    arguments.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
}

fn line(line: &OrderLine) -> String {
    format!("{} x {}: {}", line.quantity, line.name, line.total)
}

async fn subscription_changed(
    work: &mut UnitOfWork,
    event: &SubscriptionChanged,
    envelope: &Envelope,
) -> Result<(), Failure> {
    if !STATUSES.contains(&event.status.as_str()) || is_too_old(work, envelope).await? {
        return Ok(());
    }
    let Some(user) = work.find::<User>(event.user_id).await? else { return Ok(()) };
    let seller: Option<String> = work
        .first(
            "SELECT seller FROM orders WHERE user_id = $1 ORDER BY placed_at DESC, id DESC LIMIT 1",
            &[event.user_id.into()],
        )
        .await?;
    let arguments = Map::from_iter([("seller".to_owned(), seller.unwrap_or_default().into())]);
    let kind = format!("subscription_{}", event.status);
    let (subject, body) = texts(&kind, &arguments)?;
    let (event_id, user_id) = (Some(envelope.id), Some(user.id));
    let is_verified = user.email_verified_at.is_some();
    let limit_key = (!is_verified).then(|| limit_key("subscription", &user.email));
    let recipient = user.email;
    let draft = Draft { event_id, token_id: None, kind: &kind, user_id, recipient, subject, body, limit_key };
    write(work, draft).await
}

/// Returns whether an event causes no e-mail any more: it was published before the store began to send e-mails, or so
/// long ago that its e-mail may have been deleted since.
async fn is_too_old(work: &mut UnitOfWork, envelope: &Envelope) -> Result<bool, Failure> {
    let kept_since = earlier(work.now(), EMAIL_RETENTION);
    Ok(since(work).await?.is_none_or(|since| envelope.occurred_at < since.max(kept_since)))
}
