//! Trace contexts, by which the log lines, events and messages that one request caused are found, also those of other
//! services (W3C Trace Context, <https://www.w3.org/TR/trace-context/>).

use std::fmt::{self, Display};
use std::str::FromStr;

use thiserror::Error;
use uuid::Uuid;

/// The length of a trace context as a text of version 00.
const LENGTH: usize = 55;
/// The flag of a trace that is recorded.
const SAMPLED: u8 = 1;
/// The number of values of the random bits of a trace id.
const RANDOM_VALUES: u64 = 1 << 56;

/// A trace, and the operation in it that caused what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: u128,
    parent_id: u64,
    flags: u8,
}

/// The text is not a `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a trace context by the W3C")]
pub struct InvalidTraceContext;

impl TraceContext {
    /// Returns the context of a request with this id: in the trace of the one that caused it, or in a new trace, of
    /// which the share `sampled` is sampled, from 0 to 1.
    pub fn of_request(id: Uuid, caused_by: Option<Self>, sampled: f64) -> Self {
        // the lower half of a UUID of version 7 is random, except for its variant, which is not 0
        let (_, parent_id) = id.as_u64_pair();
        match caused_by {
            Some(cause) => Self { parent_id, ..cause },
            None => Self { trace_id: id.as_u128(), parent_id, flags: u8::from(is_within(id, sampled)) },
        }
    }

    /// Returns the context that a client states who may not decide alone whether its trace is sampled: it is not,
    /// unless its request with this id is in the share `sampled`, from 0 to 1.
    #[must_use]
    pub fn within(self, id: Uuid, sampled: f64) -> Self {
        if is_within(id, sampled) { self } else { Self { flags: self.flags & !SAMPLED, ..self } }
    }

    /// Returns the id of the trace: 32 hexadecimal digits.
    pub fn trace_id(&self) -> String {
        self.shown_trace_id().to_string()
    }

    /// Renders the id of the trace, without a text in between.
    pub fn shown_trace_id(&self) -> impl Display {
        let id = self.trace_id;
        fmt::from_fn(move |f| write!(f, "{id:032x}"))
    }

    /// Returns the id of the operation, the span: 16 hexadecimal digits.
    pub fn span_id(&self) -> String {
        format!("{:016x}", self.parent_id)
    }

    /// Returns whether the trace is recorded (section 3.2.2.5.1).
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }
}

/// Returns whether a trace is in the share that is sampled, by the 56 random bits of its id (W3C Trace Context level 2,
/// section 3.2.2.3.2), which a UUID of version 7 has at its end.
fn is_within(id: Uuid, sampled: f64) -> bool {
    let (_, random) = id.as_u64_pair();
    // the 53 bits that a number with a fraction has exactly
    #[expect(clippy::cast_precision_loss, reason = "they are exact")]
    let at = ((random & (RANDOM_VALUES - 1)) >> 3) as f64 / (RANDOM_VALUES >> 3) as f64;
    at < sampled
}

/// Writes the value of the header `traceparent`.
impl Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.parent_id, self.flags)
    }
}

/// Reads the value of the header `traceparent`. A later version is read as version 00, and may be longer (section
/// 3.2.4).
impl FromStr for TraceContext {
    type Err = InvalidTraceContext;

    fn from_str(text: &str) -> Result<Self, InvalidTraceContext> {
        let (known, rest) = text.split_at_checked(LENGTH).ok_or(InvalidTraceContext)?;
        let parts: Vec<_> = known.split('-').collect();
        let [version, trace_id, parent_id, flags] = parts[..] else { return Err(InvalidTraceContext) };
        let lengths = [version, trace_id, parent_id, flags].map(str::len);
        let is_longer = !rest.is_empty() && (version == "00" || !rest.starts_with('-'));
        if lengths != [2, 32, 16, 2] || version == "ff" || is_longer {
            return Err(InvalidTraceContext);
        }

        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if !parts.concat().bytes().all(is_digit) {
            return Err(InvalidTraceContext);
        }
        let trace_id = u128::from_str_radix(trace_id, 16).map_err(|_| InvalidTraceContext)?;
        let parent_id = u64::from_str_radix(parent_id, 16).map_err(|_| InvalidTraceContext)?;
        let flags = u8::from_str_radix(flags, 16).map_err(|_| InvalidTraceContext)?;
        if trace_id == 0 || parent_id == 0 {
            return Err(InvalidTraceContext);
        }
        Ok(Self { trace_id, parent_id, flags })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_request_stays_in_the_trace_of_its_cause() {
        let cause: TraceContext = EXAMPLE.parse().unwrap();
        assert_eq!(cause.to_string(), EXAMPLE);
        let id = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001);
        let request = TraceContext::of_request(id, Some(cause), 0.0);
        assert_eq!(request.to_string(), "00-4bf92f3577b34da6a3ce929d0e0e4736-8000000000000001-01");
        assert_eq!(request.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        let first = TraceContext::of_request(id, None, 0.0);
        assert_eq!(first.to_string(), "00-01900000000070008000000000000001-8000000000000001-00");
    }

    #[test]
    fn a_share_of_new_traces_is_sampled() {
        let sampled = |random: u64, share| {
            let id = Uuid::from_u64_pair(0x0190_0000_0000_7000, 0x8000_0000_0000_0000 | random);
            TraceContext::of_request(id, None, share).is_sampled()
        };
        let half = 1 << 55;
        assert!(sampled(0, 0.5) && sampled(half - 8, 0.5) && !sampled(half, 0.5));
        assert!(sampled(RANDOM_VALUES - 1, 1.0) && !sampled(0, 0.0));
        let cause: TraceContext = EXAMPLE.parse().unwrap();
        assert!(TraceContext::of_request(Uuid::nil(), Some(cause), 0.0).is_sampled(), "as its cause is");
    }

    #[test]
    fn of_the_traces_that_a_stranger_calls_sampled_a_share_is() {
        let cause: TraceContext = EXAMPLE.parse().unwrap();
        let unsampled = EXAMPLE.replace("-01", "-00");
        assert_eq!(cause.within(Uuid::nil(), 0.5), cause);
        assert_eq!(cause.within(Uuid::from_u128(1 << 55), 0.5).to_string(), unsampled);
        let cause: TraceContext = unsampled.parse().unwrap();
        assert_eq!(cause.within(Uuid::nil(), 1.0), cause, "as the stranger states");
    }

    #[test]
    fn a_later_version_may_be_longer() {
        let later = EXAMPLE.replacen("00", "cc", 1);
        assert_eq!(later.parse(), EXAMPLE.parse::<TraceContext>());
        assert_eq!(format!("{later}-what-the-future").parse(), EXAMPLE.parse::<TraceContext>());
        assert!(format!("{later}.what").parse::<TraceContext>().is_err());
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "00",
            &EXAMPLE[1..],
            &EXAMPLE.to_uppercase(),
            &EXAMPLE.replace('4', "x"),
            &EXAMPLE.replace('4', "+"),
            &EXAMPLE.replacen("00", "ff", 1),
            &format!("{EXAMPLE}-00"),
            &format!(" {EXAMPLE}"),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736é00f067aa0ba902b7-0",
        ] {
            assert_eq!(text.parse::<TraceContext>(), Err(InvalidTraceContext), "{text:?}");
        }
    }
}
