//! How the things that several routes show look on the wire.

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
pub use category::{BranchBody, CategoryBody};
pub use invoice::InvoiceBody;
pub use order::OrderBody;
pub use payment::{PaymentBody, StepBody};
pub use product::{ProductBody, ProductRecord};
pub use review::ReviewBody;
pub use subscription::{PeriodBody, SubscriptionBody};
pub use user::UserBody;

/// What it comes to, in one currency.
#[derive(Debug, Serialize, ToSchema)]
pub struct Totals {
    /// The goods before the discount.
    pub subtotal: Money,
    /// What the discount takes off.
    pub discount: Money,
    /// Shipping.
    pub shipping: Money,
    /// Tax, contained in the prices or added to them.
    pub tax: Money,
    /// What is to be paid.
    pub total: Money,
}
