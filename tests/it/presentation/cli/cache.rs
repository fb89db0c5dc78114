//! `undercroft cache`: the caches are shown, cleared and warmed.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use undercroft::domain::context::Context;
use undercroft::infrastructure::cache::{EntriesInRedis, Redis, SharedTier};
use undercroft::infrastructure::repositories::{Database, DatabaseUrl, Setup};

use super::events::store;
use super::{run, undercroft};
use crate::support::redis::redis_url;
use crate::support::{Line, Proxy};

/// The objects that a command prints.
fn objects(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn caches_are_shown_cleared_and_warmed() {
    let folder = store();
    let cache = |arguments: &[&str]| {
        let (code, text, errors) = run(folder.path(), &[&["cache"], arguments].concat());
        assert_eq!(code, Some(0), "{arguments:?}: {errors}");
        text
    };
    let text = cache(&["look"]);
    assert!(text.contains("product           at most 600 s, 33554432 bytes in each process\n"), "{text}");
    let invalidations = |text: &str| objects(text).pop().unwrap()["invalidations"].as_u64().unwrap();
    let before = invalidations(&cache(&["look", "--json"]));
    assert!(before > 0);

    assert_eq!(
        cache(&["clear", "products", "categories"]),
        "dropped on every server: products, categories\n"
    );
    assert_eq!(cache(&["clear"]), "dropped on every server: everything\n");
    assert_eq!(invalidations(&cache(&["look", "--json"])), before + 2);
    let (_, log, _) = run(folder.path(), &["audit", "export"]);
    let cleared = objects(&log).iter().filter(|entry| entry["action"] == "undercroft cache clear").count();
    assert_eq!(cleared, 2, "{log}");
    let (code, _, errors) = run(folder.path(), &["cache", "clear", "sheep"]);
    assert_eq!(code, Some(2), "{errors}");
    assert!(errors.contains("not a tag: tags are `products`, `product:ID`"), "{errors}");

    let warm = cache(&["warm"]);
    assert!(
        warm.ends_with(" is waiting; a server or worker runs it: see `undercroft jobs list`\n"),
        "{warm}"
    );
    let (_, jobs, _) = run(folder.path(), &["jobs", "list", "--status", "waiting"]);
    assert!(jobs.contains("warm_caches"), "{jobs}");
}

/// The beginning of the keys of the store in a folder.
async fn prefix(folder: &Path, redis: &str) -> String {
    let url = DatabaseUrl::Sqlite(folder.join("undercroft.db"));
    let database = Database::open(&url, Context::system(), Setup::ReadOnly).await.unwrap();
    let entries = Arc::new(EntriesInRedis(Arc::new(Redis::new(redis).unwrap())));
    let tier = SharedTier::new(entries, &database.signing_key().sign("cache entries", &[]));
    tier.prefix().to_owned()
}

#[tokio::test]
async fn the_entries_in_redis_are_counted_by_cache() {
    let Some(url) = redis_url().await else { return };
    let folder = store();
    // a database of Redis that no other test uses
    let url = format!("{}/9", url.trim_end_matches('/'));
    let mut redis =
        redis::Client::open(url.as_str()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let own = prefix(folder.path(), &url).await;
    let of_store = ["product:1:0a", "product:1:0b", "listing:1:0c", "listing:1:0c:turn"];
    let of_another = "undercroft:cache:0000000000000000:product:1:0d".to_owned();
    for key in of_store.map(|name| format!("{own}{name}")).into_iter().chain([of_another]) {
        let _: () = redis::cmd("SET").arg(key).arg(1).query_async(&mut redis).await.unwrap();
    }
    let clear =
        undercroft(folder.path(), &["cache", "clear"]).env("UNDERCROFT_CACHE", &url).output().unwrap();
    let cleared = String::from_utf8(clear.stdout).unwrap();
    assert!(
        cleared.ends_with("\nEntries in Redis are no longer used; they stay until they expire.\n"),
        "{cleared}"
    );
    let look = undercroft(folder.path(), &["cache", "look", "--json"])
        .env("UNDERCROFT_CACHE", &url)
        .env("UNDERCROFT_CACHES__LIMIT_BYTES__PRODUCT", "7")
        .output()
        .unwrap();
    let text = undercroft(folder.path(), &["cache", "look"]).env("UNDERCROFT_CACHE", &url).output().unwrap();
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("in each process; in Redis: 2 entries, including dropped ones\n"), "{text}");
    assert!(text.contains("\nRedis at ") && text.ends_with(" responds\n"), "{text}");
    let objects = objects(&String::from_utf8(look.stdout).unwrap());
    assert_eq!(objects.last().unwrap()["responds"], true);
    let of = |name: &str| objects.iter().find(|cache| cache["cache"] == name).unwrap();
    assert_eq!((&of("product")["entries_in_redis"], &of("product")["limit_bytes"]), (&2.into(), &7.into()));
    assert_eq!(
        (&of("listing")["entries_in_redis"], &of("search")["entries_in_redis"]),
        (&1.into(), &0.into())
    );
    let _: () = redis::cmd("FLUSHDB").query_async(&mut redis).await.unwrap();
}

#[test]
fn a_redis_that_is_away_differs_from_none() {
    let folder = store();
    let look = |redis: &str, arguments: &[&str]| {
        let mut command = undercroft(folder.path(), &[&["cache", "look"], arguments].concat());
        let output = command.env("UNDERCROFT_CACHE", redis).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(!look("memory:", &[]).contains("Redis"));
    let away = "redis://ottilie:hush@127.0.0.1:1";
    let text = look(away, &[]);
    let error = "Redis at 127.0.0.1:1 cannot be used: Connection refused";
    assert!(text.lines().last().unwrap().starts_with(error), "{text}");
    let last = objects(&look(away, &["--json"])).pop().unwrap();
    assert_eq!((&last["redis"], &last["responds"]), (&json!("127.0.0.1:1"), &json!(false)));
    assert!(last["error"].as_str().unwrap().starts_with(error), "{last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_to_which_the_connection_takes_longer_than_a_command_may_is_not_away() {
    let Some(url) = redis_url().await else { return };
    let (proxy, through) = Proxy::before_redis(&url).await.unwrap();
    // a new connection sends more than one command before the first one of the caches
    proxy.set(Line::Slow(Duration::from_millis(100)));
    let folder = store();
    let look = undercroft(folder.path(), &["cache", "look", "--json"])
        .env("UNDERCROFT_CACHE", &through)
        .output()
        .unwrap();
    let last = objects(&String::from_utf8(look.stdout).unwrap()).pop().unwrap();
    assert_eq!(last["responds"], true, "{last}");
}

#[test]
fn a_limit_of_an_unknown_cache_is_refused() {
    let folder = store();
    let mut command = undercroft(folder.path(), &["cache", "look"]);
    let output = command.env("UNDERCROFT_CACHES__LIMIT_BYTES__SHEEP", "7").output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("`sheep` is not a cache; those are product, "), "{errors}");
}
