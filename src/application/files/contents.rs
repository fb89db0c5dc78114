//! Files that are the content of a product, and what decides who may download them.

use std::collections::BTreeSet;

use crate::application::Store;
use crate::domain::file::StoredFile;
use crate::domain::ids::{ProductId, UserId};
use crate::domain::placed_order::PlacedOrder;
use crate::infrastructure::exceptions::{Failure, NotFound};
use crate::infrastructure::guards::{
    Guard, OrderOwnershipGuard, PaymentFacts, PaymentVerificationGuard, RequiredPayment, SubscriptionFacts,
};
use crate::infrastructure::repositories::{
    FileRepository, OrderRepository, PaymentRepository, SubscriptionRepository,
};

/// The most files of a product that are listed.
const MAX_FILES: usize = 100;

/// Returns the contents of the products of an order to who may see it.
///
/// # Errors
///
/// Those of [`PaymentVerificationGuard`] if the payment of the order is not captured.
pub async fn contents_of(store: &Store, own: &OrderOwnershipGuard) -> Result<Vec<StoredFile>, Failure> {
    let payment = own.payment.clone();
    PaymentVerificationGuard::check(PaymentFacts { payment, required: RequiredPayment::Captured })?;
    let products: BTreeSet<_> = own.order.lines.iter().map(|line| line.product_id).collect();
    let mut connection = store.database().read().await?;
    let mut files = Vec::new();
    for product_id in products {
        files.extend(FileRepository(&mut connection).of_product(product_id, MAX_FILES).await?);
    }
    Ok(files)
}

/// Returns the orders by which a user bought a product, with their payments.
pub async fn purchases(
    store: &Store,
    user_id: UserId,
    product_id: ProductId,
) -> Result<Vec<PlacedOrder>, Failure> {
    let mut connection = store.database().read().await?;
    let orders = OrderRepository(&mut connection).with_product(user_id, product_id).await?;
    let ids: Vec<_> = orders.iter().map(|order| order.id).collect();
    let mut payments = PaymentRepository(&mut connection).by_orders(&ids).await?;
    let placed = orders.into_iter().filter_map(|order| {
        let at = payments.iter().position(|payment| payment.order_id == order.id)?;
        Some(PlacedOrder { order, payment: payments.swap_remove(at) })
    });
    Ok(placed.collect())
}

/// Returns the facts of a user's subscription to the product of a file; a guest has none.
pub async fn subscription(
    store: &Store,
    user_id: Option<UserId>,
    product_id: Option<ProductId>,
) -> Result<SubscriptionFacts, Failure> {
    let paid_until = match (user_id, product_id) {
        (Some(user_id), Some(product_id)) => {
            let mut connection = store.database().read().await?;
            SubscriptionRepository(&mut connection).paid_until(user_id, product_id).await?
        }
        _ => None,
    };
    Ok(SubscriptionFacts { paid_until, now: store.now(), hidden: NotFound::File })
}
