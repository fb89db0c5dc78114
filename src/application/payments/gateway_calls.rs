//! Calls to the payment providers: authorize, look up, and the operations that capture, void and refund.
//!
//! An operation is in the ledger, with its amount pending, before the provider is called, and is settled by the
//! response. An operation whose response was lost stays pending and is sent again with the same idempotency key.

use std::sync::Arc;

use jiff::Timestamp;

use crate::domain::ids::PaymentId;
use crate::domain::money::Money;
use crate::domain::payment::{OperationKind, Payment, PaymentOperation};
use crate::domain::ports::{
    Authorization, Charge, ChargeStatus, DeclineReason, GatewayError, PaymentGateway, PaymentNotices,
};
use crate::infrastructure::exceptions::{Failure, Fault, NotFound, Technical, ValidationException};
use crate::infrastructure::repositories::PaymentRepository;

use super::apply_payment::{apply_payment, settle_operation};
use crate::application::Store;

/// The most payments of which one use case makes notices.
const DUE: i64 = 100;

/// Authorizes a payment. Returns the provider's charge; `None` if the outcome of the request is unknown.
pub(crate) async fn authorize(store: &Store, payment: &Payment) -> Result<Option<Charge>, Failure> {
    if payment.amount.is_zero() {
        return Ok(Some(free_charge(payment)));
    }
    let gateway = gateway(store, &payment.provider)?;
    let request = Authorization {
        payment_id: payment.id,
        amount: payment.amount,
        token: payment.token.clone(),
        capture: store.terms.capture_at_checkout,
    };
    match gateway.authorize(request).await {
        Ok(charge) => Ok(Some(charge)),
        Err(GatewayError::Refused(reason)) => {
            tracing::warn!(payment = %payment.id, reason, "the payment provider refused an authorization");
            Ok(Some(Charge {
                status: ChargeStatus::Declined(DeclineReason::ProcessingError),
                ..free_charge(payment)
            }))
        }
        Err(error) => {
            tracing::warn!(payment = %payment.id, %error, "no response to an authorization: looking up its charge");
            Ok(gateway.look_up(payment.id).await.unwrap_or_default())
        }
    }
}

/// Returns the charge of an order that costs nothing. No provider has a reference for it.
fn free_charge(payment: &Payment) -> Charge {
    let zero = Money::zero(payment.currency);
    Charge { reference: String::new(), status: ChargeStatus::Captured, authorized: zero, captured: zero }
}

/// Returns the provider of a stored payment or subscription.
///
/// # Errors
///
/// [`Technical`] if the provider is not configured any more.
pub(crate) fn gateway<'a>(store: &'a Store, name: &str) -> Result<&'a Arc<dyn PaymentGateway>, Failure> {
    let missing = || Technical::internal(format!("the payment provider {name} is not configured")).into();
    store.infrastructure.gateways.get(name).ok_or_else(missing)
}

/// Checks that the provider that a client chose is configured, and accepts the payment method token.
///
/// # Errors
///
/// A [`ValidationException`] with the names of the providers that are, or with the tokens that the provider accepts.
pub(crate) fn check_payment_method(store: &Store, provider: &str, token: &str) -> Result<(), Failure> {
    let gateways = &store.infrastructure.gateways;
    let Some(gateway) = gateways.get(provider) else {
        let allowed = gateways.names().map(Into::into).collect();
        return Err(ValidationException::one("/payment/provider", Fault::NotAllowed { allowed }).into());
    };
    if let Some(tokens) = gateway.tokens().filter(|tokens| !tokens.contains(&token)) {
        let allowed = tokens.iter().copied().map(Into::into).collect();
        return Err(ValidationException::one("/payment/token", Fault::NotAllowed { allowed }).into());
    }
    Ok(())
}

/// Looks up the charge of a payment at its provider and applies it.
///
/// # Errors
///
/// [`NotFound::Payment`], and [`Technical`] if the provider fails.
pub async fn refresh(store: &Store, payment_id: PaymentId) -> Result<(), Failure> {
    let payment: Payment = store.database().read().await?.find(payment_id).await?.ok_or(NotFound::Payment)?;
    let charge = gateway(store, &payment.provider)?.look_up(payment_id).await?;
    match charge {
        Some(charge) => apply_charge(store, payment_id, charge).await,
        None => Ok(()),
    }
}

/// Makes notices of the payments that became due at `since` or later, for use after a commit that may have begun
/// operations without sending them, such as the refund of an order that was cancelled: this process sends them soon.
/// Those without a notice are sent by the next run of the recovery.
pub(crate) async fn send_due(store: &Store, since: Timestamp) {
    if let Err(failure) = notify_due(store, since).await {
        tracing::warn!(failure = %failure.report(), "the next run of the recovery sends the operations that are due");
    }
}

async fn notify_due(store: &Store, since: Timestamp) -> Result<(), Failure> {
    let mut connection = store.database().read().await?;
    for (id, provider) in PaymentRepository(&mut connection).due_between(since, store.now(), DUE).await? {
        if let Some(notices) = store.infrastructure.gateways.notices(&provider) {
            notices.payment_changed(id);
        }
    }
    Ok(())
}

/// Applies a charge to its payment, in a transaction.
pub(crate) async fn apply_charge(
    store: &Store,
    payment_id: PaymentId,
    charge: Charge,
) -> Result<(), Failure> {
    store
        .database()
        .write((payment_id, charge), async |work, (id, charge)| {
            apply_payment(work, *id, charge).await.map(drop)
        })
        .await
}

/// Sends a pending operation to the provider and settles it. An operation without a response is sent again later.
pub(crate) async fn send_operation(
    store: &Store,
    payment: &Payment,
    operation: &PaymentOperation,
) -> Result<(), Failure> {
    let Some(outcome) = call_provider(store, payment, operation).await? else { return Ok(()) };
    store
        .database()
        .write((operation.id, outcome), async |work, (id, outcome)| {
            settle_operation(work, *id, outcome).await
        })
        .await
}

/// Calls the provider for a pending operation. Returns the provider's reference of the charge, or its reason for a
/// refusal; `None` if there is no response.
pub(crate) async fn call_provider(
    store: &Store,
    payment: &Payment,
    operation: &PaymentOperation,
) -> Result<Option<Result<String, String>>, Failure> {
    let reference = payment.provider_reference.clone().unwrap_or_default();
    if payment.is_imported() || payment.amount.is_zero() {
        return Ok(Some(Ok(reference)));
    }
    let gateway = gateway(store, &payment.provider)?;
    let (amount, key) = (operation.amount, operation.id.0);
    let charge = match operation.kind {
        OperationKind::Capture => gateway.capture(reference, amount, key).await,
        OperationKind::Refund => gateway.refund(reference, amount, key).await,
        OperationKind::Void => gateway.void(reference, key).await,
        // `authorize` sends these
        OperationKind::Authorize => return Ok(None),
    };
    match charge {
        Ok(charge) => Ok(Some(Ok(charge.reference))),
        Err(GatewayError::Refused(reason)) => Ok(Some(Err(reason))),
        Err(error) => {
            let id = operation.id;
            tracing::warn!(payment = %payment.id, operation = %id, %error, "no response to a payment operation yet");
            Ok(None)
        }
    }
}
