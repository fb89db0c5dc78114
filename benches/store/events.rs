//! Events: delivery beside the outbox drained by hand, the time from commit to handler, the bus of signals beside a
//! channel of tokio, what publishing costs, and what it costs when the outbox is full.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use undercroft::domain::context::Context;
use undercroft::domain::events::StockChanged;
use undercroft::domain::ids::VariantId;
use undercroft::infrastructure::events::{Envelope, EventBus, EventDispatcher, Signal, Subscriber};
use undercroft::infrastructure::exceptions::Failure;
use undercroft::infrastructure::repositories::{Database, DatabaseError, Engine, Setup, UnitOfWork};
use uuid::Uuid;

use crate::Outcome;
use crate::figures::{each, median, millis, percentile, rate};
use crate::process::own_cpu;
use crate::raw_events;
use crate::schema::Schema;
use crate::shop::folder;

/// The events of a transaction that fills the outbox.
const TOGETHER: i64 = 100;
/// The subjects of the events.
const SUBJECTS: i64 = 500;
/// The signals of a round.
const SIGNALS: usize = 200_000;

struct Sizes {
    rounds: usize,
    /// The events that are delivered.
    events: i64,
    /// The events whose time to the handler is measured.
    paced: i64,
    /// The events in a full outbox.
    full: i64,
}

/// Measures SQLite, and PostgreSQL if there is a URL.
pub(crate) async fn measure(quick: bool, postgres: Option<&str>) -> Outcome<()> {
    let sizes = if quick {
        Sizes { rounds: 3, events: 10_000, paced: 200, full: 100_000 }
    } else {
        Sizes { rounds: 7, events: 50_000, paced: 2_000, full: 1_000_000 }
    };
    bus(sizes.rounds).await;
    let folder = folder()?;
    let file = folder.path().join("events.db");
    println!("events on SQLite (medians of {} rounds)", sizes.rounds);
    on_engine(&format!("sqlite:{}", file.display()), Some(&file), &sizes).await?;
    if let Some(url) = postgres {
        let schema = Schema::make(url).await?;
        println!("events on PostgreSQL (medians of {} rounds)", sizes.rounds);
        let measured = on_engine(&schema.url, None, &sizes).await;
        schema.remove().await?;
        measured?;
    }
    Ok(())
}

async fn on_engine(url: &str, file: Option<&Path>, sizes: &Sizes) -> Outcome<()> {
    let database = Database::open(&url.parse()?, Context::system(), Setup::IfEmpty).await?;
    let few = publishing(&database, sizes.rounds).await?;
    for first in (0..sizes.events).step_by(usize::try_from(TOGETHER)?) {
        publish(&database, first..first + TOGETHER).await?;
    }
    delivery(&database, url, file, sizes).await?;
    let within = latency(&database, &database, sizes.paced).await?;
    print_latency("in the process that committed (aim: p99 10 ms)", within);
    if database.engine() == Engine::Postgres {
        let other = Database::open(&url.parse()?, Context::system(), Setup::IfEmpty).await?;
        let between = latency(&database, &other, sizes.paced).await?;
        print_latency("in another process (aim: p99 50 ms)", between);
    }
    fill(&database, sizes.full).await?;
    let many = publishing(&database, sizes.rounds).await?;
    println!(
        "  a transaction that publishes an event: {few:.3} ms with few events in the outbox, {many:.3} ms with {} \
         ({:.2} times, aim: 1)",
        sizes.full,
        many / few
    );
    Ok(())
}

/// Measures delivery beside the outbox drained by hand, in batches and one by one.
async fn delivery(database: &Database, url: &str, file: Option<&Path>, sizes: &Sizes) -> Outcome<()> {
    let events = usize::try_from(sizes.events)?;
    let alone = events / 20;
    let (mut ours, mut batches, mut singles) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..sizes.rounds {
        let name: &'static str = Box::leak(format!("round {round}").into_boxed_str());
        let dispatcher = EventDispatcher::new(database.clone(), [Subscriber::new(name).on(ignore)]);
        let began = Instant::now();
        let delivered = dispatcher.deliver(&CancellationToken::new()).await?;
        ours.push(rate(usize::try_from(delivered)?, began.elapsed()));
        for (events, batch, rates) in [(events, 100, &mut batches), (alone, 1, &mut singles)] {
            let elapsed = match file {
                Some(file) => raw_events::on_sqlite(file, events, batch)?,
                None => raw_events::on_postgres(url, events, batch).await?,
            };
            rates.push(rate(events, elapsed));
        }
    }
    let ratio = |to: &[f64]| median(ours.iter().zip(to).map(|(ours, to)| ours / to));
    println!(
        "  delivered: {:.0} a second; {:.2} times the outbox drained by hand in batches of 100 (aim: 0.5), {:.1} times \
         one by one (aim on PostgreSQL: 20)",
        median(ours.iter().copied()),
        ratio(&batches),
        ratio(&singles)
    );
    Ok(())
}

async fn ignore(_: &mut UnitOfWork, event: &StockChanged, _: &Envelope) -> Result<(), Failure> {
    std::hint::black_box(event);
    Ok(())
}

/// Publishes numbered events in one transaction.
async fn publish(database: &Database, numbers: std::ops::Range<i64>) -> Result<(), DatabaseError> {
    let write = database.write(numbers, async |work, numbers| {
        for number in numbers.clone() {
            let variant_id = VariantId(Uuid::from_u128((number % SUBJECTS).unsigned_abs().into()));
            work.publish(&StockChanged { variant_id, available: Some(number) }).await?;
        }
        Ok(())
    });
    write.await
}

