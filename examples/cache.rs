//! A service that keeps what it reads: forecasts of towns, from a table with a log of its changes. They are in
//! memory, and in Redis too if `REDIS_URL` names one, so that further processes need not read them again. A
//! forecast has the tags of its town and of its region; a change of one town drops all forecasts of its region, in
//! every process, before the next one is read. That a town has no forecast is kept, too, until the town gets one.
//!
//! What makes this right is the log. It must be durable, the same for all processes, and written in the transaction of
//! the change; its positions only ever increase. A log in the memory of one process leaves old entries in the others,
//! and one that begins anew, such as after a backup is restored, old entries in Redis. Here the table and its log are
//! in memory for brevity, and with them the secret that signs entries in Redis: a process that is started again has
//! another one, and uses none of those before. A real service has all three in its database, as the store has.
//! "A cache over your database" in CONTRIBUTING.md has the steps for a database of the library.
//!
//! `cargo run --example cache` serves `GET /forecasts/bremen` on port 3001, and `PUT /forecasts/bremen` changes it:
//!
//! ```sh
//! curl http://127.0.0.1:3001/forecasts/bremen
//! curl -X PUT http://127.0.0.1:3001/forecasts/kiel -H 'content-type: application/json' \
//!   -d '{"region": "north", "weather": "wind"}'
//! ```

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use undercroft::domain::context::Context;
use undercroft::infrastructure::cache::{
    Cached, Drops, EntriesInRedis, LoadError, Loaded, Policy, Position, Redis, Rendered, SharedTier, Tag,
    Tiers,
};
use undercroft::infrastructure::exceptions::{Failure, NotFound};
use undercroft::presentation::http::json::Json;
use undercroft::presentation::http::query::Path;
use utoipa::ToSchema;

/// The weather of a town.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Forecast {
    /// The region of the town.
    pub region: String,
    /// The weather of tomorrow.
    pub weather: String,
}

/// The table: the forecasts by town, and the log: the names of the tags that each change dropped, in order. It is the
/// database of the service, which its processes share.
pub struct Table {
    rows: Mutex<(BTreeMap<String, Forecast>, Log)>,
    /// What signs entries in Redis, so that none of another table is used, nor one of an earlier log.
    secret: [u8; 32],
}

type Log = Vec<[String; 2]>;

/// A process of the service.
#[derive(Clone)]
pub struct Service {
    table: Arc<Table>,
    drops: Arc<Drops>,
    forecasts: Cached<String, Rendered<Forecast>, Infallible>,
}

/// How forecasts are kept: for five minutes at most, in 4 MiB of memory, and otherwise as `Policy::named` sets it. The
/// name is in metrics and keys of Redis. The number is the version of the shape of keys and values: increment it with
/// each change of `Forecast`, of its tags or of how it is read, and no process uses what another release has put into
/// Redis.
const POLICY: Policy =
    Policy { ttl: Duration::from_mins(5), max_bytes: 4 << 20, ..Policy::named("forecast", 1) };

impl Default for Table {
    fn default() -> Self {
        let mut secret = [0; 32];
        Context::system().ids.secret(&mut secret);
        Self { rows: Mutex::default(), secret }
    }
}

