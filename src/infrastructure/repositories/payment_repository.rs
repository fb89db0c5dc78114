//! Payments as a ledger: what was authorized, captured and refunded never passes its bound, under any race.
//!
//! An amount is set aside (`capturing`, `refunding`) by a conditional update before the vendor is asked, and moved
//! when the vendor's answer is known; the table's CHECKs say the same once more.

use jiff::Timestamp;

use super::error::StoreError;
use super::session::Session;
use super::table::{Table, Versioned, key_lists, select};
use super::unit_of_work::UnitOfWork;
use super::value::{Param, Row, params, scalar};
use crate::domain::ids::{OrderId, PaymentId, PaymentStepId};
use crate::domain::payment::{Payment, PaymentStep, StepKind, StepStatus};
use crate::domain::state::State;

impl Table for Payment {
    const NAME: &'static str = "payments";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "order_id",
        "provider",
        "token",
        "provider_reference",
        "status",
        "currency",
        "amount",
        "authorized",
        "captured",
        "capturing",
        "refunded",
        "refunding",
        "failure",
        "action_url",
        "attempts",
        "next_attempt_at",
        "version",
        "created_at",
        "updated_at",
    ];

    fn from_row(row: &Row<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.get(0)?,
            order_id: row.get(1)?,
            provider: row.get(2)?,
            token: row.get(3)?,
            provider_reference: row.get(4)?,
            status: row.state(5)?,
            currency: row.get(6)?,
            amount: row.get(7)?,
            authorized: row.get(8)?,
            captured: row.get(9)?,
            capturing: row.get(10)?,
            refunded: row.get(11)?,
            refunding: row.get(12)?,
            failure: row.get(13)?,
            action_url: row.get(14)?,
            attempts: row.get(15)?,
            next_attempt_at: row.get(16)?,
            version: row.get(17)?,
            created_at: row.get(18)?,
            updated_at: row.get(19)?,
        })
    }

    fn bind(&self) -> Vec<Param<'_>> {
        params![
            self.id,
            self.order_id,
            &self.provider,
            &self.token,
            self.provider_reference.as_ref(),
            self.status.name(),
            self.currency,
            self.amount,
            self.authorized,
            self.captured,
            self.capturing,
            self.refunded,
            self.refunding,
            self.failure.as_ref(),
            self.action_url.as_ref(),
            self.attempts,
            self.next_attempt_at,
            self.version,
            self.created_at,
            self.updated_at,
        ]
        .into()
    }
}

impl Versioned for Payment {
    fn version_mut(&mut self) -> &mut i64 {
        &mut self.version
    }
}

impl Table for PaymentStep {
    const NAME: &'static str = "payment_steps";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "payment_id",
        "kind",
        "status",
        "amount",
        "reason",
        "failure",
        "provider_reference",
        "created_at",
        "settled_at",
    ];

    fn from_row(row: &Row<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.get(0)?,
            payment_id: row.get(1)?,
            kind: row.state(2)?,
            status: row.state(3)?,
            amount: row.get(4)?,
            reason: row.get(5)?,
            failure: row.get(6)?,
            provider_reference: row.get(7)?,
            created_at: row.get(8)?,
            settled_at: row.get(9)?,
        })
    }

    fn bind(&self) -> Vec<Param<'_>> {
        params![
            self.id,
            self.payment_id,
            self.kind.name(),
            self.status.name(),
            self.amount,
            self.reason.as_ref(),
            self.failure.as_ref(),
            self.provider_reference.as_ref(),
            self.created_at,
            self.settled_at,
        ]
        .into()
    }
}

/// Queries on payments.
pub struct PaymentRepository<'a>(pub &'a mut Session);

