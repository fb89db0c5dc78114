//! What a vendor must offer to be of use here. One trait a purpose; the adapters implement them.

mod payment_gateway;

use std::pin::Pin;

pub use payment_gateway::{Authorization, Charge, ChargeStatus, DeclineReason, GatewayError, PaymentGateway};

/// What a port's method returns: a port is used as `Arc<dyn Port>`.
pub type PortFuture<'a, T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;
