//! Secrets and personal data go through every flow at the level `trace`, also those that fail. None is in the log, in
//! the metrics and the traces, in an event, in the audit log, or in a problem document.

mod flows;
mod forms;
mod watched;

use serde_json::{Value, json};
use tempfile::TempDir;
use undercroft::domain::context::Context;
use undercroft::infrastructure::events::transports::open;
use undercroft::settings::load;

use self::flows::sell_to_others;
use self::watched::{Watched, escaped};
use super::undercroft;
use crate::support::EmptyPostgres;
use crate::support::issuer::Issuer;
use crate::support::redis::redis_url;
use crate::support::totp::code_at;

const PASSWORD: &str = "canary-Password-7391";
const NEW_PASSWORD: &str = "canary-Changed-8261";
const WRONG_PASSWORD: &str = "canary-Wrong-1173";
const EMAIL: &str = "canary.ann@birds.example";
const OTHER_EMAIL: &str = "canary.new@birds.example";
const NAME: &str = "Zephyrine Canari";
const STREET: &str = "Kanarienweg 7391";
const CARD: &str = "tok_canary_4242424242424242";
const TOKEN: &str = "canaryTokenThatWasNeverIssued0123456789abcdef";
const ADMIN_EMAIL: &str = "canary.root@birds.example";
const ADMIN_PASSWORD: &str = "canary-Admin-5528";
const IDEMPOTENCY_KEY: &str = "canary-idempotency-key-4410";
const URL_PASSWORD: &str = "canaryUrlPassword6627";
const SECOND_EMAIL: &str = "canary.bob@birds.example";
const IDENTITY_EMAIL: &str = "canary.eve@birds.example";
const SUBJECT: &str = "canary-subject-9035";
const REVIEW: &str = "canary review, that it sings at 4 o'clock";
const CONTENT: &str = "canary-content-2286";

/// The values that must be nowhere, by their names; those that a server issues are added.
const CANARIES: [(&str, &str); 18] = [
    ("password", PASSWORD),
    ("new password", NEW_PASSWORD),
    ("wrong password", WRONG_PASSWORD),
    ("e-mail address", EMAIL),
    ("other e-mail address", OTHER_EMAIL),
    ("administrator's address", ADMIN_EMAIL),
    ("name", NAME),
    ("address line", STREET),
    ("payment token", CARD),
    ("token", TOKEN),
    ("administrator's password", ADMIN_PASSWORD),
    ("idempotency key", IDEMPOTENCY_KEY),
    ("password of a URL", URL_PASSWORD),
    ("second customer's address", SECOND_EMAIL),
    ("e-mail address at the issuer", IDENTITY_EMAIL),
    ("subject", SUBJECT),
    ("review", REVIEW),
    ("content of a file", CONTENT),
];

fn address() -> Value {
    json!({"name": NAME, "line1": STREET, "city": "Bremen", "postal_code": "28195", "country": "DE"})
}

