//! Payments and the ledger of their operations: the amounts never exceed what is authorized, under any race.
//!
//! An amount is added to the pending amounts (`capturing`, `voiding`, `refunding`) before the provider is called, and
//! settled when the provider's response is known. Both happen under [`UnitOfWork::lock`] of the payment; the CHECKs of
//! the table enforce the limits as well.

use jiff::Timestamp;

use super::database::{Connection, DatabaseError, Due, Owner, Param, UnitOfWork, params, select, table};
use crate::domain::ids::{OrderId, PaymentId, PaymentOperationId};
use crate::domain::payment::{OperationStatus, Payment, PaymentOperation};

table! {
    Payment in "payments", key PaymentId, versioned, owned by |payment| Owner::BuyerOf(payment.order_id);
    id,
    order_id,
    provider,
    token,
    provider_reference,
    status,
    currency,
    amount: money(currency),
    authorized: money(currency),
    captured: money(currency),
    capturing: money(currency),
    voiding: money(currency),
    refunded: money(currency),
    refunding: money(currency),
    failure,
    action_url,
    attempts,
    next_attempt_at,
    watched_until,
    version,
    created_at,
    updated_at,
}

table! {
    PaymentOperation in "payment_operations", key PaymentOperationId;
    id,
    payment_id,
    kind,
    status,
    amount as (amount, currency),
    restock,
    reason,
    failure,
    provider_reference,
    created_at,
    settled_at,
}

impl Due for Payment {
    const DUE_AT: &'static str = "next_attempt_at";
}

/// The outcome of a payment operation.
#[derive(Debug, Clone, Copy)]
pub struct Settlement<'a> {
    /// The status: succeeded or failed.
    pub status: OperationStatus,
    /// The provider's reference of the charge, if it has one.
    pub reference: Option<&'a str>,
    /// The reason of a refusal.
    pub failure: Option<&'a str>,
}

impl<'a> Settlement<'a> {
    /// Returns the parameters of [`SETTLE`]; `id` is that of its condition.
    fn values(self, id: Param<'a>, now: Timestamp) -> [Param<'a>; 5] {
        params![id, self.status, self.reference, self.failure, now]
    }
}

const SETTLE: &str =
    "UPDATE payment_operations SET status = $2, provider_reference = $3, failure = $4, settled_at = $5";
/// The condition on the payment of an order.
const OF_ORDER: &str = "order_id = $1";

/// Queries on payments.
pub struct PaymentRepository<'a>(pub &'a mut Connection);

impl PaymentRepository<'_> {
    /// Returns the payment of an order.
    pub async fn by_order(&mut self, order_id: OrderId) -> Result<Option<Payment>, DatabaseError> {
        self.0.first(&select::<Payment>(&format!("WHERE {OF_ORDER}")), &params![order_id]).await
    }

    /// Locks the payment of an order until the transaction ends, and returns it.
    pub async fn lock_by_order(
        work: &mut UnitOfWork,
        order_id: OrderId,
    ) -> Result<Option<Payment>, DatabaseError> {
        work.lock_where(OF_ORDER, &params![order_id]).await
    }

    /// Sends the statement of [`PaymentRepository::lock_by_order`] ahead; see [`Connection::send_ahead`].
    pub(crate) fn lock_by_order_ahead(work: &mut UnitOfWork, order_id: OrderId) {
        work.lock_where_ahead::<Payment>(OF_ORDER, &params![order_id]);
    }

    /// Returns the payments of orders, in no order.
    pub async fn by_orders(&mut self, orders: &[OrderId]) -> Result<Vec<Payment>, DatabaseError> {
        self.0.all_by_keys("order_id", orders).await
    }

    /// Returns the operations of a payment, oldest first.
    pub async fn operations(
        &mut self,
        payment_id: PaymentId,
    ) -> Result<Vec<PaymentOperation>, DatabaseError> {
        let sql = select::<PaymentOperation>("WHERE payment_id = $1 ORDER BY created_at, id");
        self.0.all(&sql, &params![payment_id]).await
    }

    /// Returns the operations of payments, oldest first.
    pub async fn operations_of(
        &mut self,
        payments: &[PaymentId],
    ) -> Result<Vec<PaymentOperation>, DatabaseError> {
        let mut operations: Vec<PaymentOperation> = self.0.all_by_keys("payment_id", payments).await?;
        operations.sort_by_key(|operation| (operation.created_at, operation.id));
        Ok(operations)
    }

    /// Returns up to `limit` payments whose next attempt became due from `since` to `by`, with their providers.
    pub async fn due_between(
        &mut self,
        since: Timestamp,
        by: Timestamp,
        limit: i64,
    ) -> Result<Vec<(PaymentId, String)>, DatabaseError> {
        let sql = "SELECT id, provider FROM payments WHERE next_attempt_at >= $1 AND next_attempt_at <= $2 \
                   ORDER BY next_attempt_at LIMIT $3";
        self.0.all(sql, &params![since, by, limit]).await
    }

    /// Makes the attempts that are due by `by` due now.
    pub async fn make_due(work: &mut UnitOfWork, by: Timestamp) -> Result<(), DatabaseError> {
        let sql = "UPDATE payments SET next_attempt_at = $1 WHERE next_attempt_at > $1 AND next_attempt_at <= $2 \
                   RETURNING order_id";
        let now = work.now();
        for order_id in work.all::<OrderId>(sql, &params![now, by]).await? {
            work.touch_data(Owner::BuyerOf(order_id));
        }
        Ok(())
    }

    /// Claims an attempt that is due at `due_by`, and schedules the one after it for `next`. Returns whether the
    /// attempt was claimed: of concurrent claims one succeeds.
    pub async fn claim_retry(
        work: &mut UnitOfWork,
        id: PaymentId,
        due_by: Timestamp,
        next: Timestamp,
    ) -> Result<bool, DatabaseError> {
        let sql = "UPDATE payments SET next_attempt_at = $3, attempts = attempts + 1 \
                   WHERE id = $1 AND next_attempt_at <= $2 RETURNING order_id";
        let claimed = work.first::<OrderId>(sql, &params![id, due_by, next]).await?;
        if let Some(order_id) = claimed {
            work.touch_data(Owner::BuyerOf(order_id));
        }
        Ok(claimed.is_some())
    }

    /// Settles a pending operation; returns whether it was pending. Only then may the amounts of the payment change.
    pub async fn settle(
        work: &mut UnitOfWork,
        id: PaymentOperationId,
        settlement: Settlement<'_>,
    ) -> Result<bool, DatabaseError> {
        let sql = format!("{SETTLE} WHERE id = $1 AND status = 'pending'");
        let now = work.now();
        Ok(work.execute(&sql, &settlement.values(id.into(), now)).await? == 1)
    }

    /// Settles the authorization of a payment unless it succeeded. A failed one is settled again when the provider
    /// reports that it succeeded after all.
    pub async fn settle_authorization(
        work: &mut UnitOfWork,
        payment_id: PaymentId,
        settlement: Settlement<'_>,
    ) -> Result<(), DatabaseError> {
        let sql = format!("{SETTLE} WHERE payment_id = $1 AND kind = 'authorize' AND status <> 'succeeded'");
        let now = work.now();
        work.defer(&sql, &settlement.values(payment_id.into(), now)).await
    }

    /// Returns whether a payment has a pending operation.
    pub async fn has_pending_operations(&mut self, payment_id: PaymentId) -> Result<bool, DatabaseError> {
        let sql =
            "SELECT EXISTS (SELECT 1 FROM payment_operations WHERE payment_id = $1 AND status = 'pending')";
        self.0.one(sql, &params![payment_id]).await
    }
}
