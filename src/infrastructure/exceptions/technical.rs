//! A fault of the store or of a vendor. The response shows only the status and an id, under which the cause is logged.

use std::error::Error;

use http::{HeaderName, HeaderValue, StatusCode};

use super::{Exception, Kind, retry_after_a_second};

/// A technical failure with its cause, which is for the log only.
#[derive(Debug, thiserror::Error)]
#[error("{kind}")]
pub struct Technical {
    kind: TechnicalKind,
    source: Box<dyn Error + Send + Sync>,
}

/// Whose fault it is, and whether a repeated request may succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TechnicalKind {
    /// 500: a fault of the store; a repeated request fails again.
    #[error("internal error")]
    Internal,
    /// 502: a vendor gave an unusable response or rejected the store's request.
    #[error("a vendor failed")]
    Vendor,
    /// 503: overloaded, full, or a required service does not respond; a repeated request may succeed soon.
    #[error("unavailable")]
    Unavailable,
    /// 504: there was no response in time, or none after a connection failed. The request may have taken effect.
    #[error("timed out")]
    TimedOut,
}

impl TechnicalKind {
    /// All variants.
    pub(super) const ALL: [Self; 4] = [Self::Internal, Self::Vendor, Self::Unavailable, Self::TimedOut];
}

impl Technical {
    /// Returns a failure of this kind with its cause: an error or a text.
    pub fn new(kind: TechnicalKind, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind, source: cause.into() }
    }

    /// Returns a fault of the store (500).
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(TechnicalKind::Internal, cause)
    }
}

impl Exception for Technical {
    fn code(&self) -> &'static str {
        match self.kind {
            TechnicalKind::Internal => "internal",
            TechnicalKind::Vendor => "vendor_failed",
            TechnicalKind::Unavailable => "unavailable",
            TechnicalKind::TimedOut => "timed_out",
        }
    }

    fn kind(&self) -> Kind {
        match self.kind {
            TechnicalKind::Internal => Kind::Internal,
            TechnicalKind::Vendor => Kind::Vendor,
            TechnicalKind::Unavailable | TechnicalKind::TimedOut => Kind::Retryable,
        }
    }

    fn status(&self) -> StatusCode {
        match self.kind {
            TechnicalKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            TechnicalKind::Vendor => StatusCode::BAD_GATEWAY,
            TechnicalKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            TechnicalKind::TimedOut => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        match self.kind {
            TechnicalKind::Unavailable => retry_after_a_second(),
            _ => Vec::new(),
        }
    }
}
