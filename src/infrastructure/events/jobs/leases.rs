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

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::domain::job::JobStatus;

    fn job(lease: u128, renewals: i64) -> Job {
        Job {
            id: JobId(Uuid::nil()),
            name: "a".into(),
            arguments: json!({}),
            unique_key: "a".into(),
            priority: 0,
            status: JobStatus::Running,
            due_at: Timestamp::UNIX_EPOCH,
            attempts: 1,
            failures: 0,
            processed: 0,
            lease: Some(Uuid::from_u128(lease)),
            renewals,
            cancel_requested: false,
            error: None,
            created_at: Timestamp::UNIX_EPOCH,
            started_at: None,
            ended_at: None,
        }
    }

    #[test]
    fn a_lease_expires_if_it_is_seen_unchanged_for_its_time() {
        let (mut leases, start) = (Leases::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(!leases.is_expired(&job(1, 0), at(0)));
        assert!(!leases.is_expired(&job(1, 0), at(9)));
        assert!(!leases.is_expired(&job(1, 1), at(12)), "it was renewed");
        assert!(!leases.is_expired(&job(2, 1), at(21)), "another process has it");
        assert!(!leases.is_expired(&job(2, 1), at(30)));
        assert!(leases.is_expired(&job(2, 1), at(31)));
        leases.retain(&[]);
        assert!(!leases.is_expired(&job(2, 1), at(40)), "it was released meanwhile");
    }
}