impl Table {
    fn read<T>(&self, read: impl FnOnce(&mut (BTreeMap<String, Forecast>, Log)) -> T) -> T {
        read(&mut self.rows.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Writes a forecast and the change to the log, in one transaction.
    pub fn write(&self, town: &str, forecast: Forecast) {
        self.read(|(rows, log)| {
            log.push([town_tag(town), region_tag(&forecast.region)]);
            rows.insert(town.to_owned(), forecast);
        });
    }

    /// Returns the tags of the changes after a position, with the position of the last one: how many there were.
    fn changes_after(&self, position: Position) -> (Vec<Tag>, Position) {
        self.read(|(_, log)| {
            let after = usize::try_from(position.0).unwrap_or(0).min(log.len());
            let tags = log[after..].iter().flatten().map(|tag| Tag::of(tag)).collect();
            (tags, Position(i64::try_from(log.len()).unwrap_or(i64::MAX)))
        })
    }
}

fn town_tag(town: &str) -> String {
    format!("town:{town}")
}

fn region_tag(region: &str) -> String {
    format!("region:{region}")
}

impl Service {
    /// Returns a process of the service on a table, with a Redis if there is one.
    pub fn new(table: Arc<Table>, redis: Option<Redis>) -> Self {
        let entries = redis.map(|redis| Arc::new(EntriesInRedis(Arc::new(redis))));
        let shared = entries.map(|entries| SharedTier::new(entries, &table.secret));
        let tiers = Tiers { shared, ..Tiers::in_memory(Context::system()) };
        let source = Arc::clone(&table);
        let forecasts = tiers.cached(POLICY, move |town: String| {
            let source = Arc::clone(&source);
            async move { Ok(load(&source, &town)) }
        });
        Self { table, drops: tiers.drops, forecasts }
    }

    /// Drops what was changed until now, by any process. After that, no entry is older than this call.
    ///
    /// The order matters: `set_complete_to` promises that every drop up to the position is known, and so it comes after
    /// `drop_tags`.
    fn catch_up(&self) {
        let (tags, position) = self.table.changes_after(self.drops.complete_to());
        if !tags.is_empty() {
            self.drops.drop_tags(tags, position);
            self.drops.set_complete_to(position);
        }
    }

    /// Returns the routes.
    pub fn routes(self) -> Router {
        Router::new().route("/forecasts/{town}", get(forecast).put(change)).with_state(self)
    }

    /// Returns how many forecasts this process read from the table: its loads, also those that
    /// refreshed an entry, without those that found the entry in Redis.
    pub fn reads_of_the_table(&self) -> u64 {
        let counts = self.forecasts.state().counts;
        counts.loads + counts.refreshes - counts.shared
    }
}

/// Reads a forecast, with the tags that drop it and its size in bytes, which counts for the 4 MiB: an estimate of what
/// it needs in memory is enough. A town without a forecast is no error but `None`, which is kept for
/// `Policy::negative_ttl`, five seconds, or until a change has the tag of the town.
fn load(table: &Table, town: &str) -> Loaded<Rendered<Forecast>> {
    let found = table.read(|(rows, _)| rows.get(town).cloned());
    let mut tags = vec![Tag::of(&town_tag(town))];
    tags.extend(found.iter().map(|forecast| Tag::of(&region_tag(&forecast.region))));
    let text = found.as_ref().map_or(0, |forecast| forecast.region.len() + forecast.weather.len());
    let bytes = u32::try_from(size_of::<Forecast>() + text).unwrap_or(u32::MAX);
    Loaded { value: found.map(Rendered::new), tags, bytes }
}

async fn forecast(
    State(service): State<Service>,
    Path(town): Path<String>,
) -> Result<Json<Forecast>, Failure> {
    service.catch_up();
    match service.forecasts.value(&town).await {
        Ok((forecast, _)) => Ok(Json(Forecast::clone(&forecast))),
        Err(LoadError::Missing) => Err(NotFound::Route.into()),
        Err(error) => Err(error.into()),
    }
}

async fn change(
    State(service): State<Service>,
    Path(town): Path<String>,
    Json(forecast): Json<Forecast>,
) -> StatusCode {
    service.table.write(&town, forecast);
    StatusCode::NO_CONTENT
}

#[tokio::main]
#[expect(clippy::disallowed_methods, reason = "a program of its own, which is configured by one variable")]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let redis = match std::env::var("REDIS_URL") {
        Ok(url) => Some(Redis::new(&url)?),
        Err(_) => None,
    };
    let table = Arc::new(Table::default());
    table.write("bremen", Forecast { region: "north".into(), weather: "rain".into() });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3001").await?;
    axum::serve(listener, Service::new(table, redis).routes()).await?;
    Ok(())
}
