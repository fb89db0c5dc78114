//! What follows from what happened: the store tells its users.

use crate::domain::events::{
    DomainEvent, OrderCancelled, OrderFulfilled, OrderPaid, PaymentRefunded, SubscriptionChanged,
};
use crate::domain::ids::UserId;
use crate::domain::notification::{Channel, DeliveryStatus, Notification, NotificationFacts};
use crate::domain::user::User;
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
    vec![Subscriber::new("notifications", told, |work, event| Box::pin(notify(work, event)))]
}

/// Writes the notification that an event deserves; guests have no place to read one, nor has who was forgotten.
async fn notify(work: &mut UnitOfWork, event: &Envelope) -> Result<(), Failure> {
    let Some((user_id, kind, facts)) = notice(event)? else { return Ok(()) };
    let user: Option<User> = work.find(user_id).await?;
    if user.is_none_or(|user| user.erased_at.is_some()) {
        return Ok(());
    }
    let notification = Notification {
        id: work.id(),
        user_id,
        kind,
        facts,
        channel: Channel::InApp,
        delivery: DeliveryStatus::Delivered,
        read_at: None,
        created_at: event.occurred_at,
    };
    Ok(work.insert(&notification).await?)
}

/// Whom an event concerns, and what they are told.
fn notice(event: &Envelope) -> Result<Option<(UserId, String, NotificationFacts)>, Failure> {
    let none = NotificationFacts::default;
    let of_order = |order_id, number| NotificationFacts {
        order_id: Some(order_id),
        order_number: Some(number),
        ..none()
    };
    let (user_id, kind, facts) =
        if let Some(OrderPaid { order_id, number, user_id, total }) = event.event()? {
            let facts = NotificationFacts { amount: Some(total), ..of_order(order_id, number) };
            (user_id, "order_paid".to_owned(), facts)
        } else if let Some(OrderCancelled { order_id, number, user_id, .. }) = event.event()? {
            (user_id, "order_cancelled".to_owned(), of_order(order_id, number))
        } else if let Some(OrderFulfilled { order_id, number, user_id }) = event.event()? {
            (user_id, "order_fulfilled".to_owned(), of_order(order_id, number))
        } else if let Some(PaymentRefunded { order_id, number, user_id, amount, .. }) = event.event()? {
            let facts = NotificationFacts { amount: Some(amount), ..of_order(order_id, number) };
            (user_id, "payment_refunded".to_owned(), facts)
        } else if let Some(SubscriptionChanged { subscription_id, user_id, status }) = event.event()? {
            let facts = NotificationFacts { subscription_id: Some(subscription_id), ..none() };
            (Some(user_id), format!("subscription_{status}"), facts)
        } else {
            return Ok(None);
        };
    Ok(user_id.map(|user_id| (user_id, kind, facts)))
}
