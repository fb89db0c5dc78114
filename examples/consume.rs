//! Another service: it receives the events of a store from the store's broker, into a database of its own.
//!
//! `cargo run --example consume -- nats://127.0.0.1:4222` counts the orders that were paid. At RabbitMQ its queue must
//! exist and be bound to the exchange `undercroft`: `undercroft.order=20counts`. Kafka needs `--features kafka`.

use std::time::Duration;

use futures_util::StreamExt;
use undercroft::domain::context::Context;
use undercroft::domain::events::{DurableEvent, OrderPaid};
use undercroft::infrastructure::events::transports::{self, Received, Settlement, Transport, TransportError};
use undercroft::infrastructure::events::{ReceivedEvent, is_first, purge_inbox};
use undercroft::infrastructure::exceptions::Failure;
use undercroft::infrastructure::repositories::{Database, DatabaseError, Setup};

/// The group of the service at the broker. It identifies what the service has received, so it must never change.
pub const GROUP: &str = "order counts";

/// The most rows of the inbox that are deleted at once.
const MOST_PURGED: i64 = 1_000;

/// Opens the database and creates the table of the service.
pub async fn open(url: &str) -> Result<Database, Box<dyn std::error::Error + Send + Sync>> {
    // it sets up an empty database, and after an update of the library applies the migrations of that
    let database = Database::open(&url.parse()?, Context::system(), Setup::Migrate).await?;
    let table = "CREATE TABLE IF NOT EXISTS order_counts (currency TEXT PRIMARY KEY, orders BIGINT NOT NULL)";
    let created: Result<(), DatabaseError> =
        database.write(table, async |work, table| work.script(table).await).await;
    created?;
    Ok(database)
}

/// Receives events until the first error of the broker; call it again after a wait.
pub async fn receive(database: &Database, broker: &dyn Transport) -> Result<(), TransportError> {
    let mut messages = broker.consume(GROUP).await?;
    while let Some(message) = messages.next().await {
        let message = message?;
        let settlement = handle(database, &message).await;
        message.receipt.settle(settlement).await?;
    }
    Ok(())
}

/// Handles a message, and returns how it is settled: it is acknowledged after the commit.
async fn handle(database: &Database, message: &Received) -> Settlement {
    let event = match ReceivedEvent::parse(message) {
        Ok(event) => event,
        Err(error) => return Settlement::Rejected(error.to_string()),
    };
    if event.event_type != OrderPaid::TYPE {
        return Settlement::Handled;
    }
    let paid = match OrderPaid::decode(event.version, &event.data) {
        Ok(paid) => paid,
        Err(error) => return Settlement::Rejected(error.to_string()),
    };
    let counted: Result<(), Failure> = database
        .write((event, paid), async |work, (event, paid)| {
            // a message that comes again has no effect
            if !is_first(work, GROUP, event).await? {
                return Ok(());
            }
            let sql = "INSERT INTO order_counts (currency, orders) VALUES ($1, 1) \
                       ON CONFLICT (currency) DO UPDATE SET orders = order_counts.orders + 1";
            work.execute(sql, &[paid.total.currency.to_string().into()]).await?;
            Ok(())
        })
        .await;
    match counted {
        Ok(()) => Settlement::Handled,
        Err(failure) => {
            eprintln!("an event was not handled, and comes again: {}", failure.report());
            Settlement::Again
        }
    }
}

/// Deletes, every ten minutes, what `is_first` has recorded of events that no broker repeats any more.
async fn purge(database: Database) {
    loop {
        let purged: Result<u64, DatabaseError> =
            database.write((), async |work, ()| purge_inbox(work, MOST_PURGED).await).await;
        if let Err(error) = purged {
            eprintln!("the inbox was not purged, retrying: {error}");
        }
        tokio::time::sleep(Duration::from_mins(10)).await;
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let url = std::env::args().nth(1).ok_or("the URL of the broker is missing")?;
    let broker = transports::open(&url.parse()?, "undercroft").ok_or("the database is no broker")?;
    let database = open("sqlite:order-counts.db").await?;
    tokio::spawn(purge(database.clone()));
    loop {
        if let Err(error) = receive(&database, broker.as_ref()).await {
            eprintln!("no events were received, retrying: {error}");
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}
