//! Jobs: work that the store does outside of requests.

use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use crate::application::jobs::{self, job_queue};
use crate::domain::ids::JobId;
use crate::domain::job::{Job, JobStatus};
use crate::infrastructure::exceptions::{Conflict, NotFound};
use crate::infrastructure::repositories::JobFilter;
use crate::presentation::http::json::Json;
use crate::presentation::http::list::{List, ListQuery};
use crate::presentation::http::principal::Admin;
use crate::presentation::http::query::{Path, Query};
use crate::presentation::http::response::HandlerResult;
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::{AppState, State};

pub(super) fn routes() -> Routes {
    routes![
        list_jobs,
        get_job: [NotFound::Job],
        run_job,
        cancel_job: [
            NotFound::Job,
            Conflict::ForbiddenTransition { what: "job", from: "succeeded", to: "cancelled" },
        ],
    ]
}

/// Which jobs are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct JobQuery {
    /// Only jobs of this type.
    #[param(max_length = 64)]
    name: Option<String>,
    /// Only jobs with this status.
    #[param(inline)]
    status: Option<JobStatus>,
}

/// Work that the store does outside of requests.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Job)]
pub(super) struct JobBody {
    /// The id.
    id: JobId,
    /// The name of its type.
    #[schema(example = "retry_dead_letters")]
    name: String,
    /// The arguments of its type.
    #[schema(value_type = Object)]
    arguments: Value,
    /// Of the jobs that are due, those with a higher priority are run first.
    priority: i64,
    /// The status.
    status: JobStatus,
    /// The earliest time of the next attempt. A scheduled job that has nothing to do stays due.
    due_at: Timestamp,
    /// The number of attempts that count: not those that failed for a reason that passes, such as a lock.
    attempts: i64,
    /// The number of items that were processed in the last attempt; of a running job, a few seconds ago.
    processed: i64,
    /// Whether the job was cancelled while it was running, and will end in a few seconds.
    cancel_requested: bool,
    /// Why the last attempt failed; `null` if it did not.
    error: Option<String>,
    /// The time at which the job was created.
    created_at: Timestamp,
    /// The time at which the last attempt began.
    started_at: Option<Timestamp>,
    /// The time at which the job ended; `null` while it is waiting or running.
    ended_at: Option<Timestamp>,
}

impl JobBody {
    pub(super) fn of(job: Job) -> Self {
        Self {
            id: job.id,
            name: job.name,
            arguments: job.arguments,
            priority: job.priority,
            status: job.status,
            due_at: job.due_at,
            attempts: job.attempts,
            processed: job.processed,
            cancel_requested: job.cancel_requested,
            error: job.error,
            created_at: job.created_at,
            started_at: job.started_at,
            ended_at: job.ended_at,
        }
    }
}

/// A job to run.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RunJob {
    /// The name of a type, such as `check_consistency`. An unknown name is refused with the list of those that exist.
    #[schema(example = "check_consistency", max_length = 64)]
    name: String,
    /// The arguments of the type. `retry_dead_letters` has `subscriber`, the only one whose dead letters are retried.
    #[serde(default)]
    arguments: Map<String, Value>,
    /// The earliest time at which the job is run; now if it is omitted.
    due_at: Option<Timestamp>,
}

/// List jobs
///
/// Newest jobs come first. A job is kept for seven days after its end. A scheduled job is not kept if it found nothing
/// to do, or is run every few seconds.
#[utoipa::path(get, path = "/admin/v1/jobs", tag = "admin-jobs", responses((status = 200, body = List<JobBody>)))]
async fn list_jobs(
    _: Admin,
    State(app): State<AppState>,
    Query(query): Query<ListQuery<JobQuery>>,
) -> HandlerResult<Json<List<JobBody>>> {
    let ListQuery { filter: JobQuery { name, status }, limit, cursor } = query;
    let page = job_queue(&app.store).jobs(&JobFilter { name, status }, limit, cursor.as_deref()).await?;
    Ok(Json(List::of(page, JobBody::of)))
}

/// Get a job
#[utoipa::path(get, path = "/admin/v1/jobs/{id}", tag = "admin-jobs", params(("id" = Uuid, Path)),
    responses((status = 200, body = JobBody)))]
async fn get_job(
    _: Admin,
    State(app): State<AppState>,
    Path(id): Path<JobId>,
) -> HandlerResult<Json<JobBody>> {
    Ok(Json(JobBody::of(job_queue(&app.store).job(id).await?)))
}

/// Run a job
///
/// Creates a job, which the worker runs when it is due. If a job of the type with the same arguments is waiting or
/// running, that one is returned; without `due_at`, a waiting one becomes due now.
///
/// A job that does what another permission guards requires that permission, too: `recover_payments` requires
/// `orders:write`, `renew_subscriptions` `subscriptions:write`, `send_emails` and `send_digest` `emails:write`,
/// `retry_dead_letters` `dead-letters:write`, and `warm_caches` `caches:write`.
#[utoipa::path(post, path = "/admin/v1/jobs", tag = "admin-jobs", request_body = RunJob,
    responses((status = 202, body = JobBody)))]
async fn run_job(
    admin: Admin,
    State(app): State<AppState>,
    Json(RunJob { name, arguments, due_at }): Json<RunJob>,
) -> HandlerResult<(StatusCode, Json<JobBody>)> {
    let job = jobs::run(&app.store, admin.permissions, &name, Value::Object(arguments), due_at).await?;
    Ok((StatusCode::ACCEPTED, Json(JobBody::of(job))))
}

/// Cancel a job
///
/// A waiting job ends at once. A running one ends within a few seconds; what it has done so far remains. A scheduled
/// job is run again at the next time of its schedule. The required permissions are those of "Run a job".
#[utoipa::path(post, path = "/admin/v1/jobs/{id}/cancel", tag = "admin-jobs", params(("id" = Uuid, Path)),
    responses((status = 200, body = JobBody)))]
async fn cancel_job(
    admin: Admin,
    State(app): State<AppState>,
    Path(id): Path<JobId>,
) -> HandlerResult<Json<JobBody>> {
    Ok(Json(JobBody::of(jobs::cancel(&app.store, admin.permissions, id).await?)))
}
