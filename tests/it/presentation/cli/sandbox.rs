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
    assert!(text.contains("`serve` does not start on 0.0.0.0:0"), "{text}");
}

#[test]
fn a_public_sandbox_is_a_warning() {
    let folder = TempDir::new().unwrap();
    settings(&folder, "enabled");
    let (server, _) = Server::start(&mut undercroft(folder.path(), &PUBLIC));
    let log = server.stop();
    assert!(log.contains("the sandbox is enabled: payments succeed without money"), "{log}");
    let (code, text) = doctor(&folder);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("enabled, and other machines reach the store"), "{text}");
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
