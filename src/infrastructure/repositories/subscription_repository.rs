//! Subscriptions: which are due, and exactly one charge a period (the period's row is the right to charge it).

use jiff::Timestamp;
use uuid::Uuid;

use super::database::{
    Connection, Cursors, DatabaseError, Json, ListedByTime, Page, Param, Row, Table, UnitOfWork, Versioned,
    params, scalar, select,
};
use crate::domain::ids::{OrderId, SubscriptionId, UserId};
use crate::domain::state::State;
use crate::domain::subscription::{PeriodStatus, Subscription, SubscriptionPeriod, SubscriptionStatus};

impl Table for Subscription {
    const NAME: &'static str = "subscriptions";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "user_id",
        "product_id",
        "variant_id",
        "quantity",
        "status",
        "billing_interval",
        "currency",
        "shipping_address",
        "provider",
        "token",
        "period",
        "anchor_at",
        "paid_until",
        "next_charge_at",
        "failed_attempts",
        "version",
        "created_at",
        "updated_at",
    ];

    fn from_row(row: &Row<'_>) -> Result<Self, DatabaseError> {
        Ok(Self {
            id: row.get(0)?,
            user_id: row.get(1)?,
            product_id: row.get(2)?,
            variant_id: row.get(3)?,
            quantity: row.get(4)?,
            status: row.state(5)?,
            interval: row.state(6)?,
            currency: row.get(7)?,
            shipping_address: row.get::<Json<_>>(8)?.0,
            provider: row.get(9)?,
            token: row.get(10)?,
            period: row.get(11)?,
            anchor_at: row.get(12)?,
            paid_until: row.get(13)?,
            next_charge_at: row.get(14)?,
            failed_attempts: row.get(15)?,
            version: row.get(16)?,
            created_at: row.get(17)?,
            updated_at: row.get(18)?,
        })
    }

    fn bind(&self) -> Vec<Param<'_>> {
        params![
            self.id,
            self.user_id,
            self.product_id,
            self.variant_id,
            self.quantity,
            self.status.name(),
            self.interval.name(),
            self.currency,
            Param::json(&self.shipping_address),
            &self.provider,
            &self.token,
            self.period,
            self.anchor_at,
            self.paid_until,
            self.next_charge_at,
            self.failed_attempts,
            self.version,
            self.created_at,
            self.updated_at,
        ]
        .into()
    }
}

impl Versioned for Subscription {
    fn version_mut(&mut self) -> &mut i64 {
        &mut self.version
    }
}

impl Table for SubscriptionPeriod {
    const NAME: &'static str = "subscription_periods";
    const COLUMNS: &'static [&'static str] =
        &["subscription_id", "period", "order_id", "status", "starts_at", "ends_at"];

    fn from_row(row: &Row<'_>) -> Result<Self, DatabaseError> {
        Ok(Self {
            subscription_id: row.get(0)?,
            period: row.get(1)?,
            order_id: row.get(2)?,
            status: row.state(3)?,
            starts_at: row.get(4)?,
            ends_at: row.get(5)?,
        })
    }

    fn bind(&self) -> Vec<Param<'_>> {
        params![
            self.subscription_id,
            self.period,
            self.order_id,
            self.status.name(),
            self.starts_at,
            self.ends_at,
        ]
        .into()
    }
}

impl ListedByTime for Subscription {
    fn place(&self) -> (Timestamp, Uuid) {
        (self.created_at, self.id.0)
    }
}

/// Which subscriptions a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SubscriptionFilter {
    /// Only this user's.
    pub user_id: Option<UserId>,
    /// Only those in this state.
    pub status: Option<SubscriptionStatus>,
}

/// Queries on subscriptions.
pub struct SubscriptionRepository<'a>(pub &'a mut Connection);

