//! Something of ours or of a vendor is broken. Outside only the status and an id to look up are shown.

use std::error::Error;

use http::{HeaderName, HeaderValue, StatusCode, header::RETRY_AFTER};

use super::{Exception, Kind};

/// A technical failure with its cause, which is for the log only.
#[derive(Debug, thiserror::Error)]
#[error("{kind}")]
pub struct Technical {
    kind: TechnicalKind,
    source: Box<dyn Error + Send + Sync>,
}

/// Whose fault it is, and whether the same again may work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TechnicalKind {
    /// 500: ours; the same again will fail again.
    #[error("internal error")]
    Internal,
    /// 502: a vendor answered nonsense or refused us.
    #[error("a vendor failed")]
    Vendor,
    /// 503: overloaded, full, or a service that we need is away; the same again may work soon.
    #[error("unavailable")]
    Unavailable,
    /// 504: it took too long. What was asked may have happened.
    #[error("timed out")]
    TimedOut,
}

impl TechnicalKind {
    /// Every one.
    pub(super) const ALL: [Self; 4] = [Self::Internal, Self::Vendor, Self::Unavailable, Self::TimedOut];
}

impl Technical {
    /// A failure of this kind with its cause: an error or a text.
    pub fn new(kind: TechnicalKind, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind, source: cause.into() }
    }

    /// A failure of our own (500).
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(TechnicalKind::Internal, cause)
    }

    /// A vendor's failure (502).
    pub fn vendor(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(TechnicalKind::Vendor, cause)
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
            TechnicalKind::Unavailable => vec![(RETRY_AFTER, HeaderValue::from_static("1"))],
            _ => Vec::new(),
        }
    }
}
