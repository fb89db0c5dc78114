//! The response bodies that several routes share.

mod cart;
mod category;
mod content;
mod invoice;
mod order;
mod payment;
mod product;
mod review;
mod subscription;
mod user;

pub use cart::CartBody;
pub use category::{CategoryBody, CategoryTreeBody};
pub use content::ContentBody;
pub(super) use content::download_url;
pub use invoice::InvoiceBody;
pub use order::OrderBody;
pub use payment::{PaymentBody, PaymentOperationBody};
pub(super) use product::file_url;
pub use product::{AdminProductBody, ProductBody};
pub use review::ReviewBody;
pub use subscription::SubscriptionBody;
pub use user::UserBody;
