//! The order is the principal's. To everyone else it does not exist.

use std::ops::Deref;

use super::Guard;
use crate::domain::ids::UserId;
use crate::domain::placed_order::PlacedOrder;
use crate::infrastructure::exceptions::{Failure, NotFound};

/// An order, and what is known of the principal who asks for it.
#[derive(Debug, Clone)]
pub struct OrderFacts {
    /// The order with its payment.
    pub placed: PlacedOrder,
    /// The user; `None` is a guest.
    pub user_id: Option<UserId>,
    /// Whether the request has the token of the order, as a guest has it from the checkout.
    pub has_token: bool,
    /// The failure for an order that the principal may not see.
    pub hidden: NotFound,
}

/// The proof that the principal is the buyer of an order, who sends its token or is logged in, and may see and
/// cancel it. An administrator has routes of its own, for which [`AdminGuard`](super::AdminGuard) decides.
#[derive(Debug, Clone)]
pub struct OrderOwnershipGuard {
    placed: PlacedOrder,
    user_id: Option<UserId>,
}

impl Guard for OrderOwnershipGuard {
    type Facts = OrderFacts;

    fn check(facts: OrderFacts) -> Result<Self, Failure> {
        let OrderFacts { placed, user_id, has_token, hidden } = facts;
        // the order of a guest has no user, and a guest is none
        let is_buyer = user_id.is_some() && placed.order.user_id == user_id;
        if is_buyer || has_token { Ok(Self { placed, user_id }) } else { Err(hidden.into()) }
    }

    fn refusals() -> Vec<Failure> {
        vec![NotFound::Order.into()]
    }
}

impl OrderOwnershipGuard {
    /// Returns the user who asks for the order; `None` is a guest.
    pub fn user_id(&self) -> Option<UserId> {
        self.user_id
    }
}

impl Deref for OrderOwnershipGuard {
    type Target = PlacedOrder;

    fn deref(&self) -> &PlacedOrder {
        &self.placed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::order::OrderStatus;
    use crate::domain::payment::PaymentStatus;
    use crate::domain::placed_order::tests::placed;
    use uuid::Uuid;

    fn is_own(buyer: Option<u128>, user: Option<u128>, has_token: bool) -> bool {
        let user_id = |id: Option<u128>| id.map(|id| UserId(Uuid::from_u128(id)));
        let mut placed = placed(OrderStatus::Paid, PaymentStatus::Captured);
        placed.order.user_id = user_id(buyer);
        let facts = OrderFacts { placed, user_id: user_id(user), has_token, hidden: NotFound::Payment };
        let checked = OrderOwnershipGuard::check(facts);
        checked.map_err(|failure| assert_eq!(failure.code(), "payment_not_found")).is_ok()
    }

    #[test]
    fn an_order_is_of_its_buyer_or_of_who_has_its_token() {
        assert!(is_own(Some(1), Some(1), false));
        assert!(!is_own(Some(1), Some(2), false));
        assert!(!is_own(Some(1), None, false));
        assert!(!is_own(None, None, false), "a guest is not the buyer of the orders of all guests");
        assert!(!is_own(None, Some(1), false));
        for buyer in [None, Some(1)] {
            assert!(is_own(buyer, None, true) && is_own(buyer, Some(2), true));
        }
    }
}
