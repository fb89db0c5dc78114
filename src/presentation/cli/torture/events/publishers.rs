//! The writers and the subscribers of the test.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::super::random::{random, random_below};
use crate::domain::context::Context;
use crate::domain::events::DurableEvent;
use crate::infrastructure::events::{Envelope, Subscriber};
use crate::infrastructure::exceptions::{Failure, Technical};
use crate::infrastructure::repositories::{Database, Engine, UnitOfWork, params};

/// The number of subscribers.
pub(super) const SUBSCRIBERS: u64 = 3;
/// The most events of a transaction.
const MOST: i64 = 10;
/// The longest time in milliseconds between the last event of a transaction and the commit, on PostgreSQL. SQLite has
/// one writer, and its transactions do not overlap.
const LONGEST_COMMIT: u64 = 20;
/// One transaction of this many is rolled back.
const ROLLED_BACK: u64 = 20;
/// One attempt of this many to handle an event fails.
const FAILED: u64 = 5000;
/// The wait of a writer after a failure.
const RETRY: Duration = Duration::from_millis(50);

/// The events of a writer are numbered from 1, without gaps.
#[derive(Serialize, Deserialize)]
pub(super) struct Numbered {
    writer: i64,
    number: i64,
}

impl DurableEvent for Numbered {
    const TYPE: &'static str = "torture.numbered";

    fn subject(&self) -> String {
        self.writer.to_string()
    }
}

/// Publishes the events of a writer until there are as many as `limit`.
pub(super) async fn publish(
    database: &Database,
    (writer, limit): (i64, i64),
    interval: u64,
    stop: &CancellationToken,
) {
    let context = database.context();
    let publishing = async {
        let mut published = None;
        while published != Some(limit) {
            match published {
                None => published = read(database, writer).await.ok(),
                Some(before) => {
                    let transaction = Transaction::random(context, database.engine(), writer, before, limit);
                    published = database.write(transaction, Transaction::run).await.ok();
                }
            }
            let wait = if published.is_some() { random(context, interval) } else { RETRY };
            sleep(wait).await;
        }
    };
    stop.run_until_cancelled(publishing).await;
}

/// Returns the subscribers, which check the order of what they handle.
pub(super) fn subscribers() -> Vec<Subscriber> {
    vec![
        Subscriber::new("torture 0").on(handle::<0>),
        Subscriber::new("torture 1").on(handle::<1>),
        Subscriber::new("torture 2").on(handle::<2>),
    ]
}

/// Returns the number of events that a writer has published.
async fn read(database: &Database, writer: i64) -> Result<i64, Failure> {
    let sql = "SELECT published FROM torture_writers WHERE writer = $1";
    Ok(database.read().await?.one(sql, &params![writer]).await?)
}

/// A transaction of a writer.
struct Transaction {
    writer: i64,
    /// The number of the last event before it.
    before: i64,
    /// The number of its last event.
    until: i64,
    /// The time before the commit.
    wait: Duration,
    rolls_back: bool,
}

impl Transaction {
    fn random(context: &Context, engine: Engine, writer: i64, before: i64, limit: i64) -> Self {
        let most = MOST.min(limit - before);
        let events = 1 + random_below(context, most.cast_unsigned()).cast_signed();
        let wait = match engine {
            Engine::Sqlite => Duration::ZERO,
            Engine::Postgres => random(context, LONGEST_COMMIT),
        };
        Self {
            writer,
            before,
            until: before + events,
            wait,
            rolls_back: random_below(context, ROLLED_BACK) == 0,
        }
    }

    /// Publishes the events; returns the number of the last one.
    async fn run(work: &mut UnitOfWork, this: &Self) -> Result<i64, Failure> {
        let sql = "UPDATE torture_writers SET published = $3 WHERE writer = $1 AND published = $2";
        if work.execute(sql, &params![this.writer, this.before, this.until]).await? != 1 {
            return Err(Technical::internal("the commit before this one has an unknown outcome").into());
        }
        for number in this.before + 1..=this.until {
            work.publish(&Numbered { writer: this.writer, number }).await?;
        }
        if !this.wait.is_zero() {
            // sends the events, so that they have their positions before the wait
            work.one::<i64>("SELECT CAST(1 AS BIGINT)", &[]).await?;
            sleep(this.wait).await;
        }
        if this.rolls_back {
            return Err(Technical::internal("rolled back by the test").into());
        }
        Ok(this.until)
    }
}

/// Counts an event, and whether it is the next one of its writer.
async fn handle<const SUBSCRIBER: i64>(
    work: &mut UnitOfWork,
    event: &Numbered,
    _: &Envelope,
) -> Result<(), Failure> {
    let mut random = [0; 8];
    work.secret(&mut random);
    if u64::from_ne_bytes(random).is_multiple_of(FAILED) {
        return Err(Technical::internal("failed by the test").into());
    }
    let sql = "UPDATE torture_handled SET handled = handled + 1, \
               out_of_order = out_of_order + CASE WHEN handled + 1 = $3 THEN 0 ELSE 1 END WHERE subscriber = $1 AND writer = $2";
    Ok(work.defer(sql, &params![SUBSCRIBER, event.writer, event.number]).await?)
}
