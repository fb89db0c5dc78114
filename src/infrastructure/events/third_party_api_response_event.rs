//! A vendor responded to a call, or did not.

use std::time::Duration;

use super::event_bus::Signal;
use crate::domain::trace::TraceContext;

/// A call of a vendor or of a webhook endpoint ended: a signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThirdPartyApiResponseEvent {
    /// The name of the vendor, such as `sandbox`; `webhook` for any webhook endpoint.
    pub vendor: &'static str,
    /// The operation, such as `authorize`.
    pub operation: &'static str,
    /// The HTTP status of the response; `None` without a response, or if the vendor's adapter does not report it.
    pub status: Option<u16>,
    /// The outcome.
    pub outcome: CallOutcome,
    /// The duration of the call.
    pub latency: Duration,
    /// The number of the attempt, from 1.
    pub attempt: i64,
    /// The operation that the call was part of, if it is known.
    pub trace: Option<TraceContext>,
}

impl Signal for ThirdPartyApiResponseEvent {
    const TYPE: &'static str = "third_party_api_response";
}

/// The outcome of a call of a vendor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallOutcome {
    /// The vendor did what was requested. A declined payment is an outcome of this kind.
    Succeeded,
    /// The vendor refused the call.
    Refused,
    /// The vendor was not reached; the call had no effect.
    Unavailable,
    /// There was no response: whether the call had an effect is unknown.
    NoResponse,
}

impl CallOutcome {
    /// Returns the name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
            Self::NoResponse => "no_response",
        }
    }
}
