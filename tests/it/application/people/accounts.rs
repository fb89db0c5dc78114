//! Accounts: registered, changed and erased.

use http::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use undercroft::infrastructure::repositories::UserRepository;

use super::{PASSWORD, bearer, erase, log_in, new_key, newcomer, register, try_log_in};
use crate::support::emails::{emails_to, token_in};
use crate::support::http::{created, faults};
use crate::support::store::{sandbox_emails, value};
use crate::support::{Shop, ShopOptions, awaited};

on_both_engines!(an_account_is_what_was_registered_without_the_password);
async fn an_account_is_what_was_registered_without_the_password(shop: &Shop) {
    let server = shop.server().await;
    let new = json!({"email": "Ann@Example.org", "password": PASSWORD, "name": "Ann", "birth_date": "1990-02-28",
                     "locale": "pt-BR"});
    let response = server.guest().post("/v1/users", new).await;
    let user = response.expect(201);
    assert_eq!((&user["email"], &user["name"]), (&json!("Ann@Example.org"), &json!("Ann")));
    assert_eq!((&user["birth_date"], &user["role"]), (&json!("1990-02-28"), &json!("customer")));
    assert_eq!(response.header("location"), "/v1/me");
    assert!(
        !response.to_string().contains("argon2") && !response.to_string().contains(PASSWORD),
        "{response}"
    );

    let ann = log_in(server, "ann@example.org", PASSWORD).await;
    let me = ann.get("/v1/me").await;
    assert_eq!(me.expect(200), user);
    assert_eq!(ann.with("if-none-match", me.header("etag")).get("/v1/me").await.status, 304);
    assert_eq!(ann.get("/v1/me/preferences").await.expect(200)["locale"], "pt-BR");

    let least = json!({"email": "bob@example.org", "password": "x12z45q8"});
    assert_eq!(server.guest().post("/v1/users", least).await.expect(201)["name"], "");
    let events = "SELECT COUNT(*) FROM outbox WHERE type = 'user.registered'";
    assert_eq!(value::<i64>(&shop.database, events, &[]).await, 2);
}

on_both_engines!(an_address_has_one_account_in_every_spelling);
async fn an_address_has_one_account_in_every_spelling(shop: &Shop) {
    let server = shop.server().await;
    register(server, "größe@example.org").await;
    for spelling in
        ["GRÖSSE@example.org", "gro\u{308}ße@EXAMPLE.org", "ｇröße@example.org", "größe@example.org"]
    {
        let new = json!({"email": spelling, "password": "another one"});
        let response = server.guest().post("/v1/users", new).await;
        match spelling {
            // `ss` is not the same address as `ß`
            "GRÖSSE@example.org" => assert_eq!(response.status, 201, "{response}"),
            // a letter that stands for another
            "ｇröße@example.org" => assert_eq!(response.problem(422), "validation", "{spelling}"),
            _ => assert_eq!(response.problem(409), "email_already_used", "{spelling}"),
        }
    }
    log_in(server, "GRO\u{308}ẞE@example.org", PASSWORD).await;
}

on_both_engines!(of_concurrent_registrations_of_an_address_one_succeeds);
async fn of_concurrent_registrations_of_an_address_one_succeeds(shop: &Shop) {
    let server = shop.server().await;
    let mut running = Vec::new();
    for number in 0..8 {
        let guest = server.guest();
        let new = json!({"email": "ann@example.org", "password": format!("password {number}")});
        running.push(tokio::spawn(async move { guest.post("/v1/users", new).await }));
    }
    assert_eq!(created(running, "email_already_used").await, 1);
}

