//! The connection to Redis, without which the store goes on.
//!
//! How long a command waits is its [`Patience`]. After one had no response, commands fail at once, and a task asks from
//! time to time whether Redis responds again: a Redis that is away or slow delays those requests that were waiting when
//! it was first noticed, and none after that. A response that is an error, such as that its memory is full, delays
//! nothing. So it is with a Redis that responds, and too slowly to be of use.
//!
//! A connection on which nothing comes is replaced by a new one: the network may have forgotten it, or a proxy may have
//! lost the server behind it, and neither says so.

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::Duration;

use ::redis::aio::{ConnectionManager, ConnectionManagerConfig};
use ::redis::io::tcp::TcpSettings;
use ::redis::{
    Client, Cmd, ErrorKind, FromRedisValue, IntoConnectionInfo, RedisError, ScriptInvocation,
    ServerErrorKind, cmd,
};
use tokio::time::{Instant, sleep, timeout};

use super::patience::{Patience, Responses};

/// The longest time to connect, which commands do not wait for.
const CONNECT: Duration = Duration::from_secs(2);
/// The longest time for which what was sent is not acknowledged, after which the connection is closed.
#[cfg(target_os = "linux")]
const ACKNOWLEDGEMENT: Duration = Duration::from_secs(5);
/// The least time between two errors of Redis in the log.
const LOGGED: Duration = Duration::from_mins(1);

/// Redis does not respond, or responds with an error, which was logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Redis is not available")]
pub struct RedisUnavailable;

/// Why a Redis that was checked cannot be used. It names the server, without user and password.
#[derive(Debug, Clone, thiserror::Error)]
#[error("Redis at {server} cannot be used: {error}")]
pub struct RedisCheckError {
    server: String,
    error: RedisError,
}

/// A connection that is opened by the first command, and again after it was lost.
pub struct Redis {
    connection: Arc<Connection>,
    patience: Patience,
    began: Instant,
    /// Until when no error is logged, in microseconds after the beginning.
    logged_until: AtomicU64,
    shown: Arc<Shown>,
}

/// The connection that commands use now, which opens itself again after an error.
struct Connection {
    client: Client,
    current: RwLock<ConnectionManager>,
    /// Whether a command had no response, or responses were too slow, and Redis has not responded in time since.
    is_away: AtomicBool,
    responses: Mutex<Responses>,
}

/// How the log shows a Redis: without its user and password.
#[derive(Debug, Clone)]
struct Shown {
    server: String,
    setting: Option<&'static str>,
    used_for: Option<&'static str>,
}

impl Redis {
    /// Returns the connection to the Redis at a URL, which need not be there yet. Call it on a runtime of Tokio.
    ///
    /// # Errors
    ///
    /// [`RedisError`] if the text is no URL of Redis.
    ///
    /// # Panics
    ///
    /// Outside of a runtime of Tokio.
    pub fn new(url: &str) -> Result<Self, RedisError> {
        Self::with_patience(url, Patience::default())
    }

    /// Returns the connection to the Redis at a URL, with its own patience; see [`Redis::new`]. Call it on a runtime of
    /// Tokio.
    ///
    /// # Errors
    ///
    /// [`RedisError`] if the text is no URL of Redis.
    ///
    /// # Panics
    ///
    /// Outside of a runtime of Tokio.
    pub fn with_patience(url: &str, patience: Patience) -> Result<Self, RedisError> {
        let client = Client::open(url.into_connection_info()?.set_tcp_settings(tcp_settings()))?;
        let server = client.get_connection_info().addr().to_string();
        Ok(Self {
            connection: Arc::new(Connection::new(client)?),
            patience,
            began: Instant::now(),
            logged_until: AtomicU64::new(0),
            shown: Arc::new(Shown { server, setting: None, used_for: None }),
        })
    }

