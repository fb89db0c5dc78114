//! The page on which a shopper confirms a payment, for payment providers that have no page of their own.

use super::{GatewayError, PortFuture};
use crate::domain::ids::PaymentId;

/// A payment provider whose confirmation page the store shows.
pub trait ConfirmationPage: Send + Sync {
    /// Returns the payment to which the provider gave this reference; `None` if it gives no such references.
    fn payment(&self, reference: &str) -> Option<PaymentId>;

    /// Records the shopper's decision; returns whether the charge was waiting for one.
    fn decide(&self, payment_id: PaymentId, approve: bool) -> PortFuture<'_, bool, GatewayError>;
}
