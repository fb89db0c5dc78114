//! Whether the buyer of an order may cancel it.

use jiff::{SignedDuration, Timestamp};

use super::PlacedOrder;
use crate::domain::order::OrderStatus;
use crate::domain::product::ProductKind;
use crate::domain::time::later;

/// Why a buyer cannot cancel a paid order. An administrator can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CancellationRefusal {
    /// Digital goods of the order were delivered with the payment.
    #[error("digital goods of the order were delivered")]
    DigitalGoods,
    /// The order paid a period of a subscription, which ends with its subscription.
    #[error("the order pays a period of a subscription")]
    Subscription,
    /// The time in which a buyer may cancel has passed.
    #[error("the order could be cancelled until {until}")]
    TooLate {
        /// The end of that time, UTC.
        until: Timestamp,
    },
}

impl PlacedOrder {
    /// Checks that the buyer may cancel the order: while it is pending, and for `window` after the checkout.
    pub fn check_cancellation(
        &self,
        window: SignedDuration,
        now: Timestamp,
    ) -> Result<(), CancellationRefusal> {
        let order = &self.order;
        if order.status != OrderStatus::Paid {
            return Ok(());
        }
        let until = later(order.placed_at, window);
        if self.payment.is_captured() && order.lines.iter().any(|line| line.kind == ProductKind::Digital) {
            Err(CancellationRefusal::DigitalGoods)
        } else if order.has_subscriptions() {
            Err(CancellationRefusal::Subscription)
        } else if now >= until {
            Err(CancellationRefusal::TooLate { until })
        } else {
            Ok(())
        }
    }
}
