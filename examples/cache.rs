//! A service that keeps what it reads: forecasts of towns, from a table with a log of its changes. They are in
//! memory, and in Redis too if `REDIS_URL` names one, so that further processes need not read them again. A
//! forecast has the tags of its town and of its region; a change of one town drops all forecasts of its region, in
//! every process, before the next one is read. That a town has no forecast is kept, too, until the town gets one.
//!
//! What makes this right is the log. It must be durable, the same for all processes, and written in the transaction of
//! the change; its positions only ever increase. A log in the memory of one process leaves old entries in the others,
//! and one that begins anew, such as after a backup is restored, old entries in Redis. So the secret that signs entries
//! in Redis belongs to the log: one that begins anew has another secret. Here the table, its log and the secret are a
//! file for brevity, `forecasts.jsonl` or what `FORECASTS` names. A real service has all three in its database, as the
//! store has. "A cache over your database" in CONTRIBUTING.md has the steps for a database of the library.
//!
//! The file is never restored to an earlier state, and so `Tiers::catch_up` is `None`: an old copy of it that is put
//! back would need another secret in its first line. A service with a source that may be restored, such as a database,
//! sets it and records the entries of the log (`Drops::record`).
//!
//! `cargo run --example cache` serves `GET /forecasts/bremen` on port 3001, or that in `PORT`, and
//! `PUT /forecasts/bremen` changes it. Further processes with other ports share the file:
//!
//! ```sh
//! curl http://127.0.0.1:3001/forecasts/bremen
//! curl -X PUT http://127.0.0.1:3001/forecasts/kiel -H 'content-type: application/json' \
//!   -d '{"region": "north", "weather": "wind"}'
//! ```

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
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
use undercroft::infrastructure::exceptions::{Failure, NotFound, Technical, TechnicalKind};
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

/// The table: a file of JSON Lines, which the processes of the service share. Its first line is the secret, and each
/// other one a change. The newest change of a town is its forecast; all of them are the log.
pub struct Table {
    file: PathBuf,
    /// What signs entries in Redis, so that none of another table is used, nor one of an earlier log.
    secret: [u8; 32],
}

/// A line of the table.
#[derive(Serialize, Deserialize)]
struct Change {
    town: String,
    forecast: Forecast,
}

/// A process of the service.
#[derive(Clone)]
pub struct Service {
    table: Arc<Table>,
    drops: Arc<Drops>,
    forecasts: Cached<String, Rendered<Forecast>, Failure>,
}

/// How forecasts are kept: for five minutes at most, in 4 MiB of memory, and otherwise as `Policy::named` sets it. The
/// name is in metrics and keys of Redis. The number is the version of the shape of keys and values: increment it with
/// each change of `Forecast`, of its tags or of how it is read, and no process uses what another release has put into
/// Redis.
const POLICY: Policy =
    Policy { ttl: Duration::from_mins(5), max_bytes: 4 << 20, ..Policy::named("forecast", 1) };

impl Table {
    /// Opens the table; creates it with a new secret if it is not there.
    pub fn open(file: PathBuf) -> io::Result<Self> {
        let mut opened = File::options().append(true).create(true).open(&file)?;
        // another process may open it at the same time
        opened.lock()?;
        if opened.metadata()?.len() == 0 {
            let mut secret = [0_u8; 32];
            Context::system().ids.secret(&mut secret);
            writeln!(opened, "{}", serde_json::to_string(&secret)?)?;
        }
        drop(opened);
        let text = fs::read_to_string(&file)?;
        let secret = serde_json::from_str(text.lines().next().unwrap_or_default())?;
        Ok(Self { file, secret })
    }

    /// Writes a forecast, and with the same line the change to the log.
    pub fn write(&self, town: &str, forecast: Forecast) -> io::Result<()> {
        let line = serde_json::to_string(&Change { town: town.to_owned(), forecast })? + "\n";
        let mut opened = File::options().append(true).open(&self.file)?;
        opened.lock()?;
        opened.write_all(line.as_bytes())?;
        opened.sync_data()
    }

