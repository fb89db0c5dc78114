//! The texts of notifications, made when they are read: the message of the kind with the facts.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use crate::domain::notification::{Notification, NotificationFacts};
use crate::domain::template::fill;

static ENGLISH: LazyLock<HashMap<String, String>> = LazyLock::new(|| {
    // A test parses the file, so the fallback is never used.
    serde_json::from_str(include_str!("../../../locales/en/notifications.json")).unwrap_or_default()
});

/// Returns the English text of a notification.
pub fn text(notification: &Notification) -> String {
    let message = ENGLISH.get(&notification.kind).unwrap_or(&notification.kind);
    fill(message, &arguments(&notification.facts))
}

/// Returns the arguments of the message.
fn arguments(facts: &NotificationFacts) -> Map<String, Value> {
    let arguments = [
        ("order_number", facts.order_number.map(|number| number.to_string())),
        ("amount", facts.amount.map(|amount| amount.to_string())),
        ("url", facts.url.clone()),
        ("job", facts.job.clone()),
    ];
    arguments.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jiff::Timestamp;
    use uuid::Uuid;

    use super::*;
    use crate::domain::money::{Currency, Money};
    use crate::domain::notification::{Channel, DeliveryStatus};
    use crate::domain::state::State;
    use crate::domain::subscription::SubscriptionStatus;

    fn text_of(kind: &str, facts: NotificationFacts) -> String {
        text(&Notification {
            id: Uuid::nil().into(),
            user_id: Uuid::nil().into(),
            kind: kind.to_owned(),
            facts,
            channel: Channel::InApp,
            delivery: DeliveryStatus::Delivered,
            read_at: None,
            created_at: Timestamp::UNIX_EPOCH,
        })
    }

    #[test]
    fn a_text_contains_the_facts() {
        let amount = Some(Money::new(1_299, Currency::EUR));
        let facts = NotificationFacts { order_number: Some(1_007), amount, ..NotificationFacts::default() };
        assert_eq!(text_of("order_paid", facts.clone()), "Order 1007 is paid: 12.99 EUR. Thank you!");
        assert_eq!(text_of("payment_refunded", facts), "We refunded 12.99 EUR of order 1007.");
    }

    #[test]
    fn every_kind_has_a_message_and_every_message_is_used() {
        let subscriptions =
            SubscriptionStatus::ALL.iter().map(|status| format!("subscription_{}", status.name()));
        let others = [
            "email_bounced",
            "job_failed",
            "order_cancelled",
            "order_delivered",
            "order_fulfilled",
            "order_paid",
            "order_payment_failed",
            "payment_refunded",
            "webhook_deactivated",
        ];
        let kinds: BTreeSet<String> = others.into_iter().map(str::to_owned).chain(subscriptions).collect();
        assert_eq!(kinds, ENGLISH.keys().cloned().collect());
    }
}
