//! What an administrator or a customer does with a placed order: cancel, capture, refund, fulfil.

use std::sync::Arc;

use crate::domain::ids::{OrderId, PaymentStepId};
use crate::domain::order::{Order, OrderStatus};
use crate::domain::payment::{FIRST_RETRY, Payment, PaymentStep, StepKind, StepStatus};
use crate::domain::placed_order::PlacedOrder;
use crate::domain::ports::DeclineReason;
use crate::domain::state::State;
use crate::domain::time::later;
use crate::infrastructure::exceptions::{
    Conflict, Failure, Fault, NotFound, OrderProcessingException, PaymentFailedException, Technical,
    ValidationException,
};
use crate::infrastructure::repositories::{IdempotencyKey, StoredResponse, UnitOfWork};

use crate::application::Store;
use crate::application::idempotency::{ClaimOutcome, Render, claim, refuse, settle};
use crate::application::payments::apply_payment::{begin_operation, cancel_order, fulfil_order};
use crate::application::payments::gateway_calls::send_operation;
use crate::application::payments::placed_orders;

/// Returns an order with its payment.
pub async fn order(store: &Store, id: OrderId) -> Result<PlacedOrder, Failure> {
    placed_orders::get(&mut store.database().read().await?, id).await
}

/// Cancels an order that is not fulfilled: its stock is released, and its payment voided or refunded.
pub async fn cancel(work: &mut UnitOfWork, id: OrderId) -> Result<PlacedOrder, Failure> {
    cancel_order(work, id).await
}

/// Hands an order to the carrier.
pub async fn fulfil(
    work: &mut UnitOfWork,
    id: OrderId,
    tracking_code: Option<String>,
) -> Result<PlacedOrder, Failure> {
    fulfil_order(work, id, tracking_code).await
}

/// Money that an administrator moves: a capture of what is held, or a refund of what was taken.
#[derive(Debug, Clone)]
pub struct PaymentOperation {
    /// Of which order.
    pub order_id: OrderId,
    /// Which of the two.
    pub kind: StepKind,
    /// How much, in minor units of the order's currency; all that is left if it is not said.
    pub amount: Option<i64>,
    /// Why.
    pub reason: Option<String>,
    /// Whether the goods came back and can be sold again; only with a refund of everything.
    pub restock: bool,
}

/// A step of a payment with its order, as they are now.
#[derive(Debug, Clone)]
pub struct PaymentOperationOutcome {
    /// The step.
    pub step: PaymentStep,
    /// The order and its payment.
    pub placed: PlacedOrder,
}

/// Captures or refunds. The amount is set aside before the vendor is asked, so that many at once never pass the bound.
pub async fn capture_or_refund(
    store: &Store,
    request: PaymentOperation,
    key: Option<IdempotencyKey>,
    render: Arc<dyn Render<PaymentOperationOutcome>>,
) -> Result<StoredResponse, Failure> {
    let store = store.clone();
    let task = tokio::spawn(async move {
        match begin(&store, request, key.clone()).await {
            Ok(Moving::Answered(answer)) => Ok(answer),
            Ok(Moving::ClaimOutcome(payment, step)) => {
                if step.status == StepStatus::Pending {
                    send_operation(&store, &payment, &step).await?;
                }
                conclude(&store, step.id, key, render).await
            }
            Err(failure) => match key {
                Some(key) => refuse(&store, key, &render.refusal(&failure), failure).await,
                None => Err(failure),
            },
        }
    });
    task.await.unwrap_or_else(|error| Err(Technical::internal(error).into()))
}

enum Moving {
    ClaimOutcome(Box<Payment>, Box<PaymentStep>),
    Answered(StoredResponse),
}

