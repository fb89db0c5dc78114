//! What README.md says to type works.

use std::process::Command;

use tempfile::TempDir;

use super::administrators::admin;
use super::{Server, run, undercroft};
use crate::support::is_installed;

const README: &str = include_str!("../../../../README.md");
/// The address in the lines of the README.
const ADDRESS: &str = "127.0.0.1:8080";
/// The start of the line that checks out.
const CHECKOUT: &str = "curl -s $S/v1/carts/$C/checkout";

/// Returns the blocks of lines for a shell in a section of the README.
fn blocks(section: &str) -> Vec<&'static str> {
    let (_, rest) = README.split_once(&format!("\n## {section}\n")).unwrap();
    let (section, _) = rest.split_once("\n## ").unwrap();
    section.split("```sh\n").skip(1).map(|block| block.split_once("```").unwrap().0).collect()
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

    let (selling, buying) = (blocks("Sell something"), blocks("Buy something"));
    let ([sell, discount], [buy]) = (&selling[..], &buying[..]) else { panic!("{selling:?} {buying:?}") };
    let sold = typed(sell, &address);
    for part in
        [r#""slug":"green-tea-"#, r#""tax_class":"reduced""#, r#""code":"parcel""#, r#""code":"WELCOME""#]
    {
        assert!(sold.contains(part), "no {part} in {sold}");
    }
    assert!(!sold.contains("/problems/"), "{sold}");
    let buy = buy.replace("q=coffee", "q=tea").replace(CHECKOUT, &format!("{discount}{CHECKOUT}"));
    let bought = typed(&buy, &address);
    for part in [r#""discount":{"amount":158,"#, r#""status":"paid""#, r#""tax":"#] {
        assert!(bought.contains(part), "no {part} in {bought}");
    }
    server.stop();

    let (_, text, _) = run(folder.path(), &["doctor", "--listen", "127.0.0.1:0"]);
    assert!(text.contains("each tax class in use has a rule in each country"), "{text}");
}
