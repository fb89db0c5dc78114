//! The shopper's confirmation of a payment, on the page that the store shows for a payment provider without its own.

use crate::application::Store;
use crate::application::payments::gateway_calls::refresh;
use crate::domain::ids::PaymentId;
use crate::domain::payment::Payment;
use crate::domain::ports::ConfirmationPage;
use crate::infrastructure::exceptions::{Failure, NotFound};

/// Returns the payment to which a provider gave this reference.
///
/// # Errors
///
/// [`NotFound::Payment`] if there is none, or the provider has its own page.
pub async fn find_payment(store: &Store, provider: &str, reference: &str) -> Result<Payment, Failure> {
    let (_, id) = confirmation_page(store, provider, reference)?;
    store.database().read().await?.find(id).await?.ok_or_else(|| NotFound::Payment.into())
}

/// Reports the shopper's decision to the provider and applies the outcome, so that the order has it when the shopper
/// returns. Returns whether the payment was waiting for a decision.
///
/// # Errors
///
/// Those of [`find_payment`], and [`Technical`](crate::infrastructure::exceptions::Technical) if the provider fails.
pub async fn confirm(store: &Store, provider: &str, reference: &str, approve: bool) -> Result<bool, Failure> {
    let (page, id) = confirmation_page(store, provider, reference)?;
    let waited = page.decide(id, approve).await?;
    refresh(store, id).await?;
    Ok(waited)
}

/// Returns the provider's page, and the payment with a reference.
fn confirmation_page<'a>(
    store: &'a Store,
    provider: &str,
    reference: &str,
) -> Result<(&'a dyn ConfirmationPage, PaymentId), Failure> {
    let gateway = store.infrastructure.gateways.get(provider).ok_or(NotFound::Payment)?;
    let page = gateway.confirmation_page().ok_or(NotFound::Payment)?;
    let id = page.payment(reference).ok_or(NotFound::Payment)?;
    Ok((page, id))
}
