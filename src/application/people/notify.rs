//! The subscriber that writes notifications in the app: to users about their orders and subscriptions, to
//! administrators about jobs that failed.

use jiff::Timestamp;

use crate::domain::events::{
    DurableEvent, OrderCancelled, OrderFulfilled, OrderPaid, PaymentRefunded, SubscriptionChanged,
};
use crate::domain::ids::{OrderId, UserId};
use crate::domain::job::JobStatus;
use crate::domain::notification::{Channel, DeliveryStatus, Notification, NotificationFacts};
use crate::domain::permission::{Permission, Resource};
use crate::infrastructure::events::{
    BackgroundJobCompletedEvent, EmailDeliveryEvent, EmailOutcome, Envelope, Subscriber,
};
use crate::infrastructure::exceptions::Failure;
use crate::infrastructure::repositories::{JobRepository, UnitOfWork, UserRepository};

/// Returns the subscriber `notifications`.
pub(crate) fn subscriber() -> Subscriber {
    Subscriber::new("notifications")
        .on(notify::<OrderPaid>)
        .on(notify::<OrderCancelled>)
        .on(notify::<OrderFulfilled>)
        .on(notify::<PaymentRefunded>)
        .on(notify::<SubscriptionChanged>)
        .on(report_failed_job)
        .on(report_bounce)
}

/// An event of which a user is notified.
trait Notified: DurableEvent {
    /// Returns the user, the kind of the notification and its facts; `None` if there is nothing to say, or for a guest,
    /// who has no notifications.
    fn notification(&self) -> Option<(UserId, String, NotificationFacts)>;
}

impl Notified for OrderPaid {
    fn notification(&self) -> Option<(UserId, String, NotificationFacts)> {
        let facts = NotificationFacts { amount: Some(self.total), ..order_facts(self.order_id, self.number) };
        Some((self.user_id?, "order_paid".to_owned(), facts))
    }
}

impl Notified for OrderCancelled {
    fn notification(&self) -> Option<(UserId, String, NotificationFacts)> {
        Some((self.user_id?, self.notice()?.to_owned(), order_facts(self.order_id, self.number)))
    }
}

impl Notified for OrderFulfilled {
    fn notification(&self) -> Option<(UserId, String, NotificationFacts)> {
        let kind = if self.digital { "order_delivered" } else { "order_fulfilled" };
        Some((self.user_id?, kind.to_owned(), order_facts(self.order_id, self.number)))
    }
}

impl Notified for PaymentRefunded {
    fn notification(&self) -> Option<(UserId, String, NotificationFacts)> {
        let facts =
            NotificationFacts { amount: Some(self.amount), ..order_facts(self.order_id, self.number) };
        Some((self.user_id?, "payment_refunded".to_owned(), facts))
    }
}

impl Notified for SubscriptionChanged {
    fn notification(&self) -> Option<(UserId, String, NotificationFacts)> {
        let subscription_id = Some(self.subscription_id);
        let facts = NotificationFacts { subscription_id, ..NotificationFacts::default() };
        Some((self.user_id, format!("subscription_{}", self.status), facts))
    }
}

fn order_facts(order_id: OrderId, number: i64) -> NotificationFacts {
    NotificationFacts { order_id: Some(order_id), order_number: Some(number), ..NotificationFacts::default() }
}

/// Writes the notification of an event.
async fn notify<E: Notified>(work: &mut UnitOfWork, event: &E, envelope: &Envelope) -> Result<(), Failure> {
    let Some((user_id, kind, facts)) = event.notification() else { return Ok(()) };
    write(work, user_id, kind, facts, envelope).await
}

/// Writes a notification to a user, unless the user was erased.
async fn write(
    work: &mut UnitOfWork,
    user_id: UserId,
    kind: String,
    facts: NotificationFacts,
    envelope: &Envelope,
) -> Result<(), Failure> {
    if UserRepository(work).is_erased(user_id).await? {
        return Ok(());
    }
    let notification = new_notification(work, user_id, kind, facts, envelope.occurred_at);
    work.insert(&notification).await?;
    // an erasure that began before the insert is committed now; a later one waits, and removes the notification
    if UserRepository(work).is_erased(user_id).await? {
        work.remove::<Notification>(notification.id).await?;
    }
    Ok(())
}

/// Notifies the administrators of a job that failed every attempt.
async fn report_failed_job(
    work: &mut UnitOfWork,
    event: &BackgroundJobCompletedEvent,
    _: &Envelope,
) -> Result<(), Failure> {
    // of a job that fails again and again, the first failure is reported
    if event.outcome != JobStatus::Failed || JobRepository(work).follows_failure(event.job_id).await? {
        return Ok(());
    }
    let facts = NotificationFacts { job: Some(event.name.clone()), ..NotificationFacts::default() };
    notify_admins(work, Permission::read(Resource::Jobs), "job_failed", &facts).await
}

/// Notifies a user whose address refuses e-mails.
async fn report_bounce(
    work: &mut UnitOfWork,
    event: &EmailDeliveryEvent,
    envelope: &Envelope,
) -> Result<(), Failure> {
    match (event.outcome, event.user_id) {
        (EmailOutcome::Bounced, Some(user_id)) => {
            write(work, user_id, "email_bounced".to_owned(), NotificationFacts::default(), envelope).await
        }
        _ => Ok(()),
    }
}

/// Writes a notification to each administrator who has a permission.
pub(crate) async fn notify_admins(
    work: &mut UnitOfWork,
    permission: Permission,
    kind: &str,
    facts: &NotificationFacts,
) -> Result<(), Failure> {
    for user_id in UserRepository(work).admins_with(permission).await? {
        let notification = new_notification(work, user_id, kind.to_owned(), facts.clone(), work.now());
        work.insert(&notification).await?;
    }
    Ok(())
}

fn new_notification(
    work: &UnitOfWork,
    user_id: UserId,
    kind: String,
    facts: NotificationFacts,
    created_at: Timestamp,
) -> Notification {
    Notification {
        id: work.id(),
        user_id,
        kind,
        facts,
        channel: Channel::InApp,
        delivery: DeliveryStatus::Delivered,
        read_at: None,
        created_at,
    }
}
