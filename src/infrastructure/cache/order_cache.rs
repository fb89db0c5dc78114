//! The newest page of a user's orders, with their payments. A new order, a change of an order or of its payment, and
//! each other change of the user's data ends what is kept of it. Only the owner's own list is read from here: what
//! cancels, captures or refunds locks the rows.

use std::time::Duration;

use super::cached::Cached;
use super::entry::Loaded;
use super::own::{Own, own_cache};
use super::policy::Policy;
use super::private::Private;
use super::tiers::Tiers;
use crate::domain::order::OrderStatus;
use crate::domain::placed_order::PlacedOrder;
use crate::infrastructure::repositories::{Database, ListError, OrderFilter, Page, list_placed_orders};

const POLICY: Policy =
    Policy { ttl: Duration::from_mins(1), max_bytes: 16 << 20, ..Policy::named("order", 1) };

/// Which orders the page has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NewestOrders {
    /// Only those with this status.
    pub status: Option<OrderStatus>,
    /// The most orders of the page.
    pub limit: usize,
}

/// The newest orders of users.
pub type OrderCache = Cached<Own<NewestOrders>, Private<Page<PlacedOrder>>, ListError>;

pub(super) fn order_cache(tiers: &Tiers, database: Database) -> OrderCache {
    own_cache(tiers, POLICY, database, load)
}

async fn load(
    database: Database,
    key: Own<NewestOrders>,
) -> Result<Loaded<Private<Page<PlacedOrder>>>, ListError> {
    let Own { data, key: NewestOrders { status, limit } } = key;
    let filter = OrderFilter { user_id: Some(data.user_id), status, number: None };
    let request = database.page_request(limit, None);
    let page = list_placed_orders(&mut database.read().await?, &filter, &request).await?;
    let lines: usize = page.items.iter().map(|placed| placed.order.lines.len()).sum();
    let bytes = 2_000 * page.items.len() + 250 * lines;
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    Ok(Loaded { value: Some(Private::new(page)), tags: Vec::new(), bytes })
}
