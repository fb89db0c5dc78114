//! A PostgreSQL server that stops or does not respond, and connections that close in the middle of a statement.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use undercroft::application::readiness::Readiness;
use undercroft::domain::context::Context;
use undercroft::domain::ids::CartId;
use undercroft::infrastructure::repositories::{Database, DatabaseError, Setup, next_number};

use crate::support::store::{store, terms};
use crate::support::{EmptyPostgres, FaultyProxy, Line, Lines, Proxy, TestServer};

/// A new store behind a proxy.
async fn behind_proxy() -> Option<(EmptyPostgres, FaultyProxy, Database)> {
    let schema = EmptyPostgres::new().await?;
    let (proxy, url) = FaultyProxy::before(&schema.url).await;
    let database = Database::open(&url.parse().unwrap(), Context::system(), Setup::IfEmpty).await.unwrap();
    Some((schema, proxy, database))
}

/// A new store behind a proxy that can be silent.
async fn behind_silent_proxy() -> Option<(EmptyPostgres, Proxy, Database)> {
    let schema = EmptyPostgres::new().await?;
    let (proxy, url) = Proxy::before(&schema.url).await.unwrap();
    let database = Database::open(&url.parse().unwrap(), Context::system(), Setup::IfEmpty).await.unwrap();
    Some((schema, proxy, database))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_respond_makes_the_store_not_ready_within_two_seconds() {
    let Some((_schema, proxy, database)) = behind_silent_proxy().await else { return };
    let server = TestServer::start(store(&database, terms())).await;
    let guest = server.guest();
    guest.get("/health/ready").await.expect(200);
    proxy.set(Line::Silent);
    // the last result is returned again for a second
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let began = Instant::now();
    let responses = tokio::join!(guest.get("/health/ready"), guest.get("/health/ready"));
    let took = began.elapsed();
    for response in [responses.0, responses.1] {
        assert_eq!(response.problem(503), "not_ready", "{response}");
        assert_eq!(response.json()["reason"], "database_unavailable", "{response}");
    }
    assert!(took < Duration::from_millis(3500), "the second one shares the check of the first: {took:?}");

    proxy.set(Line::Open);
    let ready = async {
        while guest.get("/health/ready").await.status != 200 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), ready).await.expect("the server is ready in time");
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_respond_makes_the_store_unavailable_in_seconds() {
    let Some((_schema, proxy, database)) = behind_silent_proxy().await else { return };
    let read = async || -> Result<i64, DatabaseError> {
        database.read().await?.one("SELECT COUNT(*) FROM counters", &[]).await
    };
    let write = async || -> Result<(), DatabaseError> {
        let write = database.write((), async |work, ()| next_number(work, "silent").await.map(drop));
        write.await
    };
    let (counted, written) = tokio::join!(read(), write());
    assert!(counted.is_ok() && written.is_ok(), "{counted:?}, {written:?}");
    proxy.set(Line::Silent);
    // connections that are open first, then new ones
    for longest in [8, 5] {
        let began = Instant::now();
        let (read, written) = tokio::join!(read(), write());
        let took = began.elapsed();
        for error in [read.unwrap_err(), written.unwrap_err()] {
            assert!(matches!(error, DatabaseError::Unavailable(_)), "{error:?}");
            assert!(error.to_string().contains(": no response within "), "{error}");
        }
        // with what a busy machine needs
        assert!(took < Duration::from_secs(longest + 5), "{took:?}");
    }
    proxy.set(Line::Open);
    read().await.unwrap();
    write().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_takes_long_is_not_interrupted_while_the_server_responds() {
    let Some((_schema, _proxy, database)) = behind_silent_proxy().await else { return };
    let sql = "SELECT CAST(1 AS BIGINT) FROM pg_sleep(4)";
    let slept: i64 = database.read().await.unwrap().one(sql, &[]).await.unwrap();
    assert_eq!(slept, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_to_which_the_server_does_not_respond_has_an_unknown_outcome() {
    let Some((_schema, proxy, database)) = behind_silent_proxy().await else { return };
    let proxy = Arc::new(proxy);
    let write = database.write(Arc::clone(&proxy), async |work, proxy| {
        work.script("SELECT 1").await.map(|()| proxy.set(Line::Silent))
    });
    let written: Result<(), DatabaseError> = write.await;
    assert!(matches!(written, Err(DatabaseError::OutcomeUnknown(_))), "{written:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_makes_the_store_unavailable() {
    let Some((_schema, proxy, database)) = behind_proxy().await else { return };
    let server = TestServer::start(store(&database, terms())).await;
    let guest = server.guest();
    guest.get("/v1/products").await.expect(200);
    proxy.stop();
    for _ in 0..20 {
        let response = guest.get("/v1/products").await;
        assert_eq!(response.problem(503), "unavailable", "{response}");
        let response = guest.post("/v1/carts", json!({})).await;
        assert_eq!(response.problem(503), "unavailable", "{response}");
    }
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_let_the_store_in_makes_it_unavailable() {
    let Some((_schema, proxy, database)) = behind_proxy().await else { return };
    let server = TestServer::start(store(&database, terms())).await;
    let guest = server.guest();
    // connections to the database or by the role are not allowed, the password was changed, the database was removed
    for code in ["55000", "28000", "28P01", "3D000"] {
        proxy.refuse(code);
        let response = guest.get("/v1/products").await;
        assert_eq!(response.problem(503), "unavailable", "{code}: {response}");
    }
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_whose_connection_the_server_closes_is_reported_as_unavailable() {
    let Some((_schema, _proxy, database)) = behind_proxy().await else { return };
    let write = database.write((), async |work, ()| {
        work.script("SET LOCAL idle_in_transaction_session_timeout = 10").await?;
        tokio::time::sleep(Duration::from_millis(200)).await;
        work.one::<i64>("SELECT CAST(1 AS BIGINT)", &[]).await
    });
    let written: Result<i64, DatabaseError> = write.await;
    assert!(matches!(written, Err(DatabaseError::Unavailable(_))), "{written:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_without_a_response_has_an_unknown_outcome() {
    let Some((_schema, proxy, database)) = behind_proxy().await else { return };
    let count = async || -> Result<(), DatabaseError> {
        let write = database.write((), async |work, ()| next_number(work, "lost").await.map(drop));
        write.await
    };
    count().await.unwrap();
    // with the byte that ends a statement: a transaction begins as `READ COMMITTED`
    proxy.lose_response_to("COMMIT\0");
    let lost = count().await;
    assert!(matches!(lost, Err(DatabaseError::OutcomeUnknown(_))), "{lost:?}");
    let sql = "SELECT value FROM counters WHERE name = 'lost'";
    let value: i64 = database.read().await.unwrap().one(sql, &[]).await.unwrap();
    assert_eq!(value, 2, "the server has committed it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_repeated_after_a_commit_without_a_response_has_one_effect() {
    let Some((_schema, proxy, database)) = behind_proxy().await else { return };
    let server = TestServer::start(store(&database, terms())).await;
    let guest = server.guest().with("idempotency-key", &"k".repeat(22));
    // part of the headers that are stored with the key, immediately before the commit
    proxy.lose_response_to("/v1/carts/");
    let lost = guest.post("/v1/carts", json!({})).await;
    assert_eq!(lost.problem(504), "timed_out", "{lost}");
    let repeated = guest.post("/v1/carts", json!({})).await.expect(201);
    let sql = "SELECT id FROM carts";
    let carts: Vec<CartId> = database.read().await.unwrap().all(sql, &[]).await.unwrap();
    assert_eq!(carts.iter().map(|id| json!(id)).collect::<Vec<_>>(), [repeated["id"].clone()]);
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_closes_during_a_read_makes_the_store_unavailable() {
    let Some((_schema, proxy, database)) = behind_proxy().await else { return };
    let read = async || -> Result<Vec<String>, DatabaseError> {
        database.read().await?.all("SELECT name FROM counters WHERE name <> 'lost'", &[]).await
    };
    // once when the statement is prepared, once when it runs
    for text in ["lost", "B"] {
        proxy.lose_response_to(text);
        let lost = read().await;
        assert!(matches!(lost, Err(DatabaseError::Unavailable(_))), "{lost:?}");
        read().await.unwrap();
    }
}

#[tokio::test]
async fn an_outage_of_the_notifications_of_commits_has_a_line_and_its_end_another() {
    const LOST: &str = "no notifications of commits by other processes: polling";
    const BACK: &str = "there are notifications of commits by other processes again";
    let Some((_schema, proxy, database)) = behind_proxy().await else { return };
    let lines = Lines::begin();
    let logged = async |text: &str, count| {
        while lines.with(text) < count {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let outages = async {
        for outage in 1..=2 {
            let refused = proxy.refused();
            proxy.refuse("57P03");
            logged(LOST, outage).await;
            // in the second outage, a connection that was closed failed first, with another text
            while proxy.refused() == refused {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            proxy.let_in();
            logged(BACK, outage).await;
        }
    };
    tokio::select! {
        () = database.listen() => {}
        ended = tokio::time::timeout(Duration::from_mins(1), outages) => ended.expect("the lines in time"),
    }
    assert_eq!([LOST, BACK].map(|text| lines.with(text)), [2, 2]);
}

#[tokio::test]
async fn a_database_that_cannot_be_written_has_a_line_and_its_end_another() {
    let Some((_schema, proxy, database)) = behind_proxy().await else { return };
    let (store, readiness) = (store(&database, terms()), Readiness::default());
    let lines = Lines::begin();
    for outage in 1..=2 {
        proxy.refuse("57P03");
        for _ in 0..3 {
            assert!(readiness.check(&store).await.is_err());
            // the result is returned again for a second
            tokio::time::sleep(Duration::from_millis(1100)).await;
        }
        proxy.let_in();
        readiness.check(&store).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1100)).await;
        assert_eq!(lines.with("the database cannot be written"), outage);
        assert_eq!(lines.with("the database can be written again"), outage);
    }
}
