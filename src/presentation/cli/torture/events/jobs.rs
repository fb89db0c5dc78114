//! The jobs of the test: each has three pieces, and a lock on a file shows whether two processes run it at once.

use std::fs::{File, TryLockError};
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::json;
use tokio::time::sleep;

use super::super::random::random;
use crate::infrastructure::events::jobs::{JobQueue, JobRun, JobType};
use crate::infrastructure::exceptions::{Failure, Technical};
use crate::infrastructure::repositories::{Database, params};

/// The longest time of a piece, in milliseconds.
const LONGEST_PIECE: u64 = 100;

/// What the jobs are run with.
#[derive(Clone)]
pub(super) struct JobContext {
    database: Database,
    /// The folder of the locked files.
    folder: PathBuf,
}

#[derive(Deserialize)]
struct Arguments {
    number: i64,
}

impl JobContext {
    pub(super) fn new(database: Database, folder: PathBuf) -> Self {
        Self { database, folder }
    }
}

/// Returns the jobs of the test.
pub(super) fn queue(database: &Database) -> JobQueue<JobContext> {
    JobQueue::new(database.clone(), [JobType::new("torture.pieces", run)])
}

/// Creates a job, unless it was created before.
pub(super) async fn create(
    queue: &JobQueue<JobContext>,
    database: &Database,
    number: i64,
) -> Result<(), Failure> {
    let write = database.write((queue.clone(), number), async |work, (queue, number)| {
        let sql =
            "INSERT INTO torture_jobs (number, pieces, overlapping) VALUES ($1, 0, 0) ON CONFLICT DO NOTHING";
        if work.execute(sql, &params![*number]).await? == 1 {
            for job_type in queue.types() {
                job_type.create(work, json!({ "number": number }), work.now()).await?;
            }
        }
        Ok(())
    });
    write.await
}

/// Does a piece of a job; returns 0 after the last one. The lock of a process that is killed ends with it.
async fn run(context: JobContext, run: JobRun<Arguments>) -> Result<usize, Failure> {
    let number = run.arguments.number;
    let file = File::create(context.folder.join(number.to_string())).map_err(Technical::internal)?;
    let overlaps = match file.try_lock() {
        Ok(()) => 0_i64,
        Err(TryLockError::WouldBlock) => 1,
        Err(TryLockError::Error(error)) => return Err(Technical::internal(error).into()),
    };
    sleep(random(context.database.context(), LONGEST_PIECE)).await;
    let write = context.database.write((number, overlaps), async |work, &(number, overlaps)| {
        let sql = "UPDATE torture_jobs SET pieces = pieces + 1, overlapping = overlapping + $2 \
                   WHERE number = $1 AND pieces < 3 RETURNING pieces";
        let pieces: Option<i64> = work.first(sql, &params![number, overlaps]).await?;
        Ok::<_, Failure>(usize::from(pieces.is_some_and(|pieces| pieces < 3)))
    });
    write.await
}