    /// Lets the log and the metrics name the setting that has the URL, and what the connection is for.
    #[must_use]
    pub fn named(self, setting: &'static str, used_for: &'static str) -> Self {
        let server = self.shown.server.clone();
        let shown = Shown { server, setting: Some(setting), used_for: Some(used_for) };
        Self { shown: Arc::new(shown), ..self }
    }

    /// Lets commands go on with a Redis however many of its responses are slow, as long as each comes in time, such as
    /// those that look through all of its keys.
    #[must_use]
    pub fn however_slow(self) -> Self {
        Self { patience: Patience { slow: None, ..self.patience }, ..self }
    }

    /// Returns what the connection is for, as [`Redis::named`] says.
    pub fn used_for(&self) -> Option<&'static str> {
        self.shown.used_for
    }

    /// Returns the host and the port of the server.
    pub fn server(&self) -> &str {
        &self.shown.server
    }

    /// Runs a script.
    pub async fn run<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, RedisUnavailable> {
        self.within_time(|mut connection| async move { script.invoke_async(&mut connection).await }).await
    }

    /// Runs a command.
    pub async fn command<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, RedisUnavailable> {
        self.within_time(|mut connection| async move { command.query_async(&mut connection).await }).await
    }

    /// Checks whether Redis responds, also one that did not, and waits as long as a connection may take. Nothing is
    /// logged.
    ///
    /// # Errors
    ///
    /// That of the connection or of the command, such as one that requires a password.
    pub async fn check(&self) -> Result<(), RedisCheckError> {
        self.ping().await.map_err(|error| RedisCheckError { server: self.shown.server.clone(), error })
    }

    async fn ping(&self) -> Result<(), RedisError> {
        let mut connection = self.connection.current();
        let pong =
            timeout(CONNECT + self.patience.response, cmd("PING").query_async::<String>(&mut connection))
                .await;
        pong.map_err(|_| RedisError::from(io::Error::from(io::ErrorKind::TimedOut)))?.map(drop)
    }

    /// Checks whether Redis responds, as [`Redis::check`] does, and logs it if it does not: at the start of a service,
    /// before a request needs it.
    pub async fn ask(&self) {
        match self.ping().await {
            Ok(()) => {}
            Err(error) if is_response(&error) => self.log_response(&error),
            Err(error) => self.leave(&error.to_string()),
        }
    }

    async fn within_time<T, F: Future<Output = Result<T, RedisError>>>(
        &self,
        send: impl Fn(ConnectionManager) -> F,
    ) -> Result<T, RedisUnavailable> {
        if self.connection.is_away.load(Relaxed) {
            return Err(RedisUnavailable);
        }
        let sent = Instant::now();
        let response = async {
            match send(self.connection.current()).await {
                // a server that was restarted, or closed a connection without use, is there
                Err(error) if self.patience.sends_again && error.is_connection_dropped() => {
                    send(self.connection.current()).await
                }
                response => response,
            }
        };
        let error = match timeout(self.patience.response, response).await {
            Ok(Ok(value)) => {
                self.count_response(sent);
                return Ok(value);
            }
            Ok(Err(error)) if is_response(&error) => {
                self.count_response(sent);
                self.log_response(&error);
                return Err(RedisUnavailable);
            }
            Ok(Err(error)) => error.to_string(),
            Err(elapsed) => elapsed.to_string(),
        };
        self.leave(&error);
        Err(RedisUnavailable)
    }

    /// Counts the response to a command that was sent at a time, and leaves Redis if there were too many slow ones.
    fn count_response(&self, sent: Instant) {
        let is_too_slow = self.connection.responses().is_too_slow(sent, Instant::now(), &self.patience);
        if is_too_slow {
            self.leave("its last responses were too slow");
        }
    }

    /// Lets commands fail at once until Redis responds again, and logs it once.
    fn leave(&self, error: &str) {
        if !self.connection.is_away.swap(true, Relaxed) {
            let Shown { server, setting, used_for } = &*self.shown;
            tracing::warn!(server, setting, used_for, error, "Redis is not available");
            let pause = self.connection.responses().next_pause(Instant::now(), &self.patience);
            let (connection, shown) = (Arc::downgrade(&self.connection), Arc::clone(&self.shown));
            tokio::spawn(until_back(connection, (self.patience, pause), shown));
        }
    }

    /// Logs a response that is an error, unless one was logged in the last minute.
    fn log_response(&self, error: &RedisError) {
        let now = self.began.elapsed();
        if self.logged_until.load(Relaxed) <= micros(now) {
            self.logged_until.store(micros(now + LOGGED), Relaxed);
            let Shown { server, setting, used_for } = &*self.shown;
            tracing::warn!(server, setting, used_for, %error, "Redis responds with an error");
        }
    }
}