on_both_engines!(each_fault_of_a_registration_has_its_location);
async fn each_fault_of_a_registration_has_its_location(shop: &Shop) {
    let server = shop.server().await;
    let faulty = json!({"email": "ann", "password": "short", "name": "a\u{0}", "birth_date": "1990-02-30",
                        "locale": "de_DE", "role": "admin"});
    let found = server.guest().post("/v1/users", faulty).await.faults();
    let expected = [
        ("/birth_date", "format"),
        ("/email", "format"),
        ("/locale", "format"),
        ("/name", "character"),
        ("/password", "too_short"),
        ("/role", "unknown"),
    ];
    assert_eq!(found, faults(expected));
    let post = async |body: Value| server.guest().post("/v1/users", body).await.faults();
    assert_eq!(post(json!({"password": PASSWORD})).await, faults([("/email", "required")]));
    let body = json!({"email": "ann@example.org", "password": "p".repeat(129)});
    assert_eq!(post(body).await, faults([("/password", "too_long")]));
    let body = json!({"email": "ann@example.org", "password": PASSWORD, "birth_date": "2999-01-01"});
    assert_eq!(post(body).await, faults([("/birth_date", "invalid")]));
    assert_eq!(try_log_in(server, "ann@example.org", PASSWORD).await.status, 401);
    let body = json!({"email": "ann@example.org", "password": "éà".repeat(64)});
    server.guest().post("/v1/users", body).await.expect(201);
}

on_both_engines!(a_password_that_is_guessed_first_is_refused_wherever_one_is_set, {
    ShopOptions::default().terms(sandbox_emails())
});
async fn a_password_that_is_guessed_first_is_refused_wherever_one_is_set(shop: &Shop) {
    let server = shop.server().await;
    let expected = faults([("/password", "password_too_common")]);
    let ann = newcomer(server, "ann.smith@example.org").await;
    server.guest().post("/v1/password-resets", json!({"email": "ann.smith@example.org"})).await.expect(202);
    let sent = async || {
        let emails = emails_to(server, "ann.smith@example.org").await;
        let (_, body) = emails.iter().find(|(kind, _)| kind == "password_reset")?;
        token_in(body)
    };
    let reset = awaited("an e-mail to reset the password", sent).await;
    for password in ["password1", "Iloveyou2", "ann.smith", "ANN.SMITH@example.org", "        "] {
        let new = json!({"email": "ann.smith@example.org", "password": password});
        let change = json!({"password": password, "current_password": PASSWORD});
        let confirm = json!({"token": reset, "password": password});
        let found = [
            server.guest().post("/v1/users", new).await,
            ann.patch("/v1/me", change).await,
            server.guest().post("/v1/password-resets/confirm", confirm).await,
        ];
        for response in found {
            assert!(
                [&expected, &faults([("/password", "blank")])].contains(&&response.faults()),
                "{response}"
            );
        }
    }
    log_in(server, "ann.smith@example.org", PASSWORD).await;
}

on_both_engines!(the_erasure_of_a_user_includes_the_response_to_the_registration);
async fn the_erasure_of_a_user_includes_the_response_to_the_registration(shop: &Shop) {
    let server = shop.server().await;
    let (of_ann, of_bob) = (new_key(), new_key());
    let register = async |key: &str, email: &str| {
        let guest = server.guest().with("idempotency-key", key);
        guest.post("/v1/users", json!({"email": email, "password": PASSWORD})).await.expect(201)
    };
    register(&of_ann, "ann@example.org").await;
    let bob = register(&of_bob, "bob@example.org").await;
    let ann = log_in(server, "ann@example.org", PASSWORD).await;
    erase(&ann).await.expect(204);
    assert_eq!(value::<i64>(&shop.database, "SELECT COUNT(*) FROM idempotency_keys", &[]).await, 1);
    assert_eq!(register(&of_bob, "bob@example.org").await, bob);
}

on_both_engines!(a_registration_is_idempotent_and_its_key_does_not_reveal_the_password);
async fn a_registration_is_idempotent_and_its_key_does_not_reveal_the_password(shop: &Shop) {
    let server = shop.server().await;
    let guest = server.guest().with("idempotency-key", &new_key());
    let body = json!({"email": "ann@example.org", "password": PASSWORD});
    let first = guest.post("/v1/users", body.clone()).await;
    first.expect(201);
    let again = guest.post("/v1/users", body.clone()).await;
    assert_eq!((again.status, &again.body, again.header("location")), (201, &first.body, "/v1/me"));
    let other = guest.post("/v1/users", json!({"email": "ann@example.org", "password": "another one"})).await;
    assert_eq!(other.problem(422), "idempotency_key_reused");

    let sql = "SELECT request_hash FROM idempotency_keys";
    let stored: Vec<u8> = value(&shop.database, sql, &[]).await;
    let fast = Sha256::new().chain_update("POST\0/v1/users\0").chain_update(body.to_string()).finalize();
    assert_ne!(stored, fast.to_vec());
}

