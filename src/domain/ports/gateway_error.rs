//! Why a payment provider gave no charge.

use thiserror::Error;

/// A call to a payment provider that gave no charge.
#[derive(Debug, Clone, Error)]
pub enum GatewayError {
    /// There was no response. Whether the call had an effect is unknown; a look-up tells.
    #[error("the payment vendor did not answer: {0}")]
    NoResponse(String),
    /// The provider is not available; the call had no effect.
    #[error("the payment vendor is not available: {0}")]
    Unavailable(String),
    /// The provider refused the call for good, for example because of its amount or the status of the charge.
    #[error("the payment vendor refused: {0}")]
    Refused(String),
}