impl SubscriptionRepository<'_> {
    /// Subscriptions whose next charge is due by now, longest waiting first.
    pub async fn due(&mut self, by: Timestamp, limit: i64) -> Result<Vec<SubscriptionId>, DatabaseError> {
        let sql = "SELECT id FROM subscriptions WHERE next_charge_at <= $1 ORDER BY next_charge_at LIMIT $2";
        self.0.all(sql, &params![by, limit], scalar).await
    }

    /// The charges of a subscription, oldest first.
    pub async fn periods(&mut self, id: SubscriptionId) -> Result<Vec<SubscriptionPeriod>, DatabaseError> {
        let sql = select::<SubscriptionPeriod>("WHERE subscription_id = $1 ORDER BY period");
        self.0.all(&sql, &params![id], SubscriptionPeriod::from_row).await
    }

    /// The periods that an order charges: one, or the first of each subscription that it begins.
    pub async fn periods_of(&mut self, order_id: OrderId) -> Result<Vec<SubscriptionPeriod>, DatabaseError> {
        let sql = select::<SubscriptionPeriod>("WHERE order_id = $1 ORDER BY subscription_id");
        self.0.all(&sql, &params![order_id], SubscriptionPeriod::from_row).await
    }

    /// A page of subscriptions, newest first.
    pub async fn list(
        &mut self,
        filter: &SubscriptionFilter,
        limit: usize,
        after: Option<(Timestamp, SubscriptionId)>,
        cursors: &Cursors<'_>,
    ) -> Result<Page<Subscription>, DatabaseError> {
        let mut conditions = vec!["TRUE".to_owned()];
        let mut values: Vec<Param<'_>> = Vec::new();
        if let Some(user_id) = filter.user_id {
            values.push(user_id.into());
            conditions.push(format!("user_id = ${}", values.len()));
        }
        if let Some(status) = filter.status {
            values.push(status.name().into());
            conditions.push(format!("status = ${}", values.len()));
        }
        self.0.newest(&conditions.join(" AND "), &values, limit, after, cursors).await
    }

    /// Takes the subscription for this unit of work: whoever else wants to change it waits.
    pub async fn lock(
        work: &mut UnitOfWork,
        id: SubscriptionId,
    ) -> Result<Option<Subscription>, DatabaseError> {
        let sql = format!(
            "UPDATE subscriptions SET version = version + 1, updated_at = $2 WHERE id = $1 RETURNING {}",
            Subscription::COLUMNS.join(", ")
        );
        let now = work.now();
        work.first(&sql, &params![id, now], Subscription::from_row).await
    }

    /// Takes the right to charge a period with an order: nobody has it, or the last charge failed. The period has the
    /// dates of the charge that goes through.
    pub async fn claim_period(
        work: &mut UnitOfWork,
        period: &SubscriptionPeriod,
    ) -> Result<bool, DatabaseError> {
        let sql = "INSERT INTO subscription_periods (subscription_id, period, order_id, status, starts_at, ends_at) \
                   VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (subscription_id, period) DO UPDATE \
                   SET order_id = excluded.order_id, status = 'charging', starts_at = excluded.starts_at, \
                   ends_at = excluded.ends_at WHERE subscription_periods.status = 'failed'";
        let values = period.bind();
        Ok(work.execute(sql, &values).await? == 1)
    }

    /// Says when the next charge is due; the subscription was taken by [`SubscriptionRepository::lock`].
    pub async fn schedule(
        work: &mut UnitOfWork,
        id: SubscriptionId,
        next: Option<Timestamp>,
    ) -> Result<(), DatabaseError> {
        let sql = "UPDATE subscriptions SET next_charge_at = $2 WHERE id = $1";
        work.execute(sql, &params![id, next]).await.map(drop)
    }

    /// Settles the charge of a period if it is under way; whether this caller did.
    pub async fn settle_period(
        work: &mut UnitOfWork,
        order_id: OrderId,
        status: PeriodStatus,
    ) -> Result<bool, DatabaseError> {
        let sql = "UPDATE subscription_periods SET status = $2 WHERE order_id = $1 AND status = 'charging'";
        Ok(work.execute(sql, &params![order_id, status.name()]).await? == 1)
    }
}