/// Creates a cart with a piece of the first product that a search finds; returns its path.
fn cart(watched: &Watched, headers: &[(&str, &str)], search: &str) -> String {
    let products = watched.request("GET", &format!("/v1/products?q={search}"), &[], "").expect(200);
    let variant = products["items"][0]["variants"][0]["id"].as_str().unwrap().to_owned();
    let cart = watched.post("/v1/carts", headers, json!({})).expect(201);
    let path = format!("/v1/carts/{}", cart["id"].as_str().unwrap());
    let item = format!("{path}/items/{variant}");
    watched.request("PUT", &item, headers, r#"{"quantity": 1}"#).expect(200);
    path
}

fn checkout(token: &str) -> Value {
    json!({
        "email": EMAIL, "shipping_address": address(), "billing_address": address(),
        "payment": {"provider": "sandbox", "token": token},
    })
}

/// Sends malformed requests in which each place has a canary.
fn provoke(watched: &Watched, authorization: &str) {
    let own = [("authorization", authorization)];
    let invalid = format!("Bearer {TOKEN}");
    let foreign = [
        ("authorization", invalid.as_str()),
        ("cookie", "undercroft_session=canaryTokenThatWasNeverIssued0123456789abcdef"),
    ];
    let path = format!("/v1/orders/{TOKEN}?email={}", escaped(EMAIL));
    for headers in
        [&own[..], &foreign, &[("order-token", TOKEN)], &[("last-event-id", TOKEN)], &[("if-match", EMAIL)]]
    {
        watched.request("GET", &path, headers, "");
        watched.request("GET", "/v1/me", headers, "");
        watched.request("GET", &format!("/none/{}", escaped(EMAIL)), headers, "");
    }
    for (path, body) in [
        ("/v1/users", format!(r#"{{"email": "{EMAIL}", "password": "{PASSWORD}" "name": "{NAME}"}}"#)),
        (
            "/v1/users",
            json!({"email": format!("{EMAIL} x"), "password": [PASSWORD], "name": {"is": NAME}}).to_string(),
        ),
        (
            "/v1/users",
            json!({"email": EMAIL, "password": PASSWORD, "locale": STREET, "card": CARD}).to_string(),
        ),
        ("/v1/users", json!({"email": EMAIL, "password": PASSWORD}).to_string()),
        ("/v1/sessions", json!({"email": EMAIL, "password": WRONG_PASSWORD}).to_string()),
        ("/v1/sessions", json!({"email": OTHER_EMAIL, "password": WRONG_PASSWORD}).to_string()),
        ("/v1/password-resets/confirm", json!({"token": TOKEN, "password": NEW_PASSWORD}).to_string()),
        ("/v1/email-verifications", json!({"token": TOKEN}).to_string()),
        ("/v1/carts", format!(r#""{STREET}"#)),
    ] {
        let refused = watched.request("POST", path, &[], &body);
        assert!(refused.status >= 400 || path == "/v1/users", "{}", refused.text);
    }
    let wrong = json!({"email": OTHER_EMAIL, "current_password": WRONG_PASSWORD});
    assert!(watched.request("PATCH", "/v1/me", &own, &wrong.to_string()).status >= 400);
    let cart = cart(watched, &own, "coffee");
    for token in [CARD, "tok_declined"] {
        let refused = watched.post(&format!("{cart}/checkout"), &own, checkout(token));
        assert!(refused.status >= 400, "{}", refused.text);
    }
    let mut incomplete = checkout("tok_ok");
    incomplete["shipping_address"]["country"] = STREET.into();
    assert_eq!(watched.post(&format!("{cart}/checkout"), &own, incomplete).status, 422);
}

/// Exchanges a session for an access token, which is a canary then, and sends it where it is enough and where not.
fn use_access_token(watched: &mut Watched, authorization: &str) {
    let issued = watched.request("POST", "/v1/sessions/token", &[("authorization", authorization)], "");
    let token = issued.expect(200)["access_token"].as_str().unwrap().to_owned();
    let signature = token.rsplit('.').next().unwrap().to_owned();
    watched.canaries.insert("access token", token.clone());
    watched.canaries.insert("signature of the access token", signature);
    let (bearer, damaged) = (format!("Bearer {token}"), format!("Bearer {token}x"));
    watched.request("GET", "/v1/me", &[("authorization", &bearer)], "").expect(200);
    for (authorization, path) in
        [(&bearer, "/v1/me/export"), (&bearer, "/admin/v1/orders"), (&damaged, "/v1/me")]
    {
        let refused = watched.request("GET", path, &[("authorization", authorization)], "");
        assert!(refused.status >= 400, "{}", refused.text);
    }
}

/// Creates and uses an API key, the secret of an authenticator app and recovery codes, which are canaries then. Returns
/// the value of `Authorization` with the new token of the session.
fn use_factors(watched: &mut Watched, authorization: &str) -> String {
    let own = [("authorization", authorization)];
    let new = json!({"name": "Warehouse", "current_password": PASSWORD});
    let key = watched.post("/v1/me/api-keys", &own, new).expect(201)["key"].clone();
    let key = key.as_str().unwrap();
    watched.canaries.insert("API key", key.to_owned());
    let program = format!("Bearer {key}");
    watched.request("GET", "/v1/me", &[("authorization", &program)], "").expect(200);
    let damaged = format!("{program}0");
    assert_eq!(watched.request("GET", "/v1/me", &[("authorization", &damaged)], "").status, 401);
    let misplaced = format!("/v1/orders/{key}");
    assert!(watched.request("GET", &misplaced, &own, "").status >= 400);

    let begun = watched.post("/v1/me/totp", &own, json!({"current_password": PASSWORD})).expect(201);
    let secret = begun["secret"].as_str().unwrap();
    watched.canaries.insert("TOTP secret", secret.to_owned());
    for wrong in [secret, "000000"] {
        let code = json!({"one_time_password": wrong});
        assert!(watched.post("/v1/me/totp/confirm", &own, code).status >= 400);
    }
    let code = json!({"one_time_password": code_at(secret, Context::system().clock.now())});
    let confirmed = watched.post("/v1/me/totp/confirm", &own, code);
    let mut lines = confirmed.text.lines();
    let token = lines.find_map(|line| line.strip_prefix("session-token: ")).unwrap().to_owned();
    watched.canaries.insert("session since the enrolment", token.clone());
    let authorization = format!("Bearer {token}");
    let own = [("authorization", authorization.as_str())];
    let confirmed = confirmed.expect(200);
    let [first, second] = [0_usize, 1].map(|index| confirmed["recovery_codes"][index].as_str().unwrap());
    watched.canaries.insert("recovery code", first.to_owned());
    watched.canaries.insert("recovery code without hyphens", first.replace('-', "").to_uppercase());
    watched.canaries.insert("second recovery code", second.to_owned());
    let log_in = |code: &str| json!({"email": EMAIL, "password": PASSWORD, "recovery_code": code});
    assert_eq!(watched.post("/v1/sessions", &[], log_in(&format!("{first}x"))).status, 401);
    let session = watched.post("/v1/sessions", &[], log_in(first)).expect(201);
    let token = session["token"].as_str().unwrap().to_owned();
    watched.canaries.insert("session by a recovery code", token);
    assert_eq!(watched.post("/v1/sessions", &[], log_in(first)).status, 401);
    assert!(watched.request("GET", &format!("/v1/orders/{second}"), &own, "").status >= 400);
    let end = json!({"current_password": PASSWORD, "recovery_code": second}).to_string();
    watched.request("DELETE", "/v1/me/totp", &own, &end).expect(204);
    authorization
}

/// Verifies the address by a token of an e-mail, and begins to change it. The tokens are canaries then.
fn use_tokens_of_emails(watched: &mut Watched, root: &str, authorization: &str) {
    let token = watched.token_of("verification token", root, EMAIL, 0);
    let verify = |token: &str| json!({"token": token});
    watched.post("/v1/email-verifications", &[], verify(&token)).expect(204);
    let change = json!({"email": OTHER_EMAIL, "current_password": PASSWORD}).to_string();
    watched.request("PATCH", "/v1/me", &[("authorization", authorization)], &change).expect(200);
    let of_change = watched.token_of("token of another address", root, OTHER_EMAIL, 0);
    for damaged in [format!("{token}x"), format!("x{of_change}")] {
        let refused = watched.post("/v1/email-verifications", &[], verify(&damaged));
        assert!(refused.status >= 400, "{}", refused.text);
    }
}

/// Sends canaries through the flows of an account, of orders and of their administration.
fn sell(watched: &mut Watched, has_emails: bool) {
    let root = watched.log_in("administrator's session", ADMIN_EMAIL, ADMIN_PASSWORD);
    let admin = [("authorization", root.as_str())];
    // nothing listens there, so that deliveries fail
    let endpoint = json!({"url": format!("http://127.0.0.1:1/{TOKEN}")});
    let endpoint = watched.post("/admin/v1/webhook-endpoints", &admin, endpoint).expect(201);
    watched.canaries.insert("webhook secret", endpoint["secret"].as_str().unwrap().to_owned());
    let rotate = format!("/admin/v1/webhook-endpoints/{}/rotate-secret", endpoint["id"].as_str().unwrap());
    let rotated = watched.post(&rotate, &admin, json!({})).expect(200);
    watched.canaries.insert("new webhook secret", rotated["secret"].as_str().unwrap().to_owned());

    let account = json!({"email": EMAIL, "password": PASSWORD, "name": NAME, "birth_date": "1991-07-03"});
    let created = watched.post("/v1/users", &[], account);
    assert!(created.status < 300, "{}", created.text);
    let user = watched.log_in("session", EMAIL, PASSWORD);
    provoke(watched, &user);
    use_access_token(watched, &user);
    let user = use_factors(watched, &user);
    let own = [("authorization", user.as_str()), ("idempotency-key", IDEMPOTENCY_KEY)];
    let cart_of_user = cart(watched, &own[..1], "coffee");
    let order = watched.post(&format!("{cart_of_user}/checkout"), &own, checkout("tok_ok")).expect(201);
    watched.post(&format!("{cart_of_user}/checkout"), &own, checkout("tok_ok")).expect(201);
    let id = order["id"].as_str().unwrap();
    watched.request("GET", &format!("/v1/orders/{id}/invoice"), &own[..1], "").expect(200);
    watched.request("GET", "/v1/me/export", &own[..1], "").expect(200);
    watched.request("GET", &format!("/admin/v1/users?q={}", escaped(EMAIL)), &admin, "");
    watched.post(&format!("/admin/v1/orders/{id}/refund"), &admin, json!({"reason": STREET})).expect(201);

    let guest = cart(watched, &[], "coffee");
    let bought = watched.post(&format!("{guest}/checkout"), &[], checkout("tok_timeout_after_charge"));
    assert!(bought.status < 500, "{}", bought.text);
    if let Some(token) = bought.body()["token"].as_str() {
        watched.canaries.insert("order token", token.to_owned());
    }

    if has_emails {
        use_tokens_of_emails(watched, &root, &user);
        watched.post("/v1/password-resets", &[], json!({"email": EMAIL})).expect(202);
        let token = watched.token_of("reset token", &root, EMAIL, 1);
        let reset = json!({"token": token, "password": NEW_PASSWORD});
        let confirmed = watched.post("/v1/password-resets/confirm", &[], reset);
        assert!(confirmed.status < 300, "{}", confirmed.text);
        let user = watched.log_in("second session", EMAIL, NEW_PASSWORD);
        let erase = json!({"current_password": NEW_PASSWORD}).to_string();
        watched.request("DELETE", "/v1/me", &[("authorization", &user)], &erase);
    }
    watched.wait_for("webhook");
}

/// Sends canaries through all flows of a server with these settings, and searches for them.
async fn sell_and_search(database: String, mut settings: Vec<(&'static str, String)>, has_emails: bool) {
    let issuer = Issuer::start().await;
    settings.extend([
        ("UNDERCROFT_AUTHENTICATION__ISSUER", issuer.url.clone()),
        ("UNDERCROFT_AUTHENTICATION__AUDIENCE", "shop".to_owned()),
        ("UNDERCROFT_AUTHENTICATION__ALGORITHMS", r#"["EdDSA"]"#.to_owned()),
        ("UNDERCROFT_AUTHENTICATION__CREATE_USERS", "true".to_owned()),
    ]);
    let selling = tokio::task::spawn_blocking(move || {
        let mut watched = Watched::start(&database, &settings);
        sell_to_others(&mut watched, &issuer, has_emails);
        sell(&mut watched, has_emails);
        watched.end(&database);
    });
    selling.await.unwrap();
}

/// The URL of a schema of PostgreSQL with a password; `None` if the server does not trust each password.
fn with_password(schema: &EmptyPostgres) -> Option<String> {
    let (_, rest) = schema.url.split_once("postgres@")?;
    Some(format!("postgres://postgres:{URL_PASSWORD}@{rest}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_canary_is_shown_anywhere() {
    let folder = TempDir::new().unwrap();
    let database = format!("sqlite:{}", folder.path().join("store.db").display());
    sell_and_search(database, vec![("UNDERCROFT_MAIL__URL", "local:".to_owned())], true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_canary_is_shown_with_postgres_and_a_mail_server_that_is_away() {
    let Some(schema) = EmptyPostgres::new().await else { return };
    let Some(database) = with_password(&schema) else { return };
    let mail = format!("smtp://canary:{URL_PASSWORD}@127.0.0.1:1");
    sell_and_search(database, vec![("UNDERCROFT_MAIL__URL", mail)], false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_canary_is_shown_with_postgres_and_sessions_in_redis() {
    let Some(schema) = EmptyPostgres::new().await else { return };
    let (Some(database), Some(redis)) = (with_password(&schema), redis_url().await) else { return };
    let settings = vec![("UNDERCROFT_MAIL__URL", "local:".to_owned()), ("UNDERCROFT_SESSIONS", redis)];
    sell_and_search(database, settings, true).await;
}

#[test]
fn settings_and_transports_do_not_show_passwords_of_urls() {
    let folder = TempDir::new().unwrap();
    for (variable, url) in [
        ("DATABASE", "postgres://canary:PASSWORD@127.0.0.1:1/store"),
        ("CACHE", "redis://canary:PASSWORD@127.0.0.1:1"),
        ("SESSIONS", "redis://canary:PASSWORD@127.0.0.1:1"),
        ("MAIL__URL", "smtp://canary:PASSWORD@127.0.0.1:1"),
        #[cfg(feature = "nats")]
        ("EVENTS__URL", "nats://canary:PASSWORD@127.0.0.1:1"),
        #[cfg(feature = "rabbitmq")]
        ("EVENTS__URL", "amqp://canary:PASSWORD@127.0.0.1:1"),
    ] {
        let (variable, url) = (format!("UNDERCROFT_{variable}"), url.replace("PASSWORD", URL_PASSWORD));
        let settings = load(None, [(variable.clone().into(), url.clone().into())], &[]).unwrap();
        let transport = open(&settings.events.url, "shop");
        for text in [format!("{settings:?}"), format!("{settings:#?}"), format!("{transport:?}")] {
            assert!(!text.contains(URL_PASSWORD), "{text}");
        }
        // a port that is no number is refused, as is a host that is missing
        for wrong in [url.replace(":1", ":x"), url.replace("127.0.0.1:1", ""), format!("{url} x")] {
            let output = undercroft(folder.path(), &["doctor"]).env(&variable, &wrong).output().unwrap();
            let text = [output.stdout, output.stderr].concat();
            let text = String::from_utf8(text).unwrap();
            assert!(!text.contains(URL_PASSWORD), "{variable}={wrong}: {text}");
        }
        let output = undercroft(folder.path(), &["doctor"]).env(&variable, &url).output().unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(!text.contains(URL_PASSWORD), "{text}");
    }
}
