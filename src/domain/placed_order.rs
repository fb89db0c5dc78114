//! An order with its payment, which are locked, changed and saved as one.
//!
//! The transitions are pure functions: they change order and payment and return the [effects](Effect) that follow in
//! the rest of the store, in the order in which they are carried out. A transition that was made before returns none.
//!
//! | charge of the provider | open payment | failed or voided payment |
//! | --- | --- | --- |
//! | authorized or captured | order paid; the money is returned if the order was cancelled | the money is returned |
//! | declined or voided | order cancelled | nothing |

mod cancellation;
mod declines;

use jiff::{SignedDuration, Timestamp};

use super::events::OrderCancelled;
use super::money::{Money, MoneyError};
use super::order::{Order, OrderStatus};
use super::payment::{FIRST_RETRY, OperationKind, OperationStatus, Payment, PaymentOperation, PaymentStatus};
use super::ports::{Charge, ChargeStatus, DeclineReason};
use super::state::{ForbiddenTransition, State};
use super::time::later;

pub use cancellation::CancellationRefusal;

/// How long an abandoned payment is looked up: the request may still arrive at the provider.
const WATCH: SignedDuration = SignedDuration::from_hours(6);

/// How often the return of money is requested again after the provider refused it.
const RETURN_ATTEMPTS: usize = 30;
/// The wait after the first refusal of a return; it doubles with each further one.
const FIRST_RETURN_WAIT: SignedDuration = SignedDuration::from_mins(1);
/// The longest wait after a refusal of a return.
const LONGEST_RETURN_WAIT: SignedDuration = SignedDuration::from_hours(24);

/// An order and its payment.
#[derive(Debug, Clone, PartialEq)]
pub struct PlacedOrder {
    /// The order.
    pub order: Order,
    /// Its payment.
    pub payment: Payment,
}

/// What follows from a transition of an order or its payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// The pending authorization of the ledger succeeded, or failed with this reason.
    SettleAuthorization(Result<(), String>),
    /// Reserved stock is sold.
    SellStock,
    /// Reserved stock is available again.
    ReleaseStock,
    /// Sold stock is available again.
    Restock,
    /// Sold stock is available again, if a refund says that it was returned.
    RestockIfReturned,
    /// The cart of the order is open again.
    ReopenCart,
    /// The redeemed discount code is usable again.
    ReleaseDiscount,
    /// The user bought the products of the order.
    RecordPurchases,
    /// The user did not buy the products of the order after all.
    RemovePurchases,
    /// Subscriptions of the order begin, or the period that it pays is paid.
    PaySubscriptions,
    /// The subscription period that the order charges is not paid.
    FailSubscriptionCharge,
    /// The subscription period that the order was to charge is charged again soon: no provider knows of the charge.
    PostponeSubscriptionCharge,
    /// Subscriptions whose last paid period this order paid end with it.
    EndSubscriptions,
    /// The order has an invoice.
    IssueInvoice,
    /// The order's invoice is corrected by the amount of a refund or void.
    IssueCreditNote(PaymentOperation),
    /// An amount that is authorized or captured is to be voided or refunded.
    ReturnMoney {
        /// `Void` or `Refund`.
        kind: OperationKind,
        /// The amount.
        amount: Money,
        /// The reason, for the ledger.
        reason: &'static str,
    },
    /// An event is published.
    Publish(OrderEvent),
}

/// An event that follows from a transition. Each is one of [`events`](super::events).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderEvent {
    /// The event `order.paid`.
    OrderPaid,
    /// `order.cancelled` with its reason.
    OrderCancelled(&'static str),
    /// The event `order.fulfilled`.
    OrderFulfilled,
    /// `payment.captured` with the amount.
    PaymentCaptured(Money),
    /// `payment.failed` with the reason of the decline.
    PaymentFailed(DeclineReason),
    /// `payment.refunded` with the amount.
    PaymentRefunded(Money),
    /// `payment.refund_failed` with the amount and the provider's reason.
    PaymentRefundFailed(Money, String),
}

