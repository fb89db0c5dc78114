//! Notices of payment providers, as their webhooks bring them.

use crate::domain::ids::PaymentId;

/// Receives notices that a payment changed at its provider.
///
/// The store sends notices too, of payments whose operations are to be sent. A notice may come late, repeatedly, in the
/// wrong order or not at all. It says nothing but which payment to look up.
pub trait PaymentNotices: Send + Sync {
    /// Records that a payment changed. Returns at once; a notice for which there is no room is dropped, and the
    /// recovery of payments replaces it.
    fn payment_changed(&self, payment_id: PaymentId);
}