impl Connection {
    fn new(client: Client) -> Result<Self, RedisError> {
        let current = ConnectionManager::new_lazy_with_config(client.clone(), config())?;
        let (is_away, responses) = (AtomicBool::new(false), Mutex::default());
        Ok(Self { client, current: RwLock::new(current), is_away, responses })
    }

    fn responses(&self) -> MutexGuard<'_, Responses> {
        self.responses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn current(&self) -> ConnectionManager {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns whether Redis responds in time, and not slowly. If nothing comes, another connection is opened for the
    /// next time.
    async fn responds(&self, patience: &Patience) -> bool {
        let (mut current, ping, sent) = (self.current(), cmd("PING"), Instant::now());
        let response = timeout(patience.response, ping.query_async::<String>(&mut current)).await;
        let took = sent.elapsed();
        if response.is_err() {
            self.replace().await;
        }
        matches!(response, Ok(Ok(text)) if text == "PONG") && !patience.is_slow(took)
    }

    /// Opens another connection in place of the present one, which stays if that fails.
    async fn replace(&self) {
        let opened = ConnectionManager::new_with_config(self.client.clone(), config());
        if let Ok(Ok(opened)) = timeout(CONNECT, opened).await {
            *self.current.write().unwrap_or_else(PoisonError::into_inner) = opened;
        }
    }
}

/// Asks Redis after each pause whether it responds again, until it does or the connection is not used any more.
async fn until_back(
    connection: Weak<Connection>,
    (patience, pause): (Patience, Duration),
    shown: Arc<Shown>,
) {
    loop {
        sleep(pause).await;
        let Some(connection) = connection.upgrade() else { return };
        if connection.responds(&patience).await {
            connection.responses().return_at(Instant::now());
            connection.is_away.store(false, Relaxed);
            let Shown { server, setting, used_for } = &*shown;
            tracing::info!(server, setting, used_for, "Redis responds again");
            return;
        }
    }
}

/// Returns how a connection is opened, also again after an error.
fn config() -> ConnectionManagerConfig {
    ConnectionManagerConfig::new()
        .set_number_of_retries(1)
        .set_connection_timeout(Some(CONNECT))
        // each command has a time-out of its own above, which includes the connection
        .set_response_timeout(None)
}

/// Returns how TCP connections are opened. Other systems than Linux have their own limit, of several minutes.
fn tcp_settings() -> TcpSettings {
    let settings = TcpSettings::default();
    #[cfg(target_os = "linux")]
    let settings = settings.set_user_timeout(ACKNOWLEDGEMENT);
    settings
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("is_away", &self.connection.is_away).finish_non_exhaustive()
    }
}

/// Returns whether an error is a response of Redis. One of a server that is starting, or whose primary is away, counts
/// as none.
fn is_response(error: &RedisError) -> bool {
    use ServerErrorKind::{BusyLoading, ClusterDown, MasterDown};
    match error.kind() {
        ErrorKind::Server(kind) => !matches!(kind, BusyLoading | ClusterDown | MasterDown),
        ErrorKind::Extension | ErrorKind::UnexpectedReturnType => true,
        _ => false,
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
