//! The principal bought the product whose content a file is. To everyone else the file does not exist.

use super::Guard;
use crate::domain::ids::ProductId;
use crate::domain::order::OrderStatus;
use crate::domain::placed_order::PlacedOrder;
use crate::domain::product::ProductKind;
use crate::infrastructure::exceptions::{Failure, NotFound};

/// A file that is content of a product, and orders of the principal.
#[derive(Debug, Clone)]
pub struct ContentFacts {
    /// The product; `None` for a file that is not the content of one.
    pub product_id: Option<ProductId>,
    /// Orders of the principal with the product: of a guest, the one whose token the request has.
    pub orders: Vec<PlacedOrder>,
    /// The failure for who bought nothing.
    pub hidden: NotFound,
}

/// The proof that the principal bought the product: an order with it is paid, and its payment is captured. An order
/// of a subscription is no purchase: [`SubscriptionGuard`](super::SubscriptionGuard) decides about its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentAccessGuard(());

impl Guard for ContentAccessGuard {
    type Facts = ContentFacts;

    fn check(ContentFacts { product_id, orders, hidden }: ContentFacts) -> Result<Self, Failure> {
        let product_id = product_id.ok_or(hidden)?;
        let sells = |placed: &PlacedOrder| {
            let is_paid = matches!(placed.order.status, OrderStatus::Paid | OrderStatus::Fulfilled);
            let mut lines = placed.order.lines.iter();
            is_paid
                && placed.payment.is_kept()
                && lines.any(|line| line.product_id == product_id && line.kind != ProductKind::Subscription)
        };
        if orders.iter().any(sells) { Ok(Self(())) } else { Err(hidden.into()) }
    }

    fn refusals() -> Vec<Failure> {
        vec![NotFound::File.into()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::{Currency, Money};
    use crate::domain::order::OrderLine;
    use crate::domain::payment::PaymentStatus;
    use crate::domain::placed_order::tests::placed;

    const PRODUCT: ProductId = ProductId(uuid::Uuid::from_u128(7));

    fn line() -> OrderLine {
        let zero = Money::zero(Currency::EUR);
        OrderLine {
            position: 1,
            variant_id: crate::domain::ids::VariantId(uuid::Uuid::nil()),
            product_id: PRODUCT,
            sku: "S".into(),
            kind: ProductKind::Digital,
            billing_interval: None,
            name: "Song".into(),
            quantity: 1,
            unit_price: zero,
            discount: zero,
            tax: zero,
            tax_basis_points: 0,
            tax_inclusive: true,
            total: zero,
        }
    }

    fn may_read(order: OrderStatus, payment: PaymentStatus, change: fn(&mut PlacedOrder)) -> bool {
        let mut placed = placed(order, payment);
        placed.order.lines.push(line());
        change(&mut placed);
        let facts = ContentFacts { product_id: Some(PRODUCT), orders: vec![placed], hidden: NotFound::File };
        let checked = ContentAccessGuard::check(facts);
        checked.map_err(|failure| assert_eq!(failure.code(), "file_not_found")).is_ok()
    }

    #[test]
    fn a_content_is_for_those_who_paid_for_its_product() {
        use OrderStatus::{Cancelled, Fulfilled, Paid, Pending, Refunded};
        for paid in [Paid, Fulfilled] {
            assert!(may_read(paid, PaymentStatus::Captured, |_| ()));
            assert!(!may_read(paid, PaymentStatus::Authorized, |_| ()));
        }
        for other in [Pending, Cancelled, Refunded] {
            assert!(!may_read(other, PaymentStatus::Captured, |_| ()), "{other:?}");
        }
        let changes: [fn(&mut PlacedOrder); 3] = [
            |placed| placed.order.lines[0].product_id = ProductId(uuid::Uuid::nil()),
            |placed| placed.order.lines[0].kind = ProductKind::Subscription,
            |placed| placed.payment.refunded = placed.payment.captured,
        ];
        for change in changes {
            assert!(!may_read(Paid, PaymentStatus::Captured, change));
        }
        let public = ContentFacts { product_id: None, orders: Vec::new(), hidden: NotFound::File };
        assert!(ContentAccessGuard::check(public).is_err());
    }
}
