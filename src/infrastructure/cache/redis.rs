//! The connection to Redis, without which the store goes on.
//!
//! A command waits for at most [`RESPONSE`]. After a failure, commands fail at once until [`PAUSE`] is over, so that a
//! Redis that does not respond delays one request in a pause and not every one.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use ::redis::aio::{ConnectionManager, ConnectionManagerConfig};
use ::redis::{Client, Cmd, FromRedisValue, RedisError, ScriptInvocation};
use tokio::time::{Instant, timeout};

/// The longest wait for the response to a command.
const RESPONSE: Duration = Duration::from_millis(250);
/// The longest time to connect, which commands do not wait for.
const CONNECT: Duration = Duration::from_secs(2);
/// How long no command is sent after one failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Redis does not respond, or responds with an error, which was logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Redis is not available")]
pub struct RedisUnavailable;

/// A connection that is opened by the first command, and again after it was lost.
pub struct Redis {
    connection: ConnectionManager,
    began: Instant,
    /// The end of the pause, in microseconds after the beginning.
    paused_until: AtomicU64,
    is_away: AtomicBool,
}

impl Redis {
    /// Returns the connection to the Redis at a URL, which need not be there yet. Call it on a runtime.
    pub fn new(url: &str) -> Result<Self, RedisError> {
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(1)
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(RESPONSE));
        Ok(Self {
            connection: ConnectionManager::new_lazy_with_config(Client::open(url)?, config)?,
            began: Instant::now(),
            paused_until: AtomicU64::new(0),
            is_away: AtomicBool::new(false),
        })
    }

    /// Runs a script.
    pub async fn run<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, RedisUnavailable> {
        let mut connection = self.connection.clone();
        self.within_time(script.invoke_async(&mut connection)).await
    }

    /// Runs a command.
    pub async fn command<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, RedisUnavailable> {
        let mut connection = self.connection.clone();
        self.within_time(command.query_async(&mut connection)).await
    }

    async fn within_time<T>(
        &self,
        response: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, RedisUnavailable> {
        let elapsed = micros(self.began.elapsed());
        if elapsed < self.paused_until.load(Relaxed) {
            return Err(RedisUnavailable);
        }
        let error = match timeout(RESPONSE, response).await {
            Ok(Ok(value)) => {
                if self.is_away.swap(false, Relaxed) {
                    tracing::info!("Redis responds again");
                }
                return Ok(value);
            }
            Ok(Err(error)) => error.to_string(),
            Err(elapsed) => elapsed.to_string(),
        };
        self.paused_until.store(micros(self.began.elapsed() + PAUSE), Relaxed);
        if !self.is_away.swap(true, Relaxed) {
            tracing::warn!(
                error,
                "Redis is not available; what processes share is each process's own until it is"
            );
        }
        Err(RedisUnavailable)
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("is_away", &self.is_away).finish_non_exhaustive()
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
