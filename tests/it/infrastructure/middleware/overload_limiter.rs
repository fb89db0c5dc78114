//! The limit of the requests that begin in a second, on a simulated server.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use undercroft::infrastructure::middleware::{InProgress, OverloadLimiter, Priority, Probe, ServiceWaits};
use undercroft::infrastructure::repositories::QueueWaits;

const STEP: Duration = Duration::from_micros(100);
const SERVICE: Duration = Duration::from_millis(1);
/// The processors of the simulated server, of which each serves 1000 requests a second.
const PROCESSORS: usize = 2;
pub(super) const TARGET: Duration = Duration::from_millis(5);
const PRIORITIES: [Priority; 3] = [Priority::High, Priority::Normal, Priority::Low];

/// What waits for a processor.
enum Waiting {
    Request(InProgress),
    Probe(Probe),
}

/// A server whose requests wait in one queue for its processors.
struct Simulation {
    limiter: OverloadLimiter,
    now: Duration,
    queue: VecDeque<(Duration, Waiting)>,
    running: Vec<(Duration, InProgress)>,
    /// The arrivals in ten thousandths of a request that are not yet one, by priority.
    due: [u32; 3],
    seen: Seen,
}

#[derive(Debug, Default)]
struct Seen {
    accepted: [u32; 3],
    refused: [u32; 3],
    served: u32,
    longest_wait: Duration,
}

impl Simulation {
    fn new(queue: Option<ServiceWaits>) -> Self {
        Self {
            limiter: OverloadLimiter::new(TARGET, queue),
            now: Duration::ZERO,
            queue: VecDeque::new(),
            running: Vec::new(),
            due: [0; 3],
            seen: Seen::default(),
        }
    }

    /// Lets requests of each priority arrive, as many in a second, for some seconds; returns what happened.
    fn run(&mut self, seconds: u64, a_second: [u32; 3]) -> Seen {
        let end = self.now + Duration::from_secs(seconds);
        while self.now < end {
            self.now += STEP;
            for (class, rate) in a_second.into_iter().enumerate() {
                self.due[class] += rate;
                while self.due[class] >= 10_000 {
                    self.due[class] -= 10_000;
                    self.arrive(class);
                }
            }
            self.work();
        }
        std::mem::take(&mut self.seen)
    }

    fn arrive(&mut self, class: usize) {
        if let Some(probe) = self.limiter.probe(self.now) {
            self.queue.push_back((self.now, Waiting::Probe(probe)));
        }
        match self.limiter.begin(PRIORITIES[class], self.now) {
            Some(request) => {
                self.seen.accepted[class] += 1;
                self.queue.push_back((self.now, Waiting::Request(request)));
            }
            None => self.seen.refused[class] += 1,
        }
    }

    fn work(&mut self) {
        let (ended, running): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.running).into_iter().partition(|(end, _)| *end <= self.now);
        self.running = running;
        self.seen.served += u32::try_from(ended.len()).unwrap();
        for (_, request) in ended {
            request.end();
        }
        while self.running.len() < PROCESSORS
            && let Some((arrived, waiting)) = self.queue.pop_front()
        {
            match waiting {
                Waiting::Probe(probe) => probe.end(self.now),
                Waiting::Request(request) => {
                    self.seen.longest_wait = self.seen.longest_wait.max(self.now.saturating_sub(arrived));
                    self.running.push((self.now + SERVICE, request));
                }
            }
        }
    }

    fn limit(&self) -> Option<f64> {
        self.limiter.load().limit
    }
}

#[test]
fn nothing_is_refused_of_what_the_server_can_serve() {
    let mut server = Simulation::new(None);
    let seen = server.run(10, [500, 1000, 300]);
    assert_eq!((seen.refused, server.limit()), ([0; 3], None), "{seen:?}");
}

