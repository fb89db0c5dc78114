//! Limits of failed log-ins: one host cannot guess, and no one is locked out.

use serde_json::json;
use undercroft::application::people::log_in_limits::LogInLimits;
use undercroft::infrastructure::middleware::TrustedProxies;
use undercroft::settings::HttpSettings;

use super::{PASSWORD, device, newcomer, register};
use crate::support::emails::{emails_to, token_in};
use crate::support::store::sandbox_emails;
use crate::support::{Shop, ShopOptions, TestResponse, TestServer, awaited};

/// Starts a server behind a proxy, where few log-ins may fail.
async fn limited(shop: &Shop) -> TestServer {
    let mut store = shop.store.clone();
    let quota = |text: &str| text.parse().ok();
    store.log_in_limits = LogInLimits {
        account_and_address: quota("3/hour"),
        address: quota("7/hour"),
        account: quota("5/hour"),
    };
    let trusted_proxies = TrustedProxies::parse(["127.0.0.1"]).unwrap();
    TestServer::start_with(store, HttpSettings { trusted_proxies, ..HttpSettings::default() }).await
}

/// Logs in from an address, with the cookies of a device.
async fn log_in(server: &TestServer, from: &str, email: &str, password: &str, cookies: &str) -> TestResponse {
    let client = server.guest().with("x-forwarded-for", from).with("cookie", cookies);
    client.post("/v1/sessions", json!({"email": email, "password": password})).await
}

on_both_engines!(a_host_that_guesses_is_stopped_and_locks_out_no_one_elsewhere);
async fn a_host_that_guesses_is_stopped_and_locks_out_no_one_elsewhere(shop: &Shop) {
    let server = limited(shop).await;
    register(&server, "ann@example.org").await;
    for email in ["ann@example.org", "unknown@example.org"] {
        for _ in 0..3 {
            assert_eq!(log_in(&server, "192.0.2.1", email, "guessed", "").await.status, 401, "{email}");
        }
        let refused = log_in(&server, "192.0.2.1", email, PASSWORD, "").await;
        assert_eq!(refused.problem(429), "too_many_requests", "{email}");
        assert!(refused.header("retry-after").parse::<u32>().unwrap() > 1_000, "{refused}");
    }
    assert_eq!(log_in(&server, "192.0.2.1", "third@example.org", "guessed", "").await.status, 401);
    let next = log_in(&server, "192.0.2.1", "fourth@example.org", "guessed", "").await;
    assert_eq!(next.problem(429), "too_many_requests", "the limit of the address");
    log_in(&server, "192.0.2.2", "ann@example.org", PASSWORD, "").await.expect(201);
}

on_both_engines!(log_ins_that_succeed_are_not_counted);
async fn log_ins_that_succeed_are_not_counted(shop: &Shop) {
    let server = limited(shop).await;
    register(&server, "ann@example.org").await;
    for _ in 0..9 {
        log_in(&server, "192.0.2.1", "ann@example.org", PASSWORD, "").await.expect(201);
    }
}

on_both_engines!(requests_that_are_refused_because_of_others_are_not_counted);
async fn requests_that_are_refused_because_of_others_are_not_counted(shop: &Shop) {
    let server = limited(shop).await;
    let ann = newcomer(&server, "ann@example.org").await;
    let change = json!({"email": "new@example.org", "current_password": PASSWORD});
    let begin = || server.store.passwords.begin(None, "ann@example.org");
    let others: Vec<_> = std::iter::from_fn(|| begin().ok()).collect();
    for _ in 0..4 {
        assert_eq!(ann.patch("/v1/me", change.clone()).await.problem(429), "too_many_requests");
    }
    drop(others);
    ann.patch("/v1/me", change).await.expect(200);
}

on_both_engines!(guesses_with_a_stolen_session_do_not_keep_the_owner_from_a_new_password);
async fn guesses_with_a_stolen_session_do_not_keep_the_owner_from_a_new_password(shop: &Shop) {
    let server = limited(shop).await;
    let stolen = newcomer(&server, "ann@example.org").await;
    let own = super::log_in(&server, "ann@example.org", PASSWORD).await;
    let change = |current: &str| json!({"password": "another horse", "current_password": current});
    for _ in 0..3 {
        let wrong = stolen.patch("/v1/me", change("guessed")).await;
        assert_eq!(wrong.faults(), [("/current_password".into(), "wrong_password".into())]);
    }
    assert_eq!(stolen.patch("/v1/me", change(PASSWORD)).await.problem(429), "too_many_requests");
    let changed = own.patch("/v1/me", change(PASSWORD)).await;
    changed.expect(200);

    let own = super::bearer(&server, changed.header("session-token"));
    for _ in 0..2 {
        assert_eq!(own.patch("/v1/me", change("guessed")).await.problem(422), "validation");
    }
    let refused = own.patch("/v1/me", change("another horse")).await;
    assert_eq!(refused.problem(429), "too_many_requests", "the limit of the account");
}