    /// Returns all changes, in order.
    fn changes(&self) -> io::Result<Vec<Change>> {
        let text = fs::read_to_string(&self.file)?;
        // a line without its end is still being written
        let complete = text.rfind('\n').map_or("", |end| &text[..end]);
        complete.lines().skip(1).map(|line| serde_json::from_str(line).map_err(io::Error::from)).collect()
    }

    /// Returns the tags of the changes after a position, with the position of the last one: how many there were.
    fn changes_after(&self, position: Position) -> io::Result<(Vec<Tag>, Position)> {
        let changes = self.changes()?;
        let after = usize::try_from(position.0).unwrap_or(0).min(changes.len());
        let tags = changes[after..].iter().flat_map(|Change { town, forecast }| {
            [town_tag(town), region_tag(&forecast.region)].map(|tag| Tag::of(&tag))
        });
        Ok((tags.collect(), Position(i64::try_from(changes.len()).unwrap_or(i64::MAX))))
    }
}

/// Returns the failure of a request whose table cannot be read or written.
fn unavailable(error: io::Error) -> Failure {
    Technical::new(TechnicalKind::Unavailable, error).into()
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
            async move { load(&source, &town).map_err(unavailable) }
        });
        Self { table, drops: tiers.drops, forecasts }
    }

    /// Drops what was changed until now, by any process. After that, no entry is older than this call.
    ///
    /// The order matters: `set_complete_to` promises that every drop up to the position is known, and so it comes after
    /// `drop_tags`. Requests may call it at the same time: each drops all that it finds itself after a position up to
    /// which every drop is known, the same change once more at worst, and the position never decreases.
    fn catch_up(&self) -> Result<(), Failure> {
        let known = self.drops.complete_to();
        let (tags, position) = self.table.changes_after(known).map_err(unavailable)?;
        if !tags.is_empty() {
            self.drops.drop_tags(tags, position);
            self.drops.set_complete_to(position);
        }
        Ok(())
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
fn load(table: &Table, town: &str) -> io::Result<Loaded<Rendered<Forecast>>> {
    let newest = table.changes()?.into_iter().rfind(|change| change.town == town);
    let found = newest.map(|change| change.forecast);
    let mut tags = vec![Tag::of(&town_tag(town))];
    tags.extend(found.iter().map(|forecast| Tag::of(&region_tag(&forecast.region))));
    let text = found.as_ref().map_or(0, |forecast| forecast.region.len() + forecast.weather.len());
    let bytes = u32::try_from(size_of::<Forecast>() + text).unwrap_or(u32::MAX);
    Ok(Loaded { value: found.map(Rendered::new), tags, bytes })
}

async fn forecast(
    State(service): State<Service>,
    Path(town): Path<String>,
) -> Result<Json<Forecast>, Failure> {
    service.catch_up()?;
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
) -> Result<StatusCode, Failure> {
    service.table.write(&town, forecast).map_err(unavailable)?;
    Ok(StatusCode::NO_CONTENT)
}

#[tokio::main]
#[expect(clippy::disallowed_methods, reason = "a program of its own, which is configured by variables")]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let redis = match std::env::var("REDIS_URL") {
        Ok(url) => Some(Redis::new(&url)?),
        Err(_) => None,
    };
    let file = std::env::var("FORECASTS").unwrap_or_else(|_| "forecasts.jsonl".to_owned());
    let table = Arc::new(Table::open(file.into())?);
    if table.changes()?.is_empty() {
        table.write("bremen", Forecast { region: "north".into(), weather: "rain".into() })?;
    }
    let port = std::env::var("PORT").unwrap_or_else(|_| "3001".to_owned());
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    axum::serve(listener, Service::new(table, redis).routes()).await?;
    Ok(())
}
