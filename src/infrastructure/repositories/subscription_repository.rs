//! Subscriptions and their periods. The row of a period is the claim to charge it: a period is charged once.

use jiff::Timestamp;
use serde::Serialize;

use super::database::{
    Conditions, Connection, DatabaseError, Due, ListError, Page, PageRequest, Table, UnitOfWork, params,
    select, table,
};
use crate::domain::ids::{OrderId, ProductId, SubscriptionId, UserId};
use crate::domain::subscription::{PeriodStatus, Subscription, SubscriptionPeriod, SubscriptionStatus};

table! {
    Subscription in "subscriptions", key SubscriptionId, versioned, listed by created_at;
    id,
    user_id,
    product_id,
    variant_id,
    quantity,
    status,
    interval as (billing_interval),
    currency,
    unit_price: money(currency),
    shipping_method,
    shipping_address: json,
    billing_address: json,
    provider,
    token,
    period,
    anchor_at,
    paid_until,
    next_charge_at,
    failed_attempts,
    version,
    created_at,
    updated_at,
}

table! {
    SubscriptionPeriod in "subscription_periods", key (SubscriptionId, i64);
    subscription_id,
    period,
    order_id,
    status,
    starts_at,
    ends_at,
}

impl Due for Subscription {
    const DUE_AT: &'static str = "next_charge_at";
}

/// Which subscriptions a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SubscriptionFilter {
    /// Only those of this user.
    pub user_id: Option<UserId>,
    /// Only those with this status.
    pub status: Option<SubscriptionStatus>,
}

/// Queries on subscriptions.
pub struct SubscriptionRepository<'a>(pub &'a mut Connection);

impl SubscriptionRepository<'_> {
    /// Returns the periods of a subscription, oldest first.
    pub async fn periods(&mut self, id: SubscriptionId) -> Result<Vec<SubscriptionPeriod>, DatabaseError> {
        let sql = select::<SubscriptionPeriod>("WHERE subscription_id = $1 ORDER BY period");
        self.0.all(&sql, &params![id]).await
    }

    /// Returns the periods of subscriptions, those of each oldest first.
    pub async fn periods_of_several(
        &mut self,
        ids: &[SubscriptionId],
    ) -> Result<Vec<SubscriptionPeriod>, DatabaseError> {
        let mut periods: Vec<SubscriptionPeriod> = self.0.all_by_keys("subscription_id", ids).await?;
        periods.sort_by_key(|period| period.period);
        Ok(periods)
    }

    /// Returns the periods that an order charges: one, or the first of each subscription that it begins.
    pub async fn periods_of(&mut self, order_id: OrderId) -> Result<Vec<SubscriptionPeriod>, DatabaseError> {
        let sql = select::<SubscriptionPeriod>("WHERE order_id = $1 ORDER BY subscription_id");
        self.0.all(&sql, &params![order_id]).await
    }

    /// Returns the orders that charge the next period of the subscriptions whose last period an order charged, by id.
    pub async fn next_charges(&mut self, order_id: OrderId) -> Result<Vec<OrderId>, DatabaseError> {
        let sql = "SELECT n.order_id FROM subscription_periods p \
                   JOIN subscription_periods n ON n.subscription_id = p.subscription_id AND n.period > p.period \
                   WHERE p.order_id = $1 AND p.status = 'paid' AND n.status = 'charging' ORDER BY n.order_id";
        self.0.all(sql, &params![order_id]).await
    }

    /// Returns the latest end of a paid period of a user's subscriptions to a product, if there is one.
    pub async fn paid_until(
        &mut self,
        user_id: UserId,
        product_id: ProductId,
    ) -> Result<Option<Timestamp>, DatabaseError> {
        let sql = "SELECT MAX(paid_until) FROM subscriptions WHERE user_id = $1 AND product_id = $2";
        self.0.one(sql, &params![user_id, product_id]).await
    }

    /// Returns a page of subscriptions, newest first.
    pub async fn list(
        &mut self,
        filter: &SubscriptionFilter,
        request: &PageRequest<'_>,
    ) -> Result<Page<Subscription>, ListError> {
        let conditions = Conditions::default()
            .compare_some("user_id =", filter.user_id)
            .compare_some("status =", filter.status);
        self.0.newest(filter, conditions, request).await
    }

    /// Claims a period for an order that charges it, unless another order is charging or has paid it; returns whether
    /// it was claimed. A period whose charge failed gets the dates of the new claim.
    ///
    /// Not `insert_new`: the row of a failed charge is claimed again by the same statement.
    pub async fn claim_period(
        work: &mut UnitOfWork,
        period: &SubscriptionPeriod,
    ) -> Result<bool, DatabaseError> {
        let sql = "INSERT INTO subscription_periods (subscription_id, period, order_id, status, starts_at, ends_at) \
                   VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (subscription_id, period) DO UPDATE \
                   SET order_id = excluded.order_id, status = 'charging', starts_at = excluded.starts_at, \
                   ends_at = excluded.ends_at WHERE subscription_periods.status = 'failed'";
        let values = period.values();
        Ok(work.execute(sql, &values).await? == 1)
    }

    /// Records the outcome of a period that is being charged; returns whether it was being charged.
    pub async fn conclude_period(
        work: &mut UnitOfWork,
        order_id: OrderId,
        status: PeriodStatus,
    ) -> Result<bool, DatabaseError> {
        let sql = "UPDATE subscription_periods SET status = $2 WHERE order_id = $1 AND status = 'charging'";
        Ok(work.execute(sql, &params![order_id, status]).await? == 1)
    }
}
