//! `replicate` keeps a database in step with that of a store which is served, through kills of both.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{Server, create_cart, get, run, serve, signal, undercroft};
use crate::support::EmptyPostgres;
use crate::support::import::DEMO;

/// Starts `replicate` in the background.
fn replicate(folder: &Path, arguments: &[&str]) -> Child {
    let arguments = [&["replicate"], arguments].concat();
    undercroft(folder, &arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Requests a cart of a server that may be killed; returns whether it was created.
fn try_to_create_cart(address: &str) -> bool {
    let mut response = String::new();
    let requested = TcpStream::connect(address).and_then(|mut client| {
        let request = "POST /v1/carts HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\
                       content-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
        client.write_all(request.as_bytes())?;
        client.read_to_string(&mut response)
    });
    if requested.is_err() {
        std::thread::sleep(Duration::from_millis(20));
    }
    response.starts_with("HTTP/1.1 201 ")
}

fn succeed(folder: &Path, arguments: &[&str]) -> String {
    let (code, output, errors) = run(folder, arguments);
    assert_eq!(code, Some(0), "{arguments:?}: {errors}");
    output
}

/// Hands the store over, again and again on a busy machine.
fn hand_over(folder: &Path, from: &str, to: &str) -> String {
    for _ in 0..20 {
        let (code, output, errors) = run(folder, &["replicate", "--from", from, "--to", to, "--hand-over"]);
        if code == Some(0) {
            return output;
        }
        assert!(errors.contains("the source is written to as before"), "{errors}");
    }
    panic!("the store has not moved");
}

/// Makes the target equal, with every table compared; returns the tables with their hashes.
fn verify(folder: &Path, from: &str, to: &str) -> String {
    let output = succeed(folder, &["replicate", "--from", from, "--to", to, "--verify"]);
    assert!(output.ends_with(": the hashes of source and target are equal\n"), "{output}");
    output
}

/// Ends the writers, also if the test fails.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Kills `replicate` and the server of its source at many times while carts are created, and moves the store then.
fn replicate_through_kills(from: &str, to: &str) {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("demo.jsonl"), DEMO).unwrap();
    succeed(folder.path(), &["import", "demo.jsonl", "--database", from]);
    let serve = ["serve", "--no-demo", "--listen", "127.0.0.1:0", "--log-level", "error", "--database", from];
    let (server, address) = Server::start(&mut undercroft(folder.path(), &serve));
    let mut server = Some(server);
    let address = Mutex::new(address);
    let (stop, carts) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let _stop = StopOnDrop(&stop);
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let at = address.lock().unwrap().clone();
                    if try_to_create_cart(&at) {
                        carts.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        for round in 0..12_u64 {
            let replicate = replicate(folder.path(), &["--from", from, "--to", to, "--quiet"]);
            std::thread::sleep(Duration::from_millis(40 + 90 * round));
            kill(replicate);
            if round % 4 == 3 {
                // killed when it is dropped
                drop(server.take());
                let (again, at) = Server::start(&mut undercroft(folder.path(), &serve));
                (server, *address.lock().unwrap()) = (Some(again), at);
            }
        }
        verify(folder.path(), from, to);
    });
    let before = verify(folder.path(), from, to);
    assert!(carts.load(Ordering::Relaxed) > 0);

    // kills of the hand-over: the store has moved, or it has not
    let mut moved = false;
    for milliseconds in [60, 120, 180, 240, 300, 400, 500] {
        let hand_over = replicate(folder.path(), &["--from", from, "--to", to, "--hand-over"]);
        std::thread::sleep(Duration::from_millis(milliseconds));
        kill(hand_over);
        let at = address.lock().unwrap().clone();
        let is_moved = get(&at, "/health/ready").contains(r#""reason":"moved""#);
        assert!(is_moved || !moved, "a store that has moved is not live again");
        moved = is_moved;
    }
    let output = hand_over(folder.path(), from, to);
    assert!(output.contains("the store has moved to the target"), "{output}");
    server.unwrap().stop();
    let (code, _, errors) = run(folder.path(), &serve);
    assert_eq!(code, Some(4), "{errors}");
    assert!(errors.contains("the store has moved to another database"), "{errors}");
    let doctor = ["doctor", "--listen", "127.0.0.1:0", "--database", from];
    let (code, output, _) = run(folder.path(), &doctor);
    assert_eq!(code, Some(4), "{output}");
    assert!(output.contains("PROBLEM  replication  the store has moved to another database"), "{output}");
    succeed(folder.path(), &["doctor", "--books", "--listen", "127.0.0.1:0", "--database", to]);
    let carts = |output: &str| output.lines().find(|line| line.starts_with("carts ")).map(str::to_owned);
    let copied = succeed(folder.path(), &["copy", "--from", to, "--to", "sqlite:last.db"]);
    assert_eq!(carts(&copied), carts(&before));
}

#[tokio::test]
async fn a_store_on_sqlite_moves_to_postgres_through_kills() {
    let Some(postgres) = EmptyPostgres::new().await else { return };
    replicate_through_kills("sqlite:source.db", &postgres.url);
}

#[tokio::test]
async fn a_store_on_postgres_moves_to_sqlite_through_kills() {
    let Some(postgres) = EmptyPostgres::new().await else { return };
    replicate_through_kills(&postgres.url, "sqlite:target.db");
}

/// Waits until the file standby.db is a standby.
fn wait_for_standby(folder: &Path) {
    let deadline = Instant::now() + Duration::from_mins(1);
    let doctor = ["doctor", "--json", "--listen", "127.0.0.1:0", "--database", "sqlite:standby.db"];
    while !run(folder, &doctor).1.contains("it is a standby") {
        assert!(Instant::now() < deadline, "there is no standby");
    }
}

#[test]
fn a_replication_whose_source_another_process_hands_over_is_a_failure_that_says_so() {
    let folder = TempDir::new().unwrap();
    succeed(folder.path(), &["migrate"]);
    let mut command = undercroft(folder.path(), &["replicate", "--to", "sqlite:standby.db"]);
    let running = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for_standby(folder.path());
    hand_over(folder.path(), "sqlite:undercroft.db", "sqlite:standby.db");
    let output = running.wait_with_output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    // it may notice the other process before the source has moved
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("another process has "), "{errors}");
    assert!(!errors.contains("--make-live"), "{errors}");
}

