//! A limit of the requests that begin in a second, which follows from how long requests wait.
//!
//! There is no limit until even the least wait in an interval is longer than the target, as in `CoDel` (Nichols and
//! Jacobson, "Controlling Queue Delay", 2012). A burst alone sets no limit. Waits are those in
//! the queue of the runtime, which [`Probe`]s measure, and in queues of the service such as those of its database.
//! Then the limit is what was served, less what empties the queue, and increases again while no queue stands, as
//! the credits of Breakwater do (Cho et al., "Overload Control for µs-scale RPCs with Breakwater", 2020). Requests
//! that wait for a vendor are no queue. docs/decisions/0025-overload.md has the reasons.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::infrastructure::repositories::QueueWaits;

/// The time after which the limit changes, and over which the least wait is taken: that of `CoDel`.
const INTERVAL: Duration = Duration::from_millis(100);
/// The fewest waits of an interval.
const SAMPLES: u32 = 3;
/// The fewest requests of a queue. If fewer wait at once, however long, others use the machine, or a disk is slow: a
/// limit would make the wait no shorter.
const SHORTEST_QUEUE: f64 = 4.0;
/// The time between two probes.
const PROBES: Duration = Duration::from_millis(1);
/// The part of itself by which the limit increases after an interval without a queue. Above what is known to be too
/// much, it doubles with each further one: when the load has changed, the limit may be far too low.
const INCREASE: f64 = 1.0 / 32.0;
/// How often it doubles at most.
const DOUBLINGS: i32 = 3;
/// The parts of what was served while a queue stood, between which the limit increases slowly: a queue is to be
/// expected there.
const NEAR: (f64, f64) = (7.0 / 8.0, 5.0 / 4.0);
/// The part that is taken away after an interval in which a queue did not get shorter.
const DECREASE: f64 = 1.0 / 16.0;
/// How far what was served in an interval may be below the limit by chance.
const VARIATION: f64 = 1.25;
/// The part of the limit that is left at least after an interval: in one that was spent on what had begun before, next
/// to nothing may be served.
const LEAST_SHARE: f64 = 0.75;
/// The lowest limit, in requests a second.
const LOWEST_LIMIT: f64 = 20.0;
/// The time over which requests may begin at once that were not used before.
const BURST: Duration = Duration::from_millis(30);
/// The time without a refusal after which there is no limit.
const NO_REFUSALS: Duration = Duration::from_secs(10);
/// The least time between two lines in the log that requests are refused.
const LOGGED: Duration = Duration::from_secs(10);

/// How important a request is: the less important are refused first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// It is never refused, and does not count: for health checks.
    Exempt,
    /// For buying and paying.
    High,
    /// For what shoppers browse.
    Normal,
    /// For what can wait, such as lists of administrators.
    Low,
}

impl Priority {
    /// Those that may be refused, with their names.
    pub const REFUSED: [(Self, &str); 3] =
        [(Self::High, "high"), (Self::Normal, "normal"), (Self::Low, "low")];

    /// What is left for requests of higher priorities: of what may begin at once, as a time of the limit. Those of high
    /// priority need not wait until a queue is empty.
    fn reserve(self) -> f64 {
        match self {
            Self::Exempt | Self::High => -INTERVAL.as_secs_f64(),
            Self::Normal => BURST.as_secs_f64() / 3.0,
            Self::Low => BURST.as_secs_f64() * 2.0 / 3.0,
        }
    }
}

/// Returns the waits in a queue of the service since it returned some before; `None` if there are none, or too few to
/// say something.
pub type ServiceWaits = Arc<dyn Fn() -> Option<QueueWaits> + Send + Sync>;

/// Limits the requests that begin. Clones share the limit.
#[derive(Clone)]
pub struct OverloadLimiter(Arc<Shared>);

struct Shared {
    target: Duration,
    queue: Option<ServiceWaits>,
    began: Instant,
    state: Mutex<State>,
}

/// The limit, and what happened in this interval.
#[derive(Default)]
struct State {
    /// In requests a second; `None` while nothing is refused.
    limit: Option<f64>,
    /// The requests that may begin at once; below zero while a queue has to become shorter.
    allowed: f64,
    allowed_at: Duration,
    in_progress: usize,
    refused: [u64; Priority::REFUSED.len()],
    refused_at: Duration,
    logged_at: Option<Duration>,
    refused_since_line: u64,
    /// The start of the probe in the queue.
    probing_since: Option<Duration>,
    probed_at: Duration,
    seen_at: Duration,
    /// The wait of the interval before.
    wait: Duration,
    /// The number of intervals without a queue before this one.
    calm: i32,
    /// What was served in the intervals with a queue before this one, and their time in seconds.
    standing: (f64, f64),
    /// What is served in a second while a queue stands, as far as that is known.
    capacity: Option<f64>,
    interval: Interval,
}