on_both_engines!(a_birth_date_is_set_once_and_changed_by_administrators);
async fn a_birth_date_is_set_once_and_changed_by_administrators(shop: &Shop) {
    let server = shop.server().await;
    let (ann, admin) = (newcomer(server, "ann@example.org").await, server.admin().await);
    let id = ann.patch("/v1/me", json!({"birth_date": "2012-12-10"})).await.expect(200)["id"].clone();
    let older = ann.patch("/v1/me", json!({"birth_date": "1990-12-10"})).await;
    assert_eq!(older.faults(), faults([("/birth_date", "already_set")]));
    assert_eq!(
        ann.patch("/v1/me", json!({"birth_date": null})).await.faults(),
        faults([("/birth_date", "type")])
    );

    let path = format!("/admin/v1/users/{}/birth-date", id.as_str().unwrap());
    assert_eq!(ann.put(&path, json!({"birth_date": null})).await.problem(403), "unauthorized_access");
    assert_eq!(admin.put(&path, json!({})).await.faults(), faults([("/birth_date", "required")]));
    let future = admin.put(&path, json!({"birth_date": "2999-01-01"})).await;
    assert_eq!(future.faults(), faults([("/birth_date", "invalid")]));
    let corrected = admin.put(&path, json!({"birth_date": "1990-12-10"})).await.expect(200);
    assert_eq!(corrected["birth_date"], "1990-12-10");
    let stale =
        admin.with("if-match", "\"1-0000000000000000\"").put(&path, json!({"birth_date": null})).await;
    assert_eq!(stale.problem(412), "precondition_failed");
    assert_eq!(admin.put(&path, json!({"birth_date": null})).await.expect(200)["birth_date"], Value::Null);
    ann.patch("/v1/me", json!({"birth_date": "1990-12-11"})).await.expect(200);
}

on_both_engines!(a_partial_update_of_an_account_checks_its_version);
async fn a_partial_update_of_an_account_checks_its_version(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, "ann@example.org").await;
    let seen = ann.get("/v1/me").await;
    let response = ann.patch("/v1/me", json!({"birth_date": "1990-12-10"})).await;
    let user = response.expect(200);
    assert_eq!((&user["name"], &user["birth_date"]), (&json!("Ann"), &json!("1990-12-10")));
    let stale = ann.with("if-match", seen.header("etag")).patch("/v1/me", json!({"name": "A."})).await;
    assert_eq!(stale.problem(412), "precondition_failed");
    let current = ann.with("if-match", response.header("etag"));
    let user = current.patch("/v1/me", json!({"name": "A.", "birth_date": "1990-12-10"})).await.expect(200);
    assert_eq!((&user["name"], &user["birth_date"]), (&json!("A."), &json!("1990-12-10")));
    assert_eq!(ann.get("/v1/me").await.expect(200), user);
    let found = ann.patch("/v1/me", json!({"role": "admin", "birth_date": "2999-01-01"})).await.faults();
    assert_eq!(found, faults([("/role", "unknown")]));
    assert_eq!(server.guest().patch("/v1/me", json!({})).await.problem(401), "unauthorized_access");
}

with_both_session_stores!(a_new_password_requires_the_current_one_and_ends_other_sessions);
async fn a_new_password_requires_the_current_one_and_ends_other_sessions(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, "ann@example.org").await;
    let elsewhere = log_in(server, "ann@example.org", PASSWORD).await;
    let bob = newcomer(server, "bob@example.org").await;
    let fault = |code: &str| faults([("/current_password", code)]);
    assert_eq!(ann.patch("/v1/me", json!({"password": "battery staple"})).await.faults(), fault("required"));
    let wrong = json!({"password": "battery staple", "current_password": "correct cow"});
    assert_eq!(ann.patch("/v1/me", wrong).await.faults(), fault("wrong_password"));
    elsewhere.get("/v1/me").await.expect(200);

    let right = json!({"password": "battery staple", "current_password": PASSWORD});
    let changed = ann.patch("/v1/me", right).await;
    let user = changed.expect(200);
    assert_eq!(ann.get("/v1/me").await.problem(401), "unauthorized_access");
    let token = changed.header("session-token");
    assert!(
        changed.header("set-cookie").starts_with(&format!("undercroft_session={token}; ")),
        "{changed:?}"
    );
    assert_eq!(changed.header("cache-control"), "no-store");
    assert_eq!(bearer(server, token).get("/v1/me").await.expect(200), user);
    bob.get("/v1/me").await.expect(200);
    assert_eq!(elsewhere.get("/v1/me").await.problem(401), "unauthorized_access");
    assert_eq!(try_log_in(server, "ann@example.org", PASSWORD).await.status, 401);
    log_in(server, "ann@example.org", "battery staple").await;
}

