//! Whether the buyer of an order is notified that its payment was declined.

use jiff::Timestamp;

use super::{Effect, OrderEvent, PlacedOrder, Transition};
use crate::domain::events::OrderCancelled;
use crate::domain::ports::Charge;

impl PlacedOrder {
    /// Applies the provider's response to the request of a checkout. The response to the checkout says that the payment
    /// was declined, so the buyer is not notified of that.
    pub fn apply_response(&mut self, charge: &Charge, now: Timestamp) -> Transition {
        let mut effects = self.apply(charge, now)?;
        for effect in &mut effects {
            if let Effect::Publish(OrderEvent::OrderCancelled(reason)) = effect
                && *reason == OrderCancelled::PAYMENT_FAILED_LATER
            {
                *reason = OrderCancelled::PAYMENT_FAILED;
            }
        }
        Ok(effects)
    }

    /// Returns the reason for which the order is cancelled if its payment is declined. The customer of a subscription
    /// is notified of the subscription.
    pub(super) fn decline_reason(&self) -> &'static str {
        match self.order.subscription_id {
            Some(_) => OrderCancelled::PAYMENT_FAILED,
            None => OrderCancelled::PAYMENT_FAILED_LATER,
        }
    }
}
