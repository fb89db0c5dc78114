//! A limit of the requests in progress that finds itself.
//!
//! It is set by how long requests wait before they run: in the queue of the runtime, and in queues of the service such
//! as those of its database. A queue is standing if even the least wait in an interval is longer than the target, as in
//! `CoDel` (Nichols and Jacobson, "Controlling Queue Delay", 2012): a burst is none. While a queue stands, the limit
//! decreases by a share of itself, and while requests are refused without one, it increases, as in Breakwater (Cho et
//! al., "Overload Control for µs-scale RPCs with Breakwater", 2020). A request that waits for a vendor does not count
//! as a queue. docs/decisions/0025-overload.md has the reasons.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

/// The time after which the limit changes, and over which the least wait is taken: that of `CoDel`.
const INTERVAL: Duration = Duration::from_millis(100);
/// The fewest waits by which a queue is standing.
const SAMPLES: usize = 8;
/// The least time between two lines in the log that requests are refused.
const LOGGED: Duration = Duration::from_secs(10);

/// How important a request is. Of the requests in progress, the less important may be a part only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// It is never refused, and does not count: for health checks.
    Exempt,
    /// Up to the limit: for what a shopper or a payment has begun.
    High,
    /// Up to three quarters of the limit.
    Normal,
    /// Up to half of the limit: for what can wait, such as lists of administrators.
    Low,
}

impl Priority {
    /// Those that may be refused, with their names.
    pub const REFUSED: [(Self, &str); 3] =
        [(Self::High, "high"), (Self::Normal, "normal"), (Self::Low, "low")];

    /// The most requests in progress beside which one of this priority begins.
    fn share(self, limit: usize) -> usize {
        match self {
            Self::Exempt => usize::MAX,
            Self::High => limit,
            Self::Normal => limit - limit / 4,
            Self::Low => limit - limit / 2,
        }
    }
}

/// How the limit is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitRange {
    /// The wait at which a queue is standing: 5 ms, as in `CoDel`.
    pub target: Duration,
    /// The least limit: 8 for each processor.
    pub least: usize,
    /// The limit at the start, and without load: 64 for each processor.
    pub usual: usize,
    /// The greatest limit.
    pub most: usize,
}

impl Default for LimitRange {
    fn default() -> Self {
        let processors = available_parallelism().map_or(1, usize::from);
        let target = Duration::from_millis(5);
        Self { target, least: 8 * processors, usual: 64 * processors, most: 100_000 }
    }
}

/// Returns the least wait in a queue of the service since it was called before; `None` if nothing was in it.
pub type LeastWait = Arc<dyn Fn() -> Option<Duration> + Send + Sync>;

/// Limits the requests in progress. Clones share the limit.
#[derive(Clone)]
pub struct OverloadLimiter(Arc<Shared>);

struct Shared {
    range: LimitRange,
    queue: Option<LeastWait>,
    began: Instant,
    state: Mutex<State>,
}

/// The limit, and what happened in this interval.
struct State {
    limit: usize,
    in_progress: usize,
    refused: [u64; Priority::REFUSED.len()],
    /// The most requests in progress.
    peak: usize,
    least_wait: Duration,
    waits: usize,
    /// The refused requests up to the beginning.
    refused_before: u64,
    ends_at: Duration,
    logged_at: Option<Duration>,
}

/// The limit at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// The most requests in progress.
    pub limit: usize,
    /// The requests in progress.
    pub in_progress: usize,
    /// The requests that were refused since the start, in the order of [`Priority::REFUSED`].
    pub refused: [u64; Priority::REFUSED.len()],
}

/// A request in progress, until it is dropped.
pub struct InProgress {
    limiter: OverloadLimiter,
    began: Duration,
}

impl OverloadLimiter {
    /// Returns a limiter in this range, which also observes a queue of the service.
    pub fn new(range: LimitRange, queue: Option<LeastWait>) -> Self {
        let state = State {
            limit: range.usual,
            in_progress: 0,
            refused: [0; Priority::REFUSED.len()],
            peak: 0,
            least_wait: Duration::MAX,
            waits: 0,
            refused_before: 0,
            ends_at: INTERVAL,
            logged_at: None,
        };
        Self(Arc::new(Shared { range, queue, began: Instant::now(), state: Mutex::new(state) }))
    }

    /// Returns a limiter with another target that observes the same queue.
    #[must_use]
    pub fn with_target(&self, target: Duration) -> Self {
        Self::new(LimitRange { target, ..self.0.range }, self.0.queue.clone())
    }

    /// Returns the time since the limiter was made.
    pub fn now(&self) -> Duration {
        self.0.began.elapsed()
    }

    /// Begins a request at `now`; `None` if it is refused.
    pub fn begin(&self, priority: Priority, now: Duration) -> Option<InProgress> {
        let mut state = self.state();
        if now >= state.ends_at {
            let waited = self.0.queue.as_ref().and_then(|least_wait| least_wait());
            state.end_interval(self.0.range, waited, now);
        }
        if state.in_progress >= priority.share(state.limit) {
            let class = Priority::REFUSED.iter().position(|(refused, _)| *refused == priority);
            if let Some(class) = class {
                state.refused[class] += 1;
            }
            return None;
        }
        state.in_progress += 1;
        state.peak = state.peak.max(state.in_progress);
        Some(InProgress { limiter: self.clone(), began: now })
    }

    /// Returns the limit, the requests in progress and those refused.
    pub fn load(&self) -> Load {
        let State { limit, in_progress, refused, .. } = *self.state();
        Load { limit, in_progress, refused }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Sets the limit by what happened in an interval, and begins the next one.
    fn end_interval(&mut self, range: LimitRange, waited: Option<Duration>, now: Duration) {
        let own = (self.waits >= SAMPLES).then_some(self.least_wait);
        let standing = own.max(waited).unwrap_or_default();
        let refused = self.refused.iter().sum::<u64>() - self.refused_before;
        if standing > range.target {
            // by half at most, and only below what was used: a limit that was not reached is no limit
            let used = self.limit.min(self.peak);
            let excess = standing.saturating_sub(range.target).as_secs_f64() / range.target.as_secs_f64();
            let eighths = (1..4).find(|eighths| excess < f64::from(*eighths)).unwrap_or(4);
            let cut = (used * usize::try_from(eighths).unwrap_or(1) / 8).max(1);
            self.limit = used.saturating_sub(cut).max(range.least);
        } else if refused > 0 || self.limit < range.usual {
            self.limit = (self.limit + (self.limit / 16).max(1)).min(range.most);
        }
        if refused > 0 && self.logged_at.is_none_or(|at| now >= at + LOGGED) {
            self.logged_at = Some(now);
            tracing::warn!(
                refused,
                limit = self.limit,
                "requests are refused, since the server is overloaded"
            );
        }
        self.refused_before += refused;
        (self.peak, self.waits, self.least_wait) = (self.in_progress, 0, Duration::MAX);
        self.ends_at = now + INTERVAL;
    }
}

impl InProgress {
    /// Records that the request waited until `now`, and runs from now on.
    pub fn run(&self, now: Duration) {
        let mut state = self.limiter.state();
        state.least_wait = state.least_wait.min(now.saturating_sub(self.began));
        state.waits += 1;
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.limiter.state().in_progress -= 1;
    }
}

impl fmt::Debug for OverloadLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OverloadLimiter").field("range", &self.0.range).finish_non_exhaustive()
    }
}
