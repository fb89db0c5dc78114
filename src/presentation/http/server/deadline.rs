//! The deadline of a connection, by its phase.

use std::time::Duration;

use tokio::time::Instant;

use super::phase::{Phase, Snapshot};
use crate::settings::HttpSettings;

/// The bytes of a body that must arrive in each second, after the time for a head has passed.
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
}

impl<'a> Deadline<'a> {
    /// The deadline of a new connection.
    pub(super) fn new(settings: &'a HttpSettings, snapshot: Snapshot) -> Self {
        let at = Instant::now() + settings.header_timeout;
        Self { settings, snapshot, at, respond_by: at, body_began: None }
    }

    /// Returns the deadline for a snapshot; it moves only if something has changed. `received` is the number of bytes
    /// of the body that have arrived.
    pub(super) fn update(&mut self, snapshot: Snapshot, received: u64) -> Instant {
        if snapshot != self.snapshot {
            let now = Instant::now();
            if snapshot.request != self.snapshot.request {
                self.respond_by = now + self.settings.request_timeout;
                self.body_began = None;
            }
            self.snapshot = snapshot;
            let more = Duration::from_secs(received / STEADY_RATE);
            self.at = match snapshot.phase() {
                Phase::Head | Phase::Closing => now + self.settings.header_timeout,
                // late requests have their response by now, and the client reads it
                Phase::Idle | Phase::HandlerLate | Phase::BodyLate | Phase::Responding => {
                    now + self.settings.idle_timeout
                }
                Phase::Sending => now + self.settings.send_timeout,
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
