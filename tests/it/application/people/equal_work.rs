//! What a request does is the same whether an e-mail address has an account: its time says nothing.

use std::cell::Cell;

use jiff::SignedDuration;
use serde_json::json;
use undercroft::application::idempotency::Responder;
use undercroft::application::people::accounts::register;
use undercroft::application::people::log_in_limits::LogInClient;
use undercroft::application::people::password_resets::{RequestPasswordReset, send};
use undercroft::application::people::sessions::log_in;
use undercroft::application::{AccountTerms, Store, Terms};
use undercroft::domain::context::Context;
use undercroft::domain::ids::UserId;
use undercroft::domain::trace::TraceContext;
use undercroft::domain::user::{Role, User};
use undercroft::infrastructure::repositories::{Database, EndedWork, Setup, in_trace};

use crate::support::builders::user;
use crate::support::store::{Text, execute, sandbox_emails, store, terms, value};
use crate::support::{EmptyPostgres, RoundTrips, Shop, ShopOptions};

/// The number of entries of refused log-ins.
const ENTRIES: &str = "SELECT COUNT(*) FROM audit_log WHERE action = 'session.refused'";

/// Lets the store have sent e-mails for a while.
const SENDS: &str = "INSERT INTO store_settings (key, value) VALUES ('emails_since', '2026-01-01T00:00:00Z')";

/// How often it is all run before, until each connection and the server have what they keep.
const WARM_UPS: i64 = 3;

/// How often what is counted is run.
const RUNS: usize = 8;

/// Runs a use case in a sampled trace; returns of each unit of work that it ran whether that was committed.
async fn units_of(store: &Store, use_case: impl Future<Output = ()>) -> Vec<bool> {
    let mut ended = store.infrastructure.bus.subscribe::<EndedWork>();
    let trace = TraceContext::of_request(Context::system().ids.uuid(), None, 1.0);
    in_trace(Some(trace), use_case).await;
    ended.take_all().into_iter().map(|work| work.committed).collect()
}

/// Opens a store on PostgreSQL whose round trips are counted.
async fn counted_store(schema: &EmptyPostgres, terms: Terms) -> (Store, RoundTrips) {
    let (proxy, url) = RoundTrips::before(&schema.url).await;
    let database = Database::open(&url.parse().unwrap(), Context::system(), Setup::IfEmpty).await.unwrap();
    (store(&database, terms), proxy)
}

/// Opens one that sends e-mails by a mail server, and hides which addresses have accounts.
async fn hiding_store(schema: &EmptyPostgres) -> (Store, RoundTrips) {
    let accounts = AccountTerms { hide_registered_addresses: true, ..AccountTerms::default() };
    let (store, proxy) = counted_store(schema, Terms { accounts, ..terms() }).await;
    execute(store.database(), &[SENDS]).await;
    (store, proxy)
}

/// The least number of round trips to PostgreSQL of several runs: the first on a connection prepares its statements.
async fn least_round_trips(proxy: &RoundTrips, run: impl AsyncFn()) -> u64 {
    let mut least = u64::MAX;
    for _ in 0..RUNS {
        proxy.take();
        run().await;
        least = least.min(proxy.take());
    }
    least
}

/// Logs in with a wrong password.
async fn refused_log_in(store: &Store, email: &str) {
    let request = serde_json::from_value(json!({"email": email, "password": "wrong horse"})).unwrap();
    let refused = log_in(store, request, &LogInClient::default(), None).await;
    assert_eq!(refused.err().unwrap().code(), "unauthorized_access");
}

/// Looks for the account whose password was forgotten, as it is done after the response.
async fn forgotten(store: &Store, email: &str) {
    send(store, RequestPasswordReset { email: email.to_owned() }).await.unwrap();
}

/// Creates a customer; returns the e-mail address.
async fn customer(store: &Store, is_verified: bool) -> String {
    let email = email_of(store.database(), user(store, Role::Customer).await).await;
    if is_verified {
        execute(store.database(), &["UPDATE users SET email_verified_at = created_at"]).await;
    }
    email
}

/// Registers with an address.
async fn registration(store: &Store, email: &str) {
    let new = json!({"email": email, "password": "correct horse", "locale": "de"});
    let id = Text(|user: &User| user.id.to_string());
    let responder = Responder::new(None, id);
    let registering = register(store, serde_json::from_value(new).unwrap(), None, responder);
    let response = Box::pin(registering).await.unwrap();
    assert_eq!(response.status, 201);
}

/// The least number of round trips of registrations, each with the next of these addresses.
async fn of_registrations(store: &Store, proxy: &RoundTrips, emails: &[String]) -> u64 {
    let next = Cell::new(0);
    least_round_trips(proxy, async || {
        registration(store, &emails[next.replace(next.get() + 1)]).await;
    })
    .await
}

async fn email_of(database: &Database, user_id: UserId) -> String {
    value(database, "SELECT email FROM users WHERE id = $1", &[user_id.into()]).await
}