/// Returns the median time of a transaction that publishes one event, in milliseconds.
async fn publishing(database: &Database, rounds: usize) -> Outcome<f64> {
    let mut times = Vec::new();
    for _ in 0..rounds * 100 {
        let began = Instant::now();
        publish(database, 0..1).await?;
        times.push(millis(began.elapsed()));
    }
    Ok(median(times))
}

/// Returns the CPU time of publishing an event within a transaction, in milliseconds.
pub(crate) async fn cost_of_publishing(database: &Database) -> Outcome<f64> {
    const TRANSACTIONS: usize = 500;
    const MORE: i64 = 20;
    let mut costs = Vec::new();
    for events in [1, 1 + MORE] {
        let cpu = own_cpu()?;
        for _ in 0..TRANSACTIONS {
            publish(database, 0..events).await?;
        }
        costs.push(own_cpu()?.saturating_sub(cpu));
    }
    Ok(each(costs[1].saturating_sub(costs[0]), TRANSACTIONS * usize::try_from(MORE)?))
}

/// Adds events that no subscriber has read.
async fn fill(database: &Database, events: i64) -> Outcome<()> {
    let sql = match database.engine() {
        Engine::Sqlite => {
            "WITH RECURSIVE numbers (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers \
             WHERE number < $1) INSERT INTO outbox (id, type, version, subject, occurred_at, data) \
             SELECT randomblob(16), type, version, subject, occurred_at, data FROM numbers, \
             (SELECT * FROM outbox LIMIT 1)"
        }
        Engine::Postgres => {
            "INSERT INTO outbox (id, type, version, subject, occurred_at, data) \
             SELECT gen_random_uuid(), type, version, subject, occurred_at, data \
             FROM generate_series(CAST(1 AS BIGINT), $1), (SELECT * FROM outbox LIMIT 1) AS event"
        }
    };
    let write = database.write(events, async |work, &events| work.execute(sql, &[events.into()]).await);
    write.await?;
    Ok(())
}

/// When the handler got each event, by its number.
static HANDLED: Mutex<BTreeMap<i64, Instant>> = Mutex::new(BTreeMap::new());

async fn record(_: &mut UnitOfWork, event: &StockChanged, _: &Envelope) -> Result<(), Failure> {
    let mut handled = HANDLED.lock().unwrap_or_else(PoisonError::into_inner);
    handled.insert(event.available.unwrap_or_default(), Instant::now());
    Ok(())
}

/// Publishes events one after the other while they are delivered; returns the times from commit to handler.
async fn latency(publisher: &Database, consumer: &Database, events: i64) -> Outcome<Vec<Duration>> {
    let name: &'static str = Box::leak(Context::system().ids.uuid().to_string().into_boxed_str());
    let dispatcher = EventDispatcher::new(consumer.clone(), [Subscriber::new(name).on(record)]);
    // it begins with the events that are there
    dispatcher.deliver(&CancellationToken::new()).await?;
    let (listens, delivers) = (consumer.clone(), consumer.clone());
    let _listening = AbortOnDropHandle::new(tokio::spawn(async move { listens.listen().await }));
    let _delivering = AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            let committed = delivers.committed().notified();
            // an error would be missing times below
            let _ = dispatcher.deliver(&CancellationToken::new()).await;
            let _ = tokio::time::timeout(Duration::from_secs(2), committed).await;
        }
    }));
    tokio::time::sleep(Duration::from_millis(500)).await;

    HANDLED.lock().unwrap_or_else(PoisonError::into_inner).clear();
    let mut committed = Vec::new();
    for number in 0..events {
        publish(publisher, number..number + 1).await?;
        committed.push((number, Instant::now()));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let handled = HANDLED.lock().unwrap_or_else(PoisonError::into_inner);
    let elapsed = |(number, committed): (i64, Instant)| {
        handled.get(&number).map(|handled| handled.saturating_duration_since(committed))
    };
    committed.into_iter().map(elapsed).collect::<Option<_>>().ok_or_else(|| "an event was not handled".into())
}

fn print_latency(place: &str, mut times: Vec<Duration>) {
    let (half, most) = (percentile(&mut times, 50), percentile(&mut times, 99));
    println!("  from commit to handler {place}: p50 {half:.2} ms, p99 {most:.2} ms");
}

#[derive(Clone)]
struct Tick(#[expect(dead_code, reason = "it only has a size")] u64);

impl Signal for Tick {
    const TYPE: &'static str = "bench.tick";
}

/// Measures the bus of signals beside a broadcast channel of tokio, each with one receiver that keeps up.
async fn bus(rounds: usize) {
    let (mut ours, mut raw) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let bus = EventBus::default();
        let mut subscription = bus.subscribe::<Tick>();
        let began = Instant::now();
        for number in 0..SIGNALS as u64 {
            bus.emit(&Tick(number));
            std::hint::black_box(subscription.next().await);
        }
        ours.push(rate(SIGNALS, began.elapsed()));

        let (sender, mut receiver) = broadcast::channel(4096);
        let began = Instant::now();
        for number in 0..SIGNALS as u64 {
            // there is a receiver
            let _ = sender.send(Tick(number));
            let _ = std::hint::black_box(receiver.recv().await);
        }
        raw.push(rate(SIGNALS, began.elapsed()));
    }
    let ratio = median(ours.iter().zip(&raw).map(|(ours, raw)| ours / raw));
    println!(
        "signals on the bus: {:.0} a second, {ratio:.2} times a broadcast channel of tokio",
        median(ours.iter().copied())
    );
}
