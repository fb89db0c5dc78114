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
use super::weight::{self, address, optional, texts};
use crate::domain::order::{OrderLine, OrderStatus};
use crate::domain::placed_order::PlacedOrder;
use crate::infrastructure::repositories::{
    DEFAULT_LIMIT, Database, ListError, OrderFilter, Page, list_placed_orders,
};

const POLICY: Policy =
    Policy { ttl: Duration::from_mins(1), max_bytes: 16 << 20, ..Policy::named("order", 1) };

/// Which orders the page has, at most [`DEFAULT_LIMIT`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NewestOrders {
    /// Only those with this status.
    pub status: Option<OrderStatus>,
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
    let Own { data, key: NewestOrders { status } } = key;
    let filter = OrderFilter { user_id: Some(data.user_id), status, number: None };
    let request = database.page_request(DEFAULT_LIMIT, None);
    let page = list_placed_orders(&mut database.read().await?, &filter, &request).await?;
    let bytes = page.items.iter().map(weigh).sum();
    Ok(Loaded { value: Some(Private::new(page)), tags: Vec::new(), bytes: weight::capped(bytes) })
}

fn weigh(placed: &PlacedOrder) -> usize {
    let PlacedOrder { order, payment } = placed;
    let lines = order.lines.iter().map(|line| size_of::<OrderLine>() + texts([&line.sku, &line.name]));
    let of_order = texts([&order.email, &order.seller])
        + optional([&order.discount_code, &order.shipping_method, &order.tracking_code])
        + address(&order.shipping_address)
        + address(&order.billing_address)
        + size_of_val(&*order.taxes)
        + lines.sum::<usize>();
    let of_payment = texts([&payment.provider, &payment.token])
        + optional([&payment.provider_reference, &payment.failure, &payment.action_url]);
    size_of::<PlacedOrder>() + of_order + of_payment
}