#[derive(Default)]
struct Interval {
    began: Duration,
    least_wait: Option<Duration>,
    total_wait: Duration,
    waits: u32,
    begun: u32,
    served: u32,
}

/// The limit at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// The most requests that begin in a second; `None` if all are accepted.
    pub limit: Option<f64>,
    /// The requests in progress.
    pub in_progress: usize,
    /// The requests that were refused since the start, in the order of [`Priority::REFUSED`].
    pub refused: [u64; Priority::REFUSED.len()],
}

/// A request in progress. One that is dropped has no response: its client has gone.
#[derive(Debug)]
pub struct InProgress {
    limiter: OverloadLimiter,
    is_served: bool,
}

/// A look at the queue: it waits in it like a request.
#[derive(Debug)]
#[must_use]
pub struct Probe {
    limiter: OverloadLimiter,
}

impl OverloadLimiter {
    /// Returns a limiter for which a queue stands if requests wait for longer than `target`, and which also observes a
    /// queue of the service.
    pub fn new(target: Duration, queue: Option<ServiceWaits>) -> Self {
        Self(Arc::new(Shared { target, queue, began: Instant::now(), state: Mutex::default() }))
    }

    /// Returns a limiter with another target that observes the same queue.
    #[must_use]
    pub fn with_target(&self, target: Duration) -> Self {
        Self::new(target, self.0.queue.clone())
    }

    /// Returns the time since the limiter was made.
    pub fn now(&self) -> Duration {
        self.0.began.elapsed()
    }

    /// Begins a request at `now`; `None` if it is refused.
    pub fn begin(&self, priority: Priority, now: Duration) -> Option<InProgress> {
        let waits = || self.0.queue.as_ref().and_then(|waits| waits());
        let mut state = self.state();
        if state.see(now) {
            // they are from before the pause
            waits();
        }
        if state.is_interval_over(now) {
            state.end_interval(self.0.target, waits(), now);
        }
        if state.allows(priority, now) {
            state.in_progress += 1;
            state.interval.begun += 1;
            return Some(InProgress { limiter: self.clone(), is_served: false });
        }
        if let Some(class) = Priority::REFUSED.iter().position(|(refused, _)| *refused == priority) {
            state.refused[class] += 1;
        }
        state.refused_since_line += 1;
        state.refused_at = now;
        None
    }

