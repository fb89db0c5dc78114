//! The connection to Redis, which caches, sessions and rate limits use.

use std::time::Duration;

use redis::cmd;
use undercroft::infrastructure::cache::{Patience, Redis};

use crate::support::redis::redis_url;
use crate::support::{Line, Proxy, eventually};

async fn responds(redis: &Redis) -> bool {
    redis.command::<String>(&cmd("PING")).await.is_ok()
}

#[tokio::test]
async fn a_connection_that_the_network_forgot_is_replaced() {
    let Some(url) = redis_url().await else { return };
    let (proxy, through) = Proxy::before(&url).await.unwrap();
    let again = Patience { pause: Duration::from_millis(250), sends_again: true, ..Patience::default() };
    for patience in [Patience::default(), again] {
        let redis = Redis::with_patience(&through, patience).unwrap();
        eventually("a response", async || responds(&redis).await).await;
        for _ in 0..2 {
            proxy.set(Line::Lost);
            assert!(!responds(&redis).await, "nothing comes on the connection of before");
            eventually("a response on another connection", async || responds(&redis).await).await;
        }
    }
}

#[tokio::test]
async fn a_redis_that_responds_slowly_is_not_waited_for_until_it_is_fast() {
    let Some(url) = redis_url().await else { return };
    let (proxy, through) = Proxy::before_redis(&url).await.unwrap();
    // each command has a response in time
    let patience = Patience { response: Duration::from_secs(10), ..Patience::default() };
    let [redis, patient] = [(); 2].map(|()| Redis::with_patience(&through, patience).unwrap());
    let patient = patient.however_slow();
    for redis in [&redis, &patient] {
        eventually("a response", async || responds(redis).await).await;
    }

    proxy.set(Line::Slow(Duration::from_millis(200)));
    let mut slow = 0;
    while responds(&redis).await {
        slow += 1;
        assert!(slow <= 8, "it is still waited for");
    }
    // longer than two pauses
    for _ in 0..12 {
        assert!(responds(&patient).await);
        assert!(!responds(&redis).await, "it was asked, and was as slow");
    }
    proxy.set(Line::Open);
    eventually("a fast response", async || responds(&redis).await).await;
}
