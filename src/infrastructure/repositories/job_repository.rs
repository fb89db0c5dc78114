//! Jobs, and the leases of the processes that run them.
//!
//! A process that runs a job holds a lease: a random id that it renews by counting. Another process that sees the same
//! lease and the same count for some time by its own clock takes the job over, so the clocks of the processes need not
//! agree. What the previous one writes afterwards is refused, because its lease is not there any more.

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::database::{
    Conditions, Connection, DatabaseError, ListError, Page, PageRequest, UnitOfWork, column_list, params,
    select, table,
};
use crate::domain::ids::JobId;
use crate::domain::job::{Job, JobStatus};

table! {
    Job in "jobs", key JobId, listed by created_at;
    id,
    name,
    arguments: json,
    unique_key,
    priority,
    status,
    due_at,
    attempts,
    failures,
    processed,
    lease,
    renewals,
    cancel_requested,
    error,
    created_at,
    started_at,
    ended_at,
}

/// Which jobs a list shows.
#[derive(Debug, Clone, Default, Serialize)]
pub struct JobFilter {
    /// Only those of this type.
    pub name: Option<String>,
    /// Only those with this status.
    pub status: Option<JobStatus>,
}

/// What becomes of a job that is not run any more.
#[derive(Debug, Clone)]
pub struct JobRelease {
    /// The status.
    pub status: JobStatus,
    /// The time of the next attempt, if the job waits for one.
    pub due_at: Timestamp,
    /// The attempts that count.
    pub attempts: i64,
    /// The attempts that failed.
    pub failures: i64,
    /// The number of items that were processed.
    pub processed: i64,
    /// Why the last attempt failed.
    pub error: Option<String>,
}

/// Queries on jobs.
pub struct JobRepository<'a>(pub &'a mut Connection);