    /// Returns a probe, if it is time for one and none is in the queue.
    pub fn probe(&self, now: Duration) -> Option<Probe> {
        let mut state = self.state();
        if state.probing_since.is_some() || now < state.probed_at + PROBES {
            return None;
        }
        (state.probing_since, state.probed_at) = (Some(now), now);
        Some(Probe { limiter: self.clone() })
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
    /// Begins the interval again if nothing happened for its time: the process, or its load, has paused.
    /// Returns whether it did.
    fn see(&mut self, now: Duration) -> bool {
        let has_paused = now > self.seen_at + INTERVAL;
        if has_paused {
            self.interval = Interval { began: now, ..Interval::default() };
            self.probing_since = self.probing_since.map(|_| now);
            self.limit = self.limit.filter(|_| now <= self.refused_at + NO_REFUSALS);
        }
        self.seen_at = now.max(self.seen_at);
        has_paused
    }

    /// Returns how long the probe in the queue has waited, which is the least that it can wait.
    fn waiting(&self, now: Duration) -> Option<Duration> {
        self.probing_since.map(|since| now.saturating_sub(since))
    }

    /// Returns how long requests waited: the least time while there is no limit, so that a burst does not set one, and
    /// otherwise the mean.
    fn wait(&self, now: Duration) -> Option<Duration> {
        let Interval { least_wait, total_wait, waits, .. } = self.interval;
        match waits {
            0..SAMPLES => self.waiting(now),
            _ if self.limit.is_none() => least_wait,
            _ => Some(total_wait / waits),
        }
    }

    fn is_interval_over(&self, now: Duration) -> bool {
        let is_known = || self.interval.waits >= SAMPLES || self.waiting(now) >= Some(INTERVAL);
        now >= self.interval.began + INTERVAL && is_known()
    }

    /// Counts a request against the limit; returns whether it is within.
    fn allows(&mut self, priority: Priority, now: Duration) -> bool {
        let Some(limit) = self.limit else { return true };
        let most = (limit * BURST.as_secs_f64()).max(3.0);
        let gained = limit * now.saturating_sub(self.allowed_at).as_secs_f64();
        (self.allowed, self.allowed_at) = ((self.allowed + gained).min(most), now.max(self.allowed_at));
        let is_within = self.allowed >= 1.0 + limit * priority.reserve();
        if is_within {
            self.allowed -= 1.0;
        }
        is_within
    }

    /// Returns the limit after an interval without a queue, in which so many requests a second began: one that is above
    /// them need not increase.
    fn increased(&self, limit: f64, begun: f64) -> f64 {
        let doublings = match self.capacity {
            Some(capacity) if limit < capacity * NEAR.0 => DOUBLINGS,
            Some(capacity) if limit < capacity * NEAR.1 => 0,
            _ => self.calm.min(DOUBLINGS),
        };
        limit.max(limit.min(begun) * (1.0 + INCREASE * 2_f64.powi(doublings)))
    }

    /// Sets the limit by what happened in an interval, and begins the next one.
    fn end_interval(&mut self, target: Duration, waits: Option<QueueWaits>, now: Duration) {
        let Interval { began, begun, served, .. } = self.interval;
        let in_service = waits.map(|waits| if self.limit.is_none() { waits.least } else { waits.mean });
        let wait = self.wait(now).max(in_service).unwrap_or_default();
        let seconds = now.saturating_sub(began).as_secs_f64();
        let (begun, served) = (f64::from(begun) / seconds, f64::from(served) / seconds);
        // as many wait at once as begin while one of them waits (Little's law)
        let is_queue = begun.max(served) * wait.as_secs_f64() >= SHORTEST_QUEUE;
        if wait > target && is_queue {
            self.calm = 0;
            self.standing = (self.standing.0 + served * seconds, self.standing.1 + seconds);
            let base = self.limit.map_or(begun.max(served), |limit| limit.min(served * VARIATION));
            let least = self.limit.map_or(LOWEST_LIMIT, |limit| LOWEST_LIMIT.max(limit * LEAST_SHARE));
            let is_shorter = self.limit.is_some() && wait < self.wait;
            let limit = if is_shorter { base } else { base * (1.0 - DECREASE) }.max(least);
            self.limit = Some(limit);
            // what is in the queue has to leave it before others of normal priority begin
            let queued = limit * wait.min(INTERVAL).as_secs_f64();
            (self.allowed, self.allowed_at) = (self.allowed.min(-queued), now);
        } else {
            let is_over = now > self.refused_at + NO_REFUSALS;
            let (standing, seconds) = std::mem::take(&mut self.standing);
            if seconds > 0.0 {
                self.capacity = Some(standing / seconds);
            }
            self.limit = self.limit.filter(|_| !is_over).map(|limit| self.increased(limit, begun));
            self.calm += 1;
        }
        self.wait = wait;

        let refused = self.refused_since_line;
        if refused > 0 && self.logged_at.is_none_or(|at| now >= at + LOGGED) {
            (self.logged_at, self.refused_since_line) = (Some(now), 0);
            // none if it has ended since
            let limit = self.limit.map(f64::round);
            tracing::warn!(refused, limit, "requests are refused, since the server is overloaded");
        }
        self.interval = Interval { began: now, ..Interval::default() };
    }
}

impl Probe {
    /// Records that the probe came out of the queue at `now`.
    pub fn end(self, now: Duration) {
        let mut state = self.limiter.state();
        state.see(now);
        // after a pause of the process it began anew
        let wait = state.waiting(now).unwrap_or_default();
        let interval = &mut state.interval;
        interval.least_wait = Some(interval.least_wait.map_or(wait, |least| least.min(wait)));
        interval.total_wait += wait;
        interval.waits += 1;
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.limiter.state().probing_since = None;
    }
}

impl InProgress {
    /// Ends a request that has its response.
    pub fn end(mut self) {
        self.is_served = true;
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        let mut state = self.limiter.state();
        state.in_progress -= 1;
        state.interval.served += u32::from(self.is_served);
    }
}

impl fmt::Debug for OverloadLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OverloadLimiter").field("target", &self.0.target).finish_non_exhaustive()
    }
}
