//! What vendors are asked: for a payment's money, how it stands, and the steps that capture, refund and void.
//!
//! Each step is written down with its amount set aside before the vendor is asked, and [settled](super::settlement)
//! once the vendor has answered. A step whose answer was lost stays pending and is sent again with the same key.

use jiff::SignedDuration;

use crate::domain::ids::PaymentId;
use crate::domain::money::Money;
use crate::domain::payment::{Payment, PaymentStep, StepKind, StepStatus};
use crate::domain::ports::{
    Authorization, Charge, ChargeStatus, DeclineReason, GatewayError, PaymentGateway,
};
use crate::infrastructure::exceptions::{Failure, Fault, NotFound, Technical, ValidationException};
use crate::infrastructure::repositories::{IdempotencyKey, StoredResponse, UnitOfWork};

use super::apply_payment::apply_payment;
use super::settlement::settle_step;
use crate::application::Store;
use crate::application::idempotency::{Render, settle};
use crate::application::selling::place_order::PlacedOrder;
use std::sync::Arc;

/// The provider of payments whose money moved outside the store, as before its time: nobody is asked.
pub(crate) const OUTSIDE: &str = "imported";

/// After how long a payment that nobody settled is asked about.
pub(crate) const FIRST_RETRY: SignedDuration = SignedDuration::from_secs(30);

/// Asks the vendor for a payment's money; `None` where no answer tells how it stands.
pub(crate) async fn authorize(store: &Store, payment: &Payment) -> Result<Option<Charge>, Failure> {
    if payment.amount == 0 {
        return Ok(Some(free_charge()));
    }
    let gateway = gateway(store, &payment.provider)?;
    let request = Authorization {
        payment_id: payment.id,
        amount: Money::new(payment.amount, payment.currency),
        token: payment.token.clone(),
        capture: store.policy.capture_at_checkout,
    };
    match gateway.authorize(request).await {
        Ok(charge) => Ok(Some(charge)),
        Err(GatewayError::Refused(why)) => {
            tracing::warn!(payment = %payment.id, why, "the payment vendor refused the request");
            Ok(Some(Charge {
                status: ChargeStatus::Declined(DeclineReason::ProcessingError),
                ..free_charge()
            }))
        }
        Err(error) => {
            tracing::warn!(payment = %payment.id, %error, "asking the payment vendor how the charge stands");
            Ok(gateway.look_up(payment.id).await.unwrap_or_default())
        }
    }
}

/// The charge of an order that costs nothing: no vendor is asked, and none has a name for it.
fn free_charge() -> Charge {
    Charge {
        reference: String::new(),
        status: ChargeStatus::Captured,
        authorized: 0,
        captured: 0,
        refunded: 0,
    }
}

/// The vendor of this name.
pub(crate) fn gateway<'a>(store: &'a Store, name: &str) -> Result<&'a Arc<dyn PaymentGateway>, Failure> {
    store.infrastructure.gateways.get(name).ok_or_else(|| {
        let allowed = store.infrastructure.gateways.names().map(Into::into).collect();
        ValidationException::one("/payment/provider", Fault::NotAllowed { allowed }).into()
    })
}

/// Takes in how a charge stands and keeps the answer to its key, in one unit of work.
pub(crate) async fn record(
    store: &Store,
    payment_id: PaymentId,
    charge: Option<Charge>,
    key: Option<IdempotencyKey>,
    render: Arc<dyn Render<PlacedOrder>>,
) -> Result<StoredResponse, Failure> {
    store
        .database()
        .write_boxed(move |work| {
            let (charge, key, render) = (charge.clone(), key.clone(), Arc::clone(&render));
            Box::pin(async move {
                let placed = match &charge {
                    Some(charge) => apply_payment(work, payment_id, charge).await?,
                    None => placed(work, payment_id).await?,
                };
                let answer = crate::application::selling::checkout::answer(&placed, render.as_ref());
                settle(work, key.as_ref(), answer).await
            })
        })
        .await
}

/// A payment with its order, as they are.
pub(crate) async fn placed(work: &mut UnitOfWork, id: PaymentId) -> Result<PlacedOrder, Failure> {
    let payment: Payment = work.find(id).await?.ok_or(NotFound::Payment)?;
    let order = work.find(payment.order_id).await?.ok_or(NotFound::Order)?;
    Ok(PlacedOrder { order, payment })
}

/// Asks the vendor how a payment stands and takes it in; what a notice only hints at is so learnt first-hand.
pub async fn refresh(store: &Store, payment_id: PaymentId) -> Result<(), Failure> {
    let payment: Payment = store.database().read().await?.find(payment_id).await?.ok_or(NotFound::Payment)?;
    let charge = gateway(store, &payment.provider)?.look_up(payment_id).await.map_err(Technical::vendor)?;
    match charge {
        Some(charge) => apply_charge(store, payment_id, charge).await,
        None => Ok(()),
    }
}

/// Takes in how a charge stands.
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

/// Sends a step to the vendor and settles it; `None` where the answer was lost, and it is sent again later.
pub(crate) async fn send_step(
    store: &Store,
    payment: &Payment,
    step: &PaymentStep,
) -> Result<Option<StepStatus>, Failure> {
    let outcome = match ask(store, payment, step).await? {
        Ok(reference) => Ok(reference),
        Err(GatewayError::Refused(why)) => Err(why),
        Err(error) => {
            tracing::warn!(payment = %payment.id, step = %step.id, %error, "a step of a payment has no answer yet");
            return Ok(None);
        }
    };
    store
        .database()
        .write((step.id, outcome), async |work, (id, outcome)| {
            settle_step(work, *id, outcome.clone()).await.map(Some)
        })
        .await
}

/// Asks the vendor to do a step; its name for the charge.
async fn ask(
    store: &Store,
    payment: &Payment,
    step: &PaymentStep,
) -> Result<Result<String, GatewayError>, Failure> {
    let reference = payment.provider_reference.clone().unwrap_or_default();
    if payment.provider == OUTSIDE {
        return Ok(Ok(reference));
    }
    let gateway = gateway(store, &payment.provider)?;
    let amount = Money::new(step.amount, payment.currency);
    let charge = match step.kind {
        StepKind::Capture => gateway.capture(reference, amount, step.id.0).await,
        StepKind::Refund => gateway.refund(reference, amount, step.id.0).await,
        StepKind::Void => gateway.void(reference, step.id.0).await,
        // asked for by `authorize` alone
        StepKind::Authorize => Err(GatewayError::NoAnswer("the authorization is not settled".to_owned())),
    };
    Ok(charge.map(|charge| charge.reference))
}