on_both_engines!(guesses_from_many_addresses_do_not_lock_out_a_known_device);
async fn guesses_from_many_addresses_do_not_lock_out_a_known_device(shop: &Shop) {
    let server = limited(shop).await;
    let [ann, bob] = ["ann@example.org", "bob@example.org"];
    register(&server, ann).await;
    register(&server, bob).await;
    let known = device(&log_in(&server, "192.0.2.1", ann, PASSWORD, "").await);
    let of_bob = device(&log_in(&server, "192.0.2.1", bob, PASSWORD, "").await);
    assert!(known.len() > 70 && of_bob.len() > 70);

    for number in 0..5 {
        let from = format!("198.51.100.{number}");
        assert_eq!(log_in(&server, &from, ann, "guessed", "").await.status, 401);
    }
    let forged = known[..known.len() - 4].to_owned() + "AAAA";
    for cookies in ["", of_bob.as_str(), "undercroft_device=x", forged.as_str()] {
        let stranger = log_in(&server, "203.0.113.1", ann, "guessed", cookies).await;
        assert_eq!(stranger.problem(429), "too_many_requests", "{cookies}");
    }
    let again = log_in(&server, "203.0.113.2", ann, PASSWORD, &known).await;
    again.expect(201);
    assert_eq!(device(&again), "", "it is known already");

    for _ in 0..3 {
        assert_eq!(log_in(&server, "203.0.113.2", ann, "guessed", &known).await.status, 401);
    }
    let stolen = log_in(&server, "203.0.113.3", ann, "guessed", &known).await;
    assert_eq!(stolen.problem(429), "too_many_requests", "a device has a limit of its own");
}

on_both_engines!(a_network_of_ipv6_is_one_address_also_for_one_account);
async fn a_network_of_ipv6_is_one_address_also_for_one_account(shop: &Shop) {
    let server = limited(shop).await;
    register(&server, "ann@example.org").await;
    for number in 1..=3 {
        let from = format!("2001:db8:1:1::{number}");
        assert_eq!(log_in(&server, &from, "ann@example.org", "guessed", "").await.status, 401);
    }
    let next = log_in(&server, "2001:db8:1:1:ffff::9", "ann@example.org", "guessed", "").await;
    assert_eq!(next.problem(429), "too_many_requests", "the limit of the account and the network");
    log_in(&server, "2001:db8:1:2::1", "ann@example.org", PASSWORD, "").await.expect(201);
}

on_both_engines!(
    a_new_password_ends_known_devices_and_a_reset_makes_one,
    ShopOptions::default().terms(sandbox_emails())
);
async fn a_new_password_ends_known_devices_and_a_reset_makes_one(shop: &Shop) {
    let mut store = shop.store.clone();
    store.log_in_limits.account = "5/hour".parse().ok();
    let server = TestServer::start_with(store, HttpSettings::default()).await;
    let (ann, new) = ("ann@example.org", "correct horse battery");
    register(&server, ann).await;
    let known = device(&log_in(&server, "", ann, PASSWORD, "").await);

    let guest = server.guest();
    guest.post("/v1/password-resets", json!({"email": ann})).await.expect(202);
    let sent = async || {
        let emails = emails_to(&server, ann).await;
        let (_, body) = emails.iter().find(|(kind, _)| kind == "password_reset")?;
        token_in(body)
    };
    let token = awaited("an e-mail to reset the password", sent).await;
    let reset = guest.post("/v1/password-resets/confirm", json!({"token": token, "password": new})).await;
    assert_eq!(reset.status, 204, "{reset}");
    let own = device(&reset);

    for _ in 0..5 {
        assert_eq!(log_in(&server, "", ann, PASSWORD, "").await.status, 401);
    }
    assert_eq!(log_in(&server, "", ann, new, &known).await.problem(429), "too_many_requests");
    log_in(&server, "", ann, new, &own).await.expect(201);
}
