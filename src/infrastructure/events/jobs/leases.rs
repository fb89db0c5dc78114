//! The leases of jobs that other processes run, as this process sees them.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use crate::domain::ids::JobId;
use crate::domain::job::Job;

/// The time after which a lease that was not renewed is taken over.
pub(super) const LEASE: Duration = Duration::from_secs(10);
/// The wait between two renewals.
pub(super) const RENEWAL: Duration = Duration::from_secs(3);
/// The time without a successful renewal after which a process stops its attempt, before another one takes it over.
pub(super) const HOLD: Duration = Duration::from_secs(8);

/// When each lease was first seen with its number of renewals.
#[derive(Debug, Default)]
pub(super) struct Leases(HashMap<JobId, Seen>);

#[derive(Debug, Clone, Copy)]
struct Seen {
    lease: Option<Uuid>,
    renewals: i64,
    at: Instant,
}

impl Leases {
    /// Returns whether the lease of a running job has not been renewed for [`LEASE`], by the clock of this process.
    pub(super) fn is_expired(&mut self, job: &Job, now: Instant) -> bool {
        let new = Seen { lease: job.lease, renewals: job.renewals, at: now };
        let seen = self.0.entry(job.id).or_insert(new);
        if (seen.lease, seen.renewals) != (new.lease, new.renewals) {
            *seen = new;
        }
        now.duration_since(seen.at) >= LEASE
    }

    /// Forgets the leases of all jobs but these.
    pub(super) fn retain(&mut self, running: &[JobId]) {
        self.0.retain(|id, _| running.contains(id));
    }
}
