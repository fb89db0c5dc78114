//! Processes publish numbered events, deliver them and run jobs, while they are killed and the broker and the
//! database cannot be reached. Each subscriber must handle each event once and in the order of its subject; each job
//! must be run to its end, by one process at a time.

mod jobs;
mod process;
mod publishers;
mod tables;

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use rustix::process::Signal;
use tokio::time::{Instant, sleep};

pub(super) use self::process::Process;
use self::process::{Child, Plan};
use self::tables::Progress;
use super::super::CliError;
use super::super::unquoted::Unquoted;
use super::Outcome;
use super::error::TortureError;
use super::proxy::{Line, Proxy};
use super::random::random;
use super::test_store::TestStore;
use crate::infrastructure::events::EventsUrl;

/// The arguments of `torture events`.
#[derive(Args, Debug)]
pub(super) struct Events {
    /// The number of events
    #[arg(long = "events", value_name = "EVENTS", default_value_t = 20_000)]
    number: u32,
    /// The number of tasks that publish them, each those of a subject
    #[arg(long, default_value = "64")]
    writers: NonZeroU32,
    /// The longest wait of a writer between two transactions
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 0)]
    interval: u64,
    /// The number of processes that publish and deliver events, and run jobs
    #[arg(long, default_value = "4")]
    processes: NonZeroU32,
    /// The number of jobs
    #[arg(long, default_value_t = 100)]
    jobs: u32,
    /// The number of times a process is killed
    #[arg(long, default_value_t = 0)]
    kills: u32,
    /// The longest life of a process before it is killed; the first process, if there are several, is not killed
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 600)]
    life: u64,
    /// The number of times a process is stopped for twelve seconds, after which others take over what it did
    #[arg(long, default_value_t = 0)]
    freezes: u32,
    /// The broker that carries the events
    #[arg(long, value_name = "URL", value_parser = Unquoted(broker))]
    broker: Option<String>,
    /// The beginning of the names of what is created at the broker, which remains [default: a new one]
    #[arg(long, value_name = "NAME", requires = "broker")]
    name: Option<String>,
    /// The time for which the broker, if there is one, and then the PostgreSQL database cannot be reached
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    outage: u64,
}

/// The wait between two looks at the progress.
const LOOK: Duration = Duration::from_millis(100);
/// The longest time without progress.
const STUCK: Duration = Duration::from_mins(2);
/// How long a process is stopped: longer than the lease of a job.
const FREEZE: Duration = Duration::from_secs(12);
/// The delay of what a slow proxy passes on.
const SLOW: Duration = Duration::from_millis(100);
/// The longest time in which a process ends when it is stopped.
const END: Duration = Duration::from_secs(15);

/// The processes of a test, and the proxies through which they reach the broker and the database.
struct Run<'a> {
    store: &'a TestStore,
    plans: Vec<Plan>,
    processes: Vec<Child>,
    proxies: Vec<(&'static str, Proxy)>,
    /// When the test began.
    began: Instant,
}

impl Events {
    /// Runs the test.
    pub(super) async fn run(&self, store: &TestStore) -> Result<Outcome, CliError> {
        let folder = tempfile::tempdir().map_err(TortureError::Child)?;
        tables::create(store.database(), self.writers.get()).await?;
        let mut run = self.start(store, folder.path().to_owned()).await?;

        let mut counts = vec![("kills", self.kills.into())];
        for kill in 0..self.kills {
            sleep(random(store.database().context(), self.life)).await;
            run.replace(kill).await?;
        }
        for freeze in 0..self.freezes {
            run.freeze(freeze).await?;
        }
        if self.outage > 0 {
            counts.extend(run.interrupt(Duration::from_secs(self.outage), self.number).await?);
        }
        let progress = run.wait_until_done(self.number, self.jobs).await?;
        let seconds = run.began.elapsed().as_secs();
        let unstopped = run.stop().await?;

        let found = tables::found(store.database()).await?;
        counts.extend([
            ("published", progress.published),
            ("handled", progress.handled),
            ("out_of_order", found.out_of_order),
            ("dead_letters", found.dead_letters),
            ("jobs", progress.jobs),
            ("job_overlaps", found.overlaps),
            ("not_stopped", unstopped),
            ("seconds", seconds),
        ]);
        let wrong = found.out_of_order + found.dead_letters + found.overlaps + unstopped;
        Ok(Outcome { counts, error: (wrong > 0).then_some(TortureError::WrongDeliveries(wrong)) })
    }

