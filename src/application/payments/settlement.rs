//! What becomes of a payment's money once it was held or taken: set aside for a step, moved when the step is settled,
//! and given back when nothing is owed for it any more.
//!
//! Who calls this has taken the payment by [`PaymentRepository::lock`], and then the order.

use jiff::{SignedDuration, Timestamp};

use crate::domain::events::{PaymentCaptured, PaymentRefundFailed, PaymentRefunded};
use crate::domain::ids::PaymentStepId;
use crate::domain::money::Money;
use crate::domain::order::{Order, OrderStatus};
use crate::domain::payment::{Payment, PaymentStatus, PaymentStep, StepKind, StepStatus};
use crate::domain::state::State;
use crate::infrastructure::exceptions::{Failure, NotFound};
use crate::infrastructure::repositories::{OrderRepository, PaymentRepository, UnitOfWork};

use super::apply_payment::{restock, void};
use super::gateway_calls::FIRST_RETRY;
use crate::application::idempotency::later;
use crate::application::selling::invoicing;
use crate::application::subscriptions::lifecycle as subscriptions;

/// How often money that is to go back is asked for anew after the vendor refused.
const TRIES: usize = 30;
/// How long to wait after the first refusal; twice as long after each more.
const FIRST_WAIT: SignedDuration = SignedDuration::from_mins(1);
/// The longest wait.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(24);

/// Writes a step down with its amount set aside; the vendor is asked again from `retry_at` on.
pub(crate) async fn set_aside(
    work: &mut UnitOfWork,
    payment: &mut Payment,
    step: &PaymentStep,
    retry_at: Timestamp,
) -> Result<(), Failure> {
    payment.set_aside(step);
    payment.next_attempt_at = Some(payment.next_attempt_at.map_or(retry_at, |known| known.min(retry_at)));
    Ok(work.insert(step).await?)
}

/// Lets go of what is held and refunds what was taken; the worker sends it at once, or later if it was refused before.
/// What is being captured is waited for: it is given back when that is settled.
pub(crate) async fn give_back(
    work: &mut UnitOfWork,
    payment: &mut Payment,
    reason: &str,
) -> Result<(), Failure> {
    let kinds = [(StepKind::Void, payment.capturing == 0), (StepKind::Refund, true)];
    for kind in kinds.into_iter().filter_map(|(kind, now)| now.then_some(kind)) {
        if payment.left(kind) > 0 {
            ask_back(work, payment, kind, reason).await?;
        }
    }
    Ok(())
}

/// Asks for all that a step of this kind can give back, unless the vendor refused too often.
pub(crate) async fn ask_back(
    work: &mut UnitOfWork,
    payment: &mut Payment,
    kind: StepKind,
    reason: &str,
) -> Result<(), Failure> {
    let steps = PaymentRepository(work).steps(payment.id).await?;
    let refused = steps.iter().filter(|step| step.kind == kind && step.status == StepStatus::Failed).count();
    if refused >= TRIES {
        tracing::error!(payment = %payment.id, refused, "the money does not go back by itself");
        return Ok(());
    }
    let wait = match refused {
        0 => SignedDuration::ZERO,
        more => (FIRST_WAIT * (1 << (more - 1).min(16))).min(LONGEST_WAIT),
    };
    let now = work.now();
    let step = PaymentStep {
        reason: Some(reason.to_owned()),
        ..PaymentStep::asked(work.id(), payment.id, kind, payment.left(kind), now)
    };
    set_aside(work, payment, &step, later(now, wait)).await
}

