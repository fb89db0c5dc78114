//! What becomes of an order after it was placed: cancelled, captured, refunded, fulfilled.

use std::sync::Arc;

use crate::domain::events::{OrderCancelled, OrderFulfilled};
use crate::domain::ids::{OrderId, PaymentStepId, VariantId};
use crate::domain::order::{Order, OrderStatus};
use crate::domain::payment::{Payment, PaymentStatus, PaymentStep, StepKind, StepStatus};
use crate::domain::ports::DeclineReason;
use crate::domain::state::State;
use crate::infrastructure::exceptions::{
    Conflict, Failure, Fault, NotFound, OrderProcessingException, PaymentFailedException, Technical,
    ValidationException,
};
use crate::infrastructure::repositories::{
    Answer, IdempotencyKey, InventoryRepository, OrderRepository, PaymentRepository, UnitOfWork,
};

use super::apply_payment::{give_back, give_up_order};
use super::idempotency::{Begun, Render, claim, later, refuse, settle};
use super::payments::{FIRST_RETRY, placed, send_step};
use super::place_order::PlacedOrder;
use super::{Store, subscriptions};

/// An order with its payment.
pub async fn order(store: &Store, id: OrderId) -> Result<PlacedOrder, Failure> {
    let mut session = store.database().read().await?;
    let order = session.find::<Order>(id).await?.ok_or(NotFound::Order)?;
    let payment = PaymentRepository(&mut session).by_order(id).await?.ok_or(NotFound::Payment)?;
    Ok(PlacedOrder { order, payment })
}

/// Gives up an order that was not fulfilled: its stock is free again, and the money goes back.
pub async fn cancel(unit_of_work: &mut UnitOfWork, id: OrderId) -> Result<PlacedOrder, Failure> {
    let payment = PaymentRepository(unit_of_work).by_order(id).await?.ok_or(NotFound::Order)?;
    let mut payment = PaymentRepository::lock(unit_of_work, payment.id).await?.ok_or(NotFound::Payment)?;
    let mut order = OrderRepository::lock(unit_of_work, id).await?.ok_or(NotFound::Order)?;
    subscriptions::order_undone(unit_of_work, id).await?;
    if order.status == OrderStatus::Pending {
        // Whether the vendor has the money is not known yet: the worker finds out, and gives it back if so.
        give_up_order(unit_of_work, &mut order, "cancelled").await?;
        payment.next_attempt_at = Some(unit_of_work.now());
    } else {
        order.status = order.status.step(OrderStatus::Cancelled)?;
        restock(unit_of_work, &order).await?;
        OrderRepository::forget_purchases(unit_of_work, &order).await?;
        give_back(unit_of_work, &mut payment, "the order was cancelled").await?;
        let cancelled = OrderCancelled {
            order_id: order.id,
            number: order.number,
            user_id: order.user_id,
            reason: "cancelled".into(),
        };
        unit_of_work.publish(&cancelled).await?;
    }
    PaymentRepository::save_progress(unit_of_work, &payment).await?;
    OrderRepository::save_progress(unit_of_work, &order).await?;
    Ok(PlacedOrder { order, payment })
}

/// Hands an order to the carrier.
pub async fn fulfil(
    unit_of_work: &mut UnitOfWork,
    id: OrderId,
    tracking_code: Option<String>,
) -> Result<PlacedOrder, Failure> {
    let mut order = OrderRepository::lock(unit_of_work, id).await?.ok_or(NotFound::Order)?;
    order.status = order.status.step(OrderStatus::Fulfilled)?;
    order.fulfilled_at = Some(unit_of_work.now());
    order.tracking_code = tracking_code;
    OrderRepository::save_progress(unit_of_work, &order).await?;
    let fulfilled = OrderFulfilled { order_id: order.id, number: order.number, user_id: order.user_id };
    unit_of_work.publish(&fulfilled).await?;
    let payment = PaymentRepository(unit_of_work).by_order(id).await?.ok_or(NotFound::Payment)?;
    Ok(PlacedOrder { order, payment })
}

async fn restock(unit_of_work: &mut UnitOfWork, order: &Order) -> Result<(), Failure> {
    let lines: Vec<(VariantId, i64)> =
        order.lines.iter().map(|line| (line.variant_id, line.quantity)).collect();
    InventoryRepository::restock(unit_of_work, &lines).await?;
    Ok(())
}

