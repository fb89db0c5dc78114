//! The commands: their output and exit codes.

mod administrators;
mod audit;
mod backup;
mod broker;
mod cache;
mod canaries;
mod command_line;
mod copy;
mod database_files;
mod database_urls;
mod doctor;
mod doctor_files;
mod documentation;
mod events;
mod import;
mod import_dry_run;
mod import_rejections;
mod interrupts;
mod jobs;
mod log_lines;
#[cfg(target_os = "linux")]
mod memory;
mod output_files;
mod read_only;
mod replicate;
mod request_heads;
mod sandbox;
mod service;
mod torture;
mod worker;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio},
};

use tempfile::TempDir;

use crate::support::import::DEMO;

/// Returns the command to run the binary in a folder.
fn undercroft(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_undercroft"));
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    command
}

fn run(folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = undercroft(folder, arguments).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// A running server, which is killed when it is dropped.
struct Server {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Server {
    /// Starts the server, and returns its address.
    fn start(command: &mut Command) -> (Self, String) {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on http://").expect("the address").to_owned();
        (Self { child, output }, address)
    }

    fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// Waits until the server logs a line with `text`, and returns the line.
    fn wait_for_log(&mut self, text: &str) -> String {
        wait_for_line(self.child.stderr.as_mut().unwrap(), text)
    }

    /// Waits until the server prints a line that begins with `start`, and returns the rest of it.
    fn wait_for_output(&mut self, start: &str) -> String {
        let mut lines = self.output.by_ref().lines().map(Result::unwrap);
        let found = lines.find_map(|line| line.strip_prefix(start).map(str::to_owned));
        found.unwrap_or_else(|| panic!("the server ended without: {start}"))
    }

    /// Stops the server by a signal, and returns the rest of its log.
    fn stop(self) -> String {
        self.signal("TERM");
        let (code, log) = self.exit();
        assert_eq!(code, Some(0), "{log}");
        log
    }

    /// Waits until the server has ended, and returns its exit code and the rest of its log.
    fn exit(mut self) -> (Option<i32>, String) {
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        (self.child.wait().unwrap().code(), log)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // the process may have ended
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until a process logs a line with `text`, and returns the line.
fn wait_for_line(log: &mut ChildStderr, text: &str) -> String {
    let mut lines = BufReader::new(log).lines().map(Result::unwrap);
    lines.find(|line| line.contains(text)).unwrap_or_else(|| panic!("the process ended without: {text}"))
}

/// Sends a signal to a process.
fn signal(child: &Child, name: &str) {
    let sent = Command::new("sh").args(["-c", &format!("kill -{name} {}", child.id())]).status();
    assert!(sent.unwrap().success());
}

/// The arguments of a server without the demo catalogue.
const SERVE: [&str; 4] = ["serve", "--no-demo", "--listen", "127.0.0.1:0"];

/// Starts a server without the demo catalogue in a folder, and returns its address.
fn serve(folder: &Path) -> (Server, String) {
    Server::start(&mut undercroft(folder, &SERVE))
}

/// Returns the response to a GET request on a new connection.
fn get(address: &str, path: &str) -> String {
    send(address, &format!("GET {path} HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n"))
}

/// Returns the response to a POST request with a JSON body on a new connection.
fn post(address: &str, path: &str, body: &str) -> String {
    let length = body.len();
    send(
        address,
        &format!(
            "POST {path} HTTP/1.1\r\nhost: shop\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{body}"
        ),
    )
}

/// Requests a cart; returns the response.
fn create_cart(address: &str) -> String {
    post(address, "/v1/carts", "{}")
}

/// Sends a request on a new connection; returns what the server sends until it closes the connection.
fn send(address: &str, request: &str) -> String {
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(request.as_bytes()).unwrap();
    std::io::read_to_string(client).unwrap()
}

#[test]
fn without_a_command_the_store_is_served_until_a_signal() {
    let folder = TempDir::new().unwrap();
    let file = "listen = \"127.0.0.1:0\"\n[log]\nformat = \"json\"\n";
    std::fs::write(folder.path().join("undercroft.toml"), file).unwrap();
    for signal in ["TERM", "INT"] {
        let (server, address) = Server::start(&mut undercroft(folder.path(), &[]));
        let response = get(&address, "/no/such/page");
        assert!(response.starts_with("HTTP/1.1 404 "), "{response}");
        server.signal(signal);
        let (code, log) = server.exit();
        assert_eq!(code, Some(0), "{log}");
        let last: serde_json::Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
        assert_eq!((&last["message"], &last["served"]), (&"stopped".into(), &1.into()), "{log}");
    }
}

#[test]
fn a_second_signal_ends_the_server_immediately() {
    let folder = TempDir::new().unwrap();
    let (mut server, address) = Server::start(&mut undercroft(folder.path(), &["--listen", "127.0.0.1:0"]));
    // the response to a client that is still sending is not cut off
    let mut client = TcpStream::connect(&address).unwrap();
    client.write_all(b"POST /no/such/page HTTP/1.1\r\nhost: shop\r\ncontent-length: 9\r\n\r\nha").unwrap();
    assert_eq!(client.read(&mut [0]).unwrap(), 1);
    server.signal("TERM");
    server.wait_for_log("stopping");
    server.signal("TERM");
    let (code, log) = server.exit();
    assert_eq!(code, Some(1));
    assert!(log.contains("undercroft: stopped by a second signal"), "{log}");
}

#[test]
fn flags_override_the_environment() {
    let folder = TempDir::new().unwrap();
    // listening on the variable's address (RFC 5737) would fail
    let mut command = undercroft(folder.path(), &["serve", "--listen", "127.0.0.1:0"]);
    let (server, _) = Server::start(command.env("UNDERCROFT_LISTEN", "203.0.113.1:0"));
    server.stop();
}

#[test]
fn an_address_in_use_is_a_failure() {
    let folder = TempDir::new().unwrap();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    let (code, output, errors) = run(folder.path(), &["--listen", &address]);
    assert_eq!((code, output.as_str()), (Some(1), ""));
    let expected = format!("undercroft: cannot listen on {address}, the address of `listen`: ");
    assert!(errors.starts_with(&expected), "{errors}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "no store was set up");
}

#[test]
fn invalid_settings_and_usage_exit_with_2() {
    let folder = TempDir::new().unwrap();
    let (code, output, errors) = run(folder.path(), &["--config", "no.toml"]);
    assert_eq!((code, output.as_str()), (Some(2), ""));
    assert!(errors.starts_with("undercroft: cannot read no.toml: "), "{errors}");

    let output = undercroft(folder.path(), &[]).env("UNDERCROFT_LISTNE", "127.0.0.1:0").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("undercroft: UNDERCROFT_LISTNE: listne: "));

    let (code, output, errors) = run(folder.path(), &["sreve"]);
    assert_eq!((code, output.as_str()), (Some(2), ""));
    assert!(errors.contains("'sreve'"), "{errors}");
}

/// Runs a command whose output is read to the end of the first line; returns that line, the exit code and the errors.
fn first_line(folder: &Path, arguments: &[&str]) -> (String, Option<i32>, String) {
    let mut command = undercroft(folder, arguments);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut output = BufReader::with_capacity(1, child.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    drop(output);
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    (line, status.code(), String::from_utf8(stderr).unwrap())
}

#[test]
fn output_that_is_closed_early_is_no_error() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("demo.jsonl"), DEMO).unwrap();
    assert_eq!(run(folder.path(), &["import", "demo.jsonl"]).0, Some(0));
    for command in ["export", "openapi"] {
        let (line, code, errors) = first_line(folder.path(), &[command]);
        assert!(line.starts_with('{'), "{command}: {line}");
        assert_eq!(code, Some(0), "{command}");
        assert!(!errors.contains("undercroft: "), "{command}: {errors}");
    }
}

#[test]
fn a_malformed_address_is_refused_with_an_example() {
    let (code, _, errors) = run(Path::new("."), &["--listen", "nonsense"]);
    assert_eq!(code, Some(2));
    let expected = "--listen: listen: `nonsense` is not an IP address with a port, such as 127.0.0.1:8080";
    assert_eq!(errors, format!("undercroft: {expected}\n"));
}

#[test]
fn a_malformed_public_url_is_refused_with_an_example() {
    for (url, shown) in [
        ("shop.example.com", "shop.example.com"),
        ("ftp://shop.example.com", "ftp://shop.example.com"),
        ("https://shop.example.com/?a=1", "https://shop.example.com/?…"),
        ("https://ann:hush@shop.example.com", "https://…@shop.example.com"),
        ("https://", "https://"),
    ] {
        let output =
            undercroft(Path::new("."), &["doctor"]).env("UNDERCROFT_PUBLIC_URL", url).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let expected = format!("`{shown}` is not the URL of a store, such as https://shop.example.com");
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(errors, format!("undercroft: UNDERCROFT_PUBLIC_URL: public_url: {expected}\n"));
    }
}

#[test]
fn an_export_to_a_file_that_cannot_be_written_names_it() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("demo.jsonl"), DEMO).unwrap();
    assert_eq!(run(folder.path(), &["import", "demo.jsonl"]).0, Some(0));
    let (code, _, errors) = run(folder.path(), &["export", "--output", "none/all.jsonl"]);
    assert_eq!(code, Some(1));
    assert!(errors.starts_with("undercroft: cannot write none/all.jsonl: "), "{errors}");
}

#[test]
fn help_succeeds_and_lists_the_exit_codes() {
    let (code, output, _) = run(Path::new("."), &["--help"]);
    assert_eq!(code, Some(0));
    assert!(output.contains("serve") && output.contains("Exit codes:"), "{output}");
}

/// Returns the command to run the binary under a limit on open files, as `ulimit` takes it.
fn with_file_limit(folder: &Path, limit: &str, arguments: &str) -> Command {
    let mut command = Command::new("sh");
    let script = format!("ulimit {limit} && exec {} {arguments}", env!("CARGO_BIN_EXE_undercroft"));
    command.args(["-c", &script]).current_dir(folder).stdin(Stdio::null());
    command
}

#[test]
fn idle_connections_do_not_use_up_the_limit_on_open_files() {
    for limit in ["-n 96", "-Sn 64"] {
        let folder = TempDir::new().unwrap();
        let mut command = with_file_limit(folder.path(), limit, "serve --no-demo --listen 127.0.0.1:0");
        let (server, address) = Server::start(&mut command);
        let idle: Vec<_> = (0..200).map(|_| TcpStream::connect(&address).unwrap()).collect();
        assert!(get(&address, "/health/live").starts_with("HTTP/1.1 200 "), "{limit}");
        drop(idle);
        server.stop();
    }
}

#[test]
fn the_doctor_reports_a_limit_on_open_files_that_is_too_low() {
    let folder = TempDir::new().unwrap();
    let Output { status, stdout, .. } = with_file_limit(folder.path(), "-n 512", "doctor").output().unwrap();
    assert!(status.success());
    let text = String::from_utf8(stdout).unwrap();
    assert!(text.contains("512 files may be open: enough for 384 connections"), "{text}");
}