    /// Starts the processes.
    async fn start<'a>(&self, store: &'a TestStore, folder: PathBuf) -> Result<Run<'a>, CliError> {
        let (mut database, mut broker, mut proxies) = (store.url(), self.broker.clone(), Vec::new());
        if self.outage > 0 {
            if let Some(url) = &mut broker {
                proxies.push(("broker", proxied(url).await?));
            }
            if database.starts_with("postgres") {
                proxies.push(("database", proxied(&mut database).await?));
            }
        }
        let (writers, processes) = (self.writers.get(), self.processes.get());
        let new_name = || format!("torture-{}", store.database().context().ids.uuid().simple());
        let name = self.name.clone().unwrap_or_else(new_name);
        let plan = |process: u32| Plan {
            database: database.clone(),
            broker: broker.clone(),
            name: name.clone(),
            writers: (0..writers).filter(|writer| writer % processes == process).collect(),
            events: (0..writers).map(|writer| share(self.number, writers, writer)).collect(),
            interval: self.interval,
            jobs: self.jobs,
            folder: folder.clone(),
        };
        let plans: Vec<_> = (0..processes).map(plan).collect();
        let mut started = Vec::with_capacity(plans.len());
        for plan in &plans {
            started.push(Child::start(plan).await?);
        }
        Ok(Run { store, plans, processes: started, proxies, began: Instant::now() })
    }
}

impl Run<'_> {
    /// Returns one of the processes that are killed and stopped: the others take over what it did.
    fn chosen(&self, number: u32) -> usize {
        let others = self.plans.len().saturating_sub(1);
        if others == 0 { 0 } else { 1 + number as usize % others }
    }

    /// Kills a process (SIGKILL), and starts another one in its place.
    async fn replace(&mut self, number: u32) -> Result<(), TortureError> {
        let chosen = self.chosen(number);
        self.processes[chosen].kill().await?;
        self.processes[chosen] = Child::start(&self.plans[chosen]).await?;
        Ok(())
    }

    /// Stops a process (SIGSTOP) until its leases have ended, and lets it continue.
    async fn freeze(&self, number: u32) -> Result<(), TortureError> {
        let process = &self.processes[self.chosen(number)];
        process.signal(Signal::STOP)?;
        sleep(FREEZE).await;
        process.signal(Signal::CONT)?;
        sleep(FREEZE / 12).await;
        Ok(())
    }

    /// Keeps the processes from the broker, and then from the database: half of the time connections are cut, then
    /// nothing is passed on. For a moment before and after it, all is passed on slowly. Returns how many deliveries
    /// were missing at the end, and the milliseconds until they were made.
    async fn interrupt(&self, outage: Duration, events: u32) -> Result<Vec<(&'static str, u64)>, CliError> {
        let mut counts = Vec::new();
        for (what, proxy) in &self.proxies {
            proxy.set(Line::Slow(SLOW));
            sleep(outage / 8).await;
            proxy.set(Line::Cut);
            sleep(outage / 2).await;
            proxy.set(Line::Silent);
            sleep(outage / 2).await;
            proxy.set(Line::Slow(SLOW));
            sleep(outage / 8).await;
            proxy.set(Line::Open);

            let restored = Instant::now();
            let then = tables::progress(self.store.database()).await?;
            let published = then.published;
            if published >= events.into() {
                return Err(TortureError::NoLoad.into());
            }
            let backlog = then.unhandled();
            self.wait(|now| now.handled_by_all_at_least(published)).await?;
            let caught_up = u64::try_from(restored.elapsed().as_millis()).unwrap_or(u64::MAX);
            counts.extend(match *what {
                "broker" => [("broker_backlog", backlog), ("broker_catch_up_ms", caught_up)],
                _ => [("database_backlog", backlog), ("database_catch_up_ms", caught_up)],
            });
        }
        Ok(counts)
    }

    /// Waits until all events are handled and all jobs have ended.
    async fn wait_until_done(&self, events: u32, jobs: u32) -> Result<Progress, CliError> {
        let (events, jobs) = (u64::from(events), u64::from(jobs));
        let is_done = |now: &Progress| {
            now.published == events && now.unhandled() == 0 && now.jobs == jobs && now.open_jobs == 0
        };
        self.wait(is_done).await
    }

    /// Waits for a state of the progress. Fails if there is no progress.
    async fn wait(&self, is_reached: impl Fn(&Progress) -> bool) -> Result<Progress, CliError> {
        let (mut last, mut changed) = (tables::progress(self.store.database()).await?, Instant::now());
        while !is_reached(&last) {
            sleep(LOOK).await;
            let now = tables::progress(self.store.database()).await?;
            if now != last {
                (last, changed) = (now, Instant::now());
            } else if changed.elapsed() > STUCK {
                return Err(TortureError::Stuck(format!("{now:?}")).into());
            }
        }
        Ok(last)
    }

    /// Stops the processes; returns how many of them did not end by themselves.
    async fn stop(self) -> Result<u64, TortureError> {
        let mut unstopped = 0;
        for process in self.processes {
            unstopped += u64::from(!process.stop(END).await?);
        }
        Ok(unstopped)
    }
}

/// Checks the URL of a broker.
fn broker(url: &str) -> Result<String, <EventsUrl as FromStr>::Err> {
    url.parse::<EventsUrl>().map(|_| url.to_owned())
}

/// Starts a proxy in front of the server of a URL, and changes the URL to lead through it.
async fn proxied(url: &mut String) -> Result<Proxy, TortureError> {
    let (proxy, through) = Proxy::before(url).await.map_err(TortureError::Child)?;
    *url = through;
    Ok(proxy)
}

/// Returns the number of events of a writer.
fn share(events: u32, writers: u32, writer: u32) -> i64 {
    (events / writers + u32::from(writer < events % writers)).into()
}
