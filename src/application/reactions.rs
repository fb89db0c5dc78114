//! What follows from what happened: the store tells its users.

use crate::domain::events::{
    DomainEvent, OrderCancelled, OrderFulfilled, OrderPaid, PaymentRefunded, SubscriptionChanged,
};
use crate::domain::ids::UserId;
use crate::domain::notification::{Channel, DeliveryStatus, Notification, NotificationFacts};
use crate::infrastructure::events::{Envelope, Subscriber};
use crate::infrastructure::exceptions::Failure;
use crate::infrastructure::repositories::UnitOfWork;

/// Everybody who wants to know what happened.
pub fn subscribers() -> Vec<Subscriber> {
    let told = &[
        OrderPaid::TYPE,
        OrderCancelled::TYPE,
        OrderFulfilled::TYPE,
        PaymentRefunded::TYPE,
        SubscriptionChanged::TYPE,
    ];
    vec![Subscriber::new("notifications", told, |unit_of_work, event| Box::pin(notify(unit_of_work, event)))]
}

/// Writes the notification that an event deserves; guests have no place to read one.
async fn notify(unit_of_work: &mut UnitOfWork, event: &Envelope) -> Result<(), Failure> {
    let Some((user_id, kind, facts)) = notice(event) else { return Ok(()) };
    let notification = Notification {
        id: unit_of_work.id(),
        user_id,
        kind,
        facts,
        channel: Channel::InApp,
        delivery: DeliveryStatus::Delivered,
        read_at: None,
        created_at: event.occurred_at,
    };
    Ok(unit_of_work.insert(&notification).await?)
}

/// Whom an event concerns, and what they are told.
fn notice(event: &Envelope) -> Option<(UserId, String, NotificationFacts)> {
    let none = NotificationFacts::default;
    if let Some(OrderPaid { order_id, number, user_id, total }) = event.event() {
        let facts = NotificationFacts {
            order_id: Some(order_id),
            order_number: Some(number),
            amount: Some(total),
            ..none()
        };
        return Some((user_id?, "order_paid".into(), facts));
    }
    if let Some(OrderCancelled { order_id, number, user_id, .. }) = event.event() {
        let facts = NotificationFacts { order_id: Some(order_id), order_number: Some(number), ..none() };
        return Some((user_id?, "order_cancelled".into(), facts));
    }
    if let Some(OrderFulfilled { order_id, number, user_id }) = event.event() {
        let facts = NotificationFacts { order_id: Some(order_id), order_number: Some(number), ..none() };
        return Some((user_id?, "order_fulfilled".into(), facts));
    }
    if let Some(PaymentRefunded { order_id, number, user_id, amount, .. }) = event.event() {
        let facts = NotificationFacts {
            order_id: Some(order_id),
            order_number: Some(number),
            amount: Some(amount),
            ..none()
        };
        return Some((user_id?, "payment_refunded".into(), facts));
    }
    let SubscriptionChanged { subscription_id, user_id, status } = event.event()?;
    let facts = NotificationFacts { subscription_id: Some(subscription_id), ..none() };
    Some((user_id, format!("subscription_{status}"), facts))
}
