//! `doctor` tells a malformed, an absent, a damaged and an unreachable database apart.

use std::fs;
use std::net::TcpListener;

use tempfile::TempDir;
use undercroft::domain::context::Context;
use undercroft::infrastructure::repositories::{Database, Setup};

use super::service::start as start_with_metrics;
use super::{SERVE, run, undercroft};
use crate::support::EmptyPostgres;
use crate::support::issuer::Issuer;
use crate::support::redis::redis_url;
use crate::support::store::execute;

/// Runs `doctor` on a database; returns its exit code and its output with the errors.
pub(super) fn doctor(folder: &TempDir, database: &str) -> (Option<i32>, String) {
    let arguments = ["doctor", "--listen", "127.0.0.1:0", "--database", database];
    let (code, output, errors) = run(folder.path(), &arguments);
    (code, output + &errors)
}

#[test]
fn a_malformed_database_url_is_an_invalid_setting() {
    let (code, text) = doctor(&TempDir::new().unwrap(), "mysql://u:hush@h/d");
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("--database: database: not a database URL: `sqlite:FILE` or"), "{text}");
    assert!(!text.contains("hush"), "{text}");
}

#[test]
fn an_absent_database_is_no_problem() {
    let (code, text) = doctor(&TempDir::new().unwrap(), "sqlite:shop.db");
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("shop.db does not exist yet; `serve` and `import` create it"), "{text}");
    let others = "others       not checked until the database is set up: clock, sessions, payments, mail, ";
    assert!(text.contains(others), "{text}");
}

#[test]
fn an_unreachable_database_exits_with_4() {
    let (code, text) = doctor(&TempDir::new().unwrap(), "postgres://u@127.0.0.1:1/d");
    assert_eq!(code, Some(4), "{text}");
    assert!(text.contains("cannot be reached: 127.0.0.1:1/d: ") && !text.contains("others "), "{text}");
    assert!(text.ends_with("undercroft: 1 problem was found\n"), "{text}");
}

#[test]
fn a_file_that_is_no_database_exits_with_4() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("shop.db"), "no database, ".repeat(100)).unwrap();
    let (code, text) = doctor(&folder, "sqlite:shop.db");
    assert_eq!(code, Some(4), "{text}");
    assert!(text.contains("shop.db is not a database of SQLite\n"), "{text}");
    assert!(text.contains("→ correct that, or `database` in the settings"), "{text}");
}

