//! A service of its own on the events room: it has its own table and its own event, and both are committed together.
//!
//! `cargo run --example outbox` serves `POST /parcels` on port 3000. A subscriber counts the parcels of each customer.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use undercroft::domain::context::Context;
use undercroft::domain::events::DurableEvent;
use undercroft::infrastructure::events::{Envelope, EventDispatcher, Subscriber};
use undercroft::infrastructure::exceptions::{Failure, Fault, ValidationException};
use undercroft::infrastructure::repositories::{Database, DatabaseError, Setup, UnitOfWork};
use undercroft::presentation::http::json::Json;
use undercroft::presentation::http::query::Path;
use utoipa::ToSchema;

/// The most events that are deleted at once.
const MOST_PURGED: i64 = 1_000;

/// A parcel was sent. The schema is what the body of a request is checked against.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct ParcelSent {
    customer: String,
    grams: i64,
}

impl DurableEvent for ParcelSent {
    const TYPE: &'static str = "parcel.sent";

    fn subject(&self) -> String {
        self.customer.clone()
    }
}

/// Opens the database and creates the tables of the service beside those of the library.
pub async fn open(url: &str) -> Result<Database, Box<dyn std::error::Error + Send + Sync>> {
    // it sets up an empty database, and after an update of the library applies the migrations of that
    let database = Database::open(&url.parse()?, Context::system(), Setup::Migrate).await?;
    let tables = "CREATE TABLE IF NOT EXISTS parcels (customer TEXT NOT NULL, grams BIGINT NOT NULL CHECK (grams > 0)); \
                  CREATE TABLE IF NOT EXISTS parcel_counts (customer TEXT PRIMARY KEY, parcels BIGINT NOT NULL)";
    let created: Result<(), DatabaseError> =
        database.write(tables, async |work, tables| work.script(tables).await).await;
    created?;
    Ok(database)
}

/// Returns the dispatcher with the service's subscriber. Its name identifies its position, so it must never change.
pub fn dispatcher(database: &Database) -> EventDispatcher {
    EventDispatcher::new(database.clone(), [Subscriber::new("parcel counts").on(count)])
}

/// Counts a parcel. The count is committed together with the position of the subscriber: each event counts once.
async fn count(work: &mut UnitOfWork, event: &ParcelSent, _: &Envelope) -> Result<(), Failure> {
    let sql = "INSERT INTO parcel_counts (customer, parcels) VALUES ($1, 1) \
               ON CONFLICT (customer) DO UPDATE SET parcels = parcel_counts.parcels + 1";
    work.execute(sql, &[event.customer.as_str().into()]).await?;
    Ok(())
}

/// Returns the routes.
pub fn routes(database: Database) -> Router {
    Router::new()
        .route("/parcels", post(send))
        .route("/customers/{customer}/parcels", get(parcels))
        .with_state(database)
}

/// Records a parcel and publishes the event, in one transaction: both are committed, or neither.
///
/// The body and the parameters of the path are read by the extractors of the library: what is wrong with them is a
/// problem document, as any other failure, and not the plain text of those of axum.
async fn send(
    State(database): State<Database>,
    Json(parcel): Json<ParcelSent>,
) -> Result<StatusCode, Failure> {
    if parcel.grams <= 0 {
        return Err(ValidationException::one("/grams", Fault::Minimum { minimum: 1.into() }).into());
    }
    let write = database.write(parcel, async |work, parcel| {
        let values = [parcel.customer.as_str().into(), parcel.grams.into()];
        work.execute("INSERT INTO parcels (customer, grams) VALUES ($1, $2)", &values).await?;
        work.publish(parcel).await?;
        Ok(StatusCode::CREATED)
    });
    write.await
}

/// Returns the number of parcels that the subscriber has counted.
async fn parcels(
    State(database): State<Database>,
    Path(customer): Path<String>,
) -> Result<Json<i64>, Failure> {
    let sql = "SELECT parcels FROM parcel_counts WHERE customer = $1";
    let count = database.read().await?.first(sql, &[customer.into()]).await?;
    Ok(Json(count.unwrap_or(0)))
}

/// Delivers events as they are committed, and deletes old ones, until `stop` is cancelled. Failures are logged.
pub async fn deliver(database: Database, stop: CancellationToken) {
    let dispatcher = dispatcher(&database);
    tokio::join!(dispatcher.run(&stop), purge(&dispatcher, &stop));
}

/// Deletes, every ten minutes, events that all subscribers have read and that are older than a week.
async fn purge(dispatcher: &EventDispatcher, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        if let Err(failure) = dispatcher.purge(MOST_PURGED).await {
            tracing::warn!(failure = %failure.report(), "old events were not deleted, retrying");
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(Duration::from_mins(10)) => {}
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    tracing_subscriber::fmt().init();
    let database = open("sqlite:parcels.db").await?;
    tokio::spawn(deliver(database.clone(), CancellationToken::new()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, routes(database)).await?;
    Ok(())
}