#[test]
fn the_state_is_printed_and_a_signal_ends_a_replication_in_order() {
    let folder = TempDir::new().unwrap();
    succeed(folder.path(), &["migrate"]);
    let arguments = ["replicate", "--to", "sqlite:standby.db", "--json", "--log-level", "undercroft=debug"];
    let mut command = undercroft(folder.path(), &arguments);
    let running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for_standby(folder.path());
    let deadline = Instant::now() + Duration::from_mins(1);
    let doctor = || run(folder.path(), &["doctor", "--json", "--listen", "127.0.0.1:0"]).1;
    assert!(doctor().contains("its changes are recorded for a standby"), "{}", doctor());
    std::fs::write(folder.path().join("demo.jsonl"), DEMO).unwrap();
    succeed(folder.path(), &["import", "demo.jsonl"]);
    while !doctor().contains("for a standby; 0 wait") {
        assert!(Instant::now() < deadline, "the changes are not applied");
    }
    signal(&running, "TERM");
    let output = running.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(log.lines().any(|line| line.contains("products") && line.contains("upserted")), "{log}");
    let lines = String::from_utf8(output.stdout).unwrap();
    let states: Vec<_> = lines
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["state"].as_str().unwrap().to_owned()
        })
        .collect();
    assert!(states.contains(&"following".to_owned()), "{lines}");
    assert_eq!(states.last().map(String::as_str), Some("stopped"), "{lines}");

    let source = rusqlite::Connection::open(folder.path().join("undercroft.db")).unwrap();
    source.execute("UPDATE replication SET role = 'stopping'", []).unwrap();
    source.close().unwrap();
    assert!(doctor().contains("run `undercroft replicate --stop` to complete it"), "{}", doctor());
    let ended = succeed(folder.path(), &["replicate", "--stop", "--json"]);
    assert_eq!(ended, "{\"state\":\"ended\"}\n");
    let (code, _, errors) = run(folder.path(), &["replicate", "--stop"]);
    assert_eq!((code, errors.as_str()), (Some(2), "undercroft: the database is not replicated\n"));
    let live = ["replicate", "--make-live", "--json", "--database", "sqlite:standby.db"];
    assert_eq!(succeed(folder.path(), &live), "{\"state\":\"live\"}\n");
    let (server, _) = serve(folder.path());
    server.stop();
}

#[test]
fn a_backup_of_a_source_or_a_standby_is_a_store_that_is_not_replicated() {
    let folder = TempDir::new().unwrap();
    succeed(folder.path(), &["migrate"]);
    verify(folder.path(), "sqlite:undercroft.db", "sqlite:standby.db");
    for database in ["undercroft.db", "standby.db"] {
        let url = format!("sqlite:{database}");
        let backup = format!("{database}.backup");
        succeed(folder.path(), &["backup", &backup, "--database", &url]);
        let restored = format!("sqlite:{database}.restored");
        succeed(folder.path(), &["restore", &backup, "--database", &restored]);
        let serve = ["serve", "--no-demo", "--listen", "127.0.0.1:0", "--database", &restored];
        let (server, address) = Server::start(&mut undercroft(folder.path(), &serve));
        assert!(create_cart(&address).starts_with("HTTP/1.1 201 "));
        server.stop();
        let (code, _, errors) = run(folder.path(), &["replicate", "--stop", "--database", &restored]);
        assert_eq!((code, errors.as_str()), (Some(2), "undercroft: the database is not replicated\n"));
    }
    verify(folder.path(), "sqlite:undercroft.db", "sqlite:standby.db");
}
