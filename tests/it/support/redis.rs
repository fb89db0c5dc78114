//! The Redis of the tests.

use std::time::Duration;

use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use tokio::net::TcpStream;
use undercroft::infrastructure::cache::{Patience, Redis};

use super::{TestClient, report_skipped, required};

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

/// A Redis that is waited for also while the machine runs other tests, for tests of what it has.
pub fn patient(url: &str) -> Redis {
    let patience = Patience { response: Duration::from_secs(20), slow: None, ..Patience::default() };
    Redis::with_patience(url, patience).unwrap()
}

/// What Redis has of the sessions of a shop.
pub struct InRedis {
    /// A connection.
    pub redis: MultiplexedConnection,
    /// What the keys begin with.
    pub prefix: String,
}

/// A copy of keys with their values and times to live.
pub type Snapshot = Vec<(String, Vec<u8>, i64)>;

impl InRedis {
    /// What Redis has of the shop in which a client is logged in.
    pub async fn of(client: &TestClient) -> Self {
        let id = current_session(client).await;
        let mut redis = connect().await;
        let keys: Vec<String> = redis.keys(format!("undercroft:session:*:{id}")).await.unwrap();
        let [key] = &keys[..] else { panic!("{keys:?}") };
        Self { redis, prefix: key.strip_suffix(&id).unwrap().to_owned() }
    }

    /// The keys, sorted.
    pub async fn keys(&mut self) -> Vec<String> {
        let mut keys: Vec<String> = self.redis.keys(format!("{}*", self.prefix)).await.unwrap();
        keys.sort();
        keys
    }

    /// A copy of everything.
    pub async fn snapshot(&mut self) -> Snapshot {
        let mut snapshot = Vec::new();
        for key in self.keys().await {
            let bytes = redis::cmd("DUMP").arg(&key).query_async(&mut self.redis).await.unwrap();
            let ttl: i64 = self.redis.pttl(&key).await.unwrap();
            assert!(ttl > 0, "{key} stays for ever");
            snapshot.push((key, bytes, ttl));
        }
        snapshot
    }

    /// Removes everything.
    pub async fn flush(&mut self) {
        for key in self.keys().await {
            let _: () = self.redis.del(key).await.unwrap();
        }
    }

    /// Replaces everything by a copy.
    pub async fn restore(&mut self, snapshot: &Snapshot) {
        self.flush().await;
        for (key, bytes, ttl) in snapshot {
            let mut restore = redis::cmd("RESTORE");
            restore.arg(key).arg(ttl).arg(&bytes[..]).arg("REPLACE");
            let () = restore.query_async(&mut self.redis).await.unwrap();
        }
    }
}

async fn connect() -> MultiplexedConnection {
    let url = redis_url().await.unwrap();
    redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap()
}

/// The id of the session of a client.
pub async fn current_session(client: &TestClient) -> String {
    let list = client.get("/v1/me/sessions").await.expect(200);
    let mut items = list["items"].as_array().unwrap().iter();
    items.find(|session| session["current"] == true).unwrap()["id"].as_str().unwrap().to_owned()
}
