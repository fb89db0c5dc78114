//! A store that other machines reach has the sandbox only if its settings say so.

use std::fs;

use tempfile::TempDir;

use super::{Server, run, undercroft};

/// An address that other machines reach.
const PUBLIC: [&str; 2] = ["--listen", "0.0.0.0:0"];

/// Writes settings with this value of `payments.sandbox`.
fn settings(folder: &TempDir, sandbox: &str) {
    fs::write(folder.path().join("undercroft.toml"), format!("[payments]\nsandbox = \"{sandbox}\"\n"))
        .unwrap();
}

fn doctor(folder: &TempDir) -> (Option<i32>, String) {
    let (code, output, errors) = run(folder.path(), &["doctor", PUBLIC[0], PUBLIC[1]]);
    (code, output + &errors)
}

#[test]
fn a_public_address_requires_the_setting() {
    let folder = TempDir::new().unwrap();
    let (code, output, errors) = run(folder.path(), &PUBLIC);
    assert_eq!((code, output.as_str()), (Some(2), ""));
    assert!(errors.contains("set `payments.sandbox` to \"disabled\", or to"), "{errors}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "no store was set up");

    let (code, text) = doctor(&folder);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("`serve` does not start, because other machines reach 0.0.0.0:0"), "{text}");
}

#[test]
fn a_public_url_requires_the_setting_too() {
    let folder = TempDir::new().unwrap();
    let doctor = |public_url: &str| {
        let mut command = undercroft(folder.path(), &["doctor", "--listen", "127.0.0.1:0"]);
        let output = command.env("UNDERCROFT_PUBLIC_URL", public_url).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    for local in ["", "http://localhost:8080", "http://127.0.0.1:8080/shop", "http://[::1]"] {
        let (code, text) = doctor(local);
        assert_eq!(code, Some(0), "{local}: {text}");
    }
    let (code, text) = doctor("https://shop.example.com/");
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("does not start, because other machines reach https://shop.example.com"), "{text}");

    let mut serve = undercroft(folder.path(), &["--listen", "127.0.0.1:0"]);
    let output = serve.env("UNDERCROFT_PUBLIC_URL", "https://shop.example.com").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "no store was set up");
}

#[test]
fn a_public_sandbox_is_a_warning() {
    let folder = TempDir::new().unwrap();
    settings(&folder, "enabled");
    let (server, _) = Server::start(&mut undercroft(folder.path(), &PUBLIC));
    let log = server.stop();
    let expected =
        "the sandbox is enabled, and other machines reach 0.0.0.0:0: payments succeed without money";
    assert!(log.contains(expected), "{log}");
    let (code, text) = doctor(&folder);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("enabled, and other machines reach 0.0.0.0:0"), "{text}");
    assert!(!text.contains("\"enabled\""), "it is set already: {text}");
}

#[test]
fn a_store_without_the_sandbox_has_no_payment_provider() {
    let folder = TempDir::new().unwrap();
    settings(&folder, "disabled");
    let (server, _) = Server::start(&mut undercroft(folder.path(), &PUBLIC));
    server.stop();
    let (code, text) = doctor(&folder);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("there is no payment provider: no order"), "{text}");
}