impl PaymentRepository<'_> {
    /// The payment of an order.
    pub async fn by_order(&mut self, order_id: OrderId) -> Result<Option<Payment>, StoreError> {
        self.0.first(&select::<Payment>("WHERE order_id = $1"), &params![order_id], Payment::from_row).await
    }

    /// The payments of orders, in no order.
    pub async fn by_orders(&mut self, orders: &[OrderId]) -> Result<Vec<Payment>, StoreError> {
        let mut payments = Vec::with_capacity(orders.len());
        for (keys, list) in key_lists(orders) {
            let sql = select::<Payment>(&format!("WHERE order_id IN ({list})"));
            payments.extend(self.0.all(&sql, &keys, Payment::from_row).await?);
        }
        Ok(payments)
    }

    /// The steps of a payment, oldest first.
    pub async fn steps(&mut self, payment_id: PaymentId) -> Result<Vec<PaymentStep>, StoreError> {
        let sql = select::<PaymentStep>("WHERE payment_id = $1 ORDER BY created_at, id");
        self.0.all(&sql, &params![payment_id], PaymentStep::from_row).await
    }

    /// Payments whose vendor is to be asked again by now, longest waiting first.
    pub async fn due(&mut self, by: Timestamp, limit: i64) -> Result<Vec<PaymentId>, StoreError> {
        let sql = "SELECT id FROM payments WHERE next_attempt_at <= $1 ORDER BY next_attempt_at LIMIT $2";
        self.0.all(sql, &params![by, limit], scalar).await
    }

    /// Takes the payment for this unit of work: whoever else wants to change it waits.
    pub async fn lock(unit_of_work: &mut UnitOfWork, id: PaymentId) -> Result<Option<Payment>, StoreError> {
        let sql = format!(
            "UPDATE payments SET version = version + 1, updated_at = $2 WHERE id = $1 RETURNING {}",
            Payment::COLUMNS.join(", ")
        );
        let now = unit_of_work.now();
        unit_of_work.first(&sql, &params![id, now], Payment::from_row).await
    }

    /// Puts off the next attempt, if it is still the one that was due; whether this caller is to make it.
    pub async fn claim_attempt(
        unit_of_work: &mut UnitOfWork,
        id: PaymentId,
        due_by: Timestamp,
        next: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE payments SET next_attempt_at = $3, attempts = attempts + 1 \
                   WHERE id = $1 AND next_attempt_at <= $2";
        Ok(unit_of_work.execute(sql, &params![id, due_by, next]).await? == 1)
    }

    /// Sets an amount aside for a step and writes the step down; `None` where it is more than there is.
    ///
    /// A void needs that nothing was captured; then all that is held is let go.
    pub async fn begin_step(
        unit_of_work: &mut UnitOfWork,
        step: &PaymentStep,
        retry_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let condition = match step.kind {
            StepKind::Authorize => "status = 'pending'",
            StepKind::Capture => {
                "status IN ('authorized', 'captured') AND authorized - captured - capturing >= $2"
            }
            StepKind::Refund => "status = 'captured' AND captured - refunded - refunding >= $2",
            StepKind::Void => {
                "status IN ('authorized', 'requires_action', 'pending') AND captured + capturing = 0 AND $2 >= 0"
            }
        };
        let set = match step.kind {
            StepKind::Authorize | StepKind::Void => "",
            StepKind::Capture => "capturing = capturing + $2, ",
            StepKind::Refund => "refunding = refunding + $2, ",
        };
        let sql = format!(
            "UPDATE payments SET {set}next_attempt_at = $3, version = version + 1, updated_at = $4 \
             WHERE id = $1 AND {condition} AND CAST($2 AS BIGINT) >= 0"
        );
        let values = params![step.payment_id, step.amount, retry_at, step.created_at];
        if unit_of_work.execute(&sql, &values).await? == 0 {
            return Ok(false);
        }
        unit_of_work.insert(step).await?;
        Ok(true)
    }

    /// Settles a step if nobody has; whether this caller did, and so moves the amounts.
    pub async fn settle_step(
        unit_of_work: &mut UnitOfWork,
        id: PaymentStepId,
        status: StepStatus,
        reference: Option<&str>,
        failure: Option<&str>,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE payment_steps SET status = $2, provider_reference = $3, failure = $4, settled_at = $5 \
                   WHERE id = $1 AND status = 'pending'";
        let values = params![id, status.name(), reference, failure, unit_of_work.now()];
        Ok(unit_of_work.execute(sql, &values).await? == 1)
    }

    /// Settles the step that asked for the authorization, unless it is settled.
    pub async fn settle_authorization(
        unit_of_work: &mut UnitOfWork,
        payment_id: PaymentId,
        status: StepStatus,
        reference: Option<&str>,
        failure: Option<&str>,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE payment_steps SET status = $2, provider_reference = $3, failure = $4, settled_at = $5 \
                   WHERE payment_id = $1 AND kind = 'authorize' AND status = 'pending'";
        let values = params![payment_id, status.name(), reference, failure, unit_of_work.now()];
        unit_of_work.execute(sql, &values).await.map(drop)
    }

    /// Whether a step of a payment waits for the vendor.
    pub async fn has_pending_steps(&mut self, payment_id: PaymentId) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM payment_steps WHERE payment_id = $1 AND status = 'pending')";
        self.0.one(sql, &params![payment_id], scalar).await
    }

    /// Asks no more about a payment that has nothing open.
    pub async fn rest(unit_of_work: &mut UnitOfWork, id: PaymentId) -> Result<(), StoreError> {
        let sql = "UPDATE payments SET next_attempt_at = NULL \
                   WHERE id = $1 AND status NOT IN ('pending', 'requires_action') AND NOT EXISTS \
                   (SELECT 1 FROM payment_steps s WHERE s.payment_id = payments.id AND s.status = 'pending')";
        unit_of_work.execute(sql, &params![id]).await.map(drop)
    }

    /// Writes the payment's progress back; it was taken by [`PaymentRepository::lock`].
    pub async fn save_progress(unit_of_work: &mut UnitOfWork, payment: &Payment) -> Result<(), StoreError> {
        let sql = "UPDATE payments SET provider_reference = $2, status = $3, authorized = $4, captured = $5, \
                   capturing = $6, refunded = $7, refunding = $8, failure = $9, action_url = $10, \
                   next_attempt_at = $11 WHERE id = $1";
        let values = params![
            payment.id,
            payment.provider_reference.as_ref(),
            payment.status.name(),
            payment.authorized,
            payment.captured,
            payment.capturing,
            payment.refunded,
            payment.refunding,
            payment.failure.as_ref(),
            payment.action_url.as_ref(),
            payment.next_attempt_at,
        ];
        unit_of_work.execute(sql, &values).await.map(drop)
    }
}