on_both_engines!(
    a_refused_log_in_commits_once_with_and_without_an_account_and_an_entry,
    ShopOptions::at("2026-01-01T00:00:00Z")
);
async fn a_refused_log_in_commits_once_with_and_without_an_account_and_an_entry(shop: &Shop) {
    let known = email_of(&shop.database, shop.customer().await).await;
    for number in 0..25 {
        let unknown = format!("user{number}@example.org");
        for email in [&known, &unknown] {
            let units = Box::pin(units_of(&shop.store, refused_log_in(&shop.store, email))).await;
            assert_eq!(units, [true], "{number}: {email}");
        }
    }
    assert_eq!(value::<i64>(&shop.database, ENTRIES, &[]).await, 40, "ten are counted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_log_in_takes_as_many_round_trips_with_and_without_an_account_and_an_entry() {
    let Some(schema) = EmptyPostgres::new().await else { return };
    let (store, proxy) = counted_store(&schema, sandbox_emails()).await;
    let known = email_of(store.database(), user(&store, Role::Customer).await).await;
    let recorded = least_round_trips(&proxy, async || refused_log_in(&store, &known).await).await;
    for _ in 0..20 {
        refused_log_in(&store, &known).await;
        refused_log_in(&store, "unknown@example.org").await;
    }
    for email in [known.as_str(), "unknown@example.org"] {
        let counted = least_round_trips(&proxy, async || refused_log_in(&store, email).await).await;
        assert_eq!(counted, recorded, "{email}");
    }
    let counted = "SELECT value FROM counters WHERE name = 'audit_unrecorded'";
    assert!(value::<i64>(store.database(), counted, &[]).await >= 16);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_log_in_takes_as_many_round_trips_if_addresses_are_hidden() {
    let Some(schema) = EmptyPostgres::new().await else { return };
    let (store, proxy) = hiding_store(&schema).await;
    let emails =
        [customer(&store, true).await, customer(&store, false).await, "unknown@example.org".to_owned()];
    for _ in 0..WARM_UPS {
        least_round_trips(&proxy, async || refused_log_in(&store, "other@example.org").await).await;
    }
    let mut counts = Vec::new();
    for email in &emails {
        counts.push(least_round_trips(&proxy, async || refused_log_in(&store, email).await).await);
    }
    assert_eq!(counts, [counts[2]; 3], "verified, unverified and unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_takes_as_many_round_trips_with_and_without_an_account() {
    let Some(schema) = EmptyPostgres::new().await else { return };
    let (store, proxy) = hiding_store(&schema).await;
    let (mut verified, mut unverified) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        verified.push(customer(&store, true).await);
    }
    for _ in 0..RUNS {
        unverified.push(customer(&store, false).await);
    }
    let addresses =
        |name: &str| (0..RUNS).map(|number| format!("{name}{number}@example.org")).collect::<Vec<_>>();
    for round in 0..WARM_UPS {
        of_registrations(&store, &proxy, &addresses(&format!("warm-up{round}"))).await;
    }
    let unknown = addresses("unknown");
    let mut counts = Vec::new();
    // the second time, those with an account get no further e-mail
    for emails in [&unknown, &verified, &unverified, &verified, &unverified] {
        counts.push(of_registrations(&store, &proxy, emails).await);
    }
    assert_eq!(counts, [counts[0]; 5]);
    let kinds = "SELECT COUNT(*) FROM emails WHERE kind = $1";
    let verifications = 8 * (1 + WARM_UPS);
    for (kind, number) in
        [("email_verification", verifications), ("registration_attempted", 8), ("registration_repeated", 8)]
    {
        assert_eq!(value::<i64>(store.database(), kinds, &[kind.into()]).await, number, "{kind}");
    }
}

on_both_engines!(
    a_reset_writes_nothing_without_an_account_and_after_the_most_e_mails,
    ShopOptions::manual_clock().terms(sandbox_emails())
);
async fn a_reset_writes_nothing_without_an_account_and_after_the_most_e_mails(shop: &Shop) {
    let known = email_of(&shop.database, shop.customer().await).await;
    for _ in 0..5 {
        assert_eq!(units_of(&shop.store, forgotten(&shop.store, &known)).await, [true]);
    }
    for email in [known.as_str(), "unknown@example.org"] {
        let units = units_of(&shop.store, forgotten(&shop.store, email)).await;
        assert!(units.is_empty(), "{email}: {units:?}");
    }
    let sent = "SELECT COUNT(*) FROM emails WHERE kind = 'password_reset'";
    assert_eq!(value::<i64>(&shop.database, sent, &[]).await, 5);
    shop.clock().advance(SignedDuration::from_mins(61));
    assert_eq!(units_of(&shop.store, forgotten(&shop.store, &known)).await, [true], "an hour later");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_takes_as_many_round_trips_without_an_account_as_after_the_most_e_mails() {
    let Some(schema) = EmptyPostgres::new().await else { return };
    let (store, proxy) = counted_store(&schema, sandbox_emails()).await;
    let known = email_of(store.database(), user(&store, Role::Customer).await).await;
    for _ in 0..5 {
        forgotten(&store, &known).await;
    }
    let of_known = least_round_trips(&proxy, async || forgotten(&store, &known).await).await;
    let of_unknown = least_round_trips(&proxy, async || forgotten(&store, "unknown@example.org").await).await;
    assert_eq!((of_known, of_unknown), (2, 2));
}
