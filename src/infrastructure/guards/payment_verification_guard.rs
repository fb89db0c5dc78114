//! The payment of an order is authorized or captured, as what follows requires.

use super::Guard;
use crate::domain::payment::{Payment, PaymentStatus};
use crate::domain::state::State;
use crate::infrastructure::exceptions::{Failure, OrderProcessingException};

/// What is required of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequiredPayment {
    /// The provider authorized the amount and not all that is captured is returned, or nothing is to be paid: goods may
    /// be handed to the carrier.
    Authorized,
    /// The whole amount is captured and not refunded: what cannot be returned may be delivered.
    Captured,
}

/// A payment, and what is required of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentFacts {
    /// The payment.
    pub payment: Payment,
    /// What is required.
    pub required: RequiredPayment,
}

/// The proof that a payment is as far as it is required to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaymentVerificationGuard(());

impl Guard for PaymentVerificationGuard {
    type Facts = PaymentFacts;

    fn check(facts: PaymentFacts) -> Result<Self, Failure> {
        let PaymentFacts { payment, required } = facts;
        let (is_fulfilled, to) = match required {
            RequiredPayment::Authorized => {
                (payment.is_authorized() && !payment.is_returned(), PaymentStatus::Authorized)
            }
            RequiredPayment::Captured => (payment.is_kept(), PaymentStatus::Captured),
        };
        if is_fulfilled {
            return Ok(Self(()));
        }
        if payment.is_returned() && payment.is_returning() {
            return Err(OrderProcessingException::InProgress.into());
        }
        let (from, to) = (payment.status.name(), to.name());
        Err(OrderProcessingException::Forbidden { what: "payment", from, to }.into())
    }

    fn refusals() -> Vec<Failure> {
        vec![
            OrderProcessingException::Forbidden { what: "payment", from: "", to: "" }.into(),
            OrderProcessingException::InProgress.into(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::order::OrderStatus;
    use crate::domain::placed_order::tests::placed;

    /// Whether a payment with this amount, of which this was captured and refunded, is as far as required.
    fn is_verified(required: RequiredPayment, status: PaymentStatus, amounts: [i64; 3]) -> bool {
        let mut payment = placed(OrderStatus::Paid, status).payment;
        let money = [&mut payment.amount, &mut payment.captured, &mut payment.refunding];
        for (money, amount) in money.into_iter().zip(amounts) {
            money.amount = amount;
        }
        payment.refunded.amount = 0;
        let checked = PaymentVerificationGuard::check(PaymentFacts { payment, required });
        checked.map_err(|failure| assert_eq!(failure.code(), "order_processing")).is_ok()
    }

    #[test]
    fn a_payment_is_as_far_as_it_is_required_to_be() {
        use PaymentStatus as S;
        use RequiredPayment::{Authorized, Captured};
        for open in [S::Pending, S::RequiresAction, S::Failed, S::Voided] {
            assert!(!is_verified(Authorized, open, [500, 0, 0]), "{open:?}");
            assert!(!is_verified(Captured, open, [500, 500, 0]), "{open:?}");
        }
        assert!(is_verified(Authorized, S::Authorized, [500, 0, 0]));
        assert!(is_verified(Authorized, S::Captured, [500, 500, 499]), "a part is being refunded");
        assert!(!is_verified(Authorized, S::Captured, [500, 500, 500]), "a refund of all is pending");
        assert!(
            !is_verified(Authorized, S::Captured, [500, 400, 400]),
            "a refund of all that is captured is pending"
        );
        assert!(!is_verified(Captured, S::Authorized, [500, 0, 0]));
        assert!(is_verified(Captured, S::Captured, [500, 500, 0]));
        assert!(is_verified(Captured, S::Captured, [500, 500, 100]), "a part was refunded");
        assert!(!is_verified(Captured, S::Captured, [500, 499, 0]), "a part was captured");
        assert!(!is_verified(Captured, S::Captured, [500, 500, 500]), "a refund of all is pending");
        assert!(!is_verified(Captured, S::Refunded, [500, 500, 500]));
        assert!(is_verified(Captured, S::Captured, [0, 0, 0]), "nothing is to be paid");
        assert!(is_verified(Captured, S::Authorized, [0, 0, 0]), "nothing is to be paid");
    }
}
