//! The Redis of the tests.

use tokio::net::TcpStream;

use super::{report_skipped, required};

/// The URL of Redis unless `UNDERCROFT_TEST_REDIS` is set.
const REDIS: &str = "redis://127.0.0.1:6379";

/// The URL of Redis, or `None` with a message if it is not available and is not required.
#[expect(clippy::disallowed_methods, reason = "the location of test services is no setting of the store")]
pub async fn redis_url() -> Option<String> {
    let url = std::env::var("UNDERCROFT_TEST_REDIS").unwrap_or_else(|_| REDIS.into());
    let address = url.rsplit(['/', '@']).find(|part| part.contains(':')).unwrap_or_default();
    match TcpStream::connect(address).await {
        Ok(_) => Some(url),
        Err(error) if required() => panic!("Redis is required and is not available: {error}"),
        Err(_) => {
            report_skipped(&format!("the tests on Redis, because none is available at {address}"));
            None
        }
    }
}