impl JobRepository<'_> {
    /// Returns a page of jobs, newest first.
    pub async fn list(
        &mut self,
        filter: &JobFilter,
        request: &PageRequest<'_>,
    ) -> Result<Page<Job>, ListError> {
        let conditions = Conditions::default()
            .compare_some("name =", filter.name.as_deref())
            .compare_some("status =", filter.status);
        self.0.newest(filter, conditions, request).await
    }

    /// Returns the number of jobs of each type and status, ended ones as long as they are kept.
    pub async fn counts(&mut self) -> Result<Vec<(String, JobStatus, i64)>, DatabaseError> {
        self.0.all("SELECT name, status, COUNT(*) FROM jobs GROUP BY name, status", &[]).await
    }

    /// Returns the waiting or running job with a key.
    pub async fn open(&mut self, key: &str) -> Result<Option<Job>, DatabaseError> {
        let sql = select::<Job>("WHERE unique_key = $1 AND ended_at IS NULL");
        self.0.first(&sql, &params![key]).await
    }

    /// Returns the running jobs of these types.
    pub async fn running(&mut self, names: &[&'static str]) -> Result<Vec<Job>, DatabaseError> {
        let conditions = Conditions::default()
            .compare("status =", JobStatus::Running)
            .any_of("name", names.iter().copied());
        let (sql, values) = conditions.and("ended_at IS NULL").first(&select::<Job>(""), "id", MOST_RUNNING);
        self.0.all(&sql, &values).await
    }

    /// Returns up to `limit` waiting jobs of these types that are due at `now`, in the order in which they are run.
    pub async fn due(
        &mut self,
        names: &[&'static str],
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Job>, DatabaseError> {
        let conditions = Conditions::default()
            .compare("status =", JobStatus::Waiting)
            .compare("due_at <=", now)
            .any_of("name", names.iter().copied())
            .and("ended_at IS NULL");
        let (sql, values) = conditions.first(&select::<Job>(""), "priority DESC, due_at, id", limit);
        self.0.all(&sql, &values).await
    }

    /// Returns whether a job follows one of its schedule that failed, without a run between them that succeeded.
    pub async fn follows_failure(&mut self, id: JobId) -> Result<bool, DatabaseError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM jobs AS job JOIN jobs AS previous \
                   ON previous.unique_key = job.unique_key AND previous.ended_at = job.created_at \
                   WHERE job.id = $1 AND previous.status = 'failed')";
        self.0.one(sql, &params![id]).await
    }

    /// Makes a job that is not kept the job of its next run, which begins now.
    pub async fn renew_creation(work: &mut UnitOfWork, id: JobId) -> Result<(), DatabaseError> {
        let values = params![id, work.now()];
        work.execute("UPDATE jobs SET created_at = $2 WHERE id = $1", &values).await.map(drop)
    }

    /// Begins an attempt of a waiting job that is due now; `None` if it is not any more.
    pub async fn lease(work: &mut UnitOfWork, id: JobId) -> Result<Option<Job>, DatabaseError> {
        let sql = format!(
            "UPDATE jobs SET {LEASE} WHERE id = $1 AND status = 'waiting' AND due_at <= $3 RETURNING {}",
            column_list::<Job>("")
        );
        let values = params![id, work.id::<Uuid>(), work.now()];
        work.first(&sql, &values).await
    }

    /// Takes over a job whose lease was not renewed; `None` if it was renewed or released since it was read.
    pub async fn take_over(work: &mut UnitOfWork, seen: &Job) -> Result<Option<Job>, DatabaseError> {
        let sql = format!(
            "UPDATE jobs SET {LEASE} WHERE id = $1 AND lease = $4 AND renewals = $5 RETURNING {}",
            column_list::<Job>("")
        );
        let values = params![seen.id, work.id::<Uuid>(), work.now(), seen.lease, seen.renewals];
        work.first(&sql, &values).await
    }

    /// Renews a lease and records the progress; returns whether the job was cancelled, `None` if it was taken over.
    pub async fn renew(
        work: &mut UnitOfWork,
        job: &Job,
        processed: i64,
    ) -> Result<Option<bool>, DatabaseError> {
        let sql = "UPDATE jobs SET renewals = renewals + 1, processed = $3 WHERE id = $1 AND lease = $2 \
                   RETURNING cancel_requested";
        work.first(sql, &params![job.id, job.lease, processed]).await
    }

    /// Ends the attempt of a job; returns whether this process still held its lease.
    pub async fn release(
        work: &mut UnitOfWork,
        job: &Job,
        release: &JobRelease,
    ) -> Result<bool, DatabaseError> {
        let JobRelease { status, due_at, attempts, failures, processed, error } = release;
        let ended_at = (*status != JobStatus::Waiting).then(|| work.now());
        let sql = "UPDATE jobs SET status = $3, due_at = $4, attempts = $5, failures = $6, processed = $7, error = $8, \
                   ended_at = $9, lease = NULL, cancel_requested = FALSE WHERE id = $1 AND lease = $2";
        let error = error.as_deref();
        let values =
            params![job.id, job.lease, *status, *due_at, *attempts, *failures, *processed, error, ended_at];
        Ok(work.execute(sql, &values).await? == 1)
    }

    /// Makes a waiting job due at a time, if it is due later; returns whether it was.
    pub async fn bring_forward(
        work: &mut UnitOfWork,
        id: JobId,
        due_at: Timestamp,
    ) -> Result<bool, DatabaseError> {
        let sql = "UPDATE jobs SET due_at = $2 WHERE id = $1 AND status = 'waiting' AND due_at > $2";
        Ok(work.execute(sql, &params![id, due_at]).await? == 1)
    }

    /// Cancels a waiting job, and requests the end of a running one, or ends it at once unless `requested`;
    /// returns the status that it had, `None` if it had ended.
    pub async fn cancel(
        work: &mut UnitOfWork,
        id: JobId,
        requested: bool,
    ) -> Result<Option<JobStatus>, DatabaseError> {
        // locks the row
        let sql =
            "UPDATE jobs SET cancel_requested = TRUE WHERE id = $1 AND ended_at IS NULL RETURNING status";
        let status = work.first(sql, &params![id]).await?;
        if status == Some(JobStatus::Waiting) || status.is_some() && !requested {
            let sql = "UPDATE jobs SET status = 'cancelled', ended_at = $2, lease = NULL, cancel_requested = FALSE \
                       WHERE id = $1";
            let values = params![id, work.now()];
            work.execute(sql, &values).await?;
        }
        Ok(status)
    }

    /// Deletes up to `limit` jobs that ended before a time; returns their number.
    pub async fn purge(work: &mut UnitOfWork, before: Timestamp, limit: i64) -> Result<u64, DatabaseError> {
        let sql = "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE ended_at < $1 \
                   ORDER BY ended_at LIMIT $2)";
        work.execute(sql, &params![before, limit]).await
    }
}

/// The changes at the beginning of an attempt: the lease is $2, the time $3.
const LEASE: &str = "status = 'running', lease = $2, renewals = 0, attempts = attempts + 1, processed = 0, \
                     started_at = $3";
/// The most running jobs that are read.
const MOST_RUNNING: usize = 1000;