/// Money that an administrator moves: a capture of what is held, or a refund of what was taken.
#[derive(Debug, Clone)]
pub struct MoneyMove {
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
pub struct MovedMoney {
    /// The step.
    pub step: PaymentStep,
    /// The order and its payment.
    pub placed: PlacedOrder,
}

/// Captures or refunds. The amount is set aside before the vendor is asked, so that many at once never pass the bound.
pub async fn move_money(
    store: &Store,
    request: MoneyMove,
    key: Option<IdempotencyKey>,
    render: Arc<dyn Render<MovedMoney>>,
) -> Result<Answer, Failure> {
    let store = store.clone();
    let task = tokio::spawn(async move {
        match set_aside(&store, request, key.clone()).await {
            Ok(Moving::Answered(answer)) => Ok(answer),
            Ok(Moving::Begun(payment, step)) => {
                send_step(&store, &payment, &step).await?;
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
    Begun(Box<Payment>, Box<PaymentStep>),
    Answered(Answer),
}

/// Claims the key, sets the amount aside and writes the step down, in one unit of work.
async fn set_aside(
    store: &Store,
    request: MoneyMove,
    key: Option<IdempotencyKey>,
) -> Result<Moving, Failure> {
    let at = store.clone();
    store
        .database()
        .write(move |unit_of_work| {
            let (store, request, key) = (at.clone(), request.clone(), key.clone());
            Box::pin(async move {
                let step_id: PaymentStepId = unit_of_work.id();
                if let Some(key) = &key {
                    match claim(unit_of_work, &store, key, Some(step_id.0)).await? {
                        Begun::Fresh => {}
                        Begun::Answered(answer) => return Ok(Moving::Answered(answer)),
                        Begun::UnderWay { subject, mine } => {
                            let step = subject.filter(|_| mine).map(PaymentStepId);
                            return resume(unit_of_work, step).await;
                        }
                    }
                }
                let (payment, step) = begin_step(unit_of_work, step_id, &request).await?;
                if request.restock {
                    let order: Order = unit_of_work.find(payment.order_id).await?.ok_or(NotFound::Order)?;
                    restock(unit_of_work, &order).await?;
                }
                Ok(Moving::Begun(Box::new(payment), Box::new(step)))
            })
        })
        .await
}

async fn resume(unit_of_work: &mut UnitOfWork, step: Option<PaymentStepId>) -> Result<Moving, Failure> {
    let step: PaymentStep =
        unit_of_work.find(step.ok_or(Conflict::IdempotencyInProgress)?).await?.ok_or(NotFound::Payment)?;
    let payment = unit_of_work.find(step.payment_id).await?.ok_or(NotFound::Payment)?;
    Ok(Moving::Begun(Box::new(payment), Box::new(step)))
}

async fn begin_step(
    unit_of_work: &mut UnitOfWork,
    id: PaymentStepId,
    request: &MoneyMove,
) -> Result<(Payment, PaymentStep), Failure> {
    let payment = PaymentRepository(unit_of_work).by_order(request.order_id).await?.ok_or(NotFound::Order)?;
    let payment = PaymentRepository::lock(unit_of_work, payment.id).await?.ok_or(NotFound::Payment)?;
    let left = match request.kind {
        StepKind::Capture => payment.authorized - payment.captured - payment.capturing,
        _ => payment.captured - payment.refunded - payment.refunding,
    };
    let amount = request.amount.unwrap_or(left);
    if request.restock && (request.kind != StepKind::Refund || amount != payment.captured) {
        return Err(
            ValidationException::one("/restock", Fault::NotAllowed { allowed: vec![false.into()] }).into()
        );
    }
    let now = unit_of_work.now();
    let step = PaymentStep {
        id,
        payment_id: payment.id,
        kind: request.kind,
        status: StepStatus::Pending,
        amount,
        reason: request.reason.clone(),
        failure: None,
        provider_reference: None,
        created_at: now,
        settled_at: None,
    };
    if amount >= 1 && PaymentRepository::begin_step(unit_of_work, &step, later(now, FIRST_RETRY)).await? {
        return Ok((payment, step));
    }
    // what was captured in part can be captured further
    let (possible, to): (&[PaymentStatus], _) = match request.kind {
        StepKind::Capture => (&[PaymentStatus::Authorized, PaymentStatus::Captured], "captured"),
        _ => (&[PaymentStatus::Captured], "refunded"),
    };
    if !possible.contains(&payment.status) || left == 0 {
        let from = payment.status.name();
        return Err(OrderProcessingException::Forbidden { what: "payment", from, to }.into());
    }
    let fault = if amount < 1 {
        Fault::Minimum { minimum: 1.into() }
    } else {
        Fault::Maximum { maximum: left.into() }
    };
    Err(ValidationException::one("/amount", fault).into())
}

/// Keeps and gives the answer to a step: what it came to, or the vendor's refusal.
async fn conclude(
    store: &Store,
    id: PaymentStepId,
    key: Option<IdempotencyKey>,
    render: Arc<dyn Render<MovedMoney>>,
) -> Result<Answer, Failure> {
    store
        .database()
        .write(move |unit_of_work| {
            let (key, render) = (key.clone(), Arc::clone(&render));
            Box::pin(async move {
                let step: PaymentStep = unit_of_work.find(id).await?.ok_or(NotFound::Payment)?;
                let placed = placed(unit_of_work, step.payment_id).await?;
                let answer = if step.status == StepStatus::Failed {
                    render.refusal(&PaymentFailedException { reason: DeclineReason::ProcessingError }.into())
                } else {
                    render.success(&MovedMoney { step, placed })
                };
                settle(unit_of_work, key.as_ref(), answer).await
            })
        })
        .await
}
