//! The deadline of a connection, by its phase.

use tokio::time::Instant;

use super::phase::{Phase, Snapshot};
use crate::settings::HttpSettings;

/// The time by which a connection must have left its phase.
pub(super) struct Deadline<'a> {
    settings: &'a HttpSettings,
    snapshot: Snapshot,
    at: Instant,
    /// The time by which the request of `snapshot` must have its response.
    respond_by: Instant,
}

impl<'a> Deadline<'a> {
    /// The deadline of a new connection.
    pub(super) fn new(settings: &'a HttpSettings, snapshot: Snapshot) -> Self {
        let at = Instant::now() + settings.header_timeout;
        Self { settings, snapshot, at, respond_by: at }
    }

    /// Returns the deadline for a snapshot; it moves only if something has changed.
    pub(super) fn update(&mut self, snapshot: Snapshot) -> Instant {
        if snapshot != self.snapshot {
            let now = Instant::now();
            if snapshot.request != self.snapshot.request {
                self.respond_by = now + self.settings.request_timeout;
            }
            self.snapshot = snapshot;
            self.at = match snapshot.phase() {
                Phase::Head | Phase::Closing => now + self.settings.header_timeout,
                // late requests have their response by now, and the client reads it
                Phase::Idle | Phase::HandlerLate | Phase::BodyLate => now + self.settings.idle_timeout,
                Phase::Body => self.respond_by.min(now + self.settings.body_timeout),
                Phase::Handler => self.respond_by,
            };
        }
        self.at
    }
}