/// The effects of a transition, or why there is none.
pub type Transition = Result<Vec<Effect>, TransitionError>;

/// Why an order and its payment do not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TransitionError {
    /// The status forbids it.
    #[error(transparent)]
    Forbidden(#[from] ForbiddenTransition),
    /// The amounts do not fit together, such as those of a charge in another currency than its payment.
    #[error(transparent)]
    Money(#[from] MoneyError),
}

impl PlacedOrder {
    /// Applies the provider's record of the payment. Records may come late, repeatedly and in any order.
    pub fn apply(&mut self, charge: &Charge, now: Timestamp) -> Transition {
        let payment = &mut self.payment;
        let open = payment.is_open();
        let ended = matches!(payment.status, PaymentStatus::Failed | PaymentStatus::Voided);
        if (open || ended) && !charge.reference.is_empty() {
            payment.provider_reference = Some(charge.reference.clone());
        }
        match &charge.status {
            ChargeStatus::Authorized | ChargeStatus::Captured if open || ended => self.accept(charge, now),
            ChargeStatus::RequiresAction { url } if payment.status == PaymentStatus::Pending => {
                payment.status = payment.status.transition_to(PaymentStatus::RequiresAction)?;
                payment.action_url = Some(url.clone());
                Ok(Vec::new())
            }
            ChargeStatus::Declined(reason) if open => self.decline(*reason),
            ChargeStatus::Voided if open => self.void("voided"),
            _ => Ok(Vec::new()),
        }
    }

    /// Voids an open payment that its provider does not know. The request may still arrive, so the payment is looked up
    /// again for six hours; a charge that is found then is returned. A renewal is not a failed charge of its customer.
    pub fn abandon(&mut self, now: Timestamp) -> Transition {
        if !self.payment.is_open() {
            return Ok(Vec::new());
        }
        let mut effects = self.void("abandoned")?;
        for effect in effects.iter_mut().filter(|_| self.order.subscription_id.is_some()) {
            match effect {
                Effect::FailSubscriptionCharge => *effect = Effect::PostponeSubscriptionCharge,
                Effect::Publish(OrderEvent::OrderCancelled(reason)) => *reason = OrderCancelled::NOT_CHARGED,
                _ => {}
            }
        }
        if self.payment.amount.is_positive() {
            self.payment.next_attempt_at = Some(later(now, FIRST_RETRY));
            self.payment.watched_until = Some(later(now, WATCH));
        }
        Ok(effects)
    }

    /// Cancels an order whose reservation has expired while its payment waits for the shopper. A payment that is
    /// confirmed after that is returned.
    pub fn expire(&mut self) -> Transition {
        if self.payment.is_open() { self.cancel_unpaid_order("payment_voided") } else { Ok(Vec::new()) }
    }

    /// Cancels an order that is not fulfilled, and returns its money.
    pub fn cancel(&mut self, now: Timestamp) -> Transition {
        let mut effects = vec![Effect::EndSubscriptions];
        effects.extend(self.cancel_order("cancelled")?);
        if self.payment.is_open() {
            // whether the provider has the money is not known yet: the recovery finds out, and returns it
            self.payment.next_attempt_at = Some(now);
        }
        effects.extend(self.return_money("the order was cancelled")?);
        Ok(effects)
    }

    /// Hands an order to the carrier.
    pub fn fulfil(&mut self, tracking_code: Option<String>, now: Timestamp) -> Transition {
        let order = &mut self.order;
        order.status = order.status.transition_to(OrderStatus::Fulfilled)?;
        order.fulfilled_at = Some(now);
        order.tracking_code = tracking_code;
        Ok(vec![Effect::Publish(OrderEvent::OrderFulfilled)])
    }

    /// Settles a payment operation by its outcome: success, or the provider's reason for a refusal. `retry_at` is the
    /// time by which the other pending operations of the payment are sent again, `None` if there are none. One that is
    /// due earlier stays so.
    pub fn settle(
        &mut self,
        operation: &PaymentOperation,
        outcome: Result<(), &str>,
        retry_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Transition {
        self.payment.settle(operation, outcome.is_ok())?;
        let due = self.payment.next_attempt_at;
        self.payment.next_attempt_at = retry_at.map(|at| due.map_or(at, |due| due.min(at)));
        let mut effects = match outcome {
            Ok(()) => self.succeed(operation, now)?,
            Err(reason) => self.refuse(operation, reason),
        };
        if self.order.status == OrderStatus::Cancelled {
            effects.extend(self.return_money("the order was cancelled")?);
        } else if self.payment.captured.is_positive() && self.payment.captured == self.payment.refunded {
            effects.extend(self.return_money("all that was captured was refunded")?);
        }
        Ok(effects)
    }

    /// Records that the provider authorized or captured the money.
    fn accept(&mut self, charge: &Charge, now: Timestamp) -> Transition {
        let payment = &mut self.payment;
        payment.authorized = charge.authorized;
        payment.captured = charge.captured;
        payment.failure = None;
        payment.action_url = None;
        payment.next_attempt_at = None;
        payment.watched_until = None;
        payment.status = payment.status.transition_to(match charge.status {
            ChargeStatus::Captured => PaymentStatus::Captured,
            _ => PaymentStatus::Authorized,
        })?;

        let mut effects = vec![Effect::SettleAuthorization(Ok(()))];
        if charge.captured.is_positive() {
            effects.push(Effect::Publish(OrderEvent::PaymentCaptured(charge.captured)));
        }
        let pending = self.order.status == OrderStatus::Pending;
        if pending && charge.authorized.compare(self.payment.amount)?.is_ge() {
            effects.extend(self.pay_order(now)?);
            return Ok(effects);
        }
        if pending {
            effects.extend(self.cancel_order("payment_too_small")?);
        }
        effects.extend(self.return_money("the order had been cancelled")?);
        Ok(effects)
    }

    /// Records that the provider declined the authorization.
    fn decline(&mut self, reason: DeclineReason) -> Transition {
        self.payment.failure = Some(reason.name().to_owned());
        let mut effects = self.close_payment(PaymentStatus::Failed, reason.name())?;
        effects.push(Effect::Publish(OrderEvent::PaymentFailed(reason)));
        effects.extend(self.cancel_unpaid_order(self.decline_reason())?);
        Ok(effects)
    }

    /// Records that the provider voided an open payment, or does not know it.
    fn void(&mut self, reason: &str) -> Transition {
        let mut effects = self.close_payment(PaymentStatus::Voided, reason)?;
        effects.extend(self.cancel_unpaid_order("payment_voided")?);
        Ok(effects)
    }

    fn close_payment(&mut self, status: PaymentStatus, reason: &str) -> Transition {
        let payment = &mut self.payment;
        payment.status = payment.status.transition_to(status)?;
        payment.action_url = None;
        payment.next_attempt_at = None;
        Ok(vec![Effect::SettleAuthorization(Err(reason.to_owned()))])
    }

    fn pay_order(&mut self, now: Timestamp) -> Transition {
        self.order.status = self.order.status.transition_to(OrderStatus::Paid)?;
        let mut effects = vec![
            Effect::SellStock,
            Effect::RecordPurchases,
            Effect::PaySubscriptions,
            Effect::Publish(OrderEvent::OrderPaid),
            Effect::IssueInvoice,
        ];
        effects.extend(self.deliver_order(now)?);
        Ok(effects)
    }

    /// Fulfils a paid order that is delivered when its whole amount is captured: one of digital goods alone, or a past
    /// sale that was imported.
    fn deliver_order(&mut self, now: Timestamp) -> Transition {
        let is_delivered = self.order.is_digital() || self.payment.is_imported();
        if self.order.status == OrderStatus::Paid && is_delivered && self.payment.is_captured() {
            self.fulfil(None, now)
        } else {
            Ok(Vec::new())
        }
    }

    fn cancel_unpaid_order(&mut self, reason: &'static str) -> Transition {
        match self.order.status {
            OrderStatus::Pending => self.cancel_order(reason),
            _ => Ok(Vec::new()),
        }
    }

    fn cancel_order(&mut self, reason: &'static str) -> Transition {
        let before = self.order.status;
        self.order.status = before.transition_to(OrderStatus::Cancelled)?;
        let mut effects = match before {
            OrderStatus::Pending => {
                vec![Effect::ReleaseStock, Effect::ReopenCart, Effect::FailSubscriptionCharge]
            }
            _ => vec![Effect::Restock, Effect::RemovePurchases],
        };
        effects.push(Effect::ReleaseDiscount);
        effects.push(Effect::Publish(OrderEvent::OrderCancelled(reason)));
        Ok(effects)
    }

    /// Records that a payment operation succeeded.
    fn succeed(&mut self, operation: &PaymentOperation, now: Timestamp) -> Transition {
        if operation.kind == OperationKind::Void && self.payment.is_open() {
            return self.void("voided");
        }
        let mut effects = match operation.kind {
            OperationKind::Authorize => Vec::new(),
            OperationKind::Capture => vec![Effect::Publish(OrderEvent::PaymentCaptured(operation.amount))],
            OperationKind::Void => vec![Effect::IssueCreditNote(operation.clone())],
            // the refund of an order that cost nothing returns its pieces
            OperationKind::Refund if operation.amount.is_zero() => Vec::new(),
            OperationKind::Refund => vec![
                Effect::IssueCreditNote(operation.clone()),
                Effect::Publish(OrderEvent::PaymentRefunded(operation.amount)),
            ],
        };
        let status = match operation.kind {
            OperationKind::Refund if self.payment.amount.is_zero() => PaymentStatus::Refunded,
            _ => self.payment.status_by_amounts(),
        };
        if self.payment.status != status {
            self.payment.status = self.payment.status.transition_to(status)?;
        }
        effects.extend(self.deliver_order(now)?);
        let kept = matches!(self.order.status, OrderStatus::Paid | OrderStatus::Fulfilled);
        if status == PaymentStatus::Refunded && kept {
            self.order.status = self.order.status.transition_to(OrderStatus::Refunded)?;
            effects.extend([Effect::RemovePurchases, Effect::EndSubscriptions, Effect::RestockIfReturned]);
        }
        Ok(effects)
    }

    /// Returns the effects of a payment operation that the provider refused. The response to a refused capture says so;
    /// a refusal to return money is an event. The void of an open payment that was confirmed meanwhile moves no money:
    /// what was confirmed is returned by operations of its own.
    fn refuse(&self, operation: &PaymentOperation, reason: &str) -> Vec<Effect> {
        let is_superseded = operation.amount.is_zero() && !self.payment.is_open();
        if operation.kind == OperationKind::Capture || is_superseded {
            return Vec::new();
        }
        vec![Effect::Publish(OrderEvent::PaymentRefundFailed(operation.amount, reason.to_owned()))]
    }

    /// Voids what is authorized and refunds what is captured. What is being captured is returned once that is settled.
    fn return_money(&self, reason: &'static str) -> Transition {
        let payment = &self.payment;
        let mut effects = Vec::new();
        for (kind, now) in [(OperationKind::Void, payment.capturing.is_zero()), (OperationKind::Refund, true)]
        {
            let amount = payment.left(kind)?;
            if now && amount.is_positive() {
                effects.push(Effect::ReturnMoney { kind, amount, reason });
            }
        }
        Ok(effects)
    }
}

/// Returns how long to wait before the next void or refund of a payment's money, after the refusals so far; `None`
/// after 30 refusals.
pub fn return_wait(operations: &[PaymentOperation], kind: OperationKind) -> Option<SignedDuration> {
    let refused =
        |operation: &&PaymentOperation| operation.kind == kind && operation.status == OperationStatus::Failed;
    match operations.iter().filter(refused).count() {
        0 => Some(SignedDuration::ZERO),
        RETURN_ATTEMPTS.. => None,
        refused => Some((FIRST_RETURN_WAIT * (1 << (refused - 1).min(16))).min(LONGEST_RETURN_WAIT)),
    }
}

#[cfg(test)]
pub(crate) mod tests;
