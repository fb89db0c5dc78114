//! Queries on subscriptions and their periods.

use crate::domain::ids::{SubscriptionId, UserId};
use crate::domain::subscription::{Subscription, SubscriptionPeriod};
use crate::infrastructure::exceptions::{Failure, NotFound};
use crate::infrastructure::repositories::{Page, SubscriptionFilter, SubscriptionRepository};

use crate::application::Store;

/// Returns a page of subscriptions, newest first.
pub async fn subscriptions(
    store: &Store,
    filter: &SubscriptionFilter,
    limit: usize,
    cursor: Option<&str>,
) -> Result<Page<Subscription>, Failure> {
    let request = store.database().page_request(limit, cursor);
    let mut connection = store.database().read().await?;
    Ok(SubscriptionRepository(&mut connection).list(filter, &request).await?)
}

/// Returns a subscription with its periods, oldest first; if `owner` is given, only one of this user.
pub async fn subscription(
    store: &Store,
    id: SubscriptionId,
    owner: Option<UserId>,
) -> Result<(Subscription, Vec<SubscriptionPeriod>), Failure> {
    let mut connection = store.database().read().await?;
    let found: Option<Subscription> = connection.find(id).await?;
    let is_shown = |found: &Subscription| owner.is_none_or(|owner| found.user_id == owner);
    let subscription = found.filter(is_shown).ok_or(NotFound::Subscription)?;
    let periods = SubscriptionRepository(&mut connection).periods(id).await?;
    Ok((subscription, periods))
}