with_both_session_stores!(a_new_address_requires_the_password_and_is_not_verified);
async fn a_new_address_requires_the_password_and_is_not_verified(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, "ann@example.org").await;
    register(server, "bob@example.org").await;
    let verify = shop.database.write("ann@example.org", async |work, email| {
        let mut user = UserRepository(work).by_email(email).await?.unwrap();
        user.email_verified_at = Some(work.now());
        work.update(&mut user).await
    });
    verify.await.unwrap();
    let change = |email: &str| json!({"email": email, "current_password": PASSWORD});
    let found = ann.patch("/v1/me", json!({"email": "new@example.org"})).await.faults();
    assert_eq!(found, faults([("/current_password", "required")]));
    let response = ann.patch("/v1/me", change("BOB@example.org")).await;
    assert_eq!(response.problem(409), "email_already_used");
    assert!(ann.get("/v1/me").await.expect(200)["email_verified_at"].is_string());
    let user = ann.patch("/v1/me", change("new@example.org")).await.expect(200);
    assert_eq!((&user["email"], &user["email_verified_at"]), (&json!("new@example.org"), &Value::Null));
    assert_eq!(try_log_in(server, "ann@example.org", PASSWORD).await.status, 401);
    log_in(server, "new@example.org", PASSWORD).await;
}

on_both_engines!(an_address_to_which_nothing_is_sent_is_not_counted);
async fn an_address_to_which_nothing_is_sent_is_not_counted(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, "ann@example.org").await;
    for number in 0..4 {
        for email in ["new@example.org", "new@example.org", "ann@example.org"] {
            let change = json!({"email": email, "current_password": PASSWORD});
            let user = ann.patch("/v1/me", change).await;
            assert_eq!(user.expect(200)["email"], email, "{number}");
        }
    }
}

with_both_session_stores!(an_erased_user_cannot_log_in);
async fn an_erased_user_cannot_log_in(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, "ann@example.org").await;
    let bob = newcomer(server, "bob@example.org").await;
    let without = async |body| ann.send(Method::DELETE, "/v1/me", Some(body)).await.faults();
    assert_eq!(without(json!({})).await, faults([("/current_password", "required")]));
    let wrong = json!({"current_password": "wrong password"});
    assert_eq!(without(wrong).await, faults([("/current_password", "wrong_password")]));
    let response = erase(&ann).await;
    assert_eq!(response.expect(204), Value::Null);
    assert!(
        response.header("set-cookie").contains("undercroft_session=; "),
        "{}",
        response.header("set-cookie")
    );
    assert_eq!(ann.get("/v1/me").await.problem(401), "unauthorized_access");
    assert_eq!(erase(&ann).await.problem(401), "unauthorized_access");
    assert_eq!(try_log_in(server, "ann@example.org", PASSWORD).await.status, 401);
    bob.get("/v1/me").await.expect(200);
    newcomer(server, "ann@example.org").await.get("/v1/me").await.expect(200);
    let events = "SELECT COUNT(*) FROM outbox WHERE type = 'user.erased'";
    assert_eq!(value::<i64>(&shop.database, events, &[]).await, 1);
}

on_both_engines!(operations_of_users_require_a_session);
async fn operations_of_users_require_a_session(shop: &Shop) {
    let server = shop.server().await;
    for (method, path) in [
        (Method::GET, "/v1/me"),
        (Method::DELETE, "/v1/me"),
        (Method::GET, "/v1/me/preferences"),
        (Method::DELETE, "/v1/me/sessions"),
    ] {
        let response = server.guest().send(method, path, None).await;
        assert_eq!(response.problem(401), "unauthorized_access");
        assert!(response.header("www-authenticate").starts_with("Bearer "), "{response}");
    }
}
