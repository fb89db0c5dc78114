//! What README.md says to type works.

use std::process::Command;

use tempfile::TempDir;

use super::administrators::admin;
use super::{Server, run, undercroft};
use crate::support::is_installed;

const README: &str = include_str!("../../../../README.md");
/// The address in the lines of the README.
const ADDRESS: &str = "127.0.0.1:8080";

/// Returns the lines for a shell in a section of the README.
fn lines(section: &str) -> &'static str {
    let (_, rest) = README.split_once(&format!("\n## {section}\n")).unwrap();
    let (_, rest) = rest.split_once("```sh\n").unwrap();
    rest.split_once("```").unwrap().0
}

/// Runs lines of the README in a shell, on a server at an address; returns what they print.
fn typed(lines: &str, address: &str) -> String {
    assert!(lines.contains(ADDRESS), "{lines}");
    let output = Command::new("sh").args(["-ec", &lines.replace(ADDRESS, address)]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_store_sells_what_an_administrator_has_added() {
    if !is_installed("curl") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let create = ["admin", "create", "--email", "you@example.com", "--password-stdin"];
    let (code, _, errors) = admin(folder.path(), &create, "correct horse battery");
    assert_eq!(code, Some(0), "{errors}");
    let arguments = ["serve", "--no-demo", "--listen", "127.0.0.1:0"];
    let (server, address) = Server::start(&mut undercroft(folder.path(), &arguments));

    let sold = typed(lines("Sell something"), &address);
    for part in
        [r#""slug":"green-tea-"#, r#""tax_class":"reduced""#, r#""code":"parcel""#, r#""code":"WELCOME""#]
    {
        assert!(sold.contains(part), "no {part} in {sold}");
    }
    assert!(!sold.contains("/problems/"), "{sold}");
    let bought = typed(&lines("Buy something").replace("q=coffee", "q=tea"), &address);
    for part in [r#""status":"paid""#, r#""tax":"#] {
        assert!(bought.contains(part), "no {part} in {bought}");
    }
    server.stop();

    let (_, text, _) = run(folder.path(), &["doctor", "--listen", "127.0.0.1:0"]);
    assert!(text.contains("each tax class in use has a rule in each country"), "{text}");
}