#[test]
fn the_limit_is_found_and_the_server_stays_busy_with_a_short_queue() {
    for arriving in [4000, 20_000] {
        let mut server = Simulation::new(None);
        server.run(5, [0, arriving, 0]);
        let seen = server.run(10, [0, arriving, 0]);
        assert!(seen.served >= 18_500, "of 20,000: {seen:?}");
        assert!(seen.longest_wait <= 6 * TARGET, "{seen:?}");
        let limit = server.limit().unwrap();
        assert!((1500.0..2500.0).contains(&limit), "{limit}");
        let refused = server.limiter.load().refused;
        assert!(refused[1] >= seen.refused[1].into() && refused[0] + refused[2] == 0, "{refused:?}");
    }
}

#[test]
fn the_less_important_is_refused_first() {
    let mut server = Simulation::new(None);
    server.run(5, [1000, 4000, 4000]);
    let seen = server.run(10, [1000, 4000, 4000]);
    assert!(seen.refused[0] <= 100, "of 10,000: {seen:?}");
    assert!(seen.accepted[1] >= 8000, "{seen:?}");
    assert!(seen.accepted[2] <= 1000, "{seen:?}");
}

#[test]
fn there_is_no_limit_when_the_load_is_over() {
    let mut server = Simulation::new(None);
    server.run(5, [0, 20_000, 0]);
    assert!(server.limit().is_some());
    server.run(20, [0, 1000, 0]);
    assert_eq!(server.limit(), None);
    assert_eq!(server.run(5, [0, 1000, 0]).refused, [0; 3]);
}

#[test]
fn the_limit_stays_near_when_nothing_was_served_for_a_moment_and_does_not_grow_without_use() {
    let mut server = Simulation::new(None);
    server.run(5, [0, 4000, 0]);
    for _ in 0..1_200 {
        server.now += 2 * STEP;
        server.arrive(1);
    }
    let seen = server.run(3, [0, 4000, 0]);
    assert!(seen.served >= 5_000, "of 6,000: {seen:?}");
    server.run(8, [0, 500, 0]);
    let limit = server.limit().unwrap();
    assert!(limit < 2_500.0, "{limit}");
}

#[test]
fn a_burst_is_no_overload() {
    let mut server = Simulation::new(None);
    for _ in 0..50 {
        for _ in 0..90 {
            server.arrive(1);
        }
        assert_eq!(server.run(1, [0, 100, 0]).refused, [0; 3]);
    }
    assert_eq!(server.limit(), None);
}

#[test]
fn requests_that_wait_for_a_vendor_leave_room_for_others() {
    let mut server = Simulation::new(None);
    let waiting = || (0..10_000).map(|_| server.limiter.begin(Priority::High, Duration::ZERO));
    let waiting: Vec<_> = waiting().collect::<Option<_>>().unwrap();
    assert_eq!(server.run(5, [0, 1000, 0]).refused, [0; 3]);
    drop(waiting);
    assert_eq!(server.limiter.load().in_progress, server.queue.len() + server.running.len());
}

#[test]
fn requests_whose_clients_have_gone_are_not_served() {
    let limiter = OverloadLimiter::new(TARGET, None);
    let mut now = Duration::ZERO;
    for _ in 0..100 {
        let probe = limiter.probe(now);
        now += 4 * TARGET;
        if let Some(probe) = probe {
            probe.end(now);
        }
        for _ in 0..20 {
            drop(limiter.begin(Priority::High, now));
        }
    }
    let limit = limiter.load().limit.unwrap();
    assert!(limit < 250.0, "of 1000 that came in a second: {limit}");
}

/// A queue of the service in which requests wait for so many milliseconds.
pub(super) fn waits(milliseconds: u64) -> ServiceWaits {
    let wait = Duration::from_millis(milliseconds);
    Arc::new(move || Some(QueueWaits { least: wait, mean: wait }))
}

#[test]
fn a_queue_of_the_service_counts_too() {
    let mut server = Simulation::new(Some(waits(30)));
    server.run(10, [0, 1000, 0]);
    // of 133 requests in a second, four wait at once
    assert!(server.limit().unwrap() <= 160.0, "{:?}", server.limit());
}

#[test]
fn a_wait_that_few_requests_share_is_no_overload() {
    let mut server = Simulation::new(Some(waits(30)));
    let seen = server.run(20, [30, 60, 30]);
    assert_eq!((seen.refused, server.limit()), ([0; 3], None), "{seen:?}");
}
