//! Administrators, whom the operator creates.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use super::{Server, post, send, undercroft};
use crate::support::is_installed;

/// Runs `admin` with these arguments and this password on standard input.
pub(super) fn admin(folder: &Path, arguments: &[&str], password: &str) -> (Option<i32>, String, String) {
    let mut command = undercroft(folder, arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // a process that refuses its arguments ends before it reads
    let _ = child.stdin.take().unwrap().write_all(password.as_bytes());
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// Logs in; returns the response.
fn log_in(address: &str, email: &str, password: &str) -> String {
    post(address, "/v1/sessions", &format!(r#"{{"email":"{email}","password":"{password}"}}"#))
}

#[test]
fn admin_create_creates_an_administrator_or_replaces_the_password() {
    let folder = TempDir::new().unwrap();
    let create = ["admin", "create", "--email", "root@example.org", "--name", "Root", "--password-stdin"];
    let mut ids = Vec::new();
    let replaced = "; the password was replaced, and its sessions, API keys and one-time passwords ended\n";
    for (password, end) in [("first secret", "\n"), ("second secret", replaced)] {
        let (code, output, errors) = admin(folder.path(), &create, &format!("{password}\n"));
        assert_eq!(code, Some(0), "{errors}");
        assert!(!output.contains("secret") && !errors.contains("secret"), "{output}{errors}");
        let id = output.strip_prefix("root@example.org is an administrator (user ").expect(&output);
        ids.push(id.strip_suffix(end).and_then(|id| id.strip_suffix(')')).expect(&output).to_owned());
    }
    assert_eq!(ids[0], ids[1], "the user is the same");
    let (server, address) = Server::start(&mut undercroft(folder.path(), &["--listen", "127.0.0.1:0"]));
    assert!(log_in(&address, "root@example.org", "first secret").starts_with("HTTP/1.1 401 "));
    let response = log_in(&address, "ROOT@example.org", "second secret");
    assert!(response.starts_with("HTTP/1.1 201 ") && response.contains(r#""role":"admin""#), "{response}");
    server.stop();
}

#[test]
fn an_administrator_is_created_with_a_role_that_exists() {
    let folder = TempDir::new().unwrap();
    let create = |email, role: &[&str]| {
        let arguments = [&["admin", "create", "--email", email, "--password-stdin"], role].concat();
        admin(folder.path(), &arguments, "battery staple")
    };
    let (code, _, errors) = create("root@example.org", &["--role", "support"]);
    assert_eq!(code, Some(4));
    assert!(errors.contains("the database does not exist: undercroft.db"), "{errors}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "no store was set up");

    assert_eq!(create("root@example.org", &[]).0, Some(0));
    let (code, _, errors) = create("ann@example.org", &["--role", "support"]);
    assert_eq!(code, Some(2));
    assert!(errors.contains("there is no role support"), "{errors}");
    let (server, address) = Server::start(&mut undercroft(folder.path(), &["--listen", "127.0.0.1:0"]));
    let response = log_in(&address, "root@example.org", "battery staple");
    let token = response.split(r#""token":""#).nth(1).unwrap().split('"').next().unwrap();
    let role = r#"{"name":"support","permissions":["orders:read"]}"#;
    let path = format!("/admin/v1/roles HTTP/1.1\r\nauthorization: Bearer {token}\r\nx-end:");
    assert!(post(&address, &path, role).starts_with("HTTP/1.1 201 "));
    server.stop();

    let (code, _, errors) = create("ann@example.org", &["--role", "support"]);
    assert_eq!(code, Some(0), "{errors}");
    let (code, _, errors) = create("root@example.org", &["--role", "support"]);
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.contains("last administrator"), "{errors}");
    let (server, address) = Server::start(&mut undercroft(folder.path(), &["--listen", "127.0.0.1:0"]));
    let response = log_in(&address, "ann@example.org", "battery staple");
    assert!(response.contains(r#""role":"admin","staff_role":"support""#), "{response}");
    server.stop();
}

#[test]
fn the_password_of_a_new_store_is_printed_but_not_logged() {
    let folder = TempDir::new().unwrap();
    let (mut server, address) = Server::start(&mut undercroft(folder.path(), &["--listen", "127.0.0.1:0"]));
    let email = server.wait_for_output("  administrator   ");
    let password = server.wait_for_output("  password        ");
    let password = password.split(' ').next().unwrap();
    assert!(log_in(&address, &email, password).starts_with("HTTP/1.1 201 "));
    let log = server.stop();
    assert!(!log.contains(password), "{log}");
}

#[test]
fn the_settings_say_what_the_hash_of_a_password_costs_and_a_weak_one_is_refused() {
    let folder = TempDir::new().unwrap();
    let create = ["admin", "create", "--email", "root@example.org", "--password-stdin"];
    let settings = folder.path().join("undercroft.toml");
    std::fs::write(&settings, "passwords.hash_memory_mib = 12").unwrap();
    let (code, _, errors) = admin(folder.path(), &create, "battery staple");
    assert_eq!(code, Some(2), "{errors}");
    assert!(errors.contains("12 MiB with `hash_iterations` = 2 is too weak: OWASP recommends"), "{errors}");

    std::fs::write(&settings, "[passwords]\nhash_memory_mib = 12\nhash_iterations = 3").unwrap();
    assert_eq!(admin(folder.path(), &create, "battery staple").0, Some(0));
    let database = rusqlite::Connection::open(folder.path().join("undercroft.db")).unwrap();
    let hash: String = database.query_row("SELECT password_hash FROM users", [], |row| row.get(0)).unwrap();
    assert!(hash.starts_with("$argon2id$v=19$m=12288,t=3,p=1$"), "{hash}");
}

#[test]
fn an_invalid_administrator_is_refused_and_no_store_is_set_up() {
    let folder = TempDir::new().unwrap();
    let create = ["admin", "create", "--email", "root@example.org", "--password-stdin"];
    for password in ["", "1234567", "two\nlines of it", &"p".repeat(129), &"p".repeat(100_000)] {
        let (code, output, errors) = admin(folder.path(), &create, password);
        assert_eq!((code, output.as_str()), (Some(2), ""), "{errors}");
        assert!(errors.ends_with("a password is one line of 8 to 128 characters\n"), "{errors}");
    }
    for password in ["        ", "password1", "Root@example.org"] {
        let (code, output, errors) = admin(folder.path(), &create, password);
        assert_eq!((code, output.as_str()), (Some(2), ""), "{errors}");
        assert!(errors.contains("the password is common"), "{errors}");
    }
    for arguments in [
        &["admin", "create", "--email", "root", "--password-stdin"][..],
        &["admin", "create", "--password-stdin"],
        &["admin", "create", "--email", "root@example.org"],
        &["admin"],
    ] {
        let (code, output, _) = admin(folder.path(), arguments, "long enough");
        assert_eq!((code, output.as_str()), (Some(2), ""), "{arguments:?}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "no store was set up");
}

/// Creates an administrator at a terminal with these keys at the prompt; returns what the terminal shows, with the exit
/// code and the modes of the terminal after it. `None` if there is no program `script`.
fn entered(folder: &Path, keys: &[u8]) -> Option<String> {
    if !is_installed("script") {
        return None;
    }
    // the signals of keys are for the shell, too, which waits for the command
    let command = format!(
        "trap : INT QUIT; {} admin create --email root@example.org; echo code $?; stty -a",
        env!("CARGO_BIN_EXE_undercroft")
    );
    let mut script = Command::new("script");
    script.args(["--quiet", "--command", &command, "/dev/null"]).env("SHELL", "/bin/sh");
    let mut child = script.current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut keyboard, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut shown = Vec::new();
    while !shown.ends_with(b"Password: ") {
        let mut byte = [0];
        screen.read_exact(&mut byte).unwrap();
        shown.extend(byte);
    }

    keyboard.write_all(keys).unwrap();
    screen.read_to_end(&mut shown).unwrap();
    child.wait().unwrap();
    Some(String::from_utf8(shown).unwrap())
}

#[test]
fn a_password_is_entered_at_a_terminal_that_does_not_show_it() {
    let folder = TempDir::new().unwrap();
    let Some(shown) = entered(folder.path(), b"battery staple\n") else { return };
    assert!(shown.contains("root@example.org is an administrator") && shown.contains("code 0"), "{shown}");
    assert!(!shown.contains("battery") && !shown.contains("-echo "), "{shown}");
}

#[test]
fn a_terminal_shows_what_is_entered_after_a_key_that_ends_the_prompt_and_no_key_stops_it() {
    let (interrupt, quit, suspend) = (b"\x03", b"\x1c", b"\x1abattery staple\n");
    for (keys, end) in [
        (&interrupt[..], "interrupted before there was a password; nothing was done"),
        (&quit[..], "interrupted before there was a password; nothing was done"),
        (&suspend[..], "a password is one line of 8 to 128 characters"),
    ] {
        let folder = TempDir::new().unwrap();
        let Some(shown) = entered(folder.path(), keys) else { return };
        let code = if keys == suspend { "code 2" } else { "code 130" };
        assert!(shown.contains(end) && shown.contains(code), "{keys:?}: {shown}");
        assert!(shown.contains(" echo ") && shown.contains("susp = ^Z"), "{keys:?}: {shown}");
    }
}

/// Returns a member of a response in JSON.
fn member(response: &str, name: &str) -> String {
    let (_, rest) = response.split_once(&format!("\"{name}\":\"")).expect(response);
    rest.split('"').next().expect(response).to_owned()
}

#[test]
fn servers_of_a_store_without_a_public_url_accept_the_access_tokens_of_each_other() {
    let folder = TempDir::new().unwrap();
    let create = ["admin", "create", "--email", "root@example.org", "--password-stdin"];
    assert_eq!(admin(folder.path(), &create, "battery staple").0, Some(0));
    let start = |address: &str| {
        Server::start(&mut undercroft(folder.path(), &["serve", "--no-demo", "--listen", address]))
    };
    let (one, other) = (start("127.0.0.1:0"), start("127.0.0.2:0"));
    let session = member(&log_in(&one.1, "root@example.org", "battery staple"), "token");
    let head = |token: &str| format!("host: shop\r\nconnection: close\r\nauthorization: Bearer {token}\r\n");
    let body = "content-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
    let issued = send(&one.1, &format!("POST /v1/sessions/token HTTP/1.1\r\n{}{body}", head(&session)));
    let token = member(&issued, "access_token");
    for address in [&one.1, &other.1] {
        let response = send(address, &format!("GET /v1/me HTTP/1.1\r\n{}\r\n", head(&token)));
        assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    }
    one.0.stop();
    other.0.stop();
}
