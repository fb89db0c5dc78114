//! The deadline of a connection, by its phase.

use std::time::Duration;

use tokio::time::Instant;

use super::phase::{Phase, Snapshot, Transferred};
use crate::settings::HttpSettings;

/// The bytes of a body that must arrive in each second, after the time for a head has passed; and those of a response
/// that must be read in each second in which the server waits for its client, after the time to read anything.
const LEAST_RATE: u64 = 1000;

/// The bytes of a body for which it has a second more: a large file may arrive over a slow line, if it arrives
/// steadily.
const STEADY_RATE: u64 = 16_000;

/// The time by which a connection must have left its phase.
pub(super) struct Deadline<'a> {
    settings: &'a HttpSettings,
    snapshot: Snapshot,
    at: Instant,
    /// The time by which the request of `snapshot` must have its response, if its body is small.
    respond_by: Instant,
    /// When the server began to wait for the body of that request.
    body_began: Option<Instant>,
    /// How long the server has waited for the client to read the response of that request.
    waited: Duration,
    /// The time of the last change.
    changed_at: Instant,
}

impl<'a> Deadline<'a> {
    /// The deadline of a new connection.
    pub(super) fn new(settings: &'a HttpSettings, snapshot: Snapshot) -> Self {
        let now = Instant::now();
        let at = now + settings.header_timeout;
        let waited = Duration::ZERO;
        Self { settings, snapshot, at, respond_by: at, body_began: None, waited, changed_at: now }
    }

    /// Returns the deadline for a snapshot; it moves only if something has changed.
    pub(super) fn update(
        &mut self,
        snapshot: Snapshot,
        Transferred { received, sent }: Transferred,
    ) -> Instant {
        if snapshot != self.snapshot {
            let now = Instant::now();
            if self.snapshot.phase() == Phase::Sending {
                self.waited += now - self.changed_at;
            }
            self.changed_at = now;
            if snapshot.request != self.snapshot.request {
                self.respond_by = now + self.settings.request_timeout;
                self.body_began = None;
                self.waited = Duration::ZERO;
            }
            self.snapshot = snapshot;
            let more = Duration::from_secs(received / STEADY_RATE);
            self.at = match snapshot.phase() {
                Phase::Head | Phase::Closing => now + self.settings.header_timeout,
                // late requests have their response by now, and the client reads it
                Phase::Idle | Phase::HandlerLate | Phase::BodyLate | Phase::Responding => {
                    now + self.settings.idle_timeout
                }
                // a stream whose next part is not there yet is not in this phase
                Phase::Sending => {
                    let earned = self.settings.send_timeout + Duration::from_secs(sent / LEAST_RATE);
                    now + earned.saturating_sub(self.waited).min(self.settings.send_timeout)
                }
                Phase::Body => {
                    let began = *self.body_began.get_or_insert(now);
                    let earned = self.settings.header_timeout + Duration::from_secs(received / LEAST_RATE);
                    (self.respond_by + more).min(began + earned.min(self.settings.body_timeout + more))
                }
                // a body that came fast gives its handler no more time
                Phase::Handler => {
                    let took = self.body_began.map_or(Duration::ZERO, |began| now - began);
                    self.respond_by + more.min(took)
                }
            };
        }
        self.at
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use tokio::time::advance;

    use super::*;
    use crate::presentation::http::server::phase::PhaseTracker;

    const SECOND: Duration = Duration::from_secs(1);

    /// Reads so many bytes of a response in each second; returns the number of seconds until the connection is closed,
    /// which is `most` if it never is.
    async fn seconds_until_closed(bytes: usize, most: u64) -> u64 {
        let (settings, tracker) = (HttpSettings::default(), PhaseTracker::new());
        let mut deadline = Deadline::new(&settings, tracker.snapshot());
        tracker.begin_request();
        tracker.begin_response();
        for second in 0..most {
            tracker.record_write(&Poll::Ready(Ok(bytes)));
            tracker.record_write(&Poll::Pending);
            if deadline.update(tracker.snapshot(), tracker.transferred()) <= Instant::now() {
                return second;
            }
            advance(SECOND).await;
        }
        most
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_less_than_the_least_rate_is_disconnected() {
        assert_eq!(seconds_until_closed(1, 10_000).await, HttpSettings::default().send_timeout.as_secs());
        assert_eq!(seconds_until_closed(500, 10_000).await, 16);
        assert_eq!(seconds_until_closed(1_000, 10_000).await, 10_000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_may_wait_for_its_next_part() {
        let (settings, tracker) = (HttpSettings::default(), PhaseTracker::new());
        let mut deadline = Deadline::new(&settings, tracker.snapshot());
        tracker.begin_request();
        tracker.begin_response();
        for _ in 0..100 {
            tracker.record_write(&Poll::Ready(Ok(1)));
            assert!(deadline.update(tracker.snapshot(), tracker.transferred()) > Instant::now());
            advance(30 * SECOND).await;
            tracker.record_write(&Poll::Pending);
            assert!(deadline.update(tracker.snapshot(), tracker.transferred()) > Instant::now());
        }
    }
}