/// Moves the amounts of a step whose outcome is known. Done twice it changes nothing twice.
pub(crate) async fn settle_step(
    work: &mut UnitOfWork,
    id: PaymentStepId,
    outcome: Result<String, String>,
) -> Result<StepStatus, Failure> {
    let step: PaymentStep = work.find(id).await?.ok_or(NotFound::Payment)?;
    let mut payment = PaymentRepository::lock(work, step.payment_id).await?.ok_or(NotFound::Payment)?;
    let (status, reference, failure) = match &outcome {
        Ok(reference) => (StepStatus::Succeeded, Some(reference.as_str()), None),
        Err(why) => (StepStatus::Failed, None, Some(why.as_str())),
    };
    if !PaymentRepository::settle_step(work, id, status, reference, failure).await? {
        let settled: PaymentStep = work.find(id).await?.ok_or(NotFound::Payment)?;
        return Ok(settled.status);
    }
    let mut order = OrderRepository::lock(work, payment.order_id).await?.ok_or(NotFound::Order)?;
    payment.settle(&step, failure.is_none());
    let open = PaymentRepository(work).has_pending_steps(payment.id).await?;
    payment.next_attempt_at = open.then(|| later(work.now(), FIRST_RETRY));
    match failure {
        None => done(work, &mut payment, &mut order, &step).await?,
        Some(why) => refused(work, &payment, &step, why).await?,
    }
    if order.status == OrderStatus::Cancelled {
        give_back(work, &mut payment, "the order was cancelled").await?;
    } else if payment.captured > 0 && payment.captured == payment.refunded {
        give_back(work, &mut payment, "all that was taken was given back").await?;
    }
    PaymentRepository::save_progress(work, &payment).await?;
    OrderRepository::save_progress(work, &order).await?;
    Ok(status)
}

/// What follows from a step that the vendor did.
async fn done(
    work: &mut UnitOfWork,
    payment: &mut Payment,
    order: &mut Order,
    step: &PaymentStep,
) -> Result<(), Failure> {
    if step.kind == StepKind::Void && payment.is_open() {
        return void(work, payment, order, "voided").await;
    }
    let amount = Money::new(step.amount, payment.currency);
    if matches!(step.kind, StepKind::Refund | StepKind::Void) {
        invoicing::credit_note(work, order, step.id, amount, step.reason.as_deref()).await?;
    }
    let (payment_id, order_id) = (payment.id, order.id);
    match step.kind {
        StepKind::Capture => {
            work.publish(&PaymentCaptured { payment_id, order_id, amount }).await?;
        }
        StepKind::Refund => {
            let Order { number, user_id, .. } = *order;
            let refunded = PaymentRefunded { payment_id, order_id, number, user_id, amount };
            work.publish(&refunded).await?;
        }
        StepKind::Authorize | StepKind::Void => {}
    }
    if payment.status != payment.state() {
        payment.status = payment.status.step(payment.state())?;
    }
    if payment.status == PaymentStatus::Refunded {
        close(work, payment, order).await?;
    }
    Ok(())
}

/// All of an order's money was paid back and nothing more is held: it is over, and its goods are back if they came.
async fn close(work: &mut UnitOfWork, payment: &Payment, order: &mut Order) -> Result<(), Failure> {
    if !matches!(order.status, OrderStatus::Paid | OrderStatus::Fulfilled) {
        return Ok(());
    }
    order.status = order.status.step(OrderStatus::Refunded)?;
    OrderRepository::remove_purchases(work, order).await?;
    subscriptions::order_reversed(work, order.id).await?;
    let steps = PaymentRepository(work).steps(payment.id).await?;
    if steps.iter().any(|step| step.restock && step.status == StepStatus::Succeeded) {
        restock(work, order).await?;
    }
    Ok(())
}

/// A refusal of money that should go back is said aloud; of a capture, whoever asked for it is told.
async fn refused(
    work: &mut UnitOfWork,
    payment: &Payment,
    step: &PaymentStep,
    why: &str,
) -> Result<(), Failure> {
    if step.kind == StepKind::Capture {
        return Ok(());
    }
    tracing::error!(payment = %payment.id, step = %step.id, why, "the payment vendor refused to give money back");
    let failed = PaymentRefundFailed {
        payment_id: payment.id,
        order_id: payment.order_id,
        amount: Money::new(step.amount, payment.currency),
        reason: why.to_owned(),
    };
    Ok(work.publish(&failed).await?)
}
