//! The response bodies that several routes share.

mod cart;
mod category;
mod invoice;
mod order;
mod payment;
mod product;
mod review;
mod subscription;
mod user;

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::money::Money;

pub use cart::CartBody;
pub use category::{CategoryBody, CategoryTreeBody};
pub use invoice::InvoiceBody;
pub use order::OrderBody;
pub use payment::{PaymentBody, PaymentOperationBody};
pub use product::{AdminProductBody, ProductBody};
pub use review::ReviewBody;
pub use subscription::SubscriptionBody;
pub use user::UserBody;

/// The totals of a cart or an order, in one currency.
#[derive(Debug, Serialize, ToSchema)]
pub struct Totals {
    /// The price of the items before the discount.
    pub subtotal: Money,
    /// The amount that the discount deducts.
    pub discount: Money,
    /// The shipping costs.
    pub shipping: Money,
    /// The tax, included in the prices or added to them.
    pub tax: Money,
    /// The amount to pay.
    pub total: Money,
}
