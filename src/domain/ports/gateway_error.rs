//! Errors of calls to payment providers.

use thiserror::Error;

/// The reason why a call to a payment provider returned no charge.
#[derive(Debug, Clone, Error)]
pub enum GatewayError {
    /// There was no response. Whether the call had an effect is unknown; a look-up of the payment finds out.
    #[error("the payment provider did not respond: {0}")]
    NoResponse(String),
    /// The provider is not available; the call had no effect.
    #[error("the payment provider is not available: {0}")]
    Unavailable(String),
    /// The provider refused the call, and will refuse it again, for example because of its amount or the status of the
    /// charge.
    #[error("the payment provider refused the call: {0}")]
    Refused(String),
}
