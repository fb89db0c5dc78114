//! What `serve` and `worker` have in common: their metrics, and the event of their end.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use undercroft::domain::context::Context;

use super::{SERVE, Server, create_cart, get, run, send, signal, undercroft};
use crate::support::issuer::Issuer;
use crate::support::redis::redis_url;

/// Returns the events of ends, oldest first.
fn ends(folder: &Path) -> Vec<Value> {
    let arguments = ["events", "tail", "--no-follow", "--json", "--type", "service_shutdown"];
    let (code, text, errors) = run(folder, &arguments);
    assert_eq!(code, Some(0), "{errors}");
    text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["data"].clone()).collect()
}

/// Starts a server with metrics; returns its address and that of the metrics.
pub(super) fn start(command: &mut Command) -> (Server, String, String) {
    let (mut server, address) = Server::start(command.env("UNDERCROFT_METRICS__LISTEN", "127.0.0.1:0"));
    let line = server.wait_for_log("metrics are served");
    let metrics = line.split("address=").nth(1).expect(&line).trim().to_owned();
    (server, address, metrics)
}

/// Returns the response to a request for the metrics that is sent to a host.
pub(super) fn read_metrics(address: &str, host: &str) -> String {
    send(address, &format!("GET /metrics HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"))
}

/// Returns the value of a metric.
fn metric(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn metrics_count_requests_and_show_the_state_of_the_store() {
    let folder = TempDir::new().unwrap();
    let arguments = ["serve", "--no-demo", "--listen", "127.0.0.1:0"];
    let (server, address, metrics) = start(&mut undercroft(folder.path(), &arguments));
    assert!(create_cart(&address).starts_with("HTTP/1.1 201 "));
    assert!(send(&address, "GET / HTTP/9.9\r\n\r\n").starts_with("HTTP/1.1 400 "));
    let job = r#"{"subscriber": "webhooks"}"#;
    let run = ["jobs", "run", "retry_dead_letters", "--arguments", job, "--due-at", "2100-01-01T00:00:00Z"];
    let (code, _, errors) = super::run(folder.path(), &run);
    assert_eq!(code, Some(0), "{errors}");
    assert!(get(&address, "/metrics").starts_with("HTTP/1.1 404 "), "they are not public");
    // of a page of another site, whose name leads to this machine
    let foreign = read_metrics(&metrics, "rebound.example.com");
    assert!(foreign.starts_with("HTTP/1.1 403 ") && !foreign.contains("undercroft_http"), "{foreign}");
    assert!(get(&address, "/v1/products").starts_with("HTTP/1.1 200 "));

    let carts =
        "undercroft_http_request_duration_seconds_count{method=\"POST\",route=\"/v1/carts\",status=\"2xx\"}";
    let malformed = "undercroft_http_refused_heads_total{reason=\"malformed\"}";
    let deadline = Instant::now() + Duration::from_mins(1);
    let text = loop {
        let text = read_metrics(&metrics, "localhost");
        if [carts, malformed].map(|name| metric(&text, name)) == [Some(1.0); 2] {
            break text;
        }
        assert!(Instant::now() < deadline, "{text}");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(text.starts_with("HTTP/1.1 200 ") && text.ends_with("# EOF\n"), "{text}");
    assert!(
        text.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"),
        "{text}"
    );
    assert!(!text.contains("undercroft_requests_limit"), "requests are not limited: {text}");
    assert!(!text.contains("undercroft_redis_up"), "there is none: {text}");
    let version = format!("undercroft_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    assert_eq!(metric(&text, &version), Some(1.0), "{text}");
    for (name, value) in [
        ("undercroft_database_up", 1.0),
        ("undercroft_events_oldest_unread_age_seconds{subscriber=\"notifications\"}", 0.0),
        ("undercroft_dead_letters{subscriber=\"webhooks\"}", 0.0),
        ("undercroft_webhook_endpoints{state=\"active\"}", 0.0),
        ("undercroft_jobs{name=\"retry_dead_letters\",status=\"waiting\"}", 1.0),
        ("undercroft_cache_looks_total{outcome=\"failed\"}", 0.0),
        ("undercroft_cache_reads_total{cache=\"product\",outcome=\"hit\"}", 0.0),
        ("undercroft_cache_loads_total{cache=\"product\",source=\"shared\"}", 0.0),
        ("undercroft_cache_rejections_total{cache=\"product\"}", 0.0),
        ("undercroft_cache_too_large_total{cache=\"product\"}", 0.0),
        ("undercroft_cache_stale_hits_total{cache=\"product\"}", 0.0),
        ("undercroft_cache_entries{cache=\"product\"}", 0.0),
        ("undercroft_cache_size_bytes{cache=\"product\"}", 0.0),
        ("undercroft_log_lines_total{level=\"error\"}", 0.0),
        ("undercroft_signals_dropped_total{type=\"api_request_received\"}", 0.0),
    ] {
        assert_eq!(metric(&text, name), Some(value), "{name} in {text}");
    }
    let looks = metric(&text, "undercroft_cache_looks_total{outcome=\"read\"}");
    assert!(looks.is_some_and(|looks| looks >= 1.0), "for the list of products: {text}");
    for name in ["_count", "_bucket{le=\"+Inf\"}"] {
        assert_eq!(metric(&text, &format!("undercroft_cache_look_duration_seconds{name}")), looks, "{text}");
    }
    server.stop();
}

#[tokio::test]
async fn a_metric_says_for_each_use_whether_redis_responds() {
    let up = |cache: &str, sessions: &str| {
        let folder = TempDir::new().unwrap();
        let arguments = ["serve", "--no-demo", "--listen", "127.0.0.1:0"];
        let mut command = undercroft(folder.path(), &arguments);
        command.env("UNDERCROFT_CACHE", cache).env("UNDERCROFT_SESSIONS", sessions);
        let (server, _, metrics) = start(&mut command);
        let text = read_metrics(&metrics, "localhost");
        server.stop();
        ["caches", "rate limits", "sessions"]
            .map(|used_for| metric(&text, &format!("undercroft_redis_up{{used_for=\"{used_for}\"}}")))
    };
    let away = "redis://127.0.0.1:1";
    assert_eq!(up(away, "database:"), [Some(0.0), Some(0.0), None]);
    let Some(url) = redis_url().await else { return };
    assert_eq!(up(&url, away), [Some(1.0), Some(1.0), Some(0.0)]);
    assert_eq!(up("memory:", &url), [None, None, Some(1.0)]);
}

#[test]
fn an_orderly_end_is_an_event_and_a_kill_is_none() {
    let folder = TempDir::new().unwrap();
    let arguments = ["serve", "--no-worker", "--no-demo", "--listen", "127.0.0.1:0"];
    let (server, address) = Server::start(&mut undercroft(folder.path(), &arguments));
    create_cart(&address);
    server.stop();
    let [end] = &ends(folder.path())[..] else { panic!("one end") };
    assert_eq!((&end["service"], &end["reason"]), (&json!("server"), &json!("SIGTERM")));
    assert_eq!(end["requests"], json!({"served": 1, "drained": 0, "cut_off": 0}));
    assert_eq!(end["handed_over"]["postponed_events"], 0, "{end}");

    let (server, _) = Server::start(&mut undercroft(folder.path(), &arguments));
    server.signal("KILL");
    server.exit();
    let mut worker = undercroft(folder.path(), &["worker"]).stderr(Stdio::piped()).spawn().unwrap();
    super::wait_for_line(worker.stderr.as_mut().unwrap(), "working");
    signal(&worker, "INT");
    assert_eq!(worker.wait().unwrap().code(), Some(0));
    let [_, end] = &ends(folder.path())[..] else { panic!("an end without that of the killed server") };
    assert_eq!((&end["service"], &end["reason"]), (&json!("worker"), &json!("SIGINT")));
    assert_eq!(end["requests"], Value::Null);
}

#[test]
fn a_second_signal_ends_a_worker_that_records_its_end() {
    let folder = super::events::store();
    let mut command = undercroft(folder.path(), &["worker"]);
    let command = command.env("UNDERCROFT_LOG__LEVEL", "undercroft=debug").stderr(Stdio::piped());
    let mut worker = command.spawn().unwrap();
    super::wait_for_line(worker.stderr.as_mut().unwrap(), "working");

    // it has begun to run jobs when they are scheduled
    let database = rusqlite::Connection::open(folder.path().join("undercroft.db")).unwrap();
    let scheduled = "SELECT EXISTS (SELECT 1 FROM jobs)";
    let deadline = Instant::now() + Duration::from_mins(1);
    while !database.query_row(scheduled, [], |row| row.get::<_, bool>(0)).unwrap() {
        assert!(worker.try_wait().unwrap().is_none(), "the worker ended");
        assert!(Instant::now() < deadline, "no job is scheduled");
        std::thread::sleep(Duration::from_millis(10));
    }
    // the record of the end waits for another writer
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    signal(&worker, "TERM");
    super::wait_for_line(worker.stderr.as_mut().unwrap(), "running jobs");
    signal(&worker, "TERM");
    assert_eq!(worker.wait().unwrap().code(), Some(1));
}

#[test]
fn failures_of_handlers_are_counted() {
    let folder = TempDir::new().unwrap();
    let arguments = ["serve", "--no-demo", "--listen", "127.0.0.1:0"];
    let (server, _, metrics) = start(&mut undercroft(folder.path(), &arguments));
    // of a version that the program does not know
    let sql = "INSERT INTO outbox (id, type, version, subject, occurred_at, data) \
               VALUES (randomblob(16), 'order.paid', 99, 'a', 0, '{}')";
    let database = rusqlite::Connection::open(folder.path().join("undercroft.db")).unwrap();
    database.execute(sql, []).unwrap();
    let failures = "undercroft_handler_failures_total{subscriber=\"notifications\"}";
    wait_for_metric(&metrics, failures);
    server.stop();
}

#[test]
fn a_server_does_not_start_with_metrics_at_the_address_of_the_store() {
    let folder = TempDir::new().unwrap();
    let mut command = undercroft(folder.path(), &["serve", "--no-demo", "--listen", "127.0.0.1:9464"]);
    let output = command.env("UNDERCROFT_METRICS__LISTEN", "127.0.0.1:9464").output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(
        errors.starts_with("undercroft: `listen` and `metrics.listen` are both 127.0.0.1:9464: "),
        "{errors}"
    );
}

#[test]
fn a_redis_that_is_away_at_the_start_is_named_in_the_log_with_its_setting() {
    for (variable, named) in [
        ("UNDERCROFT_CACHE", r#"setting="cache" used_for="caches""#),
        ("UNDERCROFT_CACHE", r#"setting="cache" used_for="rate limits""#),
        ("UNDERCROFT_SESSIONS", r#"setting="sessions" used_for="sessions""#),
    ] {
        let folder = TempDir::new().unwrap();
        let mut command = undercroft(folder.path(), &["serve", "--no-demo", "--listen", "127.0.0.1:0"]);
        let (mut server, _) = Server::start(command.env(variable, "redis://ottilie:hush@127.0.0.1:1/3"));
        let line = server.wait_for_log(named);
        assert!(
            line.contains("Redis is not available") && line.contains(r#"server="127.0.0.1:1""#),
            "{line}"
        );
        assert!(!line.contains("hush") && !line.contains("ottilie"), "{line}");
        server.stop();
    }
}

#[test]
fn a_server_says_why_a_store_without_products_has_no_demo_catalogue() {
    let folder = TempDir::new().unwrap();
    let (code, _, errors) = run(folder.path(), &["migrate"]);
    assert_eq!(code, Some(0), "{errors}");
    let line = "no demo catalogue: the database was set up before";
    let with_demo = ["serve", "--listen", "127.0.0.1:0"];
    for (arguments, is_said) in [(&with_demo[..], true), (&SERVE[..], false)] {
        let (server, _) = Server::start(&mut undercroft(folder.path(), arguments));
        let log = server.stop();
        assert_eq!(log.contains(line), is_said, "{log}");
    }
}

#[test]
fn check_mode_of_the_caches_is_a_warning_in_the_log_at_the_start() {
    let folder = TempDir::new().unwrap();
    let warning = "caches.verify: each use of a cache is compared with the database";
    let (server, _) = Server::start(&mut undercroft(folder.path(), &SERVE));
    assert!(!server.stop().contains(warning));
    for service in [&SERVE[..], &["worker"]] {
        let mut command = undercroft(folder.path(), service);
        let command = command.env("UNDERCROFT_CACHES__VERIFY", "true");
        let mut process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let line = super::wait_for_line(process.stderr.as_mut().unwrap(), warning);
        signal(&process, "KILL");
        process.wait().unwrap();
        assert!(line.contains("WARN"), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_says_why_a_token_of_the_issuer_was_refused() {
    let (folder, issuer) = (TempDir::new().unwrap(), Issuer::start().await);
    let mut command = undercroft(folder.path(), &SERVE);
    command.env("UNDERCROFT_AUTHENTICATION__ISSUER", &issuer.url);
    command.env("UNDERCROFT_AUTHENTICATION__AUDIENCE", "shop");
    command.env("UNDERCROFT_AUTHENTICATION__ALGORITHMS", r#"["EdDSA"]"#);
    command.env("UNDERCROFT_AUTHENTICATION__LINK_BY_EMAIL", "true");
    let (mut server, address) = Server::start(&mut command);
    let now = Context::system().clock.now().as_second();
    let valid = json!({"iss": issuer.url, "aud": "shop", "sub": "ottilie", "iat": now - 1, "exp": now + 3600,
                       "email": "ottilie@example.org", "email_verified": true});
    for (changed, reason) in [
        (json!({"iss": format!("{}/", issuer.url)}), "another issuer"),
        (json!({"aud": "other"}), "another audience"),
        (json!({"exp": now - 3600}), "not valid at this time"),
        (json!({"email": null}), "its subject is not linked, and it has no `email`"),
        (
            json!({"email_verified": false}),
            "its subject is not linked, and its `email_verified` is not `true`",
        ),
        (json!({}), "no user has its e-mail address, and `create_users` is off"),
    ] {
        let mut claims = valid.clone();
        claims.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
        let token = issuer.signer.sign("JWT", &claims).unwrap();
        let head = format!("GET /v1/me HTTP/1.1\r\nhost: shop\r\nauthorization: Bearer {token}\r\n");
        let response = send(&address, &format!("{head}connection: close\r\n\r\n"));
        assert!(response.starts_with("HTTP/1.1 401 ") && !response.contains(reason), "{response}");
        let line = server.wait_for_log("a token of an identity provider was refused");
        assert!(line.contains(" INFO ") && line.contains(&format!("reason={reason}")), "{line}");
        assert!(line.contains("trace_id=") && !line.contains("ottilie") && !line.contains(&token), "{line}");
    }
    server.stop();
}

/// Waits until a metric is at least 1.
fn wait_for_metric(metrics: &str, name: &str) {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let text = read_metrics(metrics, "127.0.0.1:9464");
        if metric(&text, name) >= Some(1.0) {
            return;
        }
        assert!(Instant::now() < deadline, "{text}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_warning_before_there_are_metrics_is_counted() {
    let folder = TempDir::new().unwrap();
    let mut command = undercroft(folder.path(), &["serve", "--no-demo", "--listen", "127.0.0.1:0"]);
    // the server warns of a sandbox that other machines reach, before it opens the store
    command.env("UNDERCROFT_PAYMENTS__SANDBOX", "enabled");
    command.env("UNDERCROFT_PUBLIC_URL", "https://shop.example.com");
    let (server, _, metrics) = start(&mut command);
    wait_for_metric(&metrics, "undercroft_log_lines_total{level=\"warn\"}");
    server.stop();
}

#[test]
fn what_a_collector_does_not_accept_is_counted_at_the_metrics() {
    let folder = TempDir::new().unwrap();
    let mut command = undercroft(folder.path(), &["serve", "--no-demo", "--listen", "127.0.0.1:0"]);
    command.env("UNDERCROFT_TELEMETRY__OTLP", "http://127.0.0.1:1");
    let (server, address, metrics) = start(&mut command);
    create_cart(&address);
    for signal in ["metrics", "spans"] {
        wait_for_metric(&metrics, &format!("undercroft_telemetry_lost_total{{signal=\"{signal}\"}}"));
    }
    server.stop();
}
