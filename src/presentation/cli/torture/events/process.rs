//! A process of the test: it publishes, delivers and runs jobs until its standard input ends.

use std::io::{Read, stdin};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use clap::Args;
use futures_util::future::join_all;
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tokio::process::{self, ChildStdin, Command};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::super::super::CliError;
use super::super::error::TortureError;
use super::super::random::random;
use super::super::test_store;
use super::{jobs, publishers};
use crate::domain::context::Context;
use crate::infrastructure::events::jobs::JobRunner;
use crate::infrastructure::events::{
    Broker, BrokerTasks, EventBus, EventDispatcher, EventsUrl, Mode, transports,
};
use crate::infrastructure::repositories::{Database, DatabaseError, DatabaseUrl, Setup};

/// The wait after a failure.
const POLL: Duration = Duration::from_secs(1);

/// The arguments of the hidden command `torture process`: none, the plan comes by standard input.
#[derive(Args, Debug)]
pub(in super::super) struct Process {}

/// What a process does.
#[derive(Serialize, Deserialize)]
pub(super) struct Plan {
    /// The URL of the database.
    pub database: String,
    /// The URL of the broker.
    pub broker: Option<String>,
    /// The beginning of the names at the broker.
    pub name: String,
    /// The writers of the process.
    pub writers: Vec<u32>,
    /// The number of events of each writer of the test.
    pub events: Vec<i64>,
    /// The longest wait of a writer between two transactions, in milliseconds.
    pub interval: u64,
    /// The number of jobs of the test.
    pub jobs: u32,
    /// The folder of the files that jobs lock.
    pub folder: PathBuf,
}

/// A process that was started.
pub(super) struct Child {
    child: process::Child,
    stdin: ChildStdin,
}

impl Child {
    /// Starts a process.
    pub(super) async fn start(plan: &Plan) -> Result<Self, TortureError> {
        let program = std::env::current_exe().map_err(TortureError::Child)?;
        let mut child = Command::new(program)
            .args(["torture", "process", "--log-level", "off"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(TortureError::Child)?;
        let mut stdin = child.stdin.take().ok_or(TortureError::ChildUnresponsive)?;
        let mut line = serde_json::to_string(plan).map_err(|error| TortureError::Child(error.into()))?;
        line.push('\n');
        stdin.write_all(line.as_bytes()).await.map_err(TortureError::Child)?;
        Ok(Self { child, stdin })
    }

    /// Kills the process (SIGKILL).
    pub(super) async fn kill(&mut self) -> Result<(), TortureError> {
        self.child.kill().await.map_err(TortureError::Child)
    }

    /// Stops (SIGSTOP) or continues (SIGCONT) the process.
    pub(super) fn signal(&self, signal: Signal) -> Result<(), TortureError> {
        test_store::signal(&self.child, signal)
    }

    /// Ends the process; returns whether it ended successfully within `limit`.
    pub(super) async fn stop(self, limit: Duration) -> Result<bool, TortureError> {
        let Self { mut child, stdin } = self;
        drop(stdin);
        match timeout(limit, child.wait()).await {
            Ok(ended) => Ok(ended.map_err(TortureError::Child)?.success()),
            Err(_) => Ok(false),
        }
    }
}

impl Process {
    /// Does what the plan says until standard input ends.
    pub(in super::super) async fn run(&self) -> Result<(), CliError> {
        let mut line = String::new();
        stdin().read_line(&mut line).map_err(TortureError::Child)?;
        let plan: Plan = serde_json::from_str(&line).map_err(|error| TortureError::Child(error.into()))?;

        let stop = CancellationToken::new();
        let end = stop.clone();
        // a thread of its own: a read of standard input cannot be cancelled
        std::thread::spawn(move || {
            // an error is an end, too
            let _ = stdin().read_to_end(&mut Vec::new());
            end.cancel();
        });
        let Some(opened) = stop.run_until_cancelled(open(&plan.database)).await else { return Ok(()) };
        Box::pin(work(opened?, &plan, &stop)).await
    }
}

/// Opens the database, again while it cannot be reached.
async fn open(url: &str) -> Result<Database, CliError> {
    let url: DatabaseUrl = url.parse().map_err(|_| TortureError::ChildUnresponsive)?;
    loop {
        match Database::open(&url, Context::system(), Setup::IfEmpty).await {
            Ok(database) => return Ok(database),
            Err(DatabaseError::Unavailable(_)) => sleep(POLL).await,
            Err(error) => return Err(error.into()),
        }
    }
}

/// Publishes, delivers and runs jobs until `stop` is cancelled.
async fn work(database: Database, plan: &Plan, stop: &CancellationToken) -> Result<(), CliError> {
    let writers = plan.writers.iter().map(|&writer| {
        let limit = plan.events.get(writer as usize).copied().unwrap_or_default();
        publishers::publish(&database, (writer.into(), limit), plan.interval, stop)
    });
    let mut dispatcher = EventDispatcher::new(database.clone(), publishers::subscribers());
    let mut broker = None;
    if let Some(url) = &plan.broker {
        let url: EventsUrl = url.parse().map_err(|_| TortureError::ChildUnresponsive)?;
        if let Some(transport) = transports::open(&url, &plan.name) {
            dispatcher = dispatcher.behind_broker();
            let carrier = Broker::new(transport, Mode::Structured, EventBus::default());
            broker = Some(BrokerTasks::new(dispatcher.clone(), carrier));
        }
    }
    let queue = jobs::queue(&database);
    let runner = JobRunner::new(queue.clone(), jobs::JobContext::new(database.clone(), plan.folder.clone()));
    let carrying = async {
        if let Some(broker) = &broker {
            broker.run(stop).await;
            broker.end().await;
        }
    };
    let creating = async {
        for number in 0..i64::from(plan.jobs) {
            while jobs::create(&queue, &database, number).await.is_err() {
                sleep(POLL).await;
            }
            sleep(random(database.context(), plan.interval)).await;
        }
    };
    let listening = stop.run_until_cancelled(database.listen());
    tokio::join!(
        join_all(writers),
        dispatcher.run(stop),
        carrying,
        stop.run_until_cancelled(creating),
        listening,
        runner.run(stop),
    );
    Ok(())
}
