//! The worker as a process of its own.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::events::store;
use super::{Server, run, signal, undercroft};

/// Returns the number of events that the subscriber of webhooks, which gets all, has not read.
fn unread(folder: &std::path::Path) -> i64 {
    let (code, text, errors) = run(folder, &["events", "subscribers", "--json"]);
    assert_eq!(code, Some(0), "{errors}");
    let subscribers = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    subscribers.filter(|one| one["subscriber"] == "webhooks").map(|one| one["unread"].as_i64().unwrap()).sum()
}

/// Adds an endpoint: without one, the subscriber of webhooks has nothing to read.
fn add_webhook_endpoint(folder: &std::path::Path) {
    let sql = "INSERT INTO webhook_endpoints (id, url, description, event_types, secret, active, version, created_at, \
               updated_at) VALUES (zeroblob(16), 'https://example.com/', '', '[]', '', TRUE, 1, ?1, ?1)";
    let database = rusqlite::Connection::open(folder.join("undercroft.db")).unwrap();
    assert_eq!(database.execute(sql, [0]).unwrap(), 1);
}

#[test]
fn webhook_endpoints_are_listed_as_json_without_their_secrets() {
    let folder = store();
    add_webhook_endpoint(folder.path());
    let (code, text, errors) = run(folder.path(), &["webhooks", "list", "--json"]);
    assert_eq!(code, Some(0), "{errors}");
    let endpoint: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&endpoint["url"], &endpoint["active"]), (&"https://example.com/".into(), &true.into()));
    assert!(endpoint.get("secret").is_none(), "{endpoint}");
}

#[test]
fn a_server_without_a_worker_leaves_the_events_to_another_process() {
    let folder = store();
    add_webhook_endpoint(folder.path());
    assert!(unread(folder.path()) > 0);
    let arguments = ["serve", "--no-worker", "--no-demo", "--listen", "127.0.0.1:0"];
    let (server, _) = Server::start(&mut undercroft(folder.path(), &arguments));
    std::thread::sleep(Duration::from_secs(1));
    assert!(unread(folder.path()) > 0);

    let mut worker = undercroft(folder.path(), &["worker"]).stderr(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_mins(1);
    while unread(folder.path()) > 0 {
        assert!(Instant::now() < deadline, "the worker delivers no events");
        std::thread::sleep(Duration::from_millis(50));
    }
    signal(&worker, "TERM");
    assert_eq!(worker.wait().unwrap().code(), Some(0));
    server.stop();
}