#[tokio::test]
async fn a_database_that_the_server_does_not_have_exits_with_4() {
    let Some(existing) = EmptyPostgres::new().await else { return };
    let (server, _) = existing.url.split_once('?').unwrap();
    let (server, _) = server.rsplit_once('/').unwrap();
    let (code, text) = doctor(&TempDir::new().unwrap(), &format!("{server}/no_such_database"));
    assert_eq!(code, Some(4), "{text}");
    let expected = "database \"no_such_database\" does not exist; create it with `CREATE DATABASE`";
    assert!(text.contains(expected), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_redis_of_the_sessions_is_checked() {
    let Some(url) = redis_url().await else { return };
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("shop.db");
    let database = format!("sqlite:{}", file.display());
    drop(Database::open(&database.parse().unwrap(), Context::system(), Setup::IfEmpty).await.unwrap());
    let checked = |sessions: &str| {
        let arguments = ["doctor", "--listen", "127.0.0.1:0", "--database", &database];
        let output =
            undercroft(folder.path(), &arguments).env("UNDERCROFT_SESSIONS", sessions).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(!errors.contains("Redis is not available"), "the report has it: {errors}");
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, text) = checked("database:");
    assert!(code == Some(0) && !text.contains("sessions "), "{text}");
    let (code, text) = checked(&url);
    assert!(
        code == Some(0)
            && text.contains("sessions     their Redis responds, and removes no session to make room"),
        "{text}"
    );
    let (code, text) = checked("redis://:hush@127.0.0.1:1");
    let expected = "sessions     Redis at 127.0.0.1:1 cannot be used: ";
    assert!(code == Some(1) && text.contains(expected), "{text}");
    assert!(!text.contains("hush"), "{text}");
    let (code, _) = checked("memory:");
    assert_eq!(code, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keys_of_the_issuer_are_fetched_and_counted() {
    let (folder, issuer) = (TempDir::new().unwrap(), Issuer::start().await);
    let doctor = |audience: &str, algorithms: &str| {
        let mut command = undercroft(folder.path(), &["doctor", "--listen", "127.0.0.1:0"]);
        let command = command.env("UNDERCROFT_AUTHENTICATION__ISSUER", &issuer.url);
        let command = command.env("UNDERCROFT_AUTHENTICATION__AUDIENCE", audience);
        let output = command.env("UNDERCROFT_AUTHENTICATION__ALGORITHMS", algorithms).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    let (code, text) = doctor("shop", r#"["EdDSA"]"#);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains(&format!("ok       issuer       {} has 1 key\n", issuer.url)), "{text}");
    let (code, text) = doctor("shop", r#"["RS256"]"#);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("has 0 keys for the algorithms of the settings"), "{text}");
    *issuer.published.lock().unwrap() = None;
    let (code, text) = doctor("shop", r#"["EdDSA"]"#);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains(&format!("PROBLEM  issuer       {}: the response has the status 503", issuer.url)),
        "{text}"
    );
    let (code, text) = doctor("", r#"["EdDSA"]"#);
    assert_eq!(code, Some(2), "{text}");
    assert!(
        text.contains("authentication.audience: it is empty, and `authentication.issuer` requires it"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_certificate_authority_is_trusted_by_its_file_and_a_wrong_file_is_refused() {
    let (folder, server) = (TempDir::new().unwrap(), Issuer::start_with_tls().await);
    let doctor = |certificates: &str| {
        let mut command = undercroft(folder.path(), &["doctor", "--listen", "127.0.0.1:0"]);
        let command = command.env("UNDERCROFT_AUTHENTICATION__ISSUER", &server.url);
        let command = command.env("UNDERCROFT_AUTHENTICATION__AUDIENCE", "shop");
        let command = command.env("UNDERCROFT_AUTHENTICATION__ALGORITHMS", r#"["EdDSA"]"#);
        let command = command.env("UNDERCROFT_TELEMETRY__OTLP", &server.url);
        let output = command.env("UNDERCROFT_CA_CERTIFICATES", certificates).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    let (code, text) = doctor("");
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("invalid peer certificate: UnknownIssuer"), "{text}");
    let fixture = |name: &str| format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    let (code, text) = doctor(&fixture("tls/authority.pem"));
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains(&format!("ok       issuer       {} has 1 key\n", server.url)), "{text}");
    assert!(text.contains(&format!("ok       telemetry    {} accepts connections\n", server.url)), "{text}");
    for (name, expected) in [
        ("tls/server_key.pem", "has no certificate in PEM"),
        ("no_such_file", "cannot be read: No such file"),
    ] {
        let path = fixture(name);
        let (code, text) = doctor(&path);
        let expected = format!("UNDERCROFT_CA_CERTIFICATES: ca_certificates: `{path}` {expected}");
        assert!(code == Some(2) && text.contains(&expected), "{text}");
    }
}

#[test]
fn a_collector_that_accepts_no_connection_is_a_warning_and_the_url_of_one_signal_is_refused() {
    let folder = TempDir::new().unwrap();
    let doctor = |url: &str| {
        let mut command = undercroft(folder.path(), &["doctor", "--listen", "127.0.0.1:0"]);
        let output = command.env("UNDERCROFT_TELEMETRY__OTLP", url).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/otlp", collector.local_addr().unwrap());
    let (code, text) = doctor(&url);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains(&format!("ok       telemetry    {url} accepts connections\n")), "{text}");
    drop(collector);
    let (code, text) = doctor(&url);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains(&format!("warning  telemetry    {url}: the connection failed")), "{text}");
    let (code, text) = doctor(&format!("{url}/v1/traces"));
    assert_eq!(code, Some(2), "{text}");
    let expected =
        "UNDERCROFT_TELEMETRY__OTLP: telemetry.otlp: the text is the URL of one signal: omit `/v1/traces`";
    assert!(text.contains(expected), "{text}");
}

/// Runs `doctor` with a variable, without an error; returns what it prints.
fn doctor_with(folder: &TempDir, variable: &str, value: &str) -> String {
    let mut command = undercroft(folder.path(), &["doctor", "--listen", "127.0.0.1:0"]);
    let output = command.env(variable, value).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_address_of_the_metrics_is_free_or_has_metrics_or_is_in_use() {
    let folder = TempDir::new().unwrap();
    let doctor = |address: &str| doctor_with(&folder, "UNDERCROFT_METRICS__LISTEN", address);
    let mut command = undercroft(folder.path(), &SERVE);
    let (server, shop, metrics) = start_with_metrics(&mut command);
    let text = doctor(&metrics);
    assert!(text.contains(&format!("ok       metrics      {metrics} responds with the metrics")), "{text}");
    let mut command = undercroft(folder.path(), &["doctor", "--listen", "127.0.0.1:9464"]);
    let output = command.env("UNDERCROFT_METRICS__LISTEN", "127.0.0.1:9464").output().unwrap();
    let shared = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.code() == Some(1) && shared.contains("127.0.0.1:9464 is the address of the store, too")
    );
    let text = doctor(&shop);
    assert!(text.contains(&format!("warning  metrics      {shop} is in use\n")), "{text}");
    server.stop();
    let text = doctor(&metrics);
    assert!(text.contains(&format!("ok       metrics      {metrics} is free\n")), "{text}");
}

#[test]
fn a_page_for_addresses_without_one_for_passwords_is_a_warning() {
    let folder = TempDir::new().unwrap();
    let doctor = |password_reset: &str| {
        let mut command = undercroft(folder.path(), &["doctor", "--listen", "127.0.0.1:0"]);
        let verification = "https://shop.example/verify#{token}";
        let command = command.env("UNDERCROFT_PAGES__EMAIL_VERIFICATION", verification);
        let output = command.env("UNDERCROFT_PAGES__PASSWORD_RESET", password_reset).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8(output.stdout).unwrap()
    };
    let text = doctor("");
    let expected =
        "warning  pages        `pages.email_verification` is set, and `pages.password_reset` is not\n";
    assert!(text.contains(expected), "{text}");
    let text = doctor("https://shop.example/password#{token}");
    assert!(!text.contains("pages"), "{text}");
}

#[test]
fn missing_administrators_and_tax_rules_are_warnings() {
    let folder = TempDir::new().unwrap();
    let rules =
        r#"{"type":"tax_rule","country":"DE","tax_class":"standard","basis_points":1900,"inclusive":true}"#;
    let parcel =
        r#"{"type":"shipping_method","id":"p","code":"p","name":"P","tax_class":"standrad","rates":[]}"#;
    let stamps = r#"{"type":"category","id":"s","name":"Stamps","tax_class":"zero"}"#;
    fs::write(folder.path().join("terms.jsonl"), format!("{rules}\n{parcel}\n{stamps}\n")).unwrap();
    let (code, _, errors) = run(folder.path(), &["import", "terms.jsonl", "--database", "sqlite:shop.db"]);
    assert_eq!(code, Some(0), "{errors}");
    let (code, text) = doctor(&folder, "sqlite:shop.db");
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("there is no administrator"), "{text}");
    assert!(
        text.contains("no tax rule names the class `standrad`: what has it is sold without tax"),
        "{text}"
    );
}

#[test]
fn a_class_without_a_rule_in_a_country_is_a_warning() {
    let folder = TempDir::new().unwrap();
    let rule = |country: &str, class: &str| {
        format!(
            r#"{{"type":"tax_rule","country":"{country}","tax_class":"{class}","basis_points":700,"inclusive":true}}"#
        )
    };
    let books = r#"{"type":"category","id":"b","name":"Books","tax_class":"reduced"}"#;
    let lines = [rule("DE", "standard"), rule("DE", "reduced"), rule("US", "standard"), books.to_owned()];
    fs::write(folder.path().join("terms.jsonl"), lines.join("\n")).unwrap();
    let import = |file: &str| run(folder.path(), &["import", file, "--database", "sqlite:shop.db"]);
    let (code, _, errors) = import("terms.jsonl");
    assert_eq!(code, Some(0), "{errors}");
    let (_, text) = doctor(&folder, "sqlite:shop.db");
    assert!(
        text.contains("US has no rule for the class `reduced`: what has it is sold there without tax"),
        "{text}"
    );
    assert!(!text.contains("DE has no rule"), "{text}");

    fs::write(folder.path().join("more.jsonl"), rule("US", "reduced")).unwrap();
    let (code, _, errors) = import("more.jsonl");
    assert_eq!(code, Some(0), "{errors}");
    let (_, text) = doctor(&folder, "sqlite:shop.db");
    assert!(text.contains("each tax class in use has a rule in each country that has any"), "{text}");
}

#[tokio::test]
async fn a_redis_that_does_not_respond_is_a_warning() {
    let folder = TempDir::new().unwrap();
    let doctor = |url: &str| doctor_with(&folder, "UNDERCROFT_CACHE", url);
    assert!(!doctor("memory:").contains("Redis"));
    let text = doctor("redis://:hush@127.0.0.1:1");
    assert!(text.contains("warning  cache        Redis at 127.0.0.1:1 cannot be used: "), "{text}");
    assert!(!text.contains("hush"), "{text}");
    let Some(url) = redis_url().await else { return };
    assert!(doctor(&url).contains("ok       cache        Redis responds"));
}

#[test]
fn check_mode_of_the_caches_is_a_warning() {
    let folder = TempDir::new().unwrap();
    let doctor = |verify: &str| doctor_with(&folder, "UNDERCROFT_CACHES__VERIFY", verify);
    assert!(!doctor("false").contains("caches"));
    let text = doctor("true");
    assert!(text.contains("warning  caches       `caches.verify` is set: each use of a cache is"), "{text}");
}

/// Creates an active webhook endpoint.
const ENDPOINT: &str = "INSERT INTO webhook_endpoints (id, url, description, event_types, secret, active, version, \
                    created_at, updated_at) VALUES (randomblob(16), 'https://example.com', '', '[]', 's', 1, 1, 0, 0)";

/// Gives the webhook endpoints a private URL.
const PRIVATE: &str = "UPDATE webhook_endpoints SET url = 'http://127.0.0.1:9000/hook'";

#[tokio::test]
async fn webhook_endpoints_that_fail_or_are_deactivated_are_warnings() {
    let folder = TempDir::new().unwrap();
    let (code, _, errors) = run(folder.path(), &["migrate", "--database", "sqlite:shop.db"]);
    assert_eq!(code, Some(0), "{errors}");
    let (_, text) = doctor(&folder, "sqlite:shop.db");
    assert!(!text.contains("webhooks"), "{text}");
    let url = format!("sqlite:{}", folder.path().join("shop.db").display());
    let database = Database::open(&url.parse().unwrap(), Context::system(), Setup::IfEmpty).await.unwrap();
    execute(&database, &[ENDPOINT]).await;
    let (_, text) = doctor(&folder, "sqlite:shop.db");
    assert!(text.contains("1 endpoint acknowledges the events"), "{text}");
    execute(&database, &["UPDATE webhook_endpoints SET failing_since = 0"]).await;
    let (_, text) = doctor(&folder, "sqlite:shop.db");
    assert!(text.contains("the last delivery to 1 endpoint failed"), "{text}");
    execute(&database, &["UPDATE webhook_endpoints SET active = 0"]).await;
    let (code, text) = doctor(&folder, "sqlite:shop.db");
    assert!(code == Some(0) && text.contains("1 endpoint is deactivated and gets no events"), "{text}");
}

#[tokio::test]
async fn webhook_endpoints_that_the_settings_refuse_are_a_warning() {
    let folder = TempDir::new().unwrap();
    let url = format!("sqlite:{}", folder.path().join("shop.db").display());
    let database = Database::open(&url.parse().unwrap(), Context::system(), Setup::IfEmpty).await.unwrap();
    execute(&database, &[ENDPOINT, PRIVATE]).await;
    let doctor = |allow_private: &str| {
        let mut command =
            undercroft(folder.path(), &["doctor", "--listen", "127.0.0.1:0", "--database", &url]);
        let output = command.env("UNDERCROFT_WEBHOOKS__ALLOW_PRIVATE", allow_private).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8(output.stdout).unwrap()
    };
    let text = doctor("false");
    assert!(text.contains("warning  webhooks     1 active endpoint has a URL that is not public"), "{text}");
    assert!(!doctor("true").contains("that is not public"));
    execute(&database, &["UPDATE webhook_endpoints SET active = 0"]).await;
    assert!(!doctor("false").contains("that is not public"), "nothing would be sent there anyway");
}

#[test]
fn private_webhooks_of_a_store_that_others_reach_are_a_warning() {
    let folder = TempDir::new().unwrap();
    let doctor = |allow_private: &str, public_url: &str| {
        let mut command = undercroft(folder.path(), &["doctor", "--listen", "127.0.0.1:0"]);
        let command = command.env("UNDERCROFT_WEBHOOKS__ALLOW_PRIVATE", allow_private);
        let command = command.env("UNDERCROFT_PUBLIC_URL", public_url);
        let output = command.env("UNDERCROFT_PAYMENTS__SANDBOX", "disabled").output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8(output.stdout).unwrap()
    };
    let text = doctor("true", "https://shop.example");
    let expected = "warning  webhooks     `webhooks.allow_private` is set, and other machines reach https://shop.example\n";
    assert!(text.contains(expected), "{text}");
    assert!(!doctor("true", "").contains("webhooks.allow_private"));
    assert!(!doctor("false", "https://shop.example").contains("webhooks.allow_private"));
}

#[test]
fn a_store_that_others_reach_needs_a_mail_server() {
    let folder = TempDir::new().unwrap();
    let (code, _, errors) = run(folder.path(), &["migrate", "--database", "sqlite:shop.db"]);
    assert_eq!(code, Some(0), "{errors}");
    let doctor = |public_url: &str| {
        let arguments = ["doctor", "--listen", "127.0.0.1:0", "--database", "sqlite:shop.db"];
        let mut command = undercroft(folder.path(), &arguments);
        let command = command.env("UNDERCROFT_MAIL__URL", "local:").env("UNDERCROFT_PUBLIC_URL", public_url);
        let output = command.env("UNDERCROFT_PAYMENTS__SANDBOX", "disabled").output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8(output.stdout).unwrap()
    };
    let text = doctor("");
    assert!(text.contains("ok       mail         local: responds\n"), "{text}");
    let text = doctor("https://shop.example");
    let expected =
        "warning  mail         local: sends no e-mails, and other machines reach https://shop.example\n";
    assert!(text.contains(expected), "{text}");
}
