//! The ports: traits that the adapters of vendors implement, or through which they report. One trait per purpose.

mod confirmation_page;
mod file_storage;
mod gateway_error;
mod mailer;
mod payment_gateway;
mod payment_notices;

use std::pin::Pin;

pub use confirmation_page::ConfirmationPage;
pub use file_storage::{FileContent, FileError, FileStorage, Interrupted};
pub use gateway_error::GatewayError;
pub use mailer::{MailError, Mailer};
pub use payment_gateway::{Authorization, Charge, ChargeStatus, DeclineReason, PaymentGateway};
pub use payment_notices::PaymentNotices;

/// The future that a port's method returns, boxed because ports are used as `Arc<dyn Port>`.
pub type PortFuture<'a, T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;