/// Claims the key, sets the amount aside and writes the step down, in one unit of work.
async fn begin(
    store: &Store,
    request: PaymentOperation,
    key: Option<IdempotencyKey>,
) -> Result<Moving, Failure> {
    let at = store.clone();
    store
        .database()
        .write_boxed(move |work| {
            let (store, request, key) = (at.clone(), request.clone(), key.clone());
            Box::pin(async move {
                let step_id: PaymentStepId = work.id();
                if let Some(key) = &key {
                    match claim(work, &store, key, Some(step_id.0)).await? {
                        ClaimOutcome::Fresh => {}
                        ClaimOutcome::Answered(answer) => return Ok(Moving::Answered(answer)),
                        ClaimOutcome::UnderWay { subject, mine } => {
                            let step = subject.filter(|_| mine).map(PaymentStepId);
                            return resume(work, step).await;
                        }
                    }
                }
                begin_step(work, step_id, &request).await
            })
        })
        .await
}

async fn resume(work: &mut UnitOfWork, step: Option<PaymentStepId>) -> Result<Moving, Failure> {
    let step: PaymentStep =
        work.find(step.ok_or(Conflict::IdempotencyInProgress)?).await?.ok_or(NotFound::Payment)?;
    let payment = work.find(step.payment_id).await?.ok_or(NotFound::Payment)?;
    Ok(Moving::ClaimOutcome(Box::new(payment), Box::new(step)))
}

/// Sets the amount aside and writes the step down, if the payment and its order allow it.
async fn begin_step(
    work: &mut UnitOfWork,
    id: PaymentStepId,
    request: &PaymentOperation,
) -> Result<Moving, Failure> {
    let PlacedOrder { order, mut payment } = placed_orders::lock(work, request.order_id).await?;
    let (left, amount) = amount(&payment, &order, request)?;
    if request.restock
        && (request.kind != StepKind::Refund
            || amount != payment.captured
            || order.status == OrderStatus::Cancelled)
    {
        let fault = Fault::NotAllowed { allowed: vec![false.into()] };
        return Err(ValidationException::one("/restock", fault).into());
    }
    if !(1..=left).contains(&amount) {
        let fault = match amount {
            ..1 => Fault::Minimum { minimum: 1.into() },
            _ => Fault::Maximum { maximum: left.into() },
        };
        return Err(ValidationException::one("/amount", fault).into());
    }
    let now = work.now();
    let step = PaymentStep {
        reason: request.reason.clone(),
        restock: request.restock,
        ..PaymentStep::pending(id, payment.id, request.kind, amount, now)
    };
    begin_operation(work, &mut payment, &step, later(now, FIRST_RETRY)).await?;
    Ok(Moving::ClaimOutcome(Box::new(payment), Box::new(step)))
}

/// How much can be moved, and how much is to be; nothing can of an order or a payment in the wrong state.
fn amount(payment: &Payment, order: &Order, request: &PaymentOperation) -> Result<(i64, i64), Failure> {
    let capture = request.kind == StepKind::Capture;
    let (to, under_way) =
        if capture { ("captured", payment.capturing) } else { ("refunded", payment.refunding) };
    if capture && !matches!(order.status, OrderStatus::Paid | OrderStatus::Fulfilled) {
        let from = order.status.name();
        return Err(OrderProcessingException::Forbidden { what: "order", from, to }.into());
    }
    match payment.left(request.kind) {
        0 if under_way > 0 => Err(OrderProcessingException::InProgress.into()),
        0 => {
            let from = payment.status.name();
            Err(OrderProcessingException::Forbidden { what: "payment", from, to }.into())
        }
        left => Ok((left, request.amount.unwrap_or(left))),
    }
}

/// Keeps and gives the answer to a step: what it came to, or the vendor's refusal.
async fn conclude(
    store: &Store,
    id: PaymentStepId,
    key: Option<IdempotencyKey>,
    render: Arc<dyn Render<PaymentOperationOutcome>>,
) -> Result<StoredResponse, Failure> {
    store
        .database()
        .write_boxed(move |work| {
            let (key, render) = (key.clone(), Arc::clone(&render));
            Box::pin(async move {
                let step: PaymentStep = work.find(id).await?.ok_or(NotFound::Payment)?;
                let placed = placed_orders::get_by_payment(work, step.payment_id).await?;
                let answer = if step.status == StepStatus::Failed {
                    render.refusal(&PaymentFailedException { reason: DeclineReason::ProcessingError }.into())
                } else {
                    render.success(&PaymentOperationOutcome { step, placed })
                };
                settle(work, key.as_ref(), answer).await
            })
        })
        .await
}
